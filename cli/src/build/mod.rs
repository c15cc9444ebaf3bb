//! From a board and a configuration to a bitstream.
//!
//! ```text
//! Verilog ─ Yosys ─ netlist ─ floorplan ─ netlist with sites ─ nextpnr, once a seed ─ the fastest ─ packer ─ bitstream
//! ```
//!
//! | module | does |
//! | --- | --- |
//! | [`target`] | a board with its pin file |
//! | [`job`] | the stages |
//! | [`recipe`] | what each family's tools are told |
//! | [`tools`] | finds the tools, installs them at first use, checks their versions |
//! | [`process`] | runs a tool, keeps its log |
//! | [`folder`] | the output directory |
//! | [`pins`] | checks pin files |
//! | [`netlist`] | reads a netlist, sets attributes |
//! | [`floorplan`] | where the multipliers and weight RAMs stand |
//! | [`report`] | reads nextpnr's report |
//! | [`names`] | netlist names in the generator's words |
//! | [`summary`] | `build.json` |
//! | [`estimate`], [`costs`] | what a machine will take, before any tool runs |
//! | [`fit`] | whether it fits, and the nearest machine that does |
//! | [`calibrate`] | measures what [`costs`] says |

pub mod calibrate;
mod coefficients;
pub mod costs;
pub mod estimate;
pub mod fit;
pub mod floorplan;
pub mod folder;
pub mod job;
pub mod names;
pub mod netlist;
pub mod pins;
pub mod process;
pub mod recipe;
pub mod report;
pub mod summary;
pub mod target;
pub mod tools;
