//! The manifest of `wit/README.md` is read; what is wrong with others is said, all of it, with places.

use super::*;
use crate::batch::ColumnKind;
use tripline_core::diagnostic::Palette;

fn source(text: &str) -> Arc<Source> {
    Arc::new(Source {
        name: "plugin.toml".into(),
        text: text.into(),
    })
}

/// `line:column: message (caret) help` of each mistake.
fn mistakes(text: &str) -> Vec<String> {
    let Err(reports) = Manifest::read(&source(text)) else {
        return Vec::new();
    };
    let shown = reports.into_iter().map(|report| {
        let place = tripline_core::rule::Place {
            source: report.source.clone(),
            span: report.diagnostic.span,
        };
        let (line, column) = place.line_column();
        let diagnostic = report.diagnostic;
        let help = diagnostic.help.join(" ");
        format!(
            "{line}:{column}: {} ({}) {help}",
            diagnostic.message, diagnostic.caret
        )
    });
    shown.collect()
}

const PLUGIN: &str = "[plugin]\nname = \"acme/geo\"\nversion = \"1.4.2\"\nworld = \"enricher\"\n\
    contract = \"1.0\"\n[reads]\nfields = [\"a.b:text\"]\n[writes]\ncolumns = [\"c:int\"]\n";

/// Wants exactly one mistake in `PLUGIN` with `more` behind it.
fn check(more: &str, expected: &str) {
    let found = mistakes(&format!("{PLUGIN}{more}"));
    assert!(
        found.len() == 1 && found[0].contains(expected),
        "{more}\nwanted: {expected}\nfound: {found:#?}"
    );
}

/// The same after `from` in `PLUGIN` became `to`.
fn check_changed(from: &str, to: &str, expected: &str) {
    assert!(PLUGIN.contains(from), "{from}");
    let found = mistakes(&PLUGIN.replace(from, to));
    assert!(
        found.len() == 1 && found[0].contains(expected),
        "{to}\nwanted: {expected}\nfound: {found:#?}"
    );
}

#[test]
fn the_manifest_of_the_contract_is_read() {
    let readme = include_str!("../../../../wit/README.md");
    let (_, text) = readme.split_once("```toml\n").expect("there is an example");
    let (text, _) = text.split_once("```").expect("it has an end");
    let text = text.replace(
        "# clock = true, random = true, events = true\n",
        "clock = true\n",
    );
    let text = text.replace("# http", "http");
    let manifest = Manifest::read(&source(&text)).expect("it is sound");
    assert_eq!(manifest.name.as_str(), "acme/geo");
    assert_eq!(manifest.version, Version([1, 4, 2]));
    assert_eq!(manifest.world, World::Enricher);
    let column = |name: &str, kind| Column {
        name: name.into(),
        kind,
    };
    let reads = [
        column("sourceIPAddress", ColumnKind::Text),
        column("eventName", ColumnKind::Symbol),
    ];
    assert_eq!(manifest.reads, reads);
    let writes = [
        column("country", ColumnKind::Symbol),
        column("asn", ColumnKind::Int),
    ];
    assert_eq!(manifest.writes, writes);
    assert_eq!(manifest.asks.lookup, ["networks"]);
    assert_eq!(manifest.asks.metrics, ["lookups_total"]);
    let kv = KvBounds {
        bytes: 1 << 20,
        ttl_ms_max: 7 * 86_400_000,
    };
    assert_eq!(manifest.asks.kv, Some(kv));
    assert!(manifest.asks.log && manifest.asks.clock && !manifest.asks.random);
    assert_eq!(manifest.asks.http[0].secrets, ["token"]);
    assert_eq!(manifest.limits, Limits::DEFAULT);
    assert_eq!(manifest.instance, InstanceMode::PerBatch);
    let default = Some(SettingValue::Text("ZZ".into()));
    assert_eq!(manifest.settings[0].default, default);
}

#[test]
fn all_mistakes_are_said_at_once_as_rules_say_them() {
    let text = "[plugin]\nname = \"acme\"\nversoin = \"1.0.0\"\nworld = \"enricher\"\ncontract = \"1.0\"\n\
        [reads]\nfields = [\"a\"]\n[writes]\ncolumns = [\"c:number\"]\n[capabilities]\nlog = 1\n";
    let Err(reports) = Manifest::read(&source(text)) else {
        panic!("the manifest is full of mistakes");
    };
    let shown: String = reports
        .iter()
        .map(|report| report.render(Palette::PLAIN))
        .collect();
    for part in [
        "plugin.toml:2:8",
        "2 | name = \"acme\"",
        "^^^^^^ expected `who/what` in small letters",
        "has no key `versoin`",
        "Did you mean `version`?",
        "`[plugin]` needs the key `version`",
        "`a` is no field",
        "`column` cannot be `number`",
        "expected true or false, found an integer",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    check_changed("acme/geo", "Acme/Geo", "`Acme/Geo` is no name of a plugin");
    check_changed("1.4.2", "1.4", "`1.4` is no version");
    check_changed("enricher", "enrichr", "Did you mean `enricher`?");
    check_changed("\"1.0\"", "\"1.1\"", "made for the contract 1.1");
    check_changed("\"1.0\"", "\"2.0\"", "made for the contract 2.0");
    check_changed("\"1.0\"", "\"one\"", "`one` is no version of the contract");
    check_changed("a.b:text", "a..b:text", "`a..b` is no field");
    check_changed("a.b:text", "a.b:txt", "Did you mean `text`?");
    check_changed(
        "\"a.b:text\"",
        "\"a:text\", \"a:int\"",
        "`a` is there already",
    );
    check_changed("\"a.b:text\"", "", "`fields` of `[reads]` is empty");
    check_changed(
        "\"a.b:text\"",
        "7",
        "`fields` has the wrong type (expected a string, found an integer)",
    );
    check_changed("c:int", "C:int", "`C` is no column");
    // Rules could not name them.
    for word in ["in", "true", "false", "null"] {
        let told = format!("`{word}` is no column");
        check_changed("c:int", &format!("{word}:int"), &told);
    }
    check_changed("[writes]\ncolumns = [\"c:int\"]\n", "", "needs `[writes]`");
    check_changed("[reads]\nfields = [\"a.b:text\"]\n", "", "needs `[reads]`");
    check("[limits]\nmemory = \"32MB\"", "`32MB` is no size");
    check("[limits]\nmemory = \"2GiB\"", "at most 1GiB");
    check("[limits]\nmemory = \"0B\"", "more than nothing");
    check("[limits]\ndeadline = \"50\"", "`50` is no length of time");
    check("[limits]\ndeadline = \"2m\"", "at most 1m");
    check("[limits]\noutput = 5", "`output` has the wrong type");
    check(
        "[limits]\nbatch = 1025",
        "`batch` is out of range (expected a whole number from 1 to 1024)",
    );
    check("[limits]\nbatch = 0", "`batch` is out of range");
    check("[limits]\nbatch = -1", "`batch` is out of range");
    check(
        "[instance]\nmode = \"pooled\"",
        "expected one of per-batch, reused",
    );
    check("[capabilities]\nlgo = true", "Did you mean `log`?");
    check("[capabilities]\nlookup = [\"Net\"]", "`Net` is no name");
    check(
        "[capabilities]\nlookup = [\"a\", \"a\"]",
        "`a` is there already",
    );
    check(
        "[capabilities]\nkv = { bytes = \"1MiB\" }",
        "`kv` needs the key `ttl_max`",
    );
    check(
        "[capabilities]\nkv = { bytes = \"1MiB\", ttl_max = \"400d\" }",
        "at most 366d",
    );
    check("[capabilities]\nkv = true", "`kv` has the wrong type");
    check("[capabilities]\nmetrics = [\"a b\"]", "`a b` is no name");
    check("[config]\nx = { type = \"txt\" }", "Did you mean `text`?");
    check(
        "[config]\nx = { type = \"int\", default = \"1\" }",
        "`default` is not of the type `int`",
    );
    check(
        "[config]\nx = { type = \"float\", default = nan }",
        "`default` is not of the type `float`",
    );
    check(
        "[config]\nx = { default = \"1\" }",
        "a setting needs the key `type`",
    );
    check("[config]\nX = { type = \"int\" }", "`X` is no name");
    check("[config]\nx = 1", "`x` has the wrong type");
    check("[extra]\n", "a manifest has no key `extra`");
    assert_eq!(mistakes("").len(), 1);
    assert!(
        mistakes("[plugin")[0].starts_with("1:"),
        "{:?}",
        mistakes("[plugin")
    );
}

#[test]
fn requests_are_asked_for_narrowly() {
    let check_http = |entry: &str, expected: &str| {
        check(&format!("[capabilities]\nhttp = [{{ {entry} }}]"), expected);
    };
    let rest = "methods = [\"GET\"], paths = [\"/\"]";
    for host in [
        "*",
        "*.com",
        "API.example.com",
        "a b",
        "http://a.com",
        "a.com:443",
        "2130706433",
        "0x7f.1",
        "127.1",
        "0177.0.0.1",
        "*.10.0.0.1",
        "a..b",
        "-a.com",
        "*.*.com",
        "a/b",
    ] {
        check_http(&format!("host = \"{host}\", {rest}"), "is no host");
    }
    let host = "host = \"api.example.com\"";
    check_http(rest, "needs the key `host`");
    check_http(
        &format!("{host}, port = 0, {rest}"),
        "`port` is out of range",
    );
    check_http(
        &format!("{host}, port = 65536, {rest}"),
        "`port` is out of range",
    );
    check_http(
        &format!("{host}, scheme = \"ftp\", {rest}"),
        "expected one of https, http",
    );
    check_http(
        &format!("{host}, methods = [\"get\"], paths = [\"/\"]"),
        "Did you mean `GET`?",
    );
    check_http(
        &format!("{host}, methods = [\"CONNECT\"], paths = [\"/\"]"),
        "cannot be `CONNECT`",
    );
    check_http(
        &format!("{host}, methods = [], paths = [\"/\"]"),
        "`methods` is empty",
    );
    check_http(
        &format!("{host}, methods = [\"GET\"], paths = []"),
        "`paths` is empty",
    );
    for path in [
        "v1",
        "/v1*",
        "/*/x",
        "/a/../b",
        "/a//b",
        "/%2e%2e/x",
        "/a?b",
        "/a b",
        "/a#b",
        "*",
    ] {
        check_http(
            &format!("{host}, methods = [\"GET\"], paths = [\"{path}\"]"),
            "is no path",
        );
    }
    check_http(
        &format!("{host}, {rest}, secrets = [\"A\"]"),
        "`A` is no name",
    );
}

#[test]
fn worlds_have_what_the_contract_says() {
    let worlds = include_str!("../../../../wit/worlds.wit");
    for world in World::ALL {
        let body_of = |name: &str| {
            let (_, body) = worlds
                .split_once(&format!("world {name} {{"))
                .expect("the world is there");
            body.split_once('}').expect("it has an end").0.to_owned()
        };
        let mut body = body_of(world.as_str());
        if body.contains("include detector;") {
            body.push_str(&body_of("detector"));
        }
        for capability in Capability::ALL {
            let is_there = body.contains(&format!("import {};", capability.as_str()));
            assert_eq!(
                world.may_import(capability),
                is_there,
                "{world:?} {capability:?}"
            );
        }
    }
}

#[test]
fn worlds_bound_what_is_asked() {
    let as_world = |world: &str, more: &str| {
        let plugin = PLUGIN
            .replace("enricher", world)
            .replace("[writes]\ncolumns = [\"c:int\"]\n", "");
        mistakes(&format!("{plugin}{more}"))
    };
    assert_eq!(as_world("detector", ""), Vec::<String>::new());
    assert!(
        as_world("policy", "[capabilities]\nclock = true")[0].contains("`policy` has no `clock`")
    );
    assert!(
        as_world("detector", "[capabilities]\nhttp = []")[0].contains("`detector` has no `http`")
    );
    assert!(as_world("decoder", "")[0].contains("`decoder` has no `[reads]`"));
    assert!(
        as_world("detector", "[writes]\ncolumns = [\"a:int\"]")[0].contains("has no `[writes]`")
    );
    let fresh = as_world("stateful-detector", "[instance]\nmode = \"per-batch\"");
    assert!(fresh[0].contains("remembers nothing"), "{fresh:?}");
    let plugin = PLUGIN
        .replace("enricher", "stateful-detector")
        .replace("[writes]\ncolumns = [\"c:int\"]\n", "");
    let manifest = Manifest::read(&source(&plugin)).expect("it is sound");
    assert_eq!(manifest.instance, InstanceMode::Reused);
}

#[test]
fn hostile_manifests_are_refused_within_bounds() {
    let large = format!("{PLUGIN}# {}", "x".repeat(1 << 20));
    assert!(
        mistakes(&large)[0].contains("bytes"),
        "{:?}",
        mistakes(&large)
    );
    let fields: Vec<String> = (0..10_000).map(|at| format!("\"f{at}:int\"")).collect();
    check_changed(
        "\"a.b:text\"",
        &fields.join(","),
        "10000 fields are too many",
    );
    let keys: String = (0..10_000).map(|at| format!("k{at} = 1\n")).collect();
    let found = mistakes(&format!("{PLUGIN}{keys}"));
    assert_eq!(found.len(), 201);
    assert!(found[200].contains("9800 more mistakes"), "{}", found[200]);
    for depth in [20, 100, 10_000] {
        let deep = format!(
            "{PLUGIN}[config]\nx = {}{}\n",
            "[".repeat(depth),
            "]".repeat(depth)
        );
        assert!(!mistakes(&deep).is_empty(), "{depth}");
        let dotted = format!("{PLUGIN}[config]\nx{} = 1\n", ".a".repeat(depth));
        assert!(!mistakes(&dotted).is_empty(), "{depth}");
    }
    let settings: String = (0..65)
        .map(|at| format!("s{at} = {{ type = \"int\" }}\n"))
        .collect();
    check(&format!("[config]\n{settings}"), "65 settings are too many");
    let metrics: Vec<String> = (0..65).map(|at| format!("\"m{at}\"")).collect();
    check(
        &format!("[capabilities]\nmetrics = [{}]", metrics.join(",")),
        "65 names are too many",
    );
    let long = "a".repeat(2000);
    check_changed(
        "version",
        &format!("description = \"{long}\"\nversion"),
        "2000 bytes are too many",
    );
    check_changed(
        "acme/geo",
        &format!("acme/{long}"),
        "is no name of a plugin",
    );
}

#[test]
fn characters_that_are_not_seen_are_refused() {
    for hidden in ["\u{202e}", "\u{200b}", "\u{feff}", "\u{7f}"] {
        let found = mistakes(&format!("{PLUGIN}# see{hidden}this\n"));
        assert!(
            found.iter().any(|one| one.contains("is not seen")),
            "{hidden:?}: {found:?}"
        );
        let found = mistakes(&PLUGIN.replace("acme/geo", &format!("acme/g{hidden}eo")));
        assert!(
            found.iter().any(|one| one.contains("is not seen")),
            "{hidden:?}: {found:?}"
        );
    }
    for escape in ["\\u202e", "\\u0000", "\\u001b", "\\u200b"] {
        check_changed(
            "version",
            &format!("description = \"a{escape}b\"\nversion"),
            "is not seen",
        );
        let found = mistakes(&format!(
            "{PLUGIN}[config]\n\"a{escape}b\" = {{ type = \"int\" }}"
        ));
        assert!(
            found.iter().any(|one| one.contains("is not seen")),
            "{escape}: {found:?}"
        );
        let shown = found.join("");
        assert!(
            !shown
                .chars()
                .any(|one| one.is_control() || one == '\u{202e}'),
            "{shown:?}"
        );
    }
}

#[test]
fn no_cut_or_changed_byte_makes_reading_panic() {
    let text = format!(
        "{PLUGIN}[capabilities]\nkv = {{ bytes = \"1MiB\", ttl_max = \"7d\" }}\n[config]\nx = {{ type = \"texts\", default = [\"é\"] }}\n"
    );
    assert_eq!(mistakes(&text), Vec::<String>::new());
    for at in 0..text.len() {
        if text.is_char_boundary(at) {
            let _ = mistakes(&text[..at]);
            for with in ["\"", "[", "]", "{", "=", "\\", "é", "\n", "-1", "."] {
                let _ = mistakes(&format!("{}{with}{}", &text[..at], &text[at..]));
            }
        }
    }
}

#[test]
fn planners_start_afresh_and_name_what_they_ask() {
    let planner = "[plugin]\nname = \"acme/tag\"\nversion = \"1.0.0\"\nworld = \"planner\"\ncontract = \"1.0\"\n";
    let found = |more: &str| mistakes(&format!("{planner}{more}"));
    let good =
        "[capabilities]\nreads = [\"ec2.DescribeTags\", \"s3control.GetPublicAccessBlock\"]\n";
    assert_eq!(found(good), Vec::<String>::new());
    let reused = found("[instance]\nmode = \"reused\"");
    assert!(reused[0].contains("could remember"), "{reused:?}");
    for name in [
        "ec2",
        "ec2.",
        "ec2.describeTags",
        "EC2.DescribeTags",
        "a.b.C",
        "ec2.Describe*",
    ] {
        let odd = found(&format!("[capabilities]\nreads = [\"{name}\"]"));
        assert!(odd[0].contains("a dot and an operation"), "{odd:?}");
    }
    let clock = found("[capabilities]\nclock = true");
    assert!(clock[0].contains("`planner` has no `clock`"), "{clock:?}");
    let reads = mistakes(&format!(
        "{PLUGIN}[capabilities]\nreads = [\"ec2.DescribeTags\"]"
    ));
    assert!(reads[0].contains("`enricher` has no `reads`"), "{reads:?}");
}
