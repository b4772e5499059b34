//! One run over inputs: threads, ordered stage, progress, interruption.
//!
//! What a scan and a backtest have in common. Both say what is wanted; nothing here knows what becomes of findings.

use super::examine::Examination;
use super::outlet::Outlet;
use super::progress::{Counters, Progress, Wanted};
use super::report::Reporter;
use crate::exit::Exit;
use crate::input::resolve::Input;
use crate::pipeline::{Flow, Workload, run as run_pipeline};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tripline_core::limits::EVENT_BYTES_MAX;

/// Goes through all inputs. When a person wants an end, `interrupted` has the last word and the process ends.
pub(crate) fn drive<'r, O: Outlet>(
    examination: &Examination<'r, O::Shape>,
    reporter: Reporter<'r, O>,
    threads: usize,
    progress: &Progress,
    interrupted: impl Fn(&mut Reporter<'r, O>) -> Exit,
) -> Reporter<'r, O> {
    let sink = Mutex::new(reporter);
    let asked = interruptions();
    let workload = Workload {
        inputs: examination.inputs,
        threads,
        record_bytes_max: EVENT_BYTES_MAX,
        bytes_read: examination.counters.bytes.clone(),
    };
    run_pipeline(
        workload,
        || examination.examiner(),
        &sink,
        || {
            progress.update();
            if asked.load(Ordering::Relaxed) {
                // A thread may be waiting for input that never comes; nobody waits for it.
                let mut reporter = sink.lock().unwrap_or_else(PoisonError::into_inner);
                progress.finish();
                let exit = interrupted(&mut reporter);
                std::process::exit(i32::from(exit.code()));
            }
            Flow::Continue
        },
    );
    progress.finish();
    let mut reporter = sink.into_inner().unwrap_or_else(PoisonError::into_inner);
    reporter.close_unfinished();
    reporter
}

/// Threads that evaluate: as many as asked for, or all cores.
pub(crate) fn threads(wanted: Option<u16>) -> usize {
    match wanted {
        Some(threads) => usize::from(threads),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// The progress of a run over these inputs.
pub(crate) fn progress(wanted: Wanted, inputs: &[Input], counters: &Counters) -> Progress {
    let bytes = inputs.iter().map(|input| input.bytes).sum::<Option<u64>>();
    Progress::start(wanted, bytes, counters.clone())
}

/// Set by Ctrl-C or a polite request to end, of which a second one ends the process at once, and by the terminal's being
/// closed, of which the process may be told twice. Who started it with `nohup` wants it to go on then.
fn interruptions() -> Arc<AtomicBool> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // Without handlers the scan still works, only without a summary at the end.
        let again = Arc::clone(&interrupted);
        let code = i32::from(Exit::Interrupted.code());
        let _ = signal_hook::flag::register_conditional_shutdown(signal, code, again);
        let _ = signal_hook::flag::register(signal, Arc::clone(&interrupted));
    }
    #[cfg(unix)]
    if !ignores_hangups() {
        let hangup = signal_hook::consts::SIGHUP;
        let _ = signal_hook::flag::register(hangup, Arc::clone(&interrupted));
    }
    interrupted
}

/// Whether this process was started so that it ignores SIGHUP. Where the system does not say, it was not.
#[cfg(unix)]
fn ignores_hangups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores(&status, signal_hook::consts::SIGHUP)
}

/// Whether the signals that are ignored, a mask in hexadecimal digits, have this one.
#[cfg(unix)]
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(all(test, unix))]
mod tests {
    use super::ignores;

    #[test]
    fn ignored_signals_are_read_from_their_mask() {
        let status = |mask: &str| format!("Name:\tx\nSigBlk:\t1\nSigIgn:\t{mask}\nSigCgt:\t1\n");
        assert!(ignores(&status("0000000000000001"), 1));
        assert!(ignores(&status("0000000000001003"), 1));
        assert!(!ignores(&status("0000000000001002"), 1));
        assert!(!ignores(&status("none"), 1));
        assert!(!ignores("", 1));
    }
}
