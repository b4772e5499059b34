//! Whether a component is what its manifest says, before anybody is given it.
//!
//! A host refuses what imports more than was granted, and nobody can grant what was not asked for: so that is told where
//! it can be mended. That a manifest asks for more than is used is no mistake; the operator sees both.

use crate::manifest::Said;
use anyhow::{Result, bail};
use wasmparser::{Parser, Payload};

/// Compares imports with capabilities, and exports with the world.
pub(crate) fn check(component: &[u8], said: &Said) -> Result<()> {
    let (imports, exports) = names(component)?;
    let mut unasked = Vec::new();
    for name in &imports {
        match interface(name) {
            Some("types") => {}
            Some(one) if said.asked.iter().any(|asked| asked == one) => {}
            Some(one) => unasked.push(format!("`{one}`")),
            None if name.starts_with("wasi:") => bail!(
                "the component imports `{name}`, and no host of plugins has WASI: build for `wasm32-unknown-unknown`, \
                 or with the toolchain's `--stub-wasi`"
            ),
            None => bail!("the component imports `{name}`, which no host of plugins has"),
        }
    }
    if !unasked.is_empty() {
        let unasked = unasked.join(", ");
        bail!(
            "the component imports {unasked}, which `[capabilities]` of plugin.toml does not ask for: ask for it there, \
             or do without it"
        );
    }
    let exported: Vec<&str> = exports.iter().filter_map(|name| interface(name)).collect();
    let has_all = said
        .exports
        .iter()
        .all(|name| exported.contains(&name.as_str()));
    if !has_all || exported.len() != said.exports.len() {
        bail!(
            "the manifest says `{}`, whose plugins export `{}`, but the component exports `{}`",
            said.world,
            said.exports.join("`, `"),
            exported.join("`, `")
        );
    }
    Ok(())
}

/// `log` of `tripline:plugin/log@1.0.0`.
fn interface(name: &str) -> Option<&str> {
    let (name, _) = name.strip_prefix("tripline:plugin/")?.split_once('@')?;
    Some(name)
}

/// What a component itself imports and exports; what is within it is its own business.
fn names(component: &[u8]) -> Result<(Vec<String>, Vec<String>)> {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{
        Component, ComponentExportKind, ComponentExportSection, ComponentImportSection,
        ComponentTypeRef, ComponentTypeSection, InstanceType,
    };

    /// A component that imports and exports instances of these names.
    fn component(imports: &[&str], exports: &[&str]) -> Vec<u8> {
        let mut types = ComponentTypeSection::new();
        types.instance(&InstanceType::new());
        let mut imported = ComponentImportSection::new();
        imported.import("tripline:plugin/types@1.0.0", ComponentTypeRef::Instance(0));
        for name in imports {
            imported.import(*name, ComponentTypeRef::Instance(0));
        }
        let mut exported = ComponentExportSection::new();
        for name in exports {
            let name = format!("tripline:plugin/{name}@1.0.0");
            exported.export(name.as_str(), ComponentExportKind::Instance, 0, None);
        }
        let mut component = Component::new();
        component.section(&types);
        component.section(&imported);
        component.section(&exported);
        component.finish()
    }

    fn told(imports: &[&str], exports: &[&str], asked: &[&str]) -> Result<(), String> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let said = Said {
            world: "enricher".to_owned(),
            asked: owned(asked),
            exports: owned(&["enrich", "setup"]),
        };
        check(&component(imports, exports), &said).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_component_is_what_its_manifest_says() {
        let both = &["setup", "enrich"];
        assert_eq!(told(&[], both, &[]), Ok(()));
        assert_eq!(told(&[], both, &["log"]), Ok(()));
        let log = &["tripline:plugin/log@1.0.0"];
        assert_eq!(told(log, both, &["log"]), Ok(()));
        let refused = told(log, both, &["kv"]).expect_err("it is not asked for");
        assert_eq!(
            refused,
            "the component imports `log`, which `[capabilities]` of plugin.toml does not ask for: ask for it there, or do without it"
        );
        let refused = told(&["wasi:cli/environment@0.2.0"], both, &[]);
        let refused = refused.expect_err("there is no WASI");
        assert!(refused.contains("--stub-wasi"), "{refused}");
        assert!(told(&["acme:own/thing@1.0.0"], both, &[]).is_err());
        let refused = told(&[], &["setup", "detect"], &[]).expect_err("another world");
        assert!(
            refused.ends_with("but the component exports `setup`, `detect`"),
            "{refused}"
        );
        assert!(told(&[], &["enrich", "setup", "detect"], &[]).is_err());
    }
}
