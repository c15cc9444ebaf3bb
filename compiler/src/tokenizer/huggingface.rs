//! `tokenizer.json` of the transformers library, through the crate `tokenizers`.
//!
//! That crate takes its files for sound: some damage makes it panic. Here the content must be JSON before the crate sees it, and
//! should it panic all the same, that is a refusal.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokenizers::Tokenizer;

use super::EncodeError;
use crate::import::llama::LlamaError;

/// A tokenizer of any kind that the crate knows.
#[derive(Debug, Clone)]
pub struct HuggingFaceTokenizer {
    tokenizer: Tokenizer,
    begin: u32,
}

impl HuggingFaceTokenizer {
    /// Reads the content of `tokenizer.json`; `file` is what messages call it, `vocabulary` the number of tokens of its model,
    /// `begin` the token that begins a sequence.
    ///
    /// A model may have more tokens than its tokenizer: vocabularies are rounded up. Not fewer.
    ///
    /// # Errors
    /// The content is no tokenizer that is known, or has a token beyond the model's vocabulary.
    pub fn read(bytes: &[u8], file: &str, vocabulary: usize, begin: u32) -> Result<Self, LlamaError> {
        let damaged = |why: String| LlamaError::Damaged { file: file.into(), why };
        serde_json::from_slice::<serde_json::Value>(bytes).map_err(|error| damaged(error.to_string()))?;
        let read = guarded(|| Tokenizer::from_bytes(bytes)).ok_or_else(|| damaged(GAVE_UP.into()))?;
        let mut tokenizer = read.map_err(|error| damaged(error.to_string()))?;
        let highest = tokenizer.get_vocab(true).into_values().max();
        let tokens = highest.map_or(0, |highest| highest as usize + 1);
        if tokens == 0 || tokens > vocabulary {
            return Err(LlamaError::Vocabulary { file: file.into(), tokenizer: tokens, model: vocabulary });
        }
        // Settings of the training script: a prompt is neither cut nor filled up.
        let _ = tokenizer.with_truncation(None);
        tokenizer.with_padding(None);
        Ok(Self { tokenizer, begin })
    }

    /// Tokens of `text`, the one that begins a sequence in front, whether or not the file's post-processor puts it there.
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, EncodeError> {
        let encoding = guarded(|| self.tokenizer.encode(text, false))
            .ok_or_else(|| EncodeError::Refused(GAVE_UP.into()))?
            .map_err(|error| EncodeError::Refused(error.to_string()))?;
        Ok(std::iter::once(self.begin).chain(encoding.get_ids().iter().copied()).collect())
    }

    /// The text of `tokens` without special ones; those beyond the vocabulary add nothing.
    #[must_use]
    pub fn decode(&self, tokens: &[u32]) -> String {
        guarded(|| self.tokenizer.decode(tokens, true).ok()).flatten().unwrap_or_default()
    }
}

const GAVE_UP: &str = "the reader of this format gave up";

/// What `work` gives; `None` where it panics. Nothing that it changes is looked at afterwards.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Byte-pair merges with a space in front and byte fallback, as Llama's tokenizers are.
    fn json() -> String {
        let mut vocabulary = vec!["<unk>".to_owned(), "<s>".into(), "</s>".into()];
        vocabulary.extend((0..=255_u8).map(|byte| format!("<0x{byte:02X}>")));
        vocabulary.extend(["▁", "a", "b", "ab", "▁ab"].map(String::from));
        let ids: serde_json::Map<String, serde_json::Value> =
            vocabulary.into_iter().enumerate().map(|(id, text)| (text, id.into())).collect();
        let special = |id: u32, content: &str| {
            serde_json::json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                               "normalized": false, "special": true})
        };
        serde_json::json!({
            "version": "1.0",
            "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
            "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
                      "vocab": ids, "merges": [["a", "b"], ["▁", "ab"]]}
        })
        .to_string()
    }

    fn tokenizer() -> HuggingFaceTokenizer {
        HuggingFaceTokenizer::read(json().as_bytes(), "tokenizer.json", 300, 1).unwrap()
    }

    #[test]
    fn text_becomes_tokens_and_text_again() {
        let tokens = tokenizer().encode("ab é").unwrap();
        assert_eq!(tokens, [1, 263, 259, 3 + 0xc3, 3 + 0xa9]);
        assert_eq!(tokenizer().decode(&tokens), "ab é");
    }

    #[test]
    fn a_character_in_two_tokens_is_given_when_it_is_whole() {
        let tokenizer = super::super::Tokenizer::HuggingFace(Box::new(tokenizer()));
        let mut stream = tokenizer.stream();
        let given: Vec<String> = [1, 263, 3 + 0xc3, 3 + 0xa9, 261].map(|token| stream.next_token(token)).to_vec();
        assert_eq!(given, ["", "ab", "", "é", "b"]);
        assert_eq!(stream.finish(), "");
        assert_eq!(tokenizer.decode(&[1, 263, 3 + 0xc3]), "ab\u{fffd}");
    }

    #[test]
    fn what_is_no_tokenizer_or_another_models_is_refused() {
        let error = HuggingFaceTokenizer::read(b"{\"a\": 1}", "tokenizer.json", 300, 1).unwrap_err();
        assert!(error.to_string().starts_with("tokenizer.json: the file is damaged: "), "{error}");
        let error = HuggingFaceTokenizer::read(json().as_bytes(), "tokenizer.json", 263, 1).unwrap_err();
        assert_eq!(error.to_string(), "tokenizer.json: the tokenizer knows 264 tokens, the model 263");
    }
}
