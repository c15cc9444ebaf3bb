//! Named nets of a module and the handles through which a description refers to them.

use super::error::ExpressionError;
use super::{Expr, Type};
use rust_hdl::core::ast::VerilogLiteral;
use rust_hdl::prelude::{Atom, AtomKind, PinConstraint, TypeDescriptor, TypeKind, VCDValue};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

static NEXT_ID: AtomicUsize = AtomicUsize::new(1);

/// A number no other net or builder of this process has.
pub(crate) fn fresh_id() -> usize {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// What a net is within its module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetKind {
    /// An input port.
    Input,
    /// An output port.
    Output,
    /// A combinational intermediate.
    Wire,
    /// A clocked register.
    Register,
    /// A wire carrying an output of an instance.
    InstanceOutput,
}

impl NetKind {
    /// The kind as a noun, for messages.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            NetKind::Input => "input",
            NetKind::Output => "output",
            NetKind::Wire => "wire",
            NetKind::Register => "register",
            NetKind::InstanceOutput => "instance output",
        }
    }
}

/// One named vector inside a module: rust-hdl's `Atom` with a width known only at run time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Net {
    pub(crate) name: String,
    pub(crate) ty: Type,
    pub(crate) kind: NetKind,
    pub(crate) id: usize,
    /// Identity of the builder that made it, with the name for messages.
    pub(crate) owner: (usize, Arc<str>),
}

impl Net {
    /// The name in the emitted text.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Width and sign.
    #[must_use]
    pub fn ty(&self) -> Type {
        self.ty
    }

    /// What the net is within its module.
    #[must_use]
    pub fn net_kind(&self) -> NetKind {
        self.kind
    }
}

impl Atom for Net {
    fn bits(&self) -> usize {
        self.ty.width()
    }
    fn connected(&self) -> bool {
        true
    }
    fn changed(&self) -> bool {
        false
    }
    fn kind(&self) -> AtomKind {
        match self.kind {
            NetKind::Input => AtomKind::InputParameter,
            NetKind::Output => AtomKind::OutputPassthrough,
            NetKind::InstanceOutput => AtomKind::StubOutputSignal,
            NetKind::Wire | NetKind::Register => AtomKind::LocalSignal,
        }
    }
    fn descriptor(&self) -> TypeDescriptor {
        let width = self.ty.width();
        TypeDescriptor {
            name: self.ty.to_string(),
            kind: if self.ty.is_signed() { TypeKind::Signed(width) } else { TypeKind::Bits(width) },
        }
    }
    fn vcd(&self) -> VCDValue {
        VCDValue::Vector(Vec::new())
    }
    fn id(&self) -> usize {
        self.id
    }
    fn verilog(&self) -> VerilogLiteral {
        VerilogLiteral::from(0_u32)
    }
    fn constraints(&self) -> Vec<PinConstraint> {
        Vec::new()
    }
}

/// A handle on a net of the module under construction. Cheap to clone; every method of [`Expr`] works on it.
#[derive(Debug, Clone)]
pub struct Signal {
    pub(crate) net: Arc<Net>,
    expr: Expr,
}

impl Signal {
    pub(crate) fn new(net: Arc<Net>) -> Self {
        let expr = Expr::from_net(Arc::clone(&net));
        Signal { net, expr }
    }

    /// Stands for an output that does not exist; using it reports `error`.
    pub(crate) fn wrong(instance: &str, port: &str, error: ExpressionError) -> Self {
        let ty = Type::bits(1);
        let net = Arc::new(Net {
            name: format!("{instance}_{port}"),
            ty,
            kind: NetKind::InstanceOutput,
            id: fresh_id(),
            owner: (0, Arc::from("")),
        });
        let expr = Expr::wrong(error, ty);
        Signal { net, expr }
    }

    /// The name in the emitted text.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.net.name
    }
}

impl Deref for Signal {
    type Target = Expr;
    fn deref(&self) -> &Expr {
        &self.expr
    }
}

impl Atom for Signal {
    fn bits(&self) -> usize {
        self.net.bits()
    }
    fn connected(&self) -> bool {
        self.net.connected()
    }
    fn changed(&self) -> bool {
        self.net.changed()
    }
    fn kind(&self) -> AtomKind {
        self.net.kind()
    }
    fn descriptor(&self) -> TypeDescriptor {
        self.net.descriptor()
    }
    fn vcd(&self) -> VCDValue {
        self.net.vcd()
    }
    fn id(&self) -> usize {
        Atom::id(&*self.net)
    }
    fn verilog(&self) -> VerilogLiteral {
        self.net.verilog()
    }
    fn constraints(&self) -> Vec<PinConstraint> {
        self.net.constraints()
    }
}
