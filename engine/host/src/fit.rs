//! Whether a component is what its manifest says: its world, and what it imports.
//!
//! Needs nothing but names, so that whoever looks at a plugin is told what loading would say, without compiling it. Nothing
//! is taken for granted because a manifest says it: what is exported decides the world, what is imported the capabilities.

use crate::host::LoadError;
use crate::manifest::{Capability, Manifest, World};
use crate::operator::Rights;
use crate::scan::Scanned;
use crate::world::name::Interface;

/// What is to be linked: what is imported, if the world has it and all of that was granted. Without rights, what the
/// manifest asks for counts as granted.
pub fn check(
    scanned: &Scanned,
    manifest: &Manifest,
    rights: Option<&Rights>,
) -> Result<Vec<Capability>, LoadError> {
    check_world(scanned, manifest.world)?;
    let is_given = |one: Capability| match rights {
        Some(rights) => rights.has(one),
        None => manifest.asks.has(one),
    };
    let mut granted = Vec::new();
    let (mut refused, mut unknown) = (Vec::new(), Vec::new());
    for name in &scanned.imports {
        let interface = Interface::read(name).map(|interface| interface.name);
        if interface == Some("types") {
            continue;
        }
        let mut all = Capability::ALL.into_iter();
        match all.find(|one| interface == Some(one.as_str())) {
            None => unknown.push(name.clone()),
            Some(one) if manifest.world.may_import(one) && is_given(one) => granted.push(one),
            Some(one) => refused.push((one, name.clone())),
        }
    }
    if !unknown.is_empty() {
        return Err(LoadError::Unknown { imports: unknown });
    }
    if refused.is_empty() {
        return Ok(granted);
    }
    let (capabilities, imports): (Vec<Capability>, Vec<String>) = refused.into_iter().unzip();
    let help = help(&capabilities, manifest);
    Err(LoadError::NotGranted { imports, help })
}

/// The interfaces that a world exports.
pub(crate) fn exports(world: World) -> Vec<String> {
    let names: &[&str] = match world {
        World::Enricher => &["setup", "enrich"],
        World::Detector => &["setup", "detect"],
        World::StatefulDetector => &["setup", "detect", "checkpoint"],
        World::Scorer => &["setup", "score"],
        World::Policy => &["setup", "decide"],
        World::Decoder => &["setup", "decode"],
        World::Remediator => &["setup", "remediate"],
        World::Planner => &["setup", "propose"],
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The world is read from the component; the manifest must say the same.
fn check_world(scanned: &Scanned, said: World) -> Result<(), LoadError> {
    let exported: Vec<&str> = scanned
        .exports
        .iter()
        .filter_map(|name| Interface::read(name))
        .map(|interface| interface.name)
        .collect();
    let wanted = exports(said);
    let has_all = wanted.iter().all(|name| exported.contains(&name.as_str()));
    match has_all && exported.len() == wanted.len() {
        true => Ok(()),
        false => Err(LoadError::World {
            said,
            exports: scanned.exports.clone(),
        }),
    }
}

/// Whose turn it is, by what is in the way of each capability.
fn help(capabilities: &[Capability], manifest: &Manifest) -> String {
    let world = manifest.world;
    let listed = |is_meant: &dyn Fn(Capability) -> bool| {
        let meant = capabilities.iter().filter(|one| is_meant(**one));
        let names: Vec<String> = meant.map(|one| format!("`{}`", one.as_str())).collect();
        names.join(", ")
    };
    let foreign = listed(&|one| !world.may_import(one));
    let unasked = listed(&|one| world.may_import(one) && !manifest.asks.has(one));
    let asked = listed(&|one| world.may_import(one) && manifest.asks.has(one));
    let mut help = String::new();
    if !foreign.is_empty() {
        let world = world.as_str();
        help += &format!("; a plugin of the world `{world}` cannot have {foreign}");
    }
    if !unasked.is_empty() {
        help += &format!(
            "; its manifest does not ask for {unasked}: its author adds that to `[capabilities]` of plugin.toml, \
             or does without it, and builds it anew"
        );
    }
    if !asked.is_empty() {
        help += &format!("; its operator grants {asked} under `grant`");
    }
    help
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tripline_core::diagnostic::Source;

    fn manifest(world: &str, capabilities: &str) -> Manifest {
        let text = format!(
            "[plugin]\nname = \"acme/a\"\nversion = \"1.0.0\"\nworld = \"{world}\"\ncontract = \"1.0\"\n\
             description = \"It is one\"\nlicense = \"MIT\"\n[reads]\nfields = [\"a:text\"]\n\
             [capabilities]\n{capabilities}\n[limits]\nmemory = \"1MiB\"\ndeadline = \"50ms\"\noutput = \"64KiB\"\nbatch = 16\n"
        );
        let name = "plugin.toml".to_owned();
        Manifest::read(&Arc::new(Source { name, text })).expect("the manifest is sound")
    }

    /// What is said of a component that imports these, by its manifest alone and with rights.
    fn told(imports: &[&str], exports: &[&str], manifest: &Manifest, rights: &Rights) -> String {
        let named = |names: &[&str]| {
            let names = names.iter();
            names
                .map(|name| format!("tripline:plugin/{name}@1.0.0"))
                .collect()
        };
        let scanned = Scanned {
            imports: named(imports),
            exports: named(exports),
            ..Scanned::default()
        };
        let said = |rights| match check(&scanned, manifest, rights) {
            Ok(granted) => format!("{granted:?}"),
            Err(fault) => fault.to_string(),
        };
        format!("{}\n{}", said(None), said(Some(rights)))
    }

    #[test]
    fn what_keeps_a_plugin_from_running_is_told_with_whose_turn_it_is() {
        let none = Rights::default();
        let rights = Rights {
            log: true,
            clock: true,
            ..Rights::default()
        };
        let detector = &["setup", "detect"];
        let quiet = manifest("detector", "");
        let asking = manifest("detector", "log = true");
        assert_eq!(told(&["types"], detector, &quiet, &none), "[]\n[]");
        assert_eq!(told(&["log"], detector, &asking, &rights), "[Log]\n[Log]");
        let ungranted = "it imports what it was not granted: `tripline:plugin/log@1.0.0`; its operator grants `log` under `grant`";
        assert_eq!(
            told(&["log"], detector, &asking, &none),
            format!("[Log]\n{ungranted}")
        );
        let unasked = "it imports what it was not granted: `tripline:plugin/log@1.0.0`; its manifest does not ask for `log`: \
                       its author adds that to `[capabilities]` of plugin.toml, or does without it, and builds it anew";
        assert_eq!(
            told(&["log"], detector, &quiet, &none),
            format!("{unasked}\n{unasked}")
        );
        let policy = manifest("policy", "");
        let foreign = told(&["clock"], &["setup", "decide"], &policy, &rights);
        assert!(
            foreign.ends_with("; a plugin of the world `policy` cannot have `clock`"),
            "{foreign}"
        );
        let other = told(&[], &["setup", "enrich"], &quiet, &none);
        assert!(
            other.ends_with("; a plugin of that world exports `setup`, `detect`"),
            "{other}"
        );
    }
}
