//! The contract as it is, compared with the contract as it was released.
//!
//! Everything is written down as sentences: what worlds import and export, what functions take and give, what types are
//! made of. Within a major version no sentence may go away or change. New ones may come, except in what plugins export:
//! a plugin that was made earlier does not have it. A version that was released stays as it is: what is new belongs to a later
//! one, and says to which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use wit_parser::{Resolve, Stability, Type, TypeDefKind, WorldItem, WorldKey};

/// Sentences about a version of the contract.
#[derive(Debug, Default, PartialEq, Eq)]
struct Contract {
    version: String,
    /// With the version that each is there since, where that is said.
    said: BTreeMap<String, Option<String>>,
    /// Interfaces that some world exports, and worlds: whose sentences may not become more.
    exports: BTreeMap<String, BTreeSet<String>>,
}

fn read(folder: &Path) -> Contract {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(folder).expect("the contract parses");
    let version = &resolve.packages[package].name.version;
    let mut contract = Contract {
        version: version.as_ref().expect("a version").to_string(),
        ..Contract::default()
    };
    for (name, id) in &resolve.packages[package].interfaces {
        let interface = &resolve.interfaces[*id];
        let whole = &interface.stability;
        for (function, told) in &interface.functions {
            let parameters = told.params.iter();
            let parameters: Vec<String> = parameters
                .map(|parameter| format!("{}: {}", parameter.name, shape(&resolve, &parameter.ty)))
                .collect();
            let result = told.result.as_ref().map(|result| shape(&resolve, result));
            let said = format!(
                "{name}.{function} takes ({}) and gives {}",
                parameters.join(", "),
                result.unwrap_or_default()
            );
            contract.said.insert(said, since(&[&told.stability, whole]));
        }
        for (named, id) in &interface.types {
            let made_of = definition(&resolve, &resolve.types[*id].kind);
            let of_type = &resolve.types[*id].stability;
            let said = format!("{name}.{named} is {made_of}");
            contract.said.insert(said, since(&[of_type, whole]));
        }
    }
    for (name, id) in &resolve.packages[package].worlds {
        let world = &resolve.worlds[*id];
        for (key, item) in &world.imports {
            let of_item = match item {
                WorldItem::Interface { stability, .. } => stability,
                _ => &Stability::Unknown,
            };
            let said = format!("{name} imports {}", item_name(&resolve, key, item));
            contract
                .said
                .insert(said, since(&[of_item, &world.stability]));
        }
        let exports = contract.exports.entry(name.clone()).or_default();
        for (key, item) in &world.exports {
            let item_name = item_name(&resolve, key, item);
            exports.insert(item_name);
            if let WorldItem::Interface { id, .. } = item {
                let functions = resolve.interfaces[*id].functions.keys();
                exports.extend(functions.map(|function| format!("{name}: {function}")));
            }
        }
    }
    contract
}

/// The first of these that says since when.
fn since(of: &[&Stability]) -> Option<String> {
    of.iter().find_map(|one| match one {
        Stability::Stable { since, .. } => Some(since.to_string()),
        _ => None,
    })
}

fn item_name(resolve: &Resolve, key: &WorldKey, item: &WorldItem) -> String {
    match (key, item) {
        (WorldKey::Interface(id), _) => {
            let name = resolve.interfaces[*id].name.clone();
            name.expect("interfaces of the contract have names")
        }
        (WorldKey::Name(name), _) => name.clone(),
    }
}

/// A type where it is used: by its name when it has one.
fn shape(resolve: &Resolve, of: &Type) -> String {
    match of {
        Type::Id(id) => match &resolve.types[*id].name {
            Some(name) => name.clone(),
            None => definition(resolve, &resolve.types[*id].kind),
        },
        primitive => format!("{primitive:?}"),
    }
}

/// What a type is made of.
fn definition(resolve: &Resolve, kind: &TypeDefKind) -> String {
    let of = |of: &Type| shape(resolve, of);
    let maybe = |maybe: &Option<Type>| maybe.as_ref().map(of).unwrap_or_default();
    let listed = |parts: Vec<String>| parts.join(", ");
    match kind {
        TypeDefKind::Record(record) => {
            let fields = record.fields.iter();
            let fields = fields.map(|field| format!("{}: {}", field.name, of(&field.ty)));
            format!("record of {}", listed(fields.collect()))
        }
        TypeDefKind::Variant(variant) => {
            let cases = variant.cases.iter();
            let cases = cases.map(|case| format!("{}({})", case.name, maybe(&case.ty)));
            format!("variant of {}", listed(cases.collect()))
        }
        TypeDefKind::Enum(of) => {
            let cases = of.cases.iter().map(|case| case.name.clone());
            format!("enum of {}", listed(cases.collect()))
        }
        TypeDefKind::Flags(flags) => {
            let flags = flags.flags.iter().map(|flag| flag.name.clone());
            format!("flags of {}", listed(flags.collect()))
        }
        TypeDefKind::Tuple(tuple) => {
            format!("tuple of {}", listed(tuple.types.iter().map(of).collect()))
        }
        TypeDefKind::Option(some) => format!("option of {}", of(some)),
        TypeDefKind::List(element) => format!("list of {}", of(element)),
        TypeDefKind::Result(result) => {
            format!(
                "result of ({}), ({})",
                maybe(&result.ok),
                maybe(&result.err)
            )
        }
        TypeDefKind::Type(same) => of(same),
        other => format!("{other:?}"),
    }
}

/// What is wrong with `new` for who relies on `old`.
fn broken(old: &Contract, new: &Contract) -> Vec<String> {
    let gone = old.said.keys().filter(|said| !new.said.contains_key(*said));
    let mut broken: Vec<String> = gone.map(|said| format!("no longer: {said}")).collect();
    for (said, since) in &new.said {
        if old.said.contains_key(said) {
            continue;
        }
        if new.version == old.version {
            broken.push(format!("{} was released without: {said}", old.version));
        } else if since.as_ref().is_none_or(|since| *since == old.version) {
            broken.push(format!("without a word since when: {said}"));
        }
    }
    for (world, exports) in &old.exports {
        let Some(now) = new.exports.get(world) else {
            broken.push(format!("no longer: the world {world}"));
            continue;
        };
        let gone = exports.difference(now);
        broken.extend(gone.map(|export| format!("{world} no longer exports {export}")));
        let more = now.difference(exports);
        broken.extend(more.map(|export| format!("{world} also has to export {export}")));
    }
    broken
}

fn contract() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit")
}

#[test]
fn the_contract_is_compatible_with_each_release_of_its_major_version() {
    let now = read(&contract());
    let releases = fs::read_dir(contract().join("released")).expect("releases");
    let mut looked_at = 0;
    for release in releases {
        let folder = release.expect("an entry").path();
        let broken = broken(&read(&folder), &now);
        assert!(broken.is_empty(), "{}: {broken:#?}", folder.display());
        looked_at += 1;
    }
    assert!(looked_at > 0);
}

/// The files of the contract, by name.
fn files() -> Vec<(String, String)> {
    let entries = fs::read_dir(contract()).expect("the contract");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let paths = paths.filter(|path| path.extension().is_some_and(|of| of == "wit"));
    let named = paths.map(|path| {
        let name = path.file_name().expect("a name").to_string_lossy();
        let text = fs::read_to_string(&path).expect("text");
        (name.into_owned(), text)
    });
    named.collect()
}

/// The contract with one change.
fn changed(name: &str, file: &str, from: &str, to: &str) -> Contract {
    let folder = crate::guest::folder(&format!("contract-{name}"));
    fs::create_dir_all(&folder).expect("a folder");
    for (of, mut text) in files() {
        if of == file {
            assert!(text.contains(from), "{from} in {file}");
            text = text.replacen(from, to, 1);
        }
        fs::write(folder.join(of), text).expect("written");
    }
    read(&folder)
}

#[test]
fn changes_that_break_plugins_are_named() {
    let now = read(&contract());
    let check = |name: &str, file: &str, from: &str, to: &str, expected: &[&str]| {
        assert_eq!(
            broken(&now, &changed(name, file, from, to)),
            expected,
            "{name}"
        );
    };
    check("same", "log.wit", "How loud.", "How loud it is.", &[]);
    check(
        "function-added",
        "clock.wit",
        "now-ms: func() -> u64;",
        "now-ms: func() -> u64; zone: func() -> u32;",
        &["1.0.0 was released without: clock.zone takes () and gives U32"],
    );
    check(
        "function-renamed",
        "clock.wit",
        "now-ms",
        "now-millis",
        &[
            "no longer: clock.now-ms takes () and gives U64",
            "1.0.0 was released without: clock.now-millis takes () and gives U64",
        ],
    );
    check(
        "parameter-changed",
        "random.wit",
        "count: u32",
        "count: u64",
        &[
            "no longer: random.bytes takes (count: U32) and gives list of U8",
            "1.0.0 was released without: random.bytes takes (count: U64) and gives list of U8",
        ],
    );
    check(
        "case-added",
        "log.wit",
        "    error,\n",
        "    error,\n    fatal,\n",
        &[
            "no longer: log.level is enum of trace, debug, info, warn, error",
            "1.0.0 was released without: log.level is enum of trace, debug, info, warn, error, fatal",
        ],
    );
    check(
        "field-removed",
        "decode.wit",
        "offset: u64,",
        "",
        &[
            "no longer: decode.bad is record of offset: U64, message: String",
            "1.0.0 was released without: decode.bad is record of message: String",
        ],
    );
    check(
        "import-removed",
        "worlds.wit",
        "world policy {\n  include base;\n  import log;",
        "world policy {\n  include base;",
        &["no longer: policy imports log"],
    );
    check(
        "export-added",
        "worlds.wit",
        "export score;",
        "export score;\n  export checkpoint;",
        &[
            "scorer also has to export checkpoint",
            "scorer also has to export scorer: restore",
            "scorer also has to export scorer: save",
        ],
    );
    check(
        "exported-function-added",
        "score.wit",
        "score: func(batch: list<u8>) -> result<list<f64>, fault>;",
        "score: func(batch: list<u8>) -> result<list<f64>, fault>; more: func();",
        &[
            "1.0.0 was released without: score.more takes () and gives ",
            "scorer also has to export scorer: more",
        ],
    );
    // Of a later version they may come, if they say so.
    let later = |name: &str, to: &str| {
        let folder = crate::guest::folder(&format!("contract-{name}"));
        fs::create_dir_all(&folder).expect("a folder");
        for (of, text) in files() {
            let text = text.replace("tripline:plugin@1.0.0;", "tripline:plugin@1.1.0;");
            let text = text.replace("now-ms: func() -> u64;", to);
            fs::write(folder.join(of), text).expect("written");
        }
        broken(&now, &read(&folder))
    };
    let told = "now-ms: func() -> u64; @since(version = 1.1.0) zone: func() -> u32;";
    assert_eq!(later("later", told), Vec::<String>::new());
    let untold = "now-ms: func() -> u64; zone: func() -> u32;";
    assert_eq!(
        later("untold", untold),
        ["without a word since when: clock.zone takes () and gives U32"]
    );
    let too_early = "now-ms: func() -> u64; @since(version = 1.0.0) zone: func() -> u32;";
    assert_eq!(
        later("too-early", too_early),
        ["without a word since when: clock.zone takes () and gives U32"]
    );
}
