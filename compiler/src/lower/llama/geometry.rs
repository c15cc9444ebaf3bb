//! How a model's sizes meet a machine's: which tile holds which position of a key and which channel of a value.
//!
//! With `E` elements a word, `d` elements a beat, `Rf` full rows of tiles and `S` streams at once:
//!
//! * The key of position *p* stands in tile *p* mod `Rf E`, all its heads one after the other, so that a pass of a query over all
//!   tiles gives the scores of `Rf E` positions in order: row by row, word by word.
//! * Values are transposed: a weight word holds `d` positions of one channel. Channel *i* of key-value head *g* stands in the
//!   columns of tile group *g* mod `S`, row (*g* / `S`) ⌈head / d⌉ + *i* / `d`. So `S` heads are summed up at once, each group with
//!   the probabilities of its own head.

use crate::error::CompileError;
use crate::llama::graph::QuantisedLlama;
use crate::llama::model::Shape;
use lpu_isa::configuration::Configuration;

/// Sizes that follow from a model and a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Elements of a word.
    pub elements: u32,
    /// Elements of a beat.
    pub dot: u32,
    /// Beats of a word.
    pub beats_per_word: u32,
    /// Tiles, where a product may use all of them.
    pub tiles: u32,
    /// Rows of results, where a product uses all tiles.
    pub rows: u32,
    /// Tiles, where results are to be whole beats.
    pub dense: u32,
    /// Full rows of tiles.
    pub full_rows: u32,
    /// Tiles of full rows: where results are to be whole words.
    pub full: u32,
    /// Heads whose probabilities are read at once, each from a slice of its own.
    pub streams: u32,
    /// The slice of the constants.
    pub constant_slice: u32,
    /// Elements from head to head in queries and keys.
    pub head_pitch: u32,
    /// Words of a pattern of angles.
    pub angle_words: u32,
    /// Query heads that share a key-value head.
    pub sharing: u32,
    /// Weight words of a position's keys.
    pub key_words: u32,
    /// Passes over a query for all positions.
    pub key_passes: u32,
    /// Weight words of a value's channel.
    pub value_words: u32,
    /// Rows of tiles that a head's values take.
    pub value_rows: u32,
    /// Blocks of `streams` key-value heads.
    pub blocks: u32,
    /// Times that all full rows hold values.
    pub value_passes: u32,
    /// Slots of a pass of the classifier: a power of two, so that a slot's bits say pass and tile.
    pub slot_pitch: u32,
    /// Positions that there is room for.
    pub context: u32,
}

impl Geometry {
    /// The geometry of `graph` with room for `context` positions.
    ///
    /// # Errors
    /// A machine that cannot execute language models, or weights in groups.
    pub fn new(graph: &QuantisedLlama, configuration: &Configuration, context: u32) -> Result<Geometry, CompileError> {
        let refuse = |why: &str| Err(CompileError::Unsupported { layer: graph.name.clone(), why: why.into() });
        let shape = &graph.shape;
        if configuration.extensions.is_none() {
            return refuse(
                "the machine has no `extensions`; language models need run-time registers, scalars and tables",
            );
        }
        if configuration.vector_slices < 2 {
            return refuse(
                "the machine has one slice of vector memory, and vectors are multiplied with each other: two are needed",
            );
        }
        let matrices = graph.layers.iter().flat_map(|layer| {
            let (attention, network) = (&layer.attention, &layer.feed_forward);
            let normed = [&attention.query, &attention.key, &attention.value, &network.gate, &network.up];
            normed
                .map(|normed| &normed.product.matrix)
                .into_iter()
                .chain([&attention.output.matrix, &network.down.matrix])
        });
        if matrices.chain([&graph.embedding, graph.classifier_matrix()]).any(|matrix| matrix.groups() > 1) {
            return refuse(
                "its weights have scales for groups of columns, and a tile sums a whole row; quantise it to int8",
            );
        }
        let (elements, dot, tiles) = (configuration.stream_elements, configuration.dot, configuration.tiles);
        let full_rows = tiles / elements;
        let full = full_rows * elements;
        let streams = (elements / dot).min(configuration.vector_slices - 1).max(1);
        let head = shape.head_size as u32;
        let head_pitch = match head.next_power_of_two().max(dot) {
            pitch if pitch < elements => pitch,
            _ => head.next_multiple_of(elements),
        };
        let key_passes = context.div_ceil(full);
        let value_rows = head.div_ceil(dot);
        let blocks = (shape.kv_heads as u32).div_ceil(streams);
        let rows = configuration.tile_rows();
        Ok(Geometry {
            elements,
            dot,
            beats_per_word: elements / dot,
            tiles,
            rows,
            dense: tiles - tiles % dot,
            full_rows,
            full,
            streams,
            constant_slice: configuration.vector_slices - 1,
            head_pitch,
            angle_words: head_pitch.div_ceil(elements),
            sharing: (shape.heads / shape.kv_heads) as u32,
            key_words: shape.kv_heads as u32 * head_pitch / dot,
            key_passes,
            value_words: context.div_ceil(dot),
            value_rows,
            blocks,
            value_passes: (blocks * value_rows).div_ceil(full_rows),
            slot_pitch: (rows * elements).next_power_of_two(),
            context,
        })
    }

    /// The slot of a token: where the classifier computes it.
    pub fn slot(&self, token: u32) -> u32 {
        token / self.tiles * self.slot_pitch + token % self.tiles
    }

    /// The stream, and so the slice and the tile group, of a query head's probabilities.
    pub fn stream_of(&self, head: usize, shape: &Shape) -> u32 {
        shape.kv_head(head) as u32 % self.streams
    }

    /// The query head of block `block` that is number `number` of those that share a key-value head, on `stream`.
    pub fn head_of(&self, block: u32, number: u32, stream: u32, shape: &Shape) -> Option<usize> {
        let kv_head = block * self.streams + stream;
        ((kv_head as usize) < shape.kv_heads).then_some((kv_head * self.sharing + number) as usize)
    }

    /// The scalar of a query head: its largest score, then the reciprocal of its probabilities' sum.
    pub fn scalar_of(&self, block: u32, number: u32, stream: u32) -> u32 {
        1 + (block * self.sharing + number) * self.beats_per_word + stream
    }

    /// Query heads of a stream.
    pub fn heads_of_stream(&self) -> u32 {
        self.blocks * self.sharing
    }

    /// Scalars needed: the norm's factor and those of the heads.
    pub fn scalars(&self) -> u32 {
        1 + self.blocks * self.sharing * self.beats_per_word
    }

    /// For each channel of the values, the tile that computes and holds it, counted on over all passes.
    pub fn value_slots(&self, shape: &Shape) -> Vec<u32> {
        let head = shape.head_size as u32;
        let slot = |channel: u32| {
            let (kv_head, within) = (channel / head, channel % head);
            let row = kv_head / self.streams * self.value_rows + within / self.dot;
            row * self.elements + kv_head % self.streams * self.dot + within % self.dot
        };
        (0..shape.kv_length() as u32).map(slot).collect()
    }

    /// Where each element of attention's result stands.
    pub fn attention_positions(&self, shape: &Shape) -> Vec<u32> {
        let size = shape.head_size as u32;
        let position = |element: u32| {
            let (head, within) = (element / size, element % size);
            let (kv_head, number) = (head / self.sharing, head % self.sharing);
            let block = kv_head / self.streams;
            let word = (block * self.sharing + number) * self.value_rows + within / self.dot;
            word * self.elements + kv_head % self.streams * self.dot + within % self.dot
        };
        (0..shape.query_length() as u32).map(position).collect()
    }

    /// Words of attention's result.
    pub fn attention_words(&self) -> u32 {
        self.blocks * self.sharing * self.value_rows
    }

    /// Beats of a position's angles.
    pub fn angle_beats(&self) -> u32 {
        2 * self.angle_words * self.beats_per_word
    }

    /// For each position and each word of a head: a word of cosines, a word of sines, negative for the first element of a pair.
    pub fn angles(&self, graph: &QuantisedLlama) -> Vec<i16> {
        let (size, pairs) = (graph.shape.head_size, graph.shape.head_size / 2);
        let mut elements = Vec::new();
        for position in 0..self.context as usize {
            let at = |element: usize, of: &[i16]| {
                let within = element % self.head_pitch as usize;
                if within < size { of[position * pairs + within / 2] } else { 0 }
            };
            for word in 0..self.angle_words as usize {
                let places = || word * self.elements as usize..(word + 1) * self.elements as usize;
                elements.extend(places().map(|element| at(element, &graph.cosines)));
                elements.extend(places().map(|element| {
                    let sine = at(element, &graph.sines);
                    if element % 2 == 0 { -sine } else { sine }
                }));
            }
        }
        elements
    }
}
