//! {{description}}

use serde_json::{Map, Value};
use tripline_plugin::{Decoded, Decoder, Fault, Lines, export_decoder};

/// Lines of `name=value` pairs, parted by spaces.
#[derive(Default)]
struct Plugin;

impl Decoder for Plugin {
    fn decode(&mut self, chunk: &[u8], _state: &[u8], last: bool) -> Result<Decoded, Fault> {
        let mut lines = Lines::new(chunk, last);
        let mut decoded = Decoded::default();
        for (offset, line) in lines.by_ref() {
            match std::str::from_utf8(line).ok().and_then(event) {
                Some(event) => decoded.event(&event),
                None => decoded.bad(offset, "not a line of `name=value` pairs"),
            }
        }
        decoded.consumed = lines.consumed();
        Ok(decoded)
    }
}

export_decoder!(Plugin);

fn event(line: &str) -> Option<String> {
    let mut event = Map::new();
    for pair in line.split_ascii_whitespace() {
        let (name, value) = pair.split_once('=')?;
        event.insert(name.to_owned(), Value::from(value));
    }
    Some(Value::from(event).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_become_events() {
        let decoded = Plugin
            .decode(b"a=1 b=2\nnonsense\nc=", b"", false)
            .expect("nothing fails");
        assert_eq!(decoded.events, b"{\"a\":\"1\",\"b\":\"2\"}\n");
        assert_eq!((decoded.bad.len(), decoded.consumed), (1, 17));
    }
}
