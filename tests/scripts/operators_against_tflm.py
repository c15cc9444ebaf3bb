#!/usr/bin/env python3
"""Compares the golden model with tflite-micro on random int8 networks.

usage: operators_against_tflm.py [--networks N] [--seed S] [--lpu PATH] [MODEL.tflite ...]

Writes N random networks of the supported operators with the schema that comes with tflite-micro (or takes the given ones),
lets both answer random inputs, and says where they differ. This is how the arithmetic of the importer was measured; the
tests of the repository do not need it.

Exit status: 0 all equal, 1 some differ, 2 something is missing.
Needs: pip install numpy tflite-micro, and a built `lpu`.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    from tflite_micro.python.tflite_micro import runtime
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema
    import flatbuffers
except ImportError as missing:
    sys.exit(f"{missing}; run: pip install numpy tflite-micro")

OPERATOR = schema.BuiltinOperator
EXAMPLES = 16


class Network:
    """A chain of operators, as objects of the schema."""

    def __init__(self, random):
        self.random = random
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model = schema.ModelT()
        self.model.version, self.model.subgraphs = 3, [self.graph]
        self.model.buffers, self.model.operatorCodes = [schema.BufferT()], []
        self.scale = self.scale_near(0.05)
        self.zero_point = self.any_int8()
        self.size = random.integers(1, 65)
        self.last = self.tensor([1, self.size], [self.scale], self.zero_point)
        self.graph.inputs = [self.last]

    def scale_near(self, around):
        return np.float32(around * 2.0 ** self.random.uniform(-2, 2))

    def any_int8(self):
        return int(self.random.integers(-128, 128))

    def tensor(self, shape, scales, zero_point=0, data=None):
        tensor = schema.TensorT()
        tensor.name = f"tensor_{len(self.graph.tensors)}"
        tensor.shape = list(map(int, shape))
        tensor.type = schema.TensorType.INT8
        if scales is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [float(scale) for scale in scales]
            tensor.quantization.zeroPoint = [zero_point] * len(scales)
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            if data.dtype == np.int32:
                tensor.type = schema.TensorType.INT32
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def apply(self, code, others, shape, scale, zero_point, options=None, options_type=0):
        if code not in [known.builtinCode for known in self.model.operatorCodes]:
            known = schema.OperatorCodeT()
            known.builtinCode = known.deprecatedBuiltinCode = code
            self.model.operatorCodes.append(known)
        operator = schema.OperatorT()
        operator.opcodeIndex = [known.builtinCode for known in self.model.operatorCodes].index(code)
        operator.inputs = [self.last, *others]
        self.scale, self.zero_point, self.size = scale, zero_point, int(np.prod(shape))
        self.last = self.tensor(shape, [scale], zero_point)
        operator.outputs = [self.last]
        operator.builtinOptions, operator.builtinOptionsType = options, options_type
        self.graph.operators.append(operator)

    def dense(self):
        random = self.random
        outputs = int(random.integers(1, 65))
        weights = random.integers(-127, 128, (outputs, self.size)).astype(np.int8)
        scales = [self.scale_near(0.01) for _ in range(outputs if random.random() < 0.5 else 1)]
        others = [self.tensor(weights.shape, scales, data=weights)]
        spread = 5000 * np.sqrt(self.size)
        if random.random() < 0.7:
            bias = random.integers(-int(spread), int(spread), outputs).astype(np.int32)
            others.append(self.tensor([outputs], [self.scale * scale for scale in scales], data=bias))
        else:
            others.append(-1)
        # Mostly outputs that fill int8; now and then all saturated, or a scale above one that shifts left.
        around = self.scale * scales[0] * (spread / 60 if random.random() < 0.9 else random.choice([0.3, 1e-3, 1e-5]))
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = int(random.integers(0, 4))
        self.apply(OPERATOR.FULLY_CONNECTED, others, [1, outputs], self.scale_near(around), self.any_int8(),
                   options, schema.BuiltinOptions.FullyConnectedOptions)

    def reshape(self):
        shape = [[1, 1, self.size], [self.size, 1], [1, self.size]][self.random.integers(3)]
        operand = self.tensor([len(shape)], None, data=np.array(shape, np.int32))
        self.apply(OPERATOR.RESHAPE, [operand], shape, self.scale, self.zero_point,
                   schema.ReshapeOptionsT(), schema.BuiltinOptions.ReshapeOptions)

    def elementwise(self):
        code = self.random.choice([OPERATOR.RELU, OPERATOR.RELU6, OPERATOR.QUANTIZE])
        shape = self.graph.tensors[self.last].shape
        self.apply(int(code), [], shape, self.scale_near(self.scale), self.any_int8())

    def bytes(self):
        self.graph.outputs = [self.last]
        builder = flatbuffers.Builder()
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def random_network(random):
    network = Network(random)
    for _ in range(random.integers(1, 6)):
        random.choice([network.dense, network.dense, network.reshape, network.elementwise])()
    return network.bytes()


def answers_of_tflm(model, inputs):
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=4 << 20)
    shape = interpreter.get_input_details(0)["shape"]
    answers = []
    for row in inputs:
        interpreter.set_input(row.reshape(shape), 0)
        interpreter.invoke()
        answers.append(np.array(interpreter.get_output(0)).reshape(-1).copy())
    return np.array(answers)


def answers_of_golden(lpu, model, inputs, folder):
    paths = [folder / name for name in ("model.tflite", "inputs.npy", "outputs.npy")]
    paths[0].write_bytes(model)
    np.save(paths[1], inputs)
    command = [lpu, "run", paths[0], "--inputs", paths[1], "--outputs", paths[2], "--on", "golden", "--json"]
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode != 0:
        return None
    return np.load(paths[2]).reshape(len(inputs), -1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=pathlib.Path, metavar="MODEL.tflite")
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lpu", default="target/release/lpu")
    options = parser.parse_args()

    random = np.random.default_rng(options.seed)
    if options.models:
        networks = [(str(path), path.read_bytes()) for path in options.models]
    else:
        networks = [(f"network {index} of seed {options.seed}", random_network(random)) for index in range(options.networks)]
    elements = equal = differing = refused = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, model in networks:
            try:
                shape = runtime.Interpreter.from_bytes(model, arena_size=4 << 20).get_input_details(0)["shape"]
            except RuntimeError:
                refused += 1
                continue
            inputs = random.integers(-128, 128, (EXAMPLES, int(np.prod(shape)))).astype(np.int8)
            expected = answers_of_tflm(model, inputs)
            got = answers_of_golden(options.lpu, model, inputs, pathlib.Path(folder))
            if got is None:
                refused += 1
                continue
            elements += expected.size
            if np.array_equal(expected, got):
                equal += 1
            else:
                differing += 1
                rows, columns = np.nonzero(expected != got)
                print(f"{name}: {len(rows)} of {expected.size} elements differ, first at example {rows[0]}, element "
                      f"{columns[0]}: tflite-micro {expected[rows[0], columns[0]]}, golden {got[rows[0], columns[0]]}")
    print(f"{equal} networks equal, {differing} differ, {refused} refused by either ({elements} elements)")
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    try:
        main()
    except FileNotFoundError as missing:
        print(f"{missing}; build it with: cargo build --release -p lpu-cli", file=sys.stderr)
        sys.exit(2)
