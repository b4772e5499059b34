//! What operators write is read, and joined with what plugins ask for.

use super::*;
use crate::manifest::{Capability, KvBounds, Setting, SettingKind};
use crate::sign::Unsigned;

const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn source(text: &str) -> Arc<Source> {
    Arc::new(Source {
        name: "plugins.toml".into(),
        text: text.into(),
    })
}

fn sound(text: &str) -> Operator {
    match Operator::read(&source(text)) {
        Ok(operator) => operator,
        Err(reports) => panic!("{}", messages(&reports).join("\n")),
    }
}

fn messages(reports: &[Report]) -> Vec<String> {
    let shown = reports.iter().map(|report| {
        let diagnostic = &report.diagnostic;
        let help = diagnostic.help.join(" ");
        format!("{} ({}) {help}", diagnostic.message, diagnostic.caret)
    });
    shown.collect()
}

fn check(text: &str, expected: &str) {
    let found = match Operator::read(&source(text)) {
        Ok(_) => Vec::new(),
        Err(reports) => messages(&reports),
    };
    assert!(
        found.len() == 1 && found[0].contains(expected),
        "{text}\nwanted: {expected}\nfound: {found:#?}"
    );
}

fn whole() -> String {
    format!(
        "[trust]\nunsigned = \"allow\"\n\
         keys = [{{ key = \"{KEY}\", names = [\"acme/*\"], capabilities = [\"log\", \"lookup\"] }}]\n\
         revoked = [\"{DIGEST}\"]\n\
         [plugins.geo]\npath = \"geo.wasm\"\ndigest = \"{DIGEST}\"\nversion_min = \"1.4.0\"\n\
         [plugins.geo.grant]\nlog = true\nlookup = {{ networks = \"networks.csv\" }}\n\
         kv = {{ bytes = \"1MiB\", ttl_max = \"7d\" }}\n\
         http = [{{ host = \"api.example.com\", port = 443, methods = [\"GET\"], paths = [\"/v1/*\"], \
         secrets = {{ token = {{ env = \"API_TOKEN\" }}, other = {{ file = \"other.txt\" }} }} }}]\n\
         [plugins.geo.limits]\nmemory = \"64MiB\"\ndeadline = \"100ms\"\n\
         [plugins.geo.config]\ndefault_country = \"ZZ\"\n\
         [plugins.plain]\npath = \"plain.wasm\"\nsignature = \"elsewhere.minisig\"\n"
    )
}

#[test]
fn a_whole_file_is_read() {
    let operator = sound(&whole());
    assert_eq!(operator.trust.unsigned, Unsigned::Allow);
    assert_eq!(
        operator.trust.keys[0].capabilities,
        [Capability::Log, Capability::Lookup]
    );
    assert_eq!(operator.trust.revoked[0].to_string(), DIGEST);
    let [geo, plain] = operator.plugins.as_slice() else {
        panic!("there are two plugins");
    };
    assert_eq!(
        (geo.alias.as_str(), &geo.origin),
        ("geo", &Origin::File("geo.wasm".into()))
    );
    assert!(geo.signature.is_none() && plain.signature.is_some());
    assert_eq!(
        geo.grant.lookup,
        [("networks".to_owned(), PathBuf::from("networks.csv"))]
    );
    assert!(geo.grant.log && !geo.grant.clock);
    let secrets = [
        ("other".to_owned(), SecretSource::File("other.txt".into())),
        ("token".to_owned(), SecretSource::Env("API_TOKEN".into())),
    ];
    let mut read = geo.grant.http[0].secrets.clone();
    read.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(read, secrets);
    assert_eq!((geo.limits.memory, geo.limits.deadline_ms), (64 << 20, 100));
    assert_eq!(geo.limits.output, LIMITS_DEFAULT.output);
    assert_eq!(geo.version_min, Some(Version([1, 4, 0])));
    assert_eq!(plain.version_min, None);
    assert_eq!(plain.grant, Grant::default());
    assert_eq!(plain.limits, LIMITS_DEFAULT);
    assert_eq!(sound("").plugins.len(), 0);
    assert_eq!(sound("").trust.unsigned, Unsigned::Refuse);
}

#[test]
fn what_is_wrong_is_named() {
    check("[plugin.geo]\npath = \"a\"", "Did you mean `plugins`?");
    check("[plugins.Geo]\npath = \"a\"", "`Geo` is no name for rules");
    check("[plugins.in]\npath = \"a\"", "`in` is no name for rules");
    check("[plugins.geo]", "a plugin is in one place");
    let pinned = format!("oci = \"a.example/geo@{DIGEST}\"");
    let both = format!("[plugins.geo]\npath = \"a\"\n{pinned}");
    check(&both, "a plugin is in one place");
    for tag in ["a.example/geo:1.0", "a.example/geo", "geo"] {
        let words = format!("`{tag}` is no artifact with a digest");
        check(&format!("[plugins.geo]\noci = \"{tag}\""), &words);
    }
    let operator = sound(&format!("[plugins.geo]\n{pinned}"));
    assert!(matches!(operator.plugins[0].origin, Origin::Registry(_)));
    check("[plugins]\ngeo = 1", "`plugins` has the wrong type");
    check(
        "[trust]\nunsigned = \"yes\"",
        "expected one of refuse, allow",
    );
    check(
        "[trust]\nrevoked = [\"sha256:12\"]",
        "`sha256:12` is no digest",
    );
    check(
        "[trust]\nkeys = [{ key = \"x\", names = [], capabilities = [] }]",
        "`x` is no public key",
    );
    let key = |rest: &str| format!("[trust]\nkeys = [{{ key = \"{KEY}\", {rest} }}]");
    check(
        &key("names = [\"*\"], capabilities = []"),
        "`*` is no pattern of names",
    );
    check(
        &key("names = [\"acme*\"], capabilities = []"),
        "`acme*` is no pattern of names",
    );
    check(
        &key("names = [\"acme/*\"], capabilities = [\"all\"]"),
        "cannot be `all`",
    );
    check(
        &key("names = [\"acme/*\"]"),
        "a key needs the key `capabilities`",
    );
    let one = format!("{{ key = \"{KEY}\", names = [], capabilities = [] }}");
    check(
        &format!("[trust]\nkeys = [{one}, {one}]"),
        "is there already",
    );
    let plugin = |rest: &str| format!("[plugins.geo]\npath = \"a\"\n{rest}");
    check(&plugin("digest = \"sha256:XX\""), "is no digest");
    check(&plugin("version_min = \"1.2\""), "is no version");
    check(
        &plugin("version_min = 1"),
        "`version_min` has the wrong type",
    );
    check(&plugin("grant = { lgo = true }"), "Did you mean `log`?");
    check(
        &plugin("grant = { metrics = [\"a\"] }"),
        "`metrics` has the wrong type",
    );
    check(
        &plugin("grant = { lookup = { a = \"a.xlsx\" } }"),
        "is of no known form",
    );
    check(
        &plugin("grant = { lookup = [\"a\"] }"),
        "`lookup` has the wrong type",
    );
    check(&plugin("limits = { memory = \"2GiB\" }"), "at most 1GiB");
    check(
        &plugin("limits = { requests_per_minute = 0 }"),
        "out of range",
    );
    check(&plugin("config = 1"), "`config` has the wrong type");
    let secret = |secret: &str| {
        plugin(&format!(
            "grant = {{ http = [{{ host = \"a.com\", methods = [\"GET\"], paths = [\"/\"], secrets = {{ t = {secret} }} }}] }}"
        ))
    };
    check(&secret("{}"), "a secret is in one place");
    check(
        &secret("{ env = \"A\", file = \"b\" }"),
        "a secret is in one place",
    );
    check(
        &secret("{ env = \"A=B\" }"),
        "`A=B` is no name of a variable",
    );
    check(
        &secret("\"hunter22\""),
        "a secret is not written into this file",
    );
}

#[test]
fn settings_are_held_against_the_manifest() {
    let setting = |name: &str, kind, default| Setting {
        name: name.into(),
        kind,
        default,
        doc: "as it says".into(),
    };
    let settings = [
        setting(
            "country",
            SettingKind::Text,
            Some(SettingValue::Text("ZZ".into())),
        ),
        setting("count", SettingKind::Int, Some(SettingValue::Int(3))),
        setting("share", SettingKind::Float, Some(SettingValue::Float(0.5))),
        setting("strict", SettingKind::Bool, Some(SettingValue::Bool(false))),
        setting("names", SettingKind::Texts, None),
    ];
    let given = |config: &str| {
        let text = format!("[plugins.geo]\npath = \"a\"\n[plugins.geo.config]\n{config}");
        let operator = sound(&text);
        let plugin = &operator.plugins[0];
        configuration(&settings, &plugin.settings, &plugin.source, plugin.span)
            .map_err(|reports| messages(&reports).join("\n"))
    };
    let json = given("names = [\"a\", \"\\\"\"]\nshare = 1\ncount = 0x10").expect("it fits");
    assert_eq!(
        json,
        r#"{"country":"ZZ","count":16,"share":1.0,"strict":false,"names":["a","\""]}"#
    );
    let check = |config: &str, expected: &str| {
        let found = given(config).expect_err(expected);
        assert!(found.contains(expected), "{config}: {found}");
    };
    check("", "the plugin needs the setting `names`");
    check("names = []\ncoutnry = \"X\"", "Did you mean `country`?");
    check(
        "names = []\ncountry = 1",
        "`country` is not of the type `text`",
    );
    check(
        "names = []\ncount = 1.5",
        "`count` is not of the type `int`",
    );
    check(
        "names = []\ncount = 9223372036854775808",
        "`count` is not of the type `int`",
    );
    check(
        "names = []\nshare = inf",
        "`share` is not of the type `float`",
    );
    check(
        "names = []\nstrict = \"yes\"",
        "`strict` is not of the type `bool`",
    );
    check("names = [1]", "`names` is not of the type `texts`");
    check("names = \"a\"", "`names` is not of the type `texts`");
    check("names = { a = 1 }", "`names` is not of the type `texts`");
    let many: Vec<String> = (0..1025).map(|at| format!("\"{at}\"")).collect();
    check(
        &format!("names = [{}]", many.join(",")),
        "`names` is not of the type `texts`",
    );
}

/// A manifest's and an operator's part with the same keys.
fn joined(asks: &str, grant: &str, ceiling: &[Capability]) -> (Rights, Vec<String>) {
    let manifest = format!(
        "[plugin]\nname = \"a/b\"\nversion = \"1.0.0\"\nworld = \"enricher\"\ncontract = \"1.0\"\n\
         [reads]\nfields = [\"a:text\"]\n[writes]\ncolumns = [\"a:text\"]\n[capabilities]\n{asks}"
    );
    let manifest = Manifest::read(&source(&manifest));
    let manifest = manifest.unwrap_or_else(|reports| panic!("{:?}", messages(&reports)));
    let operator = sound(&format!(
        "[plugins.a]\npath = \"a\"\n[plugins.a.grant]\n{grant}"
    ));
    let (rights, missing) = rights(&manifest.asks, &operator.plugins[0].grant, ceiling);
    (rights, missing.iter().map(ToString::to_string).collect())
}

#[test]
fn rights_are_what_all_three_agree_on() {
    use Capability::*;
    let all = &Capability::ALL;
    let check =
        |asks: &str, grant: &str, ceiling: &[Capability], has: &[Capability], missing: &[&str]| {
            let (rights, found) = joined(asks, grant, ceiling);
            let given: Vec<_> = Capability::ALL
                .into_iter()
                .filter(|one| rights.has(*one))
                .collect();
            assert_eq!(given, has, "{asks} / {grant} / {ceiling:?}");
            assert_eq!(found, missing, "{asks} / {grant} / {ceiling:?}");
        };
    check("", "", all, &[], &[]);
    check("", "log = true\nclock = true", all, &[], &[]);
    check("log = true", "", all, &[], &["log is not granted"]);
    check(
        "log = true",
        "log = false",
        all,
        &[],
        &["log is not granted"],
    );
    check("log = false", "log = true", all, &[], &[]);
    check("log = true", "log = true", all, &[Log], &[]);
    check(
        "log = true",
        "log = true",
        &[],
        &[],
        &["log is more than the signing key may have"],
    );
    check(
        "log = true\nclock = true",
        "log = true\nclock = true",
        &[Clock],
        &[Clock],
        &["log is more than the signing key may have"],
    );
    check(
        "random = true\nevents = true",
        "random = true\nevents = true",
        all,
        &[Random, Events],
        &[],
    );
    check("metrics = [\"a\"]", "metrics = true", all, &[Metrics], &[]);
    check("metrics = []", "metrics = true", all, &[], &[]);
    check(
        "lookup = [\"a\", \"b\"]",
        "lookup = { a = \"a.csv\", c = \"c.csv\" }",
        all,
        &[Lookup],
        &["lookup b is not granted"],
    );
    check(
        "lookup = [\"b\"]",
        "lookup = { a = \"a.csv\" }",
        all,
        &[],
        &["lookup b is not granted"],
    );
    let kv =
        |bytes: &str, ttl: &str| format!("kv = {{ bytes = \"{bytes}\", ttl_max = \"{ttl}\" }}");
    check(&kv("1MiB", "1d"), &kv("2MiB", "7d"), all, &[Kv], &[]);
    check(
        &kv("1MiB", "7d"),
        &kv("1KiB", "1d"),
        all,
        &[Kv],
        &[
            "kv bytes = 1MiB is granted in part",
            "kv ttl_max = 7d is granted in part",
        ],
    );
    let (rights, _) = joined(&kv("1MiB", "1d"), &kv("1KiB", "7d"), all);
    let least = KvBounds {
        bytes: 1024,
        ttl_ms_max: 86_400_000,
    };
    assert_eq!(rights.kv, Some(least));
}

#[test]
fn requests_need_both() {
    let entry = |host: &str, methods: &str, paths: &str, secrets: &str| {
        format!(
            "http = [{{ host = \"{host}\", methods = [{methods}], paths = [\"{paths}\"], secrets = {secrets} }}]"
        )
    };
    let check = |asks: &str, grant: &str, expected: &[&str]| {
        let (rights, missing) = joined(asks, grant, &Capability::ALL);
        assert_eq!(missing, expected, "{asks} / {grant}");
        rights
    };
    let ask = entry("a.example.com", "\"GET\"", "/v1/*", "[\"t\"]");
    let token = "{ t = { env = \"T\" } }";
    let rights = check(
        &ask,
        &entry("*.example.com", "\"GET\", \"POST\"", "/*", token),
        &[],
    );
    assert_eq!((rights.http.asked.len(), rights.http.granted.len()), (1, 1));
    let whole = "http GET https://a.example.com:443/v1/*";
    check(
        &ask,
        &entry("a.example.com", "\"GET\"", "/v1/x", token),
        &[&format!("{whole} is granted in part")],
    );
    check(
        &ask,
        &entry("a.example.com", "\"GET\"", "/*", "{}"),
        &["http secret `t` for a.example.com is not granted"],
    );
    for other in [
        entry("b.example.com", "\"GET\"", "/*", token),
        entry("example.com", "\"GET\"", "/*", token),
        entry("a.example.com", "\"POST\"", "/*", token),
        entry("a.example.com", "\"GET\"", "/v2/*", token),
        entry("a.example.com", "\"GET\"", "/*", token).replace("host", "port = 8443, host"),
        entry("a.example.com", "\"GET\"", "/*", token).replace("host", "scheme = \"http\", host"),
    ] {
        let rights = check(&ask, &other, &[&format!("{whole} is not granted")]);
        assert!(!rights.has(Capability::Http), "{other}");
    }
}

#[test]
fn a_planner_asks_what_it_names_and_is_granted() {
    let manifest = "[plugin]\nname = \"a/b\"\nversion = \"1.0.0\"\nworld = \"planner\"\ncontract = \"1.0\"\n\
                    [capabilities]\nreads = [\"ec2.DescribeTags\", \"iam.GetUser\"]\n";
    let manifest = Manifest::read(&source(manifest));
    let manifest = manifest.unwrap_or_else(|reports| panic!("{:?}", messages(&reports)));
    let check = |grant: &str, given: &[&str], missing: &[&str]| {
        let operator = sound(&format!(
            "[plugins.a]\npath = \"a\"\n[plugins.a.grant]\n{grant}"
        ));
        let grant = &operator.plugins[0].grant;
        let (rights, found) = rights(&manifest.asks, grant, &Capability::ALL);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!((rights.reads, found), (owned(given), owned(missing)));
    };
    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }
    check("", &[], &["reads is not granted"]);
    check(
        "reads = [\"ec2.DescribeTags\", \"ec2.DescribeVpcs\"]",
        &["ec2.DescribeTags"],
        &["reads iam.GetUser is not granted"],
    );
}
