//! Every kind of bad input, with an exact account, and what comes after it.

use crate::harness::{Folder, Scanned, data, other, run, scan, scan_stdin, seen};
use crate::inputs::{gzip, zstd};

/// One bad record between two good ones, as lines: it is rejected for this reason, the others are evaluated.
fn check_line(bad: &[u8], reason: &str) {
    let text = [
        seen(1).as_bytes(),
        b"\n",
        bad,
        b"\n",
        seen(3).as_bytes(),
        b"\n",
    ]
    .concat();
    check(&text, reason, 3);
}

/// The same as elements of a compact array.
fn check_element(bad: &[u8], reason: &str) {
    let text = [
        b"[",
        seen(1).as_bytes(),
        b",",
        bad,
        b",",
        seen(3).as_bytes(),
        b"]",
    ]
    .concat();
    check(&text, reason, 3);
}

fn check(text: &[u8], reason: &str, read: u64) {
    let scanned = scan_stdin(&["-"], text);
    let shown = String::from_utf8_lossy(&text[..text.len().min(300)]);
    let wanted =
        format!("read {read}, matched 2, unmatched 0, duplicates 0, rejected 1 ({reason} 1)");
    assert_eq!(scanned.account(), wanted, "{shown}");
    assert_eq!(scanned.lines(), [1, 3], "{shown}");
    assert_eq!(scanned.ran.code, 0);
    let warning = format!("warning: <stdin>:2: {reason}: ");
    assert!(
        scanned.ran.stderr.contains(&warning),
        "{}",
        scanned.ran.stderr
    );
}

#[test]
fn bad_records_of_every_kind() {
    let bomb = |levels: usize| {
        [
            b"{\"a\":".as_slice(),
            &b"[".repeat(levels),
            &b"]".repeat(levels),
            b"}",
        ]
        .concat()
    };
    let kinds: [(&[u8], &str); 12] = [
        (b"{\"a\":\"\xff\xfe\"}", "not_utf8"),
        (&bomb(200), "too_deep"),
        (&bomb(100_000), "too_deep"),
        (b"{\"a\":1,\"a\":2}", "duplicate_key"),
        (b"{\"a\":{\"b\":1,\"\\u0062\":2}}", "duplicate_key"),
        (b"{\"a\":1e999}", "number_out_of_range"),
        (b"{\"a\":NaN}", "not_a_number"),
        (b"{\"a\":-Infinity}", "not_a_number"),
        (b"\"text\"", "not_an_object"),
        (b"17", "not_an_object"),
        (b"{\"a\":01}", "syntax"),
        (b"{\"a\":\"\\x\"}", "syntax"),
    ];
    for (bad, reason) in kinds {
        check_line(bad, reason);
        check_element(bad, reason);
    }
}

#[test]
fn lines_that_are_cut_off_or_no_json() {
    check_line(b"{\"a\":", "truncated");
    check_line(b"{\"a\":[1,2", "truncated");
    check_line(b"{\"a\":{\"b\":1}", "truncated");
    check_line(b"plain text", "syntax");
    check_line(b"2024-01-01 plain text", "not_an_object");
    check_line(b"{\"a\" 1}", "syntax");
    check_line(b"{\"a\":1}}", "syntax");
}

#[test]
fn cut_off_at_the_end() {
    for text in [
        format!("{}\n{}\n{{\"a\":", seen(1), seen(3)),
        format!("[{},{},{{\"a\":", seen(1), seen(3)),
        format!("{{\"Records\":[{},{}", seen(1), seen(3)),
    ] {
        let scanned = scan_stdin(&["-"], text.as_bytes());
        assert_eq!(scanned.numbers(), [1, 3]);
        assert_eq!(
            scanned.account(),
            "read 3, matched 2, unmatched 0, duplicates 0, rejected 1 (truncated 1)"
        );
    }
}

#[test]
fn an_array_that_cannot_be_followed_any_more_says_so() {
    let text = format!("[{},{{\"a\":1]}},{}]", seen(1), seen(3));
    let scanned = scan_stdin(&["-"], text.as_bytes());
    assert_eq!(scanned.numbers(), [1]);
    let wanted =
        "read 3, matched 1, unmatched 0, duplicates 0, rejected 2 (syntax 1, unseparable 1)";
    assert_eq!(scanned.account(), wanted);
    assert!(
        scanned.ran.stderr.contains("is passed over"),
        "{}",
        scanned.ran.stderr
    );
}

#[test]
fn a_line_of_100_megabytes_is_passed_over() {
    let mut text = format!("{}\n{{\"a\":\"", seen(1)).into_bytes();
    text.resize(text.len() + 100_000_000, b'x');
    text.extend(format!("\"}}\n{}\n", seen(3)).into_bytes());
    check(&text, "too_long", 3);
}

#[test]
fn wide_characters_are_one_rejection() {
    let text: Vec<u8> = seen(1).encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [[&[0xff, 0xfe], text.as_slice()].concat(), text] {
        let scanned = scan_stdin(&["-"], &bytes);
        assert_eq!(
            scanned.account(),
            "read 1, matched 0, unmatched 0, duplicates 0, rejected 1 (not_utf8 1)"
        );
        assert!(
            scanned.ran.stderr.contains("convert it to UTF-8"),
            "{}",
            scanned.ran.stderr
        );
    }
}

#[test]
fn empty_inputs_are_told() {
    let folder = Folder::new("empty");
    folder.file("a", b"");
    folder.file("b", b"\n  \n");
    folder.file("c", gzip(b""));
    let scanned = scan(&[&folder.path()]);
    assert_eq!(
        scanned.account(),
        "read 0, matched 0, unmatched 0, duplicates 0, rejected 0"
    );
    assert!(
        scanned.ran.stderr.contains("3 inputs were empty"),
        "{}",
        scanned.ran.stderr
    );
    assert_eq!(scanned.ran.code, 0);
}

fn fault_of(scanned: &Scanned) -> &str {
    scanned.statistics["inputs"][0]["fault"]
        .as_str()
        .unwrap_or("")
}

#[test]
fn what_was_decompressed_before_a_fault_is_used() {
    let folder = Folder::new("cut");
    let text: String = (0..5000)
        .map(|number| format!("{}\n", other(number * 7919)))
        .collect();
    let text = format!("{}\n{text}", seen(1));
    for whole in [gzip(text.as_bytes()), zstd(text.as_bytes())] {
        let path = folder.file("cut", &whole[..whole.len() / 2]);
        let scanned = scan(&[&path]);
        assert_eq!(scanned.numbers(), [1]);
        assert_eq!(fault_of(&scanned), "compression_truncated");
        assert_eq!(scanned.ran.code, 2);
        assert!(
            scanned.ran.stderr.contains("data ends early"),
            "{}",
            scanned.ran.stderr
        );
        let mut corrupt = whole.clone();
        let middle = corrupt.len() / 2;
        corrupt[middle..middle + 40].fill(0x55);
        let path = folder.file("corrupt", &corrupt);
        let scanned = scan(&[&path]);
        assert_eq!(fault_of(&scanned), "compression_corrupt");
        assert_eq!(scanned.ran.code, 2);
    }
}

#[test]
fn what_follows_a_gzip_stream_is_told_from_one_cut_short() {
    let text = format!("{}\n", seen(1));
    let whole = gzip(text.as_bytes());
    let check = |tail: &[u8], fault: &str, code: i32| {
        let folder = Folder::new("tail");
        let path = folder.file("tail.gz", [&whole, tail].concat());
        let scanned = scan(&[&path]);
        assert_eq!(scanned.numbers(), [1], "{tail:?}");
        assert_eq!(
            (fault_of(&scanned), scanned.ran.code),
            (fault, code),
            "{tail:?}"
        );
        scanned.ran.stderr
    };
    for tail in [
        b"x".as_slice(),
        b"garbage that is longer than a header",
        b"\0\0x",
    ] {
        let stderr = check(tail, "trailing_garbage", 2);
        let words = "trailing garbage after the gzip stream; what came before was used";
        assert!(stderr.contains(words), "{stderr}");
    }
    check(&whole[..7], "compression_truncated", 2);
    check(&whole[..1], "compression_truncated", 2);
    // Padding of blocks, as `gzip` has it.
    check(&[0; 512], "", 0);
}

#[test]
fn an_input_not_read_to_its_end_is_told_by_the_exit_code() {
    let folder = Folder::new("unread");
    let whole = gzip(format!("{}\n", seen(1)).as_bytes());
    let cut = folder.file("cut.gz", &whole[..whole.len() - 4]);
    folder.file("whole.json", seen(2));
    // However it was named, and whatever was found.
    for path in [&cut, &folder.path()] {
        assert_eq!(scan(&[path]).ran.code, 2);
        assert_eq!(scan(&["--fail-on", "low", path]).ran.code, 2);
    }
    assert_eq!(scan_stdin(&["-"], &whole[..whole.len() - 4]).ran.code, 2);
    assert_eq!(scan_stdin(&["-"], &whole).ran.code, 0);
}

#[cfg(unix)]
#[test]
fn a_link_to_nothing_in_a_folder_is_told_by_the_exit_code() {
    let folder = Folder::new("dangling");
    folder.file("a.json", seen(1));
    let link = format!("{}/b.json", folder.path());
    std::os::unix::fs::symlink("nowhere", link).expect("a link");
    let scanned = scan(&[&folder.path()]);
    assert_eq!((scanned.ran.code, scanned.numbers()), (2, vec![1]));
}

#[test]
fn other_formats_are_named() {
    let folder = Folder::new("formats");
    let path = folder.file("a.bz2", b"BZh91AY&SY123");
    let scanned = scan(&[&path]);
    assert_eq!(scanned.ran.code, 2);
    assert!(
        scanned
            .ran
            .stderr
            .contains("looks like bzip2, which is not read"),
        "{}",
        scanned.ran.stderr
    );
    let event = seen(1).into_bytes();
    let mut tar = vec![0; 512];
    tar[..6].copy_from_slice(b"a.json");
    tar[257..262].copy_from_slice(b"ustar");
    tar.extend_from_slice(&event);
    for (bytes, words) in [
        (gzip(&gzip(&event)), "data compressed twice"),
        (gzip(&zstd(&event)), "data compressed twice"),
        (zstd(b"BZh91AY&SY123"), "bzip2"),
        (tar.clone(), "a tar archive"),
        (gzip(&tar), "a tar archive"),
    ] {
        let scanned = scan(&[&folder.file("a.bz2", bytes)]);
        assert_eq!(scanned.ran.code, 2, "{words}");
        let words = format!("a.bz2: looks like {words}, which is not read");
        assert!(
            scanned.ran.stderr.contains(&words),
            "{}",
            scanned.ran.stderr
        );
    }
    folder.file("b.json", seen(1));
    // Found in a folder, not asked for by name: told, and the others go on.
    let scanned = scan(&[&folder.path()]);
    assert_eq!((scanned.ran.code, scanned.numbers()), (0, vec![1]));
}

#[cfg(unix)]
#[test]
fn files_without_permission_are_told() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("permission");
    let path = folder.file("a.json", seen(1));
    folder.file("b.json", seen(2));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).expect("permissions");
    if std::fs::read(&path).is_ok() {
        println!("skipped: this user may read everything");
        return;
    }
    let scanned = scan(&[&folder.path()]);
    assert_eq!((scanned.ran.code, scanned.numbers()), (2, vec![2]));
    assert!(
        scanned.ran.stderr.contains("Permission denied"),
        "{}",
        scanned.ran.stderr
    );
    assert_eq!(scan(&[&path]).ran.code, 2);
}

#[test]
fn strict_stops_at_the_first_rejected_record() {
    let text = format!("{}\nbroken\n{}\n", seen(1), seen(3));
    let scanned = scan_stdin(&["--strict", "-"], text.as_bytes());
    assert_eq!(scanned.ran.code, 3);
    assert_eq!(scanned.numbers(), [1]);
    assert!(
        scanned.ran.stderr.contains("<stdin>:2: syntax"),
        "{}",
        scanned.ran.stderr
    );
    let text = format!("{}\n{}\n", seen(1), seen(3));
    assert_eq!(scan_stdin(&["--strict", "-"], text.as_bytes()).ran.code, 0);
    let cut = gzip(text.as_bytes());
    assert_eq!(
        scan_stdin(&["--strict", "-"], &cut[..cut.len() - 4])
            .ran
            .code,
        3
    );
}

#[test]
fn only_the_first_few_of_each_kind_are_shown() {
    let text: String = (0..50)
        .map(|number| format!("broken {number}\n{{\"a\":{number}\n"))
        .collect();
    let scanned = scan_stdin(&["-"], text.as_bytes());
    let wanted =
        "read 100, matched 0, unmatched 0, duplicates 0, rejected 100 (syntax 50, truncated 50)";
    assert_eq!(scanned.account(), wanted);
    let shown = scanned.ran.stderr.matches("warning: <stdin>:").count();
    assert_eq!(shown, 6, "{}", scanned.ran.stderr);
    assert!(
        scanned.ran.stderr.contains("47 more truncated"),
        "{}",
        scanned.ran.stderr
    );
}

/// Events of another source than the rules: told apart from what a rule should have decided, and balanced.
#[test]
fn rules_of_another_source_are_not_applicable() {
    let rules = data("rules-of-sources");
    let foreign = r#"{"startTime":"t"}"#;
    let partial = r#"{"eventName":"Seen"}"#;
    let matching = r#"{"readOnly":true,"n":3}"#;
    let text = [foreign, foreign, partial, matching].join("\n");
    let folder = Folder::new("sources");
    let path = folder.file("events.jsonl", &text);
    let statistics = format!("{}/statistics.json", folder.path());
    let scan = |more: &[&str]| {
        let arguments = ["scan", "--format", "jsonl", "--rules", &rules, &path];
        run(&[&arguments[..], more].concat())
    };
    // The second foreign record has the same bytes as the first: a duplicate.
    let ran = scan(&["--stats-format", "json", "--stats-output", &statistics]);
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
    let text = std::fs::read_to_string(&statistics).expect("statistics");
    let statistics: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let summary = &statistics["summary"];
    assert_eq!(
        (&summary["indeterminate"], &summary["not_applicable"]),
        (&1.into(), &1.into())
    );
    let rule = &statistics["rules"][0];
    assert_eq!(rule["indeterminate"], 1, "{text}");
    assert_eq!(rule["matches"], 1, "{text}");
    let told = "1 verdict not applicable: the event is of another source than the rule\n";
    for ran in [ran, scan(&[])] {
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
        assert!(
            ran.stderr.contains("1 verdict could not be decided"),
            "{}",
            ran.stderr
        );
    }
}
