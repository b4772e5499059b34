//! Exemptions: what no policy touches, with whose word, why, and until when.

use jiff::civil::Date;
use serde::Deserialize;

/// One exemption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exempt {
    /// ARNs, or URNs of what is not AWS's; `*` stands for anything.
    pub arn: String,
    /// The policies that it is for; empty: all.
    pub policies: Vec<String>,
    /// Why.
    pub reason: String,
    /// Whose word it is.
    pub owner: String,
    /// The last day on which it holds, in UTC.
    pub expires: Date,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    arn: String,
    #[serde(default)]
    policies: Vec<String>,
    reason: Option<String>,
    owner: Option<String>,
    expires: Option<toml::value::Datetime>,
}

impl Written {
    pub(super) fn read(self) -> Result<Exempt, String> {
        let need = |what: Option<String>, name: &str| {
            what.filter(|text| !text.trim().is_empty())
                .ok_or(format!("the exemption of {} has no `{name}`", self.arn))
        };
        let expires = self.expires.and_then(|time| time.date).and_then(|date| {
            Date::new(
                i16::try_from(date.year).ok()?,
                i8::try_from(date.month).ok()?,
                i8::try_from(date.day).ok()?,
            )
            .ok()
        });
        let expires = expires.ok_or(format!(
            "the exemption of {} has no `expires`; give a day, as in `expires = 2027-03-01`",
            self.arn
        ))?;
        let reason = need(self.reason, "reason")?;
        let owner = need(self.owner, "owner")?;
        if !["arn:", "urn:"]
            .iter()
            .any(|start| self.arn.starts_with(start))
        {
            return Err(format!(
                "`{}` is no resource; it begins with `arn:`, or with `urn:` where it is none of AWS",
                self.arn
            ));
        }
        Ok(Exempt {
            arn: self.arn,
            policies: self.policies,
            reason,
            owner,
            expires,
        })
    }
}

impl Exempt {
    /// Whether it holds for a policy on a day, for what it is about.
    pub fn is_in_force(&self, policy: &str, today: Date) -> bool {
        let is_meant = self.policies.is_empty() || self.policies.iter().any(|one| one == policy);
        is_meant && today <= self.expires
    }

    /// Whether it holds for a policy and a resource on a day.
    pub fn holds(&self, policy: &str, arn: &str, today: Date) -> bool {
        self.is_in_force(policy, today) && glob(&self.arn, arn)
    }
}

/// Whether a text is like a pattern, in which `*` stands for anything. Linear in the text for each star.
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(mut last) = parts.next() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(last) {
            Some(place) => rest = &rest[place + last.len()..],
            None => return false,
        }
        last = part;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn stars_stand_for_anything() {
        let arn = "arn:aws:ec2:eu-west-1:123456789012:security-group/sg-0bastion1";
        assert!(glob(
            "arn:aws:ec2:*:123456789012:security-group/sg-0bastion*",
            arn
        ));
        assert!(glob("*", arn) && glob("*bastion*", arn) && glob(arn, arn));
        assert!(!glob(
            "arn:aws:ec2:*:123456789012:security-group/sg-0b",
            arn
        ));
        assert!(!glob("arn:aws:s3*", arn) && !glob("*bastion", arn) && !glob("", arn));
        assert!(glob("a*a", "aa") && !glob("a*a", "a") && !glob("a*ba*b", "aba"));
    }
}
