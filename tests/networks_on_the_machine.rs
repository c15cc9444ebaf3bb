//! Third-party networks on the machine: bit-exact with the golden model, which is their reference, in the cycles predicted.
//!
//! `cargo test -p lpu-tests --test networks_on_the_machine -- --nocapture` prints the cycles of each layer.

#![allow(clippy::unwrap_used)]

use lpu_compiler::graph::{Element, Graph};
use lpu_compiler::import::{import, read_model};
use lpu_isa::configuration::Configuration;
use lpu_isa::program::Program;
use lpu_isa::resources::total_block_rams;
use lpu_sim::cycle::CycleModel;
use lpu_tests::conformance;
use lpu_tests::convolutional::{Residual, Separable, branching, chain, mobilenet, mobilenet_v2, residual, separable};
use lpu_tests::machines::looking_up;
use lpu_tests::operators::{OPERATORS, case};
use lpu_tests::random::Random;
use lpu_tests::tflite_writer::{Dense, Fused, Model, Network, Operator, Options, Tensor, code};
use lpu_tests::witnesses::{accept, compile_and_check, library, model_agrees, model_run, rtl_steps_agree, steps_agree};

/// The machine of the ULX3S for networks of this kind.
fn machine() -> Configuration {
    Configuration::from_toml(include_str!("../constraints/ulx3s-85f/networks.toml")).unwrap()
}

/// One example a row.
type Rows = Vec<Vec<i8>>;

/// Network, program, inputs, the other runtime's outputs; `None` where they are not installed.
fn reference(model: &str, reference: &str) -> Option<(Graph, Program, Rows, Rows)> {
    let paths = [
        format!("models/mlperf_tiny/{model}.tflite"),
        format!("reference/{reference}/inputs.npy"),
        format!("reference/{reference}/outputs.npy"),
    ];
    let [Some(model), Some(inputs), Some(outputs)] = paths.map(|path| conformance::file(&path)) else { return None };
    let graph = read_model(model).unwrap();
    let program = compile_and_check(&graph, &machine()).unwrap();
    print(&program);
    Some((graph, program, conformance::rows(&inputs).unwrap(), conformance::rows(&outputs).unwrap()))
}

fn print(program: &Program) {
    for layer in &program.layers {
        println!(
            "{:>8} .. {:>8}  {:22} {:2} tiles  {}",
            layer.start, layer.end, layer.operator, layer.tiles, layer.name
        );
    }
    let words = program.weights[0].len() / 4;
    let instructions = program.queues.iter().map(|queue| queue.instructions.len()).max().unwrap();
    println!(
        "{}: {} cycles; {words} words of weights, {} scales, {instructions} instructions",
        program.model,
        program.cycles,
        program.scales.len()
    );
}

/// Every reference input gives the reference's answer, and no more than `most` cycles.
fn every_reference_input((graph, program, inputs, outputs): &(Graph, Program, Rows, Rows), most: u64) {
    assert!(program.cycles <= most, "{} cycles", program.cycles);
    model_agrees(graph, program, inputs).unwrap();
    for (number, (input, output)) in inputs.iter().zip(outputs).enumerate() {
        assert_eq!(&model_run(program, input).unwrap().output, output, "input {number}");
    }
}

#[test]
fn the_machine_fits_its_board() {
    assert!(total_block_rams(&machine()) <= 208, "{}", total_block_rams(&machine()));
}

#[test]
fn image_classification_gives_every_reference_answer_on_the_cycle_model() {
    let Some(reference) = reference("resnet8_cifar10_int8", "mlperf_ic") else { return };
    every_reference_input(&reference, 135_000);
}

#[test]
fn keyword_spotting_gives_every_reference_answer_on_the_cycle_model() {
    let Some(reference) = reference("kws_ref_model", "mlperf_kws") else { return };
    every_reference_input(&reference, 41_000);
}

/// A wake word's probabilities at each step of both clips, from its initial state, as its runtime has them.
fn wake_word(name: &str, most: u64) {
    let paths = [format!("models/microwakeword/{name}.tflite"), "reference/microwakeword/probs.json".into()];
    let [Some(model), Some(probabilities)] = paths.map(|path: String| conformance::file(&path)) else { return };
    let probabilities: serde_json::Value = serde_json::from_slice(&std::fs::read(probabilities).unwrap()).unwrap();
    let graph = read_model(model).unwrap();
    let program = compile_and_check(&graph, &machine()).unwrap();
    print(&program);
    assert!(program.cycles <= most, "{} cycles", program.cycles);
    for clip in ["alexa_1", "hey_jarvis_1"] {
        let steps = conformance::file(&format!("reference/microwakeword/{clip}.features.npy")).unwrap();
        let mut model = CycleModel::new(&program);
        let mut step = |step: &Vec<i8>| {
            let outcome = model.run(step).unwrap();
            assert_eq!(outcome.cycles, program.cycles);
            outcome.output[0] as u8 ^ 0x80
        };
        let answers: Vec<u8> = conformance::rows(&steps).unwrap().iter().map(&mut step).collect();
        let expected = probabilities["results"][name][clip].as_array().unwrap();
        let expected: Vec<u8> = expected.iter().map(|value| value.as_u64().unwrap() as u8).collect();
        assert_eq!(answers, expected, "{clip}");
    }
}

#[test]
fn alexa_gives_the_reference_probability_at_every_step_on_the_cycle_model() {
    wake_word("alexa", 2_500);
}

#[test]
fn hey_jarvis_gives_the_reference_probability_at_every_step_on_the_cycle_model() {
    wake_word("hey_jarvis", 2_600);
}

/// A sample of every operator that the machine executes, outputs, writes and cycles.
#[test]
fn every_operator_agrees_on_the_rtl() {
    for (name, machine) in looking_up() {
        let Some(library) = library(&machine, name).unwrap() else { return };
        for (number, (operator, _)) in OPERATORS.iter().enumerate() {
            // Those with a form of their own for every size of an image come more often.
            let often = ["ADD", "MUL", "MEAN", "CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "CONCATENATION"];
            for seed in 0..if often.contains(operator) { 4 } else { 2 } {
                let case = case(number, seed);
                let graph = import(&case.model.bytes(), "case").unwrap();
                let turned = graph.tensors[graph.inputs[0].0].element == Element::Uint8;
                let turn = |&byte: &u8| (if turned { byte ^ 0x80 } else { byte }) as i8;
                let inputs: Vec<Vec<i8>> =
                    case.inputs[..2].iter().map(|input| input.iter().map(turn).collect()).collect();
                let agrees = || {
                    let program = compile_and_check(&graph, &machine)?;
                    rtl_steps_agree(&graph, &program, &library, &inputs)
                };
                agrees().unwrap_or_else(|error| panic!("{name}, {operator} {seed}: {error}"));
            }
        }
    }
}

/// A fully connected layer, a softmax, and up to three changes of scale and shape.
fn ending_in_a_softmax(seed: u64) -> Model {
    let mut random = Random::new(seed);
    let (inputs, outputs) = (random.within(1, 20), random.within(1, 20));
    let dense = Dense {
        weights: (0..inputs * outputs).map(|_| random.byte().max(-127)).collect(),
        bias: None,
        scales: vec![random.scale(0.01)],
        outputs,
        fused: Fused::None,
        output_scale: random.scale(0.05),
        output_zero_point: random.byte(),
    };
    let mut network = Network::new(&[1, inputs], random.scale(0.05), random.byte()).dense(dense);
    network = network.elementwise(code::SOFTMAX, 1.0 / 256.0, -128);
    for _ in 0..random.below(4) {
        network = match random.below(3) {
            0 => network.elementwise(code::QUANTIZE, random.scale(0.004), random.byte()),
            1 => network.elementwise(code::RELU, random.scale(0.004), random.byte()),
            _ => network.reshape(&[outputs, 1], random.coin()),
        };
    }
    let mut model = network.model();
    model.operators[1].options = Options::Softmax { beta: 1.0 };
    model
}

/// The host's part is the golden model's, and the machine's ends in front of it.
#[test]
fn a_softmax_and_what_changes_its_results_element_by_element_are_the_hosts_where_the_machine_has_none() {
    let (_, machine) = looking_up().into_iter().next().unwrap();
    let machine = Configuration { softmax_tables: 0, ..machine };
    let mut rescaled = 0;
    for seed in 0..40 {
        let graph = import(&ending_in_a_softmax(seed).bytes(), "classes").unwrap();
        let program = compile_and_check(&graph, &machine).unwrap();
        assert_eq!(program.layers.len(), 1, "{seed}");
        rescaled += usize::from(!program.finish.as_ref().unwrap().rescales.is_empty());
        let mut random = Random::new(seed);
        let inputs: Vec<Vec<i8>> =
            (0..4).map(|_| (0..program.input_length()).map(|_| random.byte()).collect()).collect();
        model_agrees(&graph, &program, &inputs).unwrap_or_else(|error| panic!("{seed}: {error}"));
    }
    assert!(rescaled >= 15, "{rescaled}");
}

/// Two softmaxes in the middle of a network, of other scales: of the channels at each position of an image, and of a vector.
fn softened(seed: u64) -> Model {
    let mut random = Random::new(seed);
    let (channels, classes) = (random.within(1, 20), random.within(1, 40));
    let (rows, columns) = (random.within(1, 5), random.within(1, 6));
    let shape = [1, rows, columns, channels];
    let mut model = Network::new(&shape, random.scale(0.05), random.byte())
        .elementwise(code::SOFTMAX, 1.0 / 256.0, -128)
        .reshape(&[1, rows * columns * channels], false)
        .dense(Dense {
            weights: (0..rows * columns * channels * classes).map(|_| random.byte().max(-127)).collect(),
            bias: None,
            scales: vec![random.scale(0.01)],
            outputs: classes,
            fused: Fused::None,
            output_scale: random.scale(0.08),
            output_zero_point: random.byte(),
        })
        .elementwise(code::SOFTMAX, 1.0 / 256.0, -128)
        .elementwise(code::QUANTIZE, random.scale(0.004), random.byte())
        .dense(Dense {
            weights: (0..classes * 3).map(|_| random.byte().max(-127)).collect(),
            bias: None,
            scales: vec![random.scale(0.01)],
            outputs: 3,
            fused: Fused::Relu,
            output_scale: random.scale(0.05),
            output_zero_point: random.byte(),
        })
        .model();
    for operator in model.operators.iter_mut().filter(|operator| operator.code == code::SOFTMAX) {
        operator.options = Options::Softmax { beta: 1.0 };
    }
    model
}

#[test]
fn softmaxes_in_the_middle_of_a_network_agree_on_the_rtl() {
    for (name, machine) in looking_up() {
        let library = library(&machine, name).unwrap();
        for seed in 0..30 {
            let graph = import(&softened(seed).bytes(), "softened").unwrap();
            let program = compile_and_check(&graph, &machine).unwrap_or_else(|error| panic!("{name}, {seed}: {error}"));
            assert!(program.finish.is_none() && program.softmaxes.len() == 2, "{name}, {seed}");
            let mut random = Random::new(seed);
            let inputs: Vec<Vec<i8>> =
                (0..2).map(|_| (0..program.input_length()).map(|_| random.byte()).collect()).collect();
            model_agrees(&graph, &program, &inputs).unwrap_or_else(|error| panic!("{name}, {seed}: {error}"));
            if let Some(library) = library.as_ref().filter(|_| seed < 6) {
                rtl_steps_agree(&graph, &program, library, &inputs)
                    .unwrap_or_else(|error| panic!("{name}, {seed}: {error}"));
            }
        }
    }
}

#[test]
fn a_softmax_for_which_there_is_no_table_says_how_many_are_wanted() {
    let (_, machine) = looking_up().into_iter().next().unwrap();
    let graph = import(&softened(1).bytes(), "softened").unwrap();
    for tables in [0, 1] {
        let machine = Configuration { softmax_tables: tables, ..machine.clone() };
        let error = compile_and_check(&graph, &machine).unwrap_err().to_string();
        assert!(
            error.contains(&format!("set `softmax_tables = 2` in its configuration, which has {tables}")),
            "{error}"
        );
    }
}

/// A network with state may end in a softmax, whose result no state takes.
#[test]
fn a_softmax_ends_a_network_that_keeps_state() {
    let (_, machine) = looking_up().into_iter().next().unwrap();
    let stream = OPERATORS.iter().position(|(name, _)| *name == "ASSIGN_VARIABLE").unwrap();
    for seed in 0..20 {
        let mut case = case(stream, seed);
        let from = case.model.outputs[0];
        let shape: Vec<usize> = case.model.tensors[from as usize].shape.iter().map(|&size| size as usize).collect();
        case.model.tensors.push(Tensor::activation("classes", &shape, 1.0 / 256.0, -128));
        let output = case.model.tensors.len() as i32 - 1;
        let plain = Operator::plain(code::SOFTMAX, vec![from], vec![output]);
        case.model.operators.push(Operator { options: Options::Softmax { beta: 1.0 }, ..plain });
        case.model.outputs = vec![output];
        let graph = import(&case.model.bytes(), "stream").unwrap();
        let without = Configuration { softmax_tables: 0, ..machine.clone() };
        let program = compile_and_check(&graph, &without).unwrap();
        assert!(program.finish.is_some());
        let inputs: Vec<Vec<i8>> =
            case.inputs.iter().map(|input| input.iter().map(|&byte| byte as i8).collect()).collect();
        steps_agree(&graph, &program, &inputs).unwrap_or_else(|error| panic!("{seed}: {error}"));
        let program = compile_and_check(&graph, &machine).unwrap();
        assert!(program.finish.is_none());
        steps_agree(&graph, &program, &inputs).unwrap_or_else(|error| panic!("{seed}: {error}"));
    }
}

#[test]
fn bands_and_parts_of_an_input_agree_on_the_rtl() {
    let (_, machine) = looking_up().into_iter().next().unwrap();
    let machine = Configuration { vector_depth: 300, ..machine };
    let mut random = Random::new(5);
    // Of four channels, so that no two columns share a beat.
    let shape = Separable { size: 24, channels: 4, first: 8, blocks: vec![(1, 16), (2, 16)], classes: 3, pads: true };
    let graph = import(&separable(&mut random, &shape).bytes(), "camera").unwrap();
    let program = compile_and_check(&graph, &machine).unwrap();
    assert!(has_bands(&program) && !program.more_input.is_empty());
    let Some(library) = library(&machine, "bands on the RTL").unwrap() else { return };
    let inputs: Vec<Vec<i8>> = (0..2).map(|_| (0..24 * 24 * 4).map(|_| random.byte()).collect()).collect();
    rtl_steps_agree(&graph, &program, &library, &inputs).unwrap();
}

/// A random network for cameras, compiled for `machine`, on the cycle model.
fn camera(seed: u64, shape: &Separable, machine: &Configuration) -> Program {
    let mut random = Random::new(seed);
    let model = separable(&mut random, shape);
    on_the_cycle_model(&model, &mut random, machine)
}

/// The same of residual blocks.
fn residual_camera(seed: u64, shape: &Residual, machine: &Configuration) -> Program {
    let mut random = Random::new(seed);
    let model = residual(&mut random, shape);
    on_the_cycle_model(&model, &mut random, machine)
}

fn on_the_cycle_model(model: &Model, random: &mut Random, machine: &Configuration) -> Program {
    let graph = import(&model.bytes(), "camera").unwrap();
    let start = std::time::Instant::now();
    let program = compile_and_check(&graph, machine).unwrap();
    print(&program);
    println!("compiled and checked in {:?}", start.elapsed());
    let elements = program.input_length();
    let inputs: Vec<Vec<i8>> = (0..2).map(|_| (0..elements).map(|_| random.byte()).collect()).collect();
    model_agrees(&graph, &program, &inputs).unwrap();
    program
}

fn has_bands(program: &Program) -> bool {
    program.layers.iter().any(|layer| layer.band.is_some())
}

/// 96 × 96 × 3 elements are more than a slice of the machine holds.
#[test]
fn an_input_larger_than_a_slice_stands_in_several() {
    let program = camera(1, &mobilenet(96, (1, 16)), &machine());
    assert!(has_bands(&program) && !program.more_input.is_empty());
}

/// Keras writes the padding of a window of stride 2 as an operator of its own, around an input that no slice holds.
#[test]
fn padding_in_front_of_a_convolution_takes_neither_time_nor_room() {
    let shape = Separable { pads: true, ..mobilenet(96, (1, 16)) };
    let program = camera(6, &shape, &machine());
    assert!(has_bands(&program) && program.layers.iter().all(|layer| layer.operator != "pad"));
}

/// 48 × 48 × 32 elements are as many as all slices of the machine hold.
#[test]
fn images_larger_than_the_vector_memory_exist_a_band_at_a_time() {
    for blocks in [vec![(1, 16), (2, 32), (1, 32), (2, 64), (1, 64), (2, 64)], vec![(1, 32), (2, 24), (2, 32)]] {
        let program =
            camera(2, &Separable { size: 96, channels: 3, first: 8, blocks, classes: 2, pads: false }, &machine());
        assert!(has_bands(&program) && !program.more_input.is_empty());
    }
}

/// The network of visual wake words, whose weights take more than the board's machine has, in its vector memory.
#[test]
fn a_mobilenet_of_a_quarter_of_the_width_finds_room_for_its_images() {
    let deeper = Configuration { weight_depth: 1 << 13, queue_depth: 300, ..machine() };
    assert!(has_bands(&camera(3, &mobilenet(96, (1, 4)), &deeper)));
}

/// MobileNetV2: images of six times the channels exist a band at a time.
#[test]
fn inverted_residuals_of_96_rows_run_band_by_band() {
    let machine = Configuration { queue_depth: 300, scale_depth: 1 << 12, weight_depth: 1 << 12, ..machine() };
    let program = residual_camera(7, &mobilenet_v2(96, (1, 4)), &machine);
    assert!(has_bands(&program) && !program.more_input.is_empty());
}

/// 64 × 64 × 8 elements are more than a slice of the machine holds: the first sums exist a band at a time.
#[test]
fn residual_sums_of_64_rows_run_band_by_band() {
    let blocks = vec![(1, 8, 1), (2, 16, 1), (2, 32, 1)];
    let shape = Residual { size: 64, channels: 3, first: (8, 1), blocks, classes: 10 };
    let program = residual_camera(8, &shape, &Configuration { scale_depth: 1 << 11, queue_depth: 300, ..machine() });
    assert!(program.layers.iter().any(|layer| layer.band.is_some() && layer.operator == "add"));
}

/// What became of random networks on machines whose slices hold a part of their images.
#[derive(Debug, Default)]
struct Tally {
    /// Run band by band.
    banded: usize,
    /// Have a sum, product or concatenation that does.
    joined: usize,
    /// Do not fit.
    refused: usize,
}

/// Compiles and runs networks for machines with little vector memory, whose slices have as many words as `depth` draws for the elements of
/// the input: what is not refused is right.
fn on_machines_with_little_memory(
    draw: fn(&mut Random) -> Model,
    depth: fn(&mut Random, usize) -> usize,
    count: u64,
) -> Tally {
    let (mut tally, mut wrong) = (Tally::default(), vec![]);
    for seed in 0..count {
        let mut random = Random::new(seed);
        let graph = import(&draw(&mut random).bytes(), "net").unwrap();
        let elements = graph.tensors[graph.inputs[0].0].elements();
        let machine = Configuration {
            weight_depth: 1 << 13,
            queue_depth: 1 << 11,
            scale_depth: 1 << 12,
            vector_slices: random.within(2, 3) as u32,
            vector_depth: depth(&mut random, elements) as u32,
            ..machine()
        };
        let program = match lpu_compiler::compile::compile(&graph, &machine, "test") {
            Ok(program) => program,
            Err(error @ lpu_compiler::error::CompileError::DoesNotFit { .. }) => {
                println!("{seed}: {error}");
                tally.refused += 1;
                continue;
            }
            Err(error) => {
                wrong.push(format!("network {seed}: {error}"));
                continue;
            }
        };
        let in_bands = |operators: &[&str]| {
            let mut banded = program.layers.iter().filter(|layer| layer.band.is_some());
            banded.any(|layer| operators.is_empty() || operators.contains(&&layer.operator[..]))
        };
        tally.banded += usize::from(in_bands(&[]));
        tally.joined += usize::from(in_bands(&["add", "multiply", "concatenation"]));
        let inputs: Vec<Vec<i8>> =
            (0..2).map(|_| (0..program.input_length()).map(|_| random.byte()).collect()).collect();
        let agrees = accept(&program).and_then(|()| model_agrees(&graph, &program, &inputs));
        wrong.extend(agrees.err().map(|error| format!("network {seed}: {error}")));
    }
    println!("of {count} networks: {tally:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    tally
}

/// Any chain of operators; most is not refused.
#[test]
fn random_chains_run_band_by_band_on_machines_with_little_memory() {
    let Tally { banded, refused, .. } = on_machines_with_little_memory(chain, |random, _| random.within(40, 300), 120);
    assert!(banded >= 15 && refused <= 60, "{banded} {refused}");
}

/// Residual sums, products and concatenations of all of them.
#[test]
fn random_sums_and_concatenations_run_band_by_band_on_machines_with_little_memory() {
    // About as much as the input takes.
    let depth = |random: &mut Random, elements: usize| 16 + random.within(elements / 8, elements / 2);
    let Tally { joined, refused, .. } = on_machines_with_little_memory(branching, depth, 120);
    assert!(joined >= 10 && refused <= 60, "{joined} {refused}");
}

#[test]
fn weights_beyond_the_machine_are_refused_with_what_is_missing() {
    let graph = import(&separable(&mut Random::new(4), &mobilenet(96, (1, 4))).bytes(), "camera").unwrap();
    let error = lpu_compiler::compile::compile(&graph, &machine(), "test").unwrap_err().to_string();
    assert!(error.contains("words of weight RAM in each tile") && error.contains("block RAMs short"), "{error}");
}

/// The machine of the board on the RTL, with a network of each kind: one Verilated model for all of them.
#[test]
fn the_reference_networks_agree_on_the_rtl() {
    let Some(library) = library(&machine(), "the networks' machine on the RTL").unwrap() else { return };
    for (model, folder) in [("resnet8_cifar10_int8", "mlperf_ic"), ("kws_ref_model", "mlperf_kws")] {
        let Some((graph, program, inputs, _)) = reference(model, folder) else { return };
        rtl_steps_agree(&graph, &program, &library, &inputs[..1]).unwrap();
    }
    for word in ["alexa", "hey_jarvis"] {
        let Some(model) = conformance::file(&format!("models/microwakeword/{word}.tflite")) else { return };
        let steps = conformance::file("reference/microwakeword/alexa_1.features.npy").unwrap();
        let graph = read_model(model).unwrap();
        let program = compile_and_check(&graph, &machine()).unwrap();
        let steps = conformance::rows(&steps).unwrap();
        rtl_steps_agree(&graph, &program, &library, &steps[..8]).unwrap();
    }
}
