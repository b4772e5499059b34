//! Any mapping, field to redact and event: what a mapping makes is an object that has what it does not name as it was sent, and what is
//! redacted is not there any more, nor changed by doing it again.
//!
//! Lines: the CEL of a field, the field that is not kept, the event.

use crate::channel::Channel;
use crate::channel::file::ChannelFile;
use std::collections::BTreeMap;
use std::path::Path;
use tripline_core::event::{Json, Kind, Parser};

/// The field that is made.
const FIELD: &str = "made";

const HIDDEN: &str = "[redacted]";

/// Holds the input to the claims above.
pub(crate) fn run(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
    let [Some(made), Some(hidden), Some(event)] = [parts.next(), parts.next(), parts.next()] else {
        return;
    };
    let (Ok(made), Ok(hidden)) = (std::str::from_utf8(made), std::str::from_utf8(hidden)) else {
        return;
    };
    let mut parser = Parser::new();
    let Ok(document) = parser.parse(event) else {
        return;
    };
    let sent = document.root();
    if sent.kind() != Kind::Object {
        return;
    }
    let path = Path::new("billing.toml");
    let mut file = ChannelFile::parse(path, "source = \"billing\"").expect("a sound file");
    file.schema.redact = vec![hidden.to_owned()];
    file.schema.redact_secrets = true;
    if !made.is_empty() {
        file.schema.map.insert(FIELD.to_owned(), made.to_owned());
    }
    let Ok(channel) = Channel::of_file(path, file, None) else {
        return;
    };
    let Ok(shaped) = channel.shape.apply(sent, &BTreeMap::new()) else {
        return;
    };
    let mut parser = Parser::new();
    let document = parser.parse(&shaped.bytes).expect("a record is an object");
    for (key, value) in sent.entries() {
        let key = key.decode();
        if key.as_ref() != FIELD {
            let kept = document.root().get(&key).expect("it was sent");
            assert_eq!(kept.raw(), value.raw(), "{key}");
        }
    }
    check_redacted(&channel, document.root(), hidden);
}

fn check_redacted(channel: &Channel, event: Json<'_>, hidden: &str) {
    let once = channel
        .shape
        .redacted(event)
        .expect("something is redacted");
    let mut parser = Parser::new();
    // Two keys that look like secrets are one key then, which the way in refuses.
    let Ok(document) = parser.parse(&once) else {
        return;
    };
    let root = document.root();
    let found = hidden
        .split('.')
        .try_fold(root, |within, key| within.get(key));
    if !hidden.starts_with("*.")
        && let Some(found) = found
    {
        let text = found.as_text().expect("it was hidden");
        assert!(text.eq_str(HIDDEN));
    }
    let twice = channel.shape.redacted(root).expect("something is redacted");
    assert_eq!(twice, once);
}
