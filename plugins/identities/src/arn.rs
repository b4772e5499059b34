//! Principals, as ARNs write them.

/// Keys that are tried for a principal.
pub(crate) const KEYS: usize = 3;

/// Who acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Principal<'e> {
    /// `user`, `role`, `root`, `federated`, `service` or `other`.
    pub(crate) kind: &'static str,
    pub(crate) account: &'e str,
    /// The last part of the path.
    pub(crate) name: &'e str,
    /// The name with its path.
    pub(crate) path: &'e str,
    pub(crate) partition: &'e str,
    /// Of a role: what the session was called.
    pub(crate) session: Option<&'e str>,
}

impl<'e> Principal<'e> {
    pub(crate) fn named(kind: &'static str, name: &'e str, account: &'e str) -> Self {
        Self {
            kind,
            account,
            name,
            path: name,
            partition: "aws",
            session: None,
        }
    }

    /// `arn:PARTITION:iam::ACCOUNT:user/PATH/NAME`, `arn:PARTITION:sts::ACCOUNT:assumed-role/NAME/SESSION` and the like.
    pub(crate) fn of_arn(arn: &'e str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':');
        let (is_arn, partition) = (parts.next()? == "arn", parts.next()?);
        let (_service, _region, account) = (parts.next()?, parts.next()?, parts.next()?);
        let resource = parts.next()?;
        if !is_arn || resource.is_empty() {
            return None;
        }
        let (kind, path) = match resource.split_once('/') {
            None if resource == "root" => ("root", "root"),
            None => ("other", resource),
            Some(("user", path)) => ("user", path),
            Some(("role", path)) => ("role", path),
            Some(("federated-user", path)) => ("federated", path),
            Some(("assumed-role", rest)) => {
                let (name, session) = match rest.split_once('/') {
                    Some((name, session)) => (name, Some(session)),
                    None => (rest, None),
                };
                let principal = Self::named("role", name, account);
                return Some(Self {
                    partition,
                    session,
                    ..principal
                });
            }
            Some((_, path)) => ("other", path),
        };
        let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
        Some(Self {
            kind,
            account,
            name,
            path,
            partition,
            session: None,
        })
    }

    /// The keys of the table under which it may be, the most exact one first.
    pub(crate) fn keys(&self) -> [String; KEYS] {
        let Self {
            account,
            name,
            path,
            partition,
            ..
        } = self;
        let exact = match self.kind {
            kind @ ("user" | "role") => format!("arn:{partition}:iam::{account}:{kind}/{path}"),
            "root" => format!("arn:{partition}:iam::{account}:root"),
            _ => format!("{account}/{path}"),
        };
        [exact, format!("{account}/{name}"), (*name).to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arn: &str, expected: Option<(&str, &str, Option<&str>)>) {
        let principal = Principal::of_arn(arn);
        let is = principal.map(|principal| (principal.kind, principal.name, principal.session));
        assert_eq!(is, expected, "{arn}");
    }

    #[test]
    fn arns() {
        check(
            "arn:aws:iam::1:user/a/b/alice",
            Some(("user", "alice", None)),
        );
        check(
            "arn:aws:sts::1:assumed-role/Ops/i-0",
            Some(("role", "Ops", Some("i-0"))),
        );
        check(
            "arn:aws:sts::1:assumed-role/Ops/a/b",
            Some(("role", "Ops", Some("a/b"))),
        );
        check("arn:aws:iam::1:root", Some(("root", "root", None)));
        check(
            "arn:aws:sts::1:federated-user/bob",
            Some(("federated", "bob", None)),
        );
        check("arn:aws:iam::1:user/", None);
        check("arn:aws:iam::1", None);
        check("urn:aws:iam::1:root", None);
    }

    #[test]
    fn a_session_has_the_keys_of_its_role() {
        let principal = Principal::of_arn("arn:aws-cn:sts::1:assumed-role/Ops/i-0");
        let keys = principal.expect("it is one").keys();
        assert_eq!(keys, ["arn:aws-cn:iam::1:role/Ops", "1/Ops", "Ops"]);
    }
}
