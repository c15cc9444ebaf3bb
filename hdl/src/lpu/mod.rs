//! The modules of the LPU.
//!
//! | module | does |
//! | --- | --- |
//! | [`queue`] | issues the instructions of one unit at the cycles they ask for |
//! | [`sequencer`] | walks the nested counters of an instruction |
//! | [`tile`], [`tile_row`], [`tile_group`] | dot products beside their weights; drain chains |
//! | [`requantiser`], [`requantiser_lane`] | accumulators to elements |
//! | [`vector_unit`] | lane-wise arithmetic |
//! | [`softmax`] | softmax of rows of int8 elements, beside the lanes |
//! | [`extended_vector_unit`], [`extended_vector_lane`] | the same with products, tables, scalars, reductions |
//! | [`largest`], [`reduction`] | the words of an instruction to their largest element, to a sum |
//! | [`normalise`] | the reciprocal or the reciprocal root of a sum |
//! | [`leaving`] | where words leave the lanes of the extended vector unit, and what belongs to them from there on |
//! | [`masking`] | which elements of an instruction lie beyond a register |
//! | [`generation`](mod@generation) | runs one after the other, tokens from one to the next |
//! | [`registers`] | run-time registers and what changes them |
//! | [`weight_store`] | a stream into the weight RAMs |
//! | [`vector_slice`] | vector memory with a read and a write port |
//! | [`crossbar`] | which source feeds which destination |
//! | [`host_port`] | loading, starting, reading back |
//! | [`top`] | all of them together |

pub mod crossbar;
pub mod extended_vector_lane;
pub mod extended_vector_unit;
pub mod fields;
pub mod generation;
pub mod host_port;
pub mod largest;
pub mod leaving;
pub mod masking;
pub mod normalise;
pub mod queue;
pub mod reduction;
pub mod registers;
pub mod requantiser;
pub mod requantiser_lane;
pub mod sequencer;
pub mod softmax;
pub mod tile;
pub mod tile_group;
pub mod tile_row;
pub mod top;
pub mod vector_slice;
pub mod vector_unit;
pub mod weight_store;

use crate::layer::{DesignError, Expr, ModuleBuilder, Signal, Type, concat, literal};
use crate::primitives;
use lpu_isa::configuration::{Configuration, REGISTER_BITS, bits_for};
use lpu_isa::instruction::Unit;

/// A single bit.
fn bit() -> Type {
    Type::bits(1)
}

/// An unsigned constant of `bits` bits.
fn constant(value: u64, bits: u32) -> Expr {
    literal(i128::from(value), Type::bits(bits as usize))
}

/// `signal + 1`, modulo its width.
fn increment(signal: &Signal) -> Expr {
    Expr::from(signal).add(literal(1, signal.ty()))
}

/// `signal - 1`, modulo its width.
fn decrement(signal: &Signal) -> Expr {
    Expr::from(signal).sub(literal(1, signal.ty()))
}

/// `value` limited to `minimum..=maximum`, which are narrower, in two stages: comparison and choice. `enables` say when the register
/// of each of them takes a value over, or that it has none. The result has the limits' width. Where there is `masked` and it is set, beside the
/// value, the result is the minimum.
fn clamp(
    m: &mut ModuleBuilder,
    enables: [Option<Expr>; 2],
    value: &Expr,
    [minimum, maximum]: [&Signal; 2],
    masked: Option<&Signal>,
) -> Signal {
    let (width, narrow) = (value.width(), minimum.ty().width());
    let mut compared = |name: &str, value: Expr| Expr::from(&held_if(m, name, enables[0].as_ref(), value));
    // The sign of a difference leaves the carry chain as it is; a comparison takes more logic behind it.
    let negative = |difference: Expr| difference.bit(width);
    let below = negative(value.sub_wide(Expr::from(minimum).extend(width)));
    let low = compared("below", masked.map_or(below.clone(), |masked| below.or(masked)));
    let high = compared("above", negative(Expr::from(maximum).extend(width).sub_wide(value)));
    let unclamped = compared("unclamped", value.truncate(narrow));
    let minimum = compared("minimum_q", Expr::from(minimum));
    let maximum = compared("maximum_q", Expr::from(maximum));
    held_if(m, "clamped", enables[1].as_ref(), low.choose(minimum, high.choose(maximum, unclamped)))
}

/// `value`, a cycle later, in a register that stays beside its user where many hold the same.
fn own_register(m: &mut ModuleBuilder, name: &str, value: &Expr) -> Result<Expr, DesignError> {
    let copy = m.instance(name, &primitives::register_copy(value.width()), vec![("d", value.as_bits())])?;
    let copy = Expr::from(&copy.output("q"));
    Ok(if value.ty().is_signed() { copy.as_signed() } else { copy })
}

/// The same; but a compact machine, which is small anyway, shares `value` in the same cycle: see [`spare_registers`].
fn copied(m: &mut ModuleBuilder, configuration: &Configuration, name: &str, value: &Expr) -> Result<Expr, DesignError> {
    if spare_registers(configuration) == 0 { Ok(value.clone()) } else { own_register(m, name, value) }
}

/// `value` limited to a two's complement number of `width` bits.
fn saturate(value: &Expr, width: usize) -> Expr {
    let all = value.width();
    let upper = value.slice(width - 1, all - width + 1);
    let fits = upper.all().or(upper.any().not());
    let negative = value.bit(all - 1);
    let limit = concat(&[negative.clone(), negative.not().repeat(width - 1)]).as_signed();
    fits.choose(value.truncate(width), limit)
}

/// A register that takes `value` over while `enable` is set. An idle pipeline then stands still: it draws no power and costs
/// a simulator no time.
fn held_while_idle(m: &mut ModuleBuilder, name: &str, enable: &Expr, value: Expr) -> Signal {
    let register = m.register(name, value.ty());
    m.next_when(&register, enable.clone(), value);
    register
}

/// The same, or `value` itself where the configuration leaves the register out and so there is no `enable`.
fn held_if(m: &mut ModuleBuilder, name: &str, enable: Option<&Expr>, value: Expr) -> Signal {
    match enable {
        Some(enable) => held_while_idle(m, name, enable, value),
        None => m.wire(name, value),
    }
}

/// Registers that only the clock asks for, in one place: behind a block RAM, on a bus that loads memories, in the copy of a value
/// ([`copied`]). A compact machine does without.
fn spare_registers(configuration: &Configuration) -> usize {
    usize::from(!configuration.pipeline.compact)
}

/// Bits of a shift's amount that its second cycle takes care of.
const FINE_SHIFT_BITS: usize = 3;

/// The part of a shift's amount that its first cycle takes care of: a barrel shifter in one cycle would set the pace of the machine.
fn by_eights(amount: &Expr) -> Expr {
    let upper = amount.slice(FINE_SHIFT_BITS, amount.width() - FINE_SHIFT_BITS);
    concat(&[upper, literal(0, Type::bits(FINE_SHIFT_BITS))])
}

/// A shift register behind `valid`: bit `k` is `valid`, `k + 1` cycles later.
fn follow_valid(m: &mut ModuleBuilder, valid: &Signal, stages: usize) -> Expr {
    let register = m.register("valid_follow", Type::bits(stages));
    let next = match stages {
        1 => Expr::from(valid),
        _ => concat(&[Expr::from(&register).slice(0, stages - 1), Expr::from(valid)]),
    };
    m.next(&register, next);
    Expr::from(&register)
}

/// A crossbar source number as one bit for each source: what the crossbar's multiplexers take.
fn one_hot(number: &Expr, sources: u32) -> Expr {
    let bits: Vec<Expr> =
        (0..sources).rev().map(|source| number.equals(constant(u64::from(source), number.width() as u32))).collect();
    concat(&bits)
}

/// A register that holds the source an instruction names in `field`, one bit for each source, from its issue to the next.
fn picked(
    m: &mut ModuleBuilder,
    fields: &fields::Fields,
    run: &Signal,
    field: &str,
    configuration: &Configuration,
) -> Signal {
    let sources = configuration.crossbar_sources();
    let register = m.register(&format!("{field}_picked"), Type::bits(sources as usize));
    m.next_when(&register, Expr::from(run), one_hot(&fields.bits(field), sources));
    register
}

/// The bus that changes run-time registers. Each reader has a copy of the registers of its own.
#[derive(Clone)]
struct RegisterBus {
    write: Expr,
    number: Expr,
    value: Expr,
}

impl RegisterBus {
    const NAMES: [&'static str; 3] = ["register_write", "register_number", "register_value"];

    /// The types of its wires, in the order of the names.
    fn types(configuration: &Configuration) -> [Type; 3] {
        let number = bits_for(configuration.registers() + 1);
        [bit(), Type::bits(number as usize), Type::bits(REGISTER_BITS as usize)]
    }

    /// Declares its ports.
    fn ports(m: &mut ModuleBuilder, configuration: &Configuration) -> RegisterBus {
        let types = RegisterBus::types(configuration);
        let [write, number, value] = [0, 1, 2].map(|k| Expr::from(&m.input(RegisterBus::NAMES[k], types[k])));
        RegisterBus { write, number, value }
    }

    /// Declares the ports of a unit, and copies it there. A machine without registers has none.
    fn of_unit(m: &mut ModuleBuilder, configuration: &Configuration) -> Result<Option<RegisterBus>, DesignError> {
        if configuration.registers() == 0 {
            return Ok(None);
        }
        m.section("Registers");
        RegisterBus::ports(m, configuration).copied(m, configuration).map(Some)
    }

    /// The same in registers of the unit's own: all units hear it.
    fn copied(&self, m: &mut ModuleBuilder, configuration: &Configuration) -> Result<RegisterBus, DesignError> {
        let mut own = |name: &str, value: &Expr| copied(m, configuration, &format!("own_{name}"), value);
        let [write, number, value] = RegisterBus::NAMES;
        Ok(RegisterBus {
            write: own(write, &self.write)?,
            number: own(number, &self.number)?,
            value: own(value, &self.value)?,
        })
    }

    /// The connections of what is behind it.
    fn connections(&self) -> [(&'static str, Expr); 3] {
        let [write, number, value] = RegisterBus::NAMES;
        [(write, self.write.clone()), (number, self.number.clone()), (value, self.value.clone())]
    }
}

/// The ports through which the host loads a queue.
struct LoadBus {
    enable: Signal,
    address: Signal,
    word: Signal,
}

impl LoadBus {
    /// Declares the ports `NAME_load_enable`, `NAME_load_address` and `NAME_load_word` for the queue of `unit`.
    fn ports(m: &mut ModuleBuilder, configuration: &Configuration, unit: Unit, name: &str) -> LoadBus {
        let word_bits = configuration.queue_word_bits_of(unit) as usize;
        m.section("Load");
        LoadBus {
            enable: m.input(&format!("{name}_load_enable"), bit()),
            address: m.input(&format!("{name}_load_address"), Type::bits(configuration.queue_address_bits() as usize)),
            word: m.input(&format!("{name}_load_word"), Type::bits(word_bits)),
        }
    }

    /// The connections of a queue behind these ports, and behind the unit's copy of the registers' bus.
    fn queue(&self, start: &Signal, entry: &Signal, registers: Option<&RegisterBus>) -> Vec<(&'static str, Expr)> {
        let mut connections = vec![
            ("start", start.into()),
            ("entry", entry.into()),
            ("load_enable", Expr::from(&self.enable)),
            ("load_address", Expr::from(&self.address)),
            ("load_word", Expr::from(&self.word)),
        ];
        connections.extend(registers.iter().flat_map(|registers| registers.connections()));
        connections
    }
}

/// Bits of the address of a memory of `depth` words.
fn address_bits(depth: u32) -> usize {
    bits_for(depth) as usize
}
