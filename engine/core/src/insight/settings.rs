//! What a rule says, as the detector wants it.

use super::detect::{Detector, Settings, Watch};
use crate::limits::{INSIGHT_SURPRISE_MAX, INSIGHT_SURPRISE_MIN};
use crate::rule::kind::{Alarm, Counted, Direction, Insight};

/// Days of a week.
const DAYS: f64 = 7.0;

/// Lowest surprise that a budget leads to: with few series much of what is surprising by less is their youth.
const BUDGET_SURPRISE_MIN: f64 = 3.0;

/// How the detector is to watch the series of a rule.
pub(super) fn detector_settings(insight: &Insight) -> Settings {
    let rises = matches!(insight.direction, Direction::Up | Direction::Both);
    let falls = matches!(insight.direction, Direction::Down | Direction::Both);
    let shares = insight.value == Counted::ErrorShare;
    Settings {
        watch: Watch {
            up: rises && !shares,
            down: falls && !shares,
            errors: shares,
        },
        threshold: surprise(insight.alarm, 1),
        ..Settings::default()
    }
}

/// A detector that knows nothing yet. Rules are checked when they are read, so that their settings are sound.
pub(super) fn detector(insight: &Insight) -> Detector {
    let made = Detector::new(detector_settings(insight));
    debug_assert!(made.is_ok(), "settings of rules are within bounds");
    made.unwrap_or_default()
}

/// From which surprise on a series is told, when there are so many: each of `series` shows a surprise of `s` on one day in
/// `10^s`, so that `series * 7 / 10^s` false alarms a week are to be expected.
pub(super) fn surprise(alarm: Alarm, series: usize) -> f64 {
    let surprise = match alarm {
        Alarm::Surprise(surprise) => surprise,
        Alarm::FalseAlarmsPerWeek(most) => (DAYS * series.max(1) as f64 / most)
            .log10()
            .max(BUDGET_SURPRISE_MIN),
    };
    surprise.clamp(INSIGHT_SURPRISE_MIN, INSIGHT_SURPRISE_MAX)
}
