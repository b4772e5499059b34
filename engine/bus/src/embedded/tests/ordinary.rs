//! The log as everybody uses it.

use super::sim::SimFolder;
use super::*;
use crate::embedded::limits;
use tripline_core::port::conformance;

#[test]
fn it_is_a_bus_on_a_real_disk() {
    for flush in [
        Flush::Fsync,
        Flush::Process {
            every: Duration::from_millis(1),
        },
    ] {
        for segment_bytes in [4096, limits::SEGMENT_BYTES] {
            let folder = Temporary::new();
            let settings = LogSettings {
                flush,
                segment_bytes,
                ..LogSettings::default()
            };
            conformance::bus(&mut || {
                let (log, recovered) = Log::open(folder.path(), settings.clone()).expect("opens");
                assert_eq!((recovered.torn_bytes, recovered.damaged.len()), (0, 0));
                Box::new(log)
            });
        }
    }
}

/// What was deleted under it is not acknowledged: it is gone with the process.
#[test]
fn a_folder_that_somebody_deletes_takes_nothing_more() {
    for flush in [
        Flush::Fsync,
        Flush::Process {
            every: Duration::from_millis(1),
        },
    ] {
        let folder = Temporary::new();
        let settings = LogSettings {
            flush,
            ..LogSettings::default()
        };
        let (log, _) = Log::open(folder.path(), settings).expect("opens");
        assert_eq!(append(&log, &[vec![1]]), Ok(1));
        std::fs::remove_dir_all(folder.path()).expect("it is deleted");
        for payload in [2, 3] {
            assert_eq!(append(&log, &[vec![payload]]), Err(FaultClass::Stop));
        }
    }
}

#[test]
fn it_is_a_bus_on_a_simulated_disk() {
    for flush in [Flush::Fsync, never_in_background()] {
        let folder = SimFolder::new(1);
        let settings = LogSettings { flush, ..small() };
        conformance::bus(&mut || Box::new(open_sim(&folder, &settings).expect("opens").0));
    }
}

#[test]
fn only_one_has_it_open() {
    let folder = Temporary::new();
    let (log, _) = Log::open(folder.path(), small()).expect("opens");
    let refused = Log::open(folder.path(), small()).expect_err("is locked");
    assert_eq!(refused.class, FaultClass::Retry);
    let own = format!("process {} has it open", std::process::id());
    assert!(refused.to_string().contains(&own), "{refused}");
    drop(log);
    Log::open(folder.path(), small()).expect("opens");
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let folder = SimFolder::new(1);
    let wrong = [
        LogSettings {
            segment_bytes: 4095,
            ..small()
        },
        LogSettings {
            segment_bytes: limits::SEGMENT_BYTES_MAX + 1,
            ..small()
        },
        LogSettings {
            record_bytes_max: limits::RECORD_BYTES_MAX + 1,
            ..small()
        },
        LogSettings {
            bytes_max: 8191,
            ..small()
        },
    ];
    for settings in wrong {
        let refused = settings.checked().expect_err("is refused");
        assert_eq!(refused.class, FaultClass::Reject);
    }
    assert!(folder.names().is_empty());
}

#[test]
fn what_is_too_long_is_rejected_and_the_rest_goes_on() {
    let folder = SimFolder::new(1);
    let settings = LogSettings {
        record_bytes_max: 1000,
        ..small()
    };
    let (log, _) = open_sim(&folder, &settings).expect("opens");
    assert_eq!(
        append(&log, &[vec![1; 999]]),
        Err(FaultClass::Reject),
        "with attributes"
    );
    assert_eq!(append(&log, &[vec![1; 998]]), Ok(1));
    let long = vec![1; 512 * 1024];
    let settings = LogSettings {
        segment_bytes: limits::SEGMENT_BYTES,
        ..LogSettings::default()
    };
    let other = SimFolder::new(1);
    let (log, _) = open_sim(&other, &settings).expect("opens");
    let records = vec![record(&long); 131];
    let refused = log.append(&records).expect_err("is too long together");
    assert_eq!(refused.class, FaultClass::Reject);
    let many = vec![record(b""); limits::APPEND_RECORDS_MAX + 1];
    let refused = log.append(&many).expect_err("are too many");
    assert_eq!(refused.class, FaultClass::Reject);
    assert_eq!(append(&log, &[vec![1]]), Ok(1));
}

#[test]
fn a_record_longer_than_a_segment_has_one_of_its_own() {
    let folder = SimFolder::new(1);
    let (log, _) = open_sim(&folder, &small()).expect("opens");
    let lengths = [10, 20_000, 10, 300_000, 3000, 3000];
    for (place, length) in lengths.iter().enumerate() {
        assert_eq!(append(&log, &[vec![7; *length]]), Ok(place as u64 + 1));
    }
    let (found, lost) = read_all(&log, 0, ALL);
    assert!(lost.is_empty());
    assert!(found.iter().map(|(_, payload)| payload.len()).eq(lengths));
}

#[test]
fn many_threads_append_and_one_reads() {
    let folder = Temporary::new();
    let settings = LogSettings {
        segment_bytes: 64 * 1024,
        ..LogSettings::default()
    };
    let (log, _) = Log::open(folder.path(), settings).expect("opens");
    let (threads, appends) = (4_u64, 50_u64);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let log = &log;
            scope.spawn(move || {
                for number in 0..appends {
                    let text = format!("{thread}.{number}").into_bytes();
                    append(log, &[text.clone(), text]).expect("appends");
                }
            });
        }
        let total = threads * appends * 2;
        let mut after = 0;
        let mut numbers = vec![0_u64; threads as usize * 2];
        while after < total {
            assert!(
                log.wait(Sequence(after), Duration::from_secs(60))
                    .expect("waits")
            );
            let mut read = Delivered::default();
            let max = ReadMax {
                records: 7,
                bytes: 1 << 20,
            };
            log.read(Sequence(after), max, &mut read).expect("reads");
            for record in &read.records {
                after += 1;
                assert_eq!(record.sequence.0, after);
                let text = String::from_utf8(read.payload(record).to_vec()).expect("text");
                let (thread, number) = text.split_once('.').expect("a dot");
                let place =
                    thread.parse::<usize>().expect("a number") * 2 + (after as usize + 1) % 2;
                assert_eq!(
                    numbers[place],
                    number.parse::<u64>().expect("a number"),
                    "in order"
                );
                numbers[place] += 1;
            }
        }
    });
}

#[test]
fn appends_that_wait_are_flushed_together() {
    let folder = SimFolder::new(1);
    let settings = LogSettings {
        segment_bytes: 1 << 20,
        ..small()
    };
    let (log, _) = open_sim(&folder, &settings).expect("opens");
    // While the writer is held, everybody lines up behind the one who leads.
    let held = log.shared.writer.lock().expect("no panic");
    let before = folder.operations();
    std::thread::scope(|scope| {
        for number in 0..8_u8 {
            let log = &log;
            scope.spawn(move || append(log, &[vec![number]]).expect("appends"));
        }
        while log.shared.queue.lock().expect("no panic").waiting_count() < 7 {
            std::thread::yield_now();
        }
        drop(held);
    });
    // Two groups: the leader's own, with zeroes ahead, and all the others.
    assert!(
        folder.operations() - before <= 5,
        "{}",
        folder.operations() - before
    );
    assert_eq!(log.span().expect("a span").last, Sequence(8));
}

#[test]
fn waiting_ends_when_something_comes_and_when_nothing_can() {
    let folder = SimFolder::new(1);
    let (log, _) = open_sim(&folder, &small()).expect("opens");
    let long = Duration::from_secs(3600);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| log.wait(Sequence(0), long));
        append(&log, &[vec![1]]).expect("appends");
        assert!(waiting.join().expect("no panic").expect("waits"));
        let waiting = scope.spawn(|| log.wait(Sequence(1), long));
        folder.go_wrong(1, sim::Wrong::Io);
        assert_eq!(append(&log, &[vec![2]]), Err(FaultClass::Stop));
        let stopped = waiting
            .join()
            .expect("no panic")
            .expect_err("nothing can come");
        assert_eq!(stopped.class, FaultClass::Stop);
    });
    assert!(log.wait(Sequence(0), long).expect("what is there is there"));
}

#[test]
fn a_reader_at_the_end_reads_only_what_is_new() {
    let folder = SimFolder::new(1);
    let settings = LogSettings {
        segment_bytes: 1 << 20,
        ..small()
    };
    let (log, _) = open_sim(&folder, &settings).expect("opens");
    for number in 0..100 {
        append(&log, &[vec![1; 1500]]).expect("appends");
        let mut read = Delivered::default();
        log.read(Sequence(number), ALL, &mut read).expect("reads");
        assert_eq!(read.records.len(), 1);
        let cursors = log.shared.cursors.lock().expect("no panic");
        assert_eq!(cursors.len(), 1, "the place is remembered and used again");
    }
}

#[test]
fn a_segment_without_records_is_not_begun_again() {
    // Closing leaves a mark in it, and the next record does not fit behind the mark.
    let folder = SimFolder::new(1);
    drop(open_sim(&folder, &small()).expect("opens"));
    let (log, _) = open_sim(&folder, &small()).expect("opens");
    let names = folder.names();
    assert_eq!(append(&log, &[vec![7; 4096]]), Ok(1));
    assert_eq!(folder.names(), names);
    let (found, lost) = read_all(&log, 0, ALL);
    assert_eq!((found.len(), lost.len()), (1, 0));
}
