//! Golden tests of the diagnostics of files, and of what is read.

use super::{Catalog, File, Scenario, load};
use crate::diagnostic::{Code, Palette};
use expect_test::{Expect, expect};
use jiff::civil::date;

mod hostile;
mod remember;

/// Loads files written one after the other, each after a line `--- path`.
fn read(files: &str) -> Catalog {
    let files: Vec<File> = files
        .split("--- ")
        .skip(1)
        .map(|file| {
            let (path, text) = file.split_once('\n').expect("a path on a line of its own");
            File::found(path, text)
        })
        .collect();
    load(&files, date(2026, 11, 21))
}

/// Wants exactly these reports.
fn check(files: &str, expected: Expect) {
    let catalog = read(files);
    let reports: String = catalog
        .reports
        .iter()
        .map(|report| report.render(Palette::PLAIN))
        .collect();
    expected.assert_eq(&reports);
}

const GOOD: &str = r#"--- rules/aws/trail-stopped/rule.toml
id = "trail-stopped"
name = "Trail stopped"
description = """
Somebody stopped a trail.
"""
severity = "high"
status = "experimental"
source = "aws.cloudtrail"
attack = ["TA0005/T1562.008"]
when = '''
event.eventName == "StopLogging"
  && !has(event.errorCode)
'''

[finding]
title = "Trail {event.requestParameters.name} stopped"
dedup_key = ["event.recipientAccountId"]

[finding.context]
zeta = "event.a"
actor = "event.b"
"#;

#[test]
fn a_good_rule_is_read() {
    let catalog = read(GOOD);
    assert!(catalog.reports.is_empty(), "{:?}", catalog.reports);
    let rule = &catalog.rules[0];
    assert_eq!(rule.description, "Somebody stopped a trail.");
    let names: Vec<&str> = rule
        .finding
        .context
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["zeta", "actor"], "the order of the file is kept");
    assert_eq!(rule.selectors().count(), 5);
    assert_eq!(
        rule.when().expect("a condition").place.to_string(),
        "rules/aws/trail-stopped/rule.toml:10:8"
    );
}

#[test]
fn every_mistake_of_a_rule_is_reported_at_once() {
    check(
        r#"--- rules/aws/trail-stopped/rule.toml
id = "trail-stoped"
name = ""
severty = "high"
severity = "hgih"
status = "Stable"
authors = "me"
references = ["here"]
attack = ["T1562", "TA0005/T1562.098", "TA0005/T1485"]
when = "event.a == \"x\" &&& b"
colour = 1

[finding]
title = 'a } {event.a b} {'
dedup_key = []
context = { actor = "", other = 1 }

[[exceptions]]
name = "one"
list = "a"
expires = 2026-02-30

[[exceptions]]
name = "one"
when = 'true'
expires = "2026-02-30"
"#,
        expect![[r#"
            error[E0008]: the id `trail-stoped` differs from its folder `trail-stopped`
             --> rules/aws/trail-stopped/rule.toml:1:6
              |
            1 | id = "trail-stoped"
              |      ^^^^^^^^^^^^^^ differs from the folder
              = help: Rename one of them: people look a rule up by its folder.
              = try: id = "trail-stopped"

            error[E0005]: `name` is empty
             --> rules/aws/trail-stopped/rule.toml:2:8
              |
            2 | name = ""
              |        ^^
              = help: Write something here, or leave the key out when it is optional.

            error[E0002]: a rule has no key `severty`
             --> rules/aws/trail-stopped/rule.toml:3:1
              |
            3 | severty = "high"
              | ^^^^^^^ unknown key
              = help: Did you mean `severity`?
              = try: severity = "high"

            error[E0006]: `severity` cannot be `hgih`
             --> rules/aws/trail-stopped/rule.toml:4:12
              |
            4 | severity = "hgih"
              |            ^^^^^^ expected one of informational, low, medium, high, critical
              = help: Did you mean `high`?
              = try: severity = "high"

            error[E0006]: `status` cannot be `Stable`
             --> rules/aws/trail-stopped/rule.toml:5:10
              |
            5 | status = "Stable"
              |          ^^^^^^^^ expected one of experimental, test, stable, deprecated
              = help: Did you mean `stable`?
              = try: status = "stable"

            error[E0004]: `authors` has the wrong type
             --> rules/aws/trail-stopped/rule.toml:6:11
              |
            6 | authors = "me"
              |           ^^^^ expected an array of strings, found a string

            warning[W0003]: a reference is no web address
             --> rules/aws/trail-stopped/rule.toml:7:15
              |
            7 | references = ["here"]
              |               ^^^^^^ expected `https://…`

            error[E0010]: this is no ATT&CK tag
             --> rules/aws/trail-stopped/rule.toml:8:11
              |
            8 | attack = ["T1562", "TA0005/T1562.098", "TA0005/T1485"]
              |           ^^^^^^^ expected a tactic and a technique, such as `TA0005/T1562.008`

            warning[W0001]: ATT&CK has no cloud technique `T1562.098` that we know of
             --> rules/aws/trail-stopped/rule.toml:8:20
              |
            8 | attack = ["T1562", "TA0005/T1562.098", "TA0005/T1485"]
              |                    ^^^^^^^^^^^^^^^^^^
              = help: Did you mean `TA0005/T1562.008`?
              = try: attack = ["T1562", "TA0005/T1562.008", "TA0005/T1485"]

            warning[W0001]: T1485 (Data Destruction) does not belong to the tactic TA0005
             --> rules/aws/trail-stopped/rule.toml:8:40
              |
            8 | attack = ["T1562", "TA0005/T1562.098", "TA0005/T1485"]
              |                                        ^^^^^^^^^^^^^^
              = help: Did you mean `TA0040/T1485`?
              = try: attack = ["T1562", "TA0005/T1562.098", "TA0040/T1485"]

            error[E1001]: `&&&` is not an operator of CEL
             --> rules/aws/trail-stopped/rule.toml:9:26
              |
            9 | when = "event.a == \"x\" &&& b"
              |                          ^^^
              = help: both conditions is written `&&`
              = try: when = "event.a == \"x\" && b"

            error[E0002]: a rule has no key `colour`
              --> rules/aws/trail-stopped/rule.toml:10:1
               |
            10 | colour = 1
               | ^^^^^^ unknown key
               = help: Known keys: id, name, description, severity, status, source, authors, references, false_positives, runbook, attack, tags, when, rules, group_by, lateness, groups_max, signal, risk_score, on_error, effect, threshold, sequence, temporal, absence, first_seen, rare, risk, insight, entity, suppress, finding, exceptions, events, test.

            error[E0011]: a `}` closes nothing
              --> rules/aws/trail-stopped/rule.toml:13:12
               |
            13 | title = 'a } {event.a b} {'
               |            ^ no placeholder is open here
               = help: Write `}}` for a brace that is text.

            error[E1001]: expected an operator or the end of the selector, found the name `b`
              --> rules/aws/trail-stopped/rule.toml:13:23
               |
            13 | title = 'a } {event.a b} {'
               |                       ^ expected an operator or the end of the selector

            error[E0011]: a placeholder is never closed
              --> rules/aws/trail-stopped/rule.toml:13:26
               |
            13 | title = 'a } {event.a b} {'
               |                          ^ no `}` belongs to this
               = help: Write `{{` for a brace that is text.

            error[E0005]: `dedup_key` is empty
              --> rules/aws/trail-stopped/rule.toml:14:13
               |
            14 | dedup_key = []
               |             ^^
               = help: All findings of the rule would be one; leave the key out for the default.

            error[E0005]: `actor` is empty
              --> rules/aws/trail-stopped/rule.toml:15:21
               |
            15 | context = { actor = "", other = 1 }
               |                     ^^
               = help: Write something here, or leave the key out when it is optional.

            error[E0004]: `other` has the wrong type
              --> rules/aws/trail-stopped/rule.toml:15:33
               |
            15 | context = { actor = "", other = 1 }
               |                                 ^ expected a string holding CEL, found an integer

            error[E4002]: an exception names a `list` but no `value` to look up in it
              --> rules/aws/trail-stopped/rule.toml:17:1
               |
            17 | [[exceptions]]
               | ^^^^^^^^^^^^^^
               = help: Give either `when = '…'`, or `list = "name"` and `value = 'event.…'`.

            warning[W4003]: the exception `one` has no owner and no reason
              --> rules/aws/trail-stopped/rule.toml:18:8
               |
            18 | name = "one"
               |        ^^^^^
               = help: Say who answers for looking away, and why.

            error[E0001]: invalid date, expected day between 01 and 28
              --> rules/aws/trail-stopped/rule.toml:20:11
               |
            20 | expires = 2026-02-30
               |           ^^^^^^^^^^

            warning[W4003]: the exception `one` has no owner and no reason
              --> rules/aws/trail-stopped/rule.toml:23:8
               |
            23 | name = "one"
               |        ^^^^^
               = help: Say who answers for looking away, and why.

            error[E0004]: `expires` has the wrong type
              --> rules/aws/trail-stopped/rule.toml:25:11
               |
            25 | expires = "2026-02-30"
               |           ^^^^^^^^^^^^ expected a date such as 2027-01-31, found a string

        "#]],
    );
}

#[test]
fn keys_that_never_meet_are_reported() {
    check(
        r#"--- probe.toml
id = "probe"
name = "Probe"
description = "A probe."
severity = "low"
status = "test"

[sequence]
within = "5m"
until = 'event.kind == "c"'

[[sequence.step]]
name = "one"
when = 'event.kind == "a"'
group_by = ["event.user"]

[[sequence.step]]
name = "two"
when = 'event.kind == "b"'
group_by = ["event.owner"]
"#,
        expect![[r#"
            error[E0014]: `one` and `until` never come into one group: their keys have 1 and 0 parts
             --> probe.toml:9:9
              |
            9 | until = 'event.kind == "c"'
              |         ^^^^^^^^^^^^^^^^^^^
              = help: Give each a `group_by` of as many parts; one without takes that of the rule.

        "#]],
    );
}

#[test]
fn broken_toml_and_strange_files_are_reported() {
    check(
        "--- a.toml\nid = \"a\nname = \n--- b.toml\n[settings]\nx = 1\n--- c.toml\n",
        expect![[r#"
            error[E0001]: invalid basic string, expected `"`
             --> a.toml:1:8
              |
            1 | id = "a
              |        ^

            error[E0001]: string values must be quoted, expected literal string
             --> a.toml:2:8
              |
            2 | name = 
              |        ^

            error[E0013]: this file is nothing that we know
             --> b.toml:1:2
              |
            1 | [settings]
              |  ^^^^^^^^
              = help: A rule has `when`, tests have `[[test]]`, overrides `[[override]]`, a list `values`, policies `[remediation.…]`.

            error[E0013]: this file says nothing
             --> c.toml:1:1
              |
            1 | 
              | ^
              = help: A rule has `when`, tests have `[[test]]`, overrides `[[override]]`, a list `values`, policies `[remediation.…]`.

        "#]],
    );
}

#[test]
fn two_rules_of_one_id_are_reported_with_both_places() {
    let files = format!("{GOOD}{}", GOOD.replace("rules/aws", "site"));
    check(
        &files,
        expect![[r#"
        error[E0009]: the id `trail-stopped` is taken
         --> site/trail-stopped/rule.toml:1:6
          |
        1 | id = "trail-stopped"
          |      ^^^^^^^^^^^^^^^ used twice
          = help: The first rule of this id is at rules/aws/trail-stopped/rule.toml:1:6.

    "#]],
    );
}

const BESIDE: &str = "rules/aws/trail-stopped";

/// Tests beside the good rule.
fn tests(text: &str) -> String {
    format!("{GOOD}--- {BESIDE}/tests.toml\n{text}")
}

#[test]
fn events_are_built_from_their_bases() {
    let text = r#"
[events.stop]
json = '{"a": {"b": 1, "c": [1, 2]}, "d": "x", "e": 1.0}'

[events.changed]
extends = "stop"
remove = ["a.c.0", "d"]
null = ["f", "a.b"]
set = { a = { n = 1979-05-27T07:32:00Z }, e = [0x10, 1.5, true], "g.h" = "" }

[events.file]
file = "stop.json"

[[test]]
name = "one"
event = "changed"
expect = "match"
title = "T"
severity = "low"
dedup_key = ["a", ""]

[[test]]
name = "two"
event = "stop"
expect = "no_match"

[[test]]
name = "three"
event = "file"
expect = "indeterminate"
"#;
    let catalog = read(&format!(
        "{}--- {BESIDE}/stop.json\n {{\"x\":  1}}\n",
        tests(text)
    ));
    assert!(catalog.reports.is_empty(), "{:?}", catalog.reports);
    let cases = catalog.suites[0].tests.iter();
    let events: Vec<&str> = cases
        .filter_map(|case| match &case.scenario {
            Scenario::Event(test) => Some(test.event_json.as_str()),
            Scenario::Timeline(_) => None,
        })
        .collect();
    expect![[r#"
        {"a":{"b":null,"c":[2],"n":"1979-05-27T07:32:00Z"},"e":[16,1.5,true],"g.h":"","f":null}
        {"a": {"b": 1, "c": [1, 2]}, "d": "x", "e": 1.0}
        {"x":  1}"#]]
    .assert_eq(&events.join("\n"));
    assert_eq!(
        match &catalog.suites[0].tests[0].scenario {
            Scenario::Event(test) => test.dedup_key.as_deref(),
            Scenario::Timeline(_) => None,
        },
        Some(&["a".into(), String::new()][..])
    );
}

#[test]
fn mistakes_in_tests_are_reported() {
    check(
        &tests(
            r#"
[events.one]
extends = "two"
[events.two]
extends = "three"
[events.three]
extends = "one"
[events.four]
extends = "aws.cloudtrial"
[events.five]
file = "gone.json"
[events.six]
json = """
{"a": 1,
 "b": }"""
[events.seven]
extends = "six"
json = "[]"
set = { a = nan, b = 99999999999999999999 }
[events.eight]
extends = "aws.cloudtrail"
remove = ["a.b"]
null = ["eventName.x"]
[events.nine]
[events.ten]
file = "stop.json"

[[test]]
name = "t"
event = "eigth"
expect = "mtach"

[[test]]
name = "t"
event = "eight"
expect = "no_match"
title = "x"
dedup_key = [1]

[[test]]
name = "u"
event = "four"
expect = "match"

[[test]]
name = "u"
event = "eight"
expect = "match"
"#,
        ),
        expect![[r#"
            warning[W3002]: no test uses the event `one`
             --> rules/aws/trail-stopped/tests.toml:2:9
              |
            2 | [events.one]
              |         ^^^

            warning[W3002]: no test uses the event `two`
             --> rules/aws/trail-stopped/tests.toml:4:9
              |
            4 | [events.two]
              |         ^^^

            warning[W3002]: no test uses the event `three`
             --> rules/aws/trail-stopped/tests.toml:6:9
              |
            6 | [events.three]
              |         ^^^^^

            error[E3003]: the event `one` extends itself
             --> rules/aws/trail-stopped/tests.toml:7:11
              |
            7 | extends = "one"
              |           ^^^^^
              = help: Base one of them on the example of a source, such as `aws.cloudtrail`.

            error[E3002]: there is no event `aws.cloudtrial`
             --> rules/aws/trail-stopped/tests.toml:9:11
              |
            9 | extends = "aws.cloudtrial"
              |           ^^^^^^^^^^^^^^^^
              = help: Did you mean `aws.cloudtrail`?
              = try: extends = "aws.cloudtrail"

            warning[W3002]: no test uses the event `five`
              --> rules/aws/trail-stopped/tests.toml:10:9
               |
            10 | [events.five]
               |         ^^^^

            error[E3004]: there is no file `gone.json` beside these tests
              --> rules/aws/trail-stopped/tests.toml:11:8
               |
            11 | file = "gone.json"
               |        ^^^^^^^^^^^

            warning[W3002]: no test uses the event `six`
              --> rules/aws/trail-stopped/tests.toml:12:9
               |
            12 | [events.six]
               |         ^^^

            error[E3005]: the event is not a JSON object: expected value
              --> rules/aws/trail-stopped/tests.toml:15:7
               |
            15 |  "b": }"""
               |       ^

            error[E3006]: an event is based on 2 things
              --> rules/aws/trail-stopped/tests.toml:16:9
               |
            16 | [events.seven]
               |         ^^^^^
               = help: Keep one of extends, json.

            warning[W3002]: no test uses the event `seven`
              --> rules/aws/trail-stopped/tests.toml:16:9
               |
            16 | [events.seven]
               |         ^^^^^

            error[E3005]: JSON has no such number
              --> rules/aws/trail-stopped/tests.toml:19:13
               |
            19 | set = { a = nan, b = 99999999999999999999 }
               |             ^^^

            error[E3005]: an integer does not fit 64 bits
              --> rules/aws/trail-stopped/tests.toml:19:22
               |
            19 | set = { a = nan, b = 99999999999999999999 }
               |                      ^^^^^^^^^^^^^^^^^^^^

            warning[W3004]: `eventName.x` leads through something that is no object
              --> rules/aws/trail-stopped/tests.toml:23:9
               |
            23 | null = ["eventName.x"]
               |         ^^^^^^^^^^^^^

            warning[W3002]: no test uses the event `nine`
              --> rules/aws/trail-stopped/tests.toml:24:9
               |
            24 | [events.nine]
               |         ^^^^

            warning[W3002]: no test uses the event `ten`
              --> rules/aws/trail-stopped/tests.toml:25:9
               |
            25 | [events.ten]
               |         ^^^

            error[E3004]: there is no file `stop.json` beside these tests
              --> rules/aws/trail-stopped/tests.toml:26:8
               |
            26 | file = "stop.json"
               |        ^^^^^^^^^^^

            error[E3002]: there is no event `eigth`
              --> rules/aws/trail-stopped/tests.toml:30:9
               |
            30 | event = "eigth"
               |         ^^^^^^^
               = help: Did you mean `eight`?
               = try: event = "eight"

            error[E0006]: `expect` cannot be `mtach`
              --> rules/aws/trail-stopped/tests.toml:31:10
               |
            31 | expect = "mtach"
               |          ^^^^^^^ expected one of match, no_match, indeterminate
               = help: Did you mean `match`?
               = try: expect = "match"

            warning[W3003]: `title` is wanted of an event that should not match
              --> rules/aws/trail-stopped/tests.toml:37:9
               |
            37 | title = "x"
               |         ^^^
               = help: Only a match has a finding; this is never compared.

            warning[W3003]: `dedup_key` is wanted of an event that should not match
              --> rules/aws/trail-stopped/tests.toml:38:13
               |
            38 | dedup_key = [1]
               |             ^^^
               = help: Only a match has a finding; this is never compared.

            error[E0004]: a part of a key is no string
              --> rules/aws/trail-stopped/tests.toml:38:14
               |
            38 | dedup_key = [1]
               |              ^
               = help: Parts of a key are compared as text: write `"1"`, not `1`.

        "#]],
    );
}

#[test]
fn tests_find_their_rule() {
    let stable = GOOD.replace("\"experimental\"", "\"stable\"");
    let one = "[[test]]\nname = \"t\"\nevent = \"aws.cloudtrail\"\nexpect = \"match\"\n";
    check(
        &format!(
            "{stable}--- elsewhere/tests.toml\n{one}--- b/tests.toml\nrule = \"trail-stoped\"\n{one}"
        ),
        expect![[r#"
            warning[W3001]: the stable rule `trail-stopped` lacks a test: one that matches, one that does not
             --> rules/aws/trail-stopped/rule.toml:1:6
              |
            1 | id = "trail-stopped"
              |      ^^^^^^^^^^^^^^^
              = help: Add it to `tests.toml` beside the rule, or make its status `experimental`.

            error[E3001]: these tests lie beside no rule
             --> elsewhere/tests.toml:1:1
              |
            1 | [[test]]
              | ^
              = help: Put them into the folder of their rule, or name it: `rule = "id"` at the top.

            error[E3001]: there is no rule `trail-stoped` to test
             --> b/tests.toml:1:8
              |
            1 | rule = "trail-stoped"
              |        ^^^^^^^^^^^^^^
              = help: Did you mean `trail-stopped`?

        "#]],
    );
    check(
        &format!("{stable}--- elsewhere/tests.toml\nrule = \"trail-stopped\"\n{one}"),
        expect![[r#"
            warning[W3001]: the stable rule `trail-stopped` lacks a test: one that does not
             --> rules/aws/trail-stopped/rule.toml:1:6
              |
            1 | id = "trail-stopped"
              |      ^^^^^^^^^^^^^^^
              = help: Add it to `tests.toml` beside the rule, or make its status `experimental`.

        "#]],
    );
    let inside = one.replace("[[test]]", "\n[[test]]");
    let catalog = read(&format!("{GOOD}{inside}"));
    assert_eq!(catalog.suites[0].tests.len(), 1);
}

#[test]
fn overrides_change_rules_and_are_kept_on_them() {
    let site = r#"--- site/overrides.toml
[[override]]
rule = "trail-stopped"
severity = "low"
owner = "sec"
reason = "known"

[[override.exceptions]]
name = "break glass"
when = 'event.a == "b"'
owner = "sec"
reason = "drill"
expires = 2026-12-01

[[override]]
rule = "trail-stopped"
disabled = true
"#;
    let catalog = read(&format!("{GOOD}{site}"));
    assert!(catalog.reports.is_empty(), "{:?}", catalog.reports);
    let rule = &catalog.rules[0];
    let layers: Vec<String> = rule
        .layers
        .iter()
        .map(|layer| format!("{} {:?}", layer.place, layer.change))
        .collect();
    expect![[r#"
        site/overrides.toml:3:12 Severity { from: High, to: Low }
        site/overrides.toml:8:8 Exception("break glass")
        site/overrides.toml:16:12 Disabled"#]]
    .assert_eq(&layers.join("\n"));
    assert!(!rule.is_enabled());
    assert_eq!(rule.severity.as_str(), "low");
    let exception = &rule.exceptions[0];
    let covers = |time: &str| exception.covers(Some(time.parse().expect("a time")));
    assert!(covers("2026-12-01T23:59:59.999Z"));
    assert!(!covers("2026-12-02T00:00:00Z"));
    assert!(covers("2026-12-02T00:30:00+01:00"));
    assert!(!exception.covers(None));
    let shipped = rule.as_shipped();
    assert_eq!(shipped, read(GOOD).rules[0]);
}

#[test]
fn overrides_that_do_not_apply_are_reported() {
    let shipped = GOOD.replace("rules/aws/", "r/");
    let broken = "--- r/broken/rule.toml\nid = \"broken\"\nwhen = \"&\"\n";
    let site = r#"--- site/overrides.toml
[[override]]
rule = "trail-stoped"
disabled = true

[[override]]
rule = "quite-another-one"
disabled = true

[[override]]
rule = "broken"
disabled = true

[[override]]
rule = "trail-stopped"
severity = "high"
disabled = false

[[override]]
rule = "trail-stopped"

[[override]]
rule = "trail-stopped"
disabled = true

[[override]]
rule = "trail-stopped"
disabled = true
sverity = "low"

[[override.exceptions]]
name = "by list"
list = "scaners"
value = "event.a"
owner = "o"
reason = "r"
expires = 2026-11-20

[[override.exceptions]]
name = "by list"
when = "true"
expires = 2026-11-21

[[override.exceptions]]
name = "wrong day"
when = "true"
expires = "never"
"#;
    let list = "--- site/lists/scanners.toml\nvalues = [\"10.0.0.1\"]\n";
    let files = format!("{shipped}{broken}{site}{list}");
    let catalog = read(&files);
    assert_eq!(
        catalog.rules[0].exceptions.len(),
        1,
        "only the good one is kept"
    );
    let site_only = catalog
        .reports
        .iter()
        .filter(|report| report.source.name.starts_with("site"));
    let reports: String = site_only
        .map(|report| report.render(Palette::PLAIN))
        .collect();
    expect![[r#"
        error[E4001]: there is no rule `trail-stoped` to override
         --> site/overrides.toml:2:8
          |
        2 | rule = "trail-stoped"
          |        ^^^^^^^^^^^^^^
          = help: Did you mean `trail-stopped`?
          = try: rule = "trail-stopped"

        error[E4001]: there is no rule `quite-another-one` to override
         --> site/overrides.toml:6:8
          |
        6 | rule = "quite-another-one"
          |        ^^^^^^^^^^^^^^^^^^^
          = help: The rule was renamed or removed, or its folder is not among the paths.

        warning[W4001]: this changes nothing: `trail-stopped` is already of severity high
          --> site/overrides.toml:15:12
           |
        15 | severity = "high"
           |            ^^^^^^
           = help: The rule itself says so by now. Remove this line.

        warning[W4001]: this changes nothing: `trail-stopped` is not off
          --> site/overrides.toml:16:12
           |
        16 | disabled = false
           |            ^^^^^
           = help: The rule itself says so by now. Remove this line.

        warning[W4001]: the override of `trail-stopped` says nothing
          --> site/overrides.toml:19:8
           |
        19 | rule = "trail-stopped"
           |        ^^^^^^^^^^^^^^^
           = help: Give `disabled`, `severity` or `[[override.exceptions]]`.

        warning[W4001]: this changes nothing: `trail-stopped` is already off
          --> site/overrides.toml:27:12
           |
        27 | disabled = true
           |            ^^^^
           = help: It was last changed at site/overrides.toml:23:12.

        error[E0002]: an override has no key `sverity`
          --> site/overrides.toml:28:1
           |
        28 | sverity = "low"
           | ^^^^^^^ unknown key
           = help: Did you mean `severity`?
           = try: severity = "low"

        warning[W4002]: the exception `by list` expired on 2026-11-20
          --> site/overrides.toml:31:8
           |
        31 | name = "by list"
           |        ^^^^^^^^^
           = help: Events since then are not excused. Remove it, or give it a new end.

        error[E4003]: there is no list `scaners`
          --> site/overrides.toml:32:8
           |
        32 | list = "scaners"
           |        ^^^^^^^^^
           = help: Did you mean `scanners`?
           = try: list = "scanners"

        warning[W4003]: the exception `by list` has no owner and no reason
          --> site/overrides.toml:39:8
           |
        39 | name = "by list"
           |        ^^^^^^^^^
           = help: Say who answers for looking away, and why.

        warning[W0002]: two exceptions are called `by list`
          --> site/overrides.toml:39:8
           |
        39 | name = "by list"
           |        ^^^^^^^^^
        31 | name = "by list"
           |        --------- the first one

        warning[W4003]: the exception `wrong day` has no owner and no reason
          --> site/overrides.toml:44:8
           |
        44 | name = "wrong day"
           |        ^^^^^^^^^^^
           = help: Say who answers for looking away, and why.

        error[E0004]: `expires` has the wrong type
          --> site/overrides.toml:46:11
           |
        46 | expires = "never"
           |           ^^^^^^^ expected a date such as 2027-01-31, found a string

    "#]]
    .assert_eq(&reports);
}

/// Wants these values of the list `l` in a file of this name, and these reports.
fn check_list(path: &str, text: &str, values: &[&str], expected: Expect) {
    let files = [File::found(path, text)];
    let catalog = load(&files, date(2026, 11, 21));
    let found = catalog
        .lists
        .get("l")
        .map(|list| list.values().to_vec())
        .unwrap_or_default();
    assert_eq!(found, values, "{text}");
    let said: Vec<String> = catalog
        .reports
        .iter()
        .map(|report| {
            let place = super::Place {
                source: report.source.clone(),
                span: report.diagnostic.span,
            };
            format!(
                "{place} {} {}",
                report.diagnostic.code.as_str(),
                report.diagnostic.message
            )
        })
        .collect();
    expected.assert_eq(&said.join("\n"));
}

#[test]
fn lists_are_read_in_three_formats() {
    check_list(
        "lists/l.toml",
        "values = [\"b\", \"a\", \"b\", \"\", 1]\nvalue = 1",
        &["a", "b"],
        expect![[r#"
            lists/l.toml:1:21 W0002 `b` is listed twice
            lists/l.toml:1:26 E4006 an empty value can never be meant
            lists/l.toml:1:30 E4006 a value of a list is no string
            lists/l.toml:2:1 E0002 a site list has no key `value`"#]],
    );
    check_list("lists/l.toml", "values = []", &[], expect![[""]]);
    check_list(
        "lists/l.csv",
        "\u{feff}value,note\r\nb,1\r\n\r\n  a ,2\r\n\"x,\"\"y\",3\r\n,4\r\na",
        &["a", "b", "x,\"y"],
        expect![[r#"
            lists/l.csv:6:1 E4006 an empty value can never be meant
            lists/l.csv:7:1 W0002 `a` is listed twice"#]],
    );
    check_list(
        "lists/l.csv",
        "a\n\"b\nc",
        &["a"],
        expect!["lists/l.csv:2:1 E4004 a quoted cell is never closed"],
    );
    check_list(
        "lists/l.csv",
        "Value\n",
        &[],
        expect!["lists/l.csv:1:1 W4004 the list `l` has no value"],
    );
    check_list(
        "lists/l.json",
        "[\"b\", \"\\u0061\", 1, [\"x\"], \"b\"]\n",
        &["a", "b"],
        expect![[r#"
            lists/l.json:1:17 E4006 a value of a list is no string
            lists/l.json:1:20 E4006 a value of a list is no string
            lists/l.json:1:27 W0002 `b` is listed twice"#]],
    );
    check_list("lists/l.json", "[]", &[], expect![[""]]);
    check_list(
        "lists/l.json",
        "[\"a\",]",
        &[],
        expect!["lists/l.json:1:6 E4004 expected a string"],
    );
    check_list(
        "lists/l.json",
        "[\"a\" \"b\"]",
        &[],
        expect!["lists/l.json:1:6 E4004 expected `,` or `]`"],
    );
    check_list(
        "lists/l.json",
        "{}",
        &[],
        expect!["lists/l.json:1:1 E4004 expected `[`"],
    );
    check_list(
        "lists/l.json",
        "[] x",
        &[],
        expect!["lists/l.json:1:3 E4004 text after the list"],
    );
    check_list(
        "lists/l.json",
        "",
        &[],
        expect!["lists/l.json:1:1 E4004 expected `[`"],
    );
}

#[test]
fn later_lists_replace_earlier_ones_and_named_ones_all() {
    let files = [
        File::list("l", "mine.txt", "named"),
        File::found("a/lists/l.toml", "values = [\"a\"]"),
        File::found("a/lists/l.csv", "twice"),
        File::found("a/lists/m.toml", "values = [\"a\"]"),
        File::found("b/lists/m.toml", "values = [\"b\"]"),
    ];
    let catalog = load(&files, date(2026, 11, 21));
    assert_eq!(catalog.lists["l"].values(), ["named"]);
    assert_eq!(catalog.lists["m"].values(), ["b"]);
    assert!(catalog.reports.is_empty());
    let catalog = load(&files[1..3], date(2026, 11, 21));
    assert_eq!(catalog.lists["l"].values(), ["a"]);
    assert_eq!(catalog.reports[0].diagnostic.code, Code::DuplicateList);
}

#[test]
fn line_ends_and_byte_order_marks_do_not_matter() {
    let text = GOOD.replacen("--- rules/aws/trail-stopped/rule.toml\n", "", 1);
    let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let catalog = load(&[File::found("a.toml", windows.clone())], date(2026, 1, 1));
    assert!(catalog.reports.is_empty(), "{:?}", catalog.reports);
    let broken = windows.replace("!has(", "?has(");
    let catalog = load(&[File::found("a.toml", broken)], date(2026, 1, 1));
    let reports: String = catalog
        .reports
        .iter()
        .map(|report| report.render(Palette::PLAIN))
        .collect();
    expect![[r#"
        error[E1001]: expected a value, found `?`
          --> a.toml:12:6
           |
        12 |   && ?has(event.errorCode)
           |      ^ expected a value

    "#]]
    .assert_eq(&reports);
    let formatted = super::format("a.toml", &windows).expect("the file can be read");
    assert_eq!(
        formatted,
        super::format("a.toml", &text).expect("the file can be read")
    );
}

#[test]
fn slips_in_names_are_reported() {
    let rule = GOOD.replace("aws.cloudtrail", "aws.cloudtrial");
    check(
        &rule,
        expect![[r#"
        warning[W0004]: there is no schema for the source `aws.cloudtrial`
         --> rules/aws/trail-stopped/rule.toml:8:10
          |
        8 | source = "aws.cloudtrial"
          |          ^^^^^^^^^^^^^^^^ its events are untyped
          = help: Did you mean `aws.cloudtrail`?
          = try: source = "aws.cloudtrail"

    "#]],
    );
    check(
        &GOOD.replace("aws.cloudtrail", "quite.other"),
        expect![[""]],
    );
    let ids = GOOD.replace("rules/aws/trail-stopped/rule.toml", "a.toml");
    check(
        &ids.replace("\"trail-stopped\"", "\"Trail_Stopped\""),
        expect![[r#"
            error[E0007]: `Trail_Stopped` is no rule id
             --> a.toml:1:6
              |
            1 | id = "Trail_Stopped"
              |      ^^^^^^^^^^^^^^^ expected lower-case words and digits joined by hyphens
              = help: Such as `aws-trail-stopped`; at most 120 characters.

        "#]],
    );
    let twice = "[\"TA0005/T1562.008\", \"TA0005/T1562.008\"]";
    check(
        &GOOD.replace("[\"TA0005/T1562.008\"]", twice),
        expect![[r#"
            warning[W0002]: `TA0005/T1562.008` is listed twice
             --> rules/aws/trail-stopped/rule.toml:9:31
              |
            9 | attack = ["TA0005/T1562.008", "TA0005/T1562.008"]
              |                               ^^^^^^^^^^^^^^^^^^

        "#]],
    );
    check(
        "--- s.toml\nid = \"a\"\ntitle = \"A\"\n[fields]\nx = { type = \"strin\", presence = \"always\" }\n",
        expect![[r#"
            error[E2011]: unknown type `strin`
             --> s.toml:4:14
              |
            4 | x = { type = "strin", presence = "always" }
              |              ^^^^^^^
              = help: types are string, int, double, bool, object, any, list<string>, map<string>
              = help: did you mean `string`?

        "#]],
    );
}

#[test]
fn an_override_of_severity_replaces_the_computed_one() {
    let computed = GOOD.replace("[finding]\n", "[finding]\nseverity = '\"low\"'\n");
    let site = "--- o.toml\n[[override]]\nrule = \"trail-stopped\"\nseverity = \"high\"\n";
    let catalog = read(&format!("{computed}{site}"));
    assert!(
        catalog.reports.is_empty(),
        "the same word, but no longer computed"
    );
    let rule = &catalog.rules[0];
    assert!(rule.severity_computed().is_none());
    assert!(rule.as_shipped().severity_computed().is_some());
    let again = read(&format!(
        "{computed}{site}{}",
        site.replace("o.toml", "p.toml")
    ));
    assert_eq!(again.reports[0].diagnostic.code, Code::OverrideIdle);
}
