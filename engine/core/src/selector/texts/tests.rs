use super::{Ask, DatePart, Like, TextPath, TextTest};
use crate::event::Parser;
use crate::selector::meter::Meter;
use std::ops::ControlFlow;

fn texts(event: &str, path: &str) -> Vec<String> {
    let mut parser = Parser::new();
    let document = parser.parse(event.as_bytes()).expect("the sample is JSON");
    let path = match path {
        "" => TextPath::whole(),
        path => TextPath::new(path).expect("the sample is a path"),
    };
    let mut found = Vec::new();
    let _ = path
        .scalars(document.root(), &mut Meter::new(), &mut |value, _| {
            found.push(super::scalar_text(value).into_owned());
            Ok(ControlFlow::Continue(()))
        })
        .expect("the budget is enough");
    found
}

#[test]
fn a_path_finds_every_text() {
    let check = |event: &str, path: &str, expected: &[&str]| {
        assert_eq!(texts(event, path), expected, "{path} of {event}");
    };
    check(r#"{"a": "x"}"#, "a", &["x"]);
    check(r#"{"a": {"b": 1.50}}"#, "a.b", &["1.50"]);
    check(r#"{"a": true, "b": null}"#, "b", &[]);
    check(r#"{"a": [true, null, [7, "y"]]}"#, "a", &["true", "7", "y"]);
    check(
        r#"{"a": [{"b": "x"}, {"b": ["y"]}, 3]}"#,
        "a.b",
        &["x", "y"],
    );
    check(r#"{"a": {"b": {"c": "x", "d": ["y"]}}}"#, "a", &["x", "y"]);
    check(r#"{"a.b": "x", "a": {"b": "y"}}"#, "a.b", &["x"]);
    check(r#"{"a": {"b.c": "x"}}"#, "a.b.c", &["x"]);
    check(r#"{"a": {"b": "A\u0042"}}"#, "a.b", &["AB"]);
    check(r#"{"a": 1, "b": ["x"]}"#, "", &["1", "x"]);
    check(r#"{"a": "x"}"#, "a.b", &[]);
    check(r#"{"a": []}"#, "a", &[]);
}

#[test]
fn paths_without_keys_are_none() {
    for path in ["", ".", "a.", ".a", "a..b"] {
        assert_eq!(TextPath::new(path), None, "{path}");
    }
    assert_eq!(TextPath::new(&vec!["a"; 33].join(".")), None);
}

#[test]
fn presence_and_null_are_told_apart() {
    let check = |event: &str, path: &str, present: bool, null: bool| {
        let mut parser = Parser::new();
        let document = parser.parse(event.as_bytes()).expect("the sample is JSON");
        let path = TextPath::new(path).expect("a path");
        let (root, mut meter) = (document.root(), Meter::new());
        assert_eq!(path.is_present(root, &mut meter), Ok(present), "{event}");
        assert_eq!(
            path.is_null_or_absent(root, &mut meter),
            Ok(null),
            "{event}"
        );
    };
    check(r#"{"a": "x"}"#, "a", true, false);
    check(r#"{"a": null}"#, "a", true, true);
    check(r#"{"b": 1}"#, "a", false, true);
    check(r#"{"a": []}"#, "a", true, false);
    check(r#"{"a": ["x", null]}"#, "a", true, true);
    check(r#"{"a": [{"b": null}, {"b": 1}]}"#, "a.b", true, true);
    check(r#"{"a": [{"c": 1}]}"#, "a.b", false, true);
}

fn holds(ask: Ask, values: &[&str], text: &str) -> bool {
    TextTest::new(ask, values, regex::Regex::new)
        .expect("the sample compiles")
        .holds(text)
}

#[test]
fn tests_look_at_no_case() {
    assert!(holds(Ask::Is, &["root", "ADMIN"], "Admin"));
    assert!(holds(Ask::Is, &["ÉTÉ"], "été"));
    assert!(holds(Ask::Is, &["k"], "\u{212A}"));
    assert!(!holds(Ask::Is, &["root"], "roots"));
    assert!(holds(Ask::StartsWith, &["arn:AWS"], "ARN:aws:iam"));
    assert!(holds(Ask::EndsWith, &[".EXE"], "cmd.exe"));
    assert!(holds(Ask::Contains, &["Kali"], "xKALIx"));
    assert!(holds(
        Ask::Contains,
        &["ΣΑΣ"],
        "xσας".to_uppercase().as_str()
    ));
    assert!(holds(Ask::Matches, &["^ab+$"], "abb"));
    assert!(!holds(Ask::Matches, &["^ab+$"], "ABB"));
}

#[test]
fn patterns_have_wildcards_and_escapes() {
    let check = |pattern: &str, text: &str, expected: bool| {
        assert_eq!(
            holds(Ask::Like, &[pattern], text),
            expected,
            "{pattern} {text}"
        );
    };
    check("*", "", true);
    check("?", "", false);
    check("a*C", "AxxC", true);
    check("a?c", "aéc", true);
    check("*b*", "abc", true);
    check("ab*ab", "ab", false);
    check(r"a\*", "a*", true);
    check(r"a\*", "ab", false);
    check(r"c:\win*", r"C:\Windows", true);
    check(r"a\\*", r"a\b", true);
    check("*a*?c", "aXbXc", true);
    check("a*?c", "ac", false);
    assert_eq!(Like::new(r"*ab\*CD?e*").longest_text(), "ab*cd");
}

#[test]
fn parts_of_dates_are_read_as_written() {
    let check = |part: DatePart, text: &str, expected: Option<i64>| {
        assert_eq!(part.of(text), expected, "{part:?} {text}");
    };
    check(DatePart::Hour, "2026-03-01T23:05:09+02:00", Some(23));
    check(DatePart::Minute, "2026-03-01 23:05:09.123", Some(5));
    check(DatePart::Day, "2026-03-01", Some(1));
    check(DatePart::Week, "2026-01-01T00:00:00Z", Some(1));
    check(DatePart::Month, "2026-12-31T00:00:00Z", Some(12));
    check(DatePart::Year, "2026-12-31T00:00:00Z", Some(2026));
    check(DatePart::Hour, "yesterday", None);
    check(DatePart::Hour, "2026-03-01T2x:05", None);
    check(DatePart::Day, "2026-02-30", None);
}
