//! The sequence number of the last request, and how far ahead of it another one is.

use super::{bit, constant};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Type, concat};
use std::sync::Arc;

/// Holds a number of 32 bits and compares it with others, a byte a step, the lowest first: four steps are a whole turn.
///
/// Ports: `restart`, before a turn; `step`, `number`: the next byte of another number; `renew`: the number takes that byte over.
/// `low`: the byte of the number that the next step is about. After a turn without `renew`: `same`, `next` (the other number is
/// one more), `ahead` (it is more by less than 2³¹, or the same); they are right two cycles after the last step. Steps are two or
/// more cycles apart.
///
/// # Errors
/// None.
pub fn sequence_number() -> Result<Arc<Module>, DesignError> {
    let mut m = ModuleBuilder::new("sequence_number");
    m.describe(
        "Holds the sequence number of the last accepted request, turning byte by byte, and subtracts it from that of another \
         request as its bytes come.",
    );
    m.latency("last step to the comparison", 2);
    m.section("Other number");
    let begin = m.input("restart", bit());
    let step = m.input("step", bit());
    let number = m.input("number", Type::bits(8));
    let renew = m.input("renew", bit());
    m.section("Number");
    let low = m.output("low", Type::bits(8));
    m.section("Comparison");
    let same = m.output("same", bit());
    let next = m.output("next", bit());
    let ahead = m.output("ahead", bit());

    let last = m.register_with_reset("last", Type::bits(32), 0);
    let byte = last.slice(0, 8);
    let kept = renew.choose(&number, &byte);
    m.next_when(&last, &step, concat(&[kept, last.slice(8, 24)]));

    let borrow = m.register("borrow", bit());
    let first = m.register("at_first", bit());
    let same_q = m.register("same_q", bit());
    let next_q = m.register("next_q", bit());
    let ahead_q = m.register("ahead_q", bit());
    // One chain: the complement of a byte is added, and the lowest bits of both make the carry that is no borrow.
    let (set, one) = (constant(0, 1), constant(1, 1));
    let minuend = concat(&[set.clone(), Expr::from(&number), one.clone()]);
    let subtrahend = concat(&[set, byte.not(), borrow.not()]);
    let sum = m.wire("sum", minuend.add(subtrahend));
    let difference = m.register("difference", Type::bits(8));
    m.next_when(&difference, &step, sum.slice(1, 8));
    m.next_cases(&borrow, &[(Expr::from(&begin), constant(0, 1)), (Expr::from(&step), sum.bit(9).not())]);
    m.unused(sum.bit(0));
    // What follows from the difference comes a cycle later.
    let step = m.delay("step_q", &step, 1);
    m.next_cases(&first, &[(Expr::from(&begin), one.clone()), (Expr::from(&step), constant(0, 1))]);
    let zero = m.wire("zero", difference.any().not());
    m.next_cases(&same_q, &[(Expr::from(&begin), one.clone()), (Expr::from(&step), Expr::from(&same_q).and(&zero))]);
    let is_one = difference.slice(1, 7).any().not().and(difference.bit(0));
    m.next_cases(
        &next_q,
        &[(Expr::from(&begin), one), (Expr::from(&step), Expr::from(&next_q).and(first.choose(is_one, &zero)))],
    );
    m.next_when(&ahead_q, &step, difference.bit(7).not());
    m.drive(&low, byte);
    m.drive(&same, &same_q);
    m.drive(&next, &next_q);
    m.drive(&ahead, &ahead_q);
    m.finish()
}
