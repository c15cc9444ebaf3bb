//! Whatever is refused is refused with operator, layer, what is supported and a way round.

use expect_test::{Expect, expect};
use lpu_compiler::import::import;
use lpu_compiler::import::onnx::schema::{Graph, data_type};
use lpu_tests::onnx_writer::{image_network, integer};

/// What is said about a sound network with something changed.
fn said(change: impl FnOnce(&mut Graph), expected: &Expect) {
    let mut model = image_network(1).onnx;
    change(model.graph.as_mut().unwrap());
    let error = import(&model.bytes(), "net").unwrap_err();
    expected.assert_eq(&format!("{error}\nhelp: {}", error.help()));
}

/// Changes the first node of that kind.
fn node(graph: &mut Graph, kind: &str) -> usize {
    graph.node.iter().position(|node| node.op_type == kind).unwrap()
}

#[test]
fn an_operator_that_is_not_lowered() {
    said(
        |graph| {
            let at = node(graph, "MaxPool");
            graph.node[at].op_type = "LpPool".into();
        },
        &expect![[r#"
            net, operator 23 (LpPool), layer `pool/real`: operator LpPool is not supported; supported are QuantizeLinear, DequantizeLinear, Conv, Gemm, MatMul, Add, Mul, AveragePool, GlobalAveragePool, MaxPool, GlobalMaxPool, ReduceMean, Softmax, Sigmoid, Relu, Clip, Reshape, Flatten, Squeeze, Unsqueeze, Identity, Transpose, Pad, Concat, Split, Slice, Constant
            help: express that layer with QuantizeLinear, DequantizeLinear, Conv, Gemm, MatMul, Add, Mul, AveragePool, GlobalAveragePool, MaxPool, GlobalMaxPool, ReduceMean, Softmax, Sigmoid, Relu, Clip, Reshape, Flatten, Squeeze, Unsqueeze, Identity, Transpose, Pad, Concat, Split, Slice, Constant, or leave it out of the network and compute it on the host"#]],
    );
}

#[test]
fn a_result_that_nothing_quantises() {
    said(
        |graph| {
            // The sum reads the convolution's floating point.
            let at = node(graph, "Add");
            graph.node[at].input[1] = "deep/relu".into();
        },
        &expect![[r#"
            net, operator 16 (Conv), layer `deep/sum`: not supported: the result is not quantised: what reads it is not (only) a QuantizeLinear of one scale, or a clamp in front of it
            help: quantise every operator with QuantizeLinear and DequantizeLinear around it, for instance by onnxruntime.quantization.quantize_static(…, quant_format=QuantFormat.QDQ, activation_type=QuantType.QInt8, weight_type=QuantType.QInt8)"#]],
    );
}

#[test]
fn weights_in_floating_point() {
    said(
        |graph| {
            let at = node(graph, "Conv");
            graph.node[at].input[1] = "wide/w/scale".into();
        },
        &expect![[r#"
            net, operator 4 (Conv), layer `wide/sum`, tensor `wide/w/scale`: not supported: weights of type FLOAT that nothing quantises
            help: quantise every operator with QuantizeLinear and DequantizeLinear around it, for instance by onnxruntime.quantization.quantize_static(…, quant_format=QuantFormat.QDQ, activation_type=QuantType.QInt8, weight_type=QuantType.QInt8)"#]],
    );
}

#[test]
fn weights_with_a_zero_point() {
    said(
        |graph| {
            let zero = graph.initializer.iter_mut().find(|tensor| tensor.name == "wide/w/zero").unwrap();
            zero.raw_data[0] = 3;
        },
        &expect![[r#"
            net, operator 4 (Conv), layer `wide/sum`, tensor `wide/w`: not supported: weights with a zero point of 3 (as int8)
            help: quantise weights symmetrically: weight_type=QuantType.QInt8, extra_options={"WeightSymmetric": True}"#]],
    );
}

#[test]
fn a_constant_that_is_missing() {
    said(
        |graph| graph.initializer.retain(|tensor| tensor.name != "half/w/q"),
        &expect![[r#"
        net, operator 8 (DequantizeLinear), layer `half/w`, tensor `half/w/q`: the file is damaged: the value is read, but nothing makes it, and no constant has this name
        help: fetch or convert the file again, and compare its length and checksum with the original's"#]],
    );
}

#[test]
fn a_type_that_is_not_read() {
    said(
        |graph| {
            let scale = graph.initializer.iter_mut().find(|tensor| tensor.name == "wide/scale").unwrap();
            scale.data_type = data_type::INT32;
        },
        &expect![[r#"
            net, operator 6 (QuantizeLinear), layer `wide/q`: not supported: scales of type INT32 instead of FLOAT
            help: quantise a network of 32-bit floating point"#]],
    );
    said(
        |graph| graph.initializer[0].data_type = 10,
        &expect![[r#"
        net, tensor `image/scale`: not supported: a constant of type FLOAT16; read are FLOAT, INT8, UINT8, INT32 and INT64
        help: quantise weights to int8 (weight_type=QuantType.QInt8) and leave out constants that nothing needs"#]],
    );
}

#[test]
fn an_attribute_that_is_not_known() {
    said(
        |graph| {
            let at = node(graph, "Gemm");
            graph.node[at].attribute.push(integer("sparse", 1));
        },
        &expect![[r#"
            net, operator 29 (Gemm), layer `logits/sum`: not supported: the attribute `sparse`
            help: export the network without it, with opset 13 or newer of ONNX's own operators"#]],
    );
}

#[test]
fn a_transposition_that_moves_elements() {
    said(
        |graph| {
            let at = node(graph, "MaxPool");
            let mut turn = graph.node[at].clone();
            (turn.op_type, turn.output) = ("Transpose".into(), vec!["turned".into()]);
            turn.attribute = vec![lpu_tests::onnx_writer::integers("perm", &[0, 2, 1, 3])];
            graph.node[at].input = vec!["turned".into()];
            graph.node.insert(at, turn);
        },
        &expect![[r#"
            net, operator 24 (MaxPool), layer `pool/real`: not supported: an image whose channels do not stand innermost in memory
            help: let the exporter leave out the Transpose or Reshape in front of it: only those that undo each other, or stand in front of a Gemm or MatMul, cost nothing and are read"#]],
    );
}

#[test]
fn a_batch_of_several() {
    said(
        |graph| {
            let kind = graph.input[0].kind.as_mut().unwrap().tensor.as_mut().unwrap();
            kind.shape.as_mut().unwrap().dim[0].value = Some(4);
        },
        &expect![[r#"
            net, operator 4 (Conv), layer `wide/sum`: not supported: a batch of 4 (a tensor of shape [4, 3, 8, 8])
            help: export the network with a batch of one, and run it once for each example"#]],
    );
}

#[test]
fn an_older_version_of_the_operators() {
    let mut model = image_network(1).onnx;
    model.opset_import[0].version = 9;
    let error = import(&model.bytes(), "net").unwrap_err();
    expect![[r#"
        net: not supported: version 9 of ONNX's operators, older than 10
        help: export the network with opset 13 or newer"#]]
    .assert_eq(&format!("{error}\nhelp: {}", error.help()));
}
