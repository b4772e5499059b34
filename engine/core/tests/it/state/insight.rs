//! Series through rules: counted, named, told as records, whatever the order in which events come.

use super::world::{Run, rule, rule_set};
use serde_json::Value;
use tripline_core::evaluate::RuleSet;
use tripline_core::insight::{InsightOf, Moment, Record, SeriesMemory, SeriesTexts};
use tripline_core::rule::kind::{CountedOf, EventTime, Kind, Period};
use tripline_core::state::{Kept, Told};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// A Monday, midnight.
const START: i64 = 1_799_625_600;

/// An event: when, its number, and whose it is.
#[derive(Clone)]
struct One {
    at: i64,
    number: usize,
    user: &'static str,
    error: Option<&'static str>,
    api: &'static str,
}

impl One {
    fn text(&self) -> String {
        let Self {
            at,
            number,
            user,
            error,
            api,
        } = self;
        let time = EventTime::from_micros((START + at) * 1_000_000);
        let error = error.map_or(String::new(), |code| format!(",\"errorCode\":\"{code}\""));
        format!(
            "{{\"eventID\":\"00000000-0000-4000-8000-{number:012x}\",\"eventTime\":\"{time}\",\
             \"eventSource\":\"ec2.amazonaws.com\",\"eventName\":\"{api}\",\"awsRegion\":\"eu-west-1\",\
             \"recipientAccountId\":\"111122223333\",\"userAgent\":\"terraform\",\
             \"userIdentity\":{{\"arn\":\"arn:aws:iam::111122223333:user/{user}\"}}{error}}}"
        )
    }
}

/// A rule that counts everything, and two that look at what it finds.
fn rules() -> RuleSet {
    rule_set(&[
        rule(
            "calls",
            "when = 'has(event.eventName)'\n[insight]\nis = \">= 3\"\n[finding]\n\
             title = '{event.insightDetails.eventName} is unusual'\n",
        ),
        rule(
            "about-insights",
            "when = 'event.?eventType.orValue(\"\") == \"AwsCloudTrailInsight\"'\n[finding]\n\
             title = '{event.insightDetails.state}'\n",
        ),
        rule(
            "again-and-again",
            "when = 'event.?insight.?surprise.orValue(0.0) > 0.0'\n\
             group_by = ['event.insight.key.eventName']\n\
             [threshold]\nwindow = \"1h\"\nis = \">= 2\"\n",
        ),
    ])
}

/// Eight days of an event every five minutes, and a burst on the last.
fn days_and_burst() -> Vec<One> {
    let mut all = Vec::new();
    let mut push = |at: i64, user: &'static str| {
        let number = all.len();
        all.push(One {
            at,
            number,
            user,
            error: None,
            api: "RunInstances",
        });
    };
    for at in (0..8 * DAY + 6 * HOUR).step_by(300) {
        push(at + 7, "dana");
        if (8 * DAY + 2 * HOUR..8 * DAY + 2 * HOUR + 300).contains(&at) {
            (0..200).for_each(|second| push(at + second, "mallory"));
        }
    }
    all
}

struct Done {
    records: Vec<Record>,
    told: Vec<Told>,
}

/// A run over events that come as given, cut and gone on with at the places given.
fn run(set: &RuleSet, events: &[One], cuts: &[usize]) -> Done {
    let mut run = Run::new(set);
    run.state.keep_insights();
    let (mut records, mut told) = (Vec::new(), Vec::new());
    for (number, one) in events.iter().enumerate() {
        run.take(&one.text());
        if number % 7 == 0 {
            run.advance();
        }
        if cuts.contains(&number) {
            records.extend(run.state.take_insights());
            told.append(&mut run.told);
            let bytes = run.state.snapshot("").expect("written");
            let mut next = Run::new(set);
            let restored = next.state.restore(&bytes).expect("read");
            assert!(restored.rules.iter().all(|(_, kept)| *kept == Kept::Kept));
            assert_eq!(next.state.snapshot("").expect("written"), bytes);
            next.state.keep_insights();
            next.newest = run.newest;
            run = next;
        }
    }
    run.state.complete(EventTime::MAX);
    records.extend(run.state.take_insights());
    told.append(&mut run.told);
    told.extend(run.state.take_told());
    Done { records, told }
}

fn json(record: &Record) -> Value {
    serde_json::from_slice(&record.bytes).expect("a record is JSON")
}

#[test]
fn a_burst_is_told_with_start_end_and_whose_it_is() {
    let set = rules();
    let done = run(&set, &days_and_burst(), &[]);
    let [start, end] = done.records.as_slice() else {
        panic!("{:#?}", done.records.iter().map(json).collect::<Vec<_>>());
    };
    let (first, last) = (json(start), json(end));
    assert!(start.begins && !end.begins);
    assert_eq!(first["sharedEventID"], last["sharedEventID"]);
    assert_ne!(first["eventID"], last["eventID"]);
    let details = &first["insightDetails"];
    assert_eq!(details["state"], "Start");
    assert_eq!(details["eventName"], "RunInstances");
    assert_eq!(details["insightType"], "ApiCallRateInsight");
    assert_eq!(first["recipientAccountId"], "111122223333");
    assert_eq!(first["awsRegion"], "eu-west-1");
    assert_eq!(first["eventTime"], "2027-01-19T02:00:00Z");
    let attribution = &details["insightContext"]["attributions"][0];
    assert_eq!(attribution["attribute"], "userIdentityArn");
    let mallory = "arn:aws:iam::111122223333:user/mallory";
    assert_eq!(attribution["insight"][0]["value"], mallory);
    let usual = &attribution["baseline"][0];
    assert_eq!(usual["value"], "arn:aws:iam::111122223333:user/dana");
    let average = usual["average"].as_f64().expect("a number");
    assert!(
        (average - 0.2).abs() < 0.03,
        "one in five minutes, not {average}"
    );
    let newcomer = attribution["baseline"].as_array().expect("names");
    let newcomer = newcomer.iter().find(|one| one["value"] == mallory);
    assert_eq!(newcomer, None, "what made it unusual is not usual");
    let averages = &last["insightDetails"]["insightContext"];
    let average = averages["statistics"]["insight"]["average"]
        .as_f64()
        .expect("a number");
    assert!(
        (40.0..61.0).contains(&average),
        "two hundred in four minutes, not {average} in each"
    );
    let end = &averages["attributions"][0]["insight"][0];
    assert_eq!(end["value"], mallory, "{end}");
    let baseline = &details["insightContext"]["statistics"]["baseline"]["average"];
    assert!((baseline.as_f64().expect("a number") - 0.2).abs() < 0.01);
    let own = &first["insight"];
    assert!(own["surprise"].as_f64() > Some(3.0) && own["score"].as_f64() > Some(0.999));
    let explanation = own["explanation"].as_str().expect("a sentence");
    assert!(explanation.contains(mallory), "{explanation}");
    assert_eq!(own["key"]["eventName"], "RunInstances");
    let values = last["insight"]["chart"]["values"]
        .as_array()
        .expect("a chart");
    assert!(
        values.iter().any(|value| value.as_f64() >= Some(59.0)),
        "{values:?}"
    );
    let minutes =
        last["insightDetails"]["insightContext"]["statistics"]["insightDuration"].as_u64();
    assert!((3..=6).contains(&minutes.expect("a number")), "{minutes:?}");
}

#[test]
fn an_insight_is_a_finding_and_an_event() {
    let set = rules();
    let done = run(&set, &days_and_burst(), &[]);
    let titles = |rule: &str| -> Vec<&str> {
        let told = done.told.iter();
        let told = told.filter(|one| one.finding.rule_id == rule);
        told.map(|one| one.finding.title.as_str()).collect()
    };
    assert_eq!(titles("calls"), ["RunInstances is unusual"]);
    assert_eq!(titles("about-insights"), ["Start", "End"]);
    assert_eq!(titles("again-and-again"), ["again-and-again"]);
    let finding = done.told.iter().find(|one| one.finding.rule_id == "calls");
    let pattern = finding
        .and_then(|one| one.finding.pattern.as_ref())
        .expect("it remembers");
    let key = [
        "111122223333",
        "eu-west-1",
        "ec2.amazonaws.com",
        "RunInstances",
    ];
    assert_eq!(pattern.group, key);
    assert_eq!(pattern.kind, "insight");
    assert_eq!(pattern.start, "2027-01-19T02:00:00Z");
}

#[test]
fn order_and_repetition_change_nothing() {
    let set = rules();
    let events = days_and_burst();
    let expected = run(&set, &events, &[]);
    let mut mixed = events.clone();
    // Within the lateness of three minutes, and some twice.
    mixed.sort_by_key(|one| (one.at + (one.number as i64 * 7919) % 120, one.number));
    let again: Vec<One> = mixed.iter().step_by(3).cloned().collect();
    mixed.extend(again);
    mixed.sort_by_key(|one| one.at + (one.number as i64 * 104_729) % 120);
    let found = run(&set, &mixed, &[]);
    assert_eq!(found.records, expected.records);
}

#[test]
fn a_restart_at_any_place_changes_nothing() {
    let set = rules();
    let events = days_and_burst();
    let expected = run(&set, &events, &[]);
    let burst = events
        .iter()
        .position(|one| one.user == "mallory")
        .expect("a burst");
    let cuts = [
        3,
        1000,
        2000,
        burst,
        burst + 30,
        burst + 61,
        burst + 150,
        burst + 199,
        burst + 203,
    ];
    let found = run(&set, &events, &cuts);
    assert_eq!(found.records, expected.records);
    assert_eq!(found.told, expected.told);
}

#[test]
fn what_is_late_is_counted_and_left_out() {
    let set = rules();
    let mut run = Run::new(&set);
    let mut one = days_and_burst().swap_remove(0);
    for number in 0..100 {
        one.number = number;
        one.at = number as i64 * 60;
        run.take(&one.text());
        run.advance();
    }
    (one.number, one.at) = (1000, 0);
    run.take(&one.text());
    let counters = run.state.counters();
    let (_, calls) = &counters
        .rules
        .iter()
        .find(|(id, _)| id == "calls")
        .expect("it remembers");
    assert_eq!((calls.observed, calls.late, calls.groups), (100, 1, 1));
}

#[test]
fn keys_without_number_give_way_and_harm_no_other() {
    let set = rule_set(&[rule(
        "calls",
        "group_by = ['event.userIdentity.arn']\ngroups_max = 64\nwhen = 'has(event.eventName)'\n\
         [insight]\nis = \">= 3\"\n",
    )]);
    let mut run = Run::new(&set);
    run.state.keep_insights();
    let mut one = days_and_burst().swap_remove(0);
    let users: Vec<String> = (0..5000).map(|number| format!("user-{number}")).collect();
    for (number, user) in users.iter().enumerate() {
        one.number = number;
        one.at = number as i64 * 30;
        let text = one.text().replace("user/dana", &format!("user/{user}"));
        run.take(&text);
        run.advance();
    }
    let counters = run.state.counters();
    let (_, calls) = &counters.rules[0];
    assert!(calls.groups <= 64 + 8, "{} series", calls.groups);
    assert!(calls.evicted > 4800, "{}", calls.evicted);
    assert!(run.state.take_insights().is_empty());
}

#[test]
fn a_year_of_silence_and_a_clock_far_away_end() {
    let set = rules();
    let mut events = days_and_burst();
    let far = events.len();
    for (number, at) in [
        (far, 400 * DAY),
        (far + 1, 400 * DAY + 60),
        (far + 2, 70_000 * DAY),
    ] {
        let mut one = events[0].clone();
        (one.number, one.at) = (number, at);
        events.push(one);
    }
    let done = run(&set, &events, &[far]);
    assert_eq!(
        done.records.iter().filter(|record| record.begins).count(),
        1
    );
}

#[test]
fn memory_that_was_tampered_with_is_refused_or_goes_on() {
    let set = rules();
    let rule = &set.rules()[0].rule;
    let Some(Kind::Insight(insight)) = rule.memory.as_ref().map(|memory| &memory.kind) else {
        panic!("it is an insight");
    };
    let of = InsightOf { rule, insight };
    let at = |minute: u64| EventTime::from_micros((START + minute as i64 * 60) * 1_000_000);
    let mut memory = SeriesMemory::new(of);
    let count = |memory: &mut SeriesMemory, number: u64, minute: u64| {
        let moment = Moment {
            time: at(minute),
            event: number,
        };
        let counted = CountedOf {
            value: 1f32.to_bits(),
            names: [7 + number % 3 * 2, 9, 0],
            ..CountedOf::default()
        };
        let texts = || SeriesTexts {
            key: vec!["account".to_owned(); 4],
            names: vec!["somebody".to_owned(); 3],
        };
        memory.count(moment, u128::from(number % 5) << 96 | 1, &counted, texts);
    };
    for number in 0..600 {
        count(&mut memory, number, number);
    }
    memory.close(of, at(590), &mut Vec::new());
    let bytes = memory.to_bytes();
    let again = SeriesMemory::from_bytes(of, &bytes).expect("what was written");
    assert_eq!(again.to_bytes(), bytes);
    for length in (0..bytes.len()).step_by(61) {
        assert!(
            SeriesMemory::from_bytes(of, &bytes[..length]).is_err(),
            "{length}"
        );
    }
    let mut refused = 0;
    for place in (0..bytes.len()).step_by(7) {
        let mut torn = bytes.clone();
        torn[place] ^= 0x41;
        match SeriesMemory::from_bytes(of, &torn) {
            Err(_) => refused += 1,
            Ok(mut memory) => {
                count(&mut memory, 1000, 600);
                memory.close(of, at(610), &mut Vec::new());
            }
        }
    }
    assert!(refused > 0);
}

#[test]
fn shares_of_errors_follow_the_calls() {
    let set = rule_set(&[rule(
        "errors",
        "when = 'has(event.eventName)'\n[insight]\nvalue = \"error_share\"\nis = \">= 3\"\n",
    )]);
    let mut events = Vec::new();
    let mut push = |at: i64, error: Option<&'static str>| {
        let number = events.len();
        events.push(One {
            at,
            number,
            user: "dana",
            error,
            api: "GetRolePolicy",
        });
    };
    for at in (0..8 * DAY).step_by(60) {
        push(at, (at % 6000 == 0).then_some("ThrottlingException"));
        // Twice as many calls as usual with as few errors among them are no error insight.
        if at == 6 * DAY {
            (0..40).for_each(|second| push(at + second, None));
        }
        if at == 7 * DAY + 6 * HOUR {
            (0..18).for_each(|second| push(at + second, Some("NoSuchEntityException")));
        }
    }
    let done = run(&set, &events, &[]);
    let starts: Vec<Value> = done
        .records
        .iter()
        .filter(|one| one.begins)
        .map(json)
        .collect();
    let [start] = starts.as_slice() else {
        panic!("{starts:#?}");
    };
    assert_eq!(
        start["insightDetails"]["insightType"],
        "ApiErrorRateInsight"
    );
    assert_eq!(
        start["insightDetails"]["errorCode"],
        "NoSuchEntityException"
    );
    assert_eq!(start["eventTime"], "2027-01-18T06:00:00Z");
    assert_eq!(start["insight"]["test"], "errors");
}

#[test]
fn a_restart_keeps_the_threshold_that_a_day_began_with() {
    let set = rule_set(&[rule(
        "calls",
        "when = 'has(event.eventName)'\ngroup_by = ['event.userIdentity.arn']\n\
         [insight]\nfalse_alarms_per_week = 1\n",
    )]);
    // So many series that the budget wants more than the least surprise there is.
    let mut run = Run::new(&set);
    let mut one = days_and_burst().swap_remove(0);
    let mut number = 0;
    for hour in 0..30 {
        for user in 0..400 {
            number += 1;
            (one.number, one.at) = (number, hour * HOUR + user);
            let text = one
                .text()
                .replace("user/dana", &format!("user/user-{user}"));
            run.take(&text);
        }
        run.advance();
    }
    let bytes = run.state.snapshot("").expect("written");
    let mut next = Run::new(&set);
    next.state.restore(&bytes).expect("read");
    let threshold = |run: &Run<'_>| run.state.insight_threshold(0);
    assert!(threshold(&run) > Some(3.2), "{:?}", threshold(&run));
    assert_eq!(threshold(&next), threshold(&run));
}

/// The lateness that is waited for when a rule does not say is the one of insights.
#[test]
fn the_lateness_of_insights_is_shorter() {
    let set = rules();
    let memory = set.rules()[0].rule.memory.as_ref().expect("it remembers");
    assert_eq!(memory.lateness, Period::from_seconds(180));
}
