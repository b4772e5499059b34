//! What a set of series is watched for.
//!
//! Relies on nothing. A `Settings` that was not validated must never reach a detector, so the fields can only be read by it
//! after [`Settings::validate`]. Every number has a default that was measured, because nobody can guess them.

use thiserror::Error;

/// Windows that a detector may look at.
pub(super) const WINDOWS_MAX: usize = 6;
/// The longest of them, in minutes: what [`super::windows`] remembers.
const WINDOW_LONGEST: u32 = 480;

/// Which kinds of unusual activity matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// More calls than expected.
    pub up: bool,
    /// Fewer calls than expected.
    pub down: bool,
    /// More errors than the calls explain.
    pub errors: bool,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            up: true,
            down: true,
            errors: true,
        }
    }
}

/// What a set of series is watched for, and how patiently.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Which kinds matter.
    pub watch: Watch,
    /// S* at which an insight opens: the chance of one on a day, of one series, is 10^-threshold.
    pub threshold: f64,
    /// Complete quiet minutes after which an insight ends.
    pub close_after: u32,
    /// Minutes after which what was unusual is the rule.
    pub absorb_after: u32,
    /// Lengths of windows in minutes, rising: up to 15, or multiples of 5 up to 480.
    pub windows: Vec<u32>,
    /// Minutes from the first event of a series during which nothing is said about it: a day, as three or seven were no
    /// better on labelled series. For missing calls a week is added to it.
    pub warm_up: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            watch: Watch::default(),
            threshold: 3.0,
            close_after: 15,
            absorb_after: 1440,
            windows: vec![1, 5, 15, 60, 240, 480],
            warm_up: 1440,
        }
    }
}

/// What is wrong with settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SettingsFault {
    /// No windows, or too many.
    #[error("between one and six windows are possible")]
    Windows,
    /// A window of this length cannot be kept.
    #[error("a window is of 1 to 15 minutes, or of a multiple of 5 up to 480, not of {0}")]
    Window(u32),
    /// Windows are not in rising order.
    #[error("windows must rise")]
    Order,
    /// The threshold is no number between 0.5 and 100.
    #[error("a threshold lies between 0.5 and 100")]
    Threshold,
    /// A time is zero, or longer than thirty days.
    #[error("times lie between one minute and thirty days")]
    Time,
}

impl Settings {
    /// Nothing if they can be used.
    pub fn validate(&self) -> Result<(), SettingsFault> {
        if self.windows.is_empty() || self.windows.len() > WINDOWS_MAX {
            return Err(SettingsFault::Windows);
        }
        for window in &self.windows {
            let short = (1..=15).contains(window);
            let long = window.is_multiple_of(5) && (20..=WINDOW_LONGEST).contains(window);
            if !short && !long {
                return Err(SettingsFault::Window(*window));
            }
        }
        if self.windows.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(SettingsFault::Order);
        }
        if !(0.5..=100.0).contains(&self.threshold) {
            return Err(SettingsFault::Threshold);
        }
        let times = [self.close_after, self.absorb_after];
        let month = 30 * 1440;
        if times.iter().any(|time| !(1..=month).contains(time)) || self.warm_up > month {
            return Err(SettingsFault::Time);
        }
        Ok(())
    }
}
