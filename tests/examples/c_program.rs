//! Prints a program as C for the example in `firmware/riscv`: `cargo run -p lpu-tests --example c_program -- P.json > program.c`.
//! The sample input is zero; put another in its place.

use lpu_isa::program::Program;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("usage: c_program PROGRAM.json")?;
    let program = Program::from_json(&std::fs::read_to_string(file)?)?;
    let sample = vec![0; program.input.positions.len()];
    print!("{}", lpu_tests::c_program::c_program(&program, &sample)?);
    Ok(())
}
