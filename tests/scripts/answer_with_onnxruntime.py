#!/usr/bin/env python3
"""Lets onnxruntime answer for the networks in a folder, in floating point between quantising and dequantising nodes.

usage: answer_with_onnxruntime.py FOLDER

For each NAME.onnx in FOLDER, NAME.inputs holds the network's inputs one behind the other, as bytes. The outputs go to NAME.outputs in
the same way; where onnxruntime refuses the network, NAME.refused says so. Nothing is optimised: nodes are computed as ONNX defines
them, and not joined into onnxruntime's own integer kernels.

Exit status: 0 all networks have been seen, 3 a package is missing (scripts/setup --reference installs it).
"""
import pathlib
import sys

try:
    import numpy as np
    import onnxruntime
except ImportError as missing:
    print(f"{missing}: run scripts/setup --reference", file=sys.stderr)
    sys.exit(3)

KINDS = {"tensor(int8)": np.int8, "tensor(uint8)": np.uint8}


def main():
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            given = session.get_inputs()[0]
            length = int(np.prod(given.shape))
            inputs = np.frombuffer(path.with_suffix(".inputs").read_bytes(), KINDS[given.type]).reshape(-1, length)
            answers = [session.run(None, {given.name: row.reshape(given.shape)})[0].tobytes() for row in inputs]
            path.with_suffix(".outputs").write_bytes(b"".join(answers))
        except Exception as refusal:  # onnxruntime has no common base class of its errors.
            path.with_suffix(".refused").write_text(str(refusal))


if __name__ == "__main__":
    main()
