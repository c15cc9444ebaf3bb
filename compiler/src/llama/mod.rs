//! Language models of the Llama architecture.
//!
//! | module | holds |
//! | --- | --- |
//! | [`model`] | the model in floating point, and its sizes |
//! | [`float`](mod@float) | its answer in floating point |
//! | [`calibrate`] | what values its vectors take |
//! | [`correlation`] | how a product's inputs move together |
//! | [`weights`] | weights as small integers |
//! | [`quantise`](mod@quantise) | from floating point to integers: units, scales, shifts |
//! | [`graph`] | the model in integers |
//! | [`check`] | whether that can be executed |

pub mod calibrate;
pub mod check;
pub mod correlation;
pub mod float;
pub mod graph;
pub mod model;
pub mod quantise;
pub mod weights;
