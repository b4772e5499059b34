//! Names: variables, types, functions; and what somebody may have meant by one that does not exist.

use super::Checker;
use crate::diagnostic::{Code, Diagnostic, Span, did_you_mean};
use crate::selector::ast::{Expr, ExprKind};
use crate::selector::types::Type;
use crate::selector::{declare, print};

/// Words for constants in other languages.
const FOREIGN_CONSTANTS: &[(&str, &str)] = &[
    ("True", "true"),
    ("TRUE", "true"),
    ("False", "false"),
    ("FALSE", "false"),
    ("None", "null"),
    ("nil", "null"),
    ("NULL", "null"),
    ("undefined", "null"),
];

/// Functions of other languages, and how CEL says it.
const FOREIGN_FUNCTIONS: &[(&str, &str)] = &[
    ("len", "size(x)"),
    ("length", "size(x)"),
    ("count", "size(x)"),
    ("lower", "text.lowerAscii()"),
    ("toLower", "text.lowerAscii()"),
    ("toLowerCase", "text.lowerAscii()"),
    ("lowercase", "text.lowerAscii()"),
    ("upper", "text.upperAscii()"),
    ("toUpper", "text.upperAscii()"),
    ("toUpperCase", "text.upperAscii()"),
    ("uppercase", "text.upperAscii()"),
    ("includes", "text.contains(\"part\")"),
    ("startswith", "text.startsWith(\"prefix\")"),
    ("hasPrefix", "text.startsWith(\"prefix\")"),
    ("endswith", "text.endsWith(\"suffix\")"),
    ("hasSuffix", "text.endsWith(\"suffix\")"),
    ("match", "text.matches(\"pattern\")"),
    ("regex", "text.matches(\"pattern\")"),
    ("regexMatch", "text.matches(\"pattern\")"),
    ("test", "text.matches(\"pattern\")"),
    ("like", "glob(text, \"pattern*\")"),
    ("wildcard", "glob(text, \"pattern*\")"),
    ("any", "list.exists(x, condition)"),
    ("some", "list.exists(x, condition)"),
    ("every", "list.all(x, condition)"),
    ("exists", "has(event.field) or list.exists(x, condition)"),
    ("isSet", "has(event.field)"),
    ("not", "!condition"),
    ("isNull", "value == null"),
    ("toString", "string(value)"),
    ("str", "string(value)"),
    ("parseInt", "int(text)"),
    ("float", "double(value)"),
    ("parse_json", "json.parse(text)"),
    ("fromJson", "json.parse(text)"),
    ("cidrMatch", "cidr(\"10.0.0.0/8\").contains(address)"),
    ("inCidr", "cidr(\"10.0.0.0/8\").contains(address)"),
    ("isInSubnet", "cidr(\"10.0.0.0/8\").contains(address)"),
    (
        "now",
        "event.eventTime: a selector depends on the event alone",
    ),
    ("get", "event.?field.orValue(default)"),
    ("getOrDefault", "event.?field.orValue(default)"),
    ("isEmpty", "size(x) == 0"),
];

/// Types that are values of that name.
fn named_type(name: &str) -> Option<Type> {
    let inner = match name {
        "bool" => Type::Bool,
        "bytes" => Type::Bytes,
        "double" => Type::Double,
        "int" => Type::Int,
        "list" => Type::list(Type::Dyn),
        "map" => Type::map(Type::Dyn, Type::Dyn),
        "null_type" => Type::Null,
        "string" => Type::String,
        "type" => Type::type_of(Type::Dyn),
        "uint" => Type::Uint,
        "optional_type" => Type::optional(Type::Dyn),
        "google.protobuf.Timestamp" => Type::Timestamp,
        "google.protobuf.Duration" => Type::Duration,
        "net.IP" => Type::Ip,
        "net.CIDR" => Type::Cidr,
        _ => return None,
    };
    Some(Type::type_of(inner))
}

/// What a message literal of a well-known type makes.
pub(super) fn message_type(name: &str) -> Option<Type> {
    let short = name
        .trim_start_matches('.')
        .strip_prefix("google.protobuf.")?;
    Some(match short {
        "Timestamp" => Type::Timestamp,
        "Duration" => Type::Duration,
        "BoolValue" => Type::nullable(Type::Bool),
        "BytesValue" => Type::nullable(Type::Bytes),
        "DoubleValue" | "FloatValue" => Type::nullable(Type::Double),
        "Int32Value" | "Int64Value" => Type::nullable(Type::Int),
        "UInt32Value" | "UInt64Value" => Type::nullable(Type::Uint),
        "StringValue" => Type::nullable(Type::String),
        "Struct" => Type::map(Type::String, Type::Dyn),
        "ListValue" => Type::list(Type::Dyn),
        "Value" => Type::Dyn,
        _ => return None,
    })
}

/// Functions of cel-go's extensions that are left out, and what to write instead.
fn unsupported(name: &str, target: Option<&Expr>) -> Option<(String, &'static str)> {
    let namespace = target.and_then(Expr::qualified_name);
    let help = match (namespace.as_deref(), name) {
        (Some("proto"), _) => "events are JSON and have no protobuf extensions",
        (Some("sets"), "contains") => "ask every value: `wanted.all(x, x in list)`",
        (Some("sets"), "intersects") => "ask any value: `wanted.exists(x, x in list)`",
        (Some("sets"), _) => "ask with `all`, `exists` and `in`",
        (Some("regex"), _) => {
            "`text.matches(pattern)` tests; `split` and `substring` take texts apart"
        }
        (_, "sortBy") => "`sort` sorts by the values themselves",
        _ => return None,
    };
    let called = match namespace.filter(|_| name != "sortBy") {
        Some(namespace) => format!("{namespace}.{name}"),
        None => name.to_owned(),
    };
    Some((called, help))
}

impl Checker<'_> {
    fn variable(&self, name: &str) -> Option<Type> {
        let bare = name.strip_prefix('.');
        let scoped = || self.scopes.iter().rev().find(|(scoped, _)| scoped == name);
        match (bare, scoped()) {
            (None, Some((_, of))) => Some(of.clone()),
            _ => self.env.variables.get(bare.unwrap_or(name)).cloned(),
        }
    }

    pub(super) fn ident(&mut self, name: &str, span: Span) -> Type {
        if let Some(found) = self.variable(name) {
            return found;
        }
        let bare = name.trim_start_matches('.');
        if let Some(found) = named_type(bare) {
            return found;
        }
        let diagnostic = Diagnostic::new(
            Code::UndeclaredName,
            span,
            format!("there is no variable `{bare}`"),
        );
        let diagnostic = self.suggest_name(diagnostic, bare, span);
        self.report(diagnostic)
    }

    fn suggest_name(&self, diagnostic: Diagnostic, name: &str, span: Span) -> Diagnostic {
        if let Some((_, meant)) = FOREIGN_CONSTANTS.iter().find(|(word, _)| *word == name) {
            return diagnostic
                .with_help(format!("it is written `{meant}`"))
                .with_suggestion(span, *meant);
        }
        if !declare::overloads(name, false).is_empty() {
            return diagnostic.with_help(format!("`{name}` is a function: call it, `{name}(…)`"));
        }
        let replace = |text: String| {
            diagnostic
                .clone()
                .with_help(format!("did you mean `{text}`?"))
                .with_suggestion(span, text)
        };
        let has_event = self.env.variables.contains_key("event");
        let schema = self.env.schema.filter(|_| has_event);
        if let Some(schema) = schema {
            let top = |path: &&str| !path.contains("[]");
            let exact = schema
                .paths_ending_in(name)
                .filter(top)
                .min_by_key(|path| path.len());
            if let Some(path) = exact {
                return replace(format!("event.{path}"));
            }
        }
        let scoped = self.scopes.iter().map(|(name, _)| name.as_str());
        let known = scoped.chain(self.env.variables.keys().map(String::as_str));
        if let Some(near) = did_you_mean(name, known) {
            return replace(near.to_owned());
        }
        if let Some(schema) = schema {
            let top = schema.fields().filter(|field| !field.path.contains('.'));
            if let Some(near) = did_you_mean(name, top.map(|field| field.name.as_str())) {
                return replace(format!("event.{near}"));
            }
        }
        if has_event {
            return diagnostic.with_help(format!(
                "fields are reached as `event.{name}`; text belongs in quotes: `\"{name}\"`"
            ));
        }
        diagnostic
    }

    /// The type of a dotted name that is one variable or one type.
    pub(super) fn qualified(&self, expr: &Expr) -> Option<Type> {
        let mut root = expr;
        while let ExprKind::Select {
            operand,
            optional: false,
            ..
        } = &root.kind
        {
            root = operand;
        }
        let ExprKind::Ident(first) = &root.kind else {
            return None;
        };
        if first == "event" || self.scopes.iter().any(|(name, _)| name == first) {
            return None;
        }
        let name = expr.qualified_name()?;
        let name = name.trim_start_matches('.');
        self.env
            .variables
            .get(name)
            .cloned()
            .or_else(|| named_type(name))
    }

    /// Reports a function that is left out on purpose; its arguments are not looked at.
    pub(super) fn left_out(&mut self, name: &str, name_span: Span, target: &Expr) -> Option<Type> {
        if matches!(&target.kind, ExprKind::Ident(name) if self.variable(name).is_some()) {
            return None;
        }
        let (called, help) = unsupported(name, Some(target))?;
        let message = format!("`{called}` is not supported");
        let diagnostic = Diagnostic::new(Code::Unsupported, name_span, message);
        Some(self.report(diagnostic.with_help(help)))
    }

    /// Reports a function that does not exist, with what was probably meant.
    pub(super) fn unknown_function(
        &mut self,
        name: &str,
        name_span: Span,
        target: Option<&Expr>,
        args: &[Expr],
    ) -> Type {
        let member = target.is_some();
        let mut diagnostic = Diagnostic::new(
            Code::UnknownFunction,
            name_span,
            format!("there is no function `{name}`"),
        );
        if !declare::overloads(name, !member).is_empty() {
            let shown: Vec<String> = target.into_iter().chain(args).map(print).collect();
            let call = match (member, shown.split_first()) {
                (false, Some((first, rest))) => format!("{first}.{name}({})", rest.join(", ")),
                _ => format!("{name}({})", shown.join(", ")),
            };
            let style = if member {
                "with its arguments"
            } else {
                "on its first argument"
            };
            diagnostic = diagnostic.with_help(format!("it is called {style}: `{call}`"));
            return self.report(diagnostic);
        }
        if let Some((_, meant)) = FOREIGN_FUNCTIONS.iter().find(|(word, _)| *word == name) {
            return self.report(diagnostic.with_help(format!("use `{meant}`")));
        }
        let namespace = target
            .and_then(Expr::qualified_name)
            .map(|target| format!("{target}.{name}"));
        let dotted = namespace.as_deref().and_then(|dotted| {
            let names = declare::names().filter(|(known, _)| known.contains('.'));
            did_you_mean(dotted, names.map(|(known, _)| known))
        });
        let macros = ["exists", "all", "existsOne", "filter", "map", "optMap"];
        let names = declare::names()
            .filter(|(_, of_value)| *of_value == member)
            .map(|(known, _)| known);
        let names = names.chain(macros.into_iter().filter(|_| member));
        let near = dotted.or_else(|| did_you_mean(name, names));
        if let Some(near) = near {
            let span = match (dotted, target) {
                (Some(_), Some(target)) => target.span.to(name_span),
                _ => name_span,
            };
            diagnostic = diagnostic
                .with_help(format!("did you mean `{near}`?"))
                .with_suggestion(span, near);
        }
        self.report(diagnostic)
    }
}
