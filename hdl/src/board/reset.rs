//! Reset at power-up.

use super::bit;
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Type, concat};
use std::sync::Arc;

/// Cycles for which the clock must have been good before the reset ends: each a register, so that a level which changes with no
/// regard to the clock has settled long before.
const STAGES: usize = 8;

/// The reset of everything behind the clock: high until `locked` has been high for some cycles, and again whenever it is not.
///
/// The registers have no reset of their own. Configuration clears them; in a simulation that begins with arbitrary values they are
/// right after as many cycles without lock.
///
/// # Errors
/// None.
pub fn power_on_reset() -> Result<Arc<Module>, DesignError> {
    let mut m = ModuleBuilder::new("power_on_reset");
    m.describe("Holds the reset until the clock has been good for some cycles.");
    m.latency("locked to the end of the reset", STAGES + 2);
    m.section("Clock");
    let locked = m.input("locked", bit());
    m.section("Reset");
    let reset = m.output("active", bit());
    let stages = m.register("stages", Type::bits(STAGES));
    m.next(&stages, concat(&[stages.slice(0, STAGES - 1), Expr::from(&locked)]));
    // Without the first two stages: they may still be settling.
    let good = stages.slice(2, STAGES - 2).all();
    let active = m.delay("active_q", good.not(), 2);
    m.drive(&reset, &active);
    m.finish()
}
