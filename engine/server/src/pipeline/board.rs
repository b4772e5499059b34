//! The board on which threads find their next task.

use crate::input::decode::InputFault;
use crate::input::reader::{Batch, BatchReader, BufferPool, Portion};
use crate::input::resolve::Input;
use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Batches of one input that may be read but not yet worked on, beyond two for each thread.
const BATCHES_AHEAD: usize = 2;

/// What was found in inputs that are not next in order may take so many bytes before reading ahead stops:
/// enough to decompress a whole large file while the one before it is under way.
const OUTPUT_BYTES_AHEAD: usize = 64 * 1024 * 1024;

/// Inputs that may be open or unfinished, for each thread.
const INPUTS_AHEAD: usize = 4;

/// How often the observer is called.
const OBSERVE_EVERY: Duration = Duration::from_millis(100);

/// How often it is looked whether threads that have nothing left to do are gone.
const FINISH_WITHIN: Duration = Duration::from_millis(1);

/// What a process ends with after a panic.
const PANIC_EXIT_CODE: i32 = 101;

/// Where in a batch a worker left it, because what it found takes too much memory: after so many records of a piece,
/// and so many findings of the record that follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resume {
    pub(crate) piece: usize,
    pub(crate) record: u32,
    pub(crate) finding: u32,
}

impl Resume {
    /// At the start of a piece.
    pub(crate) fn piece(piece: usize) -> Self {
        Self {
            piece,
            ..Self::default()
        }
    }

    /// The same record, from a finding on.
    pub(crate) fn at_finding(self, finding: u32) -> Self {
        Self { finding, ..self }
    }
}

/// Works on batches, one thread's own.
pub(crate) trait Worker {
    type Output: Send;
    /// What there is to say about the records of one batch from a place on, and where it was left.
    fn work(&mut self, input: usize, batch: &Batch, from: Resume)
    -> (Self::Output, Option<Resume>);
    /// About how much memory an output takes.
    fn bytes(output: &Self::Output) -> usize;
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    Stop,
}

/// What the sink is given, in input order.
pub(crate) enum Delivery<O> {
    Output(usize, O),
    /// The input is over, because of a fault if there is one.
    End(usize, Option<InputFault>),
}

impl<O> Delivery<O> {
    fn input(&self) -> usize {
        match self {
            Self::Output(input, _) | Self::End(input, _) => *input,
        }
    }
}

/// Takes what workers found, in input order.
pub(crate) trait Sink<O>: Send {
    fn take(&mut self, delivery: Delivery<O>) -> Flow;
    /// Nothing else is ready at the moment.
    fn pause(&mut self) -> Flow;
}

/// What to go through, and how.
pub(crate) struct Workload<'i> {
    pub(crate) inputs: &'i [Input],
    pub(crate) threads: usize,
    pub(crate) record_bytes_max: usize,
    /// Bytes read from inputs so far, as they are on disk.
    pub(crate) bytes_read: Arc<AtomicU64>,
}

/// What a batch gave.
struct Worked<O> {
    output: O,
    bytes: usize,
    rest: Option<Rest>,
}

/// A batch that was left.
struct Rest {
    batch: Batch,
    from: Resume,
}

/// What is handed on, with what is left of the batch it came from.
type Due<O> = (Delivery<O>, Option<Rest>);

/// One input under way.
struct Lane<O> {
    input: usize,
    /// Absent while a thread holds it, and at the end.
    reader: Option<Box<BatchReader>>,
    ready: VecDeque<(u64, Batch)>,
    /// Outputs from `merged` on, in order; holes are being worked on.
    outputs: VecDeque<Option<Worked<O>>>,
    /// Bytes of these.
    output_bytes: usize,
    /// How many of them are holes.
    unworked: usize,
    /// Batches read so far.
    read: u64,
    /// Outputs handed on so far.
    merged: u64,
    ended: Option<Option<InputFault>>,
}

struct State<O> {
    lanes: VecDeque<Lane<O>>,
    next_input: usize,
    /// Bytes of all outputs not yet handed on.
    output_bytes: usize,
    merging: bool,
    stopped: bool,
    panicked: bool,
}

enum Task<O> {
    Merge(Vec<Due<O>>),
    Work {
        input: usize,
        sequence: u64,
        batch: Batch,
    },
    Read {
        input: usize,
        reader: Option<Box<BatchReader>>,
    },
    Wait,
    Finish,
}

struct Board<'i, O> {
    workload: Workload<'i>,
    pool: BufferPool,
    state: Mutex<State<O>>,
    changed: Condvar,
}

/// Goes through the workload. `observe` is called now and then with the sink's lock free; when it
/// says stop, `run` returns as soon as the tasks under way are done.
pub(crate) fn run<W, S>(
    workload: Workload<'_>,
    make_worker: impl Fn() -> W + Sync,
    sink: &Mutex<S>,
    mut observe: impl FnMut() -> Flow,
) where
    W: Worker,
    S: Sink<W::Output>,
{
    let board = Board {
        pool: BufferPool::default(),
        state: Mutex::new(State::default()),
        changed: Condvar::new(),
        workload,
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..board.workload.threads.max(1))
            .map(|_| scope.spawn(|| board.serve(make_worker(), sink)))
            .collect();
        while !threads
            .iter()
            .all(std::thread::ScopedJoinHandle::is_finished)
        {
            if observe() == Flow::Stop {
                board.stop();
            }
            let state = board.lock();
            if state.panicked {
                // Another thread may be waiting for input that never comes: the process ends here.
                std::process::exit(PANIC_EXIT_CODE);
            }
            let wait = if state.finished(board.workload.inputs.len()) {
                FINISH_WITHIN
            } else {
                OBSERVE_EVERY
            };
            drop(board.changed.wait_timeout(state, wait));
        }
    });
}

impl<O: Send> Board<'_, O> {
    fn lock(&self) -> MutexGuard<'_, State<O>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// One thread's life.
    fn serve<W: Worker<Output = O>, S: Sink<O>>(&self, mut worker: W, sink: &Mutex<S>) {
        // A panic here is our own bug: the others must not wait for this thread for ever.
        let _guard = StopOnUnwind(self);
        let mut state = self.lock();
        loop {
            match self.next(&mut state) {
                Task::Finish => break,
                Task::Wait => {
                    state = self
                        .changed
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                Task::Merge(deliveries) => {
                    drop(state);
                    let flow = self.hand_on(deliveries, &mut worker, sink);
                    state = self.lock();
                    state.merging = false;
                    state.stopped |= flow == Flow::Stop;
                    self.changed.notify_all();
                }
                Task::Work {
                    input,
                    sequence,
                    batch,
                } => {
                    drop(state);
                    let worked = self.work(input, batch, &mut worker);
                    state = self.lock();
                    state.worked(input, sequence, worked);
                }
                Task::Read { input, reader } => {
                    drop(state);
                    let (reader, portion) = self.read(input, reader);
                    state = self.lock();
                    state.read(input, reader, portion, &self.pool);
                    self.changed.notify_all();
                }
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    fn work<W: Worker<Output = O>>(&self, input: usize, batch: Batch, worker: &mut W) -> Worked<O> {
        let (output, left) = worker.work(input, &batch, Resume::default());
        let bytes = W::bytes(&output);
        match left {
            Some(from) => Worked {
                output,
                bytes: bytes + batch.buffer.len(),
                rest: Some(Rest { batch, from }),
            },
            None => {
                self.pool.put(batch.buffer);
                Worked {
                    output,
                    bytes,
                    rest: None,
                }
            }
        }
    }

    /// Gives the sink what is next in order. What is left of a batch is worked on here: its turn has come, and
    /// nothing of it waits any more.
    fn hand_on<W: Worker<Output = O>, S: Sink<O>>(
        &self,
        due: Vec<Due<O>>,
        worker: &mut W,
        sink: &Mutex<S>,
    ) -> Flow {
        let take = |delivery| {
            let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
            sink.take(delivery)
        };
        for (delivery, mut rest) in due {
            let input = delivery.input();
            if take(delivery) == Flow::Stop {
                return Flow::Stop;
            }
            while let Some(Rest { batch, from }) = rest.take() {
                let (output, left) = worker.work(input, &batch, from);
                if take(Delivery::Output(input, output)) == Flow::Stop {
                    return Flow::Stop;
                }
                match left {
                    Some(from) => rest = Some(Rest { batch, from }),
                    None => self.pool.put(batch.buffer),
                }
            }
        }
        sink.lock().unwrap_or_else(PoisonError::into_inner).pause()
    }

    fn read(&self, input: usize, reader: Option<Box<BatchReader>>) -> (Box<BatchReader>, Portion) {
        let Workload {
            inputs,
            bytes_read,
            record_bytes_max,
            ..
        } = &self.workload;
        let mut reader = reader.unwrap_or_else(|| {
            Box::new(BatchReader::open(
                &inputs[input],
                bytes_read,
                &self.pool,
                *record_bytes_max,
            ))
        });
        let portion = reader.read(&self.pool);
        (reader, portion)
    }

    fn next(&self, state: &mut State<O>) -> Task<O> {
        let threads = self.workload.threads.max(1);
        if state.finished(self.workload.inputs.len()) {
            return Task::Finish;
        }
        if !state.merging {
            let deliveries = state.deliveries();
            if !deliveries.is_empty() {
                state.merging = true;
                return Task::Merge(deliveries);
            }
        }
        for lane in &mut state.lanes {
            if let Some((sequence, batch)) = lane.ready.pop_front() {
                return Task::Work {
                    input: lane.input,
                    sequence,
                    batch,
                };
            }
        }
        let batches_max = BATCHES_AHEAD + 2 * threads;
        let may_read_ahead = state.output_bytes < OUTPUT_BYTES_AHEAD;
        for (place, lane) in state.lanes.iter_mut().enumerate() {
            // The first one goes on whatever the others hold, but not far beyond a batch that takes long.
            let first =
                place == 0 && (lane.outputs.is_empty() || lane.output_bytes < OUTPUT_BYTES_AHEAD);
            if lane.unworked < batches_max
                && (first || may_read_ahead)
                && let Some(reader) = lane.reader.take()
            {
                return Task::Read {
                    input: lane.input,
                    reader: Some(reader),
                };
            }
        }
        let input = state.next_input;
        let may_open = state.lanes.is_empty() || may_read_ahead;
        let few = state.lanes.len() < INPUTS_AHEAD * threads;
        if input < self.workload.inputs.len() && few && may_open {
            state.next_input += 1;
            state.lanes.push_back(Lane {
                input,
                reader: None,
                ready: VecDeque::new(),
                outputs: VecDeque::new(),
                output_bytes: 0,
                unworked: 0,
                read: 0,
                merged: 0,
                ended: None,
            });
            return Task::Read {
                input,
                reader: None,
            };
        }
        Task::Wait
    }
}

impl<O> Default for State<O> {
    fn default() -> Self {
        Self {
            lanes: VecDeque::new(),
            next_input: 0,
            output_bytes: 0,
            merging: false,
            stopped: false,
            panicked: false,
        }
    }
}

impl<O> State<O> {
    fn finished(&self, inputs: usize) -> bool {
        self.stopped || self.lanes.is_empty() && self.next_input == inputs && !self.merging
    }

    fn lane(&mut self, input: usize) -> Option<&mut Lane<O>> {
        self.lanes.iter_mut().find(|lane| lane.input == input)
    }

    fn worked(&mut self, input: usize, sequence: u64, worked: Worked<O>) {
        self.output_bytes += worked.bytes;
        if let Some(lane) = self.lane(input) {
            let index = (sequence - lane.merged) as usize;
            lane.output_bytes += worked.bytes;
            lane.outputs[index] = Some(worked);
            lane.unworked -= 1;
        }
    }

    fn read(
        &mut self,
        input: usize,
        reader: Box<BatchReader>,
        portion: Portion,
        pool: &BufferPool,
    ) {
        let Some(lane) = self.lane(input) else { return };
        match portion {
            Portion::Batch(batch) => {
                lane.ready.push_back((lane.read, batch));
                lane.outputs.push_back(None);
                lane.unworked += 1;
                lane.read += 1;
                lane.reader = Some(reader);
            }
            Portion::End(fault) => {
                lane.ended = Some(fault);
                reader.close(pool);
            }
        }
    }

    /// Takes everything that is next in order.
    fn deliveries(&mut self) -> Vec<Due<O>> {
        let mut deliveries = Vec::new();
        while let Some(lane) = self.lanes.front_mut() {
            while let Some(Some(_)) = lane.outputs.front() {
                if let Some(Some(worked)) = lane.outputs.pop_front() {
                    self.output_bytes -= worked.bytes;
                    lane.output_bytes -= worked.bytes;
                    let delivery = Delivery::Output(lane.input, worked.output);
                    deliveries.push((delivery, worked.rest));
                    lane.merged += 1;
                }
            }
            if !lane.outputs.is_empty() || lane.ended.is_none() {
                break;
            }
            let fault = lane.ended.take().flatten();
            deliveries.push((Delivery::End(lane.input, fault), None));
            self.lanes.pop_front();
        }
        deliveries
    }
}

struct StopOnUnwind<'b, 'i, O: Send>(&'b Board<'i, O>);

impl<O: Send> Drop for StopOnUnwind<'_, '_, O> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().panicked = true;
            self.0.stop();
        }
    }
}

#[cfg(test)]
mod tests;
