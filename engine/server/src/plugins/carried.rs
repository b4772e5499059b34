//! Plugins as they are handed to other machines: the operator's file and everything that it names, in one piece.
//!
//! A file is called by the digest of what is in it, and the operator's file names it so in place of a path or a registry. What this
//! machine reads is carried, what another machine is told to read is not: a plugin that is granted secrets is refused, since whoever may
//! hand plugins on could have every machine send its own to wherever the grant says.

use super::installed::{Had, Installed, PluginsError, Signatures, operator_of};
use crate::writing::fresh;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use toml_edit::{DocumentMut, Item, TableLike, value};
use tripline_host::operator::Plugin;
use tripline_host::sign::Digest;

/// What the operator's file is called among what is carried.
const OPERATOR_NAME: &str = "plugins.toml";
/// Longest table that is carried.
const TABLE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The plugins of one machine, for others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    /// The operator's file, which names the others.
    pub(crate) operator: String,
    /// What is in each file, by its name.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Carried {
    /// Reads the operator's file and everything that it names.
    pub(crate) fn read(path: &str, cache: Option<PathBuf>) -> Result<Self, PluginsError> {
        let (source, operator) = operator_of(path)?;
        let mistake = |alias: &str, why: &dyn std::fmt::Display| {
            PluginsError::Mistakes(format!("{path}: the plugin `{alias}`: {why}"))
        };
        let mut document: DocumentMut = source
            .text
            .parse()
            .map_err(|fault| PluginsError::Mistakes(format!("{path}: {fault}")))?;
        let installed = Installed::beside(Path::new(path), cache);
        let mut files = BTreeMap::new();
        for plugin in &operator.plugins {
            let alias = plugin.alias.as_str();
            if plugin.grant.http.iter().any(|one| !one.secrets.is_empty()) {
                let why = "its secrets are this machine's, so it cannot be handed on; say `rules = \"own\"` of [store], and the same files everywhere";
                return Err(mistake(alias, &why));
            }
            let had = installed
                .had(plugin, Signatures::Looked)
                .map_err(|why| mistake(alias, &why))?;
            let table = document["plugins"][alias].as_table_like_mut();
            let table = table.ok_or_else(|| mistake(alias, &"it is no table"))?;
            carry(had, plugin, table, &mut files);
            for (name, path) in &plugin.grant.lookup {
                let path = installed.at(path);
                let bytes = super::bytes_of(&path, TABLE_BYTES_MAX)?;
                let kind = path.extension().unwrap_or_default().to_string_lossy();
                let kept = keep(&mut files, bytes, &kind);
                let tables = table
                    .get_mut("grant")
                    .and_then(|grant| grant.get_mut("lookup"));
                if let Some(tables) = tables.and_then(Item::as_table_like_mut) {
                    tables.insert(name, value(kept));
                }
            }
        }
        Ok(Self {
            operator: document.to_string(),
            files,
        })
    }

    /// Writes all of it into a folder; the operator's file there.
    pub(crate) fn put(&self, folder: &Path) -> io::Result<PathBuf> {
        fs::create_dir_all(folder)?;
        for (name, bytes) in &self.files {
            write(folder, name, bytes)?;
        }
        write(folder, OPERATOR_NAME, self.operator.as_bytes())?;
        Ok(folder.join(OPERATOR_NAME))
    }

    /// Whether every file has what its name says, and a name that stays in its folder.
    pub(crate) fn is_sound(&self) -> bool {
        self.files.iter().all(|(name, bytes)| {
            let kind = name.split_once('.').map_or("", |(_, kind)| kind);
            *name == name_of(bytes, kind) && kind.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
    }
}

/// The component and its signature.
fn carry(
    had: Had,
    plugin: &Plugin,
    table: &mut dyn TableLike,
    files: &mut BTreeMap<String, Vec<u8>>,
) {
    table.remove("oci");
    table.insert("path", value(keep(files, had.component, "wasm")));
    match had.signature {
        Some(signature) => {
            let kept = keep(files, signature.into_bytes(), "minisig");
            table.insert("signature", value(kept));
        }
        None => debug_assert!(plugin.signature.is_none()),
    }
}

fn keep(files: &mut BTreeMap<String, Vec<u8>>, bytes: Vec<u8>, kind: &str) -> String {
    let name = name_of(&bytes, kind);
    files.insert(name.clone(), bytes);
    name
}

fn name_of(bytes: &[u8], kind: &str) -> String {
    let digest = Digest::of(bytes).to_string();
    let digest = digest.trim_start_matches("sha256:");
    format!("{digest}.{kind}")
}

/// Whole or not at all.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let beside = folder.join(format!(".{name}.writing"));
    fresh(&beside)?.write_all(bytes)?;
    fs::rename(beside, folder.join(name))
}
