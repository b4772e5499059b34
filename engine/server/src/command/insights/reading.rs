//! Reads events for the series of rules alone: findings are not asked for.
//!
//! What showing, explaining and learning have in common. What is remembered is made by whoever asks, who knows what it goes on
//! from and where it is kept. Must never write anything but what became of the records, to standard error.

use super::CommandError;
use crate::exit::Exit;
use crate::input::resolve::{Input, Resolved};
use crate::output::Sighting;
use crate::output::summary::of_records;
use crate::plugins::Plugins;
use crate::scan::drive::{drive, progress, threads};
use crate::scan::examine::{Dedup, Examination, FINDINGS_BYTES_MAX};
use crate::scan::outlet::{Outlet, Placed, Shape};
use crate::scan::progress::{Counters, Wanted};
use crate::scan::remember::Remembering;
use crate::scan::report::{Findings, Reporter, Strictness};
use crate::scan::statistics::{RuleTimes, Statistics};
use crate::state_folder::StateFolder;
use crate::terminal::ColorChoice;
use std::hash::RandomState;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;
use tripline_core::evaluate::RuleSet;
use tripline_core::insight::Record;
use tripline_core::state::StateCounters;

pub(super) const MIB: usize = 1024 * 1024;

/// What is read, and by whom it is evaluated.
pub(super) struct Reading<'r> {
    pub(super) rules: &'r RuleSet,
    pub(super) plugins: &'r Plugins<'r>,
    pub(super) resolved: &'r Resolved,
    pub(super) threads: Option<u16>,
    pub(super) color: ColorChoice,
}

/// What came of it.
pub(super) struct Read {
    /// The records of insights, in the order of time, where they were to be kept.
    pub(super) records: Vec<Record>,
    /// What insights explained, where they were asked to.
    pub(super) explained: Vec<serde_json::Value>,
    /// Whether every input was read to its end.
    pub(super) exit: Exit,
    /// What became of what rules were told.
    pub(super) state: Option<StateCounters>,
}

/// The folder of a state that is to be read: one that is not there is a slip, and none is made of it.
pub(super) fn existing(path: &Path) -> Result<StateFolder, CommandError> {
    if !path.is_dir() {
        let words = format!("{}: no folder of a state", path.display());
        return Err(CommandError::Usage(words));
    }
    Ok(StateFolder::open(path)?)
}

impl<'r> Reading<'r> {
    /// Reads all inputs to their end, and then writes what is remembered to where it is kept, if it is. When something cannot be
    /// read or somebody interrupts it, nothing is written, and `lost` says so.
    pub(super) fn read(
        &self,
        remembering: Option<Remembering<'r>>,
        lost: &str,
    ) -> Result<Read, CommandError> {
        let inputs: &'r [Input] = &self.resolved.inputs;
        let counters = Counters::default();
        let progress = progress(Wanted::WhenTerminal, inputs, &counters);
        let times = RuleTimes::new(self.rules.rules().len());
        let memories = remembering.as_ref().map(|one| one.plugins().clone());
        let examination = Examination {
            rules: self.rules,
            baseline: None,
            inputs,
            shape: &Nothing,
            counters,
            dedup: Dedup::ById,
            strictness: Strictness::Tolerant,
            statistics: Statistics::Unwanted,
            findings_bytes_max: FINDINGS_BYTES_MAX,
            times: &times,
            plugins: self.plugins,
            memories: memories.unwrap_or_default(),
            answered: Mutex::default(),
            hash_states: [RandomState::new(), RandomState::new()],
        };
        let mut reporter = Reporter::new(
            (inputs, self.rules),
            (&Nothing, Nothing),
            (Dedup::ById, Strictness::Tolerant),
            (Findings::Learnt, remembering),
        );
        for (path, error) in &self.resolved.faults {
            reporter.unresolved(path.clone(), error);
        }
        let threads = match self.plugins.remember() {
            // They are asked about the records in their order, which only one thread sees.
            true => 1,
            false => threads(self.threads),
        };
        let mut reporter = drive(&examination, reporter, threads, &progress, |_| {
            let words = "interrupted: the inputs were not read to their end";
            let _ = write!(io::stderr(), "{words}\n{lost}");
            Exit::Interrupted
        });
        reporter.finish_remembering();
        reporter.note_state();
        let text = of_records(&reporter.accounting, &self.color.palette(&io::stderr()));
        // If standard error is closed, nobody wants to know.
        let _ = io::stderr().write_all(text.as_bytes());
        let exit = match reporter.unread {
            false => {
                reporter.save_state()?;
                Exit::Success
            }
            true => {
                // What could not be read may be read another time, and then what was read would count twice.
                let _ = write!(io::stderr(), "{lost}");
                Exit::Fault
            }
        };
        Ok(Read {
            records: reporter.insights(),
            explained: reporter.explained(),
            exit,
            state: reporter.accounting.state.take(),
        })
    }
}

/// Findings are not asked for.
struct Nothing;

impl Shape for Nothing {
    type Shaped = ();
    fn shape(&self, _: &Sighting<'_>) {}
    fn bytes((): &()) -> usize {
        0
    }
}

impl Outlet for Nothing {
    type Shape = Self;
    fn finding(&mut self, _: &Placed<'_>, (): ()) {}
}
