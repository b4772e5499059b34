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

/// Set by Ctrl-C or a polite request to end; a second one ends the process at once.
fn interruptions() -> Arc<AtomicBool> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // Without handlers the scan still works, only without a summary at the end.
        let again = Arc::clone(&interrupted);
        let code = i32::from(Exit::Interrupted.code());
        let _ = signal_hook::flag::register_conditional_shutdown(signal, code, again);
        let _ = signal_hook::flag::register(signal, Arc::clone(&interrupted));
    }
    interrupted
}
