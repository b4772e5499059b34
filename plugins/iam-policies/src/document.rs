//! Finding policies in the parameters of a request.

use serde_json::Value;

/// How deep parameters are searched: CloudTrail nests them a few levels.
const DEPTH_MAX: usize = 8;
/// The longest text that is taken for a policy: AWS allows 131,072 characters at most.
const TEXT_BYTES_MAX: usize = 160 * 1024;
/// Policies of one request.
const DOCUMENTS_MAX: usize = 16;
/// How often a text may be URL-encoded.
const ENCODINGS_MAX: usize = 3;

/// Names under which AWS keeps policies; what is below one and is none is worth a word.
const NAMES: [&str; 10] = [
    "policyDocument",
    "assumeRolePolicyDocument",
    "policy",
    "bucketPolicy",
    "keyPolicy",
    "resourcePolicy",
    "policyText",
    "repositoryPolicyText",
    "accessPolicies",
    "attributeValue",
];

/// What was found in the parameters of a request.
#[derive(Debug, Default)]
pub(crate) struct Found<'p> {
    pub(crate) documents: Vec<Value>,
    /// The policy that is attached by name.
    pub(crate) attached: Option<&'p str>,
    /// Why something that should be a policy is none.
    pub(crate) problem: Option<&'static str>,
}

/// Whether the text of the parameters may hold a policy; most do not, and need not be parsed.
pub(crate) fn may_hold_one(parameters: &str) -> bool {
    let has = |word: &str| parameters.contains(word);
    has("Statement") || has("olicy") || has("olicies") || has("policyArn")
}

/// Everything in the parameters that is a policy.
pub(crate) fn find(parameters: &Value) -> Found<'_> {
    let mut found = Found::default();
    walk(parameters, "", 0, &mut found);
    found
}

fn walk<'p>(value: &'p Value, name: &str, depth: usize, found: &mut Found<'p>) {
    if depth > DEPTH_MAX || found.documents.len() >= DOCUMENTS_MAX {
        return;
    }
    match value {
        Value::Object(fields) => {
            if is_policy(value) {
                found.documents.push(value.clone());
                return;
            }
            for (name, value) in fields {
                walk(value, name, depth + 1, found);
            }
        }
        Value::Array(values) => {
            for value in values {
                walk(value, name, depth + 1, found);
            }
        }
        Value::String(text) if name == "policyArn" => found.attached = Some(text),
        Value::String(text) => read(text, name, found),
        _ => {}
    }
}

fn read(text: &str, name: &str, found: &mut Found<'_>) {
    let is_named = NAMES.iter().any(|is| name.eq_ignore_ascii_case(is));
    if !text.contains("Statement") || text.len() > TEXT_BYTES_MAX {
        if is_named && text.len() > TEXT_BYTES_MAX {
            found.problem = Some("the policy is too long");
        }
        return;
    }
    match parse(text) {
        Some(policy) => found.documents.push(policy),
        None if is_named => found.problem = Some("the policy is not JSON"),
        None => {}
    }
}

fn parse(text: &str) -> Option<Value> {
    let mut text = text.trim().to_owned();
    for _ in 0..=ENCODINGS_MAX {
        // The depth of JSON is bounded by the parser, at 128.
        if text.starts_with('{')
            && let Ok(value) = serde_json::from_str::<Value>(&text)
        {
            return is_policy(&value).then_some(value);
        }
        let decoded = url_decoded(&text)?;
        if decoded == text {
            return None;
        }
        text = decoded.trim().to_owned();
    }
    None
}

fn is_policy(value: &Value) -> bool {
    value
        .get("Statement")
        .is_some_and(|statement| statement.is_array() || statement.is_object())
}

/// Text without `%XX` and `+`; nothing when it is not text then.
fn url_decoded(text: &str) -> Option<String> {
    let digit = |at: usize| (*text.as_bytes().get(at)? as char).to_digit(16);
    // A plus stands for a space in forms, and for itself elsewhere; only forms encode a brace.
    let is_form = !text.contains(' ') && text.contains('%');
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                at += 3;
                continue;
            }
            (b'+', ..) if is_form => bytes.push(b' '),
            _ => bytes.push(*byte),
        }
        at += 1;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, is_found: bool) {
        let parameters = serde_json::json!({ "policyDocument": text });
        assert_eq!(
            find(&parameters).documents.len(),
            usize::from(is_found),
            "{text}"
        );
    }

    #[test]
    fn encoded_policies_are_found() {
        let plain = r#"{"Statement": []}"#;
        check(plain, true);
        check("%7B%22Statement%22%3A%20%5B%5D%7D", true);
        check("%7B%22Statement%22%3A+%5B%5D%7D", true);
        check("%257B%2522Statement%2522%253A%255B%255D%257D", true);
        check("%7B%22Statement%22%3A%20%5B%5D", false);
        check("%FF%22Statement%22", false);
        check("Statement", false);
        check(r#"{"Statement": "*"}"#, false);
    }

    #[test]
    fn what_should_be_a_policy_and_is_none_is_said() {
        let parameters = serde_json::json!({ "policyDocument": "{\"Statement\": [" });
        assert_eq!(find(&parameters).problem, Some("the policy is not JSON"));
    }
}
