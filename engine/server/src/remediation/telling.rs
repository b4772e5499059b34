//! What happened to actions, as events in the service's own log: rules, sinks and history take them like any other.

use super::Remediation;
use super::settings::replace_private;
use crate::causes::with_causes;
use crate::channel::record::event_id;
use crate::serve::Partitions;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tripline_core::event::Parser;
use tripline_core::port::{Ledger, NewRecord, PortFault, RecordKind};
use tripline_core::rule::kind::EventTime;
use tripline_remediation::engine::News;

/// So many at a time.
const AT_ONCE: usize = 200;

const TOLD: &str = "told";

/// See the module.
pub(super) struct Telling {
    folder: PathBuf,
    partitions: Partitions,
    /// Where processes that share the work note what was told: whoever acts tells.
    shared: Option<Arc<dyn Ledger>>,
    /// When that was looked at or noted last.
    noted: Mutex<Option<Instant>>,
}

/// How often it is looked how much whoever acts has told, and noted at most.
const NOTES_EVERY: Duration = Duration::from_secs(2);

/// The newest record that was told, as a folder has it.
pub(crate) fn told(folder: &Path) -> u64 {
    let text = fs::read_to_string(folder.join(TOLD)).unwrap_or_default();
    // Without it everything is told again, under the same ids.
    text.trim().parse().unwrap_or(0)
}

/// The newest record that was told, as processes that share the work note it.
pub(crate) fn told_by_any(shared: &dyn Ledger) -> Result<u64, PortFault> {
    let noted = shared.kept(TOLD)?.unwrap_or_default();
    let text = String::from_utf8(noted).unwrap_or_default();
    Ok(text.trim().parse().unwrap_or(0))
}

impl Telling {
    pub(super) fn new(
        folder: PathBuf,
        partitions: Partitions,
        shared: Option<Arc<dyn Ledger>>,
    ) -> Self {
        Self {
            folder,
            partitions,
            shared,
            noted: Mutex::default(),
        }
    }

    /// Whether it is time to look or to note again.
    fn is_time(&self) -> bool {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = noted.is_none_or(|at| at.elapsed() >= NOTES_EVERY);
        if is_time {
            *noted = Some(Instant::now());
        }
        is_time
    }

    /// Forgets what whoever acts has told.
    fn listen(&self, engine: &Remediation, shared: &dyn Ledger) {
        if self.is_time() {
            match told_by_any(shared) {
                Ok(told) => engine.told_until(told),
                Err(fault) => {
                    tracing::debug!(fault = with_causes(&fault), "not known what is told")
                }
            }
        }
    }

    /// Tells what is new, if this process is the one that acts.
    pub(super) fn tell(&self, engine: &Remediation) {
        if let Some(shared) = &self.shared
            && !engine.acts()
        {
            return self.listen(engine, shared.as_ref());
        }
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
        if let Some(shared) = &self.shared
            && self.is_time()
            && let Err(fault) = shared.keep(TOLD, format!("{seq}\n").as_bytes())
        {
            tracing::warn!(
                fault = with_causes(&fault),
                "what was told is told again by others"
            );
        }
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
