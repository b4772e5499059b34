//! The seeds of the fuzz target for components. They are made here, since no compiled guest is kept in the repository:
//! `cargo fuzz run component` is given the folder that this prints.
//!
//! The check is the target's own.

use crate::guest::{component, each_row, echo, enrich, folder, hits, module, scores};

#[path = "../../../fuzz/checks/component.rs"]
mod check;

#[test]
fn every_seed_passes_its_check() {
    let folder = folder("fuzz-component");
    std::fs::create_dir_all(&folder).expect("a folder");
    let forever = "(loop $forever (br $forever)) unreachable";
    let seeds = [
        ("echo", component("enricher", &echo())),
        ("rows", component("enricher", &module(&each_row("nop")))),
        (
            "trap",
            component("enricher", &module(&enrich("unreachable"))),
        ),
        ("loop", component("enricher", &module(&enrich(forever)))),
        (
            "detector",
            component("detector", &module(&hits(&[(0, 1, 0.5)], "title"))),
        ),
        ("scorer", component("scorer", &scores(&[0.5]))),
    ];
    for (name, bytes) in seeds {
        check::run(&bytes);
        std::fs::write(folder.join(name), bytes).expect("written");
    }
    println!("{}", folder.display());
}
