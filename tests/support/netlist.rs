//! A module and its netlist side by side in one simulation.
//!
//! [`beside`] puts the netlist of a module next to every instance of that module in a design. Both get the same inputs; the design
//! goes on with the outputs of the module, and the simulation stops with an error in the first cycle in which the netlist has
//! others. So whatever runs on the design compares every output of the module in every cycle.

use lpu_hdl::layer::{EmittedModule, EmittedPort};
use lpu_sim::verilated::Source;
use std::fmt::Write as _;

/// Simulation models of the ECP5's cells, as files for Verilator.
#[must_use]
pub fn ecp5_cells() -> Vec<(String, String)> {
    const CELLS: [(&str, &str); 9] = [
        ("LUT4", include_str!("../../hdl/models/ecp5/LUT4.v")),
        ("PFUMX", include_str!("../../hdl/models/ecp5/PFUMX.v")),
        ("L6MUX21", include_str!("../../hdl/models/ecp5/L6MUX21.v")),
        ("CCU2C", include_str!("../../hdl/models/ecp5/CCU2C.v")),
        ("TRELLIS_FF", include_str!("../../hdl/models/ecp5/TRELLIS_FF.v")),
        ("TRELLIS_DPR16X4", include_str!("../../hdl/models/ecp5/TRELLIS_DPR16X4.v")),
        ("MULT18X18D", include_str!("../../hdl/models/ecp5/MULT18X18D.v")),
        ("PDPW16KD", include_str!("../../hdl/models/ecp5/PDPW16KD.v")),
        ("DP16KD", include_str!("../../hdl/models/ecp5/DP16KD.v")),
    ];
    CELLS.iter().map(|(name, text)| (format!("{name}.v"), tolerant(text))).collect()
}

/// Verilog that no person wrote, or that compares parameters of any length: nobody mends its warnings.
#[must_use]
pub fn tolerant(text: &str) -> String {
    let warnings = ["WIDTHEXPAND", "WIDTHTRUNC", "PINMISSING", "UNOPTFLAT"];
    let waivers: Vec<String> = warnings.iter().map(|name| format!("/* verilator lint_off {name} */\n")).collect();
    format!("{}{text}", waivers.concat())
}

/// The name that the netlist of `module` must have for [`beside`].
#[must_use]
pub fn netlist_name(module: &str) -> String {
    format!("{module}_netlist")
}

/// `source` with the netlist `text`, whose module is called [`netlist_name`], beside every instance of `module`.
///
/// # Errors
/// The source has no file of the module, or that does not declare it.
pub fn beside(mut source: Source, module: &EmittedModule, text: &str) -> Result<Source, String> {
    let name = &module.name;
    let file = source.files.iter_mut().find(|(file, _)| *file == format!("{name}.v"));
    let (_, own) = file.ok_or_else(|| format!("the source has no file of `{name}`"))?;
    let opening = format!("module {name} (");
    if !own.contains(&opening) {
        return Err(format!("`{name}.v` does not declare the module"));
    }
    *own = own.replace(&opening, &format!("module {name}_rtl ("));
    source.files.push((format!("{name}_pair.v"), pair(module)));
    source.files.push((format!("{}.v", netlist_name(name)), tolerant(text)));
    source.files.extend(ecp5_cells());
    // Their paths may lead through the module, and nothing reads them.
    source.observed.clear();
    source.unoptimised = true;
    Ok(source)
}

/// ` signed [7:0]`, or nothing for a single bit.
fn range(port: &EmittedPort) -> String {
    let signed = if port.signed { " signed" } else { "" };
    if port.width == 1 && !port.signed { String::new() } else { format!("{signed} [{}:0]", port.width - 1) }
}

/// A module in the place of `module` that holds both and compares them at every rising edge.
fn pair(module: &EmittedModule) -> String {
    let name = &module.name;
    let direction = |port: &EmittedPort| if port.input { "input" } else { "output" };
    let ports: Vec<String> =
        module.ports.iter().map(|port| format!("  {} wire{} {}", direction(port), range(port), port.name)).collect();
    let connected = |netlist: bool| -> String {
        let wire = |port: &EmittedPort| match netlist && !port.input {
            true => format!("{}_of_the_netlist", port.name),
            false => port.name.clone(),
        };
        let ports: Vec<String> = module.ports.iter().map(|port| format!(".{}({})", port.name, wire(port))).collect();
        ports.join(", ")
    };
    // One class of the simulator for all instances, however many there are.
    let mut text = format!("module {name} (\n{}\n);\n  /* verilator no_inline_module */\n", ports.join(",\n"));
    let outputs: Vec<&EmittedPort> = module.ports.iter().filter(|port| !port.input).collect();
    for port in &outputs {
        let _ = writeln!(text, "  wire{} {}_of_the_netlist;", range(port), port.name);
    }
    let _ = writeln!(text, "  {name}_rtl rtl ({});", connected(false));
    let _ = writeln!(text, "  {} netlist ({});", netlist_name(name), connected(true));
    for EmittedPort { name: output, .. } in outputs {
        let _ = writeln!(
            text,
            "  always @(posedge clk) if ({output}_of_the_netlist != {output}) begin
    $display(\"%m: {output} is %h in the netlist, %h in the RTL\", {output}_of_the_netlist, {output});
    $stop;
  end"
        );
    }
    text + "endmodule\n"
}
