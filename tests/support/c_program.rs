//! A compiled network as C, for the example of a host without an operating system in `firmware/riscv`.

use lpu_isa::host::Memory;
use lpu_isa::image::images;
use lpu_isa::instruction::InstructionError;
use lpu_isa::program::{Program, Region};
use std::fmt::Write as _;

/// The text of a C file that defines what `firmware/riscv/program.h` declares, with `sample` as its input.
///
/// # Errors
/// An instruction without an encoding.
pub fn c_program(program: &Program, sample: &[i8]) -> Result<String, InstructionError> {
    let configuration = &program.configuration;
    let mut text = format!("/* {} */\n#include \"program.h\"\n\n", program.model.replace("*/", ""));
    let mut table = String::new();
    let images: Vec<_> = images(program)?.into_iter().filter(|image| !image.chunks.is_empty()).collect();
    for (number, image) in images.iter().enumerate() {
        let words = list(image.chunks.iter().map(|word| format!("0x{word:08x}")));
        let _ = write!(text, "static const uint32_t image_{number}[] = {{{words}}};\n\n");
        let (unit, chunks) = (image.memory.number(), image.memory.chunks(configuration));
        let _ = writeln!(table, "    {{{unit}, {chunks}, {}, image_{number}}},", image.chunks.len());
    }
    let _ = write!(text, "const struct image program_images[] = {{\n{table}}};\n");
    let _ = write!(text, "const size_t program_image_count = {};\n\n", images.len());
    let tensor = |name: &str, region: &Region| {
        let memory = Memory::Vector(region.slice);
        let chunks = memory.chunks(configuration);
        let positions = list(region.positions.iter().map(ToString::to_string));
        format!(
            "static const uint16_t {name}_positions[] = {{{positions}}};\n\nconst struct tensor program_{name} = {{{}, {chunks}, {}, \
             {}, {}, {name}_positions}};\n\n",
            memory.number(),
            region.base,
            region.beats * chunks,
            region.positions.len()
        )
    };
    text += &tensor("input", &program.input);
    text += &tensor("output", &program.output);
    let sample = list(sample.iter().map(ToString::to_string));
    let _ = writeln!(text, "const int8_t program_sample[] = {{{sample}}};");
    let words = [&program.input, &program.output].map(|region| region.beats * Memory::Vector(0).chunks(configuration));
    let _ = writeln!(text, "uint32_t program_buffer[{}];", words[0].max(words[1]));
    Ok(text)
}

/// Values of an initialiser, ten in a line.
fn list(values: impl Iterator<Item = String>) -> String {
    let values: Vec<String> = values.collect();
    let lines: Vec<String> = values.chunks(10).map(|line| line.join(", ")).collect();
    format!("\n    {},\n", lines.join(",\n    "))
}
