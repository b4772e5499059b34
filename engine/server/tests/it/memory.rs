//! Memory stays bounded while input streams.

#![cfg(target_os = "linux")]

use crate::harness::{Folder, data, other, tripline};
use std::io::{Read, Write};
use std::process::Stdio;

/// Peak resident memory of a process so far, in bytes.
fn peak_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap_or_default();
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    digits.parse::<u64>().unwrap_or(0) * 1024
}

/// 300 MB through standard input, with one record far too long, in less than 200 MB.
#[test]
fn a_long_stream_takes_little_memory() {
    let mut child = tripline(&["scan", "--format", "jsonl", "--rules", &data("rules"), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("it has standard input");
    let pad = "x".repeat(1300);
    let (mut sent, mut number) = (0, 0);
    while sent < 300_000_000 {
        let mut text = String::new();
        for _ in 0..500 {
            let event = other(number);
            text.push_str(&format!(
                "{},\"pad\":\"{pad}\"}}\n",
                &event[..event.len() - 1]
            ));
            number += 1;
        }
        sent += text.len();
        stdin.write_all(text.as_bytes()).expect("it reads on");
        if number == 50_000 {
            let long = "y".repeat(1 << 20);
            stdin.write_all(b"{\"a\":\"").expect("it reads on");
            for _ in 0..60 {
                stdin.write_all(long.as_bytes()).expect("it reads on");
            }
            stdin.write_all(b"\"}\n").expect("it reads on");
        }
    }
    stdin.flush().expect("it reads on");
    let peak = peak_bytes(child.id());
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("1 rejected (1 too_long)"), "{stderr}");
    assert!(peak > 0 && peak < 200_000_000, "peak {peak} bytes");
}

/// Many rules that all match large events: each finding holds the event again, so that the findings of one batch
/// are much more than the batch.
#[test]
fn many_findings_of_large_events_take_little_memory() {
    let folder = Folder::new("many");
    for rule in 0..150 {
        folder.file(
            &format!("rules/rule-{rule}/rule.toml"),
            format!(
                "id = \"rule-{rule}\"\nname = \"a\"\ndescription = \"a\"\nseverity = \"low\"\nstatus = \"test\"\nwhen = 'has(event.n)'\n"
            ),
        );
    }
    let pad = "x".repeat(2_000_000);
    let text: String = (0..4)
        .map(|number| format!("{{\"n\":{number},\"pad\":\"{pad}\"}}\n"))
        .collect();
    let input = folder.file("events.jsonl", text);
    let rules = format!("{}/rules", folder.path());
    let mut child = tripline(&["scan", "--format", "jsonl", "--rules", &rules, &input])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let process = child.id();
    let mut stdout = child.stdout.take().expect("it has standard output");
    let (mut read, mut peak) = (0, 0);
    let mut buffer = vec![0; 1 << 20];
    while let Ok(length) = stdout.read(&mut buffer)
        && length > 0
    {
        read += length;
        peak = peak.max(peak_bytes(process));
    }
    assert!(child.wait().expect("it ends").success());
    assert!(read > 4 * 150 * pad.len(), "{read} bytes");
    assert!(peak > 0 && peak < 200_000_000, "peak {peak} bytes");
}
