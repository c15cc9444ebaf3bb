//! Strides, dilation and padding of convolutions and pools, made explicit.

use super::{ImportError, Node};
use crate::graph::{Padding, Plane, Tensor, Window};

/// How a file says that a window reads beside the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// As much as makes `⌈input / stride⌉` positions; what is odd goes behind.
    Same,
    /// Not at all.
    Valid,
}

/// The options that say what a window is, as the file has them.
pub(super) struct Options {
    /// 0 or 1.
    pub(super) padding: i8,
    /// Rows, columns.
    pub(super) size: (usize, usize),
    /// Rows, columns.
    pub(super) stride: (i32, i32),
    /// Rows, columns.
    pub(super) dilation: (i32, i32),
}

/// The rows and columns of a tensor of four axes with a batch of one, and its channels.
pub(super) fn image(node: &Node<'_>, tensor: &Tensor) -> Result<(Plane, usize), ImportError> {
    match tensor.shape[..] {
        [1, rows, columns, channels] => Ok((Plane { rows, columns }, channels)),
        [batch, _, _, _] => Err(node.here.unsupported(
            format!("a batch of {batch} (a tensor of shape {:?})", tensor.shape),
            "export the network with a batch of one, and run it once for each example",
        )),
        _ => Err(node
            .here
            .shape(format!("a tensor of shape {:?} instead of batch, rows, columns, channels", tensor.shape))),
    }
}

/// The window over an input of `input` rows and columns, and the rows and columns of the output.
pub(super) fn window(node: &Node<'_>, options: &Options, input: Plane) -> Result<(Window, Plane), ImportError> {
    let here = node.here;
    let mode = match options.padding {
        0 => Mode::Same,
        1 => Mode::Valid,
        other => return Err(here.damaged(format!("padding of kind {other}, which is neither SAME (0) nor VALID (1)"))),
    };
    let plane = |(rows, columns): (i32, i32), what: &str| match (usize::try_from(rows), usize::try_from(columns)) {
        (Ok(rows @ 1..), Ok(columns @ 1..)) => Ok(Plane { rows, columns }),
        _ => Err(here.shape(format!("a {what} of {rows}×{columns}"))),
    };
    let (stride, dilation) = (plane(options.stride, "stride")?, plane(options.dilation, "dilation")?);
    let size = Plane { rows: options.size.0, columns: options.size.1 };
    let plain = Window { size, stride, dilation, padding: Padding::default() };
    let too_large = || {
        here.shape(format!(
            "a window of {}×{} with dilation {}×{} over {}×{} elements",
            size.rows, size.columns, dilation.rows, dilation.columns, input.rows, input.columns
        ))
    };
    let extent = plain.extent().ok_or_else(too_large)?;
    let (top, bottom) = padding(mode, input.rows, stride.rows, extent.rows).ok_or_else(too_large)?;
    let (left, right) = padding(mode, input.columns, stride.columns, extent.columns).ok_or_else(too_large)?;
    let window = Window { padding: Padding { top, bottom, left, right }, ..plain };
    let output = window.output(input).ok_or_else(too_large)?;
    Ok((window, output))
}

/// How much is read before the first and behind the last of `input` elements; `None` beyond what can be counted.
fn padding(mode: Mode, input: usize, stride: usize, extent: usize) -> Option<(usize, usize)> {
    if mode == Mode::Valid {
        return Some((0, 0));
    }
    let reached = (input.div_ceil(stride).checked_sub(1)?).checked_mul(stride)?.checked_add(extent)?;
    let total = reached.saturating_sub(input);
    Some((total / 2, total - total / 2))
}
