//! Everything that can be wrong with a described module, found before any text is emitted.

use super::Type;
use thiserror::Error;

/// A mistake in an expression, found where the expression was built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExpressionError {
    /// An operator got operands whose types do not fit together.
    #[error("{operation} cannot take `{left}` of type {left_type} and `{right}` of type {right_type}")]
    Operands {
        /// The operator, by its method name.
        operation: &'static str,
        /// The left operand, shortened.
        left: String,
        /// Its type.
        left_type: Type,
        /// The right operand, shortened.
        right: String,
        /// Its type.
        right_type: Type,
    },
    /// An operator got an operand of the wrong type.
    #[error("{operation} needs {needed}, but `{operand}` is {found}")]
    Operand {
        /// The operator, by its method name.
        operation: &'static str,
        /// What it takes.
        needed: String,
        /// The operand, shortened.
        operand: String,
        /// Its type.
        found: Type,
    },
    /// A slice, extension or truncation does not fit its operand.
    #[error("{operation}: {detail} does not fit `{operand}` of type {found}")]
    Range {
        /// The operator, by its method name.
        operation: &'static str,
        /// What was asked for.
        detail: String,
        /// The operand, shortened.
        operand: String,
        /// Its type.
        found: Type,
    },
    /// A constant lies outside its type.
    #[error("literal {value} does not fit {found}")]
    Literal {
        /// The constant.
        value: i128,
        /// The type it was given.
        found: Type,
    },
    /// An operator that takes a list got an empty one, or one its index cannot address.
    #[error("{operation}: {detail}")]
    List {
        /// The operator, by its name.
        operation: &'static str,
        /// What is wrong with the list.
        detail: String,
    },
    /// A port was asked of an instance whose module has no such output.
    #[error("instance `{instance}` has no output `{port}`")]
    NoSuchOutput {
        /// Name of the instance.
        instance: String,
        /// The name that was asked for.
        port: String,
    },
}

/// Why a module or design was refused. Every message names the module.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DesignError {
    /// An expression that feeds `place` is wrong.
    #[error("module `{module}`: in `{place}`: {source}")]
    Expression {
        /// The module.
        module: String,
        /// The signal, port or role the expression feeds.
        place: String,
        /// What is wrong with it.
        source: Box<ExpressionError>,
    },
    /// A signal and what drives it have different types.
    #[error("module `{module}`: `{place}` is {expected} but is driven with `{value}` of type {found}")]
    Mismatch {
        /// The module.
        module: String,
        /// The driven signal or port.
        place: String,
        /// Its type.
        expected: Type,
        /// The driving expression, shortened.
        value: String,
        /// Its type.
        found: Type,
    },
    /// A name is declared twice.
    #[error("module `{module}`: the name `{name}` is used twice")]
    DuplicateName {
        /// The module.
        module: String,
        /// The name.
        name: String,
    },
    /// A name is not a Verilog identifier, or is a Verilog or SystemVerilog keyword.
    #[error("module `{module}`: `{name}` cannot be a name: {reason}")]
    BadName {
        /// The module.
        module: String,
        /// The name.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// A signal without bits.
    #[error("module `{module}`: `{name}` has no bits (width 0)")]
    ZeroWidth {
        /// The module.
        module: String,
        /// The signal.
        name: String,
    },
    /// A signal has two drivers.
    #[error("module `{module}`: `{name}` is driven twice")]
    DrivenTwice {
        /// The module.
        module: String,
        /// The signal.
        name: String,
    },
    /// A signal has no driver.
    #[error("module `{module}`: {kind} `{name}` is never driven")]
    NeverDriven {
        /// The module.
        module: String,
        /// What it is: output, wire or register.
        kind: &'static str,
        /// The signal.
        name: String,
    },
    /// A signal of the wrong kind was driven (an input, or a register with `drive`, a wire with `next`).
    #[error("module `{module}`: `{name}` is {kind}; {reason}")]
    WrongKind {
        /// The module.
        module: String,
        /// The signal.
        name: String,
        /// What it is.
        kind: &'static str,
        /// What to do instead.
        reason: &'static str,
    },
    /// A signal of one module is used in another.
    #[error("module `{module}`: `{name}` is a signal of module `{owner}`")]
    Foreign {
        /// The module it is used in.
        module: String,
        /// The signal.
        name: String,
        /// The module it belongs to.
        owner: String,
    },
    /// A signal or some of its bits are read by nothing.
    #[error("module `{module}`: {what} never used; use it, or say so with `unused`")]
    Unused {
        /// The module.
        module: String,
        /// The signal and the bits.
        what: String,
    },
    /// An instance names a port its module does not have.
    #[error("module `{module}`: instance `{instance}` of `{child}` has no input `{port}`")]
    UnknownPort {
        /// The module.
        module: String,
        /// The instance.
        instance: String,
        /// The instantiated module.
        child: String,
        /// The name given.
        port: String,
    },
    /// An instance leaves an input open.
    #[error("module `{module}`: instance `{instance}` of `{child}` leaves input `{port}` unconnected")]
    Unconnected {
        /// The module.
        module: String,
        /// The instance.
        instance: String,
        /// The instantiated module.
        child: String,
        /// The open input.
        port: String,
    },
    /// An instance's output is neither taken nor ignored.
    #[error("module `{module}`: output `{port}` of instance `{instance}` is neither used nor ignored")]
    OutputNotTaken {
        /// The module.
        module: String,
        /// The instance.
        instance: String,
        /// The output.
        port: String,
    },
    /// Signals depend on each other without a register in between.
    #[error("module `{module}`: combinational loop {path}")]
    CombinationalLoop {
        /// The module.
        module: String,
        /// The signals of the loop, joined by arrows.
        path: String,
    },
    /// The emitted text could not be put together; says which part is missing.
    #[error("module `{module}`: {reason}")]
    Emission {
        /// The module.
        module: String,
        /// What went wrong.
        reason: String,
    },
    /// A file could not be written.
    #[error("cannot write {path}: {reason}")]
    Write {
        /// The file or directory.
        path: String,
        /// The operating system's reason.
        reason: String,
    },
}
