//! Files that stand for far more than they hold end in a diagnostic, soon and without filling memory.

use super::rule;
use crate::diagnostic::Palette;
use crate::limits::{
    FILE_DIAGNOSTICS_MAX, SIGMA_META_LIST_MAX, SIGMA_PLACEHOLDERS_MAX, SIGMA_TRANSFORMATIONS_MAX,
};
use crate::rule::{File, Lists, load};
use crate::sigma::{BaseRules, Translation, translate};

fn lists() -> Lists {
    let values: String = (0..9_000).map(|at| format!("value {at}\n")).collect();
    let file = File::list("many", "many.csv", values);
    load(&[file], jiff::civil::date(2026, 1, 1)).lists
}

fn run(text: &str, pipelines: &[&str]) -> Translation {
    let pipelines = pipelines.iter().enumerate();
    let pipelines = pipelines.map(|(at, text)| File::found(format!("p{at}.yml"), *text));
    let pipelines: Vec<File> = pipelines.collect();
    let files = [File::found("0.yml", text)];
    let found = translate(&files, &pipelines, &lists(), BaseRules::AsTheySay);
    for report in &found.reports {
        let text = report.render(Palette::PLAIN);
        assert!(text.len() < 10_000, "{} bytes", text.len());
    }
    found
}

/// What is told of the first mistake.
fn told(found: &Translation) -> String {
    let report = found.reports.first().expect("a report");
    let code = report.diagnostic.code.as_str();
    format!("{code} {}", report.diagnostic.message)
}

#[test]
fn rules_that_stand_for_too_much_are_refused() {
    let check = |detection: &str, expected: &str| {
        let found = run(&rule(detection), &[]);
        assert_eq!(found.rules.len(), 0, "{expected}");
        let told = told(&found);
        assert!(told.contains(expected), "{told}");
    };
    let of_values = |modifiers: &str, value: &str, times: usize| {
        let values: Vec<String> = (0..times).map(|at| format!("'{value}{at}'")).collect();
        format!(
            "s:\n    a|{modifiers}: [{}]\ncondition: s",
            values.join(", ")
        )
    };
    let long = "x".repeat(40_000);
    check(
        &of_values("windash", " -a -b -c -d ", 1000),
        "E0012 this stands for more than 10000 values",
    );
    check(
        &of_values("windash", &format!("-a -b -c -d {long}"), 1),
        "E0012 this stands for more than 262144 bytes",
    );
    check(
        &of_values("windash|windash", " -a -b -c", 1),
        "E0012 this stands for more than",
    );
    let twenty = ["base64offset"; 20].join("|");
    check(
        &of_values(&twenty, "x", 1),
        "E0012 this stands for more than 10000 values",
    );
    let hundred = ["base64"; 100].join("|");
    check(
        &of_values(&hundred, "x", 1),
        "E0012 this stands for more than 262144 bytes",
    );
    check(
        &of_values("contains", &"y".repeat(70_000), 1),
        "E0012 the value has",
    );
    check(
        &of_values("re", &"y".repeat(70_000), 1),
        "E0012 the value has",
    );
    check(
        &of_values("expand", &format!("%many%{long}"), 1),
        "E0012 this stands for more than 262144 bytes",
    );
    let placeholders = "%many%".repeat(SIGMA_PLACEHOLDERS_MAX + 1);
    check(
        &of_values("expand", &placeholders, 1),
        "E0012 a value has at most 8 placeholders",
    );
    let signs = of_values("expand", &"% ".repeat(30_000), 1);
    assert_eq!(run(&rule(&signs), &[]).rules.len(), 1);
    let many = "1 of them or ".repeat(20_000);
    let selections: String = (0..20_000).map(|at| format!("s{at}: {{a: b}}\n")).collect();
    check(
        &format!("{selections}condition: {many} s0"),
        "E0012 the condition stands for more than 262144 bytes",
    );
    let names: Vec<String> = (0..20_000).rev().map(|at| format!("s{at}")).collect();
    check(
        &format!("{selections}condition: {}", names.join(" and ")),
        "E0012 the condition stands for more than 262144 bytes",
    );
}

#[test]
fn documents_that_stand_for_too_much_are_refused() {
    let big: String = (0..4_000)
        .map(|at| format!("  s{at}: {{a: b}}\n"))
        .collect();
    let global = format!("action: global\ntitle: x\ndetection:\n{big}  condition: s0\n");
    let many: String = (0..900).map(|at| format!("---\nid: r{at}\n")).collect();
    assert!(
        told(&run(&format!("{global}{many}"), &[]))
            .starts_with("E0012 the file stands for more than")
    );
    let repeat: String = (0..900)
        .map(|at| format!("---\naction: repeat\nid: r{at}\n"))
        .collect();
    let first = global.replace("action: global\n", "");
    assert!(
        told(&run(&format!("{first}{repeat}"), &[]))
            .starts_with("E0012 the file stands for more than")
    );

    let tags = "a, ".repeat(SIGMA_META_LIST_MAX + 1);
    let text = format!("tags: [{tags}]\n{}", rule("s:\n    a: 1\ncondition: s"));
    assert_eq!(
        told(&run(&text, &[])),
        "E0012 `tags` has more than 1000 values"
    );

    let wrong: String = (0..5_000).map(|at| format!("    a{at}|b: 1\n")).collect();
    let wrong = format!("s:\n{wrong}condition: s");
    assert_eq!(
        run(&rule(&wrong), &[]).reports.len(),
        FILE_DIAGNOSTICS_MAX + 1
    );

    // A thousand correlations, each of the next one, and a thousand filters of a thousand rules.
    let of = |at: usize| {
        format!(
            "---\ntitle: r{at}\ncorrelation: {{type: event_count, rules: [r{}], timespan: 1h, condition: {{gte: 2}}}}\n",
            at + 1
        )
    };
    let chain: String = (0..999).map(of).collect();
    let end = rule("s:\n    a: 1\ncondition: s").replace("title: A rule", "title: r999");
    let found = run(&format!("{chain}---\n{end}"), &[]);
    assert_eq!((found.rules.len(), found.reports), (1000, Vec::new()));
    let rules: String = (0..50)
        .map(|at| format!("---\ntitle: r{at}\ndetection: {{s: {{a: b}}, condition: s}}\n"))
        .collect();
    let filters: String = (0..400)
        .map(|at| {
            format!(
                "---\ntitle: f{at}\nfilter: {{s: {{a: '{}'}}, condition: not s}}\n",
                "x".repeat(1_000)
            )
        })
        .collect();
    let found = run(&format!("{rules}{filters}"), &[]);
    assert_eq!(found.reports.len(), 50);
    assert!(told(&found).starts_with("E0012 the condition stands for more than"));
}

#[test]
fn pipelines_that_multiply_rules_are_refused() {
    let of = rule("s:\n    a: x\ncondition: s");
    let check = |step: &str, times: usize, expected: &str| {
        let text = format!(
            "transformations:\n{}",
            format!("  - {step}\n").repeat(times)
        );
        let found = run(&of, &[&text]);
        assert_eq!(found.rules.len(), 0, "{expected} of {step:.80}");
        let told = told(&found);
        assert!(told.contains(expected), "{told}");
    };
    let bytes = "E0012 pipelines add more than 262144 bytes to this rule";
    check(
        "{type: field_name_mapping, mapping: {a: [a, a]}}",
        40,
        bytes,
    );
    check("{type: map_string, mapping: {x: [x, x]}}", 40, bytes);
    check(
        "{type: replace_string, regex: '(.*)', replacement: '\\1\\1x'}",
        40,
        bytes,
    );
    check(
        &format!(
            "{{type: replace_string, regex: '', replacement: '{}'}}",
            "y".repeat(1_000)
        ),
        3,
        bytes,
    );
    check(
        &format!("{{type: field_name_prefix, prefix: '{}'}}", "y".repeat(900)),
        900,
        bytes,
    );
    check(
        &format!(
            "{{type: add_condition, conditions: {{b: '{}'}}}}",
            "y".repeat(900)
        ),
        900,
        "E0012 the condition stands for more than 262144 bytes",
    );
    check(
        "{type: value_placeholders}",
        SIGMA_TRANSFORMATIONS_MAX + 1,
        "E0012 more than 1000 transformations",
    );
}
