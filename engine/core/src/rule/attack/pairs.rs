//! Tactics and techniques that are tagged apart, as Sigma does (`attack.persistence`, `attack.t1098`), in pairs.

use super::{Known, known, matrix};

/// A pair for every technique among the tags: with a tactic of the tags that it serves, else with any that it serves,
/// else with the first of the tags. A tactic alone makes no pair.
pub(crate) fn attack_pairs(tags: &[String]) -> Vec<(String, String)> {
    let words = tags.iter().filter_map(|tag| tag.strip_prefix("attack."));
    let (mut tactics, mut techniques): (Vec<Known>, Vec<String>) = Default::default();
    for word in words {
        let technique = word.to_ascii_uppercase();
        if technique.starts_with('T') && technique[1..].starts_with(|c: char| c.is_ascii_digit()) {
            techniques.push(technique);
        } else {
            tactics.extend(tactic_named(word));
        }
    }
    let mut pairs = Vec::new();
    for technique in techniques {
        let found = known(&technique).filter(|known| !known.is_tactic());
        let tactic = match found {
            Some(found) => tactics
                .iter()
                .find(|tactic| found.serves(tactic.id))
                .map(|tactic| tactic.id)
                .or_else(|| found.tactics.split(' ').next()),
            None => tactics.first().map(|tactic| tactic.id),
        };
        let pair = tactic.map(|tactic| (tactic.to_owned(), technique.clone()));
        let sound = pair.filter(|(tactic, technique)| {
            super::split_tag(&format!("{tactic}/{technique}")).is_some()
        });
        pairs.extend(sound.filter(|pair| !pairs.contains(pair)));
    }
    pairs
}

/// The tactic of a name such as `defense-evasion`.
fn tactic_named(word: &str) -> Option<Known> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], " ");
    let wanted = plain(word);
    matrix().find(|known| known.is_tactic() && plain(known.name) == wanted)
}

#[cfg(test)]
mod tests {
    use super::attack_pairs;

    #[test]
    fn techniques_find_their_tactics() {
        let check = |tags: &[&str], expected: &[&str]| {
            let tags: Vec<String> = tags.iter().map(|tag| tag.to_string()).collect();
            let pairs: Vec<String> = attack_pairs(&tags)
                .into_iter()
                .map(|(tactic, technique)| format!("{tactic}/{technique}"))
                .collect();
            assert_eq!(pairs, expected, "{tags:?}");
        };
        check(
            &["attack.defense_evasion", "attack.t1562.008"],
            &["TA0005/T1562.008"],
        );
        check(
            &["attack.impact", "attack.t1562.008"],
            &["TA0005/T1562.008"],
        );
        check(
            &["attack.t1098.001", "attack.persistence"],
            &["TA0003/T1098.001"],
        );
        check(&["attack.persistence", "cve.2021-1"], &[]);
        check(&["attack.impact", "attack.t9999"], &["TA0040/T9999"]);
        check(&["attack.t12", "attack.g0001", "attack."], &[]);
    }
}
