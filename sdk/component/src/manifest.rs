//! The world that a manifest asks for.

use anyhow::{Context, Result, bail};
use std::path::Path;

/// What a world imports at most and exports, as `wit/worlds.wit` has it.
fn interfaces(world: &str) -> Result<(&'static [&'static str], &'static [&'static str])> {
    Ok(match world {
        "enricher" => (
            &[
                "log", "clock", "random", "kv", "lookup", "events", "http", "metrics",
            ],
            &["setup", "enrich"],
        ),
        "detector" => (
            &[
                "log", "clock", "random", "kv", "lookup", "events", "metrics",
            ],
            &["setup", "detect"],
        ),
        "stateful-detector" => (
            &[
                "log", "clock", "random", "kv", "lookup", "events", "metrics",
            ],
            &["setup", "detect", "checkpoint"],
        ),
        "scorer" => (
            &["log", "kv", "lookup", "events", "metrics"],
            &["setup", "score"],
        ),
        "policy" => (
            &["log", "lookup", "events", "metrics"],
            &["setup", "decide"],
        ),
        "decoder" => (&["log", "metrics"], &["setup", "decode"]),
        "remediator" => (
            &["log", "clock", "random", "kv", "lookup", "http", "metrics"],
            &["setup", "remediate"],
        ),
        other => bail!("there is no world `{other}`"),
    })
}

/// A world `plugin` that imports what the manifest's capabilities name and no more.
pub(crate) fn world(manifest: &str) -> Result<String> {
    let manifest: toml::Table = manifest.parse().context("read the manifest")?;
    let plugin = manifest.get("plugin").and_then(toml::Value::as_table);
    let world = plugin.and_then(|plugin| plugin.get("world")?.as_str());
    let world = world.context("`plugin.world` is missing")?;
    let (may, exports) = interfaces(world)?;
    let empty = toml::Table::new();
    let asked = manifest.get("capabilities").and_then(toml::Value::as_table);
    let mut text = String::from("package tripline:build@1.0.0;\n\nworld plugin {\n");
    for (capability, value) in asked.unwrap_or(&empty) {
        if value.as_bool() == Some(false) {
            continue;
        }
        if !may.contains(&capability.as_str()) {
            bail!("the world `{world}` has no capability `{capability}`");
        }
        text += &format!("  import tripline:plugin/{capability}@1.0.0;\n");
    }
    for export in exports {
        text += &format!("  export tripline:plugin/{export}@1.0.0;\n");
    }
    text.push_str("}\n");
    Ok(text)
}

/// Writes the world of a manifest into a folder, with the contract below `deps`.
pub fn write_wit(manifest: &str, wit: &Path, folder: &Path) -> Result<()> {
    let deps = folder.join("deps/tripline-plugin");
    std::fs::create_dir_all(&deps).context("make the folder")?;
    std::fs::write(folder.join("plugin.wit"), world(manifest)?).context("write the world")?;
    for entry in std::fs::read_dir(wit).context("read the contract")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wit") {
            let name = path.file_name().context("a file without a name")?;
            std::fs::copy(&path, deps.join(name)).context("copy the contract")?;
        }
    }
    Ok(())
}
