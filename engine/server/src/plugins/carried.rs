//! Plugins as they are handed to other machines: the operator's file and everything that it names, in one piece.
//!
//! A file is called by the digest of what is in it, and the operator's file names it so in place of a path or a registry. What this
//! machine reads is carried, what another machine is told to read is not: a plugin that is granted secrets is refused, since whoever may
//! hand plugins on could have every machine send its own to wherever the grant says.

use super::installed::{Had, Installed, PluginsError, Signatures, operator_in, operator_of};
use crate::writing::fresh;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml_edit::{DocumentMut, Item, TableLike, value};
use tripline_core::diagnostic::{Printable, Source};
use tripline_host::operator::{Origin, Plugin};
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

    /// What is wrong with what somebody else handed on: whoever may do that must not reach what lies on this machine beside it.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (name, bytes) in &self.files {
            let kind = name.split_once('.').map_or("", |(_, kind)| kind);
            let is_plain = kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if *name != name_of(bytes, kind) || !is_plain {
                return Err("a file of its plugins is not what its name says".to_owned());
            }
        }
        let source = Arc::new(Source {
            name: OPERATOR_NAME.to_owned(),
            text: self.operator.clone(),
        });
        let operator = operator_in(&source).map_err(|fault| fault.to_string())?;
        for plugin in &operator.plugins {
            let alias = &plugin.alias;
            let component = match &plugin.origin {
                Origin::File(path) => path,
                Origin::Registry(_) => {
                    return Err(format!("its plugin `{alias}` is somewhere else"));
                }
            };
            let tables = plugin.grant.lookup.iter().map(|(_, path)| path);
            let mut named = plugin.signature.iter().chain([component]).chain(tables);
            let is_carried = |path: &PathBuf| {
                path.to_str()
                    .is_some_and(|name| self.files.contains_key(name))
            };
            if let Some(foreign) = named.find(|path| !is_carried(path)) {
                return Err(format!(
                    "its plugin `{alias}` names {}, which is not handed on",
                    Printable(&foreign.to_string_lossy())
                ));
            }
            if plugin.grant.http.iter().any(|one| !one.secrets.is_empty()) {
                return Err(format!(
                    "its plugin `{alias}` wants secrets of this machine"
                ));
            }
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What another member hands on, whose operator's file says this of its one plugin.
    fn carried(plugin: &str) -> Carried {
        let files = BTreeMap::from([
            (name_of(b"component", "wasm"), b"component".to_vec()),
            (name_of(b"table", "csv"), b"table".to_vec()),
        ]);
        let name = |bytes: &[u8], kind: &str| name_of(bytes, kind);
        let plugin = plugin
            .replace("COMPONENT", &name(b"component", "wasm"))
            .replace("TABLE", &name(b"table", "csv"));
        Carried {
            operator: format!("[plugins.geo]\n{plugin}"),
            files,
        }
    }

    #[test]
    fn whoever_hands_plugins_on_reaches_nothing_else_on_the_machine() {
        let good = "path = \"COMPONENT\"\ngrant.lookup = { a = \"TABLE\" }\n";
        assert_eq!(carried(good).check(), Ok(()));
        let http = "grant.http = [{ host = \"a.example\", methods = [\"GET\"], paths = [\"/*\"], secrets = { t = { env = \"HOME\" } } }]\n";
        let oci = format!("oci = \"a.example/b@sha256:{}\"\n", "0".repeat(64));
        for (plugin, expected) in [
            ("path = \"/etc/passwd\"\n".to_owned(), "names /etc/passwd"),
            (
                "path = \"COMPONENT\"\ngrant.lookup = { a = \"/etc/shadow.csv\" }\n".to_owned(),
                "names /etc/shadow.csv",
            ),
            (
                "path = \"COMPONENT\"\ngrant.lookup = { a = \"../machine.key.csv\" }\n".to_owned(),
                "names ../machine.key.csv",
            ),
            (
                "path = \"COMPONENT\"\nsignature = \"/home/a.minisig\"\n".to_owned(),
                "names /home/a.minisig",
            ),
            (oci, "is somewhere else"),
            (
                format!("path = \"COMPONENT\"\n{http}"),
                "wants secrets of this machine",
            ),
            ("path = 7\n".to_owned(), "error"),
        ] {
            let fault = carried(&plugin).check().expect_err(&plugin);
            assert!(fault.contains(expected), "{plugin}: {fault}");
        }
    }
}
