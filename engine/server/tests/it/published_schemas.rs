//! SARIF and OCSF are what their publishers' own schemas say, and files of plugins what ours do.
//!
//! The part of JSON Schema that these schemas use is evaluated here; a keyword that is not known fails the test, so
//! that nothing is passed over unseen. A validator crate was rejected: it brings dozens of packages for two files.

use crate::harness::{Folder, data, run};
use regex::Regex;
use serde_json::Value;
use std::path::Path;

fn schema(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/schema")
        .join(name);
    let text = std::fs::read_to_string(path).expect("the schema is here");
    serde_json::from_str(&text).expect("the schema is JSON")
}

/// Keywords that say nothing of validity, or are read with others.
const ANNOTATIONS: [&str; 9] = [
    "$schema",
    "$id",
    "title",
    "description",
    "default",
    "deprecated",
    "format",
    "definitions",
    "$defs",
];

struct Validator<'s> {
    root: &'s Value,
    mistakes: Vec<String>,
}

impl<'s> Validator<'s> {
    /// Everything wrong with a value, by place.
    fn mistakes(root: &'s Value, value: &Value) -> Vec<String> {
        let mut validator = Self {
            root,
            mistakes: Vec::new(),
        };
        validator.check("", root, value);
        validator.mistakes
    }

    fn holds(&self, schema: &Value, value: &Value) -> bool {
        let mut inner = Validator {
            root: self.root,
            mistakes: Vec::new(),
        };
        inner.check("", schema, value);
        inner.mistakes.is_empty()
    }

    fn check(&mut self, at: &str, schema: &Value, value: &Value) {
        let Some(keywords) = schema.as_object() else {
            assert_eq!(*schema, Value::Bool(true), "a schema at {at}");
            return;
        };
        for (keyword, wanted) in keywords {
            if ANNOTATIONS.contains(&keyword.as_str()) {
                continue;
            }
            let good = match keyword.as_str() {
                "$ref" => {
                    let path = wanted.as_str().expect("a reference");
                    let target = self.root.pointer(path.trim_start_matches('#'));
                    self.check(at, target.expect("a target"), value);
                    true
                }
                "properties" | "items" => {
                    self.parts(at, keyword, wanted, value);
                    true
                }
                "additionalProperties" => {
                    self.additional(at, keywords.get("properties"), wanted, value);
                    true
                }
                "required" => {
                    let mut names = wanted.as_array().expect("names").iter();
                    names.all(|name| {
                        let name = name.as_str().expect("a name");
                        !value.is_object() || value.get(name).is_some()
                    })
                }
                "anyOf" => self.held(wanted, value) > 0,
                "oneOf" => self.held(wanted, value) == 1,
                other => simple(other, wanted, value),
            };
            if !good {
                self.mistakes
                    .push(format!("{at}: {keyword} {wanted}: {value}"));
            }
        }
    }

    fn held(&self, schemas: &Value, value: &Value) -> usize {
        let schemas = schemas.as_array().expect("schemas").iter();
        schemas.filter(|one| self.holds(one, value)).count()
    }

    fn parts(&mut self, at: &str, keyword: &str, schemas: &Value, value: &Value) {
        match value {
            Value::Object(entries) if keyword == "properties" => {
                for (name, value) in entries {
                    if let Some(schema) = schemas.get(name) {
                        self.check(&format!("{at}/{name}"), schema, value);
                    }
                }
            }
            Value::Array(items) if keyword == "items" => {
                for (number, item) in items.iter().enumerate() {
                    self.check(&format!("{at}/{number}"), schemas, item);
                }
            }
            _ => {}
        }
    }

    fn additional(&mut self, at: &str, known: Option<&Value>, wanted: &Value, value: &Value) {
        for (name, value) in value.as_object().into_iter().flatten() {
            if known.is_some_and(|known| known.get(name).is_some()) {
                continue;
            }
            match wanted {
                Value::Bool(true) => {}
                Value::Bool(false) => self.mistakes.push(format!("{at}/{name}: no such field")),
                schema => self.check(&format!("{at}/{name}"), schema, value),
            }
        }
    }
}

/// Keywords that need nothing but the value.
fn simple(keyword: &str, wanted: &Value, value: &Value) -> bool {
    let bound = || wanted.as_f64().expect("a number");
    let length = || value.as_str().map(|text| text.chars().count() as f64);
    match keyword {
        "type" => match wanted {
            Value::Array(kinds) => kinds.iter().any(|kind| is_a(kind, value)),
            kind => is_a(kind, value),
        },
        "enum" => wanted.as_array().expect("values").contains(value),
        "const" => wanted == value,
        "minItems" => value
            .as_array()
            .is_none_or(|items| items.len() as f64 >= bound()),
        "uniqueItems" => value.as_array().is_none_or(|items| {
            let mut seen = items.iter().enumerate();
            *wanted != Value::Bool(true) || seen.all(|(at, item)| !items[..at].contains(item))
        }),
        "maxLength" => length().is_none_or(|length| length <= bound()),
        "minimum" => value.as_f64().is_none_or(|number| number >= bound()),
        "maximum" => value.as_f64().is_none_or(|number| number <= bound()),
        "pattern" => {
            let pattern = Regex::new(wanted.as_str().expect("a pattern")).expect("it compiles");
            value.as_str().is_none_or(|text| pattern.is_match(text))
        }
        other => panic!("the keyword {other} is not known here"),
    }
}

fn is_a(kind: &Value, value: &Value) -> bool {
    match kind.as_str().expect("a type") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => panic!("the type {other} is not known here"),
    }
}

/// Events with as little and as odd content as may match, and much that goes wrong on the way.
fn odd_events(folder: &Folder) -> Vec<String> {
    let text = [
        r#"{"eventName":"Seen"}"#,
        r#"{"eventName":"Seen","eventID":"","eventTime":"yesterday","awsRegion":7,"sourceIPAddress":"AWS Internal"}"#,
        r#"{"eventName":"Seen","awsRegion":"","sourceIPAddress":"2001:db8::1","userIdentity":{"invokedBy":"x"}}"#,
        "{\"eventName\":\"Seen\",\"eventID\":\"\\u0000 \\\" é\",\"userIdentity\":{\"arn\":\"a\\nb\"},\"n\":[]}",
        r#"{"detail-type":"t","id":"e","detail":{"eventName":"Seen","eventSource":{}}}"#,
        "broken",
        "17",
    ];
    vec![
        folder.file("odd name #1 %.jsonl", text.join("\n")),
        folder.file("cut.gz", [0x1f, 0x8b, 8]),
    ]
}

/// What a format says of everything that is found.
fn outputs(format: &str) -> Vec<String> {
    let folder = Folder::new("published");
    let (rules, events) = (data("rules"), data("events.jsonl"));
    let odd = odd_events(&folder);
    let with_rules = ["scan", "--format", format, "--rules", &rules, &events];
    let odd = odd.iter().map(String::as_str);
    let runs = [
        run(&["scan", "--format", format, "--demo"]),
        run(&with_rules.into_iter().chain(odd).collect::<Vec<_>>()),
    ];
    runs.map(|ran| ran.stdout).into()
}

#[test]
fn sarif_is_valid() {
    let schema = schema("sarif-2.1.0.json");
    for text in outputs("sarif") {
        let document: Value = serde_json::from_str(&text).expect("JSON");
        let results = document["runs"][0]["results"]
            .as_array()
            .map_or(0, Vec::len);
        assert!(results > 5, "{results} results");
        let mistakes = Validator::mistakes(&schema, &document);
        assert!(mistakes.is_empty(), "{mistakes:#?}");
    }
}

/// The schema without the profile `cloud`.
fn without_cloud(mut schema: Value) -> Value {
    for name in ["api", "cloud"] {
        let properties = schema["properties"].as_object_mut().expect("properties");
        properties.remove(name);
        let required = schema["required"].as_array_mut().expect("names");
        required.retain(|one| one != name);
    }
    schema
}

#[test]
fn ocsf_is_valid() {
    let with_cloud = schema("ocsf-1.3.0-detection-finding.json");
    let without_cloud = without_cloud(with_cloud.clone());
    let (mut cloud, mut other) = (0, 0);
    for line in outputs("ocsf").iter().flat_map(|text| text.lines()) {
        let finding: Value = serde_json::from_str(line).expect("JSON");
        let profiles = &finding["metadata"]["profiles"];
        let schema = if profiles[0] == "cloud" {
            cloud += 1;
            &with_cloud
        } else {
            other += 1;
            &without_cloud
        };
        let mistakes = Validator::mistakes(schema, &finding);
        assert!(mistakes.is_empty(), "{mistakes:#?}\n{line}");
    }
    assert!(
        cloud > 5 && other > 2,
        "{cloud} with the profile, {other} without"
    );
}

/// The checks above can fail.
#[test]
fn what_the_schemas_do_not_allow_is_seen() {
    let sarif = schema("sarif-2.1.0.json");
    let text = &outputs("sarif")[1];
    let document: Value = serde_json::from_str(text).expect("JSON");
    let mistakes = |path: &str, value: Value| {
        let mut changed = document.clone();
        *changed.pointer_mut(path).expect("it is there") = value;
        Validator::mistakes(&sarif, &changed).len()
    };
    assert_eq!(mistakes("/version", "2.0.0".into()), 1);
    assert_eq!(mistakes("/runs/0/results/0/level", "high".into()), 1);
    assert_eq!(mistakes("/runs/0/results/0/message", Value::Null), 1);
    let region = "/runs/0/results/0/locations/0/physicalLocation/region/startLine";
    assert_eq!(mistakes(region, 0.into()), 1);
    let ocsf = schema("ocsf-1.3.0-detection-finding.json");
    let line = outputs("ocsf")[0].lines().next().map(str::to_owned);
    let mut finding: Value = serde_json::from_str(&line.expect("a finding")).expect("JSON");
    assert_eq!(Validator::mistakes(&ocsf, &finding).len(), 0);
    finding["surplus"] = 1.into();
    finding["severity_id"] = 17.into();
    assert_eq!(Validator::mistakes(&ocsf, &finding).len(), 2);
}

/// The TOML of `wit/README.md` that begins with this line, as JSON, with what stands for something filled in.
fn example(first: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/README.md");
    let text = std::fs::read_to_string(path).expect("the contract has a README");
    let begin = text.find(&format!("```toml\n{first}")).expect(first) + "```toml\n".len();
    let end = begin + text[begin..].find("```").expect("it ends");
    let digest = format!("sha256:{}", "0".repeat(64));
    let toml = text[begin..end].replace("sha256:…", &digest);
    let table: toml::Table = toml
        .parse()
        .unwrap_or_else(|fault| panic!("{toml}\n{fault}"));
    serde_json::to_value(table).expect("it is JSON")
}

#[test]
fn files_of_plugins_are_what_their_schemas_say() {
    let check = |kind: &str, good: &Value, bad: &[(&str, Value)]| {
        let schema = serde_json::from_str(&run(&["schema", kind]).stdout).expect("JSON");
        assert_eq!(Validator::mistakes(&schema, good), Vec::<String>::new());
        for (at, value) in bad {
            let mut changed = good.clone();
            let (parent, name) = at.rsplit_once('/').expect("a path");
            let parent = changed.pointer_mut(parent).expect("a place");
            let parent = parent.as_object_mut().expect("a table");
            match value {
                Value::Null => parent.remove(name),
                value => parent.insert(name.to_owned(), value.clone()),
            };
            let mistakes = Validator::mistakes(&schema, &changed);
            assert!(!mistakes.is_empty(), "{kind}: {at} {value}");
        }
    };
    let text = |text: &str| Value::String(text.to_owned());
    check(
        "plugin",
        &example("[plugin]"),
        &[
            ("/plugin/name", text("Geo")),
            ("/plugin/name", Value::Null),
            ("/plugin/version", text("1.0")),
            ("/plugin/world", text("painter")),
            ("/plugin/nmae", text("a/b")),
            ("/limits/batch", 2000.into()),
            ("/limits/memory", text("32 megabytes")),
            ("/capabilities/log", text("yes")),
            ("/capabilities/kv", true.into()),
            ("/instance/mode", text("forever")),
            ("/reads/fields", text("a:text")),
            ("/wirtes", Value::Object(Default::default())),
        ],
    );
    check(
        "plugins",
        &example("[trust]"),
        &[
            ("/trust/unsigned", text("maybe")),
            ("/plugins/geo/path", Value::Null),
            ("/plugins/geo/oci", text("registry.example/geo:1.0")),
            ("/plugins/geo/digest", text("sha256:12")),
            ("/plugins/geo/version_min", text("1")),
            ("/plugins/geo/grant/lookup", text("networks.csv")),
            ("/plugins/geo/grant/lgo", true.into()),
            ("/plugins/geo/limits/deadline", 100.into()),
            ("/plugins/geo/config", text("SE")),
        ],
    );
}
