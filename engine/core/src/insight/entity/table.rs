//! Which hashes are remembered, with when, how often and for whom: the memory below first-seen and rarity.
//!
//! A table is cut into segments by the top bits of the hash. In a segment entries lie in the order of their hashes,
//! each at or behind the place that its hash points to, with gaps: linear probing that is kept sorted. So a segment's
//! layout depends on what is in it and not on the order it came in; a look-up of what is absent ends as early as one
//! of what is there; and all entries in order is one walk, without sorting.
//!
//! Relies on: hashes that were mixed with a secret, so that segments fill evenly. When they do not (nobody's mixing is
//! proof against its own secret), a segment only gets slow. Must never do: rebuild more than one segment at once, which
//! is why no single sight stalls. Rejected: one large table (its doubling moves all keys at
//! once), two tables during a move (every look-up twice), and 20 bytes an entry: the eight for the owner and the days
//! are what tells *whose* values were given up, and on how many days something was done.

/// Something that is remembered. Only numbers of four bytes, so that it is not padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    low: u32,
    high: u32,
    /// Second of the first sight.
    pub(super) first: u32,
    /// Second of the last sight.
    pub(super) last: u32,
    /// How often.
    pub(super) count: u32,
    /// The number of whom it belongs to.
    pub(super) owner: u32,
    /// On how many days; none where there is no entry.
    pub(super) days: u32,
}

/// Bytes of an entry.
pub(super) const ENTRY_BYTES: usize = size_of::<Entry>();
/// Bytes that an entry takes at most, with its share of gaps; beside [`Table::fixed_bytes`].
pub(super) const ENTRY_CHARGE: usize = 40;

const EMPTY: Entry = Entry {
    low: 0,
    high: 0,
    first: 0,
    last: 0,
    count: 0,
    owner: 0,
    days: 0,
};

/// Entries of a segment when the table is full: rebuilding so many takes some microseconds.
const SEGMENT_KEYS: u64 = 2048;
const BITS_MAX: u32 = 16;
/// A segment grows when more than 17 of 20 places are taken.
const LOAD: (usize, usize) = (17, 20);
const SPARE: usize = 8;

impl Entry {
    /// Seen once.
    pub(super) fn new(hash: u64, second: u32, owner: u32) -> Self {
        Self {
            low: hash as u32,
            high: (hash >> 32) as u32,
            first: second,
            last: second,
            count: 1,
            owner,
            days: 1,
        }
    }

    pub(super) fn hash(&self) -> u64 {
        u64::from(self.low) | u64::from(self.high) << 32
    }

    fn is_empty(&self) -> bool {
        self.days == 0
    }
}

#[derive(Clone, Debug, Default)]
struct Segment {
    slots: Vec<Entry>,
    /// Places that hashes point to; entries that were pushed on may lie behind them.
    span: u32,
    len: u32,
}

/// Where an entry lies; good until the table changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    segment: u32,
    at: u32,
}

/// Entries by hash.
#[derive(Clone, Debug)]
pub(super) struct Table {
    segments: Vec<Segment>,
    bits: u32,
    len: usize,
    slots: usize,
}

impl Table {
    /// Made for up to so many keys; holds more, but slower.
    pub(super) fn new(keys: u64) -> Self {
        let segments = (keys / SEGMENT_KEYS).clamp(1, 1 << BITS_MAX);
        let bits = segments.next_power_of_two().trailing_zeros();
        Self {
            segments: vec![Segment::default(); 1 << bits],
            bits,
            len: 0,
            slots: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Bytes taken.
    pub(super) fn bytes(&self) -> usize {
        self.slots * ENTRY_BYTES + self.segments.len() * size_of::<Segment>()
    }

    /// Bytes taken beside what each entry is charged.
    pub(super) fn fixed_bytes(&self) -> usize {
        self.segments.len() * (size_of::<Segment>() + 2 * SPARE * ENTRY_BYTES)
    }

    /// The number of the segment that a hash belongs to.
    pub(super) fn segment_of(&self, hash: u64) -> usize {
        // A shift by 64 bits is none, so it is made of two.
        (hash >> 1 >> (63 - self.bits)) as usize
    }

    /// How many entries a segment has.
    pub(super) fn len_of(&self, segment: usize) -> usize {
        self.segments
            .get(segment)
            .map_or(0, |segment| segment.len as usize)
    }

    /// Where a hash lies.
    #[inline]
    pub(super) fn find(&self, hash: u64) -> Option<Place> {
        let number = self.segment_of(hash);
        let at = self.segments[number].search(hash, self.bits).ok()?;
        Some(Place {
            segment: number as u32,
            at: at as u32,
        })
    }

    /// Reads what a look-up will read, without waiting for it or deciding on it: so that several are fetched at once.
    #[inline]
    pub(super) fn touch(&self, hash: u64) -> u32 {
        let segment = &self.segments[self.segment_of(hash)];
        let home = segment.home(hash, self.bits);
        let read = |at: usize| segment.slots.get(at).map_or(0, |entry| entry.low);
        // An entry lies some two places behind its home, so mostly in this line of memory or the next.
        read(home) ^ read(home + 2)
    }

    #[inline]
    pub(super) fn at(&self, place: Place) -> &Entry {
        &self.segments[place.segment as usize].slots[place.at as usize]
    }

    #[inline]
    pub(super) fn at_mut(&mut self, place: Place) -> &mut Entry {
        &mut self.segments[place.segment as usize].slots[place.at as usize]
    }

    /// Puts an entry in, or in place of the one with its hash.
    pub(super) fn insert(&mut self, entry: Entry) {
        let (hash, bits) = (entry.hash(), self.bits);
        let number = self.segment_of(hash);
        let segment = &mut self.segments[number];
        let before = segment.slots.capacity();
        if (segment.len as usize + 1) * LOAD.1 > segment.span as usize * LOAD.0 {
            let span = segment.span as usize;
            segment.rebuild(span + span / 6 + SPARE, bits, |_| true);
        }
        match segment.search(hash, bits) {
            Ok(at) => segment.slots[at] = entry,
            Err(at) => {
                segment.open(at, entry);
                self.len += 1;
            }
        }
        self.slots = self.slots + segment.slots.capacity() - before;
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, hash: u64) {
        let (number, bits) = (self.segment_of(hash), self.bits);
        let segment = &mut self.segments[number];
        let Ok(at) = segment.search(hash, bits) else {
            return;
        };
        let before = segment.slots.capacity();
        segment.close(at, bits);
        if segment.slots.len() > segment.len as usize * 3 + 4 * SPARE {
            segment.rebuild(span_for(segment.len as usize), bits, |_| true);
        }
        self.slots = self.slots + segment.slots.capacity() - before;
        self.len -= 1;
    }

    /// Keeps what is to be kept of one segment, and gives memory back.
    pub(super) fn retain(&mut self, number: usize, mut keep: impl FnMut(&Entry) -> bool) {
        let Some(segment) = self.segments.get_mut(number) else {
            return;
        };
        let kept = segment.entries().filter(|entry| keep(entry)).count();
        if kept == segment.len as usize {
            return;
        }
        let (before, len) = (segment.slots.capacity(), segment.len as usize);
        segment.rebuild(span_for(kept), self.bits, keep);
        self.slots = self.slots + segment.slots.capacity() - before;
        self.len -= len - kept;
    }

    /// The entries of one segment, by hash.
    pub(super) fn segment(&self, number: usize) -> impl Iterator<Item = &Entry> {
        self.segments
            .get(number)
            .into_iter()
            .flat_map(Segment::entries)
    }

    /// All entries, by hash.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.segments.iter().flat_map(Segment::entries)
    }

    /// Fills an empty segment with entries of its own, in the order of their hashes.
    pub(super) fn fill(&mut self, number: usize, entries: &[Entry]) {
        let bits = self.bits;
        if let Some(segment) = self.segments.get_mut(number) {
            *segment = Segment::build(entries.iter(), span_for(entries.len()), bits);
            self.slots += segment.slots.capacity();
            self.len += entries.len();
        }
    }
}

/// Places for so many entries and some more.
fn span_for(len: usize) -> usize {
    if len == 0 {
        0
    } else {
        len + len * 3 / 10 + SPARE
    }
}

impl Segment {
    #[inline]
    fn home(&self, hash: u64, bits: u32) -> usize {
        ((((hash << bits) >> 32) * u64::from(self.span)) >> 32) as usize
    }

    /// Where a hash lies, or else where it belongs.
    #[inline]
    fn search(&self, hash: u64, bits: u32) -> Result<usize, usize> {
        let home = self.home(hash, bits);
        let behind = self.slots.get(home..).unwrap_or(&[]);
        for (steps, entry) in behind.iter().enumerate() {
            if entry.is_empty() || entry.hash() >= hash {
                let found = !entry.is_empty() && entry.hash() == hash;
                return if found {
                    Ok(home + steps)
                } else {
                    Err(home + steps)
                };
            }
        }
        Err(home + behind.len())
    }

    /// Puts an entry at a place, and moves what lies there on to the next gap.
    fn open(&mut self, at: usize, entry: Entry) {
        let gap = self.slots[at..].iter().position(Entry::is_empty);
        let gap = gap.map_or(self.slots.len(), |steps| at + steps);
        if gap == self.slots.len() {
            if self.slots.capacity() == gap {
                self.slots.reserve_exact(SPARE);
            }
            self.slots.push(EMPTY);
        }
        self.slots.copy_within(at..gap, at + 1);
        self.slots[at] = entry;
        self.len += 1;
    }

    /// Takes an entry out, and moves those behind it back that lie behind their place.
    fn close(&mut self, at: usize, bits: u32) {
        let behind = &self.slots[at + 1..];
        let moved = behind.iter().enumerate().position(|(steps, entry)| {
            entry.is_empty() || self.home(entry.hash(), bits) == at + 1 + steps
        });
        let end = moved.map_or(self.slots.len(), |steps| at + 1 + steps);
        self.slots.copy_within(at + 1..end, at);
        self.slots[end - 1] = EMPTY;
        self.len -= 1;
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.slots.iter().filter(|entry| !entry.is_empty())
    }

    fn rebuild(&mut self, span: usize, bits: u32, mut keep: impl FnMut(&Entry) -> bool) {
        let kept = self.entries().filter(|entry| keep(entry));
        *self = Self::build(kept, span, bits);
    }

    fn build<'a>(entries: impl Iterator<Item = &'a Entry>, span: usize, bits: u32) -> Self {
        let mut built = Self {
            slots: Vec::with_capacity(if span == 0 { 0 } else { span + SPARE }),
            span: span as u32,
            len: 0,
        };
        for entry in entries {
            let home = built.home(entry.hash(), bits);
            if home > built.slots.len() {
                built.slots.resize(home, EMPTY);
            }
            if built.slots.capacity() == built.slots.len() {
                built.slots.reserve_exact(SPARE);
            }
            built.slots.push(*entry);
            built.len += 1;
        }
        if built.slots.len() < span {
            built.slots.resize(span, EMPTY);
        }
        built
    }
}
