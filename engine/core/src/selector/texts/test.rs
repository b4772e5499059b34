//! What is asked of a text: whether it is, begins with, ends with, holds or looks like one of some constants, in any
//! case, or matches one of some regular expressions.
//!
//! Constants are lowered once; a text is lowered when it is looked at. Patterns with wildcards are matched part by part
//! from the left, never going back further than one part, so the work is bounded by text times pattern.

use super::fold::{fold, with_folded};
use memchr::memmem::Finder;

/// How a text is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ask {
    Is,
    StartsWith,
    EndsWith,
    Contains,
    Like,
    Matches,
}

/// A question with its constants made ready.
#[derive(Debug)]
pub(crate) enum TextTest {
    /// Sorted.
    Is(Box<[Box<str>]>),
    StartsWith(Box<[Box<str>]>),
    EndsWith(Box<[Box<str>]>),
    Contains(Box<[Finder<'static>]>),
    Like(Box<[Like]>),
    Matches(Box<[regex::Regex]>),
}

impl TextTest {
    /// The question for one of `values`. `compile` makes regular expressions.
    pub(crate) fn new<E>(
        ask: Ask,
        values: &[&str],
        compile: impl Fn(&str) -> Result<regex::Regex, E>,
    ) -> Result<Self, E> {
        let folded = || values.iter().map(|value| fold(value).into_boxed_str());
        Ok(match ask {
            Ask::Is => {
                let mut all: Vec<Box<str>> = folded().collect();
                all.sort_unstable();
                all.dedup();
                Self::Is(all.into())
            }
            Ask::StartsWith => Self::StartsWith(folded().collect()),
            Ask::EndsWith => Self::EndsWith(folded().collect()),
            Ask::Contains => Self::Contains(
                folded()
                    .map(|text| Finder::new(text.as_bytes()).into_owned())
                    .collect(),
            ),
            Ask::Like => Self::Like(values.iter().map(|value| Like::new(value)).collect()),
            Ask::Matches => {
                let all: Result<Vec<regex::Regex>, E> =
                    values.iter().map(|value| compile(value)).collect();
                Self::Matches(all?.into())
            }
        })
    }

    /// Whether the text passes.
    pub(crate) fn holds(&self, text: &str) -> bool {
        if let Self::Matches(all) = self {
            return all.iter().any(|regex| regex.is_match(text));
        }
        with_folded(text, |text| match self {
            Self::Is(all) => match &**all {
                [only] => **only == *text,
                all => all.binary_search_by(|one| (**one).cmp(text)).is_ok(),
            },
            Self::StartsWith(all) => all.iter().any(|one| text.starts_with(&**one)),
            Self::EndsWith(all) => all.iter().any(|one| text.ends_with(&**one)),
            Self::Contains(all) => all.iter().any(|one| one.find(text.as_bytes()).is_some()),
            Self::Like(all) => all.iter().any(|one| one.holds(text)),
            Self::Matches(_) => false,
        })
    }

    /// What looking at a text of so many bytes costs, in units.
    pub(crate) fn units(&self, bytes: usize) -> u64 {
        let (constants, factor) = match self {
            Self::Is(_) => (1, 1),
            Self::StartsWith(all) | Self::EndsWith(all) => {
                return 1 + all.len() as u64 / 8 + bytes as u64 / 100;
            }
            Self::Contains(all) => (all.len(), 1),
            Self::Like(all) => (all.len(), all.iter().map(Like::factor).max().unwrap_or(1)),
            Self::Matches(all) => (all.len(), 5),
        };
        1 + (bytes as u64 / 10).saturating_mul(constants as u64 * factor)
    }
}

/// A pattern: `*` is any text, `?` one character, and a backslash before one of these or before another backslash
/// takes its meaning away. All other characters are themselves, in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Like {
    /// What stands between the stars; at least one.
    parts: Vec<Part>,
}

/// Characters in a row, `None` for any one.
type Part = Vec<Option<char>>;

impl Like {
    pub(crate) fn new(pattern: &str) -> Self {
        let mut parts = vec![Part::new()];
        let mut rest = pattern.chars().peekable();
        let add = |parts: &mut Vec<Part>, c: char| {
            if let Some(part) = parts.last_mut() {
                part.extend(c.to_lowercase().map(Some));
            }
        };
        while let Some(c) = rest.next() {
            match c {
                '*' => parts.push(Part::new()),
                '?' => parts
                    .last_mut()
                    .into_iter()
                    .for_each(|part| part.push(None)),
                '\\' => {
                    let escaped = rest.next_if(|next| matches!(next, '*' | '?' | '\\'));
                    add(&mut parts, escaped.unwrap_or('\\'));
                }
                _ => add(&mut parts, c),
            }
        }
        Self { parts }
    }

    /// The longest text without wildcards in the pattern, lowered.
    pub(crate) fn longest_text(&self) -> String {
        let runs = self
            .parts
            .iter()
            .flat_map(|part| part.split(Option::is_none));
        let longest = runs.max_by_key(|run| run.len());
        longest.into_iter().flatten().flatten().collect()
    }

    fn factor(&self) -> u64 {
        1 + self.parts.iter().map(Vec::len).max().unwrap_or(0) as u64 / 8
    }

    /// Whether a lowered text looks like this.
    fn holds(&self, text: &str) -> bool {
        let Some((first, others)) = self.parts.split_first() else {
            return text.is_empty();
        };
        let Some(mut rest) = strip(text, first) else {
            return false;
        };
        let Some((last, middle)) = others.split_last() else {
            return rest.is_empty();
        };
        for part in middle {
            match find(rest, part) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        ends_with(rest, last)
    }
}

fn strip<'t>(text: &'t str, part: &Part) -> Option<&'t str> {
    let mut text = text.chars();
    for wanted in part {
        let c = text.next()?;
        if wanted.is_some_and(|wanted| wanted != c) {
            return None;
        }
    }
    Some(text.as_str())
}

fn find<'t>(text: &'t str, part: &Part) -> Option<&'t str> {
    if part.is_empty() {
        return Some(text);
    }
    text.char_indices()
        .find_map(|(at, _)| strip(&text[at..], part))
}

fn ends_with(text: &str, part: &Part) -> bool {
    let mut text = text.chars().rev();
    part.iter().rev().all(|wanted| {
        text.next()
            .is_some_and(|c| wanted.is_none_or(|wanted| wanted == c))
    })
}
