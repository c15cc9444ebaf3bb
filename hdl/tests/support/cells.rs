//! Simulation models of the ECP5 cells the primitives instantiate: those of `hdl/models/ecp5`.

/// Verilog of MULT18X18D, PDPW16KD, DP16KD, CCU2C, TRELLIS_FF and LUT4. Each register is there only if the parameters ask for it, so a text that forgets
/// one shows a shorter latency.
pub fn models() -> String {
    [
        include_str!("../../models/ecp5/MULT18X18D.v"),
        include_str!("../../models/ecp5/PDPW16KD.v"),
        include_str!("../../models/ecp5/DP16KD.v"),
        include_str!("../../models/ecp5/CCU2C.v"),
        include_str!("../../models/ecp5/TRELLIS_FF.v"),
        include_str!("../../models/ecp5/LUT4.v"),
    ]
    .concat()
}
