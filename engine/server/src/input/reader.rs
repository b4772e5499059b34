//! Reads an input in batches: a portion of text and where the records in it are.
//!
//! A batch owns its bytes, so that it can go to another thread; only what follows its last complete record
//! is copied, to the start of the next. Buffers come back through a pool, for taking new ones from the
//! operating system costs as much as parsing. Holds one buffer, at most one record long beyond its portion.

use super::decode::{Decoded, InputFault};
use super::resolve::{Input, Origin};
use super::split::{Ending, Piece, Splitter};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

/// Portion of text handed over at a time: some hundred records, which fit a core's own cache.
const BATCH_BYTES: usize = 256 * 1024;

/// Buffers longer than this, grown for one long record, are not kept.
const POOLED_BYTES_MAX: usize = 4 * BATCH_BYTES;

/// Buffers kept for reuse.
const POOLED_BUFFERS_MAX: usize = 256;

/// Buffers that wait for their next use.
#[derive(Debug, Default)]
pub(crate) struct BufferPool {
    free: Mutex<Vec<Vec<u8>>>,
}

impl BufferPool {
    fn take(&self) -> Vec<u8> {
        let kept = self
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        kept.unwrap_or_else(|| vec![0; BATCH_BYTES])
    }

    /// Gives a buffer back.
    pub(crate) fn put(&self, buffer: Vec<u8>) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.len() <= POOLED_BYTES_MAX && free.len() < POOLED_BUFFERS_MAX {
            free.push(buffer);
        }
    }
}

/// Some records of one input, in order.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Bytes that the pieces point into. Longer than what is used.
    pub(crate) buffer: Vec<u8>,
    pub(crate) pieces: Vec<Piece>,
}

/// What reading on came to.
#[derive(Debug)]
pub(crate) enum Portion {
    Batch(Batch),
    /// The input is over, because of a fault if there is one.
    End(Option<InputFault>),
}

/// Reads one input from start to end.
pub(crate) struct BatchReader {
    decoded: Option<Decoded>,
    fault: Option<InputFault>,
    splitter: Splitter,
    buffer: Vec<u8>,
    filled: usize,
    /// Whether a batch is handed over as soon as it holds something, for somebody may be waiting.
    prompt: bool,
}

impl BatchReader {
    /// Opens `input`. A fault is told when the first portion is asked for.
    pub(crate) fn open(
        input: &Input,
        count: &Arc<AtomicU64>,
        pool: &BufferPool,
        record_bytes_max: usize,
    ) -> Self {
        let (decoded, fault) = match Decoded::open(input, count) {
            Ok(decoded) => (Some(decoded), None),
            Err(fault) => (None, Some(fault)),
        };
        Self {
            decoded,
            fault,
            splitter: Splitter::new(record_bytes_max),
            buffer: pool.take(),
            filled: 0,
            prompt: input.origin == Origin::Stdin,
        }
    }

    /// The next records, or the end.
    pub(crate) fn read(&mut self, pool: &BufferPool) -> Portion {
        let mut pieces = Vec::new();
        while self.decoded.is_some() {
            let ending = self.fill();
            let text = &self.buffer[..self.filled];
            let consumed = self.splitter.split(text, ending, &mut pieces);
            if ending == Ending::Last {
                self.decoded = None;
            }
            if pieces.is_empty() {
                self.buffer.copy_within(consumed..self.filled, 0);
                self.filled -= consumed;
                continue;
            }
            let rest = &self.buffer[consumed..self.filled];
            let mut next = pool.take();
            if next.len() < rest.len() + BATCH_BYTES / 2 {
                next.resize(rest.len() + BATCH_BYTES, 0);
            }
            next[..rest.len()].copy_from_slice(rest);
            self.filled = rest.len();
            let buffer = std::mem::replace(&mut self.buffer, next);
            return Portion::Batch(Batch { buffer, pieces });
        }
        Portion::End(self.fault.take())
    }

    /// Gives the buffer back when nothing more will be read.
    pub(crate) fn close(self, pool: &BufferPool) {
        pool.put(self.buffer);
    }

    /// Reads until the buffer is full, which makes room for at least one byte.
    fn fill(&mut self) -> Ending {
        if self.filled == self.buffer.len() {
            self.buffer
                .resize(self.filled + self.filled.max(BATCH_BYTES), 0);
        }
        let Some(decoded) = &mut self.decoded else {
            return Ending::Last;
        };
        while self.filled < self.buffer.len() {
            match decoded.read(&mut self.buffer[self.filled..]) {
                Ok(0) => return Ending::Last,
                Ok(length) => self.filled += length,
                Err(fault) => {
                    self.fault = Some(fault);
                    return Ending::Last;
                }
            }
            if self.prompt {
                break;
            }
        }
        Ending::More
    }
}
