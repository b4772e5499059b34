//! Time: CPU time of the measuring thread, medians of several passes.
//!
//! Thread CPU time does not count what other processes take; what they do to caches and clock rate remains, so
//! the floor P is measured again beside every figure it is compared with, in turn with it. Rejected:
//! criterion, which takes wall time by default, cannot put two things in turn, and needs thousands of
//! iterations where one pass over the events is what is asked for.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time of this thread so far.
pub(crate) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// How long the work takes on this thread.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = thread_time();
    let result = work();
    (result, thread_time() - start)
}

/// The middle one.
pub(crate) fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    let middle = samples.len() / 2;
    match samples.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => samples[middle],
        _ => (samples[middle - 1] + samples[middle]) / 2.0,
    }
}

/// Something that is done with one event after the other; gives how often something matched.
pub(crate) type Pass<'a> = dyn FnMut(&[u8]) -> usize + 'a;

/// Nanoseconds per event of two passes, measured in turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) nanoseconds: f64,
    pub(crate) floor: f64,
    /// Matches per event.
    pub(crate) matches: f64,
}

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Time one figure may take.
    pub(crate) budget: Duration,
    /// Passes of which the median is taken.
    pub(crate) passes: usize,
}

/// Events after which the floor has its turn: few, so that both meet the same moods of the machine, but so many that what
/// the other left in the caches is soon forgotten.
const STRETCH: usize = 20_000;

/// Measures a pass beside the floor, over as many of the events as the budget allows (all, when it does).
pub(crate) fn measure(
    events: &[Vec<u8>],
    effort: Effort,
    floor: &mut Pass<'_>,
    pass: &mut Pass<'_>,
) -> Pair {
    let count = events_within(events, effort, pass);
    let (mut own, mut floors) = (Vec::new(), Vec::new());
    let mut matches = 0;
    let mut seen = 0;
    for turn in 0..effort.passes {
        // Small counts start elsewhere in each pass, so that one odd event does not decide.
        let start = (turn * count) % (events.len() - count + 1);
        for at in (start..start + count).step_by(STRETCH) {
            let end = (at + STRETCH).min(start + count);
            // The floor runs over at least a few thousand events, else it measures the clock.
            let floor_end = end.max(at + 4000).min(events.len());
            floors.push(nanoseconds(&events[at..floor_end], floor).1);
            let (found, time) = nanoseconds(&events[at..end], pass);
            own.push(time);
            matches += found;
        }
        seen += count;
    }
    Pair {
        nanoseconds: median(own),
        floor: median(floors),
        matches: matches as f64 / seen as f64,
    }
}

fn nanoseconds(events: &[Vec<u8>], pass: &mut Pass<'_>) -> (usize, f64) {
    let (found, time) = timed(|| events.iter().map(|event| pass(event)).sum());
    (found, time.as_nanos() as f64 / events.len() as f64)
}

/// Warms up, and finds how many events one pass may take.
fn events_within(events: &[Vec<u8>], effort: Effort, pass: &mut Pass<'_>) -> usize {
    let share = effort.budget / u32::try_from(effort.passes + 1).unwrap_or(u32::MAX);
    let mut count = 4.min(events.len());
    loop {
        let (_, time) = nanoseconds(&events[..count], pass);
        let possible = share.as_nanos() as f64 / time.max(1.0);
        if count == events.len() {
            return count.min(possible.max(4.0) as usize);
        }
        if possible < (count * 8) as f64 {
            return (possible as usize).clamp(4.min(events.len()), events.len());
        }
        count = (count * 8).min(events.len());
    }
}
