//! What one insight rule remembers, as bytes, and back.
//!
//! The same memory gives the same bytes, and what is restored goes on as if it had never been written. The version comes first;
//! bytes of another version, or that do not fit together, are refused as a whole, and the rule begins anew. Sizes are checked
//! against what is there before anything is made of them.

use super::detect::SeriesId;
use super::memory::{InsightOf, Open, Recent, Series, SeriesMemory};
use super::pending::{Minute, MinuteKept};
use super::texts::Texts;
use super::watching::Watching;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// The version of the layout.
const VERSION: u32 = 1;

/// Why memory cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MemoryFault {
    /// It is of another version, which this one does not read.
    #[error("the memory of an insight is of version {0}, and this program reads {VERSION}")]
    Version(u32),
    /// It does not fit together.
    #[error("the memory of an insight does not fit together")]
    Content,
}

#[derive(Serialize, Deserialize)]
struct MemoryKept {
    version: u32,
    detector: Vec<u8>,
    series: Vec<Option<Series>>,
    free: Vec<u32>,
    open: BTreeMap<u32, Open>,
    pending: Vec<MinuteKept>,
    recent: Vec<Recent>,
    texts: Vec<(u32, String)>,
    texts_free: Vec<u32>,
    called: Vec<(u64, u32)>,
    next: Option<u32>,
    active: u32,
    cursor: u64,
    swept: u64,
    rate: f64,
    threshold: f64,
}

impl SeriesMemory {
    /// All of it, as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut detector = Vec::new();
        self.detector.snapshot(&mut detector);
        let mut called: Vec<(u64, u32)> = self
            .called
            .iter()
            .map(|(hash, text)| (*hash, *text))
            .collect();
        called.sort_unstable();
        let kept = MemoryKept {
            version: VERSION,
            detector,
            series: self.series.clone(),
            free: self.free.clone(),
            open: self.open.clone(),
            pending: self
                .pending
                .iter()
                .map(|(minute, of)| of.kept(*minute))
                .collect(),
            recent: self.recent.iter().cloned().collect(),
            texts: self.texts.kept(),
            texts_free: self.texts.free().to_vec(),
            called,
            next: self.next,
            active: self.active,
            cursor: self.cursor as u64,
            swept: self.swept as u64,
            rate: self.rate,
            threshold: self.detector.threshold(),
        };
        // Plain data in memory always serialises.
        postcard::to_allocvec(&kept).unwrap_or_default()
    }

    /// From bytes that the same rule wrote.
    pub fn from_bytes(of: InsightOf<'_>, bytes: &[u8]) -> Result<Self, MemoryFault> {
        let (version, _) =
            postcard::take_from_bytes::<u32>(bytes).map_err(|_| MemoryFault::Content)?;
        if version != VERSION {
            return Err(MemoryFault::Version(version));
        }
        let kept: MemoryKept = postcard::from_bytes(bytes).map_err(|_| MemoryFault::Content)?;
        let is_ordered = is_in_order(&kept);
        let mut memory = Self::new(of);
        memory.detector =
            Watching::restore(of.insight, &kept.detector).ok_or(MemoryFault::Content)?;
        memory.texts = Texts::restored(kept.texts, kept.texts_free).ok_or(MemoryFault::Content)?;
        memory.ids = (0u32..)
            .zip(&kept.series)
            .filter_map(|(id, series)| Some((series.as_ref()?.key, id)))
            .collect();
        let is_there = |id: &u32| matches!(kept.series.get(*id as usize), Some(Some(_)));
        let is_free = |id: &u32| matches!(kept.series.get(*id as usize), Some(None));
        let known = memory.ids.keys().len();
        let there = kept.series.iter().flatten().count();
        let sound = known == there
            && kept.free.len() == kept.series.len() - there
            && kept.free.iter().all(is_free)
            && kept.open.keys().all(is_there)
            && memory
                .ids
                .values()
                .all(|id| memory.detector.reading(SeriesId(*id)).is_some())
            && kept.cursor <= kept.series.len() as u64
            && kept.rate.is_finite()
            && is_ordered;
        if !sound {
            return Err(MemoryFault::Content);
        }
        memory.detector.set_threshold(kept.threshold);
        memory.series = kept.series;
        memory.named_bytes = memory
            .series
            .iter()
            .flatten()
            .map(Series::named_bytes)
            .sum();
        memory.free = kept.free;
        memory.open = kept.open;
        memory.pending = kept.pending.into_iter().map(MinuteKept::restored).collect();
        memory.recent_bytes = kept.recent.iter().map(Recent::bytes).sum();
        memory.recent = kept.recent.into();
        memory.called = kept.called.into_iter().collect();
        memory.pending_bytes = memory.pending.values().map(Minute::bytes).sum();
        memory.pending_events = memory
            .pending
            .values()
            .map(|minute| minute.len() as u64)
            .sum();
        memory.next = kept.next;
        memory.active = kept.active;
        memory.cursor = kept.cursor as usize;
        memory.swept = kept.swept as usize;
        memory.rate = kept.rate;
        Ok(memory)
    }
}

/// Whether minutes are in the order in which they are written: nobody is to be led back in time.
fn is_in_order(kept: &MemoryKept) -> bool {
    let next = kept.next.unwrap_or(0);
    let pending: Vec<u32> = kept.pending.iter().map(MinuteKept::minute).collect();
    let recent: Vec<u32> = kept.recent.iter().map(|recent| recent.minute).collect();
    let rises = |minutes: &[u32]| minutes.windows(2).all(|pair| pair[0] < pair[1]);
    let free: BTreeSet<u32> = kept.free.iter().copied().collect();
    rises(&pending)
        && rises(&recent)
        && pending.first().is_none_or(|first| *first >= next)
        && pending.last().is_none_or(|last| *last < u32::MAX)
        && recent.last().is_none_or(|last| *last < next)
        && (kept.active < next || kept.active == 0)
        && free.len() == kept.free.len()
        && kept.open.values().all(|open| open.chart.is_sound())
}
