//! One line of a selection as a condition on the texts at a path.
//!
//! Strings in any case become `texts("field").anyIs(…)` and its kin; everything else is written with the same lists of
//! texts and numbers and CEL's own macros. Nothing made here can be undecided: a field that is absent matches nothing.

use super::cel::{Cel, literals};
use super::detection::{Item, Modifier};
use super::value::{DASHES_MAX, Encoding, Pattern, Shape, base64, base64_offsets, windash};
use super::yaml::{Node, Value, shorten};
use crate::diagnostic::{Code, Diagnostic, Span, did_you_mean};
use crate::limits::{
    SELECTOR_BYTES_MAX, SIGMA_LOWERED_BYTES_MAX, SIGMA_PLACEHOLDERS_MAX, SIGMA_VALUES_MAX,
};
use crate::rule::Lists;
use crate::selector::{Schema, compile_pattern, parse_network, quoted};
use std::collections::BTreeSet;

use Modifier as M;

pub(super) type Lowered<T> = Result<T, Box<Diagnostic>>;

pub(super) fn refused<T>(code: Code, span: Span, message: impl Into<String>) -> Lowered<T> {
    Err(Box::new(Diagnostic::new(code, span, message)))
}

/// What modifiers make of the item as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Regex,
    Network,
    FieldRef,
    Exists,
    Compare(&'static str),
}

/// The condition that an item is.
pub(super) fn lower(item: &Item, lists: &Lists, schema: Option<&Schema>) -> Lowered<Cel> {
    let kind = kind(item)?;
    let positive = match kind {
        Kind::Exists => exists(item, schema)?,
        Kind::Compare(operator) => combined(item, |value| compare(item, operator, value))?,
        _ if date_part(item).is_some() => combined(item, |value| compare(item, "==", value))?,
        Kind::Regex => regex(item)?,
        Kind::Network => combined(item, |value| network(item, value))?,
        Kind::FieldRef => combined(item, |value| field_ref(item, value))?,
        Kind::Text => text(item, lists)?,
    };
    if !item.has(M::Neq) {
        return Ok(positive);
    }
    // Something that is there, and is not so.
    let there = Cel::Call(format!("hasField({})", path(item)?));
    Ok(Cel::all([there, positive.negated()]))
}

fn kind(item: &Item) -> Lowered<Kind> {
    let kinds: Vec<(M, Kind)> = item
        .modifiers
        .iter()
        .filter_map(|modifier| {
            Some((
                *modifier,
                match modifier {
                    M::Re => Kind::Regex,
                    M::Cidr => Kind::Network,
                    M::FieldRef => Kind::FieldRef,
                    M::Exists => Kind::Exists,
                    M::Lt => Kind::Compare("<"),
                    M::Lte => Kind::Compare("<="),
                    M::Gt => Kind::Compare(">"),
                    M::Gte => Kind::Compare(">="),
                    _ => return None,
                },
            ))
        })
        .collect();
    let (leading, kind) = match kinds[..] {
        [] => (None, Kind::Text),
        [(modifier, kind)] => (Some(modifier), kind),
        [(first, _), (second, _), ..] => return unfit(item, first, second),
    };
    let allowed: &[M] = match kind {
        Kind::Text if date_part(item).is_some() => &[M::All, M::Neq],
        Kind::Text => return text_modifiers(item).map(|()| kind),
        Kind::Regex => &[
            M::All,
            M::Neq,
            M::Cased,
            M::IgnoreCase,
            M::MultiLine,
            M::SingleLine,
            M::Contains,
        ],
        Kind::Network => &[M::All, M::Neq],
        Kind::FieldRef => &[
            M::All,
            M::Neq,
            M::Cased,
            M::StartsWith,
            M::EndsWith,
            M::Contains,
        ],
        Kind::Exists => &[],
        Kind::Compare(_) => &[M::All],
    };
    let is_part = |modifier: &M| part_word(*modifier).is_some();
    let foreign = item.modifiers.iter().find(|modifier| {
        let dated = matches!(kind, Kind::Compare(_) | Kind::Text) && is_part(modifier);
        Some(**modifier) != leading && !allowed.contains(modifier) && !dated
    });
    match (foreign, leading) {
        (Some(foreign), Some(leading)) => unfit(item, leading, *foreign),
        (Some(foreign), None) => {
            let part = date_part(item).map_or(M::Day, |(modifier, _)| modifier);
            unfit(item, part, *foreign)
        }
        (None, _) => Ok(kind),
    }
}

fn text_modifiers(item: &Item) -> Lowered<()> {
    let flags = [M::IgnoreCase, M::MultiLine, M::SingleLine];
    if let Some(flag) = item.modifiers.iter().find(|one| flags.contains(one)) {
        let message = format!("`{}` is a flag of `re`, which is not there", flag.word());
        return refused(Code::SigmaModifier, item.span, message);
    }
    let places = [M::Contains, M::StartsWith, M::EndsWith];
    let mut found = item.modifiers.iter().filter(|one| places.contains(one));
    if let (Some(first), Some(second)) = (found.next(), found.next()) {
        return unfit(item, *first, *second);
    }
    let wide = [M::Wide, M::Utf16Le, M::Utf16Be, M::Utf16];
    let wide_at = item.modifiers.iter().position(|one| wide.contains(one));
    let base_at = item
        .modifiers
        .iter()
        .position(|one| matches!(one, M::Base64 | M::Base64Offset));
    if let Some(at) = wide_at
        && base_at.is_none_or(|base| base < at)
    {
        let message = format!(
            "`{}` makes bytes, which are only looked for in base64: `base64` or `base64offset` has to follow",
            item.modifiers[at].word()
        );
        return refused(Code::SigmaModifier, item.span, message);
    }
    Ok(())
}

fn unfit<T>(item: &Item, one: M, other: M) -> Lowered<T> {
    let (one, other) = (one.word(), other.word());
    let message = format!("the modifiers `{one}` and `{other}` do not go together");
    refused(Code::SigmaModifier, item.span, message)
}

/// The path of the field as a literal.
fn path(item: &Item) -> Lowered<String> {
    match &item.field {
        Some(field) => field_path(field, item.span),
        None => {
            let message = "keywords are looked for in the whole event: this modifier needs a field";
            refused(Code::SigmaModifier, item.span, message)
        }
    }
}

/// A field's name as the literal of a path.
pub(super) fn field_path(field: &str, span: Span) -> Lowered<String> {
    if crate::selector::is_text_path(field) {
        return Ok(quoted(field));
    }
    let message = format!("`{}` is no name of a field", shorten(field));
    refused(Code::SigmaShape, span, message)
}

fn texts(item: &Item) -> Lowered<String> {
    match &item.field {
        Some(_) => Ok(format!("texts({})", path(item)?)),
        None => Ok("texts()".to_owned()),
    }
}

/// One condition per value: all of them with `all`, otherwise one of them.
fn combined(item: &Item, lower: impl Fn(&Node) -> Lowered<Cel>) -> Lowered<Cel> {
    let parts: Lowered<Vec<Cel>> = item.values.iter().map(lower).collect();
    Ok(if item.has(M::All) {
        Cel::all(parts?)
    } else {
        Cel::any(parts?)
    })
}

fn exists(item: &Item, schema: Option<&Schema>) -> Lowered<Cel> {
    let wanted = match item.values.first().map(|node| &node.value) {
        Some(Value::Bool(wanted)) if item.values.len() == 1 => *wanted,
        Some(Value::Text(text)) if text.eq_ignore_ascii_case("true") => true,
        Some(Value::Text(text)) if text.eq_ignore_ascii_case("false") => false,
        _ => {
            let message = "`exists` takes true or false";
            return refused(Code::SigmaValue, item.span, message);
        }
    };
    let there = match &item.field {
        // Of the event itself nothing is a list: there CEL's own word means the same.
        Some(field)
            if is_plain_name(field) && schema.is_none_or(|one| one.field(field).is_some()) =>
        {
            format!("has(event.{field})")
        }
        _ => format!("hasField({})", path(item)?),
    };
    let there = Cel::Call(there);
    Ok(if wanted { there } else { there.negated() })
}

fn is_plain_name(field: &str) -> bool {
    let reserved = matches!(field, "true" | "false" | "null" | "in");
    let mut bytes = field.bytes();
    let starts = bytes
        .next()
        .is_some_and(|byte| byte == b'_' || byte.is_ascii_alphabetic());
    starts && !reserved && bytes.all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

fn part_word(modifier: M) -> Option<&'static str> {
    matches!(
        modifier,
        M::Minute | M::Hour | M::Day | M::Week | M::Month | M::Year
    )
    .then(|| modifier.word())
}

fn date_part(item: &Item) -> Option<(M, &'static str)> {
    item.modifiers
        .iter()
        .find_map(|modifier| Some((*modifier, part_word(*modifier)?)))
}

/// `numbers("a").exists(n, n > 5.0)`
fn compare(item: &Item, operator: &str, value: &Node) -> Lowered<Cel> {
    let number = match value.text().map(str::parse::<f64>) {
        Some(Ok(number)) if number.is_finite() && value.value != Value::Bool(true) => number,
        _ => {
            let message = format!("a comparison takes a number, not {}", value.kind());
            return refused(Code::SigmaValue, value.span, message);
        }
    };
    let path = path(item)?;
    Ok(Cel::Call(match date_part(item) {
        Some((_, part)) => {
            format!("dateParts({path}, \"{part}\").exists(n, double(n) {operator} {number:?})")
        }
        None => format!("numbers({path}).exists(n, n {operator} {number:?})"),
    }))
}

fn network(item: &Item, value: &Node) -> Lowered<Cel> {
    let text = value.text().unwrap_or_default();
    if !parse_network(text) {
        let message = format!("`{}` is no network such as 10.0.0.0/8", shorten(text));
        return refused(Code::SigmaValue, value.span, message);
    }
    let (path, network) = (path(item)?, quoted(text));
    Ok(Cel::Call(format!(
        "texts({path}).exists(t, cidr({network}).contains(t))"
    )))
}

fn field_ref(item: &Item, value: &Node) -> Lowered<Cel> {
    let (Value::Text(other), left) = (&value.value, path(item)?) else {
        return refused(
            Code::SigmaValue,
            value.span,
            "`fieldref` takes the name of a field",
        );
    };
    let right = field_path(other, value.span)?;
    let place = [
        (M::StartsWith, "anyStartsWith", "startsWith"),
        (M::EndsWith, "anyEndsWith", "endsWith"),
        (M::Contains, "anyContains", "contains"),
    ];
    let place = place.iter().find(|(modifier, ..)| item.has(*modifier));
    Ok(Cel::Call(match (place, item.has(M::Cased)) {
        (None, true) => format!("texts({right}).exists(t, t in texts({left}))"),
        (None, false) => format!("texts({right}).exists(t, texts({left}).anyIs(t))"),
        (Some((_, any, _)), false) => format!("texts({right}).exists(t, texts({left}).{any}(t))"),
        (Some((.., plain)), true) => {
            format!("texts({right}).exists(t, texts({left}).exists(u, u.{plain}(t)))")
        }
    }))
}

/// What no regular expression here can do.
const LINEAR: &str = "Patterns are matched in linear time: without look-around, backreferences, atomic groups and \
                      possessive quantifiers.";

fn regex(item: &Item) -> Lowered<Cel> {
    let mut flags = String::new();
    for (modifier, flag) in [
        (M::IgnoreCase, 'i'),
        (M::MultiLine, 'm'),
        (M::SingleLine, 's'),
    ] {
        if item.has(modifier) {
            flags.push(flag);
        }
    }
    let mut patterns = Vec::with_capacity(item.values.len());
    for value in &item.values {
        let Some(text) = value.text() else {
            return refused(
                Code::SigmaValue,
                value.span,
                "`re` takes a regular expression",
            );
        };
        short_enough(text, value.span)?;
        let text = super::regex::translated(text, &flags).map_err(|reason| {
            let message = format!("this regular expression cannot be used: {reason}");
            let diagnostic = Diagnostic::new(Code::SigmaValue, value.span, message);
            Box::new(diagnostic.with_help(LINEAR))
        })?;
        let pattern = match flags.as_str() {
            "" => text,
            flags => format!("(?{flags}){text}"),
        };
        if let Err(error) = compile_pattern(&pattern) {
            let reason = error.lines().last().unwrap_or_default().trim();
            let reason = reason.trim_start_matches("error: ").to_owned();
            let message = format!("this regular expression cannot be compiled: {reason}");
            let mut diagnostic = Diagnostic::new(Code::SigmaValue, value.span, message);
            if reason.contains("look-around") || reason.contains("backreference") {
                diagnostic = diagnostic.with_help(LINEAR);
            }
            return Err(Box::new(diagnostic));
        }
        patterns.push(pattern);
    }
    let texts = texts(item)?;
    if item.has(M::All) {
        let each = patterns
            .iter()
            .map(|one| Cel::Call(format!("{texts}.anyMatches({})", quoted(one))));
        return Ok(Cel::all(each));
    }
    Ok(Cel::Call(format!(
        "{texts}.anyMatches({})",
        literals(&patterns)
    )))
}

/// Strings, numbers and booleans compared as text, and null.
fn text(item: &Item, lists: &Lists) -> Lowered<Cel> {
    let mut per_value: Vec<Vec<Pattern>> = Vec::new();
    let mut parts = Vec::new();
    let mut size = Size::default();
    for value in &item.values {
        if value.value == Value::Null {
            if item
                .modifiers
                .iter()
                .any(|one| !matches!(one, M::All | M::Neq))
            {
                let message = "null is compared as it is, without such modifiers";
                return refused(Code::SigmaValue, value.span, message);
            }
            parts.push(Cel::Call(format!("isNullOrAbsent({})", path(item)?)));
        } else {
            let found = patterns(item, value, lists)?;
            found.iter().try_for_each(|one| size.add(one, item.span))?;
            per_value.push(found);
        }
    }
    let texts = texts(item)?;
    if item.has(M::All) {
        let each = per_value.into_iter().map(|all| one_of(item, &texts, &all));
        parts.extend(each);
        return Ok(Cel::all(parts));
    }
    let all: Vec<Pattern> = per_value.into_iter().flatten().collect();
    if !all.is_empty() {
        parts.insert(0, one_of(item, &texts, &all));
    }
    Ok(Cel::any(parts))
}

/// How many patterns there are so far, and how long they are together.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    count: usize,
    bytes: usize,
}

impl Size {
    fn add(&mut self, pattern: &Pattern, span: Span) -> Lowered<()> {
        self.count += 1;
        self.bytes += pattern.weight();
        if self.count > SIGMA_VALUES_MAX {
            let message = format!("this stands for more than {SIGMA_VALUES_MAX} values");
            return refused(Code::Bound, span, message);
        }
        if self.bytes > SIGMA_LOWERED_BYTES_MAX {
            let message = format!("this stands for more than {SIGMA_LOWERED_BYTES_MAX} bytes");
            return refused(Code::Bound, span, message);
        }
        Ok(())
    }
}

/// What each pattern is changed into, one after another, so that too many are noticed before they are all there.
fn changed<P: IntoIterator<Item = Pattern>>(
    patterns: &[Pattern],
    span: Span,
    mut change: impl FnMut(&Pattern) -> Lowered<P>,
) -> Lowered<Vec<Pattern>> {
    let (mut out, mut size) = (Vec::new(), Size::default());
    for pattern in patterns {
        for new in change(pattern)? {
            size.add(&new, span)?;
            out.push(new);
        }
    }
    Ok(out)
}

/// A value that is longer than any selector cannot be in one.
fn short_enough(text: &str, span: Span) -> Lowered<()> {
    if text.len() <= SELECTOR_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "the value has {} bytes, more than {SELECTOR_BYTES_MAX}",
        text.len()
    );
    refused(Code::Bound, span, message)
}

/// The patterns that a value stands for once its modifiers are applied.
fn patterns(item: &Item, value: &Node, lists: &Lists) -> Lowered<Vec<Pattern>> {
    short_enough(value.text().unwrap_or_default(), value.span)?;
    let span = value.span;
    let mut all = vec![match &value.value {
        Value::Text(text) => Pattern::read(text),
        _ => Pattern::plain(value.text().unwrap_or_default()),
    }];
    let mut encoding = Encoding::Utf8;
    for modifier in &item.modifiers {
        match modifier {
            M::Expand => all = expanded(all, span, lists)?,
            M::Windash => {
                all = changed(&all, span, |one| {
                    windash(one).ok_or_else(|| {
                        let message =
                            format!("`windash` varies at most {DASHES_MAX} dashes of a value");
                        Box::new(Diagnostic::new(Code::SigmaValue, span, message))
                    })
                })?;
            }
            M::Wide | M::Utf16Le => encoding = Encoding::Utf16Le,
            M::Utf16Be => encoding = Encoding::Utf16Be,
            M::Utf16 => encoding = Encoding::Utf16,
            M::Base64 | M::Base64Offset => {
                all = changed(&all, span, |one| {
                    let Some(text) = one.as_plain() else {
                        let message = format!("`{}` cannot encode wildcards", modifier.word());
                        return refused(Code::SigmaValue, span, message);
                    };
                    let bytes = encoding.encode(&text);
                    let encoded = match modifier {
                        M::Base64 => vec![base64(&bytes)],
                        _ => base64_offsets(&bytes),
                    };
                    Ok(encoded.into_iter().map(Pattern::plain).collect::<Vec<_>>())
                })?;
            }
            _ => {}
        }
    }
    let keyword = item.field.is_none();
    let before = keyword || item.has(M::Contains) || item.has(M::EndsWith);
    let after = keyword || item.has(M::Contains) || item.has(M::StartsWith);
    Ok(all.into_iter().map(|one| one.open(before, after)).collect())
}

/// Fills placeholders with the values of the site's lists.
fn expanded(patterns: Vec<Pattern>, span: Span, lists: &Lists) -> Lowered<Vec<Pattern>> {
    let mut waiting: Vec<Pattern> = patterns
        .into_iter()
        .map(Pattern::with_placeholders)
        .collect();
    if waiting
        .iter()
        .any(|one| one.placeholders() > SIGMA_PLACEHOLDERS_MAX)
    {
        let message = format!("a value has at most {SIGMA_PLACEHOLDERS_MAX} placeholders");
        return refused(Code::Bound, span, message);
    }
    let (mut done, mut size) = (Vec::new(), Size::default());
    while let Some(pattern) = waiting.pop() {
        let Some(name) = pattern.placeholder() else {
            size.add(&pattern, span)?;
            done.push(pattern);
            continue;
        };
        let Some(list) = lists.get(name) else {
            return unfilled(name, span, lists);
        };
        if done.len() + waiting.len() + list.values().len() > SIGMA_VALUES_MAX {
            let name = shorten(name);
            let message = format!("the list `{name}` has more than {SIGMA_VALUES_MAX} values");
            return refused(Code::Bound, span, message);
        }
        let mut filled = Size::default();
        for value in list.values() {
            let new = pattern.filled(&Pattern::read(value));
            filled.add(&new, span)?;
            waiting.push(new);
        }
    }
    done.reverse();
    Ok(done)
}

fn unfilled<T>(name: &str, span: Span, lists: &Lists) -> Lowered<T> {
    let shown = shorten(name);
    let message = format!("there is no list `{shown}` for the placeholder `%{shown}%`");
    let diagnostic = Diagnostic::new(Code::SigmaReference, span, message);
    Err(Box::new(
        match did_you_mean(name, lists.keys().map(String::as_str)) {
            Some(near) => diagnostic.with_help(format!("Did you mean `{near}`?")),
            None => diagnostic.with_help(format!("Give it with `--list {shown}=FILE`.")),
        },
    ))
}

/// The condition that one text is like one of the patterns.
fn one_of(item: &Item, texts: &str, patterns: &[Pattern]) -> Cel {
    if item.has(M::Cased) {
        return Cel::any(patterns.iter().map(|one| cased(texts, one)));
    }
    let shapes: Vec<(Shape, String)> = patterns.iter().map(Pattern::shape).collect();
    let functions = [
        (Shape::Is, "anyIs"),
        (Shape::StartsWith, "anyStartsWith"),
        (Shape::EndsWith, "anyEndsWith"),
        (Shape::Contains, "anyContains"),
        (Shape::Like, "anyLike"),
    ];
    let mut parts = Vec::new();
    for (wanted, function) in functions {
        let mut seen = BTreeSet::new();
        let of_shape = shapes.iter().filter(|(shape, _)| *shape == wanted);
        let of_shape = of_shape.filter(|(_, text)| seen.insert(text));
        let of_shape: Vec<String> = of_shape.map(|(_, text)| text.clone()).collect();
        if !of_shape.is_empty() {
            parts.push(Cel::Call(format!(
                "{texts}.{function}({})",
                literals(&of_shape)
            )));
        }
    }
    Cel::any(parts)
}

fn cased(texts: &str, pattern: &Pattern) -> Cel {
    let (shape, text) = pattern.shape();
    let text = quoted(&text);
    let test = match shape {
        Shape::Is => format!("t == {text}"),
        Shape::StartsWith => format!("t.startsWith({text})"),
        Shape::EndsWith => format!("t.endsWith({text})"),
        Shape::Contains => format!("t.contains({text})"),
        Shape::Like => {
            let pattern = quoted(&pattern.regex());
            return Cel::Call(format!("{texts}.anyMatches({pattern})"));
        }
    };
    Cel::Call(format!("{texts}.exists(t, {test})"))
}
