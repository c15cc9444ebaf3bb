//! What the host writes into the vector memory: the input, constants, the first value of each state, and how states are kept.

use super::bands::Part;
use super::demands::Demands;
use super::{Work, unsupported};
use crate::error::CompileError;
use crate::graph::{Graph, Operator, OperatorKind, TensorId};
use crate::lower::Lowering;
use crate::lower::convolution::Dense;
use crate::lower::layout::{Layout, image};
use crate::schedule::Stored;
use lpu_isa::configuration::Configuration;
use lpu_isa::program::{Constants, InputPart, Region};
use std::ops::Range;

impl Work<'_> {
    /// The host writes the input before the run, from the first beat of slice 0: as the image that the first window reads, dense where
    /// there is none; in parts, each the rows that a band needs, where no slice holds it. Returns the regions that the host writes: in
    /// the first there may be a word more, with which padding is filled.
    pub(super) fn place_input(&mut self, id: TensorId) -> Result<(Region, Vec<InputPart>), CompileError> {
        let graph = self.graph;
        let tensor = graph.tensor(id).ok_or_else(|| unsupported(graph, "the input does not exist"))?;
        let configuration = self.lowering.schedule.configuration.clone();
        let layout = self.demands.of_input(id, &configuration);
        let elements = tensor.elements() as u32;
        let beats = match layout {
            Some(layout) => u32::try_from(layout.beats()).unwrap_or(u32::MAX),
            None => elements.div_ceil(configuration.dot),
        };
        // Operators on vectors alone have nothing to fill.
        let plain = |operator: &Operator| {
            use OperatorKind::{Elementwise, FullyConnected, Reshape, Softmax};
            matches!(operator.kind, FullyConnected(_) | Elementwise(_) | Reshape)
                || matches!(operator.kind, Softmax(_)) && !configuration.has_softmax()
        };
        let filler = if graph.operators.iter().all(plain) { 0 } else { configuration.beats_per_word() };
        let room = configuration.vector_beats().saturating_sub(filler);
        // Dense where that is faster, or where there is no room otherwise.
        self.dense = self.dense_input(id, &configuration, (beats > room).then_some(room));
        let reads = |operator: &Operator| operator.inputs.contains(&id);
        let readers = (graph.operators.iter().position(reads), graph.operators.iter().rposition(reads));
        // All that reads it, band by band.
        let segment = match readers {
            (Some(first), Some(last)) => self.tiling.around(first).filter(|segment| segment.last >= last),
            _ => None,
        };
        if let Some(segment) = segment
            && beats > room
            && self.dense.is_none()
        {
            let (size, channels) = image(&tensor.shape);
            let full = self.demands.layout(id, size, channels, &configuration);
            let rows = segment.rows(graph).ok_or_else(|| unsupported(graph, "a band of the input is empty"))?;
            let mut rows: Vec<Range<u64>> = rows.iter().filter_map(|band| band.read.get(&id).cloned()).collect();
            // The host brings whole inputs, though no window may read the last rows.
            if let Some(last) = rows.last_mut() {
                last.end = full.rows;
            }
            return self.place_parts(&tensor.name, &full, &rows, filler);
        }
        let dense = self.dense.as_ref().map(|(_, dense)| dense);
        let layout = dense.map_or(layout, |dense| Some(dense.layout));
        let beats = match layout {
            Some(layout) => u32::try_from(layout.beats()).unwrap_or(u32::MAX),
            None => beats,
        };
        let (slice, base, _) =
            self.lowering.schedule.allocate_in(&graph.name, &tensor.name, beats.saturating_add(filler), &[0])?;
        let positions = match (dense, layout) {
            (Some(dense), _) => dense.positions(),
            (None, Some(layout)) => layout.positions(),
            (None, None) => (0..elements).collect(),
        };
        let region = Region { tensor: tensor.name.clone(), slice, base, beats, positions };
        let whole = Region { beats: beats + filler, ..region.clone() };
        if filler > 0 {
            self.lowering.fillers[slice as usize] = Some((base + beats, 0));
        }
        // Its padding comes from the host, with it.
        self.input_fill = layout.map_or(0, |layout| layout.fill as i8);
        self.vectors[id.0] = Some(Stored { region, ready: vec![0; beats as usize], layout, twin: None });
        Ok((whole, Vec::new()))
    }

    /// The layout in which neighbouring columns of the input share a beat, where a convolution that gains by it is all that reads it, or
    /// where it has otherwise no room in the beats `room`.
    fn dense_input(&self, id: TensorId, configuration: &Configuration, room: Option<u32>) -> Option<(usize, Dense)> {
        let graph = self.graph;
        let mut readers = graph.operators.iter().enumerate().filter(|(_, operator)| operator.inputs.contains(&id));
        let (reader, operator) = readers.next()?;
        let shared = readers.next().is_some() || graph.outputs.contains(&id);
        let OperatorKind::Convolution(layer) = &operator.kind else { return None };
        let kept = graph.states.iter().any(|state| state.next == id);
        let to = *operator.outputs.first()?;
        let (size, _) = image(&graph.tensor(id)?.shape);
        let (output, channels) = image(&graph.tensor(to)?.shape);
        let plain = self.demands.layout(id, size, layer.input_channels, configuration);
        let output = self.demands.layout(to, output, channels, configuration);
        let dense = Dense::best(layer, size, &output, room, configuration)?;
        let wanted = match room {
            None => self.tiling.around(reader).is_none() && dense.pays(layer, &plain, &output, configuration),
            Some(room) => dense.layout.beats() <= u64::from(room),
        };
        (wanted && !shared && !kept).then_some((reader, dense))
    }

    /// Places the input's rows `rows`, each an image of its own.
    fn place_parts(
        &mut self,
        name: &str,
        full: &Layout,
        rows: &[Range<u64>],
        filler: u32,
    ) -> Result<(Region, Vec<InputPart>), CompileError> {
        let slices: Vec<u32> = (0..self.lowering.schedule.configuration.vector_slices).collect();
        let mut regions = Vec::new();
        for (number, rows) in rows.iter().enumerate() {
            let layout = full.band(rows);
            let beats = u32::try_from(layout.beats()).unwrap_or(u32::MAX);
            // Where padding begins stands in slice 0, behind the first part.
            let (more, order) = if number == 0 { (filler, &slices[..1]) } else { (0, &slices[..]) };
            let (slice, base, _) =
                self.lowering.schedule.allocate_in(&self.graph.name, name, beats.saturating_add(more), order)?;
            if more > 0 {
                self.lowering.fillers[slice as usize] = Some((base + beats, 0));
            }
            let region = Region { tensor: name.into(), slice, base, beats, positions: layout.positions() };
            let written = Region { beats: beats + more, ..region.clone() };
            regions.push(InputPart { element: (rows.start * full.columns * full.channels) as u32, region: written });
            let stored = Stored { region, ready: vec![0; beats as usize], layout: Some(layout), twin: None };
            self.parts.push(Part { rows: rows.clone(), stored, layout });
        }
        self.input_fill = full.fill as i8;
        let first = regions.remove(0).region;
        Ok((first, regions))
    }
}

/// A tensor that the host writes before the first run, and that stays where it is.
pub(super) fn place_constant(
    lowering: &mut Lowering<'_>,
    graph: &Graph,
    id: TensorId,
    values: &[i8],
    demands: &Demands,
) -> Result<Stored, CompileError> {
    let tensor = graph.tensor(id).ok_or_else(|| unsupported(graph, "a constant does not exist"))?;
    let configuration = lowering.schedule.configuration.clone();
    let (size, channels) = image(&tensor.shape);
    let layout = demands.layout(id, size, channels, &configuration);
    let beats = u32::try_from(layout.beats()).unwrap_or(u32::MAX);
    // Behind the first slice, where the input is.
    let (slice, base, _) = lowering.schedule.allocate(&graph.name, &tensor.name, beats, 1)?;
    let region = Region { tensor: tensor.name.clone(), slice, base, beats, positions: layout.positions() };
    let mut elements = vec![layout.fill as i16; (beats * configuration.dot) as usize];
    for (&position, &value) in region.positions.iter().zip(values) {
        elements[position as usize] = i16::from(value);
    }
    lowering.constants.push(Constants { name: tensor.name.clone(), slice, base, elements });
    Ok(Stored { region, ready: vec![0; beats as usize], layout: Some(layout), twin: None })
}

/// Brings the next value of each state to its place, once the present one has been read.
pub(super) fn keep_states(
    lowering: &mut Lowering<'_>,
    graph: &Graph,
    vectors: &[Option<Stored>],
    root: &[usize],
    last_read: &[u64],
) -> Result<(), CompileError> {
    let kept = |id: usize| graph.states.iter().any(|state| state.tensor.0 == id);
    for state in &graph.states {
        let (Some(from), Some(to)) = (&vectors[state.next.0], &vectors[state.tensor.0]) else {
            return Err(unsupported(graph, "the next value of a state is missing"));
        };
        let source = root[state.next.0];
        if source == state.tensor.0 {
            continue;
        }
        if kept(source) {
            let operator = "state that takes the value of another one".to_string();
            return Err(CompileError::NotLowered { layer: state.name.clone(), operator });
        }
        let froms: Vec<_> = (0..to.region.positions.len()).map(|element| Some((0, element))).collect();
        let mut to = to.clone();
        // What is not an element of it has been written by the host.
        to.ready.fill(1);
        lowering.move_into(&[from], &froms, 0, &state.name, (&mut to, last_read[state.tensor.0]), None)?;
    }
    Ok(())
}
