//! The warning about absent fields keeps its promise: whenever a generated selector is an error on an event without
//! one field, although it would hold if the field counted as empty, the checker has warned; and with its fixes
//! taken the selector holds.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tripline_core::event::{Event, Parser, Slots};
use tripline_core::selector::{
    CheckEnv, Environment, Evaluation, EventView, ProgramBuilder, Schema, Scratch, check, parse,
};

/// Text fields that a CloudTrail record may lack, with how they are read when they count as empty.
const FIELDS: [(&str, &str); 3] = [
    ("event.errorCode", "event.?errorCode.orValue(\"\")"),
    (
        "event.userIdentity.arn",
        "event.userIdentity.?arn.orValue(\"\")",
    ),
    ("event.userAgent", "event.?userAgent.orValue(\"\")"),
];

/// A selector as an author writes it, and what is meant.
type Pair = (String, String);

fn test() -> impl Strategy<Value = Pair> {
    let field = prop::sample::select(&FIELDS[..]);
    let form = prop::sample::select(
        &[
            "F == \"a\"",
            "F != \"a\"",
            "F.startsWith(\"a\")",
            "F in [\"a\", \"b\"]",
            "F.size() > 0",
            "F == \"\"",
        ][..],
    );
    prop_oneof![
        6 => (field.clone(), form).prop_map(|((plain, meant), form)| {
            (form.replace('F', plain), form.replace('F', meant))
        }),
        2 => field.prop_map(|(plain, _)| (format!("has({plain})"), format!("has({plain})"))),
        1 => prop::sample::select(&["event.awsRegion == \"a\"", "event.eventName == \"b\""][..])
            .prop_map(|text| (text.to_owned(), text.to_owned())),
    ]
}

fn selector() -> impl Strategy<Value = Pair> {
    test().prop_recursive(4, 12, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            (two.clone(), prop::sample::select(&["&&", "||"][..])).prop_map(
                |((left, right), operator)| (
                    format!("({} {operator} {})", left.0, right.0),
                    format!("({} {operator} {})", left.1, right.1),
                )
            ),
            inner
                .clone()
                .prop_map(|(plain, meant)| (format!("!({plain})"), format!("!({meant})"))),
            (inner, two).prop_map(|(condition, (then, otherwise))| (
                format!("({} ? {} : {})", condition.0, then.0, otherwise.0),
                format!("({} ? {} : {})", condition.1, then.1, otherwise.1),
            )),
        ]
    })
}

/// What the selector says of the event; nothing when it is an error.
fn verdict(text: &str, event: &str) -> Option<bool> {
    let expr = parse(text).expect("a selector");
    let mut builder = ProgramBuilder::new();
    let node = builder
        .compile(&expr, &Environment::event())
        .expect("known names");
    let program = builder.build();
    let mut parser = Parser::new();
    let event = Event::new(parser.parse(event.as_bytes()).expect("JSON"));
    let mut slots = Slots::new();
    program.fields().plan().extract(event.root(), &mut slots);
    let view = EventView {
        root: event.root(),
        slots: &slots,
    };
    Evaluation::new(&program, view, &mut Scratch::new())
        .test(node)
        .ok()
}

/// A record of four texts; without the field numbered `missing`.
fn record(values: &[String], missing: usize) -> String {
    let field = |number: usize, name: &str| match number == missing {
        true => String::new(),
        false => format!("\"{name}\": \"{}\",", values[number]),
    };
    format!(
        "{{{} {} \"userIdentity\": {{{} \"type\": \"IAMUser\"}}, \"awsRegion\": \"{}\", \"eventName\": \"b\"}}",
        field(0, "errorCode"),
        field(2, "userAgent"),
        field(1, "arn"),
        values[3]
    )
}

fn mended(text: &str) -> (usize, String) {
    let schema = Schema::builtin("aws.cloudtrail");
    let expr = parse(text).expect("a selector");
    let found = check(&expr, &CheckEnv::condition(text, schema)).diagnostics;
    let mut warnings: Vec<_> = found
        .into_iter()
        .filter(|one| one.code.as_str() == "W2001")
        .collect();
    warnings.sort_by_key(|one| std::cmp::Reverse(one.span.start));
    let mut fixed = text.to_owned();
    for suggestion in warnings.iter().filter_map(|one| one.suggestion.as_ref()) {
        let range = suggestion.span.start as usize..suggestion.span.end as usize;
        fixed.replace_range(range, &suggestion.replacement);
    }
    (warnings.len(), fixed)
}

#[test]
fn every_silent_miss_is_warned_of_and_the_fix_mends_it() {
    let texts = prop::collection::vec(
        prop::sample::select(&["a", "b", ""][..]).prop_map(str::to_owned),
        4,
    );
    let config = Config {
        cases: 1_000,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(
        &(selector(), texts, 0..3usize),
        |((plain, meant), values, missing)| {
            let event = record(&values, missing);
            let silent = verdict(&plain, &event).is_none() && verdict(&meant, &event) == Some(true);
            if !silent {
                return Ok(());
            }
            let (warnings, fixed) = mended(&plain);
            prop_assert!(warnings > 0, "no warning for {plain} on {event}");
            prop_assert_eq!(
                verdict(&fixed, &event),
                Some(true),
                "{} became {} on {}",
                plain,
                fixed,
                event
            );
            Ok(())
        },
    );
    assert!(outcome.is_ok(), "{outcome:?}");
}
