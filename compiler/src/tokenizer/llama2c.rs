//! The tokenizer of llama2.c: byte-pair merges by score, bytes for what the vocabulary lacks.
//!
//! The file is a little-endian int32 (the longest piece's bytes), then for each token a float32 score, an int32 length and as
//! many bytes. Tokens 0, 1 and 2 are unknown, begin and end; token 3 + *b* stands for byte *b* (its piece reads `<0x0A>`).

use std::collections::HashMap;

use super::EncodeError;
use crate::import::llama::LlamaError;

/// The token that begins a sequence.
const BEGIN: u32 = 1;
/// The token that ends one.
const END: u32 = 2;
/// The token of byte 0.
const FIRST_BYTE: u32 = 3;

/// A token's text and how early it is merged.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Its bytes; mostly UTF-8.
    pub bytes: Vec<u8>,
    /// Of two pairs, the one whose merger has the higher score is merged first.
    pub score: f32,
}

/// A vocabulary, ready for use.
#[derive(Debug, Clone, PartialEq)]
pub struct Llama2cTokenizer {
    pieces: Vec<Piece>,
    /// The first token of each text.
    tokens: HashMap<Vec<u8>, u32>,
}

impl Llama2cTokenizer {
    /// The tokenizer of these pieces, in the order of their tokens.
    #[must_use]
    pub fn new(pieces: Vec<Piece>) -> Self {
        let mut tokens = HashMap::new();
        for (token, piece) in (0..).zip(&pieces) {
            tokens.entry(piece.bytes.clone()).or_insert(token);
        }
        Self { pieces, tokens }
    }

    /// Reads the file's content; `file` is what messages call it, `vocabulary` the number of tokens of its model.
    ///
    /// # Errors
    /// The content ends within a token, a length is negative, a score is no number, or there are more or fewer tokens than the
    /// model's.
    pub fn read(bytes: &[u8], file: &str, vocabulary: usize) -> Result<Self, LlamaError> {
        let damaged = |why: String| LlamaError::Damaged { file: file.into(), why };
        let mut rest = bytes;
        let mut take = |count: usize, what: &str, token: usize| -> Result<&[u8], LlamaError> {
            let at = bytes.len() - rest.len();
            let Some((taken, behind)) = rest.split_at_checked(count) else {
                let left = rest.len();
                return Err(damaged(format!(
                    "{what} of token {token} takes {count} bytes at byte {at}, but only {left} are left of {}",
                    bytes.len()
                )));
            };
            rest = behind;
            Ok(taken)
        };
        take(4, "the longest length, in front", 0)?;
        let mut pieces = Vec::new();
        let mut used = 4;
        while used < bytes.len() {
            let token = pieces.len();
            let word = |bytes: &[u8]| [bytes[0], bytes[1], bytes[2], bytes[3]];
            let score = f32::from_le_bytes(word(take(4, "the score", token)?));
            let length = i32::from_le_bytes(word(take(4, "the length", token)?));
            if score.is_nan() {
                return Err(damaged(format!("the score of token {token} is no number")));
            }
            let Ok(length) = usize::try_from(length) else {
                return Err(damaged(format!("the length of token {token} is {length}")));
            };
            pieces.push(Piece { bytes: take(length, "the text", token)?.to_vec(), score });
            used += 8 + length;
        }
        if pieces.len() != vocabulary {
            return Err(LlamaError::Vocabulary { file: file.into(), tokenizer: pieces.len(), model: vocabulary });
        }
        Ok(Self::new(pieces))
    }

    /// Bytes of the longest piece; 1 at least.
    pub(super) fn longest_piece(&self) -> usize {
        self.pieces.iter().map(|piece| piece.bytes.len()).max().unwrap_or(1).max(1)
    }

    /// Tokens of `text`: the begin token, then (if there is text) a space in front of it, character by character, merged pair by
    /// pair: always the pair whose merger has the highest score, the first of equals.
    ///
    /// # Errors
    /// A character that is no token and whose bytes are none either.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, EncodeError> {
        let mut tokens = vec![BEGIN];
        let front = if text.is_empty() { "" } else { " " };
        for character in front.chars().chain(text.chars()) {
            let mut buffer = [0; 4];
            let bytes = character.encode_utf8(&mut buffer).as_bytes();
            if let Some(&token) = self.tokens.get(bytes) {
                tokens.push(token);
                continue;
            }
            for &byte in bytes {
                let token = FIRST_BYTE + u32::from(byte);
                if self.byte_of(token) != Some(byte) {
                    return Err(EncodeError::Unknown { character });
                }
                tokens.push(token);
            }
        }
        let merger = |pair: &[u32]| -> Option<(u32, f32)> {
            let text = [self.bytes(pair[0]), self.bytes(pair[1])].concat();
            let token = *self.tokens.get(&text)?;
            Some((token, self.pieces.get(token as usize)?.score))
        };
        loop {
            let mut best: Option<(usize, u32, f32)> = None;
            for (place, pair) in tokens.windows(2).enumerate() {
                if let Some((token, score)) = merger(pair)
                    && best.is_none_or(|(_, _, highest)| score > highest)
                {
                    best = Some((place, token, score));
                }
            }
            let Some((place, token, _)) = best else { return Ok(tokens) };
            tokens[place] = token;
            tokens.remove(place + 1);
        }
    }

    /// The bytes that `token` adds to a text in which it follows `previous`: nothing for begin and end, no leading space after
    /// begin, the byte itself for `<0x0A>`; nothing for a token beyond the vocabulary.
    #[must_use]
    pub fn piece(&self, previous: Option<u32>, token: u32) -> Vec<u8> {
        if token == BEGIN || token == END {
            return Vec::new();
        }
        if let Some(byte) = self.byte_of(token) {
            return vec![byte];
        }
        let bytes = self.bytes(token);
        let bytes = if previous == Some(BEGIN) { bytes.strip_prefix(b" ").unwrap_or(bytes) } else { bytes };
        bytes.to_vec()
    }

    /// The text of `tokens`.
    #[must_use]
    pub fn decode(&self, tokens: &[u32]) -> String {
        let previous = std::iter::once(None).chain(tokens.iter().copied().map(Some));
        let bytes: Vec<u8> = previous.zip(tokens).flat_map(|(previous, &token)| self.piece(previous, token)).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn bytes(&self, token: u32) -> &[u8] {
        self.pieces.get(token as usize).map_or(&[], |piece| &piece.bytes)
    }

    /// The byte that `token` stands for, if its piece reads `<0x0A>`.
    fn byte_of(&self, token: u32) -> Option<u8> {
        let digits = self.bytes(token).strip_prefix(b"<0x")?.strip_suffix(b">")?;
        if digits.len() != 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    /// The three special tokens, all bytes, then these.
    fn tokenizer(more: &[(&str, f32)]) -> Llama2cTokenizer {
        let special = ["<unk>", "\n<s>\n", "\n</s>\n"].map(String::from);
        let bytes = (0..=255_u8).map(|byte| format!("<0x{byte:02X}>"));
        let fixed = special.into_iter().chain(bytes).map(|text| (text, 0.0));
        let more = more.iter().map(|&(text, score)| (text.to_owned(), score));
        Llama2cTokenizer::new(fixed.chain(more).map(|(text, score)| Piece { bytes: text.into(), score }).collect())
    }

    fn file(tokenizer: &Llama2cTokenizer) -> Vec<u8> {
        let mut bytes = 9_i32.to_le_bytes().to_vec();
        for piece in &tokenizer.pieces {
            bytes.extend(piece.score.to_le_bytes());
            bytes.extend((piece.bytes.len() as i32).to_le_bytes());
            bytes.extend(&piece.bytes);
        }
        bytes
    }

    const SMALL: [(&str, f32); 8] =
        [(" ", -9.0), ("a", -9.0), ("b", -9.0), ("ab", -1.0), ("ba", -2.0), (" a", -3.0), ("aba", -4.0), ("ü", -9.0)];

    #[test]
    fn the_merger_with_the_highest_score_comes_first_and_the_first_of_equals() {
        let tokenizer = tokenizer(&SMALL);
        // " aba": "ab" before "ba" and " a"; then "aba".
        assert_eq!(tokenizer.encode("aba").unwrap(), [1, 259, 265]);
        // " a" remains only where no "b" follows.
        assert_eq!(tokenizer.encode("a").unwrap(), [1, 264]);
        assert_eq!(tokenizer.encode("").unwrap(), [1]);
        assert_eq!(tokenizer.encode("ü").unwrap(), [1, 259, 266]);
    }

    #[test]
    fn what_is_no_token_is_its_bytes() {
        let tokenizer = tokenizer(&SMALL);
        let tokens = tokenizer.encode("é\n").unwrap();
        assert_eq!(tokens, [1, 259, 3 + 0xc3, 3 + 0xa9, 3 + 10]);
        assert_eq!(tokenizer.decode(&tokens), "é\n");
        let pieces = tokenizer.pieces.iter().filter(|piece| !piece.bytes.starts_with(b"<0x")).cloned().collect();
        let error = Llama2cTokenizer::new(pieces).encode("é").unwrap_err();
        assert_eq!(error.to_string(), "the tokenizer knows neither the character 'é' nor its bytes");
    }

    #[test]
    fn damage_is_refused_with_its_place() {
        let bytes = file(&tokenizer(&SMALL));
        let message =
            |bytes: &[u8], vocabulary| Llama2cTokenizer::read(bytes, "tok.bin", vocabulary).unwrap_err().to_string();
        assert_eq!(message(&bytes, 512), "tok.bin: the tokenizer knows 267 tokens, the model 512");
        assert_eq!(
            message(&bytes[..bytes.len() - 1], 267),
            format!(
                "tok.bin: the file is damaged: the text of token 266 takes 2 bytes at byte {}, but only 1 are left of {}",
                bytes.len() - 2,
                bytes.len() - 1
            )
        );
        let mut negative = bytes.clone();
        negative[8..12].copy_from_slice(&(-5_i32).to_le_bytes());
        assert_eq!(message(&negative, 267), "tok.bin: the file is damaged: the length of token 0 is -5");
        assert!(message(b"", 1).contains("only 0 are left of 0"));
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "\\PC{0,12}") {
            let tokenizer = tokenizer(&SMALL);
            prop_assert_eq!(tokenizer.decode(&tokenizer.encode(&text).unwrap()), text);
        }

        #[test]
        fn a_damaged_file_never_panics(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
            let mut bytes = file(&tokenizer(&SMALL));
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(cut.index(bytes.len() + 1));
            let _ = Llama2cTokenizer::read(&bytes, "tok.bin", 267);
        }

        #[test]
        fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400), tokens: Vec<u32>) {
            if let Ok(tokenizer) = Llama2cTokenizer::read(&bytes, "tok.bin", 3) {
                let _ = tokenizer.encode("text");
            }
            let _ = tokenizer(&SMALL).decode(&tokens);
        }
    }
}
