//! The service is killed again and again while actions run through a proxy that loses answers, resets connections and dawdles.
//! Whatever the journal says: what the emulator tells and what the proxy counted decides whether anything was lost or doubled.

use super::scenarios::planned;
use super::{Ground, Policy, Service};
use serde_json::json;
use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};
use tripline_remediation::vote::{Decision, Vote};

/// Kills of a run of the suite; more in `TRIPLINE_CRASHES`.
const KILLS: u64 = 25;

/// Requests of a hundred that are troubled.
const TROUBLE: u32 = 35;

/// The rule of a group that stays.
const INSIDE: &str = "tcp 443-443 10.0.0.0/8";

/// The next of a row of numbers that look like chance, below a bound.
fn chance(seed: &mut u64, below: u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed % below
}

/// Agrees to all that waits for people.
pub(super) fn agree(service: &Service, seed: &str) {
    let Some(waiting) = service.try_actions("awaiting_approval") else {
        return;
    };
    for one in waiting {
        let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
        let vote = Vote {
            action: text("id"),
            plan_hash: text("plan_hash"),
            decision: Decision::Approve,
            reason: "a test".to_owned(),
            approver: "alice".to_owned(),
            nonce: format!("{:0>32}", text("id")),
            not_after: jiff::Timestamp::now().as_microsecond() + 60_000_000,
            break_glass: false,
        };
        let signed = vote.sign(seed.trim()).expect("it can be signed");
        // It may be gone, or somebody was faster.
        service.post("/v1/remediation/votes", json!(signed).to_string());
    }
}

#[test]
fn nothing_is_lost_or_doubled_however_often_it_is_killed() {
    let kills = std::env::var("TRIPLINE_CRASHES").ok();
    let kills = kills.map_or(KILLS, |text| text.parse().expect("a number of kills"));
    let policies = [
        Policy::auto(
            "ingress",
            "aws.ec2.revoke_ingress_rule",
            ("ec2", "AuthorizeSecurityGroupIngress"),
        ),
        Policy::auto(
            "access_key",
            "aws.iam.deactivate_access_key",
            ("iam", "CreateAccessKey"),
        ),
        Policy {
            more: "[remediation.instance.params]\nquarantine_group = 'event.requestParameters.quarantine'\n",
            ..Policy::auto(
                "instance",
                "aws.ec2.isolate_instance",
                ("ec2", "ModifyInstanceAttribute"),
            )
        },
    ];
    // A check that gets no answer in time counts as one that fails, and here many get none.
    let policies = policies.map(|policy| Policy {
        within: "10m",
        ..policy
    });
    let ground = Ground::new("remediation-crashes", &policies);
    let seed = ground.approver("alice", "arn:aws:iam::123456789012:user/alice");
    let seed = std::fs::read_to_string(seed).expect("a seed");
    let begun = Instant::now();
    let mut row = 0x2545_f491_4f6c_dd1d ^ kills;
    ground.proxy.trouble(TROUBLE, row);
    let mut made: Vec<(&str, String)> = Vec::new();
    for number in 0..kills {
        let service = ground.start();
        let mut events: Vec<String> = Vec::new();
        let names = ["ingress", "access_key", "instance"];
        for name in &names[..if number % 2 == 0 { 3 } else { 2 }] {
            let tag = format!("{}-{number}", name.replace('_', "-"));
            events.push(ground.moto.set(name, &tag).to_string());
            made.push((*name, tag));
        }
        service.publish(&events);
        lived(service, &mut row, |service| agree(service, &seed));
    }
    // One action for each, and none that failed.
    let all = made.len();
    quiet(&ground, "succeeded", all, |service| agree(service, &seed));
    for (name, tag) in &made {
        let good = match *name {
            "ingress" => json!([INSIDE]),
            "access_key" => json!(["Inactive"]),
            _ => json!({ "groups": ["quarantine"], "volumes": 1, "snapshots": 1, "tagged": 1 }),
        };
        assert_eq!(ground.moto.get(name, tag), good, "{tag}");
    }
    let forth = ground.proxy.done().len();
    let set = once(&ground, 0);

    ground.proxy.trouble(TROUBLE, row);
    let backs = kills / 3;
    for _ in 0..backs {
        let service = ground.start();
        take_back(&service, all / backs as usize);
        lived(service, &mut row, |_| {});
    }
    quiet(&ground, "reverted", all, |service| take_back(service, all));
    for (name, tag) in &made {
        let bad = match *name {
            "ingress" => json!(["tcp 22-22 0.0.0.0/0 for later", INSIDE]),
            "access_key" => json!(["Active"]),
            _ => {
                let groups = [format!("work-{tag}")];
                json!({ "groups": groups, "volumes": 1, "snapshots": 0, "tagged": 0 })
            }
        };
        assert_eq!(ground.moto.get(name, tag), bad, "{tag}");
    }
    let set_back = once(&ground, forth);
    let whole = ground.verify();
    println!(
        "{} kills, {all} actions, {} requests, {} of them changed something; set again: {set:?}, back: {set_back:?}; {:?}; {whole}",
        kills + backs,
        ground.proxy.count(),
        ground.proxy.done().len(),
        begun.elapsed()
    );
}

/// Has a service live for a while, and kills it; now and then it is asked to end, which it does.
fn lived(service: Service, row: &mut u64, does: impl Fn(&Service)) {
    let lives = Duration::from_millis(chance(row, 700));
    let since = Instant::now();
    while since.elapsed() < lives {
        does(&service);
        thread::sleep(Duration::from_millis(10).min(lives.saturating_sub(since.elapsed())));
    }
    match chance(row, 6) {
        0 => assert_eq!(service.terminate(), Some(0)),
        _ => service.kill(),
    }
}

/// Nothing is troubled any more, and everything comes to rest in one state.
fn quiet(ground: &Ground, state: &str, count: usize, does: impl Fn(&Service)) {
    ground.proxy.trouble(0, 0);
    let service = ground.start();
    service.wait_considered();
    let wanted = json!({ state: count });
    service.wait_until(&format!("all is {wanted}"), || {
        does(&service);
        service.get("/v1/remediation")["states"] == wanted
    });
    planned(&service, ground);
}

/// Asks for some of what was done to be taken back.
fn take_back(service: &Service, count: usize) {
    let done = service.try_actions("succeeded").unwrap_or_default();
    for one in done.iter().take(count) {
        let path = format!(
            "/v1/remediation/actions/{}/revert",
            one["id"].as_str().expect("an id")
        );
        // It may be gone.
        service.post(&path, r#"{"by":"bob","reason":"a test"}"#);
    }
}

/// That nothing was done twice, of the requests from one on, but for what may be set again and again; how often that was.
pub(super) fn once(ground: &Ground, from: usize) -> BTreeMap<String, u32> {
    let mut done: BTreeMap<(String, String), u32> = BTreeMap::new();
    for one in ground.proxy.done().into_iter().skip(from) {
        *done.entry((one.operation, one.session)).or_default() += 1;
    }
    let mut again = BTreeMap::<String, u32>::new();
    for ((operation, session), count) in done {
        let is_set = matches!(
            operation.as_str(),
            "iam.UpdateAccessKey" | "ec2.ModifyInstanceAttribute"
        );
        assert!(
            count == 1 || is_set,
            "{operation} was done {count} times by {session}"
        );
        *again.entry(operation).or_default() += count - 1;
    }
    again
}
