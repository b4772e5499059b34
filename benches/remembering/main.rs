//! Measures rules that remember: what a key or a group costs in memory and time, what a step of each kind costs, how
//! long a snapshot takes, and what a thousand rules and two hundred that remember cost together.
//!
//! `cargo bench -p tripline-benches --bench remembering` runs both sections, `-- --quick` a tenth of them, `--only WORD`
//! the sections whose name has the word. See README.md for the method and what the figures mean.

#[allow(dead_code, reason = "shared with the other benchmark")]
#[path = "../matching/counting.rs"]
mod counting;
mod kinds;
#[allow(dead_code, reason = "shared with the other benchmark")]
#[path = "../matching/report.rs"]
mod report;
#[allow(dead_code, reason = "shared with the other benchmark")]
#[path = "../matching/round.rs"]
mod round;
mod stream;
#[allow(dead_code, reason = "shared with the other benchmark")]
#[path = "../matching/timing.rs"]
mod timing;
mod whole;

use counting::Counting;
use report::Table;
use round::{Round, stay_on_one_core};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    let round = Round::from_arguments();
    stay_on_one_core();
    let mut tables: Vec<Table> = Vec::new();
    if round.wants("state") {
        tables.extend(kinds::tables(&round));
    }
    if round.wants("remember") {
        tables.extend(whole::tables(&round));
    }
    for table in tables {
        println!("{}", table.to_markdown());
    }
}
