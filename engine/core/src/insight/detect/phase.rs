//! Which minutes of the hour a series prefers: jobs that run on a schedule.
//!
//! A job at 56 minutes past every hour is nothing unusual at 56 minutes past, and its absence is; twenty calls at any other
//! minute are. The profile counts only when it has predicted better than a flat hour on what came after it was
//! learned, so a series whose calls come in sessions at random minutes never gets one. Must sum to sixty minutes. A
//! profile over all minutes of the day would be 24 times as large; with that of the day's half hours this one serves
//! daily jobs too.

/// Counts by minute of the hour.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Phase {
    pub(super) counts: [f32; 60],
    pub(super) total: f32,
    /// How much better the profile did than a flat hour: a log likelihood ratio, decayed by day.
    pub(super) gain: f32,
    /// Minutes of the hour's expectation before each minute; empty while the hour is taken for flat.
    pub(super) shares: Vec<f32>,
}

/// Prior belief that the hour is flat, in events a minute of the hour.
const PRIOR: f32 = 2.0;
/// More of one minute does not count: one burst must not decide.
const CLIP: f32 = 20.0;
/// Evidence that turns a profile on, and off.
const ON: f32 = 12.0;
const OFF: f32 = 2.0;
const GAIN_MAX: f32 = 200.0;
/// Kept by day of what was counted and gained: a half-life of about two weeks.
const KEPT: f32 = 0.95;

impl Default for Phase {
    fn default() -> Self {
        Self {
            counts: [0.0; 60],
            total: 0.0,
            gain: 0.0,
            shares: Vec::new(),
        }
    }
}

impl Phase {
    fn weight(&self, minute: usize) -> f32 {
        (self.counts[minute] + PRIOR) / (self.total / 60.0 + PRIOR)
    }

    /// Calls of one minute, whose expectation was not known to the profile.
    pub(super) fn add(&mut self, minute: u32, count: f32) {
        let minute = minute as usize % 60;
        let count = count.min(CLIP);
        let gain = count * f32::ln(self.weight(minute));
        self.gain = (self.gain + gain).clamp(-GAIN_MAX, GAIN_MAX);
        self.counts[minute] += count;
        self.total += count;
    }

    /// A day is over. True if the profile went on or off.
    pub(super) fn close_day(&mut self) -> bool {
        for count in &mut self.counts {
            *count *= KEPT;
        }
        self.total = self.counts.iter().sum();
        self.gain *= KEPT;
        let was = self.is_on();
        if self.gain > ON || (was && self.gain > OFF) {
            self.shares.clear();
            let mut sum = 0.0;
            for minute in 0..60 {
                self.shares.push(sum);
                sum += self.weight(minute);
            }
            let scale = 60.0 / sum;
            self.shares.iter_mut().for_each(|share| *share *= scale);
        } else {
            self.shares = Vec::new();
        }
        was != self.is_on()
    }

    pub(super) fn is_on(&self) -> bool {
        !self.shares.is_empty()
    }

    /// How much of the hour's expectation is before a minute of it, in minutes.
    pub(super) fn share(&self, minute: u32) -> f32 {
        self.shares
            .get(minute as usize)
            .copied()
            .unwrap_or(minute as f32)
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.shares.capacity() * size_of::<f32>()
    }
}
