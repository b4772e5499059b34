//! What a series of requests came to.

use std::time::Duration;

/// Events a second, and how long acknowledgements took, in milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) events: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Figures {
    /// Of requests of so many events each.
    pub(crate) fn new(whole: Duration, mut times: Vec<Duration>, batch: usize) -> Self {
        times.sort();
        let at =
            |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1000.0;
        Self {
            events: (times.len() * batch) as f64 / whole.as_secs_f64(),
            p50: at(0.5),
            p99: at(0.99),
        }
    }
}

/// The middle one of several.
pub(crate) fn median(all: impl IntoIterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = all.into_iter().collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Medians of each figure.
pub(crate) fn medians(all: &[Figures]) -> Figures {
    Figures {
        events: median(all.iter().map(|one| one.events)),
        p50: median(all.iter().map(|one| one.p50)),
        p99: median(all.iter().map(|one| one.p99)),
    }
}
