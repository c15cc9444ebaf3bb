//! What the readers of a tensor want of the way it stands in the vector memory.

use crate::graph::{Graph, OperatorKind, Padding, Plane, PoolFunction, TensorId};
use crate::lower::layout::{Layout, image, larger};
use lpu_isa::configuration::Configuration;

/// An image that a window reads: its size, channels, padding, and what that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Demand {
    size: Plane,
    channels: usize,
    padding: Padding,
    fill: i32,
}

/// What the windows of a network read, for each tensor under whatever name.
pub(super) struct Demands {
    /// The tensor that a reshape gives another name, for each.
    root: Vec<usize>,
    demands: Vec<Vec<Demand>>,
    /// For each tensor, whether something reads each of its channels on its own.
    channelwise: Vec<bool>,
}

impl Demands {
    pub(super) fn of(graph: &Graph) -> Demands {
        let mut root: Vec<usize> = (0..graph.tensors.len()).collect();
        let mut demands = vec![vec![]; graph.tensors.len()];
        let mut channelwise = vec![false; graph.tensors.len()];
        for operator in &graph.operators {
            if let (OperatorKind::Reshape, &[from], &[to]) =
                (&operator.kind, &operator.inputs[..], &operator.outputs[..])
            {
                root[to.0] = root[from.0];
            }
            for &from in &operator.inputs {
                let (size, channels) = graph.tensor(from).map_or((Plane::ONE, 1), |tensor| image(&tensor.shape));
                // These read elements, whatever image they stand in.
                if matches!(
                    operator.kind,
                    OperatorKind::FullyConnected(_) | OperatorKind::Elementwise(_) | OperatorKind::Reshape
                ) {
                    continue;
                }
                let (padding, fill) = operator.kind.padding();
                channelwise[root[from.0]] |= match &operator.kind {
                    OperatorKind::DepthwiseConvolution(layer) => layer.multiplier == 1,
                    OperatorKind::Pool(pool) => pool.function == PoolFunction::Average,
                    _ => false,
                };
                demands[root[from.0]].push(Demand { size, channels, padding, fill });
            }
        }
        Demands { root, demands, channelwise }
    }

    /// Would a copy of the tensor in another slice save time?
    pub(super) fn wants_twin(&self, id: TensorId) -> bool {
        self.channelwise[self.root[id.0]]
    }

    /// The layout of an image that becomes tensor `id`, with all padding that its readers can share.
    pub(super) fn layout(&self, id: TensorId, size: Plane, channels: usize, configuration: &Configuration) -> Layout {
        let alike =
            self.demands[self.root[id.0]].iter().filter(|demand| (demand.size, demand.channels) == (size, channels));
        let mut padded = alike.filter(|demand| demand.padding != Padding::default());
        let Some(first) = padded.next() else {
            return Layout::new(size, channels, (Padding::default(), 0), configuration);
        };
        let padding = padded
            .filter(|demand| demand.fill == first.fill)
            .fold(first.padding, |padding, demand| larger(padding, demand.padding));
        Layout::new(size, channels, (padding, first.fill), configuration)
    }

    /// How the network's input stands: as the first image that anything sees in it; dense, `None`, where nothing does.
    pub(super) fn of_input(&self, id: TensorId, configuration: &Configuration) -> Option<Layout> {
        let first = self.demands[self.root[id.0]].first()?;
        Some(self.layout(id, first.size, first.channels, configuration))
    }
}
