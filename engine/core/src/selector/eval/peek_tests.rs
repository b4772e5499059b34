//! What is looked at where it stands comes to what values come to.
//!
//! With the event as a variable instead of a view, nothing can be looked at in place, so the same conditions take the
//! general way. Both ways must give the same: true, false, or an error.

use super::{Evaluation, EventView, Scratch};
use crate::event::{Parser, Slots};
use crate::selector::function::{self, Function};
use crate::selector::meter::Meter;
use crate::selector::value::Value;
use crate::selector::{Environment, ProgramBuilder, parse};

const EVENTS: [&str; 6] = [
    r#"{"a":"x","b":"X","c":"a\"b\u00e9\n","d":"aé:b:c","n":3,"m":-7,"big":18446744073709551615,"half":3.0,
        "t":"2024-02-29T23:59:59Z","u":"2024-03-01T00:00:00.5Z","o":{"k":"x","n":3},"ip":"10.1.2.3",
        "list":["x","a\"b\u00e9\n",3],"items":[{"k":1,"p":"x"},{"k":3,"p":"a\"bé\n"}],"yes":true,"nothing":null,
        "odd":[{"k":3,"p":"x","yes":true,"o":{"k":3}},{"k":3.0},{"p":null,"k":"3"},{"k":[3],"yes":false},null,7]}"#,
    r#"{"a":"a\"bé\n","b":"a\u0022b\u00e9\u000A","c":"","d":"2024-02-29T23:59:59Z","n":9223372036854775807,"m":0,
        "half":0.5,"t":"2023-02-29T00:00:00Z","u":"2024-02-29T23:59:59+01:00","o":[],"ip":"::1","list":[],
        "items":[{"k":"1"},{"p":"x"}],"yes":false,"odd":[{"k":1,"p":"10.1.2.3"},{"k":3,"p":"é"},{"k":-3,"p":"x\n"}]}"#,
    r#"{"a":3,"b":3.0,"c":["x"],"d":null,"n":"3","m":-9223372036854775808,"t":1709251199,"u":"0001-01-01T00:00:00Z",
        "o":{"k":null},"list":{"x":1},"items":["x",{"k":3}],"yes":"x","odd":[{"o":{}},{"o":{"k":3}},{"o":null}]}"#,
    r#"{"t":"9999-12-31T23:59:59Z","u":"0000-01-01T00:00:00Z","n":0,"m":1,"items":[],"odd":[{"yes":true},{"yes":true,"k":3}]}"#,
    r#"{"a":"x","items":[{"k":3,"p":"x"},{"k":3,"p":"y"},{"k":2,"p":"xy"}],"list":["x","y"],"odd":[{"k":3},{"k":9223372036854775808}]}"#,
    r#"{"a":"x","items":[{"k":3,"p":"x","o":{"k":3}}],"odd":[[{"k":3}],"x"],"n":1,"c":"\u0061bc","list":["x"],
        "long":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,
        39,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59,60,61,62,63,64,65,66,67,68,69,"x"]}"#,
];

const OPERANDS: [&str; 48] = [
    "event.a",
    "event.b",
    "event.c",
    "event.d",
    "event.n",
    "event.m",
    "event.big",
    "event.half",
    "event.o.k",
    "event.o.n",
    "event.yes",
    "event.list",
    "event.?a.orValue(\"x\")",
    "event.?o.?n.orValue(event.n)",
    "event.items[1].k",
    "event.items[?1].?p.orValue(event.a)",
    "event.items[?7].?p.orValue(\"x\")",
    "event.list[0]",
    "\"x\"",
    "3",
    "3u",
    "event.n + event.m",
    "event.n - 4",
    "event.m * 2 % 5",
    "event.n / event.m",
    "size(event.a)",
    "size(event.c) + size(event.list)",
    "size(event.items.filter(i, i.k == 3))",
    "int(event.n)",
    "int(event.a)",
    "event.d.indexOf(\":\")",
    "event.d.lastIndexOf(\"b\")",
    "event.d.split(\":\")[1]",
    "event.c.split(\"\")[0]",
    "event.d.substring(0, 1)",
    "event.d.substring(2)",
    "event.b.lowerAscii()",
    "event.a.upperAscii() + event.c",
    "event.a + \"x\"",
    "event.c.replace(\"b\", \"cc\")",
    "event.a.replace(\"x\", \"X\")",
    "timestamp(event.t)",
    "timestamp(event.u) - duration(\"1s\")",
    "timestamp(event.u) - timestamp(event.t)",
    "timestamp(event.t).getHours()",
    "timestamp(event.t).getDayOfYear(\"Europe/Berlin\") - 57",
    "(event.yes ? event.a : event.n)",
    "{\"x\": 3, \"X\": 4}[event.a]",
];

const CONDITIONS: [&str; 35] = [
    "event.items.exists(i, i.k == event.n)",
    "event.items.exists(i, has(i.p) && i.p == event.a)",
    "event.items.all(i, i.k > 0)",
    "event.items.exists_one(i, i.k == 3)",
    "event.list.exists(s, s.startsWith(event.b) || s == event.c)",
    "event.list.exists(s, s in [\"x\", \"q\"])",
    "event.a in event.items.map(i, i.p)",
    "event.a in [event.b, event.c]",
    "event.b.lowerAscii() in [\"x\", 3]",
    "event.c.lowerAscii().contains(\"b\")",
    "(event.c + event.a).endsWith(\"nx\")",
    "glob(event.c, \"a*b*\")",
    "cidr(\"10.0.0.0/8\").containsIP(event.ip)",
    "cel.bind(x, event.a, x == event.b || x == \"x\")",
    "event.items.exists(i, event.items.exists(j, j.k == i.k && j.p != i.p))",
    "event.items.map(i, i.k).exists(k, k + 1 == 4)",
    "timestamp(event.t).getHours(\"Europe/Berlin\") in [0, 1, \"x\"]",
    "timestamp(event.t).getDayOfWeek() in [4, 5.0]",
    "size(event.c) in [0, 5]",
    "event.c.indexOf(\"b\") > 1",
    "event.a == event.d.replace(\"aé:b:c\", \"x\")",
    "event.d == event.d.replace(\":\", \":\")",
    "event.d.replace(\"b\", \"\") + event.a != event.d",
    "event.d == event.d.replace(\"z\", \"\") + \"\"",
    "event.d == event.d.replace(\"\", \"-\")",
    "event.a + event.b.replace(\"X\", event.a) == event.a + \"x\"",
    "event.c.indexOf(\"\") == 0",
    "glob(event.d, \"a?:*:c\") || glob(event.c, \"*\\n\")",
    "cel.bind(event, event.a, cel.bind(x, event, [\"y\"].exists(event, event != x)))",
    "event.d == event.d.replace(\"é:\", \"é:\")",
    "event.a == event.a.replace(\"x\", event.b) || event.b == event.a.replace(\"x\", event.b)",
    "event.d.replace(\":\", \"\") == \"aébc\"",
    "event.d.replace(\"a\", event.c) == event.d",
    "event.d.replace(\"c\", \"c\", 1) == event.d",
    "glob(event.d, \"*:?:*\") && glob(event.c, \"**b**\")",
];

/// Arrays, or what stands in their place.
const RANGES: [&str; 6] = [
    "event.items",
    "event.list",
    "event.odd",
    "event.?items.orValue([])",
    "event.long",
    "event.o",
];

/// What macros ask of an element.
const BODIES: [&str; 52] = [
    "i.k == 3",
    "i.k != 3",
    "i.k > 1",
    "2 <= i.k",
    "i.k < 3 && i.p == \"x\"",
    "i.k == 1 || i.p != \"x\"",
    "!(i.k == 1) && !(i.p == \"x\" && i.k == 3)",
    "i.p.startsWith(\"x\")",
    "i.p.endsWith(\"\\n\")",
    "i.p.contains(\"x\")",
    "i.p.matches(\"^x\")",
    "glob(i.p, \"x*\")",
    "cidr(\"10.0.0.0/8\").containsIP(i.p)",
    "i.p in [\"x\", \"y\"]",
    "i.k in [1, 3, \"1\"]",
    "has(i.k)",
    "has(i.p) && i.p == \"x\"",
    "!has(i.k) || i.k == 3",
    "has(i.o.k)",
    "i.o.k == 3",
    "i.yes",
    "i.yes && i.k == 3",
    "i.?k.orValue(3) == 3",
    "i.?k.orValue(\"x\") != 3",
    "i.?p.orValue(\"\") == \"\"",
    "i.?p.orValue(\"x\").startsWith(\"x\")",
    "i.?yes.orValue(true)",
    "i.?o.?k.orValue(3) == 3",
    "i == \"x\"",
    "i == 3",
    "i.startsWith(\"x\") || i.k == 1",
    "i.k == event.n || i.k == 3",
    "i.k + 1 == event.n",
    "event.n == i.k - 4",
    "i.k < event.n",
    "1 + i.k > event.m",
    "i.k + 9223372036854775807 > 0",
    "i.k - -9223372036854775808 > 0",
    "i.k + 1 == 4",
    "i.k + 0 != 3",
    "i.p + 0 != 3",
    "i.p == event.a",
    "event.c != i.p",
    "i.p < event.a",
    "\"w\" < i.p",
    "i.k - event.m > 0",
    "i.k + 0 == i.o.k",
    "i == event.a",
    "i.p == event.d.replace(\"x\", \"y\")",
    "event.n == event.m || i.k >= event.half",
    "i.k == 3u || i.k + 1 < 3.5",
    "i.k + size(event.a) == size(event.list)",
];

fn conditions() -> Vec<String> {
    let mut conditions: Vec<String> = CONDITIONS.map(str::to_owned).to_vec();
    for range in RANGES {
        for body in BODIES {
            for name in ["exists", "all", "exists_one"] {
                conditions.push(format!("{range}.{name}(i, {body})"));
            }
            conditions.push(format!("size({range}.filter(i, {body})) > 1"));
        }
        for part in ["i", "i.k", "i.p", "i.o.k"] {
            conditions.push(format!("\"x\" in {range}.map(i, {part})"));
            conditions.push(format!("event.a in {range}.map(i, {part})"));
        }
    }
    for left in OPERANDS {
        for right in OPERANDS {
            for operator in ["==", "!=", "<", "in"] {
                conditions.push(format!("{left} {operator} {right}"));
            }
        }
    }
    conditions
}

#[test]
fn what_is_looked_at_in_place_comes_to_what_values_come_to() {
    let texts = conditions();
    let (mut of_event, mut of_values) = (ProgramBuilder::new(), ProgramBuilder::new());
    let as_event = Environment::event();
    let as_variable = Environment::variables(["event"]);
    let nodes: Vec<_> = texts
        .iter()
        .map(|text| {
            let expr = parse(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
            let node = of_event.compile(&expr, &as_event).expect("it compiles");
            let other = of_values.compile(&expr, &as_variable).expect("it compiles");
            (text, node, other)
        })
        .collect();
    let (of_event, of_values) = (of_event.build(), of_values.build());
    let mut scratch = Scratch::new();
    for event in EVENTS {
        let mut parser = Parser::new();
        let root = parser.parse(event.as_bytes()).expect("it is JSON").root();
        let mut slots = Slots::new();
        of_event.fields().plan().extract(root, &mut slots);
        let slots = &slots;
        let mut looked = Evaluation::new(&of_event, EventView { root, slots }, &mut scratch);
        let value = function::call(
            Function::JsonParse,
            &[Value::text(event)],
            &mut Meter::new(),
        );
        let variables = [value.expect("it is JSON")];
        let mut valued = Evaluation::of_variables(&of_values, &variables);
        for (text, node, other) in &nodes {
            let (found, expected) = (looked.test(*node), valued.test(*other));
            assert_eq!(
                found.ok(),
                expected.ok(),
                "{text} of {event}: {found:?}, as values {expected:?}"
            );
        }
        looked.finish(&mut scratch);
    }
}

/// Verdicts and costs of conditions on an event: each by an evaluation of its own, and all by one, in both orders.
fn check_alone_and_together(texts: &[String], event: &str) {
    let mut builder = ProgramBuilder::new();
    let environment = Environment::event();
    let nodes: Vec<_> = texts
        .iter()
        .map(|text| {
            let expr = parse(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
            builder.compile(&expr, &environment).expect("it compiles")
        })
        .collect();
    let program = builder.build();
    let mut parser = Parser::new();
    let root = parser.parse(event.as_bytes()).expect("it is JSON").root();
    let mut slots = Slots::new();
    program.fields().plan().extract(root, &mut slots);
    let view = EventView {
        root,
        slots: &slots,
    };
    let mut scratch = Scratch::new();
    let alone: Vec<_> = nodes
        .iter()
        .map(|node| {
            let mut evaluation = Evaluation::new(&program, view, &mut scratch);
            let verdict = (evaluation.test(*node), evaluation.spent());
            evaluation.finish(&mut scratch);
            verdict
        })
        .collect();
    let mut together = Evaluation::new(&program, view, &mut scratch);
    for at in (0..nodes.len()).chain((0..nodes.len()).rev()) {
        let verdict = (together.test(nodes[at]), together.spent());
        assert_eq!(verdict, alone[at], "{} of {event}", texts[at]);
    }
}

#[test]
fn what_others_asked_before_changes_neither_verdict_nor_cost() {
    for event in EVENTS {
        check_alone_and_together(&conditions(), event);
    }
}

/// More texts and columns than are remembered together.
#[test]
fn what_was_forgotten_is_found_out_again() {
    let long = "a\\nb".repeat(500);
    let element = |number: usize| format!("{{\"k{number}\":{number},\"all\":7}}");
    let items: Vec<String> = (0..60).map(element).collect();
    let event = format!("{{\"long\":\"{long}\",\"items\":[{}]}}", items.join(","));
    let mut texts = Vec::new();
    for number in 0..150 {
        let replaced = format!("event.long.replace(\"b\", \"{number}\").lowerAscii()");
        texts.push(format!("{replaced}.contains(\"{number}\\n\")"));
        texts.push(format!("{replaced}.endsWith(\"x\")"));
        texts.push(format!("event.items.exists(i, i.k{number} == {number})"));
        texts.push(format!(
            "event.items.all(i, has(i.k{number}) && i.all == 7)"
        ));
        texts.push("event.long.contains(\"b\")".to_owned());
    }
    check_alone_and_together(&texts, &event);
}

/// What elements are compared with is looked at once, and what is replaced in vain is not paid for: what the general way can
/// pay for is decided.
#[test]
fn looking_in_vain_leaves_enough_to_the_general_way() {
    let items = vec![r#"{"p":"éab"}"#; 64].join(",");
    let long = format!(
        "{{\"big\":\"éab{}\",\"items\":[{items}]}}",
        "x".repeat(200_000)
    );
    let dense = format!("{{\"big\":\"{}\"}}", "a".repeat(900_000));
    let first = "event.items.exists(i, i.p == event.big.substring(0, 3))";
    let count = "size(event.items.filter(i, i.p == event.big.substring(0, 3))) == 64";
    let replaced = "event.big.replace(\"a\", \"\") == \"\"";
    for (event, text, expected) in [
        (&long, first, Some(true)),
        // Sixty-four times as much is too much, however it is looked at.
        (&long, count, None),
        (&dense, replaced, Some(true)),
    ] {
        let mut builder = ProgramBuilder::new();
        let expr = parse(text).expect("it parses");
        let node = builder
            .compile(&expr, &Environment::event())
            .expect("it compiles");
        let program = builder.build();
        let mut parser = Parser::new();
        let root = parser.parse(event.as_bytes()).expect("it is JSON").root();
        let mut slots = Slots::new();
        program.fields().plan().extract(root, &mut slots);
        let slots = &slots;
        let mut scratch = Scratch::new();
        let mut evaluation = Evaluation::new(&program, EventView { root, slots }, &mut scratch);
        assert_eq!(evaluation.test(node).ok(), expected, "{text}");
    }
}

/// The first element has escapes, of which columns know nothing, and decides; the others are looked at before that is known.
#[test]
fn looking_in_vain_is_paid_for() {
    let items = vec![r#"{"p":"x"}"#; 63].join(",");
    let many = vec!["1"; 1_000].join(",");
    let event = format!(r#"{{"many":[{many}],"items":[{{"p":"a\"b"}},{items}]}}"#);
    let mut builder = ProgramBuilder::new();
    let text = r#"event.many.all(x, event.items.exists(i, i.p == "a\"b"))"#;
    let expr = parse(text).expect("it parses");
    let compiled = builder.compile(&expr, &Environment::event());
    let node = compiled.expect("it compiles");
    let program = builder.build();
    let mut parser = Parser::new();
    let root = parser.parse(event.as_bytes()).expect("it is JSON").root();
    let mut slots = Slots::new();
    program.fields().plan().extract(root, &mut slots);
    let slots = &slots;
    let mut scratch = Scratch::new();
    let mut evaluation = Evaluation::new(&program, EventView { root, slots }, &mut scratch);
    assert_eq!(evaluation.test(node).ok(), Some(true));
    assert!(evaluation.spent() > 64_000, "{}", evaluation.spent());
}
