//! A few seeds with every test run; thousands are `sim sweep`, which the test command runs too.

use tripline_sim::workload::rules;
use tripline_sim::{Faults, Length, World, run};

#[test]
fn a_quiet_world_finds_what_the_auditor_finds() {
    let (first, second) = (rules(false), rules(true));
    let world = World::new(
        1,
        Length { records: 200 },
        [&first, &second],
        Some(Faults::none()),
    );
    let (report, _) = world.run();
    assert_eq!(report.violations, Vec::<String>::new());
    assert_eq!(
        (report.crashes, report.takeovers, report.reloads),
        (0, 0, 0)
    );
    assert!(report.findings > 20, "{report:?}");
}

#[test]
fn a_bad_world_finds_the_same_and_a_seed_is_a_run() {
    let (first, second) = (rules(false), rules(true));
    let (mut crashes, mut reloads) = (0, 0);
    for seed in 0..12 {
        let report = run(seed, 100, [&first, &second]);
        assert_eq!(report.violations, Vec::<String>::new(), "seed {seed}");
        assert_eq!(
            report,
            run(seed, 100, [&first, &second]),
            "seed {seed} again"
        );
        crashes += report.crashes;
        reloads += report.reloads;
    }
    assert!(
        crashes + reloads > 3,
        "{crashes} crashes, {reloads} reloads"
    );
}
