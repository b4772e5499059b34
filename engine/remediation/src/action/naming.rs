//! Names, ids and ARNs: which ones are real, and how they are put together.
//!
//! What an event names is somebody else's text. It goes into requests and into what people read, so it is held against the
//! letters that AWS allows before anything is done with it.

use super::PlanFault;

/// How many letters of a foreign text are shown.
const SHOWN_MAX: usize = 120;
/// What a person reads in one line, in bytes.
const LINE_BYTES_MAX: usize = 512;

/// Whether a letter shows as what it is: none that a terminal acts on, or that turns the direction of what follows.
fn is_plain(letter: char) -> bool {
    letter.is_alphanumeric() || letter.is_ascii_graphic() || matches!(letter, ' ' | '…')
}

/// A foreign text for people: short, and without what a terminal would act on.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN_MAX)
        .map(|letter| if is_plain(letter) { letter } else { '?' })
        .collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

/// One line of at most 512 bytes.
pub(super) fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(LINE_BYTES_MAX));
    for letter in text.chars() {
        let letter = if is_plain(letter) { letter } else { ' ' };
        // Three bytes are kept for the mark that something is left out.
        if line.len() + letter.len_utf8() > LINE_BYTES_MAX - 3 {
            line.push('…');
            break;
        }
        line.push(letter);
    }
    line
}

fn checked<'a>(text: &'a str, is_it: bool, what: &str) -> Result<&'a str, PlanFault> {
    match is_it {
        true => Ok(text),
        false => Err(PlanFault::Refused(format!("{} is no {what}", shown(text)))),
    }
}

fn is_made_of(text: &str, more: &str, longest: usize) -> bool {
    let is_one = |byte: u8| byte.is_ascii_alphanumeric() || more.as_bytes().contains(&byte);
    !text.is_empty() && text.len() <= longest && text.bytes().all(is_one)
}

/// An account: 12 digits.
pub(super) fn account(text: &str) -> Result<&str, PlanFault> {
    let is_it = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    checked(text, is_it, "account")
}

/// An account as a whole. Not as its root user, who is protected: nothing could ever be done about an account then.
pub(super) fn account_arn(partition: &str, account: &str) -> String {
    format!("arn:{partition}:account::{account}:account")
}

/// A region, as `eu-central-1`.
pub(super) fn region(text: &str) -> Result<&str, PlanFault> {
    checked(text, is_made_of(text, "-", 40), "region")
}

/// The name of something of IAM.
pub(super) fn iam_name(text: &str) -> Result<&str, PlanFault> {
    checked(text, is_made_of(text, "_+=,.@-", 128), "name of IAM")
}

/// The name of an action in the journal. It becomes part of names, tags and tokens: tokens may be 64 letters long.
pub(super) fn action_id(text: &str) -> Result<&str, PlanFault> {
    checked(text, is_made_of(text, "_-", 44), "id of an action")
}

/// A name made of the letters that most services allow.
pub(super) fn plain_name(text: &str) -> Result<&str, PlanFault> {
    // Some names become part of a path, where two dots lead elsewhere.
    let is_it = is_made_of(text, "_.-/#:+=@", 512) && !text.contains("..");
    checked(text, is_it, "name")
}

/// An id of EC2 that begins with a prefix, as `sg-`.
pub(super) fn id<'a>(text: &'a str, prefix: &str) -> Result<&'a str, PlanFault> {
    let rest = text.strip_prefix(prefix);
    let is_it = rest.is_some_and(|rest| is_made_of(rest, "", 64));
    checked(text, is_it, &format!("id like {prefix}…"))
}

/// The name of a bucket.
pub(super) fn bucket(text: &str) -> Result<&str, PlanFault> {
    let is_it = is_made_of(text, ".-_", 255) && text.len() >= 3 && !text.contains("..");
    checked(text, is_it, "name of a bucket")
}

/// An ARN, of a service.
pub(super) fn arn<'a>(text: &'a str, service: &str) -> Result<&'a str, PlanFault> {
    let is_it = Arn::of(text).is_some_and(|arn| arn.service == service);
    checked(text, is_it, &format!("ARN of {service}"))
}

/// Parts of an ARN.
#[derive(Clone, Copy)]
pub(crate) struct Arn<'a> {
    pub(crate) service: &'a str,
    pub(crate) region: &'a str,
    pub(crate) account: &'a str,
    pub(crate) rest: &'a str,
}

impl<'a> Arn<'a> {
    /// The parts, when it is one and holds nothing odd.
    pub(crate) fn of(text: &'a str) -> Option<Self> {
        if text.len() > 2048 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let mut parts = text.splitn(6, ':');
        let is_arn = parts.next() == Some("arn") && parts.next()?.starts_with("aws");
        let arn = Self {
            service: parts.next()?,
            region: parts.next()?,
            account: parts.next()?,
            rest: parts.next()?,
        };
        (is_arn && !arn.rest.is_empty()).then_some(arn)
    }
}

/// The partition that a region is in.
pub(crate) fn partition(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// The region that answers for what is the same in all regions of a partition.
pub(super) fn home(region: &str) -> &'static str {
    match partition(region) {
        "aws-cn" => "cn-north-1",
        "aws-us-gov" => "us-gov-west-1",
        _ => "us-east-1",
    }
}

/// The name of a function, from the forms that Lambda takes: a name, `account:function:name`, an ARN, each with or without
/// a qualifier.
pub(crate) fn function(text: &str) -> Option<&str> {
    let rest = match text.split_once(":function:") {
        Some((_, rest)) => rest,
        None => text.strip_prefix("function:").unwrap_or(text),
    };
    let name = rest.split(':').next().unwrap_or_default();
    is_made_of(name, "_-", 140).then_some(name)
}
