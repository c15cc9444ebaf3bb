//! From a description to a checked module.

use super::builder::{Entry, ModuleBuilder};
use super::check::{Dependencies, Usage};
use super::error::{DesignError, ExpressionError};
use super::expression::{Expr, literal};
use super::form::{Item, Value, part};
use super::instance::Instance;
use super::lower::Lowering;
use super::module::{Body, Module};
use super::print::{self, PortLine, Sheet};
use super::signal::{Net, NetKind};
use rust_hdl::core::ast::{VerilogBlockOrConditional, VerilogConditional, VerilogExpression, VerilogStatement};
use std::collections::BTreeSet;
use std::sync::Arc;

pub(crate) fn finish(mut builder: ModuleBuilder) -> Result<Arc<Module>, DesignError> {
    if let Some(error) = builder.error.take() {
        return Err(error);
    }
    check_drivers(&builder)?;
    check_instances(&builder)?;

    let (items, unused, introduced) = lower(&mut builder)?;
    let unused = check_use(&builder, &items, unused, &introduced)?;
    let dependencies = Dependencies::of(&items);
    if let Some(names) = dependencies.cycle() {
        return Err(DesignError::CombinationalLoop { module: builder.name.to_string(), path: names.join(" -> ") });
    }

    let ports = port_lines(&builder);
    let unused_name = free_name(&builder, "unused_bits");
    let text = print::module(&Sheet {
        base_name: &builder.name,
        description: &builder.description,
        latencies: &builder.latencies,
        notes: &builder.notes,
        ports: &ports,
        items: &without_empty_sections(items),
        unused: &unused,
        unused_name: &unused_name,
    });
    let ports: Vec<Arc<Net>> = ports
        .into_iter()
        .filter_map(|line| match line {
            PortLine::Port(net) => Some(net),
            PortLine::Section(_) => None,
        })
        .collect();
    let inputs: BTreeSet<&str> = names_of(&ports, NetKind::Input).collect();
    let paths = names_of(&ports, NetKind::Output)
        .map(|output| (output.to_string(), dependencies.reaching(output, &inputs)))
        .filter(|(_, inputs)| !inputs.is_empty())
        .collect();
    let nets =
        builder.nets.iter().filter(|net| !matches!(net.kind, NetKind::Input | NetKind::Output)).cloned().collect();
    let children = builder
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Instance(instance, _) => Some((instance.name.clone(), Arc::clone(&instance.module))),
            _ => None,
        })
        .collect();
    Ok(Arc::new(Module {
        base_name: builder.name.to_string(),
        ports,
        nets,
        children,
        latencies: builder.latencies,
        body: Body::Common(text),
        paths,
    }))
}

fn names_of(ports: &[Arc<Net>], kind: NetKind) -> impl Iterator<Item = &str> {
    ports.iter().filter(move |net| net.kind == kind).map(|net| net.name.as_str())
}

fn check_drivers(builder: &ModuleBuilder) -> Result<(), DesignError> {
    let needs_driver = |net: &&Arc<Net>| matches!(net.kind, NetKind::Output | NetKind::Wire | NetKind::Register);
    for net in builder.nets.iter().filter(needs_driver) {
        if !builder.driven.contains(&net.id) {
            return Err(DesignError::NeverDriven {
                module: builder.name.to_string(),
                kind: net.kind.noun(),
                name: net.name.clone(),
            });
        }
    }
    Ok(())
}

fn check_instances(builder: &ModuleBuilder) -> Result<(), DesignError> {
    for entry in &builder.entries {
        let Entry::Instance(instance, _) = entry else {
            continue;
        };
        let fate = instance.fate.borrow();
        if let Some(port) = &fate.unknown {
            return Err(DesignError::Expression {
                module: builder.name.to_string(),
                place: instance.name.clone(),
                source: Box::new(ExpressionError::NoSuchOutput { instance: instance.name.clone(), port: port.clone() }),
            });
        }
        for port in instance.signals.keys() {
            if !fate.taken.contains(port) && !fate.ignored.contains(port) {
                return Err(DesignError::OutputNotTaken {
                    module: builder.name.to_string(),
                    instance: instance.name.clone(),
                    port: port.clone(),
                });
            }
        }
    }
    Ok(())
}

fn roots(builder: &ModuleBuilder) -> Vec<Expr> {
    let mut roots = Vec::new();
    for entry in &builder.entries {
        match entry {
            Entry::Section(_) | Entry::Declare(_) => {}
            Entry::Wire(_, expr) | Entry::Drive(_, expr) => roots.push(expr.clone()),
            Entry::Next(_, cases) => {
                for (condition, value) in cases {
                    roots.extend(condition.clone());
                    roots.push(value.clone());
                }
            }
            Entry::Instance(_, connections) => {
                roots.extend(connections.iter().map(|(_, expr)| expr.clone()));
            }
        }
    }
    roots
}

type Lowered = (Vec<Item>, Vec<Value>, Vec<Arc<Net>>);

fn lower(builder: &mut ModuleBuilder) -> Result<Lowered, DesignError> {
    let roots = roots(builder);
    let owner = (builder.id, Arc::clone(&builder.name));
    let mut lowering = Lowering::new(owner, builder.names.clone(), roots.iter().chain(&builder.unused));
    if let Some(net) = &lowering.foreign {
        return Err(DesignError::Foreign {
            module: builder.name.to_string(),
            name: net.name.clone(),
            owner: net.owner.1.to_string(),
        });
    }
    for entry in &builder.entries {
        match entry {
            Entry::Section(title) => lowering.items.push(Item::Section(title.clone())),
            Entry::Declare(net) => lowering.items.push(Item::Declare(Arc::clone(net))),
            Entry::Wire(net, expr) => lowering.wire(net, expr),
            Entry::Drive(net, expr) => {
                let value = lowering.root(expr, &net.name);
                lowering.items.push(Item::Assign(Arc::clone(net), value));
            }
            Entry::Next(net, cases) => {
                let reset = builder.resets.get(&net.id).copied();
                let register = register(&mut lowering, net, cases, reset);
                lowering.items.push(register);
            }
            Entry::Instance(instance, connections) => {
                let placed = place(&mut lowering, instance, connections);
                lowering.items.push(placed);
            }
        }
    }
    let unused: Vec<Value> = builder.unused.iter().map(|expr| lowering.unused(expr)).collect();
    Ok((lowering.items, unused, lowering.introduced))
}

fn register(lowering: &mut Lowering, net: &Arc<Net>, cases: &[(Option<Expr>, Expr)], reset: Option<i128>) -> Item {
    let target = || VerilogExpression::Signal(net.name.clone());
    let hint = format!("{}_next", net.name);
    let lowered: Vec<(Option<VerilogExpression>, VerilogExpression)> = cases
        .iter()
        .map(|(condition, value)| {
            let condition = condition.as_ref().map(|expr| lowering.operator(expr, &format!("{}_enable", net.name)));
            (condition, lowering.operator(value, &hint))
        })
        .collect();
    let mut update = None;
    for (condition, value) in lowered.into_iter().rev() {
        let assignment = VerilogStatement::Assignment(target(), value);
        update = Some(match condition {
            None => assignment,
            Some(test) => VerilogStatement::If(VerilogConditional {
                test,
                then: vec![assignment],
                otherwise: match update {
                    None => VerilogBlockOrConditional::None,
                    Some(next) => VerilogBlockOrConditional::Conditional(Box::new(next)),
                },
            }),
        });
    }
    let reset = reset.map(|value| {
        let value = lowering.operator(&literal(value, net.ty), &net.name);
        VerilogStatement::Assignment(target(), value)
    });
    Item::Register {
        // A register without a case was refused as never driven.
        update: update.unwrap_or_else(|| VerilogStatement::Assignment(target(), target())),
        reset,
    }
}

fn place(lowering: &mut Lowering, instance: &Instance, connections: &[(String, Expr)]) -> Item {
    let name = &instance.name;
    let connections = connections
        .iter()
        .map(|(port, expr)| {
            let value = lowering.connection(expr, &format!("{name}_{port}"));
            (port.clone(), value)
        })
        .collect();
    let fate = instance.fate.borrow();
    let outputs = instance
        .module
        .outputs()
        .filter_map(|port| {
            let net = &instance.signals.get(&port.name)?.net;
            if fate.taken.contains(&port.name) {
                return Some((port.name.clone(), Arc::clone(net)));
            }
            // The name tells linters that nobody reads it.
            let mut given_up = (**net).clone();
            given_up.name = format!("unused_{}", given_up.name);
            Some((port.name.clone(), Arc::new(given_up)))
        })
        .collect();
    Item::Instance { name: name.clone(), connections, outputs, paths: instance.module.paths.clone() }
}

/// Every bit of every net the description named must be read or declared unused. Bits of introduced wires that a
/// truncation drops are declared unused here.
fn check_use(
    builder: &ModuleBuilder,
    items: &[Item],
    mut unused: Vec<Value>,
    introduced: &[Arc<Net>],
) -> Result<Vec<Value>, DesignError> {
    let nets = builder.nets.iter().chain(introduced);
    let usage = Usage::of(nets, items, &unused);
    let given_up: BTreeSet<String> = builder
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Instance(instance, _) => Some(instance),
            _ => None,
        })
        .flat_map(|instance| {
            let fate = instance.fate.borrow();
            let only_ignored = fate.ignored.difference(&fate.taken);
            only_ignored
                .filter_map(|port| instance.signals.get(port))
                .map(|signal| signal.name().to_string())
                .collect::<Vec<_>>()
        })
        .collect();
    for net in &builder.nets {
        if net.kind == NetKind::Output || given_up.contains(&net.name) {
            continue;
        }
        let unread = usage.unread(net);
        let Some((_, width)) = unread.first() else {
            continue;
        };
        let noun = net.kind.noun();
        let what = if *width == net.ty.width() {
            format!("{noun} `{}` is", net.name)
        } else {
            let ranges: Vec<String> = unread
                .iter()
                .map(|(lsb, width)| match width {
                    1 => format!("{lsb}"),
                    _ => format!("{}:{lsb}", lsb + width - 1),
                })
                .collect();
            let (bits, are) = match ranges[..] {
                [_] if *width == 1 => ("bit", "is"),
                _ => ("bits", "are"),
            };
            format!("{noun} `{}`: {bits} {} {are}", net.name, ranges.join(", "))
        };
        return Err(DesignError::Unused { module: builder.name.to_string(), what });
    }
    for net in introduced {
        for (lsb, width) in usage.unread(net) {
            unused.push(Value::Ast(part(net, lsb, width)));
        }
    }
    Ok(unused)
}

/// Clock and reset first, then the ports as described; sections without ports are left out.
fn port_lines(builder: &ModuleBuilder) -> Vec<PortLine> {
    let mut lines: Vec<PortLine> = [&builder.clock, &builder.reset]
        .into_iter()
        .flatten()
        .map(|signal| PortLine::Port(Arc::clone(&signal.net)))
        .collect();
    let mut pending = None;
    for line in &builder.ports {
        match line {
            PortLine::Section(title) => pending = Some(title.clone()),
            PortLine::Port(net) => {
                lines.extend(pending.take().map(PortLine::Section));
                lines.push(PortLine::Port(Arc::clone(net)));
            }
        }
    }
    lines
}

fn without_empty_sections(items: Vec<Item>) -> Vec<Item> {
    let mut kept = Vec::new();
    let mut pending = None;
    for item in items {
        if let Item::Section(_) = item {
            pending = Some(item);
        } else {
            kept.extend(pending.take());
            kept.push(item);
        }
    }
    kept
}

fn free_name(builder: &ModuleBuilder, base: &str) -> String {
    let mut name = base.to_string();
    while builder.names.contains(&name) {
        name.push('_');
    }
    name
}
