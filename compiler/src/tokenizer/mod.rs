//! Text to tokens and back.
//!
//! | module | holds |
//! | --- | --- |
//! | [`llama2c`] | the tokenizer file of llama2.c |
//! | [`huggingface`] | `tokenizer.json`, through the crate `tokenizers` |
//! | [`utf8`] | bytes that arrive in pieces, as text |
//!
//! ```
//! use lpu_compiler::tokenizer::llama2c::{self, Piece};
//!
//! let pieces = ["<unk>", "<s>", "</s>", " ", "a", "b", " a"].map(|text| Piece { bytes: text.into(), score: 0.0 });
//! let tokenizer = llama2c::Llama2cTokenizer::new(pieces.to_vec());
//! assert_eq!(tokenizer.encode("ab")?, [1, 6, 5]);
//! assert_eq!(tokenizer.decode(&[1, 6, 5]), "ab");
//! # Ok::<(), lpu_compiler::tokenizer::EncodeError>(())
//! ```

pub mod huggingface;
pub mod llama2c;
pub mod utf8;

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::import::llama::{LlamaError, read};
use crate::llama::model::LlamaModel;
use huggingface::HuggingFaceTokenizer;
use llama2c::Llama2cTokenizer;
use utf8::Utf8Stream;

/// Why a text has no tokens.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// The vocabulary lacks both the character and its bytes.
    #[error("the tokenizer knows neither the character {character:?} nor its bytes")]
    Unknown {
        /// The character.
        character: char,
    },
    /// The tokenizer says no.
    #[error("the tokenizer refuses the text: {0}")]
    Refused(String),
}

/// A tokenizer of either format.
#[derive(Debug, Clone)]
pub enum Tokenizer {
    /// Of llama2.c.
    Llama2c(Llama2cTokenizer),
    /// Of the transformers library.
    HuggingFace(Box<HuggingFaceTokenizer>),
}

impl Tokenizer {
    /// Reads the tokenizer in the file at `path` for `model`: `tokenizer.json` where the content begins like JSON, llama2.c's
    /// format otherwise.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or is of another vocabulary than the model.
    pub fn read(path: &Path, model: &LlamaModel) -> Result<Self, LlamaError> {
        let (bytes, file) = (read(path)?, path.display().to_string());
        let vocabulary = model.shape.vocabulary;
        if path.extension().is_some_and(|ending| ending == "json") || bytes.trim_ascii_start().first() == Some(&b'{') {
            let tokenizer = HuggingFaceTokenizer::read(&bytes, &file, vocabulary, model.begin)?;
            return Ok(Self::HuggingFace(Box::new(tokenizer)));
        }
        Ok(Self::Llama2c(Llama2cTokenizer::read(&bytes, &file, vocabulary)?))
    }

    /// The tokenizer's file for the model at `path`: `tokenizer.json` in the directory, or the `tok*.bin` beside the
    /// checkpoint (of several, the one named after the size of the vocabulary: `tok512.bin`).
    ///
    /// # Errors
    /// There is none, or there are several that could be meant.
    pub fn beside(path: &Path, model: &LlamaModel) -> Result<PathBuf, LlamaError> {
        let parent = || match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let directory = if path.is_dir() { path } else { parent() };
        let json = directory.join("tokenizer.json");
        let own_json = path.is_dir() || path.extension().is_some_and(|ending| ending == "safetensors");
        if own_json && json.is_file() {
            return Ok(json);
        }
        let unreadable = |source| LlamaError::Unreadable { path: directory.to_owned(), source };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("tok") && name.ends_with(".bin") && path.is_file() {
                found.push(path);
            }
        }
        found.sort();
        let named = directory.join(format!("tok{}.bin", model.shape.vocabulary));
        let place = directory.display().to_string();
        match found.as_slice() {
            _ if found.contains(&named) => Ok(named),
            [only] => Ok(only.clone()),
            [] => {
                let why =
                    "there is no tokenizer beside the model (tok*.bin, or tokenizer.json in the model's directory)";
                Err(LlamaError::NoTokenizer { place, why: why.into() })
            }
            several => {
                let names: Vec<_> = several.iter().filter_map(|path| path.file_name()?.to_str()).collect();
                Err(LlamaError::NoTokenizer { place, why: format!("several tokenizers: {}", names.join(", ")) })
            }
        }
    }

    /// Tokens of `text`, the one that begins a sequence in front.
    ///
    /// # Errors
    /// A character that the vocabulary cannot express.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, EncodeError> {
        match self {
            Self::Llama2c(tokenizer) => tokenizer.encode(text),
            Self::HuggingFace(tokenizer) => tokenizer.encode(text),
        }
    }

    /// The text of `tokens`: what a [`TextStream`] gives for them, in one piece.
    #[must_use]
    pub fn decode(&self, tokens: &[u32]) -> String {
        let mut stream = self.stream();
        let mut text: String = tokens.iter().map(|&token| stream.next_token(token)).collect();
        text.push_str(&stream.finish());
        text
    }

    /// A text that arrives token by token.
    #[must_use]
    pub fn stream(&self) -> TextStream<'_> {
        TextStream { tokenizer: self, tokens: Vec::new(), given: 0, bytes: Utf8Stream::default() }
    }

    /// A number of tokens that `text` has at least, told without looking at it closely: what is much too long is refused
    /// before it is merged.
    #[must_use]
    pub fn least_tokens(&self, text: &str) -> usize {
        match self {
            Self::Llama2c(tokenizer) => text.len() / tokenizer.longest_piece(),
            // Normalisers may shorten a text: nothing is known.
            Self::HuggingFace(_) => 0,
        }
    }
}

/// A text that arrives token by token. What it gives never ends within a character.
#[derive(Debug)]
pub struct TextStream<'tokenizer> {
    tokenizer: &'tokenizer Tokenizer,
    tokens: Vec<u32>,
    /// Bytes of the whole text that have been given already; where only whole texts can be decoded.
    given: usize,
    /// Where tokens are bytes.
    bytes: Utf8Stream,
}

impl TextStream<'_> {
    /// What `token` adds to the text; nothing while a character is incomplete.
    pub fn next_token(&mut self, token: u32) -> String {
        let previous = self.tokens.last().copied();
        self.tokens.push(token);
        match self.tokenizer {
            Tokenizer::Llama2c(tokenizer) => self.bytes.push(&tokenizer.piece(previous, token)),
            Tokenizer::HuggingFace(tokenizer) => {
                let whole = tokenizer.decode(&self.tokens);
                // An incomplete character is decoded as this one; the next token may complete it.
                if whole.ends_with(char::REPLACEMENT_CHARACTER) { String::new() } else { self.rest_of(&whole) }
            }
        }
    }

    /// What was held back: the beginning of a character that has not been completed.
    pub fn finish(mut self) -> String {
        match self.tokenizer {
            Tokenizer::Llama2c(_) => self.bytes.finish(),
            Tokenizer::HuggingFace(tokenizer) => {
                let whole = tokenizer.decode(&self.tokens);
                self.rest_of(&whole)
            }
        }
    }

    fn rest_of(&mut self, whole: &str) -> String {
        let rest = whole.get(self.given..).unwrap_or_default().to_owned();
        self.given = self.given.max(whole.len());
        rest
    }
}
