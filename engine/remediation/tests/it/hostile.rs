//! What went wrong once, or would be the first thing to be tried by whoever wants it to.

use crate::crashes::folded;
use crate::stage::{self, ACCOUNT, Bad, Kind, WIDE, bad, open, policies_of, text_with};
use crate::world::{Cloud, Faults, HOUR, MINUTE, SECOND, START, World};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use tripline_core::wire::Finding;
use tripline_remediation::book::Hold;
use tripline_remediation::engine::{Engine, EngineFault, Settings, Turn, propose};
use tripline_remediation::guard::Protected;
use tripline_remediation::journal::Scope;
use tripline_remediation::machine::{Resolution, State};

/// A world of its own with one bad thing, and an engine.
fn one(kind: Kind, folder: &Path) -> (World, Engine<World>, Bad) {
    let mut cloud = Cloud::default();
    let bad = bad(kind, 1, ACCOUNT, START - MINUTE, &mut cloud);
    let world = World::new(1, Faults::default(), cloud);
    let engine = open(folder, &world, stage::settings()).expect("opens");
    (world, engine, bad)
}

fn lines(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).expect("is a folder").flatten() {
        if entry.path().extension().is_some_and(|end| end == "jsonl") {
            text.push_str(&fs::read_to_string(entry.path()).expect("is read"));
        }
    }
    text
}

fn consider(
    engine: &Engine<World>,
    id: &str,
    rule: &str,
    event: &Value,
) -> (Option<String>, Option<String>) {
    let finding: Finding = stage::finding(id, rule, event);
    let mut all = engine
        .consider(&finding, event.to_string().as_bytes())
        .expect("is considered");
    let one = all.remove(0);
    (one.action, one.why)
}

#[test]
fn a_refusal_is_one_record_with_its_proposal() {
    let folder = stage::folder();
    let (world, engine, bad) = one(Kind::Group, folder.path());
    let mut failed = bad.event.clone();
    failed["errorCode"] = json!("AccessDenied");
    let mut parameters = text_with(WIDE);
    parameters.push_str("[remediation.sg.params]\ngroup_id = \"'sg-00000000000000001'\"\nrule_ids = \"['sgr-0000000000000000100022']\"\n");
    engine.set_policies(policies_of(&parameters));
    let (id, why) = consider(&engine, "one", bad.rule, &failed);
    assert!(why.is_some_and(|why| why.contains("error")));
    let id = id.expect("is written down");
    assert_eq!(lines(folder.path()).matches(&id).count(), 1);
    stage::run(&engine, START + HOUR).expect("runs");
    assert!(world.effects().is_empty());
    // Told again, it is known.
    assert_eq!(
        consider(&engine, "one", bad.rule, &failed),
        (Some(id), None)
    );
}

#[test]
fn what_was_refused_for_its_event_does_not_shade_what_comes_after() {
    for with in [
        |event: &mut Value| event["errorCode"] = json!("AccessDenied"),
        |event: &mut Value| {
            event["userIdentity"]["arn"] =
                json!("arn:aws:sts::123456789012:assumed-role/tripline-remediation/rem-0123")
        },
    ] {
        let folder = stage::folder();
        let (world, engine, bad) = one(Kind::Group, folder.path());
        let mut parameters = text_with(WIDE);
        parameters.push_str("[remediation.sg.params]\ngroup_id = \"'sg-00000000000000001'\"\nrule_ids = \"['sgr-0000000000000000100022', 'sgr-0000000000000000103389']\"\n");
        engine.set_policies(policies_of(&parameters));
        let mut first = bad.event.clone();
        with(&mut first);
        assert!(consider(&engine, "first", bad.rule, &first).1.is_some());
        assert_eq!(consider(&engine, "second", bad.rule, &bad.event).1, None);
        stage::run(&engine, START + HOUR).expect("runs");
        assert!(bad.is_mended(&world.cloud()));
    }
}

#[test]
fn what_is_known_is_on_the_disk_when_it_is_said() {
    let mut cloud = Cloud::default();
    let bad = Arc::new(bad(Kind::Key, 1, ACCOUNT, START - MINUTE, &mut cloud));
    let world = World::new(1, Faults::default(), cloud);
    let folder = stage::folder();
    let place: Arc<OnceLock<Weak<Engine<World>>>> = Arc::default();
    let seen = Arc::new(Mutex::new(String::new()));
    let (inner, is_in, text, path, again) = (
        place.clone(),
        AtomicBool::new(false),
        seen.clone(),
        folder.path().to_owned(),
        bad.clone(),
    );
    let settings = Settings {
        ends_at: Some(Box::new(move |name| {
            // While the first waits for the disk, the same finding arrives once more.
            if name == "proposed.appended" && !is_in.swap(true, Ordering::Relaxed) {
                let engine = inner.get().and_then(Weak::upgrade).expect("is open");
                let known = again.consider(&engine).expect("is considered");
                assert!(known[0].action.is_some());
                *text.lock().expect("is not poisoned") = lines(&path);
            }
            false
        })),
        ..stage::settings()
    };
    let engine = Arc::new(open(folder.path(), &world, settings).expect("opens"));
    place.set(Arc::downgrade(&engine)).expect("is set once");
    let considered = bad.consider(&engine).expect("is considered");
    let id = considered[0].action.clone().expect("is proposed");
    assert!(seen.lock().expect("is not poisoned").contains(&id));
}

#[test]
fn a_finding_is_answered_once_also_after_a_restart_and_after_the_cool_down() {
    let folder = stage::folder();
    let (world, engine, bad) = one(Kind::Key, folder.path());
    let first = bad.consider(&engine).expect("is considered");
    stage::run(&engine, START + MINUTE).expect("runs");
    assert_eq!(bad.consider(&engine).expect("is considered"), first);
    drop(engine);
    let engine = open(folder.path(), &world, stage::settings()).expect("opens");
    assert_eq!(bad.consider(&engine).expect("is considered"), first);
    world.pass(START + 48 * HOUR);
    assert_eq!(bad.consider(&engine).expect("is considered"), first);
    assert_eq!(engine.book().actions().count(), 1);
}

#[test]
fn what_came_back_before_it_was_looked_at_again_is_no_old_news() {
    let folder = stage::folder();
    let (world, engine, bad_key) = one(Kind::Key, folder.path());
    let text = text_with(&format!("{WIDE}, cooldown = \"1m\""));
    engine.set_policies(policies_of(&text));
    bad_key.consider(&engine).expect("is considered");
    stage::run(&engine, START + MINUTE).expect("runs");
    assert!(bad_key.is_mended(&world.cloud()));
    // It is switched on again at four minutes, seen to have drifted at five, and told at six.
    world.pass(START + 4 * MINUTE);
    let mut again = None;
    world.meddle(|cloud| again = Some(bad(Kind::Key, 1, ACCOUNT, START + 4 * MINUTE, cloud)));
    let again = again.expect("is made");
    stage::run(&engine, START + 6 * MINUTE).expect("runs");
    assert_eq!(engine.counts().get("drifted"), Some(&1));
    again.consider(&engine).expect("is considered");
    stage::run(&engine, START + 8 * MINUTE).expect("runs");
    assert!(again.is_mended(&world.cloud()), "{:?}", engine.counts());
}

#[test]
fn what_was_as_it_should_be_may_become_bad_at_once() {
    let folder = stage::folder();
    let (world, engine, bad_key) = one(Kind::Key, folder.path());
    let was = world.cloud();
    world.meddle(|cloud| {
        drop(cloud.keys.insert(
            ("user1".to_owned(), format!("AKIA{:016X}", 1)),
            "Inactive".to_owned(),
        ))
    });
    bad_key.consider(&engine).expect("is considered");
    stage::run(&engine, START + SECOND).expect("runs");
    assert_eq!(engine.counts().get("noop"), Some(&1));
    world.pass(START + MINUTE);
    world.meddle(|cloud| *cloud = was);
    let again = bad(Kind::Key, 1, ACCOUNT, START + MINUTE, &mut Cloud::default());
    let considered = again.consider(&engine).expect("is considered");
    assert_eq!(considered[0].why, None);
    stage::run(&engine, START + 2 * MINUTE).expect("runs");
    assert!(again.is_mended(&world.cloud()));
}

#[test]
fn what_is_read_right_after_an_event_may_be_of_before_it() {
    let folder = stage::folder();
    let mut after = Cloud::default();
    let bad = bad(Kind::Key, 1, ACCOUNT, START, &mut after);
    let world = World::new(1, Faults::default(), Cloud::default());
    let engine = open(folder.path(), &world, stage::settings()).expect("opens");
    bad.consider(&engine).expect("is considered");
    stage::run(&engine, START + 3 * SECOND).expect("runs");
    assert_eq!(
        engine.counts().get("proposed"),
        Some(&1),
        "the key cannot be seen yet"
    );
    world.meddle(|cloud| *cloud = after);
    stage::run(&engine, START + MINUTE).expect("runs");
    assert!(bad.is_mended(&world.cloud()));
}

/// Two keys of one user: one resource.
fn two_keys(folder: &Path, settings: Settings) -> (World, Engine<World>, [Bad; 2]) {
    let mut cloud = Cloud::default();
    let one = bad(Kind::Key, 1, ACCOUNT, START - MINUTE, &mut cloud);
    let mut other = bad(Kind::Key, 1, ACCOUNT, START - MINUTE, &mut cloud);
    let key = "AKIA0000000000000002";
    other.event["responseElements"]["accessKey"]["accessKeyId"] = json!(key);
    other.event["eventID"] = json!("other");
    cloud
        .keys
        .insert(("user1".to_owned(), key.to_owned()), "Active".to_owned());
    let world = World::new(1, Faults::default(), cloud);
    let engine = open(folder, &world, settings).expect("opens");
    (world, engine, [one, other])
}

#[test]
fn a_resource_stays_locked_over_a_restart_and_is_not_taken_by_what_is_taken_back() {
    let folder = stage::folder();
    let is_over = Arc::new(AtomicBool::new(false));
    let ends = is_over.clone();
    let settings = Settings {
        ends_at: Some(Box::new(move |name| {
            name == "request.sent" && ends.load(Ordering::Relaxed)
        })),
        ..stage::settings()
    };
    let (world, engine, bads) = two_keys(folder.path(), settings);
    let first = bads[0].consider(&engine).expect("is considered")[0]
        .action
        .clone()
        .expect("is proposed");
    stage::run(&engine, START + MINUTE).expect("runs");
    let second = bads[1].consider(&engine).expect("is considered")[0]
        .action
        .clone()
        .expect("is proposed");
    is_over.store(true, Ordering::Relaxed);
    assert!(matches!(
        stage::run(&engine, START + 2 * MINUTE),
        Err(EngineFault::Ended(_))
    ));
    drop(engine);
    let engine = open(folder.path(), &world, stage::settings()).expect("opens");
    assert_eq!(
        engine.action(&second).expect("is there").state,
        State::Executing
    );
    engine.revert(&first, "alice", "no").expect("is reverted");
    let is_held = |id: &str| {
        let action = engine.action(id).expect("is there");
        let held = engine.book().may_send(&action, world.time());
        matches!(held, Err(Hold::Later(why, _)) if why.contains("at work"))
    };
    assert!(is_held(&first) && !is_held(&second));
    stage::run(&engine, START + HOUR).expect("runs");
    assert_eq!(
        engine.action(&second).expect("is there").state,
        State::Succeeded
    );
    assert!(matches!(
        engine.action(&first).expect("is there").state,
        State::Reverted(_)
    ));
}

#[test]
fn a_probe_that_is_refused_is_no_probe() {
    let folder = stage::folder();
    let (world, engine, bad) = one(Kind::Instance, folder.path());
    let id = bad.consider(&engine).expect("is considered")[0]
        .action
        .clone()
        .expect("is proposed");
    let faults = Faults {
        dropped: 1_000,
        ..Faults::default()
    };
    world.set_faults(faults);
    world.refuse_reads(&["ec2.DescribeSnapshots"]);
    stage::run(&engine, START + 30 * MINUTE).expect("runs");
    let state = engine.action(&id).expect("is there").state;
    assert!(matches!(state, State::NeedsHuman { .. }), "{state:?}");
    assert_eq!(world.cloud().snapshots.len(), 2, "one of each volume");
    // Whoever is asked takes longer than the action may: the time begins anew.
    world.set_faults(Faults::default());
    world.refuse_reads(&[]);
    world.pass(START + 20 * HOUR);
    engine
        .resolve(&id, "alice", Resolution::Done)
        .expect("is resolved");
    stage::run(&engine, START + 21 * HOUR).expect("runs");
    assert_eq!(
        engine.action(&id).expect("is there").state,
        State::Succeeded
    );
    assert!(bad.is_mended(&world.cloud()));
}

#[test]
fn what_cannot_begin_is_not_begun_when_nobody_thinks_of_it_any_more() {
    let folder = stage::folder();
    let (world, engine, bad) = one(Kind::Key, folder.path());
    bad.consider(&engine).expect("is considered");
    engine.turn().expect("is planned");
    assert_eq!(engine.counts().get("approved"), Some(&1));
    engine
        .switch(Scope::All, true, "alice", "stop")
        .expect("is switched");
    stage::run(&engine, START + 30 * HOUR).expect("runs");
    assert_eq!(
        engine.counts().get("expired"),
        Some(&1),
        "{:?}",
        engine.counts()
    );
    engine
        .switch(Scope::All, false, "alice", "go on")
        .expect("is switched");
    stage::run(&engine, START + 31 * HOUR).expect("runs");
    assert!(world.effects().is_empty());
}

#[test]
fn what_is_off_is_not_looked_at_all_the_time() {
    let mut cloud = Cloud::default();
    let bads: Vec<_> = (0..50)
        .map(|number| bad(Kind::Key, number + 1, ACCOUNT, START - MINUTE, &mut cloud))
        .collect();
    let world = World::new(1, Faults::default(), cloud);
    let folder = stage::folder();
    let engine = open(folder.path(), &world, stage::settings()).expect("opens");
    engine
        .switch(Scope::All, true, "alice", "stop")
        .expect("is switched");
    for bad in &bads {
        bad.consider(&engine).expect("is considered");
    }
    let mut turns = 0;
    loop {
        match engine.turn().expect("takes a turn") {
            Turn::Worked => turns += 1,
            Turn::IdleUntil(at) if at < START + 10 * MINUTE => world.pass(at),
            _ => break,
        }
    }
    assert!(turns <= 50 * 11, "{turns}");
    engine
        .switch(Scope::All, false, "alice", "go on")
        .expect("is switched");
    stage::run(&engine, world.time() + 5 * SECOND).expect("runs");
    assert!(
        bads.iter().all(|bad| bad.is_mended(&world.cloud())),
        "at once"
    );
}

#[test]
fn events_and_answers_of_hostile_sizes_stop_nothing() {
    let folder = stage::folder();
    let (world, engine, bad_key) = one(Kind::Key, folder.path());
    let mut long = bad_key.event.clone();
    long["requestParameters"]["more"] = json!("x".repeat(900_000));
    let (id, why) = consider(&engine, "long", bad_key.rule, &long);
    assert!(id.is_some() && why.is_none(), "{why:?}");
    long["requestParameters"]["more"] = json!("x".repeat(20_000_000));
    let (id, why) = consider(&engine, "longer", bad_key.rule, &long);
    assert!(id.is_none() && why.is_some());
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let finding = stage::finding("deep", bad_key.rule, &json!({"eventID": "deep"}));
    let considered = engine
        .consider(&finding, deep.as_bytes())
        .expect("is considered");
    assert!(considered[0].action.is_none());
    stage::run(&engine, START + HOUR).expect("runs");
    assert!(bad_key.is_mended(&world.cloud()));
    let kept = engine
        .book()
        .actions()
        .map(|one| one.proposal.event.to_string().len())
        .max();
    assert!(
        kept <= Some(4),
        "the event is kept no longer than it is needed"
    );
}

#[test]
fn after_the_journal_failed_nothing_is_sent() {
    let folder = stage::folder();
    let inner = folder.path().join("journal");
    let (world, engine, bad) = one(Kind::Key, &inner);
    bad.consider(&engine).expect("is considered");
    // Until the file is full; the next one cannot be made, as its folder is gone.
    let reason = "x".repeat(8_000_000);
    for _ in 0..8 {
        engine
            .switch(Scope::Policy("none".to_owned()), true, "alice", &reason)
            .expect("is switched");
    }
    fs::remove_dir_all(&inner).expect("is removed");
    assert!(
        engine
            .switch(Scope::Policy("none".to_owned()), true, "alice", &reason)
            .is_err()
    );
    for _ in 0..20 {
        assert!(!matches!(engine.turn(), Ok(Turn::Worked)) || world.begun().is_empty());
        world.pass(world.time() + MINUTE);
    }
    assert!(world.begun().is_empty());
    assert!(
        bad.consider(&engine).is_err(),
        "what is known may not be on the disk"
    );
    assert!(engine.checkpoint().is_err());
}

#[test]
fn a_clock_that_is_turned_back_ends_nothing() {
    for seed in 0..10 {
        let mut cloud = Cloud::default();
        let bads: Vec<_> = (0..3)
            .map(|number| bad(Kind::Key, number + 1, ACCOUNT, START - MINUTE, &mut cloud))
            .collect();
        let world = World::new(seed, Faults::ALL, cloud);
        let folder = stage::folder();
        let engine = open(folder.path(), &world, stage::settings()).expect("opens");
        for (number, bad) in bads.iter().enumerate() {
            bad.consider(&engine).expect("is considered");
            stage::run(&engine, world.time() + number as i64 * SECOND).expect("runs");
            world.turn_clock_back(HOUR / 2);
        }
        stage::run(&engine, START + 6 * HOUR).expect("runs");
        let counts = engine.counts();
        // What is read of a while ago may be of long ago, then.
        let of = |state: &str| counts.get(state).copied().unwrap_or(0);
        assert_eq!(of("succeeded") + of("drifted"), 3, "{counts:?}");
        assert!(
            bads.iter().all(|bad| bad.is_mended(&world.cloud())),
            "{counts:?}"
        );
        drop(engine);
        assert_eq!(folded(folder.path()).actions().count(), 3);
    }
}

#[test]
fn what_is_to_be_taken_back_and_cannot_be_is_left_in_peace() {
    let folder = stage::folder();
    let (world, engine, _) = one(Kind::Key, folder.path());
    world.meddle(|cloud| {
        drop(cloud.keys.insert(
            ("user1".to_owned(), format!("AKIA{:016X}", 1)),
            "Inactive".to_owned(),
        ))
    });
    let text = r#"
[remediation.delete]
version = "1.0.0"
description = "Keys are deleted."
runbook = "https://runbooks.example.com/key"
owner = "cloud"
on_finding = ["key.made"]
action = "aws.lambda.stop_invocations"
stage = { mode = "auto" }
limits = { per_policy = { max = 9, window = "1m" }, per_account = { max = 9, window = "1m" } }
execution = { release_after = "1m", verify = { then_recheck = ["5m"] } }
"#;
    engine.set_policies(policies_of(text));
    let bad = {
        let mut made = None;
        world.meddle(|cloud| made = Some(bad(Kind::Function, 3, ACCOUNT, START - MINUTE, cloud)));
        made.expect("is made")
    };
    consider(&engine, "one", "key.made", &bad.event);
    stage::run(&engine, START + HOUR).expect("runs");
    // Released after a minute, as it can be.
    assert_eq!(
        engine.counts().get("reverted"),
        Some(&1),
        "{:?}",
        engine.counts()
    );
    assert_eq!(world.cloud().functions["function3"], None);
}

#[test]
fn guardrails_know_what_is_meant_by_names() {
    let text = r#"
[remediation.contain]
version = "1.0.0"
description = "Roles are denied everything."
runbook = "https://runbooks.example.com/role"
owner = "cloud"
on_finding = ["role.bad"]
when = "true"
action = "aws.iam.revoke_role_sessions"
stage = { mode = "approve" }
[remediation.encrypt]
version = "1.0.0"
description = "Volumes are encrypted."
runbook = "https://runbooks.example.com/ebs"
owner = "cloud"
on_finding = ["account.bad"]
when = "true"
action = "aws.ec2.enable_ebs_encryption"
"#;
    let name = tripline_remediation::action::Action::all()
        .iter()
        .map(|one| one.name())
        .find(|name| name.contains("sessions"));
    let encrypt = tripline_remediation::action::Action::all()
        .iter()
        .map(|one| one.name())
        .find(|name| name.contains("encryption"));
    let text = text.replace("aws.iam.revoke_role_sessions", name.expect("is there"));
    let policies =
        policies_of(&text.replace("aws.ec2.enable_ebs_encryption", encrypt.expect("is there")));
    let protected = Protected {
        own_roles: vec!["arn:aws:iam::*:role/security/tripline".to_owned()],
        arns: vec!["arn:aws:iam::*:role/ops/break-glass-*".to_owned()],
        ..Protected::default()
    };
    let refusal = |role: &str, is_read: bool| {
        let more = json!({"readOnly": is_read, "requestParameters": {"roleName": role},
            "userIdentity": {"type": "AssumedRole", "accountId": ACCOUNT,
                "arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/me"),
                "sessionContext": {"sessionIssuer": {"type": "Role", "userName": role, "arn": format!("arn:aws:iam::{ACCOUNT}:role/{role}")}}}});
        let event = crate::world::event("iam.amazonaws.com", "GetRole", START, ACCOUNT, more);
        let finding = stage::finding("role", "role.bad", &event);
        let mut all = propose(
            &policies,
            &protected,
            &finding,
            event.to_string().as_bytes(),
            START,
        );
        let one = all.remove(0);
        one.proposal.expect("is proposed");
        one.refusal
    };
    for role in [
        "AWSServiceRoleForSupport",
        "AWSReservedSSO_Admin_0123",
        "OrganizationAccountAccessRole",
        "tripline",
        "break-glass-1",
    ] {
        assert!(
            refusal(role, false).is_some_and(|why| why.starts_with("protected")),
            "{role}"
        );
    }
    assert_eq!(refusal("other", false), None);
    assert_eq!(
        refusal("other", true),
        None,
        "who reads with stolen credentials is contained"
    );
    // An account as a whole has the ARN of its root user, and is not it.
    let event = crate::world::event(
        "ec2.amazonaws.com",
        "DisableEbsEncryptionByDefault",
        START,
        ACCOUNT,
        json!({"requestParameters": {}}),
    );
    let finding = stage::finding("account", "account.bad", &event);
    let all = propose(
        &policies,
        &protected,
        &finding,
        event.to_string().as_bytes(),
        START,
    );
    assert!(all[0].proposal.is_ok(), "{:?}", all[0].proposal);
    assert_eq!(all[0].refusal, None);
}
