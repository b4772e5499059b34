//! The index never changes a verdict: for generated rule sets and events, what the compiled rule set says equals
//! what each selector says when evaluated alone, rule by rule, indeterminate ones included.

use proptest::prelude::*;
use std::collections::BTreeSet;
use tripline_core::evaluate::{Evaluator, Outcome, RuleSet};
use tripline_core::event::{Event, Parser};
use tripline_core::rule::{Catalog, File, load};

const FIELDS: [&str; 10] = [
    "eventName",
    "eventSource",
    "readOnly",
    "errorCode",
    "count",
    "userIdentity.arn",
    "userIdentity.type",
    "requestParameters.name",
    "requestParameters.count",
    "requestParameters.deep.er",
];

fn field() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&FIELDS[..])
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(
        &[
            "",
            "a",
            "ab",
            "abc",
            "abcd",
            "b",
            "bab",
            "arn:aws:iam::1:user/x",
            "é\\u0001\\\"",
            "ABC",
            "aBc",
            "arn:",
            "\\u00e9",
            "\\u0061bc",
            "x/abc/y",
            "K",
            "1",
            "0123456789012345678901234567890123456789abc",
        ][..],
    )
    .prop_map(str::to_owned)
}

fn number() -> impl Strategy<Value = String> {
    prop::sample::select(
        &[
            "0",
            "1",
            "2",
            "-1",
            "1.0",
            "2.5",
            "18446744073709551615",
            "9223372036854775807",
            "9223372036854775808",
            "9007199254740993",
            "9007199254740992.0",
            "1e2",
            "100",
            "0.1",
            "-9223372036854775808",
            "-0.0",
        ][..],
    )
    .prop_map(str::to_owned)
}

fn cel_number() -> impl Strategy<Value = String> {
    number().prop_map(|one| {
        if one == "18446744073709551615" || one == "9223372036854775808" {
            format!("{one}u")
        } else {
            one
        }
    })
}

fn literal() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => text().prop_map(|text| format!("\"{text}\"")),
        2 => cel_number(),
        1 => prop::sample::select(&["true", "false", "null"][..]).prop_map(str::to_owned),
    ]
}

/// `event.?a.?b`, or with the first part plain.
fn optional(field: &str, plain_first: bool) -> String {
    match field.split_once('.') {
        Some((head, rest)) if plain_first => format!("event.{head}.?{}", rest.replace('.', ".?")),
        _ => format!("event.?{}", field.replace('.', ".?")),
    }
}

/// Conditions on whatever stands at a path.
fn texts_condition() -> impl Strategy<Value = String> {
    let call = prop::sample::select(
        &[
            "anyIs",
            "anyStartsWith",
            "anyEndsWith",
            "anyContains",
            "anyLike",
        ][..],
    );
    let like = prop::sample::select(
        &[
            "abc*", "*ABC", "*abc*", "a?c*d", "*", "?", r"\\*", "*é*", "*abc?*x*", "",
        ][..],
    );
    let pattern = prop::sample::select(&["^abc", "ab(c|d)", "a.c", "(?i)ABK|xyz", "(?s)^aBc"][..]);
    let one = (field(), call.clone(), text())
        .prop_map(|(f, c, t)| format!("texts(\"{f}\").{c}(\"{t}\")"));
    let many = (field(), call, prop::collection::vec(text(), 0..4)).prop_map(|(f, c, all)| {
        let all: Vec<String> = all.iter().map(|one| format!("\"{one}\"")).collect();
        format!("texts(\"{f}\").{c}([{}])", all.join(", "))
    });
    prop_oneof![
        5 => one,
        3 => many,
        2 => (field(), prop::sample::select(&["1", "1.0", "true", "FALSE", "null", "2.5"][..]))
            .prop_map(|(f, t)| format!("texts(\"{f}\").anyIs(\"{t}\")")),
        2 => (field(), like).prop_map(|(f, p)| format!("texts(\"{f}\").anyLike(\"{p}\")")),
        2 => (field(), pattern).prop_map(|(f, p)| format!("texts(\"{f}\").anyMatches(\"{p}\")")),
        2 => field().prop_map(|f| format!("hasField(\"{f}\")")),
        1 => field().prop_map(|f| format!("isNullOrAbsent(\"{f}\")")),
        1 => (field(), cel_number())
            .prop_map(|(f, n)| format!("numbers(\"{f}\").exists(n, n >= {n})")),
        1 => (field(), field())
            .prop_map(|(f, g)| format!("texts(\"{f}\").exists(t, texts(\"{g}\").anyIs(t))")),
        1 => text().prop_map(|t| format!("texts().anyContains(\"{t}\")")),
        1 => (field(), text()).prop_map(|(f, t)| format!("texts(\"{f}\").exists(t, t == \"{t}\")")),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    let compare = prop::sample::select(&["==", "!=", "<", "<=", ">", ">="][..]);
    let call = prop::sample::select(&["startsWith", "endsWith", "contains"][..]);
    let pattern = prop::sample::select(
        &[
            "^abc",
            "abc$",
            "ab(c|d)",
            "a.c",
            "xyz|abcd",
            "[ab]+",
            "(?i)ABK|xyz",
            "(?i)^abk",
        ][..],
    );
    let globs = prop::sample::select(&["abc*", "*abc", "*abc*", "a?c*d", "*"][..]);
    prop_oneof![
        4 => (field(), literal()).prop_map(|(f, v)| format!("event.{f} == {v}")),
        2 => (field(), literal()).prop_map(|(f, v)| format!("{v} == event.{f}")),
        2 => (field(), compare, literal()).prop_map(|(f, op, v)| format!("event.{f} {op} {v}")),
        4 => (field(), prop::collection::vec(literal(), 0..4))
            .prop_map(|(f, all)| format!("event.{f} in [{}]", all.join(", "))),
        4 => (field(), call.clone(), text()).prop_map(|(f, c, t)| format!("event.{f}.{c}(\"{t}\")")),
        3 => field().prop_map(|f| format!("has(event.{f})")),
        2 => field().prop_map(|f| format!("event.{f}")),
        3 => (field(), any::<bool>(), literal(), literal()).prop_map(|(f, plain, d, v)| {
            format!("{}.orValue({d}) == {v}", optional(f, plain))
        }),
        2 => (field(), any::<bool>(), text(), call, text()).prop_map(|(f, plain, d, c, t)| {
            format!("{}.orValue(\"{d}\").{c}(\"{t}\")", optional(f, plain))
        }),
        2 => (field(), any::<bool>()).prop_map(|(f, p)| format!("{}.hasValue()", optional(f, p))),
        1 => (field(), pattern).prop_map(|(f, p)| format!("event.{f}.matches(\"{p}\")")),
        1 => (field(), globs).prop_map(|(f, p)| format!("glob(event.{f}, \"{p}\")")),
        8 => texts_condition(),
        1 => (field(), field()).prop_map(|(f, g)| format!("event.{f} == event.{g}")),
        1 => (field(), literal()).prop_map(|(f, v)| format!("event.{f}.exists(x, x == {v})")),
        1 => (field(), literal()).prop_map(|(f, v)| format!("event.{f}.exists(x, x.a == {v})")),
        1 => (field(), literal(), text()).prop_map(|(f, v, w)| format!("event.{f}.all(x, x.a != {v} && x.b.startsWith(\"{w}\"))")),
        1 => (field(), text()).prop_map(|(f, v)| format!("event.?{f}.orValue([]).exists(x, has(x.a) && x.a == \"{v}\")", f = f.replace('.', ".?"))),
        1 => (field(), text()).prop_map(|(f, v)| format!("event.{f}.replace(\"b\", \"bb\") == \"{v}\"")),
        1 => (field(), field(), text()).prop_map(|(f, g, v)| format!("event.{f} == event.{g} + \"{v}\"")),
        1 => (field(), 0..3).prop_map(|(f, n)| format!("event.{f}.indexOf(\"b\") == {n}")),
        1 => (field(), literal(), literal())
            .prop_map(|(f, v, w)| format!("(event.{f} == {v} ? event.{f} == {w} : true)")),
        1 => prop::sample::select(&["true", "false"][..]).prop_map(str::to_owned),
        1 => (field(), literal()).prop_map(|(f, v)| format!("{v} in event.{f}")),
        1 => (field(), text()).prop_map(|(f, v)| format!("event.{f}.lowerAscii() == \"{v}\"")),
        1 => (field(), text()).prop_map(|(f, v)| format!("event.{f}.lowerAscii().contains(\"{v}\")")),
        1 => (field(), text(), text()).prop_map(|(f, v, w)| format!("event.?{f}.orValue(\"{w}\").lowerAscii().startsWith(\"{v}\")", f = f.replace('.', ".?"))),
        1 => (field(), prop::collection::vec(text(), 0..4)).prop_map(|(f, v)| format!("[{}].exists(p, event.{f}.startsWith(p))", v.iter().map(|t| format!("\"{t}\"")).collect::<Vec<_>>().join(", "))),
        1 => (field(), prop::collection::vec(text(), 0..4)).prop_map(|(f, v)| format!("[{}].exists(p, event.?{f}.orValue(\"\").contains(p))", v.iter().map(|t| format!("\"{t}\"")).collect::<Vec<_>>().join(", "), f = f.replace('.', ".?"))),
        1 => (field(), text()).prop_map(|(f, v)| format!("event.{f}.all(x, x.startsWith(\"{v}\"))")),
        1 => (field(), text()).prop_map(|(f, v)| format!("event.{f}.exists_one(x, x == \"{v}\")")),
        1 => (field(), field()).prop_map(|(f, g)| format!("event.?{f}.orValue(\"a\") == event.?{g}.orValue(\"b\")", f = f.replace('.', ".?"), g = g.replace('.', ".?"))),
        1 => (field(), 0..4).prop_map(|(f, n)| format!("size(event.{f}) > {n}")),
        1 => (field(), literal()).prop_map(|(f, v)| format!("dyn(event.{f}) == dyn({v})")),
        1 => (field(), text()).prop_map(|(f, v)| format!("string(event.{f}) == \"{v}\"")),
        1 => (literal(), literal()).prop_map(|(f, v)| format!("event.userIdentity in [{f}, {v}, null]")),
        1 => prop::sample::select(&["has(event.userIdentity)", "event.userIdentity == null", "event.requestParameters.deep == null", "has(event.requestParameters.deep)", "event.requestParameters == {}", "event.userIdentity != null", "event.?userIdentity.hasValue()", "event.?userIdentity.?arn == optional.none()", "event.?userIdentity == optional.of(null)", "size(event.requestParameters) == 0", "event.userIdentity.exists(k, k == \"arn\")", "\"arn\" in event.userIdentity", "event[\"eventName\"] == \"abc\"", "event.userIdentity[\"arn\"].startsWith(\"a\")", "event.?userIdentity.orValue({\"arn\": \"abc\"}).arn == \"abc\"", "cel.bind(u, event.userIdentity, u.arn == \"abc\" && u.type == \"b\")", "event.?requestParameters.?deep.?er.optMap(x, x == \"abc\").orValue(false)", "event.?requestParameters.?deep.?er.or(event.?eventName).orValue(\"\") == \"abc\""][..]).prop_map(str::to_owned),
    ]
}

fn selector() -> impl Strategy<Value = String> {
    condition().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            4 => prop::collection::vec(inner.clone(), 2..4)
                .prop_map(|all| format!("({})", all.join(" && "))),
            3 => prop::collection::vec(inner.clone(), 2..4)
                .prop_map(|all| format!("({})", all.join(" || "))),
            2 => inner.prop_map(|one| format!("!({one})")),
        ]
    })
}

fn json_value() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => text().prop_map(|text| format!("\"{text}\"")),
        2 => number(),
        2 => prop::sample::select(&["true", "false", "null", "[[\"abc\"],null]", "{\"x\":{\"y\":\"aBc\"}}", "[]", "{}", "[\"a\",1,\"abc\"]", "\"\\u0061bc\"", "\"\\u0061b\\u0063\"", "\"\\u00e9\\u0001\\\"\"", "\"ABC\"", "[\"abc\"]", "{\"arn\":\"abc\"}", "[{\"a\":1}]", "[{\"a\":\"abc\",\"b\":\"ab\"},{\"a\":1,\"b\":\"abc\"}]", "[{\"b\":\"\"},{\"a\":\"abc\"}]", "\"abbbc\"", "\"\\u212a\""][..])
            .prop_map(str::to_owned),
    ]
}

/// A field's value, or nothing.
fn slot(name: &'static str) -> impl Strategy<Value = Option<String>> {
    prop::option::weighted(
        0.8,
        json_value().prop_map(move |value| format!("\"{name}\":{value}")),
    )
}

fn object(fields: Vec<Option<String>>) -> String {
    format!(
        "{{{}}}",
        fields.into_iter().flatten().collect::<Vec<_>>().join(",")
    )
}

/// A parent object, or something else in its place, or nothing.
fn parent(
    name: &'static str,
    children: impl Strategy<Value = Vec<Option<String>>>,
) -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        6 => children.prop_map(move |all| {
            // Now and then inside a list, or a list of lists.
            let inner = object(all);
            Some(match inner.len() % 7 {
                0 => format!("\"{name}\":[{inner},null,{{}}]"),
                1 if inner.len().is_multiple_of(2) => format!("\"{name}\":[[{inner}],7]"),
                _ => format!("\"{name}\":{inner}"),
            })
        }),
        2 => Just(Some(format!("\"{name}\":null"))),
        1 => json_value().prop_map(move |value| Some(format!("\"{name}\":{value}"))),
        1 => Just(None),
    ]
}

fn event() -> impl Strategy<Value = String> {
    let top = (
        slot("eventName"),
        slot("eventSource"),
        slot("readOnly"),
        slot("errorCode"),
        slot("count"),
    );
    let identity = parent(
        "userIdentity",
        (slot("arn"), slot("type")).prop_map(|(a, b)| vec![a, b]),
    );
    let deep = parent("deep", slot("er").prop_map(|one| vec![one]));
    let dotted = prop::option::weighted(0.1, slot("deep.er"));
    let request = parent(
        "requestParameters",
        (slot("name"), slot("count"), deep, dotted)
            .prop_map(|(a, b, c, d)| vec![a, b, c, d.flatten()]),
    );
    let dotted = prop::option::weighted(
        0.1,
        prop_oneof![slot("userIdentity.arn"), slot("requestParameters.deep.er")],
    );
    (top, identity, request, dotted)
        .prop_map(|((a, b, c, d, e), f, g, h)| object(vec![a, b, c, d, e, f, g, h.flatten()]))
}

/// One rule per selector, in order.
fn catalog(selectors: &[String]) -> Catalog {
    let file = |(at, selector): (usize, &String)| {
        let text = format!(
            "id = \"rule-{at:03}\"\nname = \"a\"\ndescription = \"a\"\nseverity = \"low\"\n\
             status = \"experimental\"\nwhen = '''{selector}'''\n"
        );
        File::found(format!("rules/rule-{at:03}/rule.toml"), text)
    };
    let files: Vec<File> = selectors.iter().enumerate().map(file).collect();
    load(&files, jiff::civil::date(2026, 1, 1))
}

/// Rule sets per run; `TRIPLINE_INDEX_CASES` runs more of them.
fn cases() -> u32 {
    let told = std::env::var("TRIPLINE_INDEX_CASES").ok();
    told.and_then(|text| text.parse().ok()).unwrap_or(256)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_agrees_with_plain_evaluation(
        selectors in prop::collection::vec(selector(), 1..24),
        events in prop::collection::vec(event(), 1..6),
    ) {
        let catalog = catalog(&selectors);
        prop_assert_eq!(catalog.rules.len(), selectors.len(), "{:?}", catalog.reports);
        let (set, reports) =
            RuleSet::compile(catalog.rules.clone(), &catalog.lists, &|source| catalog.schema(source));
        prop_assert_eq!(set.rules().len(), selectors.len(), "{:?}", reports);
        let mut evaluator = Evaluator::new(&set);
        let mut parser = Parser::new();
        for text in &events {
            let document = parser.parse(text.as_bytes()).expect("generated events are events");
            let event = Event::new(document);
            let found = evaluator.evaluate(&event);
            let matched: BTreeSet<usize> = found.matched.iter().map(|rule| rule.0 as usize).collect();
            let unknown: BTreeSet<usize> =
                found.indeterminate.iter().map(|rule| rule.0 as usize).collect();
            for (at, selector) in selectors.iter().enumerate() {
                let expected = evaluator.evaluate_plainly(at, &event);
                let actual = match (matched.contains(&at), unknown.contains(&at)) {
                    (true, _) => Outcome::True,
                    (_, true) => Outcome::Unknown,
                    _ => Outcome::False,
                };
                prop_assert_eq!(actual, expected, "{} on {}", selector, text);
            }
        }
    }
}

/// Found by the test above, once in thousands of cases: that a field is there says nothing of texts in a list.
#[test]
fn a_condition_on_a_field_leaves_texts_in_a_list_alone() {
    let selector = r#"event.?eventSource.orValue("ABC").startsWith("a") && texts("eventSource").anyIs(["ABC"])"#;
    let catalog = catalog(&[selector.to_owned()]);
    let (set, reports) = RuleSet::compile(catalog.rules.clone(), &catalog.lists, &|_| None);
    assert!(reports.is_empty(), "{reports:?}");
    let mut evaluator = Evaluator::new(&set);
    let mut parser = Parser::new();
    for (text, undecided) in [
        (r#"{"eventSource":[["abc"],null]}"#, true),
        (r#"{"eventSource":[["abd"],null]}"#, false),
        (r#"{"eventSource":"b"}"#, false),
    ] {
        let document = parser.parse(text.as_bytes()).expect("an event");
        let found = evaluator.evaluate(&Event::new(document));
        assert_eq!(found.indeterminate.len() == 1, undecided, "{text}");
    }
}
