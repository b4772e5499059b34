//! Compiled plugins on disk: only what this host wrote is loaded, whatever is done to the folder.

use crate::guest::{
    batch, component, echo, folder, load_into, manifest, module, numbers, settings,
};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tripline_host::operator::Rights;
use tripline_host::{CacheCounts, Host, Plugin};

fn open(folder: &Path) -> Host {
    let mut settings = settings();
    settings.cache = Some(folder.to_owned());
    Host::open(settings).expect("the host opens")
}

fn load(host: &Host) -> Plugin {
    let component = component("enricher", &echo());
    load_into(
        host,
        &component,
        manifest("enricher", ""),
        Rights::default(),
    )
    .expect("it loads")
}

fn works(plugin: &Plugin) -> bool {
    let bytes = numbers(&[1]);
    plugin.enrich(&batch(&bytes, 1)).is_ok()
}

fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_wanted = |path: &PathBuf| path.to_string_lossy().ends_with(suffix);
    paths.filter(is_wanted).collect()
}

/// The one compiled plugin in the folder.
fn file(folder: &Path) -> PathBuf {
    let mut files = files(folder, ".cwasm");
    assert_eq!(files.len(), 1);
    files.remove(0)
}

const MISSED: CacheCounts = CacheCounts {
    hits: 0,
    misses: 1,
    refused: 0,
    unwritten: 0,
};
const HIT: CacheCounts = CacheCounts {
    hits: 1,
    misses: 0,
    refused: 0,
    unwritten: 0,
};
const REFUSED: CacheCounts = CacheCounts {
    hits: 0,
    misses: 0,
    refused: 1,
    unwritten: 0,
};

#[test]
fn what_was_compiled_once_is_loaded() {
    let folder = folder("cache-once");
    let host = open(&folder);
    assert!(works(&load(&host)));
    assert_eq!(host.cache_counts(), MISSED);
    let host = open(&folder);
    assert!(works(&load(&host)));
    assert_eq!(host.cache_counts(), HIT);
    let mode = |path: &Path| {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&file(&folder)), 0o600);
    assert_eq!(mode(&folder.join("machine.key")), 0o600);
    assert_eq!(files(&folder, ".tmp"), Vec::<PathBuf>::new());
}

/// Does something to the file; it is compiled anew and is good again.
fn check(name: &str, change: impl Fn(&Path), expected: CacheCounts) {
    let folder = folder(name);
    load(&open(&folder));
    let path = file(&folder);
    change(&path);
    let host = open(&folder);
    assert!(works(&load(&host)));
    assert_eq!(host.cache_counts(), expected, "{name}");
    let host = open(&folder);
    assert!(works(&load(&host)));
    assert_eq!(host.cache_counts(), HIT, "{name}, mended");
}

#[test]
fn a_file_that_was_changed_is_compiled_anew() {
    let flip = |at: usize| {
        move |path: &Path| {
            let mut bytes = fs::read(path).expect("the file");
            let at = at.min(bytes.len() - 1);
            bytes[at] ^= 1;
            fs::write(path, bytes).expect("written");
        }
    };
    // The magic, the MAC, the code's head, its middle, its end.
    check("cache-flip-magic", flip(0), REFUSED);
    check("cache-flip-mac", flip(20), REFUSED);
    check("cache-flip-head", flip(60), REFUSED);
    check("cache-flip-middle", flip(5000), REFUSED);
    check("cache-flip-end", flip(usize::MAX), REFUSED);
}

#[test]
fn a_file_that_was_cut_or_replaced_is_compiled_anew() {
    let cut = |length: u64| {
        move |path: &Path| {
            let file = fs::File::options()
                .write(true)
                .open(path)
                .expect("the file");
            file.set_len(length).expect("cut");
        }
    };
    check("cache-cut", cut(1000), REFUSED);
    check("cache-cut-mac", cut(39), REFUSED);
    check("cache-empty", cut(0), REFUSED);
    check(
        "cache-sparse",
        |path| {
            let file = fs::File::options()
                .write(true)
                .open(path)
                .expect("the file");
            file.set_len(1 << 40).expect("grown");
        },
        REFUSED,
    );
    check(
        "cache-foreign",
        |path| {
            // Code without a seal.
            let sealed = fs::read(path).expect("the file");
            fs::write(path, &sealed[40..]).expect("written");
        },
        REFUSED,
    );
    check(
        "cache-gone",
        |path| fs::remove_file(path).expect("removed"),
        MISSED,
    );
}

#[test]
fn links_and_files_of_others_are_not_followed() {
    check(
        "cache-link",
        |path| {
            let elsewhere = path.with_extension("elsewhere");
            fs::rename(path, &elsewhere).expect("moved");
            symlink(&elsewhere, path).expect("a link");
        },
        REFUSED,
    );
    check(
        "cache-open-to-all",
        |path| fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("opened"),
        REFUSED,
    );
}

#[test]
fn a_good_file_under_another_name_is_not_loaded() {
    let folder = folder("cache-swapped");
    let host = open(&folder);
    load(&host);
    let first = file(&folder);
    let other = component("enricher", &module(&crate::guest::enrich("unreachable")));
    let manifest = || manifest("enricher", "");
    let plugin = load_into(&host, &other, manifest(), Rights::default()).expect("it loads");
    assert!(!works(&plugin));
    let both = files(&folder, ".cwasm");
    let second = both.iter().find(|path| **path != first).expect("another");
    fs::copy(second, &first).expect("swapped");
    let host = open(&folder);
    assert!(works(&load(&host)), "it is still itself");
    assert_eq!(host.cache_counts(), REFUSED);
}

#[test]
fn files_of_another_engine_are_not_looked_at() {
    check(
        "cache-older",
        |path| {
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let (digest, _) = name.split_once('-').expect("two parts");
            let older = format!("{digest}-{}.cwasm", "0".repeat(32));
            fs::rename(path, path.with_file_name(older)).expect("renamed");
        },
        MISSED,
    );
}

#[test]
fn under_another_key_nothing_is_loaded() {
    check(
        "cache-other-key",
        |path| fs::write(path.with_file_name("machine.key"), [7; 64]).expect("written"),
        REFUSED,
    );
    check(
        "cache-no-key",
        |path| fs::remove_file(path.with_file_name("machine.key")).expect("removed"),
        REFUSED,
    );
    // A key that others could read is no key.
    check(
        "cache-open-key",
        |path| {
            let key = path.with_file_name("machine.key");
            fs::set_permissions(key, fs::Permissions::from_mode(0o644)).expect("opened");
        },
        REFUSED,
    );
}

#[test]
fn a_file_that_changes_under_a_running_plugin_changes_nothing() {
    let folder = folder("cache-running");
    load(&open(&folder));
    let host = open(&folder);
    let plugin = load(&host);
    assert_eq!(host.cache_counts(), HIT);
    let path = file(&folder);
    let length = fs::metadata(&path).expect("the file").len() as usize;
    fs::write(&path, vec![0xcc; length]).expect("overwritten");
    assert!(works(&plugin));
    fs::remove_dir_all(&folder).expect("removed");
    assert!(works(&plugin));
}

#[test]
fn a_folder_that_is_a_link_is_refused() {
    let real = folder("cache-real");
    let link = folder("cache-linked");
    fs::create_dir_all(&real).expect("a folder");
    let _ = fs::remove_file(&link);
    symlink(&real, &link).expect("a link");
    let mut settings = settings();
    settings.cache = Some(link.clone());
    let error = Host::open(settings).expect_err("it is a link");
    assert!(error.to_string().contains("cannot be used"), "{error}");
    fs::remove_file(&link).expect("removed");
}
