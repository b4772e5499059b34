//! The threads: some that do what is due, one that signs checkpoints and looks at the file that switches everything off.

use super::Remediation;
use super::telling::Telling;
use crate::causes::with_causes;
use crate::config::RemediationConfig;
use crate::serve::Partitions;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Scope;
use std::time::{Duration, Instant};
use tripline_remediation::engine::{EngineFault, Outside, Turn};
use tripline_remediation::journal::Scope as Stops;

/// How often the file that switches everything off is looked for. What it stops is stopped within twice this.
const LOOKS_EVERY: Duration = Duration::from_millis(40);

/// Nobody sleeps longer: somebody may have turned the clock.
const SLEEPS: Duration = Duration::from_millis(250);

/// Who turned a switch by the file.
const BY_FILE: &str = "kill file";

/// Starts the threads.
pub(crate) fn start<'s>(
    scope: &'s Scope<'s, '_>,
    (engine, partitions): (&'s Remediation, &Partitions),
    (config, folder): (&'s RemediationConfig, &Path),
    is_gone: &'s AtomicBool,
) {
    let telling = Telling::new(folder.to_owned(), partitions.clone());
    scope.spawn(move || {
        while !is_gone.load(Ordering::Relaxed) {
            let rung = engine.rung();
            telling.tell(engine);
            engine.wait(rung, SLEEPS);
        }
        telling.tell(engine);
    });
    // Before anything can begin.
    look(engine, &config.kill_file);
    for _ in 0..config.threads.max(1) {
        scope.spawn(move || work(engine, is_gone));
    }
    scope.spawn(move || watch(engine, config, is_gone));
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

/// Stops everything while the file is there, and notes when that changes.
fn look(engine: &Remediation, path: &str) {
    let is_there = !path.is_empty() && is_there(path);
    engine.kill(is_there);
    // As the journal has it, which may be of a process that ended before the file was gone.
    let was_there = engine.book().off().contains_key(&Stops::KillFile);
    if is_there == was_there {
        return;
    }
    let word = if is_there { "there" } else { "gone" };
    let reason = format!("{path} is {word}");
    match engine.switch(Stops::KillFile, is_there, BY_FILE, &reason) {
        Ok(()) => tracing::warn!(reason, "remediation switched"),
        Err(fault) => tracing::error!(fault = with_causes(&fault), "switch"),
    }
    engine.ring();
}

fn watch(engine: &Remediation, config: &RemediationConfig, is_gone: &AtomicBool) {
    let mut signed = Instant::now();
    while !is_gone.load(Ordering::Relaxed) {
        std::thread::sleep(LOOKS_EVERY);
        look(engine, &config.kill_file);
        if signed.elapsed() >= config.checkpoint_every.duration() {
            signed = Instant::now();
            let inventory = engine.shadow().inventory();
            engine.book().set_inventory(inventory);
            match engine.checkpoint() {
                Ok(Some(line)) if !config.checkpoints_file.is_empty() => {
                    if let Err(fault) = append(Path::new(&config.checkpoints_file), &line) {
                        let path = &config.checkpoints_file;
                        tracing::error!(path, %fault, "a copy of a checkpoint is not kept");
                    }
                }
                Ok(_) => {}
                Err(fault) => tracing::error!(fault = with_causes(&fault), "checkpoint"),
            }
        }
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
