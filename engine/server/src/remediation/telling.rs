//! What happened to actions, as events in the service's own log: rules, sinks and history take them like any other.

use super::Remediation;
use super::settings::replace_private;
use crate::causes::with_causes;
use crate::channel::record::event_id;
use crate::serve::Partitions;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tripline_core::event::Parser;
use tripline_core::port::{NewRecord, RecordKind};
use tripline_core::rule::kind::EventTime;
use tripline_remediation::engine::News;

/// So many at a time.
const AT_ONCE: usize = 200;

const TOLD: &str = "told";

/// See the module.
pub(super) struct Telling {
    folder: PathBuf,
    partitions: Partitions,
}

/// The newest record that was told, as a folder has it.
pub(crate) fn told(folder: &Path) -> u64 {
    let text = fs::read_to_string(folder.join(TOLD)).unwrap_or_default();
    // Without it everything is told again, under the same ids.
    text.trim().parse().unwrap_or(0)
}

impl Telling {
    pub(super) fn new(folder: PathBuf, partitions: Partitions) -> Self {
        Self { folder, partitions }
    }

    /// Tells what is new.
    pub(super) fn tell(&self, engine: &Remediation) {
        loop {
            let news = match engine.news(AT_ONCE) {
                Ok(news) => news,
                Err(_) => return,
            };
            let Some(last) = news.last().map(|one| one.seq) else {
                return;
            };
            for one in &news {
                if let Err(fault) = self.append(one) {
                    tracing::warn!(fault, "what became of an action is told later");
                    return;
                }
            }
            let kept = self.keep(last);
            if let Err(fault) = kept {
                tracing::warn!(%fault, "what was told is told again after a restart");
            }
            engine.told_until(last);
        }
    }

    fn append(&self, news: &News) -> Result<(), String> {
        let event = event_of(news).to_string().into_bytes();
        let mut parser = Parser::new();
        let document = parser.parse(&event).map_err(|fault| fault.to_string())?;
        let partition = self.partitions.of(document.root());
        let record = NewRecord {
            kind: RecordKind::Event,
            taken: crate::serve::now(),
            attributes: br#"{"channel":"tripline"}"#,
            payload: &event,
        };
        let appended = self.partitions.log(partition).append(&[record]);
        appended.map(|_| ()).map_err(|fault| with_causes(&fault))
    }

    fn keep(&self, seq: u64) -> std::io::Result<()> {
        replace_private(&self.folder.join(TOLD), format!("{seq}\n").as_bytes())
    }
}

fn event_of(news: &News) -> Value {
    let time = EventTime::from_micros(news.time).to_string();
    let region = match news.about["region"].as_str() {
        None | Some("") => "local",
        Some(region) => region,
    };
    json!({
        "eventVersion": "1.11",
        "eventID": event_id("tripline", format!("remediation\n{}\n{}", news.seq, news.time).as_bytes()),
        "eventTime": time,
        "eventSource": "tripline",
        "eventName": news.name,
        "eventType": "TriplineServiceEvent",
        "awsRegion": region,
        "sourceIPAddress": "tripline",
        "recipientAccountId": news.account,
        "userIdentity": { "type": "AWSService", "invokedBy": "tripline" },
        "requestParameters": news.about,
        "responseElements": null,
        "ingest": { "channel": "tripline", "source": "tripline", "sender": "tripline", "verified": "own", "time": time },
    })
}
