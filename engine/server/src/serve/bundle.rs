//! A version of the rules: all texts that they are made of, in one piece that other processes make the same rules of.
//!
//! zstd of JSON. Its name is the SHA-256 of the JSON (the first 16 bytes in hexadecimal), so the same texts under
//! the same paths are the same version. Old reader, new data: refuses a version of the shape that it does not know. With plugins the
//! shape has version 2: who does not know them must not take the rules without.

use crate::plugins::Carried;
use crate::rule_files::Texts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use tripline_core::rule::{File, Role};

const VERSION: u8 = 1;
const VERSION_WITH_PLUGINS: u8 = 2;

/// Longest version once it is unpacked: a damaged length must not ask for more.
const UNPACKED_MAX: usize = 256 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Bundle {
    /// Version of the shape.
    v: u8,
    files: Vec<Packed>,
    sigma: Vec<Packed>,
    pipelines: Vec<Packed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plugins: Option<PackedPlugins>,
}

/// Plugins.
#[derive(Serialize, Deserialize)]
struct PackedPlugins {
    operator: String,
    /// Base64, by name.
    files: BTreeMap<String, String>,
}

/// What a version is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) texts: Texts,
    /// The plugins that they ask, where there are any.
    pub(super) plugins: Option<Carried>,
}

/// A file.
#[derive(Serialize, Deserialize)]
struct Packed {
    path: String,
    /// Absent of one that is no text.
    text: Option<String>,
    /// The name of a site list that was given one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    list: Option<String>,
}

/// The name of the version that this is, and what it is kept as.
pub(super) fn pack(contents: &Contents) -> Result<(String, Vec<u8>), String> {
    let all = |files: &[File]| files.iter().map(Packed::of).collect();
    let Contents { texts, plugins } = contents;
    let bundle = Bundle {
        v: match plugins {
            None => VERSION,
            Some(_) => VERSION_WITH_PLUGINS,
        },
        files: all(&texts.files),
        sigma: all(&texts.sigma),
        pipelines: all(&texts.pipelines),
        plugins: plugins.as_ref().map(PackedPlugins::of),
    };
    let json = serde_json::to_vec(&bundle).map_err(|fault| fault.to_string())?;
    if json.len() > UNPACKED_MAX {
        return Err(format!(
            "the rules, lists and plugins have {} bytes, more than {UNPACKED_MAX}",
            json.len()
        ));
    }
    let packed = zstd::bulk::compress(&json, 3).map_err(|fault| fault.to_string())?;
    Ok((name_of(&json), packed))
}

/// What a version is made of.
pub(super) fn unpack(version: &str, bytes: &[u8]) -> Result<Contents, String> {
    let json = zstd::bulk::decompress(bytes, UNPACKED_MAX)
        .map_err(|fault| format!("it is damaged: {fault}"))?;
    if name_of(&json) != version {
        return Err("it is damaged: its digest is another one".to_owned());
    }
    let bundle: Bundle = serde_json::from_slice(&json)
        .map_err(|fault| format!("{fault}; a newer program wrote it"))?;
    if ![VERSION, VERSION_WITH_PLUGINS].contains(&bundle.v) {
        return Err(format!(
            "its shape has version {}, this program knows {VERSION} and {VERSION_WITH_PLUGINS}; a newer one wrote it",
            bundle.v
        ));
    }
    let all = |files: Vec<Packed>| files.into_iter().map(Packed::into_file).collect();
    Ok(Contents {
        texts: Texts {
            files: all(bundle.files),
            sigma: all(bundle.sigma),
            pipelines: all(bundle.pipelines),
        },
        plugins: bundle.plugins.map(PackedPlugins::carried).transpose()?,
    })
}

impl PackedPlugins {
    fn of(carried: &Carried) -> Self {
        let files = carried.files.iter();
        let files = files.map(|(name, bytes)| (name.clone(), STANDARD.encode(bytes)));
        Self {
            operator: carried.operator.clone(),
            files: files.collect(),
        }
    }

    fn carried(self) -> Result<Carried, String> {
        let damaged = |_| "it is damaged: a file of its plugins is no base64".to_owned();
        let files = self.files.into_iter();
        let files = files.map(|(name, text)| Ok((name, STANDARD.decode(text).map_err(damaged)?)));
        let carried = Carried {
            operator: self.operator,
            files: files.collect::<Result<_, String>>()?,
        };
        carried.check()?;
        Ok(carried)
    }
}

fn name_of(json: &[u8]) -> String {
    let digest = Sha256::digest(json);
    digest[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl Packed {
    fn of(file: &File) -> Self {
        Self {
            path: file.path.clone(),
            text: (file.role != Role::NotText).then(|| file.text.clone()),
            list: match &file.role {
                Role::List(name) => Some(name.clone()),
                Role::Found | Role::NotText => None,
            },
        }
    }

    fn into_file(self) -> File {
        match (self.text, self.list) {
            (None, _) => File::not_text(self.path),
            (Some(text), None) => File::found(self.path, text),
            (Some(text), Some(name)) => File::list(name, self.path, text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_survive_and_a_flipped_bit_is_noticed() {
        let texts = Texts {
            files: vec![
                File::found("a.toml", "x = 1"),
                File::not_text("b.toml"),
                File::list("trusted", "c.csv", "1,2"),
            ],
            sigma: vec![File::found("d.yml", "title: x")],
            pipelines: Vec::new(),
        };
        let contents = Contents {
            texts,
            plugins: None,
        };
        let (version, packed) = pack(&contents).expect("packs");
        assert_eq!(version.len(), 32);
        assert_eq!(unpack(&version, &packed).as_ref(), Ok(&contents));
        assert_eq!(pack(&contents).expect("packs").0, version);
        assert!(unpack("0123", &packed).is_err());
        for place in 0..packed.len() {
            let mut damaged = packed.clone();
            damaged[place] ^= 1;
            assert!(unpack(&version, &damaged).is_err() || place < 8, "{place}");
        }
    }

    #[test]
    fn files_of_plugins_are_what_their_names_say_and_stay_in_their_folder() {
        let of = |name: &str, bytes: &[u8]| {
            let contents = Contents {
                texts: Texts::default(),
                plugins: Some(Carried {
                    operator: String::new(),
                    files: BTreeMap::from([(name.to_owned(), bytes.to_vec())]),
                }),
            };
            let (version, packed) = pack(&contents).expect("packs");
            (unpack(&version, &packed), contents)
        };
        // sha256 of `a`.
        let name = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
        for kind in ["wasm", "csv"] {
            let (unpacked, contents) = of(&format!("{name}.{kind}"), b"a");
            assert_eq!(unpacked, Ok(contents));
        }
        let other = "a file of its plugins is not what its name says";
        for wrong in [
            format!("{name}./../x"),
            format!("../{name}.wasm"),
            "plugins.toml".to_owned(),
        ] {
            assert_eq!(of(&wrong, b"a").0, Err(other.to_owned()), "{wrong}");
        }
        assert_eq!(of(&format!("{name}.wasm"), b"b").0, Err(other.to_owned()));
    }
}
