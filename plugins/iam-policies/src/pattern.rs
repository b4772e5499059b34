//! Patterns of actions and resources: `*` is any text, `?` is any character, and letters are compared without case.

/// Whether a pattern of a policy allows an action.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut read) = (0, 0);
    // Where to go on when what follows the last star does not fit: patterns have few stars, and going back to the last
    // one only is enough.
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(byte) if *byte == b'?' || byte.eq_ignore_ascii_case(&text[read]) => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((star_at, star_read)) = star else {
                    return false;
                };
                star = Some((star_at, star_read + 1));
                at = star_at + 1;
                read = star_read + 1;
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// Whether a pattern allows everything.
pub(crate) fn is_everything(pattern: &str) -> bool {
    let is_star = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte == b'*');
    match pattern.split_once(':') {
        None => is_star(pattern),
        Some((service, action)) => is_star(service) && is_star(action),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        };
        check("iam:*", "iam:PassRole", true);
        check("IAM:pass*", "iam:PassRole", true);
        check("iam:Pass?ole", "iam:PassRole", true);
        check("*:PassRole", "iam:PassRole", true);
        check("*", "iam:PassRole", true);
        check("**a*e**", "iam:PassRole", true);
        check("iam:PassRole", "iam:PassRoles", false);
        check("iam:?", "iam:", false);
        check("", "iam:PassRole", false);
        check("s3:*", "iam:PassRole", false);
    }

    #[test]
    fn everything() {
        assert!(is_everything("*") && is_everything("**") && is_everything("*:*"));
        assert!(!is_everything("iam:*") && !is_everything("") && !is_everything(":"));
    }

    #[test]
    fn many_stars_are_quick() {
        let pattern = "*a".repeat(5_000);
        assert!(!matches(&pattern, &"b".repeat(5_000)));
    }
}
