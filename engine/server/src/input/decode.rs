//! Opens an input and undoes its compression, told by its first bytes.
//!
//! Every member of a gzip file and every frame of a zstd file is read. Whatever was decompressed before
//! a fault is kept and used; the fault is told after it. A decompressor allocates a window that its
//! format bounds (gzip 32 KiB, zstd 128 MiB), never the size that a header claims.

use super::gzip::GzipMembers;
use super::resolve::{Input, Origin};
use super::through::{MakeEvents, Through};
use std::fs::File;
use std::io::{self, BufReader, Chain, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use thiserror::Error;

/// Enough of an input to know its compression; a pipe may hold no more for now.
const HEAD_BYTES: usize = 8;

/// Enough of a file to know an archive.
const FILE_HEAD_BYTES: usize = 512;

/// Where a tar archive has its mark.
const TAR_MARK_AT: usize = 257;

/// Compressed bytes are read in portions of this size.
const COMPRESSED_READ_BYTES: usize = 128 * 1024;

/// Why an input could not be read, or not to its end.
#[derive(Debug, Error)]
pub(crate) enum InputFault {
    #[error("cannot be opened")]
    Open(#[source] io::Error),
    #[error("reading failed")]
    Read(#[source] io::Error),
    #[error("compressed {0} data ends early; what came before was used")]
    CompressedTruncated(&'static str),
    #[error("compressed {0} data is corrupt; what came before was used")]
    CompressedCorrupt(&'static str, #[source] io::Error),
    #[error("trailing garbage after the {0} stream; what came before was used")]
    TrailingGarbage(&'static str),
    #[error("looks like {0}, which is not read; give JSON, plain or compressed with gzip or zstd")]
    Unsupported(&'static str),
    #[error("is a folder")]
    Folder,
    #[error("the decoder failed: {0}")]
    Decoder(String),
}

impl InputFault {
    /// Short stable name, as counted.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Open(_) => "open_failed",
            Self::Read(_) => "read_failed",
            Self::CompressedTruncated(_) => "compression_truncated",
            Self::CompressedCorrupt(..) => "compression_corrupt",
            Self::TrailingGarbage(_) => "trailing_garbage",
            Self::Unsupported(_) => "unsupported",
            Self::Folder => "folder",
            Self::Decoder(_) => "decoder_failed",
        }
    }

    /// Whether the input is whole, and of a format that is none of ours.
    pub(crate) fn is_other_format(&self) -> bool {
        matches!(self, Self::Unsupported(_))
    }
}

type Source = Chain<Cursor<Vec<u8>>, Counted>;

/// Counts the bytes that are read from an input, for the progress bar.
pub(crate) struct Counted {
    source: Box<dyn Read + Send>,
    count: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.count.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

/// An opened input, giving decompressed bytes.
pub(crate) struct Decoded {
    stream: Stream,
    /// Whether the first bytes have been looked at.
    begun: bool,
    /// What makes events of the bytes, when they are none.
    through: Option<(Arc<dyn MakeEvents>, Box<Through>)>,
}

/// Where the bytes come from.
enum Stream {
    Plain(Source),
    Gzip(Box<GzipMembers<BufReader<Source>>>),
    Zstd(zstd::stream::read::Decoder<'static, BufReader<Source>>),
}

impl Decoded {
    /// Opens `input`; the bytes read from it are added to `count`.
    pub(crate) fn open(input: &Input, count: &Arc<AtomicU64>) -> Result<Self, InputFault> {
        let mut head_bytes = HEAD_BYTES;
        let source: Box<dyn Read + Send> = match &input.origin {
            Origin::Stdin => Box::new(io::stdin()),
            Origin::Bundled(bytes) => Box::new(*bytes),
            Origin::File(path) => {
                let file = File::open(path).map_err(InputFault::Open)?;
                match file.metadata() {
                    Ok(data) if data.is_dir() => return Err(InputFault::Folder),
                    Ok(data) if data.is_file() => head_bytes = FILE_HEAD_BYTES,
                    _ => {}
                }
                Box::new(file)
            }
        };
        let mut counted = Counted {
            source,
            count: Arc::clone(count),
        };
        let head = read_head(&mut counted, head_bytes).map_err(InputFault::Read)?;
        if let Some(format) = unsupported(&head) {
            return Err(InputFault::Unsupported(format));
        }
        let compression = Compression::of(&head);
        let source = Cursor::new(head).chain(counted);
        let buffered = |source| BufReader::with_capacity(COMPRESSED_READ_BYTES, source);
        let stream = match compression {
            Compression::None => Stream::Plain(source),
            Compression::Gzip => Stream::Gzip(Box::new(GzipMembers::new(buffered(source)))),
            Compression::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(buffered(source))
                    .map_err(InputFault::Open)?;
                Stream::Zstd(decoder)
            }
        };
        let decoder = input.decoder.clone();
        Ok(Self {
            stream,
            begun: false,
            through: decoder.map(|decoder| (decoder, Box::default())),
        })
    }

    /// Reads some bytes of events; none at the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, InputFault> {
        let Some((decoder, mut through)) = self.through.take() else {
            return self.decompressed(buffer);
        };
        let read = |buffer: &mut [u8]| self.decompressed(buffer);
        let result = through.read(&*decoder, buffer, read, InputFault::Decoder);
        self.through = Some((decoder, through));
        result
    }

    fn decompressed(&mut self, buffer: &mut [u8]) -> Result<usize, InputFault> {
        loop {
            let result = match &mut self.stream {
                Stream::Plain(source) => source.read(buffer),
                Stream::Gzip(decoder) => decoder.read(buffer),
                Stream::Zstd(decoder) => decoder.read(buffer),
            };
            match result {
                Ok(length) if self.begun => return Ok(length),
                Ok(length) => {
                    self.begun = true;
                    return match self.unsupported_inside(&buffer[..length]) {
                        Some(format) => Err(InputFault::Unsupported(format)),
                        None => Ok(length),
                    };
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.fault(error)),
            }
        }
    }

    /// What the first decompressed bytes are, when they are none of ours. Plain bytes were looked at before.
    fn unsupported_inside(&self, first: &[u8]) -> Option<&'static str> {
        match (&self.stream, Compression::of(first)) {
            (Stream::Plain(_), _) => None,
            (_, Compression::None) => unsupported(first),
            _ => Some("data compressed twice"),
        }
    }

    fn fault(&self, error: io::Error) -> InputFault {
        let format = match &self.stream {
            Stream::Plain(_) => return InputFault::Read(error),
            Stream::Gzip(members) if members.met_garbage() => {
                return InputFault::TrailingGarbage("gzip");
            }
            Stream::Gzip(_) => "gzip",
            Stream::Zstd(_) => "zstd",
        };
        match error.kind() {
            io::ErrorKind::UnexpectedEof => InputFault::CompressedTruncated(format),
            // An error of the operating system is none of the data's.
            _ if error.raw_os_error().is_some() => InputFault::Read(error),
            _ => InputFault::CompressedCorrupt(format, error),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A frame that decoders pass over may come first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// Formats that people do try, and that would come out as thousands of broken lines.
fn unsupported(head: &[u8]) -> Option<&'static str> {
    let mark = head.get(TAR_MARK_AT..).unwrap_or_default();
    match head {
        _ if mark.starts_with(b"ustar") => Some("a tar archive"),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some("bzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some("xz"),
        [b'P', b'K', 3, 4, ..] => Some("a zip archive"),
        [b'P', b'A', b'R', b'1', ..] => Some("Parquet"),
        [b'O', b'b', b'j', 1, ..] => Some("Avro"),
        [0x04, 0x22, 0x4d, 0x18, ..] => Some("lz4"),
        [0xff, 0x06, 0x00, 0x00, b's', ..] => Some("snappy"),
        _ => None,
    }
}

fn read_head(source: &mut Counted, bytes: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(bytes);
    source.by_ref().take(bytes as u64).read_to_end(&mut head)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::{Compression, unsupported};

    #[test]
    fn first_bytes_tell_the_compression() {
        let check = |head: &[u8], expected| assert_eq!(Compression::of(head), expected);
        check(b"", Compression::None);
        check(b"{\"Records\"", Compression::None);
        check(&[0x1f], Compression::None);
        check(&[0x1f, 0x8b, 8], Compression::Gzip);
        check(&[0x28, 0xb5, 0x2f, 0xfd, 0], Compression::Zstd);
        check(&[0x52, 0x2a, 0x4d, 0x18, 0], Compression::Zstd);
        assert_eq!(unsupported(b"BZh91AY"), Some("bzip2"));
        assert_eq!(unsupported(b"{\"a\":1}"), None);
    }
}
