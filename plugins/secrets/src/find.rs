//! Finding secrets in a text, by their form.

use crate::forms::{FORMS, Form, Letters};

/// Where a secret is, and of what kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Secret {
    pub(crate) kind: &'static str,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// All secrets of a text, in order, none within another.
pub(crate) fn secrets(text: &str) -> Vec<Secret> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let secret = match bytes[at] {
            b'-' => private_key(bytes, at),
            b':' => password(bytes, at),
            b'e' if starts(bytes, at, "eyJ") && is_first(bytes, at) => web_token(bytes, at),
            _ => None,
        };
        let secret = secret
            .or_else(|| by_prefix(bytes, at))
            .or_else(|| aws_secret(bytes, at));
        match secret {
            Some(secret) => {
                at = secret.end;
                found.push(secret);
            }
            None => at += 1,
        }
    }
    found
}

fn starts(bytes: &[u8], at: usize, prefix: &str) -> bool {
    bytes[at..].starts_with(prefix.as_bytes())
}

/// Whether a word may begin here.
fn is_edge(bytes: &[u8], at: usize) -> bool {
    at == 0 || !bytes[at - 1].is_ascii_alphanumeric()
}

/// Whether no letter of a web token is before this one, so that no stretch of letters is read twice.
fn is_first(bytes: &[u8], at: usize) -> bool {
    at == 0 || !Letters::Url.has(bytes[at - 1])
}

fn run(bytes: &[u8], at: usize, letters: Letters) -> usize {
    run_of(bytes, at, letters, usize::MAX)
}

/// How many letters there are, counted up to a bound: what is longer than a secret is none, and need not be read again
/// from each place at which one might begin.
fn run_of(bytes: &[u8], at: usize, letters: Letters, most: usize) -> usize {
    let run = bytes[at..].iter().take(most);
    run.take_while(|byte| letters.has(**byte)).count()
}

fn by_prefix(bytes: &[u8], at: usize) -> Option<Secret> {
    let is_it =
        |form: &&Form| form.prefix.as_bytes()[0] == bytes[at] && starts(bytes, at, form.prefix);
    // What stands before a host is part of its address.
    let form = FORMS.iter().find(is_it)?;
    if !is_edge(bytes, at) {
        return None;
    }
    let start = at + form.prefix.len();
    let length = run_of(bytes, start, form.letters, form.most + 1);
    if length < form.least || length > form.most {
        return None;
    }
    Some(Secret {
        kind: form.kind,
        start: at,
        end: start + length,
    })
}

/// `-----BEGIN … PRIVATE KEY-----` to its end, or to the end of the text.
fn private_key(bytes: &[u8], at: usize) -> Option<Secret> {
    const HEAD: &str = "-----BEGIN ";
    if !starts(bytes, at, HEAD) {
        return None;
    }
    let title = &bytes[at + HEAD.len()..];
    let title = &title[..title.len().min(40)];
    let length = position(title, b"-----")?;
    if !title[..length].ends_with(b"PRIVATE KEY")
        && !title[..length].ends_with(b"PRIVATE KEY BLOCK")
    {
        return None;
    }
    let rest = &bytes[at + HEAD.len()..];
    let end = match position(rest, b"-----END ") {
        None => bytes.len(),
        Some(end) => {
            let end = end + "-----END ".len();
            let tail = position(&rest[end..], b"-----").map(|tail| end + tail + 5);
            at + HEAD.len() + tail.unwrap_or(rest.len())
        }
    };
    Some(Secret {
        kind: "private-key",
        start: at,
        end,
    })
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// The password of `SCHEME://USER:PASSWORD@HOST`, seen from the colon after the scheme.
fn password(bytes: &[u8], at: usize) -> Option<Secret> {
    if !starts(bytes, at, "://") || at == 0 || !bytes[at - 1].is_ascii_alphanumeric() {
        return None;
    }
    let start = at + 3;
    let rest = &bytes[start..bytes.len().min(start + 512)];
    let is_end = |byte: &u8| b"/?#\"'<> \t\r\n".contains(byte);
    let rest = &rest[..rest.iter().position(is_end).unwrap_or(rest.len())];
    let host = rest.iter().rposition(|byte| *byte == b'@')?;
    let colon = rest[..host].iter().position(|byte| *byte == b':')?;
    if colon + 1 >= host || rest[colon + 1] == b'$' || rest[colon + 1] == b'{' {
        return None;
    }
    Some(Secret {
        kind: "password-in-address",
        start: start + colon + 1,
        end: start + host,
    })
}

/// `HEAD.BODY.SIGNATURE`, each Base64 for addresses, the first two of JSON.
fn web_token(bytes: &[u8], at: usize) -> Option<Secret> {
    let head = run(bytes, at, Letters::Url);
    let body = at + head + 1;
    if head < 10
        || !bytes
            .get(body..)
            .is_some_and(|rest| rest.starts_with(b"eyJ"))
    {
        return None;
    }
    if bytes[body - 1] != b'.' {
        return None;
    }
    let length = run(bytes, body, Letters::Url);
    let signature = body + length + 1;
    if length < 10 || bytes.get(signature - 1) != Some(&b'.') {
        return None;
    }
    let end = signature + run(bytes, signature, Letters::Url);
    Some(Secret {
        kind: "web-token",
        start: at,
        end,
    })
}

/// Forty bytes of Base64 between others, as mixed as a secret key of AWS is. Digests are hexadecimal or longer.
fn aws_secret(bytes: &[u8], at: usize) -> Option<Secret> {
    const BYTES: usize = 40;
    let is_start = at == 0 || !Letters::Base64.has(bytes[at - 1]) || bytes[at - 1] == b'=';
    if !is_start || !bytes[at].is_ascii_alphanumeric() {
        return None;
    }
    if run_of(bytes, at, Letters::Base64, BYTES + 1) != BYTES {
        return None;
    }
    let word = &bytes[at..at + BYTES];
    let count = |is: fn(&u8) -> bool| word.iter().filter(|byte| is(byte)).count();
    let small = count(u8::is_ascii_lowercase);
    let capitals = count(u8::is_ascii_uppercase);
    let digits = count(u8::is_ascii_digit);
    let slashes = count(|byte| *byte == b'/');
    let turns = word
        .windows(2)
        .filter(|pair| kind_of(pair[0]) != kind_of(pair[1]))
        .count();
    // A path has many slashes and words of one case; a digest has no capitals.
    let is_mixed = small >= 6 && capitals >= 6 && digits >= 2 && slashes <= 4 && turns >= 16;
    is_mixed.then_some(Secret {
        kind: "aws-secret-key",
        start: at,
        end: at + BYTES,
    })
}

fn kind_of(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let found = secrets(text);
        let found = found
            .iter()
            .map(|secret| (secret.kind, &text[secret.start..secret.end]));
        assert_eq!(found.collect::<Vec<_>>(), expected, "{text}");
    }

    /// Put together here, so that nobody's scanner takes this file for a leak.
    fn made(prefix: &str, rest: &str, times: usize) -> String {
        format!("{prefix}{}", rest.repeat(times))
    }

    #[test]
    fn forms() {
        let key = made("AKIA", "EXAMPLE7", 2);
        check(&format!("key={key};"), &[("aws-access-key", &key)]);
        check(&format!("X{key}"), &[]);
        check(&format!("{key}Z"), &[]);
        let token = made("ghp_", "aB3dE6", 6);
        check(&token, &[("github-token", &token)]);
        let token = made("hooks.slack.com/services/", "T0A/", 8);
        check(&format!("https://{token}"), &[("slack-webhook", &token)]);
        let secret = made("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEX", "AMPL3KEY", 1);
        check(
            &format!("aws_secret_access_key={secret}"),
            &[("aws-secret-key", &secret)],
        );
    }

    #[test]
    fn what_is_no_secret() {
        check("da39a3ee5e6b4b0d3255bfef95601890afd80709", &[]);
        check("arn:aws:s3:::a/Very/Long/Path/Of/Words/And/9", &[]);
        check(
            "-----BEGIN CERTIFICATE-----abc-----END CERTIFICATE-----",
            &[],
        );
        check("https://example.com/a:b@c", &[]);
        check("https://user:${PASSWORD}@example.com", &[]);
        check("eyJ.eyJ.x", &[]);
        check("ä:// -----BEGIN :", &[]);
    }

    #[test]
    fn private_keys_and_passwords() {
        let key = format!(
            "-----BEGIN RSA {0} KEY-----\nMII\n-----END RSA {0} KEY-----",
            "PRIVATE"
        );
        check(&format!("a {key} b"), &[("private-key", &key)]);
        let cut = format!("-----BEGIN {} KEY-----\nMII", "PRIVATE");
        check(&cut, &[("private-key", &cut)]);
        check(
            "postgres://app:p%40ss@db:5432/x",
            &[("password-in-address", "p%40ss")],
        );
    }

    #[test]
    fn texts_made_to_be_slow_are_not() {
        for part in [
            "xoxb-",
            "=a",
            "eyJ-",
            "eyJ.",
            "://a:",
            "-----BEGIN ",
            "ghp_",
            "SG.",
            "glpat-a-",
        ] {
            let _ = secrets(&part.repeat(20_000));
        }
    }

    #[test]
    fn web_tokens() {
        let token = [
            "eyJhbGciOiJIUzI1NiJ9",
            "eyJzdWIiOiIxMjM0In0",
            "c2lnbmF0dXJl",
        ]
        .join(".");
        check(&format!("Bearer {token}"), &[("web-token", &token)]);
    }
}
