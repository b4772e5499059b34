//! Opening: what is there is found out, settled, and said.
//!
//! Only the newest segment can end in a torn tail, because a segment is flushed before the next one is begun. It is looked
//! through: the first frame that does not hold, with nothing behind it that was written after it had become durable,
//! begins what was never acknowledged, and is cut off. When a later frame says that the place was durable, it is damage:
//! it stays as it is, and reading says what is lost. Then everything found is flushed, since a process that was killed may have
//! left it in memory only.
//!
//! It relies on the roster to know that no segment is missing at the end. It must never begin a sequence a second time:
//! when the newest segment is missing, the log is refused. Rejected: cutting at the first frame that does not hold,
//! which is simple and turns one flipped bit into the loss of everything behind it.

use super::disk::{Bytes, Folder};
use super::frame::{self, NoHeader, SEGMENT_HEADER_BYTES, SegmentHeader, segment_name};
use super::roster::{Listed, ROSTER, Roster};
use super::shared::{Index, Segment, Shared, View};
use super::window::Window;
use super::writing::{Queue, Run, Writer, begin_segment};
use super::{LogSettings, limits};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex};
use tripline_core::port::{FaultClass, PortFault, Sequence};
use tripline_core::rule::kind::EventTime;

/// What opening a log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The newest record.
    pub last: Sequence,
    /// Bytes of a torn tail that were cut off: appends that were never acknowledged.
    pub torn_bytes: u64,
    /// What is damaged in the newest segment, or in the headers of others. Older frames are looked at when they are read.
    pub damaged: Vec<Damaged>,
    /// Segments that had been given up and were still there.
    pub deleted: u64,
    /// Whether the roster was missing or damaged and was made anew from what is there: whether segments are missing at
    /// the ends is not known.
    pub roster_made_anew: bool,
}

/// What is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Which records are lost by it; empty when none is.
    pub records: Range<u64>,
    /// Where it is.
    pub place: String,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.records.is_empty() {
            true => write!(f, "{}, no record lost", self.place),
            false => write!(
                f,
                "{}, records {} to {} lost",
                self.place,
                self.records.start,
                self.records.end - 1
            ),
        }
    }
}

pub(super) fn open(
    folder: Arc<dyn Folder>,
    settings: LogSettings,
) -> Result<(Shared, Recovered), PortFault> {
    let failed = |doing: String| {
        move |fault: io::Error| PortFault::new(FaultClass::Stop, doing).because(fault)
    };
    let shown = folder.path("").display().to_string();
    let held = folder
        .lock()
        .map_err(failed(format!("lock the log {shown}")))?;
    let held = held.map_err(|holder| {
        let holder = match holder.trim() {
            "" => "another process".to_owned(),
            id => format!("process {id}"),
        };
        PortFault::new(
            FaultClass::Retry,
            format!(
                "open the log {shown}: {holder} has it open; end that one, or use another folder"
            ),
        )
    })?;
    let mut recovered = Recovered::default();
    let firsts = tidy(&*folder).map_err(failed(format!("look through the log {shown}")))?;
    let (roster, firsts) = settle_roster(&*folder, firsts, &mut recovered)?;
    let mut segments = headers(&*folder, &firsts, roster.listed.log, &mut recovered)?;
    let newest = segments.back_mut().expect("a log has a segment");
    let name = segment_name(newest.first);
    let shown_newest = folder.path(&name).display().to_string();
    let scanned = scan(&*folder, newest, roster.listed.log, &mut recovered)
        .map_err(failed(format!("look through {shown_newest}")))?;
    recovered.last = Sequence(scanned.next - 1);
    let taken_newest = newest.taken_newest;
    let writer = Writer {
        active: folder
            .open(&name)
            .map_err(failed(format!("open {shown_newest}")))?,
        name,
        first: newest.first,
        end: newest.end,
        zeroes_to: scanned.zeroes_to,
        next: scanned.next,
        durable: scanned.next - 1,
        taken_newest,
        released: 0,
        run: Run::default(),
        roster,
    };
    let view = View {
        last: scanned.next - 1,
        oldest: writer.roster.listed.oldest,
        older_bytes: segments.iter().rev().skip(1).map(|one| one.end).sum(),
        segments,
        poisoned: None,
    };
    let shared = Shared {
        log: writer.roster.listed.log,
        folder,
        settings,
        queue: Mutex::new(Queue::default()),
        turned: Condvar::new(),
        flushing: Mutex::new(()),
        writer: Mutex::new(writer),
        view: Mutex::new(view),
        grown: Condvar::new(),
        cursors: Mutex::new(Vec::new()),
        _held: held,
    };
    Ok((shared, recovered))
}

/// Deletes what was never finished, and lists the segments.
fn tidy(folder: &dyn Folder) -> io::Result<Vec<u64>> {
    let names = folder.list()?;
    for name in names.iter().filter(|name| name.ends_with(".new")) {
        folder.remove(name)?;
    }
    // A name that a killed process gave may be in memory only.
    folder.sync()?;
    let mut firsts: Vec<u64> = names
        .iter()
        .filter_map(|name| frame::segment_first(name))
        .collect();
    firsts.sort_unstable();
    Ok(firsts)
}

/// Compares the roster with what is there. A log has its first segment before it has a roster.
fn settle_roster(
    folder: &dyn Folder,
    mut firsts: Vec<u64>,
    recovered: &mut Recovered,
) -> Result<(Roster, Vec<u64>), PortFault> {
    let shown = folder.path(ROSTER).display().to_string();
    let failed = |fault: io::Error| {
        PortFault::new(FaultClass::Stop, format!("read and write {shown}")).because(fault)
    };
    let listed = |log, firsts: &[u64]| Listed {
        log,
        oldest: firsts[0],
        newest: firsts[firsts.len() - 1],
    };
    let Some(mut roster) = Roster::open(folder).map_err(failed)? else {
        if firsts.is_empty() {
            let header = SegmentHeader {
                log: folder.chance(),
                first: 1,
                taken_before: EventTime::MIN,
            };
            let begun = begin_segment(folder, &segment_name(1), &header);
            begun.map_err(|begun| failed(begun.into()))?;
            firsts.push(1);
            let roster = Roster::create(folder, listed(header.log, &firsts)).map_err(failed)?;
            return Ok((roster, firsts));
        }
        let log = any_log(folder, &firsts).map_err(failed)?.ok_or_else(|| {
            PortFault::new(
                FaultClass::Stop,
                format!("make {shown} anew: no segment has a whole header; restore the folder, or move it away"),
            )
        })?;
        // A log that was just being made when its process died is not worth a word.
        recovered.roster_made_anew = firsts != [1] || folder.open(ROSTER).is_ok();
        let roster = Roster::create(folder, listed(log, &firsts)).map_err(failed)?;
        return Ok((roster, firsts));
    };
    let newest = roster.listed.newest;
    if firsts.last().is_none_or(|last| *last < newest) {
        let missing = folder.path(&segment_name(newest)).display().to_string();
        return Err(PortFault::new(
            FaultClass::Stop,
            format!(
                "open the log: its newest segment {missing} is missing, so sequences would be given twice; \
                 restore it, or move the folder away and begin a new log"
            ),
        ));
    }
    let listed = Listed {
        newest: firsts[firsts.len() - 1],
        ..roster.listed
    };
    // Written again even when it says the same: a killed process may have left it in memory only.
    roster.write(listed).map_err(failed)?;
    for first in firsts.iter().filter(|first| **first < listed.oldest) {
        folder.remove(&segment_name(*first)).map_err(failed)?;
        recovered.deleted += 1;
    }
    firsts.retain(|first| *first >= listed.oldest);
    Ok((roster, firsts))
}

fn any_log(folder: &dyn Folder, firsts: &[u64]) -> io::Result<Option<u64>> {
    for first in firsts {
        if let Ok(header) = header(folder, *first)?.0 {
            return Ok(Some(header.log));
        }
    }
    Ok(None)
}

fn header(folder: &dyn Folder, first: u64) -> io::Result<(Result<SegmentHeader, NoHeader>, u64)> {
    let file = folder.open(&segment_name(first))?;
    let mut bytes = vec![0; SEGMENT_HEADER_BYTES as usize];
    let read = file.read_at(0, &mut bytes)?;
    Ok((SegmentHeader::decode(&bytes[..read]), file.len()?))
}

/// The segments, as their headers have them.
fn headers(
    folder: &dyn Folder,
    firsts: &[u64],
    log: u64,
    recovered: &mut Recovered,
) -> Result<VecDeque<Segment>, PortFault> {
    let mut segments: VecDeque<Segment> = VecDeque::new();
    for first in firsts {
        let shown = folder.path(&segment_name(*first)).display().to_string();
        let (header, end) = header(folder, *first).map_err(|fault| {
            PortFault::new(FaultClass::Stop, format!("read {shown}")).because(fault)
        })?;
        let taken_before = match header {
            Ok(header) if header.log != log => {
                let why = format!("read {shown}: it is of another log; move it away");
                return Err(PortFault::new(FaultClass::Stop, why));
            }
            Err(NoHeader::Version(version)) => {
                let why =
                    format!("read {shown}: it has version {version}, which a newer Tripline wrote");
                return Err(PortFault::new(FaultClass::Stop, why));
            }
            Ok(header) if header.first == *first => header.taken_before,
            Ok(_) | Err(NoHeader::Damaged) => {
                // Its frames say all that is needed to read them.
                let place = format!("the header of {shown}");
                recovered.damaged.push(Damaged {
                    records: 0..0,
                    place,
                });
                segments
                    .back()
                    .map_or(EventTime::MIN, |one| one.taken_newest)
            }
        };
        if let Some(before) = segments.back_mut() {
            before.taken_newest = taken_before;
        }
        segments.push_back(Segment {
            first: *first,
            end,
            taken_newest: taken_before,
            index: Arc::new(Index::default()),
        });
    }
    Ok(segments)
}

/// What is in the newest segment.
struct Scanned {
    next: u64,
    zeroes_to: u64,
}

/// Looks through the newest segment, cuts a torn tail off it, and makes durable what is there.
fn scan(
    folder: &dyn Folder,
    segment: &mut Segment,
    log: u64,
    recovered: &mut Recovered,
) -> io::Result<Scanned> {
    let name = segment_name(segment.first);
    let file = folder.open(&name)?;
    let len = file.len()?;
    let mut window = Window::new(Arc::clone(&file), log);
    let mut at = SEGMENT_HEADER_BYTES.min(len);
    let mut next = segment.first;
    // Frames, by offset and the sequence after them, that none so far calls durable.
    let mut unsure: VecDeque<(u64, u64)> = VecDeque::new();
    loop {
        let header = window
            .header(at, len)?
            .filter(|header| header.first == next);
        let body = match &header {
            Some(header) => window.body(at, header, len)?,
            None => None,
        };
        if let (Some(header), Some(body)) = (header, body) {
            let mut within = 0;
            while let Some(record) = frame::record_at(body, &mut within) {
                segment.taken_newest = segment.taken_newest.max(record.taken);
            }
            segment.index.note(header.first, at);
            while unsure
                .front()
                .is_some_and(|(_, after)| *after <= header.durable + 1)
            {
                unsure.pop_front();
            }
            unsure.push_back((at, header.next()));
            at += header.frame_bytes();
            next = header.next();
            continue;
        }
        let Some((offset, first)) = after_damage(&mut window, at, len, next)? else {
            break;
        };
        recovered.damaged.push(Damaged {
            records: next..first,
            place: format!("{} at byte {at}", folder.path(&name).display()),
        });
        (at, next) = (offset, first);
    }
    let is_zero = window.is_zero(at, len)?;
    if !is_zero {
        recovered.torn_bytes = len - at;
        file.truncate(at)?;
    }
    if let Some((from, _)) = unsure.front() {
        write_again(&*file, *from, at)?;
    }
    file.sync()?;
    // A header that is cut short is written nowhere again: frames begin behind where it would be.
    segment.end = at.max(SEGMENT_HEADER_BYTES);
    Ok(Scanned {
        next,
        zeroes_to: if is_zero {
            len.max(segment.end)
        } else {
            segment.end
        },
    })
}

/// Writes what is there over itself. A flush that failed leaves pages that count as clean and never reached the disk; they are
/// read from memory as if they had, and only what is written anew is flushed.
fn write_again(file: &dyn Bytes, from: u64, to: u64) -> io::Result<()> {
    let mut bytes = vec![0; limits::READ_BYTES];
    let mut at = from;
    while at < to {
        let len = (to - at).min(bytes.len() as u64) as usize;
        let read = file.read_at(at, &mut bytes[..len])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_at(at, &bytes[..read])?;
        at += read as u64;
    }
    Ok(())
}

/// Where it goes on after bytes that hold no frame, when those were durable once: when the next frame follows without a
/// gap, or some later one was written after the place had become durable.
fn after_damage(
    window: &mut Window,
    from: u64,
    len: u64,
    next: u64,
) -> io::Result<Option<(u64, u64)>> {
    let mut goes_on = None;
    let mut at = from;
    while let Some((offset, header)) = window.find(at, len)? {
        if header.first == next {
            return Ok(Some((offset, next)));
        }
        if header.first > next {
            let (_, first) = *goes_on.get_or_insert((offset, header.first));
            debug_assert!(first > next);
            if header.durable >= next {
                return Ok(goes_on);
            }
        }
        at = offset + header.frame_bytes();
    }
    Ok(None)
}
