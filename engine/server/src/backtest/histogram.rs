//! Findings over time as a line of bars, fitted to a width.

use jiff::Timestamp;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Lengths of a bar with their names; longer ones are so many days.
const UNITS: [(i64, &str); 7] = [
    (HOUR, "hour"),
    (3 * HOUR, "3 hours"),
    (6 * HOUR, "6 hours"),
    (12 * HOUR, "12 hours"),
    (DAY, "day"),
    (7 * DAY, "week"),
    (28 * DAY, "4 weeks"),
];

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The bars of all rules: where the first begins, how long each is and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    start: i64,
    unit: i64,
    pub(crate) bars: usize,
}

impl Axis {
    /// The finest axis from the first to the last second that has at most `width` bars.
    pub(crate) fn fit(first: i64, last: i64, width: usize) -> Self {
        let named = UNITS.iter().map(|(unit, _)| *unit);
        let longer = (1..=40).map(|power| (28 * DAY).saturating_mul(1 << power));
        let width = width.max(1) as i64;
        for unit in named.chain(longer) {
            let start = first.div_euclid(unit) * unit;
            let bars = (last - start) / unit + 1;
            if bars <= width {
                return Self {
                    start,
                    unit,
                    bars: bars as usize,
                };
            }
        }
        // One bar cannot begin at a whole unit when times lie on both sides of 1970.
        Self {
            start: first,
            unit: last.saturating_sub(first).saturating_add(1),
            bars: 1,
        }
    }

    /// The bar that a second falls into.
    pub(crate) fn bar(&self, second: i64) -> usize {
        let bar = (second - self.start).div_euclid(self.unit).max(0) as usize;
        bar.min(self.bars - 1)
    }

    /// `by hour from 2024-01-02T03:00Z`.
    pub(crate) fn words(&self) -> String {
        let named = UNITS.iter().find(|(unit, _)| *unit == self.unit);
        let unit = match named {
            Some((_, name)) => (*name).to_owned(),
            None => format!("{} days", self.unit / DAY),
        };
        format!("by {unit} from {}", minute(self.start))
    }
}

/// Counts as bars; none is a blank, the most is full.
pub(crate) fn bars(counts: &[u64]) -> String {
    let most = counts.iter().copied().max().unwrap_or(0);
    let bar = |count: u64| match count {
        0 => ' ',
        _ => BARS[((u128::from(count) * 8).div_ceil(u128::from(most)) - 1) as usize],
    };
    counts.iter().map(|count| bar(*count)).collect()
}

/// A second as `2024-01-02T03:04Z`.
pub(crate) fn minute(second: i64) -> String {
    let text = Timestamp::from_second(second).map_or(String::new(), |time| time.to_string());
    text.get(..16)
        .map_or(text.clone(), |text| format!("{text}Z"))
}

/// The day of a second as `2024-01-02`.
pub(crate) fn day(second: i64) -> String {
    minute(second).get(..10).unwrap_or_default().to_owned()
}

/// The first second of the day that a second is in.
pub(crate) fn day_start(second: i64) -> i64 {
    second.div_euclid(DAY) * DAY
}

/// Days from one second to another, the first and last counted whole.
pub(crate) fn days(first: i64, last: i64) -> i64 {
    (day_start(last) - day_start(first)) / DAY + 1
}

#[cfg(test)]
mod tests {
    use super::{Axis, bars, day, days};

    #[test]
    fn the_axis_fits() {
        let check = |first: i64, last: i64, width: usize, expected: &str, count: usize| {
            let axis = Axis::fit(first, last, width);
            assert_eq!((axis.words().as_str(), axis.bars), (expected, count));
            assert_eq!((axis.bar(first), axis.bar(last)), (0, count - 1));
        };
        check(7300, 7300, 40, "by hour from 1970-01-01T02:00Z", 1);
        check(0, 86_399, 24, "by hour from 1970-01-01T00:00Z", 24);
        check(0, 86_400, 24, "by 3 hours from 1970-01-01T00:00Z", 9);
        check(0, 400 * 86_400, 20, "by 4 weeks from 1970-01-01T00:00Z", 15);
        check(
            0,
            4000 * 86_400,
            20,
            "by 224 days from 1970-01-01T00:00Z",
            18,
        );
        let (least, most) = (-377_705_023_201, 253_402_207_200);
        assert!(Axis::fit(least, most, 20).bars <= 20);
        assert_eq!(Axis::fit(least, most, 0).bars, 1);
    }

    #[test]
    fn bars_are_relative_to_the_highest() {
        assert_eq!(bars(&[]), "");
        assert_eq!(bars(&[0, 1, 50, 100]), " ▁▄█");
        assert_eq!(bars(&[u64::MAX, 1]), "█▁");
        assert_eq!(day(86_400), "1970-01-02");
        assert_eq!(days(86_399, 86_400), 2);
    }
}
