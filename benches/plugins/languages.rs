//! The same rule as a plugin in every language, beside the guest's own source compiled for this machine.

use crate::measure::in_turn;
use crate::pack::Packer;
use crate::rule::{finds, rows};
use crate::{detect, load, native};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tripline_host::{Host, Plugin};

/// Rows of a batch.
const ROWS: usize = 256;

/// A plugin to be measured.
pub(crate) struct Guest {
    pub(crate) name: String,
    pub(crate) component: Vec<u8>,
    pub(crate) manifest: String,
}

/// The same rule in other languages: each folder that has what `tripline plugin build` makes of it. Names of those that
/// have not are printed.
pub(crate) fn of_languages(folder: &Path) -> Vec<Guest> {
    let mut guests = Vec::new();
    for language in ["c", "go", "javascript", "python"] {
        let folder = folder.join(language);
        let manifest = fs::read_to_string(folder.join("plugin.toml")).expect("a manifest");
        let built = fs::read_dir(&folder).expect("a folder").flatten();
        let mut built = built.map(|entry| entry.path()).filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with("bench-") && name.ends_with(".wasm"))
        });
        match built.next() {
            Some(path) => guests.push(Guest {
                name: language.to_owned(),
                component: fs::read(path).expect("it was built"),
                manifest,
            }),
            None => println!(
                "left out: {language}, until `tripline plugin build {}`\n",
                folder.display()
            ),
        }
    }
    guests
}

/// Nanoseconds an event of each guest, in batches of 256 rows that are packed from structs.
pub(crate) fn languages(host: &Host, guests: &[Guest], sample: Duration) {
    let rows = rows(ROWS);
    let found = rows.iter().filter(|row| finds(row)).count();
    let mut packer = Packer::new();
    let packed = packer.pack_rows(&rows).to_vec();
    assert_eq!(native::finds(&packed), found, "the same is read");
    let plugins: Vec<[Plugin; 2]> = guests
        .iter()
        .map(|guest| {
            let reusing = guest.manifest.replace("per-batch", "reused");
            let manifests = [&guest.manifest, &reusing];
            manifests.map(|manifest| load(host, &guest.component, manifest))
        })
        .collect();
    for (guest, plugins) in guests.iter().zip(&plugins) {
        for plugin in plugins {
            let is = detect(plugin, &packed, ROWS);
            assert_eq!(is, found, "the guest in {} agrees", guest.name);
        }
    }
    let mut packs = || packer.pack_rows(&rows).len();
    let mut reads = || native::finds(&packed);
    let batch = packed.as_slice();
    let mut calls: Vec<_> = plugins
        .iter()
        .flatten()
        .map(|plugin| move || detect(plugin, batch, ROWS))
        .collect();
    let mut works: Vec<&mut dyn FnMut() -> usize> = vec![&mut packs, &mut reads];
    for call in &mut calls {
        works.push(call);
    }
    let figures = in_turn(sample, ROWS, &mut works);
    let [packing, native, of_guests @ ..] = &figures[..] else {
        panic!("two figures and those of guests");
    };
    println!("### guests in batches of {ROWS}, ns an event\n");
    println!("packing {packing:.1}, native on the packed batch {native:.1}\n");
    println!(
        "| guest | KiB | reused | / native | reused + packing | / native + packing | fresh | fresh + packing | / native + packing |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let (figures, _) = of_guests.as_chunks::<2>();
    for (guest, [fresh, reused]) in guests.iter().zip(figures) {
        let whole = native + packing;
        let (once, again) = (fresh + packing, reused + packing);
        println!(
            "| {} | {} | {reused:.1} | {:.2} | {again:.1} | {:.2} | {fresh:.1} | {once:.1} | {:.2} |",
            guest.name,
            guest.component.len() / 1024,
            reused / native,
            again / whole,
            once / whole
        );
    }
    println!();
}
