//! Switches off a plugin that traps again and again, and tries it again later.
//!
//! Time is an argument. What counts are batches in a row of which no row at all was answered, each by its rows: a few bad
//! events must not switch off a plugin, since anybody who can write events could then switch off a detector for all
//! others. Any answer in between begins the count anew. While the breaker is open, calls are told when to come again; when
//! that time has come, and for some of the calls before, one is the probe, and the others wait for what becomes of it. So
//! a plugin that was flooded with bad events is back soon after, also where events come faster than time goes by.

use crate::limits::{BREAKER_BACKOFF_MAX, BREAKER_BACKOFF_MIN, BREAKER_TRAPS, BREAKER_WINDOW};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Rows that count as one trap; a batch with fewer counts as a part of one.
pub(crate) const ROWS_OF_A_TRAP: usize = 16;
/// Of the calls that are refused while it is open, one in so many is a probe.
const REFUSED_OF_A_PROBE: u32 = 8;

/// When a plugin is switched off, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// So many traps …
    pub traps: u32,
    /// … within this time.
    pub window: Duration,
    /// How long at first.
    pub backoff_min: Duration,
    /// How long at most; it doubles each time, until the plugin behaves for a whole window.
    pub backoff_max: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            traps: BREAKER_TRAPS,
            window: BREAKER_WINDOW,
            backoff_min: BREAKER_BACKOFF_MIN,
            backoff_max: BREAKER_BACKOFF_MAX,
        }
    }
}

/// Whether a call may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Closed,
    /// It may, and what becomes of it decides for the others.
    Probe,
    /// Not before this time has gone by.
    Open {
        /// From now.
        after: Duration,
    },
}

/// As operators see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// Calls are refused.
    Open,
    /// One call tries.
    Probing,
}

#[derive(Debug)]
enum State {
    Closed,
    Open { until: Duration },
    Probing { since: Duration },
}

#[derive(Debug)]
struct Inner {
    state: State,
    /// When, and rows.
    trapped: VecDeque<(Duration, usize)>,
    /// Calls refused since it opened.
    refused: u32,
    backoff: Duration,
    closed: Duration,
    opened: u64,
}

/// The breaker of one plugin. Times are since a start that is always the same.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    inner: Mutex<Inner>,
}

impl Breaker {
    /// Closed.
    pub fn new(settings: BreakerSettings) -> Self {
        let inner = Inner {
            state: State::Closed,
            trapped: VecDeque::new(),
            refused: 0,
            backoff: settings.backoff_min,
            closed: Duration::ZERO,
            opened: 0,
        };
        Self {
            settings,
            inner: Mutex::new(inner),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks before a call.
    pub fn admit(&self, now: Duration) -> Admission {
        let mut inner = self.lock();
        let is_open = matches!(inner.state, State::Open { .. });
        let open_until = match inner.state {
            State::Closed => return Admission::Closed,
            State::Open { until } => until,
            // A probe that never tells, because its thread died, must not keep the plugin off for good.
            State::Probing { since } => since + self.settings.backoff_min,
        };
        if now < open_until {
            inner.refused += 1;
            if !is_open || !inner.refused.is_multiple_of(REFUSED_OF_A_PROBE) {
                let after = open_until - now;
                return Admission::Open { after };
            }
        }
        inner.state = State::Probing { since: now };
        Admission::Probe
    }

    /// Tells that a call was answered, or failed in a way that says nothing against the plugin.
    pub fn answered(&self, admitted: Admission, now: Duration) {
        match admitted {
            // Its next traps are counted from none; the wait stays as long as it was until it behaves for a window.
            Admission::Probe => {
                let mut inner = self.lock();
                inner.state = State::Closed;
                inner.closed = now;
            }
            Admission::Closed => self.lock().trapped.clear(),
            Admission::Open { .. } => {}
        }
    }

    /// Tells that a call about so many rows trapped or took too long, for all of them.
    pub fn trapped(&self, admitted: Admission, now: Duration, rows: usize) {
        let mut inner = self.lock();
        if admitted == Admission::Probe {
            inner.open(now, self.settings.backoff_max);
            return;
        }
        if !matches!(inner.state, State::Closed) {
            // A call that began before the breaker opened.
            return;
        }
        let window = self.settings.window;
        while inner
            .trapped
            .front()
            .is_some_and(|(first, _)| *first + window < now)
        {
            inner.trapped.pop_front();
        }
        if inner.trapped.is_empty() && inner.closed + window < now {
            // It has behaved for a whole window: what it did before is forgotten.
            inner.backoff = self.settings.backoff_min;
        }
        inner
            .trapped
            .push_back((now, rows.clamp(1, ROWS_OF_A_TRAP)));
        let rows: usize = inner.trapped.iter().map(|(_, rows)| rows).sum();
        if rows >= self.settings.traps as usize * ROWS_OF_A_TRAP {
            inner.open(now, self.settings.backoff_max);
        }
    }

    /// What it does now.
    pub fn state(&self) -> BreakerState {
        match self.lock().state {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::Probing { .. } => BreakerState::Probing,
        }
    }

    /// How often it opened.
    pub fn opened(&self) -> u64 {
        self.lock().opened
    }
}

impl Inner {
    /// The next time will be longer, unless it behaves in between.
    fn open(&mut self, now: Duration, backoff_max: Duration) {
        self.trapped.clear();
        self.refused = 0;
        self.opened += 1;
        self.state = State::Open {
            until: now + self.backoff,
        };
        self.backoff = self.backoff.saturating_mul(2).min(backoff_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn trap(breaker: &Breaker, seconds: u64) -> Admission {
        let admitted = breaker.admit(at(seconds));
        breaker.trapped(admitted, at(seconds), 256);
        admitted
    }

    fn traps(breaker: &Breaker, seconds: std::ops::Range<u64>) {
        for second in seconds {
            trap(breaker, second);
        }
    }

    #[test]
    fn five_traps_in_a_minute_open_it() {
        let breaker = Breaker::new(BreakerSettings::default());
        for second in 0..5 {
            assert_eq!(trap(&breaker, second), Admission::Closed);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        let after = at(9);
        assert_eq!(breaker.admit(at(5)), Admission::Open { after });
    }

    #[test]
    fn four_a_minute_do_not() {
        let breaker = Breaker::new(BreakerSettings::default());
        for round in 0..100 {
            assert_eq!(trap(&breaker, round * 16), Admission::Closed);
        }
        assert_eq!(breaker.opened(), 0);
    }

    #[test]
    fn one_probe_at_a_time() {
        let breaker = Breaker::new(BreakerSettings::default());
        traps(&breaker, 0..5);
        assert_eq!(breaker.admit(at(14)), Admission::Probe);
        let after = at(10);
        assert_eq!(breaker.admit(at(14)), Admission::Open { after });
        breaker.answered(Admission::Probe, at(15));
        assert_eq!(breaker.admit(at(15)), Admission::Closed);
    }

    #[test]
    fn each_failed_probe_doubles_the_wait_up_to_an_hour() {
        let breaker = Breaker::new(BreakerSettings::default());
        traps(&breaker, 0..5);
        let mut now = at(4);
        let mut waits = Vec::new();
        for _ in 0..12 {
            let Admission::Open { after } = breaker.admit(now) else {
                panic!("open at {now:?}");
            };
            waits.push(after.as_secs());
            now += after;
            assert_eq!(breaker.admit(now), Admission::Probe);
            breaker.trapped(Admission::Probe, now, 256);
        }
        assert_eq!(
            waits,
            [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]
        );
    }

    #[test]
    fn who_passes_the_probe_and_traps_again_waits_longer() {
        let breaker = Breaker::new(BreakerSettings::default());
        traps(&breaker, 0..5);
        assert_eq!(breaker.admit(at(14)), Admission::Probe);
        breaker.answered(Admission::Probe, at(14));
        traps(&breaker, 15..20);
        let after = at(20);
        assert_eq!(breaker.admit(at(19)), Admission::Open { after });
        // A minute of good behaviour is enough.
        assert_eq!(breaker.admit(at(40)), Admission::Probe);
        breaker.answered(Admission::Probe, at(40));
        traps(&breaker, 101..106);
        let after = at(10);
        assert_eq!(breaker.admit(at(105)), Admission::Open { after });
    }

    #[test]
    fn a_probe_that_never_tells_is_replaced() {
        let breaker = Breaker::new(BreakerSettings::default());
        traps(&breaker, 0..5);
        assert_eq!(breaker.admit(at(14)), Admission::Probe);
        assert_eq!(breaker.admit(at(24)), Admission::Probe);
    }

    #[test]
    fn calls_from_before_it_opened_change_nothing() {
        let breaker = Breaker::new(BreakerSettings::default());
        let early = breaker.admit(at(0));
        traps(&breaker, 0..5);
        breaker.trapped(early, at(5), 256);
        breaker.answered(early, at(6));
        assert_eq!(breaker.state(), BreakerState::Open);
        assert_eq!(breaker.opened(), 1);
    }

    #[test]
    fn a_few_bad_events_do_not_open_it() {
        let breaker = Breaker::new(BreakerSettings::default());
        for _ in 0..79 {
            let admitted = breaker.admit(at(1));
            breaker.trapped(admitted, at(1), 1);
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        breaker.answered(breaker.admit(at(1)), at(1));
        for _ in 0..79 {
            let admitted = breaker.admit(at(1));
            breaker.trapped(admitted, at(1), 1);
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        breaker.trapped(breaker.admit(at(1)), at(1), 1);
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn some_of_many_calls_are_probes_before_the_time() {
        let breaker = Breaker::new(BreakerSettings::default());
        traps(&breaker, 0..5);
        let calls = (0..8).map(|_| breaker.admit(at(5)));
        let probes = calls.filter(|admitted| *admitted == Admission::Probe);
        assert_eq!(probes.count(), 1);
        breaker.answered(Admission::Probe, at(5));
        assert_eq!(breaker.admit(at(5)), Admission::Closed);
    }
}
