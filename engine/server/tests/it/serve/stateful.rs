//! A detector that remembers, in a service that is killed again and again: it goes on from what was kept, and comes to the same.

use super::folder;
use super::service::Service;
use crate::harness::Folder;
use crate::plugins::under;
use crate::stateful::{OPERATOR, RULE, login, thirds};
use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

const EVENTS: usize = 15_000;

fn site(name: &str) -> Folder {
    let folder = folder(name, "");
    std::fs::copy(thirds(), under(&folder, "thirds.wasm")).expect("the component is there");
    folder.file("plugins.toml", OPERATOR);
    folder.file("rules/thirds.toml", RULE);
    // No rule remembers anything: what is kept is kept for the plugin alone.
    std::fs::remove_file(under(&folder, "rules/many-starts.toml")).expect("it is there");
    let path = folder.path();
    let config = std::fs::read_to_string(format!("{path}/tripline.toml")).expect("it is there");
    let plugins = format!("rules.plugins = \"{path}/plugins.toml\"\n");
    folder.file("tripline.toml", plugins + &config);
    folder
}

/// What the plugin said, of every finding that is stored.
fn titles(service: &Service) -> BTreeSet<String> {
    let mut titles = BTreeSet::new();
    let mut before = String::new();
    loop {
        let page = service.get(&format!("/v1/findings?limit=1000{before}"));
        for one in page["findings"].as_array().expect("a list") {
            let title = one["title"].as_str().expect("a title").to_owned();
            assert!(titles.insert(title.clone()), "twice: {title}");
        }
        match page["next"].as_u64() {
            Some(next) => before = format!("&before={next}"),
            None => return titles,
        }
    }
}

#[test]
fn a_service_that_is_killed_goes_on_with_what_a_plugin_remembered() {
    let folder = site("serve-stateful");
    let all: Vec<String> = (1..=EVENTS)
        .map(|one| login(&format!("slow{one}")))
        .collect();
    let mut service = Service::start(&folder);
    for chunk in all.chunks(500) {
        service.publish(chunk);
    }
    let mut positions = BTreeSet::new();
    for round in 0..12_u64 {
        thread::sleep(Duration::from_millis(60 + round * 53 % 170));
        let status = service.get("/v1/status");
        positions.insert(status["partitions"][0]["position"].as_u64());
        service.kill();
        service = Service::start(&folder);
    }
    assert!(positions.len() > 2, "killed while it worked: {positions:?}");
    service.wait_evaluated();
    let wanted: BTreeSet<String> = (3..=EVENTS)
        .step_by(3)
        .map(|one| format!("login {one} after slow{}", one - 1))
        .collect();
    let found = titles(&service);
    let wrong: Vec<_> = found.symmetric_difference(&wanted).take(5).collect();
    assert!(
        wrong.is_empty(),
        "{} of {}, {wrong:?}",
        found.len(),
        wanted.len()
    );
    // An orderly end keeps it too.
    assert_eq!(service.terminate(), Some(0));
    let service = Service::start(&folder);
    service.publish(&[login("x"), login("y"), login("z")]);
    service.wait_evaluated();
    let more: Vec<String> = titles(&service).difference(&wanted).cloned().collect();
    assert_eq!(more, [format!("login {} after y", EVENTS + 3)]);
    assert_eq!(service.terminate(), Some(0));
}
