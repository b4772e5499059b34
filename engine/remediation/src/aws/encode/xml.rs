//! XML bodies.

use super::{DEPTH_MAX, EncodeFault, Service, below, scalar};
use crate::aws::escape;
use crate::aws::table::{Member, Shape};
use serde_json::Value;

/// A document whose root is a member.
pub(super) fn document(
    service: &Service,
    member: &Member,
    value: &Value,
) -> Result<String, EncodeFault> {
    let mut out = String::new();
    element(service, member, value, member.name, &mut out, 0)?;
    Ok(out)
}

fn element(
    service: &Service,
    member: &Member,
    value: &Value,
    path: &str,
    out: &mut String,
    depth: usize,
) -> Result<(), EncodeFault> {
    if depth > DEPTH_MAX {
        return Err(EncodeFault::TooLarge);
    }
    match service.shape(member.kind) {
        Some(Shape::List(of, item)) => {
            let one = |name| Member {
                name,
                wire: name,
                kind: *of,
                namespace: None,
                is_flat: false,
                ..*member
            };
            let one = match member.is_flat {
                true => one(member.wire),
                false => one(item.unwrap_or("member")),
            };
            if !member.is_flat {
                open(member, "", out);
            }
            for (place, value) in super::elements(value, path)?.iter().enumerate() {
                let path = below(path, &(place + 1).to_string());
                element(service, &one, value, &path, out, depth + 1)?;
            }
            if !member.is_flat {
                close(member, out);
            }
        }
        Some(Shape::Struct(members)) => {
            let object = super::check_members(value, members, path)?;
            let given = |is_attribute: bool| {
                let wanted = members
                    .iter()
                    .filter(move |member| member.is_attribute == is_attribute);
                wanted.filter_map(|member| {
                    let value = object.get(member.name).filter(|value| !value.is_null());
                    value.map(|value| (member, value, below(path, member.name)))
                })
            };
            let mut attributes = String::new();
            for (member, value, path) in given(true) {
                let text = text(service, member, value, &path)?;
                attributes.push_str(&format!(" {}=\"{text}\"", member.wire));
            }
            open(member, &attributes, out);
            for (member, value, path) in given(false) {
                element(service, member, value, &path, out, depth + 1)?;
            }
            close(member, out);
        }
        // No operation in the tables sends one in XML.
        Some(Shape::Map(_)) => {
            return Err(EncodeFault::Kind(
                path.to_owned(),
                "of a kind that can be sent",
            ));
        }
        None => {
            let text = text(service, member, value, path)?;
            open(member, "", out);
            out.push_str(&text);
            close(member, out);
        }
    }
    Ok(())
}

fn text(
    service: &Service,
    member: &Member,
    value: &Value,
    path: &str,
) -> Result<String, EncodeFault> {
    let text = scalar(service, member.kind, value, path)?;
    if !text.chars().all(escape::is_xml) {
        return Err(EncodeFault::Value(path.to_owned(), "XML"));
    }
    let mut out = String::with_capacity(text.len());
    escape::xml(&text, &mut out);
    Ok(out)
}

fn open(member: &Member, attributes: &str, out: &mut String) {
    out.push('<');
    out.push_str(member.wire);
    if let Some((prefix, uri)) = member.namespace {
        let colon = if prefix.is_empty() { "" } else { ":" };
        out.push_str(&format!(" xmlns{colon}{prefix}=\"{uri}\""));
    }
    out.push_str(attributes);
    out.push('>');
}

fn close(member: &Member, out: &mut String) {
    out.push_str("</");
    out.push_str(member.wire);
    out.push('>');
}
