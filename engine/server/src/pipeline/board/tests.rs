use super::{
    BATCHES_AHEAD, Board, BufferPool, Lane, OUTPUT_BYTES_AHEAD, State, Task, Worked, Workload,
};
use crate::input::reader::BatchReader;
use crate::input::resolve::Input;
use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex};

/// Whether one more batch of the first input is read while its first batch takes long and what the later ones
/// gave takes so many bytes.
fn check(output_bytes: usize, reads: bool) {
    let inputs = [Input::bundled("bundled", b"{}")];
    let bytes_read = Arc::new(AtomicU64::new(0));
    let pool = BufferPool::default();
    let reader = BatchReader::open(&inputs[0], &bytes_read, &pool, 100);
    let later = Worked {
        output: (),
        bytes: output_bytes,
        rest: None,
    };
    let mut state = State {
        lanes: VecDeque::from([Lane {
            input: 0,
            reader: Some(Box::new(reader)),
            ready: VecDeque::new(),
            outputs: VecDeque::from([None, Some(later)]),
            output_bytes,
            unworked: 1,
            read: 2,
            merged: 0,
            ended: None,
        }]),
        next_input: 1,
        output_bytes,
        merging: false,
        stopped: false,
        panicked: false,
    };
    const {
        assert!(
            BATCHES_AHEAD > 1,
            "the batch being worked on is no reason to wait"
        )
    };
    let board = Board {
        workload: Workload {
            inputs: &inputs,
            threads: 2,
            record_bytes_max: 100,
            bytes_read,
        },
        pool,
        state: Mutex::new(State::default()),
        changed: Condvar::new(),
    };
    let task = board.next(&mut state);
    assert_eq!(matches!(task, Task::Read { .. }), reads, "{output_bytes}");
    assert_eq!(matches!(task, Task::Wait), !reads, "{output_bytes}");
}

#[test]
fn reading_waits_for_a_batch_that_takes_long() {
    check(0, true);
    check(OUTPUT_BYTES_AHEAD - 1, true);
    check(OUTPUT_BYTES_AHEAD, false);
}
