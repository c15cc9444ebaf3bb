//! Why a network was refused.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// Where in a network something was found. Reads as `ad01, operator 3 (FULLY_CONNECTED), layer `dense_3`, tensor `w``.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The network's name.
    pub network: String,
    /// The operator: its position in the order of execution, from 0, and its kind.
    pub operator: Option<(usize, String)>,
    /// The layer's name: the name of the tensor that the operator writes.
    pub layer: Option<String>,
    /// The tensor's name.
    pub tensor: Option<String>,
}

/// Why a network was refused: what, where and why in the message, what to do about it in [`ImportError::help`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file system said no.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The content is of no format that is read here.
    #[error("{place}: not a network in a known format: {found}")]
    UnknownFormat {
        /// The file.
        place: Box<Place>,
        /// How the content begins.
        found: String,
    },
    /// The content contradicts its format: truncated, or bytes changed.
    #[error("{place}: the file is damaged: {why}")]
    Damaged {
        /// Where.
        place: Box<Place>,
        /// Which rule of the format is broken.
        why: String,
    },
    /// An operator that cannot be lowered.
    #[error("{place}: operator {operator} is not supported; supported are {}", supported.join(", "))]
    UnsupportedOperator {
        /// Where: operator and layer.
        place: Box<Place>,
        /// The operator's name.
        operator: String,
        /// The operators that are read in the network's format.
        supported: &'static [&'static str],
    },
    /// A tensor of a type that cannot be lowered.
    #[error("{place}: {role} of type {found}, but only {wanted} is supported")]
    UnsupportedType {
        /// Where.
        place: Box<Place>,
        /// What the tensor is for.
        role: &'static str,
        /// Its type.
        found: String,
        /// The type it must have.
        wanted: &'static str,
    },
    /// Something that the format allows and that is not supported.
    #[error("{place}: not supported: {feature}")]
    Unsupported {
        /// Where.
        place: Box<Place>,
        /// What.
        feature: String,
        /// A way round.
        instead: &'static str,
    },
    /// Sizes that contradict each other.
    #[error("{place}: {why}")]
    Shape {
        /// Where.
        place: Box<Place>,
        /// Which sizes.
        why: String,
    },
    /// Scales or zero points that are missing or mean nothing.
    #[error("{place}: {why}")]
    Quantisation {
        /// Where.
        place: Box<Place>,
        /// What is wrong with them.
        why: String,
    },
    /// More of something than any machine holds.
    #[error("{place}: {what} would take {size} bytes, but the limit is {limit}")]
    TooLarge {
        /// Where.
        place: Box<Place>,
        /// Of what.
        what: String,
        /// Bytes.
        size: u64,
        /// Bytes.
        limit: u64,
    },
}

impl Place {
    /// The network as a whole.
    #[must_use]
    pub fn of(network: &str) -> Box<Self> {
        Box::new(Self { network: network.to_owned(), operator: None, layer: None, tensor: None })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.network)?;
        if let Some((index, kind)) = &self.operator {
            write!(formatter, ", operator {index} ({kind})")?;
        }
        if let Some(layer) = &self.layer {
            write!(formatter, ", layer `{layer}`")?;
        }
        if let Some(tensor) = &self.tensor {
            write!(formatter, ", tensor `{tensor}`")?;
        }
        Ok(())
    }
}

impl ImportError {
    pub(super) fn unknown_format(bytes: &[u8], name: &str) -> Self {
        let found = match bytes {
            [] => "the file is empty".to_owned(),
            _ => format!("{} bytes that begin with \"{}\"", bytes.len(), bytes[..bytes.len().min(8)].escape_ascii()),
        };
        Self::UnknownFormat { place: Place::of(name), found }
    }

    /// What to do about it, as one or two sentences.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Unreadable { .. } => "check the path and that the file may be read".into(),
            Self::UnknownFormat { .. } => {
                "give a TensorFlow Lite model (a FlatBuffer whose bytes 4 to 7 are \"TFL3\") or an ONNX model (the protocol \
                 buffer of a ModelProto)"
                    .into()
            }
            Self::Damaged { .. } => {
                "fetch or convert the file again, and compare its length and checksum with the original's".into()
            }
            Self::UnsupportedOperator { supported, .. } => format!(
                "express that layer with {}, or leave it out of the network and compute it on the host",
                supported.join(", ")
            ),
            Self::UnsupportedType { found, .. } if found.starts_with("FLOAT") => format!(
                "quantise to int8 when converting: tf.lite.TFLiteConverter with optimizations = [tf.lite.Optimize.DEFAULT], \
                 a representative_dataset, target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8] and \
                 inference_input_type = inference_output_type = tf.int8 leaves no {found}"
            ),
            Self::UnsupportedType { wanted, .. } => {
                format!("convert the network with full int8 quantisation, so that this tensor becomes {wanted}")
            }
            Self::Unsupported { instead, .. } => (*instead).into(),
            Self::Shape { .. } => "convert the network again with fixed shapes and a batch of one".into(),
            Self::Quantisation { .. } => {
                "convert the network again with full int8 quantisation and a representative data set: every activation then \
                 gets a positive scale and a zero point within int8, and weights a zero point of 0"
                    .into()
            }
            Self::TooLarge { .. } => {
                "give a smaller network: everything lives in on-chip memory, and no configuration holds this much".into()
            }
        }
    }
}
