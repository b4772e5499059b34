use super::{BUILTIN, FieldKind, Presence, Schema, builtin};
use crate::diagnostic::{Palette, Source, render_text};
use expect_test::{Expect, expect};
use serde_json::Value;

fn check_refused(text: &str, expected: Expect) {
    let source = Source {
        name: "schema.toml".to_owned(),
        text: text.to_owned(),
    };
    let diagnostics = Schema::from_toml(text).err().unwrap_or_default();
    let all: String = diagnostics
        .iter()
        .map(|one| render_text(one, &source, Palette::PLAIN))
        .collect();
    expected.assert_eq(&all);
}

#[test]
fn every_schema_of_ours_loads() {
    for text in BUILTIN {
        if let Err(diagnostics) = Schema::from_toml(text) {
            panic!("{diagnostics:#?}");
        }
    }
    let ids: Vec<&str> = builtin().iter().map(Schema::id).collect();
    assert_eq!(
        ids,
        [
            "aws.cloudtrail",
            "github.audit",
            "kubernetes.audit",
            "okta.system-log"
        ]
    );
}

#[test]
fn fields_are_found_by_path() {
    let schema = Schema::builtin("aws.cloudtrail").expect("built in");
    let arn = schema.field("userIdentity.arn").expect("known");
    assert_eq!(
        (&arn.kind, arn.presence),
        (&FieldKind::String, Presence::Sometimes)
    );
    assert_eq!(
        schema.field("eventName").map(|field| field.presence),
        Some(Presence::Always)
    );
    assert!(schema.field("resources[].ARN").is_some());
    assert!(
        schema
            .field("requestParameters")
            .is_some_and(|field| field.open && field.nullable)
    );
    assert!(schema.field("eventNames").is_none());
}

/// What `value` has that the schema does not allow, or lacks that it promises.
fn disagreements(schema: &Schema, path: &str, value: &Value, found: &mut Vec<String>) {
    let Value::Object(object) = value else { return };
    for (name, value) in object {
        let inner = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let Some(field) = schema.field(&inner) else {
            let open = if path.is_empty() {
                schema.record(Schema::ROOT).open
            } else {
                schema
                    .field(path.trim_end_matches("[]"))
                    .is_some_and(|field| field.open)
            };
            if !open {
                found.push(format!("{inner} is unknown"));
            }
            continue;
        };
        let fits = match (&field.kind, value) {
            (_, Value::Null) => field.nullable,
            (FieldKind::String, value) => value.is_string(),
            (FieldKind::Int, value) => value.is_i64(),
            (FieldKind::Double, value) => value.is_number(),
            (FieldKind::Bool, value) => value.is_boolean(),
            (FieldKind::Object | FieldKind::Map(_), value) => value.is_object(),
            (FieldKind::List(_), value) => value.is_array(),
            (FieldKind::Any, _) => true,
        };
        if !fits {
            found.push(format!("{inner} is no {:?}", field.kind));
        }
        let listed = value
            .as_str()
            .is_none_or(|text| field.values.iter().any(|one| one == text));
        if !field.values.is_empty() && !listed {
            found.push(format!("{inner} has the unlisted value {value}"));
        }
        match (&field.kind, value) {
            (FieldKind::Object, value) => disagreements(schema, &inner, value, found),
            (FieldKind::List(_), Value::Array(items)) => {
                for item in items {
                    disagreements(schema, &format!("{inner}[]"), item, found);
                }
            }
            _ => {}
        }
    }
    let promised = schema.fields().filter(|field| {
        let parent = field.path.rsplit_once('.').map_or("", |(parent, _)| parent);
        field.presence == Presence::Always && parent == path
    });
    for field in promised.filter(|field| !object.contains_key(&field.name)) {
        found.push(format!("{} is missing", field.path));
    }
}

#[test]
fn examples_agree_with_their_schemas() {
    for schema in builtin() {
        let example: Value = serde_json::from_str(schema.example()).expect("checked when loading");
        let mut found = Vec::new();
        disagreements(schema, "", &example, &mut found);
        assert!(found.is_empty(), "{}: {found:#?}", schema.id());
        let undocumented: Vec<_> = schema
            .fields()
            .filter(|field| field.doc.is_empty())
            .collect();
        assert!(undocumented.is_empty(), "{undocumented:#?}");
    }
}

/// Every example has all marks of its own source and none of another's.
#[test]
fn sources_are_told_apart_by_their_marks() {
    for schema in builtin() {
        assert!(!schema.marks().is_empty(), "{}", schema.id());
        for other in builtin() {
            let example: Value = serde_json::from_str(other.example()).expect("an example");
            let has = |mark: &&String| {
                let mut keys = mark.split('.');
                keys.try_fold(&example, |value, key| value.get(key))
                    .is_some()
            };
            let found = schema.marks().iter().filter(has).count();
            let wanted = if schema.id() == other.id() {
                schema.marks().len()
            } else {
                0
            };
            assert_eq!(found, wanted, "{} in {}", schema.id(), other.id());
        }
    }
}

#[test]
fn mistaken_marks_are_reported_with_their_place() {
    check_refused(
        "id = \"x\"\ntitle = \"x\"\nmarks = [\"usr\", \"list[].a\", \"user\"]\n[fields]\n\
         user = { type = \"string\", presence = \"always\" }\n",
        expect![[r#"
            error[E2011]: the mark `usr` is none of the fields
             --> schema.toml:3:10
              |
            3 | marks = ["usr", "list[].a", "user"]
              |          ^^^^^
              = help: did you mean `user`?

            error[E2011]: the mark `list[].a` lies in a list
             --> schema.toml:3:17
              |
            3 | marks = ["usr", "list[].a", "user"]
              |                 ^^^^^^^^^^

        "#]],
    );
    let many = format!("marks = [{}]", "\"a\", ".repeat(17));
    let text = format!(
        "id = \"x\"\ntitle = \"x\"\n{many}\n[fields]\na = {{ type = \"int\", presence = \"always\" }}\n"
    );
    let mistakes = Schema::from_toml(&text).expect_err("too many marks");
    assert_eq!(mistakes[0].message, "more than 16 marks");
}

#[test]
fn mistakes_are_reported_with_their_place() {
    check_refused(
        "id = \"x\"\ntitle = \"x\"\ncolour = 1\n[fields]\n",
        expect![[r#"
            error[E2011]: unknown field `colour`, expected one of `id`, `title`, `reference`, `open`, `marks`, `example`, `fields`
             --> schema.toml:3:1
              |
            3 | colour = 1
              | ^^^^^^

        "#]],
    );
    check_refused(
        "id = \"x\"\ntitle = \"x\"\nexample = \"[]\"\n[fields]\na = { type = \"strin\", presence = \"always\" }\n\
         b = { type = \"int\", presence = \"never\" }\n\"c.d\" = { type = \"int\", presence = \"always\" }\n",
        expect![[r#"
            error[E2011]: unknown type `strin`
             --> schema.toml:5:14
              |
            5 | a = { type = "strin", presence = "always" }
              |              ^^^^^^^
              = help: types are string, int, double, bool, object, any, list<string>, map<string>
              = help: did you mean `string`?

            error[E2011]: presence is `always`, `usually` or `sometimes`, not `never`
             --> schema.toml:6:32
              |
            6 | b = { type = "int", presence = "never" }
              |                                ^^^^^^^

            error[E2011]: `c.d` lies in `c`, which is not declared as an object
             --> schema.toml:7:1
              |
            7 | "c.d" = { type = "int", presence = "always" }
              | ^^^^^

            error[E2011]: the example is not a JSON object: invalid type: sequence, expected a map at line 1 column 0
             --> schema.toml:3:11
              |
            3 | example = "[]"
              |           ^^^^

        "#]],
    );
}

#[test]
fn every_source_has_what_the_engine_says_of_an_arrival() {
    for schema in super::builtin() {
        for path in ["ingest", "ingest.channel", "ingest.verified", "ingest.time"] {
            assert!(schema.field(path).is_some(), "{}: {path}", schema.id());
        }
    }
}
