//! Sinks that are slow, busy, gone, or refuse.

use super::service::Service;
use super::{event, events, folder, run};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// A request as a receiver got it.
struct Received {
    headers: Vec<(String, String)>,
    body: String,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }
}

/// A receiver that answers what it is told to, by body; what it got comes out of the channel.
fn receiver(
    answer: impl Fn(usize, &str) -> String + Send + 'static,
) -> (String, Receiver<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(stream) = stream else { return };
            let Some(received) = read(&stream) else {
                continue;
            };
            let text = answer(number, &received.body);
            let mut stream = stream;
            let _ = stream.write_all(text.as_bytes());
            if sender.send(received).is_err() {
                return;
            }
        }
    });
    (url, receiver)
}

fn read(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut headers = Vec::new();
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((key, value)) = line.trim().split_once(": ") else {
            break;
        };
        headers.push((key.to_ascii_lowercase(), value.to_owned()));
    }
    let length = headers
        .iter()
        .find(|(key, _)| key == "content-length")?
        .1
        .parse()
        .ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Received {
        headers,
        body: String::from_utf8(body).ok()?,
    })
}

fn answer(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno")
}

#[test]
fn a_webhook_that_fails_gets_everything_in_order_and_refuses_one() {
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = mended.clone();
    let (url, received) = receiver(move |number, body| {
        answer(match number {
            0..3 => "503 Service Unavailable",
            _ if body.contains("e-6\"") && !is_mended.load(Ordering::Relaxed) => "400 Bad Request",
            _ => "200 OK",
        })
    });
    let more = format!(
        "[sinks.hook]\ntype = \"webhook\"\nurl = \"{url}\"\nsecret_file = \"SECRET\"\nbatch = 4\n"
    );
    let folder = folder("serve-hook", "");
    let secret = folder.file("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    let config =
        std::fs::read_to_string(format!("{}/tripline.toml", folder.path())).expect("it is there");
    folder.file("tripline.toml", config + &more.replace("SECRET", &secret));
    let service = Service::start(&folder);
    service.publish(&events(30));
    service.wait_for(30);
    service.wait_sent("hook");
    let status = service.get("/v1/status");
    assert_eq!(status["sinks"]["hook"]["sent"], 9, "{status}");
    assert_eq!(status["sinks"]["hook"]["set_aside"], 1, "{status}");
    let mut taken: Vec<String> = Vec::new();
    for (number, one) in received.try_iter().enumerate() {
        assert!(
            one.header("webhook-signature").starts_with("v1,"),
            "{:?}",
            one.headers
        );
        assert!(one.header("webhook-id").starts_with("msg_"));
        let body: Value = serde_json::from_str(&one.body).expect("JSON");
        if number < 3 || one.body.contains("e-6\"") {
            continue;
        }
        for finding in body["findings"].as_array().expect("a list") {
            assert_eq!(finding["event"]["eventID"], finding["event_id"]);
            taken.push(finding["event_id"].as_str().expect("an id").to_owned());
        }
    }
    let wanted: Vec<String> = (0..10)
        .map(|one| format!("e-{}", one * 3))
        .filter(|one| one != "e-6")
        .collect();
    assert_eq!(taken, wanted);
    let listed = run(&["dlq", "--url", &service.url(), "list"]);
    assert!(
        listed.stdout.contains("sink hook  400 Bad Request: no"),
        "{}",
        listed.stdout
    );
    let retry = || run(&["dlq", "--url", &service.url(), "retry", "--all"]);
    let retried = retry();
    assert_eq!((retried.code, retried.stdout.as_str()), (1, ""));
    let words = "the sink `hook` does not take it: 400 Bad Request: no";
    assert!(retried.stderr.contains(words), "{}", retried.stderr);
    mended.store(true, Ordering::Relaxed);
    assert!(received.try_iter().count() > 0);
    let retried = retry();
    assert_eq!((retried.code, retried.stdout.as_str()), (0, "1 retried\n"));
    let sent: Vec<Received> = received.try_iter().collect();
    assert!(sent.len() == 1 && sent[0].body.contains("e-6\""));
    assert_eq!(retry().stdout, "", "nothing is left");
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn a_sink_that_is_gone_holds_up_nobody_and_gets_everything_later() {
    let dead = TcpListener::bind("127.0.0.1:0")
        .expect("a free port")
        .local_addr()
        .expect("an address");
    let more = format!("[sinks.gone]\ntype = \"otlp\"\nurl = \"http://{dead}/v1/logs\"\n");
    let folder = folder("serve-gone", &more);
    let service = Service::start(&folder);
    service.publish(&events(60));
    service.wait_for(60);
    service.wait_sent("file");
    service.wait_until("it is told", || {
        service.get("/v1/status")["sinks"]["gone"]["failures"].as_u64() > Some(0)
    });
    assert_eq!(
        service.terminate(),
        Some(0),
        "nobody waits for it at the end"
    );
    let (url, received) = receiver(|_, _| answer("200 OK"));
    let config =
        std::fs::read_to_string(format!("{}/tripline.toml", folder.path())).expect("it is there");
    folder.file(
        "tripline.toml",
        config.replace(&format!("http://{dead}/v1/logs"), &url),
    );
    let service = Service::start(&folder);
    service.wait_sent("gone");
    let bodies: Vec<Value> = received
        .try_iter()
        .map(|one| serde_json::from_str(&one.body).expect("JSON"))
        .collect();
    let records: usize = bodies
        .iter()
        .map(|body| {
            body["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
                .as_array()
                .map_or(0, Vec::len)
        })
        .sum();
    assert!(records >= 20, "{records}: {bodies:?}");
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn people_are_told_in_their_own_words() {
    for (template, wanted) in [
        ("slack", "*HIGH* user-1 &lt;!here&gt; stopped it"),
        ("teams", "AdaptiveCard"),
        ("pagerduty", "\"routing_key\":\"key\""),
    ] {
        let (url, received) = receiver(|_, _| answer("202 Accepted"));
        let more = format!(
            "[sinks.chat]\ntype = \"webhook\"\nurl = \"{url}\"\ntemplate = \"{template}\"\nseverity_min = \"high\"\n"
        );
        let folder = folder("serve-chat", &more);
        if template == "pagerduty" {
            let secret = folder.file("key", "key\n");
            let config = std::fs::read_to_string(format!("{}/tripline.toml", folder.path()))
                .expect("it is there");
            folder.file(
                "tripline.toml",
                format!("{config}secret_file = \"{secret}\"\n"),
            );
        }
        let service = Service::start(&folder);
        service.publish(&[event(0, "Stop", 1).replace("user-1", "user-1 <!here>")]);
        service.wait_for(1);
        service.wait_sent("chat");
        let body = received.recv().expect("it was told").body;
        assert!(body.contains(wanted), "{template}: {body}");
        assert_eq!(service.terminate(), Some(0));
    }
}

/// A service whose only sink is gone, and which reads on only when it has taken everything.
fn stuck(name: &str, when_full: &str) -> (super::Folder, String, String) {
    let dead = TcpListener::bind("127.0.0.1:0")
        .expect("a free port")
        .local_addr()
        .expect("an address");
    let folder = folder(name, "");
    let path = folder.path();
    let config = format!(
        "data = \"{path}/data\"\nrules.paths = [\"{path}/rules\"]\nhttp.listen = \"127.0.0.1:0\"\n\
         engine.undelivered_max = 1\nengine.batch_events = 10\nengine.snapshot_every = \"300ms\"\n\
         [log]\nsegment_mib = 1\nsize_max_mib = 3\nwhen_full = \"{when_full}\"\n\
         [sinks.gone]\ntype = \"otlp\"\nurl = \"http://{dead}/v1/logs\"\n"
    );
    folder.file("tripline.toml", &config);
    (folder, config, format!("http://{dead}/v1/logs"))
}

/// Events of which each is found, and long.
fn long_events(from: u64) -> Vec<String> {
    let long = "x".repeat(20_000);
    (from..from + 20)
        .map(|number| event(number, "Stop", 1).replacen('{', &format!("{{\"long\":\"{long}\","), 1))
        .collect()
}

#[test]
fn a_full_log_refuses_and_what_it_took_is_found_later() {
    let (folder, config, dead) = stuck("serve-full", "refuse");
    let service = Service::start(&folder);
    let mut taken = 0;
    let refusal = loop {
        let (status, text) = service.post("/v1/events", long_events(taken).join("\n"));
        if status != 200 {
            break (status, text);
        }
        taken += 20;
        assert!(taken < 1_000, "3 MiB hold no more than 150 of them");
    };
    assert_eq!(refusal.0, 503, "{}", refusal.1);
    assert!(refusal.1.contains("\"error\":\"full\""), "{}", refusal.1);
    let status = service.get("/v1/status");
    assert!(
        status["lag"].as_u64() > Some(50),
        "evaluation waits for the sink: {status}"
    );
    assert!(status["refused"]["log"].as_u64() >= Some(20), "{status}");
    assert_eq!(service.terminate(), Some(0));
    let (url, received) = receiver(|_, _| answer("200 OK"));
    folder.file("tripline.toml", config.replace(&dead, &url));
    let service = Service::start(&folder);
    service.wait_evaluated();
    service.wait_sent("gone");
    let found = service.get("/v1/findings?limit=1000")["findings"]
        .as_array()
        .map_or(0, Vec::len);
    assert_eq!(found as u64, taken);
    assert!(received.try_iter().count() > 0);
    service.wait_until("there is room again", || {
        service.post("/v1/events", long_events(taken).join("\n")).0 == 200
    });
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn a_log_that_may_drop_says_what_was_lost() {
    let (folder, config, dead) = stuck("serve-drop", "drop-oldest");
    let service = Service::start(&folder);
    let publish = |chunk: u64| {
        let (status, text) = service.post("/v1/events", long_events(chunk * 20).join("\n"));
        assert_eq!(status, 200, "{text}");
    };
    publish(0);
    // Otherwise a slow machine comes to evaluating only when records are gone already, and loses them while it ends.
    service.wait_until("evaluation waits for the sink", || {
        service.get("/v1/status")["waits_for_sinks"] == true
    });
    for chunk in 1..20 {
        publish(chunk);
    }
    assert_eq!(service.terminate(), Some(0));
    let (url, _received) = receiver(|_, _| answer("200 OK"));
    folder.file("tripline.toml", config.replace(&dead, &url));
    let service = Service::start(&folder);
    service.wait_evaluated();
    service.wait_sent("gone");
    let lost = || service.get("/v1/status")["tally"]["lost"].as_u64();
    // What was counted is told a little later than how far it came.
    service.wait_until("it says what was lost", || lost() > Some(100));
    let lost = lost().expect("a number");
    assert!(
        service
            .text("/metrics")
            .contains(&format!("tripline_events_lost_total {lost}\n"))
    );
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn evaluation_that_waited_for_a_sink_goes_on_when_the_sink_does() {
    let is_up = Arc::new(AtomicBool::new(false));
    let up = is_up.clone();
    let (url, received) = receiver(move |_, _| {
        answer(if up.load(Ordering::Relaxed) {
            "200 OK"
        } else {
            "503 Service Unavailable"
        })
    });
    let (folder, config, dead) = stuck("serve-waits", "refuse");
    folder.file("tripline.toml", config.replace(&dead, &url));
    let service = Service::start(&folder);
    service.publish(&events(6_000));
    service.wait_until("it waits, and more waits behind it", || {
        let status = service.get("/v1/status");
        status["waits_for_sinks"] == true && status["lag"].as_u64() > Some(50)
    });
    is_up.store(true, Ordering::Relaxed);
    service.wait_for(6_000);
    service.wait_sent("gone");
    let sent = service.get("/v1/status")["sinks"]["gone"]["sent"].as_u64();
    assert!(sent >= Some(2_000), "{sent:?}");
    assert!(received.try_iter().count() > 1);
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn a_sink_that_was_down_from_the_start_misses_nothing_and_a_new_one_begins_now() {
    let dead = TcpListener::bind("127.0.0.1:0")
        .expect("a free port")
        .local_addr()
        .expect("an address");
    let more = format!("[sinks.down]\ntype = \"otlp\"\nurl = \"http://{dead}/v1/logs\"\n");
    let folder = folder("serve-forget", &more);
    let config =
        std::fs::read_to_string(format!("{}/tripline.toml", folder.path())).expect("it is there");
    folder.file(
        "tripline.toml",
        format!("history.retention = \"1s\"\n{config}"),
    );
    let service = Service::start(&folder);
    service.publish(&events(30));
    service.wait_for(30);
    service.wait_sent("file");
    assert_eq!(service.terminate(), Some(0));
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    // What is older than the retention would be forgotten at the start.
    let service = Service::start(&folder);
    assert_eq!(
        service.get("/v1/findings")["findings"]
            .as_array()
            .map(Vec::len),
        Some(10)
    );
    assert_eq!(service.terminate(), Some(0));
    folder.file(
        "tripline.toml",
        config.replace("[sinks.down]", "[sinks.new]"),
    );
    let service = Service::start(&folder);
    let status = service.get("/v1/status");
    assert_eq!(
        status["sinks_not_configured"],
        serde_json::json!(["down"]),
        "{status}"
    );
    service.wait_until("it runs", || {
        service.get("/v1/status")["sinks"]["new"]["position"] == 10
    });
    let forgotten = ureq::delete(format!("{}/v1/sinks/down", service.url()))
        .call()
        .expect("it answers");
    assert_eq!(forgotten.status(), 200);
    assert_eq!(
        service.get("/v1/status")["sinks_not_configured"],
        serde_json::json!([])
    );
    assert_eq!(service.terminate(), Some(0));
}
