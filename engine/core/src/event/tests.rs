//! What is accepted, what is refused and where, and what an event says of itself.

use expect_test::{Expect, expect};

use super::*;
use crate::limits;

/// Parses and shows the value again, or the refusal.
fn check(text: &str, expected: Expect) {
    expected.assert_eq(&show(text.as_bytes()));
}

fn show(bytes: &[u8]) -> String {
    match Parser::new().parse(bytes) {
        Ok(document) => show_value(document.root()),
        Err(malformed) => format!("{} at {}", malformed.reason, malformed.offset),
    }
}

/// The value from what cursors say, not from its text.
fn show_value(value: Json<'_>) -> String {
    match value.kind() {
        Kind::Null => "null".to_owned(),
        Kind::Bool => format!("{:?}", value.as_bool().unwrap()),
        Kind::Number => format!("{:?}", value.as_number().unwrap()),
        Kind::String => format!("{:?}", value.as_text().unwrap()),
        Kind::Array => {
            assert_eq!(value.elements().count(), value.len());
            let elements: Vec<String> = value.elements().map(show_value).collect();
            format!("[{}]", elements.join(", "))
        }
        Kind::Object => {
            assert_eq!(value.entries().count(), value.len());
            let entry =
                |(key, value): (Text<'_>, Json<'_>)| format!("{key:?}: {}", show_value(value));
            let entries: Vec<String> = value.entries().map(entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn refused(bytes: &[u8], reason: Reason, offset: usize) {
    let found = Parser::new().parse(bytes).err();
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]);
    assert_eq!(found, Some(Malformed { reason, offset }), "{shown}");
}

#[test]
fn values() {
    check("{}", expect!["{}"]);
    check(" \t\r\n{ } \n", expect!["{}"]);
    check(
        r#"{"a":null,"b":true,"c":false,"d":1,"e":"x","f":[],"g":{}}"#,
        expect![[r#"{"a": null, "b": true, "c": false, "d": Int(1), "e": "x", "f": [], "g": {}}"#]],
    );
    check(
        "{ \"a\" : [ 1 , [ 2 , { \"b\" : -0.5 } ] , \"\" ] ,\n\t\"c\" : { \"d\" : { } } }",
        expect![[r#"{"a": [Int(1), [Int(2), {"b": Double(-0.5)}], ""], "c": {"d": {}}}"#]],
    );
    check(
        r#"{"":18446744073709551615,"é":"\u00e9\n\"","\"":"C:\\"}"#,
        expect![[r#"{"": Uint(18446744073709551615), "é": "é\n\"", "\"": "C:\\"}"#]],
    );
    check(
        r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}"#,
        expect![[r#"{"a": {"a": {"a": Int(1)}}, "b": [{"a": Int(1)}, {"a": Int(2)}]}"#]],
    );
    check(
        "{\"a\":\"\u{7f}\u{80}\u{2028}\"}",
        expect![[r#"{"a": "\u{7f}\u{80}\u{2028}"}"#]],
    );
}

#[test]
fn not_utf8() {
    refused(b"{\"a\":\"\xff\"}", Reason::NotUtf8, 6);
    refused(b"{\"a\":\"caf\xc3\"}", Reason::NotUtf8, 9);
    refused(b"{\"a\":\"\xc0\xaf\"}", Reason::NotUtf8, 6);
    refused(b"{\"a\":\"\xed\xa0\x80\"}", Reason::NotUtf8, 6);
    refused(
        "{\"a\":\"é".as_bytes().strip_suffix(b"\xa9").unwrap(),
        Reason::NotUtf8,
        6,
    );
}

#[test]
fn truncated() {
    let whole = r#" {"a": [1, -2.5e3, true, null, "x\u00e9\\"], "b": {"c": false}}"#;
    for length in 0..whole.len() {
        refused(&whole.as_bytes()[..length], Reason::Truncated, length);
    }
    assert!(Parser::new().parse(whole.as_bytes()).is_ok());
    for text in [
        r#"{"":1,""#,
        r#"{"":1,"a"#,
        r#"{"a":1,""#,
        r#"{"a":1,"a"#,
        r#"{"a":1,"a"#,
    ] {
        refused(text.as_bytes(), Reason::Truncated, text.len());
    }
}

#[test]
fn too_long() {
    let mut long = vec![b' '; limits::EVENT_BYTES_MAX - 2];
    long.extend(b"{}");
    assert!(Parser::new().parse(&long).is_ok());
    long.push(b' ');
    refused(&long, Reason::TooLong, limits::EVENT_BYTES_MAX);
}

#[test]
fn too_deep() {
    let nested = |depth: usize, open: &str, close: &str| {
        format!(
            "{{\"a\":{}1{}}}",
            open.repeat(depth - 1),
            close.repeat(depth - 1)
        )
    };
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deepest = nested(limits::EVENT_DEPTH_MAX, open, close);
        assert!(Parser::new().parse(deepest.as_bytes()).is_ok());
        let deeper = nested(limits::EVENT_DEPTH_MAX + 1, open, close);
        let offset = 5 + (limits::EVENT_DEPTH_MAX - 1) * open.len();
        refused(deeper.as_bytes(), Reason::TooDeep, offset);
        let open_only = "{\"a\":".to_owned() + &open.repeat(limits::EVENT_DEPTH_MAX - 1);
        for length in 5..=open_only.len() {
            refused(&open_only.as_bytes()[..length], Reason::Truncated, length);
        }
        let bomb = "{\"a\":".to_owned() + &open.repeat(1_000_000);
        refused(bomb.as_bytes(), Reason::TooDeep, offset);
    }
}

#[test]
fn duplicate_keys() {
    refused(br#"{"a":1,"a":2}"#, Reason::DuplicateKey, 7);
    refused(
        br#"{"a":1,"b":{"c":1,"d":2,"c":3}}"#,
        Reason::DuplicateKey,
        24,
    );
    refused(br#"{"a":{"b":1},"a":2}"#, Reason::DuplicateKey, 13);
    refused(br#"{"a":1,"\u0061":2}"#, Reason::DuplicateKey, 7);
    refused(br#"{"\u0061":1,"a":2}"#, Reason::DuplicateKey, 12);
    refused(br#"{"\u0061":1,"\u0061":2}"#, Reason::DuplicateKey, 12);
    refused(r#"{"é":1,"\u00e9":2}"#.as_bytes(), Reason::DuplicateKey, 8);
    refused(br#"{"":1,"":2}"#, Reason::DuplicateKey, 6);
    refused(br#"[{"a":1,"a":1}]"#, Reason::NotAnObject, 0);
    let long = "k".repeat(1000);
    refused(
        format!(r#"{{"{long}":1,"{long}":2}}"#).as_bytes(),
        Reason::DuplicateKey,
        1006,
    );
}

#[test]
fn no_numbers() {
    refused(br#"{"a":NaN}"#, Reason::NotANumber, 5);
    refused(br#"{"a":[Infinity]}"#, Reason::NotANumber, 6);
    refused(br#"{"a":-Infinity}"#, Reason::NotANumber, 5);
    refused(br#"{"a":1e309}"#, Reason::NumberOutOfRange, 5);
    refused(
        br#"{"a":-1E+999999999999999999999}"#,
        Reason::NumberOutOfRange,
        5,
    );
    let digits = format!("{{\"a\":1{}}}", "0".repeat(309));
    refused(digits.as_bytes(), Reason::NumberOutOfRange, 5);
    for text in [
        "01", "-01", "1.", ".5", "+1", "1e", "0x10", "1_000", "--1", "1.e1", "-", "1a", "00",
    ] {
        let text = format!("{{\"a\":{text}}}");
        let found = Parser::new()
            .parse(text.as_bytes())
            .map_err(|malformed| malformed.reason)
            .err();
        assert_eq!(found, Some(Reason::Syntax), "{text}");
    }
}

#[test]
fn not_an_object() {
    for text in [
        "[]",
        "1",
        "-1",
        "\"a\"",
        "true",
        "null",
        "false",
        "NaN",
        " [{\"a\":1}]",
    ] {
        let offset = text.len() - text.trim_start().len();
        refused(text.as_bytes(), Reason::NotAnObject, offset);
    }
}

#[test]
fn syntax() {
    refused(b"{} {}", Reason::Syntax, 3);
    refused(b"{}x", Reason::Syntax, 2);
    refused(b"{}\0", Reason::Syntax, 2);
    refused("\u{feff}{}".as_bytes(), Reason::Syntax, 0);
    refused(b"}", Reason::Syntax, 0);
    refused(b"{\"a\":1,}", Reason::Syntax, 7);
    refused(b"{,}", Reason::Syntax, 1);
    refused(b"{\"a\":[1,]}", Reason::Syntax, 8);
    refused(b"{\"a\":[,1]}", Reason::Syntax, 6);
    refused(b"{\"a\":[1 2]}", Reason::Syntax, 8);
    refused(b"{\"a\":1 \"b\":2}", Reason::Syntax, 7);
    refused(b"{\"a\" 1}", Reason::Syntax, 5);
    refused(b"{\"a\"}", Reason::Syntax, 4);
    refused(b"{\"a\":}", Reason::Syntax, 5);
    refused(b"{a:1}", Reason::Syntax, 1);
    refused(b"{1:1}", Reason::Syntax, 1);
    refused(b"{'a':1}", Reason::Syntax, 1);
    refused(b"{\"a\":[1}", Reason::Syntax, 7);
    refused(b"{\"a\":{\"b\":1]}", Reason::Syntax, 11);
    refused(b"{\"a\":tru}", Reason::Syntax, 5);
    refused(b"{\"a\":True}", Reason::Syntax, 5);
    refused(b"{\"a\":nullx}", Reason::Syntax, 9);
    refused(b"{\"a\":1/**/}", Reason::Syntax, 6);
    refused(b"{\"a\":\x0b1}", Reason::Syntax, 5);
    refused(b"{\"a\":\\\"b\\\"}", Reason::Syntax, 5);
    refused(b"{\\\"a\":1}", Reason::Syntax, 1);
    refused("{\"a\":\u{a0}1}".as_bytes(), Reason::Syntax, 5);
}

#[test]
fn control_characters_in_strings() {
    for control in 0..0x20u8 {
        let value = [b"{\"a\":\"", &[b'x', control][..], b"\"}"].concat();
        refused(&value, Reason::Syntax, 7);
        let key = [b"{\"", &[control][..], b"\":1}"].concat();
        refused(&key, Reason::Syntax, 2);
        let after_escape = [b"{\"a\":\"\\n", &[control][..], b"\"}"].concat();
        refused(&after_escape, Reason::Syntax, 8);
    }
}

#[test]
fn escapes() {
    for escape in [
        r"\x",
        r"\u12",
        r"\u12G4",
        r"\ud800",
        r"\udc00",
        r"\ud800\n",
        r"\ud800\ud800",
        r"\a",
        r"\'",
    ] {
        refused(
            format!("{{\"a\":\"{escape}\"}}").as_bytes(),
            Reason::Syntax,
            6,
        );
        refused(format!("{{\"{escape}\":1}}").as_bytes(), Reason::Syntax, 2);
    }
    refused(br#"{"a":"\\\\\x"}"#, Reason::Syntax, 10);
    check(
        r#"{"a":"\\","b":"\\\"","c":"\ud83d\ude00"}"#,
        expect![[r#"{"a": "\\", "b": "\\\"", "c": "😀"}"#]],
    );
}

#[test]
fn the_first_mistake_is_reported_wherever_it_is() {
    let filler = "\"padding\":\"".to_owned() + &"x".repeat(200) + "\",";
    for length in 0..filler.len() {
        let padding = " ".repeat(length);
        refused(
            format!("{{{padding}\"a\":\"\n\"}}").as_bytes(),
            Reason::Syntax,
            length + 6,
        );
        refused(
            format!("{{{padding}\"a\":\"\\x\"}}").as_bytes(),
            Reason::Syntax,
            length + 6,
        );
        refused(
            format!("{{{padding}\"a\":\"").as_bytes(),
            Reason::Truncated,
            length + 6,
        );
    }
    refused(
        format!("{{{filler}}}").as_bytes(),
        Reason::Syntax,
        filler.len() + 1,
    );
}

#[test]
fn one_parser_reads_one_event_after_the_other() {
    let mut parser = Parser::new();
    for round in 0..3 {
        assert_eq!(
            parser.parse(br#"{"a":{"b":1}}"#).unwrap().root().len(),
            1,
            "{round}"
        );
        assert!(parser.parse(br#"{"a":{"b":1"#).is_err());
        assert!(parser.parse(br#"{"b":{"a":1},"a":[1,2]}"#).is_ok());
    }
}

#[test]
fn look_ups() {
    let mut parser = Parser::new();
    let text = r#"{"a":{"b":[1,{"c":"d"}]},"\u0065":true,"long key of more than sixteen":2.0}"#;
    let document = parser.parse(text.as_bytes()).unwrap();
    let root = document.root();
    let array = root.get("a").unwrap().get("b").unwrap();
    assert_eq!(array.raw(), br#"[1,{"c":"d"}]"#);
    assert_eq!(
        array.elements().nth(1).unwrap().get("c").unwrap().raw(),
        b"\"d\""
    );
    assert_eq!(document.at(array.node_index()).raw(), array.raw());
    assert_eq!(root.get("e").unwrap().as_bool(), Some(true));
    let long = root.get("long key of more than sixteen").unwrap();
    assert_eq!(long.as_number(), Some(Number::Double(2.0)));
    assert_eq!(
        (long.as_bool(), long.as_text(), long.len()),
        (None, None, 0)
    );
    assert!(root.get("b").is_none() && array.get("b").is_none() && root.get("").is_none());
    assert_eq!(
        root.elements().count() + array.entries().count() + long.entries().count(),
        0
    );
    assert_eq!(root.raw(), text.as_bytes());
}

#[test]
fn fields_are_found_in_one_pass() {
    let mut set = FieldSet::new();
    let path = FieldPath::dotted("userIdentity.sessionContext.mfa");
    let mfa = set.intern(&path);
    assert_eq!(set.intern(&path), mfa);
    let session = set.parent(mfa).unwrap();
    let identity = set.parent(session).unwrap();
    assert_eq!((set.parent(identity), set.len()), (None, 3));
    let name = set.intern(&FieldPath::top("eventName"));
    let odd = set.intern(&FieldPath::top("detail-type").child("a\"b"));
    assert_eq!(
        set.path(mfa).to_string(),
        "event.userIdentity.sessionContext.mfa"
    );
    assert_eq!(set.path(odd).to_string(), r#"event["detail-type"]["a\"b"]"#);
    assert_eq!(set.path(odd).parent(), Some(FieldPath::top("detail-type")));
    let plan = set.plan();
    let mut slots = Slots::new();
    let mut parser = Parser::new();
    let mut check = |text: &str, expected: [Option<&str>; 4]| {
        let document = parser.parse(text.as_bytes()).unwrap();
        plan.extract(document.root(), &mut slots);
        let found = [identity, mfa, name, odd].map(|id| {
            slots
                .get(id)
                .map(|node| std::str::from_utf8(document.at(node).raw()).unwrap())
        });
        assert_eq!(found, expected, "{text}");
    };
    check(
        r#"{"x":{"eventName":1},"userIdentity":{"a":[],"sessionContext":{"mfa":"y"}},"eventName":"n"}"#,
        [
            Some(r#"{"a":[],"sessionContext":{"mfa":"y"}}"#),
            Some("\"y\""),
            Some("\"n\""),
            None,
        ],
    );
    check(
        r#"{"detail-type":{"a\u0022b":1}}"#,
        [None, None, None, Some("1")],
    );
    check(
        r#"{"userIdentity":null,"detail-type":["a"]}"#,
        [Some("null"), None, None, None],
    );
    check("{}", [None; 4]);
}

#[test]
fn no_fields_are_no_work() {
    let mut parser = Parser::new();
    let document = parser.parse(br#"{"a":1}"#).unwrap();
    let mut slots = Slots::new();
    FieldSet::new().plan().extract(document.root(), &mut slots);
    assert_eq!(slots.get(FieldId(0)), None);
}

fn check_event(text: &str, expected: Expect) {
    expected.assert_eq(&described(text));
}

fn described(text: &str) -> String {
    let mut parser = Parser::new();
    let event = Event::new(parser.parse(text.as_bytes()).unwrap());
    let raw = std::str::from_utf8(event.raw()).unwrap();
    let time = event.time().map(|time| time.to_string());
    format!("{} {} {raw}", event.id(), time.unwrap_or("-".to_owned()))
}

#[test]
fn identity() {
    check_event(
        r#"{"detail":{"a":{"detail-type":"x"}},"b":{"detail-type":"x"},"eventID":"e-3","detail\u002dtype":"x"}"#,
        expect![[
            r#"sha256:481eb125f500d16bf5d23a389207a4489125c57b57d61749e900d5f502ae4068 - {"a":{"detail-type":"x"}}"#
        ]],
    );
    check_event(
        r#"{"eventID":"e-1","eventTime":"2023-07-10T12:00:00Z"}"#,
        expect![[
            r#"e-1 2023-07-10T12:00:00Z {"eventID":"e-1","eventTime":"2023-07-10T12:00:00Z"}"#
        ]],
    );
    check_event(
        r#"{"id":"d-1","detail-type":"AWS API Call via CloudTrail","time":"2023-07-10T12:00:00Z","detail":{"a":1}}"#,
        expect![[r#"d-1 2023-07-10T12:00:00Z {"a":1}"#]],
    );
    check_event(
        r#"{"id":"d-1","detail-type":"x","time":"2023-07-10T12:00:00Z","detail":{"eventID":"e-2","@timestamp":"2020-01-01T00:00:00.5+01:00"}}"#,
        expect![[
            r#"e-2 2019-12-31T23:00:00.5Z {"eventID":"e-2","@timestamp":"2020-01-01T00:00:00.5+01:00"}"#
        ]],
    );
    check_event(
        r#" {"id":"d-1","detail":{"eventID":"e-2"},"time":"2023-07-10T12:00:00Z"} "#,
        expect![[
            r#"sha256:3438b92e169f86ee9d211bc4c81aa67326abecac52b513b2b41a33a0a1189c2c - {"id":"d-1","detail":{"eventID":"e-2"},"time":"2023-07-10T12:00:00Z"}"#
        ]],
    );
    check_event(
        r#"{"eventID":7,"eventTime":"noon"}"#,
        expect![[
            r#"sha256:280ff77127a3d6819e77c6a40241a3de749bb4122fbfb060ee3fb1446f037eee - {"eventID":7,"eventTime":"noon"}"#
        ]],
    );
    for time in ["9999-12-30T22:00:01Z", "9999-12-31T23:59:59.9+14:00"] {
        let event = format!(r#"{{"eventID":"e-9","eventTime":"{time}"}}"#);
        let expected = format!("e-9 9999-12-30T22:00:00.999999999Z {event}");
        assert_eq!(described(&event), expected);
    }
    check_event(
        r#"{"eventID":"e-9","eventTime":"9999-12-32T00:00:00Z"}"#,
        expect![[r#"e-9 - {"eventID":"e-9","eventTime":"9999-12-32T00:00:00Z"}"#]],
    );
    check_event(
        r#"{"eventID":"","detail-type":1,"detail":{}}"#,
        expect![[
            r#"sha256:c01336101b87298377226887d191adb8820dd407a899cf00d060ec367124dc33 - {"eventID":"","detail-type":1,"detail":{}}"#
        ]],
    );
    check_event(
        r#"{"eventID":"a\u002db"}"#,
        expect![[r#"a-b - {"eventID":"a\u002db"}"#]],
    );
}
