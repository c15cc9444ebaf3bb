//! Whether the machine's instructions can say what a schedule asks for.

use crate::error::CompileError;
use lpu_isa::configuration::Configuration;
use lpu_isa::program::Queue;

/// Judges every instruction of `queues`, those of `model`, by the widths of its fields in `configuration`: a product of very many
/// columns may count further than they do.
///
/// # Errors
/// The first field that is too narrow, with what it would have to hold.
pub fn check(queues: &[Queue], model: &str, configuration: &Configuration) -> Result<(), CompileError> {
    for queue in queues {
        for placed in &queue.instructions {
            placed.instruction.check(queue.unit, configuration).map_err(|error| CompileError::Unsupported {
                layer: model.into(),
                why: format!(
                    "its sizes are beyond this machine's instructions: {error} (`count_bits` = {}, `interval_bits` = {})",
                    configuration.count_bits, configuration.interval_bits
                ),
            })?;
        }
    }
    Ok(())
}
