//! Rules of every kind, streams of events, and a run of the one over the other.

use proptest::prelude::*;
use std::sync::Arc;
use tripline_core::evaluate::{Evaluator, Observations, RuleSet};
use tripline_core::event::{Event, Parser};
use tripline_core::rule::kind::{EventKey, EventTime, StoredEvent};
use tripline_core::rule::{File, load};
use tripline_core::state::{State, StateSettings, Told};

/// How late events of these streams come at most, in seconds; no rule allows less.
pub(super) const DISORDER: i64 = 30;

/// Random cases: few where nobody says, because the suite is run often.
pub(super) fn config(cases: u32) -> ProptestConfig {
    let told = std::env::var("TRIPLINE_STATE_CASES").ok();
    ProptestConfig {
        cases: told.and_then(|cases| cases.parse().ok()).unwrap_or(cases),
        failure_persistence: None,
        max_shrink_time: 20_000,
        ..ProptestConfig::default()
    }
}

/// A rule file.
pub(super) fn rule(id: &str, body: &str) -> (String, String) {
    let text = format!(
        "id = \"{id}\"\nname = \"{id}\"\ndescription = \"A probe.\"\nseverity = \"low\"\n\
         status = \"experimental\"\n{body}"
    );
    (id.to_owned(), text)
}

/// Compiles rules that have no mistakes.
pub(super) fn rule_set(rules: &[(String, String)]) -> RuleSet {
    let files: Vec<File> = rules
        .iter()
        .map(|(id, text)| File::found(format!("{id}/rule.toml"), text.clone()))
        .collect();
    let catalog = load(&files, jiff::civil::date(2026, 1, 1));
    let (set, reports) = RuleSet::of_catalog(&catalog);
    let shown = || {
        let all = catalog.reports.iter().chain(&reports);
        let palette = tripline_core::diagnostic::Palette::PLAIN;
        let texts: Vec<String> = all.map(|report| report.render(palette)).collect();
        texts.join("\n")
    };
    assert_eq!(set.rules().len(), rules.len(), "{}", shown());
    set
}

/// Seconds after the start, as event time.
pub(super) fn at(seconds: i64) -> EventTime {
    EventTime::from_micros((1_800_000_000 + seconds) * 1_000_000)
}

/// A drawn event.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    pub(super) at: i64,
    pub(super) kind: &'static str,
    pub(super) user: &'static str,
    pub(super) host: &'static str,
    pub(super) n: i64,
    /// How much later than in order it comes, in seconds.
    pub(super) delay: i64,
    /// When it comes a second time, how much later that is.
    pub(super) again: Option<i64>,
}

/// One event on its way.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) time: EventTime,
    pub(super) text: String,
}

impl Drawn {
    /// Names that do not follow the order of time, so that an order by name would show.
    pub(super) fn id(number: usize) -> String {
        let id = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16;
        format!("00000000-0000-4000-8000-{id:012x}")
    }

    pub(super) fn arrival(&self, number: usize) -> Arrival {
        let time = at(self.at);
        let Self {
            kind,
            user,
            host,
            n,
            ..
        } = self;
        let id = Self::id(number);
        let text = format!(
            "{{\"eventID\":\"{id}\",\"eventTime\":\"{time}\",\
             \"kind\":\"{kind}\",\"user\":\"{user}\",\"host\":\"{host}\",\"n\":{n},\
             \"both\":[\"{user}\",\"{host}\"]}}"
        );
        Arrival { time, text }
    }
}

/// Streams of events within so many seconds.
pub(super) fn stream(count: usize, seconds: i64) -> impl Strategy<Value = Vec<Drawn>> {
    let one = (
        0..seconds,
        prop::sample::select(&["a", "a", "b", "b", "c", "d"][..]),
        prop::sample::select(&["u1", "u1", "u2", "u3"][..]),
        prop::sample::select(&["h1", "h2", "h3"][..]),
        -2i64..6,
        0..=DISORDER,
        prop::option::weighted(0.2, 0..=DISORDER),
    );
    let one = one.prop_map(|(at, kind, user, host, n, delay, again)| Drawn {
        at,
        kind,
        user,
        host,
        n,
        delay,
        again,
    });
    prop::collection::vec(one, 1..count)
}

/// The events in the order of time, each once.
pub(super) fn in_order(drawn: &[Drawn]) -> Vec<Arrival> {
    let mut all: Vec<Arrival> = numbered(drawn)
        .map(|(number, one)| one.arrival(number))
        .collect();
    all.sort_by_key(|arrival| arrival.time);
    all
}

/// The events as they come: late, and some twice.
pub(super) fn as_they_come(drawn: &[Drawn]) -> Vec<Arrival> {
    let mut all: Vec<(i64, Arrival)> = Vec::new();
    for (number, one) in numbered(drawn) {
        all.push((one.at + one.delay, one.arrival(number)));
        all.extend(one.again.map(|again| (one.at + again, one.arrival(number))));
    }
    all.sort_by_key(|(comes, _)| *comes);
    all.into_iter().map(|(_, arrival)| arrival).collect()
}

fn numbered(drawn: &[Drawn]) -> impl Iterator<Item = (usize, &Drawn)> {
    drawn.iter().enumerate()
}

/// A run of rules over events.
pub(super) struct Run<'r> {
    evaluator: Evaluator<'r>,
    parser: Parser,
    observations: Observations,
    pub(super) state: State<'r>,
    pub(super) newest: EventTime,
    pub(super) told: Vec<Told>,
}

impl<'r> Run<'r> {
    pub(super) fn new(set: &'r RuleSet) -> Self {
        Self::with(set, StateSettings::default())
    }

    pub(super) fn with(set: &'r RuleSet, settings: StateSettings) -> Self {
        Self {
            evaluator: Evaluator::new(set),
            parser: Parser::new(),
            observations: Observations::default(),
            state: State::new(set, settings),
            newest: EventTime::MIN,
            told: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, text: &str) {
        let document = self
            .parser
            .parse(text.as_bytes())
            .expect("events are events");
        let event = Event::new(document);
        self.evaluator.evaluate(&event);
        self.evaluator.observe(&event, &mut self.observations);
        self.state.groups_cut(self.observations.groups_cut);
        for fault in &self.observations.faults {
            self.state.fault(fault.rule, &fault.reason);
        }
        let Some(time) = event.time().map(EventTime::from) else {
            self.state.timeless();
            return;
        };
        let stored = Arc::new(StoredEvent {
            key: EventKey::new(event.id().as_str()),
            time,
            bytes: text.as_bytes().into(),
            origin: "".into(),
        });
        self.newest = self.newest.max(time);
        self.state.observe(&stored, &self.observations.all);
    }

    pub(super) fn advance(&mut self) {
        self.state.advance(self.newest);
        self.told.extend(self.state.take_told());
    }

    /// Ends the run; gives what was found, in order.
    pub(super) fn end(mut self) -> Vec<Told> {
        self.state.complete(EventTime::MAX);
        self.state.finish();
        self.told.extend(self.state.take_told());
        sorted(self.told)
    }
}

/// In one order, whenever it was told; every finding has a name of its own.
pub(super) fn sorted(mut told: Vec<Told>) -> Vec<Told> {
    told.sort_by_key(|one| {
        (
            one.finding.event_time.clone(),
            one.finding.finding_id.clone(),
        )
    });
    for pair in told.windows(2) {
        let (left, right) = (&pair[0].finding, &pair[1].finding);
        assert_ne!(left.finding_id, right.finding_id, "{left:?}\n{right:?}");
    }
    told
}

/// What an undisturbed run finds.
pub(super) fn found(set: &RuleSet, arrivals: &[Arrival]) -> Vec<Told> {
    let mut run = Run::new(set);
    for arrival in arrivals {
        run.take(&arrival.text);
        run.advance();
    }
    run.end()
}
