//! Random rule sets with every kind in them, rules that suppress, and rules that other rules feed.

use super::world::{DISORDER, rule};
use proptest::prelude::*;

/// One of a few texts.
fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(texts)
}

fn lateness() -> impl Strategy<Value = String> {
    prop::sample::select(&[DISORDER, DISORDER + 1, 2 * DISORDER, 600][..])
        .prop_map(|seconds| format!("lateness = \"{seconds}s\"\n"))
}

fn group() -> impl Strategy<Value = &'static str> {
    one_of(&[
        "",
        "group_by = ['event.user']\n",
        "group_by = ['event.both']\n",
        "group_by = ['event.user', 'event.host']\n",
    ])
}

fn kind() -> impl Strategy<Value = &'static str> {
    one_of(&["a", "b", "c", "d"])
}

fn suppress() -> impl Strategy<Value = &'static str> {
    one_of(&[
        "",
        "",
        "[suppress]\nwindow = \"40s\"\nby = ['event.host']\n",
        "[suppress]\nwindow = \"1m\"\nby = ['event.user']\n[finding]\nseverity = 'event.n > 3 ? \"high\" : \"low\"'\n",
    ])
}

fn threshold() -> impl Strategy<Value = String> {
    let windows = one_of(&["10s", "25s", "1m"]);
    let counted = (
        one_of(&["events\"\n", "distinct\"\nof = 'event.host'\n"]),
        one_of(&["sliding", "tumbling", "session"]),
        one_of(&[">= 1", ">= 2", "> 2", ">= 3"]),
    );
    let measured = (
        one_of(&[
            "sum\"\nof = 'event.n'\n",
            "average\"\nof = 'event.n'\n",
            "median\"\nof = 'event.n'\n",
            "percentile\"\nof = 'event.n'\npercentile = 50\n",
        ]),
        one_of(&["sliding", "tumbling", "session"]),
        one_of(&["> 2", "< 1", ">= 0.5", "== 1"]),
    );
    let share = (
        one_of(&["share\"\nof = 'event.n > 2'\n"]),
        one_of(&["sliding", "tumbling", "session"]),
        one_of(&["> 0.2", "< 1", ">= 0.5", "== 1"]),
    );
    let falling = (
        one_of(&["events\"\n", "distinct\"\nof = 'event.host'\n"]),
        one_of(&["tumbling", "session"]),
        one_of(&["< 2", "== 1", "!= 2"]),
    );
    let table = prop_oneof![counted, measured, share, falling];
    (lateness(), group(), kind(), windows, table, suppress()).prop_map(
        |(late, group, kind, window, (measure, over, is), suppress)| {
            format!(
                "{late}{group}when = 'event.kind == \"{kind}\"'\n[threshold]\nwindow = \"{window}\"\n\
                 measure = \"{measure}over = \"{over}\"\nis = \"{is}\"\n{suppress}"
            )
        },
    )
}

fn sequence() -> impl Strategy<Value = String> {
    let until = one_of(&[
        "",
        "until = 'event.kind == \"d\"'\n",
        "until = 'event.kind == \"d\" && event.host == step.one.host'\n",
    ]);
    let later = one_of(&[
        "event.kind == \"b\"",
        "event.kind == \"b\" && event.host == step.one.host",
        "event.kind == \"b\" && event.n > step.one.n",
    ]);
    let ties = one_of(&["in_order", "apart"]);
    (lateness(), group(), until, later, ties, 1..3u8, 1..4u8, suppress()).prop_map(
        |(late, group, until, later, ties, first, second, suppress)| {
            format!(
                "{late}{group}[sequence]\nwithin = \"50s\"\nties = \"{ties}\"\n{until}\
                 [[sequence.step]]\nname = \"one\"\nwhen = 'event.kind == \"a\"'\nrepeat = {first}\n\
                 [[sequence.step]]\nname = \"two\"\nwhen = '{later}'\nrepeat = {second}\n{suppress}"
            )
        },
    )
}

fn temporal() -> impl Strategy<Value = String> {
    let without = one_of(&["", "without = 'event.kind == \"d\"'\n"]);
    (lateness(), group(), without, 1..3u8, suppress()).prop_map(
        |(late, group, without, repeat, suppress)| {
            format!(
                "{late}{group}[temporal]\nwithin = \"30s\"\n{without}\
                 [[temporal.step]]\nname = \"one\"\nrules = [\"plain\"]\n\
                 [[temporal.step]]\nname = \"two\"\nwhen = 'event.kind == \"b\"'\nrepeat = {repeat}\n{suppress}"
            )
        },
    )
}

fn absence() -> impl Strategy<Value = String> {
    let order = one_of(&["after", "before", "either"]);
    let of = one_of(&[
        "event.kind == \"b\"",
        "event.kind == \"b\" && event.host == step.start.host",
    ]);
    (lateness(), group(), order, of, suppress()).prop_map(|(late, group, order, of, suppress)| {
        format!(
            "{late}{group}when = 'event.kind == \"a\"'\n[absence]\nof = '{of}'\nwithin = \"20s\"\n\
             order = \"{order}\"\n{suppress}"
        )
    })
}

fn first_seen() -> impl Strategy<Value = String> {
    let of = one_of(&["'event.host'", "'event.host', 'event.kind'"]);
    let times = one_of(&[
        "history = \"30s\"\nlearning = \"0s\"\n",
        "history = \"2m\"\nlearning = \"20s\"\n",
        "history = \"40s\"\nlearning = \"10s\"\nlearning_of_group = \"15s\"\n",
    ]);
    (lateness(), group(), of, times, suppress()).prop_map(|(late, group, of, times, suppress)| {
        format!("{late}{group}when = 'event.n >= 0'\n[first_seen]\nof = [{of}]\n{times}{suppress}")
    })
}

fn rare() -> impl Strategy<Value = String> {
    let by = one_of(&["", "by = 'event.user'\n"]);
    let learning = one_of(&["", "learning = \"0s\"\n"]);
    (lateness(), group(), by, learning, 2..4u8, suppress()).prop_map(
        |(late, group, by, learning, few, suppress)| {
            format!(
                "{late}{group}when = 'event.n >= 0'\n[rare]\nof = ['event.host']\nwindow = \"40s\"\n\
                 fewer_than = {few}\n{by}{learning}{suppress}"
            )
        },
    )
}

fn risk() -> impl Strategy<Value = String> {
    let score = one_of(&["", "score = 'event.n'\n"]);
    let most = one_of(&["", "rule_score_max = 15\n"]);
    (lateness(), score, most, suppress()).prop_map(|(late, score, most, suppress)| {
        format!(
            "{late}rules = [\"*\"]\ngroup_by = ['event.user']\n[risk]\nthreshold = 30\n\
             half_life = \"10s\"\n{score}{most}{suppress}"
        )
    })
}

/// Detections of other rules, counted.
fn fed() -> impl Strategy<Value = String> {
    (lateness(), one_of(&["kind-*", "kind-seq*", "plain"]), suppress()).prop_map(
        |(late, rules, suppress)| {
            format!(
                "{late}rules = [\"{rules}\"]\nwhen = 'event.n < 5'\ngroup_by = ['event.host']\n[threshold]\n\
                 window = \"30s\"\nis = \">= 2\"\n{suppress}"
            )
        },
    )
}

/// Something that follows a detection; several rules may detect the same event.
fn fed_sequence() -> impl Strategy<Value = String> {
    lateness().prop_map(|late| {
        format!(
            "{late}group_by = ['event.user']\n[sequence]\nwithin = \"1m\"\n[[sequence.step]]\nname = \"one\"\n\
             rules = [\"kind-threshold\", \"kind-rare\"]\n[[sequence.step]]\nname = \"two\"\n\
             rules = [\"plain\", \"silent\", \"kind-first-seen\"]\nwhen = 'event.host != step.one.host'\n"
        )
    })
}

/// A series of each user, or of everybody: a few minutes of events tell how often they come.
fn insight() -> impl Strategy<Value = String> {
    let key = one_of(&[
        "['event.user']",
        "['event.kind', 'event.host']",
        "['event.both']",
    ]);
    let value = one_of(&["", "value = \"distinct\"\nof = 'event.host'\n"]);
    (lateness(), key, value).prop_map(|(late, key, value)| {
        format!(
            "{late}when = 'event.n > -2'\ngroup_by = {key}\n[insight]\nis = \">= 1.5\"\n{value}\
             [insight.attributions]\nuser = 'event.user'\n"
        )
    })
}

/// What users, or hosts, do; without learning, as streams are of minutes.
fn entity() -> impl Strategy<Value = String> {
    let key = one_of(&["['event.user']", "['event.host']", "['event.both']"]);
    let peers = one_of(&["", "peers = ['event.kind']\n", "peers = ['event.both']\n"]);
    let learning = one_of(&["0d", "0d", "1d"]);
    (lateness(), key, peers, learning).prop_map(|(late, key, peers, learning)| {
        format!(
            "{late}when = 'event.n >= 0'\ngroup_by = {key}\n[entity]\nof = ['event.kind', 'event.n']\n\
             {peers}learning = \"{learning}\"\n"
        )
    })
}

/// A rule that asks; it stands before or after those that it asks about, by its name.
fn asking() -> impl Strategy<Value = String> {
    let asked = one_of(&[
        "entity.first_seen",
        "entity.count > 1 || entity.rarity > 0.3",
        "insight.baseline > 0.5",
        "insight.state == \"warming\" && entity.days == 0",
    ]);
    let excuse = one_of(&[
        "",
        "[[exceptions]]\nname = \"often\"\nowner = \"o\"\nreason = \"r\"\nwhen = 'entity.count > 2'\n",
    ]);
    (lateness(), kind(), asked, excuse).prop_map(|(late, kind, asked, excuse)| {
        format!(
            "{late}when = 'event.kind == \"{kind}\" && ({asked})'\n[finding]\n\
             title = '{{entity.rarity}} {{entity.surprise}} {{entity.of[\"profile\"].peers}} {{insight.baseline}}'\n{excuse}"
        )
    })
}

/// A rule set with everything in it.
pub(super) fn everything() -> impl Strategy<Value = Vec<(String, String)>> {
    let plain = (kind(), suppress()).prop_map(|(kind, suppress)| {
        let excuse = "[[exceptions]]\nname = \"five\"\nowner = \"o\"\nreason = \"r\"\nwhen = 'event.n == 5'\n";
        format!("when = 'event.kind == \"{kind}\"'\n{excuse}{suppress}")
    });
    let silent = kind().prop_map(|kind| {
        format!("signal = true\nwhen = 'event.kind == \"{kind}\"'\nrisk_score = 7\n")
    });
    let kinds = (
        threshold(),
        sequence(),
        temporal(),
        absence(),
        first_seen(),
        rare(),
        risk(),
    );
    let scored = (insight(), entity(), asking(), asking());
    (kinds, fed(), fed_sequence(), plain, silent, scored).prop_map(
        |(kinds, fed, sequence, plain, silent, scored)| {
            vec![
                rule("kind-threshold", &kinds.0),
                rule("kind-sequence", &kinds.1),
                rule("temporal", &kinds.2),
                rule("kind-absence", &kinds.3),
                rule("kind-first-seen", &kinds.4),
                rule("kind-rare", &kinds.5),
                rule("risk", &kinds.6),
                rule("fed", &fed),
                rule("fed-sequence", &sequence),
                rule("plain", &plain),
                rule("silent", &silent),
                rule("asks", &scored.2),
                rule("profile", &scored.1),
                rule("series", &scored.0),
                rule("kind-asks", &scored.3),
            ]
        },
    )
}
