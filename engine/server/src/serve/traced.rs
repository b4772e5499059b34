//! Spans of batches on their way: read, evaluated, committed, published.
//!
//! ```text
//! batch ─┬─ read
//!        ├─ evaluate
//!        └─ commit ── publish        one commit may be of several batches: below the first, linked to the others
//! ```
//!
//! Threads hand batches on to each other, so spans go with them and nobody is within one. Nothing is kept while no spans are sent.

use crate::telemetry::{TRACES, traceparent, unix_nanos};
use std::collections::VecDeque;
use tracing::Span;
use tracing::field::Empty;
use tripline_core::port::{Partition, Sequence};

/// Batches that are not durable yet; of more, the oldest are told as they are.
const BATCHES_MAX: usize = 1024;

/// The batches of a partition that are not durable yet, by their last records.
pub(super) struct Batches {
    partition: Partition,
    open: VecDeque<(Sequence, Span)>,
}

/// When a read began.
pub(super) struct Reading(u64);

impl Reading {
    pub(super) fn begin() -> Self {
        Self(unix_nanos())
    }
}

/// A commit, with what lasts until it is durable.
pub(super) struct Committing {
    span: Span,
    _batches: Vec<Span>,
}

impl Batches {
    pub(super) fn new(partition: Partition) -> Self {
        Self {
            partition,
            open: VecDeque::new(),
        }
    }

    /// A batch that was read. A read that finds nothing is nothing to tell of, so its span is made when it is known that there is
    /// something.
    pub(super) fn read(
        &mut self,
        reading: &Reading,
        (after, through): (Sequence, Sequence),
        records: usize,
    ) -> Span {
        let start_nanos = reading.0;
        let batch = tracing::info_span!(
            target: TRACES,
            parent: None,
            "batch",
            kind = "consumer",
            start_nanos,
            tripline.partition = self.partition.0,
            tripline.after = after.0,
            tripline.through = through.0,
            tripline.records = records as u64,
        );
        if batch.is_disabled() {
            return batch;
        }
        drop(tracing::info_span!(target: TRACES, parent: &batch, "read", start_nanos));
        if self.open.len() == BATCHES_MAX {
            self.open.pop_front();
        }
        self.open.push_back((through, batch.clone()));
        batch
    }

    /// A commit of everything up to a place.
    pub(super) fn commit(&mut self, position: Sequence) -> Committing {
        let done = self
            .open
            .partition_point(|(through, _)| *through <= position);
        let batches: Vec<Span> = self.open.drain(..done).map(|(_, batch)| batch).collect();
        let span = tracing::info_span!(
            target: TRACES,
            parent: batches.first().and_then(Span::id),
            "commit",
            tripline.partition = self.partition.0,
            tripline.position = position.0,
            tripline.findings = Empty,
            fault = Empty,
        );
        for other in batches.iter().skip(1) {
            span.follows_from(other.id());
        }
        Committing {
            span,
            _batches: batches,
        }
    }
}

impl Committing {
    /// It is durable; what names it to whoever publishes what it stored.
    pub(super) fn done(&self, findings: u64) -> Option<String> {
        self.span.record("tripline.findings", findings);
        traceparent(&self.span)
    }

    pub(super) fn failed(&self, fault: &str) {
        self.span.record("fault", fault);
    }
}

/// Rules going over a batch.
pub(super) fn evaluate(batch: &Span, records: usize) -> Span {
    tracing::info_span!(
        target: TRACES,
        parent: batch,
        "evaluate",
        tripline.records = records as u64,
    )
}

/// A sink taking findings; `by` names the commit that stored the first of them.
pub(super) fn publish(by: Option<&str>, sink: &str, findings: usize) -> Span {
    tracing::info_span!(
        target: TRACES,
        parent: None,
        "publish",
        kind = "client",
        traceparent = by,
        tripline.sink = sink,
        tripline.findings = findings as u64,
        fault = Empty,
    )
}
