//! What an operator may set: typed settings of the manifest, and the JSON that the plugin is configured with.
//!
//! Values are checked against the manifest of the very component that is about to run, so the mistakes point into the
//! operator's file. A setting without a default has to be given.

use super::read::{Fields, Part, Reader, in_order, shortened, span_of};
use super::value::{WORD, word};
use std::sync::Arc;
use toml::de::DeValue;
use tripline_core::diagnostic::{Code, Diagnostic, Source, Span, did_you_mean};
use tripline_core::rule::Report;

/// Most settings of one plugin.
pub const SETTINGS_MAX: usize = 64;
/// Most texts of one setting.
pub const SETTING_TEXTS_MAX: usize = 1024;
/// Longest text of a setting.
pub const SETTING_TEXT_BYTES_MAX: usize = 16 * 1024;

/// What a setting is called, what it takes, and what it is when it is not given.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// What it takes.
    pub kind: SettingKind,
    /// What it is when it is not given; without one it has to be given.
    pub default: Option<SettingValue>,
    /// For the operator.
    pub doc: String,
}

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The words are their own description.
pub enum SettingKind {
    Text,
    Int,
    Float,
    Bool,
    Texts,
}

impl SettingKind {
    const WORDS: [(&'static str, Self); 5] = [
        ("text", Self::Text),
        ("int", Self::Int),
        ("float", Self::Float),
        ("bool", Self::Bool),
        ("texts", Self::Texts),
    ];

    /// As manifests write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Texts => "texts",
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Text => "a string of at most 16 KiB",
            Self::Int => "a whole number that fits 64 bits",
            Self::Float => "a number",
            Self::Bool => "true or false",
            Self::Texts => "an array of at most 1,024 strings",
        }
    }
}

/// What a setting is set to.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum SettingValue {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    Texts(Vec<String>),
}

impl SettingValue {
    /// The value of a part of a file, whatever its kind; nothing for what no setting takes.
    pub(crate) fn of(part: Part<'_, '_>) -> Option<Self> {
        let short = |text: &str| (text.len() <= SETTING_TEXT_BYTES_MAX).then(|| text.to_owned());
        match part.get_ref() {
            DeValue::String(text) => short(text).map(Self::Text),
            DeValue::Integer(integer) => {
                let number = i64::from_str_radix(integer.as_str(), integer.radix());
                number.ok().map(Self::Int)
            }
            DeValue::Float(float) => {
                let number: Option<f64> = float.as_str().parse().ok();
                number.filter(|number| number.is_finite()).map(Self::Float)
            }
            DeValue::Boolean(flag) => Some(Self::Bool(*flag)),
            DeValue::Array(items) if items.len() <= SETTING_TEXTS_MAX => {
                let texts = items
                    .iter()
                    .map(|item| item.get_ref().as_str().and_then(short));
                texts.collect::<Option<_>>().map(Self::Texts)
            }
            _ => None,
        }
    }

    fn fits(self, kind: SettingKind) -> Option<Self> {
        match (kind, self) {
            // A number without a point is a number.
            (SettingKind::Float, Self::Int(number)) => Some(Self::Float(number as f64)),
            (SettingKind::Text, value @ Self::Text(_))
            | (SettingKind::Int, value @ Self::Int(_))
            | (SettingKind::Float, value @ Self::Float(_))
            | (SettingKind::Bool, value @ Self::Bool(_))
            | (SettingKind::Texts, value @ Self::Texts(_)) => Some(value),
            _ => None,
        }
    }

    fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Int(number) => (*number).into(),
            Self::Float(number) => (*number).into(),
            Self::Bool(flag) => (*flag).into(),
            Self::Texts(texts) => texts.as_slice().into(),
        }
    }
}

pub(super) fn read_settings(reader: &mut Reader, part: Option<Part<'_, '_>>) -> Vec<Setting> {
    let Some(part) = part else {
        return Vec::new();
    };
    let Some(table) = part.get_ref().as_table() else {
        reader.malformed(span_of(part), "`config` has the wrong type", "a table");
        return Vec::new();
    };
    if !reader.within("settings", table.len(), SETTINGS_MAX, span_of(part)) {
        return Vec::new();
    }
    let mut settings = Vec::with_capacity(table.len());
    for (key, value) in in_order(table) {
        let name = reader.parsed(key.get_ref(), span_of(key), "name", WORD, word);
        let setting = read_setting(reader, key.get_ref(), value);
        settings.extend(
            name.zip(setting)
                .map(|(name, setting)| Setting { name, ..setting }),
        );
    }
    settings
}

fn read_setting(reader: &mut Reader, name: &str, value: Part<'_, '_>) -> Option<Setting> {
    let keys = ["!type", "default", "doc"];
    let fields = Fields::of(reader, "a setting", name, value, &keys)?;
    let kind = fields.text(reader, "type");
    let kind = kind.and_then(|(text, span)| reader.word("type", text, span, &SettingKind::WORDS));
    let doc = fields.text(reader, "doc");
    let kind = kind?;
    let default = match fields.part("default") {
        None => None,
        Some(part) => Some(fitting(
            reader,
            "default",
            kind,
            SettingValue::of(part),
            span_of(part),
        )?),
    };
    Some(Setting {
        name: String::new(),
        kind,
        default,
        doc: doc.map_or_else(String::new, |(text, _)| text.to_owned()),
    })
}

fn fitting(
    reader: &mut Reader,
    name: &str,
    kind: SettingKind,
    value: Option<SettingValue>,
    span: Span,
) -> Option<SettingValue> {
    let fitting = value.and_then(|value| value.fits(kind));
    if fitting.is_none() {
        let message = format!(
            "`{}` is not of the type `{}`",
            shortened(name),
            kind.as_str()
        );
        reader.malformed(span, message, kind.expected());
    }
    fitting
}

/// A setting as the operator gave it.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub name_span: Span,
    /// To what it is set; nothing when no setting takes such a value.
    pub value: Option<SettingValue>,
    /// Where the value stands.
    pub value_span: Span,
}

/// The JSON that a plugin with these settings is configured with, or the mistakes in what was given.
///
/// `span` is where the plugin stands in the operator's file, for what is missing there.
pub fn configuration(
    settings: &[Setting],
    given: &[Given],
    source: &Arc<Source>,
    span: Span,
) -> Result<String, Vec<Report>> {
    let mut reader = Reader::new(source.clone());
    let mut values = serde_json::Map::new();
    for one in given {
        if !settings.iter().any(|setting| setting.name == one.name) {
            unknown_setting(&mut reader, settings, one);
        }
    }
    for setting in settings {
        let name = &setting.name;
        let value = match given.iter().find(|one| one.name == *name) {
            Some(one) => fitting(
                &mut reader,
                name,
                setting.kind,
                one.value.clone(),
                one.value_span,
            ),
            None => {
                if setting.default.is_none() {
                    missing_setting(&mut reader, setting, span);
                }
                setting.default.clone()
            }
        };
        values.extend(value.map(|value| (name.clone(), value.to_json())));
    }
    if reader.errors() > 0 {
        return Err(reader.finish());
    }
    Ok(serde_json::Value::Object(values).to_string())
}

fn missing_setting(reader: &mut Reader, setting: &Setting, span: Span) {
    let Setting {
        name, kind, doc, ..
    } = setting;
    let message = format!("the plugin needs the setting `{name}`");
    let mut help = format!("Add `{name} = …` to its `config`: {}.", kind.expected());
    if !doc.is_empty() {
        help = format!("{help} The plugin says: {doc}.");
    }
    reader.report(Diagnostic::new(Code::MissingKey, span, message).with_help(help));
}

fn unknown_setting(reader: &mut Reader, settings: &[Setting], given: &Given) {
    let span = given.name_span;
    let message = format!("the plugin has no setting `{}`", shortened(&given.name));
    let diagnostic = Diagnostic::new(Code::UnknownKey, span, message).with_caret("unknown setting");
    let names = settings.iter().map(|setting| setting.name.as_str());
    reader.report(match did_you_mean(&given.name, names.clone()) {
        Some(near) => diagnostic
            .with_help(format!("Did you mean `{near}`?"))
            .with_suggestion(span, near),
        None if settings.is_empty() => diagnostic.with_help("It has no settings at all."),
        None => diagnostic.with_help(format!(
            "Its settings: {}.",
            names.collect::<Vec<_>>().join(", ")
        )),
    });
}
