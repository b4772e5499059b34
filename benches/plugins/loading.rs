//! What plugins cost while they look at no event: made an instance, compiled here and in a child, loaded, idle.

use crate::languages::Guest;
use crate::measure::median;
use crate::pack::Packer;
use crate::rule::rows;
use crate::{detect, load};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tripline_host::jail::Jail;
use tripline_host::{Compiler, Host, Plugin, Settings};

/// The word by which this program is told to be the child that compiles.
pub(crate) const CHILD: &str = "--compile-for-parent";

/// A host that compiles as this says.
pub(crate) fn host(compiler: Compiler, cache: Option<&Path>) -> Host {
    let mut settings = Settings::new(compiler);
    settings.cache = cache.map(Path::to_owned);
    Host::open(settings).expect("the engine starts")
}

/// Compiles in a child, as the service does: this program once more.
pub(crate) fn child() -> Compiler {
    Compiler::Jail(Jail {
        program: std::env::current_exe().expect("a place"),
        arguments: vec![CHILD.into()],
        environment: Vec::new(),
    })
}

fn folder(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("tripline-bench-{name}-{}", std::process::id()))
}

fn at(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

/// A call about one event, by the clock: with an instance of its own, and with one that is reused.
pub(crate) fn instances(plugins: [(&str, &Plugin); 2], is_test: bool) {
    let rows = rows(1);
    let packed = Packer::new().pack_rows(&rows).to_vec();
    let calls = if is_test { 100 } else { 20_000 };
    println!("### one call about one event, by the clock, us\n");
    println!("| instance | p50 | p99 | p99.9 |\n|---|---|---|---|");
    for (name, plugin) in plugins {
        let time = |_| {
            let begun = Instant::now();
            detect(plugin, &packed, 1);
            begun.elapsed().as_nanos() as f64 / 1000.0
        };
        let mut times: Vec<f64> = (0..calls).map(time).collect();
        times.sort_unstable_by(f64::total_cmp);
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| at(&times, share));
        println!("| {name} | {p50:.1} | {p99:.1} | {p999:.1} |");
    }
    println!();
}

/// Compiling in this process and in a child, and loading what was compiled.
pub(crate) fn loading(guests: &[Guest], is_test: bool) {
    println!("### loading, ms\n");
    println!(
        "| guest | KiB | compiled in this process | in a child | child / process | from the cache, p50 | p99 |"
    );
    println!("|---|---|---|---|---|---|---|");
    for guest in guests {
        let folder = folder("loading");
        let milliseconds = |host: &Host| {
            let begun = Instant::now();
            drop(load(host, &guest.component, &guest.manifest));
            begun.elapsed().as_nanos() as f64 / 1e6
        };
        // Compilers of large ones take seconds.
        let is_large = guest.component.len() > 1024 * 1024;
        let rounds = if is_test || is_large { 1 } else { 11 };
        let (inside, outside) = (host(Compiler::InProcess, None), host(child(), None));
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            times[0].push(milliseconds(&inside));
            times[1].push(milliseconds(&outside));
        }
        let [here, there] = times.map(median);
        let cached = host(child(), Some(&folder));
        milliseconds(&cached);
        let rounds = if is_test { 2 } else { 101 };
        let mut again: Vec<f64> = (0..rounds).map(|_| milliseconds(&cached)).collect();
        again.sort_unstable_by(f64::total_cmp);
        println!(
            "| {} | {} | {here:.1} | {there:.1} | {:.2} | {:.2} | {:.2} |",
            guest.name,
            guest.component.len() / 1024,
            there / here,
            at(&again, 0.5),
            at(&again, 0.99)
        );
        let _ = std::fs::remove_dir_all(folder);
    }
    println!();
}

/// Memory of plugins that are loaded and asked nothing.
pub(crate) fn idle(guest: &Guest, count: usize) {
    let folder = folder("idle");
    let cached = host(Compiler::InProcess, Some(&folder));
    drop(load(&cached, &guest.component, &guest.manifest));
    let before = resident();
    let plugins: Vec<Plugin> = (0..count)
        .map(|_| load(&cached, &guest.component, &guest.manifest))
        .collect();
    let after = resident();
    println!("### idle plugins\n\n| plugins | MiB in all | KiB each |\n|---|---|---|");
    println!(
        "| {} | {:.0} | {:.0} |",
        plugins.len(),
        (after - before) as f64 / 1024.0,
        (after - before) as f64 / count as f64
    );
    let _ = std::fs::remove_dir_all(folder);
}

/// KiB of this process in memory.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let words = line.into_iter().flat_map(str::split_whitespace);
    words
        .filter_map(|word| word.parse().ok())
        .next()
        .unwrap_or(0)
}
