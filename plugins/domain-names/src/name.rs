//! One host name.

use crate::pairs::usual;

/// The longest name that there is.
const BYTES_MAX: usize = 255;
/// Labels shorter than this say nothing.
const LABEL_BYTES_MIN: usize = 8;
/// Data is carried in more bytes than people put in front of a domain.
const CARRIED_BYTES_MIN: usize = 40;

/// Second labels under which anybody registers, as in `example.co.uk`.
const SECOND: [&str; 12] = [
    "co", "com", "net", "org", "edu", "gov", "ac", "ne", "or", "go", "gob", "ltd",
];

/// Domains that are not looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ignored {
    domains: Vec<String>,
}

impl<'t> FromIterator<&'t str> for Ignored {
    fn from_iter<I: IntoIterator<Item = &'t str>>(domains: I) -> Self {
        let domains = domains.into_iter();
        let domains = domains.map(|domain| domain.trim_matches('.').to_ascii_lowercase());
        Self {
            domains: domains.collect(),
        }
    }
}

impl Ignored {
    fn has(&self, name: &str) -> bool {
        self.domains.iter().any(|domain| {
            let at = name.len().checked_sub(domain.len());
            let Some((front, end)) = at.and_then(|at| name.split_at_checked(at)) else {
                return false;
            };
            end.eq_ignore_ascii_case(domain) && (front.is_empty() || front.ends_with('.'))
        })
    }
}

/// What is thought of a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Judged<'n> {
    /// From 0 to 1.
    pub(crate) score: f64,
    /// What somebody registered.
    pub(crate) domain: &'n str,
    /// The label that was judged.
    pub(crate) label: &'n str,
    /// Bits a letter.
    pub(crate) entropy: f64,
    pub(crate) carries_data: bool,
}

/// Judges a name; nothing for what is no name or says nothing.
pub(crate) fn judge<'n>(name: &'n str, ignored: &Ignored) -> Option<Judged<'n>> {
    let name = name.trim_end_matches('.');
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > BYTES_MAX || !name.bytes().all(is_name) || ignored.has(name)
    {
        return None;
    }
    let (front, domain) = parted(name)?;
    let label = domain.split('.').next()?;
    if let Some(judged) = carried(front, domain) {
        return Some(judged);
    }
    // Names in other scripts are written in letters that only look random.
    if label.len() < LABEL_BYTES_MIN || label.starts_with("xn--") {
        return None;
    }
    let entropy = entropy(label);
    let score = made_up(label, entropy);
    Some(Judged {
        score,
        domain,
        label,
        entropy,
        carries_data: false,
    })
}

/// What stands in front of the registered domain, and that.
fn parted(name: &str) -> Option<(&str, &str)> {
    let mut dots = name.rmatch_indices('.').map(|(at, _)| at);
    let (last, before) = (dots.next()?, dots.next());
    let second = &name[before.map_or(0, |at| at + 1)..last];
    let is_second = SECOND.contains(&second.to_ascii_lowercase().as_str());
    let is_country = name.len() - last == 3;
    let start = match before {
        Some(_) if is_second && is_country => dots.next(),
        before => before,
    };
    match start {
        Some(at) => Some((&name[..at], &name[at + 1..])),
        None => Some(("", name)),
    }
}

fn carried<'n>(front: &'n str, domain: &'n str) -> Option<Judged<'n>> {
    let label = front.split('.').max_by_key(|label| label.len())?;
    let bytes = front.bytes().filter(|byte| *byte != b'.').count();
    if bytes < CARRIED_BYTES_MIN || label.len() < 24 {
        return None;
    }
    let entropy = entropy(label);
    let unlike = 1.0 - likeness(label);
    let of_length = ((bytes - CARRIED_BYTES_MIN) as f64 / 80.0).min(1.0);
    let is_hex = label.bytes().all(|byte| byte.is_ascii_hexdigit());
    let of_letters = match is_hex {
        true => 1.0,
        false => ((entropy - 3.2) / 1.2).clamp(0.0, 1.0),
    };
    let score = 0.45 * of_letters + 0.35 * unlike + 0.2 * of_length + 0.1;
    (score >= 0.7).then_some(Judged {
        score: score.min(1.0),
        domain,
        label,
        entropy,
        carries_data: true,
    })
}

fn made_up(label: &str, entropy: f64) -> f64 {
    let digits = label.bytes().filter(u8::is_ascii_digit).count();
    let digits = digits as f64 / label.len() as f64;
    // Years and numbers at the end are usual, digits among letters are not.
    let inside = label.as_bytes().windows(3).filter(|three| {
        three[1].is_ascii_digit()
            && three[0].is_ascii_alphabetic()
            && three[2].is_ascii_alphabetic()
    });
    let inside = (inside.count() as f64 / 2.0).min(1.0);
    let unlike = 1.0 - likeness(label);
    let consonants = (longest_consonants(label) as f64 - 3.0).clamp(0.0, 4.0) / 4.0;
    // As many bits as letters of such a number can have at most.
    let spread = entropy / (label.len() as f64).log2();
    let spread = ((spread - 0.75) / 0.2).clamp(0.0, 1.0);
    let length = ((label.len() as f64 - 8.0) / 8.0).clamp(0.0, 1.0);
    let hyphens = label.bytes().filter(|byte| *byte == b'-').count() as f64;
    let sum = -0.55
        + 1.35 * unlike
        + 0.35 * consonants
        + 0.25 * spread
        + 0.3 * length
        + 0.3 * inside
        + 0.2 * digits
        - 0.15 * hyphens.min(3.0);
    sum.clamp(0.0, 1.0)
}

/// How like a written language pairs of letters are, from 0 to 1.
fn likeness(label: &str) -> f64 {
    let small = label.as_bytes().windows(2);
    let small = small.map(|pair| (pair[0].to_ascii_lowercase(), pair[1].to_ascii_lowercase()));
    let (mut sum, mut count) = (0.0, 0.0);
    for (first, second) in small {
        if first == b'-' || second == b'-' {
            continue;
        }
        sum += usual(first, second);
        count += 1.0;
    }
    match count > 0.0 {
        true => sum / count,
        false => 0.0,
    }
}

fn longest_consonants(label: &str) -> usize {
    let (mut longest, mut run) = (0, 0);
    for byte in label.bytes() {
        let is_consonant = byte.is_ascii_alphabetic() && !b"aeiouyAEIOUY".contains(&byte);
        run = if is_consonant { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// Bits a letter.
fn entropy(label: &str) -> f64 {
    let mut counts = [0_u32; 128];
    for byte in label.bytes() {
        counts[usize::from(byte.to_ascii_lowercase() & 127)] += 1;
    }
    let length = label.len() as f64;
    let counts = counts.iter().filter(|count| **count > 0);
    let bits = counts.map(|count| {
        let part = f64::from(*count) / length;
        -part * part.log2()
    });
    bits.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(name: &str) -> f64 {
        judge(name, &Ignored::default()).map_or(0.0, |judged| judged.score)
    }

    #[test]
    fn names_of_people_score_low() {
        let names = [
            "wikipedia.org",
            "stackoverflow.com",
            "rust-lang.org",
            "washingtonpost.com",
            "microsoft.com",
            "kubernetes.io",
            "theguardian.com",
            "booking.com",
            "instagram.com",
            "opentelemetry.io",
            "nationalgeographic.com",
            "letsencrypt.org",
            "elasticsearch.co",
            "weather-forecast-berlin.example",
            "bundesregierung.de",
            "hashicorp.com",
            "digitalocean.com",
            "postgresql.org",
            "sourceforge.net",
            "cloudflare.com",
            "northwestern.edu",
            "springboardretail.com",
            "amazonvideo.com",
            "googleusercontent.com",
            "slack-edge.com",
        ];
        for name in names {
            assert!(score(name) < 0.7, "{name}: {}", score(name));
        }
    }

    #[test]
    fn names_of_programs_score_high() {
        let names = [
            "xjwqkzvbtrp.com",
            "qv8x2kzt9wplm4.net",
            "kq3v9z7xw1bd.info",
            "vhgzqxkjwmtr.ru",
            "lkjsdfhgqwpzxv.biz",
            "nmzxcvqpwkdj.co.uk",
            "a8f3k2q9x7z1b5.com",
            "ggxzqwvkplmrtd.org",
            "bqwkxzjhvtpfmd.top",
        ];
        for name in names {
            assert!(score(name) >= 0.8, "{name}: {}", score(name));
        }
    }

    #[test]
    fn domains_are_parted() {
        assert_eq!(parted("a.b.example.co.uk"), Some(("a.b", "example.co.uk")));
        assert_eq!(parted("a.example.com"), Some(("a", "example.com")));
        assert_eq!(parted("example.com"), Some(("", "example.com")));
        assert_eq!(parted("co.uk"), Some(("", "co.uk")));
        assert_eq!(parted("localhost"), None);
    }

    #[test]
    fn domains_are_ignored_as_a_whole() {
        let ignored: Ignored = ["Example.com"].into_iter().collect();
        assert!(ignored.has("example.com") && ignored.has("a.EXAMPLE.com"));
        assert!(!ignored.has("notexample.com") && !ignored.has("com"));
    }
}
