//! What is computed once, tables for look-ups and splits of products: an operator is lowered for each band of its rows, and for each way of
//! cutting its network that the compiler tries.

use super::line::Side;
use super::search::Question;
use super::split::Piece;
use crate::graph::Multiply;
use lpu_isa::arithmetic::addition::Addition;
use lpu_isa::program::Scale;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;

/// The tables of a product, one or two, each with the results that it makes.
type OfProduct = Vec<(Side, Vec<Scale>)>;

/// The tables of a compilation, and its splits.
#[derive(Debug, Default)]
pub struct Tables {
    /// Of a sum: the table, and whether it looks up by the second operand. `None` where there is none.
    pub(super) sums: Memo<Addition, Option<(Vec<Scale>, bool)>>,
    /// Of a product. `None` where there are none.
    pub(super) products: Memo<Multiply, Option<OfProduct>>,
    /// Of a product over windows: how it is cut. `None` where it cannot be.
    pub(super) splits: Memo<Question, Option<Vec<Piece>>>,
}

/// What has been computed for each of some keys.
#[derive(Debug)]
pub(super) struct Memo<K, V>(RefCell<HashMap<K, V>>);

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Memo(RefCell::default())
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Memo<K, V> {
    /// What is known for `key`, or what `compute` finds.
    pub(super) fn get(&self, key: &K, compute: impl FnOnce() -> V) -> V {
        if let Some(known) = self.0.borrow().get(key) {
            return known.clone();
        }
        let found = compute();
        self.0.borrow_mut().insert(key.clone(), found.clone());
        found
    }
}
