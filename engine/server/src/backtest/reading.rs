//! Reading the inputs of a backtest: once for the report, and again where exceptions are tried.
//!
//! Every reading begins without memory and counts records of one event id once, so that two readings with the same
//! rules find the same. Must not be asked for a second reading of what can be read only once.

use super::keep::Keeping;
use crate::exit::Exit;
use crate::input::resolve::{Input, Origin, Resolved};
use crate::plugins::Plugins;
use crate::scan::drive::{drive, progress};
use crate::scan::examine::{Dedup, Examination, FINDINGS_BYTES_MAX};
use crate::scan::outlet::Outlet;
use crate::scan::progress::{Counters, Wanted};
use crate::scan::remember::{Arrival, Remembering};
use crate::scan::report::{Findings, Reporter, Strictness};
use crate::scan::statistics::{RuleTimes, Statistics};
use jiff::Timestamp;
use std::hash::RandomState;
use std::io::{self, Write};
use std::sync::Mutex;
use tripline_core::evaluate::RuleSet;
use tripline_core::wire::PluginMemories;

/// What is the same in every reading.
pub(crate) struct Reading<'p> {
    pub(crate) resolved: &'p Resolved,
    pub(crate) plugins: &'p Plugins<'p>,
    /// Keys for the ids of records.
    pub(crate) states: &'p [RandomState; 2],
    pub(crate) threads: usize,
    pub(crate) wanted: Wanted,
    /// Most memory for what the rules of one version remember.
    pub(crate) state_bytes_max: usize,
    pub(crate) now: Timestamp,
}

/// The rules of one reading, and what is noted of them.
#[derive(Clone, Copy)]
pub(crate) struct Evaluating<'r> {
    pub(crate) rules: &'r RuleSet,
    /// Another version of the rules, evaluated beside them.
    pub(crate) baseline: Option<&'r RuleSet>,
    pub(crate) shape: &'r Keeping,
    pub(crate) statistics: Statistics,
    pub(crate) times: &'r RuleTimes,
}

impl Reading<'_> {
    /// Reads all inputs to their end, and hands what is found to `outlet`.
    pub(crate) fn read<'r, O: Outlet<Shape = Keeping>>(
        &'r self,
        evaluating: Evaluating<'r>,
        outlet: O,
    ) -> Reporter<'r, O> {
        let Evaluating {
            rules,
            baseline,
            shape,
            statistics,
            times,
        } = evaluating;
        let inputs: &[Input] = &self.resolved.inputs;
        let counters = Counters::default();
        let progress = progress(self.wanted, inputs, &counters);
        let (dedup, strictness) = (Dedup::ById, Strictness::Tolerant);
        let examination = Examination {
            rules,
            baseline,
            inputs,
            shape,
            counters,
            dedup,
            strictness,
            statistics,
            findings_bytes_max: FINDINGS_BYTES_MAX,
            times,
            plugins: self.plugins,
            memories: PluginMemories::new(),
            answered: Mutex::default(),
            hash_states: self.states.clone(),
        };
        let remembering = |rules: &'r RuleSet| {
            let how = (Arrival::Archive, Findings::Shown, self.state_bytes_max);
            Remembering::fresh((rules, self.plugins), how, self.now, None)
        };
        let mut reporter = Reporter::new(
            (inputs, rules),
            (shape, outlet),
            (dedup, strictness),
            (Findings::Shown, remembering(rules)),
        );
        if let Some(before) = baseline {
            reporter = reporter.beside(before, remembering(before));
        }
        for (path, error) in &self.resolved.faults {
            reporter.unresolved(path.clone(), error);
        }
        let interrupted = |_: &mut Reporter<'r, O>| {
            // Nothing is told: what was found in a part would look like what there is.
            let _ = writeln!(
                io::stderr(),
                "interrupted: the inputs were not read to their end"
            );
            Exit::Interrupted
        };
        let mut reporter = drive(&examination, reporter, self.threads, &progress, interrupted);
        reporter.finish_remembering();
        reporter.note_state();
        reporter.forget();
        reporter
    }

    /// Whether the inputs are still there for another reading: files are, a stream has run by.
    pub(crate) fn can_be_repeated(&self) -> bool {
        self.resolved.inputs.iter().all(|input| match input.origin {
            Origin::Stdin => false,
            Origin::File(_) => input.bytes.is_some(),
            Origin::Bundled(_) => true,
        })
    }
}
