//! Language models of the Llama architecture.
//!
//! | module | holds |
//! | --- | --- |
//! | [`model`] | the model in floating point, and its sizes |
//! | [`float`](mod@float) | its answer in floating point |

pub mod float;
pub mod model;
pub mod calibrate;
pub mod graph;
pub mod quantise;
