//! What a detector must do, on series that are made here.

use super::season::WEEK;
use super::tail;
use super::windows::Windows;
use super::*;
use statrs::distribution::{DiscreteCDF, NegativeBinomial};

const BEGIN: u32 = 29_460_960;

fn detector(settings: Settings) -> Detector {
    Detector::new(settings).expect("settings are sound")
}

fn count(series: u32, calls: f64, errors: f64) -> Count {
    Count {
        series: SeriesId(series),
        calls,
        errors,
    }
}

/// Chance of a test: a number that follows from what it is of.
fn chance(of: u32) -> f64 {
    let mut z = u64::from(of).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ z >> 31) >> 11) as f64 / (1u64 << 53) as f64
}

/// A count about that mean, without tails.
fn about(mean: f64, of: u32) -> f64 {
    let spread = f64::sqrt(mean) * (chance(of) + chance(of ^ 0x5555) - 1.0) * 2.4;
    (mean + spread + chance(of ^ 0xaaaa) - 0.5).round().max(0.0)
}

/// Plays minutes of one series and returns the starts.
fn play(calls: &dyn Fn(u32) -> (f64, f64), minutes: u32) -> Vec<Change> {
    let mut detector = detector(Settings::default());
    let mut out = Vec::new();
    let mut is_open = false;
    for minute in 0..minutes {
        let (calls, errors) = calls(minute);
        let rows = [count(0, calls, errors)];
        let rows = if calls > 0.0 { &rows[..] } else { &[] };
        if !is_open && !rows.is_empty() {
            detector.open_series(SeriesId(0), Minute(BEGIN + minute));
            is_open = true;
        }
        detector.minute(Minute(BEGIN + minute), Coverage::Delivered, rows, &mut out);
    }
    out
}

/// The one start that there must be, of a test, no later than a minute.
fn check_fires(calls: &dyn Fn(u32) -> (f64, f64), minutes: u32, test: Test, start: u32) -> Change {
    let out = play(calls, minutes);
    let starts = out
        .iter()
        .filter(|change| change.kind == ChangeKind::Start && change.test == test);
    let starts = starts.cloned().collect::<Vec<_>>();
    let last = starts
        .last()
        .unwrap_or_else(|| panic!("nothing started: {out:#?}"));
    assert_eq!(last.start, Minute(BEGIN + start), "{out:#?}");
    // At a threshold of three, a series may have an insight in some hundred days.
    assert!(starts.len() <= 2, "{out:#?}");
    last.clone()
}

fn check_close(found: f64, wanted: f64) {
    assert!(
        (found - wanted).abs() <= 1e-9 * wanted.abs().max(1.0),
        "{found} is not {wanted}"
    );
}

#[test]
fn aws_one_call_in_a_week_and_three_in_five_minutes() {
    // The first call comes 11336 minutes before the others, on the edge of a day.
    let first = 2 * 1440 - 11_336 % 1440;
    let start = first + 11_336;
    let at = |minute: u32| {
        if [first, start, start + 2, start + 4].contains(&minute) {
            (1.0, 0.0)
        } else {
            (0.0, 0.0)
        }
    };
    let change = check_fires(&at, start + 5, Test::Up, start);
    check_close(change.insight_average, 3.0 / 5.0);
    assert_eq!(change.duration_minutes, 5);
    assert!(
        (change.baseline_average * f64::from(change.baseline_duration_minutes) - 1.0).abs() < 1e-9,
        "{change:?}"
    );
}

#[test]
fn aws_eighty_five_a_minute_and_664_in_one() {
    let start = 9 * 1440;
    let total = std::cell::Cell::new(0.0);
    let at = |minute: u32| {
        if minute == start {
            return (664.0, 0.0);
        }
        let calls = about(85.42, minute);
        if minute >= start - 10_080 && minute < start {
            total.set(total.get() + calls);
        }
        (calls, 0.0)
    };
    let change = check_fires(&at, start + 1, Test::Up, start);
    check_close(change.insight_average, 664.0);
    assert_eq!(change.baseline_duration_minutes, 10_080);
    check_close(change.baseline_average, total.get() / 10_080.0);
}

#[test]
fn aws_four_calls_in_a_hundred_minutes_and_fifteen_in_five() {
    let start = 12 * 1440 + 600;
    let at = |minute: u32| {
        let calls = if (start..start + 5).contains(&minute) {
            3.0
        } else {
            f64::from(chance(minute) < 0.0442)
        };
        (calls, 0.0)
    };
    let change = check_fires(&at, start + 5, Test::Up, start);
    assert!(change.minute <= Minute(BEGIN + start + 2), "{change:?}");
}

#[test]
fn aws_eighteen_errors_in_a_minute() {
    let start = 11 * 1440;
    let at = |minute: u32| {
        let (calls, errors) = (
            about(3.0, minute),
            f64::from(chance(minute ^ 0x777) < 0.0017),
        );
        if minute == start {
            (18.0 + calls, 18.0)
        } else {
            (calls.max(errors), errors)
        }
    };
    let change = check_fires(&at, start + 1, Test::Errors, start);
    check_close(change.insight_average, 18.0);
    assert!(
        (change.baseline_average - 0.0017).abs() < 0.001,
        "{change:?}"
    );
}

#[test]
fn a_burst_begins_and_ends() {
    let start = 15 * 1440 + 333;
    let at = |minute: u32| {
        let more = if (start..start + 20).contains(&minute) {
            12.0
        } else {
            0.0
        };
        (about(2.0, minute) + more, 0.0)
    };
    let out = play(&at, start + 3000);
    let kinds = out.iter().map(|change| change.kind).collect::<Vec<_>>();
    assert_eq!(kinds, [ChangeKind::Start, ChangeKind::End], "{out:#?}");
    assert!(
        out[1].minute.0 - BEGIN <= start + 60 && out[1].duration_minutes >= 18,
        "{:?}",
        out[1]
    );
}

#[test]
fn a_new_level_becomes_the_rule() {
    let start = 15 * 1440 + 333;
    let at = |minute: u32| (about(if minute >= start { 20.0 } else { 4.0 }, minute), 0.0);
    let out = play(&at, start + 6 * 1440);
    let kinds = out.iter().map(|change| change.kind).collect::<Vec<_>>();
    assert_eq!(kinds, [ChangeKind::Start, ChangeKind::Absorbed], "{out:#?}");
}

#[test]
fn missing_calls_are_noticed_and_missing_records_are_not() {
    let start = 15 * 1440 + 330;
    for coverage in [Coverage::Delivered, Coverage::Missing] {
        let mut detector = detector(Settings::default());
        let mut out = Vec::new();
        detector.open_series(SeriesId(0), Minute(BEGIN));
        for minute in 0..start + 600 {
            let gone = (start..start + 120).contains(&minute);
            let rows = [count(0, about(5.0, minute), 0.0)];
            let (coverage, rows) = if gone {
                (coverage, &[][..])
            } else {
                (Coverage::Delivered, &rows[..])
            };
            detector.minute(Minute(BEGIN + minute), coverage, rows, &mut out);
        }
        let tests = out
            .iter()
            .map(|change| (change.kind, change.test))
            .collect::<Vec<_>>();
        if coverage == Coverage::Missing {
            assert_eq!(tests, [], "{out:#?}");
        } else {
            assert_eq!(
                tests,
                [
                    (ChangeKind::Start, Test::Down),
                    (ChangeKind::End, Test::Down)
                ],
                "{out:#?}"
            );
            assert!(out[0].minute.0 - BEGIN <= start + 25, "{:?}", out[0]);
        }
    }
}

/// Rows of twelve series of all sorts.
fn rows(minute: u32) -> Vec<Count> {
    let calls = |series: u32| {
        let of = minute ^ series << 20;
        match series {
            0..4 => about(f64::from(series) * 3.0, of),
            4..8 => f64::from(chance(of) < 0.03),
            8 => f64::from(minute % 60 < 3) * 9.0,
            9 => {
                if minute % 5000 < 20 {
                    7.0
                } else {
                    0.0
                }
            }
            10 => about(1e7, of),
            _ => {
                if minute > 20_000 {
                    about(0.8, of)
                } else {
                    0.0
                }
            }
        }
    };
    let counts = (0..12).map(|series| {
        let calls = calls(series);
        let share = if series == 3 && minute % 7000 < 30 {
            0.8
        } else {
            0.02
        };
        count(
            series,
            calls,
            (calls * share * chance(minute ^ 0x3333)).round(),
        )
    });
    counts.filter(|count| count.calls > 0.0).collect()
}

#[test]
fn killed_at_any_minute_it_says_the_same() {
    let begin = |detector: &mut Detector| {
        (0..12).for_each(|series| detector.open_series(SeriesId(series), Minute(BEGIN)));
    };
    let settings = Settings {
        threshold: 2.0,
        ..Settings::default()
    };
    let (mut whole, mut torn) = (detector(settings.clone()), detector(settings.clone()));
    begin(&mut whole);
    begin(&mut torn);
    let (mut wanted, mut found) = (Vec::new(), Vec::new());
    let mut bytes = Vec::new();
    for minute in 0..30_000 {
        let coverage = if minute % 9000 < 40 {
            Coverage::Missing
        } else {
            Coverage::Delivered
        };
        let rows = if coverage == Coverage::Missing {
            Vec::new()
        } else {
            rows(minute)
        };
        whole.minute(Minute(BEGIN + minute), coverage, &rows, &mut wanted);
        torn.minute(Minute(BEGIN + minute), coverage, &rows, &mut found);
        if minute % 53 == 0 || (14_000..14_100).contains(&minute) {
            bytes.clear();
            torn.snapshot(&mut bytes);
            torn = Detector::restore(settings.clone(), &bytes).expect("it was just written");
            let mut again = Vec::new();
            torn.snapshot(&mut again);
            assert!(bytes == again, "bytes differ at {minute}");
        }
    }
    assert_eq!(wanted, found);
    assert!(wanted.len() > 4, "{wanted:?}");
}

#[test]
fn damaged_snapshots_are_refused() {
    let settings = Settings::default();
    let mut whole = detector(settings.clone());
    (0..12).for_each(|series| whole.open_series(SeriesId(series), Minute(BEGIN)));
    for minute in 0..3000 {
        whole.minute(
            Minute(BEGIN + minute),
            Coverage::Delivered,
            &rows(minute),
            &mut Vec::new(),
        );
    }
    let mut bytes = Vec::new();
    whole.snapshot(&mut bytes);
    for step in 0..400 {
        let mut torn = bytes.clone();
        let at = (chance(step) * bytes.len() as f64) as usize;
        torn[at] ^= 1 << (step % 8);
        assert!(
            Detector::restore(settings.clone(), &torn).is_err(),
            "changed at {at}"
        );
        assert!(
            Detector::restore(settings.clone(), &bytes[..at]).is_err(),
            "cut at {at}"
        );
    }
    let other = Settings {
        windows: vec![1, 5],
        ..Settings::default()
    };
    assert_eq!(
        Detector::restore(other, &bytes).err(),
        Some(DetectorFault::Windows)
    );
}

#[test]
fn unsound_rows_and_times_do_no_harm() {
    let mut detector = detector(Settings::default());
    let mut out = Vec::new();
    detector.open_series(SeriesId(1), Minute(BEGIN));
    let bad = [f64::NAN, -1.0, f64::INFINITY, f64::NEG_INFINITY];
    for (minute, bad) in bad.into_iter().enumerate() {
        let rows = [count(1, bad, 0.0), count(1, 5.0, bad), count(2, 1.0, 0.0)];
        detector.minute(
            Minute(BEGIN + minute as u32),
            Coverage::Delivered,
            &rows,
            &mut out,
        );
    }
    assert_eq!(
        (detector.dropped().unsound, detector.dropped().unknown),
        (8, 4)
    );
    for minute in [BEGIN + 3, 0, BEGIN] {
        detector.minute(
            Minute(minute),
            Coverage::Delivered,
            &[count(1, 9.0, 0.0)],
            &mut out,
        );
    }
    assert_eq!(detector.dropped().minutes_late, 3);
    for minute in [BEGIN + 5, BEGIN + 525_600, u32::MAX - 100_000, u32::MAX] {
        let rows = [count(1, 1e300, 1e299), count(1, 4.0, 2.0)];
        detector.minute(Minute(minute), Coverage::Delivered, &rows, &mut out);
        let reading = detector.reading(SeriesId(1)).expect("it is open");
        assert!((0.0..=1.0).contains(&reading.score), "{reading:?}");
        let band = detector
            .expectation(SeriesId(1), Minute(minute))
            .expect("it is open");
        assert!(
            band.low <= band.expected && band.expected <= band.high,
            "{band:?}"
        );
    }
    detector.close_series(SeriesId(1));
    assert_eq!(detector.reading(SeriesId(1)), None);
}

#[test]
fn one_bad_series_disturbs_no_other() {
    let mut alone = detector(Settings::default());
    let mut beside = detector(Settings::default());
    let (mut wanted, mut found) = (Vec::new(), Vec::new());
    alone.open_series(SeriesId(0), Minute(BEGIN));
    beside.open_series(SeriesId(0), Minute(BEGIN));
    beside.open_series(SeriesId(1), Minute(BEGIN));
    for minute in 0..20_000 {
        let calls = about(2.0, minute) + if minute % 6000 > 5980 { 15.0 } else { 0.0 };
        let rows = [count(0, calls, 0.0), count(1, 1e9 * chance(minute), 1e8)];
        let own = if calls > 0.0 { &rows[..1] } else { &[] };
        alone.minute(
            Minute(BEGIN + minute),
            Coverage::Delivered,
            own,
            &mut wanted,
        );
        let both = if calls > 0.0 { &rows[..] } else { &rows[1..] };
        beside.minute(
            Minute(BEGIN + minute),
            Coverage::Delivered,
            both,
            &mut found,
        );
    }
    found.retain(|change| change.series == SeriesId(0));
    assert_eq!(wanted, found);
    assert!(!wanted.is_empty());
}

#[test]
fn a_year_of_silence_is_soon_over() {
    let mut detector = detector(Settings::default());
    let mut out = Vec::new();
    (0..12).for_each(|series| detector.open_series(SeriesId(series), Minute(BEGIN)));
    for year in 0..20 {
        for minute in 0..3000 {
            let at = BEGIN + year * 525_600 + minute;
            detector.minute(Minute(at), Coverage::Delivered, &rows(minute), &mut out);
        }
    }
    assert!(detector.bytes() < 100_000, "{}", detector.bytes());
}

/// A tail against the exact one, where that can be computed: within some per cent of the logarithm, as no threshold asks for more.
fn check_tail(count: f64, mean: f64, size: f64) {
    let exact = NegativeBinomial::new(size, size / (size + mean)).expect("sound parameters");
    let above = if count < 1.0 {
        1.0
    } else {
        exact.sf(count as u64 - 1)
    };
    let below = exact.cdf(count as u64);
    for (found, p) in [
        (tail::above(count, mean, size), above),
        (tail::below(count, mean, size), below),
    ] {
        if p > 1e-250 && p < 0.99 {
            let wanted = -f64::log10(p);
            assert!(
                (found - wanted).abs() <= 0.03 + 0.02 * wanted,
                "{count} {mean} {size}: {found}, not {wanted}"
            );
        }
        assert!(found.is_finite() && found >= 0.0);
    }
}

#[test]
fn tails_are_those_of_statrs() {
    for mean in [1e-4, 0.01, 0.3, 2.0, 17.0, 300.0, 40_000.0] {
        for size in [1e-4, 0.02, 0.5, 3.0, 40.0, 1e4] {
            for times in [0.0, 0.1, 0.5, 0.9, 1.0, 1.5, 3.0, 10.0, 100.0] {
                check_tail(f64::floor(mean * times + times / 10.0), mean, size);
            }
            check_tail(3.0, mean, size);
        }
    }
    for bad in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
        assert!(tail::above(bad, bad, bad).is_finite() && tail::below(bad, bad, bad).is_finite());
        assert!(tail::above(5.0, bad, 1.0).is_finite() && tail::below(5.0, 1.0, bad).is_finite());
    }
}

#[test]
fn windows_sum_what_was_counted() {
    let mut windows = Windows::default();
    let mut all = Vec::new();
    for minute in BEGIN..BEGIN + 3000 {
        if minute % 5 == 0 && minute > BEGIN {
            windows.close_block(minute / 5 - 1, &[1, 5, 15, 60, 240, 480]);
        }
        windows.next_minute(minute);
        let calls = (chance(minute) * 9.0).floor() as f32;
        windows.add(minute, calls);
        all.push(calls);
        let lengths = [1, 5, 15, 60, 240, 480];
        let mut sums = [0.0; 6];
        windows.sums(&lengths, minute, &mut sums);
        for (length, sum) in lengths.into_iter().zip(sums) {
            let real = Windows::length(length, minute) as usize;
            let wanted = all[all.len().saturating_sub(real)..].iter().sum::<f32>();
            assert_eq!(sum, wanted, "{length} at {minute}");
            assert_eq!(windows.sum(length, minute), wanted, "{length} at {minute}");
        }
    }
    assert_eq!(WEEK, 7 * 48);
}

/// One call in exactly five minutes, from a Monday's midnight on: a young series whose first night seems a holiday must not feed
/// on its own expectation until it is infinite.
#[test]
fn a_clockwork_series_stays_what_it_is_and_a_burst_shows() {
    let begin = 29_993_760;
    let mut detector = detector(Settings::default());
    detector.open_series(SeriesId(0), Minute(begin));
    let mut out = Vec::new();
    for minute in 0..8 * 1440 + 200 {
        let burst = (8 * 1440 + 120..8 * 1440 + 123).contains(&minute);
        let calls = if burst {
            60.0
        } else {
            f64::from(u8::from(minute % 5 == 0))
        };
        let rows = [count(0, calls, 0.0)];
        let rows = if calls > 0.0 { &rows[..] } else { &[] };
        detector.minute(Minute(begin + minute), Coverage::Delivered, rows, &mut out);
        let band = detector.expectation(SeriesId(0), Minute(begin + minute));
        let expected = band.map_or(0.2, |band| band.expected);
        assert!(
            band.is_none_or(|band| band.high.is_finite()),
            "minute {minute}: {band:?}"
        );
        assert!(
            minute < 1440 || (0.0..=4.0).contains(&expected),
            "minute {minute}: {band:?}"
        );
    }
    let starts: Vec<_> = out
        .iter()
        .filter(|change| change.kind == ChangeKind::Start)
        .collect();
    assert_eq!(starts.len(), 1, "{out:#?}");
    assert_eq!(starts[0].start, Minute(begin + 8 * 1440 + 120));
}
