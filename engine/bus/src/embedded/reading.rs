//! Reading: frames from the files, each checked, and what cannot be read said.
//!
//! Where a read ended is remembered with the bytes around it, so that a reader at the end of the log reads only what is
//! new. Readers see what the view says at one moment and take nothing else from those who append.
//!
//! A damaged frame is never handed over and never passed over in silence. Where the header of a frame holds, its length is
//! known and only its records are lost; elsewhere the next frame is searched whose checks hold, and everything up to
//! it is lost. It relies on sequences that follow each other without holes: what is missing shows as a gap, whatever took
//! it away. Rejected: caching what was appended in memory, which the page cache does already and for all readers.

use super::frame::{self, FRAME_HEADER_BYTES, FrameHeader, SEGMENT_HEADER_BYTES, segment_name};
use super::limits;
use super::shared::{Index, Shared, locked};
use super::window::Window;
use std::io;
use std::sync::Arc;
use tripline_core::port::{Delivered, FaultClass, PortFault, ReadMax, Sequence};

/// Where a read ended.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) segment: u64,
    window: Window,
    index: Arc<Index>,
    /// Where the frame begins that is read next or is being read.
    offset: u64,
    /// The sequence of the record that comes next.
    next: u64,
    /// The frame that is being read, its check done, and where in its records.
    inside: Option<(FrameHeader, usize)>,
}

/// How far a segment may be read.
#[derive(Clone, Debug)]
struct Limits {
    first: u64,
    end: u64,
    /// The sequence after its last record.
    next: u64,
    /// Whether it may come to have more.
    grows: bool,
    index: Arc<Index>,
}

enum Place {
    /// There is no such record yet.
    NotYet,
    /// It was there, and is not any more: these are lost.
    Before { oldest: u64, first: u64 },
    /// It is in this segment.
    In(Limits),
}

enum Step {
    /// A frame that has the record.
    Inside,
    /// Records that are lost, up to this sequence.
    Lost { to: u64, why: String },
    /// The segment has no more.
    End,
}

impl Shared {
    pub(super) fn read(
        &self,
        after: u64,
        max: ReadMax,
        into: &mut Delivered,
    ) -> Result<(), PortFault> {
        let records = into.records.len();
        let bytes = into.buffer.len();
        let mut want = after.saturating_add(1);
        loop {
            let limits = match self.place(want) {
                Place::NotYet => return Ok(()),
                Place::Before { oldest, first } => {
                    if into.records.len() > records {
                        return Ok(());
                    }
                    self.note_missing(want, oldest, first, into);
                    want = first;
                    continue;
                }
                Place::In(limits) => limits,
            };
            let cursor = match self.cursor(want, &limits) {
                Ok(cursor) => cursor,
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                    // Given up a moment ago, or gone without anybody having given it up.
                    if !self.has_segment(limits.first) {
                        continue;
                    }
                    if into.records.len() == records {
                        let name = self.shown(&segment_name(limits.first));
                        into.lost
                            .push((want..limits.next, format!("the file {name} is missing")));
                        want = limits.next;
                        continue;
                    }
                    return Ok(());
                }
                Err(fault) => return Err(self.unreadable(limits.first, fault)),
            };
            let mut reading = Reading {
                records,
                bytes,
                max,
                want,
            };
            let done = self.read_segment(cursor, &limits, &mut reading, into);
            if done.map_err(|fault| self.unreadable(limits.first, fault))? {
                return Ok(());
            }
            want = reading.want;
        }
    }

    fn unreadable(&self, segment: u64, fault: io::Error) -> PortFault {
        let name = self.shown(&segment_name(segment));
        PortFault::new(FaultClass::Retry, format!("read {name}")).because(fault)
    }

    fn note_missing(&self, want: u64, oldest: u64, first: u64, into: &mut Delivered) {
        if want < oldest {
            let why = "no longer kept: released, or given up for room or age".to_owned();
            into.lost.push((want..oldest.min(first), why));
        }
        if oldest < first {
            let name = self.shown(&segment_name(oldest));
            into.lost.push((
                want.max(oldest)..first,
                format!("the file {name} is missing"),
            ));
        }
    }

    fn place(&self, want: u64) -> Place {
        let view = locked(&self.view);
        if want > view.last {
            return Place::NotYet;
        }
        let after = view.segments.partition_point(|one| one.first <= want);
        if after == 0 {
            return Place::Before {
                oldest: view.oldest,
                first: view.segments[0].first,
            };
        }
        let segment = &view.segments[after - 1];
        Place::In(Limits {
            first: segment.first,
            end: segment.end,
            next: view
                .segments
                .get(after)
                .map_or(view.last + 1, |one| one.first),
            grows: after == view.segments.len(),
            index: Arc::clone(&segment.index),
        })
    }

    fn has_segment(&self, first: u64) -> bool {
        locked(&self.view)
            .segments
            .iter()
            .any(|one| one.first == first)
    }

    /// A place to read from: where somebody ended, or the nearest that is known.
    fn cursor(&self, want: u64, limits: &Limits) -> io::Result<Cursor> {
        let mut cursors = locked(&self.cursors);
        let ended = cursors
            .iter()
            .position(|one| one.next == want && one.segment == limits.first);
        if let Some(ended) = ended {
            return Ok(cursors.swap_remove(ended));
        }
        drop(cursors);
        let file = self.folder.open(&segment_name(limits.first))?;
        let noted = limits.index.before(want);
        let (next, offset) = noted.unwrap_or((limits.first, SEGMENT_HEADER_BYTES));
        Ok(Cursor {
            segment: limits.first,
            window: Window::new(file, self.log),
            index: Arc::clone(&limits.index),
            offset,
            next,
            inside: None,
        })
    }

    fn remember(&self, mut cursor: Cursor) {
        if cursor.inside.is_none() {
            cursor.window.shrink();
        }
        let mut cursors = locked(&self.cursors);
        if cursors.len() >= limits::CURSORS_MAX {
            cursors.remove(0);
        }
        cursors.push(cursor);
    }

    /// Reads on in one segment. Whether reading is done; otherwise it goes on at `reading.want`.
    fn read_segment(
        &self,
        mut cursor: Cursor,
        limits: &Limits,
        reading: &mut Reading,
        into: &mut Delivered,
    ) -> io::Result<bool> {
        loop {
            match cursor.step(reading.want, limits)? {
                Step::Inside => {
                    cursor.take(reading, limits, into)?;
                    if reading.is_full(into) {
                        self.remember(cursor);
                        return Ok(true);
                    }
                }
                Step::Lost { to, why } if to > reading.want => {
                    // What is lost stands before the first record; the next read begins with it.
                    if into.records.len() > reading.records {
                        return Ok(true);
                    }
                    let name = self.shown(&segment_name(limits.first));
                    into.lost
                        .push((reading.want..to, format!("{why} of {name}")));
                    reading.want = to;
                }
                Step::Lost { .. } => {}
                Step::End => {
                    if limits.grows {
                        self.remember(cursor);
                    }
                    return Ok(false);
                }
            }
        }
    }
}

/// What one read is about.
struct Reading {
    /// Records and bytes that were there before.
    records: usize,
    bytes: usize,
    max: ReadMax,
    want: u64,
}

impl Reading {
    fn is_full(&self, into: &Delivered) -> bool {
        let records = into.records.len() - self.records;
        let bytes = into.buffer.len() - self.bytes;
        records > 0 && (records >= self.max.records || bytes >= self.max.bytes)
    }
}

impl Cursor {
    /// Goes to the frame that has the record, or to what stands in the way.
    fn step(&mut self, want: u64, limits: &Limits) -> io::Result<Step> {
        loop {
            if self.next >= limits.next && self.inside.is_none() {
                return Ok(Step::End);
            }
            if let Some((header, _)) = self.inside {
                // Its check holds for the bytes that were looked at then, not for what is read anew.
                let held = self.window.has(self.offset, header.frame_bytes())
                    || self
                        .window
                        .body(self.offset, &header, limits.end)?
                        .is_some();
                if held {
                    return Ok(Step::Inside);
                }
                let why = format!("damaged at byte {}", self.offset);
                self.pass(&header);
                return Ok(Step::Lost {
                    to: header.next(),
                    why,
                });
            }
            let header = self.window.header(self.offset, limits.end)?;
            let Some(header) = header.filter(|header| header.first == self.next) else {
                return self.resume(limits);
            };
            if header.next() <= want {
                self.pass(&header);
                continue;
            }
            if self
                .window
                .body(self.offset, &header, limits.end)?
                .is_some()
            {
                self.inside = Some((header, 0));
                continue;
            }
            let why = format!("damaged at byte {}", self.offset);
            self.pass(&header);
            return Ok(Step::Lost {
                to: header.next(),
                why,
            });
        }
    }

    fn pass(&mut self, header: &FrameHeader) {
        self.index.note(header.first, self.offset);
        self.offset += header.frame_bytes();
        self.next = header.next();
        self.inside = None;
    }

    /// Searches the next frame whose checks hold.
    fn resume(&mut self, limits: &Limits) -> io::Result<Step> {
        let from = self.offset;
        let mut at = from;
        while let Some((offset, header)) = self.window.find(at, limits.end)? {
            if header.first >= self.next && header.next() <= limits.next {
                self.offset = offset;
                self.next = header.first;
                return Ok(Step::Lost {
                    to: header.first,
                    why: format!("damaged at byte {from}"),
                });
            }
            at = offset + header.frame_bytes();
        }
        let why = if self.window.is_zero(from, limits.end)? {
            format!("missing after byte {from}")
        } else {
            format!("damaged at byte {from}")
        };
        self.offset = limits.end;
        self.next = limits.next;
        Ok(Step::Lost {
            to: limits.next,
            why,
        })
    }

    /// Hands over records of the frame it is in, as far as the bounds of the read allow.
    fn take(
        &mut self,
        reading: &mut Reading,
        limits: &Limits,
        into: &mut Delivered,
    ) -> io::Result<()> {
        let Some((header, mut at)) = self.inside else {
            return Ok(());
        };
        let frame = self
            .window
            .get(self.offset, header.frame_bytes() as usize, limits.end)?;
        let body = frame.map_or(&[][..], |frame| &frame[FRAME_HEADER_BYTES..]);
        while self.next < header.next() && !reading.is_full(into) {
            let record = frame::record_at(body, &mut at).expect("the check of the frame holds");
            if self.next >= reading.want {
                into.push(Sequence(self.next), &record);
                reading.want = self.next + 1;
            }
            self.next += 1;
        }
        if self.next >= header.next() {
            self.pass(&header);
        } else {
            self.inside = Some((header, at));
        }
        Ok(())
    }
}
