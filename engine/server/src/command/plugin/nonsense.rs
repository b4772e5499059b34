//! Columns that hold what no event of a well-meaning source holds: whoever chooses user agents, names and numbers is a stranger.

use crate::plugins::{Hosted, kept};
use tripline_host::batch::{BatchWriter, ColumnKind, ColumnWriter};
use tripline_host::{Batch, FaultName};

/// Rows of nonsense, each asked about by itself.
const ROWS: usize = 6;

/// How often it is asked about a row for which it was too late: the deadline is one of the clock, and the machine may have had other
/// things to do.
const TRIES: usize = 3;

/// Long, and not near any bound.
const LONG: usize = 20_000;

/// What a plugin did about nonsense that it must not do: to say that it can make nothing of it is well.
pub(super) fn troubles(hosted: &Hosted) -> Vec<String> {
    let mut troubles = Vec::new();
    let mut before = blamed(hosted);
    for row in 0..ROWS {
        let mut columns = Vec::new();
        let mut shown = Vec::new();
        for column in &hosted.plugin.manifest().reads {
            let mut writer = ColumnWriter::new(column.kind);
            shown.push(format!(
                "{} = {}",
                column.name,
                fill(&mut writer, column.kind, row)
            ));
            columns.push(writer);
        }
        let mut writer = BatchWriter::default();
        let batch = Batch {
            bytes: writer.pack(1, columns.iter()),
            rows: 1,
            events: Some(kept(&[b"{}"])),
            until: None,
        };
        let mut trouble = None;
        for _ in 0..TRIES {
            let called = hosted.call(&batch);
            let now = blamed(hosted);
            let is_late = now.late > before.late;
            let is_blamed = now.all > before.all;
            before = now;
            match called {
                Ok(()) => trouble = None,
                Err(fault) if is_blamed => {
                    trouble = Some(format!("{}: {fault}", shown.join(", ")));
                    if is_late {
                        continue;
                    }
                }
                // It says that it can make nothing of it, or is not asked any more.
                Err(_) => {}
            }
            break;
        }
        troubles.extend(trouble);
    }
    troubles
}

/// How often it failed in a way that speaks against it.
#[derive(Clone, Copy)]
struct Blamed {
    all: u64,
    /// Because it was too late.
    late: u64,
}

fn blamed(hosted: &Hosted) -> Blamed {
    let mut blamed = Blamed { all: 0, late: 0 };
    for (name, count) in hosted.plugin.statistics().faults {
        let speaks = matches!(
            name,
            FaultName::Trap | FaultName::Deadline | FaultName::Memory | FaultName::Output
        );
        blamed.all += if speaks { count } else { 0 };
        blamed.late += if name == FaultName::Deadline {
            count
        } else {
            0
        };
    }
    blamed
}

/// Puts in the nonsense of a row; what it is, for people.
fn fill(writer: &mut ColumnWriter, kind: ColumnKind, row: usize) -> String {
    let texts = [
        String::new(),
        "\0\u{1b}[31m\n".to_owned(),
        "\u{202e}\u{1f469}\u{200d}\u{1f4bb}ẞ".to_owned(),
        "é".repeat(LONG),
        "' OR 1=1 -- \"\\%00{}[]<>".to_owned(),
        format!("{}a", "/.:@%".repeat(LONG / 5)),
    ];
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let documents = [
        "null",
        "[]",
        "{\"\":{\"\":[]}}",
        deep.as_str(),
        "-7e-300",
        "\"\\u0000\"",
    ];
    let told = |text: &str| match text.chars().count() > 40 {
        true => format!(
            "{:?}… ({} bytes)",
            text.chars().take(20).collect::<String>(),
            text.len()
        ),
        false => format!("{text:?}"),
    };
    match kind {
        ColumnKind::Bool => {
            let value = row.is_multiple_of(2);
            writer.push_bool(value);
            value.to_string()
        }
        ColumnKind::Int => {
            let value = [i64::MIN, i64::MAX, -1, 0, 1 << 53, -(1 << 31)][row];
            writer.push_int(value);
            value.to_string()
        }
        ColumnKind::Float => {
            let value = [f64::MIN, f64::MAX, -0.0, f64::MIN_POSITIVE, 1e300, -1e-300][row];
            writer.push_float(value);
            value.to_string()
        }
        ColumnKind::Text | ColumnKind::Symbol => {
            writer.push_text(&texts[row]);
            told(&texts[row])
        }
        ColumnKind::Json => {
            writer.push_text(documents[row]);
            told(documents[row])
        }
    }
}
