//! Batches that nobody meant: what attackers write into fields, and what fields are cut to.

use serde_json::{Map, Value as Json, json};
use tripline_plugin::Kind;

/// Texts that have broken parsers before.
const TEXTS: [&str; 34] = [
    "",
    " ",
    "\0",
    "\n\t",
    "%",
    "%%%",
    "%2",
    "%zz",
    "%00",
    "%25252525",
    "+",
    "=",
    "/",
    "://",
    "..",
    ".",
    "-",
    "\"",
    "{",
    "[[[[",
    "{\"",
    "null",
    "[]",
    "{}",
    "{\"Statement\":[[]]}",
    "{\"Statement\":{\"Action\":{}}}",
    "::",
    "1::1::1",
    "256.256.256.256",
    "999999999999999999999999",
    "-0",
    "\u{feff}\u{202e}",
    "ẞ ﬁ 😀",
    "arn:::::::::",
];

/// No rows; rows without values; rows of nonsense in every column.
pub(crate) fn batches(reads: &[(String, Kind)]) -> Vec<Vec<Json>> {
    let mut long: Vec<String> = TEXTS.iter().map(|text| text.repeat(300)).collect();
    long.push("[".repeat(20_000));
    long.push("{\"Statement\":".repeat(2_000));
    long.push("a.".repeat(20_000));
    long.push("%7B%22".repeat(5_000));
    let texts = TEXTS.iter().map(|text| (*text).to_owned()).chain(long);
    let texts: Vec<String> = texts.collect();
    let mut of_one_text = Vec::new();
    let mut mixed = Vec::new();
    for number in 0..texts.len() {
        of_one_text.push(event(reads, |_| &texts[number]));
        mixed.push(event(reads, |column| {
            &texts[(number + column * 7) % texts.len()]
        }));
    }
    vec![Vec::new(), vec![json!({}); 9], of_one_text, mixed]
}

fn event<'t>(reads: &[(String, Kind)], text: impl Fn(usize) -> &'t str) -> Json {
    let mut event = Map::new();
    for (column, (path, kind)) in reads.iter().enumerate() {
        let text = text(column);
        let value = match kind {
            Kind::Bool => text.len().is_multiple_of(2).into(),
            Kind::Int => [i64::MIN, -1, 0, i64::MAX][text.len() % 4].into(),
            Kind::Float => [f64::MIN, -0.0, f64::MAX][text.len() % 3].into(),
            Kind::Text | Kind::Symbol => text.into(),
            Kind::Json => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        };
        event.insert(path.clone(), value);
    }
    event.into()
}

/// Bytes that are no records.
pub(crate) fn chunks() -> Vec<Vec<u8>> {
    let mut chunks: Vec<Vec<u8>> = TEXTS.iter().map(|text| text.as_bytes().to_vec()).collect();
    chunks.push(TEXTS.join("\n").into_bytes());
    chunks.push((0..=255).collect());
    chunks.push(vec![b'['; 5_000]);
    chunks.push(b"{\"a\":".repeat(2_000));
    chunks.push(b"{\"published\":{},\"actor\":[],\"client\":7,\"target\":{}}\n".repeat(3));
    chunks.push(b"{\"@timestamp\":-9223372036854775808,\"action\":{}}\n".to_vec());
    chunks
}
