//! ONNX models with quantising and dequantising nodes: the same graphs as from TensorFlow Lite, and how far their integers are from
//! ONNX's floating point.

#![allow(clippy::unwrap_used)]

mod difference;
mod hostile;
mod refusals;
mod same_graph;
