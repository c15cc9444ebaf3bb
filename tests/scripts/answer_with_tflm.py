#!/usr/bin/env python3
"""Lets tflite-micro answer for the networks in a folder.

usage: answer_with_tflm.py FOLDER

For each NAME.tflite in FOLDER, NAME.inputs holds the network's inputs one behind the other, as bytes. They are given to one
interpreter in that order, so that what the network keeps carries on. The outputs go to NAME.outputs in the same way; where
tflite-micro refuses the network, NAME.refused says so.

Exit status: 0 all networks have been seen, 3 a package is missing (scripts/setup --reference installs it).
"""
import pathlib
import sys

try:
    import numpy as np
    from tflite_micro.python.tflite_micro import runtime
except ImportError as missing:
    print(f"{missing}: run scripts/setup --reference", file=sys.stderr)
    sys.exit(3)

ARENA = 4 << 20


def main():
    folder = pathlib.Path(sys.argv[1])
    for path in sorted(folder.glob("*.tflite")):
        try:
            interpreter = runtime.Interpreter.from_bytes(path.read_bytes(), arena_size=ARENA)
            details = interpreter.get_input_details(0)
            shape, kind = details["shape"], np.dtype(details["dtype"])
            inputs = np.frombuffer(path.with_suffix(".inputs").read_bytes(), kind).reshape(-1, int(np.prod(shape)))
            answers = []
            for row in inputs:
                interpreter.set_input(row.reshape(shape), 0)
                interpreter.invoke()
                answers.append(np.array(interpreter.get_output(0)).tobytes())
            path.with_suffix(".outputs").write_bytes(b"".join(answers))
        except RuntimeError as refusal:
            path.with_suffix(".refused").write_text(str(refusal))


if __name__ == "__main__":
    main()
