//! A disk that fails: nobody is told that anything was taken which was not.

use super::sim::{SimFolder, Wrong};
use super::*;

#[test]
fn a_failed_write_or_flush_poisons_for_good() {
    for ahead in 1..=2 {
        let folder = SimFolder::new(3);
        let (log, _) = open_sim(&folder, &small()).expect("opens");
        append(&log, &[vec![1; 10]]).expect("appends");
        folder.go_wrong(ahead, Wrong::Io);
        assert_eq!(append(&log, &[vec![2; 10]]), Err(FaultClass::Stop));
        let before = folder.operations();
        assert_eq!(append(&log, &[vec![3; 10]]), Err(FaultClass::Stop));
        assert!(log.flush().is_err() && log.release(Sequence(2)).is_err());
        assert_eq!(folder.operations(), before, "the disk is left alone");
        let (found, _) = read_all(&log, 0, ALL);
        assert_eq!(
            payloads(&found),
            [[1; 10]],
            "what was acknowledged can be read"
        );
    }
}

#[test]
fn a_failed_flush_in_the_background_poisons_too() {
    let folder = SimFolder::new(3);
    let settings = LogSettings {
        flush: never_in_background(),
        ..small()
    };
    let (log, _) = open_sim(&folder, &settings).expect("opens");
    append(&log, &[vec![1; 10]]).expect("appends");
    folder.go_wrong(1, Wrong::Io);
    assert!(
        log.flush()
            .is_err_and(|fault| fault.class == FaultClass::Stop)
    );
    assert_eq!(append(&log, &[vec![2; 10]]), Err(FaultClass::Stop));
}

#[test]
fn all_who_were_to_be_flushed_together_are_told() {
    let folder = SimFolder::new(3);
    let (log, _) = open_sim(&folder, &small()).expect("opens");
    let held = log.shared.writer.lock().expect("no panic");
    folder.go_wrong(1, Wrong::Io);
    std::thread::scope(|scope| {
        let appending: Vec<_> = (0..6_u8)
            .map(|number| {
                let log = &log;
                scope.spawn(move || append(log, &[vec![number]]))
            })
            .collect();
        while log.shared.queue.lock().expect("no panic").waiting_count() < 5 {
            std::thread::yield_now();
        }
        drop(held);
        for one in appending {
            assert_eq!(one.join().expect("no panic"), Err(FaultClass::Stop));
        }
    });
}

#[test]
fn a_full_disk_takes_nothing_and_is_forgiven() {
    for seed in 0..50 {
        let folder = SimFolder::new(seed);
        let settings = small();
        let (log, _) = open_sim(&folder, &settings).expect("opens");
        append(&log, &[vec![1; 3000]]).expect("appends");
        folder.set_full(true);
        // What fits into zeroes written ahead is taken.
        append(&log, &[vec![2; 100]]).expect("appends");
        for _ in 0..3 {
            assert_eq!(append(&log, &[vec![3; 5000]]), Err(FaultClass::Full));
        }
        let (found, _) = read_all(&log, 0, ALL);
        assert_eq!(found.len(), 2);
        if seed % 2 == 0 {
            folder.cut_power();
            drop(log);
            folder.power_on();
            let (log, _) = open_sim(&folder, &settings).expect("opens");
            assert_eq!(
                append(&log, &[vec![4; 5000]]),
                Ok(3),
                "nothing of what was refused is there"
            );
        } else {
            folder.set_full(false);
            assert_eq!(append(&log, &[vec![4; 5000]]), Ok(3));
            drop(log);
            let (log, recovered) = open_sim(&folder, &settings).expect("opens");
            assert_eq!(recovered.torn_bytes, 0);
            let (found, lost) = read_all(&log, 0, ALL);
            assert_eq!((found.len(), lost.len()), (3, 0));
        }
    }
}

#[test]
fn a_full_disk_can_be_relieved_by_releasing() {
    let folder = SimFolder::new(1);
    let (log, _) = open_sim(&folder, &small()).expect("opens");
    for _ in 0..10 {
        append(&log, &[vec![7; 1000]]).expect("appends");
    }
    folder.set_full(true);
    log.release(Sequence(8)).expect("releases without any room");
    assert_eq!(log.span().expect("a span").first, Sequence(7));
}

#[test]
fn any_operation_may_fail_once_and_opening_again_finds_all() {
    for wrong in [Wrong::Io, Wrong::Full, Wrong::Crash] {
        for ahead in 1.. {
            let folder = SimFolder::new(ahead);
            folder.go_wrong(ahead, wrong);
            let mut acknowledged = Vec::new();
            if let Ok((log, _)) = open_sim(&folder, &small()) {
                for number in 0..12_u8 {
                    let payload = vec![number; 700];
                    if append(&log, std::slice::from_ref(&payload)).is_ok() {
                        acknowledged.push(payload);
                    }
                }
            }
            let done = folder.operations() < ahead;
            folder.cut_power();
            folder.power_on();
            let (log, _) = open_sim(&folder, &small()).expect("opens");
            let (found, lost) = read_all(&log, 0, ALL);
            assert!(lost.is_empty(), "{wrong:?} at {ahead}");
            let found = payloads(&found);
            assert!(found.len() >= acknowledged.len(), "{wrong:?} at {ahead}");
            let all = acknowledged
                .iter()
                .zip(&found)
                .all(|(one, other)| one == other);
            assert!(all, "{wrong:?} at {ahead}");
            if done {
                break;
            }
        }
    }
}
