//! Somebody who watches: findings go on being shown over a restart, and what a damaged log lost is said.

use super::service::Service;
use super::{event, events, folder, run};
use crate::harness::tripline;
use crate::launcher::free_port;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

#[test]
fn whoever_watches_waits_for_a_service_that_is_started_again() {
    let folder = folder("watched", "");
    let config = std::fs::read_to_string(format!("{}/tripline.toml", folder.path()));
    let address = format!("127.0.0.1:{}", free_port());
    let config = config
        .expect("it is there")
        .replace("127.0.0.1:0", &address);
    folder.file("tripline.toml", config);
    let service = Service::start(&folder);
    service.publish(&events(3));
    service.wait_for(3);
    let url = service.url();
    let mut tail = tripline(&["tail", "--json", "--url", &url])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let (tell, shown) = channel();
    let lines = BufReader::new(tail.stdout.take().expect("standard output"));
    thread::spawn(move || {
        for line in lines.lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    let next = || shown.recv_timeout(Duration::from_secs(60));
    assert!(next().expect("what was found before").contains("\"e-0\""));
    assert_eq!(service.terminate(), Some(0));
    thread::sleep(Duration::from_millis(1_200));
    let service = Service::start(&folder);
    service.publish(&[event(77, "Stop", 1)]);
    assert!(next().expect("what is found after").contains("\"e-77\""));
    tail.kill().expect("it runs");
    tail.wait().expect("it ends");
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn a_replay_says_what_the_log_lost() {
    let folder = folder("watched-lost", "[log]\nsegment_mib = 1\n");
    let service = Service::start(&folder);
    let long = "x".repeat(2_000);
    let all: Vec<String> = (0..1_500)
        .map(|number| {
            let fields = format!("{{\"long\":\"{long}\",");
            event(number, "Stop", number).replacen('{', &fields, 1)
        })
        .collect();
    for chunk in all.chunks(100) {
        service.publish(chunk);
    }
    service.wait_for(1_500);
    assert_eq!(service.terminate(), Some(0));
    let config = format!("{}/tripline.toml", folder.path());
    let again = || run(&["replay", "--config", &config, "--from", "first"]);
    let ran = again();
    assert!(
        ran.code == 0 && !ran.stdout.contains("lost"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    let mut segments = files(&format!("{}/data", folder.path()));
    segments.retain(|path| path.ends_with(".seg"));
    segments.sort();
    let first = segments.first().expect("a segment");
    let mut bytes = std::fs::read(first).expect("it is read");
    bytes[20_000..20_008].fill(0xff);
    std::fs::write(first, bytes).expect("written");
    let ran = again();
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains(" lost, as was said above\n"),
        "{}",
        ran.stdout
    );
}

/// All files below a folder.
fn files(folder: &str) -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let text = path.display().to_string();
        match path.is_dir() {
            true => all.extend(files(&text)),
            false => all.push(text),
        }
    }
    all
}
