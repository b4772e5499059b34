//! A plugin as its author runs it: through the real host, with the real limits, and what the tests grant.

use super::build::Project;
use crate::command::CommandError;
use crate::plugins::{Declared, Hosted, Installed, host};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tripline_core::diagnostic::Source;

/// The component that an argument names: a file, or that of a project.
pub(super) fn component(path: &Path) -> Result<PathBuf, CommandError> {
    match path.is_dir() {
        true => Ok(Project::open(path)?.component()),
        false => Ok(path.to_owned()),
    }
}

/// The plugin in a component, with what `given` (tables `grant`, `config`, `limits` of an operator's file) says. Files that
/// it names lie relative to `folder`.
pub(super) fn declared(
    component: &Path,
    given: &toml::Table,
    folder: &Path,
) -> Result<(Installed, Declared), CommandError> {
    let component = component
        .canonicalize()
        .map_err(|source| CommandError::Read {
            path: component.display().to_string(),
            source,
        })?;
    let mut plugin = toml::Table::new();
    plugin.insert("path".to_owned(), component.display().to_string().into());
    for key in ["grant", "config", "limits"] {
        if let Some(value) = given.get(key) {
            plugin.insert(key.to_owned(), value.clone());
        }
    }
    let mut plugins = toml::Table::new();
    plugins.insert("plugin".to_owned(), plugin.into());
    let mut trust = toml::Table::new();
    trust.insert("unsigned".to_owned(), "allow".into());
    let mut operator = toml::Table::new();
    operator.insert("trust".to_owned(), trust.into());
    operator.insert("plugins".to_owned(), plugins.into());
    let text =
        toml::to_string(&operator).map_err(|error| CommandError::Usage(error.to_string()))?;
    let name = "what the tests grant".to_owned();
    let mut installed = Installed::of_source(&Arc::new(Source { name, text }), folder)?;
    if let Some((_, reason)) = installed.off.pop() {
        let path = component.display();
        return Err(CommandError::Usage(format!("{path}: {reason}")));
    }
    match installed.plugins.pop() {
        Some(declared) => Ok((installed, declared)),
        None => Err(CommandError::Usage("there is no plugin".to_owned())),
    }
}

/// The same, running.
pub(super) fn hosted(
    component: &Path,
    given: &toml::Table,
    folder: &Path,
) -> Result<Hosted, CommandError> {
    let (installed, declared) = declared(component, given, folder)?;
    let installed = installed.talking();
    let host = host(None)?;
    let plugin = installed.load(&host, &declared).map_err(|reason| {
        let path = component.display();
        let hint = match reason.contains("not granted") {
            true => "\nwhat it may do in tests is said by `[grant]` in the file of the tests, as in an operator's file",
            false => "",
        };
        CommandError::Usage(format!("{path}: {reason}{hint}"))
    })?;
    Ok(Hosted::new(declared.alias, plugin))
}
