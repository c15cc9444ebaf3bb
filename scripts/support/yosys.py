"""A command line for the Yosys library in the Python package pyosys; scripts/yosys starts it.

usage: scripts/yosys -V | [-q] [-p COMMANDS]... [-s SCRIPT.ys]... [FILE]...

Reads each FILE (.v, .sv: Verilog; .ys: script) in order, then runs the scripts and the commands in the order given. COMMANDS are
separated by semicolons, as with Yosys' own -p. -q prints errors only (on standard error); results go to files then, with
`tee -o FILE COMMAND`. -V prints the version. Exit status 1 when a command fails, 2 when the usage is wrong.
"""

import os
import sys


def parse(arguments):
    quiet, files, steps = False, [], []
    arguments = list(arguments)
    while arguments:
        argument = arguments.pop(0)
        if argument == "-q":
            quiet = True
        elif argument in ("-p", "-s"):
            if not arguments:
                usage(f"{argument} needs an argument")
            value = arguments.pop(0)
            steps.append(value if argument == "-p" else f"script {quoted(value)}")
        elif argument in ("-V", "--version"):
            print_version()
        elif argument in ("-h", "--help"):
            print(__doc__.strip())
            sys.exit(0)
        elif argument.startswith("-"):
            usage(f"unknown option {argument}")
        elif argument.endswith(".ys"):
            files.append(f"script {quoted(argument)}")
        elif argument.endswith(".sv"):
            files.append(f"read_verilog -sv {quoted(argument)}")
        elif argument.endswith(".v"):
            files.append(f"read_verilog {quoted(argument)}")
        else:
            usage(f"do not know how to read {argument} (known: .v, .sv, .ys)")
    if not files and not steps:
        usage("nothing to do")
    return quiet, files + steps


def print_version():
    # The library has a version in its banner only; the package is named after it.
    from importlib.metadata import PackageNotFoundError, version

    try:
        print(f"Yosys {version('pyosys')} (Python package)")
    except PackageNotFoundError:
        not_installed("no package pyosys")
    sys.exit(0)


def not_installed(reason):
    print(f"error: pyosys is not installed ({reason}); run scripts/setup --synthesis", file=sys.stderr)
    sys.exit(1)


def quoted(name):
    return f'"{name}"' if " " in name else name


def usage(message):
    print(f"error: {message}", file=sys.stderr)
    print(__doc__.strip(), file=sys.stderr)
    sys.exit(2)


def main():
    quiet, steps = parse(sys.argv[1:])
    try:
        from pyosys import libyosys
    except ImportError as error:
        not_installed(error)
    if quiet:
        # The library writes its log to the process's standard output and offers no switch.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for step in steps:
        # A command that fails prints its error and ends the process with status 1.
        libyosys.run_pass(step)


main()
