//! A service whose disk fills up and gets room again while events flow, and one whose disk is slow.
//!
//! The data lies in a file system in memory that only the service sees, made by `unshare`; it is filled by way of the
//! process's own folder under `/proc`. A slow disk is one whose flushes are: a library that the test builds sleeps before
//! each.

use super::killed::{findings, send, settled};
use super::service::Service;
use super::{events, folder};
use crate::harness::{Folder, tripline};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often it fills up.
const ROUNDS: u64 = 10;

/// What the file system has, and what must stay free.
const DISK_MIB: u64 = 96;
const FREE_MIB: u64 = 16;

/// Whether file systems can be made that only their process sees.
fn may_mount() -> bool {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--map-root-user", "sh", "-c"])
        .arg("mount -t tmpfs -o size=1m tmpfs /mnt");
    command.status().is_ok_and(|status| status.success())
}

/// A service whose data folder is a small file system of its own.
fn on_small_disk(folder: &Folder) -> Service {
    let path = folder.path();
    std::fs::create_dir_all(format!("{path}/data")).expect("a folder");
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--map-root-user", "sh", "-c"])
        .arg(format!(
            "mount -t tmpfs -o size={DISK_MIB}m tmpfs '{path}/data' && exec '{}' serve --config '{path}/tripline.toml'",
            env!("CARGO_BIN_EXE_tripline")
        ))
        .stdin(Stdio::null());
    Service::start_by(command)
}

/// Where the test sees the service's disk.
fn disk(service: &Service, folder: &Folder) -> PathBuf {
    let process = service.process();
    PathBuf::from(format!("/proc/{process}/root{}/data", folder.path()))
}

/// Takes all of the disk but so much.
fn fill(disk: &std::path::Path, left_mib: u64) {
    let file = std::fs::File::create(disk.join("filler")).expect("a file");
    loop {
        let room = rustix::fs::statvfs(disk).expect("it is there");
        let free = room.f_bavail * room.f_frsize;
        let bytes = free.saturating_sub(left_mib << 20).max(1);
        let flags = rustix::fs::FallocateFlags::empty();
        match rustix::fs::fallocate(&file, flags, 0, bytes) {
            Ok(()) => return,
            // The service took some of it meanwhile.
            Err(fault) => assert_eq!(fault, rustix::io::Errno::NOSPC),
        }
    }
}

#[test]
fn a_full_disk_is_told_and_nothing_is_lost() {
    if !may_mount() {
        println!(
            "skipped: a file system of one's own takes `unshare`, and a kernel that lets this user do it"
        );
        return;
    }
    let all = events(2_000);
    let calm = folder("full-calm", "");
    let service = Service::start(&calm);
    for chunk in all.chunks(500) {
        service.publish(chunk);
    }
    service.wait_for(all.len() as u64);
    let wanted = settled(&service);
    assert_eq!(service.terminate(), Some(0));

    let folder = folder("full", "[log]\nsegment_mib = 1\nsize_max_mib = 64\n");
    let config = std::fs::read_to_string(format!("{}/tripline.toml", folder.path()));
    let config = format!(
        "data_free_min_mib = {FREE_MIB}\n{}",
        config.expect("it is there")
    );
    folder.file("tripline.toml", config);
    let service = Mutex::new(Some(on_small_disk(&folder)));
    let disk = disk(
        service
            .lock()
            .expect("nobody panicked")
            .as_ref()
            .expect("it runs"),
        &folder,
    );
    let (is_over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            for chunk in all.chunks(10) {
                send(&service, chunk);
                sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(40));
            }
            is_over.store(true, Ordering::Relaxed);
        });
        let asked = |path: &str| {
            let service = service.lock().expect("nobody panicked");
            service.as_ref().expect("it runs").text(path)
        };
        for round in 0..ROUNDS {
            thread::sleep(Duration::from_millis(300 + round * 131 % 400));
            // Little room, so that events are refused; less, so that nothing is stored either; and none at all.
            fill(&disk, [FREE_MIB - 2, 2, 0][(round % 3) as usize]);
            let (status, told) = {
                let service = service.lock().expect("nobody panicked");
                service
                    .as_ref()
                    .expect("it runs")
                    .post("/v1/events", &all[0])
            };
            assert_eq!(status, 503, "{told}");
            assert!(
                told.contains("data_free_min_mib") && told.contains("make room"),
                "{told}"
            );
            assert!(told.contains(&format!("{}/data", folder.path())), "{told}");
            thread::sleep(Duration::from_millis(700));
            let ready = asked("/readyz");
            assert!(ready.contains("make room"), "{ready}");
            let before = sent.load(Ordering::Relaxed);
            std::fs::remove_file(disk.join("filler")).expect("it was there");
            let begun = Instant::now();
            while !asked("/readyz").contains("\"ready\"") {
                assert!(
                    begun.elapsed() < Duration::from_secs(60),
                    "{}",
                    asked("/readyz")
                );
                thread::sleep(Duration::from_millis(20));
            }
            while sent.load(Ordering::Relaxed) == before && !is_over.load(Ordering::Relaxed) {
                assert!(
                    begun.elapsed() < Duration::from_secs(60),
                    "nothing is taken"
                );
                thread::sleep(Duration::from_millis(20));
            }
        }
    });
    let service = service
        .into_inner()
        .expect("nobody panicked")
        .expect("it runs");
    service.wait_for(all.len() as u64);
    assert_eq!(settled(&service), wanted);
    assert_eq!(findings(&service), wanted);
    let status = service.get("/v1/status");
    assert_eq!(status["tally"]["lost"], 0, "{status}");
    assert_eq!(service.terminate(), Some(0));
}

/// Flushes as a worn or a busy disk does them.
const SLOW: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
static int slow(const char *name, int file) {
    int (*flush)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    usleep(150000);
    return flush(file);
}
int fsync(int file) { return slow("fsync", file); }
int fdatasync(int file) { return slow("fdatasync", file); }
"#;

#[test]
fn a_slow_disk_makes_it_slow_and_nothing_else() {
    let all = events(600);
    let calm = folder("slow-calm", "");
    let service = Service::start(&calm);
    service.publish(&all);
    service.wait_for(all.len() as u64);
    let wanted = settled(&service);
    assert_eq!(service.terminate(), Some(0));

    let folder = folder("slow", "");
    let source = folder.file("slow.c", SLOW);
    let library = format!("{}/slow.so", folder.path());
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o", &library, &source, "-ldl"])
        .status();
    assert!(
        built
            .expect("a C compiler, as some crates need one too")
            .success()
    );
    let start = || {
        let config = format!("{}/tripline.toml", folder.path());
        let mut command = tripline(&["serve", "--config", &config]);
        command.env("LD_PRELOAD", &library);
        Service::start_by(command)
    };
    let begun = Instant::now();
    let mut service = start();
    for (round, part) in all.chunks(200).enumerate() {
        thread::scope(|scope| {
            let service = &service;
            let sender = scope.spawn(|| part.chunks(10).for_each(|chunk| service.publish(chunk)));
            while !sender.is_finished() {
                let asked = Instant::now();
                assert!(service.text("/healthz").contains("alive"));
                assert!(
                    asked.elapsed() < Duration::from_secs(2),
                    "{:?}",
                    asked.elapsed()
                );
                thread::sleep(Duration::from_millis(10));
            }
        });
        assert!(service.text("/readyz").contains("\"ready\""));
        // Killed in the middle of what it stores.
        if round == 1 {
            service.kill();
            service = start();
        }
    }
    assert!(
        begun.elapsed() > Duration::from_millis(1_500),
        "flushes were slow"
    );
    service.wait_evaluated();
    assert_eq!(settled(&service), wanted);
    assert_eq!(service.terminate(), Some(0));
}
