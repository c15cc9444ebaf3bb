//! What Yosys is told to make cells of a family of the emitted text.

use lpu_isa::board::Family;

/// How much of the hierarchy is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hierarchy {
    /// One module: for place and route.
    Flat,
    /// Each module by itself, which is synthesised once however often it occurs: for counting. A design for iCE40 is flat in any
    /// case.
    Kept,
}

/// Yosys' commands, one a line, between reading the text and writing the netlist. `top` is the module to be made.
#[must_use]
pub fn commands(family: Family, top: &str, hierarchy: Hierarchy) -> String {
    let (before, command) = match family {
        // Multipliers are instances; what is written as a product is meant to be made of logic.
        Family::Ecp5 => (String::new(), "synth_ecp5 -nodsp"),
        Family::Ice40 => (ice40_multipliers(top), "synth_ice40"),
        // Multiplexers of two look-up tables tie them to one place, which is most of the work of placing, and save none
        // (6,724 against 6,718 and 1,326 multiplexers for the machine of `tangnano20k`).
        Family::Gowin => (String::new(), "synth_gowin -nowidelut"),
    };
    let flatten = match hierarchy {
        Hierarchy::Flat => "",
        Hierarchy::Kept => " -noflatten",
    };
    // The scopes are remarks about the hierarchy, which place and route does not know.
    format!("{before}{command}{flatten} -top {top}\ndelete t:$scopeinfo\ncheck -assert\n")
}

/// Commands that turn products into multiplier cells of an iCE40, and distributed RAM, which it does not have, into block RAM.
///
/// `synth_ice40 -dsp` would do more than that: it moves registers and adders into the cells, and where a sum has two products
/// with registers behind them it loses one of the two (Yosys 0.70). So the products are mapped before, by the same rules.
fn ice40_multipliers(top: &str) -> String {
    format!(
        "setattr -set ram_style \"block\" distributed_ram_*/m:*\n\
         hierarchy -top {top}\nproc\nflatten\nopt\nwreduce t:$mul\n\
         techmap -map +/mul2dsp.v -map +/ice40/dsp_map.v -D DSP_A_MAXWIDTH=16 -D DSP_B_MAXWIDTH=16 -D DSP_A_MINWIDTH=2 \
         -D DSP_B_MINWIDTH=2 -D DSP_Y_MINWIDTH=11 -D DSP_NAME=$__MUL16X16 t:$mul\n"
    )
}
