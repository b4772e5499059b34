//! What stands in the strings of manifests and operator files: names, versions, sizes, lengths of time.
//!
//! Pure: a text in, a value or nothing out. The reader says where and what was expected; the texts for that are here,
//! next to what they describe.

use std::fmt;

/// Longest part of a plugin's name, and longest name of a column, table, setting, metric or secret.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest path of a field: the longest of the CloudTrail schema is below 120.
pub const FIELD_PATH_BYTES_MAX: usize = 256;

pub(crate) const PLUGIN_NAME: &str =
    "`who/what` in small letters, digits and hyphens, such as `acme/geo`";
pub(crate) const VERSION: &str = "three whole numbers, such as `1.4.2`";
pub(crate) const SIZE: &str = "a whole number of B, KiB, MiB or GiB, such as `32MiB`";
pub(crate) const PERIOD: &str = "a whole number of ms, s, m, h or d, such as `50ms` or `7d`";
pub(crate) const WORD: &str = "small letters, digits and underscores, such as `default_country`";
pub(crate) const RULE_WORD: &str = "small letters, digits and underscores, such as `default_country`, and not `in`, `true`, \
     `false` or `null`, which conditions of rules read as something else";
pub(crate) const DASHED: &str = "small letters, digits, hyphens and underscores, such as `api-key`";
pub(crate) const OPERATION: &str =
    "a service, a dot and an operation of it, such as `ec2.DescribeInstances`";

/// Longest name of an operation; the longest of AWS are about 70.
pub(crate) const OPERATION_BYTES_MAX: usize = 128;

/// What a plugin is called: who made it, and what it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PluginName(String);

impl PluginName {
    /// The name of that text.
    pub fn new(text: &str) -> Option<Self> {
        let (who, what) = text.split_once('/')?;
        (is_hyphened(who) && is_hyphened(what)).then(|| Self(text.to_owned()))
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The version of a plugin. What comes before a release has none: it is not signed either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub [u32; 3]);

impl Version {
    /// The version of that text.
    pub fn new(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(whole);
        let version = [parts.next()??, parts.next()??, parts.next()??];
        parts.next().is_none().then_some(Self(version))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// Digits without a sign and without zeros in front.
fn whole(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_padded = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| is_plain && !is_padded)
}

/// `1.0` of the contract.
pub(crate) fn contract(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((whole(major)?, whole(minor)?))
}

fn is_hyphened(text: &str) -> bool {
    is_name(text, b"-") && !text.ends_with('-') && !text.contains("--")
}

fn is_name(text: &str, also: &[u8]) -> bool {
    let may_stand =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || also.contains(&byte);
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(may_stand)
}

/// The name of a setting or a metric.
pub(crate) fn word(text: &str) -> Option<String> {
    is_name(text, b"_").then(|| text.to_owned())
}

/// The name of a column or a plugin as conditions write it after a dot. What else CEL keeps for itself may stand there.
pub(crate) fn rule_word(text: &str) -> Option<String> {
    word(text).filter(|text| !["in", "true", "false", "null"].contains(&text.as_str()))
}

/// The name of a table or a secret.
pub(crate) fn dashed(text: &str) -> Option<String> {
    is_name(text, b"-_").then(|| text.to_owned())
}

/// An operation of a service, as `ec2.DescribeInstances`.
pub(crate) fn operation(text: &str) -> Option<String> {
    let (service, name) = text.split_once('.')?;
    let is_service = is_name(service, b"-");
    let is_name = name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (text.len() <= OPERATION_BYTES_MAX && is_service && is_name).then(|| text.to_owned())
}

/// A dotted path into an event.
pub(crate) fn is_field_path(text: &str) -> bool {
    let is_step = |step: &str| {
        let may_stand = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
        !step.is_empty() && step.bytes().all(may_stand)
    };
    text.len() <= FIELD_PATH_BYTES_MAX && text.split('.').all(is_step)
}

/// Bytes.
pub(crate) fn size(text: &str) -> Option<u64> {
    unit(
        text,
        &[
            ("B", 1),
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
        ],
    )
}

/// Milliseconds.
pub(crate) fn period(text: &str) -> Option<u64> {
    let (second, minute) = (1000, 60_000);
    let units = [
        ("ms", 1),
        ("s", second),
        ("m", minute),
        ("h", 60 * minute),
        ("d", 24 * 60 * minute),
    ];
    unit(text, &units)
}

fn unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// A size as people read it.
pub(crate) fn shown_size(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let fits = units
        .iter()
        .find(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor));
    fits.map_or(format!("{bytes}B"), |(name, factor)| {
        format!("{}{name}", bytes / factor)
    })
}

/// A length of time as people read it.
pub(crate) fn shown_period(ms: u64) -> String {
    let units = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
    ];
    let fits = units
        .iter()
        .find(|(_, factor)| ms != 0 && ms.is_multiple_of(*factor));
    fits.map_or(format!("{ms}ms"), |(name, factor)| {
        format!("{}{name}", ms / factor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_narrow() {
        let good = ["acme/geo", "a/b", "acme-2/priv-esc", "a1/b2"];
        for name in good {
            assert!(PluginName::new(name).is_some(), "{name}");
        }
        let long = format!("a/{}", "b".repeat(65));
        let bad = [
            "",
            "geo",
            "/geo",
            "acme/",
            "Acme/geo",
            "acme/ge_o",
            "acme/geo/x",
            "acme//geo",
            "1a/b",
            "a-/b",
            "a/-b",
            "a--b/c",
            "acme/gé",
            "../etc",
            "a/b\n",
            "a/b\0",
            &long,
        ];
        for name in bad {
            assert_eq!(PluginName::new(name), None, "{name}");
        }
    }

    #[test]
    fn versions_are_three_numbers() {
        let version = |text| Version::new(text).map(|version| version.0);
        assert_eq!(version("1.4.2"), Some([1, 4, 2]));
        assert!(Version::new("1.10.0") > Version::new("1.9.9"));
        for bad in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "1.2.x",
            "01.2.3",
            "1.2.-3",
            "1.2.3-rc.1",
            "+1.2.3",
            "1..2",
            "4294967296.0.0",
        ] {
            assert_eq!(version(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_and_periods_have_units() {
        assert_eq!(size("32MiB"), Some(32 << 20));
        assert_eq!(size("7B"), Some(7));
        assert_eq!(size("0KiB"), Some(0));
        for bad in [
            "",
            "32",
            "32MB",
            "32 MiB",
            "MiB",
            "-1MiB",
            "1.5MiB",
            "+1MiB",
            "18446744073709551615GiB",
            "99999999999999999999B",
        ] {
            assert_eq!(size(bad), None, "{bad}");
        }
        assert_eq!(period("50ms"), Some(50));
        assert_eq!(period("7d"), Some(7 * 86_400_000));
        for bad in [
            "",
            "50",
            "50 ms",
            "ms",
            "1w",
            "-1s",
            "1h30m",
            "99999999999999999999d",
        ] {
            assert_eq!(period(bad), None, "{bad}");
        }
        assert_eq!(
            (shown_size(32 << 20), shown_size(0), shown_size(1025)),
            ("32MiB".into(), "0B".into(), "1025B".into())
        );
        assert_eq!(
            (shown_period(7 * 86_400_000), shown_period(50)),
            ("7d".into(), "50ms".into())
        );
    }

    #[test]
    fn field_paths_are_steps() {
        for good in [
            "eventName",
            "userIdentity.arn",
            "requestParameters.x-amz-acl",
            "a.b.0",
        ] {
            assert!(is_field_path(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a b",
            "a\"b",
            "a\u{202e}b",
            "é",
        ] {
            assert!(!is_field_path(bad), "{bad}");
        }
    }
}
