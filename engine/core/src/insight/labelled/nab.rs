//! The scoring rule of the Numenta Anomaly Benchmark, so that a detector can be judged without another program.
//!
//! What for: given, for each series, the instants of its rows, a score a row and the labelled windows, say what the
//! benchmark's three profiles give, at the one threshold that suits all series best or at a threshold found elsewhere.
//! The rule is that of Lavin and Ahmad 2015 (arXiv:1510.03336): a row scored at or above the threshold is a detection; of
//! those inside a window the earliest counts, for more the earlier it comes; each one outside costs, less right after a
//! window; a window without any costs. Nothing detected is 0, every window caught in its first row is 100.
//!
//! Relies on: scores that are numbers, windows named by instants that exist as rows. Must never: look at what the series
//! holds, or read files. Sums are made in a fixed order, so that another implementation can be held against it to the
//! last digit; that is why there is a sort of all rows and not a cheaper histogram.

/// What detections are worth in one of the benchmark's profiles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// Its name in results.
    pub name: &'static str,
    /// Worth of a window caught in its first row.
    pub hit: f64,
    /// Cost of a detection far outside of windows.
    pub false_alarm: f64,
    /// Cost of a window without a detection.
    pub miss: f64,
}

/// The profiles of version 1.1 of the benchmark.
pub const PROFILES: [Profile; 3] = [
    Profile {
        name: "standard",
        hit: 1.0,
        false_alarm: 0.11,
        miss: 1.0,
    },
    Profile {
        name: "reward_low_FP_rate",
        hit: 1.0,
        false_alarm: 0.22,
        miss: 1.0,
    },
    Profile {
        name: "reward_low_FN_rate",
        hit: 1.0,
        false_alarm: 0.11,
        miss: 2.0,
    },
];

/// The first rows of a series are not scored: this share of it, as if no series had more rows than `ROWS_MAX`.
const LEARNING_SHARE: f64 = 0.15;
const ROWS_MAX: f64 = 5000.0;

/// One series, scored.
#[derive(Clone, Copy, Debug)]
pub struct Labelled<'a> {
    /// Instants of the rows, in the order of the file; repeats are allowed.
    pub times: &'a [i64],
    /// What the detector said, one a row.
    pub scores: &'a [f64],
    /// First and last instant of each window.
    pub windows: &'a [(i64, i64)],
}

/// Why a series cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unjudged {
    /// A score for each row is what the rule is about.
    #[error("the series has {rows} rows and {scores} scores")]
    Uneven {
        /// Rows of the series.
        rows: usize,
        /// Scores given.
        scores: usize,
    },
    /// A score that cannot be compared with a threshold.
    #[error("the score of row {row} is not a number")]
    NotANumber {
        /// Counted from zero.
        row: usize,
    },
    /// A window named by an instant that is no row.
    #[error("no row is of the instant {instant}, which a window names")]
    NoSuchInstant {
        /// In seconds.
        instant: i64,
    },
}

/// What one profile says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// 0 for no detection at all, 100 for every window in its first row.
    pub score: f64,
    /// The sum before it was scaled.
    pub raw: f64,
    /// Scores from here on were detections.
    pub threshold: f64,
    /// Windows with at least one detection.
    pub windows_hit: usize,
    /// All windows.
    pub windows: usize,
    /// Detections outside of windows.
    pub false_alarms: usize,
}

/// One row that counts.
#[derive(Clone, Copy, Debug)]
struct Point {
    score: f64,
    /// Which window it lies in, over all series; none outside.
    window: Option<usize>,
    /// Worth of a detection here, before the profile's weights.
    worth: f64,
}

/// Series made ready to be judged by any number of profiles and thresholds.
#[derive(Clone, Debug, Default)]
pub struct Bench {
    points: Vec<Point>,
    windows: usize,
    /// Windows with at least one row that counts.
    windows_live: usize,
}

impl Bench {
    /// A bench without a series.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a series. The order in which series are added does not change a judgement beyond rounding.
    pub fn add(&mut self, series: &Labelled<'_>) -> Result<(), Unjudged> {
        let rows = series.times.len();
        if rows != series.scores.len() {
            return Err(Unjudged::Uneven {
                rows,
                scores: series.scores.len(),
            });
        }
        if let Some(row) = series.scores.iter().position(|score| score.is_nan()) {
            return Err(Unjudged::NotANumber { row });
        }
        let spans = spans(series)?;
        let learning = (LEARNING_SHARE * rows as f64)
            .floor()
            .min(LEARNING_SHARE * ROWS_MAX);
        let mut live = vec![false; spans.len()];
        let mut next = 0;
        let mut previous: Option<(usize, usize)> = None;
        for row in 0..rows {
            while next < spans.len() && row > spans[next].1 {
                previous = Some(spans[next]);
                next += 1;
            }
            if (row as f64) < learning {
                continue;
            }
            let inside = spans.get(next).filter(|span| span.0 <= row);
            if inside.is_some() {
                live[next] = true;
            }
            self.points.push(Point {
                score: series.scores[row],
                window: inside.map(|_| self.windows + next),
                worth: match inside {
                    Some(span) => worth_inside(row, *span),
                    None => worth_outside(row, previous),
                },
            });
        }
        self.windows += spans.len();
        self.windows_live += live.iter().filter(|one| **one).count();
        Ok(())
    }

    /// The best that one threshold for all series gives: the benchmark's own practice.
    pub fn best(&self, profile: &Profile) -> Judgement {
        self.sweep(profile, None)
    }

    /// What a threshold found elsewhere gives.
    pub fn at(&self, profile: &Profile, threshold: f64) -> Judgement {
        self.sweep(profile, Some(threshold))
    }

    fn sweep(&self, profile: &Profile, threshold: Option<f64>) -> Judgement {
        let mut order: Vec<&Point> = self.points.iter().collect();
        order.sort_by(|a, b| b.score.total_cmp(&a.score));
        let nothing = -profile.miss * self.windows_live as f64;
        let mut total = nothing;
        let mut caught: Vec<Option<f64>> = vec![None; self.windows];
        let mut now = Kept {
            raw: total,
            threshold: threshold.unwrap_or(1.1),
            hit: 0,
            false_alarms: 0,
        };
        let mut best = now;
        let mut from = 0;
        while from < order.len() {
            let score = order[from].score;
            while from < order.len() && order[from].score == score {
                let point = order[from];
                from += 1;
                match point.window {
                    None => {
                        total += point.worth * profile.false_alarm;
                        now.false_alarms += 1;
                    }
                    Some(window) => {
                        let before = caught[window].unwrap_or(-profile.miss);
                        let worth = point.worth * profile.hit;
                        now.hit += usize::from(caught[window].is_none());
                        if worth > before {
                            total += worth - before;
                        }
                        caught[window] = Some(worth.max(before));
                    }
                }
            }
            let here = Kept {
                raw: total,
                threshold: threshold.unwrap_or(score),
                ..now
            };
            let better = match threshold {
                None => total > best.raw,
                Some(threshold) => score >= threshold,
            };
            if better {
                best = here;
            }
        }
        let perfect = self.windows as f64 * profile.hit;
        Judgement {
            score: if self.windows == 0 {
                0.0
            } else {
                100.0 * (best.raw - nothing) / (perfect - nothing)
            },
            raw: best.raw,
            threshold: best.threshold,
            windows_hit: best.hit,
            windows: self.windows,
            false_alarms: best.false_alarms,
        }
    }
}

#[derive(Clone, Copy)]
struct Kept {
    raw: f64,
    threshold: f64,
    hit: usize,
    false_alarms: usize,
}

/// Rows of the windows, in order.
fn spans(series: &Labelled<'_>) -> Result<Vec<(usize, usize)>, Unjudged> {
    let row_of = |instant: i64| {
        let found = series.times.iter().position(|time| *time == instant);
        found.ok_or(Unjudged::NoSuchInstant { instant })
    };
    let mut out = Vec::with_capacity(series.windows.len());
    for (start, end) in series.windows {
        out.push((row_of(*start)?, row_of(*end)?));
    }
    out.sort_unstable();
    Ok(out)
}

/// The benchmark's curve: 1 far before the end of a window, 0 at its end, -1 far behind.
fn curve(position: f64) -> f64 {
    2.0 / (1.0 + (5.0 * position).exp()) - 1.0
}

fn worth_inside(row: usize, (start, end): (usize, usize)) -> f64 {
    let width = (end + 1).saturating_sub(start) as f64;
    curve(-((end - row + 1) as f64) / width) / curve(-1.0)
}

fn worth_outside(row: usize, previous: Option<(usize, usize)>) -> f64 {
    let Some((start, end)) = previous else {
        return -1.0;
    };
    let width = (end + 1).saturating_sub(start) as f64;
    let position = (row - end) as f64 / (width - 1.0).max(1.0);
    if position > 3.0 {
        -1.0
    } else {
        curve(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARD: Profile = PROFILES[0];

    fn times(rows: usize) -> Vec<i64> {
        (0..rows as i64).map(|row| 300 * row).collect()
    }

    fn scores(rows: usize, detected: &[usize]) -> Vec<f64> {
        let one = |row| if detected.contains(&row) { 1.0 } else { 0.0 };
        (0..rows).map(one).collect()
    }

    /// A hundred rows, windows over rows 40 to 59 and 80 to 89.
    fn judged(detected: &[usize], profile: &Profile) -> Judgement {
        let (times, scores) = (times(100), scores(100, detected));
        let windows = [(24_000, 26_700), (12_000, 17_700)];
        let mut bench = Bench::new();
        let series = Labelled {
            times: &times,
            scores: &scores,
            windows: &windows,
        };
        bench.add(&series).expect("well formed");
        bench.at(profile, 0.5)
    }

    fn check(detected: &[usize], score: f64) {
        let found = judged(detected, &STANDARD).score;
        assert!(
            (found - score).abs() < 1e-9,
            "{detected:?}: {found}, not {score}"
        );
    }

    #[test]
    fn the_ends_of_the_scale() {
        check(&[], 0.0);
        check(&[40, 80], 100.0);
        check(&[40], 50.0);
    }

    #[test]
    fn the_earliest_of_a_window_counts_and_others_are_free() {
        check(&[40, 41, 59, 80], 100.0);
        let late = curve(-0.5) / curve(-1.0);
        check(&[50, 58, 80], 100.0 * (4.0 - 1.0 + late) / 4.0);
    }

    #[test]
    fn false_alarms_cost_less_right_after_a_window() {
        check(&[20], -11.0 / 4.0);
        check(&[61], 11.0 / 4.0 * curve(2.0 / 19.0));
        check(&[99], 11.0 / 4.0 * curve(10.0 / 9.0));
        let low = judged(&[20], &PROFILES[1]).score;
        assert!((low + 22.0 / 4.0).abs() < 1e-9);
    }

    #[test]
    fn a_miss_costs_twice_where_misses_count() {
        let low = judged(&[40], &PROFILES[2]);
        assert!((low.score - 50.0).abs() < 1e-9);
        assert_eq!((low.windows_hit, low.windows, low.false_alarms), (1, 2, 0));
        assert!((low.raw + 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_first_rows_do_not_count() {
        check(&[0, 7, 14], 0.0);
        check(&[15], -11.0 / 4.0);
    }

    #[test]
    fn what_cannot_be_judged_is_refused() {
        let mut bench = Bench::new();
        let mut refuse = |scores: &[f64], windows: &[(i64, i64)]| {
            let times = times(3);
            let series = Labelled {
                times: &times,
                scores,
                windows,
            };
            bench.add(&series).expect_err("refused")
        };
        assert_eq!(refuse(&[0.0], &[]), Unjudged::Uneven { rows: 3, scores: 1 });
        let fault = refuse(&[0.0, f64::NAN, 0.0], &[]);
        assert_eq!(fault, Unjudged::NotANumber { row: 1 });
        let fault = refuse(&[0.0; 3], &[(0, 301)]);
        assert_eq!(fault, Unjudged::NoSuchInstant { instant: 301 });
    }

    #[test]
    fn odd_benches_are_judged() {
        let empty = Bench::new().best(&STANDARD);
        assert_eq!((empty.score, empty.windows), (0.0, 0));
        let times = times(20);
        let mut bench = Bench::new();
        let series = Labelled {
            times: &times,
            scores: &[1.0; 20],
            windows: &[(1800, 600)],
        };
        bench
            .add(&series)
            .expect("a window that ends before it starts holds no row");
        assert_eq!(bench.best(&STANDARD).windows_hit, 0);
    }

    /// Three series by a fixed rule, one with a repeated instant; the figures are those of a scorer of its own in another
    /// language.
    #[test]
    fn agrees_with_another_implementation_to_the_last_digits() {
        let mut state = 7_u64;
        let mut bench = Bench::new();
        let windows: [&[(usize, usize)]; 3] = [&[(40, 59), (120, 139)], &[(10, 29), (70, 99)], &[]];
        for (which, rows) in [200_usize, 150, 60].into_iter().enumerate() {
            let mut times = times(rows);
            if which == 0 {
                times[100] = times[99];
            }
            let scores: Vec<f64> = (0..rows)
                .map(|_| {
                    state = (state * 1_103_515_245 + 12_345) % (1 << 31);
                    ((state >> 16) % 1000) as f64 / 1000.0
                })
                .collect();
            let windows: Vec<(i64, i64)> = windows[which]
                .iter()
                .map(|(from, to)| (times[*from], times[*to]))
                .collect();
            let series = Labelled {
                times: &times,
                scores: &scores,
                windows: &windows,
            };
            bench.add(&series).expect("well formed");
        }
        let best = [
            (53.323_817_782_123_68, 0.918, 4, 19),
            (31.198_445_765_317_828, 0.93, 4, 17),
            (68.882_545_188_082_49, 0.918, 4, 19),
        ];
        let fixed = [
            (30.439_812_703_733_534, 0.97, 2, 9),
            (18.105_666_463_538_768, 0.97, 2, 9),
            (36.959_875_135_822_394, 0.97, 2, 9),
        ];
        for (at, profile) in PROFILES.iter().enumerate() {
            for (found, wanted) in [
                (bench.best(profile), best[at]),
                (bench.at(profile, 0.97), fixed[at]),
            ] {
                assert!(
                    (found.score - wanted.0).abs() < 1e-11,
                    "{found:?}, not {wanted:?}"
                );
                assert_eq!(found.threshold, wanted.1);
                assert_eq!(
                    (found.windows_hit, found.false_alarms),
                    (wanted.2, wanted.3)
                );
            }
        }
    }
}
