//! A scan with 1,000 rules of which a hundred ask ten plugins, from a file to findings, beside the same scan without plugins.
//!
//! It is the binary that is measured, in a process of its own with one thread, with all that a scan does around rules and
//! plugins. The plugins are the first-party enrichers of this repository, built from source, five of them under two names
//! each. Of every run that of no events is taken off, so that starting and compiling rules do not count.

#[path = "../plugins/guest.rs"]
mod guest;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tripline_benches::cel_text::{Dialect, cel_text};
use tripline_benches::set::{Flavour, rules};
use tripline_benches::vocabulary::Vocabulary;
use tripline_core::sample::{Generator, Options};

const RULES: usize = 1000;
/// Every such rule asks.
const ASKS_EVERY: usize = 10;

/// The plugins, and what a rule asks them; each is there twice, with another name.
const PLUGINS: [(&str, &str); 5] = [
    ("networks", "enrich.NAME.internal == true"),
    ("identities", "enrich.NAME.privileged == true"),
    ("user-agents", "enrich.NAME.attack_tool == true"),
    ("iam-policies", "enrich.NAME.admin == true"),
    ("secrets", "has(enrich.NAME.found)"),
];

fn main() {
    let is_test = std::env::args().any(|word| word == "--test");
    let words: Vec<String> = std::env::args().collect();
    let place = words.iter().position(|word| word == "--events");
    let events = place.and_then(|place| words.get(place + 1)?.parse().ok());
    let events = events.unwrap_or(if is_test { 2_000 } else { 200_000 });
    let site = Site::new(events, is_test);
    // Compiles the plugins, which are kept from then on.
    site.scan("broad", true, "empty.jsonl");
    let rounds = if is_test { 1 } else { 5 };
    println!(
        "### {RULES} rules, {} of which ask 10 plugins, one thread, {events} events\n",
        RULES / ASKS_EVERY
    );
    println!("| rules | plugins | ns an event | events/s | findings | rows asked an event |");
    println!("|---|---|---|---|---|---|");
    let mut taken = Vec::new();
    for (name, rules, has_plugins) in [
        ("those that ask left out", "some", false),
        ("their conditions without the question", "plain", false),
        ("all", "asking", true),
        ("all, and ten that ask about every change", "broad", true),
    ] {
        let mut times = Vec::new();
        let mut last = Ran::default();
        for _ in 0..rounds {
            let empty = site.scan(rules, has_plugins, "empty.jsonl");
            last = site.scan(rules, has_plugins, "events.jsonl");
            times.push((last.seconds - empty.seconds) * 1e9 / events as f64);
        }
        times.sort_unstable_by(f64::total_cmp);
        let each = times[times.len() / 2];
        let rows: u64 = last.plugins.values().map(|(rows, _)| rows).sum();
        println!(
            "| {name} | {} | {each:.0} | {:.0} | {} | {:.3} |",
            last.plugins.len(),
            1e9 / each,
            last.findings,
            rows as f64 / events as f64
        );
        taken.push((each, last));
    }
    let without = taken[1].0;
    for (name, (with, ran)) in [
        ("all", &taken[2]),
        ("with those about every change", &taken[3]),
    ] {
        let share = (with - without) / with * 100.0;
        println!("\nPlugins, {name}: {share:.0} % of the whole.\n");
        println!("| plugin | rows | of the events | ns a row, by the clock |\n|---|---|---|---|");
        for (plugin, (rows, each)) in &ran.plugins {
            let share = *rows as f64 / events as f64 * 100.0;
            println!("| {plugin} | {rows} | {share:.1} % | {each} |");
        }
    }
    println!();
}

/// A folder with rules, events and plugins.
struct Site {
    folder: PathBuf,
    binary: PathBuf,
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What a scan told.
#[derive(Default)]
struct Ran {
    /// Of the processor.
    seconds: f64,
    findings: usize,
    /// Rows, and nanoseconds a row.
    plugins: BTreeMap<String, (u64, u64)>,
}

impl Site {
    fn new(events: usize, is_test: bool) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.join("..");
        // This is `TARGET/release/deps/scanning-…`; what is built is put beside it.
        let here_built = std::env::current_exe().expect("a place");
        let target = here_built.ancestors().nth(3).expect("a folder").to_owned();
        let (profile, made) = match is_test {
            true => ("dev", "debug"),
            // As it is released.
            false => ("release", "release"),
        };
        let built = Command::new("cargo")
            .args([
                "build",
                "--quiet",
                "--profile",
                profile,
                "-p",
                "tripline-server",
                "--target-dir",
            ])
            .arg(&target)
            .current_dir(&root)
            .status();
        assert!(
            built.is_ok_and(|status| status.success()),
            "the binary is built"
        );
        let folder =
            std::env::temp_dir().join(format!("tripline-bench-scan-{}", std::process::id()));
        let site = Self {
            folder,
            binary: target.join(made).join("tripline"),
        };
        fs::create_dir_all(&site.folder).expect("a folder");
        let corpus = site.events(events);
        site.plugins(&root);
        site.rules(&corpus);
        site
    }

    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("it is written");
    }

    fn events(&self, events: usize) -> Vec<Vec<u8>> {
        let options = Options {
            seed: 7,
            events: events as u64,
            accounts: 200,
            days: 7,
            incidents: 36,
            ..Options::default()
        };
        let corpus: Vec<Vec<u8>> = Generator::new(&options)
            .map(|record| record.bytes)
            .collect();
        let mut lines = Vec::new();
        for event in &corpus {
            lines.extend(event);
            lines.push(b'\n');
        }
        self.write("events.jsonl", lines);
        self.write("empty.jsonl", "");
        corpus
    }

    fn plugins(&self, root: &Path) {
        let target = root.join("target/bench-guest");
        let mut operator = "[trust]\nunsigned = \"allow\"\n".to_owned();
        for (name, _) in PLUGINS {
            let folder = root.join("plugins").join(name);
            let manifest = fs::read_to_string(folder.join("plugin.toml")).expect("a manifest");
            let file = format!("{}.wasm", crate_name(&folder));
            let component = guest::component(&folder, &target, &file, &manifest, &root.join("wit"));
            self.write(&format!("{name}.wasm"), component);
            let tables = match name {
                "networks" => "lookup = { networks = \"networks.csv\" }\n",
                "identities" => "lookup = { identities = \"identities.csv\" }\n",
                _ => "",
            };
            for alias in aliases(name) {
                let _ = write!(
                    operator,
                    "[plugins.{alias}]\npath = \"{name}.wasm\"\n[plugins.{alias}.grant]\n{tables}"
                );
            }
        }
        self.write(
            "networks.csv",
            "network,country,asn,organisation,zone\n198.51.100.0/24,SE,64500,Example,office\n",
        );
        self.write(
            "identities.csv",
            "identity,owner,team,privileged\nadmin,ann,platform,true\n",
        );
        self.write("plugins.toml", operator);
    }

    /// Sets: rules that ask, the same without their question, only those that ask nothing, and the first with ten that ask
    /// about every event that changes something.
    fn rules(&self, corpus: &[Vec<u8>]) {
        let step = (corpus.len() / 5000).max(1);
        let vocabulary = Vocabulary::gather(corpus.iter().step_by(step).map(Vec::as_slice));
        for (number, rule) in rules(&vocabulary, Flavour::Mixed, RULES, 11)
            .iter()
            .enumerate()
        {
            let when = cel_text(rule, Dialect::Tripline);
            let text = |when: &str| {
                format!(
                    "id = \"rule-{number}\"\nname = \"Rule {number}\"\ndescription = \"Drawn for a benchmark.\"\nseverity = \"low\"\n\
                     status = \"experimental\"\nsource = \"aws.cloudtrail\"\nwhen = '''\n{when}\n'''\n"
                )
            };
            let place = |set: &str| format!("{set}/rule-{number}/rule.toml");
            let asked = |turn: usize| {
                let (name, question) = PLUGINS[turn % PLUGINS.len()];
                let alias = &aliases(name)[turn / PLUGINS.len() % 2];
                question.replace("NAME", alias)
            };
            self.write(&place("plain"), text(&when));
            if number % ASKS_EVERY != 0 {
                self.write(&place("some"), text(&when));
                self.write(&place("asking"), text(&when));
                self.write(&place("broad"), text(&when));
                continue;
            }
            let turn = number / ASKS_EVERY;
            let question = asked(turn);
            self.write(&place("asking"), text(&format!("({when}) && {question}")));
            let when = match turn < PLUGINS.len() * 2 {
                true => "has(event.readOnly) && event.readOnly == false".to_owned(),
                false => format!("({when})"),
            };
            self.write(&place("broad"), text(&format!("{when} && {question}")));
        }
    }

    fn scan(&self, rules: &str, has_plugins: bool, events: &str) -> Ran {
        let mut command = Command::new("bash");
        command
            .args([
                "-c",
                "TIMEFORMAT='%U %S'; time \"$@\" > findings.jsonl",
                "scan",
            ])
            .arg(&self.binary)
            .args(["scan", "--threads", "1", "--stats", "--format", "jsonl"])
            .args(["--rules", rules])
            .current_dir(&self.folder);
        if has_plugins {
            command.args(["--plugins", "plugins.toml", "--plugin-cache", "cache"]);
        }
        let output = command.arg(events).output().expect("bash runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{told}");
        let mut ran = Ran::default();
        let times = told.lines().next_back().unwrap_or_default();
        let times = times
            .split(' ')
            .map(|time| time.parse::<f64>().expect("a time"));
        ran.seconds = times.sum();
        for line in told.lines() {
            if let Some((name, did)) = line
                .strip_prefix("plugin `")
                .and_then(|rest| rest.split_once("`: "))
            {
                let numbers: Vec<u64> = did.split(", ").filter_map(first_number).collect();
                ran.plugins
                    .insert(name.to_owned(), (numbers[0], numbers[2]));
            }
        }
        let findings = fs::read(self.folder.join("findings.jsonl")).expect("findings");
        ran.findings = findings.iter().filter(|byte| **byte == b'\n').count();
        ran
    }
}

/// The number that a text begins with, written in groups.
fn first_number(text: &str) -> Option<u64> {
    let word = text.split(' ').next()?;
    word.replace(',', "").parse().ok()
}

fn aliases(name: &str) -> [String; 2] {
    let name = name.replace('-', "_");
    [name.clone(), format!("{name}_again")]
}

/// What cargo calls the library of a package.
fn crate_name(folder: &Path) -> String {
    let text = fs::read_to_string(folder.join("Cargo.toml")).expect("a package");
    let line = text.lines().find_map(|line| line.strip_prefix("name = \""));
    let name = line.and_then(|rest| rest.strip_suffix('"'));
    name.expect("it has a name").replace('-', "_")
}
