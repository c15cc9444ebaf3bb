//! Netlist names in the generator's words: `lpu.tile_group_0.row_1.tile_2.accumulator_TRELLIS_FF_Q_7` is "tile group 0, row 1,
//! tile 2, accumulator".
//!
//! Yosys calls what it makes after the signal that it drives and appends the primitive; the signals' names are the generator's
//! own, joined by dots. So a name is cut where the first primitive begins, and its parts are translated one by one.

/// Primitives of the three families. Yosys appends `_PRIMITIVE_PORT` and, for the bits of a bus, a number; what it then derives
/// from that cell gets more of the same.
const PRIMITIVES: [&str; 27] = [
    "TRELLIS_FF",
    "TRELLIS_DPR16X4",
    "LUT4",
    "CCU2C",
    "PFUMX",
    "L6MUX21",
    "MULT18X18D",
    "PDPW16KD",
    "DP16KD",
    "SB_LUT4",
    "SB_CARRY",
    "SB_DFF",
    "SB_MAC16",
    "SB_RAM40",
    "LUT1",
    "LUT2",
    "LUT3",
    "ALU",
    "MUX2_LUT",
    "DFF",
    "RAM16SDP",
    "SDPX9B",
    "SDPB",
    "MULT9X9",
    "MULT18X18",
    "MULT36X36",
    "INV",
];

/// Parts that say nothing to the reader: what surrounds the machine's units, and the primitive inside a module of one.
const SILENT: [&str; 7] = ["lpu", "memory", "mult18x18d", "ram", "core", "cell", "table"];

/// Words that are not spelled as they stand in a name.
const WORDS: [(&str, &str); 10] = [
    ("ram", "RAM"),
    ("uart", "UART"),
    ("pll", "PLL"),
    ("crc", "CRC"),
    ("i", "input"),
    ("o", "output"),
    ("a", "A"),
    ("b", "B"),
    ("p", "product"),
    ("rx", "RX"),
];

/// Suffixes of registers, which the reader need not tell from the signal they take over.
const REGISTER_SUFFIXES: [&str; 2] = ["_q", "_d"];

/// What the tools put in by themselves, which no signal of the generator's names: how such a name begins, in words.
const FOREIGN: [(&str, &str); 4] = [
    ("$nextpnr_CCU2C", "carry chain"),
    ("$PACKER_VCC", "constant 1"),
    ("$PACKER_GND", "constant 0"),
    ("$", "logic without a name"),
];

/// The unit and the signal that a netlist name belongs to, in words.
pub fn in_words(name: &str) -> String {
    if let Some((_, words)) = FOREIGN.iter().find(|(begin, _)| name.starts_with(begin)) {
        return words.to_string();
    }
    let own = without_primitives(name);
    let parts: Vec<String> = own.split('.').filter(|part| !SILENT.contains(part)).map(part_in_words).collect();
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    match parts.is_empty() {
        true => own.to_string(),
        false => parts.join(", "),
    }
}

/// The name up to the first primitive that Yosys or nextpnr appended.
pub fn without_primitives(name: &str) -> &str {
    let begins = |at: usize| {
        let rest = &name[at + 1..];
        PRIMITIVES.iter().any(|primitive| {
            // Families of primitives share a beginning: DFF, DFFE, DFFSE.
            rest.strip_prefix(primitive).is_some_and(|after| {
                let after = after.trim_start_matches(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit());
                after.is_empty() || after.starts_with('_')
            })
        })
    };
    let appended = name.match_indices('_').map(|(at, _)| at).find(|&at| begins(at));
    let foreign = name.find('$');
    let end = appended.into_iter().chain(foreign).min().unwrap_or(name.len());
    match &name[..end] {
        "" => name,
        own => own.trim_end_matches(['.', '_']),
    }
}

/// `tile_group_3` as "tile group 3", `wait_cycles[4]` as "wait cycles".
fn part_in_words(part: &str) -> String {
    let part = part.split('[').next().unwrap_or(part);
    let part = REGISTER_SUFFIXES.iter().find_map(|suffix| part.strip_suffix(suffix)).unwrap_or(part);
    if let Some((depth, width)) = part.strip_prefix("block_").and_then(|numbers| numbers.split_once('_')) {
        return format!("block {depth} of bits {width}");
    }
    let word =
        |word: &str| WORDS.iter().find(|(from, _)| *from == word).map_or(word.to_string(), |(_, to)| to.to_string());
    let words: Vec<String> = part.split('_').filter(|word| !word.is_empty()).map(word).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_signals_read_as_the_generator_calls_them() {
        for (name, words) in [
            ("lpu.tile_group_0.row_1.tile_2.accumulator_TRELLIS_FF_Q_7", "tile group 0, row 1, tile 2, accumulator"),
            ("lpu.tile_group_2.row_0.tile_3.multiplier_1.mult18x18d", "tile group 2, row 0, tile 3, multiplier 1"),
            (
                "lpu.tile_group_2.row_0.tile_3.weight_ram.block_3_0",
                "tile group 2, row 0, tile 3, weight RAM, block 3 of bits 0",
            ),
            ("lpu.requantiser.lane_3.scaled_CCU2C_S0_5", "requantiser, lane 3, scaled"),
            ("lpu.slice_1.write_address_2_LUT4_Z_D_PFUMX_Z_ALUT_LUT4_Z", "slice 1, write address 2"),
            ("vector_unit.queue.running_LUT4_C_D_LUT4_Z_D_LUT4_Z_2", "vector unit, queue, running"),
            ("lpu.vector_unit.sequencer.run_levels_q_LUT4_B_Z_PFUMX_ALUT_Z", "vector unit, sequencer, run levels"),
            ("lpu.crossbar.write_0_q[17]", "crossbar, write 0"),
            ("uart_receiver.count_SB_DFFESR_Q_3", "UART receiver, count"),
            ("lpu.host_port.address_DFFRE_Q_2", "host port, address"),
            ("lpu.slice_0.bank_1.memory.0.0_SDPX9B_DO", "slice 0, bank 1, 0, 0"),
        ] {
            assert_eq!(in_words(name), words, "{name}");
        }
    }

    #[test]
    fn unknown_names_lose_the_tools_suffixes_and_nothing_else() {
        for (name, words) in [
            ("reset$tr_io", "reset"),
            ("led$sb_io", "led"),
            ("$PACKER_VCC", "constant 1"),
            ("$PACKER_GND", "constant 0"),
            ("$nextpnr_CCU2C_207$CCU2_COMB0", "carry chain"),
            ("$auto$alumacc.cc:485:replace_alu$4112", "logic without a name"),
            ("oscillator", "oscillator"),
            ("DFFlike_thing", "DFFlike thing"),
        ] {
            assert_eq!(in_words(name), words, "{name}");
        }
    }
}
