//! Where everything of a language model stands: weights, scales, constants and buffers. The same for every length of the context.

use super::geometry::Geometry;
use super::register;
use crate::error::{CompileError, Resource};
use crate::llama::graph::{Matrix, QuantisedLayer, QuantisedLlama};
use lpu_isa::configuration::Configuration;
use lpu_isa::fixed_point::table::Table;
use lpu_isa::program::{Constants, Scale};

/// A vector in the vector memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Slice.
    pub slice: u32,
    /// First beat.
    pub base: u32,
}

/// Where the last pass of a matrix stands, if not behind the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Address of its first word in every tile.
    pub base: u32,
    /// Rows of tiles in front of its own, which hold the last pass of another matrix.
    pub first_row: u32,
}

/// A matrix in the weight RAMs.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Address of its first word in every tile.
    pub base: u32,
    /// Beats of the input: words of a pass.
    pub beats: u32,
    /// Passes over the input.
    pub passes: u32,
    /// Results of a pass, one for each of so many tiles.
    pub width: u32,
    /// Results of all passes.
    pub results: u32,
    /// First entry of the scale table; a row of results has one, a pass `rows`.
    pub scales: u32,
    /// Rows of results, and of others before them.
    pub rows: u32,
    /// See `rows`.
    pub first_row: u32,
    /// Its last pass, where it shares its words with that of another matrix.
    pub tail: Option<Tail>,
    /// Registers with the distance to the present layer's weights and scales; 0 for what no layer has.
    pub registers: (u32, u32),
}

impl Placed {
    /// Its passes from number `first` on, `count` of them, as a matrix of their own. The last of all passes may have fewer results, and is
    /// a part by itself where it stands apart.
    pub fn part(&self, first: u32, count: u32, geometry: &Geometry) -> Placed {
        let left = self.results - (first * self.width).min(self.results);
        let results = left.min(count * self.width);
        let width = if count == 1 { results.next_multiple_of(geometry.dot).min(self.width) } else { self.width };
        let behind = Tail { base: self.base + first * self.beats, first_row: 0 };
        let Tail { base, first_row } = self.tail.filter(|_| first + 1 == self.passes).unwrap_or(behind);
        Placed {
            base,
            first_row,
            passes: count,
            width,
            results,
            scales: self.scales + first * self.rows,
            rows: width.div_ceil(geometry.elements),
            ..self.clone()
        }
    }

    /// Beats of the results of a pass, where they stand without holes.
    pub fn pitch(&self, geometry: &Geometry) -> u32 {
        self.width.div_ceil(geometry.dot)
    }

    /// Beats of the last row of a pass.
    pub fn last_beats(&self, geometry: &Geometry) -> u32 {
        self.pitch(geometry) - (self.rows - 1) * geometry.beats_per_word
    }
}

/// A layer in memory.
#[derive(Clone, Debug)]
pub struct PlacedLayer {
    /// Wq; its results are padded heads.
    pub query: Placed,
    /// Wk, likewise.
    pub key: Placed,
    /// Wv; its results stand where values are stored.
    pub value: Placed,
    /// Wo; its input is what attention writes.
    pub output: Placed,
    /// W1.
    pub gate: Placed,
    /// W3.
    pub up: Placed,
    /// W2.
    pub down: Placed,
    /// First weight address of the keys of each sequence.
    pub keys: Vec<u32>,
    /// First weight address of the values of each sequence.
    pub values: Vec<u32>,
    /// What is subtracted from turned keys.
    pub key_offsets: Buffer,
    /// Scale table entry of each head's scores.
    pub scores: Vec<u32>,
    /// Scale table entry of the first row of the weighted values.
    pub weighted: u32,
    /// Number of the table of SiLU.
    pub silu: u32,
}

/// From layer to layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strides {
    /// Weight words.
    pub weights: u32,
    /// Entries of the scale table.
    pub scales: u32,
    /// Beats of constants.
    pub constants: u32,
}

/// Buffers that all layers share.
#[derive(Clone, Debug)]
pub struct Buffers {
    /// The token's row of the embedding.
    pub row: Buffer,
    /// The residual stream.
    pub residual: Buffer,
    /// A copy of it in another slice than the hidden vector, where there are enough: what is added to a product of the hidden vector
    /// is read while that is.
    pub copy: Option<Buffer>,
    /// Queries before RoPE, beside the first part of the angles and beside the second, and behind it.
    pub query: ([Buffer; 2], Buffer),
    /// Keys, likewise.
    pub key: ([Buffer; 2], Buffer),
    /// Scores of as many heads as there is room for, in another slice than the queries and the probabilities: all of them are on the
    /// way at once.
    pub scores: Buffer,
    /// Beats of that room.
    pub score_beats: u32,
    /// Probabilities of each head, in the slice of its stream.
    pub probabilities: Vec<Buffer>,
    /// The result of attention.
    pub attention: Buffer,
    /// SiLU of the gate.
    pub gate: Buffer,
    /// Beside it.
    pub up: Buffer,
    /// Their product.
    pub hidden: Buffer,
    /// The classifier's input, if it is not the residual stream.
    pub last: Buffer,
    /// The classifier's results.
    pub logits: Buffer,
}

impl Buffers {
    /// Where products find the residual stream that they are added to.
    pub fn beside(&self) -> Buffer {
        self.copy.unwrap_or(self.residual)
    }
}

/// A model in memory.
#[derive(Debug)]
pub struct Plan {
    /// How the machine's shape suits the model's.
    pub geometry: Geometry,
    /// Content of each tile's weight RAM.
    pub weights: Vec<Vec<i8>>,
    /// The scale table.
    pub scales: Vec<Vec<Scale>>,
    /// Content of the vector memory.
    pub constants: Vec<Constants>,
    /// Tables; number 0 is the exponential.
    pub tables: Vec<Table>,
    /// The first layer. The others stand behind it, each the same distance from the one before.
    pub layer: Option<PlacedLayer>,
    /// These distances.
    pub strides: Strides,
    /// The classifier.
    pub classifier: Placed,
    /// The embedding, whose rows are read out.
    pub embedding: Placed,
    /// The buffers of each sequence.
    pub buffers: Vec<Buffers>,
    /// Those of each token of a prompt that a run takes in; of the first, the sequence's own. Empty where a run takes in one.
    pub prompt: Vec<Buffers>,
    /// Cosines and sines of each position, in two parts. Both begin where position 0 would stand.
    pub angles: [Buffer; 2],
    /// The first position of the second part; beyond all positions where there is none.
    pub second_angles: u32,
    /// What the embedding's rows are multiplied with, by slot.
    pub factors: Buffer,
    /// Weights of the last norm.
    pub last_norm: Option<Buffer>,
}

/// Memory under allocation.
struct Memory<'a> {
    model: &'a str,
    configuration: &'a Configuration,
    geometry: Geometry,
    /// Sequences of which a run takes in a token.
    sequences: usize,
    weights: Vec<Vec<i8>>,
    scales: Vec<Vec<Scale>>,
    constants: Vec<Constants>,
    /// Beats in use in each slice.
    used: Vec<u32>,
}

impl Memory<'_> {
    fn does_not_fit(
        &self,
        layer: &str,
        resource: Resource,
        needed: u64,
        available: u64,
        what: &'static str,
        block_rams: u64,
    ) -> CompileError {
        let shortfall = if block_rams > 0 { format!(": {block_rams} block RAMs short") } else { String::new() };
        CompileError::DoesNotFit {
            model: self.model.into(),
            layer: layer.into(),
            resource,
            needed,
            available,
            what,
            shortfall,
            block_rams,
        }
    }

    /// Room for `words` words in every tile.
    fn weights(&mut self, words: u32) -> u32 {
        let base = self.weights[0].len();
        let more = words as usize * self.geometry.dot as usize;
        self.weights.iter_mut().for_each(|ram| ram.resize(base + more, 0));
        base as u32 / self.geometry.dot
    }

    /// Entries of the scale table.
    fn scales(&mut self, entries: Vec<Vec<Scale>>) -> u32 {
        let first = self.scales.len();
        self.scales.extend(entries);
        first as u32
    }

    /// What is in use of what each layer takes a part of.
    fn strides(&self) -> Strides {
        Strides {
            weights: self.weights[0].len() as u32 / self.geometry.dot,
            scales: self.scales.len() as u32,
            constants: self.used[self.geometry.constant_slice as usize],
        }
    }

    fn buffer(&mut self, slice: u32, beats: u32) -> Buffer {
        let base = self.used[slice as usize];
        // Words are read whole, and the pitch of a product may exceed its vector.
        self.used[slice as usize] += beats.next_multiple_of(self.geometry.beats_per_word);
        Buffer { slice, base }
    }

    /// Beats `from..to` of a buffer are zero from the beginning: whole words are read of it and whole rows of results added to it, so
    /// what stands behind the vector counts in sums over it.
    fn clear(&mut self, name: &str, buffer: Buffer, (from, to): (u32, u32)) {
        if from < to {
            let elements = vec![0; ((to - from) * self.geometry.dot) as usize];
            self.constants.push(Constants {
                name: name.into(),
                slice: buffer.slice,
                base: buffer.base + from,
                elements,
            });
        }
    }

    fn constants(&mut self, name: &str, elements: Vec<i16>) -> Buffer {
        self.constants_in(self.geometry.constant_slice, name, elements)
    }

    fn constants_in(&mut self, slice: u32, name: &str, mut elements: Vec<i16>) -> Buffer {
        let dot = self.geometry.dot as usize;
        elements.resize(elements.len().next_multiple_of(self.geometry.elements as usize), 0);
        let buffer = self.buffer(slice, (elements.len() / dot) as u32);
        self.constants.push(Constants { name: name.into(), slice, base: buffer.base, elements });
        buffer
    }

    /// Places a matrix. `positions` says where the input's elements stand, in `beats` beats; `slots` which row each tile computes:
    /// `width` of them a pass. Slots without a row have the scale `empty`.
    fn matrix(
        &mut self,
        weights: (&Matrix, &[Scale]),
        input: (&[u32], u32),
        slots: (&[Option<usize>], u32),
        empty: Scale,
    ) -> Placed {
        self.matrix_beside(weights, input, slots, empty, None)
    }

    /// The same; the last pass shares its words with that of the matrix `other` of the same input, if the full rows of tiles have room
    /// for both.
    fn matrix_beside(
        &mut self,
        (matrix, scales): (&Matrix, &[Scale]),
        (positions, beats): (&[u32], u32),
        (slots, width): (&[Option<usize>], u32),
        empty: Scale,
        other: Option<&Placed>,
    ) -> Placed {
        let (dot, elements) = (self.geometry.dot as usize, self.geometry.elements);
        let passes = slots.len().div_ceil(width as usize) as u32;
        let last_rows =
            |results: u32, passes: u32, width: u32| (results - passes.saturating_sub(1) * width).div_ceil(elements);
        let tail = other.and_then(|other| {
            let first_row = last_rows(other.results, other.passes, other.width);
            let rows = first_row + last_rows(slots.len() as u32, passes, width);
            let base = other.base + (other.passes - 1) * other.beats;
            (rows <= self.geometry.full_rows).then_some(Tail { base, first_row })
        });
        let base = self.weights((passes - u32::from(tail.is_some())) * beats);
        let rows = width.div_ceil(elements);
        let row_of = |pass: u32, tile: u32| {
            if tile < width { slots.get((pass * width + tile) as usize).copied().flatten() } else { None }
        };
        for pass in 0..passes {
            let behind = Tail { base: base + pass * beats, first_row: 0 };
            let Tail { base, first_row } = tail.filter(|_| pass + 1 == passes).unwrap_or(behind);
            for (tile, ram) in (0..).zip(self.weights.iter_mut().skip((first_row * elements) as usize)) {
                let Some(row) = row_of(pass, tile) else { continue };
                let start = base as usize * dot;
                let weights = &matrix.weights[row * matrix.columns..(row + 1) * matrix.columns];
                for (&weight, &position) in weights.iter().zip(positions) {
                    ram[start + position as usize] = weight;
                }
            }
        }
        let mut entries = Vec::new();
        for pass in 0..passes {
            for row in 0..rows {
                let scale = |lane: u32| row_of(pass, row * elements + lane).map_or(empty, |channel| scales[channel]);
                entries.push((0..elements).map(scale).collect());
            }
        }
        let scales = self.scales(entries);
        let results = slots.len() as u32;
        Placed { base, beats, passes, width, results, scales, rows, first_row: 0, tail, registers: (0, 0) }
    }

    /// Whether what has been placed fits.
    fn check(&self) -> Result<(), CompileError> {
        let configuration = self.configuration;
        let words = self.weights[0].len() as u64 / u64::from(self.geometry.dot);
        if words > u64::from(configuration.weight_depth) {
            let larger =
                Configuration { weight_depth: u32::try_from(words).unwrap_or(u32::MAX), ..configuration.clone() };
            let blocks =
                |configuration: &Configuration| u64::from(lpu_isa::resources::weight_block_rams(configuration));
            let more = blocks(&larger).saturating_sub(blocks(configuration));
            let what = "words of weight RAM in each tile";
            let available = u64::from(configuration.weight_depth);
            return Err(self.does_not_fit("keys and values", Resource::WeightRam, words, available, what, more));
        }
        let entries = self.scales.len() as u64;
        if entries > u64::from(configuration.scale_depth) {
            let available = u64::from(configuration.scale_depth);
            let what = "entries of the scale table";
            return Err(self.does_not_fit("classifier", Resource::ScaleTable, entries, available, what, 0));
        }
        let wide = self.scales.iter().flatten().filter(|scale| !scale.is_encodable_in(configuration)).count();
        if wide > 0 {
            let why = format!(
                "{wide} of its {} scales have a left shift, and the machine's are narrow (`narrow_scales`)",
                self.scales.iter().flatten().count()
            );
            return Err(CompileError::Unsupported { layer: self.model.into(), why });
        }
        let beats = self.used.iter().copied().max().unwrap_or(0);
        if beats > configuration.vector_beats() {
            let available = u64::from(configuration.vector_beats());
            let what = "beats of vector memory in one slice";
            return Err(self.does_not_fit("vectors", Resource::VectorMemory, u64::from(beats), available, what, 0));
        }
        Ok(())
    }
}

/// Rows `0..count`, one after the other.
fn in_order(count: usize) -> Vec<Option<usize>> {
    (0..count).map(Some).collect()
}

impl Plan {
    /// Places `graph` on `configuration`, for so many sequences at once, and so many tokens of a prompt.
    ///
    /// # Errors
    /// A memory that is too small, with the numbers.
    pub fn new(
        graph: &QuantisedLlama,
        configuration: &Configuration,
        geometry: Geometry,
        (sequences, tokens): (usize, usize),
    ) -> Result<Plan, CompileError> {
        let shape = &graph.shape;
        let mut memory = Memory {
            model: &graph.name,
            configuration,
            geometry: geometry.clone(),
            sequences,
            weights: vec![Vec::new(); configuration.tiles as usize],
            scales: Vec::new(),
            constants: Vec::new(),
            used: vec![0; configuration.vector_slices as usize],
        };
        let g = &geometry;
        let residual: Vec<u32> = (0..shape.dim as u32).collect();
        let residual = (&residual[..], (shape.dim as u32).div_ceil(g.dot));
        let mut tables = vec![graph.exponential.table.clone()];
        // All layers have the same sizes, so they take the same room.
        let before = memory.strides();
        let layers = graph.layers.iter().map(|layer| {
            let placed = place_layer(&mut memory, graph, layer, residual, &mut tables);
            (placed, memory.strides())
        });
        let layers: Vec<(PlacedLayer, Strides)> = layers.collect();
        let (layer, strides) = layers.into_iter().next().unzip();
        let strides: Strides = strides.unwrap_or(before);
        let strides = Strides {
            weights: strides.weights - before.weights,
            scales: strides.scales - before.scales,
            constants: strides.constants - before.constants,
        };
        let vocabulary = in_order(shape.vocabulary);
        let classifier = &graph.classifier.requantisation.scales;
        // Tiles without a token compute the last one's logit once more: the first of equals is the largest.
        let slots = vocabulary.len().next_multiple_of(g.tiles as usize);
        let twice: Vec<Option<usize>> = (0..slots).map(|slot| Some(slot.min(vocabulary.len() - 1))).collect();
        let none = Scale::default();
        let classifier = memory.matrix((graph.classifier_matrix(), classifier), residual, (&twice, g.tiles), none);
        let embedding = if graph.classifier.matrix.is_none() {
            classifier.clone()
        } else {
            // Only read out: its scales are nothing.
            let scales = vec![Scale::default(); shape.vocabulary];
            memory.matrix((&graph.embedding, &scales), residual, (&vocabulary, g.tiles), Scale::default())
        };
        let mut factors = vec![0; shape.vocabulary.div_ceil(g.tiles as usize) * g.slot_pitch as usize];
        for token in 0..shape.vocabulary {
            factors[g.slot(token as u32) as usize] = graph.embedding_factors[token];
        }
        let factors = memory.constants_in(0, "factors of the embedding", factors);
        let last_norm = graph.classifier.weights.as_ref();
        let last_norm = last_norm.map(|weights| memory.constants("weights of the last norm", weights.values.clone()));
        let buffers_of =
            |memory: &mut Memory<'_>, before: &[Buffers]| buffers(memory, graph, layer.as_ref(), &classifier, before);
        let buffers: Vec<Buffers> = (0..sequences).map(|_| buffers_of(&mut memory, &[])).collect();
        let (angles, second_angles) = angles(&mut memory, graph);
        let mut prompt: Vec<Buffers> = buffers.first().filter(|_| tokens > 1).into_iter().cloned().collect();
        while (1..tokens).contains(&prompt.len()) {
            let next = buffers_of(&mut memory, &prompt);
            prompt.push(next);
        }
        memory.check()?;
        if tables.len() > configuration.tables() as usize {
            let why = format!("it needs {} function tables, the machine has {}", tables.len(), configuration.tables());
            return Err(CompileError::Unsupported { layer: "feed-forward network".into(), why });
        }
        let Memory { weights, scales, constants, .. } = memory;
        Ok(Plan {
            geometry,
            weights,
            scales,
            constants,
            tables,
            layer,
            strides,
            classifier,
            embedding,
            buffers,
            prompt,
            angles,
            second_angles,
            factors,
            last_norm,
        })
    }
}

fn place_layer(
    memory: &mut Memory<'_>,
    graph: &QuantisedLlama,
    layer: &QuantisedLayer,
    residual: (&[u32], u32),
    tables: &mut Vec<Table>,
) -> PlacedLayer {
    let shape = &graph.shape;
    let g = memory.geometry.clone();
    let (attention, network) = (&layer.attention, &layer.feed_forward);
    let none = Scale::default();
    let scales = |product: &crate::llama::graph::Product| product.requantisation.scales.clone();
    // Queries and keys: heads, each from a beat of its own on.
    let heads = |count: usize| {
        let mut slots = vec![None; count * g.head_pitch as usize];
        for row in 0..count * shape.head_size {
            slots[row / shape.head_size * g.head_pitch as usize + row % shape.head_size] = Some(row);
        }
        slots
    };
    let query = &attention.query.product;
    let query = memory.matrix((&query.matrix, &scales(query)), residual, (&heads(shape.heads), g.dense), none);
    let key = &attention.key.product;
    let key = memory.matrix((&key.matrix, &scales(key)), residual, (&heads(shape.kv_heads), g.dense), none);
    let mut slots = vec![None; (g.value_passes * g.full) as usize];
    for (channel, slot) in (0..).zip(g.value_slots(shape)) {
        slots[slot as usize] = Some(channel);
    }
    let value = &attention.value.product;
    let value = memory.matrix((&value.matrix, &scales(value)), residual, (&slots, g.full), none);
    let weighted = (0..g.value_passes * g.full_rows).map(|row| {
        let channel = |lane: u32| slots[(row * g.elements + lane) as usize];
        (0..g.elements).map(|lane| channel(lane).map_or(none, |channel| attention.weighted_scales[channel])).collect()
    });
    let weighted = weighted.collect();
    let weighted = memory.scales(weighted);
    let scores = attention.score_scales.iter().map(|&scale| memory.scales(vec![vec![scale; g.elements as usize]]));
    let scores: Vec<u32> = scores.collect();

    let positions = g.attention_positions(shape);
    let beats = g.attention_words() * g.beats_per_word;
    let output = &attention.output;
    let rows = in_order(shape.dim);
    let output = memory.matrix((&output.matrix, &scales(output)), (&positions, beats), (&rows, g.full), none);
    let hidden = in_order(shape.hidden);
    let [gate, up] = [&network.gate.product, &network.up.product];
    let gate = memory.matrix((&gate.matrix, &scales(gate)), residual, (&hidden, g.dense), none);
    let up = memory.matrix_beside((&up.matrix, &scales(up)), residual, (&hidden, g.dense), none, Some(&gate));
    let positions: Vec<u32> = (0..shape.hidden as u32).collect();
    let beats = (shape.hidden as u32).div_ceil(g.dot);
    let down = &network.down;
    let down = memory.matrix((&down.matrix, &scales(down)), (&positions, beats), (&rows, g.full), none);

    let keys = (0..memory.sequences).map(|_| memory.weights(g.key_passes * g.key_words)).collect();
    let values = (0..memory.sequences).map(|_| memory.weights(g.value_passes * g.value_words)).collect();
    let mut offsets = vec![0; shape.kv_heads * g.head_pitch as usize];
    for (channel, &offset) in attention.key_offsets.iter().enumerate() {
        offsets[channel / shape.head_size * g.head_pitch as usize + channel % shape.head_size] = offset;
    }
    let key_offsets = memory.constants("middles of the keys", offsets);
    let silu = tables.iter().position(|table| *table == network.silu).unwrap_or_else(|| {
        tables.push(network.silu.clone());
        tables.len() - 1
    });
    let silu = silu as u32;
    let registers = (register::WEIGHTS, register::SCALES);
    let [query, key, value, output, gate, up, down] =
        [query, key, value, output, gate, up, down].map(|placed| Placed { registers, ..placed });
    PlacedLayer { query, key, value, output, gate, up, down, keys, values, key_offsets, scores, weighted, silu }
}

/// Places the angles: those of the first positions in the slice of the constants, the others in another, because one slice would have
/// to be as large as everything else together.
fn angles(memory: &mut Memory<'_>, graph: &QuantisedLlama) -> ([Buffer; 2], u32) {
    let g = memory.geometry.clone();
    let mut first = g.angles(graph);
    let parts = memory.configuration.vector_slices > 2;
    // A power of two of passes: no schedule serves positions of both parts.
    let half = g.key_passes.next_power_of_two() / 2;
    let position = if parts && half > 0 { (half * g.full).min(g.context) } else { g.context };
    let before = position * g.angle_beats();
    let second = first.split_off((before * g.dot) as usize);
    let first = memory.constants("angles", first);
    if second.is_empty() {
        return ([first; 2], u32::MAX);
    }
    // A position's distance from the first one is added to the base, which is no less than 0.
    let slice = 1;
    let used = &mut memory.used[slice as usize];
    *used = (*used).max(before);
    let second = memory.constants_in(slice, "angles of later positions", second);
    ([first, Buffer { base: second.base - before, ..second }], position)
}

/// The buffers of a sequence, or of a token of a prompt behind those `before` it. Scores and probabilities are there once for all
/// tokens of a prompt, since their heads take turns; of what comes between the gate and the hidden vector there are two.
fn buffers(
    memory: &mut Memory<'_>,
    graph: &QuantisedLlama,
    layer: Option<&PlacedLayer>,
    classifier: &Placed,
    before: &[Buffers],
) -> Buffers {
    let shared = before.first();
    let in_turn = before.len().checked_sub(2).and_then(|number| before.get(number));
    let g = memory.geometry.clone();
    let (first, second, constant) = (0, 1 % memory.configuration.vector_slices, g.constant_slice);
    // With three slices, three vectors that are read at once stand in slices of their own.
    let apart = memory.configuration.vector_slices > 2;
    let (other, beside) = if apart { (second, constant) } else { (first, first) };
    // Of what is written in passes, the last pass may be longer than the vector.
    let written = |placed: &Placed| placed.passes * placed.pitch(&g) + g.beats_per_word;
    let widest = |of: fn(&PlacedLayer) -> &Placed| layer.map_or(1, |layer| written(of(layer)));
    let residual =
        widest(|layer| &layer.output).max(widest(|layer| &layer.down)).max(classifier.beats + g.beats_per_word);
    let (query, key) = (widest(|layer| &layer.query), widest(|layer| &layer.key));
    let hidden = widest(|layer| &layer.gate).max(widest(|layer| &layer.up));
    let probabilities = g.key_passes * g.full / g.dot;
    let (row, stream) = (memory.buffer(first, residual), memory.buffer(first, residual));
    let copy = apart.then(|| memory.buffer(constant, residual));
    let behind = (graph.shape.dim as u32).div_ceil(g.dot);
    memory.clear("behind the token's row", row, (behind, behind.next_multiple_of(g.beats_per_word)));
    memory.clear("behind the residual stream", stream, (behind, residual.next_multiple_of(g.beats_per_word)));
    if let Some(copy) = copy {
        memory.clear("behind the residual stream's copy", copy, (behind, residual.next_multiple_of(g.beats_per_word)));
    }
    // Four heads of the longest context keep the exponentials busy.
    let score_beats = probabilities * (graph.shape.heads as u32).min(4);
    // What is turned is read while the residual stream is.
    let mut turned = |beats| {
        let here = memory.buffer(other, beats);
        let there = memory.buffer(beside, beats);
        ([here, there], memory.buffer(first, beats))
    };
    let (query, key) = (turned(query), turned(key));
    let all_probabilities = |memory: &mut Memory<'_>| {
        let one = |head| memory.buffer(g.stream_of(head, &graph.shape), probabilities);
        (0..graph.shape.heads).map(one).collect()
    };
    Buffers {
        row,
        residual: stream,
        copy,
        query,
        key,
        scores: shared.map_or_else(|| memory.buffer(constant, score_beats), |buffers| buffers.scores),
        score_beats,
        probabilities: shared.map_or_else(|| all_probabilities(memory), |buffers| buffers.probabilities.clone()),
        attention: memory.buffer(second, g.attention_words() * g.beats_per_word),
        // Both are multiplied while `up`'s product reads the residual stream, and while `down`'s reads the hidden vector.
        gate: in_turn.map_or_else(|| memory.buffer(constant, hidden), |buffers| buffers.gate),
        up: memory.buffer(other, hidden),
        hidden: memory.buffer(if apart { first } else { second }, hidden),
        last: shared.map_or_else(|| memory.buffer(second, residual), |buffers| buffers.last),
        logits: shared.map_or_else(
            || memory.buffer(first, classifier.passes * classifier.rows * g.beats_per_word),
            |buffers| buffers.logits,
        ),
    }
}
