//! What becomes of selectors: shared nodes, constants, refusals.

use super::{Environment, ProgramBuilder};
use crate::selector::parse;
use crate::selector::program::{Node, NodeId};

fn add(builder: &mut ProgramBuilder, selector: &str) -> NodeId {
    let expr = parse(selector).unwrap_or_else(|errors| panic!("{selector}: {errors:?}"));
    builder
        .compile(&expr, &Environment::event())
        .unwrap_or_else(|errors| panic!("{selector}: {errors:?}"))
}

#[test]
fn equal_parts_of_different_rules_are_one_node() {
    let mut builder = ProgramBuilder::new();
    let first = add(
        &mut builder,
        r#"event.a == "x" && event.list.exists(x, x.k == 1)"#,
    );
    let again = add(
        &mut builder,
        r#"event["a"] == "x" && event.list.exists(other, other.k == 1)"#,
    );
    assert_eq!(first, again);
    let part = add(&mut builder, r#""x" == event.a"#);
    let program = builder.build();
    let Node::And(operands) = program.node(first) else {
        panic!("{:?}", program.node(first));
    };
    assert!(program.operands(operands).contains(&part));
    assert_eq!(program.fields().len(), 2);
}

#[test]
fn constants_are_computed() {
    let check = |selector: &str, expected: Option<&str>| {
        let mut builder = ProgramBuilder::new();
        let node = add(&mut builder, selector);
        let program = builder.build();
        let found = match program.node(node) {
            Node::Constant(constant) => Some(program.constant(constant).to_string()),
            _ => None,
        };
        assert_eq!(found.as_deref(), expected, "{selector}");
    };
    check("1 + 2 * 3", Some("7"));
    check(r#"["a" + "b", "c"].size() == 2"#, Some("true"));
    check(
        r#"timestamp("2024-01-01T00:00:00Z").getFullYear()"#,
        Some("2024"),
    );
    check("!true", Some("false"));
    check("1 / 0", None);
    check("-9223372036854775808 - 1", None);
    check(r#"int("x")"#, None);
}

#[test]
fn what_cannot_be_compiled_is_refused_with_its_place() {
    let check = |selector: &str, message: &str| {
        let expr = parse(selector).unwrap_or_else(|errors| panic!("{selector}: {errors:?}"));
        let found = ProgramBuilder::new().compile(&expr, &Environment::event());
        let errors = found.expect_err(selector);
        assert!(
            errors[0].message.contains(message),
            "{selector}: {}",
            errors[0].message
        );
        assert!(!errors[0].span.slice(selector).is_empty());
    };
    check("evnet.a == 1", "no variable `evnet`");
    check("event.a.foo()", "no function `foo`");
    check("event.a.startsWith()", "does not take such arguments");
    check("google.protobuf.Int64Value{value: 1} == 1", "not supported");
    check(r#"event.a.matches("(")"#, "cannot be compiled");
    check(
        r#"event.a.matches("(a{1000}){1000}")"#,
        "cannot be compiled",
    );
    check(r#"inList("nope", event.a)"#, "no list `nope`");
    check("inList(event.a, event.b)", "literal");
    check("cel.index(0)", "no such value");
}
