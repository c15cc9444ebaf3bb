//! Damaged and malicious ONNX models never panic and never allocate what they merely claim.

use lpu_compiler::import::onnx::schema::{Attribute, Dimension, Model, Node};
use lpu_compiler::import::{ImportError, import};
use lpu_tests::onnx_writer::{image_network, twin};
use lpu_tests::operators::{OPERATORS, case};
use proptest::prelude::*;

/// The graph of `bytes`, if there is one, is sound and can be run.
fn refused_or_sound(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(graph) = import(bytes, "changed") {
        prop_assert_eq!(graph.check(), Ok(()));
        let elements: usize = graph.tensors.iter().map(lpu_compiler::graph::Tensor::elements).sum();
        if elements < 1 << 16 && graph.multiply_accumulates() < 1 << 22 {
            let length = graph.tensors[graph.inputs[0].0].elements();
            prop_assert!(lpu_sim::golden::run(&graph, &vec![0; length]).is_ok());
        }
    }
    Ok(())
}

#[test]
fn every_truncation_is_refused() {
    let bytes = image_network(3).onnx.bytes();
    for length in 0..bytes.len() {
        match import(&bytes[..length], "net") {
            // The versions of the operators stand last.
            Err(ImportError::Damaged { .. } | ImportError::Unsupported { .. }) => (),
            Err(ImportError::UnknownFormat { .. }) => assert!(length < 3, "at {length}"),
            other => panic!("{length} of {} bytes: {other:?}", bytes.len()),
        }
    }
}

/// The bytes of a network with something changed.
fn changed(change: impl FnOnce(&mut Model)) -> Vec<u8> {
    let mut model = image_network(1).onnx;
    change(&mut model);
    model.bytes()
}

#[test]
fn millions_of_empty_messages_are_counted_before_they_are_made() {
    let bytes = changed(|model| {
        let nodes = &mut model.graph.as_mut().unwrap().node;
        nodes[0].attribute = vec![Attribute::default(); 1 << 20];
    });
    assert!(bytes.len() < 3 << 20);
    assert!(matches!(import(&bytes, "net"), Err(ImportError::TooLarge { .. })));
    let bytes = changed(|model| model.graph.as_mut().unwrap().node.extend(vec![Node::default(); 1 << 20]));
    assert!(matches!(import(&bytes, "net"), Err(ImportError::TooLarge { .. })));
}

#[test]
fn a_cycle_is_refused() {
    let bytes = changed(|model| {
        let nodes = &mut model.graph.as_mut().unwrap().node;
        let first = nodes.iter().position(|node| node.op_type == "Conv").unwrap();
        nodes[first].input[0] = "sum".into();
    });
    let error = import(&bytes, "net").unwrap_err();
    assert!(matches!(error, ImportError::Damaged { .. }), "{error}");
}

#[test]
fn absurd_shapes_are_refused() {
    for size in [i64::MAX, 1 << 40, 0, -1] {
        let bytes = changed(|model| {
            let kind = model.graph.as_mut().unwrap().input[0].kind.as_mut().unwrap();
            kind.tensor.as_mut().unwrap().shape.as_mut().unwrap().dim[2] =
                Dimension { value: Some(size), parameter: None };
        });
        assert!(import(&bytes, "net").is_err());
        let bytes = changed(|model| model.graph.as_mut().unwrap().initializer[0].dims = vec![size; 3]);
        assert!(import(&bytes, "net").is_err());
    }
}

proptest! {
    #[test]
    fn a_network_of_any_operator_with_changed_bytes_is_refused_or_still_sound(
        operator in 0..OPERATORS.len(),
        seed in 0_u64..1000,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)
    ) {
        if let Some(model) = twin(&case(operator, seed).model) {
            let mut bytes = model.bytes();
            for (index, value) in changes {
                let index = index.index(bytes.len());
                bytes[index] = value;
            }
            refused_or_sound(&bytes)?;
        }
    }

    #[test]
    fn a_network_of_images_with_changed_numbers_is_refused_or_still_sound(
        seed in 0_u64..1000,
        node: prop::sample::Index,
        attribute: prop::sample::Index,
        value in prop_oneof![Just(i64::MAX), Just(i64::MIN), -3_i64..9],
        swap: (prop::sample::Index, prop::sample::Index)
    ) {
        let mut model = image_network(seed).onnx;
        let graph = model.graph.as_mut().unwrap();
        let (first, second) = (swap.0.index(graph.node.len()), swap.1.index(graph.node.len()));
        if seed % 3 == 0 {
            graph.node.swap(first, second);
        } else if seed % 3 == 1 {
            graph.node[first].input = graph.node[second].input.clone();
        }
        let count = graph.node.len();
        let node = &mut graph.node[node.index(count)];
        if !node.attribute.is_empty() {
            let index = attribute.index(node.attribute.len());
            node.attribute[index].i = Some(value);
            if let Some(first) = node.attribute[index].ints.first_mut() {
                *first = value;
            }
        }
        refused_or_sound(&model.bytes())?;
    }

    #[test]
    fn a_network_cut_anywhere_is_refused(seed in 0_u64..1000, cut: prop::sample::Index) {
        let bytes = image_network(seed).onnx.bytes();
        prop_assert!(import(&bytes[..cut.index(bytes.len())], "net").is_err());
    }

    #[test]
    fn noise_behind_the_version_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 3..400)) {
        bytes[..3].copy_from_slice(&[0x08, 0x0a, 0x3a]);
        prop_assert!(import(&bytes, "noise").is_err());
    }
}
