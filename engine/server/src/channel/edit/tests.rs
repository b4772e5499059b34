//! Files of channels as they are made and changed.

use super::super::Channel;
use super::super::destination::DestinationNames;
use super::{EditError, NewChannel, NewProof, finish, make, path_of, pause, replace, rotate};
use jiff::{SignedDuration, Timestamp};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A configuration that is not known, of which a channel may name anything.
static UNKNOWN: DestinationNames = DestinationNames::UNKNOWN;

fn new(id: &str, proof: NewProof) -> NewChannel<'_> {
    NewChannel {
        id,
        source: "billing",
        owner: "",
        account: "",
        destinations: (&[], &UNKNOWN),
        sender: "default",
        proof,
    }
}

fn text(folder: &Path, id: &str) -> String {
    std::fs::read_to_string(folder.join(format!("{id}.toml"))).expect("a file")
}

#[test]
fn every_way_to_prove_makes_a_sound_channel_and_shows_its_secret_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    for (id, proof, count) in [
        ("key", NewProof::Key, 1),
        ("standard", NewProof::StandardWebhooks, 1),
        ("github", NewProof::Github, 1),
        ("slack", NewProof::Slack, 1),
        ("stripe", NewProof::Stripe, 1),
        ("aws", NewProof::Sigv4, 2),
    ] {
        let shown = make(folder, &new(id, proof)).expect("made");
        assert_eq!(shown.len(), count);
        let secret = &shown.last().expect("a secret").text;
        assert!(secret.len() >= 40, "{secret}");
        assert!(!text(folder, id).contains(secret.as_str()), "{id}");
        Channel::read(&path_of(folder, id).expect("a path"), None).expect("sound");
        assert!(matches!(
            make(folder, &new(id, proof)),
            Err(EditError::Exists(_))
        ));
    }
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        if entry.file_name().to_string_lossy().ends_with(".secret") {
            let mode = entry.metadata().expect("there").permissions().mode();
            assert_eq!(mode & 0o077, 0, "{:?}", entry.file_name());
        }
    }
    for id in ["../evil", "a", "A-B", "a/b"] {
        assert!(
            matches!(make(folder, &new(id, NewProof::Key)), Err(EditError::Id(_))),
            "{id}"
        );
    }
}

#[test]
fn a_rotation_keeps_the_old_secret_for_a_while_and_comments_for_ever() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    make(folder, &new("billing", NewProof::Key)).expect("made");
    let with_comment = format!("# of the finance team\n{}", text(folder, "billing"));
    replace(folder, ("billing", &with_comment), &UNKNOWN).expect("replaced");
    let now: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
    let (first, second) = (
        rotate(
            folder,
            ("billing", "default"),
            SignedDuration::from_hours(24),
            now,
        )
        .expect("rotated"),
        rotate(
            folder,
            ("billing", "default"),
            SignedDuration::from_hours(1),
            now,
        )
        .expect("rotated"),
    );
    assert_ne!(first, second);
    let after = text(folder, "billing");
    assert!(after.contains("# of the finance team"), "{after}");
    assert_eq!(after.matches("sha256").count(), 3, "{after}");
    assert!(
        after.contains("2026-01-03T03:04:05Z") && after.contains("2026-01-02T04:04:05Z"),
        "{after}"
    );
    let third = rotate(folder, ("billing", "default"), SignedDuration::ZERO, now);
    assert!(
        matches!(third, Err(EditError::Grace { .. })),
        "a key that still counts is not dropped"
    );
    assert_eq!(finish(folder, ("billing", "default")).expect("finished"), 2);
    assert_eq!(text(folder, "billing").matches("sha256").count(), 1);
    make(folder, &new("hooks", NewProof::Github)).expect("made");
    rotate(folder, ("hooks", "default"), SignedDuration::ZERO, now).expect("rotated");
    let after = text(folder, "hooks");
    assert!(
        after.contains("\"hooks.default.2.secret\", \"hooks.default.1.secret\""),
        "{after}"
    );
    Channel::read(&path_of(folder, "hooks").expect("a path"), None).expect("sound");
    let unknown = rotate(folder, ("hooks", "nobody"), SignedDuration::ZERO, now);
    assert_eq!(
        unknown.expect_err("unknown").to_string(),
        "the channel \"hooks\" has no sender \"nobody\"; it has default"
    );
}

#[test]
fn a_broken_file_is_not_put_in_place_of_a_sound_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    make(folder, &new("billing", NewProof::Key)).expect("made");
    let before = text(folder, "billing");
    assert!(matches!(
        replace(folder, ("billing", "sorce = 1"), &UNKNOWN),
        Err(EditError::Channel(_))
    ));
    assert_eq!(text(folder, "billing"), before);
    pause(folder, "billing", true).expect("paused");
    assert!(text(folder, "billing").contains("paused = true"));
    assert!(matches!(
        pause(folder, "other", true),
        Err(EditError::Missing(_))
    ));
}
