//! Every wrong input is refused with what, where, why and what to do, status 2, and nothing left behind.

use crate::support::{Scratch, dense_network, digits, npy, npy_of};
use expect_test::{Expect, expect};
use lpu_tests::tflite_writer::code;

const COMPILE: [&str; 5] = ["compile", "net.tflite", "--board", "ulx3s-12f", "--out"];

/// Compiles these bytes for a small board; the message must be this and no program may be left.
fn refused_network(bytes: &[u8], message: &Expect) {
    let scratch = Scratch::new();
    scratch.write("net.tflite", bytes);
    let called = scratch.lpu(&[&COMPILE[..], &["p.json"]].concat());
    message.assert_eq(called.refusal());
    assert_eq!(scratch.names(), ["net.tflite"]);
}

#[test]
fn a_truncated_network() {
    let bytes = std::fs::read(digits("digits.tflite")).unwrap();
    refused_network(
        &bytes[..bytes.len() / 2],
        &expect![[r#"
        error: the network cannot be used
          where: net.tflite
          why:   net: the file is damaged: the table at byte 12 has its field list outside the file
          help:  fetch or convert the file again, and compare its length and checksum with the original's
    "#]],
    );
}

#[test]
fn an_unsupported_operator() {
    let mut model = dense_network(8, 4);
    model.operators[0].code = code::TANH;
    refused_network(
        &model.bytes(),
        &expect![[r#"
        error: the network cannot be used
          where: net.tflite
          why:   net, operator 0 (TANH), layer `dense_0`: operator TANH is not supported; supported are CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, ADD, MUL, AVERAGE_POOL_2D, MAX_POOL_2D, MEAN, SOFTMAX, LOGISTIC, RELU, RELU6, RELU_N1_TO_1, QUANTIZE, RESHAPE, PAD, CONCATENATION, SPLIT, SPLIT_V, STRIDED_SLICE, CALL_ONCE, VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE
          help:  express that layer with CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, ADD, MUL, AVERAGE_POOL_2D, MAX_POOL_2D, MEAN, SOFTMAX, LOGISTIC, RELU, RELU6, RELU_N1_TO_1, QUANTIZE, RESHAPE, PAD, CONCATENATION, SPLIT, SPLIT_V, STRIDED_SLICE, CALL_ONCE, VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE, or leave it out of the network and compute it on the host
    "#]],
    );
}

#[test]
fn float_weights() {
    let mut model = dense_network(8, 4);
    for tensor in &mut model.tensors {
        tensor.element = code::FLOAT32;
        tensor.scales.clear();
        tensor.zero_points.clear();
        tensor.data = tensor.data.as_ref().map(|data| [0, 0, 0, 0].repeat(data.len()));
    }
    refused_network(
        &model.bytes(),
        &expect![[r#"
        error: the network cannot be used
          where: net.tflite
          why:   net, tensor `input`: input of type FLOAT32, but only INT8 or UINT8 is supported
          help:  quantise to int8 when converting: tf.lite.TFLiteConverter with optimizations = [tf.lite.Optimize.DEFAULT], a representative_dataset, target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8] and inference_input_type = inference_output_type = tf.int8 leaves no FLOAT32
    "#]],
    );
}

#[test]
fn a_network_that_fits_only_a_larger_board() {
    refused_network(
        &dense_network(512, 512).bytes(),
        &expect![[r#"
            error: the network cannot be compiled for ulx3s-12f
              where: net.tflite
              why:   `net` does not fit: layer `dense_0` needs 11008 words of weight RAM in each tile, the machine has 2560: 102 block RAMs short
                     all its 262,144 weights must be in the weight RAMs, which hold 61,440
              help:  it fits ulx3s-85f; or describe a larger machine with `--config FILE.toml`
        "#]],
    );
}

#[test]
fn a_network_that_fits_no_board() {
    refused_network(
        &dense_network(2048, 2048).bytes(),
        &expect![[r#"
            error: the network cannot be compiled for ulx3s-12f
              where: net.tflite
              why:   `net` does not fit: layer `dense_0` needs 175104 words of weight RAM in each tile, the machine has 2560: 2022 block RAMs short
                     all its 4,194,304 weights must be in the weight RAMs, which hold 61,440
              help:  it fits none of the known boards; make the network smaller, or describe a larger machine with `--config FILE.toml`
        "#]],
    );
}

#[test]
fn names_from_a_file_cannot_command_the_terminal() {
    let mut model = dense_network(8, 4);
    model.operators[0].code = code::CONV_2D;
    for tensor in &mut model.tensors {
        tensor.name = "\u{1b}[2J\u{7}".into();
    }
    let scratch = Scratch::new();
    scratch.write("net.tflite", model.bytes());
    let called = scratch.lpu(&[&COMPILE[..], &["p.json"]].concat());
    assert!(!called.refusal().contains(['\u{1b}', '\u{7}']), "{:?}", called.stderr);
}

#[test]
fn a_missing_network_and_a_directory() {
    let scratch = Scratch::new();
    expect![[r#"
        error: the network cannot be used
          where: net.tflite
          why:   No such file or directory (os error 2)
          help:  check the path and that the file may be read
    "#]]
    .assert_eq(scratch.lpu(&[&COMPILE[..], &["p.json"]].concat()).refusal());
    std::fs::create_dir(scratch.path("net.tflite")).unwrap();
    expect![[r#"
        error: the network cannot be used
          where: net.tflite
          why:   Is a directory (os error 21)
          help:  check the path and that the file may be read
    "#]]
    .assert_eq(scratch.lpu(&[&COMPILE[..], &["p.json"]].concat()).refusal());
}

#[test]
fn a_compiled_program_where_a_network_is_asked_for() {
    let scratch = Scratch::new();
    let program = scratch.program("p.json");
    expect![[r#"
        error: the network cannot be used
          where: p.json
          why:   p: not a network in a known format: 23411 bytes that begin with "{\"format"
          help:  give a TensorFlow Lite model (a FlatBuffer whose bytes 4 to 7 are "TFL3") or an ONNX model (the protocol buffer of a ModelProto); if this is a compiled program, give the network that it was compiled from
    "#]].assert_eq(scratch.lpu(&["compile", &program, "--board", "ulx3s-12f", "--out", "q"]).refusal());
}

#[test]
fn an_unknown_board() {
    let scratch = Scratch::new();
    let network = digits("digits.tflite");
    expect![[r#"
        error: the board cannot be used
          where: --board ulx3s-58f
          why:   there is no board `ulx3s-58f` (did you mean `ulx3s-12f`?); known are icebreaker, tangnano20k, ulx3s-12f, colorlight-i9, ulx3s-85f
          help:  use `--board ulx3s-12f`, or describe a machine of your own with `--config FILE.toml`
    "#]].assert_eq(scratch.lpu(&["compile", &network, "--board", "ulx3s-58f", "--out", "p.json"]).refusal());
    expect![[r#"
        error: the board cannot be used
          where: --board toaster
          why:   there is no board `toaster`; known are icebreaker, tangnano20k, ulx3s-12f, colorlight-i9, ulx3s-85f
          help:  take a board from `lpu boards`, or describe a machine of your own with `--config FILE.toml`
    "#]]
    .assert_eq(scratch.lpu(&["generate", "--board", "toaster", "--out", "g"]).refusal());
    assert!(scratch.names().is_empty());
}

/// Generates from a configuration of this text; the message must be this and nothing may be left.
fn refused_configuration(text: &[u8], message: &Expect) {
    let scratch = Scratch::new();
    scratch.write("m.toml", text);
    message.assert_eq(scratch.lpu(&["generate", "--config", "m.toml", "--out", "g"]).refusal());
    assert_eq!(scratch.names(), ["m.toml"]);
}

#[test]
fn an_unreadable_configuration() {
    refused_configuration(
        b"tiles = four\n",
        &expect![[r#"
        error: the configuration cannot be used
          where: m.toml
          why:   the configuration cannot be read: TOML parse error at line 1, column 9
                   |
                 1 | tiles = four
                   |         ^^^^
                 invalid boolean, expected `false`
          help:  take the `[configuration]` of a board in constraints/ as the pattern; docs/architecture.md explains the fields
    "#]],
    );
    refused_configuration(
        b"\xff\xfe",
        &expect![[r#"
        error: the configuration cannot be used
          where: m.toml
          why:   stream did not contain valid UTF-8
          help:  check the path, and that it names a readable TOML file
    "#]],
    );
    refused_configuration(
        b"tiles = 4\n",
        &expect![[r#"
        error: the configuration cannot be used
          where: m.toml
          why:   the configuration cannot be read: TOML parse error at line 1, column 1
                   |
                 1 | tiles = 4
                   | ^
                 missing field `dot`
          help:  take the `[configuration]` of a board in constraints/ as the pattern; docs/architecture.md explains the fields
    "#]],
    );
    let sound = "tiles = 4\ndot = 4\nstream_elements = 4\nweight_depth = 64\nvector_slices = 2\nvector_depth = 64\n\
                 scale_depth = 8\nqueue_depth = 16\n";
    refused_configuration(
        sound.replace("dot = 4", "dot = 3").as_bytes(),
        &expect![[r#"
        error: the configuration cannot be used
          where: m.toml
          why:   configuration field `dot` is 3, but must be 2, 4 or 8
          help:  take the `[configuration]` of a board in constraints/ as the pattern; docs/architecture.md explains the fields
    "#]],
    );
    refused_configuration(
        format!("{sound}color = \"red\"\n").as_bytes(),
        &expect![[r#"
            error: the configuration cannot be used
              where: m.toml
              why:   the configuration cannot be read: TOML parse error at line 9, column 1
                       |
                     9 | color = "red"
                       | ^^^^^
                     unknown field `color`, expected one of `tiles`, `dot`, `stream_elements`, `weight_depth`, `weight_bits`, `vector_slices`, `vector_depth`, `scale_depth`, `narrow_scales`, `vector_unit`, `queue_depth`, `queue_word_bits`, `count_bits`, `sequence_levels`, `interval_bits`, `requantise_interval`, `scale_multiplier_lanes`, `lookup`, `separate_sums`, `softmax_tables`, `clock_mhz`, `pipeline`, `extensions`
              help:  take the `[configuration]` of a board in constraints/ as the pattern; docs/architecture.md explains the fields
        "#]],
    );
    refused_configuration(
        format!("[configuration]\n{sound}").as_bytes(),
        &expect![[r#"
        error: the configuration cannot be used
          where: m.toml
          why:   board `m` cannot be read: TOML parse error at line 1, column 1
                   |
                 1 | [configuration]
                   | ^
                 missing field `description`
          help:  take the `[configuration]` of a board in constraints/ as the pattern; docs/architecture.md explains the fields
    "#]],
    );
    let scratch = Scratch::new();
    expect![[r#"
        error: the configuration cannot be used
          where: none.toml
          why:   No such file or directory (os error 2)
          help:  check the path, and that it names a readable TOML file
    "#]]
    .assert_eq(scratch.lpu(&["generate", "--config", "none.toml", "--out", "g"]).refusal());
}

/// Runs the digits network on these inputs; the message must be this and no outputs may be left.
fn refused_inputs(bytes: &[u8], message: &Expect) {
    let scratch = Scratch::new();
    scratch.write("x.npy", bytes);
    let network = digits("digits.tflite");
    let called = scratch.lpu(&["run", &network, "--inputs", "x.npy", "--outputs", "y.npy", "--on", "model", "--json"]);
    message.assert_eq(called.refusal());
    assert_eq!(scratch.names(), ["x.npy"]);
}

#[test]
fn inputs_of_the_wrong_shape() {
    refused_inputs(
        &npy("(2, 63)", &[0; 126]),
        &expect![[r#"
        error: the inputs cannot be used
          where: x.npy
          why:   the array has the shape [2, 63], but an example of this network has 64 elements (shape [1, 64])
          help:  give an array of shape [examples, 64]
    "#]],
    );
}

#[test]
fn inputs_of_the_wrong_type() {
    refused_inputs(
        &npy_of("<f4", "(1, 64)", &[0; 256]),
        &expect![[r#"
        error: the inputs cannot be used
          where: x.npy
          why:   the elements are float32, but must be int8
          help:  quantise them with the input's scale and zero point, then save them with `.astype(numpy.int8)`
    "#]],
    );
    refused_inputs(
        &npy_of("|u1", "(1, 64)", &[0; 64]),
        &expect![[r#"
        error: the inputs cannot be used
          where: x.npy
          why:   the elements are uint8, but must be int8
          help:  quantise them with the input's scale and zero point, then save them with `.astype(numpy.int8)`
    "#]],
    );
}

#[test]
fn inputs_that_are_empty_truncated_or_something_else() {
    refused_inputs(
        &npy("(0, 64)", &[]),
        &expect![[r#"
        error: the inputs cannot be used
          where: x.npy
          why:   the array holds no example: its first axis has length 0
          help:  give at least one example
    "#]],
    );
    refused_inputs(
        &npy("(2, 64)", &[0; 100]),
        &expect![[r#"
        error: the inputs cannot be used
          where: x.npy
          why:   the header promises 128 elements, the file holds 100
          help:  write the file again with numpy.save: it is truncated or damaged
    "#]],
    );
    refused_inputs(
        b"64 numbers, honestly",
        &expect![[r#"
        error: the inputs cannot be used
          where: x.npy
          why:   it is no .npy file (which begins with \x93NUMPY)
          help:  write the file with numpy.save
    "#]],
    );
}

#[test]
fn a_trace_without_signals_and_one_of_an_unknown_format() {
    let scratch = Scratch::new();
    let (network, inputs) = (digits("digits.tflite"), digits("inputs.npy"));
    let run = ["run", &network, "--inputs", &inputs, "--trace"];
    expect![[r#"
        error: no wave file can be written
          where: t.vcd
          why:   only the RTL has signals to trace
          help:  add `--on rtl`, or leave out `--trace`
    "#]]
    .assert_eq(scratch.lpu(&[&run[..], &["t.vcd", "--on", "model"]].concat()).refusal());
    expect![[r#"
        error: no wave file can be written
          where: t.wav
          why:   the ending of the name chooses the format, and this one is unknown
          help:  name it FILE.fst or FILE.vcd
    "#]]
    .assert_eq(scratch.lpu(&[&run[..], &["t.wav", "--on", "rtl"]].concat()).refusal());
    assert!(scratch.names().is_empty());
}

#[test]
fn missing_tools_are_named_with_the_way_to_get_them() {
    let scratch = Scratch::new();
    let (network, inputs) = (digits("digits.tflite"), digits("inputs.npy"));
    let called =
        scratch.lpu_with(&["run", &network, "--inputs", &inputs, "--on", "rtl"], &[("LPU_VERILATOR", "/nowhere")]);
    expect![[r#"
        error: the RTL cannot be simulated
          where: tools
          why:   LPU_VERILATOR is `/nowhere`, and there is no such file; unset it and run `scripts/setup`, or correct it
          help:  run `lpu doctor`: it names what is missing and the command that installs it
    "#]]
    .assert_eq(called.refusal());
}

#[test]
fn wrong_usage() {
    let scratch = Scratch::new();
    let both = ["generate", "--board", "ulx3s-85f", "--config", "m.toml", "--out", "g"];
    for arguments in [&["fly"][..], &["generate", "--out", "g"], &both, &["run", "x", "--on", "paper"], &[]] {
        let called = scratch.lpu(arguments);
        assert_eq!((called.status, called.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(called.stderr.contains("Usage:") || called.stderr.contains("--help"), "{}", called.stderr);
    }
}
