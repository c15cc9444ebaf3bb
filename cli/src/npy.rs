//! NumPy's `.npy`: inputs in, outputs out, one example a row.

use crate::destination::Destination;
use crate::failure::Failure;
use lpu_compiler::graph::Element;
use npyz::{DType, NpyHeader, Order, WriterBuilder};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

const UNUSABLE: &str = "the inputs cannot be used";

/// Longest header that is read, in bytes; that of an int8 array has about 118.
const LONGEST_HEADER: usize = 4096;

/// Reads examples for a network whose input has the shape `shape` and looks like `element` from outside. What comes back is
/// int8, as the graph has it.
///
/// The first axis counts the examples; what follows may have any shape with as many elements as the network's input. An
/// array of the network's own shape, with or without its leading axis of length one, is a single example. Arrays in Fortran
/// order are put into row-major order. Images that stand channel by channel (examples, channels, rows, columns: what ONNX's
/// networks take) are turned round, if their shape tells them from others.
///
/// # Errors
/// No `.npy` file, truncated, another element type than the input's, another number of elements, no example at all.
pub fn read_inputs(path: &Path, shape: &[usize], element: Element) -> Result<Vec<Vec<i8>>, Failure> {
    let failed = |why: String, help: &str| Failure::new(UNUSABLE, path.display(), why, help);
    let file = File::open(path)
        .map_err(|error| failed(error.to_string(), "check the path, and that it names a readable .npy file"))?;
    let mut reader = BufReader::new(file);
    let header = read_header(&mut reader).map_err(|why| failed(why, "write the file with numpy.save"))?;
    let (code, name) = match element {
        Element::Int8 => ("i1", "int8"),
        Element::Uint8 => ("u1", "uint8"),
    };
    if !matches!(header.dtype(), DType::Plain(kind) if kind.to_string().ends_with(code)) {
        let why = format!("the elements are {}, but must be {name}", element_name(&header.dtype()));
        let how = "quantise them with the input's scale and zero point, then save them with";
        return Err(failed(why, &format!("{how} `.astype(numpy.{name})`")));
    }
    let mut bytes = Vec::new();
    let result = reader.take(header.len().saturating_add(1)).read_to_end(&mut bytes);
    result.map_err(|error| failed(error.to_string(), "check that the file can be read"))?;
    if bytes.len() as u64 != header.len() {
        let found = if bytes.len() as u64 > header.len() { "more".into() } else { bytes.len().to_string() };
        let why = format!("the header promises {} elements, the file holds {found}", header.len());
        return Err(failed(why, "write the file again with numpy.save: it is truncated or damaged"));
    }
    let given: Vec<usize> = header.shape().iter().map(|&axis| axis as usize).collect();
    let mut elements: Vec<i8> = bytes.into_iter().map(|byte| (byte ^ offset(element)) as i8).collect();
    if header.order() == Order::Fortran {
        elements = row_major(&elements, &given);
    }
    let length: usize = shape.iter().product();
    let examples = match given.split_first() {
        _ if given == shape || shape.strip_prefix(&[1]) == Some(&given) => 1,
        Some((&examples, rest)) if rest.iter().product::<usize>() == length => examples,
        _ => {
            let why = format!(
                "the array has the shape {given:?}, but an example of this network has {length} elements (shape {shape:?})"
            );
            let help = format!("give an array of shape [examples, {}]", axes(example_shape(shape)));
            return Err(failed(why, &help));
        }
    };
    if examples == 0 {
        return Err(failed(
            "the array holds no example: its first axis has length 0".into(),
            "give at least one example",
        ));
    }
    let turned = given.get(1..).is_some_and(|example| is_channels_first(example, shape));
    let example = |elements: &[i8]| if turned { channels_last(elements, shape) } else { elements.to_vec() };
    Ok(elements.chunks_exact(length.max(1)).map(example).collect())
}

/// Whether an example of that shape has the channels first that an image of the network's shape has last.
fn is_channels_first(example: &[usize], shape: &[usize]) -> bool {
    let &[1, rows, columns, channels] = shape else { return false };
    example == [channels, rows, columns] && example != [rows, columns, channels]
}

/// The image with its channels last; `shape` has four axes.
fn channels_last(elements: &[i8], shape: &[usize]) -> Vec<i8> {
    let channels = shape.last().copied().unwrap_or(1);
    let positions = elements.len() / channels.max(1);
    let of = |position: usize| (0..channels).map(move |channel| elements[channel * positions + position]);
    (0..positions).flat_map(of).collect()
}

/// What turns an element from outside into the graph's int8 and back, as the bits that change: uint8 stands 128 higher.
fn offset(element: Element) -> u8 {
    match element {
        Element::Int8 => 0,
        Element::Uint8 => 0x80,
    }
}

/// Writes outputs of the network's output shape `shape`, which looks like `element` from outside, stacked along a new first
/// axis in place of a leading one of length one.
///
/// # Errors
/// The file cannot be written.
pub fn write_outputs(
    destination: Destination,
    outputs: &[Vec<i8>],
    shape: &[usize],
    element: Element,
) -> Result<(), Failure> {
    let mut axes = vec![outputs.len() as u64];
    axes.extend(example_shape(shape).iter().map(|&axis| axis as u64));
    let mut bytes = Vec::new();
    let elements = outputs.iter().flatten().copied();
    let written = match element {
        Element::Int8 => write_array(&mut bytes, &axes, elements),
        Element::Uint8 => write_array(&mut bytes, &axes, elements.map(|value| value as u8 ^ offset(element))),
    };
    written.map_err(|error| {
        Failure::new("the outputs cannot be written", format!("shape {axes:?}"), error, "report this as a bug")
    })?;
    destination.write(&bytes)
}

fn write_array<T: npyz::AutoSerialize>(
    bytes: &mut Vec<u8>,
    axes: &[u64],
    elements: impl Iterator<Item = T>,
) -> std::io::Result<()> {
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(axes).writer(bytes).begin_nd()?;
    writer.extend(elements)?;
    writer.finish()
}

/// The shape of one example: without a leading axis of length one that has others behind it.
fn example_shape(shape: &[usize]) -> &[usize] {
    match shape {
        [1, rest @ ..] if !rest.is_empty() => rest,
        other => other,
    }
}

fn axes(shape: &[usize]) -> String {
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Reads the header, and only one that is small and plain: the parser behind it recurses over brackets and multiplies the
/// axes without looking.
pub fn read_header(reader: &mut impl Read) -> Result<NpyHeader, String> {
    let mut start = [0u8; 12];
    let no_npy = "it is no .npy file (which begins with \\x93NUMPY)".to_string();
    if reader.read_exact(&mut start[..10]).is_err() || &start[..6] != b"\x93NUMPY" {
        return Err(no_npy);
    }
    let mut fixed = 10;
    let mut length = usize::from(u16::from_le_bytes([start[8], start[9]]));
    if start[6] > 1 {
        let cut = |_| "the file ends within its header".to_string();
        reader.read_exact(&mut start[10..]).map_err(cut)?;
        fixed = 12;
        length = u32::from_le_bytes([start[8], start[9], start[10], start[11]]) as usize;
    }
    if length > LONGEST_HEADER {
        return Err(format!("its header claims {length} bytes, but that of an array takes a hundred"));
    }
    let mut text = start[..fixed].to_vec();
    text.resize(fixed + length, 0);
    reader.read_exact(&mut text[fixed..]).map_err(|_| "the file ends within its header".to_string())?;
    let brackets = text[fixed..].iter().filter(|byte| b"([{".contains(byte)).count();
    let digits = text[fixed..].iter().filter(|byte| byte.is_ascii_digit()).count();
    if brackets > 16 || digits > 18 {
        return Err("its header is not that of a plain array of a size that can be".into());
    }
    NpyHeader::from_reader(text.as_slice()).map_err(|error| error.to_string())
}

/// NumPy's name of an element type.
pub fn element_name(dtype: &DType) -> String {
    let DType::Plain(kind) = dtype else { return "records".into() };
    let kind = kind.to_string();
    let (letter, bytes) = kind.trim_start_matches(['<', '>', '|', '=']).split_at(1);
    let bits = bytes.parse::<u64>().map_or(0, |bytes| bytes.saturating_mul(8));
    match letter {
        "f" => format!("float{bits}"),
        "i" => format!("int{bits}"),
        "u" => format!("uint{bits}"),
        "b" => "bool".into(),
        "c" => format!("complex{bits}"),
        _ => format!("`{kind}`"),
    }
}

/// The elements of a column-major array of shape `shape` in row-major order.
fn row_major(elements: &[i8], shape: &[usize]) -> Vec<i8> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for &axis in shape {
        strides.push(stride);
        stride *= axis;
    }
    let position = |mut index: usize| {
        let mut position = 0;
        for (&axis, stride) in shape.iter().zip(&strides).rev() {
            position += index % axis * stride;
            index /= axis;
        }
        position
    };
    (0..elements.len()).map(|index| elements[position(index)]).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A file in any order, shape and type.
    pub(crate) fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
        let order = if fortran { "True" } else { "False" };
        let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn read(bytes: &[u8], shape: &[usize]) -> Result<Vec<Vec<i8>>, String> {
        read_as(Element::Int8, bytes, shape)
    }

    fn read_as(element: Element, bytes: &[u8], shape: &[usize]) -> Result<Vec<Vec<i8>>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.npy");
        std::fs::write(&path, bytes).unwrap();
        read_inputs(&path, shape, element).map_err(|failure| {
            std::error::Error::source(&failure)
                .map(ToString::to_string)
                .unwrap()
                .replace(&*path.to_string_lossy(), "x.npy")
        })
    }

    #[test]
    fn the_first_axis_counts_examples_and_a_single_example_needs_none() {
        let data = [1, 2, 3, 4, 5, 255];
        let rows = vec![vec![1, 2, 3], vec![4, 5, -1]];
        assert_eq!(read(&npy("|i1", false, "(2, 3)", &data), &[1, 3]).unwrap(), rows);
        assert_eq!(read(&npy("|i1", false, "(2, 1, 3, 1)", &data), &[1, 3]).unwrap(), rows);
        assert_eq!(read(&npy("|i1", false, "(3,)", &data[..3]), &[1, 3]).unwrap(), rows[..1]);
        assert_eq!(read(&npy("|i1", false, "(1, 3)", &data[..3]), &[1, 3]).unwrap(), rows[..1]);
        assert_eq!(read(&npy("|i1", false, "(2, 3)", &data), &[2, 3]).unwrap().len(), 1);
        assert_eq!(read(&npy("|i1", false, "(6,)", &data), &[1]).unwrap().len(), 6);
        // Three channels of two columns, channel by channel and as the network has them; two of two tell nothing.
        let image = [1, 1, 2, 3];
        let turned = [data[0], data[2], data[4], data[1], data[3], data[5]].map(|byte| byte as i8);
        assert_eq!(read(&npy("|i1", false, "(1, 3, 1, 2)", &data), &image).unwrap(), [turned]);
        assert_eq!(read(&npy("|i1", false, "(1, 1, 2, 3)", &data), &image).unwrap()[0][..2], rows[0][..2]);
    }

    #[test]
    fn uint8_stands_128_higher_than_what_the_graph_has() {
        let bytes = npy("|u1", false, "(1, 3)", &[0, 128, 255]);
        assert_eq!(read_as(Element::Uint8, &bytes, &[3]).unwrap(), [[-128, 0, 127]]);
        assert!(read_as(Element::Uint8, &npy("|i1", false, "(1, 3)", &[0; 3]), &[3]).unwrap_err().contains("uint8"));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("y.npy");
        let file = Destination::create(&path, "no").unwrap();
        write_outputs(file, &[vec![-128, 0, 127]], &[1, 3], Element::Uint8).unwrap();
        assert_eq!(read_inputs(&path, &[3], Element::Uint8).unwrap(), [[-128, 0, 127]]);
        assert!(std::fs::read(&path).unwrap().ends_with(&[0, 128, 255]));
    }

    #[test]
    fn column_major_arrays_are_turned() {
        let rows = read(&npy("|i1", true, "(2, 3)", &[1, 4, 2, 5, 3, 6]), &[3]).unwrap();
        assert_eq!(rows, [[1, 2, 3], [4, 5, 6]]);
    }

    #[test]
    fn wrong_files_are_refused_with_the_reason() {
        let cases: [(Vec<u8>, &str); 12] = [
            (vec![], "x.npy: it is no .npy file (which begins with \\x93NUMPY)"),
            (b"hello, this is text".to_vec(), "x.npy: it is no .npy file (which begins with \\x93NUMPY)"),
            (npy("<f4", false, "(1, 3)", &[0; 12]), "x.npy: the elements are float32, but must be int8"),
            (npy("|u1", false, "(1, 3)", &[0; 3]), "x.npy: the elements are uint8, but must be int8"),
            (npy("|O", false, "(1, 3)", &[0; 3]), "x.npy: the elements are `|O`, but must be int8"),
            (
                npy("|i1", false, "(2, 4)", &[0; 8]),
                "x.npy: the array has the shape [2, 4], but an example of this network has 3 elements (shape [1, 3])",
            ),
            (
                npy("|i1", false, "()", &[0; 1]),
                "x.npy: the array has the shape [], but an example of this network has 3 elements (shape [1, 3])",
            ),
            (npy("|i1", false, "(0, 3)", &[]), "x.npy: the array holds no example: its first axis has length 0"),
            (npy("|i1", false, "(2, 3)", &[0; 5]), "x.npy: the header promises 6 elements, the file holds 5"),
            (npy("|i1", false, "(2, 3)", &[0; 7]), "x.npy: the header promises 6 elements, the file holds more"),
            (npy("|i1", false, "(2, 3)", &[])[..40].to_vec(), "x.npy: the file ends within its header"),
            (
                npy("|i1", false, "(9999999999, 9999999999)", &[]),
                "x.npy: its header is not that of a plain array of a size that can be",
            ),
        ];
        for (bytes, message) in cases {
            assert_eq!(read(&bytes, &[1, 3]).unwrap_err(), message);
        }
    }

    proptest! {
        #[test]
        fn turning_twice_gives_the_array_back(shape in prop::collection::vec(1usize..5, 1..4)) {
            let elements: Vec<i8> = (0..shape.iter().product::<usize>()).map(|index| index as i8).collect();
            let reversed: Vec<usize> = shape.iter().rev().copied().collect();
            prop_assert_eq!(row_major(&row_major(&elements, &shape), &reversed), elements);
        }

        #[test]
        fn no_header_makes_the_reader_panic(header in "[-{}()\\[\\]':,0-9a-z|<> ]{0,120}", version in 1u8..4) {
            let mut bytes = b"\x93NUMPY".to_vec();
            bytes.extend([version, 0]);
            if version == 1 {
                bytes.extend((header.len() as u16).to_le_bytes());
            } else {
                bytes.extend((header.len() as u32).to_le_bytes());
            }
            bytes.extend(header.as_bytes());
            prop_assert!(read(&bytes, &[3]).is_err());
        }
    }
}
