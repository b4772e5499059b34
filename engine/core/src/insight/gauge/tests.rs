//! What a gauge must find, what must leave it calm, and that no input harms it.

use super::*;

const FIVE_MINUTES: i64 = 300;
const DAY_ROWS: usize = 288;
const START: i64 = 1_700_006_400;

/// Numbers from -0.5 to 0.5, the same in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    }
}

fn series(rows: usize, value: impl Fn(usize, f64) -> f64) -> Vec<f64> {
    let mut noise = Noise(17);
    (0..rows)
        .map(|row| value(row, noise.next() + noise.next()))
        .collect()
}

fn observed(values: &[f64]) -> Vec<Observed> {
    let mut gauge = Gauge::new(&GaugeSettings::default());
    let times = (0..).map(|row| START + FIVE_MINUTES * row);
    times
        .zip(values)
        .map(|(time, value)| gauge.push(time, *value))
        .collect()
}

/// Rows with a score of a half and more.
fn told(values: &[f64]) -> Vec<usize> {
    let all = observed(values);
    (0..all.len())
        .filter(|row| all[*row].score >= 0.5)
        .collect()
}

/// The first alarm from `start` on comes within `within` rows, and at most `before` came earlier.
#[track_caller]
fn check(values: &[f64], start: usize, within: usize, before: usize) {
    let told = told(values);
    let early = told.iter().filter(|row| **row < start).count();
    let first = told.iter().copied().find(|row| *row >= start);
    assert!(
        first.is_some_and(|row| row < start + within),
        "from {start}: told {told:?}"
    );
    assert!(early <= before, "before {start}: told {told:?}");
}

/// Low at night, high from nine to half past five.
fn working_day(row: usize) -> f64 {
    let of_day = row % DAY_ROWS;
    if (108..210).contains(&of_day) {
        80.0
    } else {
        20.0
    }
}

#[test]
fn a_spike_is_told_at_once() {
    check(
        &series(
            4000,
            |row, noise| if row == 3000 { 40.0 } else { 10.0 + noise },
        ),
        3000,
        4,
        5,
    );
}

#[test]
fn a_step_is_told_at_once() {
    check(
        &series(4000, |row, noise| {
            noise + if row < 3000 { 10.0 } else { 16.0 }
        }),
        3000,
        4,
        5,
    );
}

#[test]
fn a_drop_is_told_at_once() {
    check(
        &series(4000, |row, noise| {
            noise + if row < 3000 { 10.0 } else { 4.0 }
        }),
        3000,
        4,
        5,
    );
}

#[test]
fn a_day_that_does_not_begin_is_told() {
    let off = DAY_ROWS * 10 + 108;
    let values = series(4000, |row, noise| {
        noise
            + if (off..off + 102).contains(&row) {
                20.0
            } else {
                working_day(row)
            }
    });
    check(&values, off, 40, 6);
}

#[test]
fn a_working_day_leaves_it_calm() {
    let told = told(&series(4032, |row, _| working_day(row)));
    assert!(
        told.iter().filter(|row| **row > 2 * DAY_ROWS).count() == 0,
        "{told:?}"
    );
}

#[test]
fn noise_leaves_it_calm() {
    let told = told(&series(8000, |_, noise| noise));
    assert!(told.len() <= 6, "{told:?}");
}

#[test]
fn a_wild_stretch_is_told() {
    let values = series(4000, |row, noise| {
        noise
            * if (3000..3100).contains(&row) {
                6.0
            } else {
                1.0
            }
    });
    check(&values, 3000, 40, 5);
}

#[test]
fn a_constant_series_is_calm_until_it_is_not() {
    let mut values = vec![42.0; 3000];
    assert!(told(&values).is_empty());
    assert!(
        observed(&values)
            .iter()
            .all(|row| row.expected == 42.0 || row.warming)
    );
    values.extend([42.5; 50]);
    check(&values, 3000, 2, 0);
}

#[test]
fn what_was_flat_and_moves_again_is_told_and_the_flat_is_no_fault() {
    let values = series(4000, |row, noise| {
        if (2000..3000).contains(&row) {
            0.0
        } else {
            noise
        }
    });
    let told = told(&values);
    assert!(told.len() <= 8, "{told:?}");
}

#[test]
fn after_an_alarm_it_is_quiet_for_a_while() {
    let values = series(4000, |row, noise| {
        noise + if row < 3000 { 10.0 } else { 30.0 }
    });
    let told = told(&values);
    let near = told
        .iter()
        .filter(|row| (3000..3190).contains(*row))
        .count();
    assert_eq!(near, 1, "{told:?}");
}

#[test]
fn surprise_goes_on_while_scores_are_quiet() {
    let all = observed(&series(4000, |row, noise| {
        noise + if row < 3000 { 10.0 } else { 90.0 }
    }));
    let first = (3000..3010)
        .find(|row| all[*row].score >= 0.5)
        .expect("told");
    assert!(all[first + 1].score < 0.5);
    assert!(all[first + 1].surprise > 1.0, "{:?}", all[first + 1]);
}

#[test]
fn what_is_expected_is_near_what_comes() {
    let all = observed(&series(4032, |row, noise| working_day(row) + noise));
    let noon = &all[13 * DAY_ROWS + 144];
    assert!((noon.expected - 80.0).abs() < 5.0, "{noon:?}");
    assert!(noon.low < 79.0 && noon.high > 81.0, "{noon:?}");
    assert!(all[10].warming && all[10].high == f64::INFINITY);
}

#[test]
fn unit_and_zero_do_not_matter() {
    let plain = series(4000, |row, noise| {
        noise + working_day(row) + if row == 2500 { 150.0 } else { 0.0 }
    });
    let before = observed(&plain);
    for (times, plus) in [(1024.0, 0.0), (3.7, 1000.0), (1e-6, -5.0), (1e9, 12.0)] {
        let moved: Vec<f64> = plain.iter().map(|value| times * value + plus).collect();
        for (row, (one, other)) in before.iter().zip(observed(&moved)).enumerate() {
            let apart = (one.score - other.score).abs();
            assert!(apart < 1e-7, "{times} {plus} row {row}: {one:?} {other:?}");
        }
    }
}

#[test]
fn a_pause_changes_nothing() {
    let values = series(3000, |row, noise| {
        noise + working_day(row) + if row % 700 == 0 { 90.0 } else { 0.0 }
    });
    let whole = observed(&values);
    for pause in [0, 1, 47, 600, 2222] {
        let mut gauge = Gauge::new(&GaugeSettings::default());
        for (row, value) in values.iter().enumerate() {
            if row == pause {
                let mut bytes = Vec::new();
                gauge.snapshot(&mut bytes);
                gauge = Gauge::restore(&bytes).expect("what was written");
                let mut again = Vec::new();
                gauge.snapshot(&mut again);
                assert_eq!(bytes, again);
            }
            let time = START + FIVE_MINUTES * row as i64;
            assert_eq!(
                gauge.push(time, *value),
                whole[row],
                "row {row}, pause {pause}"
            );
        }
    }
}

#[test]
fn foreign_bytes_are_refused_or_harmless() {
    let mut gauge = Gauge::new(&GaugeSettings::default());
    for row in 0..700 {
        gauge.push(START + FIVE_MINUTES * row, row as f64);
    }
    let mut bytes = Vec::new();
    gauge.snapshot(&mut bytes);
    assert!(matches!(Gauge::restore(&[]), Err(GaugeFault::Version)));
    assert!(matches!(
        Gauge::restore(&[9, 1, 2]),
        Err(GaugeFault::Version)
    ));
    for length in (1..bytes.len()).step_by(37) {
        assert!(Gauge::restore(&bytes[..length]).is_err());
    }
    for place in (1..bytes.len()).step_by(13) {
        let mut torn = bytes.clone();
        torn[place] ^= 0xff;
        if let Ok(mut gauge) = Gauge::restore(&torn) {
            for row in 0..100 {
                let score = gauge.push(START + FIVE_MINUTES * row, row as f64).score;
                assert!((0.0..=1.0).contains(&score));
            }
        }
    }
}

#[test]
fn hostile_inputs_do_no_harm() {
    let values = [
        0.0,
        -0.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e300,
        -1e308,
        f64::MAX,
        5e-324,
        1.0,
    ];
    let times = [
        0,
        0,
        i64::MIN,
        i64::MAX,
        -1,
        START,
        START,
        START + 31_536_000,
        START - 5,
    ];
    let mut gauge = Gauge::new(&GaugeSettings::default());
    let mut noise = Noise(5);
    for row in 0..20_000_usize {
        let pick = ((noise.next() + 0.5) * 9_999.0) as usize;
        let value = if row % 3 == 0 {
            values[pick % values.len()]
        } else {
            noise.next()
        };
        let time = if row % 2 == 0 {
            times[pick % times.len()]
        } else {
            START + 300 * row as i64
        };
        let seen = gauge.push(time, value);
        assert!((0.0..=1.0).contains(&seen.score), "{seen:?}");
        assert!(
            seen.surprise >= 0.0 && seen.surprise.is_finite(),
            "{seen:?}"
        );
        assert!(
            seen.expected.is_finite() && !seen.low.is_nan() && !seen.high.is_nan(),
            "{seen:?}"
        );
    }
}

#[test]
fn settings_nobody_can_work_with_are_made_to_fit() {
    let odd = GaugeSettings {
        alarm: f64::NAN,
        quiet_rows: 0,
        quiet_seconds: i64::MIN,
        block_rows: 0,
        long_blocks: u32::MAX,
        prior_spread: 0.0,
        keep_every: 0,
        kept_max: 0,
        shapes_max: 0,
        ..GaugeSettings::default()
    };
    let mut gauge = Gauge::new(&odd);
    for row in 0..1000_i64 {
        assert!(gauge.push(row, (row % 7) as f64).score <= 1.0);
    }
}

#[test]
fn memory_has_a_bound() {
    let mut gauge = Gauge::new(&GaugeSettings::default());
    let mut noise = Noise(3);
    let mut most = 0;
    for row in 0..30_000_i64 {
        gauge.push(
            START + FIVE_MINUTES * row,
            noise.next() * (1 + row % 50) as f64,
        );
        most = most.max(gauge.bytes());
    }
    assert!(most <= 20 * 1024, "{most}");
    let mut bytes = Vec::new();
    gauge.snapshot(&mut bytes);
    assert!(bytes.len() <= most, "{}", bytes.len());
}

/// Seconds of `2014-04-01 00:05:00`.
fn seconds(stamp: &str) -> i64 {
    let civil: jiff::civil::DateTime = stamp.trim().replace(' ', "T").parse().expect("a stamp");
    civil
        .to_zoned(jiff::tz::TimeZone::UTC)
        .expect("in range")
        .timestamp()
        .as_second()
}

/// The benchmark's public files, where they are at hand: a figure to hold on to, not one to be proud of.
#[test]
fn the_benchmark_is_held() {
    use crate::insight::labelled::nab::{Bench, Labelled, PROFILES};
    let shared = std::env::var_os("TRIPLINE_SHARED").map(std::path::PathBuf::from);
    let Some(folder) = shared
        .map(|one| one.join("data/insights/nab"))
        .filter(|one| one.is_dir())
    else {
        println!("skipped: the series of the benchmark are not here (set TRIPLINE_SHARED)");
        return;
    };
    let mut files = std::collections::BTreeMap::<String, Vec<(i64, i64)>>::new();
    let windows = std::fs::read_to_string(folder.join("windows.csv")).expect("windows");
    for line in windows.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let of_file = files.entry(fields[0].to_owned()).or_default();
        if !fields[1].is_empty() {
            of_file.push((seconds(fields[1]), seconds(fields[2])));
        }
    }
    let mut bench = Bench::new();
    for (file, windows) in &files {
        let text = std::fs::read_to_string(folder.join(file)).expect("a series");
        let mut gauge = Gauge::new(&GaugeSettings::default());
        let (mut times, mut scores) = (Vec::new(), Vec::new());
        for (time, value) in text.lines().skip(1).filter_map(|line| line.split_once(',')) {
            times.push(seconds(time));
            let value = value.trim().parse().expect("a value");
            scores.push(gauge.push(seconds(time), value).score);
        }
        let series = Labelled {
            times: &times,
            scores: &scores,
            windows,
        };
        bench.add(&series).expect("as the benchmark is made");
    }
    let found = PROFILES.map(|profile| bench.at(&profile, 0.5));
    println!("{found:?}");
    for (judged, least) in found.iter().zip([75.0, 68.5, 79.0]) {
        assert!(judged.score > least, "{judged:?}");
    }
}
