//! For each lowering, its cost formula, the compiler's prediction, the cycle model and the RTL say the same number.
//!
//! A formula is evaluated from the layer's shape and the machine alone (`compiler/src/lower/cost.rs` says what it leaves out); then a
//! network of that one layer is compiled and executed. `cargo test -p lpu-tests --test lowerings -- --nocapture` prints how many of each
//! were compared.

#![allow(clippy::unwrap_used)]

use lpu_compiler::graph::{
    Concatenation, Constant, Element, Graph, Operator, OperatorKind, Padding, PoolFunction, Quantisation, Slice,
    Tensor, TensorId,
};
use lpu_compiler::import::import;
use lpu_compiler::lower::convolution::{self, Dense};
use lpu_compiler::lower::cost::{Cost, words};
use lpu_compiler::lower::layout::{Layout, image};
use lpu_compiler::lower::{elementwise, fully_connected, gather, lookup, mean, movement, pool, product, softmax};
use lpu_isa::configuration::{Configuration, Pipeline};
use lpu_tests::machines::looking_up;
use lpu_tests::operators::{OPERATORS, case};
use lpu_tests::random::Random;
use lpu_tests::witnesses::{compile_and_check, library, model_agrees, rtl_agrees};

/// A network of one layer, and what its formula says; `None` where a case has more than one layer or the formula none to say.
type Draw = fn(u64, &Configuration) -> Option<(Graph, Cost)>;

/// Every file of `compiler/src/lower/` that lowers operators of such networks, the operators that it is asked about, and how a layer is
/// drawn.
const FAMILIES: [(&str, &str, Draw); 15] = [
    ("convolution", "plain", |seed, machine| windows("CONV_2D", seed, machine)),
    ("convolution", "depthwise", |seed, machine| windows("DEPTHWISE_CONV_2D", seed, machine)),
    ("fully_connected", "", fully_connected_layer),
    ("pool", "average", |seed, machine| windows("AVERAGE_POOL_2D", seed, machine)),
    ("pool", "maximum", |seed, machine| windows("MAX_POOL_2D", seed, machine)),
    ("mean", "", |seed, machine| windows("MEAN", seed, machine)),
    ("elementwise", "relu", |seed, machine| elements("RELU", seed, machine)),
    ("elementwise", "relu6", |seed, machine| elements("RELU6", seed, machine)),
    ("elementwise", "quantize", |seed, machine| elements("QUANTIZE", seed, machine)),
    ("lookup", "logistic", |seed, machine| elements("LOGISTIC", seed, machine)),
    ("lookup", "add", |seed, machine| elements("ADD", seed, machine)),
    ("softmax", "", |seed, machine| elements("SOFTMAX", seed, machine)),
    ("product", "multiply", |seed, machine| elements("MUL", seed, machine)),
    ("movement", "columns and rows of images, parts of vectors", parts_in_place),
    ("gather", "parts of vectors", parts_out_of_place),
];

/// Layers of each kind on each machine.
const LAYERS: usize = 24;

/// Layers of each kind on the RTL.
const ON_RTL: usize = 3;

/// Cases that are looked through for them.
const MOST_SEEDS: u64 = 1000;

/// Machines of one row of tiles and of several, with queues that are faster and slower than the memory.
fn machines() -> Vec<(&'static str, Configuration)> {
    let deep = Configuration {
        weight_depth: 1 << 14,
        vector_depth: 1 << 12,
        scale_depth: 1 << 11,
        ..Configuration::default()
    };
    let deep = Configuration { queue_depth: 1 << 11, lookup: true, softmax_tables: 1, ..deep };
    let fast = Pipeline { crossbar: 1, vector_read: 0, ..deep.pipeline };
    let mut machines = looking_up().to_vec();
    machines.push(("five rows", deep.clone()));
    machines.push((
        "three rows, fast queues, short pipelines, separate sums",
        Configuration {
            tiles: 24,
            requantise_interval: 1,
            queue_word_bits: 200,
            pipeline: fast,
            separate_sums: true,
            ..deep
        },
    ));
    machines
}

/// A tensor's sizes.
type Shape = Vec<usize>;

/// The one operator of a case, with the shapes of its operands and of its result.
fn only(name: &str, seed: u64) -> Option<(Graph, OperatorKind, Vec<Shape>, Shape)> {
    let number = OPERATORS.iter().position(|(operator, _)| *operator == name).unwrap();
    let graph = import(&case(number, seed).model.bytes(), "layer").ok()?;
    let [operator] = &graph.operators[..] else { return None };
    let shape = |id: &TensorId| graph.tensors[id.0].shape.clone();
    let (kind, inputs, output) =
        (operator.kind.clone(), operator.inputs.iter().map(shape).collect(), shape(&operator.outputs[0]));
    Some((graph, kind, inputs, output))
}

/// An image of that shape with padding around it.
fn layout(shape: &[usize], padding: (Padding, i32), machine: &Configuration) -> Layout {
    let (size, channels) = image(shape);
    Layout::new(size, channels, padding, machine)
}

fn plain(shape: &[usize], machine: &Configuration) -> Layout {
    layout(shape, (Padding::default(), 0), machine)
}

/// Words of an image.
fn words_of(shape: &[usize], machine: &Configuration) -> u64 {
    let layout = plain(shape, machine);
    words(layout.rows * layout.blocks(), layout.columns * layout.block_beats, machine)
}

fn windows(name: &str, seed: u64, machine: &Configuration) -> Option<(Graph, Cost)> {
    let (graph, kind, inputs, shape) = only(name, seed)?;
    let cost = cost_of_windows(&kind, &inputs, &shape, machine)?;
    // The compiler looks for a program without sums of multipliers too.
    let alone = Configuration { separate_sums: false, ..machine.clone() };
    let other = cost_of_windows(&kind, &inputs, &shape, &alone)?;
    Some((graph, if other.cycles(machine) < cost.cycles(machine) { other } else { cost }))
}

fn cost_of_windows(kind: &OperatorKind, inputs: &[Shape], shape: &Shape, machine: &Configuration) -> Option<Cost> {
    let (input, output) = (plain(&inputs[0], machine), plain(shape, machine));
    match kind {
        OperatorKind::Convolution(layer) => {
            let padded = layout(&inputs[0], (layer.window.padding, layer.accumulation.input_zero_point), machine);
            let dense = Dense::best(layer, image(&inputs[0]).0, &output, None, machine);
            match dense.filter(|dense| dense.pays(layer, &padded, &output, machine)) {
                Some(dense) => dense.cost(layer, &output, machine),
                None => convolution::cost(layer, &padded, &output, machine),
            }
        }
        OperatorKind::DepthwiseConvolution(layer) => {
            let padded = layout(&inputs[0], (layer.window.padding, layer.accumulation.input_zero_point), machine);
            convolution::cost_depthwise(layer, &padded, &output, machine)
        }
        OperatorKind::Pool(layer) => match layer.function {
            PoolFunction::Average => pool::cost_of_average(layer, &input, &output, machine),
            PoolFunction::Maximum if layer.window.padding == Padding::default() => {
                let taps = layer.window.size.product() as u64;
                Some(pool::cost_of_maximum(taps, &output, machine))
            }
            PoolFunction::Maximum => None,
        },
        OperatorKind::Mean(layer) => {
            let goes = mean::axes(layer, &inputs[0])?;
            // What is left stands as rows, columns and channels, whatever axes the operator keeps.
            let left = |goes: bool, size: u64| if goes { 1 } else { size as usize };
            let shape = [left(goes[0], input.rows), left(goes[1], input.columns), left(goes[2], input.channels)];
            mean::cost(layer, goes, &input, &plain(&shape, machine), machine)
        }
        _ => None,
    }
}

fn fully_connected_layer(seed: u64, machine: &Configuration) -> Option<(Graph, Cost)> {
    let (graph, _, inputs, output) = only("FULLY_CONNECTED", seed)?;
    let length = |shape: &[usize]| shape.iter().product::<usize>() as u32;
    Some((graph, fully_connected::cost(length(&output), length(&inputs[0]).div_ceil(machine.dot), machine)))
}

fn elements(name: &str, seed: u64, machine: &Configuration) -> Option<(Graph, Cost)> {
    let (graph, kind, inputs, output) = only(name, seed)?;
    // An operand of another shape is copied first.
    if inputs.iter().any(|input| image(input) != image(&output)) {
        return None;
    }
    let words = words_of(&output, machine);
    let cost = match &kind {
        OperatorKind::Elementwise(operator) => {
            // The network's input, which nothing reads as an image, is a vector.
            let elements = output.iter().product::<usize>() as u64;
            let words = elements.div_ceil(machine.stream_elements.into());
            elementwise::cost(operator, words, machine)
        }
        OperatorKind::Logistic(_) | OperatorKind::Add(_) => lookup::cost(words, machine),
        OperatorKind::Softmax(_) => {
            let length = *inputs[0].last()?;
            softmax::cost((inputs[0].iter().product::<usize>() / length) as u64, length as u64, machine)?
        }
        OperatorKind::Multiply(multiply) => {
            let layout = plain(&output, machine);
            let whole = (layout.columns * layout.block_beats).is_multiple_of(machine.beats_per_word().into());
            if !whole && layout.rows * layout.blocks() > 1 {
                return None;
            }
            product::cost(multiply, words, machine)?
        }
        _ => return None,
    };
    Some((graph, cost))
}

/// A network of one operator, the first of whose operands is its input, and the others constants.
fn network(kind: OperatorKind, operands: &[Vec<usize>], output: &[usize]) -> Graph {
    let tensor = |name: &str, shape: &[usize]| Tensor {
        name: name.into(),
        shape: shape.to_vec(),
        quantisation: Quantisation { scale: 1.0, zero_point: 0 },
        element: Element::Int8,
    };
    let mut tensors: Vec<Tensor> = operands.iter().map(|shape| tensor("operand", shape)).collect();
    tensors.push(tensor("result", output));
    let mut random = Random::new(3);
    let constants = (1..operands.len()).map(|number| {
        let values = (0..operands[number].iter().product::<usize>()).map(|_| random.byte()).collect();
        Constant { tensor: TensorId(number), values }
    });
    let constants = constants.collect();
    let (inputs, result) = ((0..operands.len()).map(TensorId).collect(), TensorId(operands.len()));
    let operators = vec![Operator { name: "layer".into(), kind, inputs, outputs: vec![result] }];
    let (inputs, outputs) = (vec![TensorId(0)], vec![result]);
    Graph { name: "layer".into(), tensors, operators, inputs, outputs, constants, ..Graph::default() }
}

/// Neighbouring elements of a vector, from the one at `start` on. No beat of the result may be without an element: it would be filled.
fn part_of_a_vector(random: &mut Random, start: usize, size: usize) -> Graph {
    let slice = Slice { start: vec![0, start], stride: vec![1, 1], size: vec![1, size] };
    let length = start + size + random.below(9);
    network(OperatorKind::Slice(slice), &[vec![1, length]], &[1, size])
}

fn size_of_a_part(random: &mut Random, word: usize) -> usize {
    if random.coin() { random.within(1, word) } else { word * random.within(1, 12) }
}

/// Elements that stay in their lanes: columns of an image, the rows of two one behind the other, a vector's from the beginning of a beat on.
fn parts_in_place(seed: u64, machine: &Configuration) -> Option<(Graph, Cost)> {
    let mut random = Random::new(seed);
    let channels = if random.coin() { random.within(1, 8) } else { 8 * random.within(1, 3) };
    let (rows, columns) = (random.within(1, 6), random.within(2, 9));
    let (graph, copied) = match random.below(3) {
        0 => {
            let size = size_of_a_part(&mut random, machine.stream_elements as usize);
            let start = machine.dot as usize * random.below(6);
            let copied = words(1, size.div_ceil(machine.dot as usize) as u64, machine);
            (part_of_a_vector(&mut random, start, size), vec![copied])
        }
        1 => {
            let shape = |rows: usize| vec![1, rows, columns, channels];
            let more = random.within(1, 6);
            let kind = OperatorKind::Concatenation(Concatenation { axis: 1 });
            // Whole rows are neighbours.
            let copied = |rows: usize| words(1, plain(&shape(rows), machine).beats(), machine);
            (network(kind, &[shape(rows), shape(more)], &shape(rows + more)), vec![copied(rows), copied(more)])
        }
        _ => {
            let width = random.within(1, columns - 1);
            let start = random.below(columns - width + 1);
            let slice = Slice { start: vec![0, 0, start, 0], stride: vec![1; 4], size: vec![1, rows, width, channels] };
            let shape = [1, rows, width, channels];
            let graph = network(OperatorKind::Slice(slice), &[vec![1, rows, columns, channels]], &shape);
            (graph, vec![words_of(&shape, machine)])
        }
    };
    movement::cost(&copied, machine).map(|cost| (graph, cost))
}

/// A vector's elements from within a beat on.
fn parts_out_of_place(seed: u64, machine: &Configuration) -> Option<(Graph, Cost)> {
    let mut random = Random::new(seed);
    let (dot, word) = (machine.dot as usize, machine.stream_elements as usize);
    let size = size_of_a_part(&mut random, word);
    let start = dot * random.below(6) + random.within(1, dot - 1);
    // The tiles of a full row make a word, and all such rows together a turn; what is less is a turn of its own.
    let rows = (machine.tiles / machine.stream_elements) as usize;
    let (mut turns, mut first) = (Vec::new(), 0);
    while first < size {
        let words = ((size - first) / word).min(rows).max(1);
        let behind = (first + words * word).min(size);
        let (low, high) = ((start + first) / dot, (start + behind - 1) / dot);
        turns.push(((high - low + 1) as u64, words as u64));
        first = behind;
    }
    let graph = part_of_a_vector(&mut random, start, size);
    gather::cost(&turns, machine).map(|cost| (graph, cost))
}

fn inputs(graph: &Graph, seed: u64) -> Vec<Vec<i8>> {
    let mut random = Random::new(seed);
    let elements = graph.tensors[graph.inputs[0].0].elements();
    (0..2).map(|_| (0..elements).map(|_| random.byte()).collect()).collect()
}

#[test]
fn the_formula_of_each_lowering_is_what_the_compiler_predicts_and_the_cycle_model_counts() {
    let mut failures = Vec::new();
    for (name, machine) in machines() {
        for (file, what, draw) in FAMILIES {
            let drawn = (0..MOST_SEEDS).filter_map(|seed| Some((seed, draw(seed, &machine)?)));
            let mut compared = 0;
            for (seed, (graph, cost)) in drawn.take(LAYERS) {
                let judge = || {
                    let program = compile_and_check(&graph, &machine)?;
                    if cost.cycles(&machine) != program.cycles {
                        let (formula, cycles) = (cost.cycles(&machine), program.cycles);
                        return Err(format!("{formula} cycles by the formula, {cycles} predicted: {cost:?}").into());
                    }
                    model_agrees(&graph, &program, &inputs(&graph, seed))
                };
                if let Err(error) = judge() {
                    failures.push(format!("{name}: {file} {what} {seed}: {error}"));
                }
                compared += 1;
            }
            println!("{name}: {file} {what}: {compared} layers");
            if compared < LAYERS {
                failures.push(format!("{name}: {file} {what}: only {compared} layers"));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures[..failures.len().min(40)].join("\n"));
}

#[test]
fn the_formula_of_each_lowering_is_what_the_rtl_counts() {
    let (name, machine) = looking_up().into_iter().next().unwrap();
    let Some(library) = library(&machine, "formulas on the RTL").unwrap() else { return };
    for (file, what, draw) in FAMILIES {
        let drawn = (0..MOST_SEEDS).filter_map(|seed| Some((seed, draw(seed, &machine)?)));
        for (seed, (graph, cost)) in drawn.take(ON_RTL) {
            let program = compile_and_check(&graph, &machine).unwrap();
            assert_eq!(cost.cycles(&machine), program.cycles, "{name}: {file} {what} {seed}");
            // The machine's own counter must say what the program says.
            rtl_agrees(&graph, &program, &library, &inputs(&graph, seed))
                .unwrap_or_else(|error| panic!("{name}: {file} {what} {seed}: {error}"));
        }
    }
}

/// A file that lowers operators and is not asked about would go unnoticed.
#[test]
fn every_lowering_is_asked() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../compiler/src/lower");
    // What lowerings are made of, and the language models' own.
    let others = ["cost", "layout", "line", "mod", "nest", "search", "split", "stream", "tables", "tests", "window"];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let known = others.contains(&name) || FAMILIES.iter().any(|(file, ..)| *file == name);
        assert!(known || path.is_dir(), "{name}");
    }
}
