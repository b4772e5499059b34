//! Rules that ask plugins: what is asked about, what becomes of the answers, and of plugins that give none.

use tripline_core::diagnostic::Level;
use tripline_core::evaluate::{Evaluator, Observations, RuleSet, check_rules};
use tripline_core::event::{Event, Facts, Parser, PluginFailure};
use tripline_core::rule::{Answer, Catalog, FactKind, File, Plugins, load};
use tripline_core::rule_test::run_tests;

fn plugins() -> Plugins {
    let geo = Answer::Columns(vec![
        ("country".to_owned(), FactKind::Text),
        ("asn".to_owned(), FactKind::Int),
    ]);
    Plugins::from([
        ("geo".to_owned(), geo),
        ("dga".to_owned(), Answer::Hit),
        ("odd".to_owned(), Answer::Score),
        ("okta".to_owned(), decoder()),
        ("guard".to_owned(), Answer::Decision),
        ("broken".to_owned(), broken()),
    ])
}

fn broken() -> Answer {
    let reason = "the component has no signature".to_owned();
    Answer::Off { reason }
}

fn decoder() -> Answer {
    let help = "`--decoder okta` makes events of inputs".to_owned();
    let job = "a decoder";
    Answer::Unasked { job, help }
}

fn rule(body: &str) -> String {
    let head = "id = \"one\"\nname = \"One\"\ndescription = \"d\"\nseverity = \"low\"\nstatus = \"experimental\"\n";
    format!("{head}{body}\n")
}

fn catalog(files: &[File]) -> Catalog {
    let today = jiff::civil::date(2026, 1, 1);
    let mut catalog = load(files, today);
    catalog.plugins = plugins();
    catalog
}

fn of_rule(body: &str) -> Catalog {
    catalog(&[File::found("one.toml", rule(body))])
}

/// Codes and messages of the errors in a rule.
fn errors(body: &str) -> Vec<String> {
    let (_, reports) = RuleSet::of_catalog(&of_rule(body));
    let errors = reports
        .iter()
        .filter(|one| one.diagnostic.level == Level::Error);
    errors
        .map(|one| {
            let help = one.diagnostic.help.join("; ");
            let code = one.diagnostic.code.as_str();
            format!("{code} {} [{help}]", one.diagnostic.message)
        })
        .collect()
}

/// What a rule says of an event: the plugins it awaits, and the verdict with these answers.
fn verdict(body: &str, event: &str, answers: Option<(&str, &[&str])>) -> (Vec<String>, String) {
    let catalog = of_rule(body);
    let (set, reports) = RuleSet::of_catalog(&catalog);
    let told: Vec<_> = reports.iter().map(|one| &one.diagnostic.message).collect();
    assert_eq!(set.rules().len(), 1, "{told:?}");
    let (mut parser, mut of_facts) = (Parser::new(), Parser::new());
    let event = Event::new(parser.parse(event.as_bytes()).expect("an event"));
    let mut evaluator = Evaluator::new(&set);
    let awaited = evaluator.awaits(&event).plugins.to_vec();
    let awaited = awaited
        .iter()
        .map(|plugin| set.plugins()[plugin.0 as usize].clone());
    let awaited = awaited.collect();
    let failures: Vec<PluginFailure> = answers
        .map_or(&[][..], |(_, failed)| failed)
        .iter()
        .map(|plugin| PluginFailure {
            plugin: (*plugin).to_owned(),
            reason: "it trapped".to_owned(),
        })
        .collect();
    let event = match answers {
        Some((json, _)) => {
            let root = of_facts.parse(json.as_bytes()).expect("answers").root();
            event.with_facts(Facts::new(root, &failures))
        }
        None => event,
    };
    let found = evaluator.evaluate(&event);
    let lists = [
        (found.matched.len() + found.observed.len(), "match"),
        (found.excused.len(), "excused"),
        (found.indeterminate.len(), "indeterminate"),
        (found.skipped.len(), "skipped"),
    ];
    let said = lists.iter().find(|(count, _)| *count > 0);
    let verdict = said.map_or("no match", |(_, word)| *word).to_owned();
    (awaited, verdict)
}

const LOGIN: &str = r#"{"eventName":"ConsoleLogin","sourceIPAddress":"8.8.8.8"}"#;
const OTHER: &str = r#"{"eventName":"GetObject","sourceIPAddress":"8.8.8.8"}"#;
const ABROAD: &str = r#"when = 'event.eventName == "ConsoleLogin" && enrich.geo.country != "SE"'"#;

#[test]
fn only_events_that_a_plugin_could_decide_reach_it() {
    let asked = |body: &str, event: &str| verdict(body, event, None).0;
    assert_eq!(asked(ABROAD, LOGIN), ["geo"]);
    assert!(asked(ABROAD, OTHER).is_empty());
    let both =
        r#"when = 'event.eventName == "ConsoleLogin" && (enrich.geo.asn == 1 || has(detect.dga))'"#;
    assert_eq!(asked(both, LOGIN), ["dga", "geo"]);
    let in_title = "when = 'event.eventName == \"ConsoleLogin\"'\n[finding]\ntitle = \"from {enrich.geo.country}\"";
    assert_eq!(asked(in_title, LOGIN), ["geo"]);
    assert!(asked(in_title, OTHER).is_empty());
    let absent = r#"when = 'event.nothing == "x" && enrich.geo.country != "SE"'"#;
    assert_eq!(asked(absent, OTHER), ["geo"], "undecided is not false");
}

#[test]
fn answers_decide() {
    let check = |body: &str, json: &str, expected: &str| {
        assert_eq!(
            verdict(body, LOGIN, Some((json, &[]))).1,
            expected,
            "{json}"
        );
    };
    check(
        ABROAD,
        r#"{"enrich":{"geo":{"country":"NO","asn":1}}}"#,
        "match",
    );
    check(
        ABROAD,
        r#"{"enrich":{"geo":{"country":"SE","asn":1}}}"#,
        "no match",
    );
    check(
        ABROAD,
        r#"{"enrich":{"geo":{"country":null,"asn":1}}}"#,
        "match",
    );
    check(ABROAD, r#"{"enrich":{}}"#, "indeterminate");
    let hit = r#"when = 'event.eventName == "ConsoleLogin" && has(detect.dga) && detect.dga.score > 0.5'"#;
    check(hit, r#"{"detect":{}}"#, "no match");
    check(hit, r#"{"detect":{"dga":{"score":0.7}}}"#, "match");
    let odd = r#"when = 'event.eventName == "ConsoleLogin" && enrich.odd.score >= 3.0'"#;
    check(odd, r#"{"enrich":{"odd":{"score":4}}}"#, "match");
    let excused = "when = 'event.eventName == \"ConsoleLogin\"'\n[[exceptions]]\nname = \"x\"\nwhen = 'enrich.geo.asn == 1'\nowner = \"o\"\nreason = \"r\"\nexpires = 2027-01-01";
    check(excused, r#"{"enrich":{"geo":{"asn":2}}}"#, "match");
}

#[test]
fn a_plugin_without_an_answer_is_no_fact() {
    let check = |on_error: &str, expected: &str| {
        let masked = r#"when = 'event.eventName == "ConsoleLogin" && enrich.?geo.?country.orValue("SE") == "SE"'"#;
        for body in [ABROAD, masked] {
            let body = format!("{on_error}{body}");
            let (_, said) = verdict(&body, LOGIN, Some(("{}", &["geo"])));
            assert_eq!(said, expected, "{body}");
            assert_eq!(verdict(&body, OTHER, Some(("{}", &["geo"]))).1, "no match");
        }
    };
    check("", "indeterminate");
    check("on_error = \"indeterminate\"\n", "indeterminate");
    check("on_error = \"skip\"\n", "skipped");
    check("on_error = \"fail-closed\"\n", "match");
    assert_eq!(
        verdict(ABROAD, LOGIN, None).1,
        "indeterminate",
        "never asked"
    );
}

#[test]
fn what_a_detector_did_not_find_decides() {
    let check = |condition: &str, expected: &str| {
        let body = format!("when = 'event.eventName == \"ConsoleLogin\" && {condition}'");
        let said = verdict(&body, LOGIN, Some((r#"{"enrich":{},"detect":{}}"#, &[]))).1;
        assert_eq!(said, expected, "{condition}");
    };
    check("detect.dga.score > 0.5", "no match");
    check(r#"detect.dga.?title.orValue("") == """#, "no match");
    check("!has(detect.dga)", "match");
    check("!(detect.dga.score > 0.5)", "match");
    check(
        "(detect.dga.score > 0.5 || event.nothing == 1)",
        "indeterminate",
    );
    check(
        "(event.nothing == 1 || detect.dga.score > 0.5)",
        "indeterminate",
    );
    check(
        "(detect.dga.score > 0.5 || event.sourceIPAddress != \"\")",
        "match",
    );
    check("enrich.geo.asn > 5", "indeterminate");
}

#[test]
fn a_plugin_of_a_title_hides_no_match() {
    let titled = "when = 'event.eventName == \"ConsoleLogin\"'\n[finding]\ntitle = \"from {enrich.geo.country}\"";
    for on_error in ["", "on_error = \"skip\"\n"] {
        let body = format!("{on_error}{titled}");
        let said = verdict(&body, LOGIN, Some(("{}", &["geo"])));
        assert_eq!(said, (vec!["geo".to_owned()], "match".to_owned()));
    }
}

#[test]
fn what_a_plugin_did_not_say_excuses_nothing() {
    let body = "on_error = \"fail-closed\"\nwhen = 'event.eventName == \"ConsoleLogin\"'\n[[exceptions]]\nname = \"x\"\nwhen = 'enrich.?geo.?country.orValue(\"SE\") == \"SE\"'\nowner = \"o\"\nreason = \"r\"\nexpires = 2027-01-01";
    let timed = LOGIN.replace("{", r#"{"eventTime":"2026-01-06T10:00:00Z","#);
    let said = |answers: (&str, &[&str])| verdict(body, &timed, Some(answers)).1;
    assert_eq!(said(("{}", &["geo"])), "match");
    assert_eq!(
        said((r#"{"enrich":{"geo":{"country":"SE"}}}"#, &[])),
        "excused"
    );
    assert_eq!(
        said((r#"{"enrich":{"geo":{"country":"NO"}}}"#, &[])),
        "match"
    );
}

#[test]
fn answers_that_would_be_gone_are_refused() {
    let refused = |body: &str| {
        let told = errors(body);
        assert!(
            told.iter().any(|one| one.starts_with("E0022")),
            "{body}: {told:?}"
        );
    };
    let login = "when = 'event.eventName == \"ConsoleLogin\"'\n";
    refused(&format!(
        "{login}[suppress]\nwindow = \"1h\"\nby = ['enrich.geo.country']"
    ));
    refused(&format!(
        "{login}[suppress]\nwindow = \"1h\"\n[finding]\ntitle = \"from {{enrich.geo.country}}\""
    ));
    refused(
        "rules = [\"other\"]\ngroup_by = ['enrich.geo.country']\n[threshold]\nwindow = \"5m\"\nis = \">= 3\"",
    );
}

#[test]
fn steps_wait_for_their_own_plugins_only() {
    let body = "group_by = ['event.sourceIPAddress']\n[sequence]\nwithin = \"5m\"\n[[sequence.step]]\nname = \"a\"\nwhen = 'event.eventName == \"GetObject\"'\n[[sequence.step]]\nname = \"b\"\nwhen = 'event.eventName == \"ConsoleLogin\" && enrich.geo.country == \"NO\"'";
    assert_eq!(verdict(body, OTHER, None), (Vec::new(), "match".to_owned()));
    let (awaited, said) = verdict(body, LOGIN, Some(("{}", &["geo"])));
    assert_eq!(
        (awaited, said.as_str()),
        (vec!["geo".to_owned()], "indeterminate")
    );
}

#[test]
fn a_finding_says_that_a_plugin_failed() {
    let catalog = of_rule(&format!(
        "on_error = \"fail-closed\"\n{ABROAD}\n[finding]\ntitle = \"from {{enrich.geo.country}} and {{enrich.geo.country}}\""
    ));
    let (set, _) = RuleSet::of_catalog(&catalog);
    let (mut parser, mut of_facts) = (Parser::new(), Parser::new());
    let event = Event::new(parser.parse(LOGIN.as_bytes()).expect("an event"));
    let failed = [PluginFailure {
        plugin: "geo".to_owned(),
        reason: "it trapped".to_owned(),
    }];
    let root = of_facts.parse(b"{}").expect("answers").root();
    let event = event.with_facts(Facts::new(root, &failed));
    let mut evaluator = Evaluator::new(&set);
    let matched = evaluator.evaluate(&event).matched.to_vec();
    let finding = evaluator.finding(matched[0], &event);
    assert_eq!(finding.title, "from ? and ?");
    assert_eq!(
        finding.notes[0],
        "plugin `geo` gave no answer (it trapped); the rule matches all the same"
    );
    // Once, however often the title asks.
    let of_title = finding
        .notes
        .iter()
        .filter(|note| note.starts_with("title: "));
    assert_eq!(of_title.count(), 1, "{:?}", finding.notes);
    assert_eq!(
        evaluator.fault(matched[0], &event),
        "plugin `geo` gave no answer: it trapped"
    );
}

#[test]
fn questions_that_no_plugin_answers_are_refused() {
    let check = |body: &str, expected: &str| assert_eq!(errors(body), [expected], "{body}");
    check(
        "when = 'enrich.goe.country == \"SE\"'",
        "E0021 there is no plugin `goe` [did you mean `geo`?]",
    );
    check(
        "when = 'enrich.broken.country == \"SE\"'",
        "E0021 the plugin `broken` is off [the component has no signature]",
    );
    check(
        "when = 'has(detect.geo)'",
        "E0021 `geo` is an enricher, not a detector [ask `enrich.geo`]",
    );
    check(
        "when = 'enrich.dga.score > 1.0'",
        "E0021 `dga` is a detector, not an enricher or a scorer [ask `detect.dga`]",
    );
    check(
        "when = 'size(enrich) > 0'",
        "E0021 `enrich` is followed by the name of a plugin [Such as `enrich.geo`: a plugin is only asked when a rule names it.]",
    );
    check(
        "when = 'enrich.geo.contry == \"SE\"'",
        "E2004 `enrich.geo` has no field `contry` [did you mean `country`?]",
    );
    assert!(errors("when = 'enrich.geo.asn == \"SE\"'")[0].starts_with("E2003"));
    let remembers =
        "group_by = ['event.userIdentity.arn']\n[threshold]\nwindow = \"5m\"\nis = \">= 3\"\n";
    let shaped = format!(
        "when = 'event.eventName == \"ConsoleLogin\"'\n{remembers}[finding]\ntitle = \"{{enrich.geo.country}}\""
    );
    let told = errors(&shaped);
    assert!(told.iter().any(|one| one.starts_with("E0022")), "{told:?}");
}

#[test]
fn rules_that_remember_group_by_answers() {
    let body = format!(
        "{ABROAD}\ngroup_by = ['enrich.geo.country']\n[threshold]\nwindow = \"5m\"\nis = \">= 3\"\n"
    );
    let catalog = of_rule(&body);
    let (set, reports) = RuleSet::of_catalog(&catalog);
    let told: Vec<_> = reports.iter().map(|one| &one.diagnostic.message).collect();
    assert_eq!(set.rules().len(), 1, "{told:?}");
    let mut evaluator = Evaluator::new(&set);
    let mut groups = Vec::new();
    for country in ["NO", "DK", "NO"] {
        let (mut parser, mut of_facts) = (Parser::new(), Parser::new());
        let event = Event::new(parser.parse(LOGIN.as_bytes()).expect("an event"));
        let json = format!(r#"{{"enrich":{{"geo":{{"country":"{country}"}}}}}}"#);
        let root = of_facts.parse(json.as_bytes()).expect("answers").root();
        let event = event.with_facts(Facts::new(root, &[]));
        evaluator.evaluate(&event);
        let mut told = Observations::default();
        evaluator.observe(&event, &mut told);
        assert!(told.faults.is_empty(), "{:?}", told.faults);
        groups.extend(told.all.iter().map(|one| one.group));
    }
    assert_eq!(groups.len(), 3);
    assert_eq!(groups[0], groups[2]);
    assert_ne!(groups[0], groups[1]);
}

#[test]
fn tests_say_what_plugins_say() {
    let tests = r#"
rule = "one"
[events.login]
json = '{"eventName":"ConsoleLogin"}'
[[test]]
name = "abroad"
event = "login"
facts = { enrich = { geo = { country = "NO" } } }
expect = "match"
[[test]]
name = "at home"
event = "login"
facts = { enrich = { geo = { country = "SE" } } }
expect = "no_match"
[[test]]
name = "no answer"
event = "login"
facts = { failed = ["geo"] }
expect = "indeterminate"
[[test]]
name = "wrong"
event = "login"
facts = { enrich = { geo = { country = "NO" } } }
expect = "no_match"
[[test]]
name = "times"
[[test.timeline]]
event = "login"
facts = { enrich = { geo = { country = "NO" } } }
[[test.timeline]]
event = "login"
facts = { enrich = { geo = { country = "SE" } } }
[[test.findings]]
at = "0s"
"#;
    let catalog = catalog(&[
        File::found("one.toml", rule(ABROAD)),
        File::found("tests.toml", tests),
    ]);
    let told: Vec<_> = catalog.reports.iter().map(|one| &one.diagnostic).collect();
    assert_eq!(catalog.errors(), 0, "{told:?}");
    let run = run_tests(&catalog);
    let passed = run.iter().map(|one| one.failure.is_none());
    assert_eq!(passed.collect::<Vec<_>>(), [true, true, true, false, true]);
}

#[test]
fn a_plugin_that_no_rule_asks_is_told_apart() {
    for asks in ["enrich.okta.user == \"a\"", "has(detect.okta)"] {
        assert_eq!(
            errors(&format!("when = '{asks}'"))[0],
            "E0021 `okta` is a decoder, which no rule asks [`--decoder okta` makes events of inputs]"
        );
    }
    let found = errors("when = 'enrich.oktaa.user == \"a\"'");
    assert!(
        found[0].contains("the plugins are dga, geo, guard, odd"),
        "{found:?}"
    );
    let mut catalog = of_rule("when = 'enrich.geo.country == \"a\"'");
    catalog.plugins = Plugins::from([("okta".to_owned(), decoder())]);
    let (_, reports) = RuleSet::of_catalog(&catalog);
    let help = &reports[0].diagnostic.help;
    assert_eq!(
        help,
        &["none of the plugins that are declared is one that rules ask"]
    );
}

/// What `check` says of a rule, by code, in its order.
fn checked(text: String) -> Vec<(&'static str, String)> {
    let reports = check_rules(&catalog(&[File::found("one.toml", text)]));
    reports
        .iter()
        .map(|one| {
            let help = one.diagnostic.help.join("; ");
            let words = format!("{} [{help}]", one.diagnostic.message);
            (one.diagnostic.code.as_str(), words)
        })
        .collect()
}

#[test]
fn on_error_is_for_rules_that_ask() {
    let idle = |body: &str| {
        let found = checked(rule(body));
        found.iter().any(|(code, _)| *code == "W0006")
    };
    assert!(idle("on_error = \"skip\"\nwhen = 'event.a == 1'"));
    assert!(idle("on_error = \"indeterminate\"\nwhen = 'event.a == 1'"));
    assert!(!idle("when = 'event.a == 1'"));
    assert!(!idle("on_error = \"skip\"\nwhen = 'has(detect.dga)'"));
    let exception = "[[exceptions]]\nowner = \"a\"\nreason = \"b\"\nwhen = 'has(detect.dga)'";
    let asks = format!("on_error = \"skip\"\nwhen = 'event.a == 1'\n{exception}");
    assert!(!idle(&asks));
}

const GUARDED: &str = "effect = \"policy.guard\"\nwhen = 'event.eventName == \"ConsoleLogin\"'";

#[test]
fn a_policy_that_gives_the_effect_is_asked_and_decides_whether_the_rule_matches() {
    assert_eq!(verdict(GUARDED, LOGIN, None).0, ["guard"]);
    assert!(verdict(GUARDED, OTHER, None).0.is_empty());
    let check = |body: &str, answers: (&str, &[&str]), expected: &str| {
        let said = verdict(body, LOGIN, Some(answers)).1;
        assert_eq!(said, expected, "{body} {answers:?}");
    };
    for effect in ["allow", "require_approval", "deny"] {
        let json = format!(r#"{{"policy":{{"guard":{{"effect":"{effect}"}}}}}}"#);
        check(GUARDED, (&json, &[]), "match");
    }
    check(GUARDED, (r#"{"policy":{}}"#, &[]), "no match");
    check(GUARDED, ("{}", &["guard"]), "indeterminate");
    let skip = format!("on_error = \"skip\"\n{GUARDED}");
    check(&skip, ("{}", &["guard"]), "skipped");
    let closed = format!("on_error = \"fail-closed\"\n{GUARDED}");
    check(&closed, ("{}", &["guard"]), "match");
    // Closed is what failed, not what has no opinion.
    let enriched = closed.replace(
        "== \"ConsoleLogin\"",
        "== \"ConsoleLogin\" && enrich.geo.asn == 1",
    );
    check(&enriched, (r#"{"policy":{}}"#, &["geo"]), "no match");
    let open = enriched.replace("on_error = \"fail-closed\"\n", "");
    check(&open, (r#"{"policy":{}}"#, &["geo"]), "no match");
    let undecided = GUARDED.replace("== \"ConsoleLogin\"", "== event.nothing");
    check(&undecided, (r#"{"policy":{}}"#, &[]), "no match");
    let denied = r#"{"policy":{"guard":{"effect":"deny"}}}"#;
    check(&undecided, (denied, &[]), "indeterminate");
}

#[test]
fn conditions_and_titles_ask_what_a_policy_decided() {
    let body = "when = 'event.eventName == \"ConsoleLogin\" && policy.guard.effect == \"deny\"'\n[finding]\ntitle = \"no: {policy.guard.reason}\"";
    let check = |json: &str, expected: &str| {
        assert_eq!(verdict(body, LOGIN, Some((json, &[]))).1, expected);
    };
    check(
        r#"{"policy":{"guard":{"effect":"deny","reason":"x"}}}"#,
        "match",
    );
    check(r#"{"policy":{"guard":{"effect":"allow"}}}"#, "no match");
    check(r#"{"policy":{}}"#, "no match");
    assert_eq!(errors(body), Vec::<String>::new());
}

#[test]
fn an_effect_names_a_policy_and_nothing_else() {
    let check = |effect: &str, expected: &str| {
        let body = format!("effect = '{effect}'\nwhen = 'event.eventName == \"ConsoleLogin\"'");
        let found = errors(&body);
        assert!(
            found.len() == 1 && found[0].starts_with(expected),
            "{found:?}"
        );
    };
    check(
        "policy.dga",
        "E0021 `dga` is a detector, not a policy [an effect is what a policy says; `when` may ask `detect.dga`]",
    );
    check(
        "policy.geo",
        "E0021 `geo` is an enricher, not a policy [an effect is what a policy says; `when` may ask `enrich.geo`]",
    );
    check(
        "policy.okta",
        "E0021 `okta` is a decoder, which no rule asks",
    );
    check(
        "policy.gaurd",
        "E0021 there is no plugin `gaurd` [did you mean `guard`?]",
    );
    assert!(errors(GUARDED).is_empty());
    let indexed = GUARDED.replace("\"policy.guard\"", "'policy[\"guard\"]'");
    assert!(errors(&indexed).is_empty());
    let read = |effect: &str| {
        let catalog = of_rule(&format!("effect = '{effect}'\nwhen = 'event.a == 1'"));
        let told = catalog.reports.iter().map(|one| {
            let diagnostic = &one.diagnostic;
            format!("{} {:?}", diagnostic.message, diagnostic.caret)
        });
        told.collect::<Vec<_>>().join("; ")
    };
    let found = read("forbid");
    assert!(found.contains("`effect` cannot be `forbid`"), "{found}");
    assert!(found.contains("deny and `policy.NAME`"), "{found}");
    let found = read("policy.guard.effect");
    assert!(
        found.contains("`policy.guard.effect` is no effect"),
        "{found}"
    );
    assert!(!read("policy.guard +").is_empty());
    let remembers = "group_by = ['event.a']\n[threshold]\nwindow = \"5m\"\nis = \">= 3\"";
    let catalog = of_rule(&format!("{GUARDED}\n{remembers}"));
    assert!(
        catalog.reports[0]
            .diagnostic
            .message
            .contains("a rule that remembers decides nothing")
    );
}

#[test]
fn tests_say_what_policies_decide() {
    let tests = r#"
rule = "one"
[events.login]
json = '{"eventName":"ConsoleLogin"}'
[[test]]
name = "denied"
event = "login"
facts = { policy = { guard = { effect = "deny", reason = "no" } } }
expect = "match"
title = "no"
[[test]]
name = "no opinion"
event = "login"
facts = { policy = {} }
expect = "no_match"
[[test]]
name = "no answer"
event = "login"
facts = { failed = ["guard"] }
expect = "indeterminate"
[[test]]
name = "wrong"
event = "login"
facts = { policy = {} }
expect = "match"
"#;
    let body = format!("{GUARDED}\n[finding]\ntitle = \"{{policy.guard.reason}}\"");
    let catalog = catalog(&[
        File::found("one.toml", rule(&body)),
        File::found("tests.toml", tests),
    ]);
    let told: Vec<_> = catalog.reports.iter().map(|one| &one.diagnostic).collect();
    assert_eq!(catalog.errors(), 0, "{told:?}");
    let run = run_tests(&catalog);
    let passed = run.iter().map(|one| one.failure.is_none());
    assert_eq!(passed.collect::<Vec<_>>(), [true, true, true, false]);
    let failure = run[3].failure.as_ref().expect("it fails");
    let reason = failure.reason.as_ref().expect("it says why").to_text();
    assert!(reason.contains("policy.guard = no opinion"), "{reason}");
    assert!(reason.contains("policy.guard   <-- decides"), "{reason}");
}

#[test]
fn facts_of_tests_are_what_plugins_could_say() {
    let of = |facts: &str, moments: bool| {
        let test = match moments {
            false => format!(
                "[[test]]\nname = \"a\"\nevent = \"a\"\nexpect = \"match\"\nfacts = {{ {facts} }}"
            ),
            true => format!(
                "[[test]]\nname = \"a\"\ntimeline = [{{ at = \"0s\", event = \"a\", facts = {{ {facts} }} }}]\nfindings = []"
            ),
        };
        let when = "when = 'enrich.geo.country == \"SE\"'";
        let found = checked(rule(&format!("{when}\n[events.a]\njson = '{{}}'\n{test}")));
        let found = found.into_iter().filter(|(code, _)| *code == "E3008");
        found.map(|(_, words)| words).collect::<Vec<_>>()
    };
    for good in [
        "",
        "enrich = { geo = { country = \"SE\", asn = 1 } }",
        "enrich = { odd = { score = 1 } }",
        "enrich = { odd = { score = 0.5 } }",
        "detect = { dga = { severity = \"low\", score = 1, evidence = { a = 1 } } }",
        "failed = [\"geo\", \"dga\", \"guard\"]",
        "policy = { guard = { effect = \"deny\", reason = \"no\", obligations = { ticket = 1 } } }",
    ] {
        assert_eq!(of(good, false), Vec::<String>::new(), "{good}");
        assert_eq!(of(good, true), Vec::<String>::new(), "{good}");
    }
    for (bad, words) in [
        (
            "enrich = { geo = { cuontry = \"SE\" } }",
            "`geo` never says `cuontry` [Did you mean `country`?]",
        ),
        (
            "enrich = { geo = { country = 1 } }",
            "`geo` says `country` as another type than 1 [It is of type ",
        ),
        (
            "enrich = { geo = { asn = 1.5 } }",
            "`geo` says `asn` as another type than 1.5",
        ),
        (
            "enrich = { geo = true }",
            "what `geo` says is no table [It says country, asn.]",
        ),
        (
            "detect = { geo = { } }",
            "`geo` gives no `detect` [It is written as `enrich.geo`.]",
        ),
        ("enrich = { dga = { } }", "`dga` gives no `enrich`"),
        (
            "enrich = { okta = { } }",
            "`okta` is a decoder, which no rule asks",
        ),
        (
            "enrich = { broken = { country = \"SE\" } }",
            "the plugin `broken` is off [the component has no signature]",
        ),
        (
            "enrich = { goe = { } }",
            "there is no plugin `goe` [Did you mean `geo`?]",
        ),
        ("failed = [\"goe\"]", "there is no plugin `goe`"),
        (
            "detect = { dga = { colour = 1 } }",
            "`dga` never says `colour`",
        ),
        (
            "policy = { guard = { effect = \"forbid\" } }",
            "`guard` never decides `forbid` [Its `effect` is one of allow, require_approval, deny.]",
        ),
        (
            "policy = { guard = { effect = \"abstain\" } }",
            "`guard` never says `abstain` [A policy that abstains says nothing: leave it out.]",
        ),
        (
            "policy = { guard = { reason = \"no\" } }",
            "`guard` decides without an effect",
        ),
        (
            "policy = { dga = { effect = \"deny\" } }",
            "`dga` gives no `policy` [It is written as `detect.dga`.]",
        ),
        (
            "detect = { guard = { severity = \"low\" } }",
            "`guard` gives no `detect` [It is written as `policy.guard`.]",
        ),
    ] {
        for moments in [false, true] {
            let found = of(bad, moments);
            assert_eq!(found.len(), 1, "{bad}: {found:?}");
            assert!(found[0].starts_with(words), "{bad}: {found:?}");
        }
    }
    // Where nothing is declared, nothing is known.
    let mut catalog = of_rule("when = 'event.a == 1'");
    catalog.plugins.clear();
    assert!(
        check_rules(&catalog)
            .iter()
            .all(|one| one.diagnostic.code.as_str() != "E3008")
    );
}
