//! Documents of policies: reading them in the forms that they come in, and telling whether a statement lets everybody in.

use serde_json::{Value, json};

/// A document from JSON, from text, or from text as URLs have it.
pub(crate) fn parse(value: &Value) -> Option<Value> {
    match value {
        Value::Object(_) => Some(value.clone()),
        Value::String(text) => {
            let plain = serde_json::from_str::<Value>(text).ok();
            let parsed = plain.or_else(|| serde_json::from_str(&decoded(text)?).ok());
            parsed.filter(Value::is_object)
        }
        _ => None,
    }
}

/// Text with `%2C` made into commas; none when it is not that.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            b'+' => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

/// The statements of a document. One statement may stand there without a list.
pub(super) fn statements(document: &Value) -> Vec<&Value> {
    match document.get("Statement") {
        Some(Value::Array(all)) => all.iter().collect(),
        Some(one @ Value::Object(_)) => vec![one],
        _ => Vec::new(),
    }
}

/// A document with other statements.
pub(super) fn with_statements(document: &Value, statements: Vec<&Value>) -> Value {
    let mut document = document.clone();
    if let Some(members) = document.as_object_mut() {
        members.insert("Statement".to_owned(), json!(statements));
    }
    document
}

/// Keys of conditions that leave only some callers, when they are compared with values that are no patterns for all.
const NARROWING: &[&str] = &[
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
];

/// Whether a statement lets everybody in.
pub(super) fn is_public(statement: &Value) -> bool {
    let is_allow = statement.get("Effect").and_then(Value::as_str) == Some("Allow");
    // Everybody but some is everybody.
    let is_anybody =
        statement.get("NotPrincipal").is_some() || statement.get("Principal").is_some_and(is_star);
    is_allow && is_anybody && !is_narrowed(statement.get("Condition"))
}

fn is_star(principal: &Value) -> bool {
    match principal {
        Value::String(text) => text == "*",
        Value::Array(all) => all.iter().any(is_star),
        Value::Object(kinds) => kinds.get("AWS").is_some_and(is_star),
        _ => false,
    }
}

/// Whether a condition leaves only some callers. Only comparisons that say who it is count, and of those the ones that fail
/// when nothing is there to compare.
fn is_narrowed(condition: Option<&Value>) -> bool {
    let operators = condition.and_then(Value::as_object);
    operators.into_iter().flatten().any(|(operator, keys)| {
        let operator = operator.to_ascii_lowercase();
        let operator = operator.strip_prefix("foranyvalue:").unwrap_or(&operator);
        let is_positive = matches!(
            operator,
            "stringequals"
                | "stringequalsignorecase"
                | "stringlike"
                | "arnequals"
                | "arnlike"
                | "ipaddress"
        );
        let keys = keys.as_object().filter(|_| is_positive);
        keys.into_iter().flatten().any(|(key, values)| {
            NARROWING.contains(&key.to_ascii_lowercase().as_str()) && !is_for_all(values)
        })
    })
}

/// Whether one of a condition's values is a pattern that everything matches.
fn is_for_all(values: &Value) -> bool {
    match values {
        Value::Array(all) => all.is_empty() || all.iter().any(is_for_all),
        Value::String(text) => text.chars().all(|letter| letter == '*') || is_all_addresses(text),
        _ => true,
    }
}

/// Whether a range holds all addresses: its prefix has no bit, whatever stands before it.
pub(super) fn is_all_addresses(cidr: &str) -> bool {
    let prefix = cidr.rsplit_once('/').map(|(_, prefix)| prefix);
    prefix.is_some_and(|prefix| prefix.parse::<u8>() == Ok(0))
}

/// A statement that denies everything.
pub(super) fn deny_everything() -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_in_every_form() {
        let plain = json!({"Statement": [], "Version": "2012-10-17"});
        let text = plain.to_string();
        assert_eq!(parse(&json!(text)), Some(plain.clone()));
        assert_eq!(
            parse(&json!(
                "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%5D%7D"
            )),
            Some(plain.clone())
        );
        assert_eq!(parse(&plain), Some(plain.clone()));
        for odd in [json!("%7"), json!("[]"), json!(3), json!("%ff%zz")] {
            assert_eq!(parse(&odd), None);
        }
    }

    #[test]
    fn who_everybody_is() {
        let with = |principal: Value, condition: Value| json!({"Effect": "Allow", "Principal": principal, "Condition": condition});
        for (statement, is_it) in [
            (with(json!("*"), json!({})), true),
            (with(json!({"AWS": ["1", "*"]}), json!({})), true),
            (with(json!({"Service": "*"}), json!({})), false),
            (with(json!({"AWS": "123456789012"}), json!({})), false),
            (
                with(
                    json!("*"),
                    json!({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}),
                ),
                false,
            ),
            (
                with(
                    json!("*"),
                    json!({"StringLike": {"aws:PrincipalOrgID": "*"}}),
                ),
                true,
            ),
            (
                with(
                    json!("*"),
                    json!({"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}),
                ),
                true,
            ),
            (
                with(
                    json!("*"),
                    json!({"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "1.2.3.4/0"]}}),
                ),
                true,
            ),
            (
                with(
                    json!("*"),
                    json!({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}),
                ),
                false,
            ),
            (
                with(json!("*"), json!({"Bool": {"aws:SecureTransport": "true"}})),
                true,
            ),
            (json!({"Effect": "Deny", "Principal": "*"}), false),
            (
                json!({"Effect": "Allow", "NotPrincipal": {"AWS": "1"}}),
                true,
            ),
            (json!("text"), false),
        ] {
            assert_eq!(is_public(&statement), is_it, "{statement}");
        }
    }
}
