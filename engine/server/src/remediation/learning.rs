//! What resources were like, learnt from all events that the service evaluates, and kept over restarts.
//!
//! An event that says something of a resource goes to a file before it is acknowledged; now and then all that is known takes the
//! place of that file. Events may come twice and in any order: what is known is the same. It is written without being
//! flushed, so a machine that loses its power may forget what it saw last. Processes that share the work tell each other
//! (`facts`).

use super::Remediation;
use super::facts::{Facts, Heard};
use super::settings::replace_private;
use crate::causes::with_causes;
use serde::Serialize;
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tripline_core::port::{Delivered, FaultClass, PortFault, RecordKind};
use tripline_remediation::guard::own_action;
use tripline_remediation::shadow::{Bounds, Shadow};

/// All that is known takes the place of the events when they have more bytes than this: 16 MiB.
const EVENTS_BYTES_MAX: u64 = 16 << 20;

/// Events that are looked into are no longer than this: CloudTrail's longest.
const EVENT_BYTES_MAX: usize = 256 * 1024;

/// Events whose names begin so may say what something is like.
const VERBS: [&[u8]; 7] = [
    b"Create",
    b"Update",
    b"Put",
    b"Set",
    b"Delete",
    b"Run",
    b"Terminate",
];

/// See the module.
pub(crate) struct Learning {
    engine: Remediation,
    channels: Vec<String>,
    folder: PathBuf,
    events: Mutex<(File, u64)>,
    /// What processes that share the work tell each other.
    facts: Option<Facts>,
}

/// How long it is waited for what others say, and how often the ledger of it is shortened and complained of.
const HEARS_FOR: Duration = Duration::from_millis(250);
const SHORTENS_EVERY: Duration = Duration::from_secs(60);
const COMPLAINS_EVERY: Duration = Duration::from_secs(60);

const KNOWN: &str = "known.json";
const EVENTS: &str = "known-events.jsonl";

fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let file = options.open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

/// A line about an event that is doubted.
#[derive(Serialize)]
struct Doubted<T> {
    doubted: T,
}

/// Takes in a line of events. Whether it is one.
fn take(shadow: &mut Shadow, line: &[u8]) -> bool {
    let Ok(event) = serde_json::from_slice::<Value>(line) else {
        return false;
    };
    // An event, which has more members, may have one of that name.
    let alone = event.as_object().filter(|members| members.len() == 1);
    match alone.and_then(|members| members.get("doubted")) {
        Some(doubted) => shadow.doubt(doubted),
        None => shadow.fold(&event),
    };
    true
}

/// Takes in what is known in a folder. How many lines of it could not be read.
pub(crate) fn read(folder: &Path, shadow: &mut Shadow) -> Result<u64, String> {
    let told = |path: &Path, fault: &dyn std::fmt::Display| format!("{}: {fault}", path.display());
    let path = folder.join(KNOWN);
    match fs::read(&path) {
        Ok(bytes) => {
            let known = Shadow::from_bytes(&bytes, Bounds::default());
            shadow.absorb(known.map_err(|fault| told(&path, &fault))?);
        }
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
        Err(fault) => return Err(told(&path, &fault)),
    }
    let path = folder.join(EVENTS);
    let mut broken = 0;
    match fs::read(&path) {
        Ok(bytes) => {
            for line in bytes
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
            {
                // A broken one is the last one, of a process that was killed while it wrote.
                broken += u64::from(!take(shadow, line));
            }
        }
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
        Err(fault) => return Err(told(&path, &fault)),
    }
    Ok(broken)
}

impl Learning {
    /// Goes on with what is known in a folder.
    pub(crate) fn open(
        engine: Remediation,
        folder: &Path,
        channels: &[String],
        facts: Option<Facts>,
    ) -> Result<Self, String> {
        // What the journal tells to be doubted is so already.
        let mut shadow = engine.shadow();
        let broken = read(folder, &mut shadow)?;
        if broken > 0 {
            tracing::warn!(broken, "events of what resources were like cannot be read");
        }
        tracing::info!(aspects = shadow.len(), "what resources were like");
        drop(shadow);
        let path = folder.join(EVENTS);
        let events = open(&path).map_err(|fault| format!("{}: {fault}", path.display()))?;
        let learning = Self {
            engine,
            channels: channels.to_vec(),
            folder: folder.to_owned(),
            events: Mutex::new(events),
            facts,
        };
        learning.catch_up().map_err(|fault| with_causes(&fault))?;
        Ok(learning)
    }

    /// Hears all that others have said so far.
    fn catch_up(&self) -> Result<(), PortFault> {
        let Some(facts) = &self.facts else {
            return Ok(());
        };
        while facts.is_behind()? {
            self.hear(facts)?;
        }
        Ok(())
    }

    /// Hears what others say, until the process is over.
    pub(crate) fn follow(&self, is_gone: &AtomicBool) {
        let Some(facts) = &self.facts else {
            return;
        };
        let mut shortened = Instant::now();
        let mut told: Option<Instant> = None;
        while !is_gone.load(Ordering::Relaxed) {
            let mut heard = self.hear(facts);
            if shortened.elapsed() >= SHORTENS_EVERY && self.engine.acts() {
                shortened = Instant::now();
                heard = heard.and_then(|()| facts.shorten(|| self.engine.shadow().to_bytes()));
            }
            if let Err(fault) = heard {
                if told.is_none_or(|at| at.elapsed() >= COMPLAINS_EVERY) {
                    told = Some(Instant::now());
                    let fault = with_causes(&fault);
                    tracing::warn!(fault, "what resources were like is not heard of others");
                }
                std::thread::sleep(HEARS_FOR);
            }
        }
    }

    fn hear(&self, facts: &Facts) -> Result<(), PortFault> {
        match facts.hear(HEARS_FOR)? {
            None => return Ok(()),
            Some(Heard::Events(lines)) => {
                for line in lines.split(|byte| *byte == b'\n') {
                    // Whoever said it has looked into it.
                    take(&mut self.engine.shadow(), line);
                }
                self.write(&lines);
            }
            Some(Heard::All(bytes)) => {
                let doing = "take over what resources were like";
                let shadow = Shadow::from_bytes(&bytes, Bounds::default())
                    .map_err(|fault| PortFault::new(FaultClass::Stop, doing).because(fault))?;
                // This process may have seen what whoever kept it had not heard yet.
                self.engine.shadow().absorb(shadow);
                let mut events = self.events();
                if let Err(fault) = self.keep(&mut events) {
                    tracing::error!(%fault, "what resources were like is not kept");
                }
            }
        }
        if let Err(fault) = facts.keep() {
            tracing::error!(%fault, "what was heard of resources is heard again");
        }
        Ok(())
    }

    fn events(&self) -> MutexGuard<'_, (File, u64)> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what the events of a batch say.
    pub(crate) fn see(&self, delivered: &Delivered) {
        let mut lines = Vec::new();
        for record in delivered
            .records
            .iter()
            .filter(|one| one.kind == RecordKind::Event)
        {
            let Some(bytes) = delivered.buffer.get(record.payload.clone()) else {
                continue;
            };
            let may_be_ours = memchr::memmem::find(bytes, b"/rem-").is_some();
            if !may_be_ours && !may_say(bytes) {
                continue;
            }
            let Ok(event) = serde_json::from_slice::<Value>(bytes) else {
                continue;
            };
            if is_foreign(&event, &self.channels).is_some() {
                continue;
            }
            if may_be_ours {
                self.witness(&event);
            }
            if self.engine.shadow().fold(&event) {
                // An event may have line feeds between its members.
                let _ = serde_json::to_writer(&mut lines, &event);
                lines.push(b'\n');
            }
        }
        self.tell(&lines);
    }

    /// Says of an event that a finding is about that it is what is to be put right, and not what was good.
    pub(crate) fn doubt(&self, event: &Value) {
        if self.engine.shadow().doubt(event) {
            let mut line = Vec::new();
            let _ = serde_json::to_writer(&mut line, &Doubted { doubted: event });
            line.push(b'\n');
            self.tell(&line);
        }
    }

    /// Tells others, and keeps, lines.
    fn tell(&self, lines: &[u8]) {
        if let (false, Some(facts)) = (lines.is_empty(), &self.facts)
            && let Err(fault) = facts.say(lines)
        {
            let fault = with_causes(&fault);
            tracing::error!(fault, "others do not hear what resources were like");
        }
        self.write(lines);
    }

    /// Keeps events, one a line.
    fn write(&self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        let mut events = self.events();
        if let Err(fault) = events.0.write_all(lines) {
            tracing::error!(%fault, "what resources were like is not kept");
        }
        events.1 += lines.len() as u64;
        if events.1 > EVENTS_BYTES_MAX
            && let Err(fault) = self.keep(&mut events)
        {
            tracing::error!(%fault, "what resources were like is not kept");
        }
    }

    /// Joins what a session of ours did, as the service's own trail shows it, to the action that it is named after.
    fn witness(&self, event: &Value) {
        let own_roles = &self.engine.settings().protected.own_roles;
        let Some(action) = own_action(event, own_roles) else {
            return;
        };
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        let is_read = event
            .get("readOnly")
            .is_some_and(|is| is == true || is == "true");
        let request = text("requestID");
        if is_read || request.is_empty() {
            return;
        }
        let (name, id) = (text("eventName"), text("eventID"));
        match self.engine.witness(&action, request, id) {
            Ok(true) => {}
            Ok(false) => {
                let words = "a session of our role did something for an action that is not in the journal: somebody else uses the role";
                tracing::error!(action, event = id, name, words, "witness without a record");
            }
            Err(fault) => {
                let fault = with_causes(&fault);
                tracing::error!(fault, "what the service's own trail shows is not kept");
            }
        }
    }

    /// Keeps all that is known in the place of the events.
    fn keep(&self, events: &mut (File, u64)) -> io::Result<()> {
        keep(&self.folder, &self.engine.shadow())?;
        events.0.set_len(0)?;
        events.1 = 0;
        Ok(())
    }
}

/// The channel that an event came through, when the operator has not said that what comes through it is to be believed: whoever
/// may push events must not be able to have anything done by them.
pub(crate) fn is_foreign(event: &Value, channels: &[String]) -> Option<String> {
    let ingest = event.get("ingest").filter(|ingest| !ingest.is_null())?;
    let channel = ingest
        .get("channel")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match channels.iter().any(|one| one == channel) {
        true => None,
        false => Some(channel.to_owned()),
    }
}

/// Writes all that is known into a folder.
pub(crate) fn keep(folder: &Path, shadow: &Shadow) -> io::Result<()> {
    replace_private(&folder.join(KNOWN), &shadow.to_bytes())
}

/// Whether an event may say what something is like: quick, and never no when it does.
pub(crate) fn may_say(bytes: &[u8]) -> bool {
    const NAME: &[u8] = b"\"eventName\"";
    if bytes.len() > EVENT_BYTES_MAX {
        return false;
    }
    // A name in another place, and one that is written with escapes, does no harm: then it is looked into.
    let mut from = 0;
    while let Some(at) = memchr::memmem::find(&bytes[from..], NAME) {
        let rest = &bytes[from + at + NAME.len()..];
        let rest = rest.trim_ascii_start();
        let value = rest.strip_prefix(b":").unwrap_or(rest).trim_ascii_start();
        let value = value.strip_prefix(b"\"").unwrap_or(value);
        if value.first() == Some(&b'\\') || VERBS.iter().any(|verb| value.starts_with(verb)) {
            return true;
        }
        from += at + NAME.len();
    }
    // The name of the member itself may be written with escapes.
    memchr::memmem::find(bytes, b"\\u").is_some()
}

#[cfg(test)]
mod tests {
    use super::{Doubted, EVENTS, may_say, read, take};
    use serde_json::{Value, json};
    use tripline_remediation::action::LastKnown;
    use tripline_remediation::shadow::Shadow;

    #[test]
    fn a_file_of_events_says_which_are_doubted() {
        let set = |minute: u32, value: u32| {
            json!({
                "eventTime": format!("2026-03-01T10:{minute:02}:00Z"),
                "eventID": format!("id-{minute}"),
                "eventSource": "iam.amazonaws.com",
                "eventName": "UpdateAssumeRolePolicy",
                "awsRegion": "us-east-1",
                "recipientAccountId": "111122223333",
                "requestParameters": {
                    "roleName": "web",
                    "policyDocument": json!({"Version": value.to_string()}).to_string(),
                },
            })
        };
        let good = set(1, 1);
        let mut lines = vec![good.to_string()];
        // Each is found before the next one comes, eleven minutes later.
        for one in 1..5 {
            let bad = set(1 + one * 11, 9);
            lines.push(bad.to_string());
            lines.push(serde_json::to_string(&Doubted { doubted: &bad }).expect("JSON"));
        }
        lines.push("{\"doubted\": {".to_owned());
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(EVENTS), lines.join("\n")).expect("it is written");
        let mut shadow = Shadow::default();
        let broken = read(folder.path(), &mut shadow).expect("it is read");
        assert_eq!(broken, 1);
        let arn = "arn:aws:iam::111122223333:role/web";
        let known = shadow.before(arn, "assume_role_policy", i64::MAX);
        let known = known.map(|known| known.value);
        assert_eq!(known, Some(json!({"Version": "1"})));
        // An event is none for a member of that name.
        let mut odd = set(58, 2);
        odd["doubted"] = good.clone();
        assert!(take(&mut shadow, odd.to_string().as_bytes()));
        let known = shadow.before(arn, "assume_role_policy", i64::MAX);
        assert_eq!(
            known.map(|known| known.value),
            Some(json!({"Version": "2"}))
        );
        // Without the lines about doubts the last of the bad ones would be put back.
        let without: Vec<&String> = lines
            .iter()
            .filter(|line| !line.contains("doubted"))
            .collect();
        let mut shadow = Shadow::default();
        for line in without {
            let event: Value = serde_json::from_str(line).expect("JSON");
            shadow.fold(&event);
        }
        let known = shadow.before(arn, "assume_role_policy", i64::MAX);
        assert_eq!(
            known.map(|known| known.value),
            Some(json!({"Version": "9"}))
        );
    }

    #[test]
    fn only_what_changes_something_is_looked_into() {
        assert!(may_say(br#"{"eventName": "PutBucketPolicy"}"#));
        assert!(may_say(
            br#"{"a":{"eventName":"Get"},"eventName":"CreateTrail"}"#
        ));
        assert!(may_say(br#"{"event\u004eame":"CreateTrail"}"#));
        assert!(!may_say(
            br#"{"eventName":"DescribeInstances","x":"CreateTrail"}"#
        ));
        assert!(!may_say(br#"{"eventname":"CreateTrail"}"#));
    }
}
