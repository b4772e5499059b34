//! The machine: every state with every input, and long ways through it by chance.

use crate::stage::{self, Kind, bad, policies};
use crate::world::{Cloud, START};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::OnceLock;
use tripline_remediation::book::{Book, Rules};
use tripline_remediation::engine::propose;
use tripline_remediation::journal::Record;
use tripline_remediation::machine::{Action, Input, Proposal, Resolution, State, wanted};
use tripline_remediation::plan::{Answer, Call, Check, Class, Plan, Risk, Step};
use tripline_remediation::policy::{Mode, OnTimeout, Period, Rollback};
use tripline_remediation::vote::{Decision, SignedVote, Vote};

fn proposal() -> Proposal {
    static ONE: OnceLock<Proposal> = OnceLock::new();
    let one = ONE.get_or_init(|| {
        let bad = bad(Kind::Group, 1, stage::ACCOUNT, START, &mut Cloud::default());
        let finding = stage::finding("one", bad.rule, &bad.event);
        let all = propose(
            &policies(),
            &Default::default(),
            &finding,
            bad.event.to_string().as_bytes(),
            START,
        );
        all.into_iter()
            .next()
            .expect("is proposed")
            .proposal
            .expect("is proposed")
    });
    one.clone()
}

fn call(operation: &str) -> Call {
    Call {
        operation: operation.to_owned(),
        account: stage::ACCOUNT.to_owned(),
        region: "eu-central-1".to_owned(),
        parameters: json!({"Id": 1}).as_object().expect("is an object").clone(),
    }
}

fn step(id: &str, class: Class, inverse: Vec<Step>) -> Step {
    Step {
        id: id.to_owned(),
        summary: id.to_owned(),
        call: call("iam.UpdateAccessKey"),
        class,
        done_codes: vec!["NoSuchEntity".to_owned()],
        probe: (class == Class::Create).then(|| Check {
            call: call("iam.ListAccessKeys"),
            expect: Vec::new(),
        }),
        inverse,
    }
}

fn plan(classes: &[Class], is_rolled_back: bool) -> Plan {
    let steps = classes.iter().enumerate().map(|(number, class)| {
        let back = step("back", Class::Set, Vec::new());
        step(&format!("step_{number}"), *class, vec![back])
    });
    Plan {
        action: "aws.iam.deactivate_access_key".to_owned(),
        resource: proposal().subject.resource,
        summary: "for the machine".to_owned(),
        risk: Risk::Low,
        diff: Vec::new(),
        preconditions: Vec::new(),
        steps: steps.collect(),
        verify: Vec::new(),
        is_rolled_back,
    }
}

fn vote(decision: Decision, break_glass: bool) -> SignedVote {
    SignedVote {
        vote: Vote {
            action: "a".to_owned(),
            plan_hash: "p".to_owned(),
            decision,
            reason: "r".to_owned(),
            approver: "alice".to_owned(),
            nonce: "0123456789abcdef".to_owned(),
            not_after: i64::MAX,
            break_glass,
        },
        signature: "s".to_owned(),
    }
}

/// Inputs of every kind, with the values that matter.
fn inputs() -> Vec<Input> {
    let (epoch, reason) = (1, "because".to_owned());
    let mut all = vec![
        Input::Proposed(Arc::new(proposal())),
        Input::Refused {
            proposal: Arc::new(proposal()),
            reason: reason.clone(),
            is_again: false,
        },
        Input::Suppressed {
            reason: reason.clone(),
        },
        Input::Nothing {
            reason: reason.clone(),
        },
        Input::Unplannable {
            reason: reason.clone(),
        },
        Input::TimeOver,
        Input::Deferred {
            reason: reason.clone(),
            until: START + 5,
        },
        Input::Began {
            epoch,
            call: call("iam.UpdateAccessKey"),
        },
        Input::Outdated {
            reason: reason.clone(),
        },
        Input::Verified,
        Input::NotVerified {
            reason: reason.clone(),
        },
        Input::Drifted {
            reason: reason.clone(),
        },
        Input::Rechecked,
        Input::RevertAsked {
            by: "alice".to_owned(),
            reason: reason.clone(),
        },
        Input::Canceled {
            by: "alice".to_owned(),
            reason: reason.clone(),
        },
        Input::BrokenGlass {
            by: "alice".to_owned(),
            reason: reason.clone(),
            vote: vote(Decision::Approve, true),
        },
    ];
    for classes in [&[Class::Set][..], &[Class::Remove, Class::Create]] {
        for mode in [Mode::DryRun, Mode::Approve, Mode::Veto, Mode::Auto] {
            for is_rolled_back in [true, false] {
                all.push(Input::Planned {
                    plan: Arc::new(plan(classes, is_rolled_back)),
                    mode,
                });
            }
        }
    }
    for (decision, is_enough) in [
        (Decision::Approve, false),
        (Decision::Approve, true),
        (Decision::Deny, false),
    ] {
        all.push(Input::Voted {
            vote: vote(decision, false),
            is_enough,
        });
    }
    for resolution in [Resolution::Done, Resolution::Again, Resolution::GiveUp] {
        all.push(Input::Resolved {
            by: "alice".to_owned(),
            resolution,
        });
    }
    for step in 0..2 {
        for attempt in 1..3 {
            all.push(Input::Intent {
                step,
                attempt,
                epoch,
                call: call("iam.UpdateAccessKey"),
            });
        }
        let refused = Answer::Refused {
            code: "No".to_owned(),
            message: String::new(),
        };
        for (answer, is_done) in [
            (Answer::Done(json!({"Id": 1.1})), true),
            (refused.clone(), true),
            (refused, false),
        ] {
            all.push(Input::Answered {
                step,
                answer,
                request: "r".to_owned(),
                is_done,
            });
        }
        for is_undone in [true, false] {
            all.push(Input::Unanswered {
                step,
                reason: reason.clone(),
                is_undone,
                until: START + 5,
            });
        }
        all.push(Input::Adopted {
            step,
            answer: json!({}),
        });
        all.push(Input::Skipped { step });
        all.push(Input::Ambiguous {
            step,
            reason: reason.clone(),
        });
        all.push(Input::StepFailed {
            step,
            reason: reason.clone(),
        });
    }
    all
}

/// What of an action decides what can happen to it.
fn shape(action: &Action) -> String {
    let run = |run: &Option<tripline_remediation::machine::Run>| {
        run.as_ref().map(|run| {
            let all = run.progress.iter().map(|one| {
                let text = format!("{one:?}");
                let name = text
                    .split([' ', '(', '{'])
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                format!("{name}{}{}", one.is_unsure(), one.attempts().min(2))
            });
            all.collect::<Vec<_>>().join(",")
        })
    };
    let steps = action.run.as_ref().map(|run| run.steps.len());
    let rolls = action.plan.as_ref().map(|(plan, _)| plan.is_rolled_back);
    let was = match &action.state {
        State::NeedsHuman { was, .. } => was.name(),
        _ => "",
    };
    format!(
        "{}{was} {:?} {:?} {steps:?} {rolls:?} {} {}",
        action.state.name(),
        run(&action.run),
        run(&action.back),
        action.plans.min(3),
        action.succeeded.is_some()
    )
}

const STATES: [&str; 23] = [
    "proposed",
    "suppressed",
    "noop",
    "unplannable",
    "dry_run",
    "awaiting_approval",
    "veto_window",
    "approved",
    "deferred",
    "rejected",
    "expired",
    "canceled",
    "executing",
    "verifying",
    "succeeded",
    "drifted",
    "failed",
    "rolling_back",
    "rolled_back",
    "rollback_failed",
    "reverting",
    "reverted",
    "needs_human",
];

#[test]
fn inputs_are_read_as_they_are_written_and_in_any_order() {
    for input in inputs() {
        let text = serde_json::to_string(&input).expect("is written");
        assert!(text.starts_with("{\"what\":"), "{text}");
        let read: Input = serde_json::from_str(&text).expect("is read");
        assert_eq!(read, input);
        let mut value: Value = serde_json::from_str(&text).expect("is JSON");
        assert_eq!(
            serde_json::from_value::<Input>(value.clone()).ok(),
            Some(read)
        );
        let members = value.as_object_mut().expect("is an object");
        let what = members.shift_remove("what").expect("is there");
        members.insert("what".to_owned(), what);
        let read: Input = serde_json::from_value(value).expect("is read");
        assert_eq!(read, input);
    }
    for wrong in [
        r#"{"what":"none"}"#,
        r#"{"reason":"because"}"#,
        r#"{"what":"canceled","by":"alice","by":"bob","reason":"because"}"#,
        r#"{"what":"planned","mode":"auto"}"#,
        r#"["planned"]"#,
    ] {
        assert!(serde_json::from_str::<Input>(wrong).is_err(), "{wrong}");
    }
}

/// Which inputs are legal in which states, at any time and with any value.
#[test]
fn every_state_takes_what_it_may_and_nothing_else() {
    let all = inputs();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut legal: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut queue = VecDeque::new();
    let mut proposal = proposal();
    proposal.terms.approval.on_timeout = OnTimeout::ContainReversible;
    for rollback in [
        Rollback::Never,
        Rollback::OnStepFailure,
        Rollback::OnVerifyFailure,
    ] {
        let on_timeout = match rollback {
            Rollback::Never => OnTimeout::Deny,
            _ => OnTimeout::ContainReversible,
        };
        {
            proposal.terms.execution.rollback = rollback;
            proposal.terms.approval.on_timeout = on_timeout;
            let first = Input::Proposed(Arc::new(proposal.clone()));
            queue.push_back(Action::proposed("a".to_owned(), &first, START).expect("is proposed"));
        }
    }
    let mut pairs = 0_u64;
    while let Some(action) = queue.pop_front() {
        for input in &all {
            // Late enough for whatever waits.
            let now = action.changed + 2 * 86_400_000_000;
            pairs += 1;
            let Ok(next) = action.after(input, now) else {
                continue;
            };
            assert_eq!(next.revision, action.revision + 1);
            assert_eq!((next.id.as_str(), next.changed), ("a", now));
            assert!(STATES.contains(&next.state.name()));
            legal
                .entry(action.state.name())
                .or_default()
                .insert(input.name());
            // Something that runs has a run, and what it wants is never a surprise.
            let _ = wanted(&next, now, 420_000_000);
            if next.state.is_running() {
                assert!(next.run.is_some(), "{:?}", next.state);
            }
            if matches!(
                next.state,
                State::Executing
                    | State::RollingBack(_)
                    | State::Reverting(_)
                    | State::NeedsHuman { .. }
            ) {
                let run = next.current().expect("has a run");
                assert!(!run.is_over(), "{:?} by {input:?}", next.state);
            }
            let terms = &action.proposal.terms;
            let key = format!(
                "{} {:?} {:?}",
                shape(&next),
                terms.execution.rollback,
                terms.approval.on_timeout
            );
            if seen.insert(key) {
                queue.push_back(next);
            }
        }
    }
    println!("{pairs} pairs of {} shapes", seen.len());
    let reached: BTreeSet<&str> = seen
        .iter()
        .map(|key| {
            STATES
                .iter()
                .copied()
                .filter(|name| key.starts_with(name))
                .max_by_key(|name| name.len())
                .expect("is a state")
        })
        .collect();
    let missing: Vec<_> = STATES
        .iter()
        .filter(|name| !reached.contains(*name))
        .collect();
    assert_eq!(missing, Vec::<&&str>::new(), "cannot be reached");
    // Nothing ends what has ended, and no request is sent but where requests are sent.
    let of = |state: &str| legal.get(state).cloned().unwrap_or_default();
    for state in [
        "suppressed",
        "noop",
        "unplannable",
        "rejected",
        "expired",
        "canceled",
        "rolled_back",
        "reverted",
    ] {
        assert_eq!(of(state), BTreeSet::new(), "{state}");
    }
    for (state, inputs) in &legal {
        let sends = inputs.contains("intent") || inputs.contains("began");
        let may = [
            "approved",
            "deferred",
            "executing",
            "rolling_back",
            "reverting",
        ]
        .contains(state);
        assert!(!sends || may, "{state} sends");
        assert!(
            !inputs.contains("proposed") && !inputs.contains("refused"),
            "{state}"
        );
    }
    assert_eq!(of("needs_human"), BTreeSet::from(["resolved"]));
    assert_eq!(of("dry_run"), BTreeSet::from(["broken_glass"]));
    assert_eq!(
        of("succeeded"),
        BTreeSet::from(["drifted", "rechecked", "revert_asked"])
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// A way through the machine is the same from its journal, and the same from its JSON.
    #[test]
    fn a_way_by_chance_is_the_fold_of_its_records(choices in prop::collection::vec((any::<prop::sample::Index>(), 0_i64..4_000_000_000), 1..120)) {
        let all = inputs();
        let mut book = Book::new(Rules::default());
        let mut folded = Book::new(Rules::default());
        let mut now = START;
        let mut revision = 0;
        let mut prev = "0".repeat(64);
        let mut inputs = vec![(all[0].clone(), 0)];
        inputs.extend(choices.iter().map(|(index, later)| (all[index.index(all.len())].clone(), *later)));
        for (mut input, later) in inputs {
            // So that more of them fit: what a step is said to be, is the one that is next.
            if let Some(run) = book.action("a").and_then(Action::current) {
                let at = run.at().unwrap_or(0);
                let tries = run.progress[at].attempts() + 1;
                match &mut input {
                    Input::Intent { step, attempt, .. } => (*step, *attempt) = (at, tries),
                    Input::Answered { step, .. } | Input::Unanswered { step, .. } | Input::Adopted { step, .. }
                    | Input::Skipped { step } | Input::Ambiguous { step, .. } | Input::StepFailed { step, .. } => *step = at,
                    _ => {}
                }
            }
            now += later;
            let Ok(entry) = book.entry("a", input, now) else { continue };
            book.take(&entry, now).expect("what is said to be legal is");
            revision += 1;
            let record = Record { seq: revision, prev: prev.clone(), time: now, engine: "test".to_owned(), entry };
            let (line, hash) = record.line().expect("is written");
            let (read, same) = Record::of_line(line.trim_end()).expect("is read");
            prop_assert_eq!(&read, &record);
            prop_assert_eq!(&same, &hash);
            prev = hash;
            folded.take(&read.entry, read.time).expect("follows");
            let action = book.action("a").expect("is there");
            prop_assert_eq!(action.revision, revision);
            let text = serde_json::to_string(action).expect("is written");
            let again: Action = serde_json::from_str(&text).expect("is read");
            prop_assert_eq!(&again, action);
        }
        prop_assert_eq!(book.difference(&folded), None);
        prop_assert!(Period::seconds(1).0 > 0);
    }
}
