//! Findings in files with the events that they cite, as a service would hand them to policies.

use super::CommandError;
use crate::exit::Exit;
use crate::input::resolve::{Input, Resolved, resolve};
use crate::output::Sighting;
use crate::output::summary::of_records;
use crate::plugins::Plugins;
use crate::rule_files::RuleArguments;
use crate::rule_loading::{Loaded, today_of};
use crate::scan::drive::{drive, progress, threads};
use crate::scan::examine::{Dedup, Examination, FINDINGS_BYTES_MAX};
use crate::scan::outlet::{Outlet, Placed, Shape};
use crate::scan::progress::{Counters, Wanted};
use crate::scan::remember::{Arrival, Remembering};
use crate::scan::report::{Findings, Reporter, Strictness};
use crate::scan::statistics::{RuleTimes, Statistics};
use crate::terminal::ColorChoice;
use jiff::Timestamp;
use std::hash::RandomState;
use std::io::{self, Write};
use std::sync::Mutex;
use tripline_core::limits::STATE_BYTES_DEFAULT;
use tripline_core::wire::{Finding, PluginMemories};

/// Findings that are gathered at most: beyond it a part would look like the whole.
const FINDINGS_MAX: usize = 1_000_000;

/// A finding and its event.
pub(super) type Sighted = (Finding, Vec<u8>);

/// Finds what rules find in files, in the order of the events' times. How the reading ended.
pub(super) fn gather(
    inputs: &[String],
    rules: &RuleArguments,
    wanted: &(dyn Fn(&Finding) -> bool + Sync),
    color: ColorChoice,
) -> Result<(Vec<Sighted>, Exit), CommandError> {
    let resolved: Resolved = resolve(inputs)?;
    let now = Timestamp::now();
    let catalog = rules.load(Vec::new(), today_of(now))?;
    let compiled = Loaded { catalog }.compile_and_tell(color);
    let set = &compiled.rules;
    let started = rules.plugins.start(set.plugins())?;
    let plugins: Plugins<'_> = started.asked();
    let files: &[Input] = &resolved.inputs;
    let counters = Counters::default();
    let progress = progress(Wanted::WhenTerminal, files, &counters);
    let (dedup, strictness) = (Dedup::ById, Strictness::Tolerant);
    let shape = Keeping { wanted };
    let times = RuleTimes::new(set.rules().len());
    let examination = Examination {
        rules: set,
        baseline: None,
        inputs: files,
        shape: &shape,
        counters,
        dedup,
        strictness,
        statistics: Statistics::Unwanted,
        findings_bytes_max: FINDINGS_BYTES_MAX,
        times: &times,
        plugins: &plugins,
        memories: PluginMemories::new(),
        answered: Mutex::default(),
        hash_states: [RandomState::new(), RandomState::new()],
    };
    let how = (Arrival::Archive, Findings::Shown, STATE_BYTES_DEFAULT);
    let remembering = Remembering::fresh((set, &plugins), how, now, None);
    let mut reporter = Reporter::new(
        (files, set),
        (&shape, Keeper::default()),
        (dedup, strictness),
        (Findings::Shown, remembering),
    );
    for (path, error) in &resolved.faults {
        reporter.unresolved(path.clone(), error);
    }
    let mut reporter = drive(&examination, reporter, threads(None), &progress, |_| {
        let words = "interrupted: the inputs were not read to their end";
        let _ = writeln!(io::stderr(), "{words}");
        Exit::Interrupted
    });
    reporter.finish_remembering();
    reporter.note_state();
    let palette = color.palette(&io::stderr());
    let text = of_records(&reporter.accounting, &palette);
    // If standard error is closed, nobody wants to know.
    let _ = io::stderr().write_all(text.as_bytes());
    let exit = if reporter.unread {
        Exit::Fault
    } else {
        Exit::Success
    };
    let mut found = std::mem::take(&mut reporter.outlet.found);
    if found.len() > FINDINGS_MAX {
        return Err(CommandError::Usage(format!(
            "more than {FINDINGS_MAX} findings of rules that policies answer; give fewer files"
        )));
    }
    found.sort_by(|one, other| {
        let time = |one: &Sighted| one.0.event_time.clone().unwrap_or_default();
        (time(one), &one.0.finding_id).cmp(&(time(other), &other.0.finding_id))
    });
    Ok((found, exit))
}

struct Keeping<'w> {
    wanted: &'w (dyn Fn(&Finding) -> bool + Sync),
}

impl Shape for Keeping<'_> {
    type Shaped = Option<Box<Sighted>>;

    fn shape(&self, sighting: &Sighting<'_>) -> Self::Shaped {
        (self.wanted)(sighting.finding)
            .then(|| Box::new((sighting.finding.clone(), sighting.event.raw().to_vec())))
    }

    fn bytes(shaped: &Self::Shaped) -> usize {
        shaped.as_ref().map_or(0, |one| one.1.capacity() + 1_024)
    }
}

#[derive(Default)]
struct Keeper<'w> {
    found: Vec<Sighted>,
    shape: std::marker::PhantomData<&'w ()>,
}

impl<'w> Outlet for Keeper<'w> {
    type Shape = Keeping<'w>;

    fn finding(&mut self, _: &Placed<'_>, shaped: Option<Box<Sighted>>) {
        if self.found.len() <= FINDINGS_MAX {
            self.found.extend(shaped.map(|one| *one));
        }
    }
}
