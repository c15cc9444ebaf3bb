//! Operators on each element alone: clamps and changes of scale.
//!
//! Where only the zero point and the clamp change, the vector unit adds and clamps. Where the scale changes too, the stream
//! goes through the requantiser, and so does everything where there is no vector unit: scaling by 1 is exact.
//!
//! # Cost
//!
//! One word a cycle, through the requantiser one each `requantise_interval` cycles: `ceil(beats / beats_per_word)` words of a vector, of an
//! image as many for each row of each block of channels. [`cost`] adds the latencies of one round trip.

use super::cost::{Cost, Streaming};
use super::stream::{Stream, Through, rows_of};
use super::{Lowered, Lowering, Target};
use crate::error::CompileError;
use crate::graph::Elementwise;
use crate::schedule::{Draft, Stored};
use lpu_isa::arithmetic::{Requantise, Rounding};
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Function, Operation, RequantiseFrom, Source, Tracking, Unit};
use lpu_isa::program::{Region, Scale};
use lpu_isa::sequence::Sequence;
use lpu_isa::vector::Arithmetic;

/// Does the vector unit do it?
fn is_clamp(operator: &Elementwise, configuration: &Configuration) -> bool {
    let Requantise { multiplier, shift, .. } = operator.requantise;
    configuration.vector_unit && (multiplier, shift) == Requantise::IDENTITY
}

/// The cycles of `operator` alone, on so many words.
#[must_use]
pub fn cost(operator: &Elementwise, words: u64, configuration: &Configuration) -> Cost {
    let through = if is_clamp(operator, configuration) { Streaming::Vector } else { Streaming::Requantiser };
    through.cost(words, 0, configuration)
}

/// Lowers `operator`, which reads `input`.
///
/// # Errors
/// A memory that is too small, or a vector beyond the counters.
pub fn lower(
    lowering: &mut Lowering<'_>,
    name: &str,
    tensor: &str,
    operator: &Elementwise,
    input: &Stored,
    number: u32,
) -> Result<Lowered, CompileError> {
    let configuration = lowering.schedule.configuration.clone();
    let latency = lowering.schedule.latency.clone();
    let word = configuration.beats_per_word();
    let beats = input.region.beats;
    let words = beats.div_ceil(word);
    if words > configuration.longest_loop() {
        return Err(CompileError::TooLarge {
            layer: name.into(),
            what: "the vector, in words,",
            value: u64::from(words),
            limit: configuration.longest_loop().into(),
        });
    }
    let Requantise { multiplier, shift, zero_point, minimum, maximum, rounding } = operator.requantise;
    if rounding != Rounding::Double {
        return Err(CompileError::Unsupported { layer: name.into(), why: "the requantiser rounds twice".into() });
    }
    let next_slice = (input.region.slice + 1) % configuration.vector_slices;
    let (slice, base, last_read) = lowering.schedule.allocate(lowering.model, name, beats, next_slice)?;
    let source = Source::Slice(input.region.slice);
    let stride = |base: u32| Sequence { delta: [word as i32, 0, 0, 0], ..Sequence::linear(base, words) };
    let identity = is_clamp(operator, &configuration);
    let pace = if identity { 1 } else { configuration.requantise_interval };
    let (unit, operation, latency_of_unit, result_port) = if identity {
        let operation = Operation::Vector {
            function: Function::Add,
            a: source,
            b: None,
            constant: zero_point - operator.input_zero_point,
            minimum,
            maximum,
            arithmetic: Arithmetic::default(),
            sequence: Sequence { delta: [0; 4], ..Sequence::linear(0, words) },
        };
        (Unit::Vector, operation, latency.vector(Function::Add, &Arithmetic::default()), Source::Vector)
    } else {
        let lanes = configuration.stream_elements as usize;
        // The requantiser adds what a stream's elements lack: the zero point, negated.
        let scale = Scale { multiplier, shift, bias: -operator.input_zero_point };
        let index = lowering.add_scales(name, vec![vec![scale; lanes]])?;
        let operation = Operation::Requantise {
            from: RequantiseFrom::Stream(source),
            zero_point,
            minimum,
            maximum,
            tracking: Tracking::default(),
            sequence: Sequence { delta: [0; 4], ..Sequence::linear(index, words) }.paced(pace),
        };
        (Unit::Requantiser, operation, latency.requantise, Source::Requantiser)
    };
    // All offsets count from the first step of the read.
    let unit_offset = i64::from(latency.vector_read);
    let write_offset = unit_offset + i64::from(latency_of_unit);
    let drafts = [
        Draft {
            unit: Unit::Read(input.region.slice),
            offset: 0,
            operation: Operation::Read { sequence: stride(input.region.base).paced(pace) },
        },
        Draft { unit, offset: unit_offset, operation },
        Draft {
            unit: Unit::Write(slice),
            offset: write_offset,
            operation: Operation::Write {
                source: result_port,
                last_beats: beats - (words - 1) * word,
                sequence: stride(base).paced(pace),
            },
        },
    ];
    let mut origin = 1;
    for (beat, &ready) in input.ready.iter().enumerate() {
        origin = origin.max(ready.saturating_sub(beat as u64 / u64::from(word) * u64::from(pace)));
    }
    // As in a fully connected layer: what has been read may be overwritten from the next cycle on.
    origin = origin.max((last_read + 1).saturating_sub(write_offset as u64));
    let origin = lowering.schedule.earliest(origin, &drafts);
    lowering.schedule.place(origin, &drafts, Some(number));
    let ready: Vec<u64> = (0..beats)
        .map(|beat| origin + write_offset as u64 + u64::from(beat / word * pace) + u64::from(latency.write_to_read))
        .collect();
    lowering.schedule.note_end(ready.iter().copied().max().unwrap_or(0));
    let positions = input.region.positions.clone();
    let region = Region { tensor: tensor.into(), slice, base, beats, positions };
    Ok(Lowered {
        result: Stored { region, ready, layout: None, twin: None },
        tiles: 0,
        start: origin,
        last_read: origin + u64::from((words - 1) * pace),
    })
}

/// Lowers `operator`, which reads the image `input`.
///
/// # Errors
/// A memory that is too small, or an image beyond the counters.
pub fn lower_image(
    lowering: &mut Lowering<'_>,
    operator: &Elementwise,
    input: &Stored,
    input_layout: &super::layout::Layout,
    target: &Target<'_>,
) -> Result<Lowered, CompileError> {
    let Requantise { multiplier, shift, zero_point, minimum, maximum, rounding } = operator.requantise;
    super::check_rounding(target.name, rounding)?;
    let (mut stored, last_read) = lowering.place_image(target)?;
    let word = lowering.schedule.configuration.beats_per_word();
    let identity = lowering.schedule.configuration.vector_unit && (multiplier, shift) == Requantise::IDENTITY;
    let through = if identity {
        Through::Vector { function: Function::Add, constant: zero_point - operator.input_zero_point }
    } else {
        Through::Requantiser { scale: Scale { multiplier, shift, bias: -operator.input_zero_point }, zero_point }
    };
    let (read, _) = rows_of(input_layout, input, word);
    let (own, last_beats) = rows_of(&target.layout, &stored, word);
    let streamed = lowering.stream(&Stream {
        name: target.name,
        reads: vec![(input.region.slice, read, &input.ready[..], input.region.base)],
        through,
        minimum,
        maximum,
        write: (stored.region.slice, own),
        also: None,
        last_beats,
        earliest: 0,
        last_read,
        number: Some(target.number),
    })?;
    stored.land(&streamed.landed);
    Ok(Lowered { result: stored, tiles: 0, start: streamed.start, last_read: streamed.last_read })
}
