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

/// The next of a row of numbers that look like chance, below a bound.
fn chance(seed: &mut u64, below: u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed % below
}

/// Agrees to all that waits for people.
fn agree(service: &Service, seed: &str) {
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
        let lives = Duration::from_millis(chance(&mut row, 700));
        let since = Instant::now();
        while since.elapsed() < lives {
            agree(&service, &seed);
            thread::sleep(Duration::from_millis(10).min(lives.saturating_sub(since.elapsed())));
        }
        service.kill();
    }
    ground.proxy.trouble(0, 0);
    let service = ground.start();
    service.wait_considered();
    // One action for each, and none that failed.
    let wanted = json!({ "succeeded": made.len() });
    service.wait_until(&format!("all is {wanted}"), || {
        agree(&service, &seed);
        service.get("/v1/remediation")["states"] == wanted
    });

    for (name, tag) in &made {
        let good = match *name {
            "ingress" => json!(["tcp 443-443 10.0.0.0/8"]),
            "access_key" => json!(["Inactive"]),
            _ => json!({ "groups": ["quarantine"], "volumes": 1, "snapshots": 1, "tagged": 1 }),
        };
        assert_eq!(ground.moto.get(name, tag), good, "{tag}");
    }
    planned(&service, &ground);
    let mut done: BTreeMap<(String, String), u32> = BTreeMap::new();
    for one in ground.proxy.done() {
        *done.entry((one.operation, one.session)).or_default() += 1;
    }
    let mut twice = BTreeMap::<&str, u32>::new();
    for ((operation, session), count) in &done {
        let is_set = matches!(
            operation.as_str(),
            "iam.UpdateAccessKey" | "ec2.ModifyNetworkInterfaceAttribute"
        );
        assert!(
            *count == 1 || is_set,
            "{operation} was done {count} times by {session}"
        );
        *twice.entry(operation).or_default() += count - 1;
    }
    let whole = ground.verify();
    println!(
        "{kills} kills, {} actions, {} requests, {} of them changed something; set again: {twice:?}; {:?}; {whole}",
        made.len(),
        ground.proxy.count(),
        ground.proxy.done().len(),
        begun.elapsed()
    );
}
