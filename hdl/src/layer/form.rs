//! What a lowered module consists of: rust-hdl's AST, and the few forms around it that the AST cannot hold.

use super::Type;
use super::signal::Net;
use rust_hdl::core::ast::{VerilogExpression, VerilogLiteral, VerilogOp, VerilogOpUnary, VerilogStatement};
use std::sync::Arc;

/// The right side of a driver: rust-hdl's AST plus the forms it has no node for, and operators over those.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Ast(VerilogExpression),
    Unary(VerilogOpUnary, Box<Value>),
    Binary(Box<Value>, VerilogOp, Box<Value>),
    Concat(Vec<Value>),
    Repeat(usize, Box<Value>),
    Choose(Box<Value>, Box<Value>, Box<Value>),
}

/// One piece of a module body, in the order it is printed.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// A comment over what follows.
    Section(String),
    /// A net whose driver follows later.
    Declare(Arc<Net>),
    /// A wire with its driver.
    Wire(Arc<Net>, Value),
    /// A wire driven by a case statement.
    Case(Arc<Net>, VerilogStatement),
    /// The driver of a net declared before.
    Assign(Arc<Net>, Value),
    /// What a register does at each clock edge; `reset` is its value under reset.
    Register { update: VerilogStatement, reset: Option<VerilogStatement> },
    /// A child; its module's name is filled in when the design is put together.
    Instance {
        name: String,
        connections: Vec<(String, Value)>,
        /// Wires of its outputs, with the port each comes from.
        outputs: Vec<(String, Arc<Net>)>,
        /// Outputs that combinationally depend on inputs: (output, inputs).
        paths: Vec<(String, Vec<String>)>,
    },
}

pub(crate) fn unary(operator: VerilogOpUnary, a: Value) -> Value {
    match a {
        Value::Ast(a) => Value::Ast(VerilogExpression::Unary(operator, Box::new(a))),
        a => Value::Unary(operator, Box::new(a)),
    }
}

pub(crate) fn binary(left: Value, operator: VerilogOp, right: Value) -> Value {
    match (left, right) {
        (Value::Ast(left), Value::Ast(right)) => {
            Value::Ast(VerilogExpression::Binary(Box::new(left), operator, Box::new(right)))
        }
        (left, right) => Value::Binary(Box::new(left), operator, Box::new(right)),
    }
}

/// How many operators a value contains outside of lists.
pub(crate) fn weight(value: &Value) -> usize {
    match value {
        Value::Ast(ast) => operators(ast),
        Value::Unary(_, a) => 1 + weight(a),
        Value::Binary(a, _, b) => 1 + weight(a) + weight(b),
        Value::Concat(_) | Value::Repeat(..) | Value::Choose(..) => 0,
    }
}

/// How many operators a form contains, to keep lines readable.
pub(crate) fn operators(expression: &VerilogExpression) -> usize {
    match expression {
        VerilogExpression::Binary(a, _, b) => 1 + operators(a) + operators(b),
        VerilogExpression::Unary(_, a) | VerilogExpression::Signed(a) => 1 + operators(a),
        _ => 0,
    }
}

pub(crate) fn name(net: &Net) -> Value {
    Value::Ast(VerilogExpression::Signal(net.name.clone()))
}

/// `width` bits of a net from `lsb`; the net's own name where that is all of an unsigned net.
pub(crate) fn part(net: &Net, lsb: usize, width: usize) -> VerilogExpression {
    if width == net.ty.width() && !net.ty.is_signed() {
        return VerilogExpression::Signal(net.name.clone());
    }
    range(net, lsb, width)
}

pub(crate) fn range(net: &Net, lsb: usize, width: usize) -> VerilogExpression {
    let base = Box::new(VerilogExpression::Signal(net.name.clone()));
    let lsb = Box::new(VerilogExpression::Literal(VerilogLiteral::from(lsb)));
    if width == 1 { VerilogExpression::Index(base, lsb) } else { VerilogExpression::Slice(base, width, lsb) }
}

/// A sized constant. rust-hdl's literals have fixed widths, so the width is carried by a cast around a 128-bit one.
pub(crate) fn constant(value: i128, ty: Type) -> Value {
    let width = ty.width();
    let low = |width: usize| {
        let mask = if width >= 128 { u128::MAX } else { (1 << width) - 1 };
        let literal = VerilogLiteral::from(value.cast_unsigned() & mask);
        VerilogExpression::Cast(Box::new(VerilogExpression::Literal(literal)), width)
    };
    if width > 128 && value < 0 {
        let ones = constant(1, Type::bits(1));
        return Value::Concat(vec![Value::Repeat(width - 128, Box::new(ones)), Value::Ast(low(128))]);
    }
    let literal = low(width);
    Value::Ast(if ty.is_signed() { VerilogExpression::Signed(Box::new(literal)) } else { literal })
}
