//! The front end against the conformance cases of the cel-spec and cel-go: what is accepted, and its type.
//!
//! Reads the shared folder (`TRIPLINE_SHARED`, else `../shared` beside the checkout's parents) and prints that it
//! was skipped when it is not there. The reference answers come from cel-go with its standard environment; where
//! that run had a feature switched off that we have, or a limit that is not ours, the case is counted apart and
//! not compared. Cases that need protobuf messages are counted apart as well.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tripline_core::selector::declare::{Cost, Overload};
use tripline_core::selector::{CheckEnv, Macros, Type, check, parse_with};

/// Why a difference is meant, if it is.
fn meant(text: &str, expected: &str, found: &str, error: &str) -> Option<&'static str> {
    let refused = found == "check error";
    if expected == "dyn" && text.contains("cel.block") {
        return Some("the values of a block have their own types");
    }
    if error.contains("no matching overload for '_<")
        || error.contains("no matching overload for '_>")
    {
        return Some("the spec orders numbers of different types; the reference run had that off");
    }
    if refused && text.starts_with('{') && (text.contains("3.3:") || text.contains("null:")) {
        return Some("a map key that can only be an error is refused");
    }
    if refused && (text.contains("timestamp('10000-") || text.contains("timestamp('0000-")) {
        return Some("a constant moment that can only be an error is refused");
    }
    if refused
        && matches!(
            text,
            "duration('-320000000000s')" | "duration('320000000000s')"
        )
    {
        return Some("a constant length of time that can only be an error is refused");
    }
    match text {
        "[].map(x, [].map(y, x in y && y in x))" => {
            Some("a macro over an undecided list decides nothing")
        }
        "optional.of({'c': {}}).c.missing.or(optional.none()[0]).orValue('default value')" => {
            Some("an index into an undecided container is dyn")
        }
        "[optional.of(1), null][0]" => Some("the case's own deducedType says optional_type(int)"),
        _ => None,
    }
}

pub(crate) fn shared_folder() -> Option<PathBuf> {
    let given = std::env::var_os("TRIPLINE_SHARED").map(PathBuf::from);
    let beside = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("shared"))
        .find(|folder| folder.join("data").is_dir());
    given
        .or(beside)
        .filter(|folder| folder.join("data/cel-spec").is_dir())
}

fn cases<'v>(suite: &'v Value, out: &mut Vec<&'v Value>) {
    out.extend(suite["tests"].as_array().into_iter().flatten());
    for inner in suite["suites"].as_array().into_iter().flatten() {
        cases(inner, out);
    }
}

/// How a case came out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Outcome {
    Agrees,
    Differs,
    Meant,
    NeedsProtobuf,
    OtherFeatures,
}

/// The type as cel-go prints it.
fn reference_text(of: &Type) -> String {
    match of {
        Type::Nullable(inner) => format!("wrapper({})", reference_text(inner)),
        Type::List(inner) => format!("list({})", reference_text(inner)),
        Type::Optional(inner) => format!("optional_type({})", reference_text(inner)),
        // cel-go prints the type of types without its parameter.
        Type::Type(inner) if **inner == Type::Type(Type::Dyn.into()) => "type(type)".to_owned(),
        Type::Type(inner) => format!("type({})", reference_text(inner)),
        Type::Map(key, value) => format!("map({}, {})", reference_text(key), reference_text(value)),
        other => other.to_string(),
    }
}

/// What the reference run did not know: macros and functions that were not switched on.
fn unknown_there(error: &str, text: &str) -> bool {
    const MACROS: &[&str] = &[
        "all",
        "exists",
        "exists_one",
        "existsOne",
        "transformList",
        "transformMap",
        "transformMapEntry",
    ];
    let named = error
        .split("undeclared reference to '")
        .nth(1)
        .and_then(|rest| rest.split('\'').next());
    named.is_some_and(|name| MACROS.contains(&name))
        || (text.contains("cel.iterVar") && !error.is_empty())
}

fn type_of_json(of: &Value) -> Option<Type> {
    let scalar = |name: &str| {
        Some(match name {
            "BOOL" => Type::Bool,
            "INT64" => Type::Int,
            "UINT64" => Type::Uint,
            "DOUBLE" => Type::Double,
            "STRING" => Type::String,
            "BYTES" => Type::Bytes,
            "TIMESTAMP" => Type::Timestamp,
            "DURATION" => Type::Duration,

            _ => return None,
        })
    };
    let (kind, inner) = of.as_object()?.iter().next()?;
    match kind.as_str() {
        "primitive" | "wellKnown" => scalar(inner.as_str()?),
        "wrapper" => Some(Type::nullable(scalar(inner.as_str()?)?)),
        "dyn" | "typeParam" => Some(Type::Dyn),
        "null" => Some(Type::Null),
        "listType" => Some(Type::list(type_of_json(&inner["elemType"])?)),
        "mapType" => Some(Type::map(
            type_of_json(&inner["keyType"])?,
            type_of_json(&inner["valueType"])?,
        )),
        "messageType" => match inner.as_str()? {
            "google.protobuf.Struct" => Some(Type::map(Type::String, Type::Dyn)),
            "google.protobuf.ListValue" => Some(Type::list(Type::Dyn)),
            "google.protobuf.Value" => Some(Type::Dyn),
            "google.protobuf.Int32Value" | "google.protobuf.Int64Value" => {
                Some(Type::nullable(Type::Int))
            }
            _ => None,
        },
        "abstractType" if inner["name"] == "optional_type" => Some(Type::optional(
            type_of_json(&inner["parameterTypes"][0]).unwrap_or(Type::Dyn),
        )),
        "abstractType" => {
            let inner = inner["parameterTypes"].as_array().into_iter().flatten();
            let inner: Option<Vec<Type>> = inner.map(type_of_json).collect();
            Some(Type::Named(
                of["abstractType"]["name"].as_str()?.into(),
                inner?,
            ))
        }
        _ => None,
    }
}

/// A type of the cases as a signature writes it.
fn signature_type(of: &Value) -> Option<String> {
    if let Some(name) = of["typeParam"].as_str() {
        // The cases call their parameters T, U and V; any one letter will do.
        return Some(name.to_owned());
    }
    if let Some(of) = of["abstractType"].as_object() {
        let inner = of
            .get("parameterTypes")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let inner: Option<Vec<String>> = inner.iter().map(signature_type).collect();
        return Some(format!("{}({})", of["name"].as_str()?, inner?.join(", ")));
    }
    if !of["listType"].is_null() {
        return Some(format!(
            "list({})",
            signature_type(&of["listType"]["elemType"])?
        ));
    }
    type_of_json(of).map(|of| of.to_string())
}

/// The overloads that a case declares; nothing when one needs a message type.
fn declared_functions(declaration: &Value) -> Option<Vec<Overload>> {
    let name = declaration["name"].as_str()?;
    let mut functions = Vec::new();
    for overload in declaration["function"]["overloads"].as_array()? {
        let params = overload["params"].as_array().cloned().unwrap_or_default();
        let params: Vec<String> = params.iter().map(signature_type).collect::<Option<_>>()?;
        let result = signature_type(&overload["resultType"])?;
        let signature = match (overload["isInstanceFunction"] == true, params.split_first()) {
            (true, Some((receiver, rest))) => {
                format!("{receiver}.{name}({}) -> {result}", rest.join(", "))
            }
            _ => format!("{name}({}) -> {result}", params.join(", ")),
        };
        // Signatures live as long as the table's; a test may leak a few.
        functions.push(Overload::parse(
            signature.leak(),
            Cost::Constant,
            "Declared by a case.",
        )?);
    }
    Some(functions)
}

/// Variables of the reference tests that are not in the files: cel-go's checker tests share them.
fn shared_variables() -> BTreeMap<String, Type> {
    BTreeMap::from(
        [
            ("is", Type::String),
            ("ii", Type::Int),
            ("iu", Type::Uint),
            ("iz", Type::Bool),
            ("ib", Type::Bytes),
            ("id", Type::Double),
            ("ix", Type::Null),
        ]
        .map(|(name, of)| (name.to_owned(), of)),
    )
}

/// Words of cases that are about protobuf messages, enums or the container they live in.
const PROTOBUF: &[&str] = &[
    "TestAllTypes",
    "Enum",
    "google.expr",
    "cel.expr",
    "protobuf.Any",
    "proto.",
    "NestedMessage",
];

/// Texts of reference errors that say a feature was off, or a limit was theirs.
const OTHER_FEATURES: &[&str] = &[
    "unsupported syntax",
    "recursion limit",
    "recursion depth",
    "lookahead limit",
];

/// What a case declares; the outcome when that cannot be had.
fn environment<'t>(file: &str, text: &'t str, original: &Value) -> Result<CheckEnv<'t>, Outcome> {
    let mut env = CheckEnv {
        text,
        ..CheckEnv::default()
    };
    if file == "cel-go-checking" {
        env.variables = shared_variables();
    }
    for declaration in original["typeEnv"].as_array().into_iter().flatten() {
        let name = declaration["name"].as_str().unwrap_or_default();
        if !declaration["function"].is_null() {
            env.functions
                .extend(declared_functions(declaration).ok_or(Outcome::NeedsProtobuf)?);
            continue;
        }
        let of = type_of_json(&declaration["ident"]["type"]).ok_or(Outcome::NeedsProtobuf)?;
        env.variables.insert(name.to_owned(), of);
    }
    Ok(env)
}

fn judge(file: &str, case: &Value, differences: &mut Vec<String>) -> Outcome {
    let original = &case["original"];
    let text = original["expr"].as_str().unwrap_or_default();
    let error = case["error"].as_str().unwrap_or_default();
    if text.contains("fg_s()") || text.contains("fi_s_s()") {
        return Outcome::OtherFeatures;
    }
    let container = original["container"].as_str().unwrap_or_default();
    if PROTOBUF.iter().any(|word| text.contains(word)) || !container.is_empty() {
        return Outcome::NeedsProtobuf;
    }
    let env = match environment(file, text, original) {
        Ok(env) => env,
        Err(outcome) => return outcome,
    };
    let macros = if original["disableMacros"] == true {
        Macros::Ignored
    } else {
        Macros::Recognised
    };
    if OTHER_FEATURES.iter().any(|word| error.contains(word)) || unknown_there(error, text) {
        // The reference's own answer is of no use, but a case that gives a value must be accepted.
        if original["value"].is_null() {
            return Outcome::OtherFeatures;
        }
        let accepted = parse_with(text, macros).is_ok_and(|expr| !check(&expr, &env).has_errors());
        if !accepted {
            differences.push(format!("{file}: {text}\n    has a value, but is refused"));
        }
        return if accepted {
            Outcome::Agrees
        } else {
            Outcome::Differs
        };
    }
    let expected = match (case["type"].as_str(), case["ast"].is_string()) {
        (Some(of), _) => of.to_owned(),
        (None, true) => "check error".to_owned(),
        (None, false) => "parse error".to_owned(),
    };
    let found = match parse_with(text, macros) {
        Err(_) => "parse error".to_owned(),
        Ok(expr) => {
            let checked = check(&expr, &env);
            if checked.has_errors() {
                "check error".to_owned()
            } else {
                reference_text(&checked.result)
            }
        }
    };
    if found == expected {
        return Outcome::Agrees;
    }
    if meant(text, &expected, &found, error).is_some() {
        return Outcome::Meant;
    }
    differences.push(format!(
        "{file}: {text}\n    expected {expected}, found {found} ({})",
        error.lines().next().unwrap_or_default()
    ));
    Outcome::Differs
}

#[test]
fn the_front_end_agrees_with_the_conformance_cases() {
    let Some(shared) = shared_folder() else {
        println!("skipped: the shared folder with the cel-spec cases is not there");
        return;
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(shared.join("data/cel-spec"))
        .expect("readable")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    files.sort();
    let mut differences = Vec::new();
    println!(
        "{:<22}{:>8}{:>8}{:>8}{:>10}{:>8}",
        "file", "agree", "differ", "meant", "protobuf", "other"
    );
    for path in files {
        let file = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        let suite: Value =
            serde_json::from_str(&std::fs::read_to_string(&path).expect("readable")).expect("JSON");
        let mut all = Vec::new();
        cases(&suite, &mut all);
        let mut counts = BTreeMap::new();
        for case in all {
            *counts
                .entry(judge(&file, case, &mut differences))
                .or_insert(0usize) += 1;
        }
        let count = |outcome| counts.get(&outcome).copied().unwrap_or(0);
        println!(
            "{file:<22}{:>8}{:>8}{:>8}{:>10}{:>8}",
            count(Outcome::Agrees),
            count(Outcome::Differs),
            count(Outcome::Meant),
            count(Outcome::NeedsProtobuf),
            count(Outcome::OtherFeatures)
        );
    }
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
}
