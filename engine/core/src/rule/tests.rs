//! Golden tests of the diagnostics of files, and of what is read.

use super::{Catalog, File, load};
use crate::diagnostic::Palette;
use expect_test::{Expect, expect};
use jiff::civil::date;

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
status = "test"
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
        rule.when.place.to_string(),
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

            error[E0006]: `hgih` is no severity
             --> rules/aws/trail-stopped/rule.toml:4:12
              |
            4 | severity = "hgih"
              |            ^^^^^^ expected one of informational, low, medium, high, critical
              = help: Did you mean `high`?
              = try: severity = "high"

            error[E0006]: `Stable` is no status
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

            error[E1001]: `&` is not an operator of CEL
             --> rules/aws/trail-stopped/rule.toml:9:28
              |
            9 | when = "event.a == \"x\" &&& b"
              |                            ^
              = help: both conditions is written `&&`
              = try: when = "event.a == \"x\" &&&& b"

            error[E1001]: expected a value, found `&&`
             --> rules/aws/trail-stopped/rule.toml:9:28
              |
            9 | when = "event.a == \"x\" &&& b"
              |                            ^ expected a value

            error[E0002]: a rule has no key `colour`
              --> rules/aws/trail-stopped/rule.toml:10:1
               |
            10 | colour = 1
               | ^^^^^^ unknown key
               = help: Known keys: id, name, description, severity, status, source, authors, references, false_positives, runbook, attack, tags, when, finding, exceptions, events, test.

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
              = help: A rule has `when`, tests have `[[test]]`, overrides `[[override]]`, a list `values`.

            error[E0013]: this file is nothing that we know
             --> c.toml:1:1
              |
            1 | 
              | ^
              = help: A rule has `when`, tests have `[[test]]`, overrides `[[override]]`, a list `values`.

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
