//! Holds the schemas to the shapes, and sample files to the schemas.

use super::{FileKind, json_schema};
use crate::rule::shape::{Key, Kind, LIST, Need, OVERRIDES, RULE, Shape, TESTS};
use crate::selector::Schema;
use serde_json::Value;

fn schema(kind: FileKind) -> Value {
    serde_json::from_str(json_schema(kind)).expect("the schema is JSON")
}

fn shape(kind: FileKind) -> Option<&'static Shape> {
    Some(match kind {
        FileKind::Rule => &RULE,
        FileKind::Tests => &TESTS,
        FileKind::Overrides => &OVERRIDES,
        FileKind::List => &LIST,
        // Read by its own loader, which is held to the schema by files below.
        FileKind::Fields => return None,
    })
}

fn followed<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    match schema["$ref"].as_str() {
        Some(path) => root
            .pointer(path.trim_start_matches('#'))
            .expect("the reference leads somewhere"),
        None => schema,
    }
}

fn compare(root: &Value, schema: &Value, shape: &Shape) {
    let schema = followed(root, schema);
    let properties = schema["properties"]
        .as_object()
        .expect("a table has properties");
    let theirs: Vec<&str> = properties.keys().map(String::as_str).collect();
    let ours: Vec<&str> = shape.keys.iter().map(|key| key.name).collect();
    assert_eq!(theirs, ours, "{}", shape.name);
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let needed = shape.keys.iter().filter(|key| key.need == Need::Required);
    assert_eq!(
        required,
        needed.map(|key| key.name).collect::<Vec<_>>(),
        "{}",
        shape.name
    );
    assert_eq!(
        schema["additionalProperties"],
        Value::Bool(false),
        "{}",
        shape.name
    );
    for key in shape.keys {
        compare_key(root, followed(root, &properties[key.name]), key);
    }
}

fn compare_key(root: &Value, schema: &Value, key: &Key) {
    assert!(
        schema["description"]
            .as_str()
            .is_some_and(|text| text.ends_with('.') || text.ends_with('`') || text.contains('`')),
        "{} is described",
        key.name
    );
    let kind = schema["type"].as_str();
    let item = followed(root, &schema["items"]);
    match key.kind {
        Kind::Word(words) => {
            let theirs = schema["enum"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            assert_eq!(theirs.collect::<Vec<_>>(), words, "{}", key.name);
        }
        Kind::Effect(words) => {
            let theirs = schema["anyOf"][0]["enum"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            assert_eq!(theirs.collect::<Vec<_>>(), words, "{}", key.name);
            assert_eq!(schema["anyOf"][1]["type"], "string", "{}", key.name);
        }
        Kind::Integer => assert_eq!(kind, Some("integer"), "{}", key.name),
        Kind::Text
        | Kind::LongText
        | Kind::Selector
        | Kind::Template
        | Kind::Period
        | Kind::Comparison => {
            assert_eq!(
                (kind, schema["minLength"].as_u64()),
                (Some("string"), Some(1)),
                "{}",
                key.name
            );
        }
        Kind::Date => assert_eq!(schema["format"], "date", "{}", key.name),
        Kind::Flag => assert_eq!(kind, Some("boolean"), "{}", key.name),
        Kind::Texts | Kind::Selectors | Kind::Values => {
            assert_eq!(
                (kind, item["type"].as_str()),
                (Some("array"), Some("string")),
                "{}",
                key.name
            );
        }
        Kind::Free | Kind::SelectorMap => assert_eq!(kind, Some("object"), "{}", key.name),
        Kind::Table(shape) => compare(root, schema, shape),
        Kind::Tables(shape) => compare(root, item, shape),
        Kind::TableMap(shape) => compare(root, &schema["additionalProperties"], shape),
    }
}

#[test]
fn schemas_have_the_keys_of_the_reader() {
    for kind in FileKind::ALL {
        let schema = schema(*kind);
        assert_eq!(
            schema["$schema"],
            "https://json-schema.org/draft/2020-12/schema"
        );
        if let Some(shape) = shape(*kind) {
            compare(&schema, &schema, shape);
        }
        assert_eq!(FileKind::from_word(kind.as_str()), Some(*kind));
    }
}

/// The part of JSON Schema that our schemas use.
fn valid(root: &Value, schema: &Value, value: &Value) -> bool {
    let schema = followed(root, schema);
    let list = |name: &str| {
        schema[name]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
    };
    let typed = match schema["type"].as_str() {
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        _ => true,
    };
    let text = value.as_str();
    let long = |most: usize| text.is_none_or(|text| text.chars().count() <= most);
    let short = |least: usize| text.is_none_or(|text| text.chars().count() >= least);
    let matches = |pattern: &str| {
        let pattern = regex::Regex::new(pattern).expect("the pattern compiles");
        text.is_none_or(|text| pattern.is_match(text))
    };
    let least = schema["minimum"].as_i64();
    let number = value.as_i64();
    let bound = |name: &str| schema[name].as_u64().map(|bound| bound as usize);
    let required = |name: &Value| value.get(name.as_str().unwrap_or("")).is_some();
    let all_items = value.as_array().into_iter().flatten();
    let entries = value.as_object().into_iter().flatten();
    typed
        && bound("maxLength").is_none_or(long)
        && least.is_none_or(|least| number.is_none_or(|number| number >= least))
        && bound("minLength").is_none_or(short)
        && schema["pattern"].as_str().is_none_or(matches)
        && (schema["enum"].is_null() || list("enum").contains(value))
        && bound("minItems")
            .is_none_or(|least| value.as_array().is_none_or(|all| all.len() >= least))
        && (schema["items"].is_null()
            || all_items
                .clone()
                .all(|item| valid(root, &schema["items"], item)))
        && list("required").iter().all(required)
        && entries.clone().all(|(name, item)| {
            match (
                schema["properties"].get(name),
                &schema["additionalProperties"],
            ) {
                (Some(property), _) => valid(root, property, item),
                (None, Value::Bool(open)) => *open,
                (None, Value::Null) => true,
                (None, other) => valid(root, other, item),
            }
        })
        && list("allOf").iter().all(|one| valid(root, one, value))
        && (list("anyOf").is_empty() || list("anyOf").iter().any(|one| valid(root, one, value)))
        && (list("oneOf").is_empty()
            || list("oneOf")
                .iter()
                .filter(|one| valid(root, one, value))
                .count()
                == 1)
        && (schema["not"].is_null() || !valid(root, &schema["not"], value))
}

/// Whether a file is valid by its schema; dates become strings, as in editors.
fn check(kind: FileKind, text: &str, expected: bool) {
    fn json(value: &toml::Value) -> Value {
        match value {
            toml::Value::Datetime(when) => Value::String(when.to_string()),
            toml::Value::Array(items) => items.iter().map(json).collect(),
            toml::Value::Table(table) => Value::Object(
                table
                    .iter()
                    .map(|(name, value)| (name.clone(), json(value)))
                    .collect(),
            ),
            other => serde_json::to_value(other).expect("scalars become JSON"),
        }
    }
    let table: toml::Table = text.parse().expect("the sample is TOML");
    let schema = schema(kind);
    assert_eq!(
        valid(&schema, &schema, &json(&toml::Value::Table(table))),
        expected,
        "{text}"
    );
}

#[test]
fn files_are_valid_where_the_reader_takes_them() {
    let rule = "id = 'a-b'\nname = 'A'\ndescription = 'A.'\nseverity = 'low'\nstatus = 'test'\nwhen = 'true'\n";
    check(FileKind::Rule, rule, true);
    check(FileKind::Rule, &rule.replace("a-b", "a--b"), false);
    check(FileKind::Rule, &rule.replace("'low'", "'Low'"), false);
    check(FileKind::Rule, &rule.replace("when", "wenn"), false);
    check(
        FileKind::Rule,
        &format!("{rule}attack = ['TA0005/T1562.008']\n[finding.context]\na = 'b'"),
        true,
    );
    check(
        FileKind::Rule,
        &format!("{rule}attack = ['T1562.008']"),
        false,
    );
    check(
        FileKind::Rule,
        &format!("{rule}finding = {{ dedup_key = [] }}"),
        false,
    );
    let exception = format!("{rule}[[exceptions]]\nname = 'x'\n");
    check(FileKind::Rule, &exception, false);
    check(
        FileKind::Rule,
        &format!("{exception}when = 'true'\nexpires = 2027-01-31"),
        true,
    );
    check(
        FileKind::Rule,
        &format!("{exception}list = 'a'\nvalue = 'b'"),
        true,
    );
    check(FileKind::Rule, &format!("{exception}list = 'a'"), false);
    check(
        FileKind::Rule,
        &format!("{exception}when = 'a'\nvalue = 'b'"),
        false,
    );
    check(
        FileKind::Tests,
        "test = [{name = 'a', event = 'b', expect = 'match', dedup_key = ['']}]",
        true,
    );
    check(
        FileKind::Tests,
        "test = [{name = 'a', event = 'b', expect = 'maybe'}]",
        false,
    );
    check(
        FileKind::Tests,
        "test = []\nevents.a = {extends = 'b', set = {x = 1}}",
        true,
    );
    check(
        FileKind::Tests,
        "test = []\nevents.a = {extends = 'b', file = 'c'}",
        false,
    );
    check(
        FileKind::Overrides,
        "[[override]]\nrule = 'a'\ndisabled = true",
        true,
    );
    check(FileKind::Overrides, "[[override]]\ndisabled = true", false);
    check(FileKind::List, "values = ['a']", true);
    check(FileKind::List, "values = [1]", false);
}

/// What the loader of field schemas takes is valid, and what it refuses by shape is not.
#[test]
fn field_schemas_are_valid_where_the_loader_takes_them() {
    let check_both = |text: &str, expected: bool| {
        check(FileKind::Fields, text, expected);
        assert_eq!(Schema::from_toml(text).is_ok(), expected, "{text}");
    };
    let head = "id = 'x'\ntitle = 'x'\n";
    let field = "a = { type = 'list<string>', presence = 'usually' }";
    check_both(&format!("{head}[fields]\n{field}"), true);
    check_both(&format!("{head}marks = ['a']\n[fields]\n{field}"), true);
    check_both(&format!("{head}marks = 'a'\n[fields]\n{field}"), false);
    check_both(&format!("{head}mark = ['a']\n[fields]\n{field}"), false);
    check_both(
        &format!("{head}[fields]\n{}", field.replace("usually", "never")),
        false,
    );
    check_both(
        &format!("{head}[fields]\n{}", field.replace("string", "text")),
        false,
    );
    check_both(head, false);
    let all = "nullable = true, open = true, distinct = 3, follows = 'a', values = ['v'], format = 'f', doc = 'd'";
    let full = format!(
        "{head}reference = 'r'\nopen = true\nexample = '{{}}'\n[fields]\n{}",
        field.replace(" }", &format!(", {all} }}"))
    );
    check_both(&full, true);
}
