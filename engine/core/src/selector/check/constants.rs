//! Constants that their function can never accept: patterns, addresses, networks, moments, lengths of time.

use super::{Checker, constant_text};
use crate::diagnostic::{Code, Diagnostic, Span, did_you_mean};
use crate::selector::ast::{Expr, ExprKind};
use crate::selector::function;
use crate::selector::literal::quoted;
use crate::selector::texts::TextPath;

impl Checker<'_> {
    /// Looks at the constant arguments of a call; the receiver is the first.
    pub(super) fn check_constants(&mut self, function: &str, args: &[&Expr]) {
        let text_at = |at: usize| {
            args.get(at)
                .and_then(|arg| Some((*arg, constant_text(arg)?)))
        };
        let found = match function {
            "matches" | "anyMatches" => text_at(1).and_then(|(arg, text)| self.pattern(arg, text)),
            "cidr" => text_at(0).and_then(|(arg, text)| network(arg, text)),
            "ip" if args.len() == 1 => text_at(0).and_then(|(arg, text)| address(arg, text)),
            "timestamp" => text_at(0).and_then(|(arg, text)| moment(arg, text)),
            "duration" => text_at(0).and_then(|(arg, text)| length_of_time(arg, text)),
            "base64.decode" => text_at(0).and_then(|(arg, text)| base64_text(arg, text)),
            "json.parse" => text_at(0).and_then(|(arg, text)| json_text(arg, text)),
            "format" => text_at(0).and_then(|(arg, text)| self.format(arg, text, args.get(1)?)),
            "texts" | "numbers" | "dateParts" | "hasField" | "isNullOrAbsent" => args
                .first()
                .and_then(|arg| field_path(arg, constant_text(arg).unwrap_or_default())),
            "inList" => text_at(0).and_then(|(arg, text)| self.list_name(arg, text)),
            name if name.starts_with("get") && args.len() == 2 => {
                text_at(1).and_then(|(arg, text)| time_zone(arg, text))
            }
            _ => None,
        };
        if let Some(diagnostic) = found {
            self.report(diagnostic);
        }
    }

    fn pattern(&self, arg: &Expr, pattern: &str) -> Option<Diagnostic> {
        // Built as the evaluator builds it; the pattern's own text is only parsed for the place of the mistake.
        let error = function::pattern::compile(pattern).err()?;
        let parsed = regex_syntax::Parser::new().parse(pattern);
        let (message, place) = match parsed {
            Err(regex_syntax::Error::Parse(error)) => {
                (error.kind().to_string(), Some(*error.span()))
            }
            Err(regex_syntax::Error::Translate(error)) => {
                (error.kind().to_string(), Some(*error.span()))
            }
            _ => (
                error
                    .to_string()
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .to_owned(),
                None,
            ),
        };
        let span = place.and_then(|place| {
            let start = self.place_in_text(arg, place.start.offset)?;
            let end = self.place_in_text(arg, place.end.offset)?;
            Some(Span::new(start, end.max(start + 1)))
        });
        let mut diagnostic = Diagnostic::new(
            Code::BadPattern,
            span.unwrap_or(arg.span),
            format!(
                "this regular expression cannot be compiled: {}",
                message.trim_end_matches('.')
            ),
        );
        if message.contains("look-around") || message.contains("backreference") {
            diagnostic = diagnostic.with_help(
                "patterns are matched in linear time, without look-around: negate outside, `!text.matches(…)`",
            );
        }
        if pattern.starts_with('*') || pattern.starts_with('?') {
            diagnostic = diagnostic.with_help("for wildcards use `glob(text, \"*part*\")`");
        }
        Some(diagnostic)
    }

    /// Where byte `offset` of a string constant's value stands in the selector's text.
    fn place_in_text(&self, literal: &Expr, offset: usize) -> Option<usize> {
        let start = literal.span.start as usize;
        let text = literal.span.slice(self.env.text);
        let prefix = text.find(['"', '\''])?;
        let raw = text[..prefix].contains(['r', 'R']);
        let rest = &text[prefix..];
        let quotes = if rest.starts_with("\"\"\"") || rest.starts_with("'''") {
            3
        } else {
            1
        };
        let body = rest.get(quotes..rest.len().checked_sub(quotes)?)?;
        if raw || !body.contains(['\\', '\r']) {
            return Some(start + prefix + quotes + offset.min(body.len()));
        }
        None
    }

    /// A format text whose clauses do not exist or do not fit the values.
    fn format(&self, arg: &Expr, text: &str, values: &Expr) -> Option<Diagnostic> {
        let values = match &values.kind {
            ExprKind::List(items) if items.iter().all(|item| !item.optional) => Some(items),
            _ => None,
        };
        let mut used = 0;
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            let after = &rest[at + 1..];
            let precision = after.strip_prefix('.').map_or("", |digits| {
                let length = digits.bytes().take_while(u8::is_ascii_digit).count();
                &after[..length + 1]
            });
            let clause = after[precision.len()..].chars().next();
            rest = &after[precision.len() + clause.map_or(0, char::len_utf8)..];
            let kinds = match clause {
                Some('%') => continue,
                Some('s') => "",
                Some('d') => "int, uint, double",
                Some('f' | 'e') => "int, uint, double",
                Some('b') => "bool, int, uint",
                Some('o') => "int, uint",
                Some('x' | 'X') => "int, uint, string, bytes",
                _ => {
                    let shown: String = clause.into_iter().collect();
                    let help =
                        "clauses are %s, %d, %f, %e, %b, %o, %x and %X; `%%` is a percent sign";
                    return bad(
                        arg,
                        format!("there is no format clause `%{precision}{shown}`"),
                        help,
                    );
                }
            };
            used += 1;
            let Some(values) = values else { continue };
            let Some(value) = values.get(used - 1) else {
                let message = format!(
                    "the format text wants more than the {} values given",
                    values.len()
                );
                return bad(arg, message, "every clause takes one value of the list");
            };
            let of = self
                .decided
                .resolve(self.types.get(value.value.id.0 as usize)?);
            let of = of.non_null();
            if !of.is_dyn()
                && !kinds.is_empty()
                && !kinds.split(", ").any(|kind| kind == of.to_string())
            {
                let clause: String = clause.into_iter().collect();
                let message = format!("`%{clause}` cannot show {}", self.describe(of));
                return bad(
                    &value.value,
                    message,
                    &format!("it shows {kinds}; `%s` shows anything"),
                );
            }
        }
        None
    }

    fn list_name(&self, arg: &Expr, name: &str) -> Option<Diagnostic> {
        let lists = self.env.lists?;
        if lists.iter().any(|list| list == name) {
            return None;
        }
        let diagnostic = Diagnostic::new(
            Code::UnknownList,
            arg.span,
            format!("there is no list {}", quoted(name)),
        );
        Some(match did_you_mean(name, lists.iter().map(String::as_str)) {
            Some(near) => diagnostic
                .with_help(format!("did you mean {}?", quoted(near)))
                .with_suggestion(arg.span, quoted(near)),
            None if lists.is_empty() => diagnostic.with_help(format!(
                "put it into `lists/{name}.toml` or pass `--list {name}=FILE`"
            )),
            None => diagnostic.with_help(format!("the lists are {}", lists.join(", "))),
        })
    }
}

fn bad(arg: &Expr, message: String, help: &str) -> Option<Diagnostic> {
    Some(Diagnostic::new(Code::BadConstant, arg.span, message).with_help(help))
}

fn network(arg: &Expr, text: &str) -> Option<Diagnostic> {
    if function::parse_cidr(text).is_some() {
        return None;
    }
    let message = format!("{} is not a network", quoted(text));
    let Some((address, _)) = text.split_once('/') else {
        let whole =
            function::parse_ip(text).map(|address| if address.is_ipv4() { 32 } else { 128 });
        let diagnostic = Diagnostic::new(Code::BadConstant, arg.span, message);
        return Some(match whole {
            Some(bits) => {
                let fixed = quoted(&format!("{text}/{bits}"));
                diagnostic
                    .with_help(format!("a single address is the network {fixed}"))
                    .with_suggestion(arg.span, fixed)
            }
            None => diagnostic.with_help("networks are written `10.0.0.0/8` or `2001:db8::/32`"),
        });
    };
    let Some(address) = function::parse_ip(address) else {
        return bad(
            arg,
            message,
            "the part before the slash is not an IP address",
        );
    };
    let bits = if address.is_ipv4() { 32 } else { 128 };
    bad(
        arg,
        message,
        &format!("the number after the slash is 0 to {bits}"),
    )
}

fn address(arg: &Expr, text: &str) -> Option<Diagnostic> {
    if function::parse_ip(text).is_some() {
        return None;
    }
    bad(
        arg,
        format!("{} is not an IP address", quoted(text)),
        "addresses are written `10.1.2.3` or `2001:db8::1`",
    )
}

fn moment(arg: &Expr, text: &str) -> Option<Diagnostic> {
    if function::time::parse_timestamp(text).is_ok() {
        return None;
    }
    bad(
        arg,
        format!("{} is not a moment", quoted(text)),
        "moments are written `2026-05-04T09:12:33Z`",
    )
}

fn length_of_time(arg: &Expr, text: &str) -> Option<Diagnostic> {
    if function::time::parse_duration(text).is_ok() {
        return None;
    }
    let help = "lengths of time are written `1h30m`, `90s`, `1.5s` or `100ms`; a day is `24h`";
    bad(
        arg,
        format!("{} is not a length of time", quoted(text)),
        help,
    )
}

fn base64_text(arg: &Expr, text: &str) -> Option<Diagnostic> {
    use base64::Engine as _;
    let bare = text.trim_end_matches('=');
    if base64::engine::general_purpose::STANDARD_NO_PAD
        .decode(bare)
        .is_ok()
    {
        return None;
    }
    bad(
        arg,
        "this is not base64".to_owned(),
        "base64 has letters, digits, `+`, `/` and `=` at the end",
    )
}

fn json_text(arg: &Expr, text: &str) -> Option<Diagnostic> {
    let error = serde_json::from_str::<serde::de::IgnoredAny>(text).err()?;
    bad(
        arg,
        format!("this is not JSON: {error}"),
        "`json.parse` reads one JSON value",
    )
}

fn time_zone(arg: &Expr, text: &str) -> Option<Diagnostic> {
    let offset = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_offset = offset.split_once(':').is_some_and(|(hours, minutes)| {
        hours.parse::<u8>().is_ok_and(|hours| hours < 24)
            && minutes.parse::<u8>().is_ok_and(|minutes| minutes < 60)
    });
    if is_offset || jiff::tz::TimeZone::get(text).is_ok() {
        return None;
    }
    bad(
        arg,
        format!("{} is not a time zone", quoted(text)),
        "time zones are written `Europe/Berlin`, `UTC` or `+02:00`",
    )
}

/// A path that `texts` and its kin cannot follow.
fn field_path(arg: &Expr, text: &str) -> Option<Diagnostic> {
    if TextPath::new(text).is_some() {
        return None;
    }
    let message = "the path of a field is a literal text such as \"a.b\"";
    Some(Diagnostic::new(Code::BadConstant, arg.span, message))
}
