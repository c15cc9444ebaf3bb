//! Prints lowered modules as Verilog.
//!
//! rust-hdl's own printer emits one module for each instance and leaves precedence to chance; this one prints the same
//! AST with every compound operand in parentheses.

use super::form::{Item, Value};
use super::signal::{Net, NetKind};
use rust_hdl::core::ast::{VerilogBlockOrConditional, VerilogExpression, VerilogOp, VerilogOpUnary, VerilogStatement};
use rust_hdl::prelude::{Atom, AtomKind};
use std::fmt::Write as _;

/// Lines longer than this are broken where a list or a chain of choices allows it.
const LINE: usize = 110;

/// Everything the printer needs to know about a module.
pub(crate) struct Sheet<'a> {
    pub(crate) base_name: &'a str,
    pub(crate) description: &'a str,
    pub(crate) latencies: &'a [(String, usize)],
    pub(crate) notes: &'a [String],
    pub(crate) ports: &'a [PortLine],
    pub(crate) items: &'a [Item],
    /// Parts of nets that nothing reads, already as text.
    pub(crate) unused: &'a [Value],
    pub(crate) unused_name: &'a str,
}

/// A line of the port list.
pub(crate) enum PortLine {
    Section(String),
    Port(std::sync::Arc<Net>),
}

/// The module as a template: `${module:BASE}` and `${instance:NAME}` stand for module names chosen later.
pub(crate) fn module(sheet: &Sheet<'_>) -> String {
    let mut out = header(sheet.base_name, sheet.description, sheet.latencies, sheet.notes);
    let _ = writeln!(out, "module ${{module:{}}} (", sheet.base_name);
    let last = sheet.ports.iter().rposition(|line| matches!(line, PortLine::Port(_)));
    for (index, line) in sheet.ports.iter().enumerate() {
        match line {
            PortLine::Section(text) => {
                let _ = writeln!(out, "  // {text}");
            }
            PortLine::Port(net) => {
                let comma = if Some(index) == last { "" } else { "," };
                let _ = writeln!(out, "  {}{comma}", declaration(&**net, &net.name, false));
            }
        }
    }
    out.push_str(");\n");
    body(&mut out, sheet.items);
    if !sheet.unused.is_empty() {
        let parts: Vec<String> = sheet.unused.iter().map(|part| operand(part, 4)).collect();
        out.push_str("\n  // Read by nothing, on purpose\n");
        let list = list(&[vec!["1'b0".to_string()], parts].concat(), 2);
        let _ = writeln!(out, "  wire {} = &{list};", sheet.unused_name);
    }
    out.push_str("endmodule\n");
    out
}

/// The comment over a module.
pub(crate) fn header(base_name: &str, description: &str, latencies: &[(String, usize)], notes: &[String]) -> String {
    let mut out = format!("// ${{module:{base_name}}}\n");
    if !description.is_empty() {
        out.push_str("//\n");
        comment(&mut out, description);
    }
    for (index, (path, cycles)) in latencies.iter().enumerate() {
        if index == 0 {
            out.push_str("//\n// Latency:\n");
        }
        let unit = if *cycles == 1 { "cycle" } else { "cycles" };
        let _ = writeln!(out, "//   {path}: {cycles} {unit}");
    }
    for note in notes {
        out.push_str("//\n");
        comment(&mut out, note);
    }
    out
}

fn comment(out: &mut String, paragraph: &str) {
    for line in paragraph.lines() {
        let mut column = 0;
        for word in line.split_whitespace() {
            if column > 0 && column + 1 + word.len() > LINE {
                out.push('\n');
                column = 0;
            }
            let gap = if column == 0 { "// " } else { " " };
            out.push_str(gap);
            out.push_str(word);
            column += gap.len() + word.len();
        }
        out.push_str(if column == 0 { "//\n" } else { "\n" });
    }
}

/// `wire signed [7:0] name`, with the direction in front for ports.
fn declaration(atom: &dyn Atom, name: &str, variable: bool) -> String {
    let direction = match atom.kind() {
        AtomKind::InputParameter => "input  wire",
        AtomKind::OutputParameter | AtomKind::OutputPassthrough => "output wire",
        _ if variable => "reg",
        _ => "wire",
    };
    let signed = rust_hdl::core::atom::is_atom_signed(atom);
    let range = match (signed, atom.bits()) {
        (false, 1) => String::new(),
        (true, bits) => format!(" signed [{}:0]", bits - 1),
        (false, bits) => format!(" [{}:0]", bits - 1),
    };
    format!("{direction}{range} {name}")
}

fn body(out: &mut String, items: &[Item]) {
    let mut clocked: Vec<&VerilogStatement> = Vec::new();
    let mut resettable: Vec<(&VerilogStatement, &VerilogStatement)> = Vec::new();
    let mut blank = true;
    for item in items {
        match item {
            Item::Section(text) => {
                always(out, &mut clocked, &mut resettable);
                let _ = write!(out, "\n  // {text}\n");
                blank = false;
                continue;
            }
            Item::Register { update, reset, .. } => {
                match reset {
                    Some(reset) => resettable.push((update, reset)),
                    None => clocked.push(update),
                }
                continue;
            }
            _ => {}
        }
        if std::mem::take(&mut blank) {
            out.push('\n');
        }
        match item {
            Item::Declare(net) => {
                let variable = net.kind == NetKind::Register;
                let _ = writeln!(out, "  {};", declaration(&**net, &net.name, variable));
            }
            Item::Wire(net, value) => {
                let target = declaration(&**net, &net.name, false);
                let _ = writeln!(out, "  {target} = {};", text(value, 4));
            }
            Item::Case(net, statement) => {
                let _ = writeln!(out, "  {};", declaration(&**net, &net.name, true));
                out.push_str("  always @*\n");
                procedural(out, statement, 4, "=");
            }
            Item::Assign(net, value) => {
                let _ = writeln!(out, "  assign {} = {};", net.name, text(value, 4));
            }
            Item::Instance { name, connections, outputs, .. } => {
                for (_, net) in outputs {
                    let _ = writeln!(out, "  {};", declaration(&**net, &net.name, false));
                }
                let _ = writeln!(out, "  ${{instance:{name}}} {name} (");
                let inputs = connections.iter().map(|(port, value)| format!("    .{port}({})", text(value, 6)));
                let outputs = outputs.iter().map(|(port, net)| format!("    .{port}({})", net.name));
                let lines: Vec<String> = inputs.chain(outputs).collect();
                let _ = writeln!(out, "{}\n  );", lines.join(",\n"));
            }
            Item::Section(_) | Item::Register { .. } => {}
        }
    }
    always(out, &mut clocked, &mut resettable);
}

/// The clocked blocks of one section: one for plain registers, one for those with a reset.
fn always(
    out: &mut String,
    clocked: &mut Vec<&VerilogStatement>,
    resettable: &mut Vec<(&VerilogStatement, &VerilogStatement)>,
) {
    if !clocked.is_empty() {
        out.push_str("\n  always @(posedge clk) begin\n");
        grouped(out, clocked, 4);
        out.push_str("  end\n");
        clocked.clear();
    }
    if !resettable.is_empty() {
        out.push_str("\n  always @(posedge clk) begin\n    if (reset) begin\n");
        for (_, reset) in resettable.iter() {
            procedural(out, reset, 6, "<=");
        }
        out.push_str("    end else begin\n");
        let updates: Vec<&VerilogStatement> = resettable.iter().map(|(update, _)| *update).collect();
        grouped(out, &updates, 6);
        out.push_str("    end\n  end\n");
        resettable.clear();
    }
}

/// Neighbouring updates under the same condition share one `if`.
fn grouped(out: &mut String, statements: &[&VerilogStatement], indent: usize) {
    let condition = |statement: &VerilogStatement| match statement {
        VerilogStatement::If(conditional) if matches!(conditional.otherwise, VerilogBlockOrConditional::None) => {
            Some(expression(&conditional.test))
        }
        _ => None,
    };
    let mut rest = statements;
    while let Some((first, _)) = rest.split_first() {
        let shared = condition(first);
        let count = match &shared {
            Some(_) => rest.iter().take_while(|statement| condition(statement) == shared).count(),
            None => 1,
        };
        let (group, others) = rest.split_at(count);
        if let (Some(test), true) = (shared, count > 1) {
            let pad = " ".repeat(indent);
            let _ = writeln!(out, "{pad}if ({test}) begin");
            for statement in group {
                if let VerilogStatement::If(conditional) = statement {
                    for inner in &conditional.then {
                        procedural(out, inner, indent + 2, "<=");
                    }
                }
            }
            let _ = writeln!(out, "{pad}end");
        } else {
            procedural(out, group[0], indent, "<=");
        }
        rest = others;
    }
}

fn procedural(out: &mut String, statement: &VerilogStatement, indent: usize, arrow: &str) {
    let pad = " ".repeat(indent);
    match statement {
        VerilogStatement::Assignment(target, value) => {
            let _ = writeln!(out, "{pad}{} {arrow} {};", expression(target), expression(value));
        }
        VerilogStatement::If(conditional) => {
            let _ = write!(out, "{pad}if ({}) ", expression(&conditional.test));
            statement_block(out, &conditional.then, indent, arrow);
            match &conditional.otherwise {
                VerilogBlockOrConditional::None => {}
                VerilogBlockOrConditional::Block(block) => {
                    let _ = write!(out, "{pad}else ");
                    statement_block(out, block, indent, arrow);
                }
                VerilogBlockOrConditional::Conditional(next) => {
                    let mut chained = String::new();
                    procedural(&mut chained, next, indent, arrow);
                    let _ = write!(out, "{pad}else {}", chained.trim_start());
                }
            }
        }
        VerilogStatement::Match(choice) => {
            let _ = writeln!(out, "{pad}case ({})", expression(&choice.test));
            for case in &choice.cases {
                for inner in &case.block {
                    let mut line = String::new();
                    procedural(&mut line, inner, 0, arrow);
                    let _ = write!(out, "{pad}  {}: {line}", case.condition);
                }
            }
            let _ = writeln!(out, "{pad}endcase");
        }
        // The lowering produces no other statement.
        _ => {}
    }
}

/// A block on the line of its `if`; without `begin` when it is a single assignment.
fn statement_block(out: &mut String, block: &[VerilogStatement], indent: usize, arrow: &str) {
    if let [single @ VerilogStatement::Assignment(..)] = block {
        procedural(out, single, 0, arrow);
        return;
    }
    out.push_str("begin\n");
    for statement in block {
        procedural(out, statement, indent + 2, arrow);
    }
    let _ = writeln!(out, "{}end", " ".repeat(indent));
}

fn text(value: &Value, indent: usize) -> String {
    match value {
        Value::Ast(ast) => expression(ast),
        Value::Unary(operator, a) => format!("{}{}", unary_sign(operator), operand(a, indent)),
        Value::Binary(left, operator, right) => {
            format!("{} {} {}", operand(left, indent), binary_sign(operator), operand(right, indent))
        }
        Value::Concat(parts) => {
            let parts: Vec<String> = parts.iter().map(|part| operand(part, indent + 2)).collect();
            list(&parts, indent)
        }
        Value::Repeat(count, value) => format!("{{{count}{{{}}}}}", operand(value, indent)),
        Value::Choose(condition, then, otherwise) => {
            let test = operand(condition, indent);
            let then = operand(then, indent);
            let line = format!("{test} ? {then} : {}", operand(otherwise, indent));
            if line.len() <= LINE && !line.contains('\n') && !is_choice(otherwise) {
                return line;
            }
            // A chain of choices reads as a list: one condition and its value on each line.
            let pad = " ".repeat(indent);
            let rest = if is_choice(otherwise) { text(otherwise, indent) } else { operand(otherwise, indent) };
            format!("{test} ? {then} :\n{pad}{rest}")
        }
    }
}

fn is_choice(value: &Value) -> bool {
    matches!(value, Value::Choose(..))
}

fn operand(value: &Value, indent: usize) -> String {
    match value {
        Value::Ast(ast) => nested(ast),
        Value::Unary(..) | Value::Binary(..) | Value::Choose(..) => format!("({})", text(value, indent)),
        _ => text(value, indent),
    }
}

/// `{a, b, c}`, one element a line when too long.
fn list(parts: &[String], indent: usize) -> String {
    let line = format!("{{{}}}", parts.join(", "));
    if line.len() + indent <= LINE && !line.contains('\n') {
        return line;
    }
    let pad = " ".repeat(indent);
    let inner = parts.join(&format!(",\n{pad}  "));
    format!("{{\n{pad}  {inner}\n{pad}}}")
}

/// An operator form; compound operands are always in parentheses.
pub(crate) fn expression(ast: &VerilogExpression) -> String {
    match ast {
        VerilogExpression::Signal(name) => name.clone(),
        VerilogExpression::Literal(value) => value.to_string(),
        VerilogExpression::Cast(inner, width) => literal(inner, *width, ""),
        VerilogExpression::Signed(inner) => match &**inner {
            VerilogExpression::Cast(value, width) => literal(value, *width, "s"),
            other => expression(other),
        },
        VerilogExpression::Unary(operator, inner) => {
            format!("{}{}", unary_sign(operator), nested(inner))
        }
        VerilogExpression::Binary(left, operator, right) => {
            // Only a shift of a name declared signed is marked so: it brings copies of the sign in.
            let sign = match (&**left, operator) {
                (VerilogExpression::Signed(_), VerilogOp::Shr) => ">>>",
                _ => binary_sign(operator),
            };
            format!("{} {sign} {}", nested(left), nested(right))
        }
        VerilogExpression::Index(base, index) => {
            format!("{}[{}]", expression(base), position(index))
        }
        VerilogExpression::Slice(base, width, lsb) => {
            let lsb = position(lsb);
            format!("{}[{}:{lsb}]", expression(base), lsb + width - 1)
        }
        VerilogExpression::Paren(inner) | VerilogExpression::Unsigned(inner) => expression(inner),
        // Replacing a bit inside an expression has no Verilog form; the lowering never makes one.
        VerilogExpression::IndexReplace(base, ..) => expression(base),
    }
}

fn unary_sign(operator: &VerilogOpUnary) -> &'static str {
    match operator {
        VerilogOpUnary::Not => "~",
        VerilogOpUnary::Neg => "-",
        VerilogOpUnary::All => "&",
        VerilogOpUnary::Any => "|",
        VerilogOpUnary::Xor => "^",
    }
}

fn binary_sign(operator: &VerilogOp) -> &'static str {
    match operator {
        VerilogOp::Add => "+",
        VerilogOp::Sub => "-",
        VerilogOp::Mul => "*",
        VerilogOp::LogicalAnd => "&&",
        VerilogOp::LogicalOr => "||",
        VerilogOp::BitXor => "^",
        VerilogOp::BitAnd => "&",
        VerilogOp::BitOr => "|",
        VerilogOp::Shl => "<<",
        VerilogOp::Shr => ">>",
        VerilogOp::Eq => "==",
        VerilogOp::Lt => "<",
        VerilogOp::Le => "<=",
        VerilogOp::Ne => "!=",
        VerilogOp::Ge => ">=",
        VerilogOp::Gt => ">",
    }
}

fn nested(ast: &VerilogExpression) -> String {
    match ast {
        VerilogExpression::Binary(..) | VerilogExpression::Unary(..) => {
            format!("({})", expression(ast))
        }
        _ => {
            let text = expression(ast);
            if text.starts_with('-') { format!("({text})") } else { text }
        }
    }
}

fn position(ast: &VerilogExpression) -> usize {
    match ast {
        VerilogExpression::Literal(value) => value.as_usize(),
        _ => 0,
    }
}

/// Decimal where that is short, hexadecimal where the bits matter.
fn literal(ast: &VerilogExpression, width: usize, signed: &str) -> String {
    let VerilogExpression::Literal(value) = ast else {
        return expression(ast);
    };
    let digits = format!("{value:x}");
    let hex = digits.rsplit("'h").next().unwrap_or("0");
    match u128::from_str_radix(hex, 16) {
        // The lowest number has no positive counterpart.
        Ok(bits) if !signed.is_empty() && (2..=127).contains(&width) && bits >> (width - 1) == 1 => {
            match (1 << width) - bits {
                size if size < 1 << 20 && size < 1 << (width - 1) => format!("-{width}'sd{size}"),
                _ => format!("{width}'sh{hex}"),
            }
        }
        Ok(bit @ (0 | 1)) if width == 1 => format!("1'{signed}b{bit}"),
        Ok(small) if small < 1 << 20 && (signed.is_empty() || small >> (width - 1) == 0) => {
            format!("{width}'{signed}d{small}")
        }
        _ => format!("{width}'{signed}h{hex}"),
    }
}
