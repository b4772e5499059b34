//! Forms: every value under a name that says where it is, as `IpPermissions.1.FromPort`.

use super::{DEPTH_MAX, EncodeFault, Operation, Protocol, Request, Service, below, scalar};
use crate::aws::escape::percent;
use crate::aws::table::{Kind, Member, Shape};
use serde_json::Value;

pub(super) fn write(
    operation: &Operation,
    parameters: &Value,
    request: &mut Request,
) -> Result<(), EncodeFault> {
    let service = &operation.service;
    let mut form = Form {
        service,
        pairs: vec![
            ("Action".to_owned(), operation.short_name().to_owned()),
            ("Version".to_owned(), service.version.to_owned()),
        ],
    };
    if let Some(input) = operation.input {
        form.value(input, false, parameters, "", "", 0)?;
    }
    let pairs = form.pairs.iter();
    // A space is `+` here, as the vendor's clients write it: whoever reads a form and writes it anew to check the signature
    // finds the same bytes.
    let field = |text: &str| percent(text).replace("%20", "+");
    let pairs = pairs.map(|(name, value)| format!("{}={}", field(name), field(value)));
    request.body = pairs.collect::<Vec<_>>().join("&").into_bytes();
    let kind = "application/x-www-form-urlencoded; charset=utf-8";
    request
        .headers
        .push(("content-type".to_owned(), kind.to_owned()));
    Ok(())
}

struct Form<'a> {
    service: &'a Service,
    pairs: Vec<(String, String)>,
}

impl Form<'_> {
    /// Writes a value whose name on the wire is `wire`; `path` is its name for people.
    fn value(
        &mut self,
        kind: Kind,
        is_flat: bool,
        value: &Value,
        wire: &str,
        path: &str,
        depth: usize,
    ) -> Result<(), EncodeFault> {
        if depth > DEPTH_MAX {
            return Err(EncodeFault::TooLarge);
        }
        let service = self.service;
        match service.shape(kind) {
            None => {
                let text = scalar(service, kind, value, path)?;
                self.pairs.push((wire.to_owned(), text));
            }
            Some(Shape::Struct(members)) => {
                let object = super::check_members(value, members, path)?;
                for member in members {
                    let Some(value) = object.get(member.name).filter(|value| !value.is_null())
                    else {
                        continue;
                    };
                    let wire = below(wire, &self.name(member));
                    let path = below(path, member.name);
                    self.value(member.kind, member.is_flat, value, &wire, &path, depth + 1)?;
                }
            }
            Some(Shape::List(of, item)) => {
                let items = super::elements(value, path)?;
                let wire = self.list(wire, *item, is_flat);
                if items.is_empty() && service.protocol == Protocol::Query {
                    self.pairs.push((wire.clone(), String::new()));
                }
                for (place, value) in items.iter().enumerate() {
                    let number = (place + 1).to_string();
                    let wire = match service.protocol == Protocol::Ec2 || is_flat {
                        true => below(&wire, &number),
                        false => format!("{wire}.{}.{number}", item.unwrap_or("member")),
                    };
                    let path = below(path, &number);
                    self.value(*of, false, value, &wire, &path, depth + 1)?;
                }
            }
            // No operation in the tables sends one in a form.
            Some(Shape::Map(_)) => {
                return Err(EncodeFault::Kind(
                    path.to_owned(),
                    "of a kind that can be sent",
                ));
            }
        }
        Ok(())
    }

    fn name(&self, member: &Member) -> String {
        if self.service.protocol != Protocol::Ec2 {
            return member.wire.to_owned();
        }
        let mut letters = member.query.unwrap_or(member.wire).chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        match member.query {
            Some(name) => name.to_owned(),
            None => first.into_iter().chain(letters).collect(),
        }
    }

    /// The name of a list. One without an element around it is named by its elements.
    fn list(&self, wire: &str, item: Option<&str>, is_flat: bool) -> String {
        match (self.service.protocol, is_flat, item) {
            (Protocol::Query, true, Some(item)) => {
                below(wire.rsplit_once('.').map_or("", |(above, _)| above), item)
            }
            _ => wire.to_owned(),
        }
    }
}
