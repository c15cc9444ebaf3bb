//! Instruction queue: issues each instruction a fixed number of cycles after the one before it.

use super::{RegisterBus, bit, constant, copied, decrement, increment, spare_registers};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Signal, Type, concat};
use crate::primitives;
use lpu_isa::configuration::{Configuration, REGISTER_BITS, bits_for};
use lpu_isa::encoding::repeat_fields;
use lpu_isa::instruction::{OPCODE_BITS, OPCODE_HALT, OPCODE_REPEAT, OPCODE_RUN, Unit, register_fields, word_bits};
use lpu_isa::latency::{block_ram, start_to_issue};
use std::sync::Arc;

/// Bits of opcode and interval, which the queue keeps to itself.
pub fn header_bits(configuration: &Configuration) -> u32 {
    OPCODE_BITS + configuration.interval_bits
}

/// Registers in front of a queue: the start pulse crosses the chip.
pub fn start_register(configuration: &Configuration) -> usize {
    spare_registers(configuration)
}

/// The instruction queue of `unit`.
///
/// Ports: `start`, `entry` (address of the first instruction's first word in the RAM); `load_enable`, `load_address`,
/// `load_word`; `run` (an operation is issued in this cycle), `fields` (its instruction word without opcode and interval, valid
/// in the cycle of the issue), `halted`.
///
/// Where instructions of the unit name run-time registers, `captured_N` has the value of the register that the `N`th of
/// [`register_fields`] names, in the cycle of the issue too; `register_write`, `register_number` and `register_value` change the registers.
///
/// # Errors
/// None for a checked configuration.
pub fn queue(unit: Unit, configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let word_bits = word_bits(unit, configuration);
    let captures = register_fields(unit, configuration).len();
    let (header_bits, interval_bits) = (header_bits(configuration), configuration.interval_bits);
    let (ram_cycles, start_register) = (block_ram(configuration), start_register(configuration));
    let suffix = if captures == 0 { String::new() } else { format!("_{captures}") };
    let mut m = ModuleBuilder::new_variant("instruction_queue", &format!("{word_bits}{suffix}"));
    m.describe(
        "Holds the program of one unit and issues it. Each instruction says how many cycles lie between its own issue and \
         the next, so nothing the unit does can change when the next instruction comes. An instruction is several words of \
         the block RAM; the next one is fetched, a word a cycle, so that its first word takes the place of this one's in the \
         cycle after the issue.",
    );
    let start_to_issue = start_to_issue(configuration);
    m.latency("start to the issue of the instruction at the entry point", start_to_issue as usize);
    let words = configuration.queue_words_per_instruction();
    // Words that this unit's instructions fill: those behind them are read, but not kept.
    let own_words = word_bits.div_ceil(configuration.queue_word_bits_of(unit));
    let ram_bits = configuration.queue_word_bits_of(unit) as usize;
    let address_bits = configuration.queue_address_bits() as usize;
    m.section("Control");
    let start = m.input("start", bit());
    let entry = m.input("entry", Type::bits(address_bits));
    let run = m.output("run", bit());
    let halted_port = m.output("halted", bit());
    m.section("Instruction");
    let fields_port = m.output("fields", Type::bits((word_bits - header_bits) as usize));
    m.section("Load");
    let load_enable = m.input("load_enable", bit());
    let load_address = m.input("load_address", Type::bits(address_bits));
    let load_word = m.input("load_word", Type::bits(ram_bits));
    let registers = (captures > 0).then(|| RegisterBus::ports(&mut m, configuration));

    // A queue's own: all of them start at once.
    let start = copied(&mut m, configuration, "own_start", &Expr::from(&start))?;
    let entry = copied(&mut m, configuration, "own_entry", &Expr::from(&entry))?;
    m.section("State");
    let fetch_address = m.register("fetch_address", Type::bits(address_bits));
    let running = m.register_with_reset("running", bit(), 0);
    let halted = m.register_with_reset("halted_q", bit(), 1);
    // In the cycle of an issue and before the first, one more than the cycles that are left to the next issue.
    let wait = m.register("wait_cycles", Type::bits(interval_bits as usize));
    let issue = m.register("issue", bit());
    let run_q = m.register("run_q", bit());
    let halt = m.register("halt", bit());
    // Set in the cycle before the one in which so many cycles are left.
    let soon = |cycles: u32| {
        Expr::from(&running).and(Expr::from(&wait).equals(constant(u64::from(cycles) + 1, interval_bits)))
    };
    let word = m.register("word", Type::bits(ram_bits * own_words as usize));
    let issue_next = m.delay("issue_next", soon(2), 1);
    let repeats = configuration.extensions.map(|_| Repeats::of(&mut m, configuration, [&issue, &word], &start));
    let mut fetch_soon = start.or(soon(ram_cycles + 1));
    if configuration.minimum_interval() < ram_cycles + 2 {
        // An interval so short is not counted down: it comes with the issue, in the cycle before.
        let shortest = constant(u64::from(ram_cycles) + 1, interval_bits);
        let next = Expr::from(&word).slice(OPCODE_BITS as usize, interval_bits as usize).equals(shortest);
        let next = repeats.iter().fold(next, |next, repeats| next.or(repeats.ends_loop()));
        fetch_soon = fetch_soon.or(Expr::from(&issue).and(next));
    }
    let fetch_soon = m.wire("fetch_soon", fetch_soon);

    m.section("Fetch");
    // Set with the first word of an instruction, and with each of its words; words that come after this one.
    let fetch = m.delay("fetch", Expr::from(&fetch_soon), 1);
    let advance = m.register("advance", bit());
    let count_bits = bits_for(words);
    let words_left = m.register("words_left", Type::bits(count_bits as usize));
    m.next_cases(
        &advance,
        &[(Expr::from(&fetch_soon), constant(1, 1)), (Expr::from(&words_left).any().not(), constant(0, 1))],
    );
    m.next_cases(
        &words_left,
        &[
            (Expr::from(&fetch_soon), constant(u64::from(words) - 1, count_bits)),
            (Expr::from(&advance), decrement(&words_left)),
        ],
    );
    let mut addresses = vec![(start.clone(), entry), (Expr::from(&advance), increment(&fetch_address))];
    if repeats.is_none() {
        m.next_cases(&fetch_address, &addresses);
    }
    let memory = primitives::block_ram_in(ram_bits, configuration.queue_words() as usize, ram_cycles);
    // A queue's own, like the start.
    let load_enable = copied(&mut m, configuration, "own_load_enable", &Expr::from(&load_enable))?;
    let load_address = copied(&mut m, configuration, "own_load_address", &Expr::from(&load_address))?;
    let load_word = copied(&mut m, configuration, "own_load_word", &Expr::from(&load_word))?;
    let memory = m.instance(
        "program_memory",
        &memory,
        vec![
            ("write_enable", load_enable),
            ("write_address", load_address),
            ("write_data", load_word),
            ("read_address", Expr::from(&fetch_address)),
        ],
    )?;
    let fetched = memory.output("read_data");
    let kept = if own_words == words {
        Expr::from(&advance)
    } else {
        let behind = constant(u64::from(words - own_words), count_bits);
        Expr::from(&advance).and(Expr::from(&words_left).greater_equal(behind))
    };
    let arrived = m.delay("arrived", kept, ram_cycles as usize);
    let first_arrived = m.delay("first_arrived", Expr::from(&fetch), ram_cycles as usize);
    let arrival = Arrival { word: &fetched, first: &first_arrived };
    if let Some(repeats) = &repeats {
        addresses.insert(1, repeats.way_back(&mut m, configuration, &arrival, &fetch_address));
        m.next_cases(&fetch_address, &addresses);
    }
    let shifted = if own_words == 1 {
        Expr::from(&fetched)
    } else {
        concat(&[Expr::from(&fetched), Expr::from(&word).slice(ram_bits, ram_bits * (own_words as usize - 1))])
    };
    m.next_when(&word, Expr::from(&arrived), shifted);
    // The opcode comes with the first word, early enough to prepare the issue.
    let opcode = Expr::from(&fetched).slice(0, OPCODE_BITS as usize);
    let opcode_is = |m: &mut ModuleBuilder, name: &str, code: u64| {
        let register = m.register(name, bit());
        m.next_when(&register, Expr::from(&first_arrived), opcode.equals(constant(code, OPCODE_BITS)));
        register
    };
    let is_run = opcode_is(&mut m, "next_runs", OPCODE_RUN);
    let is_halt = opcode_is(&mut m, "next_halts", OPCODE_HALT);
    if let Some(repeats) = &repeats {
        m.next_when(
            &repeats.next_repeats,
            Expr::from(&first_arrived),
            opcode.equals(constant(OPCODE_REPEAT, OPCODE_BITS)),
        );
    }

    if let Some(registers) = registers {
        m.section("Registers");
        capture(&mut m, configuration, captures, &arrival, &registers)?;
    }

    m.section("Issue");
    m.next(&issue, Expr::from(&issue_next));
    m.next(&run_q, Expr::from(&issue_next).and(Expr::from(&is_run)));
    m.next(&halt, Expr::from(&issue_next).and(Expr::from(&is_halt)));
    m.next_cases(&running, &[(start.clone(), constant(1, 1)), (Expr::from(&halt), constant(0, 1))]);
    m.next_cases(&halted, &[(start.clone(), constant(0, 1)), (Expr::from(&halt), constant(1, 1))]);
    let word = Expr::from(&word);
    let mut waits = vec![
        (start.clone(), constant(u64::from(start_to_issue) - start_register as u64, interval_bits)),
        (Expr::from(&issue), word.slice(OPCODE_BITS as usize, interval_bits as usize)),
        (constant(1, 1), decrement(&wait)),
    ];
    if let Some(repeats) = &repeats {
        let least = constant(u64::from(configuration.minimum_interval()), interval_bits);
        waits.insert(1, (Expr::from(&issue).and(repeats.ends_loop()), least));
    }
    m.next_cases(&wait, &waits);
    m.drive(&run, Expr::from(&run_q));
    m.drive(&fields_port, word.slice(header_bits as usize, (word_bits - header_bits) as usize));
    m.unused(word.slice(0, OPCODE_BITS as usize));
    let used = word_bits as usize;
    if word.width() > used {
        m.unused(word.slice(used, word.width() - used));
    }
    m.drive(&halted_port, Expr::from(&halted));
    m.finish()
}

/// What comes out of a queue's RAM.
struct Arrival<'a> {
    /// A word of the RAM.
    word: &'a Signal,
    /// Is it the first of an instruction?
    first: &'a Signal,
}

/// The loop under way. Its state changes when the instruction that ends it issues; the address of what follows it is asked for earlier, as
/// soon as it is known that it ends a loop.
struct Repeats {
    /// Does the instruction that issues next, or now, end a loop?
    next_repeats: Signal,
    /// Is the time under way the loop's last? Two cycles behind the state, and three before anybody asks.
    is_last: Signal,
}

impl Repeats {
    /// The counter; `issue` is set in the cycle in which `word` is issued.
    fn of(m: &mut ModuleBuilder, configuration: &Configuration, [issue, word]: [&Signal; 2], start: &Expr) -> Repeats {
        let next_repeats = m.register("next_repeats", bit());
        let (_, times) = Self::fields(configuration);
        let times = Expr::from(word).slice(times.0, times.1);
        let looping = m.register_with_reset("looping", bit(), 0);
        // Times that are still to come behind the one under way.
        let times_left = m.register("times_left", Type::bits(times.width()));
        let is_last = Expr::from(&looping).and(Expr::from(&times_left).any().not());
        let is_last = m.delay("is_last_time", is_last, 1);
        let ends = Expr::from(issue).and(&next_repeats);
        let one = constant(1, times.width() as u32);
        let left = Expr::from(&looping).choose(decrement(&times_left), times.sub(one));
        m.next_when(&times_left, ends.clone(), left);
        m.next_cases(&looping, &[(start.clone(), constant(0, 1)), (ends, Expr::from(&is_last).not())]);
        Repeats { next_repeats, is_last }
    }

    /// Lowest bit and width of the fields that say how many instructions a loop has and how often it is executed.
    fn fields(configuration: &Configuration) -> ((usize, usize), (usize, usize)) {
        let fields = repeat_fields(configuration);
        let place = |name: &str| {
            let field = fields.iter().find(|field| field.name == name);
            field.map_or((0, 0), |field| (field.position as usize, field.bits as usize))
        };
        (place("back"), place("times"))
    }

    /// Does the instruction that issues now end a loop for the last time?
    fn ends_loop(&self) -> Expr {
        Expr::from(&self.next_repeats).and(&self.is_last)
    }

    /// When the address of the next word that is fetched becomes that of a loop's first instruction, and this address: as soon as all words
    /// of the instruction that ends the loop have been asked for, or as it has come where that is later.
    fn way_back(
        &self,
        m: &mut ModuleBuilder,
        configuration: &Configuration,
        arrival: &Arrival<'_>,
        fetch_address: &Signal,
    ) -> (Expr, Expr) {
        let words = configuration.queue_words_per_instruction();
        let ram_bits = Expr::from(arrival.word).width();
        // Cycles between the arrival of the instruction's first word and the fetch of its last.
        let last_fetch = (words - 1).checked_sub(block_ram(configuration));
        let waits = last_fetch.unwrap_or(0) as usize;
        let opcode = Expr::from(arrival.word).slice(0, OPCODE_BITS as usize);
        let repeats = opcode.equals(constant(OPCODE_REPEAT, OPCODE_BITS)).and(arrival.first);
        let jumps = m.delay("jumps", repeats.and(Expr::from(&self.is_last).not()), waits);
        // What the word that comes in this very cycle does not hold has been kept.
        let ((lowest, bits), _) = Self::fields(configuration);
        let mut parts: Vec<Expr> = Vec::new();
        for word in lowest / ram_bits..=(lowest + bits - 1) / ram_bits {
            let begin = lowest.max(word * ram_bits);
            let end = (lowest + bits).min((word + 1) * ram_bits);
            let now = Expr::from(arrival.word).slice(begin - word * ram_bits, end - begin);
            debug_assert!(word <= waits, "a queue's instructions are longer than what ends a loop");
            parts.push(if word == waits {
                now
            } else {
                let arrives = m.delay(&format!("back_of_word_{word}_arrived"), Expr::from(arrival.first), word);
                let part = m.register(&format!("back_of_word_{word}"), now.ty());
                m.next_when(&part, Expr::from(&arrives), now);
                Expr::from(&part)
            });
        }
        parts.reverse();
        // Instructions to words: what is subtracted is `back` times their number and one instruction more, so far as it has been asked
        // for. Of each multiple by a power of two the complement is added, which is -1 less it.
        let width = fetch_address.ty().width();
        let back = concat(&parts).extend(width);
        let scaled = |bit: u32| if bit == 0 { back.clone() } else { back.shift_left(bit as usize).truncate(width) };
        let mut terms = vec![Expr::from(fetch_address)];
        terms.extend((0..32 - words.leading_zeros()).filter(|bit| words >> bit & 1 == 1).map(|bit| scaled(bit).not()));
        let asked = words - u32::from(last_fetch.is_some());
        let missing = asked.wrapping_sub(words.count_ones()).wrapping_neg();
        // Three become two, their sums and their carries, without a chain.
        while let [first, second, third, more @ ..] = &terms[..] {
            let sums = first.xor(second).xor(third);
            let carries = first.and(second).or(first.and(third)).or(second.and(third));
            terms = [&[sums, carries.shift_left(1).truncate(width)], more].concat();
        }
        let address = terms.iter().skip(1).fold(terms[0].clone(), |sum, term| sum.add(term));
        let rest = constant(u64::from(missing) & ((1 << width) - 1), width as u32);
        let address = if missing == 0 { address } else { address.add(rest) };
        (Expr::from(&jumps), address)
    }
}

/// The values of the registers that an instruction names right behind its interval. Its number is kept when the words of the RAM that
/// hold it come; from then on the register is looked up each cycle, so that the value in the cycle of the issue, two cycles old, is that
/// which a latency of [`REGISTER_LOOKUP`](lpu_isa::latency::REGISTER_LOOKUP) promises.
fn capture(
    m: &mut ModuleBuilder,
    configuration: &Configuration,
    captures: usize,
    arrival: &Arrival<'_>,
    registers: &RegisterBus,
) -> Result<(), DesignError> {
    let ram_bits = Expr::from(arrival.word).width();
    let number_bits = bits_for(configuration.registers() + 1) as usize;
    let header = header_bits(configuration) as usize;
    let last_word = (header + captures * number_bits - 1) / ram_bits;
    // The header may fill words of its own.
    let arrives: Vec<(usize, Signal)> = (header / ram_bits..=last_word)
        .map(|word| match word {
            0 => (word, arrival.first.clone()),
            _ => (word, m.delay(&format!("word_{word}_arrived"), Expr::from(arrival.first), word)),
        })
        .collect();
    let memory = primitives::distributed_ram(REGISTER_BITS as usize, configuration.registers() as usize + 1);
    for capture in 0..captures {
        // A number may stand in two words of the RAM.
        let (begin, end) = (header + capture * number_bits, header + (capture + 1) * number_bits);
        let mut parts: Vec<Expr> = Vec::new();
        let words = begin / ram_bits..=(end - 1) / ram_bits;
        for &(word, ref arrives) in arrives.iter().filter(|(word, _)| words.contains(word)) {
            let lowest = begin.max(word * ram_bits);
            let bits = end.min((word + 1) * ram_bits) - lowest;
            let part = m.register(&format!("number_{capture}_of_word_{word}"), Type::bits(bits));
            let fetched = Expr::from(arrival.word).slice(lowest - word * ram_bits, bits);
            m.next_when(&part, Expr::from(arrives), fetched);
            parts.push(Expr::from(&part));
        }
        parts.reverse();
        let number = m.wire(&format!("number_{capture}"), concat(&parts));
        let memory = m.instance(
            &format!("registers_{capture}"),
            &memory,
            vec![
                ("write_enable", registers.write.clone()),
                ("write_address", registers.number.clone()),
                ("write_data", registers.value.clone()),
                ("read_address", Expr::from(&number)),
            ],
        )?;
        let zero = constant(0, REGISTER_BITS);
        let value = Expr::from(&number).any().choose(memory.output("read_data"), zero);
        let value = m.delay(&format!("value_{capture}"), value, 1);
        let port = m.output(&format!("captured_{capture}"), Type::bits(REGISTER_BITS as usize));
        m.drive(&port, Expr::from(&value));
    }
    Ok(())
}
