//! Every member of a gzip file, one after another.
//!
//! What follows the last member is told apart from a member cut short, for the mend is another: a file cut short
//! lost records, garbage at the end is no record. Zero bytes are padding of blocks and no fault, as `gzip` has it.
//! flate2's own reader of several members was rejected, for it calls a few bytes of garbage an early end.

use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, Read};

/// How a member begins.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Reads the members of `source`.
pub(crate) struct GzipMembers<S> {
    /// Absent at the end.
    member: Option<GzDecoder<S>>,
    garbage: bool,
}

impl<S: BufRead> GzipMembers<S> {
    pub(crate) fn new(source: S) -> Self {
        Self {
            member: Some(GzDecoder::new(source)),
            garbage: false,
        }
    }

    /// Whether the last error was that something else follows the last member.
    pub(crate) fn met_garbage(&self) -> bool {
        self.garbage
    }

    /// Goes on to the next member, if there is one.
    fn next_member(&mut self) -> io::Result<()> {
        let Some(member) = self.member.take() else {
            return Ok(());
        };
        let mut source = member.into_inner();
        match after_member(&mut source)? {
            After::Member => self.member = Some(GzDecoder::new(source)),
            After::End => {}
            After::Garbage => {
                self.garbage = true;
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        Ok(())
    }
}

impl<S: BufRead> Read for GzipMembers<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let length = member.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            self.next_member()?;
        }
        Ok(0)
    }
}

/// What follows a member.
enum After {
    Member,
    Garbage,
    End,
}

fn after_member(source: &mut impl BufRead) -> io::Result<After> {
    let mut padded = false;
    loop {
        let bytes = match source.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        // The second byte of a member may not be here yet; the decoder judges it.
        let head = &bytes[..bytes.len().min(MAGIC.len())];
        if bytes.is_empty() {
            return Ok(After::End);
        }
        if !padded && MAGIC.starts_with(head) {
            return Ok(After::Member);
        }
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(After::Garbage);
        }
        padded = true;
        let length = bytes.len();
        source.consume(length);
    }
}
