//! The phase-locked loop that makes the LPU's clock from the board's oscillator.

use super::Primitive;
use crate::board::Pll;
use crate::layer::{FamilyTexts, Module, Type};
use lpu_isa::board::Family;
use std::sync::Arc;

/// Cycles of the oscillator after which the behavioural twin says that it has locked.
pub const LOCK_CYCLES: usize = 16;

/// A phase-locked loop: ports `oscillator`, `clock` and `locked`, which is high once the clock can be used and belongs to no
/// clock.
///
/// The behavioural twin passes the oscillator on, so a simulation counts cycles of the LPU. It serves no synthesis: a family
/// without a text of its own would run at the oscillator's pace.
#[must_use]
pub fn pll(pll: &Pll) -> Arc<Module> {
    let ports = [("oscillator", true), ("clock", false), ("locked", false)]
        .map(|(name, input)| (name.to_string(), Type::bits(1), input));
    let text = match pll.family {
        Family::Ecp5 => ecp5_body(pll),
        Family::Ice40 => ice40_body(pll),
        Family::Gowin => gowin_body(pll),
    };
    Primitive {
        name: "pll".into(),
        description: format!(
            "Makes a clock of {} MHz from an oscillator of {} MHz. In simulation the clock is the oscillator's.",
            decimal(pll.clock_mhz()),
            decimal(pll.oscillator_hz as f64 / 1e6)
        ),
        latencies: Vec::new(),
        ports: ports.into(),
        behavioural: behavioural_body(),
        families: FamilyTexts::only(pll.family, text),
        combinational: true,
    }
    .module()
}

/// At most three decimals.
fn decimal(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

fn behavioural_body() -> String {
    let bits = LOCK_CYCLES.ilog2();
    format!(
        "
  reg [{bits}:0] cycles;
  // What a power-up gives.
  initial cycles = {width}'d0;

  always @(posedge oscillator) begin
    if (!cycles[{bits}]) cycles <= cycles + {width}'d1;
  end

  assign clock = oscillator;
  assign locked = cycles[{bits}];
",
        width = bits + 1,
    )
}

fn ecp5_body(pll: &Pll) -> String {
    let (oscillator, clock) = (decimal(pll.oscillator_hz as f64 / 1e6), decimal(pll.clock_mhz()));
    format!(
        "
  (* FREQUENCY_PIN_CLKI = \"{oscillator}\", FREQUENCY_PIN_CLKOP = \"{clock}\" *)
  (* ICP_CURRENT = \"12\", LPF_RESISTOR = \"8\", MFG_ENABLE_FILTEROPAMP = \"1\", MFG_GMCREF_SEL = \"2\" *)
  EHXPLLL #(
    .CLKI_DIV({reference}), .CLKFB_DIV({feedback}), .CLKOP_DIV({post}),
    .CLKOP_ENABLE(\"ENABLED\"), .CLKOP_CPHASE({phase}), .CLKOP_FPHASE(0), .FEEDBK_PATH(\"CLKOP\"),
    .OUTDIVIDER_MUXA(\"DIVA\"), .OUTDIVIDER_MUXB(\"DIVB\"), .OUTDIVIDER_MUXC(\"DIVC\"), .OUTDIVIDER_MUXD(\"DIVD\"),
    .PLLRST_ENA(\"DISABLED\"), .INTFB_WAKE(\"DISABLED\"), .STDBY_ENABLE(\"DISABLED\"), .DPHASE_SOURCE(\"DISABLED\")
  ) ehxplll (
    .CLKI(oscillator), .CLKFB(clock), .CLKOP(clock), .LOCK(locked),
    .RST(1'b0), .STDBY(1'b0), .PLLWAKESYNC(1'b0), .ENCLKOP(1'b0),
    .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b1), .PHASESTEP(1'b1), .PHASELOADREG(1'b1)
  );
",
        reference = pll.reference,
        feedback = pll.feedback,
        post = pll.post,
        // The edge in the middle of the loop oscillator's cycles, where the vendor's tool puts it.
        phase = pll.post / 2,
    )
}

/// The variant whose reference is a pad: the loop takes the pad for itself, so no other variant can use a clock pin there.
fn ice40_body(pll: &Pll) -> String {
    format!(
        "
  SB_PLL40_PAD #(
    .FEEDBACK_PATH(\"SIMPLE\"),
    .DIVR(4'd{}), .DIVF(7'd{}), .DIVQ(3'd{}), .FILTER_RANGE(3'd{})
  ) sb_pll40_pad (
    .PACKAGEPIN(oscillator), .PLLOUTGLOBAL(clock), .LOCK(locked), .RESETB(1'b1), .BYPASS(1'b0)
  );
",
        pll.reference - 1,
        pll.feedback - 1,
        pll.post.ilog2(),
        pll.filter_range(),
    )
}

fn gowin_body(pll: &Pll) -> String {
    format!(
        "
  rPLL #(
    .FCLKIN(\"{}\"),
    .IDIV_SEL({}), .FBDIV_SEL({}), .ODIV_SEL({})
  ) rpll (
    .CLKIN(oscillator), .CLKOUT(clock), .LOCK(locked),
    .CLKOUTP(), .CLKOUTD(), .CLKOUTD3(), .CLKFB(1'b0),
    .RESET(1'b0), .RESET_P(1'b0), .FBDSEL(6'd0), .IDSEL(6'd0), .ODSEL(6'd0), .PSDA(4'd0), .DUTYDA(4'd0), .FDLY(4'd0)
  );
",
        decimal(pll.oscillator_hz as f64 / 1e6),
        pll.reference - 1,
        pll.feedback - 1,
        pll.post,
    )
}
