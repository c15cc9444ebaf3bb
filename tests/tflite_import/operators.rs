//! What each family of operators does not do is refused by operator and layer.

use expect_test::expect;
use lpu_compiler::import::import;
use lpu_tests::operators::{OPERATORS, case};
use lpu_tests::tflite_writer::{Model, Operator, Options, Tensor, code};

use super::check;

/// A network of that operator, after one change.
fn drawn(operator: &str, change: impl FnOnce(&mut Model)) -> Model {
    let operator = OPERATORS.iter().position(|(name, _)| *name == operator).unwrap();
    let mut model = case(operator, 1).model;
    change(&mut model);
    model
}

/// The operator of that code in a model.
fn operator(model: &mut Model, code: i32) -> &mut Operator {
    model.operators.iter_mut().find(|operator| operator.code == code).unwrap()
}

#[test]
fn what_convolutions_and_pools_do_not_do_is_named() {
    let stride = |operator: &mut Operator| match &mut operator.options {
        Options::Convolution { stride, .. } | Options::Pool { stride, .. } => stride[0] = 0,
        _ => panic!("no window"),
    };
    let padding = |operator: &mut Operator| match &mut operator.options {
        Options::Convolution { padding, .. } | Options::Pool { padding, .. } => *padding = 2,
        _ => panic!("no window"),
    };
    check(
        [
            ("a batch of two", drawn("CONV_2D", |model| model.tensors[0].shape[0] = 2)),
            ("three axes", drawn("DEPTHWISE_CONV_2D", |model| model.tensors[0].shape.truncate(3))),
            ("no stride", drawn("CONV_2D", |model| stride(&mut model.operators[0]))),
            ("unknown padding", drawn("CONV_2D", |model| padding(&mut model.operators[0]))),
            ("no options", drawn("CONV_2D", |model| model.operators[0].options = Options::Plain)),
            ("two axes of weights", drawn("CONV_2D", |model| model.tensors[1].shape = vec![1, 1])),
            ("another output", drawn("CONV_2D", |model| model.tensors.last_mut().unwrap().shape[1] += 1)),
            ("no weights", drawn("DEPTHWISE_CONV_2D", |model| model.operators[0].inputs.truncate(1))),
            (
                "scales along rows",
                drawn("DEPTHWISE_CONV_2D", |model| {
                    let weights = &mut model.tensors[1];
                    (weights.scales, weights.zero_points, weights.axis) = (vec![0.1; 2], vec![0; 2], 1);
                }),
            ),
            ("a pool without stride", drawn("MAX_POOL_2D", |model| stride(&mut model.operators[0]))),
            ("a pool that rescales", drawn("AVERAGE_POOL_2D", |model| model.tensors[1].scales[0] *= 2.0)),
            (
                "a pool of nothing",
                drawn("MAX_POOL_2D", |model| {
                    model.operators[0].options = Options::Pool { padding: 1, stride: [1, 1], size: [0, 1] };
                }),
            ),
            (
                "a pool larger than its input",
                drawn("MAX_POOL_2D", |model| {
                    model.operators[0].options = Options::Pool { padding: 1, stride: [1, 1], size: [i32::MAX, 1] };
                }),
            ),
        ],
        expect![[r#"
            a batch of two:
              net, operator 0 (CONV_2D), layer `output_3`: not supported: a batch of 2 (a tensor of shape [2, 8, 6, 4])
              help: export the network with a batch of one, and run it once for each example
            three axes:
              net, operator 0 (DEPTHWISE_CONV_2D), layer `output_3`: a tensor of shape [1, 4, 5] instead of batch, rows, columns, channels
              help: convert the network again with fixed shapes and a batch of one
            no stride:
              net, operator 0 (CONV_2D), layer `output_3`: a stride of 0×2
            unknown padding:
              net, operator 0 (CONV_2D), layer `output_3`: the file is damaged: padding of kind 2, which is neither SAME (0) nor VALID (1)
              help: fetch or convert the file again, and compare its length and checksum with the original's
            no options:
              net, operator 0 (CONV_2D), layer `output_3`: a stride of 0×0
              help: convert the network again with fixed shapes and a batch of one
            two axes of weights:
              net, operator 0 (CONV_2D), layer `output_3`, tensor `weights_1`: the file is damaged: shape [1, 1] needs 1 bytes of content, but there are 16
              help: fetch or convert the file again, and compare its length and checksum with the original's
            another output:
              net, operator 0 (CONV_2D), layer `output_3`: an output of shape [1, 4, 2, 1] instead of [1, 3, 2, 1]
              help: convert the network again with fixed shapes and a batch of one
            no weights:
              net, operator 0 (DEPTHWISE_CONV_2D), layer `output_3`: the file is damaged: the operator has no weights
              help: fetch or convert the file again, and compare its length and checksum with the original's
            scales along rows:
              net, operator 0 (DEPTHWISE_CONV_2D), layer `output_3`, tensor `weights_1`: 2 scales along axis 1 instead of one, or 1 along axis 3
              help: convert the network again with full int8 quantisation and a representative data set: every activation then gets a positive scale and a zero point within int8, and weights a zero point of 0
            a pool without stride:
              net, operator 0 (MAX_POOL_2D), layer `output_1`: a stride of 0×2
              help: convert the network again with fixed shapes and a batch of one
            a pool that rescales:
              net, operator 0 (AVERAGE_POOL_2D), layer `output_1`: scale 0.16618918 and zero point 103 at the input, 0.33237836 and 103 at the output, but the operator does not rescale
              help: convert the network again with full int8 quantisation and a representative data set: every activation then gets a positive scale and a zero point within int8, and weights a zero point of 0
            a pool of nothing:
              net, operator 0 (MAX_POOL_2D), layer `output_1`: a window of 0×1
              help: convert the network again with fixed shapes and a batch of one
            a pool larger than its input:
              net, operator 0 (MAX_POOL_2D), layer `output_1`: a window of 2147483647×1 with dilation 1×1 over 6×9 elements
        "#]],
    );
}

#[test]
fn what_operators_on_elements_do_not_do_is_named() {
    check(
        [
            (
                "shapes that do not repeat",
                drawn("ADD", |model| {
                    let inputs = operator(model, code::ADD).inputs.clone();
                    model.tensors[inputs[0] as usize].shape = vec![7, 11];
                    model.operators.retain(|operator| operator.code == code::ADD);
                    (model.inputs, model.tensors[inputs[0] as usize].data) = (vec![inputs[0]], None);
                    model.tensors[inputs[1] as usize].data =
                        Some(vec![0; model.tensors[inputs[1] as usize].elements()]);
                }),
            ),
            (
                "sums in a unit too fine",
                drawn("ADD", |model| {
                    let output = operator(model, code::ADD).outputs[0];
                    model.tensors[output as usize].scales[0] = 1e-9;
                }),
            ),
            (
                "a product too large",
                drawn("MUL", |model| {
                    let output = operator(model, code::MUL).outputs[0];
                    model.tensors[output as usize].scales[0] = 1e-30;
                }),
            ),
            ("a fused tanh", drawn("MUL", |model| operator(model, code::MUL).activation = 4)),
            (
                "a mean over an axis that is none",
                drawn("MEAN", |model| {
                    model.tensors[1] = Tensor::integers("axes", &[9]);
                }),
            ),
            ("axes computed", drawn("MEAN", |model| model.operators[0].inputs[1] = 0)),
            ("a softmax in other units", drawn("SOFTMAX", |model| model.tensors[1].scales[0] = 0.1)),
            (
                "a long softmax",
                drawn("SOFTMAX", |model| {
                    model.tensors.iter_mut().for_each(|tensor| tensor.shape = vec![1, 512]);
                }),
            ),
            ("a flat softmax", drawn("SOFTMAX", |model| model.operators[0].options = Options::Softmax { beta: 0.0 })),
            ("a logistic of large units", drawn("LOGISTIC", |model| model.tensors[0].scales[0] = 100.0)),
            (
                "a clamp of uint8",
                drawn("RELU", |model| {
                    (model.tensors[0].element, model.tensors[0].zero_points[0]) = (code::UINT8, 5);
                }),
            ),
            (
                "a zero point beyond uint8",
                drawn("QUANTIZE", |model| {
                    (model.tensors[0].element, model.tensors[0].zero_points[0]) = (code::UINT8, -1);
                }),
            ),
        ],
        expect![[r#"
            shapes that do not repeat:
              net, operator 0 (ADD), layer `output_7`: shapes [7, 11] and [1, 3, 3, 2], of which neither repeats to the other
              help: convert the network again with fixed shapes and a batch of one
            sums in a unit too fine:
              net, operator 3 (ADD), layer `output_7`: operands in units of 0.052553624 and 0.17999057 and sums in units of 0.000000001, which is too fine: sums are shifted by 20 bits first
              help: convert the network again with full int8 quantisation and a representative data set: every activation then gets a positive scale and a zero point within int8, and weights a zero point of 0
            a product too large:
              net, operator 3 (MUL), layer `output_7`: a scale of 1e-30, in which 6 does not fit in 32 bits
            a fused tanh:
              net, operator 3 (MUL), layer `output_7`: not supported: a fused activation TANH
              help: use NONE, RELU, RELU6 or RELU_N1_TO_1
            a mean over an axis that is none:
              net, operator 0 (MEAN), layer `output_2`: axis 9 of a tensor of 2 axes
              help: convert the network again with fixed shapes and a batch of one
            axes computed:
              net, operator 0 (MEAN), layer `output_2`, tensor `input`: not supported: axes computed at run time
              help: export the network with fixed shapes and a batch of one
            a softmax in other units:
              net, operator 0 (SOFTMAX), layer `output_1`: an output of scale 0.1 and zero point -128 instead of 1/256 and -128
              help: convert the network again with full int8 quantisation and a representative data set: every activation then gets a positive scale and a zero point within int8, and weights a zero point of 0
            a long softmax:
              net, operator 0 (SOFTMAX), layer `output_1`: not supported: rows of 512 elements, of which more than 511 may be equal
              help: leave the softmax out of the network and compute it on the host; the largest element is the same before it
            a flat softmax:
              net, operator 0 (SOFTMAX), layer `output_1`: a scale of 6.1270867e-2 and a beta of 0e0, whose product is too small for fixed-point arithmetic
              help: convert the network again with full int8 quantisation and a representative data set: every activation then gets a positive scale and a zero point within int8, and weights a zero point of 0
            a logistic of large units:
              net, operator 0 (LOGISTIC), layer `output_1`: a scale of 1e2, which fixed-point arithmetic does not reach
            a clamp of uint8:
              net, operator 0 (RELU), layer `output_1`, tensor `input`: input of type UINT8, but only INT8 is supported
              help: convert the network with full int8 quantisation, so that this tensor becomes INT8
            a zero point beyond uint8:
              net, tensor `input`: a zero point of -1, outside uint8
              help: convert the network again with full int8 quantisation and a representative data set: every activation then gets a positive scale and a zero point within int8, and weights a zero point of 0
        "#]],
    );
}

#[test]
fn what_operators_that_move_do_not_do_is_named() {
    check(
        [
            (
                "negative padding",
                drawn("PAD", |model| {
                    let axes = model.tensors[0].shape.len();
                    model.tensors[1] = Tensor::integers("padding", &vec![-1; 2 * axes]);
                }),
            ),
            ("padding of too few axes", drawn("PAD", |model| model.tensors[1] = Tensor::integers("padding", &[0]))),
            ("a fused clamp", drawn("CONCATENATION", |model| operator(model, code::CONCATENATION).activation = 1)),
            (
                "an axis that is none",
                drawn("CONCATENATION", |model| {
                    operator(model, code::CONCATENATION).options = Options::Concatenation { axis: -9 };
                }),
            ),
            (
                "parts of other shapes",
                drawn("CONCATENATION", |model| {
                    let input = operator(model, code::CONCATENATION).inputs[0];
                    model.tensors[input as usize].shape.push(1);
                }),
            ),
            (
                "an ellipsis",
                drawn("STRIDED_SLICE", |model| {
                    model.operators[0].options = Options::StridedSlice { masks: [0, 0, 1, 0, 0] };
                }),
            ),
            (
                "no step",
                drawn("STRIDED_SLICE", |model| {
                    let axes = model.tensors[0].shape.len();
                    model.tensors[3] = Tensor::integers("strides", &vec![0; axes]);
                }),
            ),
            (
                "ranges of too few axes",
                drawn("STRIDED_SLICE", |model| {
                    model.tensors[1] = Tensor::integers("begin", &[]);
                    model.tensors[1].data = Some(vec![0; 40]);
                    model.tensors[1].shape = vec![10];
                }),
            ),
            (
                "a split of more than there is",
                drawn("SPLIT", |model| {
                    let split = operator(model, code::SPLIT);
                    let last = split.outputs[0];
                    split.outputs.push(last);
                }),
            ),
            (
                "a split along an axis that is none",
                drawn("SPLIT_V", |model| {
                    let axis = operator(model, code::SPLIT_V).inputs[2];
                    model.tensors[axis as usize] = Tensor::integers("axis", &[5]);
                }),
            ),
        ],
        expect![[r#"
            negative padding:
              net, operator 0 (PAD), layer `output_2`: padding of [-1, -1] for shape [4]: two numbers from 0 are needed for each axis
              help: convert the network again with fixed shapes and a batch of one
            padding of too few axes:
              net, operator 0 (PAD), layer `output_2`: padding of [0] for shape [4]: two numbers from 0 are needed for each axis
            a fused clamp:
              net, operator 5 (CONCATENATION), layer `output_11`: not supported: a fused activation on a concatenation
              help: put the activation on the operators before the concatenation
            an axis that is none:
              net, operator 5 (CONCATENATION), layer `output_11`: axis -9 of a tensor of 4 axes
              help: convert the network again with fixed shapes and a batch of one
            parts of other shapes:
              net, operator 5 (CONCATENATION), layer `output_11`: shapes [1, 1, 1, 1, 1] and [1, 1, 2, 1], which differ beside axis 2
            an ellipsis:
              net, operator 0 (STRIDED_SLICE), layer `output_4`: not supported: a slice with an ellipsis, new axes, or an end relative to its begin
              help: write out the ranges of all axes, and add axes with RESHAPE
            no step:
              net, operator 0 (STRIDED_SLICE), layer `output_4`: a slice from 0 to -100 in steps of 0 of axis 0, which has 3 elements: nothing is left
              help: convert the network again with fixed shapes and a batch of one
            ranges of too few axes:
              net, operator 0 (STRIDED_SLICE), layer `output_4`: ranges for 10, 1 and 1 of 1 axes
            a split of more than there is:
              net, operator 0 (SPLIT), layer `activation_2`, tensor `activation_2`: the file is damaged: two operators write this tensor, or one writes the input
              help: fetch or convert the file again, and compare its length and checksum with the original's
            a split along an axis that is none:
              net, operator 0 (SPLIT_V), layer `activation_3`: axis 5 of a tensor of 2 axes
              help: convert the network again with fixed shapes and a batch of one
        "#]],
    );
}

#[test]
fn what_variables_do_not_do_is_named() {
    let initial = |change: fn(&mut (Vec<Tensor>, Vec<Operator>))| {
        drawn("ASSIGN_VARIABLE", move |model| change(model.initial.as_mut().unwrap()))
    };
    check(
        [
            (
                "a variable without a handle",
                drawn("ASSIGN_VARIABLE", |model| {
                    model.operators.retain(|operator| operator.code != code::VAR_HANDLE);
                }),
            ),
            (
                "a value of another size",
                drawn("ASSIGN_VARIABLE", |model| {
                    operator(model, code::ASSIGN_VARIABLE).inputs[1] = 0;
                    model.tensors[0].shape[1] += 9;
                    model.operators.retain(|operator| operator.code != code::CONCATENATION);
                    let read = operator(model, code::READ_VARIABLE).outputs[0];
                    model.operators.retain(|operator| operator.code != code::STRIDED_SLICE);
                    model.outputs = vec![read];
                }),
            ),
            (
                "CALL_ONCE of no subgraph",
                drawn("ASSIGN_VARIABLE", |model| {
                    operator(model, code::CALL_ONCE).options = Options::CallOnce { subgraph: 7 };
                }),
            ),
            (
                "CALL_ONCE of the network",
                drawn("ASSIGN_VARIABLE", |model| {
                    operator(model, code::CALL_ONCE).options = Options::CallOnce { subgraph: 0 };
                }),
            ),
            (
                "CALL_ONCE after a use",
                drawn("ASSIGN_VARIABLE", |model| {
                    let call = model.operators.remove(0);
                    model.operators.push(call);
                }),
            ),
            (
                "a subgraph that nobody calls",
                drawn("ASSIGN_VARIABLE", |model| {
                    model.operators.retain(|operator| operator.code != code::CALL_ONCE);
                }),
            ),
            ("a first value that is computed", initial(|(tensors, _)| tensors[1].data = None)),
            (
                "a first value of another size",
                initial(|(tensors, _)| {
                    (tensors[1].shape, tensors[1].data) = (vec![1], Some(vec![1]));
                }),
            ),
            ("another operator that is called once", initial(|(_, operators)| operators[1].code = code::RELU)),
        ],
        expect![[r#"
            a variable without a handle:
              net, operator 1 (READ_VARIABLE), layer `rows_2`: the file is damaged: the variable has no handle before this operator
              help: fetch or convert the file again, and compare its length and checksum with the original's
            a value of another size:
              net, operator 3 (ASSIGN_VARIABLE), layer `operator 3`: reads shape [1, 13, 1, 4] and writes shape [1, 3, 1, 4], which have different numbers of elements
              help: convert the network again with fixed shapes and a batch of one
            CALL_ONCE of no subgraph:
              net, operator 0 (CALL_ONCE), layer `operator 0`: the file is damaged: subgraph 7 is named, but there are 2
              help: fetch or convert the file again, and compare its length and checksum with the original's
            CALL_ONCE of the network:
              net, operator 0 (CALL_ONCE), layer `operator 0`: the file is damaged: subgraph 0 is named, but there are 2
            CALL_ONCE after a use:
              net, operator 12 (CALL_ONCE), layer `operator 12`: not supported: the variable `stream_0/states` is used before CALL_ONCE
              help: give variables their first values at the start of the network
            a subgraph that nobody calls:
              net: not supported: 2 subgraphs, of which the network and its CALL_ONCE operators are 1
              help: export a network without control flow (IF, WHILE) and extra signatures
            a first value that is computed:
              net, operator 0 (CALL_ONCE), layer `operator 0`, tensor `first`: not supported: first values that are no constants of the file
              help: export a network whose weights and biases are constants
            a first value of another size:
              net, operator 2 (READ_VARIABLE), layer `rows_2`: the variable `stream_0/states` of 12 elements begins with 1
              help: convert the network again with fixed shapes and a batch of one
            another operator that is called once:
              net, operator 0 (CALL_ONCE), layer `operator 0`: not supported: RELU in the subgraph that initialises variables
              help: give variables constants as their first values
        "#]],
    );
}

#[test]
fn a_variable_is_a_state_with_its_first_value() {
    let model = drawn("ASSIGN_VARIABLE", |_| ());
    let graph = import(&model.bytes(), "net").unwrap();
    let (tensors, _) = model.initial.unwrap();
    let first: Vec<i8> = tensors[1].data.as_ref().unwrap().iter().map(|&byte| byte as i8).collect();
    assert_eq!((graph.states[0].name.as_str(), &graph.states[0].initial), ("stream_0/states", &first));
    assert_ne!(graph.states[0].next, graph.states[0].tensor);
}
