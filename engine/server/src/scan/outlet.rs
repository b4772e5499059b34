//! What findings are made into, and where they go.
//!
//! The threads shape findings as they find them; the ordered stage hands them to an outlet, one after the other,
//! after duplicates are gone. A scan shapes text and writes it; a backtest keeps what it needs of each. Neither the
//! threads nor the ordered stage know which. Must never decide what is a finding.

use super::progress::Progress;
use crate::output::{Format, Rendered, Sighting};
use crate::pipeline::Flow;
use std::io::{self, Write};
use tripline_core::rule::Severity;

/// Rendered findings are handed to the operating system in portions of this size.
const WRITE_BYTES: usize = 64 * 1024;

/// Which version of the rules found something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Rules,
    Baseline,
}

/// Makes something of a finding, while its event is at hand.
pub(crate) trait Shape: Sync {
    type Shaped: Default + Send;
    fn shape(&self, sighting: &Sighting<'_>) -> Self::Shaped;
    /// About how much memory it takes beside itself.
    fn bytes(shaped: &Self::Shaped) -> usize;
}

/// What is known of a finding when its turn has come.
pub(crate) struct Placed<'p> {
    pub(crate) side: Side,
    /// Number of the rule in its rule set.
    pub(crate) rule: u32,
    pub(crate) severity: Severity,
    pub(crate) file: &'p str,
    /// Place among the records of the file.
    pub(crate) position: u64,
}

/// Takes findings in input order.
pub(crate) trait Outlet: Send {
    type Shape: Shape;
    fn finding(&mut self, placed: &Placed<'_>, shaped: <Self::Shape as Shape>::Shaped);
    /// A record came for the first time, with this number as its id.
    fn record(&mut self, _id: u128) {}
    /// A batch is over.
    fn batch(&mut self) -> Flow {
        Flow::Continue
    }
    /// Nothing else is ready at the moment.
    fn flush(&mut self) -> Flow {
        Flow::Continue
    }
}

impl Shape for Format {
    type Shaped = Rendered;

    fn shape(&self, sighting: &Sighting<'_>) -> Rendered {
        self.render(sighting)
    }

    fn bytes(shaped: &Rendered) -> usize {
        shaped.text.capacity()
    }
}

/// Writes findings in a format.
pub(crate) struct Writing<'r> {
    format: &'r Format,
    out: Box<dyn Write + Send>,
    pending: Vec<u8>,
    progress: Progress,
    written: u64,
    /// Why writing stopped, if it did.
    pub(crate) fault: Option<io::Error>,
}

impl<'r> Writing<'r> {
    /// Nothing is written yet.
    pub(crate) fn new(format: &'r Format, out: Box<dyn Write + Send>, progress: Progress) -> Self {
        Self {
            format,
            out,
            pending: Vec::new(),
            progress,
            written: 0,
            fault: None,
        }
    }

    /// Writes text right away.
    pub(crate) fn write(&mut self, text: &[u8]) -> Flow {
        self.pending.extend_from_slice(text);
        self.flush()
    }
}

impl Outlet for Writing<'_> {
    type Shape = Format;

    fn finding(&mut self, placed: &Placed<'_>, rendered: Rendered) {
        if self.written > 0 {
            self.pending
                .extend_from_slice(self.format.separator().as_bytes());
        }
        self.written += 1;
        let (before, after) = rendered.text.split_at(rendered.position_at);
        self.pending.extend_from_slice(before);
        self.pending
            .extend_from_slice(placed.position.to_string().as_bytes());
        self.pending.extend_from_slice(after);
    }

    fn batch(&mut self) -> Flow {
        if self.pending.len() >= WRITE_BYTES {
            self.flush()
        } else {
            Flow::Continue
        }
    }

    fn flush(&mut self) -> Flow {
        if self.pending.is_empty() {
            return Flow::Continue;
        }
        let Self {
            out,
            pending,
            progress,
            ..
        } = self;
        let written = progress.aside(|| out.write_all(pending).and_then(|()| out.flush()));
        self.pending.clear();
        match written {
            Ok(()) => Flow::Continue,
            Err(error) => {
                self.fault = Some(error);
                Flow::Stop
            }
        }
    }
}
