//! One user agent.

use crate::products::{ATTACK_SYSTEMS, LANGUAGES, PRODUCTS, Product, SYSTEMS};

/// What is read of a user agent: clients send a few hundred bytes, and what is longer is somebody's play.
const BYTES_MAX: usize = 2048;

/// What a user agent says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agent<'t> {
    pub(crate) kind: &'static str,
    pub(crate) program: Option<&'t str>,
    pub(crate) version: Option<&'t str>,
    pub(crate) system: Option<&'static str>,
    pub(crate) language: Option<&'static str>,
    /// Of the AWS CLI: the command, such as `s3.cp`.
    pub(crate) command: Option<String>,
    pub(crate) is_attack_tool: bool,
}

/// A product or a part of a comment: `NAME`, `NAME/VERSION`.
#[derive(Clone, Copy, Debug)]
struct Token<'t> {
    name: &'t str,
    version: Option<&'t str>,
    whole: &'t str,
}

impl<'t> Agent<'t> {
    pub(crate) fn read(text: &'t str) -> Self {
        let text = cut(text.trim().trim_matches(['[', ']']));
        let small = text.to_ascii_lowercase();
        let tokens: Vec<Token<'t>> = tokens(text).collect();
        let known = known(&tokens);
        let first = tokens.first();
        let is_service = small.ends_with(".amazonaws.com") && tokens.len() == 1;
        let is_console = small.contains("console.amazonaws.com")
            || small.contains("aws-console")
            || small.contains("awsconsole")
            || small.contains("signin.amazonaws.com");
        let has = |(part, _): &&(&str, &str)| small.contains(part);
        let system = SYSTEMS.iter().find(has).map(|(_, system)| *system);
        let system = system.filter(|_| !is_service);
        let kind = match known {
            _ if text.is_empty() => "empty",
            _ if is_console => "console",
            _ if is_service => "service",
            Some((product, _)) => product.kind,
            None if small.contains("bot") || small.contains("crawl") => "robot",
            None => "other",
        };
        let (program, version) = match known {
            Some((product, version)) if kind == product.kind => (Some(product.name), version),
            _ if kind == "service" => (Some(text), None),
            _ => (
                first.map(|token| token.name),
                first.and_then(|token| token.version),
            ),
        };
        Self {
            kind,
            program: program.filter(|program| !program.is_empty()),
            version: version.filter(|version| !version.is_empty()),
            system,
            language: language(&tokens),
            command: command(&tokens),
            is_attack_tool: kind == "attack"
                || system.is_some_and(|system| ATTACK_SYSTEMS.contains(&system)),
        }
    }

    /// The first number of the version.
    pub(crate) fn major(&self) -> Option<i64> {
        let version = self.version?.trim_start_matches(['v', 'V']);
        let end = version.find(|byte: char| !byte.is_ascii_digit());
        version[..end.unwrap_or(version.len())].parse().ok()
    }
}

/// The text, or as much of it as is read.
fn cut(text: &str) -> &str {
    match text.len() > BYTES_MAX {
        true => &text[..text.floor_char_boundary(BYTES_MAX)],
        false => text,
    }
}

/// Products, and the parts of comments.
fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let parts = text.split([' ', '(', ')', ';', ',', '\t']);
    parts.filter(|part| !part.is_empty()).map(|whole| {
        let (name, version) = match whole.split_once('/') {
            Some((name, version)) => (name, Some(version)),
            None => (whole, None),
        };
        Token {
            name,
            version,
            whole,
        }
    })
}

/// The most telling product that is known, and its version.
fn known<'t>(tokens: &[Token<'t>]) -> Option<(&'static Product, Option<&'t str>)> {
    let mut best: Option<(usize, Option<&'t str>)> = None;
    for token in tokens {
        let is_it = |product: &Product| {
            let rest = match token.name.get(..product.token.len()) {
                Some(start) if start.eq_ignore_ascii_case(product.token) => {
                    &token.name[product.token.len()..]
                }
                _ => return false,
            };
            // `aws-sdk-go` is not `aws-sdk-gopher`, but `terraform-provider-aws` is Terraform.
            rest.is_empty() || rest.starts_with(['-', '_', '.']) || rest == "A" || rest == "iOS"
        };
        let Some(at) = PRODUCTS.iter().position(is_it) else {
            continue;
        };
        if best.is_none_or(|(known, _)| at < known) {
            best = Some((at, token.version));
        }
    }
    let (at, version) = best?;
    Some((&PRODUCTS[at], version))
}

fn language(tokens: &[Token<'_>]) -> Option<&'static str> {
    let of = |token: &Token<'_>| {
        let is_it = |(name, _): &&(&str, &str)| {
            let text = if name.contains('/') {
                token.whole
            } else {
                token.name
            };
            let start = text.get(..name.len());
            let is_start = start.is_some_and(|start| start.eq_ignore_ascii_case(name));
            is_start
                && text[name.len()..]
                    .chars()
                    .next()
                    .is_none_or(|next| !next.is_alphanumeric() || next == '2' || next == '3')
        };
        LANGUAGES.iter().find(is_it).map(|(_, language)| *language)
    };
    tokens.iter().find_map(of)
}

/// `command/s3.cp` of the first version of the CLI, `md/command#s3.cp` of the second.
fn command(tokens: &[Token<'_>]) -> Option<String> {
    let of = |token: &Token<'_>| {
        let rest = token.whole.strip_prefix("command/");
        let rest = rest.or_else(|| token.whole.strip_prefix("md/command#"))?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let is_command = !rest.is_empty() && rest.len() <= 128 && rest.bytes().all(is_plain);
        is_command.then(|| rest.to_owned())
    };
    tokens.iter().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, kind: &str, program: Option<&str>, system: Option<&str>) {
        let agent = Agent::read(text);
        assert_eq!(
            (agent.kind, agent.program, agent.system),
            (kind, program, system),
            "{text}"
        );
    }

    #[test]
    fn programs() {
        check(
            "Boto3/1.34 md/Botocore#1.34 ua/2.0 os/linux#6.1 lang/python#3.11",
            "library",
            Some("Boto3"),
            Some("Linux"),
        );
        check(
            "APN/1.0 HashiCorp/1.0 Terraform/1.7.4 aws-sdk-go-v2/1.25 os/macos",
            "infrastructure",
            Some("Terraform"),
            Some("macOS"),
        );
        check("aws-sdk-gopher/1", "other", Some("aws-sdk-gopher"), None);
        check(
            "aws-cli/2.1 Python/3.9 Linux/5.10.0-kali7-amd64 botocore/2",
            "tool",
            Some("AWS CLI"),
            Some("Kali Linux"),
        );
        check(
            "console.amazonaws.com",
            "console",
            Some("console.amazonaws.com"),
            None,
        );
        check("", "empty", None, None);
        check("((((", "other", None, None);
        check("/", "other", None, None);
    }

    #[test]
    fn attacks_are_told() {
        assert!(Agent::read("aws-cli/2 Linux/6-kali1 md/x").is_attack_tool);
        assert!(Agent::read("Pacu/1.5 Boto3/1").is_attack_tool);
        assert!(!Agent::read("Boto3/1").is_attack_tool);
    }

    #[test]
    fn long_ones_are_cut_between_characters() {
        let agent = Agent::read(Box::leak("ä".repeat(5_000).into_boxed_str()));
        assert_eq!(agent.program.map(str::len), Some(BYTES_MAX));
    }
}
