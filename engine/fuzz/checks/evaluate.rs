//! Any text as a selector on one fixed event: compiling and evaluating never panic, overflow the stack or cost
//! more than the limit, whatever the checker thinks of it; conditions and values agree; every value has a text and
//! a JSON form.

use tripline_core::event::{Parser, Slots};
use tripline_core::limits;
use tripline_core::selector::{
    Environment, Evaluation, EventView, ProgramBuilder, Scratch, Unresolved, Value, Why, parse,
};

/// Something of every kind, with the names that the seeds use.
const EVENT: &str = r#"{
  "s": "alice", "e": "x\"\u00e9\n", "n": 3, "u": 18446744073709551615, "d": 0.5, "b": true, "z": null,
  "o": {"s": "al", "p": {"s": "deep"}}, "l": ["al", "bob", 3, null], "a": [{"k": 1}, {"k": "v", "n": []}, {}],
  "ip": "10.1.2.3", "t": "2024-05-01T12:00:00Z", "j": "{\"a\":[1,2,{\"b\":null}]}"
}"#;

/// Longest value that is written out: showing is linear, but the values of a fuzzer are many.
const SHOWN_WEIGHT_MAX: u64 = 100_000;

/// Holds the input to the claims above.
pub(crate) fn run(text: &str) {
    let Ok(expr) = parse(text) else { return };
    let environment = Environment {
        unresolved: Unresolved::Fails,
        ..Environment::event()
    };
    let mut builder = ProgramBuilder::new();
    builder.add_list("a", ["al".to_owned(), "bob".to_owned()]);
    let Ok(node) = builder.compile(&expr, &environment) else {
        return;
    };
    let program = builder.build();
    let mut parser = Parser::new();
    let root = parser
        .parse(EVENT.as_bytes())
        .expect("the event is JSON")
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
    let value = evaluation.eval(node);
    let spent = evaluation.spent();
    assert!(spent <= limits::SELECTOR_COST_MAX);
    let tested = evaluation.test(node);
    match (&value, &tested) {
        (Ok(Value::Bool(value)), Ok(tested)) => assert_eq!(value, tested),
        (Ok(_), Err(error)) => assert!(matches!(error.why, Why::NotABool | Why::CostExceeded)),
        (Err(_), Err(_)) => {}
        _ => panic!("{value:?} but {tested:?}"),
    }
    if let Ok(value) = &value {
        let _ = value.to_string();
        if spent < SHOWN_WEIGHT_MAX {
            let _ = value.to_json();
        }
    }
    evaluation.finish(&mut scratch);
}
