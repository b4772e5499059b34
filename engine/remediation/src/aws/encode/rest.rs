//! Requests whose parameters stand in paths, queries and headers, too.

use super::{EncodeFault, Operation, Protocol, Request, below, json, scalar, xml};
use crate::aws::escape::percent;
use crate::aws::table::{Kind, Member, Place, Shape};
use serde_json::Value;

pub(super) fn write(
    operation: &Operation,
    parameters: &Value,
    request: &mut Request,
) -> Result<(), EncodeFault> {
    let service = &operation.service;
    let members = operation
        .input
        .map_or(&[][..], |input| service.members(input));
    let (path, fixed) = operation
        .path
        .split_once('?')
        .unwrap_or((operation.path, ""));
    for pair in fixed.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        request.query.push((name.to_owned(), value.to_owned()));
    }
    let mut filled = path.to_owned();
    let mut payload = None;
    let mut has_body = false;
    for member in members {
        let value = parameters.get(member.name).filter(|value| !value.is_null());
        has_body |= value.is_some() && member.place == Place::Body;
        let Some(value) = value else { continue };
        match member.place {
            Place::Path => {
                let text = scalar(service, member.kind, value, member.name)?;
                check_segment(operation, member, &text)?;
                filled = filled.replace(&format!("{{{}}}", member.wire), &percent(&text));
            }
            Place::Query => {
                for text in queried(operation, member, value)? {
                    request.query.push((member.wire.to_owned(), text));
                }
            }
            Place::Header => {
                let text = scalar(service, member.kind, value, member.name)?;
                check_header(member, &text)?;
                request
                    .headers
                    .push((member.wire.to_ascii_lowercase(), text));
            }
            Place::Payload => payload = Some((member, value)),
            Place::Body => {}
        }
    }
    request.path = filled;
    match (service.protocol, payload) {
        (Protocol::RestXml, Some((member, value))) => {
            request.body = match member.kind {
                Kind::Text | Kind::Policy => {
                    scalar(service, member.kind, value, member.name)?.into_bytes()
                }
                _ => xml::document(service, member, value)?.into_bytes(),
            };
            let kind = match member.kind {
                Kind::Policy => "application/json",
                _ => "application/xml",
            };
            request
                .headers
                .push(("content-type".to_owned(), kind.to_owned()));
        }
        (Protocol::RestJson, _) if has_body => {
            let body = json::value(service, operation.input, parameters, "", 0)?;
            request.body = body.to_string().into_bytes();
            let kind = "application/json".to_owned();
            request.headers.push(("content-type".to_owned(), kind));
        }
        _ => {}
    }
    Ok(())
}

/// A segment of a path stays one, whatever somebody on the way makes of dots and escapes.
fn check_segment(operation: &Operation, member: &Member, text: &str) -> Result<(), EncodeFault> {
    let is_bucket = member.name == "Bucket" && operation.service.name == "s3";
    let is_bad = if is_bucket {
        let is_named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        !(3..=255).contains(&text.len()) || !text.bytes().all(is_named) || text.contains("..")
    } else {
        let is_dots = text.split('/').any(|part| part == "." || part == "..");
        text.is_empty() || is_dots || text.chars().any(|one| one.is_control() || one == '\\')
    };
    if is_bad {
        return Err(EncodeFault::Value(member.name.to_owned(), "a path"));
    }
    Ok(())
}

fn check_header(member: &Member, text: &str) -> Result<(), EncodeFault> {
    let is_bad = |byte: u8| !(b' '..=b'~').contains(&byte);
    if text.bytes().any(is_bad) || text.trim() != text {
        return Err(EncodeFault::Value(member.name.to_owned(), "a header"));
    }
    Ok(())
}

fn queried(
    operation: &Operation,
    member: &Member,
    value: &Value,
) -> Result<Vec<String>, EncodeFault> {
    let service = &operation.service;
    match service.shape(member.kind) {
        Some(Shape::List(of, _)) => {
            let items = super::elements(value, member.name)?.iter().enumerate();
            items
                .map(|(place, value)| {
                    let path = below(member.name, &(place + 1).to_string());
                    scalar(service, *of, value, &path)
                })
                .collect()
        }
        _ => Ok(vec![scalar(service, member.kind, value, member.name)?]),
    }
}
