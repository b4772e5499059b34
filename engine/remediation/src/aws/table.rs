//! The form of the tables: one line an operation, and one a member of what it takes and answers.
//!
//! ```text
//! service NAME PROTOCOL VERSION signing=NAME [json=1.1 target=PREFIX]
//! operation NAME read|write METHOD PATH [input=KIND] [output=KIND] ...
//! struct NAME
//!   MEMBER KIND [wire=NAME] [query=NAME] [in-path|in-query|in-header|payload] [required] ...
//! list NAME KIND [item=NAME]
//! map NAME KIND
//! ```
//!
//! Text of our own instead of the models as they are: those of EC2 alone are over a megabyte, of which 58 kB are needed.

use super::operation::{Operation, Pages, Protocol, Service};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A string.
    Text,
    /// A boolean.
    Flag,
    /// A whole number.
    Whole,
    /// Any number.
    Real,
    /// A moment: RFC 3339 here, whatever it is on the wire.
    Time,
    /// Bytes: Base64 on both sides.
    Blob,
    /// A JSON document inside a string on the wire; a value here.
    Policy,
    /// A shape of the service, by its name.
    Shape(&'static str),
}

/// What a value is made of.
#[derive(Debug)]
pub(super) enum Shape {
    /// Members by name.
    Struct(Vec<Member>),
    /// Elements, and the name of each in XML and forms where it is not `member`.
    List(Kind, Option<&'static str>),
    /// Any names.
    Map(Kind),
}

/// Where a parameter goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Body,
    Path,
    Query,
    Header,
    /// It is the body.
    Payload,
}

/// A member of a struct.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Its name on the wire.
    pub(super) wire: &'static str,
    /// Its name in requests to EC2, where that is not made from the one on the wire.
    pub(super) query: Option<&'static str>,
    pub(super) place: Place,
    pub(super) is_required: bool,
    pub(super) is_token: bool,
    /// Whether a list stands without an element around it.
    pub(super) is_flat: bool,
    pub(super) is_attribute: bool,
    /// A namespace of XML: prefix and URI.
    pub(super) namespace: Option<(&'static str, &'static str)>,
}

impl Service {
    /// The members of a struct; none for anything else.
    pub(super) fn members(&self, kind: Kind) -> &[Member] {
        match self.shape(kind) {
            Some(Shape::Struct(members)) => members,
            _ => &[],
        }
    }

    pub(super) fn shape(&self, kind: Kind) -> Option<&Shape> {
        match kind {
            Kind::Shape(name) => self.shapes.get(name),
            _ => None,
        }
    }
}

/// A line that is not understood.
#[derive(Debug, thiserror::Error)]
#[error("a table has a line that is not understood: {0}")]
pub(super) struct TableFault(String);

/// Reads a table.
pub(super) fn read(text: &'static str) -> Result<Vec<Operation>, TableFault> {
    let mut service = None;
    let mut shapes = BTreeMap::new();
    let mut operations = Vec::new();
    let mut members: Option<(&'static str, Vec<Member>)> = None;
    for line in text.lines() {
        let fault = || TableFault(line.to_owned());
        let words: Vec<&'static str> = line.split_whitespace().collect();
        if line.starts_with("  ") {
            let (_, members) = members.as_mut().ok_or_else(fault)?;
            members.push(member(&words).ok_or_else(fault)?);
            continue;
        }
        if let Some((name, members)) = members.take() {
            shapes.insert(name, Shape::Struct(members));
        }
        match words.as_slice() {
            [] | ["#", ..] => {}
            ["service", rest @ ..] => service = Some(self::service(rest).ok_or_else(fault)?),
            ["operation", rest @ ..] => operations.push((rest.to_vec(), line)),
            ["struct", name] => members = Some((name, Vec::new())),
            ["list", name, kind, rest @ ..] => {
                shapes.insert(name, Shape::List(self::kind(kind), named(rest, "item=")));
            }
            ["map", name, kind] => {
                shapes.insert(name, Shape::Map(self::kind(kind)));
            }
            _ => return Err(fault()),
        }
    }
    if let Some((name, members)) = members.take() {
        shapes.insert(name, Shape::Struct(members));
    }
    let mut service = service.ok_or_else(|| TableFault("no service".to_owned()))?;
    service.shapes = shapes;
    let service = Arc::new(service);
    let operations = operations.into_iter();
    operations
        .map(|(words, line)| operation(&words, &service).ok_or_else(|| TableFault(line.to_owned())))
        .collect()
}

fn kind(word: &'static str) -> Kind {
    match word {
        "text" => Kind::Text,
        "flag" => Kind::Flag,
        "whole" => Kind::Whole,
        "real" => Kind::Real,
        "time" => Kind::Time,
        "blob" => Kind::Blob,
        "policy" => Kind::Policy,
        name => Kind::Shape(name),
    }
}

fn named(words: &[&'static str], start: &str) -> Option<&'static str> {
    words.iter().find_map(|word| word.strip_prefix(start))
}

fn all_named(words: &[&'static str], start: &str) -> Vec<&'static str> {
    let found = words.iter().filter_map(|word| word.strip_prefix(start));
    found.collect()
}

fn service(words: &[&'static str]) -> Option<Service> {
    let [name, protocol, version, rest @ ..] = words else {
        return None;
    };
    Some(Service {
        name,
        protocol: match *protocol {
            "query" => Protocol::Query,
            "ec2" => Protocol::Ec2,
            "json" => Protocol::Json,
            "rest-json" => Protocol::RestJson,
            "rest-xml" => Protocol::RestXml,
            _ => return None,
        },
        version,
        signing_name: named(rest, "signing=")?,
        json_version: named(rest, "json=").unwrap_or_default(),
        target: named(rest, "target=").unwrap_or_default(),
        shapes: BTreeMap::new(),
    })
}

fn member(words: &[&'static str]) -> Option<Member> {
    let [name, kind, rest @ ..] = words else {
        return None;
    };
    let has = |word: &str| rest.contains(&word);
    let place = match () {
        () if has("in-path") => Place::Path,
        () if has("in-query") => Place::Query,
        () if has("in-header") => Place::Header,
        () if has("payload") => Place::Payload,
        () => Place::Body,
    };
    let namespace = named(rest, "xmlns").and_then(|text| {
        let (prefix, uri) = text.split_once('=')?;
        Some((prefix.trim_start_matches(':'), uri))
    });
    Some(Member {
        name,
        kind: self::kind(kind),
        wire: named(rest, "wire=").unwrap_or(name),
        query: named(rest, "query="),
        place,
        is_required: has("required"),
        is_token: has("token"),
        is_flat: has("flat"),
        is_attribute: has("attribute"),
        namespace,
    })
}

fn operation(words: &[&'static str], service: &Arc<Service>) -> Option<Operation> {
    let [name, access, method, path, rest @ ..] = words else {
        return None;
    };
    let input = named(rest, "input=").map(kind);
    let members = input.map_or(&[][..], |input| service.members(input));
    let required = members.iter().filter(|member| member.is_required);
    let pages = match named(rest, "page=") {
        None => None,
        Some(text) => {
            let mut parts = text.splitn(3, ':');
            Some(Pages {
                input: parts.next()?,
                output: parts.next()?,
                lists: parts.next()?.split(',').collect(),
            })
        }
    };
    Some(Operation {
        name: format!("{}.{name}", service.name),
        service: Arc::clone(service),
        method,
        path,
        is_read: match *access {
            "read" => true,
            "write" => false,
            _ => return None,
        },
        is_unsigned: rest.contains(&"unsigned"),
        iam_action: named(rest, "action=")?,
        iam_also: all_named(rest, "also="),
        arns: all_named(rest, "arn="),
        required: required.map(|member| member.name).collect(),
        token: members
            .iter()
            .find(|member| member.is_token)
            .map(|member| member.name),
        input,
        output: named(rest, "output=").map(kind),
        wrapper: named(rest, "wrapper="),
        has_checksum: rest.contains(&"checksum"),
        pages,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_not_understood_are_named() {
        let check = |text: &'static str, wanted: &str| {
            assert!(read(text).unwrap_err().to_string().contains(wanted));
        };
        check("", "no service");
        check("nonsense", "nonsense");
        check("  A text", "A text");
        check("service a smoke 1 signing=a", "smoke");
        check(
            "service a json 1 signing=a\noperation B perhaps GET /",
            "perhaps",
        );
        check(
            "service a json 1 signing=a\noperation B read GET /",
            "operation B",
        );
    }

    #[test]
    fn a_member_says_where_it_goes() {
        let words = [
            "Grantee",
            "Grantee",
            "xmlns:xsi=http://a",
            "required",
            "in-header",
        ];
        let member = member(&words).unwrap();
        assert_eq!(member.namespace, Some(("xsi", "http://a")));
        assert_eq!(member.place, Place::Header);
        assert_eq!(member.wire, "Grantee");
        assert!(member.is_required && !member.is_flat);
    }
}
