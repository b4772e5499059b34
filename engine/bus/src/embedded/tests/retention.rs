//! What is given up, and what is not.

use super::sim::SimFolder;
use super::*;
use crate::embedded::WhenFull;

fn fill(log: &Log, count: u64) {
    for _ in 0..count {
        append(log, &[vec![7; 1000]]).expect("appends");
    }
}

fn bounded(when_full: WhenFull) -> LogSettings {
    LogSettings {
        bytes_max: 4 * 4096,
        when_full,
        ..small()
    }
}

fn first(log: &Log) -> u64 {
    log.span().expect("a span").first.0
}

#[test]
fn a_full_log_refuses_until_something_is_released() {
    let folder = SimFolder::new(1);
    let (log, _) = open_sim(&folder, &bounded(WhenFull::Refuse)).expect("opens");
    let mut taken = 0;
    while append(&log, &[vec![7; 1000]])
        .map_err(|class| assert_eq!(class, FaultClass::Full))
        .is_ok()
    {
        taken += 1;
    }
    assert!((9..=16).contains(&taken), "{taken}");
    assert_eq!(append(&log, &[vec![7; 1000]]), Err(FaultClass::Full));
    assert_eq!(first(&log), 1, "nothing was given up");
    log.release(Sequence(4)).expect("releases");
    assert_eq!(first(&log), 4, "three records fill a segment");
    assert_eq!(append(&log, &[vec![7; 1000]]), Ok(taken + 1));
    let (found, lost) = read_all(&log, 0, ALL);
    assert_eq!(found.len() as u64, taken + 1 - 3);
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].0, 1..4);
    assert!(lost[0].1.contains("released"), "{}", lost[0].1);
}

#[test]
fn a_log_that_may_drop_drops_the_oldest_and_says_so() {
    let folder = SimFolder::new(1);
    let (log, _) = open_sim(&folder, &bounded(WhenFull::DropOldest)).expect("opens");
    fill(&log, 100);
    let span = log.span().expect("a span");
    assert!(span.bytes <= 4 * 4096 && span.first.0 > 80);
    let (found, lost) = read_all(&log, 10, ALL);
    assert_eq!(lost[0].0, 11..span.first.0);
    assert_eq!(found.len() as u64, 101 - span.first.0);
}

#[test]
fn what_was_released_is_kept_as_far_as_settings_say() {
    let folder = SimFolder::new(1);
    let settings = LogSettings {
        released_bytes_max: 7000,
        ..small()
    };
    let (log, _) = open_sim(&folder, &settings).expect("opens");
    fill(&log, 30);
    log.release(Sequence(31)).expect("releases");
    assert_eq!(first(&log), 22, "two whole segments and the newest");
}

#[test]
fn age_gives_up_what_was_released_and_the_rest_only_where_it_may() {
    for (when_full, release, wanted) in [
        (WhenFull::Refuse, 0, 1),
        (WhenFull::Refuse, 8, 7),
        (WhenFull::DropOldest, 0, 16),
    ] {
        let folder = SimFolder::new(1);
        let settings = LogSettings {
            age_max: Some(Duration::from_micros(10)),
            released_bytes_max: 1 << 20,
            when_full,
            ..small()
        };
        let (log, _) = open_sim(&folder, &settings).expect("opens");
        for micros in 0..30 {
            let taken = EventTime::from_micros(micros);
            let payload = [7; 1000];
            log.append(&[NewRecord {
                taken,
                ..record(&payload)
            }])
            .expect("appends");
        }
        if release > 0 {
            log.release(Sequence(release)).expect("releases");
        }
        assert_eq!(first(&log), wanted, "{when_full:?} {release}");
    }
}

#[test]
fn deletion_that_a_crash_interrupted_is_finished() {
    let folder = SimFolder::new(1);
    let (log, _) = open_sim(&folder, &small()).expect("opens");
    fill(&log, 30);
    // The roster is written and flushed, then files go; the first of them does not.
    folder.go_wrong(3, sim::Wrong::Crash);
    assert!(log.release(Sequence(20)).is_err());
    drop(log);
    folder.power_on();
    let (log, recovered) = open_sim(&folder, &small()).expect("opens");
    assert_eq!(recovered.deleted, 6);
    assert_eq!(first(&log), 19);
    let (_, lost) = read_all(&log, 0, ALL);
    assert!(lost[0].1.contains("released"));
}
