//! What a component says of where it comes from: who made it with what, and which packages are in it.
//!
//! Relies on nothing but its custom sections, by the names that others use: `producers` and the notes of `wasm-tools
//! metadata`, and the packages of cargo-auditable in `.dep-v0`; their licenses, for which nobody has a section, are in one
//! of our own. It is what the maker says, as good as the signature over it, and decides nothing. Modules within count
//! too, since compilers write there. Everything is bounded, and what is passed over is told: a list that looks whole
//! and is not would be worse than none. The crate `wasm-metadata` was rejected for reading: it holds nothing to a bound.

use crate::limits::{
    NOTE_BYTES_MAX, NOTES_MAX, PACKAGE_LIST_BYTES_MAX, PACKAGES_MAX, PRODUCERS_MAX,
};
use flate2::read::ZlibDecoder;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Read;
use wasmparser::{BinaryReader, Parser, Payload, ProducersSectionReader};

/// The custom section with the packages, as cargo-auditable has it: JSON under zlib.
pub const PACKAGES_SECTION: &str = ".dep-v0";

/// The custom section with the licenses of packages: a JSON object of `"NAME VERSION": "LICENSE"`.
pub const LICENSES_SECTION: &str = "tripline:licenses";

/// The notes that are looked at, in the order in which they are told.
pub const NOTES: [&str; 7] = [
    "version",
    "authors",
    "licenses",
    "description",
    "source",
    "homepage",
    "revision",
];

/// What a component says of where it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// What is said of the whole, and of what is within.
    pub notes: Vec<Note>,
    /// Languages and tools.
    pub producers: Vec<Producer>,
    /// Packages, by name and version.
    pub packages: Vec<Package>,
    /// What was not read, and why.
    pub passed_over: Vec<String>,
}

/// A note about a component or something in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// One of [`NOTES`].
    pub name: &'static str,
    /// What it says.
    pub text: String,
    /// Whether it is about a part.
    pub is_within: bool,
}

/// A language or tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    /// `language`, `processed-by` or `sdk`.
    pub role: String,
    /// Such as `rustc`.
    pub name: String,
    /// May be empty.
    pub version: String,
}

/// A package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `crates.io`, `git`, `local`, `registry`, or what the maker says.
    pub source: String,
    /// As an SPDX expression, where it is known.
    pub license: Option<String>,
    /// Whether it only helped to build, as macros do.
    pub is_for_build: bool,
}

/// Looks through the custom sections of a component that was scanned.
pub fn provenance(component: &[u8]) -> Provenance {
    let mut reading = Reading::default();
    for payload in Parser::new(0).parse_all(component) {
        match payload {
            Ok(Payload::Version { .. }) => reading.depth += 1,
            Ok(Payload::End(_)) => reading.depth = reading.depth.saturating_sub(1),
            Ok(Payload::CustomSection(section)) => {
                reading.section(section.name(), section.data());
            }
            Ok(_) => {}
            Err(_) => {
                reading.pass_over("what comes after a part that is not valid");
                break;
            }
        }
    }
    reading.finish()
}

#[derive(Default)]
struct Reading {
    depth: usize,
    found: Provenance,
    packages: BTreeMap<(String, String), Package>,
    licenses: BTreeMap<String, String>,
    /// Bytes of lists so far, as they are when unpacked.
    listed: usize,
}

impl Reading {
    fn section(&mut self, name: &str, bytes: &[u8]) {
        match name {
            "producers" => self.producers(bytes),
            PACKAGES_SECTION => self.list(PACKAGES_SECTION, ZlibDecoder::new(bytes)),
            LICENSES_SECTION => self.list(LICENSES_SECTION, bytes),
            _ => {
                if let Some(name) = NOTES.into_iter().find(|one| *one == name) {
                    self.note(name, bytes);
                }
            }
        }
    }

    /// Told once, however often it happens.
    fn pass_over(&mut self, what: &str) {
        let told = &mut self.found.passed_over;
        if !told.iter().any(|one| one == what) {
            told.push(what.to_owned());
        }
    }

    fn note(&mut self, name: &'static str, bytes: &[u8]) {
        let is_within = self.depth > 1;
        let text = match std::str::from_utf8(bytes) {
            Ok(text) if text.len() <= NOTE_BYTES_MAX => text.trim(),
            Ok(_) => {
                return self.pass_over(&format!("`{name}`: longer than {NOTE_BYTES_MAX} bytes"));
            }
            Err(_) => return self.pass_over(&format!("`{name}`: not UTF-8")),
        };
        let notes = &mut self.found.notes;
        let is_told = notes
            .iter()
            .any(|one| one.name == name && one.text == text && one.is_within == is_within);
        if text.is_empty() || is_told {
            return;
        }
        if notes.len() == NOTES_MAX {
            return self.pass_over(&format!("notes after the first {NOTES_MAX}"));
        }
        let text = text.to_owned();
        notes.push(Note {
            name,
            text,
            is_within,
        });
    }

    fn producers(&mut self, bytes: &[u8]) {
        if self.producers_of(bytes).is_err() {
            self.pass_over("`producers`: not valid");
        }
    }

    fn producers_of(&mut self, bytes: &[u8]) -> wasmparser::Result<()> {
        for field in ProducersSectionReader::new(BinaryReader::new(bytes, 0))? {
            let field = field?;
            for value in field.values {
                let value = value?;
                let texts = [field.name, value.name, value.version];
                if texts.iter().any(|text| text.len() > NOTE_BYTES_MAX) {
                    self.pass_over(&format!("`producers`: longer than {NOTE_BYTES_MAX} bytes"));
                    continue;
                }
                let [role, name, version] = texts.map(str::to_owned);
                let producer = Producer {
                    role,
                    name,
                    version,
                };
                if self.found.producers.contains(&producer) {
                    continue;
                }
                if self.found.producers.len() == PRODUCERS_MAX {
                    self.pass_over(&format!("`producers` after the first {PRODUCERS_MAX}"));
                    return Ok(());
                }
                self.found.producers.push(producer);
            }
        }
        Ok(())
    }

    /// Takes what a list unpacks to, as long as all lists together keep to their bound.
    fn list(&mut self, name: &str, packed: impl Read) {
        let room = PACKAGE_LIST_BYTES_MAX - self.listed;
        let mut bytes = Vec::new();
        if packed
            .take(room as u64 + 1)
            .read_to_end(&mut bytes)
            .is_err()
        {
            return self.pass_over(&format!("`{name}`: not valid"));
        }
        if bytes.len() > room {
            self.listed = PACKAGE_LIST_BYTES_MAX;
            let words = format!("`{name}`: longer than {PACKAGE_LIST_BYTES_MAX} bytes");
            return self.pass_over(&words);
        }
        self.listed += bytes.len();
        let read = match name {
            PACKAGES_SECTION => self.packages_of(&bytes),
            _ => self.licenses_of(&bytes),
        };
        if read.is_err() {
            self.pass_over(&format!("`{name}`: not valid"));
        }
    }

    fn packages_of(&mut self, bytes: &[u8]) -> serde_json::Result<()> {
        let list: WrittenPackages = serde_json::from_slice(bytes)?;
        for one in list.packages {
            let key = (one.name.clone(), one.version.clone());
            let is_for_build = one.kind.as_deref() == Some("build");
            if let Some(known) = self.packages.get_mut(&key) {
                known.is_for_build &= is_for_build;
                continue;
            }
            if self.packages.len() == PACKAGES_MAX {
                self.pass_over(&format!("packages after the first {PACKAGES_MAX}"));
                break;
            }
            let package = Package {
                name: one.name,
                version: one.version,
                source: one.source,
                license: None,
                is_for_build,
            };
            self.packages.insert(key, package);
        }
        Ok(())
    }

    fn licenses_of(&mut self, bytes: &[u8]) -> serde_json::Result<()> {
        let licenses: BTreeMap<String, String> = serde_json::from_slice(bytes)?;
        let room = PACKAGES_MAX.saturating_sub(self.licenses.len());
        if licenses.len() > room {
            self.pass_over(&format!("licenses after the first {PACKAGES_MAX}"));
        }
        self.licenses.extend(licenses.into_iter().take(room));
        Ok(())
    }

    fn finish(mut self) -> Provenance {
        let order = |note: &Note| {
            let at = NOTES.iter().position(|name| *name == note.name);
            (note.is_within, at)
        };
        self.found.notes.sort_by_key(order);
        for mut package in self.packages.into_values() {
            let key = format!("{} {}", package.name, package.version);
            package.license = self.licenses.remove(&key);
            self.found.packages.push(package);
        }
        self.found
    }
}

/// What cargo-auditable writes, as far as it is shown.
#[derive(Deserialize)]
struct WrittenPackages {
    packages: Vec<WrittenPackage>,
}

#[derive(Deserialize)]
struct WrittenPackage {
    name: String,
    version: String,
    source: String,
    kind: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use std::io::Write;

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).expect("it is memory");
        encoder.finish().expect("it is memory")
    }

    fn number(mut value: usize, out: &mut Vec<u8>) {
        loop {
            let byte = (value & 0x7f) as u8;
            value >>= 7;
            out.push(byte | if value > 0 { 0x80 } else { 0 });
            if value == 0 {
                return;
            }
        }
    }

    fn named(text: &[u8], out: &mut Vec<u8>) {
        number(text.len(), out);
        out.extend(text);
    }

    fn section(id: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![id];
        named(body, &mut out);
        out
    }

    fn custom(name: &str, data: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        named(name.as_bytes(), &mut body);
        body.extend(data);
        section(0, &body)
    }

    /// A component with these sections, and a module with the others in it.
    fn component(own: &[Vec<u8>], within: &[Vec<u8>]) -> Vec<u8> {
        let module = [b"\0asm\x01\0\0\0".as_slice(), &within.concat()].concat();
        let head = b"\0asm\x0d\0\x01\0".as_slice();
        [head, &section(1, &module), &own.concat()].concat()
    }

    fn producers(fields: &[(&str, &[(&str, &str)])]) -> Vec<u8> {
        let mut out = Vec::new();
        number(fields.len(), &mut out);
        for (field, values) in fields {
            named(field.as_bytes(), &mut out);
            number(values.len(), &mut out);
            for (name, version) in *values {
                named(name.as_bytes(), &mut out);
                named(version.as_bytes(), &mut out);
            }
        }
        custom("producers", &out)
    }

    #[test]
    fn sections_of_the_whole_and_of_what_is_within_are_read() {
        let list = br#"{"packages":[
            {"name":"b","version":"1.0.0","source":"crates.io","dependencies":[1],"root":true},
            {"name":"a","version":"0.1.0","source":"git"},
            {"name":"m","version":"2.0.0","source":"crates.io","kind":"build"}],"format":1}"#;
        let licenses = br#"{"a 0.1.0":"MIT","z 1.0.0":"0BSD"}"#;
        let own = [
            custom("licenses", b"Apache-2.0"),
            custom("authors", b"Ada\n"),
            producers(&[("processed-by", &[("tripline", "0.1.0")])]),
            custom(LICENSES_SECTION, licenses),
            custom("something", b"\xff"),
        ];
        let within = [
            custom(".dep-v0", &zlib(list)),
            custom("authors", b"Bob"),
            producers(&[("language", &[("Rust", "")])]),
        ];
        let found = provenance(&component(&own, &within));
        let notes: Vec<_> = found.notes.iter().map(|one| one.text.as_str()).collect();
        assert_eq!(notes, ["Ada", "Apache-2.0", "Bob"]);
        assert!(found.notes[2].is_within && !found.notes[0].is_within);
        let producers: Vec<_> = found.producers.iter().map(|one| &*one.name).collect();
        assert_eq!(producers, ["Rust", "tripline"]);
        let packages: Vec<_> = found
            .packages
            .iter()
            .map(|one| (&*one.name, one.license.as_deref(), one.is_for_build))
            .collect();
        let wanted = [
            ("a", Some("MIT"), false),
            ("b", None, false),
            ("m", None, true),
        ];
        assert_eq!(packages, wanted);
        assert_eq!(found.passed_over, Vec::<String>::new());
        assert_eq!(provenance(&component(&[], &[])), Provenance::default());
    }

    #[test]
    fn what_is_too_much_or_wrong_is_passed_over_and_told() {
        let check = |section: Vec<u8>, wanted: &str| {
            let found = provenance(&component(&[section.clone(), section], &[]));
            assert_eq!(found.passed_over, [wanted]);
        };
        check(custom("authors", b"\xff"), "`authors`: not UTF-8");
        let long = "x".repeat(NOTE_BYTES_MAX + 1);
        check(
            custom("authors", long.as_bytes()),
            "`authors`: longer than 4096 bytes",
        );
        check(
            producers(&[("sdk", &[(&long, "")])]),
            "`producers`: longer than 4096 bytes",
        );
        check(custom("producers", b"\x01"), "`producers`: not valid");
        // As many as five bytes can say.
        check(
            custom("producers", b"\xff\xff\xff\xff\x0f"),
            "`producers`: not valid",
        );
        let names: Vec<String> = (0..=PRODUCERS_MAX).map(|at| at.to_string()).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
        check(
            producers(&[("sdk", &many)]),
            "`producers` after the first 64",
        );
        for bad in [b"".as_slice(), b"x", &zlib(b"{}"), &zlib(b"")] {
            check(custom(".dep-v0", bad), "`.dep-v0`: not valid");
        }
        check(
            custom(LICENSES_SECTION, b"[]"),
            "`tripline:licenses`: not valid",
        );
        // A bomb: 64 MiB in 64 KiB.
        let bomb = zlib(&vec![b' '; 64 << 20]);
        assert!(bomb.len() < 128 << 10);
        check(
            custom(".dep-v0", &bomb),
            "`.dep-v0`: longer than 8388608 bytes",
        );
        let package = |at: usize| format!(r#"{{"name":"{at}","version":"","source":""}}"#);
        let packages: Vec<String> = (0..=PACKAGES_MAX).map(package).collect();
        let list = format!(r#"{{"packages":[{}]}}"#, packages.join(","));
        check(
            custom(".dep-v0", &zlib(list.as_bytes())),
            "packages after the first 10000",
        );
        let notes: Vec<_> = (0..=NOTES_MAX)
            .map(|at| custom("source", at.to_string().as_bytes()))
            .collect();
        let found = provenance(&component(&notes, &[]));
        assert_eq!(found.notes.len(), NOTES_MAX);
        assert_eq!(found.passed_over, ["notes after the first 64"]);
    }

    #[test]
    fn lists_share_one_bound() {
        let list = format!("{{\"packages\":[]}}{}", " ".repeat(5 << 20));
        let section = custom(".dep-v0", &zlib(list.as_bytes()));
        let found = provenance(&component(
            std::slice::from_ref(&section),
            std::slice::from_ref(&section),
        ));
        assert_eq!(found.passed_over, ["`.dep-v0`: longer than 8388608 bytes"]);
    }

    #[test]
    fn bytes_that_are_cut_off_are_no_trouble() {
        let whole = component(
            &[custom("authors", b"Ada"), custom(".dep-v0", &zlib(b"{}"))],
            &[producers(&[("sdk", &[("a", "1")])])],
        );
        for end in 0..whole.len() {
            provenance(&whole[..end]);
        }
    }
}
