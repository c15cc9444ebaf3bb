//! A thin typed layer for describing hardware, on rust-hdl's traits and AST.
//!
//! A module is described with a [`ModuleBuilder`]: ports, named wires, registers and instances. [`Expr`] and [`Signal`]
//! know their width and sign; nothing is converted implicitly. `finish` checks the description and yields a
//! [`Module`]; [`Design`] folds a hierarchy to one emitted module for each distinct shape and writes the files.
//!
//! ```
//! use lpu_hdl::layer::{Design, DesignError, ModuleBuilder, Type};
//!
//! # fn main() -> Result<(), DesignError> {
//! let mut m = ModuleBuilder::new("accumulator");
//! m.describe("Adds a signed number to a running sum at every enabled clock edge.");
//! m.latency("value to sum", 1);
//! let enable = m.input("enable", Type::bits(1));
//! let value = m.input("value", Type::signed(8));
//! let sum = m.output("sum", Type::signed(20));
//! let total = m.register_with_reset("total", Type::signed(20), 0);
//! m.next_when(&total, &enable, total.add(value.extend(20)));
//! m.drive(&sum, &total);
//! let design = Design::new(m.finish()?)?;
//! assert!(design.single_text().contains("module accumulator ("));
//! # Ok(())
//! # }
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | `types` | [`Type`]: width and sign |
//! | `signal` | [`Net`] and [`Signal`], rust-hdl's `Atom` with run-time widths |
//! | `expression`, `operators` | [`Expr`] and what can be computed with it |
//! | `builder`, `instance` | [`ModuleBuilder`], [`Instance`] |
//! | `finish`, `check` | from a description to a checked module: drivers, use of every bit, loops |
//! | `lower` | typed expressions to rust-hdl's AST, immune to Verilog's context rules |
//! | `form`, `print` | that AST with the few forms it lacks, and its text |
//! | `module` | [`Module`], rust-hdl's `Block` and `Logic` |
//! | `family` | [`FamilyTexts`]: a primitive's texts for single FPGA families |
//! | `design` | [`Design`]: names, files, hierarchy |
//! | `error` | [`DesignError`], [`ExpressionError`] |

mod builder;
mod check;
mod design;
mod error;
mod expression;
mod family;
mod finish;
mod form;
mod instance;
mod lower;
mod module;
mod names;
mod operators;
mod print;
mod signal;
mod types;

pub use builder::ModuleBuilder;
pub use design::{Design, EmittedModule, EmittedPort, ModuleText};
pub use error::{DesignError, ExpressionError};
pub use expression::{Expr, concat, literal, select};
pub use family::FamilyTexts;
pub use instance::Instance;
pub use module::Module;
pub use signal::{Net, NetKind, Signal};
pub use types::Type;

pub(crate) use module::Body;
pub(crate) use print::header;
pub(crate) use signal::fresh_id;
