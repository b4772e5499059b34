//! Channels: where events come from outside, and what is known of whoever pushes them.
//!
//! A channel is a TOML file; the folder of them is read again when something in it changes. What comes in takes one way whatever
//! its form: who sent it is verified over the bytes as they came, then quota, form, ids and what the channel allows, and it is
//! answered when it is durable in the log. One channel must never be able to write as another, nor to make another one wait.

pub(crate) mod acks;
pub(crate) mod allow;
pub(crate) mod auth;
pub(crate) mod decode;
pub(crate) mod destination;
pub(crate) mod edit;
mod end;
pub(crate) mod file;
#[cfg(test)]
mod fuzz_corpora;
pub(crate) mod ids;
pub(crate) mod intake;
pub(crate) mod live;
pub(crate) mod page;
pub(crate) mod pull;
pub(crate) mod quota;
pub(crate) mod record;
pub(crate) mod registry;
pub(crate) mod shape;

use allow::Allow;
use auth::Sender;
use file::{ChannelFault, ChannelFile};
use live::Live;
use shape::Shape;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A channel as its file says, and what was seen of it.
pub(crate) struct Channel {
    pub(crate) id: String,
    pub(crate) file: ChannelFile,
    pub(crate) senders: Vec<Sender>,
    pub(crate) allow: Allow,
    pub(crate) shape: Shape,
    /// Requests at a time.
    pub(crate) room: Arc<Semaphore>,
    /// Bodies that go on, of these.
    pub(crate) streams: Arc<Semaphore>,
    /// Goes on when the file is read again.
    pub(crate) live: Arc<Live>,
}

impl Channel {
    /// Of a file named after it, with the secrets beside it.
    pub(crate) fn read(path: &Path, live: Option<Arc<Live>>) -> Result<Self, ChannelFault> {
        let fault = |words: String| ChannelFault {
            path: path.display().to_string(),
            words,
        };
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or("");
        if !file::is_id(stem) {
            let words = "the name of the file is the id of the channel: 3 to 64 lower-case letters, digits and -";
            return Err(fault(words.to_owned()));
        }
        Self::of_file(path, ChannelFile::read(path)?, live)
    }

    /// Of what a file of this path says, with the secrets beside it.
    pub(crate) fn of_file(
        path: &Path,
        file: ChannelFile,
        live: Option<Arc<Live>>,
    ) -> Result<Self, ChannelFault> {
        let fault = |words: String| ChannelFault {
            path: path.display().to_string(),
            words,
        };
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or("");
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut senders = Vec::new();
        for one in &file.senders {
            let sender = Sender::new(one, folder)
                .map_err(|words| fault(format!("the sender \"{}\": {words}", one.name())))?;
            senders.push(sender);
        }
        Ok(Self {
            id: stem.to_owned(),
            allow: Allow::new(&file.allow),
            shape: Shape::new(&file.schema, folder).map_err(fault)?,
            room: Arc::new(Semaphore::new(file.limits.requests_at_once)),
            streams: Arc::new(Semaphore::new((file.limits.requests_at_once / 4).max(1))),
            live: live.unwrap_or_default(),
            senders,
            file,
        })
    }

    /// What AWS clients call it. There are no regions and accounts here but those that the file names.
    pub(crate) fn arn(&self) -> String {
        let account = match self.file.account.as_str() {
            "" => "000000000000",
            account => account,
        };
        format!("arn:aws:cloudtrail:local:{account}:channel/{}", self.id)
    }
}
