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
        &expect![[""]],
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
        &expect![[""]],
    );
}

#[test]
fn weights_in_floating_point() {
    said(
        |graph| {
            let at = node(graph, "Conv");
            graph.node[at].input[1] = "wide/w/scale".into();
        },
        &expect![[""]],
    );
}

#[test]
fn weights_with_a_zero_point() {
    said(
        |graph| {
            let zero = graph.initializer.iter_mut().find(|tensor| tensor.name == "wide/w/zero").unwrap();
            zero.raw_data[0] = 3;
        },
        &expect![[""]],
    );
}

#[test]
fn a_constant_that_is_missing() {
    said(|graph| graph.initializer.retain(|tensor| tensor.name != "half/w/q"), &expect![[""]]);
}

#[test]
fn a_type_that_is_not_read() {
    said(
        |graph| {
            let scale = graph.initializer.iter_mut().find(|tensor| tensor.name == "wide/scale").unwrap();
            scale.data_type = data_type::INT32;
        },
        &expect![[""]],
    );
    said(|graph| graph.initializer[0].data_type = 10, &expect![[""]]);
}

#[test]
fn an_attribute_that_is_not_known() {
    said(
        |graph| {
            let at = node(graph, "Gemm");
            graph.node[at].attribute.push(integer("sparse", 1));
        },
        &expect![[""]],
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
        &expect![[""]],
    );
}

#[test]
fn a_batch_of_several() {
    said(
        |graph| {
            let kind = graph.input[0].kind.as_mut().unwrap().tensor.as_mut().unwrap();
            kind.shape.as_mut().unwrap().dim[0].value = Some(4);
        },
        &expect![[""]],
    );
}

#[test]
fn an_older_version_of_the_operators() {
    let mut model = image_network(1).onnx;
    model.opset_import[0].version = 9;
    let error = import(&model.bytes(), "net").unwrap_err();
    expect![[""]].assert_eq(&format!("{error}\nhelp: {}", error.help()));
}
