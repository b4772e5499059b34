//! The section `state`: state alone, on observations that are made up.

use std::time::Duration;

use tripline_core::evaluate::{OWN_DETECTION, RuleSet};
use tripline_core::rule::kind::Captured;
use tripline_core::state::State;

use crate::counting::counted;
use crate::report::{Table, number};
use crate::round::Round;
use crate::stream::{Step, mixed, rule, rule_set, send, settings};
use crate::timing::timed;

/// A record of usual size.
const RECORD_BYTES: usize = 1450;

const GIB: usize = 1 << 30;

pub(crate) fn tables(round: &Round) -> Vec<Table> {
    let tenth = if round.events < 120_000 { 10 } else { 1 };
    vec![full(tenth), kinds(tenth)]
}

/// The text of an event.
fn record() -> Vec<u8> {
    let mut text = b"{\"eventTime\":\"2026-01-01T00:00:00Z\",\"kind\":\"a\",\"pad\":\"".to_vec();
    text.resize(RECORD_BYTES - 2, b'x');
    text.extend_from_slice(b"\"}");
    text
}

fn group_only(group: u128) -> Step {
    Step {
        input: 0,
        detected_by: 0,
        group,
        captured: Captured::Nothing,
    }
}

/// Ten million keys, a million groups, and what their snapshots take.
fn full(tenth: usize) -> Table {
    let mut table = Table::new(
        "much that is remembered",
        &[
            "what",
            "live",
            "ns/event",
            "RSS MiB",
            "allocated MiB",
            "own account MiB",
            "B each",
            "snapshot MiB",
            "written s",
            "read s",
        ],
    );
    let first_seen = "when = 'true'\nlateness = \"0s\"\ngroups_max = 50000000\n[first_seen]\nof = ['event.kind']\n\
                      history = \"365d\"\nlearning = \"300d\"\n";
    let threshold = "when = 'true'\nlateness = \"0s\"\ngroups_max = 2000000\ngroup_by = ['event.kind']\n[threshold]\n\
                     window = \"30d\"\nis = \">= 50\"\n";
    let keys = 10_000_000 / tenth;
    let value = |number| {
        let value = mixed(number);
        let captured = Captured::Hash(value);
        Step {
            captured,
            ..group_only(value)
        }
    };
    table.row(filled(
        "first-seen keys",
        first_seen,
        GIB,
        (keys, keys),
        &value,
    ));
    let groups = 1_000_000 / tenth;
    let one_of = move |number: u64| group_only(mixed(number % groups as u64));
    table.row(filled(
        "threshold groups, one event each",
        threshold,
        GIB / 2,
        (groups, groups),
        &one_of,
    ));
    let keys = (groups, 3 * groups);
    table.row(filled(
        "threshold groups, three each",
        threshold,
        GIB / 2,
        keys,
        &one_of,
    ));
    table
}

fn filled(
    name: &str,
    body: &str,
    bytes_max: usize,
    (live, events): (usize, usize),
    step: &dyn Fn(u64) -> Step,
) -> Vec<String> {
    let set = rule_set(&[rule("probe", body)]);
    let text = b"{}";
    let before = resident();
    let mut state = State::new(&set, settings(bytes_max));
    let time = send(&mut state, (0, events), text, step);
    let rss = resident().saturating_sub(before);
    let counters = state.counters();
    assert_eq!(counters.evicted(), 0, "{name}: it does not fit");
    assert_eq!(counters.rules[0].1.groups as usize, live, "{name}");
    let account = state.bytes();
    let (bytes, written) = timed(|| state.snapshot("").expect("it is written"));
    drop(state);
    let read = restored(&set, bytes_max, &bytes);
    let snapshot = bytes.len();
    drop(bytes);
    let (_, allocated) = counted(|| {
        let mut state = State::new(&set, settings(bytes_max));
        send(&mut state, (0, events), text, step);
        state
    });
    vec![
        name.to_owned(),
        number(live as f64),
        number(per_event(time, events)),
        mebibytes(rss),
        mebibytes(allocated.kept),
        mebibytes(account),
        number(allocated.kept as f64 / live as f64),
        mebibytes(snapshot),
        number(written.as_secs_f64()),
        number(read.as_secs_f64()),
    ]
}

fn restored(set: &RuleSet, bytes_max: usize, bytes: &[u8]) -> Duration {
    let mut state = State::new(set, settings(bytes_max));
    let (restored, time) = timed(|| state.restore(bytes));
    restored.expect("it is read");
    time
}

/// Groups of the kinds below.
const GROUPS: u64 = 100_000;

/// One kind, with what its events are to it.
struct Probe {
    name: &'static str,
    body: &'static str,
    step: fn(u64) -> Step,
}

const PROBES: [Probe; 11] = [
    Probe {
        name: "threshold, events",
        body: "when = 'true'\n[threshold]\nwindow = \"1h\"\nis = \">= 50\"\n",
        step: |number| group_only(group(number)),
    },
    Probe {
        name: "threshold, distinct, at most 5",
        body: "when = 'true'\n[threshold]\nwindow = \"1h\"\nmeasure = \"distinct\"\nof = 'event.kind'\nis = \">= 5\"\n",
        step: |number| Step {
            captured: Captured::Hash(mixed(number % 7)),
            ..group_only(group(number))
        },
    },
    Probe {
        name: "threshold, distinct, one group of 100,000",
        body: "when = 'true'\n[threshold]\nwindow = \"1h\"\nmeasure = \"distinct\"\nof = 'event.kind'\nis = \">= 100000\"\n",
        step: |number| Step {
            captured: Captured::Hash(mixed(number % 99_999)),
            ..group_only(0)
        },
    },
    Probe {
        name: "threshold, sum over 4,096",
        body: "when = 'true'\n[threshold]\nwindow = \"1h\"\nmeasure = \"sum\"\nof = 'event.n'\nis = \"> 1e9\"\n",
        step: |_| Step {
            captured: Captured::Number(1.0),
            ..group_only(0)
        },
    },
    Probe {
        name: "sequence",
        body: "[sequence]\nwithin = \"1h\"\n[[sequence.step]]\nname = \"one\"\nwhen = 'true'\n[[sequence.step]]\n\
               name = \"two\"\nrepeat = 50\nwhen = 'true'\n",
        step: |number| Step {
            input: (!(number / GROUPS).is_multiple_of(3)).into(),
            ..group_only(group(number))
        },
    },
    Probe {
        name: "sequence, asking of 64 that began",
        body: "[sequence]\nwithin = \"1h\"\n[[sequence.step]]\nname = \"one\"\nwhen = 'true'\n[[sequence.step]]\n\
               name = \"two\"\nwhen = 'event.?n.orValue(1) == step.one.?n.orValue(2)'\n",
        step: |number| Step {
            input: (number >= 64).into(),
            captured: Captured::Hash(mixed(number)),
            ..group_only(0)
        },
    },
    Probe {
        name: "temporal",
        body: "[temporal]\nwithin = \"1h\"\n[[temporal.step]]\nname = \"one\"\nwhen = 'true'\nrepeat = 9\n\
               [[temporal.step]]\nname = \"two\"\nrepeat = 50\nwhen = 'true'\n",
        step: |number| Step {
            input: (!(number / GROUPS).is_multiple_of(2)).into(),
            ..group_only(group(number))
        },
    },
    Probe {
        name: "absence",
        body: "when = 'true'\n[absence]\nof = 'true'\nwithin = \"1h\"\n",
        step: |number| Step {
            input: (!(number / GROUPS).is_multiple_of(2)).into(),
            ..group_only(group(number))
        },
    },
    Probe {
        name: "first seen",
        body: "when = 'true'\n[first_seen]\nof = ['event.kind']\nlearning = \"300d\"\n",
        step: |number| Step {
            captured: Captured::Hash(mixed(number % 1000)),
            ..group_only(group(number))
        },
    },
    Probe {
        name: "rare",
        body: "when = 'true'\n[rare]\nof = ['event.kind']\nwindow = \"30d\"\nfewer_than = 3\nlearning = \"20d\"\n",
        step: |number| group_only(group(number)),
    },
    Probe {
        name: "risk",
        body: "rules = [\"other\"]\ngroup_by = ['event.kind']\n[risk]\nthreshold = 100000\nhalf_life = \"1h\"\n",
        step: |number| Step {
            detected_by: number % 5 + 1,
            captured: Captured::Number(5.0),
            ..group_only(group(number))
        },
    },
];

fn group(number: u64) -> u128 {
    mixed(number % GROUPS)
}

/// What an event costs on a state that is full of such groups, by kind.
fn kinds(tenth: usize) -> Table {
    let mut table = Table::new(
        "one observation, waiting included, on a warm state",
        &["kind", "groups", "ns/event", "own account MiB", "findings"],
    );
    let suppress = Probe {
        name: "suppressed findings, shaping included",
        body: "when = 'true'\n[suppress]\nwindow = \"1h\"\n",
        step: |_| Step {
            input: OWN_DETECTION,
            ..group_only(0)
        },
    };
    for probe in PROBES.iter().chain([&suppress]) {
        table.row(warm(probe, tenth));
    }
    table
}

fn warm(probe: &Probe, tenth: usize) -> Vec<String> {
    let body = format!("lateness = \"0s\"\n{}", probe.body);
    let body = if probe.body.contains("[suppress]") {
        probe.body.to_owned()
    } else {
        body
    };
    let set = rule_set(&[rule("probe", &body), rule("other", "when = 'true'\n")]);
    let text = record();
    let mut state = State::new(&set, settings(4 * GIB));
    let warming = 3 * GROUPS as usize;
    send(&mut state, (0, warming), &text, &probe.step);
    let count = 600_000 / tenth;
    let time = send(&mut state, (warming, count), &text, &probe.step);
    let counters = state.counters();
    assert_eq!(
        (counters.evicted(), counters.late()),
        (0, 0),
        "{}",
        probe.name
    );
    vec![
        probe.name.to_owned(),
        number(counters.rules[0].1.groups as f64),
        number(per_event(time, count)),
        mebibytes(state.bytes()),
        number(counters.rules[0].1.findings as f64),
    ]
}

fn per_event(time: Duration, events: usize) -> f64 {
    time.as_nanos() as f64 / events as f64
}

fn mebibytes(bytes: usize) -> String {
    number(bytes as f64 / (1 << 20) as f64)
}

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.map_or(0, |pages: usize| pages * rustix::param::page_size())
}
