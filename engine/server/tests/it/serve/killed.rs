//! Killed again and again while events flow: what was acknowledged is evaluated, and nothing is found that an undisturbed
//! service would not find.

use super::service::Service;
use super::{events, folder};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often it is killed.
const ROUNDS: usize = 200;

/// Events sent together.
const AT_A_TIME: usize = 10;

/// What the store has in the end: id of a finding, how many more detections are counted on it, and what it is.
pub(super) fn findings(service: &Service) -> BTreeMap<String, (u64, String)> {
    let mut found = BTreeMap::new();
    let mut before = String::new();
    loop {
        let page = service.get(&format!("/v1/findings?limit=1000{before}"));
        for one in page["findings"].as_array().expect("a list") {
            let id = one["finding_id"].as_str().expect("an id").to_owned();
            let count = one["suppressed"]["count"].as_u64().unwrap_or(0);
            let what = format!(
                "{} of {} at {}",
                one["rule_id"], one["event_id"], one["event_time"]
            );
            assert_eq!(found.insert(id, (count, what)), None);
        }
        match page["next"].as_u64() {
            Some(next) => before = format!("&before={next}"),
            None => return found,
        }
    }
}

/// Sends a chunk until it is acknowledged.
pub(super) fn send(service: &Mutex<Option<Service>>, chunk: &[String]) {
    let begun = Instant::now();
    loop {
        let answer = {
            let service = service.lock().expect("nobody panicked");
            let post = |service: &Service| service.try_post("/v1/events", chunk.join("\n"));
            service.as_ref().and_then(post)
        };
        match answer {
            Some((200, _)) => return,
            _ if begun.elapsed() > Duration::from_secs(120) => {
                let service = service.lock().expect("nobody panicked");
                let said = service.as_ref().map(Service::said);
                panic!("nothing is taken any more: {answer:?}; {said:?}");
            }
            _ => thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// How far a service has committed.
pub(super) fn position(service: &Service) -> Option<u64> {
    service.get("/v1/status")["partitions"][0]["position"].as_u64()
}

/// Waits until a service commits.
///
/// Whoever kills one again and again lets it come so far now and then, or the record that comes next is suspected of the
/// deaths and set aside.
pub(super) fn wait_for_commit(position: impl Fn() -> Option<u64>) {
    let (begun, before) = (Instant::now(), position());
    while position() == before {
        assert!(begun.elapsed() < Duration::from_secs(60), "{before:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_found_twice() {
    let all = events(6_000);
    let undisturbed = folder("serve-calm", "");
    let calm = Service::start(&undisturbed);
    for chunk in all.chunks(500) {
        calm.publish(chunk);
    }
    calm.wait_for(all.len() as u64);
    // Time passes for what waits for it, as it will for the other one.
    let wanted = settled(&calm);
    assert!(wanted.len() > 2_000, "{}", wanted.len());
    assert_eq!(calm.terminate(), Some(0));

    let folder = folder("serve-killed", "");
    let service = Mutex::new(Some(Service::start(&folder)));
    let acknowledged = AtomicUsize::new(0);
    let is_over = AtomicBool::new(false);
    let kills = thread::scope(|scope| {
        scope.spawn(|| {
            for chunk in all.chunks(AT_A_TIME) {
                send(&service, chunk);
                acknowledged.fetch_add(chunk.len(), Ordering::Relaxed);
            }
            is_over.store(true, Ordering::Relaxed);
        });
        let mut kills = 0;
        for round in 0..ROUNDS {
            // A different moment each time: in the middle of a start, of an append, of a commit.
            if round % 5 == 4 {
                // Whoever sends to it meanwhile is not held up.
                wait_for_commit(|| {
                    let service = service.lock().expect("nobody panicked");
                    position(service.as_ref().expect("it runs"))
                });
            }
            thread::sleep(Duration::from_millis((round * 37 % 97) as u64));
            let running = service.lock().expect("nobody panicked").take();
            if let Some(running) = running {
                running.kill();
                kills += 1;
            }
            *service.lock().expect("nobody panicked") = Some(Service::start(&folder));
            if is_over.load(Ordering::Relaxed) && round >= ROUNDS / 2 {
                break;
            }
        }
        kills
    });
    let service = service
        .into_inner()
        .expect("nobody panicked")
        .expect("it runs");
    service.wait_evaluated();
    let found = settled(&service);
    let dead = service.get("/v1/dead-letters");
    let count = dead["dead_letters"].as_array().map(Vec::len);
    assert_eq!(count, Some(0), "{dead}");
    println!(
        "killed {kills} times; {} events acknowledged, {} findings",
        acknowledged.into_inner(),
        found.len()
    );
    let missing: Vec<_> = wanted
        .iter()
        .filter(|(id, count)| found.get(*id) != Some(count))
        .collect();
    let more: Vec<_> = found
        .iter()
        .filter(|(id, _)| !wanted.contains_key(*id))
        .collect();
    assert!(
        missing.is_empty() && more.is_empty(),
        "missing or different {missing:?}, too many {more:?}"
    );
    // Whoever takes findings once by id has what is stored.
    service.wait_sent("file");
    let written = std::fs::read_to_string(format!("{}/findings.jsonl", folder.path()))
        .expect("the sink wrote");
    let mut taken = BTreeMap::new();
    for line in written.lines() {
        // A line that a killed process left unfinished is written again.
        let Ok(one) = serde_json::from_str::<serde_json::Value>(line) else {
            continue;
        };
        let id = one["finding_id"].as_str().expect("an id").to_owned();
        let count = one["suppressed"]["count"].as_u64().unwrap_or(0);
        let kept = taken.entry(id).or_insert(0);
        *kept = count.max(*kept);
    }
    let counts: BTreeMap<String, u64> = found
        .into_iter()
        .map(|(id, (count, _))| (id, count))
        .collect();
    assert_eq!(taken, counts);
    assert_eq!(service.terminate(), Some(0));
}

/// The findings when they no longer change: time goes on by ticks, and what waits for time is told.
pub(super) fn settled(service: &Service) -> BTreeMap<String, (u64, String)> {
    // Later events move time past the lateness and the windows of all rules.
    let later: Vec<String> = (0..300)
        .map(|number| {
            format!(
                r#"{{"eventID":"later-{number}","eventTime":"2026-01-03T{:02}:{:02}:00Z","eventName":"Later"}}"#,
                number / 60,
                number % 60
            )
        })
        .collect();
    service.publish(&later);
    unchanging(service)
}

/// The findings when they no longer change.
pub(super) fn unchanging(service: &Service) -> BTreeMap<String, (u64, String)> {
    service.wait_evaluated();
    let mut before = findings(service);
    let mut unchanged = 0;
    // On a busy machine nothing may come for a moment though something is on its way.
    while unchanged < 2 {
        thread::sleep(Duration::from_millis(1_000));
        let now = findings(service);
        unchanged = if now == before { unchanged + 1 } else { 0 };
        before = now;
    }
    before
}
