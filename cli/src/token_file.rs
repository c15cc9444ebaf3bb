//! Sequences of tokens from NumPy's `.npy`.

use crate::failure::Failure;
use crate::npy::{element_name, read_header};
use npyz::{DType, Order};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Reads sequences for a model of `vocabulary` tokens and at most `context` positions: an array of integers of any width, one
/// sequence a row; an array of one axis is a single sequence.
///
/// # Errors
/// No such array, truncated, a sequence of fewer than two tokens or of more than the context, a token beyond the vocabulary.
pub fn read(path: &Path, vocabulary: usize, context: usize) -> Result<Vec<Vec<u32>>, Failure> {
    let failed =
        |why: String, help: &str| Failure::new("the tokens cannot be used", path.display(), why, help.to_owned());
    let file = File::open(path)
        .map_err(|error| failed(error.to_string(), "check the path, and that it names a readable .npy file"))?;
    let (elements, shape, order) = read_integers(&mut BufReader::new(file))
        .map_err(|why| failed(why, "save an array of integers, one sequence a row, with numpy.save"))?;
    let (sequences, length) = match shape.as_slice() {
        [length] => (1, *length),
        [sequences, length] => (*sequences, *length),
        _ => {
            let why = format!("the array has the shape {shape:?}");
            return Err(failed(why, "give an array of shape [sequences, tokens]"));
        }
    };
    if sequences == 0 || length < 2 || length > context {
        let why = format!(
            "the array holds {sequences} sequences of {length} tokens; there must be one at least, of 2 to {context} tokens: \
             the model's context is {context}"
        );
        return Err(failed(why, "cut the sequences to the model's context"));
    }
    let at = |sequence: usize, position: usize| match order {
        Order::C => elements[sequence * length + position],
        Order::Fortran => elements[position * sequences + sequence],
    };
    let mut rows = Vec::with_capacity(sequences);
    for sequence in 0..sequences {
        let mut row = Vec::with_capacity(length);
        for position in 0..length {
            match u32::try_from(at(sequence, position)) {
                Ok(token) if (token as usize) < vocabulary => row.push(token),
                _ => {
                    let why = format!(
                        "sequence {sequence}, token {position} is {}, but the model's vocabulary has {vocabulary} tokens",
                        at(sequence, position)
                    );
                    return Err(failed(why, "encode the text with this model's tokenizer"));
                }
            }
        }
        rows.push(row);
    }
    Ok(rows)
}

/// Elements in the order of the file, shape, order.
fn read_integers(reader: &mut impl Read) -> Result<(Vec<i64>, Vec<usize>, Order), String> {
    let header = read_header(reader)?;
    let DType::Plain(kind) = header.dtype() else { return Err("the elements are records, not integers".into()) };
    let kind = kind.to_string();
    let width = match kind.trim_start_matches(['<', '>', '|', '=']) {
        "i1" | "u1" => 1,
        "i2" | "u2" => 2,
        "i4" | "u4" => 4,
        "i8" | "u8" => 8,
        _ => return Err(format!("the elements are {}, not integers", element_name(&header.dtype()))),
    };
    let count = header.len();
    let expected = count.checked_mul(width as u64).ok_or("the array is too large")?;
    let mut bytes = Vec::new();
    let result = reader.take(expected.saturating_add(1)).read_to_end(&mut bytes);
    result.map_err(|error| error.to_string())?;
    if bytes.len() as u64 != expected {
        let found = if bytes.len() as u64 > expected { "more".into() } else { bytes.len().to_string() };
        return Err(format!("the header promises {expected} bytes of elements, the file holds {found}"));
    }
    let (big, signed) = (kind.starts_with('>'), kind.contains('i'));
    let element = |bytes: &[u8]| {
        let ordered = |index: usize| u64::from(bytes[if big { width - 1 - index } else { index }]);
        let value = (0..width).fold(0_u64, |value, index| value | ordered(index) << (8 * index));
        let unused = 64 - 8 * width as u32;
        // An unsigned number beyond i64 becomes negative, and no token is.
        if signed { ((value << unused) as i64) >> unused } else { value as i64 }
    };
    let shape = header.shape().iter().map(|&axis| axis as usize).collect();
    Ok((bytes.chunks_exact(width).map(element).collect(), shape, header.order()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::npy::tests::npy;

    fn read_bytes(bytes: &[u8]) -> Result<Vec<Vec<u32>>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("t.npy");
        std::fs::write(&path, bytes).unwrap();
        read(&path, 512, 3).map_err(|failure| failure.plain())
    }

    #[test]
    fn integers_of_any_width_are_tokens() {
        let expected = vec![vec![1, 2], vec![3, 258]];
        assert_eq!(read_bytes(&npy("<i2", false, "(2, 2)", &[1, 0, 2, 0, 3, 0, 2, 1])).unwrap(), expected);
        assert_eq!(read_bytes(&npy(">u2", true, "(2, 2)", &[0, 1, 0, 3, 0, 2, 1, 2])).unwrap(), expected);
        let wide: Vec<u8> = [1_i64, 2, 3, 258].into_iter().flat_map(i64::to_le_bytes).collect();
        assert_eq!(read_bytes(&npy("<i8", false, "(2, 2)", &wide)).unwrap(), expected);
        assert_eq!(read_bytes(&npy("|u1", false, "(3,)", &[7, 8, 255])).unwrap(), [[7, 8, 255]]);
    }

    #[test]
    fn what_is_no_sequence_of_tokens_is_refused() {
        let cases: [(Vec<u8>, &str); 7] = [
            (npy("<f4", false, "(1, 2)", &[0; 8]), "the elements are float32, not integers"),
            (npy("|i1", false, "(1, 2)", &[1, 255]), "sequence 0, token 1 is -1, but"),
            (
                npy("<i2", false, "(1, 2)", &[1, 0, 0, 2]),
                "sequence 0, token 1 is 512, but the model's vocabulary has 512",
            ),
            (
                npy("|u1", false, "(1, 4)", &[0; 4]),
                "1 sequences of 4 tokens; there must be one at least, of 2 to 3 tokens",
            ),
            (npy("|u1", false, "(1, 1)", &[0; 1]), "1 sequences of 1 tokens"),
            (npy("|u1", false, "(1, 2, 1)", &[0; 2]), "the array has the shape [1, 2, 1]"),
            (npy("<i4", false, "(1, 2)", &[0; 7]), "the header promises 8 bytes of elements, the file holds 7"),
        ];
        for (bytes, message) in cases {
            let text = read_bytes(&bytes).unwrap_err();
            assert!(text.contains(message), "{text}");
        }
    }
}
