//! Lowers typed expressions to rust-hdl's Verilog AST.
//!
//! Verilog decides the width and sign of an operator from what surrounds it. The lowering leaves it nothing to decide:
//!
//! * operands of every operator have the width of its result, except for comparisons (both sides equal), shift counts
//!   and products (which stand alone in a wire of the product's width);
//! * operators whose result depends on the sign (ordering, arithmetic shift, product) take only plain names that were
//!   declared with that sign, or constants;
//! * whatever is sliced has a name;
//! * an arithmetic shift stands alone in a wire, so that nothing around it can turn it into a logical one.
//!
//! What cannot be written in place under these rules gets a wire with a declared type, named after what it feeds.

use super::Type;
use super::expression::{BinaryOperator, Expr, Node, UnaryOperator};
use super::form::{Item, Value, binary, constant, name, operators, part, range, unary, weight};
use super::signal::{Net, NetKind, fresh_id};
use rust_hdl::core::ast::{VerilogCase, VerilogExpression, VerilogMatch, VerilogOp, VerilogOpUnary, VerilogStatement};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

/// An operator expression is given a name of its own beyond this many operators.
const MAX_OPERATORS: usize = 8;

/// Turns the expressions of one module into items.
pub(crate) struct Lowering {
    owner: (usize, Arc<str>),
    uses: HashMap<*const Node, usize>,
    named: HashMap<*const Node, Arc<Net>>,
    taken: HashSet<String>,
    /// Finished items; wires needed by an expression stand before it.
    pub(crate) items: Vec<Item>,
    /// Wires that were introduced here, not by the description.
    pub(crate) introduced: Vec<Arc<Net>>,
    /// A signal of another module, if one occurs.
    pub(crate) foreign: Option<Arc<Net>>,
}

impl Lowering {
    /// `roots` are all expressions of the module, so that shared parts are known beforehand.
    pub(crate) fn new<'a>(
        owner: (usize, Arc<str>),
        taken: HashSet<String>,
        roots: impl Iterator<Item = &'a Expr>,
    ) -> Self {
        let mut uses = HashMap::new();
        let mut foreign = None;
        for root in roots {
            count_uses(root, &mut uses, &mut |net| {
                if net.owner.0 != owner.0 {
                    foreign.get_or_insert_with(|| Arc::clone(net));
                }
            });
        }
        Lowering { owner, uses, named: HashMap::new(), taken, items: Vec::new(), introduced: Vec::new(), foreign }
    }

    /// Drives `net`, declared here, with `expr`.
    pub(crate) fn wire(&mut self, net: &Arc<Net>, expr: &Expr) {
        if let Node::Select(index, choices) = &*expr.node
            && !self.named.contains_key(&Rc::as_ptr(&expr.node))
        {
            self.case(net, index, choices);
        } else {
            let value = self.root(expr, &net.name);
            self.items.push(Item::Wire(Arc::clone(net), value));
        }
        if !matches!(*expr.node, Node::Signal(_) | Node::Literal(_)) && net.ty == expr.ty {
            self.named.entry(Rc::as_ptr(&expr.node)).or_insert_with(|| Arc::clone(net));
        }
    }

    fn case(&mut self, net: &Arc<Net>, index: &Expr, choices: &[Expr]) {
        let test = self.operator(index, &net.name);
        let width = index.ty.width();
        let last = choices.len() - 1;
        let cases = choices
            .iter()
            .enumerate()
            .map(|(position, choice)| VerilogCase {
                condition: if position == last { "default".into() } else { format!("{width}'d{position}") },
                block: vec![VerilogStatement::Assignment(
                    VerilogExpression::Signal(net.name.clone()),
                    self.operator(choice, &net.name),
                )],
            })
            .collect();
        let statement = VerilogStatement::Match(VerilogMatch { test, cases });
        self.items.push(Item::Case(Arc::clone(net), statement));
    }

    /// An expression that is the whole right side of a driver of its own type.
    pub(crate) fn root(&mut self, expr: &Expr, hint: &str) -> Value {
        if let Some(net) = self.named.get(&Rc::as_ptr(&expr.node)) {
            return name(net);
        }
        match &*expr.node {
            Node::Select(..) => name(&self.hoist(expr, hint)),
            _ if self.is_shared(expr) => name(&self.hoist(expr, hint)),
            // Alone on the right side, only the bits count.
            Node::Reinterpret(inner) => self.root(inner, hint),
            _ => self.form(expr, hint),
        }
    }

    /// An expression inside another one: self-contained, of its own width.
    fn value(&mut self, expr: &Expr, hint: &str) -> Value {
        if let Some(net) = self.named.get(&Rc::as_ptr(&expr.node)) {
            return name(net);
        }
        let alone = match &*expr.node {
            Node::Select(..) | Node::Binary(BinaryOperator::Multiply, ..) => true,
            Node::Binary(BinaryOperator::ShiftRight, ..) => expr.ty.is_signed(),
            _ => false,
        };
        if alone || self.is_shared(expr) {
            return name(&self.hoist(expr, hint));
        }
        self.form(expr, hint)
    }

    /// An operand of an operator that does not look at signs.
    fn operand(&mut self, expr: &Expr, hint: &str) -> Value {
        match self.value(expr, hint) {
            value @ (Value::Concat(_) | Value::Repeat(..)) => value,
            value if matches!(value, Value::Choose(..)) || weight(&value) > MAX_OPERATORS => {
                name(&self.hoist_value(expr, value, hint))
            }
            value => value,
        }
    }

    /// An operand of which only the bits matter: whatever its sign, it is written as it is. What stands around it must
    /// not take its width or sign from it.
    fn bits_of(&mut self, expr: &Expr, hint: &str) -> Value {
        match &*expr.node {
            Node::Reinterpret(inner) if !self.is_shared(expr) => self.operand(inner, hint),
            _ => self.operand(expr, hint),
        }
    }

    /// As `value`, restricted to what rust-hdl's AST can hold.
    pub(crate) fn operator(&mut self, expr: &Expr, hint: &str) -> VerilogExpression {
        match self.value(expr, hint) {
            Value::Ast(ast) if operators(&ast) <= MAX_OPERATORS => ast,
            other => VerilogExpression::Signal(self.hoist_value(expr, other, hint).name.clone()),
        }
    }

    /// An operand whose declared sign decides the result: a name of exactly this type, or a constant.
    fn atom(&mut self, expr: &Expr, hint: &str) -> VerilogExpression {
        if let Node::Literal(value) = *expr.node
            && let Value::Ast(ast) = constant(value, expr.ty)
        {
            return ast;
        }
        VerilogExpression::Signal(self.name_of(expr, hint).name.clone())
    }

    /// An operand of a product, which Verilog computes at the product's width: it must not contain operators, which
    /// would be computed at that width too.
    fn factor(&mut self, expr: &Expr, hint: &str) -> VerilogExpression {
        // A negative number is printed with a minus, which is an operator.
        if matches!(*expr.node, Node::Literal(value) if value < 0) {
            return VerilogExpression::Signal(self.hoist(expr, hint).name.clone());
        }
        if expr.ty.is_signed() {
            return self.atom(expr, hint);
        }
        match self.value(expr, hint) {
            Value::Ast(ast) if operators(&ast) == 0 => ast,
            other => VerilogExpression::Signal(self.hoist_value(expr, other, hint).name.clone()),
        }
    }

    /// An element of a list: Verilog computes it by itself, so its sign is nobody's business.
    fn part_of(&mut self, expr: &Expr, hint: &str) -> Value {
        match &*expr.node {
            Node::Reinterpret(inner) if !self.is_shared(expr) => self.value(inner, hint),
            _ => self.value(expr, hint),
        }
    }

    /// A net that holds exactly this expression.
    fn name_of(&mut self, expr: &Expr, hint: &str) -> Arc<Net> {
        match &*expr.node {
            Node::Signal(net) => Arc::clone(net),
            _ => self.hoist(expr, hint),
        }
    }

    fn hoist(&mut self, expr: &Expr, hint: &str) -> Arc<Net> {
        if let Some(net) = self.named.get(&Rc::as_ptr(&expr.node)) {
            return Arc::clone(net);
        }
        if let Node::Select(index, choices) = &*expr.node {
            let net = self.introduce(expr, hint);
            self.case(&net, index, choices);
            return net;
        }
        let value = self.form(expr, hint);
        self.hoist_value(expr, value, hint)
    }

    fn hoist_value(&mut self, expr: &Expr, value: Value, hint: &str) -> Arc<Net> {
        if let Some(net) = self.named.get(&Rc::as_ptr(&expr.node)) {
            return Arc::clone(net);
        }
        let net = self.introduce(expr, hint);
        self.items.push(Item::Wire(Arc::clone(&net), value));
        net
    }

    /// What an instance's input is connected to: a name, a constant or a part of an unsigned name. Everything else gets
    /// a wire called `wanted`. (Parts of signed names on ports trip yosys 0.70.)
    pub(crate) fn connection(&mut self, expr: &Expr, wanted: &str) -> Value {
        let plain = match &*expr.node {
            Node::Signal(_) | Node::Literal(_) => true,
            Node::Slice(inner, _) => !inner.ty.is_signed() && matches!(*inner.node, Node::Signal(_)),
            _ => false,
        };
        if plain {
            return self.form(expr, wanted);
        }
        if let Some(net) = self.named.get(&Rc::as_ptr(&expr.node)) {
            return name(net);
        }
        let net = self.introduce_as(expr, wanted.to_string());
        self.named.remove(&Rc::as_ptr(&expr.node));
        self.wire(&net, expr);
        name(&net)
    }

    /// The nets a value marked as unused consists of.
    pub(crate) fn unused(&mut self, expr: &Expr) -> Value {
        self.value(expr, "unused")
    }

    fn introduce(&mut self, expr: &Expr, hint: &str) -> Arc<Net> {
        self.introduce_as(expr, format!("{hint}_{}", role(expr)))
    }

    fn introduce_as(&mut self, expr: &Expr, base: String) -> Arc<Net> {
        let mut chosen = base.clone();
        let mut count = 1;
        while !self.taken.insert(chosen.clone()) {
            count += 1;
            chosen = format!("{base}_{count}");
        }
        let net =
            Arc::new(Net { name: chosen, ty: expr.ty, kind: NetKind::Wire, id: fresh_id(), owner: self.owner.clone() });
        self.named.insert(Rc::as_ptr(&expr.node), Arc::clone(&net));
        self.introduced.push(Arc::clone(&net));
        net
    }

    fn is_shared(&self, expr: &Expr) -> bool {
        let simple = match &*expr.node {
            Node::Signal(_) | Node::Literal(_) | Node::Wrong(_) => true,
            Node::Slice(inner, _) | Node::Reinterpret(inner) => {
                matches!(*inner.node, Node::Signal(_))
            }
            _ => false,
        };
        !simple && self.uses.get(&Rc::as_ptr(&expr.node)).copied() > Some(1)
    }

    fn form(&mut self, expr: &Expr, hint: &str) -> Value {
        let width = expr.ty.width();
        match &*expr.node {
            Node::Signal(net) => name(net),
            Node::Literal(value) => constant(*value, expr.ty),
            Node::Unary(operator, a) => {
                let (operator, a) = match operator {
                    UnaryOperator::Not => (VerilogOpUnary::Not, self.operand(a, hint)),
                    UnaryOperator::Negate => (VerilogOpUnary::Neg, self.operand(a, hint)),
                    UnaryOperator::Any => (VerilogOpUnary::Any, self.bits_of(a, hint)),
                    UnaryOperator::All => (VerilogOpUnary::All, self.bits_of(a, hint)),
                };
                unary(operator, a)
            }
            Node::Binary(operator, a, b) => self.binary(*operator, a, b, hint),
            Node::Concat(parts) => Value::Concat(parts.iter().map(|part| self.part_of(part, hint)).collect()),
            Node::Repeat(count, a) => Value::Repeat(*count, Box::new(self.part_of(a, hint))),
            Node::Slice(a, lsb) => {
                let base = self.name_of(a, hint);
                Value::Ast(part(&base, *lsb, width))
            }
            Node::Extend(a) => {
                let added = width - a.ty.width();
                if a.ty.is_signed() {
                    let (sign, number) = self.with_sign(a, hint);
                    let front = if added == 1 { sign } else { Value::Repeat(added, Box::new(sign)) };
                    Value::Concat(vec![front, number])
                } else {
                    let zeros = constant(0, Type::bits(added));
                    Value::Concat(vec![zeros, self.value(a, hint)])
                }
            }
            Node::Reinterpret(a) if expr.ty.is_signed() => self.value(a, hint),
            // Selecting all bits of a name is unsigned whatever the name is declared as.
            Node::Reinterpret(a) => {
                let base = self.name_of(a, hint);
                Value::Ast(range(&base, 0, width))
            }
            Node::Choose(condition, then, otherwise) => Value::Choose(
                Box::new(Value::Ast(self.operator(condition, hint))),
                Box::new(self.value(then, hint)),
                Box::new(self.value(otherwise, hint)),
            ),
            Node::Select(..) => name(&self.hoist(expr, hint)),
            // Modules with wrong expressions are refused before lowering.
            Node::Wrong(_) => constant(0, expr.ty),
        }
    }

    /// The sign bit of a signed expression, and all of its bits.
    fn with_sign(&mut self, expr: &Expr, hint: &str) -> (Value, Value) {
        let width = expr.ty.width();
        let (base, lsb) = match &*expr.node {
            Node::Reinterpret(bits) if !self.is_shared(expr) => match &*bits.node {
                Node::Slice(inner, lsb) if !self.is_shared(bits) => (self.name_of(inner, hint), *lsb),
                _ => (self.name_of(expr, hint), 0),
            },
            _ => (self.name_of(expr, hint), 0),
        };
        let sign = Value::Ast(part(&base, lsb + width - 1, 1));
        if width == base.ty.width() {
            return (sign, name(&base));
        }
        (sign, Value::Ast(part(&base, lsb, width)))
    }

    fn binary(&mut self, operator: BinaryOperator, a: &Expr, b: &Expr, hint: &str) -> Value {
        use BinaryOperator as B;
        let (left, right) = match operator {
            B::Multiply => (Value::Ast(self.factor(a, hint)), Value::Ast(self.factor(b, hint))),
            B::Less | B::LessEqual | B::Greater | B::GreaterEqual if a.ty.is_signed() => {
                (Value::Ast(self.atom(a, hint)), Value::Ast(self.atom(b, hint)))
            }
            B::Equal | B::NotEqual => (self.bits_of(a, hint), self.bits_of(b, hint)),
            B::ShiftRight if a.ty.is_signed() => {
                let a = VerilogExpression::Signed(Box::new(self.atom(a, hint)));
                (Value::Ast(a), Value::Ast(self.factor(b, hint)))
            }
            // A count must wrap at its own width, which a simulator may forget when the sum stands inside the shift.
            B::ShiftLeft | B::ShiftRight => (self.operand(a, hint), Value::Ast(self.factor(b, hint))),
            _ => (self.operand(a, hint), self.operand(b, hint)),
        };
        let operator = match operator {
            B::Add => VerilogOp::Add,
            B::Subtract => VerilogOp::Sub,
            B::Multiply => VerilogOp::Mul,
            B::And => VerilogOp::BitAnd,
            B::Or => VerilogOp::BitOr,
            B::Xor => VerilogOp::BitXor,
            B::Equal => VerilogOp::Eq,
            B::NotEqual => VerilogOp::Ne,
            B::Less => VerilogOp::Lt,
            B::LessEqual => VerilogOp::Le,
            B::Greater => VerilogOp::Gt,
            B::GreaterEqual => VerilogOp::Ge,
            B::ShiftLeft => VerilogOp::Shl,
            B::ShiftRight => VerilogOp::Shr,
        };
        binary(left, operator, right)
    }
}

fn count_uses(expr: &Expr, uses: &mut HashMap<*const Node, usize>, visit: &mut dyn FnMut(&Arc<Net>)) {
    let count = uses.entry(Rc::as_ptr(&expr.node)).or_insert(0);
    *count += 1;
    if *count > 1 {
        return;
    }
    let mut inside = |part: &Expr| count_uses(part, uses, visit);
    match &*expr.node {
        Node::Literal(_) | Node::Wrong(_) => {}
        Node::Signal(net) => visit(net),
        Node::Unary(_, a) | Node::Repeat(_, a) | Node::Slice(a, _) | Node::Extend(a) | Node::Reinterpret(a) => {
            inside(a)
        }
        Node::Binary(_, a, b) => [a, b].into_iter().for_each(inside),
        Node::Concat(parts) => parts.iter().for_each(inside),
        Node::Choose(a, b, c) => [a, b, c].into_iter().for_each(inside),
        Node::Select(index, choices) => {
            inside(index);
            choices.iter().for_each(inside);
        }
    }
}

/// The word a wire for this expression is named with.
fn role(expr: &Expr) -> &'static str {
    match &*expr.node {
        Node::Unary(UnaryOperator::Not, _) => "inverted",
        Node::Unary(UnaryOperator::Negate, _) => "negated",
        Node::Unary(UnaryOperator::Any, _) => "any",
        Node::Unary(UnaryOperator::All, _) => "all",
        Node::Binary(operator, ..) => match operator {
            BinaryOperator::Add => "sum",
            BinaryOperator::Subtract => "difference",
            BinaryOperator::Multiply => "product",
            BinaryOperator::And => "and",
            BinaryOperator::Or => "or",
            BinaryOperator::Xor => "xor",
            BinaryOperator::Equal | BinaryOperator::NotEqual => "match",
            BinaryOperator::Less
            | BinaryOperator::LessEqual
            | BinaryOperator::Greater
            | BinaryOperator::GreaterEqual => "compare",
            BinaryOperator::ShiftLeft | BinaryOperator::ShiftRight => "shifted",
        },
        Node::Concat(_) => "joined",
        Node::Repeat(..) => "repeated",
        Node::Slice(..) => "part",
        Node::Extend(_) => "extended",
        Node::Reinterpret(_) if expr.ty.is_signed() => "signed",
        Node::Reinterpret(_) => "bits",
        Node::Choose(..) => "choice",
        Node::Select(..) => "selected",
        Node::Signal(_) | Node::Literal(_) | Node::Wrong(_) => "value",
    }
}
