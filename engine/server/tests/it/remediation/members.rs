//! Three processes that share the work, with one journal on a server of NATS: whoever acts is killed, stopped and cut off. What
//! the emulator tells and what the proxies counted decides whether anything was lost or doubled.

use super::crashes::{agree, once};
use super::scenarios::planned;
use super::{Ground, Policy, Service};
use crate::launcher::{NatsServer, Place};
use crate::serve::nats::ask;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tripline_bus::nats::{
    ConnectSettings, LedgerSettings, Login, NatsConnection, NatsLedger, StreamSettings, Tls,
};
use tripline_core::port::{Ledger, Sequence};
use tripline_remediation::shadow::Shadow;
use tripline_remediation::vote::{Decision, Vote};

const MEMBERS: usize = 3;

/// The line between a member and the server, which can be cut: then nothing comes through, and nobody is told.
struct Line {
    address: SocketAddr,
    inner: Arc<Cut>,
}

#[derive(Default)]
struct Cut {
    is_cut: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

impl Line {
    fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("it has an address");
        let inner = Arc::new(Cut::default());
        let serving = Arc::clone(&inner);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else {
                    continue;
                };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
                        continue;
                    };
                    let cut = Arc::clone(&serving);
                    thread::spawn(move || carry(from, to, &cut));
                }
                let mut streams = serving
                    .streams
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                streams.extend([near, far]);
            }
        });
        Self { address, inner }
    }

    fn cut(&self, is_cut: bool) {
        self.inner.is_cut.store(is_cut, Ordering::SeqCst);
        if !is_cut {
            // What was held back is lost with its connections.
            let mut streams = self
                .inner
                .streams
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            for stream in streams.drain(..) {
                // It may have ended already.
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
        }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, cut: &Cut) {
    let mut bytes = [0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        while cut.is_cut.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
        if to.write_all(&bytes[..count]).is_err() {
            return;
        }
    }
}

/// Members and what is between them.
struct Several {
    ground: Ground,
    server: NatsServer,
    lines: Vec<Line>,
    running: Vec<Option<Service>>,
    _place: Place,
}

impl Several {
    fn new(name: &str, policies: &[Policy<'_>]) -> Self {
        let place = Place::new(name);
        let server = NatsServer::start(place.path(), "");
        let ground = Ground::new(name, policies);
        let path = ground.folder.path();
        let base = std::fs::read_to_string(format!("{path}/tripline.toml")).expect("a file");
        let lines: Vec<Line> = (0..MEMBERS).map(|_| Line::to(server.port)).collect();
        for (number, line) in lines.iter().enumerate() {
            let own = format!("{path}/member-{number}");
            let mut config = base.clone();
            for name in ["data", "findings.jsonl", "stop", "checkpoints.jsonl"] {
                config =
                    config.replace(&format!("\"{path}/{name}\""), &format!("\"{own}/{name}\""));
            }
            let nats = format!(
                "[bus]\ntype = \"nats\"\n[nats]\nurls = [\"nats://{}\"]\npartitions = 4\npartition_by = \"eventID\"\n\
                 size_max_mib = 256\n[store]\nshared = true\nmember = \"member-{number}\"\n",
                line.address
            );
            let config = config.replace("[sinks.file]", &format!("{nats}[sinks.file]"));
            ground
                .folder
                .file(&format!("member-{number}/tripline.toml"), config);
        }
        let running = (0..MEMBERS).map(|_| None).collect();
        Self {
            ground,
            server,
            lines,
            running,
            _place: place,
        }
    }

    fn start(&mut self, member: usize) {
        let (path, key) = (self.ground.folder.path(), &self.ground.moto.key);
        let own = format!("{path}/member-{member}");
        self.running[member] = Some(Service::start_in(&own, &key.id, &key.secret));
    }

    fn start_all(&mut self) {
        (0..MEMBERS).for_each(|member| self.start(member));
    }

    fn service(&self, member: usize) -> &Service {
        self.running[member].as_ref().expect("it runs")
    }

    /// The member that acts, once there is one.
    fn acting(&self) -> usize {
        let begun = Instant::now();
        loop {
            let acting = (0..MEMBERS).find(|member| {
                let running = self.running[*member].as_ref();
                running.is_some_and(|one| one.get("/v1/remediation")["members"]["acts"] == true)
            });
            if let Some(acting) = acting {
                return acting;
            }
            assert!(begun.elapsed() < super::PATIENCE, "nobody acts");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes bad states and has a member hear of them.
    fn make(&self, number: u64, tell: usize, made: &mut Vec<(&'static str, String)>) {
        let mut events = Vec::new();
        for name in ["ingress", "access_key", "instance"] {
            let tag = format!("{}-{number}", name.replace('_', "-"));
            events.push(self.ground.moto.set(name, &tag).to_string());
            made.push((name, tag));
        }
        self.service(tell).publish(&events);
    }

    /// Waits until all actions have succeeded, and looks whether everything was done once.
    fn settle(&self, made: &[(&str, String)], seed: &str) {
        self.ground.proxy.trouble(0, 0);
        let wanted = json!({ "succeeded": made.len() });
        for member in 0..MEMBERS {
            let service = self.service(member);
            service.wait_until(&format!("all is {wanted} at {member}"), || {
                agree(service, seed);
                service.get("/v1/remediation")["states"] == wanted
            });
        }
        for (name, tag) in made {
            let good = match *name {
                "ingress" => json!(["tcp 443-443 10.0.0.0/8"]),
                "access_key" => json!(["Inactive"]),
                _ => json!({ "groups": ["quarantine"], "volumes": 1, "snapshots": 1, "tagged": 1 }),
            };
            assert_eq!(self.ground.moto.get(name, tag), good, "{tag}");
        }
        let again = once(&self.ground, 0);
        planned(self.service(0), &self.ground);
        println!(
            "{} actions, {} requests; set again: {again:?}",
            made.len(),
            self.ground.proxy.count()
        );
    }

    /// Ends all; the journals are whole and the same.
    fn verify(mut self) {
        for running in &mut self.running {
            let service = running.take().expect("it runs");
            assert_eq!(service.terminate(), Some(0));
        }
        let path = self.ground.folder.path();
        let mut texts = Vec::new();
        for member in 0..MEMBERS {
            let folder = format!("{path}/member-{member}/data/remediation");
            let ran = crate::harness::run(&["remediate", "audit", "verify", &folder]);
            assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
            println!(
                "member {member}: {}",
                ran.stdout.lines().next().unwrap_or_default()
            );
            let text = std::fs::read_to_string(format!("{folder}/journal-000000000001.jsonl"));
            texts.push(text.expect("a file"));
        }
        // As the server has it.
        let (config, copied) = (
            format!("{path}/member-0/tripline.toml"),
            format!("{path}/copied"),
        );
        let ran =
            crate::harness::run(&["remediate", "audit", "copy", "--config", &config, &copied]);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        let ran = crate::harness::run(&["remediate", "audit", "verify", &copied]);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        let text = std::fs::read_to_string(format!("{copied}/journal-000000000001.jsonl"));
        texts.push(text.expect("a file"));
        // Whoever ended first has not all of it.
        texts.sort_by_key(String::len);
        for text in &texts {
            assert!(texts[MEMBERS].starts_with(text.as_str()));
        }
    }
}

fn policies() -> [Policy<'static>; 3] {
    let all = [
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
    all.map(|policy| Policy {
        within: "10m",
        ..policy
    })
}

#[test]
fn whoever_acts_is_killed_and_stopped_and_cut_off_and_nothing_is_lost_or_doubled() {
    let mut several = Several::new("remediation-members", &policies());
    let seed = several
        .ground
        .approver("alice", "arn:aws:iam::123456789012:user/alice");
    let seed = std::fs::read_to_string(seed).expect("a seed");
    several.start_all();
    several.ground.proxy.trouble(20, 0x5eed_5eed);
    let mut made = Vec::new();
    for round in 0..6 {
        let acting = several.acting();
        let other = (acting + 1) % MEMBERS;
        several.make(round, other, &mut made);
        thread::sleep(Duration::from_millis(60 + round * 67 % 200));
        match round % 3 {
            0 => {
                several.running[acting].take().expect("it runs").kill();
                several.make(100 + round, other, &mut made);
                several.start(acting);
            }
            1 => {
                let pid = rustix::process::Pid::from_child(&several.service(acting).child);
                let signal = |signal| {
                    rustix::process::kill_process(pid, signal).expect("it can be signalled");
                };
                signal(rustix::process::Signal::STOP);
                let epoch = |member: usize| {
                    several.service(member).get("/v1/remediation")["members"]["epoch"].clone()
                };
                let before = epoch(other);
                several
                    .service(other)
                    .wait_until("another one takes over", || epoch(other) != before);
                let done = several.ground.proxy.done().len();
                several.make(100 + round, other, &mut made);
                signal(rustix::process::Signal::CONT);
                // It has found out when it answers again, and acts no more.
                several.service(acting).wait_until("it is fenced", || {
                    several.service(acting).get("/v1/remediation")["members"]["acts"] == false
                });
                assert!(several.ground.proxy.done().len() >= done);
            }
            _ => {
                several.lines[acting].cut(true);
                several.make(100 + round, other, &mut made);
                several.service(acting).wait_until("it is paused", || {
                    let status = several.service(acting).get("/v1/remediation");
                    !status["members"]["paused"].is_null()
                });
                let (service, epoch) = (several.service(other), |service: &Service| {
                    service.get("/v1/remediation")["members"]["actor"].clone()
                });
                let name = format!("member-{acting}-");
                service.wait_until("another one acts", || {
                    !epoch(service).as_str().expect("a name").starts_with(&name)
                });
                several.lines[acting].cut(false);
            }
        }
    }
    several.settle(&made, &seed);
    several.verify();
}

/// A vote for an action.
fn vote(service: &Service, id: &str, seed: &str) -> String {
    let action = service.get(&format!("/v1/remediation/actions/{id}"));
    let vote = Vote {
        action: id.to_owned(),
        plan_hash: action["plan_hash"].as_str().expect("a plan").to_owned(),
        decision: Decision::Approve,
        reason: "a test".to_owned(),
        approver: "alice".to_owned(),
        nonce: format!("{id:0>32}"),
        not_after: jiff::Timestamp::now().as_microsecond() + 60_000_000,
        break_glass: false,
    };
    json!(vote.sign(seed.trim()).expect("it can be signed")).to_string()
}

#[test]
fn any_member_takes_votes_and_switches_and_whoever_acts_heeds_them_at_once() {
    let [ingress, access_key, _] = policies();
    let asks = Policy {
        mode: "approve",
        ..ingress
    };
    let mut several = Several::new("remediation-votes", &[asks, access_key]);
    let path = several.ground.folder.path();
    for member in 0..MEMBERS {
        let own = format!("member-{member}/tripline.toml");
        let text = std::fs::read_to_string(format!("{path}/{own}")).expect("a file");
        let text = text.replace(
            "[remediation]\n",
            "[remediation]\nvotes_subject = \"votes\"\n",
        );
        several.ground.folder.file(&own, text);
    }
    let seed = several
        .ground
        .approver("alice", "arn:aws:iam::123456789012:user/alice");
    let seed = std::fs::read_to_string(seed).expect("a seed");
    several.start_all();
    let acting = several.acting();
    let other = several.service((acting + 1) % MEMBERS);
    // By HTTP at a member that does not act, and by a message, which any may get.
    let mut ids = Vec::new();
    for (number, tag) in ["votes-1", "votes-2"].iter().enumerate() {
        other.publish(&[several.ground.moto.set("ingress", tag).to_string()]);
        let id = other.wait_for("ingress", "awaiting_approval");
        let vote = vote(other, &id, &seed);
        match number {
            0 => {
                let (status, text) = other.post("/v1/remediation/votes", &vote).expect("answers");
                assert_eq!(status, 200, "{text}");
            }
            _ => {
                let answer = ask(&several.server, "votes", &vote).expect("is answered");
                // Whoever acts may be quicker than the answer.
                let state = answer["state"].as_str();
                assert!(matches!(state, Some("approved" | "executing")), "{answer}");
                let again = ask(&several.server, "votes", &vote).expect("is answered");
                assert_eq!(again["error"], "vote_refused", "{again}");
            }
        }
        other.wait_state(&id, "succeeded");
        ids.push(id);
    }
    let forged = ask(&several.server, "votes", "{\"vote\":1}").expect("is answered");
    assert_eq!(forged["error"], "bad_request", "{forged}");
    // Whoever acts sends nothing from a tenth of a second after the switch was acknowledged elsewhere. What it sent before that
    // may take the emulator longer.
    let mut latest = BTreeMap::new();
    for round in 0..5 {
        let scope = |off: bool| {
            json!({ "scope": "all", "off": off, "by": "bob", "reason": "a test" }).to_string()
        };
        let events: Vec<String> = (0..8)
            .map(|number| {
                let tag = format!("switched-{round}-{number}");
                several.ground.moto.set("access_key", &tag).to_string()
            })
            .collect();
        other.publish(&events);
        thread::sleep(Duration::from_millis(30 + round * 20));
        let begun = Instant::now();
        let (status, text) = other
            .post("/v1/remediation/switch", scope(true))
            .expect("answers");
        assert_eq!(status, 200, "{text}");
        println!("switched off within {:?}", begun.elapsed());
        // Twice as much again for the way from there to the proxy, on a machine that is busy with other tests.
        let since = Instant::now() + Duration::from_millis(300);
        thread::sleep(Duration::from_secs(1));
        let done = several.ground.proxy.done();
        let late: Vec<_> = done.iter().filter(|one| one.arrived > since).collect();
        assert!(late.is_empty(), "round {round}: {late:#?}");
        latest.insert(round, done.len());
        let (status, _) = other
            .post("/v1/remediation/switch", scope(false))
            .expect("answers");
        assert_eq!(status, 200);
        other.wait_until("all of it is done", || {
            let states = &other.get("/v1/remediation")["states"];
            states["succeeded"] == json!(2 + 8 * (round + 1))
        });
    }
    println!("done when it was switched off: {latest:?}");
    several.verify();
}

#[test]
fn whoever_acts_knows_what_others_saw_of_resources() {
    let policy = Policy::auto(
        "flow_logs",
        "aws.ec2.recreate_flow_logs",
        ("ec2", "DeleteFlowLogs"),
    );
    let mut several = Several::new("remediation-known", &[policy]);
    several.start_all();
    let mut acting = several.acting();
    let tags: Vec<String> = (0..8).map(|number| format!("flow-logs-{number}")).collect();
    let bad: Vec<String> = tags
        .iter()
        .map(|tag| several.ground.moto.set("flow_logs", tag).to_string())
        .collect();
    // Partitions are of all members, so each sees some of these.
    let past: Vec<String> = tags
        .iter()
        .map(|tag| several.ground.moto.again("past", tag).to_string())
        .collect();
    several.service(acting).publish(&past);
    let path = several.ground.folder.path();
    for member in 0..MEMBERS {
        let known = format!("{path}/member-{member}/data/remediation/known-events.jsonl");
        several
            .service(member)
            .wait_until("all of it is known", || {
                let text = std::fs::read_to_string(&known).unwrap_or_default();
                tags.iter().all(|tag| text.contains(tag.as_str()))
            });
    }
    for (round, half) in bad.chunks(4).enumerate() {
        if round == 1 {
            several.running[acting].take().expect("it runs").kill();
            several.start(acting);
            acting = several.acting();
        }
        several.service(acting).publish(half);
        several.service(acting).wait_until("all of it is done", || {
            let states = &several.service(acting).get("/v1/remediation")["states"];
            states["succeeded"] == json!(4 * (round + 1))
        });
    }
    for tag in &tags {
        assert_eq!(
            several.ground.moto.get("flow_logs", tag),
            json!(["REJECT"]),
            "{tag}"
        );
    }
    several.verify();
}

#[test]
fn the_file_on_any_machine_stops_all_and_goes_on_to_when_that_machine_is_gone() {
    let [_, access_key, _] = policies();
    let mut several = Several::new("remediation-file", &[access_key]);
    several.start_all();
    let (path, file) = (several.ground.folder.path(), |member: usize| {
        format!("member-{member}/stop")
    });
    let is_stopped = |service: &Service| {
        let status = service.get("/v1/remediation");
        let off = status["off"].as_array().expect("a list");
        off.iter().any(|one| one["scope"] == "kill_file")
    };
    let (mut done, mut is_acting) = (0, several.acting());
    // On the machine of whoever does not act, then of whoever does.
    for (round, away) in [1, 0].into_iter().enumerate() {
        let holds = (is_acting + away) % MEMBERS;
        let [first, second] = [1, 2].map(|more| (holds + more) % MEMBERS);
        several.ground.folder.file(&file(holds), "");
        for member in 0..MEMBERS {
            let service = several.service(member);
            service.wait_until("it is stopped", || is_stopped(service));
        }
        let before = several.ground.proxy.done().len();
        let tags: Vec<String> = (0..4)
            .map(|number| format!("filed-{round}-{number}"))
            .collect();
        let events: Vec<String> = tags
            .iter()
            .map(|tag| several.ground.moto.set("access_key", tag).to_string())
            .collect();
        several.service(first).publish(&events);
        let waits = json!({ "proposed": 4, "succeeded": done });
        let wait = |service: &Service| {
            service.wait_until("all of it is proposed", || {
                let mut states = service.get("/v1/remediation")["states"].clone();
                let states = states.as_object_mut().expect("an object");
                states.entry("succeeded").or_insert(json!(0));
                json!(states) == waits
            });
        };
        wait(several.service(first));
        several.running[holds].take().expect("it runs").kill();
        is_acting = several.acting();
        // It is missed: the others share its partitions, so nobody waits for it.
        for member in [first, second] {
            let service = several.service(member);
            service.wait_until("it is missed", || {
                let status = service.get("/v1/status");
                let mut others = status["others"].as_object().expect("all").keys();
                !others.any(|name| name.starts_with(&format!("member-{holds}-")))
            });
            assert!(is_stopped(service), "{member}");
            wait(service);
        }
        assert_eq!(several.ground.proxy.done().len(), before, "round {round}");
        // It begins again, with the file and without.
        several.start(holds);
        let service = several.service(holds);
        service.wait_until("it is stopped too", || is_stopped(service));
        wait(service);
        assert_eq!(several.ground.proxy.done().len(), before, "round {round}");
        std::fs::remove_file(format!("{path}/{}", file(holds))).expect("it was there");
        done += 4;
        service.wait_until("all of it is done", || {
            service.get("/v1/remediation")["states"] == json!({ "succeeded": done })
        });
        for tag in &tags {
            let status = several.ground.moto.get("access_key", tag);
            assert_eq!(status, json!(["Inactive"]), "{tag}");
        }
    }
    several.verify();
}

#[test]
fn whoever_begins_after_the_ledger_was_shortened_knows_what_was_kept() {
    let policy = Policy::auto(
        "flow_logs",
        "aws.ec2.recreate_flow_logs",
        ("ec2", "DeleteFlowLogs"),
    );
    let mut several = Several::new("remediation-kept", &[policy]);
    several.start(0);
    let tags = ["flow-logs-kept", "flow-logs-later"];
    let bad = tags.map(|tag| several.ground.moto.set("flow_logs", tag).to_string());
    let past = tags.map(|tag| several.ground.moto.again("past", tag));
    let ledger = known(several.server.port);
    let newest = || ledger.last().expect("is known").0;
    several.service(0).publish(&[past[0].to_string()]);
    several
        .service(0)
        .wait_until("it is told to all", || newest() > 0);
    // As whoever acts does when the ledger is long; another entry after it stays.
    let mut shadow = Shadow::default();
    assert!(shadow.fold(&past[0]), "{}", past[0]);
    let place = newest();
    let image = [format!("{place}\n").into_bytes(), shadow.to_bytes()].concat();
    let name = format!("known-{place:020}");
    ledger.keep(&name, &image).expect("is kept");
    several.service(0).publish(&[past[1].to_string()]);
    several
        .service(0)
        .wait_until("it is told to all", || newest() > place);
    ledger.purge(Sequence(place)).expect("is shortened");
    several.start(1);
    several.start(2);
    let path = several.ground.folder.path();
    for member in [1, 2] {
        let folder = format!("{path}/member-{member}/data/remediation");
        let text = |name: &str| std::fs::read_to_string(format!("{folder}/{name}"));
        assert!(text("known.json").expect("a file").contains("vpc-flow-log"));
        several
            .service(member)
            .wait_until("what came later is known", || {
                text("known-events.jsonl").is_ok_and(|text| text.contains("CreateFlowLogs"))
            });
    }
    // Whoever saw it itself is gone.
    several.running[0].take().expect("it runs").kill();
    let acting = several.acting();
    assert_ne!(acting, 0);
    several.service(acting).publish(&bad);
    several.service(acting).wait_until("all of it is done", || {
        let states = &several.service(acting).get("/v1/remediation")["states"];
        *states == json!({ "succeeded": 2 })
    });
    for tag in tags {
        let is = several.ground.moto.get("flow_logs", tag);
        assert_eq!(is, json!(["REJECT"]), "{tag}");
    }
    several.start(0);
    several.verify();
}

/// What members tell each other of resources.
fn known(port: u16) -> NatsLedger {
    let login = ConnectSettings {
        urls: vec![format!("nats://127.0.0.1:{port}")],
        login: Login::None,
        tls: Tls::default(),
        name: "a test".to_owned(),
    };
    let connection = NatsConnection::open(&login).expect("connects");
    let settings = LedgerSettings {
        prefix: "tripline-known".to_owned(),
        stream: StreamSettings {
            replicas: 1,
            bytes_max: 0,
            age_max: None,
            event_bytes_max: 960 * 1024,
            duplicate_window: Duration::from_secs(120),
            may_create: false,
        },
    };
    NatsLedger::open(&connection, &settings)
        .expect("is there")
        .0
}
