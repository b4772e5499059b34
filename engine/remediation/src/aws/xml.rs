//! XML, as far as services answer in it: elements, attributes, text.
//!
//! No document types, so no entities but the five and those by number; nothing is fetched and nothing grows. What comes
//! in is bounded by its length, its depth and the number of its elements.

use super::escape::is_xml;
use std::borrow::Cow;

/// The deepest nesting. Answers have twelve levels at most.
const DEPTH_MAX: usize = 64;
/// The most elements: they take more memory than their text. A page of 1,000 instances has 200,000.
const ELEMENTS_MAX: usize = 500_000;

/// Why it is no XML that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum XmlFault {
    #[error("it ends too early")]
    Early,
    #[error("it is not well formed at byte {0}")]
    Form(usize),
    #[error("it has a document type")]
    DocumentType,
    #[error("it is nested too deeply or has too many elements")]
    TooLarge,
}

/// An element. Names are without prefixes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) name: &'a str,
    pub(super) attributes: Vec<(&'a str, Cow<'a, str>)>,
    pub(super) children: Vec<Element<'a>>,
    /// Its own text, all of it together.
    pub(super) text: Cow<'a, str>,
}

impl<'a> Element<'a> {
    /// Reads a document.
    pub(super) fn read(text: &'a str) -> Result<Self, XmlFault> {
        let mut reader = Reader::new(text);
        let mut open: Vec<Element<'a>> = Vec::new();
        let mut count = 0;
        while let Some(piece) = reader.next()? {
            let closed = match piece {
                Piece::Open(element, is_closed) => {
                    count += 1;
                    if open.len() >= DEPTH_MAX || count > ELEMENTS_MAX {
                        return Err(XmlFault::TooLarge);
                    }
                    if !is_closed {
                        open.push(element);
                        continue;
                    }
                    element
                }
                Piece::Close(name) => {
                    let element = open.pop().filter(|element| element.name == name);
                    element.ok_or(XmlFault::Form(reader.place))?
                }
                Piece::Text(text) => {
                    match open.last_mut() {
                        Some(element) if element.text.is_empty() => element.text = text,
                        Some(element) => element.text.to_mut().push_str(&text),
                        None if text.trim().is_empty() => {}
                        None => return Err(XmlFault::Form(reader.place)),
                    }
                    continue;
                }
            };
            match open.last_mut() {
                Some(above) => above.children.push(closed),
                None => return reader.end(closed),
            }
        }
        Err(XmlFault::Early)
    }

    /// The first child of a name.
    pub(super) fn child(&self, name: &str) -> Option<&Element<'a>> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of a name.
    pub(super) fn child_text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_ref())
    }

    /// The first element of a name, in this one or below it.
    pub(super) fn find(&self, name: &str) -> Option<&Element<'a>> {
        if self.name == name {
            return Some(self);
        }
        self.children.iter().find_map(|child| child.find(name))
    }
}

enum Piece<'a> {
    /// An element begins; whether it ends at once.
    Open(Element<'a>, bool),
    Close(&'a str),
    Text(Cow<'a, str>),
}

/// Hands out a document piece by piece.
struct Reader<'a> {
    text: &'a str,
    place: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { text, place: 0 }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.place..).unwrap_or_default()
    }

    fn fault<T>(&self) -> Result<T, XmlFault> {
        Err(XmlFault::Form(self.place))
    }

    /// What stands before a mark, which is passed over, too.
    fn until(&mut self, mark: &str) -> Result<&'a str, XmlFault> {
        let rest = self.rest();
        let length = rest.find(mark).ok_or(XmlFault::Early)?;
        self.place += length + mark.len();
        Ok(&rest[..length])
    }

    fn skip_spaces(&mut self) {
        let rest = self.rest();
        self.place += rest.len() - rest.trim_start().len();
    }

    fn take(&mut self, mark: &str) -> bool {
        let found = self.rest().starts_with(mark);
        if found {
            self.place += mark.len();
        }
        found
    }

    fn next(&mut self) -> Result<Option<Piece<'a>>, XmlFault> {
        loop {
            let rest = self.rest();
            if rest.is_empty() {
                return Ok(None);
            }
            if !rest.starts_with('<') {
                let text = &rest[..rest.find('<').unwrap_or(rest.len())];
                let read = self.unescaped(text)?;
                self.place += text.len();
                return Ok(Some(Piece::Text(read)));
            }
            if self.take("<?") {
                self.until("?>")?;
            } else if self.take("<!--") {
                self.until("-->")?;
            } else if self.take("<![CDATA[") {
                return Ok(Some(Piece::Text(Cow::Borrowed(self.until("]]>")?))));
            } else if self.take("<!") {
                return Err(XmlFault::DocumentType);
            } else if self.take("</") {
                let name = self.name()?;
                self.skip_spaces();
                return match self.take(">") {
                    true => Ok(Some(Piece::Close(local(name)))),
                    false => self.fault(),
                };
            } else {
                self.place += 1;
                return self.open().map(Some);
            }
        }
    }

    fn open(&mut self) -> Result<Piece<'a>, XmlFault> {
        let mut element = Element {
            name: local(self.name()?),
            ..Element::default()
        };
        loop {
            let before = self.place;
            self.skip_spaces();
            if self.take(">") {
                return Ok(Piece::Open(element, false));
            }
            if self.take("/>") {
                return Ok(Piece::Open(element, true));
            }
            if before == self.place {
                return self.fault();
            }
            let name = self.name()?;
            self.skip_spaces();
            if !self.take("=") {
                return self.fault();
            }
            self.skip_spaces();
            let value = if self.take("\"") {
                self.until("\"")?
            } else if self.take("'") {
                self.until("'")?
            } else {
                return self.fault();
            };
            if value.contains('<') {
                return self.fault();
            }
            element
                .attributes
                .push((local(name), self.unescaped(value)?));
        }
    }

    fn name(&mut self) -> Result<&'a str, XmlFault> {
        let rest = self.rest();
        let is_name = |one: char| one.is_alphanumeric() || "-._:".contains(one);
        let length = rest.find(|one| !is_name(one)).ok_or(XmlFault::Early)?;
        if length == 0 {
            return self.fault();
        }
        self.place += length;
        Ok(&rest[..length])
    }

    fn unescaped(&self, text: &'a str) -> Result<Cow<'a, str>, XmlFault> {
        if !text.contains('&') {
            return Ok(Cow::Borrowed(text));
        }
        let mut out = String::with_capacity(text.len());
        let mut parts = text.split('&');
        out.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let Some((name, after)) = part.split_once(';') else {
                return self.fault();
            };
            let numbered = || {
                let digits = name.strip_prefix('#')?;
                let number = match digits.strip_prefix('x') {
                    Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                    None => digits.parse().ok()?,
                };
                char::from_u32(number).filter(|one| is_xml(*one))
            };
            let character = match name {
                "amp" => Some('&'),
                "lt" => Some('<'),
                "gt" => Some('>'),
                "quot" => Some('"'),
                "apos" => Some('\''),
                _ => numbered(),
            };
            match character {
                Some(character) => out.push(character),
                None => return self.fault(),
            }
            out.push_str(after);
        }
        Ok(Cow::Owned(out))
    }

    /// Nothing but spaces and remarks stand behind the document.
    fn end(&mut self, root: Element<'a>) -> Result<Element<'a>, XmlFault> {
        loop {
            match self.next()? {
                None => return Ok(root),
                Some(Piece::Text(text)) if text.trim().is_empty() => {}
                Some(_) => return self.fault(),
            }
        }
    }
}

fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_document_is_read() {
        let text = "<?xml version=\"1.0\"?>\n<!-- a --><a:b xmlns:a='c'>\
                    <d e=\"&lt;1&#x41;\">x &amp;<![CDATA[<y>]]></d><d/> </a:b>\n<!-- end -->\n";
        let root = Element::read(text).unwrap();
        assert_eq!(root.name, "b");
        assert_eq!(root.children.len(), 2);
        assert_eq!(root.child_text("d"), Some("x &<y>"));
        assert_eq!(root.children[0].attributes, [("e", Cow::Borrowed("<1A"))]);
        assert_eq!(root.find("d").unwrap().name, "d");
    }

    #[track_caller]
    fn check_fault(text: &str, wanted: &str) {
        let fault = Element::read(text).unwrap_err().to_string();
        assert!(fault.starts_with(wanted), "{text}: {fault}");
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for text in [
            "",
            "<a>",
            "<a",
            "<a b='",
            "<!-- ",
            "<a><![CDATA[</a>",
            "  ",
            "<a><b></b>",
        ] {
            check_fault(text, "it ends too early");
        }
        for text in [
            "x<a/>",
            "<a/>x",
            "<a/><b/>",
            "<a></b>",
            "</a>",
            "<a b/>",
            "<a b=c/>",
            "<a>&b;</a>",
            "<a>&</a>",
            "<a>&#0;</a>",
            "<a>&#xd800;</a>",
            "<a b='<'/>",
            "<a b='1'c='2'/>",
            "< a/>",
            "<>",
            "<a>&#-1;</a>",
        ] {
            check_fault(text, "it is not well formed at byte");
        }
        let remarks = format!("<a/>{}", " <!---->".repeat(100_000));
        assert!(Element::read(&remarks).is_ok());
        check_fault(
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
            "it has a document type",
        );
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let deep = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
        assert!(Element::read(&deep(DEPTH_MAX)).is_ok());
        check_fault(&deep(DEPTH_MAX + 1), "it is nested too deeply");
        let many = |count: usize| format!("<a>{}</a>", "<b/>".repeat(count - 1));
        assert!(Element::read(&many(ELEMENTS_MAX)).is_ok());
        check_fault(&many(ELEMENTS_MAX + 1), "it is nested too deeply");
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[<>/&;#!?\\[\\]a-c=\"' -]{0,40}") {
            let _ = Element::read(&text);
        }

        #[test]
        fn what_was_escaped_is_read_again(text in "[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\ufffe\\uffff]{0,40}") {
            let mut document = String::from("<a b=\"");
            crate::aws::escape::xml(&text, &mut document);
            document.push_str("\">");
            crate::aws::escape::xml(&text, &mut document);
            document.push_str("</a>");
            let read = Element::read(&document).unwrap();
            prop_assert_eq!(read.text.as_ref(), &text);
            prop_assert_eq!(read.attributes[0].1.as_ref(), &text);
        }
    }
}
