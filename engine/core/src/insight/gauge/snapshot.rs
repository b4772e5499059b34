//! A gauge as bytes, and back.
//!
//! Relies on `postcard` for the layout and on a first byte for its version: another layout is another number, and a gauge of
//! an older one starts anew, which costs a few days of learning and no finding. Must never take bytes on trust: what does not fit
//! the settings it came with is refused, so that a torn snapshot cannot make a later `push` fall over.

use super::{Gauge, HEIGHT_ROWS, PLACES, SHAPE_POINTS, STEPS};

/// Version of the layout.
const VERSION: u8 = 1;

/// Why bytes are no gauge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GaugeFault {
    /// Of a layout this version does not know, or empty.
    #[error("the snapshot of a gauge is of another version")]
    Version,
    /// Torn or foreign.
    #[error("the snapshot of a gauge cannot be read")]
    Content(#[source] postcard::Error),
    /// Readable, and not what a gauge writes.
    #[error("the snapshot of a gauge does not fit together")]
    Unsound,
}

impl Gauge {
    /// Appends the memory to `out`.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        // Writing into memory fails for no value of these types.
        if let Ok(written) = postcard::to_extend(self, std::mem::take(out)) {
            *out = written;
        }
    }

    /// The gauge that `snapshot` wrote; it goes on as if there had been no pause.
    pub fn restore(bytes: &[u8]) -> Result<Self, GaugeFault> {
        let Some((&VERSION, content)) = bytes.split_first() else {
            return Err(GaugeFault::Version);
        };
        let gauge: Self = postcard::from_bytes(content).map_err(GaugeFault::Content)?;
        if gauge.is_sound() {
            Ok(gauge)
        } else {
            Err(GaugeFault::Unsound)
        }
    }

    fn is_sound(&self) -> bool {
        self.settings == self.settings.bounded()
            && self.reference.is_sound(&self.settings)
            && self.values.is_sound(HEIGHT_ROWS)
            && self.places.is_sound(PLACES)
            && self.steps.is_sound(STEPS)
            && self.season.is_sound()
            && self.shapes.is_sound(SHAPE_POINTS, &self.settings)
    }
}
