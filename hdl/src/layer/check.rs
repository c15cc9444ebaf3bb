//! What a lowered module reads, bit by bit, and which signals depend on which within a cycle.

use super::form::{Item, Value};
use super::signal::Net;
use rust_hdl::core::ast::{VerilogBlockOrConditional, VerilogExpression, VerilogStatement};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Called with the name of a net and the bits read: the lowest and the count, or `None` for all of it.
type Visit<'a> = dyn FnMut(&str, Option<(usize, usize)>) + 'a;

fn in_expression(ast: &VerilogExpression, visit: &mut Visit<'_>) {
    match ast {
        VerilogExpression::Signal(name) => visit(name, None),
        VerilogExpression::Literal(_) => {}
        VerilogExpression::Cast(inner, _)
        | VerilogExpression::Signed(inner)
        | VerilogExpression::Unsigned(inner)
        | VerilogExpression::Paren(inner)
        | VerilogExpression::Unary(_, inner) => in_expression(inner, visit),
        VerilogExpression::Binary(left, _, right) => {
            in_expression(left, visit);
            in_expression(right, visit);
        }
        VerilogExpression::Index(base, lsb) => in_part(base, 1, lsb, visit),
        VerilogExpression::Slice(base, width, lsb) => in_part(base, *width, lsb, visit),
        VerilogExpression::IndexReplace(a, b, c) => {
            [a, b, c].into_iter().for_each(|part| in_expression(part, visit));
        }
    }
}

fn in_part(base: &VerilogExpression, width: usize, lsb: &VerilogExpression, visit: &mut Visit<'_>) {
    match (base, lsb) {
        (VerilogExpression::Signal(name), VerilogExpression::Literal(lsb)) => {
            visit(name, Some((lsb.as_usize(), width)));
        }
        _ => {
            in_expression(base, visit);
            in_expression(lsb, visit);
        }
    }
}

pub(crate) fn in_value(value: &Value, visit: &mut Visit<'_>) {
    match value {
        Value::Ast(ast) => in_expression(ast, visit),
        Value::Concat(parts) => parts.iter().for_each(|part| in_value(part, visit)),
        Value::Repeat(_, inner) | Value::Unary(_, inner) => in_value(inner, visit),
        Value::Binary(left, _, right) => {
            in_value(left, visit);
            in_value(right, visit);
        }
        Value::Choose(a, b, c) => [a, b, c].into_iter().for_each(|part| in_value(part, visit)),
    }
}

fn in_statement(statement: &VerilogStatement, visit: &mut Visit<'_>) {
    match statement {
        VerilogStatement::Assignment(_, value) => in_expression(value, visit),
        VerilogStatement::If(conditional) => {
            in_expression(&conditional.test, visit);
            for inner in &conditional.then {
                in_statement(inner, visit);
            }
            match &conditional.otherwise {
                VerilogBlockOrConditional::None => {}
                VerilogBlockOrConditional::Block(block) => {
                    block.iter().for_each(|inner| in_statement(inner, visit));
                }
                VerilogBlockOrConditional::Conditional(inner) => in_statement(inner, visit),
            }
        }
        VerilogStatement::Match(choice) => {
            in_expression(&choice.test, visit);
            for inner in choice.cases.iter().flat_map(|case| &case.block) {
                in_statement(inner, visit);
            }
        }
        // The lowering produces no other statement.
        _ => {}
    }
}

fn in_item(item: &Item, visit: &mut Visit<'_>) {
    match item {
        Item::Section(_) | Item::Declare(_) => {}
        Item::Wire(_, value) | Item::Assign(_, value) => in_value(value, visit),
        Item::Case(_, statement) => in_statement(statement, visit),
        Item::Register { update, reset, .. } => {
            in_statement(update, visit);
            if reset.is_some() {
                visit("reset", None);
            }
            visit("clk", None);
        }
        Item::Instance { connections, .. } => {
            for (_, value) in connections {
                in_value(value, visit);
            }
        }
    }
}

/// For each net, which of its bits something reads.
pub(crate) struct Usage(HashMap<String, Vec<bool>>);

impl Usage {
    pub(crate) fn of<'a>(nets: impl Iterator<Item = &'a Arc<Net>>, items: &[Item], unused: &[Value]) -> Self {
        let mut bits: HashMap<String, Vec<bool>> =
            nets.map(|net| (net.name.clone(), vec![false; net.ty.width()])).collect();
        let mut mark = |name: &str, part: Option<(usize, usize)>| {
            if let Some(bits) = bits.get_mut(name) {
                let (lsb, width) = part.unwrap_or((0, bits.len()));
                bits.iter_mut().skip(lsb).take(width).for_each(|bit| *bit = true);
            }
        };
        for item in items {
            in_item(item, &mut mark);
        }
        for value in unused {
            in_value(value, &mut mark);
        }
        Usage(bits)
    }

    /// The bits of `net` that nothing reads, as (lowest, count), from the top down.
    pub(crate) fn unread(&self, net: &Net) -> Vec<(usize, usize)> {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        let bits = self.0.get(&net.name).map_or(&[][..], Vec::as_slice);
        for (index, read) in bits.iter().enumerate() {
            if *read {
                continue;
            }
            match runs.last_mut() {
                Some((lsb, width)) if *lsb + *width == index => *width += 1,
                _ => runs.push((index, 1)),
            }
        }
        runs.reverse();
        runs
    }
}

/// Which nets each net depends on within the cycle.
pub(crate) struct Dependencies(BTreeMap<String, BTreeSet<String>>);

impl Dependencies {
    pub(crate) fn of(items: &[Item]) -> Self {
        let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for item in items {
            match item {
                Item::Wire(net, _) | Item::Assign(net, _) | Item::Case(net, _) => {
                    let entry = graph.entry(net.name.clone()).or_default();
                    in_item(item, &mut |name, _| {
                        entry.insert(name.to_string());
                    });
                }
                Item::Instance { connections, outputs, paths, .. } => {
                    for (port, net) in outputs {
                        let entry = graph.entry(net.name.clone()).or_default();
                        let inputs = paths.iter().filter(|(output, _)| output == port);
                        for input in inputs.flat_map(|(_, inputs)| inputs) {
                            for (_, value) in connections.iter().filter(|(name, _)| name == input) {
                                in_value(value, &mut |name, _| {
                                    entry.insert(name.to_string());
                                });
                            }
                        }
                    }
                }
                Item::Section(_) | Item::Declare(_) | Item::Register { .. } => {}
            }
        }
        Dependencies(graph)
    }

    /// A loop, as the names along it, if there is one.
    pub(crate) fn cycle(&self) -> Option<Vec<String>> {
        let mut done: BTreeSet<&str> = BTreeSet::new();
        for start in self.0.keys() {
            // The nets from `start` to here, each with the dependencies still to visit.
            let mut path: Vec<(&str, Vec<&str>)> = vec![(start, self.targets(start))];
            while let Some((name, targets)) = path.last_mut() {
                let Some(target) = targets.pop() else {
                    done.insert(*name);
                    path.pop();
                    continue;
                };
                if let Some(position) = path.iter().position(|(name, _)| *name == target) {
                    let names = path[position..].iter().map(|(name, _)| *name);
                    return Some(names.chain([target]).map(str::to_string).collect());
                }
                if !done.contains(target) {
                    path.push((target, self.targets(target)));
                }
            }
        }
        None
    }

    fn targets(&self, name: &str) -> Vec<&str> {
        self.0.get(name).map(|targets| targets.iter().map(String::as_str).collect()).unwrap_or_default()
    }

    /// The `inputs` that reach `output` without a register in between.
    pub(crate) fn reaching(&self, output: &str, inputs: &BTreeSet<&str>) -> Vec<String> {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut open = vec![output];
        while let Some(name) = open.pop() {
            if seen.insert(name) {
                open.extend(self.0.get(name).into_iter().flatten().map(String::as_str));
            }
        }
        seen.intersection(inputs).map(|name| (*name).to_string()).collect()
    }
}
