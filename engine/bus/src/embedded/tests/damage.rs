//! Damage is found, told exactly, never served, and never taken for a torn tail, nor a torn tail for damage.

#![allow(clippy::single_range_in_vec_init, reason = "these are lists of ranges")]

use super::sim::SimFolder;
use super::*;
use crate::embedded::frame::{FRAME_HEADER_BYTES, FrameHeader, SEGMENT_HEADER_BYTES, segment_name};

/// Thirty records of a thousand bytes, three in a segment, closed.
fn thirty() -> SimFolder {
    let folder = SimFolder::new(5);
    let (log, _) = open_sim(&folder, &small()).expect("opens");
    for number in 1..=30_u8 {
        append(&log, &[vec![number; 1000]]).expect("appends");
    }
    drop(log);
    folder
}

const FRAME: usize = FRAME_HEADER_BYTES + 17 + 2 + 1000;
const FIRST: usize = SEGMENT_HEADER_BYTES as usize;

/// Opens and reads: what is found, which must be right, and what is lost.
fn check(folder: &SimFolder, wanted_lost: &[std::ops::Range<u64>]) -> Recovered {
    let (log, recovered) = open_sim(folder, &small()).expect("opens");
    for max in [
        ALL,
        ReadMax {
            records: 1,
            bytes: 1,
        },
        ReadMax {
            records: 4,
            bytes: 1 << 20,
        },
    ] {
        let (found, lost) = read_all(&log, 0, max);
        let ranges: Vec<_> = lost.iter().map(|(range, _)| range.clone()).collect();
        assert_eq!(ranges, wanted_lost, "{lost:?}");
        for (sequence, payload) in &found {
            assert_eq!(payload, &vec![*sequence as u8; 1000]);
        }
        let lost: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        assert_eq!(
            found.len() as u64 + lost,
            log.span().expect("a span").last.0
        );
    }
    for from in 0..30 {
        let (found, _) = read_all(&log, from, ALL);
        assert!(found.iter().all(|(sequence, _)| *sequence > from));
    }
    recovered
}

#[test]
fn a_flipped_bit_costs_its_frame() {
    let folder = thirty();
    folder.damage(&segment_name(4), |bytes| bytes[FIRST + FRAME + 500] ^= 1);
    check(&folder, &[5..6]);
}

#[test]
fn a_damaged_header_costs_its_frame_too() {
    for at in 0..FRAME_HEADER_BYTES {
        let folder = thirty();
        folder.damage(&segment_name(4), |bytes| bytes[FIRST + FRAME + at] ^= 0x10);
        check(&folder, &[5..6]);
    }
}

#[test]
fn any_flipped_bit_is_told_or_harmless() {
    let length = FIRST + 3 * FRAME;
    for at in (0..length).step_by(37) {
        for name in [segment_name(1), segment_name(13), segment_name(28)] {
            let folder = thirty();
            folder.damage(&name, |bytes| bytes[at] ^= 1 << (at % 8));
            let (log, _) = open_sim(&folder, &small()).expect("opens");
            let (found, lost) = read_all(&log, 0, ALL);
            let lost: u64 = lost.iter().map(|(range, _)| range.end - range.start).sum();
            assert_eq!(found.len() as u64 + lost, 30, "byte {at} of {name}");
            assert_eq!(lost, u64::from(at >= FIRST), "byte {at} of {name}");
            assert!(
                found
                    .iter()
                    .all(|(n, payload)| *payload == vec![*n as u8; 1000])
            );
        }
    }
}

#[test]
fn a_missing_segment_is_told() {
    let folder = thirty();
    folder.lose(&segment_name(10));
    folder.lose(&segment_name(13));
    check(&folder, &[10..16]);
}

#[test]
fn a_segment_that_goes_missing_while_the_log_is_open_is_told() {
    let folder = thirty();
    let (log, _) = open_sim(&folder, &small()).expect("opens");
    folder.lose(&segment_name(10));
    let (found, lost) = read_all(&log, 0, ALL);
    assert_eq!(found.len(), 27);
    assert_eq!(lost[0].0, 10..13);
    assert!(lost[0].1.contains("is missing"), "{}", lost[0].1);
}

#[test]
fn a_missing_first_segment_is_told() {
    let folder = thirty();
    folder.lose(&segment_name(1));
    check(&folder, &[1..4]);
    let (log, _) = open_sim(&folder, &small()).expect("opens");
    let (_, lost) = read_all(&log, 0, ALL);
    assert!(lost[0].1.contains("is missing"), "{}", lost[0].1);
}

#[test]
fn a_missing_newest_segment_stops() {
    let folder = thirty();
    folder.lose(&segment_name(28));
    let refused = open_sim(&folder, &small()).expect_err("sequences would be given twice");
    assert_eq!(refused.class, FaultClass::Stop);
    assert!(refused.to_string().contains(&segment_name(28)), "{refused}");
    for name in folder.names() {
        if name != "roster" {
            folder.lose(&name);
        }
    }
    assert!(
        open_sim(&folder, &small()).is_err(),
        "also when none is left"
    );
}

#[test]
fn a_segment_that_is_cut_short_is_told() {
    let folder = thirty();
    folder.damage(&segment_name(4), |bytes| bytes.truncate(FIRST + FRAME + 10));
    check(&folder, &[5..7]);
    let folder = thirty();
    folder.damage(&segment_name(4), Vec::clear);
    check(&folder, &[4..7]);
}

#[test]
fn damage_in_the_newest_segment_is_no_torn_tail() {
    for at in [
        FIRST + 500,
        FIRST + 3,
        FIRST + FRAME + 500,
        FIRST + 2 * FRAME + 500,
    ] {
        let folder = thirty();
        folder.damage(&segment_name(28), |bytes| bytes[at] ^= 1);
        let lost = 28 + ((at - FIRST) / FRAME) as u64;
        let recovered = check(&folder, std::slice::from_ref(&(lost..lost + 1)));
        assert_eq!(recovered.torn_bytes, 0);
        assert_eq!(recovered.damaged.len(), 1);
        assert_eq!(recovered.damaged[0].records, lost..lost + 1);
    }
}

#[test]
fn a_damaged_mark_of_closing_costs_nothing() {
    let folder = thirty();
    let (log, _) = open_sim(&folder, &small()).expect("opens");
    append(&log, &[vec![31; 10]]).expect("appends");
    drop(log);
    // The mark of the first closing stands before the last record.
    folder.damage(&segment_name(28), |bytes| {
        bytes[FIRST + 3 * FRAME + 20] ^= 1
    });
    let (log, recovered) = open_sim(&folder, &small()).expect("opens");
    assert_eq!(recovered.last, Sequence(31));
    assert_eq!(recovered.torn_bytes, 0);
    let (found, lost) = read_all(&log, 0, ALL);
    assert_eq!((found.len(), lost.len()), (31, 0));
}

#[test]
fn a_torn_tail_is_cut_off_and_counted() {
    type Tear = fn(&mut Vec<u8>);
    let tears: [Tear; 5] = [
        |bytes| bytes.truncate(FIRST + 2 * FRAME + 700),
        |bytes| bytes.truncate(FIRST + 2 * FRAME + 20),
        |bytes| bytes[FIRST + 2 * FRAME + 100..].fill(0),
        |bytes| bytes[FIRST + 2 * FRAME..FIRST + 2 * FRAME + 300].fill(0),
        |bytes| {
            let mut chance = Chance(3);
            bytes[FIRST + 2 * FRAME..].fill_with(|| chance.next() as u8);
        },
    ];
    for tear in tears {
        let folder = SimFolder::new(5);
        let (log, _) = open_sim(&folder, &small()).expect("opens");
        for number in 1..=3_u8 {
            append(&log, &[vec![number; 1000]]).expect("appends");
        }
        folder.cut_power();
        drop(log);
        folder.power_on();
        folder.damage(&segment_name(1), |bytes| {
            bytes.truncate(FIRST + 3 * FRAME);
            tear(bytes);
        });
        let (log, recovered) = open_sim(&folder, &small()).expect("opens");
        assert!(recovered.torn_bytes > 0, "{recovered:?}");
        assert_eq!((recovered.last, recovered.damaged.len()), (Sequence(2), 0));
        assert_eq!(append(&log, &[vec![9; 10]]), Ok(3));
        let (found, lost) = read_all(&log, 0, ALL);
        assert_eq!((found.len(), lost.len()), (3, 0));
        assert_eq!(found[2].1, vec![9; 10]);
    }
}

#[test]
fn a_whole_frame_behind_a_torn_one_was_never_acknowledged() {
    // Two frames were written together; the first was torn and the second was not.
    let folder = SimFolder::new(5);
    // Too long for zeroes ahead, which would cover what is behind.
    const LONG: usize = 70_000;
    let settings = LogSettings {
        segment_bytes: 1 << 20,
        ..small()
    };
    let (log, _) = open_sim(&folder, &settings).expect("opens");
    append(&log, &[vec![1; LONG]]).expect("appends");
    let held = log.shared.writer.lock().expect("no panic");
    std::thread::scope(|scope| {
        for number in 2..=4_u8 {
            let log = &log;
            scope.spawn(move || append(log, &[vec![number; LONG]]));
        }
        while log.shared.queue.lock().expect("no panic").waiting_count() < 2 {
            std::thread::yield_now();
        }
        drop(held);
    });
    folder.cut_power();
    drop(log);
    folder.power_on();
    // The last two were one group, so nothing says that the first of them was durable.
    folder.damage(&segment_name(1), |bytes| {
        bytes[FIRST + 2 * (FRAME - 1000 + LONG) + 500] ^= 1
    });
    let (log, recovered) = open_sim(&folder, &settings).expect("opens");
    assert_eq!((recovered.last, recovered.damaged.len()), (Sequence(2), 0));
    // What takes the place of the torn one ends where the whole one begins, which must not come back.
    assert_eq!(append(&log, &[vec![9; LONG]]), Ok(3));
    folder.cut_power();
    drop(log);
    folder.power_on();
    let (log, recovered) = open_sim(&folder, &settings).expect("opens");
    assert_eq!(recovered.last, Sequence(3));
    assert_eq!(read_all(&log, 2, ALL).0, [(3, vec![9; LONG])]);
}

#[test]
fn a_payload_that_looks_like_a_frame_is_none() {
    let folder = SimFolder::new(5);
    let (log, _) = open_sim(&folder, &small()).expect("opens");
    append(&log, &[vec![1; 100]]).expect("appends");
    // What a stranger could know: all but the identity, and a copy of a frame of this very log.
    let mut copied = Vec::new();
    folder.damage(&segment_name(1), |bytes| {
        copied = bytes[FIRST..FIRST + FRAME - 900].to_vec()
    });
    let log_identity = FrameHeader::decode(&copied, log.shared.log, FIRST as u64).expect("a frame");
    let mut forged = vec![0; FRAME_HEADER_BYTES];
    let forged_header = FrameHeader {
        log: 0,
        first: 3,
        count: 7,
        offset: 0,
        ..log_identity
    };
    forged_header.encode(&mut forged);
    append(&log, &[[copied, forged].concat()]).expect("appends");
    append(&log, &[vec![3; 100]]).expect("appends");
    drop(log);
    let second = FIRST + FRAME_HEADER_BYTES + 17 + 2 + 100;
    folder.damage(&segment_name(1), |bytes| bytes[second + 5] ^= 1);
    let (log, _) = open_sim(&folder, &small()).expect("opens");
    let (found, lost) = read_all(&log, 0, ALL);
    assert_eq!(payloads(&found), [[1; 100], [3; 100]]);
    assert_eq!(
        lost.iter()
            .map(|(range, _)| range.clone())
            .collect::<Vec<_>>(),
        [2..3]
    );
}

#[test]
fn damaged_headers_of_segments_are_told_and_cost_nothing() {
    let folder = thirty();
    for first in [1, 7, 28] {
        folder.damage(&segment_name(first), |bytes| bytes[20] ^= 1);
    }
    assert_eq!(check(&folder, &[]).damaged.len(), 3);
}

#[test]
fn segments_of_other_logs_and_versions_are_refused() {
    let other = thirty();
    let folder = SimFolder::new(6);
    drop(open_sim(&folder, &small()).expect("opens"));
    let mut bytes = Vec::new();
    other.damage(&segment_name(1), |whole| bytes = whole.clone());
    folder.damage(&segment_name(1), |whole| *whole = bytes);
    let refused = open_sim(&folder, &small()).expect_err("is of another log");
    assert!(refused.to_string().contains("another log"), "{refused}");
    other.damage(&segment_name(1), |whole| whole[8] = 2);
    let refused = open_sim(&other, &small()).expect_err("is newer");
    assert!(refused.to_string().contains("version 2"), "{refused}");
}

#[test]
fn a_roster_is_made_anew_when_it_is_gone_or_damaged() {
    let folder = thirty();
    folder.lose("roster");
    assert!(check(&folder, &[]).roster_made_anew);
    assert!(!check(&folder, &[]).roster_made_anew);
    folder.damage("roster", |bytes| bytes.fill(7));
    assert!(check(&folder, &[]).roster_made_anew);
    // One damaged slot is what a torn write leaves: the other one holds.
    folder.damage("roster", |bytes| bytes[10] ^= 1);
    assert!(!check(&folder, &[]).roster_made_anew);
}
