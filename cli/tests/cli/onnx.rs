//! ONNX models from the command line.

use crate::support::{Scratch, npy};
use lpu_tests::onnx_writer::image_network;
use lpu_tests::random::Random;
use std::fs;

/// A machine with room for a small network of images.
const MACHINE: &str = "tiles = 16\ndot = 4\nstream_elements = 8\nweight_depth = 2048\nvector_slices = 3\nvector_depth = 2048\n\
                       scale_depth = 1024\nqueue_depth = 512\nlookup = true\n";

/// Rows and columns of the images.
const SIZE: usize = 8;

/// A network of images of several channels, with a scale of its own behind the softmax.
const SEED: u64 = 16;

/// The network and its machine in a scratch directory, and the channels of its images.
fn network() -> (Scratch, usize) {
    let scratch = Scratch::new();
    let model = image_network(SEED);
    scratch.write("net.onnx", model.onnx.bytes());
    scratch.write("machine.toml", MACHINE);
    let channels = model.tflite.tensors[0].elements() / (SIZE * SIZE);
    assert!(channels > 1 && model.tflite.operators.last().unwrap().code == lpu_tests::tflite_writer::code::QUANTIZE);
    (scratch, channels)
}

/// Images with their channels last, and the same with them first.
fn images(count: usize, channels: usize) -> [Vec<i8>; 2] {
    let mut random = Random::new(1);
    let positions = SIZE * SIZE;
    let last: Vec<i8> = (0..count * positions * channels).map(|_| random.byte()).collect();
    let turned = |image: &[i8]| -> Vec<i8> {
        (0..channels).flat_map(|channel| (0..positions).map(move |at| image[at * channels + channel])).collect()
    };
    let first = last.chunks(positions * channels).flat_map(turned).collect();
    [last, first]
}

#[test]
fn an_onnx_model_gives_the_same_on_golden_and_model_whichever_way_its_images_stand() {
    let (scratch, channels) = network();
    let [last, first] = images(3, channels);
    scratch.write("last.npy", npy(&format!("(3, {SIZE}, {SIZE}, {channels})"), &last));
    scratch.write("first.npy", npy(&format!("(3, {channels}, {SIZE}, {SIZE})"), &first));
    let mut outputs = Vec::new();
    for (backend, inputs) in
        [("golden", "last.npy"), ("golden", "first.npy"), ("model", "last.npy"), ("model", "first.npy")]
    {
        let called = scratch.lpu(&[
            "run",
            "net.onnx",
            "--inputs",
            inputs,
            "--on",
            backend,
            "--config",
            "machine.toml",
            "--outputs",
            "y.npy",
            "--json",
        ]);
        assert_eq!((called.status, called.stderr.as_str()), (0, ""));
        let report = called.json();
        assert_eq!((&report["inputs"], &report["outputs_equal_golden"]), (&3.into(), &true.into()));
        assert!(report["cycles_predicted"].is_u64());
        if backend == "model" {
            assert_eq!(report["cycles_measured"], report["cycles_predicted"]);
        }
        outputs.push(fs::read(scratch.path("y.npy")).unwrap());
    }
    assert!(outputs.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn an_onnx_model_compiles_and_the_report_says_what_the_host_computes() {
    let (scratch, _) = network();
    let arguments = ["compile", "net.onnx", "--config", "machine.toml", "--out", "p.json"];
    let called = scratch.lpu(&[&arguments[..], &["--json"]].concat());
    assert_eq!(called.status, 0, "{}", called.stderr);
    let report = called.json();
    let layers = report["layers"].as_array().unwrap();
    assert!(layers.iter().any(|layer| layer["operator"] == "convolution"), "{report}");
    assert!(layers.iter().all(|layer| layer["operator"] != "softmax"), "{report}");
    let host = "the host computes the softmax at the end and the change of scale behind it";
    assert!(scratch.lpu(&arguments).stdout.contains(host), "{report}");
    assert_eq!(scratch.lpu(&["check", "p.json"]).status, 0);
}

#[test]
fn a_damaged_onnx_model_is_refused() {
    let (scratch, channels) = network();
    let [images, _] = images(1, channels);
    scratch.write("x.npy", npy(&format!("(1, {SIZE}, {SIZE}, {channels})"), &images));
    let bytes = fs::read(scratch.path("net.onnx")).unwrap();
    for (length, reason) in
        [(bytes.len() / 2, "damaged"), (bytes.len() - 1, "damaged"), (2, "not a network in a known format")]
    {
        scratch.write("part.onnx", &bytes[..length]);
        for arguments in [
            &["run", "part.onnx", "--inputs", "x.npy", "--on", "golden"][..],
            &["compile", "part.onnx", "--config", "machine.toml", "--out", "p.json"],
        ] {
            let called = scratch.lpu(arguments);
            assert!(called.refusal().contains(reason), "{length}: {}", called.stderr);
        }
    }
    assert!(!scratch.names().contains(&"p.json".to_owned()));
}
