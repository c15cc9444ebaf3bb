//! Damaged and malicious TensorFlow Lite models never panic and never allocate what they merely claim.

#![allow(clippy::unwrap_used)]

use expect_test::expect;
use lpu_compiler::import::{ImportError, import};
use lpu_tests::operators::{OPERATORS, case};
use lpu_tests::tflite_writer::{Dense, Fused, Limits, Network, Operator, Tensor, random_network};
use proptest::prelude::*;

#[test]
fn shared_weights_cannot_multiply_into_absurd_memory() {
    // Half a megabyte of weights, named by 200 operators.
    let weights = Dense {
        weights: vec![1; 512 * 1024],
        bias: None,
        scales: vec![0.1],
        outputs: 512,
        fused: Fused::None,
        output_scale: 1.0,
        output_zero_point: 0,
    };
    let mut model = Network::new(&[1, 1024], 0.5, 3).dense(weights).model();
    for copy in 0..200 {
        let output = model.tensors.len() as i32;
        model.tensors.push(Tensor::activation(&format!("copy_{copy}"), &[1, 512], 1.0, 0));
        let operator = Operator { outputs: vec![output], ..model.operators[0].clone() };
        model.operators.push(operator);
    }
    let error = import(&model.bytes(), "net").unwrap_err();
    expect!["net, operator 127 (FULLY_CONNECTED), layer `copy_126`, tensor `dense_0/w`: the weights would take 67629056 bytes, but the limit is 67108864"].assert_eq(&error.to_string());
}

#[test]
fn every_truncation_is_refused_as_damage() {
    let bytes = random_network(5, Limits { layers: 4, width: 9 }).bytes();
    for length in 0..bytes.len() {
        match import(&bytes[..length], "net") {
            Err(ImportError::Damaged { .. }) => (),
            Err(ImportError::UnknownFormat { .. }) => assert!(length < 8, "at {length}"),
            Err(other) => panic!("{length} of {} bytes: {other}", bytes.len()),
            // Only the padding behind the last table may be missing.
            Ok(_) => assert!(bytes.len() - length < 8, "{length} of {} bytes were enough", bytes.len()),
        }
    }
}

proptest! {
    #[test]
    fn a_random_network_cut_anywhere_is_refused_or_lost_only_padding(
        seed: u64, layers in 1_usize..5, width in 1_usize..20, cut: prop::sample::Index
    ) {
        let bytes = random_network(seed, Limits { layers, width }).bytes();
        if let Ok(graph) = import(&bytes[..cut.index(bytes.len())], "net") {
            prop_assert_eq!(graph, import(&bytes, "net").unwrap());
        }
    }

    #[test]
    fn a_random_network_with_changed_bytes_is_refused_or_still_sound(
        seed: u64,
        layers in 1_usize..5,
        width in 1_usize..20,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)
    ) {
        let mut bytes = random_network(seed, Limits { layers, width }).bytes();
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        if let Ok(graph) = import(&bytes, "changed") {
            prop_assert_eq!(graph.check(), Ok(()));
            let length = graph.tensors[graph.inputs[0].0].elements();
            if length < 1 << 16 {
                prop_assert!(lpu_sim::golden::run(&graph, &vec![0; length]).is_ok());
            }
        }
    }

    #[test]
    fn a_network_of_any_operator_with_changed_bytes_is_refused_or_still_sound(
        operator in 0..OPERATORS.len(),
        seed in 0_u64..1000,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)
    ) {
        let mut bytes = case(operator, seed).model.bytes();
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        if let Ok(graph) = import(&bytes, "changed") {
            prop_assert_eq!(graph.check(), Ok(()));
            let elements: usize = graph.tensors.iter().map(lpu_compiler::graph::Tensor::elements).sum();
            if elements < 1 << 16 && graph.multiply_accumulates() < 1 << 22 {
                let length = graph.tensors[graph.inputs[0].0].elements();
                prop_assert!(lpu_sim::golden::run(&graph, &vec![0; length]).is_ok());
            }
        }
    }

    #[test]
    fn a_network_of_any_operator_cut_anywhere_is_refused_or_lost_only_padding(
        operator in 0..OPERATORS.len(), seed in 0_u64..1000, cut: prop::sample::Index
    ) {
        let bytes = case(operator, seed).model.bytes();
        if let Ok(graph) = import(&bytes[..cut.index(bytes.len())], "net") {
            prop_assert_eq!(graph, import(&bytes, "net").unwrap());
        }
    }

    #[test]
    fn noise_behind_the_identifier_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 8..400)) {
        bytes[4..8].copy_from_slice(b"TFL3");
        prop_assert!(import(&bytes, "noise").is_err());
    }
}
