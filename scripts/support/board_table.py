"""Writes the table of boards into a document, from the build.json of each machine.

usage: board_table.py BUILDS DOCUMENT MACHINE...

The table stands between two comments of the document; everything else stays as it is. A machine without a build keeps the
row that it has.
"""

import json
import pathlib
import sys

BEGIN = "<!-- boards: scripts/benchmark-boards writes from here -->"
END = "<!-- boards: to here -->"
HEADER = (
    "| machine | FPGA | multiplications a cycle | weights | LUT sites | multipliers | block RAMs | flip-flops "
    "| fmax, MHz: median (each seed) | target | place and route, longest seed |"
)


def row(name: str, build: dict) -> str:
    """The row of a machine."""
    configuration = build["configuration"]
    bits = configuration.get("weight_bits", 8)
    weights = configuration["tiles"] * configuration["dot"] * (8 // bits)
    kilobytes = configuration["tiles"] * configuration["dot"] * configuration["weight_depth"] / 1000
    seeds = ", ".join(f"{mhz:.1f}" for mhz in build["fmax_mhz"])
    verdict = "met" if build["met"] else "missed"
    cells = [
        f"`{name}`",
        build["device"],
        f"{weights} of int{bits}",
        f"{kilobytes:.0f} KB",
        f"{build['lut']:,} (estimated {build['estimate']['lut']:,})",
        str(build["dsp"]),
        str(build["block_ram"]),
        f"{build['ff']:,}" if build["ff"] else "–",
        f"{build['fmax_median_mhz']:.1f} ({seeds})",
        f"{build['target_mhz']:g}, {verdict}",
        f"{build['seconds']['place_and_route']:.0f} s",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> int:
    builds, document, *machines = sys.argv[1:]
    path = pathlib.Path(document)
    text = path.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        print(f"error: {document} has no place for the table: it needs the lines {BEGIN} and {END}", file=sys.stderr)
        return 1
    before, rest = text.split(BEGIN)
    old, after = rest.split(END)
    present = {line.split("`")[1]: line for line in old.splitlines() if line.startswith("| `")}
    for name in machines:
        file = pathlib.Path(builds, name.replace("/", "-"), "build.json")
        if file.is_file():
            present[name] = row(name, json.loads(file.read_text(encoding="utf-8")))
    rows = [present[name] for name in machines if name in present]
    lines = [HEADER, "| " + " | ".join(["---"] * (HEADER.count("|") - 1)) + " |", *rows]
    path.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")
    for name in machines:
        if name not in present:
            print(f"no build of {name} below {builds}/: it has no row")
    return 0


if __name__ == "__main__":
    sys.exit(main())
