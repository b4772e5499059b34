//! `[plugins.NAME.grant]`: what a plugin may do, at most.

use super::path_of;
use crate::grant::limits::{HTTP_RULES_MAX, HTTP_SECRETS_MAX, LOOKUP_TABLES_MAX};
use crate::manifest::read::{Fields, Part, Reader, span_of};
use crate::manifest::value::{DASHED, dashed};
use crate::manifest::{
    Capability, HTTP_KEYS, HttpTarget, KvBounds, read_kv, read_operations, read_target,
};
use std::path::PathBuf;

/// Longest name of a variable of the environment.
const VARIABLE_BYTES_MAX: usize = 256;

/// What a plugin is granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Lines for the operator.
    pub log: bool,
    /// The time.
    pub clock: bool,
    /// Chance.
    pub random: bool,
    /// Events beyond the declared fields.
    pub events: bool,
    /// Counters.
    pub metrics: bool,
    /// Things to remember.
    pub kv: Option<KvBounds>,
    /// Tables: the name that the plugin uses, and the file, relative to the operator file.
    pub lookup: Vec<(String, PathBuf)>,
    /// Requests to the outside.
    pub http: Vec<HttpGrant>,
    /// Operations of services that only read.
    pub reads: Vec<String>,
}

/// Requests that are granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGrant {
    /// Where to.
    pub target: HttpTarget,
    /// Secrets that are filled in for these requests, and for no others.
    pub secrets: Vec<(String, SecretSource)>,
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// In a variable of the environment.
    Env(String),
    /// In a file, relative to the operator file; a line end at its end is not part of it.
    File(PathBuf),
}

pub(super) fn read_grant(reader: &mut Reader, part: Part<'_, '_>) -> Grant {
    let keys = Capability::ALL.map(Capability::as_str);
    let Some(fields) = Fields::of(reader, "`grant`", "grant", part, &keys) else {
        return Grant::default();
    };
    Grant {
        log: fields.flag(reader, "log"),
        clock: fields.flag(reader, "clock"),
        random: fields.flag(reader, "random"),
        events: fields.flag(reader, "events"),
        metrics: fields.flag(reader, "metrics"),
        kv: fields.part("kv").and_then(|part| read_kv(reader, part)),
        lookup: read_lookup(reader, &fields),
        http: read_http(reader, &fields),
        reads: read_operations(reader, &fields),
    }
}

fn read_lookup(reader: &mut Reader, fields: &Fields<'_, '_>) -> Vec<(String, PathBuf)> {
    let entries = fields.entries(reader, "lookup");
    let span = fields.part("lookup").map_or(fields.span, span_of);
    if !reader.within("tables", entries.len(), LOOKUP_TABLES_MAX, span) {
        return Vec::new();
    }
    let mut tables = Vec::with_capacity(entries.len());
    for (name, span, part) in entries {
        let table = reader.parsed(name, span, "name of a table", DASHED, dashed);
        let path = reader.text(name, part);
        let path = path.and_then(|(text, span)| path_of(reader, text, span));
        let forms = ["csv", "json", "mmdb"];
        let extension = path.as_deref().and_then(|path| path.extension()?.to_str());
        if path.is_some() && !extension.is_some_and(|extension| forms.contains(&extension)) {
            let message = format!("the file of the table `{name}` is of no known form");
            reader.malformed(
                span_of(part),
                message,
                "a file ending in .csv, .json or .mmdb",
            );
        }
        tables.extend(table.zip(path));
    }
    tables
}

fn read_http(reader: &mut Reader, fields: &Fields<'_, '_>) -> Vec<HttpGrant> {
    let items = fields.items(reader, "http");
    let span = fields.part("http").map_or(fields.span, span_of);
    if !reader.within("entries of `http`", items.len(), HTTP_RULES_MAX, span) {
        return Vec::new();
    }
    let mut grants = Vec::with_capacity(items.len());
    for item in items {
        let Some(fields) = Fields::of(reader, "an entry of `http`", "http", item, &HTTP_KEYS)
        else {
            continue;
        };
        let secrets = read_secrets(reader, &fields);
        let target = read_target(reader, &fields);
        grants.extend(target.map(|target| HttpGrant { target, secrets }));
    }
    grants
}

fn read_secrets(reader: &mut Reader, fields: &Fields<'_, '_>) -> Vec<(String, SecretSource)> {
    let entries = fields.entries(reader, "secrets");
    if !reader.within("secrets", entries.len(), HTTP_SECRETS_MAX, fields.span) {
        return Vec::new();
    }
    let mut secrets = Vec::with_capacity(entries.len());
    for (name, span, part) in entries {
        let name = reader.parsed(name, span, "name of a secret", DASHED, dashed);
        secrets.extend(name.zip(read_secret(reader, part)));
    }
    secrets
}

fn read_secret(reader: &mut Reader, part: Part<'_, '_>) -> Option<SecretSource> {
    let expected = "`{ env = \"NAME\" }` or `{ file = \"PATH\" }`";
    if part.get_ref().is_str() {
        // What stands here may be the secret itself, so that nothing of it is repeated.
        reader.malformed(
            span_of(part),
            "a secret is not written into this file",
            expected,
        );
        return None;
    }
    let fields = Fields::of(reader, "a secret", "secrets", part, &["env", "file"])?;
    let is_variable = |text: &str| {
        let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        text.len() <= VARIABLE_BYTES_MAX && text.bytes().all(may_stand)
    };
    let env = fields.parsed(
        reader,
        "env",
        "name of a variable",
        "letters, digits and `_`",
        |text| is_variable(text).then(|| text.to_owned()),
    );
    let file = super::read_path(reader, &fields, "file");
    match (fields.part("env").is_some(), fields.part("file").is_some()) {
        (true, false) => env.map(SecretSource::Env),
        (false, true) => file.map(SecretSource::File),
        _ => {
            reader.malformed(fields.span, "a secret is in one place", expected);
            None
        }
    }
}
