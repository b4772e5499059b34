//! Plugins that behave: what goes in comes out as the contract says.

use crate::guest::{
    self, CONFIGURE, PRELUDE, REALLOC, batch, column, data, each_row, echo, hits, load, module,
    numbers, words,
};
use tripline_host::answer::{Bad, Decoded, Effect, Severity};
use tripline_host::operator::Rights;
use tripline_host::{Compiler, Fault, Host, LoadError, Memory, Meter, Remembered};

#[test]
fn an_enricher_gives_columns() {
    let plugin = load("enricher", &echo(), "").expect("it loads");
    let bytes = numbers(&[5, -6, 7]);
    let answer = plugin.enrich(&batch(&bytes, 3)).expect("an answer");
    assert!(answer.faulted.is_empty());
    let view = answer.value.view().expect("a sound batch");
    assert_eq!(column(&view), [Some(5), Some(-6), Some(7)]);
    let statistics = plugin.statistics();
    assert_eq!((statistics.batches, statistics.rows), (1, 3));
    // One was made when it was loaded.
    assert_eq!(statistics.instances, 2);
    assert_eq!(statistics.faults, []);
    assert_eq!(statistics.memory_bytes_max, 2 * 65536);
}

#[test]
fn an_empty_batch_is_an_answer() {
    let plugin = load("enricher", &echo(), "").expect("it loads");
    let bytes = numbers(&[]);
    let answer = plugin.enrich(&batch(&bytes, 0)).expect("an answer");
    assert_eq!(answer.value.rows(), 0);
}

#[test]
fn a_detector_gives_hits() {
    let parts = hits(&[(0, 3, 0.5), (2, 4, 1.0)], "two things");
    let plugin = load("detector", &module(&parts), "").expect("it loads");
    let bytes = numbers(&[1, 2, 3]);
    let answer = plugin.detect(&batch(&bytes, 3)).expect("an answer");
    let told: Vec<_> = answer
        .value
        .iter()
        .map(|hit| (hit.row, hit.finding.severity, hit.finding.score))
        .collect();
    assert_eq!(
        told,
        [(0, Severity::High, 0.5), (2, Severity::Critical, 1.0)]
    );
    assert_eq!(answer.value[0].finding.title, "two things");
    assert_eq!(answer.value[0].finding.dedup_key, None);
}

#[test]
fn titles_are_cut() {
    let parts = hits(&[(0, 0, 0.0)], &"ä".repeat(400));
    let plugin = load("detector", &module(&parts), "").expect("it loads");
    let bytes = numbers(&[1]);
    let answer = plugin.detect(&batch(&bytes, 1)).expect("an answer");
    assert_eq!(answer.value[0].finding.title, "ä".repeat(256));
}

#[test]
fn a_scorer_gives_numbers_or_no_opinion() {
    let plugin = load("scorer", &guest::scores(&[0.25, f64::NAN, 1e9]), "").expect("it loads");
    let bytes = numbers(&[1, 2, 3]);
    let answer = plugin.score(&batch(&bytes, 3)).expect("an answer");
    assert_eq!(answer.value, [Some(0.25), None, Some(1e9)]);
}

#[test]
fn a_policy_decides() {
    // effect, reason, obligations
    let decision = words(&[3, 2000, 2, 0, 0]);
    let parts = format!(
        r#"{} {} {}
        (func (export "tripline:plugin/decide@1.0.0#decide") (param i32 i32) (result i32)
            (i32.const 1024))"#,
        data(1024, &guest::list(1040, 1)),
        data(1040, &decision),
        data(2000, b"no"),
    );
    let plugin = load("policy", &module(&parts), "").expect("it loads");
    let bytes = numbers(&[1]);
    let answer = plugin.decide(&batch(&bytes, 1)).expect("an answer");
    let decision = answer.value[0].as_ref().expect("a decision");
    assert_eq!(
        (decision.effect, decision.reason.as_str()),
        (Effect::Deny, "no")
    );
    // Two rows, one decision.
    let bytes = numbers(&[1, 2]);
    let answer = plugin
        .decide(&batch(&bytes, 2))
        .expect("an answer by halves");
    assert_eq!(answer.value.iter().flatten().count(), 2);
}

#[test]
fn the_reason_of_a_decision_is_one_printable_line() {
    let reason = "\u{1b}[31m".repeat(200);
    let decision = words(&[3, 2000, reason.len() as u32, 0, 0]);
    let parts = format!(
        r#"{} {} {}
        (func (export "tripline:plugin/decide@1.0.0#decide") (param i32 i32) (result i32)
            (i32.const 1024))"#,
        data(1024, &guest::list(1040, 1)),
        data(1040, &decision),
        data(2000, reason.as_bytes()),
    );
    let plugin = load("policy", &module(&parts), "").expect("it loads");
    let bytes = numbers(&[1]);
    let answer = plugin.decide(&batch(&bytes, 1)).expect("an answer");
    let said = &answer.value[0].as_ref().expect("a decision").reason;
    assert!(
        said.len() <= 512 && !said.contains(char::is_control),
        "{said}"
    );
    assert!(said.starts_with("\\u{1b}[31m"), "{said}");
}

#[test]
fn a_decoder_gives_events() {
    // Good, three bytes consumed, the events, one bad part, the state "s".
    let decoded = words(&[0, 3, 2000, 3, 1104, 1, 2003, 1]);
    let bad = words(&[2, 0, 2004, 3]);
    let parts = format!(
        r#"{} {} {}
        (func (export "tripline:plugin/decode@1.0.0#decode")
            (param i32 i32 i32 i32 i32) (result i32) (i32.const 1024))"#,
        data(1024, &decoded),
        data(1104, &bad),
        data(2000, b"{}\nsodd"),
    );
    let plugin = load("decoder", &module(&parts), "").expect("it loads");
    let decoded = plugin.decode(b"abc", b"", true).expect("an answer");
    let expected = Decoded {
        consumed: 3,
        events: b"{}\n".to_vec(),
        bad: vec![Bad {
            offset: 2,
            message: "odd".to_owned(),
        }],
        state: b"s".to_vec(),
    };
    assert_eq!(decoded, expected);
    // It says that it consumed three bytes of these two.
    let fault = plugin.decode(b"ab", b"", true).expect_err("a lie");
    assert_eq!(fault, Fault::Output("3 bytes consumed of 2".to_owned()));
}

#[test]
fn a_reported_fault_is_not_a_trap() {
    // err, kind `unavailable`, message, retry after 1,500 ms
    let fault = words(&[1, 7, 2000, 4, 1, 1500]);
    let parts = format!(
        r#"{} {}
        (func (export "tripline:plugin/score@1.0.0#score") (param i32 i32) (result i32)
            (i32.const 1024))"#,
        data(1024, &fault),
        data(2000, b"gone"),
    );
    let plugin = load("scorer", &module(&parts), "").expect("it loads");
    let bytes = numbers(&[1, 2]);
    let fault = plugin.score(&batch(&bytes, 2)).expect_err("a fault");
    assert_eq!(
        fault.to_string(),
        "the plugin reports a fault: unavailable: gone"
    );
    let after = std::time::Duration::from_millis(1500);
    assert_eq!(
        fault.disposition(),
        tripline_host::Disposition::Retry { after }
    );
    assert_eq!(plugin.statistics().calls, 1, "nothing is asked again");
}

const CONFIG: &str = "[config]\ncountry = { type = \"text\", default = \"ZZ\", doc = \"which\" }\n";

#[test]
fn configuring_comes_first_and_can_refuse() {
    // invalid-config
    let fault = words(&[1, 0, 2000, 5, 0, 0]);
    let parts = format!(
        r#"(module {PRELUDE} {REALLOC} {} {} {}
        (func (export "tripline:plugin/setup@1.0.0#configure") (param i32 i32) (result i32)
            (i32.const 1024)))"#,
        data(1024, &fault),
        data(2000, b"wrong"),
        guest::enrich("(call $answer (local.get $at) (local.get $bytes))"),
    );
    let error = load("enricher", &parts, CONFIG).expect_err("it is refused");
    let LoadError::Start(Fault::Guest(fault)) = error else {
        panic!("{error:?}");
    };
    assert_eq!(fault.to_string(), "invalid-config: wrong");
    // Without settings it is not asked.
    load("enricher", &parts, "").expect("it loads");
}

/// Answers with how often it was called.
fn counting() -> String {
    let count = each_row("(i64.store (local.get $data) (i64.extend_i32_u (global.get $calls)))");
    let count = count.replacen(
        "(local.set $rows",
        "(global.set $calls (i32.add (global.get $calls) (i32.const 1))) (local.set $rows",
        1,
    );
    format!(
        "(module (global $calls (mut i32) (i32.const 0)) {PRELUDE} {REALLOC} {CONFIGURE} {count})"
    )
}

fn count(plugin: &tripline_host::Plugin) -> Option<i64> {
    let bytes = numbers(&[0]);
    let answer = plugin.enrich(&batch(&bytes, 1)).expect("an answer");
    column(&answer.value.view().expect("a sound batch"))[0]
}

#[test]
fn nothing_is_carried_from_batch_to_batch_by_default() {
    let plugin = load("enricher", &counting(), "").expect("it loads");
    assert_eq!([count(&plugin), count(&plugin)], [Some(1), Some(1)]);
}

#[test]
fn reused_instances_live_on() {
    let reused = "[instance]\nmode = \"reused\"\n";
    let plugin = load("enricher", &counting(), reused).expect("it loads");
    assert_eq!([count(&plugin), count(&plugin)], [Some(1), Some(2)]);
    assert_eq!(plugin.statistics().instances, 1);
}

#[test]
fn idle_instances_leave_room_for_others() {
    let mut settings = guest::settings();
    settings.memory = Memory::Pooled { instances: 4 };
    let host = Host::open(settings).expect("the host opens");
    let component = guest::component("enricher", &counting());
    let load = || {
        let manifest = guest::manifest("enricher", "[instance]\nmode = \"reused\"\n");
        guest::load_into(&host, &component, manifest, Rights::default()).expect("it loads")
    };
    let plugins = [load(), load(), load(), load()];
    for _ in 0..10 {
        for plugin in &plugins {
            count(plugin);
        }
    }
    let instances = plugins
        .each_ref()
        .map(|plugin| plugin.statistics().instances);
    // Half of the pool is for idle ones; the others are made for each call.
    assert_eq!(instances, [1, 1, 11, 11]);
    let [first, _, third, _] = plugins;
    drop(first);
    assert_eq!([count(&third), count(&third)], [Some(1), Some(2)]);
}

#[test]
fn plugins_are_shared_between_threads() {
    let plugin = load("enricher", &echo(), "").expect("it loads");
    std::thread::scope(|scope| {
        for first in 0..4 {
            let plugin = &plugin;
            scope.spawn(move || {
                for second in 0..100 {
                    let bytes = numbers(&[first, second]);
                    let answer = plugin.enrich(&batch(&bytes, 2)).expect("an answer");
                    let view = answer.value.view().expect("a sound batch");
                    assert_eq!(column(&view), [Some(first), Some(second)]);
                }
            });
        }
    });
    assert_eq!(plugin.statistics().batches, 400);
}

#[test]
fn another_world_is_not_asked() {
    let plugin = load("enricher", &echo(), "").expect("it loads");
    let bytes = numbers(&[1]);
    let fault = plugin.detect(&batch(&bytes, 1)).expect_err("no detector");
    assert_eq!(fault, Fault::Misfit("it is no detector"));
}

/// Finds something once the sum of all that it ever saw is above 100, traps on 13, and saves the sum.
fn summing() -> String {
    let parts = format!(
        r#"{empty} {one} {hit}
        (global $sum (mut i64) (i64.const 0))
        (func (export "tripline:plugin/detect@1.0.0#evaluate") (param $at i32) (param $bytes i32) (result i32)
            (local $row i32) (local $rows i32) (local $data i32)
            (local.set $rows (i32.load offset=8 (local.get $at)))
            (local.set $data (i32.add (local.get $at) (i32.load offset=24 (local.get $at))))
            (block $done (loop $next
                (br_if $done (i32.ge_u (local.get $row) (local.get $rows)))
                (global.set $sum (i64.add (global.get $sum) (i64.load (local.get $data))))
                (if (i64.eq (i64.load (local.get $data)) (i64.const 13)) (then unreachable))
                (local.set $data (i32.add (local.get $data) (i32.const 8)))
                (local.set $row (i32.add (local.get $row) (i32.const 1)))
                (br $next)))
            (select (i32.const 1040) (i32.const 1024) (i64.gt_s (global.get $sum) (i64.const 100))))
        (func (export "tripline:plugin/checkpoint@1.0.0#save") (result i32)
            (i64.store (i32.const 2000) (global.get $sum))
            (i32.store (i32.const 1500) (i32.const 0))
            (i32.store (i32.const 1504) (i32.const 2000))
            (i32.store (i32.const 1508) (i32.const 8))
            (i32.const 1500))
        (func (export "tripline:plugin/checkpoint@1.0.0#restore") (param i32 i32) (result i32)
            (global.set $sum (i64.load (local.get 0)))
            (i32.const 512))"#,
        empty = data(1024, &guest::list(1040, 0)),
        one = data(1040, &guest::list(1056, 1)),
        hit = data(1056, &[0; 64]),
    );
    module(&parts)
}

#[test]
fn a_stateful_detector_remembers_over_batches_traps_and_restarts() {
    let load = || load("stateful-detector", &summing(), "").expect("it loads");
    let plugin = load();
    let ask = |plugin: &tripline_host::Plugin, values: &[i64]| {
        let bytes = numbers(values);
        let answer = plugin.detect(&batch(&bytes, values.len()));
        answer.map(|answer| (answer.value.len(), answer.faulted.len()))
    };
    assert_eq!(plugin.remembered(), None);
    assert_eq!(ask(&plugin, &[30, 30]), Ok((0, 0)));
    // The row that traps is left out, and the others count once.
    assert_eq!(ask(&plugin, &[10, 13, 10, 10]), Ok((0, 1)));
    assert_eq!(plugin.remembered(), Some(90_i64.to_le_bytes().into()));
    assert_eq!(ask(&plugin, &[11]), Ok((1, 0)));
    let saved = plugin.remembered().expect("it remembers");
    let successor = load();
    let goes_on = Remembered::of(saved.clone());
    let found = |memory: &Remembered, value: i64| {
        let bytes = numbers(&[value]);
        let answer = successor.detect_remembering(&batch(&bytes, 1), memory);
        answer.expect("an answer").value.len()
    };
    // Another stream knows nothing of it.
    let other = Remembered::default();
    assert_eq!(found(&other, 50), 0);
    assert_eq!(found(&goes_on, 1), 1);
    assert_eq!(goes_on.saved(), Some(102_i64.to_le_bytes().into()));
    assert_eq!(found(&other, 50), 0);
    assert_eq!(other.saved(), Some(100_i64.to_le_bytes().into()));
    assert_eq!(ask(&successor, &[0]), Ok((0, 0)));
}

#[test]
fn instructions_are_counted_where_that_is_wanted() {
    let guest = guest::component("enricher", &module(&each_row("nop")));
    let count = |compiler: Compiler, more: &str, rows: usize| {
        let mut settings = guest::settings();
        settings.compiler = compiler;
        settings.meter = Meter::Instructions;
        let host = Host::open(settings).expect("the host opens");
        let manifest = guest::manifest("enricher", more);
        let plugin = guest::load_into(&host, &guest, manifest, Rights::default());
        let plugin = plugin.expect("it loads");
        let bytes = numbers(&vec![1; rows]);
        let mut calls = (0..3).map(|_| {
            let before = plugin.statistics().instructions;
            plugin.enrich(&batch(&bytes, rows)).expect("an answer");
            plugin.statistics().instructions - before
        });
        let first = calls.next().expect("three calls");
        assert!(
            first > 0 && calls.all(|one| one == first),
            "always the same"
        );
        first
    };
    let reused = "[instance]\nmode = \"reused\"\n";
    let (few, more, most) = (
        count(Compiler::InProcess, "", 10),
        count(Compiler::Jail(guest::jail()), "", 20),
        count(Compiler::InProcess, reused, 30),
    );
    // Each row costs as much as any other, however it is run.
    assert_eq!(most - more, more - few);
    assert!(more - few >= 10 * 10);
    let plugin = load("enricher", &echo(), "").expect("it loads");
    plugin.enrich(&batch(&numbers(&[1]), 1)).expect("an answer");
    assert_eq!(plugin.statistics().instructions, 0);
}
