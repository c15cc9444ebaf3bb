//! Sequencer: nested strided counters, one step a cycle.

use super::fields::Fields;
use super::{bit, constant, decrement};
use crate::layer::{DesignError, Expr, Instance, Module, ModuleBuilder, Signal, Type, concat};
use crate::primitives;
use lpu_isa::configuration::{Configuration, bits_for};
use lpu_isa::sequence::LEVELS;
use std::sync::Arc;

/// What one sequencer must be able to do.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Bits of the address; 0 counts steps only.
    pub address_bits: u32,
    /// Give out `end_of_level_0`?
    pub end_of_level_0: bool,
    /// Give out `first` and `last`?
    pub run_edges: bool,
    /// Give out `opens` and `closes`, the same of the whole instruction?
    pub instruction_edges: bool,
}

/// A sequencer. Its first step comes one cycle after `issue`; the steps are those of `lpu_isa::sequence::Sequence`.
///
/// # Errors
/// None for a checked configuration.
pub fn sequencer(shape: Shape, configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let (levels, count_bits) = (configuration.sequence_levels as usize, configuration.count_bits);
    let mut m = ModuleBuilder::new_variant(
        "sequencer",
        &format!(
            "{}{}{}{}",
            shape.address_bits,
            if shape.end_of_level_0 { "_rows" } else { "" },
            if shape.run_edges { "_runs" } else { "" },
            if shape.instruction_edges { "_instructions" } else { "" }
        ),
    );
    m.describe(
        "Walks nested loops, one step a cycle, level 0 innermost. When a level advances, its delta is added to the \
         address. The innermost run_levels + 1 loops form a run; between two runs the sequencer idles for gap cycles, \
         between two steps of a run for pause cycles. What a counter compares with is compared when the counter changes, so \
         that a step decides with single bits.",
    );
    m.latency("issue to the first step", 1);
    let count = Type::bits(count_bits as usize);
    let address = Type::bits(shape.address_bits as usize);
    let has_address = shape.address_bits > 0;
    m.section("Instruction");
    let issue = m.input("issue", bit());
    let base = has_address.then(|| m.input("base", address));
    let count_in: Vec<Signal> = (0..levels).map(|k| m.input(&format!("count{k}"), count)).collect();
    let delta_in: Vec<Signal> =
        if has_address { (0..levels).map(|k| m.input(&format!("delta{k}"), address)).collect() } else { vec![] };
    let run_levels_in = m.input("run_levels", Type::bits(bits_for(configuration.sequence_levels) as usize));
    let gap_in = m.input("gap", Type::bits(count_bits as usize));
    let pause_in = m.input("pause", Type::bits(configuration.pause_bits() as usize));
    m.section("Step");
    let step_port = m.output("step", bit());
    let address_port = has_address.then(|| m.output("address", address));

    m.section("State");
    let load = |m: &mut ModuleBuilder, name: &str, from: &Signal| {
        let register = m.register(name, from.ty());
        m.next_when(&register, Expr::from(&issue), Expr::from(from));
        register
    };
    let count_q: Vec<Signal> = (0..levels).map(|k| load(&mut m, &format!("count{k}_q"), &count_in[k])).collect();
    let delta_q: Vec<Signal> =
        delta_in.iter().enumerate().map(|(k, delta)| load(&mut m, &format!("delta{k}_q"), delta)).collect();
    let gap = load(&mut m, "gap_q", &gap_in);
    let pause = load(&mut m, "pause_q", &pause_in);
    // In each cycle of an operation one of the two is set.
    let step = m.register_with_reset("step_now", bit(), 0);
    let idle = m.register_with_reset("idle", bit(), 0);
    let idle_left = m.register("idle_left", Type::bits(count_bits as usize));
    let left: Vec<Signal> = (0..levels).map(|k| m.register(&format!("left{k}"), count)).collect();

    let issue_expr = Expr::from(&issue);

    // end[k]: level k is in its last iteration; single[k]: that is its only one.
    let single: Vec<Signal> = (0..levels)
        .map(|k| {
            let register = m.register(&format!("single{k}"), bit());
            m.next_when(&register, issue_expr.clone(), Expr::from(&count_in[k]).any().not());
            register
        })
        .collect();
    let end: Vec<Signal> = (0..levels).map(|k| m.register(&format!("end{k}"), bit())).collect();
    // end_of[k]: levels 0..=k have all reached their last iteration.
    let mut end_of = vec![Expr::from(&end[0])];
    for signal in &end[1..] {
        let inner = end_of[end_of.len() - 1].clone();
        end_of.push(inner.and(Expr::from(signal)));
    }
    let end_of: Vec<Signal> =
        end_of.into_iter().enumerate().map(|(k, expr)| m.wire(&format!("end_of_levels{k}"), expr)).collect();
    let end_of: Vec<Expr> = end_of.iter().map(Expr::from).collect();
    // Levels outside a run count as ended.
    let outside: Vec<Signal> = (0..levels)
        .map(|k| {
            let register = m.register(&format!("outside_run{k}"), bit());
            let level = constant(k as u64, run_levels_in.ty().width() as u32);
            m.next_when(&register, issue_expr.clone(), Expr::from(&run_levels_in).less_than(level));
            register
        })
        .collect();
    let ended = end.iter().zip(&outside).map(|(end, outside)| Expr::from(end).or(outside));
    let run_end = ended.reduce(|all, level| all.and(level)).unwrap_or_else(|| constant(1, 1));
    let run_end = m.wire("run_end", run_end);
    let finished = end_of[levels - 1].clone();
    // What the last step does to counters and address matters to nobody: the next issue sets them.
    let run_break = m.wire("run_break", Expr::from(&step).and(Expr::from(&run_end)));
    let gap_idles = m.register("gap_idles", bit());
    m.next_when(&gap_idles, issue_expr.clone(), Expr::from(&gap_in).any());
    let pause_idles = m.register("pause_idles", bit());
    m.next_when(&pause_idles, issue_expr.clone(), Expr::from(&pause_in).any());
    let resumes = Expr::from(&idle).and(Expr::from(&idle_left).equals(constant(1, count_bits)));
    let resumes = Expr::from(&m.wire("resumes", resumes));
    let finishes = Expr::from(&m.wire("finishes", Expr::from(&step).and(finished)));
    let idles = Expr::from(&m.wire("idles", Expr::from(&run_end).choose(&gap_idles, &pause_idles)));
    m.next_cases(
        &step,
        &[
            (issue_expr.clone(), constant(1, 1)),
            (finishes.clone(), constant(0, 1)),
            (Expr::from(&step), idles.not()),
            (resumes.clone(), constant(1, 1)),
        ],
    );
    m.next_cases(
        &idle,
        &[
            (issue_expr.clone(), constant(0, 1)),
            (finishes.clone(), constant(0, 1)),
            (Expr::from(&step), idles),
            (resumes, constant(0, 1)),
        ],
    );
    m.next_cases(
        &idle_left,
        &[
            (Expr::from(&run_break), Expr::from(&gap)),
            (Expr::from(&step), Expr::from(&pause).extend(count_bits as usize)),
            (Expr::from(&idle), decrement(&idle_left)),
        ],
    );
    for k in 0..levels {
        // A level advances when all levels inside it end; when it ends itself it starts again.
        let inner_end = if k == 0 { Expr::from(&step) } else { Expr::from(&step).and(end_of[k - 1].clone()) };
        let inner_end = Expr::from(&m.wire(&format!("advance{k}"), inner_end));
        let counted = Expr::from(&end[k]).choose(Expr::from(&count_q[k]), decrement(&left[k]));
        m.next_cases(&left[k], &[(issue_expr.clone(), Expr::from(&count_in[k])), (inner_end.clone(), counted)]);
        let last_next = Expr::from(&left[k]).equals(constant(1, count_bits));
        let ends_next = Expr::from(&end[k]).choose(Expr::from(&single[k]), last_next);
        let at_issue = Expr::from(&count_in[k]).any().not();
        m.next_cases(&end[k], &[(issue_expr.clone(), at_issue), (inner_end, ends_next)]);
    }
    if let (Some(base), Some(port)) = (&base, &address_port) {
        let address_q = m.register("address_q", address);
        // All sums are made while it is decided which one is the next address: the adder would follow the decision otherwise.
        let sums: Vec<Expr> = delta_q
            .iter()
            .enumerate()
            .map(|(k, delta)| m.wire(&format!("address_by_delta{k}"), Expr::from(&address_q).add(Expr::from(delta))))
            .map(|sum| Expr::from(&sum))
            .collect();
        // One bit for each candidate: decided beside the sums, so that an AND and an OR are all that follows them.
        let stays = issue_expr.not();
        let mut picks: Vec<Expr> = (0..levels)
            .map(|k| {
                let inner = if k == 0 { stays.clone() } else { stays.and(end_of[k - 1].clone()) };
                if k == levels - 1 { inner } else { inner.and(Expr::from(&end[k]).not()) }
            })
            .collect();
        picks.push(issue_expr.clone());
        picks.reverse();
        let pick = m.wire("address_pick", concat(&picks));
        let names: Vec<String> = (0..=levels).map(|k| format!("from_{k}")).collect();
        let mut connections: Vec<(&str, Expr)> = vec![("pick", Expr::from(&pick))];
        connections.extend(names.iter().map(String::as_str).zip(sums.into_iter().chain([Expr::from(base)])));
        let choice = primitives::multiplexer(shape.address_bits as usize, levels + 1);
        let next = m.instance("next_address", &choice, connections)?.output("chosen");
        m.next_when(&address_q, issue_expr.or(&step), Expr::from(&next));
        m.drive(port, Expr::from(&address_q));
    }
    m.drive(&step_port, Expr::from(&step));
    if shape.end_of_level_0 {
        let port = m.output("end_of_level_0", bit());
        m.drive(&port, Expr::from(&end[0]));
    }
    if shape.run_edges {
        let fresh = m.register("fresh", bit());
        m.next_cases(
            &fresh,
            &[
                (issue_expr, constant(1, 1)),
                (Expr::from(&run_break), constant(1, 1)),
                (Expr::from(&step), constant(0, 1)),
            ],
        );
        let first = m.output("first", bit());
        m.drive(&first, Expr::from(&fresh));
        let last = m.output("last", bit());
        m.drive(&last, Expr::from(&run_break));
    }
    if shape.instruction_edges {
        let opening = m.register("opening", bit());
        let issued = Expr::from(&issue);
        m.next_cases(&opening, &[(issued, constant(1, 1)), (Expr::from(&step), constant(0, 1))]);
        let opens = m.output("opens", bit());
        m.drive(&opens, Expr::from(&opening));
        let closes = m.output("closes", bit());
        m.drive(&closes, finishes);
    }
    m.finish()
}

/// Places a sequencer that obeys the queue output `fields`.
///
/// # Errors
/// Those of the design check.
pub fn place(
    m: &mut ModuleBuilder,
    name: &str,
    shape: Shape,
    issue: &Signal,
    fields: &Fields,
) -> Result<Instance, DesignError> {
    let mut connections: Vec<(&str, Expr)> = vec![("issue", issue.into())];
    const COUNTS: [&str; LEVELS] = ["count0", "count1", "count2", "count3"];
    const DELTAS: [&str; LEVELS] = ["delta0", "delta1", "delta2", "delta3"];
    let levels = fields.configuration().sequence_levels as usize;
    if shape.address_bits > 0 {
        let base = fields.bits("base");
        let base = match fields.offset(m, shape.address_bits as usize) {
            None => base,
            Some(offset) => Expr::from(&m.wire(&format!("{name}_base"), base.add(offset))),
        };
        connections.push(("base", base));
        connections.extend(DELTAS[..levels].iter().map(|name| (*name, fields.bits(name))));
    }
    connections.extend(COUNTS[..levels].iter().map(|name| (*name, fields.bits(name))));
    connections.push(("run_levels", fields.bits("run_levels")));
    connections.push(("gap", fields.bits("gap")));
    connections.push(("pause", fields.bits("pause")));
    m.instance(name, &sequencer(shape, fields.configuration())?, connections)
}
