//! The threads: some that do what is due, one that signs checkpoints and looks at the file that switches everything off.

use super::Remediation;
use super::telling::Telling;
use crate::causes::with_causes;
use crate::config::RemediationConfig;
use crate::serve::{Assignment, Partitions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Scope;
use std::time::{Duration, Instant};
use tripline_core::port::Ledger;
use tripline_remediation::engine::{EngineFault, Outside, Turn};
use tripline_remediation::journal::Scope as Stops;

/// How often the file that switches everything off is looked for. What it stops is stopped within twice this.
const LOOKS_EVERY: Duration = Duration::from_millis(40);

/// Nobody sleeps longer: somebody may have turned the clock.
const SLEEPS: Duration = Duration::from_millis(250);

/// Who turned a switch by the file.
const BY_FILE: &str = "kill file";

/// How long it is waited for what others append, before it is looked whether this process is over.
const FOLLOWS_FOR: Duration = Duration::from_millis(100);

/// How often it is looked who is to act, and how long somebody else may be the one after a fault.
const ASKS_EVERY: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_secs(10);

/// How long what is under way may take when the process is to end: others take it over then.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// How a process is among those that share the work.
pub(crate) struct Among<'s> {
    pub(crate) partitions: &'s Partitions,
    pub(crate) assignment: &'s Assignment,
    /// What the processes keep together beside their journal; none when there is one process.
    pub(crate) ledger: Option<Arc<dyn Ledger>>,
    /// Set when others may know that this process is gone: what it had under way is over.
    pub(crate) is_silent: &'s AtomicBool,
}

/// Starts the threads.
pub(crate) fn start<'s>(
    scope: &'s Scope<'s, '_>,
    (engine, among): (&'s Remediation, Among<'s>),
    (config, folder): (&'s RemediationConfig, &Path),
    is_gone: &'s AtomicBool,
) {
    let Among {
        partitions,
        assignment,
        ledger,
        is_silent,
    } = among;
    // Before anything can begin, and before others hear that this process may act.
    look(engine, assignment, &config.kill_file);
    if ledger.is_some() {
        scope.spawn(move || follow(engine, is_silent));
        scope.spawn(move || {
            act(engine, assignment, is_gone);
            end(engine);
            is_silent.store(true, Ordering::Relaxed);
        });
    }
    let telling = Telling::new(folder.to_owned(), partitions.clone(), ledger);
    scope.spawn(move || {
        while !is_gone.load(Ordering::Relaxed) {
            let rung = engine.rung();
            telling.tell(engine);
            engine.wait(rung, SLEEPS);
        }
        telling.tell(engine);
    });
    for _ in 0..config.threads.max(1) {
        scope.spawn(move || work(engine, is_gone));
    }
    // What is noted and signed may wait for the disk, or for servers.
    scope.spawn(move || {
        while !is_gone.load(Ordering::Relaxed) {
            std::thread::sleep(LOOKS_EVERY);
            look(engine, assignment, &config.kill_file);
        }
    });
    scope.spawn(move || watch(engine, assignment, config, is_gone));
}

/// Takes in what others append, until the process is over.
fn follow(engine: &Remediation, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        if let Err(fault) = engine.follow(FOLLOWS_FOR) {
            let words = "nothing is done by this process any more until it starts again";
            tracing::error!(
                fault = with_causes(&fault),
                words,
                "the journal that the processes share cannot be followed"
            );
            return;
        }
    }
}

/// Sees to it that one of the processes acts, and says which.
fn act(engine: &Remediation, assignment: &Assignment, is_gone: &AtomicBool) {
    let mut looks_at = Instant::now();
    let mut paused: Option<String> = None;
    while !is_gone.load(Ordering::Relaxed) {
        let Some(standing) = engine.standing() else {
            return;
        };
        if standing.paused != paused {
            match &standing.paused {
                Some(why) => tracing::warn!(why, "actions are paused"),
                None => tracing::info!("actions go on"),
            }
            paused.clone_from(&standing.paused);
        }
        // Whoever cannot reach the servers is silent by itself.
        let may_act = !standing.has_failed && Instant::now() >= looks_at;
        assignment.tell(|words| {
            words.may_act = may_act;
            words.acts = may_act && standing.acts;
        });
        if !standing.acts && may_act && assignment.is_to_act() {
            match engine.take_over() {
                Ok(true) => tracing::info!(epoch = standing.epoch + 1, "this process acts"),
                Ok(false) => {}
                Err(fault) => {
                    looks_at = Instant::now() + PAUSE;
                    tracing::error!(fault = with_causes(&fault), "this process cannot act");
                }
            }
        }
        std::thread::sleep(ASKS_EVERY);
    }
}

/// Finishes what is under way, so that nobody has to look for it.
fn end(engine: &Remediation) {
    engine.lay_down();
    let begun = Instant::now();
    while !engine.is_idle() && begun.elapsed() < ENDS_WITHIN {
        std::thread::sleep(ASKS_EVERY);
    }
    engine.end();
}

fn work(engine: &Remediation, is_gone: &AtomicBool) {
    while !is_gone.load(Ordering::Relaxed) {
        let rung = engine.rung();
        match engine.turn() {
            Ok(Turn::Worked) => {}
            Ok(Turn::IdleUntil(at)) => {
                let left = at.saturating_sub(engine.outside().now()).max(0);
                let left = Duration::from_micros(left as u64).min(SLEEPS);
                engine.wait(rung, left);
            }
            Ok(Turn::Idle) => engine.wait(rung, SLEEPS),
            // The process ends.
            Err(EngineFault::Unreachable(_)) => engine.wait(rung, SLEEPS),
            Err(EngineFault::Journal(fault)) => {
                let words = "nothing is done any more until the service starts again";
                tracing::error!(
                    fault = with_causes(&fault),
                    words,
                    "journal of remediation failed"
                );
                return;
            }
            Err(fault) => {
                tracing::error!(fault = with_causes(&fault), "action");
                engine.wait(rung, SLEEPS);
            }
        }
    }
}

/// Whether the file is there. When that cannot be known it is.
fn is_there(path: &str) -> bool {
    Path::new(path).try_exists().unwrap_or(true)
}

/// Stops everything while the file is there: where it is, here or where another process is. Waits for nobody.
fn look(engine: &Remediation, assignment: &Assignment, path: &str) -> Option<String> {
    let is_here = !path.is_empty() && is_there(path);
    assignment.tell(|words| words.is_killed = is_here);
    let place = match is_here {
        true => Some(path.to_owned()),
        false => assignment.killed_elsewhere(),
    };
    engine.kill(place.is_some());
    place
}

/// Notes when the file comes or goes: whoever acts does, for all.
fn note(engine: &Remediation, assignment: &Assignment, path: &str) {
    let place = look(engine, assignment, path);
    let is_there = place.is_some();
    if !engine.acts() {
        return;
    }
    // As the journal has it, which may be of a process that ended before the file was gone.
    let was_there = engine.book().off().contains_key(&Stops::KillFile);
    if is_there == was_there {
        return;
    }
    let reason = match place {
        Some(place) => format!("{place} is there"),
        None => "the kill file is gone, wherever it was".to_owned(),
    };
    match engine.switch(Stops::KillFile, is_there, BY_FILE, &reason) {
        Ok(()) => tracing::warn!(reason, "remediation switched"),
        Err(fault) => tracing::error!(fault = with_causes(&fault), "switch"),
    }
    engine.ring();
}

fn watch(
    engine: &Remediation,
    assignment: &Assignment,
    config: &RemediationConfig,
    is_gone: &AtomicBool,
) {
    let mut signed = Instant::now();
    while !is_gone.load(Ordering::Relaxed) {
        std::thread::sleep(LOOKS_EVERY);
        note(engine, assignment, &config.kill_file);
        // Each keeps a copy of what any signs.
        for signed in engine.take_checkpoints() {
            keep_copy(config, &signed.line());
        }
        if signed.elapsed() >= config.checkpoint_every.duration() {
            signed = Instant::now();
            let inventory = engine.shadow().inventory();
            engine.book().set_inventory(inventory);
            match engine.checkpoint() {
                Ok(Some(line)) if !assignment.is_shared() => keep_copy(config, &line),
                Ok(_) => {}
                Err(fault) => tracing::error!(fault = with_causes(&fault), "checkpoint"),
            }
        }
    }
}

/// Keeps a copy of a checkpoint where the configuration says, if it does.
fn keep_copy(config: &RemediationConfig, line: &str) {
    let path = &config.checkpoints_file;
    if path.is_empty() {
        return;
    }
    if let Err(fault) = append(Path::new(path), line) {
        tracing::error!(path, %fault, "a copy of a checkpoint is not kept");
    }
}

/// Appends a line to a file of checkpoints.
pub(crate) fn append(path: &Path, line: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?;
    file.write_all(line.as_bytes())?;
    file.sync_all()
}
