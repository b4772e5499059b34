//! YAML with the place of every part, bounded.
//!
//! `saphyr-parser` gives events with positions; here they become trees. Deserialising was rejected: it loses the
//! places, and a tree of it does not tell a quoted number from a plain one. Aliases are copied, which is why the
//! weight of a file is counted as it grows: a few lines of aliases could otherwise stand for gigabytes. Keys that
//! come twice are mistakes, because the first one would silently be lost.

use crate::diagnostic::{Code, Diagnostic, Span};
use crate::limits::{SIGMA_DEPTH_MAX, SIGMA_DOCUMENTS_MAX, SIGMA_WEIGHT_MAX};
use saphyr_parser::{Event, Parser, ScalarStyle, Span as Range};
use std::collections::BTreeMap;

/// A part of a document.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
}

/// What it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// A plain number, as it is written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The value under a key, when this is a map that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The key and the value.
    pub(super) fn entry(&self, key: &str) -> Option<(&Node, &Node)> {
        let found = self.entries().iter().find(|(name, _)| name.is_text(key))?;
        Some((&found.0, &found.1))
    }

    /// The keys and values of a map; none of anything else.
    pub(super) fn entries(&self) -> &[(Node, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The text of a scalar; none of null.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) | Value::Number(text) => Some(text),
            Value::Bool(true) => Some("true"),
            Value::Bool(false) => Some("false"),
            _ => None,
        }
    }

    /// The elements of a list, or the value itself.
    pub(super) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    fn is_text(&self, wanted: &str) -> bool {
        self.text() == Some(wanted)
    }

    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// What it takes, about, in bytes.
    pub(super) fn weight(&self) -> usize {
        16 + match &self.value {
            Value::Text(text) | Value::Number(text) => text.len(),
            Value::List(items) => items.iter().map(Node::weight).sum(),
            Value::Map(entries) => entries
                .iter()
                .map(|(key, value)| key.weight() + value.weight())
                .sum(),
            Value::Null | Value::Bool(_) => 0,
        }
    }

    /// Puts the entries of `over` over those of this map, into maps of both.
    pub(super) fn merge(&mut self, over: &Node) {
        let (Value::Map(entries), Value::Map(more)) = (&mut self.value, &over.value) else {
            *self = over.clone();
            return;
        };
        let named = |key: &Node| key.text().map(str::to_owned);
        let mut places: BTreeMap<String, usize> = entries
            .iter()
            .enumerate()
            .filter_map(|(at, (key, _))| Some((named(key)?, at)))
            .collect();
        for (key, value) in more {
            match named(key).map(|name| *places.entry(name).or_insert(entries.len())) {
                Some(at) if at < entries.len() => entries[at].1.merge(value),
                _ => entries.push((key.clone(), value.clone())),
            }
        }
        self.span = over.span;
    }
}

/// The documents of a text, up to the first place that is not YAML, and what is wrong there.
pub(super) fn read(text: &str) -> (Vec<Node>, Option<Diagnostic>) {
    let mut reading = Reading {
        text,
        places: Places::new(text),
        anchors: BTreeMap::new(),
        open: Vec::new(),
        weight: 0,
    };
    let mut parser = Parser::new_from_str(text);
    let mut documents = Vec::new();
    loop {
        match reading.document(&mut parser) {
            Ok(Some(node)) => documents.push(node),
            Ok(None) => return (documents, None),
            Err(diagnostic) => return (documents, Some(*diagnostic)),
        }
        if documents.len() > SIGMA_DOCUMENTS_MAX {
            let message = format!("more than {SIGMA_DOCUMENTS_MAX} documents in one file");
            let end = Span::new(text.len(), text.len());
            return (documents, Some(Diagnostic::new(Code::Bound, end, message)));
        }
    }
}

type Read<T> = Result<T, Box<Diagnostic>>;
type Source<'t> = Parser<'t, saphyr_parser::StrInput<'t>>;

struct Reading<'t> {
    text: &'t str,
    places: Places,
    anchors: BTreeMap<usize, Node>,
    /// The brackets that are not closed yet.
    open: Vec<Span>,
    weight: usize,
}

impl<'t> Reading<'t> {
    /// The next document; empty ones are skipped.
    fn document(&mut self, parser: &mut Source<'t>) -> Read<Option<Node>> {
        loop {
            let Some((event, range)) = self.event(parser)? else {
                return Ok(None);
            };
            match event {
                Event::StreamEnd => return Ok(None),
                Event::DocumentStart(_) => self.anchors.clear(),
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
                other => {
                    let node = self.node(parser, (other, range), 0)?;
                    if node.value != Value::Null {
                        return Ok(Some(node));
                    }
                }
            }
        }
    }

    fn event(&self, parser: &mut Source<'t>) -> Read<Option<(Event<'t>, Range)>> {
        match parser.next_event() {
            None => Ok(None),
            Some(Ok(found)) => Ok(Some(found)),
            Some(Err(error)) => {
                let at = self.places.byte(error.marker().index());
                Err(Box::new(self.mistake(at, error.info())))
            }
        }
    }

    /// What the parser says at a place, in words about the text instead of about the parser.
    fn mistake(&self, at: usize, info: &str) -> Diagnostic {
        let wrong = |span: Span, message: &str| {
            let message = format!("this is not YAML: {message}");
            Diagnostic::new(Code::YamlSyntax, span, message)
        };
        let here = Span::new(at, at);
        let Some(open) = self.open.last() else {
            return wrong(here, plain_words(info));
        };
        let opening = open.slice(self.text);
        let closing = if opening == "{" { "}" } else { "]" };
        let rest = self.text.get(at..).unwrap_or("");
        if rest.trim().is_empty() {
            return wrong(*open, &format!("`{opening}` is not closed")).with_help(format!(
                "Add `{closing}`, or quotes around a text with brackets."
            ));
        }
        wrong(
            here,
            &format!("a comma or `{closing}` is missing before this"),
        )
        .with_label(*open, format!("`{opening}` is here"))
    }

    fn node(
        &mut self,
        parser: &mut Source<'t>,
        (event, range): (Event<'t>, Range),
        depth: usize,
    ) -> Read<Node> {
        let span = self.places.span(range);
        if depth > SIGMA_DEPTH_MAX {
            let message = format!("nested deeper than {SIGMA_DEPTH_MAX} levels");
            return Err(Box::new(Diagnostic::new(Code::Bound, span, message)));
        }
        let (node, anchor) = match event {
            Event::Alias(anchor) => {
                let Some(mut node) = self.anchors.get(&anchor).cloned() else {
                    let message = "this alias names itself or nothing";
                    return Err(Box::new(Diagnostic::new(Code::YamlSyntax, span, message)));
                };
                node.span = span;
                self.weigh(node.weight(), span)?;
                return Ok(node);
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.weigh(16 + text.len(), span)?;
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let value = if plain {
                    plain_value(&text)
                } else {
                    Value::Text(text.into_owned())
                };
                (Node { span, value }, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                self.weigh(16, span)?;
                (self.list(parser, span, depth)?, anchor)
            }
            Event::MappingStart(anchor, _) => {
                self.weigh(16, span)?;
                (self.map(parser, span, depth)?, anchor)
            }
            _ => (
                Node {
                    span,
                    value: Value::Null,
                },
                0,
            ),
        };
        if anchor > 0 {
            self.weigh(node.weight(), span)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// Notes a collection that begins with a bracket.
    fn open(&mut self, start: Span) -> bool {
        let bracket = Span::new(start.start as usize, start.start as usize + 1);
        let opens = matches!(bracket.slice(self.text), "[" | "{");
        if opens {
            self.open.push(bracket);
        }
        opens
    }

    fn list(&mut self, parser: &mut Source<'t>, start: Span, depth: usize) -> Read<Node> {
        let mut items = Vec::new();
        let mut span = start;
        let opened = self.open(start);
        while let Some((event, range)) = self.event(parser)? {
            if event == Event::SequenceEnd {
                break;
            }
            let item = self.node(parser, (event, range), depth + 1)?;
            span = span.to(item.span);
            items.push(item);
        }
        if opened {
            self.open.pop();
        }
        let value = Value::List(items);
        Ok(Node { span, value })
    }

    fn map(&mut self, parser: &mut Source<'t>, start: Span, depth: usize) -> Read<Node> {
        let opened = self.open(start);
        let mut entries: Vec<(Node, Node)> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        let mut merged = Vec::new();
        let mut span = start;
        while let Some((event, range)) = self.event(parser)? {
            if event == Event::MappingEnd {
                break;
            }
            let key = self.node(parser, (event, range), depth + 1)?;
            let Some(next) = self.event(parser)? else {
                break;
            };
            let value = self.node(parser, next, depth + 1)?;
            span = span.to(key.span).to(value.span);
            if key.is_text("<<") && matches!(value.value, Value::Map(_) | Value::List(_)) {
                merged.push(value);
                continue;
            }
            if let Some(name) = key.text()
                && !seen.insert(name.to_owned())
            {
                let message = format!("the key `{}` comes twice", shorten(name));
                return Err(Box::new(Diagnostic::new(
                    Code::YamlSyntax,
                    key.span,
                    message,
                )));
            }
            entries.push((key, value));
        }
        if opened {
            self.open.pop();
        }
        for (key, value) in merged
            .iter()
            .flat_map(|merged| merged.items())
            .flat_map(Node::entries)
        {
            if key.text().is_some_and(|name| seen.insert(name.to_owned())) {
                self.weigh(key.weight() + value.weight(), span)?;
                entries.push((key.clone(), value.clone()));
            }
        }
        let value = Value::Map(entries);
        Ok(Node { span, value })
    }

    fn weigh(&mut self, weight: usize, span: Span) -> Read<()> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight <= SIGMA_WEIGHT_MAX {
            return Ok(());
        }
        let message = format!(
            "the file stands for more than {SIGMA_WEIGHT_MAX} bytes, aliases counted as what they stand for"
        );
        Err(Box::new(Diagnostic::new(Code::Bound, span, message)))
    }
}

/// What the parser's messages mean to who wrote the text; the parser's own words where they say enough.
fn plain_words(info: &str) -> &str {
    const WORDS: [(&str, &str); 15] = [
        (
            "quoted scalar, found unexpected end",
            "a quote is not closed",
        ),
        (
            "trailing content after double-quoted",
            "text follows a closing quote: quote all of the value",
        ),
        (
            "unknown escape character",
            "a backslash in double quotes begins an escape that YAML does not know: use single quotes",
        ),
        ("tab", "a tab stands where YAML wants spaces"),
        (
            "mapping values are not allowed",
            "a colon makes a key where none can be: quote the text, or indent the line like its neighbours",
        ),
        (
            "did not find expected key",
            "this line is not indented like those before it",
        ),
        (
            "expected '-' indicator",
            "this line is neither indented like the list before it nor begins with `-`",
        ),
        ("simple key expect", "a key needs a colon after it"),
        (
            "invalid indentation",
            "this line is not indented as far as what it belongs to",
        ),
        (
            "block sequence entries",
            "a list cannot begin here: put it on lines of its own",
        ),
        (
            "unexpected character",
            "a value cannot begin with this sign: quote it",
        ),
        (
            "cannot start with '-'",
            "a value cannot begin with this sign: quote it",
        ),
        ("unknown anchor", "this alias names no anchor"),
        ("node content", "a value is missing here"),
        ("recursion limit", "it is nested too deeply"),
    ];
    let known = WORDS.iter().find(|(part, _)| info.contains(part));
    known.map_or(info, |(_, words)| words)
}

/// The start of a text that may be very long.
pub(super) fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

/// What a scalar without quotes is: the core schema of YAML 1.2.
fn plain_value(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if is_number(text) => Value::Number(text.to_owned()),
        _ => Value::Text(text.to_owned()),
    }
}

/// Decimal numbers only: other notations are compared as the text they are.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let starts = digits.starts_with(|c: char| c.is_ascii_digit());
    starts
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
        && text.parse::<f64>().is_ok()
}

/// From the characters that the parser counts to bytes.
struct Places {
    /// Empty for ASCII, where both are the same.
    bytes: Vec<u32>,
    length: usize,
}

impl Places {
    fn new(text: &str) -> Self {
        let bytes = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().map(|(at, _)| at as u32).collect()
        };
        Self {
            bytes,
            length: text.len(),
        }
    }

    fn byte(&self, character: usize) -> usize {
        if self.bytes.is_empty() {
            return character.min(self.length);
        }
        self.bytes
            .get(character)
            .map_or(self.length, |at| *at as usize)
    }

    fn span(&self, range: Range) -> Span {
        Span::new(self.byte(range.start.index()), self.byte(range.end.index()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Node, Value, read};

    fn first(text: &str) -> Node {
        let (documents, mistake) = read(text);
        assert_eq!(mistake, None, "{text}");
        documents.into_iter().next().expect("a document")
    }

    fn mistake(text: &str) -> String {
        let (_, mistake) = read(text);
        let mistake = mistake.expect("a mistake");
        format!("{}: {}", mistake.code.as_str(), mistake.message)
    }

    #[test]
    fn scalars_are_what_yaml_says() {
        let node = first("a: 1\nb: '1'\nc: yes\nd: ~\ne: True\nf: 0x10\ng: 1.5e3\nh: 1.2.3\n");
        let value = |key: &str| node.get(key).map(|one| one.value.clone());
        assert_eq!(value("a"), Some(Value::Number("1".to_owned())));
        assert_eq!(value("b"), Some(Value::Text("1".to_owned())));
        assert_eq!(value("c"), Some(Value::Text("yes".to_owned())));
        assert_eq!(value("d"), Some(Value::Null));
        assert_eq!(value("e"), Some(Value::Bool(true)));
        assert_eq!(value("f"), Some(Value::Text("0x10".to_owned())));
        assert_eq!(value("g"), Some(Value::Number("1.5e3".to_owned())));
        assert_eq!(value("h"), Some(Value::Text("1.2.3".to_owned())));
    }

    #[test]
    fn places_are_bytes() {
        let text = "é: ü\nkey: [x, välue]\n";
        let node = first(text);
        let list = node.get("key").expect("the key is there");
        assert_eq!(list.items()[1].span.slice(text), "välue");
    }

    #[test]
    fn aliases_and_merges_are_copied() {
        let node = first("a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2\n");
        assert_eq!(node.get("c").and_then(|c| c.get("b")?.text()), Some("1"));
        assert_eq!(node.get("d").and_then(|d| d.get("b")?.text()), Some("1"));
    }

    #[test]
    fn mistakes_are_told_in_words_about_the_text() {
        let check = |text: &str, at: usize, expected: &str| {
            let mistake = read(text).1.expect("a mistake");
            let expected = format!("this is not YAML: {expected}");
            assert_eq!(
                (mistake.message, mistake.span.start as usize),
                (expected, at),
                "{text}"
            );
        };
        check("title: [", 7, "`[` is not closed");
        check("a: {b: [1, 2]\n", 3, "`{` is not closed");
        check(
            "a: [1, 2\nb: 3",
            10,
            "a comma or `]` is missing before this",
        );
        check("a: 'b\n", 3, "a quote is not closed");
        check(
            "a: \"\\q\"\n",
            3,
            "a backslash in double quotes begins an escape that YAML does not know: use single quotes",
        );
        check(
            "a: b: c\n",
            4,
            "a colon makes a key where none can be: quote the text, or indent the line like its neighbours",
        );
        check(
            "a:\n  b: 1\n c: 2\n",
            11,
            "this line is not indented like those before it",
        );
        check(
            "a: %b\n",
            3,
            "a value cannot begin with this sign: quote it",
        );
        check("a: *b\n", 3, "this alias names no anchor");
    }

    #[test]
    fn hostile_texts_are_refused() {
        let bomb = (1..30).fold("a0: &a0 [x, x]\n".to_owned(), |text, at| {
            let before = at - 1;
            format!("{text}a{at}: &a{at} [*a{before}, *a{before}]\n")
        });
        assert!(mistake(&bomb).starts_with("E0012: the file stands for"));
        assert!(mistake(&format!("a: {}", "[".repeat(40))).starts_with("E0012: nested"));
        assert!(!mistake(&format!("a: {}", "[".repeat(100_000))).is_empty());
        let blocks: String = (0..200)
            .map(|at| format!("{}- \n", " ".repeat(at)))
            .collect();
        assert!(!mistake(&format!("{blocks}x: [")).is_empty());
        assert!(mistake("a: 1\na: 2\n").contains("comes twice"));
        let many = |letter: &str| -> String {
            (0..50_000).map(|at| format!("{letter}{at}: 1\n")).collect()
        };
        let mut merged = first(&many("a"));
        merged.merge(&first(&many("a")));
        merged.merge(&first(&many("b")));
        assert_eq!(merged.entries().len(), 100_000);
        assert!(mistake("a: *nothing\n").starts_with("E5001"));
        assert!(mistake("a: [1, 2\nb: 3").starts_with("E5001"));
        assert!(mistake("a: &x [*x]").starts_with("E5001"));
        let (documents, none) = read(&format!("a: '{}'", "y".repeat(1 << 20)));
        assert_eq!((documents.len(), none), (1, None));
        assert!(mistake(&"--- a\n".repeat(2000)).contains("documents"));
    }
}
