//! What ATT&CK knows: tactics, and the techniques that make sense in a cloud.
//!
//! A data file of public facts, so that a slip in an id is seen when the rule is read. A rule may still use an
//! id the file does not have (a newer matrix): that is a warning, never an error. Read once per process: every
//! tag of ten thousand rules is looked up in it.

mod coverage;
mod pairs;

pub use coverage::{Coverage, TacticCoverage, TechniqueCoverage, coverage};
pub(crate) use pairs::attack_pairs;

use crate::diagnostic::did_you_mean;
use std::sync::OnceLock;

const MATRIX: &str = include_str!("matrix.tsv");

/// One tactic or technique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// `TA0005` or `T1562.008`.
    pub(super) id: &'static str,
    /// Its name in English; a sub-technique's own part only.
    pub(super) name: &'static str,
    /// The tactics of a technique, separated by blanks; none for a tactic.
    tactics: &'static str,
}

impl Known {
    pub(super) fn is_tactic(&self) -> bool {
        self.tactics.is_empty()
    }

    pub(super) fn serves(&self, tactic: &str) -> bool {
        self.tactics.split(' ').any(|one| one == tactic)
    }
}

/// Everything in the file: tactics in matrix order, then techniques by id.
pub(super) fn matrix() -> impl Iterator<Item = Known> + Clone {
    table().iter().copied()
}

/// The tactic or technique of this id.
pub(super) fn known(id: &str) -> Option<Known> {
    let table = table();
    let tactics = table.partition_point(Known::is_tactic);
    let (tactics, techniques) = table.split_at(tactics);
    let technique = techniques.binary_search_by(|known| known.id.cmp(id));
    let technique = technique.ok().and_then(|at| techniques.get(at));
    technique
        .or_else(|| tactics.iter().find(|known| known.id == id))
        .copied()
}

fn table() -> &'static [Known] {
    static TABLE: OnceLock<Vec<Known>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let lines = MATRIX.lines().filter(|line| !line.starts_with('#'));
        let known = lines.filter_map(|line| {
            let mut cells = line.split('\t');
            Some(Known {
                id: cells.next()?,
                name: cells.next()?,
                tactics: cells.next()?,
            })
        });
        known.collect()
    })
}

/// What is questionable about a tag, and the tag that was probably meant.
pub(super) struct Mistake {
    pub(super) message: String,
    pub(super) instead: Option<String>,
}

/// The tactic and the technique of a tag, when it looks like one.
pub(super) fn split_tag(text: &str) -> Option<(&str, &str)> {
    let (tactic, technique) = text.split_once('/')?;
    let digits = |text: &str, count: usize| {
        text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let tactic_good = tactic
        .strip_prefix("TA")
        .is_some_and(|rest| digits(rest, 4));
    let number = technique.strip_prefix('T')?;
    let technique_good = match number.split_once('.') {
        Some((parent, part)) => digits(parent, 4) && digits(part, 3),
        None => digits(number, 4),
    };
    (tactic_good && technique_good).then_some((tactic, technique))
}

/// Compares a tag with the matrix.
pub(super) fn mistake_in(tactic: &str, technique: &str) -> Option<Mistake> {
    let tactics = || matrix().filter(Known::is_tactic).map(|known| known.id);
    let techniques = || matrix().filter(|known| !known.is_tactic());
    if !known(tactic).is_some_and(|known| known.is_tactic()) {
        let near = did_you_mean(tactic, tactics()).map(|near| format!("{near}/{technique}"));
        let message = format!("ATT&CK has no tactic `{tactic}` that we know of");
        return Some(Mistake {
            message,
            instead: near,
        });
    }
    let Some(found) = known(technique).filter(|known| !known.is_tactic()) else {
        let parent = technique.split('.').next().unwrap_or(technique);
        let siblings = techniques().filter(|known| known.id.starts_with(parent));
        let same_tactic = techniques().filter(|known| known.serves(tactic));
        let near = did_you_mean(technique, siblings.map(|known| known.id))
            .or_else(|| did_you_mean(technique, same_tactic.map(|known| known.id)));
        let message = format!("ATT&CK has no cloud technique `{technique}` that we know of");
        return Some(Mistake {
            message,
            instead: near.map(|near| format!("{tactic}/{near}")),
        });
    };
    if found.serves(tactic) {
        return None;
    }
    let message = format!(
        "{technique} ({}) does not belong to the tactic {tactic}",
        found.name
    );
    let right = found
        .tactics
        .split(' ')
        .next()
        .map(|tactic| format!("{tactic}/{technique}"));
    Some(Mistake {
        message,
        instead: right,
    })
}

#[cfg(test)]
mod tests {
    use super::{matrix, mistake_in, split_tag};

    fn check(tag: &str, expected: &str) {
        let said = match split_tag(tag) {
            None => "no tag".to_owned(),
            Some((tactic, technique)) => match mistake_in(tactic, technique) {
                None => "good".to_owned(),
                Some(mistake) => {
                    format!(
                        "{} -> {}",
                        mistake.message,
                        mistake.instead.unwrap_or_default()
                    )
                }
            },
        };
        assert_eq!(said, expected, "{tag}");
    }

    #[test]
    fn tags_are_compared_with_the_matrix() {
        check("TA0005/T1562.008", "good");
        check("TA0040/T1485", "good");
        check("T1485", "no tag");
        check("TA005/T1485", "no tag");
        check("TA0005/T156é", "no tag");
        check("TA0005/T1562.08", "no tag");
        check(
            "TA0405/T1562",
            "ATT&CK has no tactic `TA0405` that we know of -> TA0005/T1562",
        );
        check(
            "TA0005/T1562.098",
            "ATT&CK has no cloud technique `T1562.098` that we know of -> TA0005/T1562.008",
        );
        check(
            "TA0010/T1485",
            "T1485 (Data Destruction) does not belong to the tactic TA0010 -> TA0040/T1485",
        );
    }

    #[test]
    fn the_matrix_is_well_formed() {
        let tactics: Vec<&str> = matrix()
            .filter(|known| known.is_tactic())
            .map(|known| known.id)
            .collect();
        assert_eq!(tactics.len(), 14);
        let mut last = "";
        for known in matrix().filter(|known| !known.is_tactic()) {
            assert!(known.id > last, "{} is out of order", known.id);
            assert!(
                known
                    .tactics
                    .split(' ')
                    .all(|tactic| tactics.contains(&tactic)),
                "{}",
                known.id
            );
            assert!(
                split_tag(&format!("TA0001/{}", known.id)).is_some(),
                "{}",
                known.id
            );
            last = known.id;
        }
    }
}
