//! What is refused, and how it is said.

use super::super::{Login, NatsBus, Secret};
use super::launcher::{NatsServer, Place};
use super::{Settings, event, open, settings, try_open};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};
use tripline_core::port::{Bus, Delivered, FaultClass, PortFault, ReadMax, Sequence};

fn words(fault: &PortFault) -> String {
    match &fault.source {
        Some(source) => format!("{fault}: {source}"),
        None => fault.to_string(),
    }
}

/// The words of a refusal, with the port left out.
fn refusal(settings: &Settings) -> (FaultClass, String) {
    let fault = try_open(settings).expect_err("must be refused");
    let url = settings.connect.urls[0].clone();
    (fault.class, words(&fault).replace(&url, "URL"))
}

/// Says that it is some server of a version.
fn pretender(version: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let info = format!(
                "INFO {{\"server_id\":\"x\",\"server_name\":\"old\",\"version\":\"{version}\",\"proto\":1,\"go\":\"go\",\"host\":\"127.0.0.1\",\"port\":{port},\"headers\":true,\"max_payload\":1048576,\"jetstream\":true,\"client_id\":1}}\r\n"
            );
            let _ = stream.write_all(info.as_bytes());
            let Ok(reading) = stream.try_clone() else {
                return;
            };
            for line in BufReader::new(reading).lines() {
                match line {
                    Ok(line) if line.starts_with("PING") => {
                        let _ = stream.write_all(b"PONG\r\n");
                    }
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        }
    });
    format!("nats://127.0.0.1:{port}")
}

#[test]
fn servers_that_are_too_old_are_refused() {
    let old = settings(vec![pretender("2.10.29")]);
    assert_eq!(
        refusal(&old),
        (
            FaultClass::Reject,
            "connect to NATS at URL: the server is version 2.10.29; 2.12.1 or newer is needed, since older ones cannot take several events as a whole".to_owned()
        )
    );
}

#[test]
fn nobody_there_may_pass() {
    let url = format!("nats://127.0.0.1:{}", super::launcher::free_port());
    let (class, told) = refusal(&settings(vec![url]));
    assert_eq!(class, FaultClass::Retry);
    assert!(told.starts_with("connect to NATS at URL: "), "{told}");
}

#[test]
fn wrong_credentials_are_named_and_never_shown() {
    let place = Place::new("login");
    let server = NatsServer::start(
        place.path(),
        "accounts { A: { jetstream: enabled, users: [ { user: anna, password: right } ] } }",
    );
    let mut settings = settings(vec![server.url()]);
    let told = |settings: &Settings| refusal(settings).1;
    assert_eq!(
        told(&settings),
        "connect to NATS at URL: the server wants to know who we are; give `credentials_file`, `nkey_file`, `token_file` or `user` of [nats]"
    );
    settings.connect.login = Login::User {
        name: "anna".to_owned(),
        password: Secret::new("wrong"),
    };
    assert_eq!(
        told(&settings),
        "connect to NATS at URL: the server does not accept the user `anna` and its password; look at `user` and `password_file` of [nats], and at the users of the server"
    );
    settings.connect.login = Login::Credentials(Secret::new("nothing of the kind"));
    assert_eq!(
        told(&settings),
        "connect to NATS at URL: `credentials_file` of [nats] holds no credentials; it must be as `nsc generate creds` writes it"
    );
    settings.connect.login = Login::User {
        name: "anna".to_owned(),
        password: Secret::new("right"),
    };
    open(&settings);
}

#[test]
fn what_is_not_permitted_is_told() {
    let place = Place::new("denied");
    let server = NatsServer::start(
        place.path(),
        "accounts { A: { jetstream: enabled, users: [\
         { user: all, password: x },\
         { user: reads, password: x, permissions: { publish: [\"$JS.API.>\"], subscribe: \">\" } }\
         ] } }",
    );
    let login = |name: &str| Login::User {
        name: name.to_owned(),
        password: Secret::new("x"),
    };
    let mut settings = settings(vec![server.url()]);
    settings.connect.login = login("all");
    open(&settings).append(&[event(b"{}")]).expect("may do all");
    settings.connect.login = login("reads");
    let fault = open(&settings)
        .append(&[event(b"{}")])
        .expect_err("may not publish");
    assert_eq!(fault.class, FaultClass::Reject);
    assert_eq!(
        words(&fault),
        "append to the stream trial-events-0: the server does not permit it: Permissions Violation for Publish to \"trial.events.0\"; permit it to the user that [nats] names. README.md lists what must be permitted"
    );
}

#[test]
fn a_stream_is_made_only_when_it_may_be() {
    let place = Place::new("missing");
    let server = NatsServer::start(place.path(), "");
    let mut settings = settings(vec![server.url()]);
    settings.bus.stream.may_create = false;
    assert_eq!(
        refusal(&settings),
        (
            FaultClass::Reject,
            "use the stream trial-events-0: there is none, and `create = false` of [nats] forbids making it; make it yourself: nats stream add trial-events-0 --subjects=trial.events.0 --retention=limits --storage=file --discard=new --replicas=1 --max-bytes=268435456 --max-age=-1 --max-msg-size=4259840 --dupe-window=120s --allow-batch --defaults".to_owned()
        )
    );
    settings.bus.stream.may_create = true;
    open(&settings);
    settings.bus.stream.may_create = false;
    open(&settings);
    settings.bus.stream.bytes_max = 1 << 20;
    settings.bus.stream.duplicate_window = Duration::from_secs(240);
    assert_eq!(
        refusal(&settings).1,
        "use the stream trial-events-0: it is not as it must be:\n  \
         max bytes is 268435456 and must be 1048576; change it with `nats stream edit trial-events-0 --max-bytes=1048576`, or give another `size_max_mib` of [nats]\n  \
         duplicate window is 120s and must be 240s or more; change it with `nats stream edit trial-events-0 --dupe-window=240s`"
    );
    settings.bus.stream.event_bytes_max = 16 << 20;
    let (_, told) = refusal(&settings);
    assert!(
        told.contains("raise its `max_payload` or lower `event_max_kib`"),
        "{told}"
    );
    settings.bus.stream.event_bytes_max = 1 << 20;
    settings.bus.prefix = "other".to_owned();
    settings.bus.stream.may_create = true;
    settings.bus.stream.replicas = 3;
    let (_, told) = refusal(&settings);
    assert!(
        told.contains("`replicas = 3` of [nats] needs as many servers"),
        "{told}"
    );
}

#[test]
fn what_is_too_long_or_has_no_room_is_refused() {
    let place = Place::new("room");
    let server = NatsServer::start(place.path(), "");
    let mut settings = settings(vec![server.url()]);
    settings.bus.stream.bytes_max = 1 << 20;
    let bus = open(&settings);
    let long = vec![b' '; 64 << 20];
    let fault = bus.append(&[event(&long)]).expect_err("too long");
    assert_eq!(fault.class, FaultClass::Reject);
    assert!(words(&fault).contains("the server takes at most 8388608 (`max_payload`)"));
    let many = vec![event(b"{}"); 1001];
    let fault = bus.append(&many).expect_err("too many");
    assert_eq!(fault.class, FaultClass::Reject);
    let half = vec![b' '; 400 << 10];
    let fault = (0..4).find_map(|_| bus.append(&[event(&half)]).err());
    let fault = fault.expect("no room for all");
    assert_eq!(fault.class, FaultClass::Full, "{}", words(&fault));
    let few = [event(&half), event(&half), event(&half)];
    let fault = bus.append(&few).expect_err("nor for several");
    assert_eq!(fault.class, FaultClass::Full, "{}", words(&fault));
    let each = bus.append_each(&few);
    let fault = each.fault.expect("nor for each by itself");
    assert_eq!(fault.class, FaultClass::Full, "{}", words(&fault));
    assert!(each.places.contains(&None), "{:?}", each.places);
}

#[test]
fn a_stream_that_is_gone_stops_whoever_uses_it() {
    let place = Place::new("gone");
    let server = NatsServer::start(place.path(), "");
    let settings = settings(vec![server.url()]);
    let max = ReadMax {
        records: 10,
        bytes: 1 << 20,
    };
    let delete = |bus: &NatsBus| {
        let context = bus.core.connection.context.clone();
        bus.core.connection.block_on(async move {
            context
                .delete_stream("trial-events-0")
                .await
                .expect("deletes");
        });
    };
    let bus = open(&settings);
    bus.append(&[event(b"{}")]).expect("appends");
    delete(&bus);
    let fault = bus.append(&[event(b"{}")]).expect_err("it is gone");
    assert_eq!(fault.class, FaultClass::Stop, "{}", words(&fault));
    let begun = Instant::now();
    let fault = loop {
        let read = bus.read(Sequence(0), max, &mut Delivered::default());
        match read {
            Err(fault) if fault.class == FaultClass::Stop => break fault,
            _ => assert!(begun.elapsed() < Duration::from_secs(30), "{read:?}"),
        }
    };
    assert!(words(&fault).contains("was deleted while the service used it"));
    // Somebody makes it again: it is not the one whose positions are known.
    open(&settings);
    let fault = bus.span().expect_err("it is another one");
    assert_eq!(fault.class, FaultClass::Stop);
    assert!(words(&fault).contains("made anew"));
}
