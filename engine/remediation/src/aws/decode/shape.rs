//! Values by their shapes: names of the wire become those of the API.

use super::{DecodeFault, fault, shortened};
use crate::aws::escape::from_percent;
use crate::aws::operation::Service;
use crate::aws::table::{Kind, Member, Place, Shape};
use crate::aws::xml::Element;
use jiff::Timestamp;
use serde_json::{Map, Number, Value};

/// The deepest nesting.
const DEPTH_MAX: usize = 64;
/// The most names that are not known and are told.
const UNKNOWN_MAX: usize = 8;
// What is beside the answer, not in it.
const ABOUT_IT: [&str; 4] = ["ResponseMetadata", "requestId", "RequestId", "__type"];

/// Reads values, and remembers what it did not know.
pub(super) struct Reader<'a> {
    service: &'a Service,
    pub(super) unknown: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(service: &'a Service) -> Self {
        Self {
            service,
            unknown: Vec::new(),
        }
    }

    fn note<'n>(&mut self, names: impl Iterator<Item = &'n str>, members: &[Member], depth: usize) {
        let list_names = |member: &Member| match self.service.shape(member.kind) {
            Some(Shape::List(_, item)) if member.is_flat => *item,
            _ => None,
        };
        for name in names {
            let is_known = members
                .iter()
                .any(|member| member.wire == name || list_names(member) == Some(name));
            let is_about = depth == 0 && ABOUT_IT.contains(&name);
            let name = shortened(name, 64);
            let is_full = self.unknown.len() >= UNKNOWN_MAX;
            if !is_known && !is_about && !is_full && !self.unknown.contains(&name) {
                self.unknown.push(name);
            }
        }
    }

    pub(super) fn json(
        &mut self,
        kind: Kind,
        value: &Value,
        depth: usize,
    ) -> Result<Value, DecodeFault> {
        if depth > DEPTH_MAX {
            return Err(DecodeFault::TooLarge);
        }
        let service = self.service;
        Ok(match (service.shape(kind), value) {
            (Some(Shape::Struct(members)), Value::Object(object)) => {
                let given = object.iter().filter(|(_, value)| !value.is_null());
                self.note(given.map(|(name, _)| name.as_str()), members, depth);
                let mut out = Map::new();
                for member in members.iter().filter(|member| member.place == Place::Body) {
                    let value = object.get(member.wire).filter(|value| !value.is_null());
                    if let Some(value) = value {
                        let value = self.json(member.kind, value, depth + 1)?;
                        out.insert(member.name.to_owned(), value);
                    }
                }
                Value::Object(out)
            }
            (Some(Shape::List(of, _)), Value::Array(items)) => {
                let items = items.iter().map(|item| self.json(*of, item, depth + 1));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            (Some(Shape::Map(of)), Value::Object(object)) => {
                let members = object
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), self.json(*of, value, depth + 1)?)));
                Value::Object(members.collect::<Result<_, DecodeFault>>()?)
            }
            (Some(_), _) | (None, Value::Array(_) | Value::Object(_)) => {
                return Err(fault("a value is of another kind"));
            }
            (None, Value::String(text)) if matches!(kind, Kind::Time | Kind::Policy) => {
                self.scalar(kind, text)
            }
            (None, Value::Number(number)) if kind == Kind::Time => match seconds(number) {
                Some(time) => time.to_string().into(),
                None => value.clone(),
            },
            (None, _) => value.clone(),
        })
    }

    pub(super) fn xml(
        &mut self,
        kind: Kind,
        element: &Element<'_>,
        depth: usize,
    ) -> Result<Value, DecodeFault> {
        if depth > DEPTH_MAX {
            return Err(DecodeFault::TooLarge);
        }
        Ok(match self.service.shape(kind) {
            None => self.scalar(kind, &element.text),
            Some(Shape::List(of, _)) => {
                let items = element.children.iter();
                let items = items.map(|item| self.xml(*of, item, depth + 1));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Some(Shape::Struct(members)) => {
                self.note(
                    element.children.iter().map(|child| child.name),
                    members,
                    depth,
                );
                let mut out = Map::new();
                for member in members {
                    if let Some(value) = self.member(member, element, depth)? {
                        out.insert(member.name.to_owned(), value);
                    }
                }
                Value::Object(out)
            }
            // No answer in the tables has one in XML.
            Some(Shape::Map(_)) => return Err(fault("it has a map")),
        })
    }

    fn member(
        &mut self,
        member: &Member,
        element: &Element<'_>,
        depth: usize,
    ) -> Result<Option<Value>, DecodeFault> {
        if member.is_attribute {
            let local = member.wire.rsplit(':').next();
            let mut found = element
                .attributes
                .iter()
                .filter(|(name, _)| Some(*name) == local);
            let value = found.next();
            return Ok(value.map(|(_, text)| self.scalar(member.kind, text)));
        }
        if let (true, Some(Shape::List(of, item))) =
            (member.is_flat, self.service.shape(member.kind))
        {
            let name = item.unwrap_or(member.wire);
            let found = element.children.iter().filter(|child| child.name == name);
            let values = found.map(|item| self.xml(*of, item, depth + 1));
            let values: Vec<_> = values.collect::<Result<_, _>>()?;
            return Ok((!values.is_empty()).then_some(Value::Array(values)));
        }
        let child = element.child(member.wire);
        child
            .map(|child| self.xml(member.kind, child, depth + 1))
            .transpose()
    }

    /// A value that came as text. What is not of its kind stays text: a service that says so may know better than a table.
    pub(super) fn scalar(&self, kind: Kind, text: &str) -> Value {
        let trimmed = text.trim();
        let read = match kind {
            Kind::Flag => trimmed.to_ascii_lowercase().parse().ok().map(Value::Bool),
            Kind::Whole => trimmed.parse::<i64>().ok().map(Value::from),
            Kind::Real => trimmed
                .parse()
                .ok()
                .and_then(Number::from_f64)
                .map(Value::Number),
            Kind::Time => moment(trimmed).map(|time| time.to_string().into()),
            Kind::Blob => Some(trimmed.into()),
            Kind::Policy => policy(self.service, text),
            Kind::Text | Kind::Shape(_) => None,
        };
        read.unwrap_or_else(|| text.into())
    }
}

fn moment(text: &str) -> Option<Timestamp> {
    let number = || seconds(&serde_json::from_str(text).ok()?);
    text.parse().ok().or_else(number)
}

/// Seconds since 1970, to the millisecond.
fn seconds(number: &Number) -> Option<Timestamp> {
    if let Some(whole) = number.as_i64() {
        return Timestamp::from_second(whole).ok();
    }
    let millis = (number.as_f64()? * 1000.0).round();
    // A conversion of what is out of range gives the nearest number, which is out of the range of times.
    Timestamp::from_millisecond(millis as i64).ok()
}

/// A document in a string. IAM percent-encodes it.
fn policy(service: &Service, text: &str) -> Option<Value> {
    let text = match service.name {
        "iam" => from_percent(text)?,
        _ => text.to_owned(),
    };
    let value = serde_json::from_str(&text).ok();
    Some(match value {
        Some(value @ Value::Object(_)) if is_shallow(&value, 0) => value,
        _ => text.into(),
    })
}

/// Whether a document can be written into another and be read again.
fn is_shallow(value: &Value, depth: usize) -> bool {
    let mut inner: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(members) => Box::new(members.values()),
        _ => return true,
    };
    depth < DEPTH_MAX && inner.all(|value| is_shallow(value, depth + 1))
}
