//! Bytes that arrive in pieces, as text.

/// Joins pieces of UTF-8 into text. A character whose bytes have not all arrived waits; what can become none is given as U+FFFD,
/// in the same places as [`String::from_utf8_lossy`] gives it for the whole.
#[derive(Debug, Default)]
pub struct Utf8Stream {
    waiting: Vec<u8>,
}

impl Utf8Stream {
    /// The characters that `bytes` complete.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.waiting.extend_from_slice(bytes);
        let mut text = String::new();
        loop {
            match std::str::from_utf8(&self.waiting) {
                Ok(whole) => {
                    text.push_str(whole);
                    self.waiting.clear();
                    return text;
                }
                Err(error) => {
                    let valid = error.valid_up_to();
                    text.push_str(&String::from_utf8_lossy(&self.waiting[..valid]));
                    // Without a length the error is the end of what has arrived, not its content.
                    let Some(wrong) = error.error_len() else {
                        self.waiting.drain(..valid);
                        return text;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    self.waiting.drain(..valid + wrong);
                }
            }
        }
    }

    /// What is left at the end: U+FFFD where a character was begun.
    pub fn finish(&mut self) -> String {
        let rest = String::from_utf8_lossy(&self.waiting).into_owned();
        self.waiting.clear();
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_character_waits_for_its_last_byte() {
        let mut stream = Utf8Stream::default();
        let given: Vec<String> = "aü€".bytes().map(|byte| stream.push(&[byte])).collect();
        assert_eq!(given, ["a", "", "ü", "", "", "€"]);
        assert_eq!(stream.finish(), "");
        assert_eq!(stream.push(b"\xe2\x82"), "");
        assert_eq!(stream.finish(), "\u{fffd}");
    }

    proptest! {
        #[test]
        fn pieces_give_the_text_of_the_whole(
            pieces in prop::collection::vec(prop::collection::vec(prop_oneof![any::<u8>(), 0x80_u8..0xf5], 0..4), 0..12)
        ) {
            let mut stream = Utf8Stream::default();
            let mut text: String = pieces.iter().map(|piece| stream.push(piece)).collect();
            text.push_str(&stream.finish());
            let whole = pieces.concat();
            prop_assert_eq!(text, String::from_utf8_lossy(&whole));
        }
    }
}
