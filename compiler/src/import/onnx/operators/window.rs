//! Strides, dilation and padding of convolutions and pools, made explicit.

use super::super::layout::{Layout, channels_last};
use super::super::node::Node;
use super::super::value::Activation;
use super::super::{Form, ImportError, Importer, ORDER};
use crate::graph::{Padding, Plane, TensorId, Window};

/// An image: one of ONNX's shape batch × channels × rows × columns, or × columns alone, and the graph's tensor for it.
pub(super) struct Image {
    pub(super) tensor: TensorId,
    pub(super) channels: usize,
    pub(super) size: Plane,
    /// Axes of ONNX's shape: 3 or 4.
    pub(super) rank: usize,
}

impl Image {
    /// The form of an image like this one with other sizes.
    pub(super) fn form(&self, channels: usize, size: Plane) -> Form {
        let Plane { rows, columns } = size;
        let shape = if self.rank == 3 { vec![1, channels, columns] } else { vec![1, channels, rows, columns] };
        let stored = vec![1, rows, columns, channels];
        Form { stored, ..Form::of(shape, &channels_last(self.rank)) }
    }
}

/// The image that `of` is.
pub(super) fn image<'a>(importer: &mut Importer<'a>, node: &Node<'a>, of: &Activation) -> Result<Image, ImportError> {
    let here = &node.here;
    let (batch, channels, size) = match of.shape[..] {
        [batch, channels, rows, columns] => (batch, channels, Plane { rows, columns }),
        [batch, channels, columns] => (batch, channels, Plane { rows: 1, columns }),
        _ => {
            return Err(here.unsupported(
                format!("a tensor of shape {:?} instead of batch, channels, rows, columns", of.shape),
                "use operators on images and on sequences: two axes of space, or one",
            ));
        }
    };
    if batch != 1 {
        return Err(here.unsupported(
            format!("a batch of {batch} (a tensor of shape {:?})", of.shape),
            "export the network with a batch of one, and run it once for each example",
        ));
    }
    if of.layout != Layout::of(&of.shape, &channels_last(of.shape.len())) {
        return Err(here.unsupported("an image whose channels do not stand innermost in memory", ORDER));
    }
    let tensor = importer.view(here, of, &[1, size.rows, size.columns, channels])?;
    Ok(Image { tensor, channels, size, rank: of.shape.len() })
}

/// How windows lie: the explicit window and how many there are, and whether some reach further than the file's padding.
pub(super) struct Windows {
    pub(super) window: Window,
    pub(super) output: Plane,
    /// Rounding up the number of windows has made one more.
    pub(super) beyond: bool,
}

/// The windows of `size` taps over `image`, after the node's attributes.
pub(super) fn windows(node: &Node<'_>, image: &Image, size: Plane) -> Result<Windows, ImportError> {
    let here = &node.here;
    let axes = image.rank - 2;
    let pair = |name: &str| {
        let list = node.integers(name).unwrap_or(&[1, 1][..axes]);
        plane(list, axes).ok_or_else(|| here.shape(format!("{name} of {list:?}")))
    };
    let (stride, dilation) = (pair("strides")?, pair("dilations")?);
    let plain = Window { size, stride, dilation, padding: Padding::default() };
    let too_large = || {
        here.shape(format!(
            "a window of {}×{} with dilation {}×{} over {}×{} elements",
            size.rows, size.columns, dilation.rows, dilation.columns, image.size.rows, image.size.columns
        ))
    };
    let extent = plain.extent().ok_or_else(too_large)?;
    let up = node.integer("ceil_mode", 0) != 0;
    let pads = node.integers("pads").unwrap_or(&[0; 4][..2 * axes]);
    let wrong = || {
        here.unsupported(
            format!("padding of {pads:?}: {} numbers from 0 are needed", 2 * axes),
            "export the network with padding that adds, and cut with Slice",
        )
    };
    let (before, after) = pads.split_at_checked(axes).ok_or_else(wrong)?;
    let amounts = |list: &[i64]| {
        let list = list.iter().map(|&size| u32::try_from(size).ok()).collect::<Option<Vec<u32>>>()?;
        match list[..] {
            [columns] if axes == 1 => Some((0, columns as usize)),
            [rows, columns] if axes == 2 => Some((rows as usize, columns as usize)),
            _ => None,
        }
    };
    let ((top, left), (bottom, right)) = (amounts(before).ok_or_else(wrong)?, amounts(after).ok_or_else(wrong)?);
    let mode = node.text("auto_pad", "NOTSET");
    let along = |input: usize, stride: usize, extent: usize, before: usize, after: usize| {
        let same = || {
            let reached = (input.div_ceil(stride) - 1).checked_mul(stride)?.checked_add(extent)?;
            Some(reached.saturating_sub(input))
        };
        let (before, after) = match mode {
            b"NOTSET" | b"" => (before, after),
            b"VALID" => (0, 0),
            b"SAME_UPPER" => same().map(|total| (total / 2, total - total / 2))?,
            _ => same().map(|total| (total - total / 2, total / 2))?,
        };
        let free = input.checked_add(before)?.checked_add(after)?.checked_sub(extent)?;
        let mut count = free / stride + 1;
        // One more that begins within the input.
        let more = up && free % stride != 0 && count.checked_mul(stride)? < input.checked_add(before)?;
        count += usize::from(more);
        // Only as much as is read.
        let end = (count - 1).checked_mul(stride)?.checked_add(extent)?;
        Some((before, end.saturating_sub(input.checked_add(before)?), count, more))
    };
    if !matches!(mode, b"" | b"NOTSET" | b"VALID" | b"SAME_UPPER" | b"SAME_LOWER") {
        return Err(here.damaged(format!("auto_pad of \"{}\"", mode.escape_ascii())));
    }
    let (top, bottom, rows, below) =
        along(image.size.rows, stride.rows, extent.rows, top, bottom).ok_or_else(too_large)?;
    let (left, right, columns, beside) =
        along(image.size.columns, stride.columns, extent.columns, left, right).ok_or_else(too_large)?;
    let window = Window { padding: Padding { top, bottom, left, right }, ..plain };
    Ok(Windows { window, output: Plane { rows, columns }, beyond: below || beside })
}

/// Two positive numbers, or one for the columns.
pub(super) fn plane(list: &[i64], axes: usize) -> Option<Plane> {
    let size = |size: i64| u32::try_from(size).ok().filter(|&size| size > 0).map(|size| size as usize);
    match *list {
        [columns] if axes == 1 => Some(Plane { rows: 1, columns: size(columns)? }),
        [rows, columns] if axes == 2 => Some(Plane { rows: size(rows)?, columns: size(columns)? }),
        _ => None,
    }
}
