//! The rule of the measurements, natively, and the events that it looks at. `guest/src/lib.rs` is the same for a plugin.

/// Five fields of an event, as text borrowed from it.
pub(crate) struct Row {
    pub(crate) event_name: String,
    pub(crate) error_code: Option<String>,
    pub(crate) mfa: Option<bool>,
    pub(crate) address: String,
    pub(crate) policy: Option<String>,
}

const ACTIONS: [&str; 8] = [
    "AttachUserPolicy",
    "AttachRolePolicy",
    "CreateAccessKey",
    "CreateLoginProfile",
    "DeleteTrail",
    "PutUserPolicy",
    "StopLogging",
    "UpdateAssumeRolePolicy",
];

const OTHERS: [&str; 12] = [
    "DescribeInstances",
    "GetObject",
    "AssumeRole",
    "ListBuckets",
    "PutObject",
    "GetCallerIdentity",
    "DescribeSecurityGroups",
    "Decrypt",
    "GetParameter",
    "RunInstances",
    "ListUsers",
    "CreateTags",
];

/// Whether an event is found.
pub(crate) fn finds(row: &Row) -> bool {
    is_sensitive(&row.event_name)
        && row.error_code.is_none()
        && is_bad(row.mfa, &row.address, row.policy.as_deref())
}

/// Whether it is about one of the actions, which most events are not.
#[inline(always)]
pub(crate) fn is_sensitive(name: &str) -> bool {
    ACTIONS.contains(&name)
}

/// Whether an action that succeeded is to be found.
#[inline(always)]
pub(crate) fn is_bad(mfa: Option<bool>, address: &str, policy: Option<&str>) -> bool {
    let outside = || !address.starts_with("10.");
    let admin = || policy.is_some_and(|one| one.ends_with("/AdministratorAccess"));
    mfa == Some(false) && (outside() || admin())
}

/// Rows in the shares of the measurements: one in eight is a sensitive action, three or four in a hundred are found.
pub(crate) fn rows(count: usize) -> Vec<Row> {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    let mut row = || {
        let is_sensitive = next(8) == 0;
        let event_name = match is_sensitive {
            true => ACTIONS[next(ACTIONS.len())],
            false => OTHERS[next(OTHERS.len())],
        };
        let address = match next(3) {
            0 => format!("198.51.100.{}", next(256)),
            _ => format!("10.{}.{}.{}", next(256), next(256), next(256)),
        };
        let policy = match next(3) {
            0 => "arn:aws:iam::aws:policy/AdministratorAccess",
            _ => "arn:aws:iam::aws:policy/ReadOnlyAccess",
        };
        Row {
            event_name: event_name.to_owned(),
            error_code: (next(10) == 0).then(|| "AccessDenied".to_owned()),
            mfa: (next(4) != 0).then(|| next(2) == 0),
            address,
            policy: is_sensitive.then(|| policy.to_owned()),
        }
    };
    (0..count).map(|_| row()).collect()
}
