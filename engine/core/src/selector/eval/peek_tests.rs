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

const EVENTS: [&str; 4] = [
    r#"{"a":"x","b":"X","c":"a\"b\u00e9\n","d":"aé:b:c","n":3,"m":-7,"big":18446744073709551615,"half":3.0,
        "t":"2024-02-29T23:59:59Z","u":"2024-03-01T00:00:00.5Z","o":{"k":"x","n":3},"ip":"10.1.2.3",
        "list":["x","a\"b\u00e9\n",3],"items":[{"k":1,"p":"x"},{"k":3,"p":"a\"bé\n"}],"yes":true,"nothing":null}"#,
    r#"{"a":"a\"bé\n","b":"a\u0022b\u00e9\u000A","c":"","d":"2024-02-29T23:59:59Z","n":9223372036854775807,"m":0,
        "half":0.5,"t":"2023-02-29T00:00:00Z","u":"2024-02-29T23:59:59+01:00","o":[],"ip":"::1","list":[],
        "items":[{"k":"1"},{"p":"x"}],"yes":false}"#,
    r#"{"a":3,"b":3.0,"c":["x"],"d":null,"n":"3","m":-9223372036854775808,"t":1709251199,"u":"0001-01-01T00:00:00Z",
        "o":{"k":null},"list":{"x":1},"items":["x",{"k":3}],"yes":"x"}"#,
    r#"{"t":"9999-12-31T23:59:59Z","u":"0000-01-01T00:00:00Z","n":0,"m":1}"#,
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

const CONDITIONS: [&str; 16] = [
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
];

fn conditions() -> Vec<String> {
    let mut conditions: Vec<String> = CONDITIONS.map(str::to_owned).to_vec();
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
