//! What is written is read, and what lies is refused.

use super::*;

fn written() -> Vec<u8> {
    let mut columns = [
        ColumnWriter::new(ColumnKind::Bool),
        ColumnWriter::new(ColumnKind::Int),
        ColumnWriter::new(ColumnKind::Float),
        ColumnWriter::new(ColumnKind::Text),
        ColumnWriter::new(ColumnKind::Symbol),
        ColumnWriter::new(ColumnKind::Json),
    ];
    for row in 0..11 {
        if row % 4 == 3 {
            columns.iter_mut().for_each(ColumnWriter::push_absent);
            continue;
        }
        columns[0].push_bool(row % 2 == 0);
        columns[1].push_int(-i64::from(row));
        columns[2].push_float(f64::from(row) / 2.0);
        columns[3].push_text(&"ä".repeat(row as usize));
        columns[4].push_text(["put", "get", "get"][row as usize % 3]);
        columns[5].push_text("{\"a\":1}");
    }
    BatchWriter::default().pack(11, columns.iter()).to_vec()
}

fn read(bytes: &[u8]) -> Result<Vec<Vec<String>>, BatchFault> {
    let view = BatchView::read(bytes, 11, &ColumnKind::ALL)?;
    let column = |column: &ColumnView<'_>| {
        let cells = (0..11).map(|row| Ok(format!("{:?}", column.cell(row)?)));
        cells.collect::<Result<Vec<_>, _>>()
    };
    view.columns().iter().map(column).collect()
}

#[test]
fn what_is_written_is_read() {
    let read = read(&written()).expect("the batch is sound");
    let row = |number: usize| -> Vec<&str> {
        let cells = read.iter().map(|column| column[number].as_str());
        cells.collect()
    };
    assert_eq!(
        row(2),
        [
            "Some(Bool(true))",
            "Some(Int(-2))",
            "Some(Float(1.0))",
            "Some(Text(\"ää\"))",
            "Some(Text(\"get\"))",
            "Some(Json(\"{\\\"a\\\":1}\"))"
        ]
    );
    assert_eq!(row(7), ["None"; 6]);
    assert_eq!(row(9)[4], "Some(Text(\"put\"))");
}

#[test]
fn symbols_are_stored_once() {
    let mut column = ColumnWriter::new(ColumnKind::Symbol);
    for row in 0..100 {
        column.push_text(["one", "two"][row % 2]);
    }
    assert_eq!(column.arena_bytes(), 6);
}

#[test]
fn many_symbols_are_told_apart() {
    let mut column = ColumnWriter::new(ColumnKind::Symbol);
    let mut writer = BatchWriter::default();
    let texts: Vec<String> = (0..512)
        .map(|number| format!("name-{number}-{}", "x".repeat(number % 40)))
        .collect();
    // Twice: what is kept between batches must not be seen in the next.
    for round in 0..2 {
        column.clear();
        for row in 0..1024 {
            column.push_text(&texts[(row * 7 + round) % 512]);
        }
        let bytes = writer.pack(1024, std::iter::once(&column)).to_vec();
        let view = BatchView::read(&bytes, 1024, &[ColumnKind::Symbol]).expect("it is sound");
        for row in 0..1024 {
            let expected = Some(Cell::Text(&texts[(row * 7 + round) % 512]));
            assert_eq!(view.columns()[0].cell(row), Ok(expected));
        }
        let once: usize = texts.iter().map(String::len).sum();
        assert_eq!(column.arena_bytes(), once);
    }
}

/// Texts of events are packed with what stands behind them at hand, others without it. Neither may be seen.
#[test]
fn texts_are_the_same_wherever_they_stand() {
    let texts: Vec<String> = (0..80)
        .map(|length| {
            ["", "é"][length % 2].to_owned() + &"x".repeat(length / 2) + &"y".repeat(length % 3)
        })
        .chain(["a", "a\u{1}", "\u{1}a", "\u{1}"].map(str::to_owned))
        .collect();
    let events: Vec<String> = texts
        .iter()
        .enumerate()
        .map(|(row, text)| {
            let behind = ["", ",\"more\":\"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\""][row / 3 % 2];
            format!("{{\"a\":{}{behind}}}", serde_json::json!(text))
        })
        .collect();
    let rows = texts.len() * 2;
    for kind in [ColumnKind::Text, ColumnKind::Symbol] {
        let mut column = ColumnWriter::new(kind);
        let mut parser = tripline_core::event::Parser::new();
        for (text, event) in texts.iter().zip(&events) {
            let document = parser.parse(event.as_bytes()).expect("an event");
            column.push_field(document.root().get("a"));
            column.push_text(text);
        }
        let mut writer = BatchWriter::default();
        let bytes = writer.pack(rows, std::iter::once(&column)).to_vec();
        let view = BatchView::read(&bytes, rows, &[kind]).expect("it is sound");
        for row in 0..rows {
            let expected = Some(Cell::Text(&texts[row / 2]));
            assert_eq!(view.columns()[0].cell(row), Ok(expected));
        }
        let distinct: std::collections::BTreeSet<&String> = texts.iter().collect();
        let once: usize = distinct.iter().map(|text| text.len()).sum();
        let twice: usize = texts.iter().map(|text| text.len() * 2).sum();
        let stored = [twice, once][usize::from(kind == ColumnKind::Symbol)];
        assert_eq!(column.arena_bytes(), stored, "{kind:?}");
    }
}

#[test]
fn no_byte_makes_reading_panic() {
    let sound = written();
    for at in 0..sound.len() {
        for value in [0, 1, 7, 0x7f, 0x80, 0xff] {
            let mut bytes = sound.clone();
            bytes[at] = value;
            let _ = read(&bytes);
        }
        assert!(read(&sound[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn lies_are_named() {
    let check = |at: usize, value: u32, expected: BatchFault| {
        let mut bytes = written();
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        assert_eq!(read(&bytes), Err(expected));
    };
    let is = written().len();
    check(0, 0, BatchFault::NoBatch);
    check(4, 12, BatchFault::Length { said: 12, is });
    check(8, 12, BatchFault::Rows { is: 12, wanted: 11 });
    check(12, 7, BatchFault::Columns { is: 7, wanted: 6 });
    let wanted = "bool";
    let (column, is) = (0, 9);
    check(16, 9, BatchFault::Kind { column, is, wanted });
    check(16 + 32 + 8, u32::MAX, BatchFault::Reach { column: 1 });
    check(16 + 96 + 16, u32::MAX, BatchFault::Reach { column: 3 });
    check(16 + 96 + 16, 1, BatchFault::NotText { column: 3 });
    check(16 + 96 + 16, 0, BatchFault::Cell { column: 3, row: 1 });
    check(16 + 128 + 24, 1, BatchFault::Cell { column: 4, row: 1 });
}

#[test]
fn fields_become_cells_of_their_columns_kind() {
    let event = br#"{"yes":true,"whole":-3,"large":18446744073709551615,"part":0.5,"text":"a\u00e4","nested":{"b":[1]},"none":null}"#;
    let check = |kind: ColumnKind, key: &str, expected: &str| {
        let mut parser = tripline_core::event::Parser::new();
        let document = parser.parse(event).expect("an event");
        let mut columns = [ColumnWriter::new(kind)];
        columns[0].push_field(document.root().get(key));
        let mut writer = BatchWriter::default();
        let bytes = writer.pack(1, columns.iter());
        let view = BatchView::read(bytes, 1, &[kind]).expect("the batch is sound");
        let cell = view.columns()[0].cell(0).expect("the cell is sound");
        assert_eq!(format!("{cell:?}"), expected, "{key} as {kind:?}");
    };
    check(ColumnKind::Bool, "yes", "Some(Bool(true))");
    check(ColumnKind::Bool, "text", "None");
    check(ColumnKind::Int, "whole", "Some(Int(-3))");
    check(ColumnKind::Int, "large", "None");
    check(ColumnKind::Int, "part", "None");
    check(ColumnKind::Float, "whole", "Some(Float(-3.0))");
    check(ColumnKind::Float, "part", "Some(Float(0.5))");
    check(ColumnKind::Text, "text", "Some(Text(\"aä\"))");
    check(ColumnKind::Symbol, "text", "Some(Text(\"aä\"))");
    check(ColumnKind::Text, "whole", "None");
    check(
        ColumnKind::Json,
        "nested",
        "Some(Json(\"{\\\"b\\\":[1]}\"))",
    );
    check(ColumnKind::Json, "none", "Some(Json(\"null\"))");
    check(ColumnKind::Json, "missing", "None");
}
