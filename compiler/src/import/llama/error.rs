//! Why a language model or its tokenizer was refused.

use std::path::PathBuf;

use thiserror::Error;

use crate::llama::model::ShapeError;

/// Why a language model was refused: what, where and why in the message, what to do about it in [`LlamaError::help`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LlamaError {
    /// The file system said no.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// More than is ever loaded.
    #[error("{file} has more than {limit} bytes")]
    TooLarge {
        /// The file.
        file: String,
        /// Bytes.
        limit: u64,
    },
    /// The content is of no format that is read here.
    #[error("{file}: no language model in a known format: {why}")]
    UnknownFormat {
        /// The file.
        file: String,
        /// What was found.
        why: String,
    },
    /// More or fewer bytes than the header asks for.
    #[error("{file}: the header asks for {expected} bytes ({sizes}), the file has {actual}")]
    Length {
        /// The file.
        file: String,
        /// Bytes that the header asks for.
        expected: u128,
        /// Bytes that there are.
        actual: u64,
        /// The sizes in the header.
        sizes: String,
    },
    /// Sizes that make no model.
    #[error("{file}: {source}")]
    Shape {
        /// The file.
        file: String,
        /// Which sizes.
        source: ShapeError,
    },
    /// The content contradicts its format.
    #[error("{file}: the file is damaged: {why}")]
    Damaged {
        /// The file.
        file: String,
        /// Which rule is broken.
        why: String,
    },
    /// Something that the architecture allows and that is not supported.
    #[error("{file}: not supported: {feature}")]
    Unsupported {
        /// The file.
        file: String,
        /// What.
        feature: String,
        /// A way round.
        instead: &'static str,
    },
    /// A tensor that is missing, or of another shape or type than the configuration says.
    #[error("{file}: tensor `{tensor}`: {why}")]
    Tensor {
        /// The file.
        file: String,
        /// Its name in the file.
        tensor: String,
        /// What is wrong with it.
        why: String,
    },
    /// A weight that is no finite number.
    #[error("{file}: tensor `{tensor}`, element {index}: the weight is {value}")]
    NotFinite {
        /// The file.
        file: String,
        /// Its name.
        tensor: String,
        /// Position, row-major.
        index: usize,
        /// The weight.
        value: f32,
    },
    /// A tokenizer for another model.
    #[error("{file}: the tokenizer knows {tokenizer} tokens, the model {model}")]
    Vocabulary {
        /// The tokenizer's file.
        file: String,
        /// Its number of tokens.
        tokenizer: usize,
        /// The model's.
        model: usize,
    },
    /// There is no tokenizer, or more than one.
    #[error("{place}: {why}")]
    NoTokenizer {
        /// Where it was looked for.
        place: String,
        /// What was found.
        why: String,
    },
}

impl LlamaError {
    /// What to do about it, as one or two sentences.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Unreadable { .. } => "check the path and that the file may be read",
            Self::Shape { source: ShapeError::Range { value: ..=0, .. }, .. } => {
                "export the model again, or check that the file is a model of this format at all"
            }
            Self::TooLarge { .. } | Self::Shape { source: ShapeError::Range { .. }, .. } => {
                "give a smaller model: everything lives in on-chip memory, and no configuration holds this much"
            }
            Self::UnknownFormat { .. } => {
                "give a llama2.c checkpoint (legacy layout, .bin), or a directory with config.json, model.safetensors and \
                 tokenizer.json"
            }
            Self::Length { .. } => {
                "fetch the file again and compare its length with the original's; a checkpoint of another layout can be \
                 exported again with llama2.c's `export.py --version 0`"
            }
            Self::Shape { .. } => "export the model again, or check that the file is a model of this format at all",
            Self::Damaged { .. } => "fetch or export the file again, and compare its length and checksum",
            Self::Unsupported { instead, .. } => instead,
            Self::Tensor { .. } => {
                "give the checkpoint that belongs to this config.json, with tensors of F32, F16 or BF16 named as the \
                 transformers library names those of LlamaForCausalLM"
            }
            Self::NotFinite { .. } => {
                "the training has diverged or the file is damaged: give a checkpoint whose weights are all finite"
            }
            Self::Vocabulary { .. } => {
                "give the tokenizer that the model was trained with, with `--tokenizer FILE` if it does not stand beside \
                 the model"
            }
            Self::NoTokenizer { .. } => "name the tokenizer's file with `--tokenizer FILE`",
        }
        .to_owned()
    }
}
