//! Typed expressions over signals.
//!
//! An expression knows its width and sign when it is built. Operators never convert: operands of different types are an
//! error, carried inside the expression and reported by `ModuleBuilder::finish` together with the place it feeds.

use super::Type;
use super::error::ExpressionError;
use super::signal::{Net, Signal};
use std::rc::Rc;
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnaryOperator {
    Not,
    Negate,
    Any,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BinaryOperator {
    Add,
    Subtract,
    Multiply,
    And,
    Or,
    Xor,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    ShiftLeft,
    ShiftRight,
}

/// What an expression is. Constant shifts, wide sums and truncations are built from these.
#[derive(Debug)]
pub(crate) enum Node {
    Signal(Arc<Net>),
    Literal(i128),
    Unary(UnaryOperator, Expr),
    Binary(BinaryOperator, Expr, Expr),
    /// Most significant first; the result is unsigned.
    Concat(Vec<Expr>),
    Repeat(usize, Expr),
    /// Bits from this one upwards, as many as the type says.
    Slice(Expr, usize),
    /// Copies of the sign, or zeros, in front.
    Extend(Expr),
    /// The same bits with the other sign.
    Reinterpret(Expr),
    Choose(Expr, Expr, Expr),
    Select(Expr, Vec<Expr>),
    Wrong(ExpressionError),
}

/// A value computed within one cycle, with its type. Cloning shares it: a shared expression is emitted once.
#[derive(Debug, Clone)]
pub struct Expr {
    pub(crate) node: Rc<Node>,
    pub(crate) ty: Type,
}

/// The constant `value` of type `ty`. A value outside the type is an error reported by `finish`.
#[must_use]
pub fn literal(value: i128, ty: Type) -> Expr {
    let (low, high) = ty.range();
    if value < low || value > high {
        return Expr::wrong(ExpressionError::Literal { value, found: ty }, ty);
    }
    Expr::new(Node::Literal(value), ty)
}

/// Joins `parts`, most significant first, into unsigned bits. An empty list is an error.
#[must_use]
pub fn concat(parts: &[Expr]) -> Expr {
    let ty = Type::bits(parts.iter().map(|part| part.ty.width()).sum());
    if let Some(part) = parts.iter().find(|part| part.error().is_some()) {
        return Expr::as_wrong_as(part, ty);
    }
    match parts {
        [] => {
            Expr::wrong(ExpressionError::List { operation: "concat", detail: "nothing to join".into() }, Type::bits(1))
        }
        [one] => one.as_bits(),
        _ => Expr::new(Node::Concat(parts.to_vec()), ty),
    }
}

/// The element of `choices` at `index`; an index beyond the list gives the last element.
///
/// All choices have one type; `index` is unsigned and must be able to address every choice.
#[must_use]
pub fn select(index: impl Into<Expr>, choices: &[Expr]) -> Expr {
    let index = index.into();
    let Some(first) = choices.first() else {
        return Expr::wrong(
            ExpressionError::List { operation: "select", detail: "nothing to select from".into() },
            Type::bits(1),
        );
    };
    for expr in choices.iter().chain([&index]) {
        if expr.error().is_some() {
            return Expr::as_wrong_as(expr, first.ty);
        }
    }
    if let Some(other) = choices.iter().find(|choice| choice.ty != first.ty) {
        return first.clash("select", other, first.ty);
    }
    if index.ty.is_signed() {
        return index.refuse("select", "an unsigned index", first.ty);
    }
    let width = index.ty.width();
    if width < 32 && choices.len() > (1 << width) {
        return Expr::wrong(
            ExpressionError::List {
                operation: "select",
                detail: format!(
                    "{} choices, but the index `{}` has only {width} bits",
                    choices.len(),
                    index.describe()
                ),
            },
            first.ty,
        );
    }
    if let Node::Literal(value) = *index.node {
        let position = usize::try_from(value).unwrap_or(usize::MAX);
        return choices[position.min(choices.len() - 1)].clone();
    }
    match choices {
        [only] => only.clone(),
        [zero, one] if width == 1 => index.choose(one, zero),
        [zero, rest] => index.equals(literal(0, index.ty)).choose(zero, rest),
        _ => Expr::new(Node::Select(index, choices.to_vec()), first.ty),
    }
}

impl Expr {
    pub(crate) fn new(node: Node, ty: Type) -> Self {
        Expr { node: Rc::new(node), ty }
    }

    pub(crate) fn from_net(net: Arc<Net>) -> Self {
        let ty = net.ty;
        Expr::new(Node::Signal(net), ty)
    }

    pub(crate) fn wrong(error: ExpressionError, ty: Type) -> Self {
        Expr::new(Node::Wrong(error), ty)
    }

    /// Carries the error of `other` on, under the type the operator would have had.
    pub(crate) fn as_wrong_as(other: &Expr, ty: Type) -> Self {
        Expr { node: Rc::clone(&other.node), ty }
    }

    pub(crate) fn error(&self) -> Option<&ExpressionError> {
        match &*self.node {
            Node::Wrong(error) => Some(error),
            _ => None,
        }
    }

    /// The type of the value.
    #[must_use]
    pub fn ty(&self) -> Type {
        self.ty
    }

    /// The width of the value in bits.
    #[must_use]
    pub fn width(&self) -> usize {
        self.ty.width()
    }

    /// A short text for messages.
    pub(crate) fn describe(&self) -> String {
        match &*self.node {
            Node::Signal(net) => net.name.clone(),
            Node::Literal(value) => value.to_string(),
            Node::Unary(operator, a) => format!("{operator:?}({})", a.describe()).to_lowercase(),
            Node::Binary(operator, a, b) => {
                let name = format!("{operator:?}").to_lowercase();
                format!("{name}({}, {})", a.shallow(), b.shallow())
            }
            Node::Concat(_) => "concat(..)".into(),
            Node::Repeat(count, a) => format!("repeat({}, {count})", a.shallow()),
            Node::Slice(a, lsb) => {
                format!("{}[{}:{lsb}]", a.shallow(), lsb + self.ty.width() - 1)
            }
            Node::Extend(a) => format!("extend({})", a.shallow()),
            Node::Reinterpret(a) => a.describe(),
            Node::Choose(..) => "choose(..)".into(),
            Node::Select(index, _) => format!("select({}, ..)", index.shallow()),
            Node::Wrong(_) => "wrong expression".into(),
        }
    }

    fn shallow(&self) -> String {
        match &*self.node {
            Node::Signal(_) | Node::Literal(_) => self.describe(),
            _ => "..".into(),
        }
    }

    pub(crate) fn clash(&self, operation: &'static str, other: &Expr, result: Type) -> Expr {
        Expr::wrong(
            ExpressionError::Operands {
                operation,
                left: self.describe(),
                left_type: self.ty,
                right: other.describe(),
                right_type: other.ty,
            },
            result,
        )
    }

    pub(crate) fn refuse(&self, operation: &'static str, needed: &str, result: Type) -> Expr {
        Expr::wrong(
            ExpressionError::Operand { operation, needed: needed.into(), operand: self.describe(), found: self.ty },
            result,
        )
    }

    pub(crate) fn out_of_range(&self, operation: &'static str, detail: String, result: Type) -> Expr {
        Expr::wrong(ExpressionError::Range { operation, detail, operand: self.describe(), found: self.ty }, result)
    }

    /// The error of the first wrong operand, if any.
    pub(crate) fn inherited(&self, others: &[&Expr], ty: Type) -> Option<Expr> {
        std::iter::once(&self).chain(others).find(|expr| expr.error().is_some()).map(|expr| Expr::as_wrong_as(expr, ty))
    }
}

impl From<&Expr> for Expr {
    fn from(expr: &Expr) -> Self {
        expr.clone()
    }
}

impl From<Signal> for Expr {
    fn from(signal: Signal) -> Self {
        (*signal).clone()
    }
}

impl From<&Signal> for Expr {
    fn from(signal: &Signal) -> Self {
        (**signal).clone()
    }
}
