//! Single rows that make a plugin fail, and plugins that fail again and again.

use crate::guest::{
    batch, column, component, each_row, echo, load, load_into, manifest, module, numbers, settings,
};
use std::time::Duration;
use tripline_host::breaker::{BreakerSettings, BreakerState};
use tripline_host::operator::Rights;
use tripline_host::{Fault, FaultName, Host, Plugin, TrapKind};

/// An enricher that fails on 13 and gives back all else.
fn fails_on_13(how: &str) -> String {
    module(&each_row(&format!(
        "(if (i64.eq (i64.load (local.get $data)) (i64.const 13)) (then {how}))"
    )))
}

/// Asks about 0 to 999 with 13 in some rows; which rows have no answer, and how many calls that took.
fn check(plugin: &Plugin, rows: usize, poison: &[usize], expected: &Fault) -> u64 {
    let mut values: Vec<i64> = (1000..1000 + rows as i64).collect();
    poison.iter().for_each(|row| values[*row] = 13);
    let before = plugin.statistics().calls;
    let bytes = numbers(&values);
    let answer = plugin.enrich(&batch(&bytes, rows)).expect("an answer");
    let mut without = Vec::new();
    for (rows, fault) in &answer.faulted {
        assert_eq!(fault, expected);
        without.extend(rows.clone());
    }
    assert_eq!(without, poison);
    let view = answer.value.view().expect("a sound batch");
    for (row, found) in column(&view).into_iter().enumerate() {
        let expected = (!poison.contains(&row)).then_some(values[row]);
        assert_eq!(found, expected, "row {row}");
    }
    plugin.statistics().calls - before
}

const TRAP: Fault = Fault::Trap {
    kind: TrapKind::Unreachable,
};

#[test]
fn only_the_row_that_traps_has_no_answer() {
    let plugin = load("enricher", &fails_on_13("unreachable"), "").expect("it loads");
    assert_eq!(check(&plugin, 256, &[], &TRAP), 1);
    assert_eq!(check(&plugin, 256, &[77], &TRAP), 17);
    assert_eq!(check(&plugin, 256, &[0, 255], &TRAP), 31);
    assert_eq!(check(&plugin, 3, &[1], &TRAP), 5);
    let statistics = plugin.statistics();
    assert_eq!(statistics.rows, 3 * 256 + 3);
    assert_eq!(statistics.rows_faulted, 4);
}

#[test]
fn rows_that_never_end_are_found_too() {
    let short = "[limits]\ndeadline = \"10ms\"\n";
    let forever = "(loop $forever (br $forever))";
    let plugin = load("enricher", &fails_on_13(forever), short).expect("it loads");
    let deadline = Duration::from_millis(10);
    let calls = check(&plugin, 16, &[5], &Fault::Deadline { deadline });
    assert_eq!(calls, 9);
}

#[test]
fn nothing_but_bad_rows_is_bounded() {
    let plugin = load("enricher", &fails_on_13("unreachable"), "").expect("it loads");
    let bytes = numbers(&[13; 256]);
    let answer = plugin.enrich(&batch(&bytes, 256)).expect("faults of rows");
    let without: usize = answer.faulted.iter().map(|(rows, _)| rows.len()).sum();
    assert_eq!(without, 256);
    assert!(plugin.statistics().calls <= 1 + 512);
}

#[test]
fn one_bad_row_alone_is_a_fault() {
    let plugin = load("enricher", &fails_on_13("unreachable"), "").expect("it loads");
    let bytes = numbers(&[13]);
    assert_eq!(plugin.enrich(&batch(&bytes, 1)), Err(TRAP));
}

#[test]
fn one_percent_of_bad_rows_costs_bounded_extra_calls_and_nothing_is_lost() {
    let plugin = load("enricher", &fails_on_13("unreachable"), "").expect("it loads");
    for start in 0..20 {
        let poison = [start, start + 100, start + 200];
        assert!(check(&plugin, 256, &poison, &TRAP) <= 65);
    }
    assert_eq!(plugin.statistics().rows_faulted, 60);
}

fn with_breaker(traps: u32) -> Host {
    let mut settings = settings();
    settings.breaker = BreakerSettings {
        traps,
        ..BreakerSettings::default()
    };
    Host::open(settings).expect("the host opens")
}

#[test]
fn a_plugin_that_traps_again_and_again_is_switched_off_and_no_other() {
    let host = with_breaker(5);
    let load = |module: &str| {
        let component = component("enricher", module);
        let manifest = manifest("enricher", "");
        load_into(&host, &component, manifest, Rights::default()).expect("it loads")
    };
    let (bad, good) = (load(&fails_on_13("unreachable")), load(&echo()));
    let bytes = numbers(&[13]);
    // A row counts as a sixteenth of a trap.
    for _ in 0..80 {
        assert_eq!(bad.enrich(&batch(&bytes, 1)), Err(TRAP));
        assert!(good.enrich(&batch(&bytes, 1)).is_ok());
    }
    assert_eq!(bad.breaker(), (BreakerState::Open, 1));
    match bad.enrich(&batch(&bytes, 1)) {
        Err(Fault::Unavailable { after }) => {
            assert!(after <= Duration::from_secs(10) && after > Duration::from_secs(5));
        }
        other => panic!("{other:?}"),
    }
    assert!(good.enrich(&batch(&bytes, 1)).is_ok());
    assert_eq!(good.breaker(), (BreakerState::Closed, 0));
    let faults = bad.statistics().faults;
    assert_eq!(faults, [(FaultName::Trap, 80), (FaultName::Unavailable, 1)]);
}

#[test]
fn rows_that_are_found_out_do_not_switch_a_plugin_off() {
    let host = with_breaker(5);
    let component = component("enricher", &fails_on_13("unreachable"));
    let manifest = manifest("enricher", "");
    let plugin = load_into(&host, &component, manifest, Rights::default()).expect("it loads");
    for _ in 0..20 {
        check(&plugin, 64, &[9], &TRAP);
    }
    assert_eq!(plugin.breaker(), (BreakerState::Closed, 0));
}

#[test]
fn a_reused_instance_is_not_used_after_a_trap() {
    // Counts its calls, and traps on 13.
    let guest = fails_on_13("unreachable").replacen(
        "(local.set $rows",
        "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (if (i32.gt_u (global.get $calls) (i32.const 3)) (then (i64.store (i32.add (local.get $at) (i32.load offset=24 (local.get $at))) (i64.const -1))))
        (local.set $rows",
        1,
    );
    let guest = guest.replacen(
        "(module",
        "(module (global $calls (mut i32) (i32.const 0))",
        1,
    );
    let plugin = load("enricher", &guest, "[instance]\nmode = \"reused\"\n").expect("it loads");
    let ask = |value: i64| -> Result<Option<i64>, Fault> {
        let bytes = numbers(&[value]);
        let answer = plugin.enrich(&batch(&bytes, 1))?;
        Ok(column(&answer.value.view().expect("a sound batch"))[0])
    };
    assert_eq!(
        [ask(1), ask(2), ask(3)],
        [Ok(Some(1)), Ok(Some(2)), Ok(Some(3))]
    );
    assert_eq!(ask(4), Ok(Some(-1)), "it counts on");
    assert_eq!(ask(5), Ok(Some(-1)));
    assert_eq!(plugin.statistics().instances, 1);
}
