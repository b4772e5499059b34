//! Rules that ask: what series and profiles knew of an event when it happened, whatever the order in which events come.

use super::world::{Run, rule, rule_set};
use serde_json::Value;
use tripline_core::diagnostic::{Code, Level};
use tripline_core::evaluate::{Evaluator, RuleIndex, RuleSet, check_rules};
use tripline_core::event::{Event, Parser};
use tripline_core::rule::kind::EventTime;
use tripline_core::rule::{File, load};
use tripline_core::state::{Kept, State, StateSettings, Told};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// A Monday, midnight.
const START: i64 = 1_799_625_600;

/// An event: when, its number, and who does what.
#[derive(Clone)]
struct One {
    at: i64,
    number: usize,
    user: String,
    api: &'static str,
}

impl One {
    fn text(&self) -> String {
        let Self {
            at,
            number,
            user,
            api,
        } = self;
        let time = EventTime::from_micros((START + at) * 1_000_000);
        // Names that do not follow the order of time.
        let id = (*number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16;
        format!(
            "{{\"eventID\":\"00000000-0000-4000-8000-{id:012x}\",\"eventTime\":\"{time}\",\
             \"eventSource\":\"ec2.amazonaws.com\",\"eventName\":\"{api}\",\"awsRegion\":\"eu-west-1\",\
             \"recipientAccountId\":\"111122223333\",\"user\":\"{user}\"}}"
        )
    }
}

#[derive(Default)]
struct Stream(Vec<One>);

impl Stream {
    fn push(&mut self, at: i64, user: &str, api: &'static str) {
        let number = self.0.len();
        self.0.push(One {
            at,
            number,
            user: user.to_owned(),
            api,
        });
    }
}

const CALLS: &str = "when = 'has(event.eventName)'\n[insight]\nis = \">= 3\"\n";
const PROFILE: &str = "when = 'has(event.user)'\ngroup_by = ['event.user']\n[entity]\nof = ['event.eventName']\n\
                       peers = ['event.recipientAccountId']\n";

/// A run over events that come as given, cut and gone on with at the places given.
fn run(set: &RuleSet, events: &[One], cuts: &[usize]) -> Vec<Told> {
    let (mut run, mut told) = (Run::new(set), Vec::new());
    for (number, one) in events.iter().enumerate() {
        run.take(&one.text());
        if number % 7 == 0 {
            run.advance();
        }
        if cuts.contains(&number) {
            told.append(&mut run.told);
            told.extend(run.state.take_told());
            let bytes = run.state.snapshot("").expect("written");
            let mut next = Run::new(set);
            let restored = next.state.restore(&bytes).expect("read");
            assert!(restored.rules.iter().all(|(_, kept)| *kept == Kept::Kept));
            assert_eq!(next.state.snapshot("").expect("written"), bytes);
            next.newest = run.newest;
            run = next;
            // What came last comes once more.
            for seen in &events[number.saturating_sub(20)..=number] {
                run.take(&seen.text());
            }
        }
    }
    told.extend(run.end());
    super::world::sorted(told)
}

/// Eight days of an event every five minutes, and a burst on the last.
fn days_and_burst() -> Vec<One> {
    let mut all = Stream::default();
    for at in (0..8 * DAY + 6 * HOUR).step_by(300) {
        all.push(at + 7, "dana", "RunInstances");
        if (8 * DAY + 2 * HOUR..8 * DAY + 2 * HOUR + 300).contains(&at) {
            (0..200).for_each(|second| all.push(at + second, "mallory", "RunInstances"));
        }
    }
    all.0
}

const BURST: i64 = 8 * DAY + 2 * HOUR;

fn seconds(told: &Told) -> i64 {
    told.event.time.micros() / 1_000_000 - START
}

#[test]
fn the_score_of_a_burst_is_there_after_its_first_minute() {
    let set = rule_set(&[
        rule(
            "in-a-burst",
            "when = 'event.eventName == \"RunInstances\" && insight.score >= 0.99'\n[finding]\n\
             title = '{insight.state} {insight.rule}'\n[finding.context]\nsurprise = 'insight.surprise'\n\
             observed = 'insight.observed'\nexpected = 'insight.expected'\nbaseline = 'insight.baseline'\n\
             minutes = 'insight.window_minutes'\nsame = 'insight.of[\"calls\"].score == insight.score'\n",
        ),
        rule("calls", CALLS),
        rule(
            "young",
            "signal = false\nwhen = 'event.eventName == \"RunInstances\" && insight.state in [\"unknown\", \"warming\"]'\n",
        ),
    ]);
    let events = days_and_burst();
    let told = run(&set, &events, &[]);
    let of = |id: &str| -> Vec<&Told> {
        let all = told.iter().filter(|one| one.finding.rule_id == id);
        all.collect()
    };
    let burst = of("in-a-burst");
    let first = burst.first().expect("the burst is found");
    // Nothing of the first minute, as its count is known only when it is over.
    assert!(
        (BURST + 60..BURST + 120).contains(&seconds(first)),
        "{}",
        seconds(first)
    );
    // All of the two minutes and more that follow while it lasts.
    let during = burst.iter().filter(|one| seconds(one) < BURST + 200);
    assert!(during.count() >= 135);
    assert!(burst.iter().any(|one| one.finding.title == "open calls"));
    let context = &first.finding.context;
    let number = |name: &str| context[name].as_f64().expect("a number");
    assert!(number("surprise") >= 2.0 && number("observed") > 10.0 * number("expected"));
    assert!(number("baseline") > 0.1 && number("baseline") < 1.0);
    assert_eq!(context["same"], Value::Bool(true));
    assert!(first.finding.pattern.is_none());
    // A series is young for a day.
    let young = of("young");
    assert!(young.len() > 100 && young.iter().all(|one| seconds(one) < 2 * DAY));
}

#[test]
fn something_is_new_once_and_not_while_learning() {
    let set = rule_set(&[
        rule(
            "a-asks",
            "when = 'event.eventName == \"Odd\" && entity.first_seen'\n",
        ),
        rule("profile", PROFILE),
        rule(
            "z-asks",
            "when = 'event.eventName == \"Odd\" && entity.first_seen'\n[finding]\n\
             title = '{entity.rule} {entity.self} {entity.peers} {entity.all}'\n\
             [finding.context]\nrarity = 'entity.rarity'\nof = 'entity.of[\"profile\"].first_seen'\n",
        ),
        rule(
            "unknown",
            "when = 'event.eventName == \"Odd\" && !entity.known'\n",
        ),
        rule(
            "again",
            "when = 'event.eventName == \"Odd\" && entity.count > 0'\n[finding.context]\n\
             count = 'entity.count'\ndays = 'entity.days'\nsince = 'entity.since'\nlast = 'entity.last_seen'\n",
        ),
    ]);
    let mut all = Stream::default();
    for at in (0..20 * DAY).step_by(HOUR as usize) {
        for user in ["dana", "erin", "finn"] {
            all.push(at, user, "Usual");
        }
        if at == 3 * DAY {
            // Within the week that dana is learned.
            all.push(at + 1, "dana", "Odd");
        }
        if [12 * DAY, 12 * DAY + 2 * HOUR, 15 * DAY].contains(&at) {
            // Two at one moment: the first by name is the first.
            all.push(at + 1, "erin", "Odd");
            all.push(at + 1, "erin", "Odd");
        }
    }
    let told = run(&set, &all.0, &[]);
    let of = |id: &str| -> Vec<&Told> {
        let all = told.iter().filter(|one| one.finding.rule_id == id);
        all.collect()
    };
    let [unknown] = of("unknown")[..] else {
        panic!("{}", of("unknown").len())
    };
    assert_eq!(seconds(unknown), 3 * DAY + 1);
    for id in ["a-asks", "z-asks"] {
        let [new] = of(id)[..] else {
            panic!("{id}: {}", of(id).len())
        };
        assert_eq!(seconds(new), 12 * DAY + 1, "{id}");
    }
    let same = |id: &str| of(id)[0].finding.event_id.clone();
    assert_eq!(same("a-asks"), same("z-asks"));
    let new = of("z-asks")[0];
    assert_eq!(new.finding.title, "profile UNSEEN RARE RARE");
    assert_eq!(new.finding.context["of"], Value::Bool(true));
    assert!(new.finding.context["rarity"].as_f64().expect("a number") > 0.5);
    let again = of("again");
    assert_eq!(again.len(), 5);
    // Of two at one moment findings are in no order.
    let last = again
        .iter()
        .max_by_key(|one| one.finding.context["count"].as_u64());
    let last = &last.expect("there").finding.context;
    assert_eq!(
        (last["count"].clone(), last["days"].clone()),
        (5.into(), 2.into())
    );
}

/// Everything that can be asked, in places before and after what is asked about, suppressed and as signals.
fn all_questions() -> RuleSet {
    rule_set(&[
        rule(
            "asks-first",
            "when = 'event.eventName != \"\" && (entity.rarity > 0.9 || insight.score > 0.9)'\n[suppress]\n\
             window = \"1h\"\nby = ['event.user', 'string(entity.first_seen)']\n[finding]\n\
             title = '{entity.rarity} {entity.surprise} {insight.score} {insight.observed}'\n",
        ),
        rule("calls", CALLS),
        rule("profile", PROFILE),
        rule(
            "of-the-account",
            "lateness = \"10m\"\nwhen = 'event.user != \"finn\"'\ngroup_by = ['event.recipientAccountId']\n\
             [entity]\nof = ['event.user', 'event.eventName']\nhistory = \"14d\"\nlearning = \"3d\"\n",
        ),
        rule(
            "signals",
            "signal = true\nwhen = 'event.eventName != \"\" && entity.of[\"of-the-account\"].first_seen'\n",
        ),
        rule(
            "counts-signals",
            "rules = [\"signals\"]\ngroup_by = ['event.user']\n[threshold]\nwindow = \"1d\"\nis = \">= 1\"\n",
        ),
        rule(
            "excused",
            "when = 'event.eventName == \"Odd\"'\n[[exceptions]]\nname = \"known\"\nowner = \"o\"\nreason = \"r\"\n\
             when = 'entity.count > 0'\n",
        ),
    ])
}

fn busy_days() -> Vec<One> {
    let mut all = Stream::default();
    let apis = ["Usual", "Usual", "Usual", "Usual", "Other"];
    for at in (0..10 * DAY).step_by(600) {
        let turn = (at / 600) as usize;
        all.push(at + 3, ["dana", "erin", "finn"][turn % 3], apis[turn % 5]);
        all.push(at + 3, "dana", apis[(turn * 7) % 5]);
        if turn % 97 == 96 {
            all.push(at + 3, "erin", "Odd");
            all.push(at + 4, "mallory", "Odd");
        }
        if turn == 1300 {
            (0..300).for_each(|second| all.push(at + second, "mallory", "Usual"));
        }
    }
    all.0.sort_by_key(|one| one.at);
    all.0
}

#[test]
fn order_repetition_and_restarts_change_nothing() {
    let set = all_questions();
    let events = busy_days();
    let expected = run(&set, &events, &[]);
    for id in ["asks-first", "counts-signals", "excused"] {
        assert!(expected.iter().any(|one| one.finding.rule_id == id), "{id}");
    }
    let shown = |told: &[Told]| format!("{told:#?}");
    // Each may come two minutes late, and one in three comes twice.
    let mut mixed: Vec<(i64, &One)> = Vec::new();
    for (number, one) in events.iter().enumerate() {
        mixed.push((one.at + (number as i64 * 37) % 120, one));
        if number % 3 == 0 {
            mixed.push((one.at + (number as i64 * 53) % 120, one));
        }
    }
    mixed.sort_by_key(|(comes, _)| *comes);
    let mixed: Vec<One> = mixed.into_iter().map(|(_, one)| one.clone()).collect();
    let found = run(&set, &mixed, &[]);
    assert!(found == expected, "{}\n{}", shown(&found), shown(&expected));
    let cuts = [1, 100, 1301, 2200, 2201, 2290, 3500];
    assert!(run(&set, &mixed, &cuts) == expected);
}

#[test]
fn many_entities_give_way_and_none_is_called_new_for_that() {
    let small = PROFILE.replace("group_by", "groups_max = 2000\ngroup_by");
    let set = rule_set(&[
        rule("profile", &small),
        rule(
            "asks",
            "when = 'event.eventName == \"Usual\" && entity.first_seen'\n",
        ),
    ]);
    let mut run = Run::with(
        &set,
        StateSettings {
            bytes_max: 24 << 20,
            ..StateSettings::default()
        },
    );
    let mut number = 0;
    for round in 0..2 {
        for user in 0..100_000i64 {
            let one = One {
                at: round * 9 * DAY + user,
                number,
                user: format!("user-{user}"),
                api: "Usual",
            };
            number += 1;
            run.take(&one.text());
            if user % 64 == 0 {
                run.advance();
            }
        }
    }
    run.advance();
    let counters = run.state.counters();
    let (_, profile) = counters
        .rules
        .iter()
        .find(|(id, _)| id == "profile")
        .expect("there");
    assert!(profile.groups <= 2_500, "{}", profile.groups);
    assert!(profile.evicted > 150_000, "{}", profile.evicted);
    assert_eq!(counters.forced, 0);
    assert!(run.state.bytes() <= 24 << 20);
    let bytes = run.state.snapshot("").expect("written");
    for at in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
        let mut state = State::new(&set, StateSettings::default());
        assert!(state.restore(&bytes[..at]).is_err());
    }
    assert!(run.end().is_empty());
}

/// The codes and messages of what is wrong with some rules.
fn mistakes(rules: &[(&str, &str)]) -> Vec<(Code, String)> {
    let files: Vec<File> = rules
        .iter()
        .map(|(id, body)| {
            let (id, text) = rule(id, body);
            File::found(format!("{id}/rule.toml"), text)
        })
        .collect();
    let catalog = load(&files, jiff::civil::date(2026, 1, 1));
    let reports = catalog.reports.iter().cloned().chain(check_rules(&catalog));
    let found = reports.map(|one| (one.diagnostic.code, one.diagnostic));
    found
        .map(|(code, one)| (code, format!("{} / {}", one.message, one.help.join(" "))))
        .collect()
}

#[test]
fn mistakes_are_found_before_any_event() {
    let asked = [("calls", CALLS), ("profile", PROFILE)];
    let check = |body: &str, code: Code, part: &str| {
        let rules = [&asked[..], &[("asks", body)]].concat();
        let found = mistakes(&rules);
        let is = |(found, text): &(Code, String)| *found == code && text.contains(part);
        assert!(found.iter().any(is), "{body}\n{part}\n{found:#?}");
    };
    let when = |question: &str| format!("when = 'event.eventName == \"a\" && {question}'\n");
    check(&when("insight.scor > 0.9"), Code::UnknownField, "scor");
    check(&when("insight.score > \"a\""), Code::TypeMismatch, "");
    check(&when("entity.firstseen"), Code::UnknownField, "first_seen");
    check(&when("entity.rarity"), Code::TypeMismatch, "");
    check(
        &when("entity.of[\"profil\"].first_seen"),
        Code::UnknownField,
        "profile",
    );
    check(
        "when = 'insight.score > 0.9'\n",
        Code::AlwaysMatches,
        "event alone",
    );
    check(
        &format!("effect = \"deny\"\n{}", when("entity.first_seen")),
        Code::RuleKind,
        "decides nothing",
    );
    check(
        &format!("group_by = ['event.user']\n{}", when("entity.first_seen")),
        Code::RuleKind,
        "`group_by` belongs",
    );
    check(
        &format!(
            "{}[threshold]\nwindow = \"1m\"\nis = \">= 2\"\n",
            when("insight.score > 0.9")
        ),
        Code::RuleKind,
        "`[threshold]` cannot ask about `insight`",
    );
    check(
        &when("detect.odd.score > 0.5 && entity.first_seen"),
        Code::PluginMisplaced,
        "cannot ask plugins",
    );
    check(
        "lateness = \"1m\"\nwhen = 'event.a == 1'\n",
        Code::RuleKind,
        "`lateness` belongs",
    );
    check(
        "when = 'event.a == 1'\n[entity]\nof = ['event.b']\n",
        Code::MissingKey,
        "`entity` needs `group_by`",
    );
    check(
        "when = 'event.a == 1'\ngroup_by = ['event.c']\n[entity]\nof = ['event.b']\nhistory = \"30h\"\n",
        Code::PeriodSyntax,
        "whole days",
    );
    check(
        "rules = [\"asks\"]\ngroup_by = ['event.c']\n[entity]\nof = ['event.b']\n",
        Code::RuleKind,
        "takes in events",
    );
    check(
        "when = 'event.a == 1'\ngroup_by = ['event.c']\n[entity]\nof = ['event.b']\n[suppress]\nwindow = \"1h\"\n",
        Code::RuleKind,
        "finds nothing",
    );
    let alone = mistakes(&[("asks", &when("insight.score > 0.9 && entity.first_seen"))]);
    let silent: Vec<_> = alone
        .iter()
        .filter(|(code, _)| *code == Code::RuleSilent)
        .collect();
    assert_eq!(silent.len(), 2, "{alone:#?}");
    assert!(
        alone.iter().all(|(code, _)| code.level() == Level::Warning),
        "{alone:#?}"
    );
    // A macro's own variable is none of ours, and a field of the event is not either.
    let fine = mistakes(&[(
        "plain",
        "when = 'event.list.exists(insight, insight == 1) && event.entity == \"a\"'\n",
    )]);
    assert!(fine.is_empty(), "{fine:#?}");
}

#[test]
fn with_hardly_any_memory_rules_still_answer() {
    let set = all_questions();
    let settings = StateSettings {
        bytes_max: 64 << 10,
        ..StateSettings::default()
    };
    let mut run = Run::with(&set, settings);
    for (number, one) in busy_days().iter().enumerate() {
        run.take(&one.text());
        // Much waits, so that it is seen before it is due.
        if number % 500 == 0 {
            run.advance();
        }
    }
    assert!(run.state.counters().forced > 0);
    let undecided: u64 = run
        .state
        .counters()
        .rules
        .iter()
        .map(|(_, one)| one.undecided)
        .sum();
    assert_eq!(undecided, 0);
    run.end();
}

#[test]
fn an_explanation_says_that_it_is_known_only_then() {
    let set = rule_set(&[
        rule("profile", PROFILE),
        rule(
            "asks",
            "when = 'event.eventName == \"Odd\" && entity.first_seen'\n",
        ),
    ]);
    let mut all = Stream::default();
    all.push(0, "dana", "Odd");
    let text = all.0[0].text();
    let mut parser = Parser::new();
    let event = Event::new(parser.parse(text.as_bytes()).expect("an event"));
    let reason = Evaluator::new(&set).explain(RuleIndex(1), &event).to_text();
    assert!(
        reason.contains("asks what is known of the event at its time"),
        "{reason}"
    );
}

#[test]
fn exceptions_of_a_site_may_ask_what_the_rule_may() {
    let excuse = "[[override]]\nrule = \"asks\"\n[[override.exceptions]]\nname = \"often\"\nowner = \"o\"\n\
                  reason = \"r\"\nwhen = 'entity.known && entity.days > 3'\n";
    let check = |body: &str| -> Vec<String> {
        let rules = [rule("profile", PROFILE), rule("asks", body)];
        let mut files: Vec<File> = rules
            .iter()
            .map(|(id, text)| File::found(format!("{id}/rule.toml"), text.clone()))
            .collect();
        files.push(File::found("site/overrides.toml", excuse));
        let catalog = load(&files, jiff::civil::date(2026, 1, 1));
        assert!(catalog.reports.is_empty(), "{:?}", catalog.reports);
        let (set, reports) = RuleSet::of_catalog(&catalog);
        assert_eq!(set.rules().len(), 2 - usize::from(!reports.is_empty()));
        reports
            .into_iter()
            .map(|one| one.diagnostic.message)
            .collect()
    };
    assert!(check("when = 'event.eventName == \"Odd\" && entity.count > 0'\n").is_empty());
    let refused = check("when = 'event.eventName == \"Odd\"'\n");
    assert_eq!(
        refused,
        ["only a rule that asks about `entity` in its own file can be asked so here"]
    );
}

/// What becomes of a profile when its rule changes, and whether what was seen before is known after.
fn changed(after: &str) -> (Kept, bool) {
    let asks = rule(
        "asks",
        "when = 'event.eventName == \"Odd\" && entity.count > 0'\n",
    );
    let before = rule_set(&[rule("profile", PROFILE), asks.clone()]);
    let after = rule_set(&[rule("profile", after), asks]);
    let mut all = Stream::default();
    all.push(0, "dana", "Odd");
    all.push(DAY, "dana", "Odd");
    let mut run = Run::new(&before);
    run.take(&all.0[0].text());
    run.state
        .complete(EventTime::from_micros((START + HOUR) * 1_000_000));
    let bytes = run.state.snapshot("").expect("written");
    let mut run = Run::new(&after);
    let restored = run.state.restore(&bytes).expect("read").rules;
    let kept = restored
        .iter()
        .find(|(id, _)| id == "profile")
        .map(|(_, kept)| *kept);
    run.take(&all.0[1].text());
    (kept.expect("there"), !run.end().is_empty())
}

#[test]
fn a_profile_is_kept_while_it_means_the_same() {
    let longer = format!(
        "lateness = \"1h\"\ngroups_max = 500\n{PROFILE}history = \"90d\"\nlearning = \"1d\"\n"
    );
    for after in [PROFILE.to_owned(), longer] {
        assert_eq!(changed(&after), (Kept::Kept, true), "{after}");
    }
    for after in [
        PROFILE.replace("'event.eventName'", "'event.eventName', 'event.awsRegion'"),
        PROFILE.replace(
            "peers = ['event.recipientAccountId']",
            "peers = ['event.awsRegion']",
        ),
        PROFILE.replace(
            "group_by = ['event.user']",
            "group_by = ['event.user', 'event.awsRegion']",
        ),
        PROFILE.replace("has(event.user)", "event.user != \"\""),
    ] {
        assert_eq!(changed(&after), (Kept::Changed, false), "{after}");
    }
}
