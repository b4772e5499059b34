//! Events against `serde_json`, and every way to find strings against the others.
//!
//! Differences that are meant: whole texts are objects, keys are distinct, `-0` is the integer 0. `serde_json`
//! may be off by one in the last digit of a double.

use std::collections::BTreeSet;
use std::fmt;

use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::*;

/// What `serde_json` reads, keys not merged.
#[derive(Clone, Debug)]
enum Oracle {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    Array(Vec<Oracle>),
    Object(Vec<(String, Oracle)>),
}

impl<'de> Deserialize<'de> for Oracle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Oracle, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Oracle;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Oracle, E> {
                Ok(Oracle::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Oracle, E> {
                Ok(Oracle::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Oracle, E> {
                Ok(Oracle::Number(Number::Int(value)))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Oracle, E> {
                let small = i64::try_from(value).map(Number::Int);
                Ok(Oracle::Number(small.unwrap_or(Number::Uint(value))))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Oracle, E> {
                Ok(Oracle::Number(Number::Double(value)))
            }
            fn visit_str<E>(self, value: &str) -> Result<Oracle, E> {
                Ok(Oracle::Text(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Oracle, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = access.next_element()? {
                    elements.push(element);
                }
                Ok(Oracle::Array(elements))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Oracle, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = access.next_entry()? {
                    entries.push(entry);
                }
                Ok(Oracle::Object(entries))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl Oracle {
    fn repeats_a_key(&self) -> bool {
        match self {
            Oracle::Array(elements) => elements.iter().any(Oracle::repeats_a_key),
            Oracle::Object(entries) => {
                let keys: BTreeSet<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
                keys.len() < entries.len() || entries.iter().any(|(_, value)| value.repeats_a_key())
            }
            _ => false,
        }
    }

    fn is(&self, value: Json<'_>) -> bool {
        match self {
            Oracle::Null => value.kind() == Kind::Null,
            Oracle::Bool(flag) => value.as_bool() == Some(*flag),
            Oracle::Text(text) => value.as_text().is_some_and(|found| found.eq_str(text)),
            Oracle::Number(number) => match (value.as_number(), *number) {
                (Some(Number::Double(found)), Number::Double(expected)) => {
                    (found - expected).abs() <= expected.abs() * 1e-15
                }
                (Some(found), Number::Double(0.0)) => {
                    found == Number::Int(0) && value.raw() == b"-0"
                }
                (found, expected) => found == Some(expected),
            },
            Oracle::Array(elements) => {
                value.kind() == Kind::Array
                    && value.len() == elements.len()
                    && value
                        .elements()
                        .zip(elements)
                        .all(|(found, expected)| expected.is(found))
            }
            Oracle::Object(entries) => {
                value.kind() == Kind::Object
                    && value.len() == entries.len()
                    && value
                        .entries()
                        .zip(entries)
                        .all(|((key, found), (name, expected))| {
                            let by_key = value.get(name).map(Json::node_index);
                            key.eq_str(name)
                                && expected.is(found)
                                && by_key == Some(found.node_index())
                        })
            }
        }
    }
}

fn check(bytes: &[u8]) {
    let oracle = serde_json::from_slice::<Oracle>(bytes);
    let mut first = None;
    for mut parser in Parser::of_every_way() {
        let found = parser.parse(bytes);
        let shown = String::from_utf8_lossy(bytes);
        match (&found, &oracle) {
            (Ok(document), Ok(expected)) => {
                assert!(
                    expected.is(document.root()),
                    "{shown} is read as {document:?}"
                );
                assert!(!expected.repeats_a_key(), "{shown}");
            }
            (Err(malformed), Ok(expected)) => match malformed.reason {
                Reason::NotAnObject => assert!(!matches!(expected, Oracle::Object(_)), "{shown}"),
                Reason::DuplicateKey => assert!(expected.repeats_a_key(), "{shown}"),
                _ => panic!("{shown}: {malformed}"),
            },
            (Ok(_), Err(error)) => panic!("{shown}: {error}"),
            (Err(_), Err(_)) => {}
        }
        let refused = found.err();
        assert_eq!(*first.get_or_insert(refused), refused, "{shown}");
    }
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 1 => Just(" "), 1 => Just("\n\t\r"), 1 => Just("                              ")]
}

fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => "[a-c]{0,4}",
        2 => "[ -!#-\\[\\]-~]{0,70}",
        2 => prop::sample::select(vec!["\\\\", "\\\"", "\\n", "\\u0061", "\\u00e9", "\\ud83d\\ude00", "é", "😀"])
            .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,3})",
        "-?[1-9][0-9]{15,22}",
        "-?(0|[1-9][0-9]{0,8})\\.[0-9]{1,20}",
        "-?(0|[1-9][0-9]{0,4})(\\.[0-9]{1,4})?[eE][+-]?[0-9]{1,3}",
    ]
}

fn value() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec!["null", "true", "false"]).prop_map(str::to_owned);
    let leaf = prop_oneof![word, number(), string()];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let element =
            (space(), inner.clone(), space()).prop_map(|(a, value, b)| format!("{a}{value}{b}"));
        let array = prop::collection::vec(element, 0..6)
            .prop_map(|elements| format!("[{}]", elements.join(",")));
        prop_oneof![array, object_of(inner)]
    })
}

fn object_of(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let entry = (space(), string(), space(), space(), value, space())
        .prop_map(|(a, key, b, c, value, d)| format!("{a}{key}{b}:{c}{value}{d}"));
    prop::collection::vec(entry, 0..7).prop_map(|entries| format!("{{{}}}", entries.join(",")))
}

fn event() -> impl Strategy<Value = String> {
    object_of(value())
}

/// A change of one place, given as a share of the text.
fn mutations() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    let byte =
        prop::sample::select(b"\"\\{}[]:,-+.eE0195tfnu/ \n\x00\x1f\x7f\x80\xc3\xff".to_vec());
    prop::collection::vec((any::<prop::sample::Index>(), 0..5u8, byte), 1..3)
}

fn mutate(text: String, mutations: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    for (place, how, byte) in mutations {
        let at = place.index(bytes.len() + 1);
        match how {
            0 if at < bytes.len() => bytes[at] = *byte,
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.truncate(at),
            3 if at < bytes.len() => bytes.extend_from_within(at..),
            _ => bytes.insert(at, *byte),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_events_are_read_as_serde_json_reads_them(text in event()) {
        check(text.as_bytes());
    }

    #[test]
    fn changed_events_are_refused_when_serde_json_refuses_them(text in event(), changes in mutations()) {
        check(&mutate(text, &changes));
    }

    #[test]
    fn other_values_are_no_events(text in value()) {
        check(text.as_bytes());
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes);
    }

    #[test]
    fn fields_are_what_look_ups_find(text in event(), paths in prop::collection::vec("[a-c]{0,3}(\\.[a-c]{0,3}){0,2}", 0..40)) {
        let mut set = FieldSet::new();
        let ids: Vec<FieldId> = paths.iter().map(|path| set.intern(&FieldPath::dotted(path))).collect();
        let mut parser = Parser::new();
        let mut slots = Slots::new();
        if let Ok(document) = parser.parse(text.as_bytes()) {
            set.plan().extract(document.root(), &mut slots);
            for id in ids {
                let keys = set.path(id).keys();
                let found = keys.iter().try_fold(document.root(), |value, key| value.get(key));
                prop_assert_eq!(slots.get(id), found.map(Json::node_index));
            }
        }
    }
}

#[test]
fn keys_made_to_collide_are_told_apart_by_sorting() {
    // All begin their search in one slot, whatever their object.
    let collide = |key: &String| key::hash(key.as_bytes()) >> 22 == 77;
    let keys: Vec<String> = (0..)
        .map(|number| format!("k{number}"))
        .filter(collide)
        .take(100)
        .collect();
    let entries: Vec<String> = keys.iter().map(|key| format!("\"{key}\":{{}}")).collect();
    let text = format!("{{{}}}", entries.join(","));
    check(text.as_bytes());
    assert_eq!(
        Parser::new()
            .parse(text.as_bytes())
            .map(|document| document.root().len())
            .ok(),
        Some(100)
    );
    let twice = format!("{{{},\"{}\":1}}", entries.join(","), keys[99]);
    let refused = Parser::new()
        .parse(twice.as_bytes())
        .map(|_| ())
        .map_err(|malformed| malformed.offset);
    assert_eq!(refused, Err(text.len()));
    check(twice.as_bytes());
}

/// Few fields of large objects are looked up, many are found by walking; both give what is there.
#[test]
fn few_fields_of_large_objects_are_what_look_ups_find() {
    let entries = |keys: &[String]| {
        let entries = keys
            .iter()
            .map(|key| format!("\"{key}\":{}", key.len()))
            .collect::<Vec<_>>();
        entries.join(",")
    };
    let plain: Vec<String> = (0..40).map(|number| format!("key{number}")).collect();
    let long: Vec<String> = plain.iter().map(|key| key.repeat(9)).collect();
    let escaped: Vec<String> = plain.iter().map(|key| format!("\\u0061{key}")).collect();
    // So many that the search for duplicates gives up, and the table does not have all of them.
    let collide = |key: &String| key::hash(key.as_bytes()) >> 22 == 77;
    let all = (0..).map(|number| format!("k{number}"));
    let colliding: Vec<String> = all.filter(collide).take(100).collect();
    let mut parser = Parser::new();
    let mut slots = Slots::new();
    for keys in [&plain, &long, &escaped, &colliding] {
        let inner = entries(keys);
        let text = format!(
            "{{\"in\":{{{inner},\"in\":{{{inner}}}}},\"list\":[{{{inner}}}],\"not\":7,{inner}}}"
        );
        let document = parser.parse(text.as_bytes()).expect("an event");
        for count in [1, 3, keys.len()] {
            let mut set = FieldSet::new();
            for key in keys.iter().rev().take(count) {
                let key = key.replace("\\u0061", "a");
                for path in [
                    vec![],
                    vec!["in"],
                    vec!["in", "in"],
                    vec!["not"],
                    vec!["list"],
                ] {
                    let keys = path
                        .into_iter()
                        .chain([key.as_str(), "nowhere"])
                        .collect::<Vec<_>>();
                    set.intern(&FieldPath::from_keys(keys).expect("some keys"));
                }
            }
            set.plan().extract(document.root(), &mut slots);
            let mut found = 0;
            for id in set.ids() {
                let keys = set.path(id).keys();
                let expected = keys
                    .iter()
                    .try_fold(document.root(), |value, key| value.get(key))
                    .map(Json::node_index);
                assert_eq!(slots.get(id), expected, "{}", set.path(id));
                found += usize::from(expected.is_some());
            }
            // Each key in three objects, those two objects, `not` and `list`.
            assert_eq!(found, 3 * count + 4);
        }
    }
}

#[test]
fn many_objects_with_the_same_keys_and_one_object_with_many_keys() {
    let objects = vec![r#"{"key":1,"value":{"key":2}}"#; 3000].join(",");
    assert!(
        Parser::new()
            .parse(format!("{{\"a\":[{objects}]}}").as_bytes())
            .is_ok()
    );
    let mut entries: Vec<String> = (0..20_000)
        .map(|number| format!("\"key{number}\":{number}"))
        .collect();
    assert!(
        Parser::new()
            .parse(format!("{{{}}}", entries.join(",")).as_bytes())
            .is_ok()
    );
    entries.push("\"key7\":0".to_owned());
    let refused = Parser::new()
        .parse(format!("{{{}}}", entries.join(",")).as_bytes())
        .map(|_| ());
    assert_eq!(
        refused.map_err(|malformed| malformed.reason),
        Err(Reason::DuplicateKey)
    );
}

#[test]
fn hashes_do_not_depend_on_where_a_key_stands() {
    let text: Vec<u8> = (0..400u32)
        .map(|number| b'a' + (number * number % 23) as u8)
        .collect();
    let mut hashes = BTreeSet::new();
    for length in 0..=100 {
        for start in [0, 1, 63, text.len() - length] {
            let key = &text[start..start + length];
            assert_eq!(
                key::hash(key),
                key::hash_within(&text, start, start + length)
            );
            assert!(key::Name::new(std::str::from_utf8(key).unwrap()).is_at(
                &text,
                start,
                start + length
            ));
        }
        hashes.insert(key::hash(&text[..length]));
    }
    assert_eq!(hashes.len(), 101);
}
