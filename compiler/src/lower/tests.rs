//! What the lowerings leave in the memories.
#![allow(clippy::unwrap_used)]

use crate::compile::compile;
use crate::graph::{
    Accumulation, ChannelScale, Convolution, Element, Elementwise, ElementwiseFunction, FullyConnected, Graph,
    Operator, OperatorKind, Padding, Plane, Quantisation, Tensor, TensorId, Window,
};
use crate::lower::convolution::{self, Dense};
use crate::lower::layout::Layout;
use lpu_isa::arithmetic::{Requantise, Rounding};
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Drain, Operation, Unit};
use lpu_isa::program::{Program, Scale};
use proptest::collection::vec;
use proptest::prelude::*;

/// A network of one operator.
fn graph(kind: OperatorKind, inputs: usize, outputs: usize) -> Graph {
    let quantisation = Quantisation { scale: 1.0, zero_point: 0 };
    let tensor = |name: &str, elements| Tensor {
        name: name.into(),
        shape: vec![elements],
        quantisation,
        element: Element::Int8,
    };
    Graph {
        name: "one".into(),
        tensors: vec![tensor("in", inputs), tensor("out", outputs)],
        operators: vec![Operator { name: "layer".into(), kind, inputs: vec![TensorId(0)], outputs: vec![TensorId(1)] }],
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(1)],
        ..Graph::default()
    }
}

/// Tiles in two columns of each group, the last row incomplete more often than not.
fn machine(tiles: u32, weight_bits: u32) -> Configuration {
    Configuration { tiles, dot: 2, stream_elements: 4, weight_bits, ..Configuration::default() }
}

/// The scale with which each element of the output is made, as the instructions say: the writer's steps follow the
/// requantiser's one by one, and what one writes the other has scaled.
fn scales_of_output(program: &Program) -> Vec<Scale> {
    let sequences = |unit| {
        let operations = program.queue(unit).unwrap().instructions.iter().map(|placed| placed.instruction.operation);
        operations.filter_map(|operation| operation.sequence().copied().map(|sequence| (operation, sequence)))
    };
    let entries: Vec<usize> = sequences(Unit::Requantiser)
        .flat_map(|(_, sequence)| sequence.steps())
        .map(|step| step.address as usize)
        .collect();
    let dot = program.configuration.dot;
    let words: Vec<(u32, u32)> = sequences(Unit::Write(program.output.slice))
        .flat_map(|(operation, sequence)| sequence.steps().map(move |step| (operation, step)))
        .map(|(operation, step)| match operation {
            Operation::Write { last_beats, .. } if step.end_of_level_0 => (step.address as u32, last_beats),
            _ => (step.address as u32, program.configuration.beats_per_word()),
        })
        .collect();
    assert_eq!(entries.len(), words.len());
    let positions = program.output.positions.iter();
    positions
        .map(|position| {
            let beat = program.output.base + position / dot;
            let word = words.iter().rposition(|&(first, beats)| (first..first + beats).contains(&beat)).unwrap();
            program.scales[entries[word]][((beat - words[word].0) * dot + position % dot) as usize]
        })
        .collect()
}

/// A fully connected layer of any size, with biases up to overflow.
fn layer(inputs: usize, outputs: usize) -> impl Strategy<Value = FullyConnected> {
    let bias = prop_oneof![Just(0), any::<i32>(), -1000..1000, Just(i32::MIN), Just(i32::MAX)];
    let scale = (1 << 30..=i32::MAX, -31..=30).prop_map(|(multiplier, shift)| ChannelScale { multiplier, shift });
    (
        vec(-8..8i8, inputs * outputs),
        proptest::option::of(vec(bias, outputs)),
        prop_oneof![Just(0), -128..128],
        vec(scale, outputs),
        any::<bool>(),
    )
        .prop_map(move |(weights, bias, input_zero_point, mut scales, same)| {
            if same {
                scales = vec![scales[0]; outputs];
            }
            FullyConnected {
                input_length: inputs,
                output_length: outputs,
                weights,
                accumulation: Accumulation {
                    bias,
                    input_zero_point,
                    scales,
                    output_zero_point: 3,
                    minimum: -128,
                    maximum: 127,
                    rounding: Rounding::Double,
                },
            }
        })
}

/// Cycles from the first step of the tiles to the first that another layer may take, as the instructions say.
fn tile_cycles(program: &Program) -> u64 {
    let (mut issue, mut first, mut end) = (0u64, u64::MAX, 0);
    for placed in &program.queue(Unit::TileGroup(0)).unwrap().instructions {
        if let Operation::Multiply { sequence, .. } = placed.instruction.operation {
            first = first.min(issue);
            end = issue + u64::from(sequence.runs()) * u64::from(sequence.run_steps() + sequence.gap);
        }
        issue += u64::from(placed.instruction.interval);
    }
    end - first
}

/// A convolution of `size` taps with padding that keeps the size of an image of `rows` × `columns` at stride 1.
fn square(channels: [usize; 2], size: usize, stride: usize, groups: usize) -> Convolution {
    let half = size / 2;
    let [input_channels, output_channels] = channels.map(|channels| channels * groups);
    let taps = size * size * input_channels / groups;
    Convolution {
        window: Window {
            size: Plane { rows: size, columns: size },
            stride: Plane { rows: stride, columns: stride },
            padding: Padding { top: half, bottom: half, left: half, right: half },
            ..Window::POINT
        },
        input_channels,
        output_channels,
        groups,
        weights: vec![1; taps * output_channels],
        accumulation: Accumulation {
            bias: None,
            input_zero_point: 3,
            scales: vec![ChannelScale { multiplier: 1 << 30, shift: -4 }; output_channels],
            output_zero_point: 0,
            minimum: -128,
            maximum: 127,
            rounding: Rounding::Double,
        },
    }
}

proptest! {
    #[test]
    fn a_convolution_takes_the_cycles_of_its_formula(
        (rows, columns) in (1..9usize, 1..9usize),
        channels in (1..20usize, 1..40usize),
        (half, stride, groups) in (0..2usize, 1..3usize, 1..3usize),
        tiles in prop::sample::select(vec![16u32, 24, 37]),
    ) {
        let layer = square([channels.0, channels.1], 2 * half + 1, stride, groups);
        let configuration =
            Configuration { tiles, weight_depth: 1 << 14, queue_depth: 1 << 11, ..Configuration::default() };
        let output = layer.window.output(Plane { rows, columns }).unwrap();
        let mut graph = graph(OperatorKind::Convolution(layer.clone()), 1, 1);
        graph.tensors[0].shape = vec![1, rows, columns, layer.input_channels];
        graph.tensors[1].shape = vec![1, output.rows, output.columns, layer.output_channels];
        let padding = (layer.window.padding, 3);
        let input = Layout::new(Plane { rows, columns }, layer.input_channels, padding, &configuration);
        let result = Layout::new(output, layer.output_channels, (Padding::default(), 0), &configuration);
        let formula = convolution::cycles(&layer, &input, &result, &configuration);
        let program = compile(&graph, &configuration, "bench").unwrap();
        let dense = Dense::best(&layer, Plane { rows, columns }, &result, None, &configuration);
        let dense = dense.and_then(|dense| dense.cycles(&layer, &result, &configuration));
        match dense.filter(|&dense| Some(dense) < formula) {
            // Phases follow each other as their drains allow.
            Some(dense) => prop_assert!(tile_cycles(&program) <= dense + 3 * u64::from(configuration.drain_cycles(Drain::AllRows))),
            None => prop_assert_eq!(Some(tile_cycles(&program)), formula),
        }
    }

    #[test]
    fn the_scale_table_holds_the_bias_of_each_channel_with_the_zero_point_of_the_input_folded_in(
        (inputs, outputs, layer) in (1..20usize, 1..40usize).prop_flat_map(|(inputs, outputs)| {
            (Just(inputs), Just(outputs), layer(inputs, outputs))
        }),
        tiles in 1..12u32,
        weight_bits in prop::sample::select(vec![4u32, 8]),
    ) {
        let kind = OperatorKind::FullyConnected(layer.clone());
        let program = compile(&graph(kind, inputs, outputs), &machine(tiles, weight_bits), "bench").unwrap();
        let expected: Vec<Scale> = (0..outputs)
            .map(|channel| {
                let weights = &layer.weights[channel * inputs..][..inputs];
                let sum: i64 = weights.iter().copied().map(i64::from).sum();
                let bias = layer.accumulation.bias.as_ref().map_or(0, |bias| i64::from(bias[channel]));
                let ChannelScale { multiplier, shift } = layer.accumulation.scales[channel];
                Scale { multiplier, shift, bias: (bias - i64::from(layer.accumulation.input_zero_point) * sum) as i32 }
            })
            .collect();
        prop_assert_eq!(scales_of_output(&program), expected);
        // The weights alone stand in the tiles: one word for each beat of the input in each pass, and one step for each word.
        let products = program.queue(Unit::TileGroup(0)).unwrap().instructions.iter();
        let products = products.filter_map(|placed| placed.instruction.operation.sequence()).collect::<Vec<_>>();
        prop_assert_eq!(products.len(), 1);
        prop_assert_eq!(products[0].run_steps() as usize, inputs.div_ceil(2));
        let words = (products[0].run_steps() * products[0].runs()) as usize;
        prop_assert!(program.weights.iter().all(|bytes| bytes.len() == 2 * words));
    }
}

#[test]
fn the_zero_point_of_a_stream_is_the_bias_of_its_scale_negated() {
    let (multiplier, shift) = (1 << 30, -1);
    let requantise =
        Requantise { multiplier, shift, zero_point: 5, minimum: -128, maximum: 127, rounding: Rounding::Double };
    for input_zero_point in [-128, 0, 7, 127] {
        let kind = OperatorKind::Elementwise(Elementwise {
            function: ElementwiseFunction::Quantize,
            input_zero_point,
            requantise,
        });
        let program = compile(&graph(kind, 11, 11), &machine(3, 8), "bench").unwrap();
        assert_eq!(scales_of_output(&program), vec![Scale { multiplier, shift, bias: -input_zero_point }; 11]);
    }
}

#[test]
fn channels_with_the_same_scale_and_bias_share_an_entry_and_others_have_one_for_each_word() {
    let entries = |bias: Vec<i32>| {
        let layer = FullyConnected {
            input_length: 2,
            output_length: 12,
            weights: vec![1; 24],
            accumulation: Accumulation {
                bias: Some(bias),
                input_zero_point: 0,
                scales: vec![ChannelScale { multiplier: 1 << 30, shift: 0 }; 12],
                output_zero_point: 0,
                minimum: -128,
                maximum: 127,
                rounding: Rounding::Double,
            },
        };
        compile(&graph(OperatorKind::FullyConnected(layer), 2, 12), &machine(4, 8), "bench").unwrap().scales.len()
    };
    assert_eq!(entries(vec![9; 12]), 1);
    // Four tiles in one row take three passes.
    assert_eq!(entries((0..12).collect()), 3);
}

#[test]
fn a_machine_with_narrow_scales_is_refused_before_anything_is_placed() {
    let narrow = Configuration { narrow_scales: true, ..machine(4, 8) };
    let error = compile(&graph(OperatorKind::Reshape, 4, 4), &narrow, "bench").unwrap_err().to_string();
    assert!(error.contains("narrow_scales"), "{error}");
    assert!(compile(&graph(OperatorKind::Reshape, 4, 4), &machine(4, 8), "bench").is_ok());
}
