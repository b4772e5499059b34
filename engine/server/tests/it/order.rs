//! Findings come out in input order, the same whatever the number of threads.

use crate::harness::{Folder, other, scan, scan_stdin, seen};
use crate::inputs::gzip;

#[test]
fn one_two_and_eight_threads_say_the_same() {
    let folder = Folder::new("order");
    let event = |number: u64| match number % 7 {
        0 => seen(number),
        // Duplicates of findings in other batches and other files.
        1 => seen(number / 14 * 7),
        2 if number.is_multiple_of(5) => "{\"broken\":".to_owned(),
        _ => other(number),
    };
    for file in 0..6u64 {
        let events: Vec<String> = (0..4000)
            .map(|number| event(number + file * 1000))
            .collect();
        let text = events.join("\n");
        match file % 3 {
            0 => folder.file(&format!("{file}.json"), text),
            1 => folder.file(&format!("{file}.json"), gzip(text.as_bytes())),
            _ => folder.file(&format!("{file}.json"), "{}"),
        };
    }
    let one = scan(&["--threads", "1", &folder.path()]);
    assert!(one.findings.len() > 500, "{}", one.findings.len());
    for threads in ["2", "8"] {
        let many = scan(&["--threads", threads, &folder.path()]);
        assert!(
            many.ran.stdout == one.ran.stdout,
            "{threads} threads give another output"
        );
        assert_eq!(many.ran.stderr, one.ran.stderr);
        assert_eq!(many.account(), one.account());
    }
}

#[test]
fn standard_input_is_in_order_too() {
    let text: String = (0..20_000)
        .map(|number| format!("{}\n", seen(number)))
        .collect();
    let expected: Vec<u64> = (0..20_000).collect();
    for threads in ["1", "4"] {
        let scanned = scan_stdin(&["--threads", threads, "-"], text.as_bytes());
        assert!(scanned.numbers() == expected, "{threads} threads");
    }
}
