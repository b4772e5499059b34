//! A version of the rules: all texts that they are made of, in one piece that other processes make the same rules of.
//!
//! zstd of JSON. Its name is the SHA-256 of the JSON (the first 16 bytes in hexadecimal), so the same texts under
//! the same paths are the same version. Old reader, new data: refuses a version of the shape that it does not know. Plugins
//! are not in it.

use crate::rule_files::Texts;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tripline_core::rule::{File, Role};

const VERSION: u8 = 1;

/// Longest version once it is unpacked: a damaged length must not ask for more.
const UNPACKED_MAX: usize = 256 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Bundle {
    /// Version of the shape.
    v: u8,
    files: Vec<Packed>,
    sigma: Vec<Packed>,
    pipelines: Vec<Packed>,
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

/// The name of the version that these texts are, and what it is kept as.
pub(super) fn pack(texts: &Texts) -> Result<(String, Vec<u8>), String> {
    let all = |files: &[File]| files.iter().map(Packed::of).collect();
    let bundle = Bundle {
        v: VERSION,
        files: all(&texts.files),
        sigma: all(&texts.sigma),
        pipelines: all(&texts.pipelines),
    };
    let json = serde_json::to_vec(&bundle).map_err(|fault| fault.to_string())?;
    if json.len() > UNPACKED_MAX {
        return Err(format!(
            "the rules and lists have {} bytes, more than {UNPACKED_MAX}",
            json.len()
        ));
    }
    let packed = zstd::bulk::compress(&json, 3).map_err(|fault| fault.to_string())?;
    Ok((name_of(&json), packed))
}

/// The texts of a version.
pub(super) fn unpack(version: &str, bytes: &[u8]) -> Result<Texts, String> {
    let json = zstd::bulk::decompress(bytes, UNPACKED_MAX)
        .map_err(|fault| format!("it is damaged: {fault}"))?;
    if name_of(&json) != version {
        return Err("it is damaged: its digest is another one".to_owned());
    }
    let bundle: Bundle = serde_json::from_slice(&json)
        .map_err(|fault| format!("{fault}; a newer program wrote it"))?;
    if bundle.v != VERSION {
        return Err(format!(
            "its shape has version {}, this program knows {VERSION}; a newer one wrote it",
            bundle.v
        ));
    }
    let all = |files: Vec<Packed>| files.into_iter().map(Packed::into_file).collect();
    Ok(Texts {
        files: all(bundle.files),
        sigma: all(bundle.sigma),
        pipelines: all(bundle.pipelines),
    })
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
        let (version, packed) = pack(&texts).expect("packs");
        assert_eq!(version.len(), 32);
        assert_eq!(unpack(&version, &packed).as_ref(), Ok(&texts));
        assert_eq!(pack(&texts).expect("packs").0, version);
        assert!(unpack("0123", &packed).is_err());
        for place in 0..packed.len() {
            let mut damaged = packed.clone();
            damaged[place] ^= 1;
            assert!(unpack(&version, &damaged).is_err() || place < 8, "{place}");
        }
    }
}
