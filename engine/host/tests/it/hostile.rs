//! Plugins that attack: each is contained, and each is told by its own name.

use crate::guest::{
    self, CONFIGURE, PRELUDE, REALLOC, batch, component, data, each_row, echo, enrich, hits, host,
    load, load_into, manifest, module, numbers, with_inner, words,
};
use std::time::{Duration, Instant};
use tripline_host::batch::{BatchWriter, ColumnKind, ColumnWriter};
use tripline_host::operator::Rights;
use tripline_host::scan::{ScanFault, scan};
use tripline_host::{Fault, FaultName, Host, LoadError, Memory, Plugin, TrapKind};

const SHORT: &str = "[limits]\ndeadline = \"20ms\"\n";
const DEADLINE: Fault = Fault::Deadline {
    deadline: Duration::from_millis(20),
};
const FOREVER: &str = "(loop $forever (br $forever))";

fn trap(kind: TrapKind) -> Fault {
    Fault::Trap { kind }
}

/// What comes of one row.
fn enriched(plugin: &Plugin) -> Result<(), Fault> {
    let bytes = numbers(&[1]);
    plugin.enrich(&batch(&bytes, 1)).map(drop)
}

/// What a guest that loads does with one row.
fn check(module: &str, more: &str, expected: Result<(), Fault>) -> Plugin {
    let plugin = load("enricher", module, more).expect("it loads");
    let begun = Instant::now();
    assert_eq!(enriched(&plugin), expected);
    assert!(begun.elapsed() < Duration::from_secs(5), "it took too long");
    // Whatever it did, its successor is none the worse.
    let good = load("enricher", &echo(), "").expect("it loads");
    assert_eq!(enriched(&good), Ok(()));
    plugin
}

/// What a guest says that does not load.
fn check_start(module: &str, more: &str, expected: Fault) {
    match load("enricher", module, more) {
        Err(LoadError::Start(fault)) => assert_eq!(fault, expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_loop_in_a_call_is_ended() {
    let body = format!("{FOREVER} unreachable");
    check(&module(&enrich(&body)), SHORT, Err(DEADLINE));
}

/// Whoever asks may have less time than a call has otherwise; however many rows fail, that is not overrun.
#[test]
fn a_loop_is_ended_when_nobody_waits_any_more() {
    let body = format!("{FOREVER} unreachable");
    let patient = "[limits]\ndeadline = \"5s\"\n";
    let plugin = load("enricher", &module(&enrich(&body)), patient).expect("it loads");
    let values: Vec<i64> = (0..64).collect();
    let bytes = numbers(&values);
    let ask = |left: Duration| {
        let mut batch = batch(&bytes, 64);
        let begun = Instant::now();
        batch.until = Some(begun + left);
        let fault = plugin.enrich(&batch).map(drop);
        (fault, begun.elapsed())
    };
    let (answer, took) = ask(Duration::from_millis(100));
    // The whole batch took all there was; for its halves there is no time.
    assert!(took < Duration::from_secs(2), "{took:?}");
    let told = match answer {
        Err(fault) => vec![fault],
        Ok(()) => Vec::new(),
    };
    let in_time = |fault: &Fault| match fault {
        Fault::Deadline { deadline } => *deadline <= Duration::from_millis(100),
        Fault::Late => true,
        _ => false,
    };
    assert!(told.iter().all(in_time), "{told:?}");
    let names: Vec<FaultName> = plugin
        .statistics()
        .faults
        .iter()
        .map(|(name, _)| *name)
        .collect();
    assert!(names.contains(&FaultName::Deadline), "{names:?}");
    assert_eq!(ask(Duration::ZERO).0, Err(Fault::Late));
    let good = load("enricher", &echo(), patient).expect("it loads");
    let mut early = batch(&bytes, 64);
    early.until = Some(Instant::now() + Duration::from_secs(5));
    assert!(good.enrich(&early).is_ok());
}

#[test]
fn filling_memory_again_and_again_is_ended() {
    let fill = "(loop $forever
        (memory.fill (i32.const 2048) (i32.const 0) (i32.const 60000)) (br $forever)) unreachable";
    check(&module(&enrich(fill)), SHORT, Err(DEADLINE));
}

#[test]
fn a_loop_in_the_start_function_is_ended() {
    let parts = format!("{} (func $start {FOREVER}) (start $start)", echo_parts());
    check_start(&module(&parts), SHORT, DEADLINE);
}

fn echo_parts() -> String {
    enrich("(call $answer (local.get $at) (local.get $bytes))")
}

#[test]
fn a_loop_in_the_allocator_is_ended() {
    let guest = format!(
        r#"(module {PRELUDE} {CONFIGURE} {}
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {FOREVER} unreachable))"#,
        echo_parts()
    );
    check(&guest, SHORT, Err(DEADLINE));
}

#[test]
fn a_loop_after_the_answer_is_ended() {
    let parts = format!(
        r#"{} (func (export "cabi_post_tripline:plugin/enrich@1.0.0#enrich") (param i32) {FOREVER})"#,
        echo_parts()
    );
    check(&module(&parts), SHORT, Err(DEADLINE));
}

#[test]
fn a_loop_in_configure_is_ended() {
    let guest = format!(
        r#"(module {PRELUDE} {REALLOC} {}
        (func (export "tripline:plugin/setup@1.0.0#configure") (param i32 i32) (result i32)
            {FOREVER} unreachable))"#,
        echo_parts()
    );
    let config = "[config]\nname = { type = \"text\", default = \"\", doc = \"a name\" }\n";
    check_start(&guest, &format!("{SHORT}{config}"), DEADLINE);
}

#[test]
fn recursion_is_a_trap() {
    let parts = format!(
        "(func $deeper (param i64) (result i64)
            (i64.add (call $deeper (i64.add (local.get 0) (i64.const 1))) (local.get 0)))
        {}",
        enrich("(drop (call $deeper (i64.const 0))) unreachable")
    );
    check(&module(&parts), "", Err(trap(TrapKind::Stack)));
}

#[test]
fn a_memory_bomb_is_refused_and_goes_on() {
    let grow = "(loop $more (br_if $more (i32.ne (i32.const -1) (memory.grow (i32.const 16)))))";
    let body = format!("{grow} (call $answer (local.get $at) (local.get $bytes))");
    let limits = "[limits]\nmemory = \"8MiB\"\n";
    let plugin = check(&module(&enrich(&body)), limits, Ok(()));
    let most = plugin.statistics().memory_bytes_max;
    assert!((7 << 20..=8 << 20).contains(&most), "{most}");
}

#[test]
fn giving_up_without_memory_is_told_as_that() {
    let grow = "(loop $more (br_if $more (i32.ne (i32.const -1) (memory.grow (i32.const 16)))))";
    let limits = "[limits]\nmemory = \"8MiB\"\n";
    let limit = 8 << 20;
    check(
        &module(&enrich(&format!("{grow} unreachable"))),
        limits,
        Err(Fault::Memory { limit }),
    );
}

#[test]
fn a_table_bomb_is_refused_and_goes_on() {
    let parts = format!(
        "(table $table 1 funcref) {}",
        enrich(
            "(if (i32.ne (i32.const -1) (table.grow $table (ref.null func) (i32.const 1000000)))
                (then unreachable))
            (call $answer (local.get $at) (local.get $bytes))"
        )
    );
    check(&module(&parts), "", Ok(()));
}

#[test]
fn traps_are_told_apart() {
    let out_of_bounds = "(i32.load (i32.const 0x7fff0000))";
    check(
        &module(&enrich(out_of_bounds)),
        "",
        Err(trap(TrapKind::OutOfBounds)),
    );
    let arithmetic = "(i32.div_u (i32.const 1) (i32.const 0))";
    check(
        &module(&enrich(arithmetic)),
        "",
        Err(trap(TrapKind::Arithmetic)),
    );
    check(
        &module(&enrich("unreachable")),
        "",
        Err(trap(TrapKind::Unreachable)),
    );
    let nothing = "(call_indirect (result i32) (i32.const 0))";
    let parts = format!("(table 1 funcref) {}", enrich(nothing));
    check(&module(&parts), "", Err(trap(TrapKind::IndirectCall)));
}

fn output(what: &str) -> Fault {
    Fault::Output(what.to_owned())
}

#[test]
fn an_output_that_is_too_large_is_refused_before_it_is_copied() {
    let grown = "(drop (memory.grow (i32.const 800)))
        (call $answer (i32.const 65536) (i32.const 0x3000000))";
    let limits = "[limits]\nmemory = \"64MiB\"\n";
    let most = (256 << 10) + tripline_host::limits::HANDED_OVER_BYTES;
    check(
        &module(&enrich(grown)),
        limits,
        Err(output(&format!("more than {most} bytes"))),
    );
    // What the host could still take over, but the manifest did not ask for.
    let little =
        "(drop (memory.grow (i32.const 8))) (call $answer (i32.const 65536) (i32.const 300000))";
    check(
        &module(&enrich(little)),
        "",
        Err(output("300000 bytes instead of at most 262144")),
    );
}

#[test]
fn texts_that_lie_on_each_other_are_counted_each() {
    // A thousand messages, all of them the same megabyte.
    let parts = format!(
        r#"{}
        (func (export "tripline:plugin/decode@1.0.0#decode")
            (param i32 i32 i32 i32 i32) (result i32)
            (local $at i32)
            (drop (memory.grow (i32.const 20)))
            (local.set $at (i32.const 65536))
            (loop $next
                (i64.store (local.get $at) (i64.const 0))
                (i32.store offset=8 (local.get $at) (i32.const 131072))
                (i32.store offset=12 (local.get $at) (i32.const 1048576))
                (local.set $at (i32.add (local.get $at) (i32.const 16)))
                (br_if $next (i32.lt_u (local.get $at) (i32.const 81536))))
            (i32.const 1024))"#,
        data(1024, &words(&[0, 0, 0, 0, 65536, 1000, 0, 0])),
    );
    let plugin = load("decoder", &module(&parts), "").expect("it loads");
    let begun = Instant::now();
    let most = (256 << 10) + tripline_host::limits::HANDED_OVER_BYTES;
    assert_eq!(
        plugin.decode(b"abc", b"", true),
        Err(output(&format!("more than {most} bytes")))
    );
    assert!(begun.elapsed() < Duration::from_secs(1));
}

/// What becomes of an answer that the canonical ABI cannot take over.
fn check_wrong(body: &str, expected: &str) {
    let plugin = load("enricher", &module(&enrich(body)), "").expect("it loads");
    match enriched(&plugin) {
        Err(Fault::Output(what)) => assert!(what.contains(expected), "{what}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn lies_about_places_are_refused() {
    let beyond = "out of bounds";
    check_wrong("(call $answer (i32.const 65536) (i32.const -1))", beyond);
    check_wrong("(call $answer (i32.const -8) (i32.const 16))", beyond);
    check_wrong("(i32.const -8)", beyond);
    check_wrong("(i32.const 1)", "aligned");
    let no_case = "(i32.store8 (i32.const 0) (i32.const 9)) (i32.const 0)";
    check_wrong(no_case, "discriminant");
}

#[test]
fn text_that_is_no_text_is_refused() {
    let fault = words(&[1, 8, 2000, 2, 0, 0]);
    let parts = format!(
        "{} {} {}",
        data(1024, &fault),
        data(2000, &[0xff, 0xfe]),
        enrich("(i32.const 1024)")
    );
    let plugin = load("enricher", &module(&parts), "").expect("it loads");
    match enriched(&plugin) {
        Err(Fault::Output(what)) => assert!(what.contains("utf-8"), "{what}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_allocator_that_gives_what_it_does_not_have_is_refused() {
    let guest = format!(
        r#"(module {PRELUDE} {CONFIGURE} {}
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0xfffff000)))"#,
        echo_parts()
    );
    let plugin = load("enricher", &guest, "").expect("it loads");
    match enriched(&plugin) {
        Err(Fault::Output(what)) => assert_eq!(what, "realloc return: beyond end of memory"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn json_that_is_none_is_a_fault_of_its_row() {
    let component = component("enricher", &echo());
    let manifest = guest::manifest_with("enricher", "", "value:json");
    let plugin = load_into(host(), &component, manifest, Rights::default()).expect("it loads");
    let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
    let texts = [
        ("{\"a\":[1]}", None),
        ("{\"a\":", Some("is none")),
        (deep.as_str(), Some("nests deeper than 32")),
        ("1e999", Some("is none")),
        ("null", None),
    ];
    let mut column = ColumnWriter::new(ColumnKind::Json);
    for (text, _) in texts {
        column.push_text(text);
    }
    let mut writer = BatchWriter::default();
    let bytes = writer.pack(texts.len(), [column].iter());
    let answer = plugin.enrich(&batch(bytes, texts.len())).expect("answers");
    for (row, (text, expected)) in texts.iter().enumerate() {
        let fault = answer.faulted.iter().find(|(rows, _)| rows.contains(&row));
        match (expected, fault) {
            (None, None) => {}
            (Some(words), Some((_, Fault::Output(said)))) => {
                assert!(said.contains(words), "{text}: {said}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    let did = plugin.statistics();
    assert_eq!(did.rows_faulted, 3);
    assert!(
        did.faults
            .iter()
            .any(|(name, _)| *name == FaultName::Output)
    );
}

#[test]
fn batches_that_are_none_are_refused() {
    let check = |body: &str, expected: &str| {
        let plugin = load("enricher", &module(&enrich(body)), "").expect("it loads");
        let bytes = numbers(&[1]);
        let fault = plugin.enrich(&batch(&bytes, 1)).expect_err("no batch");
        assert_eq!(fault, output(expected));
    };
    let answer = "(call $answer (local.get $at) (local.get $bytes))";
    check(
        &format!("(i32.store offset=8 (local.get $at) (i32.const 2)) {answer}"),
        "the batch has 2 rows instead of 1",
    );
    check(
        &format!("(i32.store offset=16 (local.get $at) (i32.const 4)) {answer}"),
        "column 0 is of kind 4 instead of `int`",
    );
    check(
        &format!("(i32.store offset=24 (local.get $at) (i32.const 0x7ffffff0)) {answer}"),
        "column 0 reaches beyond the batch",
    );
    check(
        "(call $answer (local.get $at) (i32.const 0))",
        "the batch does not begin with `TPB1`",
    );
}

#[test]
fn hits_that_lie_are_refused() {
    let check = |found: &[(u32, u8, f64)], expected: &str| {
        let plugin = load("detector", &module(&hits(found, "")), "").expect("it loads");
        let bytes = numbers(&[1]);
        let fault = plugin.detect(&batch(&bytes, 1)).expect_err("a lie");
        assert_eq!(fault, output(expected));
    };
    check(&[(1, 0, 0.5)], "a hit on row 1 of 1");
    check(&[(u32::MAX, 0, 0.5)], "a hit on row 4294967295 of 1");
    check(
        &[(0, 0, 0.5), (0, 0, 0.5)],
        "the hit on row 0 is out of order",
    );
    check(&[(0, 0, f64::NAN)], "the score NaN of row 0");
    check(&[(0, 0, 1.01)], "the score 1.01 of row 0");
    check(&[(0, 0, -0.01)], "the score -0.01 of row 0");
}

#[test]
fn scores_that_lie_are_refused() {
    let check = |scores: &[f64], expected: &str| {
        let plugin = load("scorer", &guest::scores(scores), "").expect("it loads");
        let bytes = numbers(&[1]);
        let fault = plugin.score(&batch(&bytes, 1)).expect_err("a lie");
        assert_eq!(fault, output(expected));
    };
    check(&[], "0 scores for 1 rows");
    check(&[1.0, 2.0], "2 scores for 1 rows");
    check(&[f64::INFINITY], "the score inf of row 0");
}

#[test]
fn more_memory_than_there_is_is_refused_when_loading() {
    let guest =
        module(&echo_parts()).replace("(export \"memory\") 2)", "(export \"memory\") 65536)");
    match load("enricher", &guest, "") {
        Err(LoadError::Contract(what)) => assert!(what.contains("memory"), "{what}"),
        other => panic!("{other:?}"),
    }
    // What fits the pool, but not what was granted.
    let guest =
        module(&echo_parts()).replace("(export \"memory\") 2)", "(export \"memory\") 1024)");
    let limit = 32 << 20;
    check_start(&guest, "", Fault::Memory { limit });
}

#[test]
fn features_that_nobody_needs_are_refused_before_compiling() {
    let check = |module: &str, expected: &str| {
        let text = format!("(component (core module {module}))");
        let bytes = wat::parse_str(&text).expect("text");
        match scan(&bytes) {
            Err(ScanFault::Invalid { message, .. }) => {
                assert!(message.contains(expected), "{message}");
            }
            other => panic!("{other:?}"),
        }
    };
    check("(memory i64 16777216)", "memory64");
    check("(memory 1 2 shared)", "threads");
    check("(func (return_call 0))", "tail calls");
    check("(memory 1 (pagesize 1))", "custom page sizes");
    check("(tag)", "exceptions");
    check("(type (struct))", "gc");
    check(
        "(func (param v128 v128 v128) (result v128)
            (i8x16.relaxed_laneselect (local.get 0) (local.get 1) (local.get 2)))",
        "relaxed SIMD",
    );
}

#[test]
fn types_that_grow_without_end_are_refused() {
    let mut text = "(component (type $t0 (tuple u8 u8))".to_owned();
    for depth in 1..40 {
        let below = depth - 1;
        text.push_str(&format!("(type $t{depth} (tuple $t{below} $t{below}))"));
    }
    text.push(')');
    let bytes = wat::parse_str(&text).expect("text");
    assert!(matches!(scan(&bytes), Err(ScanFault::Invalid { .. })));
}

/// Pages of this process that are in memory, and its open files.
fn footprint() -> (usize, usize) {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("own memory");
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    let files = std::fs::read_dir("/proc/self/fd").expect("own files");
    (pages.expect("a number"), files.count())
}

#[test]
fn a_storm_of_traps_leaves_nothing_behind() {
    // A machine that does much else must not look like a loop.
    let patient = "[limits]\ndeadline = \"5s\"\n";
    let plugin = load("enricher", &module(&enrich("unreachable")), patient).expect("it loads");
    let storm = |times: u64| {
        for _ in 0..times {
            assert_eq!(enriched(&plugin), Err(trap(TrapKind::Unreachable)));
        }
    };
    storm(100);
    let (pages, _) = footprint();
    let begun = Instant::now();
    storm(20_000);
    let each = begun.elapsed() / 20_000;
    let (pages_after, _) = footprint();
    let grown = pages_after.saturating_sub(pages) * 4096;
    eprintln!("a trap and its new instance: {each:?}; grown by {grown} bytes");
    // Other tests run beside this one; instances that were kept would be more than a gigabyte.
    assert!(grown < 256 << 20, "{grown} bytes");
    let faults = plugin.statistics().faults;
    assert_eq!(faults, [(tripline_host::FaultName::Trap, 20_100)]);
}

#[test]
fn mutated_components_never_panic_the_scan() {
    let sound = component("enricher", &echo());
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        chance as usize
    };
    let mut passed = 0;
    for _ in 0..5_000 {
        let mut bytes = sound.clone();
        for _ in 0..=next() % 4 {
            let at = next() % bytes.len();
            match next() % 3 {
                0 => bytes[at] = next() as u8,
                1 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, next() as u8),
            }
        }
        passed += usize::from(scan(&bytes).is_ok());
    }
    assert!(passed < 2_500, "{passed}");
}

#[test]
fn what_passes_the_scan_after_mutation_is_loaded_or_refused() {
    let sound = component("enricher", &echo());
    for at in (8..sound.len()).step_by(13) {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        if let Ok(plugin) = load_into(
            host(),
            &bytes,
            manifest("enricher", SHORT),
            Rights::default(),
        ) {
            let _ = enriched(&plugin);
        }
    }
}

#[test]
fn each_row_sees_its_own_value() {
    // The guests of other tests rely on it.
    let twice =
        "(i64.store (local.get $data) (i64.mul (i64.const 2) (i64.load (local.get $data))))";
    let plugin = load("enricher", &module(&each_row(twice)), "").expect("it loads");
    let bytes = numbers(&[1, -2, 3]);
    let answer = plugin.enrich(&batch(&bytes, 3)).expect("an answer");
    let view = answer.value.view().expect("a sound batch");
    assert_eq!(guest::column(&view), [Some(2), Some(-4), Some(6)]);
}

/// An enricher with a further component inside, loaded into memory of both kinds.
fn load_with_inner(inner: &str) -> [Result<(), LoadError>; 2] {
    let bytes = with_inner(component("enricher", &echo()), inner);
    let mut settings = guest::settings();
    settings.memory = Memory::OnDemand;
    let on_demand = Host::open(settings).expect("the host opens");
    [host(), &on_demand].map(|host| {
        let loaded = load_into(host, &bytes, manifest("enricher", SHORT), Rights::default());
        loaded.map(|plugin| assert_eq!(enriched(&plugin), Ok(())))
    })
}

#[test]
fn instances_are_bounded() {
    let with_instances = |count: usize| {
        let instances = "(core instance (instantiate $m))".repeat(count);
        load_with_inner(&format!("(component (core module $m) {instances})"))
    };
    for loaded in with_instances(40) {
        loaded.expect("as many as Python has");
    }
    for count in [100, 1_000] {
        for loaded in with_instances(count) {
            match loaded {
                Err(LoadError::Contract(_) | LoadError::Start(Fault::Output(_))) => {}
                other => panic!("{count}: {other:?}"),
            }
        }
    }
}

#[test]
fn handles_are_bounded() {
    // The start function is called when the plugin is tried for the first time.
    let with_handles = |count: usize| {
        load_with_inner(&format!(
            r#"(component
                (type $thing (resource (rep i32)))
                (core func $new (canon resource.new $thing))
                (core instance $host (export "new" (func $new)))
                (core module $m
                    (import "host" "new" (func $new (param i32) (result i32)))
                    (func $start (local $left i32)
                        (local.set $left (i32.const {count}))
                        (loop $next
                            (drop (call $new (i32.const 1)))
                            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                            (br_if $next (local.get $left))))
                    (start $start))
                (core instance (instantiate $m (with "host" (instance $host)))))"#
        ))
    };
    for loaded in with_handles(900) {
        loaded.expect("it is within the bound");
    }
    for count in [1_100, 100_001] {
        for loaded in with_handles(count) {
            match loaded {
                Err(LoadError::Start(Fault::Trap { .. } | Fault::Output(_))) => {}
                other => panic!("{count}: {other:?}"),
            }
        }
    }
}
