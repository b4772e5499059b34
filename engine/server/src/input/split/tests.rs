use super::{Ending, Fault, Piece, PieceKind, Splitter};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use std::fmt::Write as _;

/// Feeds `input` in chunks and gives each piece with its text, as the reader does.
fn split_in_chunks(input: &[u8], chunk: usize, record_bytes_max: usize) -> Vec<(Piece, Vec<u8>)> {
    let mut splitter = Splitter::new(record_bytes_max);
    let mut buffer = Vec::new();
    let mut out = Vec::new();
    let mut fed = 0;
    loop {
        let upto = (fed + chunk).min(input.len());
        buffer.extend_from_slice(&input[fed..upto]);
        fed = upto;
        let ending = if fed == input.len() {
            Ending::Last
        } else {
            Ending::More
        };
        let mut pieces = Vec::new();
        let consumed = splitter.split(&buffer, ending, &mut pieces);
        out.extend(pieces.iter().map(|piece| {
            let text = buffer[piece.start..piece.end].to_vec();
            (
                Piece {
                    start: 0,
                    end: 0,
                    ..*piece
                },
                text,
            )
        }));
        buffer.drain(..consumed);
        if ending == Ending::Last {
            return out;
        }
    }
}

fn render(pieces: &[(Piece, Vec<u8>)]) -> String {
    let mut out = String::new();
    for (piece, text) in pieces {
        let text = String::from_utf8_lossy(text);
        let _ = match piece.kind {
            PieceKind::Record => writeln!(out, "{}@{} {text:?}", piece.line, piece.offset),
            PieceKind::Fault(fault) => {
                writeln!(out, "{}@{} -- {fault:?}", piece.line, piece.offset)
            }
        };
    }
    out.replace("\\\"", "'")
}

/// However the input is cut into chunks, the pieces are the same, and these.
fn check_bytes(input: &[u8], record_bytes_max: usize, expected: Expect) {
    let whole = split_in_chunks(input, input.len().max(1), record_bytes_max);
    for chunk in [1, 2, 3, 5, 7, 16] {
        let chunked = split_in_chunks(input, chunk, record_bytes_max);
        assert_eq!(render(&chunked), render(&whole), "chunks of {chunk}");
    }
    expected.assert_eq(&render(&whole));
}

fn check(input: &str, expected: Expect) {
    check_bytes(input.as_bytes(), 1000, expected);
}

#[test]
fn lines() {
    check(
        "{\"a\":1}\n\n  {\"b\":2}\r\n{\"c\":\"}\"}",
        expect![[r#"
            1@0 "{'a':1}"
            3@11 "{'b':2}"
            4@20 "{'c':'}'}"
        "#]],
    );
}

#[test]
fn byte_order_mark_blank_and_empty() {
    check(
        "\u{feff}{\"a\":1}\n",
        expect![[r#"
        1@3 "{'a':1}"
    "#]],
    );
    check("", expect![""]);
    check(" \r\n\n", expect![""]);
}

#[test]
fn array_compact_and_pretty() {
    check(
        "[{\"a\":[1,{}]}, {\"b\":\"]\\\"\"},3,\"x\",null]",
        expect![[r#"
            1@1 "{'a':[1,{}]}"
            1@15 "{'b':']\\''}"
            1@27 "3"
            1@29 "'x'"
            1@33 "null"
        "#]],
    );
    check(
        "[\n  {\n    \"a\": {\n    }\n  },\n  {\n    \"b\": 2\n  }\n]\n",
        expect![[r#"
            2@4 "{\n    'a': {\n    }\n  }"
            6@30 "{\n    'b': 2\n  }"
        "#]],
    );
    check("[]", expect![""]);
}

#[test]
fn pages_of_arrays_and_mixed_lines() {
    check(
        "{\"a\":1}\n[{\"b\":1},{\"b\":2}]\n{\"c\":1}\n",
        expect![[r#"
            1@0 "{'a':1}"
            2@9 "{'b':1}"
            2@17 "{'b':2}"
            3@26 "{'c':1}"
        "#]],
    );
}

#[test]
fn delivery_file_with_other_keys_around() {
    check(
        "{\"Records\":[{\"a\":1},{\"b\":2}]}",
        expect![[r#"
        1@12 "{'a':1}"
        1@20 "{'b':2}"
    "#]],
    );
    check(
        "{\"meta\": {\"Records\": [1]}, \"Records\" : [ {\"a\":1} ], \"more\": [{}, \"]\"]}\n{\"Records\":[]}\n{\"Records\":[{\"c\":3}],\"x\":1}",
        expect![[r#"
            1@41 "{'a':1}"
            3@98 "{'c':3}"
        "#]],
    );
    check(
        "{\n  \"Records\": [\n    {\n      \"a\": 1\n    },\n    {\n      \"b\": 1\n    }\n  ]\n}\n",
        expect![[r#"
            3@21 "{\n      'a': 1\n    }"
            6@47 "{\n      'b': 1\n    }"
        "#]],
    );
}

#[test]
fn delivery_file_amid_lines() {
    check(
        "{\"a\":1}\n{\"Records\":[{\"b\":1},{\"b\":2}]}\n{\"c\":1}\n",
        expect![[r#"
            1@0 "{'a':1}"
            2@20 "{'b':1}"
            2@28 "{'b':2}"
            3@38 "{'c':1}"
        "#]],
    );
}

#[test]
fn no_delivery_file() {
    check(
        "{\"Records\":{\"x\":[1]}}\n{\"Records\":5}\n{\"Record\":[1]}\n{\"Recordss\":[1]}\n",
        expect![[r#"
            1@0 "{'Records':{'x':[1]}}"
            2@22 "{'Records':5}"
            3@36 "{'Record':[1]}"
            4@51 "{'Recordss':[1]}"
        "#]],
    );
}

#[test]
fn pretty_and_concatenated() {
    check(
        "{\n  \"a\": 1\n}\n{\n  \"b\": [\n    {\n    }\n  ]\n}\n",
        expect![[r#"
            1@0 "{\n  'a': 1\n}"
            4@13 "{\n  'b': [\n    {\n    }\n  ]\n}"
        "#]],
    );
    check(
        "{\"a\":1}{\"b\":2} {\"c\":3}\n{\"d\":4}{\"e\":5}",
        expect![[r#"
        1@0 "{'a':1}"
        1@7 "{'b':2}"
        1@15 "{'c':3}"
        2@23 "{'d':4}"
        2@30 "{'e':5}"
    "#]],
    );
    check(
        "{\n\"a\": [\n{\n\"b\": 1\n},\n{\n\"c\": 1\n}\n]\n}",
        expect![[r#"
        1@0 "{\n'a': [\n{\n'b': 1\n},\n{\n'c': 1\n}\n]\n}"
    "#]],
    );
}

#[test]
fn pretty_record_amid_lines() {
    check(
        "{\"a\":1}\n{\n \"b\": 2\n}\n{\"c\":3}\n",
        expect![[r#"
        1@0 "{'a':1}"
        2@8 "{\n 'b': 2\n}"
        5@20 "{'c':3}"
    "#]],
    );
}

#[test]
fn broken_lines_cost_themselves_only() {
    check(
        "{\"a\":1}\n{\"b\":\n{\"c\":3}\nplain text\n{\"d\":\"x\n{\"e\":5}\n{\"f\":[1,\n{\"g\":7}\n{\"h\" 1}\n{x\n\"s\"\n}\n{\"i\":9}",
        expect![[r#"
            1@0 "{'a':1}"
            2@8 "{'b':"
            3@14 "{'c':3}"
            4@22 "plain text"
            5@33 "{'d':'x"
            6@41 "{'e':5}"
            7@49 "{'f':[1,"
            8@58 "{'g':7}"
            9@66 "{'h' 1}"
            10@74 "{x"
            11@77 "'s'"
            12@81 "}"
            13@83 "{'i':9}"
        "#]],
    );
}

#[test]
fn first_line_broken() {
    check(
        "{\"a\":{\"x\":1}\n{\"b\":2}\n{\"c\":3}\n",
        expect![[r#"
            1@0 "{'a':{'x':1}"
            2@13 "{'b':2}"
            3@21 "{'c':3}"
        "#]],
    );
    check(
        "{\"a\":[\n{\"b\":2}\n{\"c\":3}\n",
        expect![[r#"
            1@0 "{'a':["
            2@7 "{'b':2}"
            3@15 "{'c':3}"
        "#]],
    );
}

#[test]
fn broken_pretty_record_is_left_at_the_next_of_its_indentation() {
    check(
        "{\n  \"a\": [\n    {\n  \"b\": \n{\n  \"c\": 1\n}\n",
        expect![[r#"
        1@0 -- Truncated
        5@25 "{\n  'c': 1\n}"
    "#]],
    );
    check(
        "[\n  {\n    \"a\" 1\n  },\n  {\n    \"b\": 2\n  }\n]\n{\"c\":3}",
        expect![[r#"
            2@4 -- Syntax
            5@23 "{\n    'b': 2\n  }"
            9@42 "{'c':3}"
        "#]],
    );
}

#[test]
fn broken_elements() {
    check(
        "[\n{\"a\":1},\n{\"b\":2\n{\"c\":3},\n{\"d\":\"x\n},\n{\"e\":5}\n]\n",
        expect![[r#"
        2@2 "{'a':1}"
        3@11 -- Truncated
        4@18 "{'c':3}"
        5@27 -- Truncated
        7@38 "{'e':5}"
    "#]],
    );
    check(
        "[{\"a\":1},{\"b\":2]},{\"c\":3}]",
        expect![[r#"
        1@1 "{'a':1}"
        1@9 -- Syntax
        1@15 -- Unseparable
    "#]],
    );
    check(
        "[{\"a\":1},,{\"b\":2} {\"c\":3},]",
        expect![[r#"
        1@1 "{'a':1}"
        1@9 -- Syntax
        1@10 "{'b':2}"
        1@18 -- Syntax
        1@18 "{'c':3}"
        1@26 -- Syntax
    "#]],
    );
    check(
        "{\"a\":1},{\"b\":2}\n",
        expect![[r#"
        1@0 "{'a':1}"
        1@7 -- Syntax
        1@8 "{'b':2}"
    "#]],
    );
}

#[test]
fn truncated_ends() {
    check(
        "{\"a\":1}\n{\"b\":",
        expect![[r#"
            1@0 "{'a':1}"
            2@8 "{'b':"
        "#]],
    );
    check(
        "[{\"a\":1},{\"b\"",
        expect![[r#"
        1@1 "{'a':1}"
        1@9 -- Truncated
    "#]],
    );
    check(
        "[{\"a\":1},",
        expect![[r#"
        1@1 "{'a':1}"
        1@0 -- Truncated
    "#]],
    );
    check(
        "{\"Records\":[{\"a\":1}]",
        expect![[r#"
        1@12 "{'a':1}"
        1@20 -- Truncated
    "#]],
    );
    check(
        "[1",
        expect![[r#"
        1@1 "1"
        1@0 -- Truncated
    "#]],
    );
}

#[test]
fn truncated_delivery_lines() {
    check(
        "{\"Records\":[{\"a\":1},{\"a\":2}\n{\"Records\":[{\"b\":1},{\"b\":\n{\"Records\":[{\"c\":1}]\n{\"Records\":[{\"d\":1}]}\n",
        expect![[r#"
            1@12 "{'a':1}"
            1@20 "{'a':2}"
            1@0 -- Truncated
            2@40 "{'b':1}"
            2@48 -- Truncated
            3@66 "{'c':1}"
            4@75 -- Truncated
            4@87 "{'d':1}"
        "#]],
    );
}

#[test]
fn long_records_are_passed_over() {
    let long = "x".repeat(60);
    let check = |input: &str, expected| check_bytes(input.as_bytes(), 40, expected);
    check(
        &format!("{{\"a\":1}}\n{{\"b\":\"{long}\"}}\n{{\"c\":3}}\n"),
        expect![[r#"
        1@0 "{'a':1}"
        2@8 -- TooLong
        3@77 "{'c':3}"
    "#]],
    );
    check(
        &format!("{{\"b\":\"{long}\"}}\n{{\"c\":3}}\n"),
        expect![[r#"
        1@0 -- TooLong
        2@69 "{'c':3}"
    "#]],
    );
    check(
        &format!("{{\"a\":1}}\n{{\"b\":\"{long}\n{{\"c\":3}}\n{long}\n{{\"d\":3}}"),
        expect![[r#"
        1@0 "{'a':1}"
        2@8 -- TooLong
        3@75 "{'c':3}"
        4@83 -- TooLong
        5@144 "{'d':3}"
    "#]],
    );
    check(
        &format!("[{{\"a\":1}},{{\"b\":\"{long}\"}},{{\"c\":3}}]"),
        expect![[r#"
        1@1 "{'a':1}"
        1@9 -- TooLong
        1@78 "{'c':3}"
    "#]],
    );
    let bomb = "[".repeat(60);
    check(
        &format!("{{\"a\":1}}\n{{\"b\":{bomb}\n{{\"c\":3}}\n{bomb}"),
        expect![[r#"
        1@0 "{'a':1}"
        2@8 -- TooLong
        3@74 "{'c':3}"
        4@83 -- TooLong
    "#]],
    );
}

#[test]
fn wide_characters() {
    for wide in [
        &b"\xff\xfe{\0"[..],
        b"\xfe\xff\0{",
        b"{\0\"\0",
        b"\0{\0\"",
        b"\0\0\0{\0",
    ] {
        let pieces = split_in_chunks(wide, 1, 1000);
        assert_eq!(pieces.len(), 1);
        assert_eq!(pieces[0].0.kind, PieceKind::Fault(Fault::WideCharacters));
    }
}

#[test]
fn lines_after_a_broken_one_are_taken_back() {
    check(
        "{\"a\":1\nplain\n[{\"b\":1}]\n{\"c\":3}\n",
        expect![[r#"
        1@0 "{'a':1"
        2@7 "plain"
        3@14 "{'b':1}"
        4@23 "{'c':3}"
    "#]],
    );
    check(
        "{\"z\":0}\n{\"a\":[1,\n\"x\",\n{\"c\":3}\n{\"d\":\n",
        expect![[r#"
        1@0 "{'z':0}"
        2@8 "{'a':[1,"
        3@17 "'x',"
        4@22 "{'c':3}"
        5@30 "{'d':"
    "#]],
    );
}

/// Text that is nearly JSON, for what hostile input may do.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let tokens: Vec<&[u8]> = vec![
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b"\\",
        b"\n",
        b"\r\n",
        b" ",
        b"\t",
        b"1",
        b"nul",
        b"\"a\":",
        b"{\"a\":1}",
        b"{\"a\":1}\n",
        b"{\"Records\":[",
        b"\"Records\":[",
        b"\xff",
        b"\xef\xbb\xbf",
        b"{\n  \"a\": {\n",
        b"  {\n",
        b"{\"b\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}",
    ];
    prop::collection::vec(prop::sample::select(tokens), 0..60).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// No input makes it panic, loop, or give other pieces when it comes in other chunks; pieces come in order.
    #[test]
    fn hostile_text(text in nearly_json(), chunk in 1usize..20, record_bytes_max in 4usize..60) {
        let whole = split_in_chunks(&text, text.len().max(1), record_bytes_max);
        let chunked = split_in_chunks(&text, chunk, record_bytes_max);
        prop_assert_eq!(render(&chunked), render(&whole));
        let mut last = 0;
        for (piece, bytes) in &whole {
            prop_assert!(bytes.len() <= record_bytes_max);
            prop_assert!(piece.line >= 1);
            if piece.kind == PieceKind::Record {
                prop_assert!(piece.offset >= last, "pieces go back");
                last = piece.offset + bytes.len() as u64;
            }
        }
    }

    /// Records come out as they went in, whatever holds them.
    #[test]
    fn records_survive(
        texts in prop::collection::vec("[a-z{}\\[\\]\",:\n\\\\]{0,12}", 0..8),
        shape in 0usize..6,
    ) {
        let values: Vec<serde_json::Value> =
            texts.iter().map(|text| serde_json::json!({ "t": text, "l": [{}, text] })).collect();
        let compact: Vec<String> = values.iter().map(ToString::to_string).collect();
        let text = match shape {
            0 => compact.join("\n"),
            1 => format!("[{}]", compact.join(",")),
            2 => format!("{{\"a\":[],\"Records\":[{}],\"z\":{{}}}}", compact.join(" , ")),
            3 => compact.concat(),
            4 => format!("{:#}", serde_json::Value::Array(values)),
            _ => values.iter().map(|value| format!("{value:#}\n")).collect(),
        };
        let pieces = split_in_chunks(text.as_bytes(), 7, 1 << 20);
        let read: Vec<String> = pieces
            .iter()
            .map(|(_, bytes)| serde_json::from_slice::<serde_json::Value>(bytes).map(|value| value.to_string()))
            .collect::<Result<_, _>>()
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(read, compact);
    }
}
