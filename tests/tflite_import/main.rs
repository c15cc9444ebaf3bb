//! Hostile and unsupported TensorFlow Lite models are refused with what, where, why and what to do.

#![allow(clippy::unwrap_used)]

mod operators;

use std::fmt::Write;

use expect_test::{Expect, expect};
use lpu_compiler::graph::OperatorKind;
use lpu_compiler::import::{ImportError, import, read_model, tflite};
use lpu_isa::arithmetic::quantize_multiplier;
use lpu_tests::tflite_writer::{Dense, Fused, Model, Network, Operator, Tensor, code};

/// Two inputs, three hidden, one output.
fn network() -> Network {
    let layer = |outputs: usize, inputs: usize, scales: Vec<f32>| Dense {
        weights: (0..outputs * inputs).map(|index| index as i8 - 3).collect(),
        bias: Some(vec![100; outputs]),
        scales,
        outputs,
        fused: Fused::Relu,
        output_scale: 0.25,
        output_zero_point: -128,
    };
    Network::new(&[1, 2], 0.5, 3).dense(layer(3, 2, vec![0.1, 0.2, 0.3])).dense(layer(1, 3, vec![0.1]))
}

fn model() -> Model {
    network().model()
}

/// The model after one change.
fn changed(change: impl FnOnce(&mut Model)) -> Model {
    let mut model = model();
    change(&mut model);
    model
}

/// Position of the tensor of that name.
fn position(model: &Model, name: &str) -> usize {
    model.tensors.iter().position(|tensor| tensor.name == name).unwrap()
}

/// The model after one change of the tensor of that name.
fn with_tensor(name: &str, change: impl FnOnce(&mut Tensor)) -> Model {
    changed(|model| {
        let index = position(model, name);
        change(&mut model.tensors[index]);
    })
}

fn refusal(bytes: &[u8]) -> ImportError {
    tflite::import(bytes, "net").unwrap_err()
}

/// Message of every case, and its help where that changes.
fn check<'a>(cases: impl IntoIterator<Item = (&'a str, Model)>, expected: Expect) {
    let (mut text, mut help) = (String::new(), String::new());
    for (case, model) in cases {
        let error = refusal(&model.bytes());
        writeln!(text, "{case}:\n  {error}").unwrap();
        if error.help() != help {
            help = error.help();
            writeln!(text, "  help: {help}").unwrap();
        }
    }
    expected.assert_eq(&text);
}

#[test]
fn the_unchanged_model_is_accepted() {
    let graph = import(&model().bytes(), "net").unwrap();
    assert_eq!(
        graph.operators.iter().map(|operator| operator.name.as_str()).collect::<Vec<_>>(),
        ["dense_0", "dense_1"]
    );
}

#[test]
fn the_scale_of_a_layer_is_computed_in_double_precision() {
    // In single precision the product of these two scales ends in other bits, and so would the multiplier.
    let (input, weights, output) = (0.044_089_347_f32, 0.004_550_642_3_f32, 0.057_501_204_f32);
    let layer = Dense {
        weights: vec![1; 4],
        bias: None,
        scales: vec![weights],
        outputs: 2,
        fused: Fused::None,
        output_scale: output,
        output_zero_point: 0,
    };
    let graph = import(&Network::new(&[1, 2], input, 0).dense(layer).model().bytes(), "net").unwrap();
    let OperatorKind::FullyConnected(layer) = &graph.operators[0].kind else { panic!("not a layer") };
    let multiplier = |product: f64| quantize_multiplier(product / f64::from(output)).0;
    assert_ne!(multiplier(f64::from(input * weights)), multiplier(f64::from(input) * f64::from(weights)));
    assert_eq!(layer.accumulation.scales[0].multiplier, multiplier(f64::from(input) * f64::from(weights)));
}

#[test]
fn int4_weights_are_those_of_the_same_network_in_int8() {
    // Six weights and three: an even and an odd number.
    let whole = model();
    let mut packed = whole.clone();
    for name in ["dense_0/w", "dense_1/w"] {
        let index = position(&packed, name);
        packed.tensors[index] = packed.tensors[index].clone().in_int4();
    }
    let bytes = |name: &str| packed.tensors[position(&packed, name)].data.clone().unwrap();
    assert_eq!((bytes("dense_0/w"), bytes("dense_1/w")), (vec![0xed, 0x0f, 0x21], vec![0xed, 0x0f]));
    assert_eq!(import(&packed.bytes(), "net").unwrap(), import(&whole.bytes(), "net").unwrap());
}

#[test]
fn int4_weights_of_another_number_than_the_shape_says_are_damage() {
    let with_bytes = |count: usize| {
        with_tensor("dense_1/w", move |tensor| {
            *tensor = tensor.clone().in_int4();
            tensor.data.as_mut().unwrap().resize(count, 0);
        })
    };
    check(
        [("a byte for each", with_bytes(3)), ("half a byte short", with_bytes(1))],
        expect![[r#"
        a byte for each:
          net, operator 1 (FULLY_CONNECTED), layer `dense_1`, tensor `dense_1/w`: the file is damaged: shape [1, 3] needs 2 bytes of content, but there are 3
          help: fetch or convert the file again, and compare its length and checksum with the original's
        half a byte short:
          net, operator 1 (FULLY_CONNECTED), layer `dense_1`, tensor `dense_1/w`: the file is damaged: shape [1, 3] needs 2 bytes of content, but there are 1
    "#]],
    );
}

#[test]
fn operators_that_cannot_be_lowered_are_named_with_their_layer_and_a_way_round() {
    let with_code = |code| changed(move |model| model.operators[1].code = code);
    check(
        [
            ("a hyperbolic tangent", with_code(code::TANH)),
            ("a custom operator", with_code(code::CUSTOM)),
            ("a late operator", with_code(150)),
            ("an operator newer than the schema", with_code(4000)),
        ],
        expect![[r#"
            a hyperbolic tangent:
              net, operator 1 (TANH), layer `dense_1`: operator TANH is not supported; supported are CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, ADD, MUL, AVERAGE_POOL_2D, MAX_POOL_2D, MEAN, SOFTMAX, LOGISTIC, RELU, RELU6, RELU_N1_TO_1, QUANTIZE, RESHAPE, PAD, CONCATENATION, SPLIT, SPLIT_V, STRIDED_SLICE, CALL_ONCE, VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE
              help: express that layer with CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, ADD, MUL, AVERAGE_POOL_2D, MAX_POOL_2D, MEAN, SOFTMAX, LOGISTIC, RELU, RELU6, RELU_N1_TO_1, QUANTIZE, RESHAPE, PAD, CONCATENATION, SPLIT, SPLIT_V, STRIDED_SLICE, CALL_ONCE, VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE, or leave it out of the network and compute it on the host
            a custom operator:
              net, operator 1 (CUSTOM TheirOwn), layer `dense_1`: operator CUSTOM TheirOwn is not supported; supported are CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, ADD, MUL, AVERAGE_POOL_2D, MAX_POOL_2D, MEAN, SOFTMAX, LOGISTIC, RELU, RELU6, RELU_N1_TO_1, QUANTIZE, RESHAPE, PAD, CONCATENATION, SPLIT, SPLIT_V, STRIDED_SLICE, CALL_ONCE, VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE
            a late operator:
              net, operator 1 (GELU), layer `dense_1`: operator GELU is not supported; supported are CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, ADD, MUL, AVERAGE_POOL_2D, MAX_POOL_2D, MEAN, SOFTMAX, LOGISTIC, RELU, RELU6, RELU_N1_TO_1, QUANTIZE, RESHAPE, PAD, CONCATENATION, SPLIT, SPLIT_V, STRIDED_SLICE, CALL_ONCE, VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE
            an operator newer than the schema:
              net, operator 1 (number 4000), layer `dense_1`: operator number 4000 is not supported; supported are CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, ADD, MUL, AVERAGE_POOL_2D, MAX_POOL_2D, MEAN, SOFTMAX, LOGISTIC, RELU, RELU6, RELU_N1_TO_1, QUANTIZE, RESHAPE, PAD, CONCATENATION, SPLIT, SPLIT_V, STRIDED_SLICE, CALL_ONCE, VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE
        "#]],
    );
}

#[test]
fn types_that_cannot_be_lowered_are_named() {
    let with_element = |name: &'static str, element| with_tensor(name, move |tensor| tensor.element = element);
    check(
        [
            ("float weights", with_element("dense_1/w", code::FLOAT32)),
            ("float activations", with_element("input", code::FLOAT32)),
            ("16-bit activations", with_element("dense_0", code::INT16)),
            ("a float bias", with_element("dense_0/b", code::FLOAT32)),
            ("2-bit weights", with_element("dense_0/w", 19)),
            ("4-bit activations", with_element("dense_0", code::INT4)),
            ("a type newer than the schema", with_element("dense_0/w", 99)),
        ],
        expect![[r#"
            float weights:
              net, operator 1 (FULLY_CONNECTED), layer `dense_1`, tensor `dense_1/w`: weights of type FLOAT32, but only INT8 or INT4 is supported
              help: quantise to int8 when converting: tf.lite.TFLiteConverter with optimizations = [tf.lite.Optimize.DEFAULT], a representative_dataset, target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8] and inference_input_type = inference_output_type = tf.int8 leaves no FLOAT32
            float activations:
              net, tensor `input`: input of type FLOAT32, but only INT8 or UINT8 is supported
            16-bit activations:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0`: output of type INT16, but only INT8 is supported
              help: convert the network with full int8 quantisation, so that this tensor becomes INT8
            a float bias:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0/b`: bias of type FLOAT32, but only INT32 is supported
              help: quantise to int8 when converting: tf.lite.TFLiteConverter with optimizations = [tf.lite.Optimize.DEFAULT], a representative_dataset, target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8] and inference_input_type = inference_output_type = tf.int8 leaves no FLOAT32
            2-bit weights:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0/w`: weights of type INT2, but only INT8 or INT4 is supported
              help: convert the network with full int8 quantisation, so that this tensor becomes INT8 or INT4
            4-bit activations:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0`: output of type INT4, but only INT8 is supported
              help: convert the network with full int8 quantisation, so that this tensor becomes INT8
            a type newer than the schema:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0/w`: weights of type number 99, but only INT8 or INT4 is supported
              help: convert the network with full int8 quantisation, so that this tensor becomes INT8 or INT4
        "#]],
    );
}

#[test]
fn what_the_format_allows_and_nothing_here_does_is_named() {
    check(
        [
            ("two subgraphs", changed(|model| model.subgraphs = 2)),
            ("no subgraph", changed(|model| model.subgraphs = 0)),
            ("two inputs", changed(|model| model.inputs = vec![0, 1])),
            ("no output", changed(|model| model.outputs.clear())),
            ("no operators", changed(|model| model.operators.clear())),
            ("an older schema", changed(|model| model.version = 2)),
            ("a fused tanh", changed(|model| model.operators[0].activation = 4)),
            ("an unknown fused activation", changed(|model| model.operators[0].activation = -1)),
            ("shuffled weights", changed(|model| model.operators[0].weights_format = 1)),
            ("sparse weights", with_tensor("dense_0/w", |tensor| tensor.sparse = true)),
            ("weights outside", with_tensor("dense_0/w", |tensor| tensor.outside = true)),
            ("computed weights", with_tensor("dense_0/w", |tensor| tensor.data = None)),
            ("a constant input", with_tensor("input", |tensor| tensor.data = Some(vec![1, 2]))),
            ("state", with_tensor("dense_0", |tensor| tensor.variable = true)),
            ("a batch of two", with_tensor("input", |tensor| tensor.shape = vec![2, 2])),
        ],
        expect![[r#"
            two subgraphs:
              net: not supported: 2 subgraphs, of which the network and its CALL_ONCE operators are 1
              help: export a network without control flow (IF, WHILE) and extra signatures
            no subgraph:
              net: not supported: no subgraph
              help: give a network that computes something
            two inputs:
              net: not supported: 2 inputs instead of one
              help: export a network of one input and one output: concatenate or split them on the host
            no output:
              net: not supported: 0 outputs instead of one
            no operators:
              net: not supported: the network has no operators
              help: give a network that computes something
            an older schema:
              net: not supported: version 2 of the schema instead of 3
              help: convert the network again with a current TensorFlow Lite converter
            a fused tanh:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`: not supported: a fused activation TANH
              help: use NONE, RELU, RELU6 or RELU_N1_TO_1
            an unknown fused activation:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`: not supported: a fused activation number -1
            shuffled weights:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`: not supported: weights in the shuffled order of one CPU kernel
              help: export the network with weights in the default format
            sparse weights:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0/w`: not supported: sparse weights
              help: export without sparse encoding (DENSIFY the weights; zeros are allowed)
            weights outside:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0/w`: not supported: the tensor's content stands behind the FlatBuffer
              help: export the network as one file with its weights inside (below 2 GB)
            computed weights:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0/w`: not supported: weights that are no constants of the file
              help: export a network whose weights and biases are constants
            a constant input:
              net, tensor `input`: not supported: the network's input is a constant
              help: export the network with a placeholder as its input
            state:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0`: not supported: the tensor keeps its value from one inference to the next
              help: make the state an input and an output of the network, and keep it on the host
            a batch of two:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`: not supported: a batch of 2 (an input of shape [2, 2] for weights of 2)
              help: export the network with a batch of one, and run it once for each example
        "#]],
    );
}

#[test]
fn a_layer_that_reads_a_constant_is_refused() {
    let model = changed(|model| {
        model.tensors.push(Tensor { data: Some(vec![1, 2]), ..Tensor::activation("table", &[1, 2], 0.5, 3) });
        model.operators[0].inputs[0] = model.tensors.len() as i32 - 1;
    });
    check(
        [("a constant activation", model)],
        expect![[r#"
        a constant activation:
          net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `table`: not supported: the input is a constant
          help: let the converter fold constants, so that every operator computes from the network's input
    "#]],
    );
}

#[test]
fn a_shape_computed_at_run_time_is_refused() {
    let mut model = network().reshape(&[1, 1, 1], true).model();
    let shape = position(&model, "reshape_2/shape");
    model.tensors[shape].data = None;
    check(
        [("a computed shape", model)],
        expect![[r#"
        a computed shape:
          net, operator 2 (RESHAPE), layer `reshape_2`: not supported: the new shape is computed at run time
          help: export the network with fixed shapes and a batch of one
    "#]],
    );
}

#[test]
fn sizes_that_contradict_each_other_are_named() {
    check(
        [
            ("too few weights", with_tensor("dense_0/w", |tensor| tensor.data = Some(vec![1; 5]))),
            ("too many weights", with_tensor("dense_0/w", |tensor| tensor.data = Some(vec![1; 7]))),
            ("three axes of weights", with_tensor("dense_0/w", |tensor| tensor.shape = vec![1, 3, 2])),
            ("a negative axis", with_tensor("input", |tensor| tensor.shape = vec![1, -2])),
            ("an empty axis", with_tensor("dense_0", |tensor| tensor.shape = vec![0, 3])),
            ("a huge axis", with_tensor("input", |tensor| tensor.shape = vec![1, i32::MAX])),
            ("axes whose product overflows", with_tensor("input", |tensor| tensor.shape = vec![i32::MAX; 8])),
            ("too many axes", with_tensor("input", |tensor| tensor.shape = vec![1; 9])),
            ("huge weights", with_tensor("dense_0/w", |tensor| tensor.shape = vec![i32::MAX, i32::MAX])),
            ("an input the weights do not take", with_tensor("input", |tensor| tensor.shape = vec![1, 3])),
            ("an output the weights do not make", with_tensor("dense_0", |tensor| tensor.shape = vec![1, 4])),
            ("an output split into a batch", with_tensor("dense_0", |tensor| tensor.shape = vec![3, 1])),
            (
                "a short bias",
                with_tensor("dense_0/b", |tensor| (tensor.shape, tensor.data) = (vec![2], Some(vec![0; 8]))),
            ),
        ],
        expect![[r#"
            too few weights:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0/w`: the file is damaged: shape [3, 2] needs 6 bytes of content, but there are 5
              help: fetch or convert the file again, and compare its length and checksum with the original's
            too many weights:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0/w`: the file is damaged: shape [3, 2] needs 6 bytes of content, but there are 7
            three axes of weights:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0/w`: weights of shape [1, 3, 2] instead of outputs×inputs
              help: convert the network again with fixed shapes and a batch of one
            a negative axis:
              net, tensor `input`: an axis of size -2
            an empty axis:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0`: an axis of size 0
            a huge axis:
              net, tensor `input`: the activations would take 2147483647 bytes, but the limit is 16777216
              help: give a smaller network: everything lives in on-chip memory, and no configuration holds this much
            axes whose product overflows:
              net, tensor `input`: shape [2147483647, 2147483647, 2147483647, 2147483647, 2147483647, 2147483647, 2147483647, 2147483647] has more elements than can be counted
              help: convert the network again with fixed shapes and a batch of one
            too many axes:
              net, tensor `input`: 9 axes, more than 8
            huge weights:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0/w`: the file is damaged: shape [2147483647, 2147483647] needs 4611686014132420609 bytes of content, but there are 6
              help: fetch or convert the file again, and compare its length and checksum with the original's
            an input the weights do not take:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`: an input of shape [1, 3] does not divide into vectors of the 2 that the weights take
              help: convert the network again with fixed shapes and a batch of one
            an output the weights do not make:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`: an output of shape [1, 4] for weights of 3 rows
            an output split into a batch:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`: an output of shape [3, 1] for weights of 3 rows
            a short bias:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0/b`: 2 biases for 3 outputs
        "#]],
    );
}

#[test]
fn a_reshape_that_changes_the_number_of_elements_is_named() {
    let mut model = network().reshape(&[1, 1, 1], false).model();
    let output = position(&model, "reshape_2");
    model.tensors[output].shape = vec![2];
    check(
        [("a reshape to two", model)],
        expect![[r#"
        a reshape to two:
          net, operator 2 (RESHAPE), layer `reshape_2`: reads shape [1, 1] and writes shape [2], which have different numbers of elements
          help: convert the network again with fixed shapes and a batch of one
    "#]],
    );
}

#[test]
fn quantisation_that_means_nothing_is_named() {
    let with_scale = |name: &'static str, scale: f32| with_tensor(name, move |tensor| tensor.scales[0] = scale);
    check(
        [
            ("an activation without", with_tensor("input", |tensor| tensor.scales.clear())),
            ("weights without", with_tensor("dense_0/w", |tensor| tensor.scales.clear())),
            ("not a number", with_scale("dense_0/w", f32::NAN)),
            ("zero", with_scale("input", 0.0)),
            ("negative", with_scale("dense_1/w", -0.5)),
            ("infinite", with_scale("dense_0", f32::INFINITY)),
            ("an output far too fine", with_scale("dense_0", 1e-30)),
            (
                "a scale too fine for the bound of the activation",
                changed(|model| {
                    for (tensor, scale) in model.tensors.iter_mut().zip([1e-5, 1e-5, 1e-10, 1e-10]) {
                        tensor.scales.fill(scale);
                    }
                    model.operators[0].activation = Fused::Relu6 as i8;
                }),
            ),
            ("a zero point outside int8", with_tensor("input", |tensor| tensor.zero_points[0] = 128)),
            ("weights with a zero point", with_tensor("dense_0/w", |tensor| tensor.zero_points[1] = 5)),
            (
                "more scales than channels",
                with_tensor("dense_1/w", |tensor| {
                    tensor.scales = vec![0.1; 2];
                    tensor.zero_points = vec![0; 2];
                }),
            ),
            ("scales along the inputs", with_tensor("dense_0/w", |tensor| tensor.axis = 1)),
            ("more scales than zero points", with_tensor("dense_0/w", |tensor| tensor.zero_points.truncate(1))),
            (
                "several scales on an activation",
                with_tensor("input", |tensor| {
                    tensor.scales = vec![0.1; 2];
                    tensor.zero_points = vec![0; 2];
                }),
            ),
            ("a bias in another scale", with_scale("dense_1/b", 0.5)),
        ],
        expect![[r#"
            an activation without:
              net, tensor `input`: no scale and zero point
              help: convert the network again with full int8 quantisation and a representative data set: every activation then gets a positive scale and a zero point within int8, and weights a zero point of 0
            weights without:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0/w`: no scale and zero point
            not a number:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0/w`: a scale of NaN, which is not a positive number
            zero:
              net, tensor `input`: a scale of 0, which is not a positive number
            negative:
              net, operator 1 (FULLY_CONNECTED), layer `dense_1`, tensor `dense_1/w`: a scale of -0.5, which is not a positive number
            infinite:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0`: a scale of inf, which is not a positive number
            an output far too fine:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`: the scales of input, weights and output multiply to 5.0000000586504215e28, too large for 32-bit arithmetic
            a scale too fine for the bound of the activation:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`: a scale of 1e-10, in which 6 does not fit in 32 bits
            a zero point outside int8:
              net, tensor `input`: a zero point of 128, outside int8
            weights with a zero point:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0/w`: a zero point of 5, but weights are symmetric (0)
            more scales than channels:
              net, operator 1 (FULLY_CONNECTED), layer `dense_1`, tensor `dense_1/w`: 2 scales along axis 0 instead of one, or 1 along axis 0
            scales along the inputs:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0/w`: 3 scales along axis 1 instead of one, or 3 along axis 0
            more scales than zero points:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0/w`: 3 scales, but 1 zero points
            several scales on an activation:
              net, tensor `input`: 2 scales on an activation instead of one
            a bias in another scale:
              net, operator 1 (FULLY_CONNECTED), layer `dense_1`, tensor `dense_1/b`: a bias in units of 5e-1, but input and weights multiply to units of 2.500000037252903e-2
        "#]],
    );
}

#[test]
fn references_to_nothing_are_named() {
    check(
        [
            ("an input that does not exist", changed(|model| model.inputs = vec![99])),
            ("a negative input", changed(|model| model.inputs = vec![-1])),
            ("an operand that does not exist", changed(|model| model.operators[0].inputs[1] = 99)),
            ("a negative operand", changed(|model| model.operators[0].inputs[0] = -1)),
            ("no operands", changed(|model| model.operators[0].inputs.clear())),
            ("no weights", changed(|model| model.operators[0].inputs.truncate(1))),
            ("too many operands", changed(|model| model.operators[0].inputs.push(0))),
            ("two results", changed(|model| model.operators[0].outputs.push(0))),
            ("a result read before it is written", changed(|model| model.operators.swap(0, 1))),
            (
                "a result written twice",
                changed(|model| {
                    let again: Operator = model.operators[0].clone();
                    model.operators.push(again);
                }),
            ),
            (
                "an output that nothing writes",
                changed(|model| {
                    model.tensors.push(Tensor::activation("idle", &[1, 1], 1.0, 0));
                    model.outputs = vec![model.tensors.len() as i32 - 1];
                }),
            ),
        ],
        expect![[r#"
            an input that does not exist:
              net: the file is damaged: tensor 99 is named, but there are 7
              help: fetch or convert the file again, and compare its length and checksum with the original's
            a negative input:
              net: the file is damaged: tensor -1 is named, but there are 7
            an operand that does not exist:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`: the file is damaged: tensor 99 is named, but there are 7
            a negative operand:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`: the file is damaged: tensor -1 is named, but there are 7
            no operands:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`: the file is damaged: the operator has no input
            no weights:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`: the file is damaged: the operator has no weights
            too many operands:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`: the file is damaged: 4 inputs and 1 outputs instead of at most 3 and one
            two results:
              net, operator 0 (FULLY_CONNECTED), layer `dense_0`: the file is damaged: 3 inputs and 2 outputs instead of at most 3 and one
            a result read before it is written:
              net, operator 0 (FULLY_CONNECTED), layer `dense_1`, tensor `dense_0`: the file is damaged: the input is read before any operator has written it
            a result written twice:
              net, operator 2 (FULLY_CONNECTED), layer `dense_0`, tensor `dense_0`: the file is damaged: two operators write this tensor, or one writes the input
            an output that nothing writes:
              net, tensor `idle`: the file is damaged: the output is read before any operator has written it
        "#]],
    );
}

#[test]
fn files_of_another_kind_are_told_apart() {
    let mut text = String::new();
    for bytes in [&b""[..], b"TFL3", b"\x08\0\0\0ONNX\0\0", b"\x93NUMPY\x01\0v\0"] {
        let error = import(bytes, "net").unwrap_err();
        writeln!(text, "{error}\n  help: {}", error.help()).unwrap();
    }
    expect![[r#"
        net: not a network in a known format: the file is empty
          help: give a TensorFlow Lite model (a FlatBuffer whose bytes 4 to 7 are "TFL3") or an ONNX model (the protocol buffer of a ModelProto)
        net: not a network in a known format: 4 bytes that begin with "TFL3"
          help: give a TensorFlow Lite model (a FlatBuffer whose bytes 4 to 7 are "TFL3") or an ONNX model (the protocol buffer of a ModelProto)
        net: not a network in a known format: 10 bytes that begin with "\x08\x00\x00\x00ONNX"
          help: give a TensorFlow Lite model (a FlatBuffer whose bytes 4 to 7 are "TFL3") or an ONNX model (the protocol buffer of a ModelProto)
        net: not a network in a known format: 10 bytes that begin with "\x93NUMPY\x01\x00"
          help: give a TensorFlow Lite model (a FlatBuffer whose bytes 4 to 7 are "TFL3") or an ONNX model (the protocol buffer of a ModelProto)
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_file_that_does_not_exist_is_named() {
    let error = read_model("no/such/model.tflite").unwrap_err();
    assert!(error.to_string().starts_with("cannot read no/such/model.tflite: "), "{error}");
    assert_eq!(error.help(), "check the path and that the file may be read");
}
