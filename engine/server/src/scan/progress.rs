//! The progress bar: bytes, events a second, findings.
//!
//! Only on a terminal; drawn on standard error, and taken away while findings are written to the same
//! terminal. Reads counters that others write; never slows them.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::terminal::{counted, grouped};

/// How far a run has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) bytes: Arc<AtomicU64>,
    pub(crate) events: Arc<AtomicU64>,
    pub(crate) findings: Arc<AtomicU64>,
}

/// Whether a bar is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    WhenTerminal,
    Never,
}

/// A bar, or none.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    counters: Counters,
    started: Instant,
}

impl Progress {
    /// A bar over `bytes` bytes (unknown without) when standard error is a terminal.
    pub(crate) fn start(wanted: Wanted, bytes: Option<u64>, counters: Counters) -> Self {
        let shown = wanted == Wanted::WhenTerminal && std::io::stderr().is_terminal();
        let bar = shown.then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(10);
            let bar = ProgressBar::with_draw_target(bytes, target);
            let template = match bytes {
                Some(_) => "{bar:30} {bytes}/{total_bytes} {msg}",
                None => "{spinner} {bytes} {msg}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        Self {
            bar,
            counters,
            started: Instant::now(),
        }
    }

    /// Draws the state of affairs.
    pub(crate) fn update(&self) {
        let Some(bar) = &self.bar else { return };
        let events = self.counters.events.load(Ordering::Relaxed);
        let findings = self.counters.findings.load(Ordering::Relaxed);
        let seconds = self
            .started
            .elapsed()
            .max(Duration::from_millis(1))
            .as_secs_f64();
        let rate = (events as f64 / seconds) as u64;
        bar.set_position(self.counters.bytes.load(Ordering::Relaxed));
        bar.set_message(format!(
            "{} events/s, {}",
            grouped(rate),
            counted(findings, "finding")
        ));
    }

    /// Runs `write` with the bar out of the way.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Takes the bar away for good.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
