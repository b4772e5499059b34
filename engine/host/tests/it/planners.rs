//! Planners: what they ask, what they propose, and what is refused of both.

use crate::guest::{
    CONFIGURE, PRELUDE, REALLOC, component, data, host, load, load_into, manifest, module, words,
};
use std::time::Duration;
use tripline_host::grant::FaultKind;
use tripline_host::operator::Rights;
use tripline_host::proposal::{Class, Draft, Expect, Proposal, Risk};
use tripline_host::{Fault, LoadError, Plugin};

const ASKED: &str = "ec2.DescribeTags";
const READS: &str = "[capabilities]\nreads = [\"ec2.DescribeTags\"]\n";

/// A planner that asks so often, with its subject as the parameters, and has nothing to do for the reason of the last answer.
fn asking(times: u32) -> String {
    format!(
        r#"(module
        (import "tripline:plugin/reads@1.0.0" "read" (func $read (param i32 i32 i32 i32 i32)))
        {PRELUDE} {REALLOC} {CONFIGURE} {}
        (func (export "tripline:plugin/propose@1.0.0#plan") (param i32 i32) (result i32)
            (local $left i32)
            (local.set $left (i32.const {times}))
            (loop $again
                (call $read (i32.const 8192) (i32.const {}) (local.get 0) (local.get 1) (i32.const 2048))
                (if (i32.load8_u (i32.const 2048)) (then (return (i32.const 2048))))
                (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                (br_if $again (local.get $left)))
            (i32.store (i32.const 3072) (i32.const 0))
            (i32.store (i32.const 3076) (i32.const 1))
            (i32.store (i32.const 3080) (i32.load (i32.const 2052)))
            (i32.store (i32.const 3084) (i32.load (i32.const 2056)))
            (i32.const 3072)))"#,
        data(8192, ASKED.as_bytes()),
        ASKED.len(),
    )
}

fn loaded(module: &str, granted: &[&str], more: &str) -> Result<Plugin, LoadError> {
    let rights = Rights {
        reads: granted.iter().map(|one| (*one).to_owned()).collect(),
        ..Rights::default()
    };
    let component = component("planner", module);
    load_into(
        host(),
        &component,
        manifest("planner", &format!("{READS}{more}")),
        rights,
    )
}

fn guest_fault(answer: Result<Proposal, Fault>) -> FaultKind {
    match answer {
        Err(Fault::Guest(fault)) => fault.kind,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_planner_asks_is_answered_by_who_asked_it() {
    let plugin = loaded(&asking(2), &[ASKED], "").expect("it loads");
    let mut heard = Vec::new();
    let answer = plugin.propose(r#"{"a": 1}"#, &mut |operation, parameters| {
        heard.push(format!("{operation} {parameters}"));
        Ok(format!("{{\"done\": {}}}", heard.len()))
    });
    assert_eq!(answer, Ok(Proposal::Nothing(r#"{"done": 2}"#.to_owned())));
    assert_eq!(heard, [r#"ec2.DescribeTags {"a": 1}"#; 2]);
    let answer = plugin.propose("{}", &mut |_, _| Err("gone\u{1b}".to_owned()));
    assert_eq!(guest_fault(answer), FaultKind::Unavailable);
    let answer = plugin.propose("[1]", &mut |_, _| panic!("nobody is asked"));
    assert_eq!(guest_fault(answer), FaultKind::InvalidInput);
}

#[test]
fn only_what_was_granted_is_asked() {
    match loaded(&asking(1), &[], "") {
        Err(LoadError::NotGranted { imports, .. }) => {
            assert_eq!(imports, ["tripline:plugin/reads@1.0.0"]);
        }
        other => panic!("{other:?}"),
    }
    let plugin = loaded(&asking(1), &["ec2.DescribeVpcs"], "").expect("it loads");
    let answer = plugin.propose("{}", &mut |_, _| panic!("nobody is asked"));
    assert_eq!(guest_fault(answer), FaultKind::Denied);
}

#[test]
fn questions_and_answers_have_bounds() {
    let plugin = loaded(&asking(101), &[ASKED], "").expect("it loads");
    let mut asked = 0;
    let answer = plugin.propose("{}", &mut |_, _| {
        asked += 1;
        Ok("{}".to_owned())
    });
    assert_eq!((guest_fault(answer), asked), (FaultKind::Limit, 100));
    let plugin = loaded(&asking(1), &[ASKED], "").expect("it loads");
    let answer = plugin.propose("{}", &mut |_, _| Ok("x".repeat((4 << 20) + 1)));
    assert_eq!(guest_fault(answer), FaultKind::Limit);
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(256 << 10));
    let answer = plugin.propose(&long, &mut |_, _| panic!("nobody is asked"));
    assert_eq!(guest_fault(answer), FaultKind::Limit);
    let long = "x".repeat((1 << 20) + 1);
    let answer = plugin.propose(&long, &mut |_, _| panic!("nobody is asked"));
    assert!(matches!(answer, Err(Fault::Misfit(_))), "{answer:?}");
}

#[test]
fn an_answer_that_comes_too_late_ends_the_call() {
    let slow = "[limits]\ndeadline = \"50ms\"\n";
    let plugin = loaded(&asking(1), &[ASKED], slow).expect("it loads");
    let answer = plugin.propose("{}", &mut |_, _| {
        std::thread::sleep(Duration::from_millis(300));
        Ok("{}".to_owned())
    });
    match answer {
        Err(Fault::Deadline { .. }) => {}
        Err(Fault::Guest(fault)) => assert_eq!(fault.kind, FaultKind::Timeout),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_planner_is_asked_for_nothing_else_and_starts_afresh() {
    let plugin = loaded(&asking(1), &[ASKED], "").expect("it loads");
    assert!(matches!(plugin.plan("{}"), Err(Fault::Misfit(_))));
    let other = load("enricher", &crate::guest::echo(), "").expect("it loads");
    let answer = other.propose("{}", &mut |_, _| panic!("nobody is asked"));
    assert!(matches!(answer, Err(Fault::Misfit(_))), "{answer:?}");
}

/// Texts of a guest, one after the other from 8,192 on.
#[derive(Default)]
struct Texts(String);

impl Texts {
    fn put(&mut self, text: &str) -> [u32; 2] {
        let at = 8192 + self.0.len() as u32;
        self.0.push_str(text);
        [at, text.len() as u32]
    }
}

/// What a guest proposes: steps of these names, and one check of an operation.
fn proposing(ids: &[&str], parameters: &str, checked: &str) -> String {
    let mut texts = Texts::default();
    let mut put = |text: &str| texts.put(text);
    let mut steps = Vec::new();
    for id in ids {
        for text in [id, "it is done", "ec2.CreateTags", parameters] {
            steps.extend(put(text));
        }
        // A class, no codes, no probe with its six words, no inverse.
        steps.extend([2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    let mut expect = vec![3];
    expect.extend(put("/Tags"));
    expect.extend(put(r#"{"Value": 1}"#));
    let mut check = Vec::new();
    check.extend(put(checked));
    check.extend(put("{}"));
    check.extend([5120, 1]);
    let summary = put("in \u{1b}[31mred");
    let mut draft = vec![0, 0];
    draft.extend(summary);
    draft.extend([1, 0, 0, 0, 0, 6144, ids.len() as u32, 5632, 1, 1, 0, 0]);
    module(&format!(
        r#"{} {} {} {} {}
        (func (export "tripline:plugin/propose@1.0.0#plan") (param i32 i32) (result i32)
            (i32.const 1024))"#,
        data(1024, &words(&draft)),
        data(5120, &words(&expect)),
        data(5632, &words(&check)),
        data(6144, &words(&steps)),
        data(8192, texts.0.as_bytes()),
    ))
}

fn proposed(module: &str) -> Result<Draft, String> {
    let plugin = loaded(module, &[ASKED], "").expect("it loads");
    match plugin.propose("{}", &mut |_, _| panic!("nobody is asked")) {
        Ok(Proposal::Draft(draft)) => Ok(*draft),
        Err(Fault::Output(why)) => Err(why),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_draft_is_taken_over_as_plain_values() {
    let draft = proposed(&proposing(
        &["one", "two"],
        r#"{"Resources": ["i-1"]}"#,
        ASKED,
    ));
    let draft = draft.expect("it is sound");
    assert!(!draft.summary.contains('\u{1b}'), "{}", draft.summary);
    assert_eq!((draft.risk, draft.is_rolled_back), (Risk::Medium, true));
    let ids: Vec<&str> = draft.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["one", "two"]);
    assert_eq!(draft.steps[0].class, Class::Token);
    assert_eq!(draft.steps[0].request.parameters["Resources"][0], "i-1");
    let [Expect::Has(path, value)] = draft.verify[0].expect.as_slice() else {
        panic!("{:?}", draft.verify);
    };
    assert_eq!((path.as_str(), &value["Value"]), ("/Tags", &1.into()));
}

#[test]
fn a_draft_against_the_contract_is_refused() {
    let check = |module: String, expected: &str| {
        let why = proposed(&module).expect_err(expected);
        assert!(why.contains(expected), "{why}");
    };
    check(
        proposing(&["one", "one"], "{}", ASKED),
        "two are called `one`",
    );
    check(proposing(&[], "{}", ASKED), "0 steps");
    check(proposing(&["one"], "[]", ASKED), "no JSON object");
    check(proposing(&["one"], "{", ASKED), "no JSON");
    check(
        proposing(&["one"], "{}", "ec2.DescribeVpcs"),
        "a check asks ec2.DescribeVpcs, which is not granted",
    );
    check(proposing(&["one"], "{}", "ec2"), "no name of an operation");
}
