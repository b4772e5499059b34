//! Reads what a service answered.
//!
//! An answer has the names of the API, whatever the wire calls them, and only what the tables know of. Lists are arrays,
//! also those of one element; a list that the service left out is absent. Booleans and numbers are those of JSON, also
//! when they came as text in XML. Times are RFC 3339 in UTC, to the millisecond where the service says so. Policies are
//! values, not text, unless they are no JSON. Bytes are Base64.
//!
//! A good status with a body that cannot be understood is a [`DecodeFault`], and nobody knows what was done: that is no
//! refusal. What is no good status is a refusal, however broken its body is.

mod refusal;
mod shape;

use self::shape::Reader;
use super::operation::{Operation, Protocol};
use super::table::{Kind, Place};
use super::xml::Element;
use crate::plan::Answer;
use serde_json::{Map, Value};

/// The longest answer that is read; the server reads no more than this from the wire. A page of 1,000 instances has 6 MB.
pub const BODY_BYTES_MAX: usize = 16 << 20;
/// The most values in a JSON answer, by its commas: values take more memory than their text.
const COMMAS_MAX: usize = 1_000_000;

/// Whether a refused request is worth another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// No: it will be refused again.
    Never,
    /// Yes, in a while: the service is in trouble, or what it is about is changing just now.
    Passing,
    /// Yes, and less often: too much was asked of it.
    Throttled,
    /// Yes, with new credentials or by a right clock: what it was signed with has expired.
    Signature,
}

impl Retry {
    /// Whether too much was asked.
    pub fn is_throttled(self) -> bool {
        self == Self::Throttled
    }

    /// Whether the same request may be done when it is sent again, perhaps with another signature.
    pub fn is_passing(self) -> bool {
        self != Self::Never
    }
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The answer.
    pub answer: Answer,
    /// For a refusal: whether it is worth another try.
    pub retry: Retry,
    /// What the service calls the request.
    pub request_id: Option<String>,
    /// Names of the wire that the tables do not know, at most eight: the service can do more than when they were made, and
    /// what is put back as it was read loses these.
    pub unknown: Vec<String>,
}

/// Why an answer of a good status is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeFault {
    /// It is longer or deeper than anything that a service answers.
    #[error("the answer is larger than an answer may be")]
    TooLarge,
    /// It is not what the protocol says; why.
    #[error("the answer is not understood: {0}")]
    Form(String),
}

/// Reads an answer. Names of headers may be in any case.
pub fn decode(
    operation: &Operation,
    status: u16,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<Decoded, DecodeFault> {
    let header = |wanted: &str| {
        let mut found = headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.next().map(|(_, value)| value.as_str())
    };
    let names = ["x-amzn-requestid", "x-amz-request-id", "x-amzn-request-id"];
    let mut request_id = names.into_iter().find_map(header).map(str::to_owned);
    if !(200..300).contains(&status) {
        return Ok(refusal::read(status, &header, body, request_id));
    }
    if body.len() > BODY_BYTES_MAX {
        return Err(DecodeFault::TooLarge);
    }
    let text = std::str::from_utf8(body).map_err(|_| fault("it is no UTF-8"))?;
    let mut reader = Reader::new(&operation.service);
    let value = match operation.service.protocol {
        Protocol::Query | Protocol::Ec2 => {
            let root = xml(text)?;
            let id = root.find("RequestId").or_else(|| root.find("requestId"));
            request_id = request_id.or_else(|| id.map(|id| id.text.trim().to_owned()));
            form(operation, &mut reader, &root)?
        }
        Protocol::Json => object(operation, &mut reader, text)?,
        Protocol::RestJson | Protocol::RestXml => rest(operation, &mut reader, text, &header)?,
    };
    Ok(Decoded {
        answer: undone(operation, &value).unwrap_or(Answer::Done(value)),
        retry: Retry::Never,
        request_id: request_id.map(|id| shortened(&id, 128)),
        unknown: reader.unknown,
    })
}

/// Flow logs are made and deleted by lists, and what could not be is said in a good answer. Where nothing could be, it is a
/// refusal like any other.
fn undone(operation: &Operation, value: &Value) -> Option<Answer> {
    let is_by_list =
        ["ec2.CreateFlowLogs", "ec2.DeleteFlowLogs"].contains(&operation.name.as_str());
    let made = value.get("FlowLogIds").and_then(Value::as_array);
    let error = value
        .pointer("/Unsuccessful/0/Error")
        .filter(|_| is_by_list)?;
    if made.is_some_and(|made| !made.is_empty()) {
        return None;
    }
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    Some(Answer::Refused {
        code: shortened(text("Code"), 128),
        message: shortened(text("Message"), 1024),
    })
}

fn fault(why: &str) -> DecodeFault {
    DecodeFault::Form(why.to_owned())
}

fn xml(text: &str) -> Result<Element<'_>, DecodeFault> {
    Element::read(text).map_err(|fault| match fault {
        super::xml::XmlFault::TooLarge => DecodeFault::TooLarge,
        other => DecodeFault::Form(other.to_string()),
    })
}

fn json(text: &str) -> Result<Value, DecodeFault> {
    if text.bytes().filter(|byte| *byte == b',').count() > COMMAS_MAX {
        return Err(DecodeFault::TooLarge);
    }
    serde_json::from_str(text).map_err(|fault| DecodeFault::Form(fault.to_string()))
}

/// The answer to a form: the root is named after the operation, so that no other page is taken for one.
fn form(
    operation: &Operation,
    reader: &mut Reader<'_>,
    root: &Element<'_>,
) -> Result<Value, DecodeFault> {
    let wanted = root.name.strip_suffix("Response");
    if wanted != Some(operation.short_name()) {
        return Err(fault("it is the answer to another operation"));
    }
    let Some(output) = operation.output else {
        return Ok(Value::Object(Map::new()));
    };
    let result = match operation.wrapper {
        None => root,
        Some(wrapper) => root
            .child(wrapper)
            .ok_or_else(|| fault("it has no result"))?,
    };
    reader.xml(output, result, 0)
}

fn object(
    operation: &Operation,
    reader: &mut Reader<'_>,
    text: &str,
) -> Result<Value, DecodeFault> {
    let value = match text.trim() {
        // Emulators say nothing in this way, too.
        "" | "null" => Value::Object(Map::new()),
        text => json(text)?,
    };
    if !value.is_object() {
        return Err(fault("it is no object"));
    }
    match operation.output {
        None => Ok(Value::Object(Map::new())),
        Some(output) => reader.json(output, &value, 0),
    }
}

fn rest<'a>(
    operation: &Operation,
    reader: &mut Reader<'_>,
    text: &str,
    header: &impl Fn(&str) -> Option<&'a str>,
) -> Result<Value, DecodeFault> {
    let service = &operation.service;
    let is_page = header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
    // Emulators and proxies call anything a page, so that only a body that begins like one is.
    let start = text
        .trim_start()
        .get(..5)
        .unwrap_or_default()
        .to_ascii_lowercase();
    if is_page && (start.starts_with("<!") || start == "<html") {
        return Err(fault("it is a page"));
    }
    let Some(output) = operation.output else {
        return Ok(Value::Object(Map::new()));
    };
    let members = service.members(output);
    let mut out = Map::new();
    let payload = members.iter().find(|member| member.place == Place::Payload);
    let is_empty = text.trim().is_empty();
    if let Some(payload) = payload.filter(|_| !is_empty) {
        let value = match (payload.kind, service.protocol) {
            (Kind::Text | Kind::Policy, _) => reader.scalar(payload.kind, text),
            (kind, Protocol::RestXml) => reader.xml(kind, &xml(text)?, 0)?,
            (kind, _) => reader.json(kind, &json(text)?, 0)?,
        };
        out.insert(payload.name.to_owned(), value);
    } else if !is_empty && members.iter().any(|member| member.place == Place::Body) {
        let value = match service.protocol {
            Protocol::RestXml => {
                let root = xml(text)?;
                match members {
                    // The whole answer is the text of one member, as that of GetBucketLocation.
                    [only] if only.wire == root.name && root.children.is_empty() => {
                        let text = reader.scalar(only.kind, &root.text);
                        [(only.name.to_owned(), text)].into_iter().collect()
                    }
                    _ => reader.xml(output, &root, 0)?,
                }
            }
            _ => object(operation, reader, text)?,
        };
        if let Value::Object(value) = value {
            out = value;
        }
    }
    for member in members
        .iter()
        .filter(|member| member.place == Place::Header)
    {
        if let Some(text) = header(member.wire) {
            out.insert(member.name.to_owned(), reader.scalar(member.kind, text));
        }
    }
    Ok(Value::Object(out))
}

/// The beginning of a text, without control characters.
fn shortened(text: &str, most: usize) -> String {
    let plain = text.trim().chars().filter(|one| !one.is_control());
    plain.take(most).collect()
}

#[cfg(test)]
mod tests;
