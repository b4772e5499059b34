//! Our verdicts against those of the `cel` crate, on generated selectors and events.
//!
//! Selectors are like those of rules: comparisons, `in`, text functions, `has`, macros over arrays, `&&`, `||`, `!`
//! and `?:`, over fields that may be absent or null. A verdict is true, false, or none (an error, or a value that
//! is neither). Any difference fails the test with the smallest selector that shows it; there are no exceptions.
//!
//! One difference is settled before the comparison, in [`for_oracle`]: `has(e.f)` where `e` is there and is no map.
//! The spec says "In all other cases, has(e.f) evaluates to an error", as the oracle does; cel-go gives false, and so
//! do we, because a parent that is null (`"responseElements": null`) is what most audit records have.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::Value as Json;
use tripline_core::event::{Parser, Slots};
use tripline_core::selector::{
    Environment, Evaluation, EventView, ProgramBuilder, Scratch, Unresolved, parse,
};

/// Selectors per run, each evaluated on one event; `TRIPLINE_SELECTOR_CASES` runs more of them.
const CASES: u32 = 4_000;

/// True, false, or none.
type Verdict = Option<bool>;

fn ours(selector: &str, event: &str) -> Verdict {
    let expr = parse(selector).unwrap_or_else(|errors| panic!("{selector}: {errors:?}"));
    let environment = Environment {
        unresolved: Unresolved::Fails,
        ..Environment::event()
    };
    let mut builder = ProgramBuilder::new();
    let node = builder
        .compile(&expr, &environment)
        .unwrap_or_else(|errors| panic!("{selector}: {errors:?}"));
    let program = builder.build();
    let mut parser = Parser::new();
    let root = parser
        .parse(event.as_bytes())
        .expect("the event is read")
        .root();
    let mut slots = Slots::new();
    program.fields().plan().extract(root, &mut slots);
    let view = EventView {
        root,
        slots: &slots,
    };
    Evaluation::new(&program, view, &mut Scratch::new())
        .test(node)
        .ok()
}

fn theirs(selector: &str, event: &Json) -> Verdict {
    let program = cel::Program::compile(selector)
        .unwrap_or_else(|error| panic!("the oracle does not read {selector}: {error}"));
    let mut context = cel::Context::default();
    context.add_variable_from_value("event", their_value(event));
    match program.execute(&context) {
        Ok(cel::Value::Bool(value)) => Some(value),
        _ => None,
    }
}

/// Integers are int for them too; their own conversion from serde makes positive ones uint.
fn their_value(json: &Json) -> cel::Value {
    match json {
        Json::Null => cel::Value::Null,
        Json::Bool(value) => cel::Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(value) => cel::Value::Int(value),
            None => cel::Value::Float(number.as_f64().unwrap_or(0.0)),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => items.iter().map(their_value).collect::<Vec<_>>().into(),
        #[allow(clippy::disallowed_types)] // The oracle wants one; its order does not matter.
        Json::Object(entries) => entries
            .iter()
            .map(|(key, value)| (key.clone(), their_value(value)))
            .collect::<std::collections::HashMap<String, cel::Value>>()
            .into(),
    }
}

/// The selector for the oracle: a presence test asks for a map first.
fn for_oracle(selector: &str) -> String {
    let mut out = String::new();
    let mut rest = selector;
    while let Some(at) = rest.find("has(") {
        let end = at + rest[at..].find(')').unwrap_or(rest.len() - at - 1);
        let field = &rest[at + "has(".len()..end];
        let parent = field.rsplit_once('.').map_or(field, |(parent, _)| parent);
        out.push_str(&rest[..at]);
        out.push_str(&format!(
            "(type({parent}) == type({{}}) ? has({field}) : false)"
        ));
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    out
}

const TEXTS: [&str; 5] = ["alice", "al", "ce", "", "x\\\"é"];
const FIELDS: [&str; 8] = [
    "event.s",
    "event.t",
    "event.o.s",
    "event.o.p.s",
    "event.n",
    "event.d",
    "event.b",
    "event.o",
];

fn text_field() -> impl Strategy<Value = String> {
    select(&FIELDS[..]).prop_map(str::to_owned)
}

fn literal() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(&TEXTS[..]).prop_map(|text| format!("\"{text}\"")),
        2 => (-2i64..4).prop_map(|number| number.to_string()),
        1 => select(&["0.5", "1.0", "2u", "true", "false", "null"][..]).prop_map(str::to_owned),
    ]
}

/// What may be the key of a map. The oracle fails for `null in map`; a key that the map cannot have is not in it
/// ("in: checks whether a map contains a key"), so that is a mistake of theirs and is not asked.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(&["\"s\"", "\"p\"", "\"alice\""][..]).prop_map(str::to_owned),
        1 => select(&["1", "2u", "true"][..]).prop_map(str::to_owned),
    ]
}

fn operand() -> impl Strategy<Value = String> {
    prop_oneof![6 => text_field(), 3 => literal(), 1 => Just("event.l".to_owned())]
}

/// Conditions without parts. `place` is a field or a variable of a macro.
fn atom(place: impl Strategy<Value = String> + Clone + 'static) -> BoxedStrategy<String> {
    let list =
        prop::collection::vec(literal(), 1..4).prop_map(|items| format!("[{}]", items.join(", ")));
    let function = select(&["startsWith", "endsWith", "contains"][..]);
    let order = select(&["<", "<=", ">", ">="][..]);
    prop_oneof![
        4 => (place.clone(), select(&["==", "!="][..]), operand())
            .prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
        2 => (place.clone(), order, prop_oneof![operand(), literal()])
            .prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
        3 => (place.clone(), list).prop_map(|(left, list)| format!("{left} in {list}")),
        1 => (literal(), select(&["event.l", "event.s"][..]))
            .prop_map(|(left, right)| format!("{left} in {right}")),
        1 => key().prop_map(|key| format!("{key} in event.o")),
        3 => (place.clone(), function, select(&TEXTS[..]))
            .prop_map(|(left, function, text)| format!("{left}.{function}(\"{text}\")")),
        1 => (place.clone(), text_field())
            .prop_map(|(left, right)| format!("{left}.startsWith({right})")),
        1 => place.clone().prop_map(|left| format!("{left}.matches(\"^al\")")),
        2 => select(&["event.s", "event.o", "event.o.p", "event.o.p.s", "event.s.x", "event.l.x"][..])
            .prop_map(|field| format!("has({field})")),
        1 => place.clone().prop_map(|left| format!("size({left}) > 1")),
        1 => place.prop_map(|left| format!("{left} + 1 > 1")),
        1 => select(&["event.b", "true", "false", "event.n / 0 == 1"][..]).prop_map(str::to_owned),
    ]
    .boxed()
}

/// What a macro asks of an element that should be an object.
fn of_element() -> impl Strategy<Value = String> {
    let place = select(&["x.k", "x.n", "x"][..]).prop_map(str::to_owned);
    let present = select(&["has(x.k)", "has(x.n)"][..]).prop_map(str::to_owned);
    let one = prop_oneof![4 => atom(place.boxed()), 1 => present];
    let several = prop::collection::vec(one, 1..4);
    (several, select(&[" && ", " || "][..]), any::<bool>()).prop_map(|(parts, join, negated)| {
        let body = parts.join(join);
        if negated { format!("!({body})") } else { body }
    })
}

fn condition() -> impl Strategy<Value = String> {
    let over_list = (
        select(&["exists", "all", "exists_one"][..]),
        atom(Just("x".to_owned()).boxed()),
    )
        .prop_map(|(name, body)| format!("event.l.{name}(x, {body})"));
    let over_objects = (select(&["exists", "all", "exists_one"][..]), of_element())
        .prop_map(|(name, body)| format!("event.a.{name}(x, {body})"));
    let counted = of_element().prop_map(|body| format!("size(event.a.filter(x, {body})) == 1"));
    let mapped = (
        prop_oneof![literal(), text_field()],
        select(&["x.k", "x.n", "x"][..]),
    )
        .prop_map(|(value, part)| format!("{value} in event.a.map(x, {part})"));
    let leaf = prop_oneof![
        12 => atom(text_field().boxed()),
        2 => over_list,
        3 => over_objects,
        1 => counted,
        1 => mapped,
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 2..4)
                .prop_map(|parts| format!("({})", parts.join(" && "))),
            3 => prop::collection::vec(inner.clone(), 2..4)
                .prop_map(|parts| format!("({})", parts.join(" || "))),
            2 => inner.clone().prop_map(|part| format!("!({part})")),
            1 => (inner.clone(), inner.clone(), inner)
                .prop_map(|(test, yes, no)| format!("({test} ? {yes} : {no})")),
        ]
    })
}

fn scalar() -> impl Strategy<Value = Option<Json>> {
    prop_oneof![
        4 => select(vec!["alice", "al", "bob", "", "x\"é"]).prop_map(|text| Some(Json::from(text))),
        2 => (-1i64..4).prop_map(|number| Some(Json::from(number))),
        1 => Just(Some(Json::from(0.5))),
        1 => any::<bool>().prop_map(|value| Some(Json::from(value))),
        1 => Just(Some(Json::Null)),
        2 => Just(None),
    ]
}

fn object(fields: Vec<(&'static str, Option<Json>)>) -> Json {
    let present = fields
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Json::Object(present.collect())
}

fn event() -> impl Strategy<Value = Json> {
    let list = prop::collection::vec(
        scalar().prop_map(|one| one.unwrap_or(Json::from("al"))),
        0..4,
    );
    let element = (scalar(), scalar()).prop_map(|(k, n)| object(vec![("k", k), ("n", n)]));
    let odd = scalar().prop_map(|one| one.unwrap_or(Json::from("al")));
    let objects = prop::collection::vec(prop_oneof![9 => element, 1 => odd], 0..4);
    let inner = (
        scalar(),
        prop_oneof![
            scalar(),
            scalar().prop_map(|s| Some(object(vec![("s", s)])))
        ],
    )
        .prop_map(|(s, p)| object(vec![("s", s), ("p", p)]));
    let o = prop_oneof![5 => inner.prop_map(Some), 1 => Just(Some(Json::Null)), 1 => Just(None)];
    let scalars = (scalar(), scalar(), -1i64..4, any::<bool>());
    (scalars, list, objects, o).prop_map(|((s, t, n, b), list, objects, o)| {
        object(vec![
            ("s", s),
            ("t", t),
            ("n", Some(n.into())),
            ("d", Some(0.5.into())),
            ("b", Some(b.into())),
            ("l", Some(list.into())),
            ("a", Some(objects.into())),
            ("o", o),
        ])
    })
}

fn compare(selector: &str, event: &Json) -> Result<(), String> {
    let ours = ours(selector, &event.to_string());
    let theirs = theirs(&for_oracle(selector), event);
    if ours == theirs {
        return Ok(());
    }
    Err(format!(
        "{selector}\non {event}\nours {ours:?}, theirs {theirs:?}"
    ))
}

#[test]
fn verdicts_agree_with_the_cel_crate() {
    let told = std::env::var("TRIPLINE_SELECTOR_CASES").ok();
    let config = ProptestConfig {
        cases: told.and_then(|text| text.parse().ok()).unwrap_or(CASES),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    // The same cases each time: a difference is for whoever changes something, not for whoever runs the tests.
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&(condition(), event()), |(selector, event)| {
        compare(&selector, &event).map_err(TestCaseError::fail)
    });
    if let Err(difference) = outcome {
        panic!("{difference}");
    }
}
