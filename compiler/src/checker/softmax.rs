//! What the softmax of the vector unit takes and delivers.

use super::cause::Cause;
use super::dataflow::{Dataflow, Now};
use super::state::Flaws;
use super::violation::{Violation, Violations};

/// The row that is under way.
#[derive(Default)]
pub(super) struct Passes {
    /// The pass: the third delivers.
    pass: u32,
    /// Elements of the row in the words before, in this pass.
    before: u32,
    /// Why some element of the row means nothing: then no result does.
    cause: Option<Cause>,
    /// The last step.
    last: Option<u64>,
}

impl Dataflow<'_> {
    /// A step that takes a word with `flaws` of a row of `length` elements, whose exponentials stand in `table`.
    pub(super) fn soften(
        &mut self,
        now: &Now<'_>,
        (table, length): (u32, u32),
        flaws: Flaws,
        violations: &mut Violations,
    ) {
        let Some(latency) = self.latency.softmax else { return };
        let interval = latency.word_interval;
        if let Some(previous) = self.passes.last.replace(now.cycle)
            && now.cycle - previous < u64::from(interval)
        {
            violations.add(Violation::StillAtWork { at: self.place(now), previous, interval });
        }
        let loaded = self.program.softmaxes.len();
        if table as usize >= loaded {
            violations.add(Violation::TableMissing { at: self.place(now), table, loaded });
        }
        let opens = now.cycle == now.stepping.start;
        let passes = &mut self.passes;
        if now.step.first {
            passes.pass = if opens { 0 } else { (passes.pass + 1) % 3 };
            passes.before = 0;
            if passes.pass == 0 {
                passes.cause = None;
            }
        }
        // Beats behind the row's end count as nothing, whatever stands there.
        let counted = length.saturating_sub(passes.before).div_ceil(self.configuration.dot);
        passes.before += self.configuration.stream_elements;
        let found = flaws.into_iter().find(|&(beat, _)| beat < counted).map(|(_, cause)| cause);
        passes.cause = passes.cause.or(found);
        if passes.pass == 2 {
            let beats = 0..self.configuration.beats_per_word();
            let flaws = passes.cause.map_or_else(Flaws::new, |cause| beats.map(|beat| (beat, cause)).collect());
            self.drive_in_order(now, latency.word, flaws, violations);
        }
    }
}
