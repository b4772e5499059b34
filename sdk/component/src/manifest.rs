//! The world that a manifest asks for.

use anyhow::{Context, Result, bail};
use std::path::Path;
use wit_parser::{IndexMap, Resolve, WorldItem, WorldKey};

/// The names of the interfaces that a world of the contract imports at most, and of those that it exports.
fn interfaces(world: &str, wit: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit).context("read the contract")?;
    let id = resolve.packages[package].worlds.get(world);
    let id = id.with_context(|| format!("there is no world `{world}`"))?;
    let names = |items: &IndexMap<WorldKey, WorldItem>| {
        let interfaces = items.keys().filter_map(|key| match key {
            WorldKey::Interface(id) => resolve.interfaces[*id].name.clone(),
            WorldKey::Name(_) => None,
        });
        // Types come along with who uses them.
        interfaces.filter(|name| name != "types").collect()
    };
    let world = &resolve.worlds[*id];
    Ok((names(&world.imports), names(&world.exports)))
}

/// What a component of a manifest may be.
pub(crate) struct Said {
    /// The world, by its name.
    pub(crate) world: String,
    /// The capabilities that are asked for.
    pub(crate) asked: Vec<String>,
    /// The interfaces that the world exports.
    pub(crate) exports: Vec<String>,
}

/// What a manifest says of its component.
pub(crate) fn said(manifest: &str, wit: &Path) -> Result<Said> {
    let manifest: toml::Table = manifest.parse().context("read the manifest")?;
    let plugin = manifest.get("plugin").and_then(toml::Value::as_table);
    let world = plugin.and_then(|plugin| plugin.get("world")?.as_str());
    let world = world.context("`plugin.world` is missing")?;
    let (may, exports) = interfaces(world, wit)?;
    let capabilities = manifest.get("capabilities").and_then(toml::Value::as_table);
    let mut asked = Vec::new();
    for (capability, value) in capabilities.into_iter().flatten() {
        if value.as_bool() == Some(false) {
            continue;
        }
        if !may.contains(capability) {
            bail!("the world `{world}` has no capability `{capability}`");
        }
        asked.push(capability.clone());
    }
    Ok(Said {
        world: world.to_owned(),
        asked,
        exports,
    })
}

/// A world `plugin` that imports what the manifest's capabilities name and no more.
pub(crate) fn world(said: &Said) -> String {
    let mut text = String::from("package tripline:build@1.0.0;\n\nworld plugin {\n");
    for capability in &said.asked {
        text += &format!("  import tripline:plugin/{capability}@1.0.0;\n");
    }
    for export in &said.exports {
        text += &format!("  export tripline:plugin/{export}@1.0.0;\n");
    }
    text.push_str("}\n");
    text
}

/// Writes the world of a manifest into a folder, with the contract below `deps`.
pub fn write_wit(manifest: &str, wit: &Path, folder: &Path) -> Result<()> {
    let deps = folder.join("deps/tripline-plugin");
    std::fs::create_dir_all(&deps).context("make the folder")?;
    let text = world(&said(manifest, wit)?);
    std::fs::write(folder.join("plugin.wit"), text).context("write the world")?;
    for entry in std::fs::read_dir(wit).context("read the contract")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wit") {
            let name = path.file_name().context("a file without a name")?;
            std::fs::copy(&path, deps.join(name)).context("copy the contract")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(capabilities: &str, kind: &str) -> Result<String> {
        let wit = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit"));
        let manifest = format!("[plugin]\nworld = \"{kind}\"\n[capabilities]\n{capabilities}\n");
        Ok(world(&said(&manifest, wit)?))
    }

    #[test]
    fn a_world_imports_what_is_asked_for_and_no_more() {
        let text = of("log = true\nclock = false", "enricher").expect("there is such a world");
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "world plugin {",
                "  import tripline:plugin/log@1.0.0;",
                "  export tripline:plugin/enrich@1.0.0;",
                "  export tripline:plugin/setup@1.0.0;",
                "}"
            ]
        );
    }

    #[test]
    fn what_the_contract_does_not_have_is_refused() {
        let fault = |capabilities, kind| {
            of(capabilities, kind)
                .expect_err("it is refused")
                .to_string()
        };
        assert_eq!(
            fault("http = true", "policy"),
            "the world `policy` has no capability `http`"
        );
        assert_eq!(fault("", "painter"), "there is no world `painter`");
    }
}
