//! The `condition` of a rule: names of selections, `and`, `or`, `not`, parentheses, `1 of x*`, and after a bar the
//! aggregation of older rules.
//!
//! `not` binds closer than `and`, `and` closer than `or`. Words are told from names by their place alone, so a selection
//! may be called `of`. Recursion is bounded. Gives a tree; what the names stand for is `lower`'s.

use crate::diagnostic::{Code, Diagnostic, Span};

/// What must hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// A selection.
    Name(String, Span),
    /// `1 of x*`, `all of them`: which selections, and how many.
    Of(Quantity, String, Span),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    One,
    All,
}

/// What older rules want of the events that match: `count(field) by group > 5`, `near a and b`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Aggregation {
    pub(super) function: String,
    pub(super) field: Option<String>,
    pub(super) group: Vec<String>,
    pub(super) operator: String,
    pub(super) value: String,
    /// For `near`: the selections, and whether they must be near or must not.
    pub(super) near: Vec<(String, bool)>,
    pub(super) span: Span,
}

/// A condition and what it aggregates.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parsed {
    pub(super) condition: Condition,
    pub(super) aggregation: Option<Aggregation>,
}

/// Deepest nesting of parentheses and `not`.
const DEPTH_MAX: usize = 64;

type Parse<T> = Result<T, Box<Diagnostic>>;

/// Reads a condition; `span` is its place in the file.
pub(super) fn parse(text: &str, span: Span) -> Parse<Parsed> {
    let mut parser = Parser {
        words: words(text),
        at: 0,
        whole: span,
    };
    let condition = parser.any(0)?;
    let aggregation = match parser.peek() {
        Some("|") => {
            parser.at += 1;
            Some(parser.aggregation()?)
        }
        _ => None,
    };
    match parser.peek() {
        None => Ok(Parsed {
            condition,
            aggregation,
        }),
        Some(word) => Err(parser.unexpected(word, "`and`, `or` or the end")),
    }
}

/// The words of a text and where they begin.
fn words(text: &str) -> Vec<(&str, usize)> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices() {
        let single = matches!(c, '(' | ')' | '|' | ',' | '<' | '>' | '=' | '!');
        if single || c.is_whitespace() {
            if let Some(start) = start.take() {
                found.push((&text[start..at], start));
            }
            if single {
                found.push((&text[at..at + 1], at));
            }
        } else if start.is_none() {
            start = Some(at);
        }
    }
    if let Some(start) = start {
        found.push((&text[start..], start));
    }
    found
}

struct Parser<'t> {
    words: Vec<(&'t str, usize)>,
    at: usize,
    whole: Span,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<&'t str> {
        self.words.get(self.at).map(|(word, _)| *word)
    }

    fn next(&mut self) -> Option<&'t str> {
        let word = self.peek();
        self.at += 1;
        word
    }

    fn is(&self, word: &str) -> bool {
        self.peek()
            .is_some_and(|next| next.eq_ignore_ascii_case(word))
    }

    fn unexpected(&self, word: &str, wanted: &str) -> Box<Diagnostic> {
        let word: String = word.chars().take(60).collect();
        let message = format!("`{word}` where {wanted} was expected");
        Box::new(Diagnostic::new(Code::SigmaCondition, self.whole, message))
    }

    fn any(&mut self, depth: usize) -> Parse<Condition> {
        let mut parts = vec![self.all(depth)?];
        while self.is("or") {
            self.at += 1;
            parts.push(self.all(depth)?);
        }
        Ok(single(parts, Condition::Any))
    }

    fn all(&mut self, depth: usize) -> Parse<Condition> {
        let mut parts = vec![self.one(depth)?];
        while self.is("and") {
            self.at += 1;
            parts.push(self.one(depth)?);
        }
        Ok(single(parts, Condition::All))
    }

    fn one(&mut self, depth: usize) -> Parse<Condition> {
        if depth > DEPTH_MAX {
            let message = format!("nested deeper than {DEPTH_MAX} levels");
            let diagnostic = Diagnostic::new(Code::SigmaCondition, self.whole, message);
            return Err(Box::new(diagnostic));
        }
        if self.is("not") {
            self.at += 1;
            return Ok(Condition::Not(Box::new(self.one(depth + 1)?)));
        }
        let Some(word) = self.next() else {
            return Err(self.unexpected("the end", "a selection"));
        };
        match word {
            "(" => {
                let inner = self.any(depth + 1)?;
                match self.next() {
                    Some(")") => Ok(inner),
                    other => Err(self.unexpected(other.unwrap_or("the end"), "`)`")),
                }
            }
            ")" | "|" | "," => Err(self.unexpected(word, "a selection")),
            _ if self.is("of") && quantity(word).is_some() => {
                self.at += 1;
                let quantity = quantity(word).unwrap_or(Quantity::One);
                match self.next() {
                    Some(pattern) if !matches!(pattern, "(" | ")" | "|" | ",") => {
                        Ok(Condition::Of(quantity, pattern.to_owned(), self.whole))
                    }
                    other => Err(self.unexpected(other.unwrap_or("the end"), "`them` or names")),
                }
            }
            _ if ["and", "or"]
                .iter()
                .any(|one| word.eq_ignore_ascii_case(one)) =>
            {
                Err(self.unexpected(word, "a selection"))
            }
            _ if self.is("of") => Err(self.unexpected(word, "`1` or `all` before `of`")),
            name => Ok(Condition::Name(name.to_owned(), self.whole)),
        }
    }

    /// `a and b and not c`: selections, and whether they have to be there.
    fn near(&mut self) -> Parse<Vec<(String, bool)>> {
        let mut found = Vec::new();
        loop {
            let wanted = !self.is("not");
            if !wanted {
                self.at += 1;
            }
            match self.next() {
                Some(name) if !is_reserved(name) => found.push((name.to_owned(), wanted)),
                other => return Err(self.unexpected(other.unwrap_or("the end"), "a selection")),
            }
            match self.peek() {
                None => return Ok(found),
                Some(_) if self.is("and") => self.at += 1,
                Some(word) => return Err(self.unexpected(word, "`and` or the end")),
            }
        }
    }

    /// `count(field) by a, b > 5`, `near x`.
    fn aggregation(&mut self) -> Parse<Aggregation> {
        let mut found = Aggregation {
            function: self.next().unwrap_or_default().to_ascii_lowercase(),
            field: None,
            group: Vec::new(),
            operator: String::new(),
            value: String::new(),
            near: Vec::new(),
            span: self.whole,
        };
        if found.function == "near" {
            found.near = self.near()?;
            return Ok(found);
        }
        if !matches!(
            found.function.as_str(),
            "count" | "sum" | "min" | "max" | "avg"
        ) {
            let wanted = "`count`, `sum`, `min`, `max`, `avg` or `near`";
            return Err(self.unexpected(&found.function, wanted));
        }
        if self.next() != Some("(") {
            return Err(self.unexpected(&found.function, "a function with `(…)`"));
        }
        if self.peek() != Some(")") {
            found.field = self.next().map(str::to_owned);
        }
        if self.next() != Some(")") {
            return Err(self.unexpected("(", "one field in parentheses"));
        }
        if self.is("by") {
            self.at += 1;
            loop {
                let Some(field) = self.next() else {
                    return Err(self.unexpected("the end", "a field after `by`"));
                };
                found.group.push(field.to_owned());
                match self.peek() {
                    Some(",") => self.at += 1,
                    _ => break,
                }
            }
        }
        // Written together (`>5`) or apart.
        let rest: String = self.words[self.at.min(self.words.len())..]
            .iter()
            .map(|(word, _)| *word)
            .collect();
        self.at = self.words.len();
        let length = rest
            .bytes()
            .take_while(|byte| b"<>=!".contains(byte))
            .count();
        let (operator, value) = rest.split_at(length);
        if !matches!(operator, ">" | ">=" | "<" | "<=" | "=" | "==")
            || value.parse::<f64>().is_err()
        {
            return Err(self.unexpected(&rest, "a comparison with a number"));
        }
        (found.operator, found.value) = (operator.to_owned(), value.to_owned());
        Ok(found)
    }
}

/// Words that are no names of selections.
fn is_reserved(word: &str) -> bool {
    let words = ["and", "or", "not", "(", ")", "|", ",", "<", ">", "=", "!"];
    words.iter().any(|one| word.eq_ignore_ascii_case(one))
}

fn quantity(word: &str) -> Option<Quantity> {
    match word.to_ascii_lowercase().as_str() {
        "1" | "any" => Some(Quantity::One),
        "all" => Some(Quantity::All),
        _ => None,
    }
}

fn single(mut parts: Vec<Condition>, many: fn(Vec<Condition>) -> Condition) -> Condition {
    if parts.len() == 1 {
        parts.remove(0)
    } else {
        many(parts)
    }
}

/// Whether a selection of this name is meant by the pattern of an `of`.
pub(super) fn is_meant(pattern: &str, name: &str) -> bool {
    if pattern.eq_ignore_ascii_case("them") {
        return !name.starts_with('_');
    }
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(condition: &Condition) -> String {
        let all = |parts: &[Condition], word: &str| {
            let parts: Vec<String> = parts.iter().map(shown).collect();
            format!("({})", parts.join(word))
        };
        match condition {
            Condition::All(parts) => all(parts, " & "),
            Condition::Any(parts) => all(parts, " | "),
            Condition::Not(inner) => format!("!{}", shown(inner)),
            Condition::Name(name, _) => name.clone(),
            Condition::Of(quantity, pattern, _) => format!("{quantity:?}:{pattern}"),
        }
    }

    fn check(text: &str, expected: &str) {
        let found = match parse(text, Span::new(0, 0)) {
            Ok(parsed) => {
                let aggregation = parsed.aggregation.map_or(String::new(), |one| {
                    let near: Vec<String> = one
                        .near
                        .iter()
                        .map(|(name, wanted)| format!("{wanted} {name}"))
                        .collect();
                    format!(
                        " -> {}({}) by [{}] {}{}{}",
                        one.function,
                        one.field.unwrap_or_default(),
                        one.group.join(" "),
                        one.operator,
                        one.value,
                        near.join(" ")
                    )
                });
                shown(&parsed.condition) + &aggregation
            }
            Err(diagnostic) => diagnostic.message,
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn conditions_bind_as_in_the_specification() {
        check("a", "a");
        check("a and b or c", "((a & b) | c)");
        check("a AND (b OR not c)", "(a & (b | !c))");
        check("not a and b", "(!a & b)");
        check("1 of sel* and not all of them", "(One:sel* & !All:them)");
        check("any of x_*", "One:x_*");
        check("a | count() > 5", "a -> count() by [] >5");
        check(
            "a | count(x.y) by b, c>=10",
            "a -> count(x.y) by [b c] >=10",
        );
        check("a | near b", "a -> near() by [] true b");
        check(
            "a | near b AND c and not d",
            "a -> near() by [] true b true c false d",
        );
    }

    #[test]
    fn mistakes_are_told() {
        check("", "`the end` where a selection was expected");
        check("a b", "`b` where `and`, `or` or the end was expected");
        check("(a", "`the end` where `)` was expected");
        check("a and", "`the end` where a selection was expected");
        check("2 of x*", "`2` where `1` or `all` before `of` was expected");
        check(
            "a | count( > 5",
            "`(` where one field in parentheses was expected",
        );
        check(
            "a | count() > x",
            "`>x` where a comparison with a number was expected",
        );
        check(
            "a | top() > 1",
            "`top` where `count`, `sum`, `min`, `max`, `avg` or `near` was expected",
        );
        check(
            "a | near b within 5m",
            "`within` where `and` or the end was expected",
        );
        check("a | near", "`the end` where a selection was expected");
        check(
            "a | near b or c",
            "`or` where `and` or the end was expected",
        );
        check("a | near (b)", "`(` where a selection was expected");
        check(&"(".repeat(1000), "nested deeper than 64 levels");
        check(&"not ".repeat(1000), "nested deeper than 64 levels");
    }

    #[test]
    fn patterns_mean_selections() {
        assert!(is_meant("sel*", "selection"));
        assert!(is_meant("*", "selection"));
        assert!(is_meant("them", "selection"));
        assert!(!is_meant("them", "_private"));
        assert!(is_meant("a*b*c", "a1b2c"));
        assert!(!is_meant("a*b", "a1c"));
        assert!(is_meant("a", "a"));
    }
}
