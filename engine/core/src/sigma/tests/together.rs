//! Documents that name one another: ids that are taken, and names that mean nothing, several, or what was refused.

use super::{rule, translated};
use crate::diagnostic::Palette;
use crate::rule::{File, Lists};
use crate::sigma::{BaseRules, translate};
use expect_test::{Expect, expect};

/// A rule of a name.
fn named(name: &str, id: u8) -> String {
    format!(
        "title: Rule {name}\nid: 00000000-0000-0000-0000-00000000000{id}\nname: {name}\ndetection:\n  s:\n    e: {name}{id}\n  condition: s\n"
    )
}

/// A correlation of rules.
fn of(rules: &str) -> String {
    format!(
        "title: Of\ncorrelation:\n  type: event_count\n  rules: [{rules}]\n  timespan: 1h\n  condition: {{gte: 2}}\n"
    )
}

/// The rules, by id, and what is told, with the help.
fn told(files: &[&str]) -> String {
    let files = files.iter().enumerate();
    let files = files.map(|(at, text)| File::found(format!("{at}.yml"), *text));
    let files: Vec<File> = files.collect();
    let found = translate(&files, &[], &Lists::new(), BaseRules::AsTheySay);
    let mut out = String::new();
    for one in &found.rules {
        out.push_str(&format!("{}\n", one.rule.id));
        let inputs = one.rule.inputs.iter().flat_map(|input| &input.rules);
        inputs.for_each(|rule| out.push_str(&format!("  of {}\n", rule.pattern)));
    }
    for report in &found.reports {
        let diagnostic = &report.diagnostic;
        let place = crate::rule::Place {
            source: report.source.clone(),
            span: diagnostic.span,
        };
        let help = diagnostic.help.join(" ");
        let code = diagnostic.code.as_str();
        out.push_str(&format!("{code} {place} {} ({help})\n", diagnostic.message));
        report.render(Palette::PLAIN);
    }
    out
}

fn check(files: &[&str], expected: Expect) {
    expected.assert_eq(&told(files));
}

/// What `global` and `repeat` say is about several rules, and an id is of one of them.
#[test]
fn ids_that_are_inherited_are_numbered() {
    let id = "00000000-0000-0000-0000-00000000000a";
    let part = |head: &str, value: u8| {
        format!("---\n{head}detection:\n  s: {{a: {value}}}\n  condition: s\n")
    };
    let global = |head: &str| format!("action: global\n{head}logsource: {{product: aws}}\n");
    let with_id = global(&format!("title: T\nid: {}\n", id.to_uppercase()));
    let all = [
        &with_id,
        &part("", 1),
        &part("title: Own\n", 2),
        &part("id: own\n", 3),
        &part("", 4),
    ];
    let text = all.map(String::as_str).concat();
    check(
        &[&text, &of(id)],
        expect![[r#"
        00000000-0000-0000-0000-00000000000a
        00000000-0000-0000-0000-00000000000a-2
        own
        00000000-0000-0000-0000-00000000000a-3
        of
          of 00000000-0000-0000-0000-00000000000a
    "#]],
    );
    check(
        &[&text, &of(&format!("{id}-3"))],
        expect![[r#"
        00000000-0000-0000-0000-00000000000a
        00000000-0000-0000-0000-00000000000a-2
        own
        00000000-0000-0000-0000-00000000000a-3
        of
          of 00000000-0000-0000-0000-00000000000a-3
    "#]],
    );
    // By title alone, and repeated.
    let repeat = |head: &str| format!("---\naction: repeat\n{head}detection:\n  t: {{b: 1}}\n");
    let all = [
        &global("title: By Title\n"),
        &part("", 1),
        &part("", 2),
        &repeat("title: Own\n"),
        &repeat(""),
    ];
    check(
        &[&all.map(String::as_str).concat()],
        expect![[r#"
        by-title
        by-title-2
        own
        own-2
    "#]],
    );
    let all = [
        &part("title: One\nid: one\n", 1),
        &repeat(""),
        &repeat(""),
        &repeat("id: two\n"),
        &repeat(""),
    ];
    check(
        &[&all.map(String::as_str).concat()],
        expect![[r#"
        one
        one-2
        one-3
        two
        two-2
    "#]],
    );
    // What two documents say themselves is a mistake as ever, also beside a global one.
    let all = [&with_id, &part("id: own\n", 1), &part("id: own\n", 2)];
    check(
        &[&all.map(String::as_str).concat()],
        expect![[r#"
        own
        E0009 0.yml:11:5 the id `own` is taken (The first rule of this id is at 0.yml:6:5.)
    "#]],
    );
    // Another file does not know.
    check(
        &[
            &text,
            &named("a", 1).replace("000000000001", "00000000000a"),
        ],
        expect![[r#"
            00000000-0000-0000-0000-00000000000a
            00000000-0000-0000-0000-00000000000a-2
            own
            00000000-0000-0000-0000-00000000000a-3
            E0009 1.yml:2:5 the id `00000000-0000-0000-0000-00000000000a` is taken (The first rule of this id is at 0.yml:3:5.)
        "#]],
    );
}

#[test]
fn an_id_is_taken_once() {
    let (one, two) = (named("a", 1), named("b", 1));
    check(
        &[&one, &two, &of("a")],
        expect![[r#"
        00000000-0000-0000-0000-000000000001
        of
          of 00000000-0000-0000-0000-000000000001
        E0009 1.yml:2:5 the id `00000000-0000-0000-0000-000000000001` is taken (The first rule of this id is at 0.yml:2:5.)
    "#]],
    );
    check(
        &[&one, &two, &of("b")],
        expect![[r#"
        00000000-0000-0000-0000-000000000001
        E0009 1.yml:2:5 the id `00000000-0000-0000-0000-000000000001` is taken (The first rule of this id is at 0.yml:2:5.)
        E5006 2.yml:4:11 the rule `b` was refused (It is at 1.yml:1:8.)
    "#]],
    );
    let id = "00000000-0000-0000-0000-000000000001";
    check(
        &[&one, &two, &of(id)],
        expect![[r#"
        00000000-0000-0000-0000-000000000001
        of
          of 00000000-0000-0000-0000-000000000001
        E0009 1.yml:2:5 the id `00000000-0000-0000-0000-000000000001` is taken (The first rule of this id is at 0.yml:2:5.)
    "#]],
    );
    // The first one has a mistake; its id is taken all the same.
    check(
        &[&one.replace("condition: s", "condition: t"), &two],
        expect![[r#"
            E0009 1.yml:2:5 the id `00000000-0000-0000-0000-000000000001` is taken (The first rule of this id is at 0.yml:2:5.)
            E5006 0.yml:7:14 there is no selection `t` (Did you mean `s`?)
        "#]],
    );
    check(
        &[&one.replace("title: Rule a\n", ""), &two],
        expect![[r#"
            E5002 0.yml:1:1 a rule needs a `title` ()
            E0009 1.yml:2:5 the id `00000000-0000-0000-0000-000000000001` is taken (The first rule of this id is at 0.yml:1:5.)
        "#]],
    );
    // Without ids the titles make them.
    let untold = "title: Same\ndetection: {s: {e: 1}, condition: s}\n";
    check(
        &[&format!("{untold}---\n{untold}")],
        expect![[r#"
        same
        E0009 0.yml:4:8 the id `same` is taken (The first rule of this id is at 0.yml:1:8.)
    "#]],
    );
}

#[test]
fn what_was_refused_is_told_and_nothing_offered_instead() {
    let good = named("stop", 1);
    let bad = named("stopp", 2).replace("    e:", "    e|containz:");
    check(
        &[&good, &bad, &of("stopp")],
        expect![[r#"
            00000000-0000-0000-0000-000000000001
            E5004 1.yml:6:5 there is no modifier `containz` (Did you mean `contains`?)
            E5006 2.yml:4:11 the rule `stopp` was refused (It is at 1.yml:1:8.)
        "#]],
    );
    let bad = named("stopp", 2).replace("condition: s", "condition: t");
    check(
        &[&good, &bad, &of("stopp")],
        expect![[r#"
        00000000-0000-0000-0000-000000000001
        E5006 1.yml:7:14 there is no selection `t` (Did you mean `s`?)
        E5006 2.yml:4:11 the rule `stopp` was refused (It is at 1.yml:1:8.)
    "#]],
    );
    check(
        &[&good, &of("stopp")],
        expect![[r#"
        00000000-0000-0000-0000-000000000001
        E5006 1.yml:4:11 there is no rule `stopp` (Did you mean `stop`?)
    "#]],
    );
    check(
        &[
            &of("Other"),
            &of("stop").replace("title: Of", "title: Other"),
        ],
        expect![[r#"
            E5006 1.yml:4:11 there is no rule `stop` ()
            E5006 0.yml:4:11 the rule `Other` was refused (It is at 1.yml:1:8.)
        "#]],
    );
    let filter = "title: F\nfilter:\n  rules: [stopp]\n  s: {u: x}\n  condition: not s\n";
    check(
        &[&good, &bad.replace("    e:", "    e|containz:"), filter],
        expect![[r#"
            00000000-0000-0000-0000-000000000001
            E5004 1.yml:6:5 there is no modifier `containz` (Did you mean `contains`?)
            W5003 2.yml:3:11 the rule `stopp` was refused (It is at 1.yml:1:8.)
        "#]],
    );
}

#[test]
fn a_name_of_several_means_none() {
    check(
        &[&named("a", 1), &named("a", 2), &of("a")],
        expect![[r#"
        00000000-0000-0000-0000-000000000001
        00000000-0000-0000-0000-000000000002
        E5006 2.yml:4:11 several rules are called `a` (They are at 0.yml:1:8 and 1.yml:1:8: name one by its `id`.)
    "#]],
    );
    // An id comes before a name, and a name before a title.
    let (one, two) = (named("a", 1), named("b", 2));
    let id = "00000000-0000-0000-0000-000000000001";
    check(
        &[
            &one,
            &two.replace("name: b", &format!("name: {id}")),
            &of(id),
        ],
        expect![[r#"
            00000000-0000-0000-0000-000000000001
            00000000-0000-0000-0000-000000000002
            of
              of 00000000-0000-0000-0000-000000000001
        "#]],
    );
    check(
        &[&one, &two.replace("title: Rule b", "title: a"), &of("a")],
        expect![[r#"
            00000000-0000-0000-0000-000000000001
            00000000-0000-0000-0000-000000000002
            of
              of 00000000-0000-0000-0000-000000000001
        "#]],
    );
}

#[test]
fn mistakes_of_filters_and_pipelines_are_told_at_the_rule_with_their_place() {
    let filter =
        "title: F\nfilter:\n  rules: any\n  s:\n    u|expand: '%nobody%'\n  condition: not s\n";
    let of = rule("s:\n    a: 1\ncondition: s");
    expect![[r#"
        E5006 3:1 there is no list `nobody` for the placeholder `%nobody%`, in what 1.yml:1:8 adds
    "#]]
    .assert_eq(&translated(&[&of, filter], &[]));
    let pipeline = "transformations:\n  - type: add_condition\n    conditions:\n      u|re: '('\n";
    expect![[r#"
        E5005 3:1 this regular expression cannot be compiled: unclosed group, in what 0.yml:2:11 adds
    "#]].assert_eq(&translated(&[&of], &[pipeline]));
}
