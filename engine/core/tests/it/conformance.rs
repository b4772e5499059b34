//! The conformance cases of the language, parsed, checked and evaluated as rules are.
//!
//! The cases are not in the repository: they are read from `$TRIPLINE_SHARED/data/cel-spec` or, when that is not
//! set, from `shared` beside the repository. Cases that need protobuf messages are counted apart, because events
//! are JSON: those that name a message or enum type (in the text, the container, the declarations, the bindings
//! or the result), and those that declare functions of their own, which rules cannot.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use serde_json::Value as Json;
use tripline_core::selector::value::{Entries, MapValue, Value, ValueType};
use tripline_core::selector::{
    self, CheckEnv, Environment, Evaluation, Macros, ProgramBuilder, Type, Unresolved,
};

/// Files whose cases are about the language itself; cel-go's own suites print trees of cel-go.
const FILES: &[&str] = &[
    "basic",
    "bindings_ext",
    "block_ext",
    "comparisons",
    "conversions",
    "dynamic",
    "encoders_ext",
    "enums",
    "fields",
    "fp_math",
    "integer_math",
    "lists",
    "logic",
    "macros",
    "macros2",
    "math_ext",
    "namespace",
    "network_ext",
    "optionals",
    "parse",
    "plumbing",
    "proto2",
    "proto2_ext",
    "proto3",
    "string",
    "string_ext",
    "timestamps",
    "type_deductions",
    "unknowns",
    "wrappers",
];

/// Proto-free cases of the files as they are in the shared data; fewer would mean that cases got lost.
const CASES_MIN: usize = 1_600;

fn folder() -> Option<PathBuf> {
    let shared = match std::env::var_os("TRIPLINE_SHARED") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let folder = shared.join("data/cel-spec");
    if folder.is_dir() { Some(folder) } else { None }
}

#[derive(Default)]
struct Count {
    passed: usize,
    protobuf: usize,
    functions: usize,
    failed: Vec<String>,
}

#[test]
fn every_case_without_protobuf_passes() {
    let Some(folder) = folder() else {
        println!("skipped: the cases of the cel-spec are not here (set TRIPLINE_SHARED)");
        return;
    };
    let mut total = Count::default();
    for file in FILES {
        let Ok(text) = std::fs::read_to_string(folder.join(format!("{file}.json"))) else {
            println!("{file}: not here");
            continue;
        };
        let suite: Json = serde_json::from_str(&text).expect("the file is JSON");
        let mut count = Count::default();
        walk(&suite, "", &mut count);
        println!(
            "{file}: {} of {} passed; apart: {} need protobuf, {} declare functions",
            count.passed,
            count.passed + count.failed.len(),
            count.protobuf,
            count.functions
        );
        total.passed += count.passed;
        total.protobuf += count.protobuf;
        total.functions += count.functions;
        total
            .failed
            .extend(count.failed.into_iter().map(|one| format!("{file}{one}")));
    }
    println!(
        "total: {} of {} passed; apart: {} need protobuf, {} declare functions",
        total.passed,
        total.passed + total.failed.len(),
        total.protobuf,
        total.functions
    );
    assert!(
        total.failed.is_empty(),
        "{} failed:\n{}",
        total.failed.len(),
        total.failed.join("\n")
    );
    assert!(
        total.passed >= CASES_MIN,
        "only {} cases were found",
        total.passed
    );
}

fn walk(suite: &Json, path: &str, count: &mut Count) {
    for test in suite["tests"].as_array().into_iter().flatten() {
        let case = &test["original"];
        let name = format!("{path}/{}", case["name"].as_str().unwrap_or("?"));
        if declares_functions(case) {
            count.functions += 1;
        } else if needs_protobuf(case) {
            count.protobuf += 1;
        } else {
            match run(case) {
                Ok(()) => count.passed += 1,
                Err(why) => count
                    .failed
                    .push(format!("{name}: {} -- {why}", case["expr"])),
            }
        }
    }
    for inner in suite["suites"].as_array().into_iter().flatten() {
        walk(
            inner,
            &format!("{path}/{}", inner["name"].as_str().unwrap_or("?")),
            count,
        );
    }
}

fn declares_functions(case: &Json) -> bool {
    case["typeEnv"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|one| one.get("function").is_some())
}

/// Whether a message or enum type is mentioned anywhere. Timestamps and durations are values of the language.
fn needs_protobuf(case: &Json) -> bool {
    let container = case["container"].as_str().unwrap_or("");
    let expr = case["expr"].as_str().unwrap_or("");
    let mentioned = |text: &str| {
        let times = ["google.protobuf.Timestamp", "google.protobuf.Duration"];
        let text = times
            .iter()
            .fold(text.to_owned(), |text, time| text.replace(time, ""));
        [
            "TestAllTypes",
            "cel.expr.conformance",
            "GlobalEnum",
            "google.protobuf.",
            "NestedEnum",
            "proto.getExt",
            "proto.hasExt",
        ]
        .iter()
        .any(|name| text.contains(name))
            || text.contains("\"enumValue\"")
    };
    container.starts_with("cel.expr.conformance")
        || container.starts_with("google.protobuf")
        || mentioned(expr)
        || ["typeEnv", "bindings", "value", "typedResult"]
            .iter()
            .any(|part| mentioned(&case[part].to_string()))
}

fn run(case: &Json) -> Result<(), String> {
    let text = case["expr"].as_str().unwrap_or("");
    let unchecked = case["disableCheck"] == Json::Bool(true);
    let macros = match case["disableMacros"] {
        Json::Bool(true) => Macros::Ignored,
        _ => Macros::Recognised,
    };
    let wants_error = case.get("evalError").is_some();
    let shown = |diagnostics: &[tripline_core::diagnostic::Diagnostic]| {
        diagnostics
            .iter()
            .map(|one| one.message.clone())
            .collect::<Vec<_>>()
            .join("; ")
    };
    let expr = selector::parse_with(text, macros)
        .map_err(|diagnostics| format!("parse: {}", shown(&diagnostics)))?;
    let container = case["container"].as_str().unwrap_or("");
    // The checker knows no containers: rules have none.
    if !unchecked && container.is_empty() {
        let environment = CheckEnv {
            text,
            variables: variables(case),
            ..CheckEnv::default()
        };
        let checked = selector::check(&expr, &environment);
        let errors: Vec<_> = checked
            .diagnostics
            .iter()
            .filter(|one| one.level == tripline_core::diagnostic::Level::Error)
            .cloned()
            .collect();
        if !errors.is_empty() {
            return if wants_error {
                Ok(())
            } else {
                Err(format!("check: {}", shown(&errors)))
            };
        }
        if case["checkOnly"] == Json::Bool(true) {
            return same_type(&checked.result, &case["typedResult"]["deducedType"]);
        }
    }
    let mut names = Vec::new();
    let mut values = Vec::new();
    for (name, bound) in case["bindings"].as_object().into_iter().flatten() {
        names.push(name.clone());
        values.push(value(&bound["value"])?);
    }
    let environment = Environment {
        container: container.to_owned(),
        unresolved: if unchecked {
            Unresolved::Fails
        } else {
            Unresolved::Refused
        },
        ..Environment::variables(names)
    };
    let mut builder = ProgramBuilder::new();
    let node = match builder.compile(&expr, &environment) {
        Ok(node) => node,
        Err(_) if wants_error => return Ok(()),
        Err(diagnostics) => return Err(format!("compile: {}", shown(&diagnostics))),
    };
    let program = builder.build();
    let result = Evaluation::of_variables(&program, &values).eval(node);
    let expected = case
        .get("value")
        .or_else(|| case["typedResult"].get("result"));
    match (result, expected) {
        (Err(_), _) if wants_error => Ok(()),
        (Err(error), _) => Err(format!("failed: {}", error.why)),
        (Ok(found), _) if wants_error => Err(format!("gave {found} instead of an error")),
        (Ok(found), None) => same(&found, &Value::Bool(true)),
        (Ok(found), Some(expected)) => same(&found, &value(expected)?),
    }
}

/// Equal and of the same kind: 1 is not 1.0 here, NaN is NaN, maps have no order.
fn same(found: &Value<'_>, expected: &Value<'_>) -> Result<(), String> {
    if is_same(found, expected) {
        Ok(())
    } else {
        Err(format!("gave {found} instead of {expected}"))
    }
}

fn is_same(found: &Value<'_>, expected: &Value<'_>) -> bool {
    match (found, expected) {
        (Value::Double(found), Value::Double(expected)) => {
            found == expected || (found.is_nan() && expected.is_nan())
        }
        (Value::List(found), Value::List(expected)) => {
            found.len() == expected.len()
                && found
                    .iter()
                    .zip(expected.iter())
                    .all(|(found, expected)| is_same(&found, &expected))
        }
        (Value::Map(found), Value::Map(expected)) => {
            found.len() == expected.len()
                && expected.entries().all(|(key, expected)| {
                    let entry = found
                        .entries()
                        .find(|(candidate, _)| is_same(candidate, &key));
                    entry.is_some_and(|(_, found)| is_same(&found, &expected))
                })
        }
        _ => {
            found.value_type() == expected.value_type() && found.to_string() == expected.to_string()
        }
    }
}

/// A value in the JSON form of `cel.expr.Value`.
fn value(json: &Json) -> Result<Value<'static>, String> {
    let (kind, inner) = json
        .as_object()
        .and_then(|one| one.iter().next())
        .ok_or("no value")?;
    let text = inner.as_str();
    Ok(match kind.as_str() {
        "nullValue" => Value::Null,
        "boolValue" => Value::Bool(inner == &Json::Bool(true)),
        "int64Value" => Value::Int(text.and_then(|text| text.parse().ok()).ok_or("no int")?),
        "uint64Value" => Value::Uint(text.and_then(|text| text.parse().ok()).ok_or("no uint")?),
        "doubleValue" => Value::Double(match text {
            Some(text) => text.parse().map_err(|_| "no double")?,
            None => inner.as_f64().ok_or("no double")?,
        }),
        "stringValue" => Value::owned_text(text.ok_or("no text")?),
        "bytesValue" => Value::owned_bytes(
            base64::engine::general_purpose::STANDARD
                .decode(text.unwrap_or(""))
                .map_err(|_| "no base64")?,
        ),
        "typeValue" => Value::Type(ValueType::named(text.unwrap_or("")).ok_or("no type")?),
        "listValue" => Value::list(
            inner["values"]
                .as_array()
                .into_iter()
                .flatten()
                .map(value)
                .collect::<Result<_, _>>()?,
        ),
        "mapValue" => {
            let mut entries = Vec::new();
            for entry in inner["entries"].as_array().into_iter().flatten() {
                entries.push((value(&entry["key"])?, value(&entry["value"])?));
            }
            let entries = Entries::new(entries).map_err(|_| "a repeated key")?;
            Value::Map(MapValue::Shared(std::sync::Arc::new(entries)))
        }
        "objectValue" => return time(inner),
        other => return Err(format!("a value of kind {other}")),
    })
}

/// A timestamp or duration message, read by the language itself.
fn time(json: &Json) -> Result<Value<'static>, String> {
    let function = match json["@type"].as_str() {
        Some("type.googleapis.com/google.protobuf.Duration") => "duration",
        Some("type.googleapis.com/google.protobuf.Timestamp") => "timestamp",
        other => return Err(format!("a message {other:?}")),
    };
    let text = format!("{function}({:?})", json["value"].as_str().unwrap_or(""));
    let expr = selector::parse(&text).map_err(|_| "no time")?;
    let mut builder = ProgramBuilder::new();
    let node = builder
        .compile(&expr, &Environment::variables::<String>([]))
        .map_err(|_| "no time")?;
    let program = builder.build();
    match Evaluation::of_variables(&program, &[]).eval(node) {
        Ok(Value::Duration(value)) => Ok(Value::Duration(value)),
        Ok(Value::Timestamp(value)) => Ok(Value::Timestamp(value)),
        _ => Err("no time".to_owned()),
    }
}

fn variables(case: &Json) -> BTreeMap<String, Type> {
    let mut variables = BTreeMap::new();
    for name in case["bindings"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
    {
        variables.insert(name.clone(), Type::Dyn);
    }
    for declared in case["typeEnv"].as_array().into_iter().flatten() {
        let name = declared["name"].as_str().unwrap_or("");
        variables.insert(name.to_owned(), declared_type(&declared["ident"]["type"]));
    }
    variables
}

/// A type in the JSON form of `cel.expr.Type`.
fn declared_type(json: &Json) -> Type {
    let Some((kind, inner)) = json.as_object().and_then(|one| one.iter().next()) else {
        return Type::Dyn;
    };
    let primitive = |name: &Json| match name.as_str() {
        Some("BOOL") => Type::Bool,
        Some("INT64") => Type::Int,
        Some("UINT64") => Type::Uint,
        Some("DOUBLE") => Type::Double,
        Some("STRING") => Type::String,
        Some("BYTES") => Type::Bytes,
        _ => Type::Dyn,
    };
    match kind.as_str() {
        "null" => Type::Null,
        "primitive" => primitive(inner),
        "wrapper" => Type::nullable(primitive(inner)),
        "wellKnown" => match inner.as_str() {
            Some("TIMESTAMP") => Type::Timestamp,
            Some("DURATION") => Type::Duration,
            _ => Type::Dyn,
        },
        "messageType" => match inner.as_str() {
            Some("google.protobuf.Timestamp") => Type::Timestamp,
            Some("google.protobuf.Duration") => Type::Duration,
            _ => Type::Dyn,
        },
        "listType" => Type::list(declared_type(&inner["elemType"])),
        "mapType" => Type::map(
            declared_type(&inner["keyType"]),
            declared_type(&inner["valueType"]),
        ),
        "abstractType" => Type::optional(declared_type(&inner["parameterTypes"][0])),
        "type" => Type::type_of(declared_type(inner)),
        _ => Type::Dyn,
    }
}

fn same_type(found: &Type, expected: &Json) -> Result<(), String> {
    let expected = declared_type(expected);
    if *found == expected {
        Ok(())
    } else {
        Err(format!("deduced {found} instead of {expected}"))
    }
}
