//! The LPU described in Rust and printed as Verilog.
//!
//! [`layer`] is a small typed language for describing modules; [`primitives`] are the modules that have one body for
//! each FPGA family and a behavioural twin for simulation; [`lpu`] holds the modules of the machine, [`lpu::top`] all of them
//! together; [`picture`] draws a configuration; [`synthesis`] says how Yosys makes cells of the text.
//!
//! # Smallest useful example
//!
//! ```
//! use lpu_hdl::layer::{Design, DesignError, ModuleBuilder, Type};
//! use lpu_hdl::primitives;
//!
//! # fn main() -> Result<(), DesignError> {
//! let mut m = ModuleBuilder::new("square");
//! m.describe("The square of a signed number.");
//! m.latency("value to squared", 3);
//! let value = m.input("value", Type::signed(18));
//! let squared = m.output("squared", Type::signed(36));
//! let multiplier = primitives::multiplier(18, 18);
//! let inputs = vec![("a", (&value).into()), ("b", (&value).into())];
//! let instance = m.instance("multiplier_0", &multiplier, inputs)?;
//! m.drive(&squared, instance.output("p"));
//! let design = Design::new(m.finish()?)?;
//! let files: Vec<String> = design.files().into_iter().map(|(name, _)| name).collect();
//! assert_eq!(files, ["behavioural/multiplier_18x18.v", "ecp5/multiplier_18x18.v", "rtl/square.v"]);
//! # Ok(())
//! # }
//! ```

pub mod board;
pub mod layer;
pub mod lpu;
pub mod picture;
pub mod primitives;
pub mod synthesis;
