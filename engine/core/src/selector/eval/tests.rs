//! Conditions over events, through everything: parser, compiler, field slots, evaluation.

use super::{Evaluation, EventView, Scratch};
use crate::event::{Parser, Slots};
use crate::limits;
use crate::selector::{Environment, ProgramBuilder, parse};

/// The selector's value on the event as text, or the word for why it has none.
fn evaluate(selector: &str, event: &str) -> String {
    let expr = parse(selector).unwrap_or_else(|errors| panic!("{selector}: {errors:?}"));
    let mut builder = ProgramBuilder::new();
    builder.add_list("known", ["alice".to_owned(), "bob".to_owned()]);
    let node = builder
        .compile(&expr, &Environment::event())
        .unwrap_or_else(|errors| panic!("{selector}: {errors:?}"));
    let program = builder.build();
    let mut parser = Parser::new();
    let root = parser
        .parse(event.as_bytes())
        .expect("the event is read")
        .root();
    let mut slots = Slots::new();
    program.fields().plan().extract(root, &mut slots);
    let mut scratch = Scratch::new();
    let mut evaluation = Evaluation::new(
        &program,
        EventView {
            root,
            slots: &slots,
        },
        &mut scratch,
    );
    let value = match evaluation.eval(node) {
        Ok(value) => value.to_string(),
        Err(error) => error.why.as_str().to_owned(),
    };
    let tested = match evaluation.test(node) {
        Ok(value) => value.to_string(),
        Err(error) => error.why.as_str().to_owned(),
    };
    let agree =
        tested == value || (tested == "not_a_bool" && !["true", "false"].contains(&value.as_str()));
    assert!(agree, "{selector}: eval {value}, test {tested}");
    value
}

#[track_caller]
fn check(selector: &str, event: &str, expected: &str) {
    assert_eq!(evaluate(selector, event), expected, "{selector} on {event}");
}

const EVENT: &str = r#"{
  "name": "StopLogging", "n": 3, "big": 18446744073709551615, "half": 0.5, "yes": true, "nothing": null,
  "escaped": "a\"b\u00e9\n", "ip": "10.1.2.3", "host": "cloudtrail.amazonaws.com", "user": "alice",
  "a": {"b": {"c": "deep", "d.e": 1}, "null": null},
  "list": ["x", "y"], "objects": [{"k": 1}, {"k": 2, "z": null}, {}], "empty": [],
  "policy": "{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"*\"}]}"
}"#;

#[test]
fn fields_and_absence() {
    check("event.name", EVENT, r#""StopLogging""#);
    check("event.a.b.c", EVENT, r#""deep""#);
    check(r#"event["a"]["b"]["d.e"]"#, EVENT, "1");
    check("event.a.`null`", EVENT, "null");
    check("event.absent", EVENT, "absent_field");
    check("event.a.absent.c", EVENT, "absent_field");
    check("event.name.c", EVENT, "absent_field");
    check("has(event.a.b)", EVENT, "true");
    check("has(event.a.x)", EVENT, "false");
    check("has(event.absent)", EVENT, "false");
    check("has(event.absent.x)", EVENT, "absent_field");
    check("has(event.nothing)", EVENT, "true");
    check("has(event.nothing.x)", EVENT, "false");
    check("has(event.list.x)", EVENT, "false");
    check("event.big", EVENT, "18446744073709551615u");
    check("event.half * 2.0 == 1.0", EVENT, "true");
    check("event.n == 3.0 && event.n == 3u", EVENT, "true");
    check("event.escaped == \"a\\\"bé\\n\"", EVENT, "true");
    check("event.escaped.size()", EVENT, "5");
    check("event.size()", EVENT, "15");
    check("event == {}", EVENT, "false");
}

#[test]
fn optionals_take_absence_and_null() {
    check("event.?a.?b.?c", EVENT, r#"optional.of("deep")"#);
    check("event.?a.?x.?c", EVENT, "optional.none()");
    check("event.?absent.?b.orValue(\"none\")", EVENT, r#""none""#);
    check("event.?nothing.?b.hasValue()", EVENT, "false");
    check("event.?nothing.hasValue()", EVENT, "true");
    check("event.a.?b.?c.orValue(1)", EVENT, r#""deep""#);
    check("event.absent.?b.orValue(1)", EVENT, "absent_field");
    check("event.nothing.?b.orValue(1)", EVENT, "1");
    check("event.name.?b.orValue(1)", EVENT, "1");
    check("event.?a.b.c.orValue(1)", EVENT, r#""deep""#);
    check("event.?absent.b.c.orValue(1)", EVENT, "1");
    check("event.?nothing.b.orValue(1)", EVENT, "no_such_key");
    check("event[?\"a\"].?b.hasValue()", EVENT, "true");
    check("event.list[?5].orValue(\"out\")", EVENT, r#""out""#);
    check("event.list[?0].orValue(\"out\")", EVENT, r#""x""#);
    check(
        "event.?absent.or(event.?name).value()",
        EVENT,
        r#""StopLogging""#,
    );
    check("event.?n.optMap(x, x + 1).orValue(0)", EVENT, "4");
    check("event.?absent.optMap(x, x + 1).orValue(0)", EVENT, "0");
    check(
        "event.objects.exists(x, x.?z.?y.hasValue())",
        EVENT,
        "false",
    );
    check("event.objects.map(x, x.?k.orValue(0))", EVENT, "[1, 2, 0]");
    check("optional.none().value()", EVENT, "no_value");
}

#[test]
fn errors_are_absorbed_as_the_spec_says() {
    check("event.absent == 1 && false", EVENT, "false");
    check("event.absent == 1 || true", EVENT, "true");
    check("event.absent == 1 && true", EVENT, "absent_field");
    check("event.absent == 1 || false", EVENT, "absent_field");
    check("!(event.absent == 1)", EVENT, "absent_field");
    check("event.absent == 1 ? true : true", EVENT, "absent_field");
    check("event.name && false", EVENT, "false");
    check("event.name || false", EVENT, "not_a_bool");
    check("event.objects.exists(x, x.k == 2)", EVENT, "true");
    check("event.objects.exists(x, x.k == 3)", EVENT, "no_such_key");
    check("event.objects.all(x, x.k < 2)", EVENT, "false");
    check("event.objects.all(x, x.k < 3)", EVENT, "no_such_key");
    check(
        "event.objects.exists_one(x, x.k == 1)",
        EVENT,
        "no_such_key",
    );
    check(
        "event.empty.all(x, x.k == 1) && !event.empty.exists(x, true)",
        EVENT,
        "true",
    );
    check("cel.bind(x, event.absent, true)", EVENT, "true");
    check("cel.bind(x, event.absent, x == 1 || true)", EVENT, "true");
    check("cel.bind(x, event.absent, x == 1)", EVENT, "absent_field");
}

#[test]
fn constant_sides_mean_the_same() {
    check(
        r#"event.name in ["StopLogging", "DeleteTrail"]"#,
        EVENT,
        "true",
    );
    check(r#"event.n in [1, 2.0, "3"]"#, EVENT, "false");
    check("event.n in [1, 3.0]", EVENT, "true");
    check("event.nothing in [null]", EVENT, "true");
    check(r#""x" in event.list"#, EVENT, "true");
    check(r#""b" in event.a"#, EVENT, "true");
    check(r#"event.name in "text""#, EVENT, "no_such_overload");
    check(r#""StopLogging" == event.name"#, EVENT, "true");
    check(r#"event.n == "3""#, EVENT, "false");
    check(r#"event.n != "3""#, EVENT, "true");
    check(
        r#"event.name.startsWith("Stop") && event.name.endsWith("ing")"#,
        EVENT,
        "true",
    );
    check(r#"event.n.startsWith("Stop")"#, EVENT, "no_such_overload");
    check(r#"event.name.contains("pLog")"#, EVENT, "true");
    check(r#"event.escaped.contains("é")"#, EVENT, "true");
    check(r#"event.name.matches("^Stop[A-Z]")"#, EVENT, "true");
    check(r#"event.name.matches("^" + event.user)"#, EVENT, "false");
    check(r#"glob(event.name, "Stop*g")"#, EVENT, "true");
    check(r#"cidr("10.0.0.0/8").contains(event.ip)"#, EVENT, "true");
    check(r#"cidr("10.0.0.0/8").contains(event.host)"#, EVENT, "false");
    check(r#"cidr("10.0.0.0/8").containsIP(event.n)"#, EVENT, "false");
    check(
        r#"cidr(event.ip + "/8").contains("10.9.9.9")"#,
        EVENT,
        "true",
    );
    check(
        "isIP(event.ip) && !isIP(event.host) && !isIP(event.n)",
        EVENT,
        "true",
    );
    check(
        r#"inList("known", event.user) && !inList("known", event.name) && !inList("known", event.n)"#,
        EVENT,
        "true",
    );
    check(
        r#"json.parse(event.policy).Statement.exists(s, s.Effect == "Allow" && s.Action == "*")"#,
        EVENT,
        "true",
    );
    check("json.parse(event.name)", EVENT, "bad_text");
    check(
        r#"timestamp("2024-01-01T00:00:00Z") + duration("1h")"#,
        EVENT,
        r#"timestamp("2024-01-01T01:00:00Z")"#,
    );
}

#[test]
fn macros_with_shadowing_and_nesting() {
    check(
        "event.list.map(x, event.list.map(y, x + y))",
        EVENT,
        r#"[["xx", "xy"], ["yx", "yy"]]"#,
    );
    check(
        "event.list.map(x, event.list.filter(x, x == \"y\"))",
        EVENT,
        r#"[["y"], ["y"]]"#,
    );
    check("event.list.exists(event, event == \"x\")", EVENT, "true");
    check(
        "event.list.transformMap(i, v, i > 0, v)",
        EVENT,
        r#"{1: "y"}"#,
    );
    check(
        "event.list.transformMapEntry(i, v, {v: i})",
        EVENT,
        r#"{"x": 0, "y": 1}"#,
    );
    check(
        "[\"a\", \"a\"].transformMapEntry(i, v, {v: i})",
        EVENT,
        "repeated_key",
    );
    check("event.a.exists(k, k == \"b\")", EVENT, "true");
    check(
        "event.a.exists(k, v, v == null && k == \"null\")",
        EVENT,
        "true",
    );
    check("event.n.exists(x, true)", EVENT, "no_such_overload");
    check(
        "cel.bind(x, event.n, event.list.map(y, cel.bind(z, x + 1, z)))",
        EVENT,
        "[4, 4]",
    );
    check(
        "cel.block([event.n, cel.index(0) + 1], [1].map(i, cel.index(1) + i))",
        EVENT,
        "[5]",
    );
}

#[test]
fn nothing_runs_away() {
    let expensive = "event.list.map(a, event.list.map(b, a + b))";
    check(expensive, EVENT, r#"[["xx", "xy"], ["yx", "yy"]]"#);
    let thousand = "lists.range(1000)";
    check(
        &format!("{thousand}.all(a, {thousand}.all(b, {thousand}.all(c, a + b + c >= 0)))"),
        EVENT,
        "cost_exceeded",
    );
    check(
        &format!(
            "{thousand}.all(a, {thousand}.all(b, {thousand}.exists(c, false) || true)) || true"
        ),
        EVENT,
        "cost_exceeded",
    );
    let mut doubled = "\"xxxxxxxxxxxxxxxx\"".to_owned();
    for number in 0..30 {
        doubled = format!("cel.bind(v{number}, {doubled}, v{number} + v{number})");
    }
    check(&format!("({doubled}).size()"), EVENT, "cost_exceeded");
    let sum = vec!["1"; 100].join(" + ");
    check(&sum, EVENT, "100");
    check("9223372036854775807 + event.n", EVENT, "overflow");
    check("event.n / 0", EVENT, "division_by_zero");
    check("event.n % 0", EVENT, "division_by_zero");
    check("event.n % -1", EVENT, "0");
}

#[test]
fn the_deepest_selectors_fit_the_stack_of_a_thread() {
    let nest = |open: &str, inner: &str, close: &str, times: usize| {
        format!("{}{inner}{}", open.repeat(times), close.repeat(times))
    };
    let deepest = |open: &str, inner: &str, close: &str| {
        let fits = (1..=limits::SELECTOR_DEPTH_MAX)
            .rev()
            .map(|times| nest(open, inner, close, times))
            .find(|selector| parse(selector).is_ok());
        fits.expect("some depth fits")
    };
    for (open, inner, close, expected) in [
        ("[1].all(x, ", "true", ")", "true"),
        ("[1].map(x, ", "event.n", ").size()", "1"),
        ("{1: 2}.exists(k, v, ", "true", ")", "true"),
        ("!!", "event.yes", "", "true"),
        ("(event.yes ? ", "event.n", " : 0)", "3"),
        ("0 + (", "event.n", ")", "3"),
        ("(event.yes && (false || ", "event.yes", "))", "true"),
        ("cel.bind(x, event.n, ", "x", ")", "3"),
        ("event.?n.optMap(x, ", "event.n", ").value()", "3"),
        ("math.greatest(event.n, ", "event.n", ")", "3"),
    ] {
        let selector = deepest(open, inner, close);
        let found = evaluate(&selector, EVENT);
        assert_eq!(found, expected, "{open}");
    }
}
