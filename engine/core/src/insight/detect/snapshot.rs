//! A detector as bytes, and back.
//!
//! Numbers in little endian in the order of the fields, behind a version and before a checksum, which is there to notice
//! what a disk did, not who did it: so every index and length is checked as well. Must never panic, and
//! never allocate more than a small multiple of what it was given. `postcard` does not know arrays of this length.

use super::detector::{Detector, Dropped, Slot};
use super::extremes::{Days, Extremes, PACES};
use super::half::Half;
use super::open::Latest;
use super::phase::Phase;
use super::season::Season;
use super::series::{Errors, Hit, Open, Warm};
use super::settings::{Settings, SettingsFault};
use super::spread::Spread;
use super::windows::Windows;
use thiserror::Error;

/// The version of all that is written here.
const VERSION: u32 = 1;
const MAGIC: u32 = 0x5452_4944;

/// Why a detector cannot be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DetectorFault {
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsFault),
    /// It is no snapshot of a detector, or of another version.
    #[error("the bytes are no snapshot of a detector of version {VERSION}")]
    Version,
    /// It was made with other windows, so what it learned means something else.
    #[error("the snapshot was made with other windows")]
    Windows,
    /// Bytes are missing, too many, or changed.
    #[error("the snapshot is damaged")]
    Damaged,
}

/// Bytes that are being read.
pub(super) struct Reader<'b> {
    bytes: &'b [u8],
}

/// Something that can be written and read.
pub(super) trait Kept: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn get(from: &mut Reader<'_>) -> Option<Self>;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Kept for $number {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn get(from: &mut Reader<'_>) -> Option<Self> {
                let (head, rest) = from.bytes.split_first_chunk()?;
                from.bytes = rest;
                Some(Self::from_le_bytes(*head))
            }
        }
    )*};
}
numbers!(u8, u16, u32, u64, f32, f64);

macro_rules! kept {
    ($kept:ident { $($field:ident),* $(,)? }) => {
        impl Kept for $kept {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)*
            }
            fn get(from: &mut Reader<'_>) -> Option<Self> {
                Some(Self { $($field: Kept::get(from)?),* })
            }
        }
    };
}

impl Kept for Half {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn get(from: &mut Reader<'_>) -> Option<Self> {
        u16::get(from).map(Self)
    }
}

impl Kept for bool {
    fn put(&self, out: &mut Vec<u8>) {
        u8::from(*self).put(out);
    }
    fn get(from: &mut Reader<'_>) -> Option<Self> {
        match u8::get(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<T: Kept + Default, const N: usize> Kept for [T; N] {
    fn put(&self, out: &mut Vec<u8>) {
        self.iter().for_each(|one| one.put(out));
    }
    fn get(from: &mut Reader<'_>) -> Option<Self> {
        let mut all = std::array::from_fn(|_| T::default());
        for one in &mut all {
            *one = T::get(from)?;
        }
        Some(all)
    }
}

impl<T: Kept> Kept for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        self.iter().for_each(|one| one.put(out));
    }
    fn get(from: &mut Reader<'_>) -> Option<Self> {
        if bool::get(from)? {
            T::get(from).map(Some)
        } else {
            Some(None)
        }
    }
}

impl<T: Kept> Kept for Box<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }
    fn get(from: &mut Reader<'_>) -> Option<Self> {
        T::get(from).map(Self::new)
    }
}

impl<T: Kept> Kept for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        self.iter().for_each(|one| one.put(out));
    }
    fn get(from: &mut Reader<'_>) -> Option<Self> {
        let length = u32::get(from)? as usize;
        // Whatever it is, one takes at least a byte.
        if length > from.bytes.len() {
            return None;
        }
        let mut all = Self::new();
        for _ in 0..length {
            all.push(T::get(from)?);
        }
        Some(all)
    }
}

kept!(Windows {
    singles,
    blocks,
    block,
    total,
    over
});
kept!(Season {
    bins,
    total,
    observed,
    expected,
    holiday,
    current,
    born,
    now,
    edges,
    sums,
    rates,
    quiets,
    sharp
});
kept!(Phase {
    counts,
    total,
    gain,
    shares
});
kept!(Spread {
    weight,
    mean,
    square,
    excess,
    excess_mean,
    clump,
    wander
});
kept!(Extremes {
    mean,
    variance,
    today
});
kept!(Days { seen, today });
kept!(Errors {
    windows,
    spread,
    extremes,
    days
});
kept!(Hit {
    window,
    observed,
    expected,
    score,
    rarity,
    all
});
kept!(Open {
    start,
    detected,
    sum,
    quiet,
    baseline,
    baseline_minutes,
    hit
});
kept!(Latest {
    minute,
    test,
    window,
    observed,
    expected,
    rarity
});
kept!(Slot {
    warm,
    first,
    last,
    calls,
    errors,
    begin,
    episode
});
kept!(Dropped {
    unsound,
    unknown,
    minutes_late
});

kept!(Warm {
    id,
    minute,
    first,
    windows,
    season,
    spread,
    up,
    down,
    need,
    maybe_low,
    active,
    idle,
    extreme_days,
    pace,
    days,
    calls,
    failed,
    phase,
    errors,
    open,
    latest,
});

impl Detector {
    /// Appends all that is known.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        let begin = out.len();
        MAGIC.put(out);
        VERSION.put(out);
        self.settings.windows.put(out);
        self.slots.put(out);
        self.warm.put(out);
        self.free.put(out);
        self.open.put(out);
        self.minute.put(out);
        self.missing.put(out);
        self.active.put(out);
        self.low.put(out);
        self.low_at.put(out);
        self.dropped.put(out);
        checksum(&out[begin..]).put(out);
    }

    /// What [`Self::snapshot`] wrote. The settings may differ from those of then, but for the windows.
    pub fn restore(settings: Settings, bytes: &[u8]) -> Result<Self, DetectorFault> {
        settings.validate()?;
        let mut from = Reader { bytes };
        if u32::get(&mut from) != Some(MAGIC) || u32::get(&mut from) != Some(VERSION) {
            return Err(DetectorFault::Version);
        }
        let Some((content, sum)) = bytes.split_last_chunk() else {
            return Err(DetectorFault::Damaged);
        };
        if checksum(content) != u64::from_le_bytes(*sum) || content.len() < 8 {
            return Err(DetectorFault::Damaged);
        }
        let mut from = Reader {
            bytes: &content[8..],
        };
        let windows = Vec::<u32>::get(&mut from).ok_or(DetectorFault::Damaged)?;
        if windows != settings.windows {
            return Err(DetectorFault::Windows);
        }
        let detector = Self::read_content(settings, &mut from).ok_or(DetectorFault::Damaged)?;
        if !from.bytes.is_empty() || !detector.is_sound() {
            return Err(DetectorFault::Damaged);
        }
        Ok(detector)
    }

    fn read_content(settings: Settings, from: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            settings,
            slots: Kept::get(from)?,
            warm: Kept::get(from)?,
            free: Kept::get(from)?,
            open: Kept::get(from)?,
            minute: Kept::get(from)?,
            missing: Kept::get(from)?,
            active: Kept::get(from)?,
            low: Kept::get(from)?,
            low_at: Kept::get(from)?,
            dropped: Kept::get(from)?,
        })
    }

    /// Whether all that refers to something else does so within bounds.
    fn is_sound(&self) -> bool {
        let windows = self.settings.windows.len();
        let slots = self.slots.iter().flatten();
        let mut referred = slots
            .map(|slot| slot.warm)
            .filter(|warm| *warm != super::detector::NONE);
        let warm = |index: u32| {
            self.warm
                .get(index as usize)
                .is_some_and(|warm| warm.is_some())
        };
        let minute = self.minute.unwrap_or(0);
        let whole = |warm: &Warm| {
            let shares = warm.phase.as_ref().map_or(0, |phase| phase.shares.len());
            let hits = warm
                .open
                .iter()
                .flatten()
                .map(|open| open.hit.window as usize);
            (shares == 0 || shares == 60)
                && hits
                    .chain([warm.latest.window as usize])
                    .all(|window| window < windows)
                && (warm.pace as usize) < PACES
                && warm.minute <= minute
                && warm.first <= warm.minute
                && warm.season.now == warm.minute / 30
        };
        referred.all(warm)
            && self.open.iter().all(|index| warm(*index))
            && self
                .free
                .iter()
                .all(|index| (*index as usize) < self.warm.len() && !warm(*index))
            && self.warm.iter().flatten().all(|warm| whole(warm))
    }
}

/// FNV-1a over words of eight bytes.
fn checksum(bytes: &[u8]) -> u64 {
    let mut sum: u64 = 0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        sum = (sum ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3);
        sum ^= sum >> 29;
    }
    sum
}
