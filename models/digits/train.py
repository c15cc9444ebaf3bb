#!/usr/bin/env python3
"""Trains, quantises and writes the digits network, and records what tflite-micro answers for it.

usage: train.py [DIRECTORY]          writes into DIRECTORY (default: beside this file)
       train.py --accuracy           runs the committed network on the test images, writes nothing

Writes digits.tflite, inputs.npy, labels.npy, expected.npy and train.log. Every random choice comes from SEED; two runs on one
machine give the same bytes.
Needs: pip install -r models/requirements.txt
"""

import sys
from pathlib import Path

import flatbuffers
import numpy as np
from sklearn.datasets import load_digits
from tflite_micro.python.tflite_micro import runtime
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as tfl

SEED = 20240229
WIDTHS = [64, 48, 32, 10]
EPOCHS = 120
BATCH = 32
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 1e-4
TEST_IMAGES = 360
SHIPPED_IMAGES = 32

# A pixel is an integer 0..16, its real value pixel / 16. One step of the int8 input is 1/240: every pixel is exact.
INPUT_SCALE = 1 / 240
INPUT_ZERO_POINT = -128


def load_data():
    """Train and test pixels (n × 64, integers 0..16) and labels, in a seeded order."""
    digits = load_digits()
    order = np.random.default_rng(SEED).permutation(len(digits.target))
    pixels, labels = digits.data[order].astype(np.int64), digits.target[order]
    return pixels[TEST_IMAGES:], labels[TEST_IMAGES:], pixels[:TEST_IMAGES], labels[:TEST_IMAGES]


def forward(layers, values):
    """The output of every layer; ReLU after all but the last."""
    outputs = []
    for index, (weights, bias) in enumerate(layers):
        values = values @ weights.T + bias
        if index + 1 < len(layers):
            values = np.maximum(values, 0)
        outputs.append(values)
    return outputs


def train(pixels, labels):
    """Adam on the cross-entropy, with images shifted by up to one pixel for variety. Weights are (outputs × inputs)."""
    random = np.random.default_rng(SEED + 1)
    layers = [
        [random.normal(0, np.sqrt(2 / inputs), (outputs, inputs)), np.zeros(outputs)]
        for inputs, outputs in zip(WIDTHS, WIDTHS[1:])
    ]
    moments = [[np.zeros_like(p), np.zeros_like(p)] for layer in layers for p in layer]
    step = 0
    for epoch in range(EPOCHS):
        rate = LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        for rows in np.array_split(random.permutation(len(labels)), len(labels) // BATCH):
            step += 1
            values = shifted(pixels[rows], random) / 16
            outputs = forward(layers, values)
            logits = outputs[-1] - outputs[-1].max(axis=1, keepdims=True)
            gradient = np.exp(logits)
            gradient /= gradient.sum(axis=1, keepdims=True)
            gradient[np.arange(len(rows)), labels[rows]] -= 1
            gradient /= len(rows)
            gradients = []
            for index in reversed(range(len(layers))):
                inputs = outputs[index - 1] if index else values
                gradients.append(gradient.sum(axis=0))
                gradients.append(gradient.T @ inputs + WEIGHT_DECAY * layers[index][0])
                if index:
                    gradient = (gradient @ layers[index][0]) * (inputs > 0)
            parameters = [p for layer in layers for p in layer]
            for parameter, moment, g in zip(parameters, moments, reversed(gradients)):
                moment[0] += 0.1 * (g - moment[0])
                moment[1] += 0.001 * (g * g - moment[1])
                corrected = (moment[0] / (1 - 0.9**step)) / (np.sqrt(moment[1] / (1 - 0.999**step)) + 1e-8)
                parameter -= rate * corrected
    return layers


def shifted(pixels, random):
    """Each image moved by -1, 0 or 1 pixels in both directions, zeros moved in."""
    images = np.pad(pixels.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    moves = random.integers(0, 3, (len(images), 2))
    return np.stack([image[y : y + 8, x : x + 8] for image, (y, x) in zip(images, moves)]).reshape(-1, 64)


def activation_scale(values):
    """Scale and zero point of the int8 range that covers `values` and zero."""
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    scale = (high - low) / 255
    return scale, int(np.clip(np.round(-128 - low / scale), -128, 127))


def quantise(layers, pixels):
    """Per-tensor int8: weights symmetric, activations from the ranges seen on the training images, bias int32."""
    scale, zero_point = INPUT_SCALE, INPUT_ZERO_POINT
    quantised = []
    for (weights, bias), outputs in zip(layers, forward(layers, pixels / 16)):
        weight_scale = np.abs(weights).max() / 127
        output_scale, output_zero_point = activation_scale(outputs)
        quantised.append({
            "weights": np.round(weights / weight_scale).astype(np.int8),
            "bias": np.round(bias / (scale * weight_scale)).astype(np.int32),
            "weight_scale": weight_scale,
            "bias_scale": scale * weight_scale,
            "output_scale": output_scale,
            "output_zero_point": output_zero_point,
        })
        scale, zero_point = output_scale, output_zero_point
    return quantised


class AlignedBuffer(tfl.BufferT):
    """A buffer whose data start at a multiple of 16 bytes, as the TFLite schema demands and the generated Pack forgets."""

    def Pack(self, builder):
        builder.StartVector(1, len(self.data), 16)
        builder.head -= len(self.data)
        builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
        data = builder.EndVector()
        tfl.BufferStart(builder)
        tfl.BufferAddData(builder, data)
        return tfl.BufferEnd(builder)


def tflite(layers):
    """The network as a TFLite flatbuffer: fully connected layers, ReLU fused into all but the last, int8 logits out."""
    model = tfl.ModelT()
    model.version = 3
    model.description = "digits: 8x8 handwritten digits, int8"
    code = tfl.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = tfl.BuiltinOperator.FULLY_CONNECTED
    code.version = 4
    model.operatorCodes = [code]
    model.buffers = [tfl.BufferT()]  # buffer 0 is the empty one by convention
    graph = tfl.SubGraphT()
    graph.name = "main"
    graph.tensors, graph.operators = [], []

    def tensor(name, shape, kind, scale, zero_point, data=None):
        tensor = tfl.TensorT()
        tensor.name, tensor.shape, tensor.type = name, list(shape), kind
        tensor.quantization = tfl.QuantizationParametersT()
        tensor.quantization.scale = [np.float32(scale)]
        tensor.quantization.zeroPoint = [zero_point]
        tensor.buffer = 0
        if data is not None:
            buffer = AlignedBuffer()
            buffer.data = data.astype(data.dtype.newbyteorder("<")).tobytes()
            tensor.buffer = len(model.buffers)
            model.buffers.append(buffer)
        graph.tensors.append(tensor)
        return len(graph.tensors) - 1

    int8, int32 = tfl.TensorType.INT8, tfl.TensorType.INT32
    current = tensor("pixels", [1, WIDTHS[0]], int8, INPUT_SCALE, INPUT_ZERO_POINT)
    graph.inputs = [current]
    for index, layer in enumerate(layers):
        last = index + 1 == len(layers)
        name = f"dense_{index}"
        weights = tensor(f"{name}/weights", layer["weights"].shape, int8, layer["weight_scale"], 0, layer["weights"])
        bias = tensor(f"{name}/bias", layer["bias"].shape, int32, layer["bias_scale"], 0, layer["bias"])
        outputs = [1, layer["weights"].shape[0]]
        output_name = "logits" if last else f"{name}/relu"
        output = tensor(output_name, outputs, int8, layer["output_scale"], layer["output_zero_point"])
        operator = tfl.OperatorT()
        operator.opcodeIndex = 0
        operator.inputs, operator.outputs = [current, weights, bias], [output]
        operator.builtinOptionsType = tfl.BuiltinOptions.FullyConnectedOptions
        operator.builtinOptions = tfl.FullyConnectedOptionsT()
        activation = tfl.ActivationFunctionType
        operator.builtinOptions.fusedActivationFunction = activation.NONE if last else activation.RELU
        graph.operators.append(operator)
        current = output
    graph.outputs = [current]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(16 * 1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def quantised_inputs(pixels):
    return (pixels * 15 + INPUT_ZERO_POINT).astype(np.int8)


def answers(model, inputs):
    """tflite-micro's int8 logits, one row for each row of `inputs`."""
    interpreter = runtime.Interpreter.from_bytes(model)
    rows = []
    for row in inputs:
        interpreter.set_input(row.reshape(1, -1), 0)
        interpreter.invoke()
        rows.append(np.array(interpreter.get_output(0))[0].copy())
    return np.array(rows)


def percent(predicted, labels):
    right = int((predicted == labels).sum())
    return f"{100 * right / len(labels):.2f} % ({right} of {len(labels)})"


def main():
    here = Path(__file__).resolve().parent
    train_pixels, train_labels, test_pixels, test_labels = load_data()
    if sys.argv[1:] == ["--accuracy"]:
        logits = answers((here / "digits.tflite").read_bytes(), quantised_inputs(test_pixels))
        print(f"int8 test accuracy {percent(logits.argmax(axis=1), test_labels)}")
        return
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else here
    directory.mkdir(parents=True, exist_ok=True)

    layers = train(train_pixels, train_labels)
    quantised = quantise(layers, train_pixels)
    model = tflite(quantised)
    inputs = quantised_inputs(test_pixels)
    logits = answers(model, inputs)
    float_logits = forward(layers, test_pixels / 16)[-1]

    lines = [
        f"network {' -> '.join(map(str, WIDTHS))}, {sum(a * b for a, b in zip(WIDTHS, WIDTHS[1:]))} weights, seed {SEED}",
        f"{len(train_labels)} training images, {len(test_labels)} test images, {EPOCHS} epochs",
        f"float train accuracy {percent(forward(layers, train_pixels / 16)[-1].argmax(axis=1), train_labels)}",
        f"float test accuracy {percent(float_logits.argmax(axis=1), test_labels)}",
        f"int8 test accuracy {percent(logits.argmax(axis=1), test_labels)}",
        f"test images where int8 and float disagree: {int((logits.argmax(1) != float_logits.argmax(1)).sum())}",
    ]
    for index, layer in enumerate(quantised):
        lines.append(
            f"layer {index}: weight scale {layer['weight_scale']:.6g}, output scale {layer['output_scale']:.6g},"
            f" output zero point {layer['output_zero_point']}"
        )
    print("\n".join(lines))
    (directory / "train.log").write_text("\n".join(lines) + "\n")
    (directory / "digits.tflite").write_bytes(model)
    np.save(directory / "inputs.npy", inputs[:SHIPPED_IMAGES])
    np.save(directory / "labels.npy", test_labels[:SHIPPED_IMAGES].astype(np.uint8))
    np.save(directory / "expected.npy", logits[:SHIPPED_IMAGES])


if __name__ == "__main__":
    main()
