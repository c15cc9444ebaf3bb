//! A finished module: its ports, its children and its text, behind rust-hdl's `Block` and `Logic`.

use super::family::FamilyTexts;
use super::signal::{Net, NetKind};
use rust_hdl::core::ast::{Verilog, Wrapper};
use rust_hdl::prelude::{Block, Logic, Probe};
use std::sync::Arc;

/// What stands between `module` and `endmodule`.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// One text for simulation and every FPGA family.
    Common(String),
    /// A primitive: a behavioural text and those of single families, with the same ports.
    Primitive { behavioural: String, families: FamilyTexts },
}

/// A checked module. Made by `ModuleBuilder::finish` or by [`crate::primitives`]; instantiated by other modules and by
/// `Design::new`.
#[derive(Debug)]
pub struct Module {
    pub(crate) base_name: String,
    pub(crate) ports: Vec<Arc<Net>>,
    /// Every other named net, in declaration order.
    pub(crate) nets: Vec<Arc<Net>>,
    pub(crate) children: Vec<(String, Arc<Module>)>,
    pub(crate) latencies: Vec<(String, usize)>,
    pub(crate) body: Body,
    /// Outputs that depend on inputs within the same cycle: (output, inputs).
    pub(crate) paths: Vec<(String, Vec<String>)>,
}

impl Module {
    /// The name asked for. The name in the emitted text may carry a suffix, see `Design`.
    #[must_use]
    pub fn base_name(&self) -> &str {
        &self.base_name
    }

    /// The ports, in the order of the port list.
    #[must_use]
    pub fn ports(&self) -> &[Arc<Net>] {
        &self.ports
    }

    /// The port of this name.
    #[must_use]
    pub fn port(&self, name: &str) -> Option<&Net> {
        self.ports.iter().find(|net| net.name == name).map(Arc::as_ref)
    }

    /// The input ports.
    pub fn inputs(&self) -> impl Iterator<Item = &Net> {
        self.direction(NetKind::Input)
    }

    /// The output ports.
    pub fn outputs(&self) -> impl Iterator<Item = &Net> {
        self.direction(NetKind::Output)
    }

    fn direction(&self, kind: NetKind) -> impl Iterator<Item = &Net> {
        self.ports.iter().map(Arc::as_ref).filter(move |net| net.kind == kind)
    }

    /// The stated latencies: path and cycles.
    #[must_use]
    pub fn latencies(&self) -> &[(String, usize)] {
        &self.latencies
    }

    /// The instances: name and module.
    #[must_use]
    pub fn children(&self) -> &[(String, Arc<Module>)] {
        &self.children
    }

    /// Whether the module has one text for each FPGA family.
    #[must_use]
    pub fn is_primitive(&self) -> bool {
        matches!(self.body, Body::Primitive { .. })
    }
}

impl Logic for Module {
    /// Nothing: Verilator is the simulator.
    fn update(&mut self) {}

    /// The text as a template, with `${module:BASE}` and `${instance:NAME}` in the place of module names. A primitive
    /// answers with a wrapper: its behavioural text as the code, the families' as the core.
    fn hdl(&self) -> Verilog {
        match &self.body {
            Body::Common(text) => Verilog::Custom(text.clone()),
            Body::Primitive { behavioural, families } => {
                Verilog::Wrapper(Wrapper { code: behavioural.clone(), cores: families.to_joined() })
            }
        }
    }
}

impl Block for Module {
    fn connect_all(&mut self) {}

    fn update_all(&mut self) {}

    fn has_changed(&self) -> bool {
        false
    }

    fn accept(&self, name: &str, probe: &mut dyn Probe) {
        probe.visit_start_scope(name, self);
        for net in self.ports.iter().chain(&self.nets) {
            probe.visit_atom(&net.name, &**net);
        }
        for (instance, child) in &self.children {
            child.accept(instance, probe);
        }
        probe.visit_end_scope(name, self);
    }
}
