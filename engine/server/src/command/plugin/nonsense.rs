//! Columns that hold what no event of a well-meaning source holds: whoever chooses user agents, names and numbers is a stranger.

use crate::plugins::{Hosted, kept};
use tripline_host::batch::{BatchWriter, ColumnKind, ColumnWriter};
use tripline_host::{Batch, FaultName};

/// Rows of nonsense, each asked about by itself.
const ROWS: usize = 6;

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
        let called = hosted.call_patiently(&batch);
        let now = blamed(hosted);
        if let (Err(fault), true) = (called, now > before) {
            troubles.push(format!("{}: {fault}", shown.join(", ")));
        }
        before = now;
    }
    troubles
}

/// How often it failed in a way that speaks against it.
fn blamed(hosted: &Hosted) -> u64 {
    let faults = hosted.plugin.statistics().faults.into_iter();
    let blamed = faults.filter(|(name, _)| {
        matches!(
            name,
            FaultName::Trap | FaultName::Deadline | FaultName::Memory | FaultName::Output
        )
    });
    blamed.map(|(_, count)| count).sum()
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
