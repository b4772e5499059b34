//! Percent-encoding as signatures want it, its reverse, and the escapes of XML.

use std::fmt::Write as _;

/// Percent-encodes everything but letters, digits and `-._~`.
pub(super) fn percent(text: &str) -> String {
    percent_but(text, "")
}

/// Percent-encodes everything but letters, digits, `-._~` and what is to be kept.
pub(super) fn percent_but(text: &str, kept: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric()
            || b"-._~".contains(&byte)
            || kept.as_bytes().contains(&byte)
        {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Reads percent-encoding; what is not well formed stays as it is. `None` when the bytes are no UTF-8.
pub(super) fn from_percent(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while let Some(&byte) = bytes.get(place) {
        let digits = bytes.get(place + 1..place + 3);
        let digits = digits.filter(|two| byte == b'%' && two.iter().all(u8::is_ascii_hexdigit));
        let read =
            digits.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        out.push(read.unwrap_or(byte));
        place += if read.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).ok()
}

/// Writes text so that it can stand in an element or an attribute.
pub(super) fn xml(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // As they are, a reader would make spaces or other line ends of them.
            '\r' => out.push_str("&#xD;"),
            '\n' => out.push_str("&#xA;"),
            '\t' => out.push_str("&#x9;"),
            other => out.push(other),
        }
    }
}

/// Whether XML 1.0 can hold a character at all.
pub(super) fn is_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_keeps_only_what_needs_none() {
        assert_eq!(percent("a-._~/ +é"), "a-._~%2F%20%2B%C3%A9");
        assert_eq!(percent_but("/a b", "/"), "/a%20b");
        assert_eq!(
            from_percent("%7B%22a+b%22%7d").as_deref(),
            Some("{\"a+b\"}")
        );
        assert_eq!(
            from_percent("100%, %4, %zz").as_deref(),
            Some("100%, %4, %zz")
        );
        assert_eq!(from_percent("%ff"), None);
    }

    #[test]
    fn xml_is_escaped() {
        let mut out = String::new();
        xml("<a b=\"c\">&\r\n", &mut out);
        assert_eq!(out, "&lt;a b=&quot;c&quot;&gt;&amp;&#xD;&#xA;");
        assert!(!is_xml('\0') && !is_xml('\u{ffff}') && is_xml('é') && is_xml('\t'));
    }
}
