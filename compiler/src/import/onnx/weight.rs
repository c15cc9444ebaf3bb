//! How much memory the messages of a file take, before they are made.
//!
//! A message of two bytes in the file becomes hundreds in memory. So the fields are counted first, with the messages inside
//! those that are read, and a file of more than any network has is refused.

use super::super::ImportError;
use super::super::site::Site;

/// Fields of one file, at most.
const FIELD_LIMIT: u64 = 1 << 20;

/// Bytes of one file, at most: the largest parameters that are taken over, twice.
const BYTE_LIMIT: u64 = 128 << 20;

/// How deep messages stand in each other, at most.
const DEPTH: u32 = 8;

/// A message that has messages in it.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    /// Any other one that is read: its fields are no messages, or few.
    Leaf,
}

impl Message {
    /// What the field of that number holds; `None` for no message.
    fn field(self, number: usize) -> Option<Self> {
        match (self, number) {
            (Self::Model, 7) => Some(Self::Graph),
            (Self::Graph, 1) => Some(Self::Node),
            (Self::Graph, 5) | (Self::Attribute, 5) | (Self::Model, 8) => Some(Self::Leaf),
            (Self::Node, 5) => Some(Self::Attribute),
            _ => None,
        }
    }
}

/// Refuses a file with more fields or bytes than any network has, and one in which lengths contradict each other.
pub(super) fn check(here: &Site, bytes: &[u8]) -> Result<(), ImportError> {
    let too_large =
        |what: &str, size, limit| Err(ImportError::TooLarge { place: here.0.clone(), what: what.into(), size, limit });
    if bytes.len() as u64 > BYTE_LIMIT {
        return too_large("the file", bytes.len() as u64, BYTE_LIMIT);
    }
    let mut fields = 0;
    if count(bytes, Message::Model, DEPTH, &mut fields).is_none() {
        return Err(here.damaged("a field of the protocol buffer reaches beyond its message, or has no known kind"));
    }
    // Some hundred bytes each.
    if fields > FIELD_LIMIT {
        return too_large("the messages of the file", fields.saturating_mul(128), FIELD_LIMIT * 128);
    }
    Ok(())
}

/// Adds the fields of a message and of those in it to `fields`; `None` where the bytes are no message.
fn count(mut bytes: &[u8], message: Message, depth: u32, fields: &mut u64) -> Option<()> {
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        *fields += 1;
        let number = usize::try_from(key >> 3).ok()?;
        let length = match key & 7 {
            0 => {
                varint(&mut bytes)?;
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (field, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        if let (2, Some(inner), Some(depth)) = (key & 7, message.field(number), depth.checked_sub(1)) {
            count(field, inner, depth, fields)?;
        }
        // Values at the interface are small, so that nobody needs to look into them.
        if matches!((message, number), (Message::Graph, 11 | 12)) {
            *fields += field.len() as u64;
        }
    }
    Some(())
}

/// A number of seven bits a byte.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..10 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
