//! How far actions go by themselves, who may let them, how they are stopped, and policies that change.

use super::proxy::Does;
use super::{Ground, Policy, Service};
use serde_json::{Value, json};
use std::thread;
use std::time::Duration;

const OPENED: (&str, &str) = ("ec2", "AuthorizeSecurityGroupIngress");
const CLOSED: &[&str] = &["tcp 443-443 10.0.0.0/8"];

/// A group is opened, and the service told.
fn open(ground: &Ground, service: &Service, tag: &str) -> Value {
    let event = ground.moto.set("ingress", tag);
    service.publish(&[event.to_string()]);
    event
}

/// Nothing is done for a while.
fn still(ground: &Ground) {
    let before = ground.proxy.done().len();
    thread::sleep(Duration::from_millis(700));
    assert_eq!(ground.proxy.done().len(), before, "nothing is done");
}

#[test]
fn each_goes_as_far_as_it_is_let() {
    let policies = [
        Policy {
            mode: "dry_run",
            ..Policy::auto("ingress", "aws.ec2.revoke_ingress_rule", OPENED)
        },
        Policy {
            mode: "approve",
            more: "[remediation.trail.approval]\nquorum = 1\n",
            ..Policy::auto(
                "trail",
                "aws.cloudtrail.start_logging",
                ("cloudtrail", "StopLogging"),
            )
        },
        Policy {
            mode: "veto",
            more: "[remediation.event_rule.approval]\nveto_window = \"1s\"\n",
            ..Policy::auto(
                "event_rule",
                "aws.events.enable_rule",
                ("events", "DisableRule"),
            )
        },
        Policy {
            cap: 3,
            ..Policy::auto(
                "access_key",
                "aws.iam.deactivate_access_key",
                ("iam", "CreateAccessKey"),
            )
        },
        Policy {
            within: "1s",
            more: "[remediation.version.params]\ngood_version_id = '\"v1\"'\n",
            ..Policy::auto(
                "version",
                "aws.iam.restore_policy_version",
                ("iam", "CreatePolicyVersion"),
            )
        },
        Policy {
            mode: "approve",
            settings: "allow_irreversible = true",
            more: "[remediation.dead_key.approval]\nquorum = 2\n",
            ..Policy::auto(
                "dead_key",
                "aws.iam.delete_access_key",
                ("iam", "CreateAccessKey"),
            )
        },
        Policy::auto(
            "trust",
            "aws.iam.restore_trust_policy",
            ("iam", "UpdateAssumeRolePolicy"),
        ),
    ];
    let count = policies.len();
    let ground = Ground::new("remediation-stages", &policies);
    // The policy that belongs to this file is off, the others are in force.
    let mistaken =
        "[remediation.mistaken]\nversion = \"1.0.0\"\naction = \"aws.ec2.reboot_moon\"\n";
    ground.folder.file("policies/mistaken.toml", mistaken);
    let alice = ground.approver("alice", "arn:aws:iam::123456789012:user/alice");
    let carol = ground.approver("carol", "arn:aws:iam::123456789012:user/carol");
    let mallory = ground.approver("mallory", "arn:aws:iam::123456789012:user/mallory");
    let (moto, proxy) = (&ground.moto, &ground.proxy);
    let service = ground.start();
    let told = service.told();
    assert!(told.contains("mistaken.toml"), "{told}");
    let status = service.get("/v1/remediation");
    let policies = status["policies"].as_array().expect("a list");
    assert_eq!(policies.len(), count);

    // Dry run: a plan, and nothing else.
    open(&ground, &service, "dry");
    let id = service.wait_for("ingress", "dry_run");
    let shown = service.good(&["remediate", "show", &id]);
    assert!(shown.contains("ec2.RevokeSecurityGroupIngress"), "{shown}");
    still(&ground);
    assert_eq!(proxy.done().len(), 0);
    assert_eq!(moto.get("ingress", "dry").as_array().map(Vec::len), Some(2));

    // Approve: it waits for somebody who is not the one whose deed it answers.
    let event = moto.set("trail", "stopped");
    service.publish(&[event.to_string()]);
    let id = service.wait_for("trail", "awaiting_approval");
    let listed = service.good(&["approvals", "list"]);
    assert!(listed.contains(&id), "{listed}");
    let shown = service.good(&["approvals", "show", &id]);
    assert!(shown.contains("plan hash"), "{shown}");
    let refused = |ran: crate::harness::Ran, why: &str| {
        assert_eq!(ran.code, 2, "{}", ran.stdout);
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
    };
    refused(
        service.vote(&id, "mallory", &mallory),
        "`mallory` did what this answers",
    );
    refused(
        service.vote(&id, "alice", &mallory),
        "the signature is not that of `alice`",
    );
    refused(
        service.vote(&id, "nobody", &alice),
        "no approver is called `nobody`",
    );
    let other = "0".repeat(64);
    let vote = ["approvals", "vote", &id, "--approve", "--name", "alice"];
    let more = [
        "--key-file",
        &alice,
        "--reason",
        "a test",
        "--plan-hash",
        &other,
    ];
    refused(
        service.command(&[&vote[..], &more].concat()),
        "on another plan",
    );
    still(&ground);
    assert_eq!(moto.get("trail", "stopped"), json!(false));
    let voted = service.vote(&id, "alice", &alice);
    assert_eq!(voted.code, 0, "{}", voted.stderr);
    service.wait_state(&id, "succeeded");
    assert_eq!(moto.get("trail", "stopped"), json!(true));
    assert_eq!(proxy.by_action(&id), ["cloudtrail.StartLogging"]);

    unknown(&ground, &service, [&alice, &carol]);
    veto(&ground, &service);
    bounds(&ground, &service);
    reload(&ground, &service);
    stopped(&ground, &service);
    dry_run(&ground, &service);
    restarted(&ground, service);
    ground.verify();
}

/// The command plans with the state as it is, and changes nothing.
fn dry_run(ground: &Ground, service: &Service) {
    let path = ground.folder.path();
    let event = ground.moto.set("ingress", "asked");
    let file = ground.folder.file("trail.jsonl", event.to_string());
    let (rules, policies) = (format!("{path}/rules"), format!("{path}/policies"));
    let before = ground.proxy.done().len();
    let asked = [
        "remediate",
        "dry-run",
        "--rules",
        &rules,
        "--policies",
        &policies,
        "--endpoint",
        &ground.proxy.url(),
        &file,
    ];
    let ran = crate::harness::tripline(&asked)
        .env("AWS_ACCESS_KEY_ID", &ground.moto.key.id)
        .env("AWS_SECRET_ACCESS_KEY", &ground.moto.key.secret)
        .output();
    let ran: crate::harness::Ran = ran.expect("the binary runs").into();
    // One of the policies has a mistake.
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("ec2.RevokeSecurityGroupIngress"),
        "{}",
        ran.stdout
    );
    assert_eq!(ground.proxy.done().len(), before);
    assert!(
        service
            .newest("ingress")
            .is_some_and(|one| one["state"] == "succeeded")
    );
}

/// What stops everything stops it from the first moment on, and no longer than it is meant to.
fn restarted(ground: &Ground, service: Service) {
    let path = format!("{}/stop", ground.folder.path());
    let off = |service: &Service| service.get("/v1/remediation")["off"].clone();
    let policy = ["--policy", "ingress", "--by", "bob", "--reason", "a test"];
    service.good(&[&["remediate", "off"], &policy[..]].concat());
    open(ground, &service, "waits");
    service.wait_considered();
    service.kill();
    std::fs::write(&path, "").expect("written");

    // The file was put there while nobody ran.
    let service = ground.start();
    service.wait_until("the file is seen", || {
        off(&service).as_array().map(Vec::len) == Some(2)
    });
    service.good(&[&["remediate", "on"], &policy[..]].concat());
    still(ground);
    let waits = ground.moto.get("ingress", "waits");
    assert_eq!(waits.as_array().map(Vec::len), Some(2));
    service.kill();
    std::fs::remove_file(&path).expect("removed");

    // And taken away so.
    let service = ground.start();
    service.wait_for("ingress", "succeeded");
    assert_eq!(ground.moto.get("ingress", "waits"), json!(CLOSED));
    service.wait_until("nothing is off", || off(&service) == json!([]));

    // What a person switched off the file does not switch on.
    service.good(&["remediate", "off", "--by", "bob", "--reason", "a person"]);
    std::fs::write(&path, "").expect("written");
    still(ground);
    std::fs::remove_file(&path).expect("removed");
    still(ground);
    assert_eq!(off(&service)[0]["reason"], "a person");
}

/// What cannot be taken back needs two, and when its answer is lost nobody but a person knows how to go on.
fn unknown(ground: &Ground, service: &Service, [alice, carol]: [&str; 2]) {
    let (moto, proxy, name) = (&ground.moto, &ground.proxy, "dead_key");
    service.publish(&[moto.set(name, "dead").to_string()]);
    let id = service.wait_for(name, "awaiting_approval");
    assert_eq!(service.vote(&id, "alice", alice).code, 0);
    assert_eq!(service.vote(&id, "alice", alice).code, 2, "not twice");
    still(ground);
    proxy.on("iam.DeleteAccessKey", 1, Does::DropAnswer);
    assert_eq!(service.vote(&id, "carol", carol).code, 0);
    service.wait_state(&id, "needs_human");
    still(ground);
    service.good(&["remediate", "resolve", &id, "done", "--by", "bob"]);
    service.wait_state(&id, "succeeded");
    assert_eq!(proxy.by_action(&id), ["iam.DeleteAccessKey"]);
    assert_eq!(moto.get(name, "dead"), json!([]));
    let nobody = r#"{"scope":"all","off":true,"by":" ","reason":"x"}"#;
    let (status, text) = service
        .post("/v1/remediation/switch", nobody)
        .expect("an answer");
    assert_eq!(status, 400, "{text}");
}

/// It is done when nobody objects in time, and not when somebody takes it away.
fn veto(ground: &Ground, service: &Service) {
    let (moto, name) = (&ground.moto, "event_rule");
    service.publish(&[moto.set(name, "vetoed").to_string()]);
    let id = service.wait_for(name, "veto_window");
    service.good(&[
        "remediate",
        "cancel",
        &id,
        "--by",
        "bob",
        "--reason",
        "ours",
    ]);
    service.publish(&[moto.set(name, "let-be").to_string()]);
    let done = service.wait_for(name, "succeeded");
    assert_ne!(done, id);
    assert_eq!(moto.get(name, "let-be"), "ENABLED");
    assert_eq!(moto.get(name, "vetoed"), "DISABLED");
    service.wait_state(&id, "canceled");
}

/// No more than a cap allows, nothing whose past is unknown, and nothing stays that cannot be seen to have worked.
fn bounds(ground: &Ground, service: &Service) {
    let (moto, proxy) = (&ground.moto, &ground.proxy);
    let tags: Vec<String> = (0..10).map(|number| format!("key-{number}")).collect();
    let events = tags
        .iter()
        .map(|tag| moto.set("access_key", tag).to_string());
    service.publish(&events.collect::<Vec<_>>());
    let count = |state: &str| {
        let actions = service.actions();
        let keys = actions.iter().filter(|one| one["policy"] == "access_key");
        keys.filter(|one| one["state"] == state).count()
    };
    service.wait_until("three are done", || {
        (count("succeeded"), count("deferred")) == (3, 7)
    });
    still(ground);
    let off = tags.iter().map(|tag| moto.get("access_key", tag));
    assert_eq!(off.filter(|one| one == &json!(["Inactive"])).count(), 3);
    let done = proxy.done();
    let set = done
        .iter()
        .filter(|one| one.operation == "iam.UpdateAccessKey");
    assert_eq!(set.count(), 3);

    service.publish(&[moto.set("trust", "strange").to_string()]);
    let id = service.wait_for("trust", "unplannable");
    assert_eq!(proxy.by_action(&id), Vec::<String>::new());

    // Whoever asks is told what was true before.
    proxy.on("iam.GetPolicy", 1, Does::Stale(Duration::from_secs(60)));
    service.publish(&[moto.set("version", "unseen").to_string()]);
    let id = service.wait_for("version", "rolled_back");
    let set = "iam.SetDefaultPolicyVersion";
    assert_eq!(proxy.by_action(&id), [set, set]);
    assert_eq!(moto.get("version", "unseen"), "v2");
}

/// A policy that changed is in force when it was read again; what was proposed under the old one stays under it.
fn reload(ground: &Ground, service: &Service) {
    let policy = Policy::auto("ingress", "aws.ec2.revoke_ingress_rule", OPENED);
    ground.folder.file("policies/ingress.toml", policy.text());
    let (status, text) = service.post("/v1/reload", "").expect("it answers");
    assert_eq!(status, 200, "{text}");
    open(ground, service, "reloaded");
    service.wait_for("ingress", "succeeded");
    assert_eq!(ground.moto.get("ingress", "reloaded"), json!(CLOSED));
    let dry = ground.moto.get("ingress", "dry");
    assert_eq!(dry.as_array().map(Vec::len), Some(2));
}

/// By the file, by the switch of everything, of a policy and of an account.
fn stopped(ground: &Ground, service: &Service) {
    let path = format!("{}/stop", ground.folder.path());
    let by = ["--by", "bob", "--reason", "a test"];
    let ways: [&[&str]; 4] = [
        &[],
        &["--policy", "ingress"],
        &["--account", "123456789012"],
        &["file"],
    ];
    for (number, way) in ways.into_iter().enumerate() {
        let tag = format!("switched-{number}");
        let is_file = way == ["file"];
        let is_off = || {
            let status = service.get("/v1/remediation");
            status["off"].as_array().is_some_and(|off| !off.is_empty())
        };
        match is_file {
            true => std::fs::write(&path, "").expect("written"),
            false => {
                service.good(&[&["remediate", "off"], way, &by].concat());
            }
        }
        service.wait_until("it is off", is_off);
        open(ground, service, &tag);
        service.wait_considered();
        still(ground);
        assert_eq!(
            ground.moto.get("ingress", &tag).as_array().map(Vec::len),
            Some(2)
        );
        match is_file {
            true => std::fs::remove_file(&path).expect("removed"),
            false => {
                service.good(&[&["remediate", "on"], way, &by].concat());
            }
        }
        service.wait_until("it is on", || !is_off());
        service.wait_for("ingress", "succeeded");
        assert_eq!(ground.moto.get("ingress", &tag), json!(CLOSED));
    }
}
