//! Times of works, taken in turn, so that what else the machine does falls on all of them alike.

use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::time::Duration;

const SAMPLES: usize = 21;

/// Nanoseconds an event of each of these; each looks at `rows` events.
///
/// How often a work is done within a sample is found beforehand: asking for the time costs as much as looking at a
/// hundred events.
pub(crate) fn in_turn(
    sample: Duration,
    rows: usize,
    works: &mut [&mut dyn FnMut() -> usize],
) -> Vec<f64> {
    let mut calls = Vec::new();
    for work in works.iter_mut() {
        let mut count = 1;
        while time_of(*work, count) < sample / 2 {
            count *= 2;
        }
        calls.push(count);
    }
    let mut samples: Vec<Vec<f64>> = vec![Vec::new(); works.len()];
    for _ in 0..SAMPLES {
        for ((work, calls), samples) in works.iter_mut().zip(&calls).zip(&mut samples) {
            let took = time_of(*work, *calls);
            samples.push(took.as_nanos() as f64 / f64::from(*calls) / rows as f64);
        }
    }
    samples.into_iter().map(median).collect()
}

fn time_of(work: &mut dyn FnMut() -> usize, calls: u32) -> Duration {
    let begun = thread_time();
    for _ in 0..calls {
        black_box(work());
    }
    thread_time() - begun
}

pub(crate) fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
