mod hostile;
mod together;

use super::{BaseRules, Sample, Translation, convert};
use crate::diagnostic::Palette;
use crate::rule::{File, Lists, Rule, load};
use crate::selector::print;
use expect_test::{Expect, expect};

fn translate(files: &[File], pipelines: &[File], lists: &Lists) -> Translation {
    super::translate(files, pipelines, lists, BaseRules::AsTheySay)
}

/// A rule around a detection.
fn rule(detection: &str) -> String {
    let indented: Vec<String> = detection
        .lines()
        .map(|line| format!("    {line}"))
        .collect();
    format!(
        "title: A rule\nid: 00000000-0000-0000-0000-000000000001\ndetection:\n{}\nlevel: low\n",
        indented.join("\n")
    )
}

fn lists() -> Lists {
    let file = File::list("admins", "admins.csv", "alice\nbo*\n");
    load(&[file], jiff::civil::date(2026, 1, 1)).lists
}

/// What a rule becomes: its selectors, or what is wrong with it.
fn translated(files: &[&str], pipelines: &[&str]) -> String {
    let file = |(at, text): (usize, &&str)| File::found(format!("{at}.yml"), *text);
    let files: Vec<File> = files.iter().enumerate().map(file).collect();
    let pipelines: Vec<File> = pipelines.iter().enumerate().map(file).collect();
    let found = translate(&files, &pipelines, &lists());
    let mut out = String::new();
    for one in &found.rules {
        match (one.rule.when(), &one.rule.memory) {
            (Some(when), _) => out.push_str(&when.text),
            (None, Some(memory)) => out.push_str(&remembered(one, memory)),
            _ => {}
        }
        out.push_str(if one.rule.signal { " (signal)\n" } else { "\n" });
    }
    for report in &found.reports {
        let (line, column) = crate::rule::Place {
            source: report.source.clone(),
            span: report.diagnostic.span,
        }
        .line_column();
        let diagnostic = &report.diagnostic;
        out.push_str(&format!(
            "{} {line}:{column} {}\n",
            diagnostic.code.as_str(),
            diagnostic.message
        ));
    }
    out
}

/// A rule that remembers, in a line or two.
fn remembered(one: &super::Translated, memory: &crate::rule::kind::Memory) -> String {
    let text = |all: &[crate::rule::Selector]| {
        let all: Vec<&str> = all.iter().map(|one| one.text.as_str()).collect();
        all.join(", ")
    };
    let mut out = format!(
        "{}, of [{}], by [{}]",
        memory.kind,
        text(
            &memory
                .kind
                .selectors()
                .into_iter()
                .cloned()
                .collect::<Vec<_>>()
        ),
        text(&memory.group_by)
    );
    for input in &one.rule.inputs {
        let rules: Vec<&str> = input
            .rules
            .iter()
            .map(|rule| rule.pattern.as_str())
            .collect();
        let when = input.when.as_ref().map_or("", |when| when.text.as_str());
        let by = input
            .group_by
            .as_deref()
            .map_or(String::new(), |by| format!(" by [{}]", text(by)));
        out.push_str(&format!("\n  {}{rules:?} {when:?}{by}", input.name));
    }
    out
}

fn check(detection: &str, expected: Expect) {
    expected.assert_eq(&translated(&[&rule(detection)], &[]));
}

#[test]
fn fields_become_conditions_on_texts() {
    check(
        "s:\n    eventName: StopLogging\n    a.b|contains: ['x', 'y*z']\n    c|startswith: v\n    d|endswith: w\n    e|exists: false\ncondition: s",
        expect![[r#"
            texts("eventName").anyIs("StopLogging")
              && (texts("a.b").anyContains("x") || texts("a.b").anyLike("*y*z*"))
              && texts("c").anyStartsWith("v")
              && texts("d").anyEndsWith("w")
              && !has(event.e)
        "#]],
    );
    check(
        "s:\n    a: [1, true, null, '', 'x?']\ncondition: s",
        expect![[r#"
            texts("a").anyIs(["1", "true", ""])
              || texts("a").anyLike("x?")
              || isNullOrAbsent("a")
        "#]],
    );
    check(
        "s:\n    a|contains|all: [x, y]\ncondition: not s",
        expect![[r#"
            !(texts("a").anyContains("x") && texts("a").anyContains("y"))
        "#]],
    );
    check(
        "s:\n    - a: 1\n    - b: 2\n      c: 3\ncondition: s",
        expect![[r#"
            texts("a").anyIs("1")
              || (texts("b").anyIs("2") && texts("c").anyIs("3"))
        "#]],
    );
    check(
        "s:\n    a: '*'\n    b|contains: ''\ncondition: s",
        expect![[r#"
            texts("a").anyLike("*")
              && texts("b").anyLike("*")
        "#]],
    );
    check(
        "k:\n    - one\n    - two*three\ncondition: k",
        expect![[r#"
        texts().anyContains("one")
          || texts().anyLike("*two*three*")
    "#]],
    );
    check(
        "k:\n    '|all': [one, two]\ncondition: k",
        expect![[r#"
        texts().anyContains("one")
          && texts().anyContains("two")
    "#]],
    );
    check(
        "s:\n    a: it's \"q\" \\ back\ncondition: s",
        expect![[r#"
        texts("a").anyIs("it's \"q\" \\ back")
    "#]],
    );
}

#[test]
fn modifiers_change_values() {
    check(
        "s:\n    a|re: ['^x+$', b]\n    c|re|i|s: y.\ncondition: s",
        expect![[r#"
            texts("a").anyMatches(["^x+(?:\\n?\\z)", "b"])
              && texts("c").anyMatches("(?is)y.")
        "#]],
    );
    check(
        "s:\n    a|cidr: [10.0.0.0/8, '2001:db8::/32']\ncondition: s",
        expect![[r#"
            texts("a").exists(t, cidr("10.0.0.0/8").contains(t))
              || texts("a").exists(t, cidr("2001:db8::/32").contains(t))
        "#]],
    );
    check(
        "s:\n    a|base64offset|contains: foo\n    b|wide|base64: hi\ncondition: s",
        expect![[r#"
            texts("a").anyContains(["Zm9v", "Zvb", "mb2"])
              && texts("b").anyIs("aABpAA==")
        "#]],
    );
    check(
        "s:\n    a|windash|contains: ' -x'\ncondition: s",
        expect![[r#"
        texts("a").anyContains([" -x", " /x", " –x", " —x", " ―x"])
    "#]],
    );
    check(
        "s:\n    a|cased: X\n    b|cased|startswith: Y\n    c|cased: 'x*z'\ncondition: s",
        expect![[r#"
            texts("a").exists(t, t == "X")
              && texts("b").exists(t, t.startsWith("Y"))
              && texts("c").anyMatches("(?s)^x.*z$")
        "#]],
    );
    check(
        "s:\n    a|fieldref: b.c\n    d|fieldref|endswith: e\ncondition: s",
        expect![[r#"
            texts("b.c").exists(t, texts("a").anyIs(t))
              && texts("e").exists(t, texts("d").anyEndsWith(t))
        "#]],
    );
    check(
        "s:\n    a|gte: 5\n    b|lt: -1.5\ncondition: s",
        expect![[r#"
        numbers("a").exists(n, n >= 5.0)
          && numbers("b").exists(n, n < -1.5)
    "#]],
    );
    check(
        "s:\n    a|neq: x\ncondition: s",
        expect![[r#"
        hasField("a")
          && !texts("a").anyIs("x")
    "#]],
    );
    check(
        "s:\n    t|hour|gte: 20\n    t|month: [1, 12]\ncondition: s",
        expect![[r#"
            dateParts("t", "hour").exists(n, double(n) >= 20.0)
              && (dateParts("t", "month").exists(n, double(n) == 1.0) || dateParts("t", "month").exists(n, double(n) == 12.0))
        "#]],
    );
    check(
        "s:\n    a|expand: '%admins%'\n    b|expand|contains: 'x-%admins%'\ncondition: s",
        expect![[r#"
            (texts("a").anyIs("alice") || texts("a").anyStartsWith("bo"))
              && texts("b").anyContains(["x-alice", "x-bo"])
        "#]],
    );
}

#[test]
fn conditions_join_selections() {
    let selections = "sel_a:\n    a: 1\nsel_b:\n    b: 2\nfilter:\n    c: 3\n";
    check(
        &format!("{selections}condition: 1 of sel_* and not filter"),
        expect![[r#"
            (texts("a").anyIs("1") || texts("b").anyIs("2"))
              && !texts("c").anyIs("3")
        "#]],
    );
    check(
        &format!("{selections}condition: all of them"),
        expect![[r#"
        texts("a").anyIs("1")
          && texts("b").anyIs("2")
          && texts("c").anyIs("3")
    "#]],
    );
    check(
        &format!("{selections}condition: sel_a or (sel_b and not (filter or sel_a))"),
        expect![[r#"
            texts("a").anyIs("1")
              || (texts("b").anyIs("2") && !(texts("c").anyIs("3") || texts("a").anyIs("1")))
        "#]],
    );
    check(
        &format!("{selections}condition: [sel_a, sel_b]"),
        expect![[r#"
        texts("a").anyIs("1")
          || texts("b").anyIs("2")
    "#]],
    );
    check(
        &format!("{selections}condition: 1 of x*"),
        expect![[r#"
        E5006 10:16 no selection is meant by `x*`
    "#]],
    );
    check(
        &format!("{selections}condition: sel_c"),
        expect![[r#"
        E5006 10:16 there is no selection `sel_c`
    "#]],
    );
}

#[test]
fn what_cannot_be_mapped_is_refused_with_its_place() {
    check(
        "s:\n    a|containz: x\ncondition: s",
        expect![[r#"
        E5004 5:9 there is no modifier `containz`
    "#]],
    );
    check(
        "s:\n    a|re|cidr: x\n    b|contains|startswith: y\ncondition: s",
        expect![[r#"
            E5004 5:9 the modifiers `re` and `cidr` do not go together
        "#]],
    );
    check(
        "s:\n    a|re: '(?=x)'\ncondition: s",
        expect![[r#"
            E5005 5:15 this regular expression cannot be compiled: look-around, including look-ahead and look-behind, is not supported
        "#]],
    );
    check(
        "s:\n    a|re: 'a++'\ncondition: s",
        expect![[r#"
        E5005 5:15 this regular expression cannot be used: it has a possessive quantifier, a `+` after another one
    "#]],
    );
    check(
        "s:\n    a|re: ['[\\w-.]+', '\\${jndi:', '\\<b\\>']\ncondition: s",
        expect![[r#"
            texts("a").anyMatches(["[\\w\\-.]+", "\\$\\{jndi:", "<b>"])
        "#]],
    );
    check(
        "s:\n    a|cidr: 10.0.0.0/99\ncondition: s",
        expect![[r#"
        E5005 5:17 `10.0.0.0/99` is no network such as 10.0.0.0/8
    "#]],
    );
    check(
        "s:\n    a|gt: many\ncondition: s",
        expect![[r#"
        E5005 5:15 a comparison takes a number, not text
    "#]],
    );
    check(
        "s:\n    a|wide: x\ncondition: s",
        expect![[r#"
        E5004 5:9 `wide` makes bytes, which are only looked for in base64: `base64` or `base64offset` has to follow
    "#]],
    );
    check(
        "s:\n    a|base64: 'x*'\ncondition: s",
        expect![[r#"
        E5005 5:19 `base64` cannot encode wildcards
    "#]],
    );
    check(
        "s:\n    a|expand: '%nobody%'\ncondition: s",
        expect![[r#"
            E5006 5:19 there is no list `nobody` for the placeholder `%nobody%`
        "#]],
    );
    check(
        "s:\n    a|exists: maybe\ncondition: s",
        expect![[r#"
        E5005 5:9 `exists` takes true or false
    "#]],
    );
    check(
        "s:\n    a|windash: '-a -b -c -d -e'\ncondition: s",
        expect![[r#"
            E5005 5:20 `windash` varies at most 4 dashes of a value
        "#]],
    );
    check(
        "s:\n    a: {b: c}\n    d: []\ncondition: s",
        expect![[r#"
        E5002 5:12 a value of `a` is a map
        E5002 6:12 `d` has an empty list of values
    "#]],
    );
    check(
        "s: []\ncondition: s",
        expect![[r#"
        E5002 4:8 an empty list selects nothing
    "#]],
    );
    check(
        "s: {}\ncondition: s and",
        expect![[r#"
        E5002 4:8 an empty map selects nothing
        E5003 5:16 `the end` where a selection was expected
    "#]],
    );
    check(
        "s:\n    a..b: x\ncondition: s",
        expect![[r#"
        E5002 5:9 `a..b` is no name of a field
    "#]],
    );
    check(
        "s:\n    a: x",
        expect![[r#"
        E5002 3:1 a `condition` is missing
    "#]],
    );
    check(
        "s:\n    a: x\ncondition: s | near y",
        expect![[r#"
            E5002 6:16 an aggregation needs a `timeframe` beside the condition
        "#]],
    );
    check(
        "s:\n    a|contains: null\ncondition: s",
        expect![[r#"
        E5005 5:21 null is compared as it is, without such modifiers
    "#]],
    );
}

#[test]
fn documents_that_are_no_rules_are_told() {
    let check = |text: &str, expected: Expect| expected.assert_eq(&translated(&[text], &[]));
    check(
        "- a\n- b\n",
        expect![[r#"
        E5002 1:1 a document is a map, not a list
    "#]],
    );
    check(
        "title: x\n",
        expect![[r#"
        W5001 1:1 this document is no Sigma rule: it has no `detection`, `correlation` or `filter`
    "#]],
    );
    check(
        "detection: {}\n",
        expect![[r#"
            E5002 1:1 a rule needs a `title`
            E5002 1:1 a `condition` is missing
        "#]],
    );
    check(
        "title: x\ndetection: 5\n",
        expect![[r#"
        E5002 2:12 `detection` is a map of selections, not a number
    "#]],
    );
    check(
        "title: x\nlevel: loud\ndetection:\n  s:\n    a: b\n  condition: s\n",
        expect![[r#"
            E5002 1:8 there is no level `loud`
        "#]],
    );
    check(
        "title: [",
        expect![[r#"
            E5001 1:8 this is not YAML: `[` is not closed
        "#]],
    );
    check("", expect![]);
    check(
        "action: twist\n",
        expect![[r#"
        E5002 1:9 there is no action `twist`
    "#]],
    );
    check(
        "action: repeat\n",
        expect![[r#"
        E5002 1:9 there is no rule before this one to repeat
    "#]],
    );
}

#[test]
fn action_documents_are_followed() {
    let text = "action: global\ntitle: x\ndetection:\n  condition: s\n---\ndetection:\n  s:\n    a: 1\n---\naction: repeat\nid: two\ndetection:\n  s:\n    b: 2\n---\naction: reset\n---\ntitle: y\ndetection:\n  s:\n    c: 3\n  condition: s\n";
    expect![[r#"
        texts("a").anyIs("1")
        texts("a").anyIs("1")
          && texts("b").anyIs("2")
        texts("c").anyIs("3")
    "#]]
    .assert_eq(&translated(&[text], &[]));
}

#[test]
fn filters_are_added_to_their_rules() {
    let filter = |rules: &str, logsource: &str| {
        format!(
            "title: F\nlogsource: {logsource}\nfilter:\n  rules: {rules}\n  selection:\n    u|startswith: adm_\n  condition: not selection\n"
        )
    };
    let of = rule("s:\n    a: 1\ncondition: s or t\nt:\n    b: 2");
    let run = |filter: &str| translated(&[&of, filter], &[]);
    expect![[r#"
        (texts("a").anyIs("1") || texts("b").anyIs("2"))
          && !texts("u").anyStartsWith("adm_")
    "#]]
    .assert_eq(&run(&filter("[A rule]", "{}")));
    expect![[r#"
        (texts("a").anyIs("1") || texts("b").anyIs("2"))
          && !texts("u").anyStartsWith("adm_")
    "#]]
    .assert_eq(&run(&filter("any", "{}")));
    expect![[r#"
        texts("a").anyIs("1")
          || texts("b").anyIs("2")
    "#]]
    .assert_eq(&run(&filter("any", "{product: windows}")));
    expect![[r#"
        texts("a").anyIs("1")
          || texts("b").anyIs("2")
        W5003 4:11 there is no rule `A rulf`
    "#]]
    .assert_eq(&run(&filter("[A rulf]", "{}")));
}

#[test]
fn pipelines_change_rules() {
    let of = "title: x\nlogsource: {product: windows}\ndetection:\n  s:\n    User: a\n    Image|endswith: b\n    Drop: c\n  condition: s\n";
    let run = |pipeline: &str| translated(&[of], &[pipeline]);
    let step = |text: &str| format!("transformations:\n  - {}\n", text.replace('\n', "\n    "));
    expect![[r#"
        texts("user.name").anyIs("a")
          && (texts("p.exe").anyEndsWith("b") || texts("p.name").anyEndsWith("b"))
          && texts("Drop").anyIs("c")
    "#]]
    .assert_eq(&run(&step(
        "type: field_name_mapping\nmapping:\n  User: user.name\n  Image: [p.exe, p.name]",
    )));
    expect![[r#"
        texts("User").anyIs("a")
          && texts("win.Image").anyEndsWith("b")
          && texts("win.Drop").anyIs("c")
    "#]].assert_eq(&run(&step("type: field_name_prefix\nprefix: win.\nfield_name_conditions:\n  - type: exclude_fields\n    fields: [User]")));
    expect![[r#"
        texts("User").anyIs("a")
          && texts("Image").anyEndsWith("b")
    "#]].assert_eq(&run(&step("type: drop_detection_item\nfield_name_conditions:\n  - type: include_fields\n    fields: ['Dr.*']\n    mode: re")));
    expect![[r#"
        texts("User").anyIs("a")
          && texts("Image").anyEndsWith("b")
          && texts("Drop").anyIs("c")
          && texts("source").anyIs("win")
    "#]]
    .assert_eq(&run(&step(
        "type: add_condition\nconditions:\n  source: win",
    )));
    expect![[r#"
        texts("User").anyIs("a")
          && texts("Image").anyEndsWith("b")
          && texts("Drop").anyIs("c")
    "#]].assert_eq(&run(&step("type: add_condition\nconditions:\n  source: win\nrule_conditions:\n  - type: logsource\n    product: linux")));
    expect![[r#"
        E5007 1:8 the pipeline refuses this rule: not for us
    "#]]
    .assert_eq(&run(&step("type: rule_failure\nmessage: not for us")));
    expect![[r#"
        texts("User").anyIs("a")
          && texts("Image").anyEndsWith("b")
          && texts("Drop").anyIs("c")
        W5002 2:11 `set_state` has no effect here
    "#]]
    .assert_eq(&run(&step("type: set_state\nkey: a\nval: b")));
    expect![[r#"
        E5008 2:11 the transformation `field_name_maping` is not supported
    "#]]
    .assert_eq(&run(&step("type: field_name_maping\nmapping: {a: b}")));
    expect![[r#"
        texts("User").anyIs("b-a$1\\a")
          && texts("Image").anyEndsWith("b")
          && texts("Drop").anyIs("c")
    "#]]
    .assert_eq(&run(&step(
        "type: replace_string\nregex: '(?<x>a)()'\nreplacement: 'b-\\1$1\\\\\\g<x>\\2'",
    )));
    expect![[r#"
        E5008 2:11 this regular expression cannot be compiled: unclosed group
    "#]]
    .assert_eq(&run(&step(
        "type: replace_string\nregex: '('\nreplacement: x",
    )));
    expect![[r#"
        E5008 2:5 a transformation needs a `type`
    "#]]
    .assert_eq(&run(&step("mapping: {a: b}")));
}

#[test]
fn hostile_rules_end_in_diagnostics() {
    let long = "x".repeat(1 << 20);
    for detection in [
        format!("s:\n    a: {long}\ncondition: s"),
        format!("s:\n    a|re: {long}\ncondition: s"),
        format!("s:\n    {long}: a\ncondition: s"),
        format!("s:\n    a: b\ncondition: {}", "not ".repeat(100_000)),
        format!("s:\n    a: [{}]\ncondition: s", "b, ".repeat(100_000)),
        format!(
            "s:\n    a: [{}]\ncondition: s",
            (0..50_000)
                .map(|n| format!("v{n}"))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    ] {
        let files = [File::found("0.yml", rule(&detection))];
        let found = translate(&files, &[], &Lists::new());
        for report in &found.reports {
            let text = report.render(Palette::PLAIN);
            assert!(text.len() < 10_000, "{} bytes", text.len());
        }
        assert!(found.rules.is_empty() != found.reports.is_empty());
    }
}

/// The files of a translation, written.
fn written(found: &Translation, samples: &[Sample]) -> Vec<File> {
    assert_eq!(found.reports, []);
    let converted = convert(&found.rules, |_| samples.to_vec());
    let files = converted.iter().flat_map(|one| {
        let path = |name: &str| format!("rules/{}/{name}", one.folder);
        one.files
            .iter()
            .map(move |(name, text)| File::found(path(name), text))
    });
    files.collect()
}

/// Base rules `a` and `b`, and a correlation of them.
fn correlation(text: &str) -> String {
    let base = |name: &str| {
        format!(
            "---\ntitle: Rule {name}\nname: {name}\nlogsource: {{product: aws, service: cloudtrail}}\ndetection:\n  s:\n    eventName: {name}\n  condition: s\n"
        )
    };
    let indented = text.replace('\n', "\n  ");
    format!(
        "title: Both\ncorrelation:\n  {indented}\n{}{}",
        base("a"),
        base("b")
    )
}

/// Comments hold what authors wrote, and show what is in it.
#[test]
fn comments_of_what_is_written_are_printable() {
    let text = rule("s:\n    a: 1\ncondition: s") + "author: \"a\\u202Eb\\u200Bc\\nd\\e\"\n";
    let found = translate(&[File::found("0.yml", text)], &[], &Lists::new());
    let files = written(&found, &[]);
    let author = files[0]
        .text
        .lines()
        .find(|line| line.starts_with("# Author"));
    assert_eq!(author, Some("# Author: a\\u{202e}b\\u{200b}c d"));
}

/// What must not be near is written where a native rule says so, and read from there as it was meant.
#[test]
fn near_without_is_written_as_native_rules() {
    for condition in ["s | near t and not u", "s | near not t and not u"] {
        let text = rule(&format!(
            "s:\n    a: 1\nt:\n    b: 2\nu:\n    c: 3\ntimeframe: 10m\ncondition: {condition}"
        ));
        let found = translate(&[File::found("0.yml", text)], &[], &Lists::new());
        let files = written(&found, &[]);
        let catalog = load(&files, jiff::civil::date(2026, 1, 1));
        assert_eq!(catalog.reports, [], "{}", files[0].text);
        let (read, meant) = (&catalog.rules[0], &found.rules[0].rule);
        let told = |rule: &Rule| {
            let inputs = rule.inputs.iter().map(|input| {
                let when = input.when.as_ref().map(|when| print(&when.expr));
                (input.name.clone(), when)
            });
            let kind = rule.memory.as_ref().map(|memory| memory.kind.clone());
            (inputs.collect::<Vec<_>>(), kind)
        };
        assert_eq!(told(read), told(meant), "{condition}");
    }
}

#[test]
fn correlations_become_rules_that_remember() {
    let check =
        |text: &str, expected: Expect| expected.assert_eq(&translated(&[&correlation(text)], &[]));
    check(
        "type: event_count\nrules: [a]\ngroup-by: [u.n]\ntimespan: 10m\ncondition: {gte: 3}",
        expect![[r#"
            events >= 3 within 10m (sliding), of [], by [texts("u.n").first().orValue("")]
              ["rule-a"] ""
            texts("eventName").anyIs("a") (signal)
            texts("eventName").anyIs("b")
        "#]],
    );
    check(
        "type: value_count\nrules: [a, b]\ntimespan: 1h\ngenerate: true\ncondition: {gt: 3, field: x}",
        expect![[r#"
            distinct > 3 within 1h (sliding), of [texts("x").first().orValue("")], by []
              ["rule-a", "rule-b"] "size(texts(\"x\")) > 0"
            texts("eventName").anyIs("a")
            texts("eventName").anyIs("b")
        "#]],
    );
    check(
        "type: value_sum\nrules: [a]\ntimespan: 1h\ncondition: {gt: 3, field: x}",
        expect![[r#"
            sum > 3 within 1h (sliding), of [numbers("x").first().orValue(0.0)], by []
              ["rule-a"] "size(numbers(\"x\")) > 0"
            texts("eventName").anyIs("a") (signal)
            texts("eventName").anyIs("b")
        "#]],
    );
    check(
        "type: value_percentile\nrules: [a]\ntimespan: 1h\ncondition: {gt: 3, field: x, percentile: 90}",
        expect![[r#"
            percentile > 3 within 1h (sliding), of [numbers("x").first().orValue(0.0)], by []
              ["rule-a"] "size(numbers(\"x\")) > 0"
            texts("eventName").anyIs("a") (signal)
            texts("eventName").anyIs("b")
        "#]],
    );
    check(
        "type: temporal\nrules: [a, Rule b]\ntimespan: 90s\ngroup-by: [ip]\naliases:\n  ip:\n    a: src\n    b: dst",
        expect![[r#"
            2 steps in any order within 1m30s, of [], by [texts("src").first().orValue("")]
              step_1["rule-a"] "" by [texts("src").first().orValue("")]
              step_2["rule-b"] "" by [texts("dst").first().orValue("")]
            texts("eventName").anyIs("a") (signal)
            texts("eventName").anyIs("b") (signal)
        "#]],
    );
    check(
        "type: temporal_ordered\nrules: [a, b]\ntimespan: 1d\ngroup-by: [u]\ncondition: {gte: 2}",
        expect![[r#"
            2 steps in order within 1d, of [], by [texts("u").first().orValue("")]
              step_1["rule-a"] ""
              step_2["rule-b"] ""
            texts("eventName").anyIs("a") (signal)
            texts("eventName").anyIs("b") (signal)
        "#]],
    );
    check(
        "type: temporal\nrules: [a, c]\ntimespan: 1d",
        expect![[r#"
        texts("eventName").anyIs("a")
        texts("eventName").anyIs("b")
        E5006 4:14 there is no rule `c`
    "#]],
    );
    check(
        "type: temporal\nrules: [a, Both]\ntimespan: 1d",
        expect![[r#"
            texts("eventName").anyIs("a")
            texts("eventName").anyIs("b")
            E5006 4:14 the rule `Both` waits for this one, or for one that was refused
        "#]],
    );
    check(
        "type: temporal\nrules: [a]\ntimespan: 1d",
        expect![[r#"
            texts("eventName").anyIs("a")
            texts("eventName").anyIs("b")
            E5007 2:1 this takes 2 to 16 rules
        "#]],
    );
    check(
        "type: event_count\nrules: [a]\ntimespan: 1d\ncondition: {lt: 3}",
        expect![[r#"
            texts("eventName").anyIs("a")
            texts("eventName").anyIs("b")
            E5007 2:1 a count `< 3` within a window that slides holds from the first event on
        "#]],
    );
    check(
        "type: event_count\nrules: [a]\ntimespan: 1d\ncondition: {gte: 0}",
        expect![[r#"
            texts("eventName").anyIs("a")
            texts("eventName").anyIs("b")
            E5007 2:1 `>= 0` always holds of a count
        "#]],
    );
    check(
        "type: event_count\nrules: [a]\ntimespan: 1d\ncondition: {gt: 3, lt: 9}",
        expect![[r#"
            texts("eventName").anyIs("a")
            texts("eventName").anyIs("b")
            E5007 2:1 a range is not supported, as a window that slides leaves and enters it on its way: give one comparison
        "#]],
    );
    check(
        "type: value_median\nrules: [a]\ntimespan: 1d\ncondition: {gt: 3, field: x}",
        expect![[r#"
            median > 3 within 1d (sliding), of [numbers("x").first().orValue(0.0)], by []
              ["rule-a"] "size(numbers(\"x\")) > 0"
            texts("eventName").anyIs("a") (signal)
            texts("eventName").anyIs("b")
        "#]],
    );
    check(
        "type: event_cuont\nrules: [a]\ntimespan: x",
        expect![[r#"
        texts("eventName").anyIs("a")
        texts("eventName").anyIs("b")
        E5002 3:9 there is no correlation type `event_cuont`; did you mean `event_count`?
        E5002 5:13 a `timespan` is a number and s, m, h or d, such as `90m`
    "#]],
    );
    check(
        "type: event_count\ntimespan: 1d",
        expect![[r#"
        texts("eventName").anyIs("a")
        texts("eventName").anyIs("b")
        E5002 2:1 a correlation needs `rules`
        E5002 2:1 `event_count` needs a `condition` such as `gte: 10`
    "#]],
    );
}

#[test]
fn aggregations_of_older_rules_become_rules_that_remember() {
    let rule = |condition: &str| {
        rule(&format!(
            "s:\n    a: 1\nt:\n    b: 2\nu:\n    c: 3\ntimeframe: 10m\ncondition: {condition}"
        ))
    };
    let check = |condition: &str, expected: Expect| {
        expected.assert_eq(&translated(&[&rule(condition)], &[]))
    };
    check(
        "s | count() > 5",
        expect![[r#"
        events > 5 within 10m (sliding), of [], by []
          [] "texts(\"a\").anyIs(\"1\")"
    "#]],
    );
    check(
        "s | count(b.c) by d, e >= 5",
        expect![[r#"
        distinct >= 5 within 10m (sliding), of [texts("b.c").first().orValue("")], by [texts("d").first().orValue(""), texts("e").first().orValue("")]
          [] "(texts(\"a\").anyIs(\"1\"))\n  && size(texts(\"b.c\")) > 0"
    "#]],
    );
    check(
        "s | sum(n) by d > 5",
        expect![[r#"
        sum > 5 within 10m (sliding), of [numbers("n").first().orValue(0.0)], by [texts("d").first().orValue("")]
          [] "(texts(\"a\").anyIs(\"1\"))\n  && size(numbers(\"n\")) > 0"
    "#]],
    );
    check(
        "s | max(n) by d > 5",
        expect![[r#"
        events >= 1 within 10m (sliding), of [], by [texts("d").first().orValue("")]
          [] "(texts(\"a\").anyIs(\"1\"))\n  && numbers(\"n\").exists(n, n > 5.0)"
    "#]],
    );
    check(
        "s | min(n) <= -1.5",
        expect![[r#"
        events >= 1 within 10m (sliding), of [], by []
          [] "(texts(\"a\").anyIs(\"1\"))\n  && numbers(\"n\").exists(n, n <= -1.5)"
    "#]],
    );
    check(
        "s | max(n) < 5",
        expect![[r#"
        E5007 11:16 `max` with `<` holds as soon as one such value comes, whatever comes after it: `max` takes `>` or `>=`, `min` takes `<` or `<=`
    "#]],
    );
    check(
        "s | max() > 5",
        expect![[r#"
        E5007 11:16 `max` needs a field: `max(field)`
    "#]],
    );
    check(
        "s | count() == 5",
        expect![[r#"
        E5007 11:16 a window that slides passes through a count `== 5` on its way to more: `gte` says so many or more
    "#]],
    );
    check(
        "s | near t and u",
        expect![[r#"
        3 steps in any order within 10m, of [], by []
          step_1[] "texts(\"a\").anyIs(\"1\")"
          step_2[] "texts(\"b\").anyIs(\"2\")"
          step_3[] "texts(\"c\").anyIs(\"3\")"
    "#]],
    );
    check(
        "s | near t and not u",
        expect![[r#"
            2 steps in any order within 10m without another near the first, of [], by []
              step_1[] "texts(\"a\").anyIs(\"1\")"
              step_2[] "texts(\"b\").anyIs(\"2\")"
              [] "texts(\"c\").anyIs(\"3\")"
        "#]],
    );
    check(
        "s | near not t",
        expect![[r#"
            the second missing within 10m on either side of the first, of [], by []
              start[] "texts(\"a\").anyIs(\"1\")"
              missed[] "texts(\"b\").anyIs(\"2\")"
        "#]],
    );
    check(
        "s | near not t and not u",
        expect![[r#"
            the second missing within 10m on either side of the first, of [], by []
              start[] "texts(\"a\").anyIs(\"1\")"
              missed[] "(texts(\"b\").anyIs(\"2\"))\n  || (texts(\"c\").anyIs(\"3\"))"
        "#]],
    );
    check(
        "s | near t and not v",
        expect![[r#"
        E5006 11:16 there is no selection `v`
    "#]],
    );
    check(
        "s | near",
        expect![[r#"
        E5003 11:16 `the end` where a selection was expected
    "#]],
    );
    check(
        "s | near v",
        expect![[r#"
        E5006 11:16 there is no selection `v`
    "#]],
    );
    check(
        "s | min(n) > 5",
        expect![[r#"
            E5007 11:16 `min` with `>` holds as soon as one such value comes, whatever comes after it: `max` takes `>` or `>=`, `min` takes `<` or `<=`
        "#]],
    );
    let text = super::tests::rule("s:\n    a: 1\ncondition: s | count() > 5");
    expect![[r#"
        E5002 6:16 an aggregation needs a `timeframe` beside the condition
    "#]]
    .assert_eq(&translated(&[&text], &[]));
}

#[test]
fn converted_correlations_name_the_converted_rules() {
    let text = correlation(
        "type: temporal\nrules: [a, b]\ntimespan: 90s\ngroup-by: [ip]\naliases:\n  ip:\n    a: src\n    b: dst",
    );
    let more = "title: Many\nid: 11111111-0000-0000-0000-000000000000\ndetection:\n  s:\n    a: 1\n  timeframe: 5m\n  condition: s | count(b) by c > 3\n";
    let found = translate(
        &[File::found("a.yml", text), File::found("b.yml", more)],
        &[],
        &Lists::new(),
    );
    let files = written(&found, &[]);
    expect![[r##"
        # Made from a Sigma rule by `tripline sigma convert`.
        id = "both"
        name = "Both"
        description = "Both"
        severity = "medium"
        status = "experimental"
        source = "aws.cloudtrail"
        tags = ["sigma"]
        group_by = ['texts("src").first().orValue("")']

        [temporal]
        within = "1m30s"

        [[temporal.step]]
        name = "step_1"
        rules = ["rule-a"]
        group_by = ['texts("src").first().orValue("")']

        [[temporal.step]]
        name = "step_2"
        rules = ["rule-b"]
        group_by = ['texts("dst").first().orValue("")']
    "##]]
    .assert_eq(&files[0].text);
    expect![[r##"
        # Made from a Sigma rule by `tripline sigma convert`.
        # Id: 11111111-0000-0000-0000-000000000000
        id = "many"
        name = "Many"
        description = "Many"
        severity = "medium"
        status = "experimental"
        tags = ["sigma", "sigma-id:11111111-0000-0000-0000-000000000000"]
        when = '''
        (texts("a").anyIs("1"))
          && size(texts("b")) > 0
        '''
        group_by = ['texts("c").first().orValue("")']

        [threshold]
        window = "5m"
        measure = "distinct"
        of = 'texts("b").first().orValue("")'
        is = "> 3"
    "##]]
    .assert_eq(&files[3].text);
    let catalog = load(&files, jiff::civil::date(2026, 1, 1));
    assert_eq!(catalog.reports, []);
    assert_eq!(catalog.rules.len(), 4);
}

#[test]
fn converted_rules_are_rules_of_ours() {
    let text = "title: Trail stopped\nid: 00000000-0000-0000-0000-0000000000AA\nstatus: stable\ndescription: |\n  Two\n  lines.\nreferences: ['https://example.com']\nauthor: \"A,\\a B\"\nlicense: DRL-1.1\ntags: [attack.defense_evasion, attack.t1562.008]\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n  s:\n    eventName: StopLogging\n    userIdentity.arn|contains: \"it's\"\n  condition: s and not t\n  t:\n    errorCode|exists: true\nfalsepositives: [Work]\nlevel: high\n";
    let found = translate(&[File::found("a.yml", text)], &[], &Lists::new());
    let samples = [Sample {
        name: "it stops".to_owned(),
        json: r#"{"eventName": "stoplogging", "userIdentity": {"arn": "x it's y"}}"#.to_owned(),
        matches: true,
    }];
    let files = written(&found, &samples);
    expect![[r##"
        # Made from a Sigma rule by `tripline sigma convert`.
        # Id: 00000000-0000-0000-0000-0000000000AA
        # Author: A, B
        # Licence: DRL-1.1
        id = "trail-stopped"
        name = "Trail stopped"
        description = """
        Two
        lines.
        """
        severity = "high"
        status = "experimental"
        source = "aws.cloudtrail"
        authors = ["A", "\u0007 B"]
        references = ["https://example.com"]
        false_positives = ["Work"]
        attack = ["TA0005/T1562.008"]
        tags = [
            "sigma",
            "sigma-id:00000000-0000-0000-0000-0000000000AA",
            "licence:DRL-1.1",
            "attack.defense_evasion",
            "attack.t1562.008",
        ]
        when = '''
        texts("eventName").anyIs("StopLogging")
          && texts("userIdentity.arn").anyContains("it's")
          && !has(event.errorCode)
        '''
    "##]]
    .assert_eq(&files[0].text);
    let catalog = load(&files, jiff::civil::date(2026, 1, 1));
    assert_eq!(catalog.reports, []);
    assert_eq!(catalog.rules.len(), 1);
    assert_eq!(catalog.suites[0].tests.len(), 1);
}
