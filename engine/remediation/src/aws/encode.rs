//! Writes a request down as its service wants it.
//!
//! Parameters come from events, which an attacker may have a hand in: nothing that is not in the tables is sent, a value
//! of another kind than the table says is refused, and no value can leave the place that it belongs to in a path, a header
//! or a document. The order of elements is that of the tables, so a request does not depend on the order of parameters.

mod form;
mod json;
mod rest;
mod xml;

use super::operation::{Operation, Protocol, Service};
use super::table::Kind;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::fmt;

/// The longest body. The largest that is meant, a bucket's life cycle, has at most 1,000 rules.
const BODY_BYTES_MAX: usize = 1 << 20;
/// The deepest nesting. The deepest shape that is sent has seven levels.
const DEPTH_MAX: usize = 32;

/// A request, but for where it goes and who signs it.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// The path, percent-encoded as it is sent.
    pub path: String,
    /// The query, not encoded yet.
    pub query: Vec<(String, String)>,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// What stands in the request line: the path and the encoded query.
    pub fn target(&self) -> String {
        let mut target = self.path.clone();
        for (place, (name, value)) in self.query.iter().enumerate() {
            target.push(if place == 0 { '?' } else { '&' });
            target.push_str(&super::escape::percent(name));
            if !value.is_empty() {
                target.push('=');
                target.push_str(&super::escape::percent(value));
            }
        }
        target
    }

    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(one, _)| one == name);
        found.next().map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Request {
    // Bodies hold passwords, and headers hold tokens.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        let mut shown = formatter.debug_struct("Request");
        shown.field("method", &self.method);
        shown.field("target", &self.target());
        shown.field("headers", &names);
        shown.field("body_bytes", &self.body.len());
        shown.finish()
    }
}

/// Why a request cannot be written. Each names the parameter, as `IpPermissions.1.FromPort`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeFault {
    /// It cannot do without this one.
    #[error("the parameter {0} is missing")]
    Missing(String),
    /// It has no such parameter.
    #[error("there is no parameter {0}")]
    Unknown(String),
    /// It is of another kind; of which it should be.
    #[error("the parameter {0} is not {1}")]
    Kind(String, &'static str),
    /// It cannot be written where it belongs, as a slash in a bucket's name.
    #[error("the parameter {0} has a value that {1} cannot hold")]
    Value(String, &'static str),
    /// It is nested too deeply, or the request is too large.
    #[error("the parameters are larger than a request may be")]
    TooLarge,
}

/// Writes a request. The account fills what only names it: the account of `s3control`, and the owner that `s3` is to expect
/// of a bucket, so that nobody's bucket of the same name is touched.
pub fn encode(
    operation: &Operation,
    parameters: &Map<String, Value>,
    account: &str,
) -> Result<Request, EncodeFault> {
    let service = &operation.service;
    let members = operation
        .input
        .map_or(&[][..], |input| service.members(input));
    let mut parameters = parameters.clone();
    for name in ["AccountId", "ExpectedBucketOwner"] {
        let takes = members.iter().any(|member| member.name == name);
        let is_ours = service.signing_name == "s3" && takes && !account.is_empty();
        if is_ours && !parameters.contains_key(name) {
            parameters.insert(name.to_owned(), account.into());
        }
    }
    let parameters = Value::Object(parameters);
    let mut request = Request {
        method: operation.method,
        path: "/".to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    // What an operation without parameters does not take is seen here; all others look at their members.
    check_members(&parameters, members, "")?;
    match service.protocol {
        Protocol::Query | Protocol::Ec2 => form::write(operation, &parameters, &mut request)?,
        Protocol::Json => {
            let body = json::value(service, operation.input, &parameters, "", 0)?;
            request.body = body.to_string().into_bytes();
            let kind = format!("application/x-amz-json-{}", service.json_version);
            request.headers.push(("content-type".to_owned(), kind));
            let target = format!("{}.{}", service.target, operation.short_name());
            request.headers.push(("x-amz-target".to_owned(), target));
        }
        Protocol::RestJson | Protocol::RestXml => {
            rest::write(operation, &parameters, &mut request)?;
        }
    }
    if request.body.len() > BODY_BYTES_MAX {
        return Err(EncodeFault::TooLarge);
    }
    if operation.has_checksum {
        use sha2::{Digest as _, Sha256};
        let sum = BASE64_STANDARD.encode(Sha256::digest(&request.body));
        let headers = &mut request.headers;
        headers.push((
            "x-amz-sdk-checksum-algorithm".to_owned(),
            "SHA256".to_owned(),
        ));
        headers.push(("x-amz-checksum-sha256".to_owned(), sum));
    }
    Ok(request)
}

/// A name below another, as `Filters.1`.
fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// The members of an object, after it was seen that it has all that it must have and nothing that nobody knows.
fn check_members<'a>(
    value: &'a Value,
    members: &[super::table::Member],
    path: &str,
) -> Result<&'a Map<String, Value>, EncodeFault> {
    let Value::Object(object) = value else {
        return Err(EncodeFault::Kind(path.to_owned(), "an object"));
    };
    for name in object.keys() {
        if !members.iter().any(|member| member.name == name) {
            return Err(EncodeFault::Unknown(below(path, name)));
        }
    }
    for member in members.iter().filter(|member| member.is_required) {
        if object.get(member.name).is_none_or(Value::is_null) {
            return Err(EncodeFault::Missing(below(path, member.name)));
        }
    }
    Ok(object)
}

fn elements<'a>(value: &'a Value, path: &str) -> Result<&'a [Value], EncodeFault> {
    match value {
        Value::Array(items) => Ok(items),
        _ => Err(EncodeFault::Kind(path.to_owned(), "a list")),
    }
}

/// A value that is no list and no object, as text.
fn scalar(service: &Service, kind: Kind, value: &Value, path: &str) -> Result<String, EncodeFault> {
    let wrong = |wanted| Err(EncodeFault::Kind(path.to_owned(), wanted));
    match kind {
        Kind::Text => match value {
            Value::String(text) => Ok(text.clone()),
            _ => wrong("text"),
        },
        Kind::Policy => match value {
            Value::String(text) => Ok(text.clone()),
            Value::Object(_) | Value::Array(_) => Ok(value.to_string()),
            _ => wrong("a document"),
        },
        Kind::Flag => match value {
            Value::Bool(flag) => Ok(flag.to_string()),
            _ => wrong("true or false"),
        },
        Kind::Whole => match value {
            Value::Number(number) if !number.is_f64() => Ok(number.to_string()),
            _ => wrong("a whole number"),
        },
        Kind::Real => match value {
            Value::Number(number) => Ok(number.to_string()),
            _ => wrong("a number"),
        },
        Kind::Time => Ok(time(value, path)?.to_string()),
        Kind::Blob => match value {
            Value::String(text) if BASE64_STANDARD.decode(text).is_ok() => Ok(text.clone()),
            _ => wrong("Base64"),
        },
        Kind::Shape(_) => {
            debug_assert!(
                service.shape(kind).is_none(),
                "a shape is written by itself"
            );
            wrong("a single value")
        }
    }
}

/// A moment: RFC 3339, or seconds since 1970.
fn time(value: &Value, path: &str) -> Result<Timestamp, EncodeFault> {
    let read = match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => {
            let seconds = number.as_i64();
            seconds.and_then(|seconds| Timestamp::from_second(seconds).ok())
        }
        _ => None,
    };
    read.ok_or_else(|| EncodeFault::Kind(path.to_owned(), "a time"))
}

#[cfg(test)]
mod tests;
