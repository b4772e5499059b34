//! Any bytes as the body of `PutAuditEvents`: reading never panics, ids are told apart, and what is taken is an object of this account.

use crate::channel::decode::audit_events::{self, Around};
use std::collections::BTreeSet;
use tripline_core::event::{Kind, Parser};

const ACCOUNT: &str = "111122223333";

/// Holds the input to the claims above.
pub(crate) fn run(bytes: &[u8]) {
    let around = Around {
        arn: "arn:aws:cloudtrail:eu-central-1:111122223333:channel/billing",
        region: "eu-central-1",
        account: ACCOUNT,
        time: "2026-01-01T00:00:00Z",
    };
    let Ok(entries) = audit_events::read(bytes, &around) else {
        return;
    };
    assert!((1..=100).contains(&entries.len()));
    let ids: BTreeSet<&String> = entries.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), entries.len());
    for (id, entry) in &entries {
        assert!((1..=128).contains(&id.len()));
        let Ok(body) = &entry.body else { continue };
        let mut parser = Parser::new();
        let document = parser.parse(body).expect("it was looked into");
        let root = document.root();
        assert_eq!(root.kind(), Kind::Object);
        let account = root.get("recipientAccountId").and_then(|one| one.as_text());
        assert!(account.is_some_and(|account| account.eq_str(ACCOUNT)));
    }
}
