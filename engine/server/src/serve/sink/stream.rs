//! Findings as text: to standard output, or appended to a file.
//!
//! A file is flushed to the disk before its findings count as taken. A batch of which only a part could be written is
//! written again, from a new line, so whoever reads the file tells repetitions by `finding_id` and `revision`.

use super::{Sink, Surroundings};
use crate::config::FileFormat;
use crate::output::{self, Rendered, Sighting};
use crate::terminal::ColorChoice;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use tripline_core::event::{Event, Parser};
use tripline_core::pipeline::SendFault;
use tripline_core::port::Outgoing;

enum Target {
    Stdout,
    File(File),
}

/// A stream of text.
pub(super) struct Stream {
    target: Target,
    format: FileFormat,
    around: Surroundings,
    parser: Parser,
    /// The last write ended somewhere in a line.
    is_torn: bool,
}

impl Stream {
    pub(super) fn stdout(format: FileFormat, around: Surroundings) -> Self {
        Self {
            target: Target::Stdout,
            format,
            around,
            parser: Parser::new(),
            is_torn: false,
        }
    }

    pub(super) fn file(path: &Path, format: FileFormat, around: Surroundings) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let around = Surroundings {
            palette: ColorChoice::Never.palette(&io::stdout()),
            ..around
        };
        Ok(Self {
            target: Target::File(file),
            // What a process that died left of a line must not swallow the next one.
            is_torn: std::fs::metadata(path)?.len() > 0 && !ends_with_line(path)?,
            ..Self::stdout(format, around)
        })
    }

    fn render(&mut self, outgoing: &Outgoing, out: &mut Vec<u8>) {
        let finding = &outgoing.finding;
        let descriptions = self.around.descriptions.get();
        let description = descriptions
            .get(&finding.rule_id)
            .map_or("", String::as_str);
        // An event that is no longer kept, or whose store cannot be read now, is shown as an empty one.
        let bytes = self.around.store.event(&finding.event_id).ok().flatten();
        let bytes = bytes.unwrap_or_else(|| b"{}".to_vec());
        let Ok(document) = self.parser.parse(&bytes) else {
            return;
        };
        let event = Event::new(document);
        let sighting = Sighting {
            finding,
            rule: 0,
            description,
            event: &event,
            bytes: &bytes,
            file: "findings",
            physical_line: outgoing.number.0,
        };
        let Rendered { text, position_at } = match self.format {
            FileFormat::Pretty => output::pretty::finding(&sighting, &self.around.palette),
            FileFormat::Jsonl => output::jsonl::finding(&sighting),
            FileFormat::Ocsf => {
                output::ocsf::finding(&sighting, super::super::now().micros() / 1000)
            }
        };
        out.extend_from_slice(&text[..position_at]);
        out.extend_from_slice(outgoing.number.0.to_string().as_bytes());
        out.extend_from_slice(&text[position_at..]);
    }
}

impl Sink for Stream {
    fn send(&mut self, batch: &[Outgoing]) -> Result<(), SendFault> {
        let mut text = Vec::new();
        if self.is_torn {
            text.push(b'\n');
        }
        for outgoing in batch {
            self.render(outgoing, &mut text);
        }
        let written = match &mut self.target {
            Target::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(&text).and_then(|()| out.flush())
            }
            Target::File(file) => file.write_all(&text).and_then(|()| file.sync_data()),
        };
        self.is_torn = written.is_err();
        written.map_err(|fault| SendFault::Retry {
            detail: fault.to_string(),
            after: None,
        })
    }
}

fn ends_with_line(path: &Path) -> io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}
