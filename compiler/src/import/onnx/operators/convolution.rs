//! `Conv`. Weights of ONNX's order outputs × inputs × rows × columns get the graph's.

use super::super::destination::Fusion;
use super::super::node::Node;
use super::super::value::Value;
use super::super::{ImportError, Importer};
use super::accumulation::{accumulation, bias, weights};
use super::window::{image, plane, windows};
use crate::graph::{Convolution, DepthwiseConvolution, OperatorKind, Plane};

pub(super) fn convolution<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    node.only(3, &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"])?;
    let here = &node.here;
    let input = node.real(importer, 0)?;
    let quantisation = importer.quantisation(&input);
    let image = image(importer, node, &input)?;
    let weights = weights(importer, node, |_| Some(0))?;
    let there = here.tensor(node.name(1).unwrap_or_default());
    let (outputs, depth, size) = match weights.constant.shape[..] {
        [outputs, depth, rows, columns] if image.rank == 4 => (outputs, depth, Plane { rows, columns }),
        [outputs, depth, columns] if image.rank == 3 => (outputs, depth, Plane { rows: 1, columns }),
        _ => {
            return Err(
                there.shape(format!("weights of shape {:?} for shape {:?}", weights.constant.shape, input.shape))
            );
        }
    };
    if let Some(kernel) = node.integers("kernel_shape").filter(|kernel| plane(kernel, image.rank - 2) != Some(size)) {
        return Err(there.shape(format!("weights of shape {:?} for windows of {kernel:?}", weights.constant.shape)));
    }
    let groups = usize::try_from(node.integer("group", 1)).ok().filter(|&groups| groups > 0);
    let Some(groups) =
        groups.filter(|&groups| depth.checked_mul(groups) == Some(image.channels) && outputs % groups == 0)
    else {
        return Err(there.shape(format!(
            "weights of shape {:?} for {} channels in {} groups",
            weights.constant.shape,
            image.channels,
            node.integer("group", 1)
        )));
    };
    let windows = windows(node, &image, size)?;
    let mut bias = bias(importer, node, outputs)?;
    let fusion = match bias {
        Some(_) => Fusion::Clamps,
        None => Fusion::Bias { channels: outputs, behind: image.rank - 2 },
    };
    let destination = importer.quantised(node, fusion)?;
    bias = bias.or(destination.bias.clone());
    let accumulation = accumulation(importer, node, quantisation, &weights, bias.as_ref(), outputs, &destination)?;
    let (values, taps) = (weights.values(), size.product());
    let kind = if depth == 1 && groups == image.channels && groups > 1 {
        // outputs × 1 × taps becomes taps × outputs.
        let weights = (0..taps).flat_map(|tap| (0..outputs).map(move |output| values[output * taps + tap])).collect();
        let (input_channels, multiplier) = (image.channels, outputs / groups);
        let window = windows.window;
        OperatorKind::DepthwiseConvolution(DepthwiseConvolution {
            window,
            input_channels,
            multiplier,
            weights,
            accumulation,
        })
    } else {
        // outputs × depth × taps becomes outputs × taps × depth.
        let of = |output: usize| {
            (0..taps)
                .flat_map(move |tap| (0..depth).map(move |channel| values[(output * depth + channel) * taps + tap]))
        };
        let weights = (0..outputs).flat_map(of).collect();
        let (input_channels, output_channels, window) = (image.channels, outputs, windows.window);
        OperatorKind::Convolution(Convolution {
            window,
            input_channels,
            output_channels,
            groups,
            weights,
            accumulation,
        })
    };
    let (name, form) = (node.output()?, image.form(outputs, windows.output));
    let outside = (destination.quantisation, destination.element);
    let result = importer.emit(node, name, kind, vec![image.tensor], form, outside)?;
    importer.put(name, Value::Activation(result));
    Ok(())
}
