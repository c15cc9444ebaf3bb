//! Safe reading of FlatBuffer tables.
//!
//! The `flatbuffers` crate reads through code that a schema compiler generates, all of it `unsafe` and sound only after a
//! verifier has run. Its [`Verifier`] alone is safe: it locates and bounds-checks one table, field or range at a time.
//! Here every access goes through it and then copies the bytes out, so that verification cannot be forgotten and no
//! `unsafe` is needed.

use std::fmt;
use std::marker::PhantomData;

use flatbuffers::{InvalidFlatbuffer, Verifier, VerifierOptions};

/// A rule of the format that the bytes break, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damage(pub String);

pub(super) type Result<T> = std::result::Result<T, Damage>;

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<InvalidFlatbuffer> for Damage {
    fn from(error: InvalidFlatbuffer) -> Self {
        Self(match error {
            InvalidFlatbuffer::RangeOutOfBounds { range, .. } => {
                format!("bytes {} to {} lie outside the file", range.start, range.end.saturating_sub(1))
            }
            InvalidFlatbuffer::SignedOffsetOutOfBounds { position, .. } => {
                format!("the table at byte {position} has its field list outside the file")
            }
            InvalidFlatbuffer::Unaligned { position, .. } => format!("what lies at byte {position} is not aligned"),
            other => other.to_string().lines().next().unwrap_or_default().to_owned(),
        })
    }
}

/// One verifier serves one access, so that only the limit on a single range can matter, and that is the file.
static OPTIONS: VerifierOptions = VerifierOptions {
    max_depth: 2,
    max_tables: 2,
    max_apparent_size: usize::MAX >> 1,
    ignore_missing_null_terminator: true,
};

/// A number that stands in a FlatBuffer as its little-endian bytes.
pub(super) trait Scalar: Copy {
    /// Bytes.
    const SIZE: usize;

    /// From exactly [`Self::SIZE`] bytes.
    fn read(bytes: &[u8]) -> Option<Self>;
}

macro_rules! scalars {
    ($($number:ty),*) => { $(
        impl Scalar for $number {
            const SIZE: usize = size_of::<$number>();

            fn read(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(<$number>::from_le_bytes)
            }
        }
    )* };
}

scalars!(u8, i8, u32, i32, u64, i64, f32);

/// A table: fields by their position in the schema, each absent or at some offset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    file: &'a [u8],
    position: usize,
}

/// A vector of numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers<'a, T> {
    bytes: &'a [u8],
    number: PhantomData<T>,
}

/// A vector of tables.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tables<'a> {
    file: &'a [u8],
    first: usize,
    length: usize,
}

fn verifier(file: &[u8]) -> Verifier<'static, '_> {
    Verifier::new(&OPTIONS, file)
}

/// Where the offset at `position` points.
fn follow(file: &[u8], position: usize) -> Result<usize> {
    Ok(position.saturating_add(verifier(file).get_uoffset(position)? as usize))
}

/// The `length` bytes at `position`.
fn range(file: &[u8], position: usize, length: usize) -> Result<&[u8]> {
    verifier(file).range_in_buffer(position, length)?;
    position
        .checked_add(length)
        .and_then(|end| file.get(position..end))
        .ok_or_else(|| Damage(format!("{length} bytes at byte {position} lie outside the file")))
}

/// First element and element count of the vector whose offset is at `field`.
fn vector(file: &[u8], field: usize, element_size: usize) -> Result<(usize, usize)> {
    let position = follow(file, field)?;
    let length = verifier(file).get_uoffset(position)? as usize;
    let first = position.saturating_add(4);
    range(file, first, length.saturating_mul(element_size))?;
    Ok((first, length))
}

impl<'a> Table<'a> {
    /// The table that the file is.
    pub(super) fn root(file: &'a [u8]) -> Result<Self> {
        Ok(Self { file, position: follow(file, 0)? })
    }

    fn field(&self, id: u16) -> Result<Option<usize>> {
        // The field list begins with two sizes of two bytes each.
        Ok(verifier(self.file).visit_table(self.position)?.deref(4 + 2 * id)?)
    }

    /// A number, or the schema's default where it is absent.
    pub(super) fn number<T: Scalar>(&self, id: u16, default: T) -> Result<T> {
        let Some(position) = self.field(id)? else { return Ok(default) };
        let bytes = range(self.file, position, T::SIZE)?;
        T::read(bytes).ok_or_else(|| Damage(format!("no number at byte {position}")))
    }

    /// A table, where present.
    pub(super) fn table(&self, id: u16) -> Result<Option<Self>> {
        let Some(field) = self.field(id)? else { return Ok(None) };
        Ok(Some(Self { file: self.file, position: follow(self.file, field)? }))
    }

    /// A vector of numbers, where present.
    pub(super) fn numbers<T: Scalar>(&self, id: u16) -> Result<Option<Numbers<'a, T>>> {
        let Some(field) = self.field(id)? else { return Ok(None) };
        let (first, length) = vector(self.file, field, T::SIZE)?;
        let bytes = range(self.file, first, length.saturating_mul(T::SIZE))?;
        Ok(Some(Numbers { bytes, number: PhantomData }))
    }

    /// A vector of tables; an empty one where absent.
    pub(super) fn tables(&self, id: u16) -> Result<Tables<'a>> {
        let (first, length) = match self.field(id)? {
            Some(field) => vector(self.file, field, 4)?,
            None => (0, 0),
        };
        Ok(Tables { file: self.file, first, length })
    }

    /// At most `limit` bytes of a text, made printable; `None` where absent or empty.
    pub(super) fn text(&self, id: u16, limit: usize) -> Result<Option<String>> {
        let Some(text) = self.numbers::<u8>(id)? else { return Ok(None) };
        let bytes = text.bytes();
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(limit)]);
        let mut shown: String = shown.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        if bytes.len() > limit {
            shown.push('…');
        }
        Ok((!shown.is_empty()).then_some(shown))
    }
}

impl<'a> Tables<'a> {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// The table at `index`; `None` beyond the last.
    pub(super) fn get(&self, index: usize) -> Result<Option<Table<'a>>> {
        if index >= self.length {
            return Ok(None);
        }
        let position = follow(self.file, self.first + 4 * index)?;
        Ok(Some(Table { file: self.file, position }))
    }
}

impl<'a, T: Scalar> Numbers<'a, T> {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() / T::SIZE
    }

    /// The elements as they lie in the file.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = T> + use<'a, T> {
        self.bytes.chunks_exact(T::SIZE).filter_map(T::read)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use flatbuffers::FlatBufferBuilder;
    use proptest::prelude::*;

    /// A table with a number, a vector, a text and two tables in a vector.
    fn file() -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let text = builder.create_string("name\n");
        let vector = builder.create_vector(&[1_i64, -2, 3]);
        let tables: Vec<_> = [5_i32, 6]
            .into_iter()
            .map(|value| {
                let start = builder.start_table();
                builder.push_slot(4, value, 0);
                builder.end_table(start)
            })
            .collect();
        let tables = builder.create_vector(&tables);
        let start = builder.start_table();
        builder.push_slot_always(4, 7_u32);
        builder.push_slot_always(6, vector);
        builder.push_slot_always(8, text);
        builder.push_slot_always(10, tables);
        let root = builder.end_table(start);
        builder.finish(root, Some("TEST"));
        builder.finished_data().to_vec()
    }

    fn read_everything(bytes: &[u8]) -> Result<(u32, Vec<i64>, String, Vec<i32>)> {
        let root = Table::root(bytes)?;
        let tables = root.tables(3)?;
        let inner = (0..tables.len())
            .map(|index| tables.get(index)?.map_or(Ok(0), |table| table.number(0, 0)))
            .collect::<Result<_>>()?;
        let numbers = root.numbers(1)?.map(|numbers| numbers.iter().collect()).unwrap_or_default();
        Ok((root.number(0, 0)?, numbers, root.text(2, 100)?.unwrap_or_default(), inner))
    }

    #[test]
    fn what_the_builder_wrote_is_read_back() {
        let expected = (7, vec![1, -2, 3], "name\u{fffd}".to_owned(), vec![5, 6]);
        assert_eq!(read_everything(&file()).unwrap(), expected);
    }

    #[test]
    fn an_absent_field_has_its_default() {
        let bytes = file();
        let root = Table::root(&bytes).unwrap();
        assert_eq!(root.number(9, -5_i32).unwrap(), -5);
        assert!(root.table(9).unwrap().is_none());
        assert_eq!(root.tables(9).unwrap().len(), 0);
    }

    #[test]
    fn every_truncation_is_damage() {
        let bytes = file();
        for length in 0..bytes.len() {
            // The padding behind the last element may go.
            if let Ok(read) = read_everything(&bytes[..length]) {
                assert_eq!(read, read_everything(&bytes).unwrap());
                assert!(bytes.len() - length < 8, "only {length} of {} bytes were needed", bytes.len());
            }
        }
    }

    proptest! {
        #[test]
        fn changed_bytes_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
            let mut bytes = file();
            for (index, value) in changes {
                let index = index.index(bytes.len());
                bytes[index] = value;
            }
            let _ = read_everything(&bytes);
        }

        #[test]
        fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read_everything(&bytes);
        }
    }
}
