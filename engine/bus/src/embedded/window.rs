//! A part of a segment file in memory, and the finding of frames in it.
//!
//! It relies on files never changing below the limit that is given. It must never return a frame whose checks do not
//! hold. Rejected: mapping files into memory, where a fault of the disk ends the process and a truncated file does too.

use super::disk::Bytes;
use super::frame::{FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader};
use super::limits;
use std::io;
use std::sync::Arc;

/// A part of a file.
#[derive(Debug)]
pub(super) struct Window {
    file: Arc<dyn Bytes>,
    log: u64,
    at: u64,
    bytes: Vec<u8>,
}

impl Window {
    pub(super) fn new(file: Arc<dyn Bytes>, log: u64) -> Self {
        Self {
            file,
            log,
            at: 0,
            bytes: Vec::new(),
        }
    }

    /// So many bytes at an offset; `None` where the file or what may be read of it ends before.
    pub(super) fn get(&mut self, offset: u64, len: usize, limit: u64) -> io::Result<Option<&[u8]>> {
        let end = offset + len as u64;
        if end > limit {
            return Ok(None);
        }
        if !self.has(offset, len as u64) {
            let left = usize::try_from(limit - offset).unwrap_or(usize::MAX);
            let wanted = len.max(limits::READ_BYTES).min(left);
            self.at = offset;
            self.bytes.resize(wanted, 0);
            let read = self.file.read_at(offset, &mut self.bytes);
            // Whatever was held before is overwritten, so after a fault nothing is.
            self.bytes.truncate(*read.as_ref().unwrap_or(&0));
            read?;
        }
        let start = (offset - self.at) as usize;
        Ok(self.bytes.get(start..start + len))
    }

    /// Whether these bytes are in memory.
    pub(super) fn has(&self, offset: u64, len: u64) -> bool {
        offset >= self.at && offset + len <= self.at + self.bytes.len() as u64
    }

    /// The header of the frame at an offset, when its check holds and the frame ends within the limit.
    pub(super) fn header(&mut self, offset: u64, limit: u64) -> io::Result<Option<FrameHeader>> {
        let log = self.log;
        let Some(bytes) = self.get(offset, FRAME_HEADER_BYTES, limit)? else {
            return Ok(None);
        };
        let header = FrameHeader::decode(bytes, log, offset);
        Ok(header.filter(|header| offset + header.frame_bytes() <= limit))
    }

    /// The records of a frame, when their check holds.
    pub(super) fn body(
        &mut self,
        offset: u64,
        header: &FrameHeader,
        limit: u64,
    ) -> io::Result<Option<&[u8]>> {
        let frame = self.get(offset, header.frame_bytes() as usize, limit)?;
        let body = frame.map(|frame| &frame[FRAME_HEADER_BYTES..]);
        Ok(body.filter(|body| header.holds(body)))
    }

    /// The first whole frame at or after an offset.
    pub(super) fn find(
        &mut self,
        mut offset: u64,
        limit: u64,
    ) -> io::Result<Option<(u64, FrameHeader)>> {
        while offset + FRAME_HEADER_BYTES as u64 <= limit {
            // What is held is looked through to its end before more is read: payloads may be full of false beginnings.
            let held = (self.at + self.bytes.len() as u64).min(limit);
            let rest = held.saturating_sub(offset);
            let len = if offset >= self.at && rest >= FRAME_HEADER_BYTES as u64 {
                rest as usize
            } else {
                (limit - offset).min(limits::READ_BYTES as u64) as usize
            };
            let Some(bytes) = self.get(offset, len, limit)? else {
                // The file is shorter than it should be: what is left of it is looked through to its end.
                let end = self.file.len()?.min(limit);
                return if end < limit {
                    self.find(offset, end)
                } else {
                    Ok(None)
                };
            };
            let found = bytes.windows(4).position(|four| four == FRAME_MAGIC);
            let Some(found) = found else {
                offset += (len - 3) as u64;
                continue;
            };
            let place = offset + found as u64;
            if let Some(header) = self.header(place, limit)?
                && self.body(place, &header, limit)?.is_some()
            {
                return Ok(Some((place, header)));
            }
            offset = place + 1;
        }
        Ok(None)
    }

    /// Whether there is anything but zeroes at or after an offset.
    pub(super) fn is_zero(&mut self, mut offset: u64, limit: u64) -> io::Result<bool> {
        let limit = limit.min(self.file.len()?);
        while offset < limit {
            let len = limits::READ_BYTES.min((limit - offset) as usize);
            match self.get(offset, len, limit)? {
                Some(bytes) if bytes.iter().all(|byte| *byte == 0) => offset += len as u64,
                Some(_) => return Ok(false),
                None => return Ok(true),
            }
        }
        Ok(true)
    }

    /// Gives memory back that a long frame took.
    pub(super) fn shrink(&mut self) {
        if self.bytes.capacity() > limits::READ_KEPT_BYTES_MAX {
            self.bytes = Vec::new();
        }
    }
}
