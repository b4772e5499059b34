//! Findings of a size that every store and sink takes, whatever the events in them are like.
//!
//! A finding stands even if an event has a megabyte where a name should be: what is too long in it is cut or left out, and it
//! says so. Rejected: refusing such findings, which would give whoever writes events a way not to be found.

use crate::limits::{FINDING_CONTEXT_BYTES_MAX, FINDING_NOTES_MAX, FINDING_TEXT_BYTES_MAX};
use crate::wire::Finding;

/// The finding with everything in it within bounds.
pub(super) fn bounded(mut finding: Finding) -> Finding {
    let mut cut = 0;
    let mut texts: Vec<&mut String> = vec![&mut finding.title];
    texts.extend(&mut finding.dedup_key);
    texts.extend(
        finding
            .pattern
            .iter_mut()
            .flat_map(|pattern| &mut pattern.group),
    );
    texts.extend(&mut finding.notes);
    for text in texts {
        if text.len() > FINDING_TEXT_BYTES_MAX {
            let end = text.floor_char_boundary(FINDING_TEXT_BYTES_MAX - '…'.len_utf8());
            text.truncate(end);
            text.push('…');
            cut += 1;
        }
    }
    let context: usize = finding
        .context
        .iter()
        .map(|(name, value)| {
            name.len()
                + value
                    .as_str()
                    .map_or_else(|| value.to_string().len(), str::len)
        })
        .sum();
    if context > FINDING_CONTEXT_BYTES_MAX {
        finding.context.clear();
        finding.notes.insert(
            0,
            format!("the context is left out: it has {context} bytes"),
        );
    }
    if cut > 0 {
        finding.notes.insert(
            0,
            format!("{cut} texts are cut: they were longer than {FINDING_TEXT_BYTES_MAX} bytes"),
        );
    }
    let more = finding.notes.len().saturating_sub(FINDING_NOTES_MAX);
    if more > 0 {
        finding.notes.truncate(FINDING_NOTES_MAX);
        finding
            .notes
            .push(format!("{more} more notes are left out"));
    }
    finding
}

#[cfg(test)]
mod tests {
    use super::bounded;
    use crate::wire::Finding;

    #[test]
    fn a_finding_of_megabytes_becomes_one_of_kilobytes_and_says_so() {
        let long = "é".repeat(1 << 20);
        let text = format!(
            r#"{{"version":1,"finding_id":"f","rule_id":"r","rule_version":"v","rule_name":"n","severity":"low",
            "title":"{long}","dedup_key":["{long}","short"],"event_id":"e","context":{{"a":"{long}"}},
            "notes":["{long}"]}}"#
        );
        let finding: Finding = serde_json::from_str(&text).expect("a finding");
        let small = bounded(finding.clone());
        let written = serde_json::to_string(&small).expect("JSON");
        assert!(written.len() < 20_000, "{}", written.len());
        assert_eq!(small.dedup_key[1], "short");
        assert!(
            small.notes[0].starts_with("3 texts are cut"),
            "{:?}",
            small.notes[0]
        );
        assert!(
            small.notes[1].starts_with("the context is left out: it has 209"),
            "{:?}",
            small.notes[1]
        );
        assert!(bounded(small.clone()) == small, "once is enough");
    }
}
