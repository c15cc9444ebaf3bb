//! Describes one module: ports, wires, registers, instances.

use super::Type;
use super::error::DesignError;
use super::expression::{Expr, concat};
use super::finish;
use super::instance::Instance;
use super::module::Module;
use super::names;
use super::print::PortLine;
use super::signal::{Net, NetKind, Signal, fresh_id};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// One step of a description, in the order it was given.
pub(crate) enum Entry {
    Section(String),
    Declare(Arc<Net>),
    Wire(Arc<Net>, Expr),
    Drive(Arc<Net>, Expr),
    /// The first case whose condition holds, or that has none, decides.
    Next(Arc<Net>, Vec<(Option<Expr>, Expr)>),
    Instance(Instance, Vec<(String, Expr)>),
}

/// A module under construction. See the [module documentation](super) for an example.
pub struct ModuleBuilder {
    pub(crate) id: usize,
    pub(crate) name: Arc<str>,
    pub(crate) description: String,
    pub(crate) latencies: Vec<(String, usize)>,
    pub(crate) notes: Vec<String>,
    pub(crate) clock: Option<Signal>,
    pub(crate) reset: Option<Signal>,
    pub(crate) ports: Vec<PortLine>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) nets: Vec<Arc<Net>>,
    pub(crate) names: HashSet<String>,
    pub(crate) driven: HashSet<usize>,
    pub(crate) resets: BTreeMap<usize, i128>,
    pub(crate) unused: Vec<Expr>,
    pub(crate) error: Option<DesignError>,
}

impl ModuleBuilder {
    /// Starts a module called `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut builder = ModuleBuilder {
            id: fresh_id(),
            name: Arc::from(name),
            description: String::new(),
            latencies: Vec::new(),
            notes: Vec::new(),
            clock: None,
            reset: None,
            ports: Vec::new(),
            entries: Vec::new(),
            nets: Vec::new(),
            names: HashSet::new(),
            driven: HashSet::new(),
            resets: BTreeMap::new(),
            unused: Vec::new(),
            error: None,
        };
        if let Some(reason) = names::objection(name) {
            builder.record(DesignError::BadName { module: name.to_string(), name: name.to_string(), reason });
        }
        builder
    }

    /// Starts a module called `name_variant`, for shapes that differ by known numbers.
    #[must_use]
    pub fn new_variant(name: &str, variant: &str) -> Self {
        Self::new(&format!("{name}_{variant}"))
    }

    /// The name of the module.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the module does, in plain sentences, for the comment over it. Line breaks are kept.
    pub fn describe(&mut self, text: &str) {
        self.description = text.to_string();
    }

    /// States the latency of a path in clock cycles.
    pub fn latency(&mut self, path: &str, cycles: usize) {
        self.latencies.push((path.to_string(), cycles));
    }

    /// Adds a paragraph to the comment over the module.
    pub fn note(&mut self, text: &str) {
        self.notes.push(text.to_string());
    }

    /// Puts a comment over the ports and signals that follow.
    pub fn section(&mut self, title: &str) {
        self.ports.push(PortLine::Section(title.to_string()));
        self.entries.push(Entry::Section(title.to_string()));
    }

    /// The input `clk`, made at the first call. Registers use its rising edge.
    pub fn clock(&mut self) -> Signal {
        if let Some(clock) = &self.clock {
            return clock.clone();
        }
        let clock = self.net("clk", Type::bits(1), NetKind::Input);
        self.clock = Some(clock.clone());
        clock
    }

    /// The input `reset`, active high and sampled at the clock edge, made at the first call.
    pub fn reset(&mut self) -> Signal {
        if let Some(reset) = &self.reset {
            return reset.clone();
        }
        let reset = self.net("reset", Type::bits(1), NetKind::Input);
        self.reset = Some(reset.clone());
        reset
    }

    /// An input port.
    pub fn input(&mut self, name: &str, ty: Type) -> Signal {
        let signal = self.net(name, ty, NetKind::Input);
        self.ports.push(PortLine::Port(Arc::clone(&signal.net)));
        signal
    }

    /// An output port, to be driven with [`drive`](Self::drive).
    pub fn output(&mut self, name: &str, ty: Type) -> Signal {
        let signal = self.net(name, ty, NetKind::Output);
        self.ports.push(PortLine::Port(Arc::clone(&signal.net)));
        signal
    }

    /// A named intermediate with the value and type of `expr`.
    pub fn wire(&mut self, name: &str, expr: impl Into<Expr>) -> Signal {
        let expr = expr.into();
        let signal = self.net(name, expr.ty(), NetKind::Wire);
        self.driven.insert(signal.net.id);
        self.check(name, &expr);
        self.entries.push(Entry::Wire(Arc::clone(&signal.net), expr));
        signal
    }

    /// A wire that is driven later, with [`drive`](Self::drive).
    pub fn undriven_wire(&mut self, name: &str, ty: Type) -> Signal {
        self.declared(name, ty, NetKind::Wire)
    }

    /// A register without reset: undefined until its first load.
    pub fn register(&mut self, name: &str, ty: Type) -> Signal {
        self.clock();
        self.declared(name, ty, NetKind::Register)
    }

    /// A register that takes `value` at every clock edge at which `reset` is high.
    pub fn register_with_reset(&mut self, name: &str, ty: Type, value: i128) -> Signal {
        self.reset();
        let signal = self.register(name, ty);
        self.check(name, &super::literal(value, ty));
        self.resets.insert(signal.net.id, value);
        signal
    }

    fn declared(&mut self, name: &str, ty: Type, kind: NetKind) -> Signal {
        let signal = self.net(name, ty, kind);
        self.entries.push(Entry::Declare(Arc::clone(&signal.net)));
        signal
    }

    /// Drives an output or a wire, for all of its bits at once.
    pub fn drive(&mut self, target: &Signal, expr: impl Into<Expr>) {
        let expr = expr.into();
        let reason = match target.net.kind {
            NetKind::Output | NetKind::Wire => None,
            NetKind::Register => Some("give a register its value with `next`"),
            NetKind::Input => Some("the instantiating module drives it"),
            NetKind::InstanceOutput => Some("the instance drives it"),
        };
        self.drives(target, &expr, reason);
        self.entries.push(Entry::Drive(Arc::clone(&target.net), expr));
    }

    /// The value the register takes at every clock edge.
    pub fn next(&mut self, register: &Signal, expr: impl Into<Expr>) {
        self.next_values(register, vec![(None, expr.into())]);
    }

    /// The value the register takes at clock edges at which `enable` is one; it holds otherwise.
    pub fn next_when(&mut self, register: &Signal, enable: impl Into<Expr>, expr: impl Into<Expr>) {
        self.next_values(register, vec![(Some(enable.into()), expr.into())]);
    }

    /// The value of the first case whose condition is one; without one the register holds.
    pub fn next_cases(&mut self, register: &Signal, cases: &[(Expr, Expr)]) {
        let cases = cases.iter().map(|(condition, value)| (Some(condition.clone()), value.clone())).collect();
        self.next_values(register, cases);
    }

    fn next_values(&mut self, register: &Signal, cases: Vec<(Option<Expr>, Expr)>) {
        let reason = match register.net.kind {
            NetKind::Register => None,
            _ => Some("only a register has a next value; use `drive`"),
        };
        if let Some((_, first)) = cases.first() {
            self.drives(register, first, reason);
        }
        for (condition, value) in &cases {
            if let Some(condition) = condition {
                self.check(register.name(), condition);
                self.expect(register.name(), Type::bits(1), condition);
            }
            self.check(register.name(), value);
            self.expect(register.name(), register.ty(), value);
        }
        self.entries.push(Entry::Next(Arc::clone(&register.net), cases));
    }

    fn drives(&mut self, target: &Signal, expr: &Expr, wrong_kind: Option<&'static str>) {
        let net = &target.net;
        if net.owner.0 != self.id {
            self.record(DesignError::Foreign {
                module: self.name.to_string(),
                name: net.name.clone(),
                owner: net.owner.1.to_string(),
            });
        } else if let Some(reason) = wrong_kind {
            self.record(DesignError::WrongKind {
                module: self.name.to_string(),
                name: net.name.clone(),
                kind: net.kind.noun(),
                reason,
            });
        } else if !self.driven.insert(net.id) {
            self.record(DesignError::DrivenTwice { module: self.name.to_string(), name: net.name.clone() });
        }
        self.check(&net.name, expr);
        self.expect(&net.name, net.ty, expr);
    }

    /// `expr` as it was `cycles` clock cycles ago. One cycle makes a register `name`, more make a chain `name_d1`,
    /// `name_d2`, …, none a wire `name`.
    pub fn delay(&mut self, name: &str, expr: impl Into<Expr>, cycles: usize) -> Signal {
        let expr = expr.into();
        if cycles == 0 {
            return self.wire(name, expr);
        }
        let mut last: Option<Signal> = None;
        for stage in 1..=cycles {
            let stage_name = if cycles == 1 { name.to_string() } else { format!("{name}_d{stage}") };
            let register = self.register(&stage_name, expr.ty());
            match &last {
                None => self.next(&register, &expr),
                Some(previous) => self.next(&register, previous),
            }
            last = Some(register);
        }
        last.unwrap_or_else(|| self.wire(name, expr))
    }

    /// Places a child called `name`. Inputs are given by name; `clk` and `reset` are connected to this module's own when
    /// left out.
    ///
    /// # Errors
    /// `DesignError` for an unknown, missing or twice connected input, a connection of another type, or a wrong
    /// expression in a connection.
    pub fn instance(
        &mut self,
        name: &str,
        module: &Arc<Module>,
        inputs: Vec<(&str, Expr)>,
    ) -> Result<Instance, DesignError> {
        self.claim(name);
        let mut given: BTreeMap<&str, Expr> = BTreeMap::new();
        for (port, expr) in inputs {
            if !module.inputs().any(|net| net.name == port) {
                return Err(DesignError::UnknownPort {
                    module: self.name.to_string(),
                    instance: name.to_string(),
                    child: module.base_name().to_string(),
                    port: port.to_string(),
                });
            }
            if given.insert(port, expr).is_some() {
                return Err(DesignError::DrivenTwice { module: self.name.to_string(), name: format!("{name}.{port}") });
            }
        }
        let mut connections = Vec::new();
        for port in module.inputs() {
            let expr = match (given.remove(port.name.as_str()), port.name.as_str()) {
                (Some(expr), _) => expr,
                (None, "clk") => self.clock().into(),
                (None, "reset") => self.reset().into(),
                (None, _) => {
                    return Err(DesignError::Unconnected {
                        module: self.name.to_string(),
                        instance: name.to_string(),
                        child: module.base_name().to_string(),
                        port: port.name.clone(),
                    });
                }
            };
            let place = format!("{name}.{}", port.name);
            if let Some(error) = self.objection(&place, &expr, port.ty) {
                return Err(error);
            }
            connections.push((port.name.clone(), expr));
        }
        let mut outputs = BTreeMap::new();
        for port in module.outputs() {
            let wire = format!("{name}_{}", port.name);
            let signal = self.net(&wire, port.ty, NetKind::InstanceOutput);
            outputs.insert(port.name.clone(), signal);
        }
        let instance = Instance::new(name, Arc::clone(module), outputs);
        self.entries.push(Entry::Instance(instance.clone(), connections));
        Ok(instance)
    }

    /// Declares that nothing reads `expr`: a whole signal or a slice of one. Emitted as a wire whose name says so.
    pub fn unused(&mut self, expr: impl Into<Expr>) {
        let expr = expr.into();
        self.check("unused", &expr);
        self.unused.push(concat(&[expr]));
    }

    /// Checks the module and puts its text together.
    ///
    /// # Errors
    /// The first mistake of the description, see [`DesignError`].
    pub fn finish(self) -> Result<Arc<Module>, DesignError> {
        finish::finish(self)
    }

    fn net(&mut self, name: &str, ty: Type, kind: NetKind) -> Signal {
        self.claim(name);
        if ty.width() == 0 {
            self.record(DesignError::ZeroWidth { module: self.name.to_string(), name: name.to_string() });
        }
        let net = Arc::new(Net {
            name: name.to_string(),
            ty,
            kind,
            id: fresh_id(),
            owner: (self.id, Arc::clone(&self.name)),
        });
        self.nets.push(Arc::clone(&net));
        Signal::new(net)
    }

    fn claim(&mut self, name: &str) {
        if let Some(reason) = names::objection(name) {
            self.record(DesignError::BadName { module: self.name.to_string(), name: name.to_string(), reason });
        }
        if !self.names.insert(name.to_string()) {
            self.record(DesignError::DuplicateName { module: self.name.to_string(), name: name.to_string() });
        }
    }

    /// Records a mistake inside `expr`.
    fn check(&mut self, place: &str, expr: &Expr) {
        let ty = expr.ty();
        if let Some(error) = self.objection(place, expr, ty) {
            self.record(error);
        }
    }

    /// Records a type other than `expected`.
    fn expect(&mut self, place: &str, expected: Type, expr: &Expr) {
        if let Some(error) = self.objection(place, expr, expected) {
            self.record(error);
        }
    }

    fn objection(&self, place: &str, expr: &Expr, expected: Type) -> Option<DesignError> {
        if let Some(source) = expr.error() {
            return Some(DesignError::Expression {
                module: self.name.to_string(),
                place: place.to_string(),
                source: Box::new(source.clone()),
            });
        }
        (expr.ty() != expected).then(|| DesignError::Mismatch {
            module: self.name.to_string(),
            place: place.to_string(),
            expected,
            value: expr.describe(),
            found: expr.ty(),
        })
    }

    /// Keeps the first mistake.
    fn record(&mut self, error: DesignError) {
        self.error.get_or_insert(error);
    }
}
