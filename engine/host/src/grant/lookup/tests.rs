//! Tables are read, keys found, and what is no table is refused with its row.

use super::*;
use crate::batch::{BatchView, Cell, ColumnKind};
use crate::grant::FaultKind;

fn table(form: &str, text: &str) -> Table {
    Table::read(form, text.as_bytes().to_vec()).expect("the table is sound")
}

/// The cells of the answer, row by row.
fn find(table: &Table, kinds: &[ColumnKind], keys: &[&str]) -> Vec<String> {
    let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    let bytes = table.find(&keys).expect("it is within bounds");
    let view = BatchView::read(&bytes, keys.len(), kinds).expect("the batch is sound");
    let shown = |cell: Option<Cell<'_>>| match cell {
        None => "-".to_owned(),
        Some(Cell::Text(text) | Cell::Json(text)) => text.to_owned(),
        Some(Cell::Int(number)) => format!("{number}i"),
        Some(Cell::Float(number)) => format!("{number}f"),
        Some(Cell::Bool(flag)) => flag.to_string(),
    };
    let row = |row: usize| {
        let cells = view.columns().iter();
        let cells = cells.map(|column| shown(column.cell(row).expect("the cell is sound")));
        cells.collect::<Vec<_>>().join(" ")
    };
    (0..keys.len()).map(row).collect()
}

fn check_fault(form: &str, text: &str, expected: &str) {
    let fault = Table::read(form, text.as_bytes().to_vec())
        .expect_err(expected)
        .to_string();
    assert!(fault.contains(expected), "wanted {expected}: {fault}");
}

const TEXTS: [ColumnKind; 2] = [ColumnKind::Text; 2];

#[test]
fn exact_keys_are_found() {
    let text = "\u{feff}host,owner,note\nweb-1,ann,\"a, \"\"b\"\"\"\nweb-2,bob,\n0012,é,x\n";
    let table = table("csv", text);
    assert_eq!(table.columns(), ["owner", "note"]);
    let found = find(
        &table,
        &TEXTS,
        &["web-2", "web-1", "WEB-1", "", "0012", "12", "web-2"],
    );
    assert_eq!(
        found,
        ["bob -", "ann a, \"b\"", "- -", "- -", "é x", "- -", "bob -"]
    );
    assert_eq!(find(&table, &TEXTS, &[]), Vec::<String>::new());
}

#[test]
fn the_longest_prefix_counts() {
    let text = "network,name\n10.0.0.0/8,ten\n10.1.0.0/16,ten-one\n10.1.2.0/24,inner\n10.1.2.3,host\n\
        0.0.0.0/0,all\n255.255.255.255/32,last\n2001:db8::/32,doc\n2001:db8:1::/48,doc-one\n::/128,none\n";
    let table = table("csv", text);
    for (key, expected) in [
        ("10.1.2.3", "host"),
        ("10.1.2.4", "inner"),
        ("10.1.3.0", "ten-one"),
        ("10.2.0.0", "ten"),
        ("11.0.0.0", "all"),
        ("9.255.255.255", "all"),
        ("0.0.0.0", "all"),
        ("255.255.255.255", "last"),
        ("255.255.255.254", "all"),
        ("::ffff:10.1.2.3", "host"),
        ("2001:db8::1", "doc"),
        ("2001:db8:1::1", "doc-one"),
        ("2001:db8:2::", "doc"),
        ("2001:db9::", "-"),
        ("::", "none"),
        ("::1", "-"),
        ("10.1.2", "-"),
        ("10.1.2.3/32", "-"),
        ("x", "-"),
        ("010.1.2.3", "-"),
    ] {
        assert_eq!(find(&table, &TEXTS[..1], &[key]), [expected], "{key}");
    }
    let by_form = self::table("csv", "range,name\n10.0.0.0/8,ten\n");
    assert_eq!(
        find(&by_form, &TEXTS[..1], &["10.9.9.9", "10.0.0.0/8"]),
        ["ten", "-"]
    );
    let mixed = self::table("csv", "range,name\n10.0.0.0/8,ten\nother,x\n");
    assert_eq!(
        find(&mixed, &TEXTS[..1], &["10.9.9.9", "10.0.0.0/8"]),
        ["-", "ten"]
    );
    let twins = self::table(
        "csv",
        "network,name\n10.0.0.0/9,a\n10.128.0.0/9,b\n10.128.0.0/10,c\n",
    );
    let found = find(
        &twins,
        &TEXTS[..1],
        &["10.127.255.255", "10.128.0.0", "10.192.0.0", "11.0.0.0"],
    );
    assert_eq!(found, ["a", "c", "b", "-"]);
}

#[test]
fn prefixes_agree_with_looking_at_each() {
    let mut seed = 1u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as u32
    };
    let mut networks = std::collections::BTreeMap::new();
    for row in 0..300 {
        let length = next() % 33;
        let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
        // Few different beginnings, so that networks nest.
        networks.insert(((next() & 0x0303_0303) & mask, length), row);
    }
    let mut text = "network,row\n".to_owned();
    for ((first, length), row) in &networks {
        text.push_str(&format!(
            "{}/{length},{row}\n",
            std::net::Ipv4Addr::from(*first)
        ));
    }
    let table = table("csv", &text);
    for _ in 0..2000 {
        let address = next() & 0x0707_0707;
        let holds = |((first, length), _): &(&(u32, u32), &i32)| {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            address & mask == *first
        };
        let best = networks
            .iter()
            .filter(holds)
            .max_by_key(|((_, length), _)| *length);
        let expected = best.map_or("-".to_owned(), |(_, row)| row.to_string());
        let key = std::net::Ipv4Addr::from(address).to_string();
        assert_eq!(find(&table, &TEXTS[..1], &[&key]), [expected], "{key}");
    }
}

#[test]
fn json_has_kinds() {
    use ColumnKind::{Bool, Float, Int, Json, Text};
    let list = r#"[{"id": "a", "n": 1, "x": 1, "ok": true, "t": "é", "any": [1]},
        {"id": 7, "n": null, "x": 2.5, "ok": false, "any": "s"}, {"n": -3, "id": "c"}]"#;
    let list = table("json", list);
    assert_eq!(list.columns(), ["n", "x", "ok", "t", "any"]);
    let found = find(
        &list,
        &[Int, Float, Bool, Text, Json],
        &["a", "7", "c", "n"],
    );
    assert_eq!(
        found,
        [
            "1i 1f true é [1]",
            "- 2.5f false - \"s\"",
            "-3i - - - -",
            "- - - - -"
        ]
    );
    let object = table(
        "json",
        r#"{"10.0.0.0/8": {"name": "ten"}, "::/0": {"name": "six"}}"#,
    );
    assert_eq!(
        find(&object, &[Text], &["10.1.1.1", "::1", "11.0.0.0"]),
        ["ten", "six", "-"]
    );
    let nulls = table("json", r#"{"a": {"x": null}}"#);
    assert_eq!(find(&nulls, &[Json], &["a", "b"]), ["-", "-"]);
}

#[test]
fn what_is_no_table_is_refused() {
    check_fault("xlsx", "", "ends in .csv");
    check_fault("csv", "", "names no columns");
    check_fault("csv", "host\na\n", "no column beside the key");
    check_fault("csv", "host,a,a\n", "two columns `a`");
    check_fault("csv", "host,\n", "a name of 0 bytes");
    check_fault(
        "csv",
        "host,a\nx,1\nx,2\n",
        "row 2: the key is that of row 1 too",
    );
    check_fault("csv", "host,a\n,1\n", "row 1: the key has 0 bytes");
    check_fault("csv", "host,a\nx,1,2\n", "no CSV");
    check_fault(
        "csv",
        "network,a\n10.0.0.0/8,1\nx,2\n",
        "row 2: the key is no network",
    );
    for bad in [
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "::/129",
        "10.0.0/8",
    ] {
        check_fault(
            "csv",
            &format!("network,a\n{bad},1\n"),
            "row 1: the key is no network",
        );
    }
    check_fault(
        "csv",
        "network,a\n10.0.0.0/8,1\n10.0.0.0/8,2\n",
        "row 2: the key is that of row 1 too",
    );
    let wide: Vec<String> = (0..65).map(|at| format!("c{at}")).collect();
    check_fault(
        "csv",
        &format!("{}\n", wide.join(",")),
        "more than 64 columns",
    );
    check_fault(
        "csv",
        &format!("host,a\nx,{}\n", "y".repeat(70_000)),
        "row 1: a cell has 70000 bytes",
    );
    check_fault("json", "{", "no JSON");
    check_fault("json", "1", "neither a list nor an object");
    check_fault("json", "[]", "does not begin with an object");
    check_fault("json", "[1]", "does not begin with an object");
    check_fault(
        "json",
        r#"[{"id": "a", "n": 1}, {"n": 2}]"#,
        "row 2: `id`, the key",
    );
    check_fault(
        "json",
        r#"[{"id": "a", "n": 1}, 2]"#,
        "row 2: `id`, the key",
    );
    check_fault("json", r#"{"a": 1}"#, "row 1: this is no object");
    check_fault("json", r#"[{"id": "a"}]"#, "no column beside the key");
    check_fault("json", &"[".repeat(10_000), "no JSON");
    check_fault("mmdb", "x", "no MaxMind database");
    assert!(Table::read("csv", b"host,a\n\xff,1\n".to_vec()).is_err());
}

#[test]
fn answers_are_bounded() {
    let table = table("csv", &format!("host,a\nx,{}\n", "y".repeat(60_000)));
    let fault = table
        .find(&vec!["x".to_owned(); 4097])
        .expect_err("too many");
    assert_eq!(fault.kind, FaultKind::Limit);
    let fault = table
        .find(&vec!["x".to_owned(); 100])
        .expect_err("too large");
    assert!(
        fault.kind == FaultKind::Limit && fault.message.contains("4194304 bytes"),
        "{fault}"
    );
    let long = "k".repeat(5000);
    assert_eq!(find(&table, &TEXTS[..1], &[&long]), ["-"]);
}

/// Part of the output of `mmdbwriter`-like tools, made by hand: a tree of one node over IPv4, of which the lower half
/// has a record.
fn mmdb(kind: &str, record: &[u8]) -> Vec<u8> {
    let text = |text: &str| [&[0x40 | text.len() as u8], text.as_bytes()].concat();
    // A node of two records of 24 bits: 1 node, so that 1 is "nothing" and 17 is the beginning of the data.
    let mut bytes = vec![0, 0, 17, 0, 0, 1];
    bytes.extend([0; 16]);
    bytes.extend(record);
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    bytes.push(0xe0 | 9);
    let mut field = |name: &str, value: &[u8]| {
        bytes.extend(text(name));
        bytes.extend(value);
    };
    field("node_count", &[0xc1, 1]);
    field("record_size", &[0xa1, 24]);
    field("ip_version", &[0xa1, 4]);
    field("database_type", &text(kind));
    field("languages", &[0x00, 0x04]);
    field("binary_format_major_version", &[0xa1, 2]);
    field("binary_format_minor_version", &[0xa1, 0]);
    field("build_epoch", &[0x01, 0x02, 1]);
    field("description", &[0xe0]);
    bytes
}

#[test]
fn databases_of_maxmind_are_read() {
    let text = |text: &str| [&[0x40 | text.len() as u8], text.as_bytes()].concat();
    let asn = [
        vec![0xe2],
        text("autonomous_system_number"),
        vec![0xc2, 0x01, 0x00],
        text("autonomous_system_organization"),
        text("Example"),
    ];
    // Lengths from 29 on are written in a byte of their own.
    let mut asn = asn.concat();
    let at = asn
        .windows(30)
        .position(|part| part == b"autonomous_system_organization")
        .expect("it is there");
    asn.splice(at - 1..at, [0x5d, 30 - 29]);
    let table = Table::read("mmdb", mmdb("GeoLite2-ASN", &asn)).expect("it is sound");
    assert_eq!(table.columns(), ["asn", "organization"]);
    let kinds = [ColumnKind::Int, ColumnKind::Symbol];
    let found = find(
        &table,
        &kinds,
        &["1.2.3.4", "::ffff:1.2.3.4", "200.1.1.1", "::1", "x"],
    );
    assert_eq!(found, ["256i Example", "256i Example", "- -", "- -", "- -"]);
    let other = [vec![0xe1], text("a"), text("b")].concat();
    let table = Table::read("mmdb", mmdb("Own", &other)).expect("it is sound");
    assert_eq!(table.columns(), ["record"]);
    assert_eq!(
        find(&table, &[ColumnKind::Json], &["1.2.3.4"]),
        ["{\"a\":\"b\"}"]
    );
    let sound = mmdb("GeoLite2-ASN", &asn);
    for at in 0..sound.len() {
        for value in [0, 0x1f, 0x7f, 0xff] {
            let mut bytes = sound.clone();
            bytes[at] = value;
            if let Ok(table) = Table::read("mmdb", bytes) {
                let _ = table.find(&["1.2.3.4".to_owned(), "200.1.1.1".to_owned()]);
            }
        }
    }
}
