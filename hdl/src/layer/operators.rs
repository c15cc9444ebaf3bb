//! The operators of [`Expr`], as methods and as Rust operators.
//!
//! Each method states the type it gives. Operands of the wrong type make a wrong expression, which `finish` reports.

use super::Type;
use super::expression::{BinaryOperator, Expr, Node, UnaryOperator, concat, literal};
use super::signal::Signal;
use std::ops;
use std::rc::Rc;

impl Expr {
    fn unary(&self, operator: UnaryOperator, ty: Type) -> Expr {
        self.inherited(&[], ty).unwrap_or_else(|| Expr::new(Node::Unary(operator, self.clone()), ty))
    }

    /// Both operands of one type; the result has `ty`.
    fn same(&self, name: &'static str, operator: BinaryOperator, other: Expr, ty: Type) -> Expr {
        if let Some(wrong) = self.inherited(&[&other], ty) {
            return wrong;
        }
        if self.ty != other.ty {
            return self.clash(name, &other, ty);
        }
        Expr::new(Node::Binary(operator, self.clone(), other), ty)
    }

    /// Sum of two values of one type, wrapping to that type.
    #[must_use]
    pub fn add(&self, other: impl Into<Expr>) -> Expr {
        self.same("add", BinaryOperator::Add, other.into(), self.ty)
    }

    /// Difference of two values of one type, wrapping to that type.
    #[must_use]
    pub fn sub(&self, other: impl Into<Expr>) -> Expr {
        self.same("sub", BinaryOperator::Subtract, other.into(), self.ty)
    }

    /// Sum of two values of one type, one bit wider: never wraps.
    #[must_use]
    pub fn add_wide(&self, other: impl Into<Expr>) -> Expr {
        self.widened("add_wide", BinaryOperator::Add, &other.into())
    }

    /// Difference of two values of one type, one bit wider. Never wraps when signed; unsigned operands give the
    /// difference modulo two to the new width, whose top bit tells that it was negative.
    #[must_use]
    pub fn sub_wide(&self, other: impl Into<Expr>) -> Expr {
        self.widened("sub_wide", BinaryOperator::Subtract, &other.into())
    }

    fn widened(&self, name: &'static str, operator: BinaryOperator, other: &Expr) -> Expr {
        let ty = self.ty.with_width(self.ty.width() + 1);
        if let Some(wrong) = self.inherited(&[other], ty) {
            return wrong;
        }
        if self.ty != other.ty {
            return self.clash(name, other, ty);
        }
        self.extend(ty.width()).same(name, operator, other.extend(ty.width()), ty)
    }

    /// The full product: as wide as both operands together. Both must have the same sign.
    #[must_use]
    pub fn mul(&self, other: impl Into<Expr>) -> Expr {
        let other = other.into();
        let ty = self.ty.with_width(self.ty.width() + other.ty.width());
        if let Some(wrong) = self.inherited(&[&other], ty) {
            return wrong;
        }
        if self.ty.is_signed() != other.ty.is_signed() {
            return self.clash("mul", &other, ty);
        }
        Expr::new(Node::Binary(BinaryOperator::Multiply, self.clone(), other), ty)
    }

    /// Bitwise and of two values of one type.
    #[must_use]
    pub fn and(&self, other: impl Into<Expr>) -> Expr {
        self.same("and", BinaryOperator::And, other.into(), self.ty)
    }

    /// Bitwise or of two values of one type.
    #[must_use]
    pub fn or(&self, other: impl Into<Expr>) -> Expr {
        self.same("or", BinaryOperator::Or, other.into(), self.ty)
    }

    /// Bitwise exclusive or of two values of one type.
    #[must_use]
    pub fn xor(&self, other: impl Into<Expr>) -> Expr {
        self.same("xor", BinaryOperator::Xor, other.into(), self.ty)
    }

    /// Every bit inverted.
    #[must_use]
    #[allow(clippy::should_implement_trait)] // `!` works as well, on references too
    pub fn not(&self) -> Expr {
        self.unary(UnaryOperator::Not, self.ty)
    }

    /// Two's complement negation, wrapping to the same type.
    #[must_use]
    pub fn negate(&self) -> Expr {
        self.unary(UnaryOperator::Negate, self.ty)
    }

    /// One if any bit is one.
    #[must_use]
    pub fn any(&self) -> Expr {
        self.unary(UnaryOperator::Any, Type::bits(1))
    }

    /// One if all bits are one.
    #[must_use]
    pub fn all(&self) -> Expr {
        self.unary(UnaryOperator::All, Type::bits(1))
    }

    /// One if both values, of one type, are equal.
    #[must_use]
    pub fn equals(&self, other: impl Into<Expr>) -> Expr {
        self.compare("equals", BinaryOperator::Equal, other.into())
    }

    /// One if both values, of one type, differ.
    #[must_use]
    pub fn not_equals(&self, other: impl Into<Expr>) -> Expr {
        self.compare("not_equals", BinaryOperator::NotEqual, other.into())
    }

    /// One if this value is below the other; signed types compare as numbers with a sign.
    #[must_use]
    pub fn less_than(&self, other: impl Into<Expr>) -> Expr {
        self.compare("less_than", BinaryOperator::Less, other.into())
    }

    /// One if this value is not above the other; signed types compare as numbers with a sign.
    #[must_use]
    pub fn less_equal(&self, other: impl Into<Expr>) -> Expr {
        self.compare("less_equal", BinaryOperator::LessEqual, other.into())
    }

    /// One if this value is above the other; signed types compare as numbers with a sign.
    #[must_use]
    pub fn greater_than(&self, other: impl Into<Expr>) -> Expr {
        self.compare("greater_than", BinaryOperator::Greater, other.into())
    }

    /// One if this value is not below the other; signed types compare as numbers with a sign.
    #[must_use]
    pub fn greater_equal(&self, other: impl Into<Expr>) -> Expr {
        self.compare("greater_equal", BinaryOperator::GreaterEqual, other.into())
    }

    fn compare(&self, name: &'static str, operator: BinaryOperator, other: Expr) -> Expr {
        let bit = Type::bits(1);
        let result = self.same(name, operator, other.clone(), bit);
        if result.error().is_some() {
            return result;
        }
        // A comparison with the end of a range has one outcome; linters object to it, so it becomes a constant here.
        let outcome = match (&*self.node, &*other.node) {
            (Node::Literal(a), Node::Literal(b)) => Some(decide(operator, *a, *b)),
            (_, Node::Literal(b)) => decided_by_limit(operator, *b, self.ty),
            (Node::Literal(a), _) => decided_by_limit(mirrored(operator), *a, self.ty),
            _ => None,
        };
        outcome.map_or(result, |value| literal(i128::from(value), bit))
    }

    /// Shifted up by `count`, `count` bits wider: nothing is lost.
    #[must_use]
    pub fn shift_left(&self, count: usize) -> Expr {
        let ty = self.ty.with_width(self.ty.width() + count);
        if let Some(wrong) = self.inherited(&[], ty) {
            return wrong;
        }
        if count == 0 {
            return self.clone();
        }
        concat(&[self.as_bits(), literal(0, Type::bits(count))]).reinterpret(ty)
    }

    /// Shifted down by `count` at the same width: copies of the sign come in when signed, zeros otherwise.
    #[must_use]
    pub fn shift_right(&self, count: usize) -> Expr {
        let width = self.ty.width();
        if let Some(wrong) = self.inherited(&[], self.ty) {
            return wrong;
        }
        if count == 0 {
            return self.clone();
        }
        if !self.ty.is_signed() && count >= width {
            return self.out_of_range("shift_right", format!("a shift by {count}"), self.ty);
        }
        let lsb = count.min(width - 1);
        let kept = self.slice(lsb, width - lsb);
        kept.reinterpret(self.ty.with_width(width - lsb)).extend(width)
    }

    /// Shifted up by a run-time `count` (unsigned, at most 31 bits), width kept.
    #[must_use]
    pub fn shift_left_by(&self, count: impl Into<Expr>) -> Expr {
        self.shift_by("shift_left_by", BinaryOperator::ShiftLeft, count.into())
    }

    /// Shifted down by a run-time `count` (unsigned, at most 31 bits), width kept; copies of the sign come in when
    /// signed.
    #[must_use]
    pub fn shift_right_by(&self, count: impl Into<Expr>) -> Expr {
        self.shift_by("shift_right_by", BinaryOperator::ShiftRight, count.into())
    }

    fn shift_by(&self, name: &'static str, operator: BinaryOperator, count: Expr) -> Expr {
        if let Some(wrong) = self.inherited(&[&count], self.ty) {
            return wrong;
        }
        if count.ty.is_signed() || count.ty.width() > 31 {
            return count.refuse(name, "an unsigned count of at most 31 bits", self.ty);
        }
        Expr::new(Node::Binary(operator, self.clone(), count), self.ty)
    }

    /// `width` bits from bit `lsb` upwards, unsigned.
    #[must_use]
    pub fn slice(&self, lsb: usize, width: usize) -> Expr {
        let ty = Type::bits(width);
        if let Some(wrong) = self.inherited(&[], ty) {
            return wrong;
        }
        if width == 0 || lsb + width > self.ty.width() {
            let detail = format!("{width} bits from bit {lsb}");
            return self.out_of_range("slice", detail, ty);
        }
        if lsb == 0 && width == self.ty.width() {
            return self.as_bits();
        }
        match &*self.node {
            Node::Slice(inner, offset) => inner.slice(offset + lsb, width),
            Node::Reinterpret(inner) => inner.slice(lsb, width),
            Node::Extend(inner) if lsb + width <= inner.ty.width() => inner.slice(lsb, width),
            Node::Literal(value) if width <= 126 => {
                let bits = (value >> lsb.min(127)) & ((1_i128 << width) - 1);
                literal(bits, ty)
            }
            Node::Concat(parts) => {
                let mut base = self.ty.width();
                for part in parts {
                    base -= part.ty.width();
                    if lsb >= base && lsb + width <= base + part.ty.width() {
                        return part.slice(lsb - base, width);
                    }
                }
                Expr::new(Node::Slice(self.clone(), lsb), ty)
            }
            _ => Expr::new(Node::Slice(self.clone(), lsb), ty),
        }
    }

    /// Bit `index` alone.
    #[must_use]
    pub fn bit(&self, index: usize) -> Expr {
        self.slice(index, 1)
    }

    /// The same number in `width` bits, at least as many as now.
    #[must_use]
    pub fn extend(&self, width: usize) -> Expr {
        let ty = self.ty.with_width(width);
        if let Some(wrong) = self.inherited(&[], ty) {
            return wrong;
        }
        if width < self.ty.width() {
            return self.out_of_range("extend", format!("a width of {width}"), ty);
        }
        if width == self.ty.width() {
            return self.clone();
        }
        match &*self.node {
            Node::Literal(value) => literal(*value, ty),
            _ => Expr::new(Node::Extend(self.clone()), ty),
        }
    }

    /// The lowest `width` bits with the same sign; the upper ones are dropped.
    #[must_use]
    pub fn truncate(&self, width: usize) -> Expr {
        let ty = self.ty.with_width(width);
        if let Some(wrong) = self.inherited(&[], ty) {
            return wrong;
        }
        if width == 0 || width > self.ty.width() {
            return self.out_of_range("truncate", format!("a width of {width}"), ty);
        }
        if width == self.ty.width() {
            return self.clone();
        }
        self.slice(0, width).reinterpret(ty)
    }

    /// The same bits as a two's complement number.
    #[must_use]
    pub fn as_signed(&self) -> Expr {
        self.reinterpret(Type::signed(self.ty.width()))
    }

    /// The same bits, unsigned.
    #[must_use]
    pub fn as_bits(&self) -> Expr {
        self.reinterpret(Type::bits(self.ty.width()))
    }

    fn reinterpret(&self, ty: Type) -> Expr {
        if ty == self.ty || self.error().is_some() {
            return Expr { node: Rc::clone(&self.node), ty };
        }
        match &*self.node {
            Node::Reinterpret(inner) => inner.reinterpret(ty),
            Node::Literal(value) if ty.width() <= 126 => {
                let modulus = 1_i128 << ty.width();
                let bits = value & (modulus - 1);
                let (_, high) = ty.range();
                literal(if bits > high { bits - modulus } else { bits }, ty)
            }
            _ => Expr::new(Node::Reinterpret(self.clone()), ty),
        }
    }

    /// `then` where this one-bit condition is one, `otherwise` where it is zero; both of one type.
    #[must_use]
    pub fn choose(&self, then: impl Into<Expr>, otherwise: impl Into<Expr>) -> Expr {
        let (then, otherwise) = (then.into(), otherwise.into());
        let ty = then.ty;
        if let Some(wrong) = self.inherited(&[&then, &otherwise], ty) {
            return wrong;
        }
        if self.ty != Type::bits(1) {
            return self.refuse("choose", "a condition of type bits(1)", ty);
        }
        if then.ty != otherwise.ty {
            return then.clash("choose", &otherwise, ty);
        }
        match &*self.node {
            Node::Literal(0) => otherwise,
            Node::Literal(_) => then,
            _ => Expr::new(Node::Choose(self.clone(), then, otherwise), ty),
        }
    }

    /// `count` copies side by side, unsigned.
    #[must_use]
    pub fn repeat(&self, count: usize) -> Expr {
        let ty = Type::bits(self.ty.width() * count);
        if let Some(wrong) = self.inherited(&[], ty) {
            return wrong;
        }
        match count {
            0 => self.out_of_range("repeat", "no copies".into(), Type::bits(1)),
            1 => self.as_bits(),
            _ => Expr::new(Node::Repeat(count, self.as_bits()), ty),
        }
    }
}

fn decide(operator: BinaryOperator, a: i128, b: i128) -> bool {
    match operator {
        BinaryOperator::Equal => a == b,
        BinaryOperator::NotEqual => a != b,
        BinaryOperator::Less => a < b,
        BinaryOperator::LessEqual => a <= b,
        BinaryOperator::Greater => a > b,
        _ => a >= b,
    }
}

fn mirrored(operator: BinaryOperator) -> BinaryOperator {
    match operator {
        BinaryOperator::Less => BinaryOperator::Greater,
        BinaryOperator::LessEqual => BinaryOperator::GreaterEqual,
        BinaryOperator::Greater => BinaryOperator::Less,
        BinaryOperator::GreaterEqual => BinaryOperator::LessEqual,
        other => other,
    }
}

/// What `x operator limit` is for every `x` of the type, if it is always the same.
fn decided_by_limit(operator: BinaryOperator, limit: i128, ty: Type) -> Option<bool> {
    let (low, high) = ty.range();
    match operator {
        BinaryOperator::Less if limit == low => Some(false),
        BinaryOperator::LessEqual if limit == high => Some(true),
        BinaryOperator::Greater if limit == high => Some(false),
        BinaryOperator::GreaterEqual if limit == low => Some(true),
        _ => None,
    }
}

macro_rules! binary_sugar {
    ($left:ty: $($operation:ident :: $function:ident as $method:ident),*) => {
        $(impl<R: Into<Expr>> ops::$operation<R> for $left {
            type Output = Expr;
            fn $function(self, right: R) -> Expr {
                Expr::$method(&Expr::from(self), right)
            }
        })*
        impl ops::Not for $left {
            type Output = Expr;
            fn not(self) -> Expr {
                Expr::not(&Expr::from(self))
            }
        }
    };
    ($left:ty) => {
        binary_sugar!(
            $left: Add::add as add, Sub::sub as sub, BitAnd::bitand as and, BitOr::bitor as or,
            BitXor::bitxor as xor
        );
    };
}

binary_sugar!(Expr);
binary_sugar!(&Expr);
binary_sugar!(Signal);
binary_sugar!(&Signal);
