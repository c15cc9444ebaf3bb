//! A placed child module and its outputs.

use super::error::ExpressionError;
use super::module::Module;
use super::signal::Signal;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

/// What became of the outputs of an instance.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    pub(crate) taken: BTreeSet<String>,
    pub(crate) ignored: BTreeSet<String>,
    pub(crate) unknown: Option<String>,
}

/// A child placed by `ModuleBuilder::instance`. Each output must be taken with [`output`](Self::output) or given up with
/// [`ignore`](Self::ignore).
#[derive(Debug, Clone)]
pub struct Instance {
    pub(crate) name: String,
    pub(crate) module: Arc<Module>,
    pub(crate) signals: BTreeMap<String, Signal>,
    pub(crate) fate: Rc<RefCell<Outputs>>,
}

impl Instance {
    pub(crate) fn new(name: &str, module: Arc<Module>, signals: BTreeMap<String, Signal>) -> Self {
        Instance { name: name.to_string(), module, signals, fate: Rc::default() }
    }

    /// The output `port`, as a wire called `INSTANCE_PORT`. An unknown name is an error reported by `finish`.
    #[must_use]
    pub fn output(&self, port: &str) -> Signal {
        let mut fate = self.fate.borrow_mut();
        if let Some(signal) = self.signals.get(port) {
            fate.taken.insert(port.to_string());
            return signal.clone();
        }
        fate.unknown.get_or_insert_with(|| port.to_string());
        let error = ExpressionError::NoSuchOutput { instance: self.name.clone(), port: port.to_string() };
        Signal::wrong(&self.name, port, error)
    }

    /// Gives the output `port` up. An unknown name is an error reported by `finish`.
    pub fn ignore(&self, port: &str) {
        let mut fate = self.fate.borrow_mut();
        if self.signals.contains_key(port) {
            fate.ignored.insert(port.to_string());
        } else {
            fate.unknown.get_or_insert_with(|| port.to_string());
        }
    }
}
