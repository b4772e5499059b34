//! All engines on a sample of the events, before anything is timed: speed never buys wrong answers.

use tripline_benches::linear;
use tripline_benches::set::Flavour;
use tripline_benches::stress::Stress;

use crate::Bench;
use crate::ours::{self, Scan};
use crate::peers::{Cel, Sigma};
use crate::report::{Table, count as count_text};

impl Bench {
    /// Every engine must find the same matches before anything is timed.
    pub(crate) fn agreement(&self) -> Table {
        let mut table = Table::new(
            "agreement (10,000 rules)",
            &[
                "set", "events", "matches", "Tripline", "linear", "cel", "rsigma",
            ],
        );
        let step = self.corpus.len() / self.round.agreement_events;
        for flavour in Flavour::ALL {
            let rules = self.rules(flavour, 10_000);
            let set = ours::rule_set(&rules);
            let (cel, sigma) = (
                Cel::compile(&rules),
                Sigma::compile(&rules).expect("Sigma has all of it"),
            );
            let mut scan = Scan::new(&set);
            let (mut matches, mut events) = (0, 0_usize);
            for (number, bytes) in self.corpus.iter().step_by(step).enumerate() {
                let event: serde_json::Value = serde_json::from_slice(bytes).expect("JSON");
                let expected: Vec<usize> = (0..rules.len())
                    .filter(|rule| linear::matches(&rules[*rule], &event))
                    .collect();
                let (found, undecided) = scan.matches(bytes);
                assert_eq!(found, expected, "Tripline on {event}");
                assert_eq!(undecided, 0, "no rule may be left undecided on {event}");
                assert_eq!(sigma.count(bytes), expected.len(), "rsigma on {event}");
                if number.is_multiple_of(4) {
                    let by_cel: Vec<usize> = cel.matches(&event).collect();
                    assert_eq!(by_cel, expected, "cel on {event}");
                }
                matches += expected.len();
                events += 1;
            }
            let same = || "same".to_owned();
            let by_cel = format!("same on {}", events / 4);
            let cells = vec![
                count_text(events),
                count_text(matches),
                same(),
                same(),
                by_cel,
                same(),
            ];
            table.row([vec![flavour.as_str().to_owned()], cells].concat());
        }
        self.agreement_under_stress(&mut table);
        table
    }

    /// The stress family: against the linear matcher, and against `cel` where it knows no regular expressions.
    fn agreement_under_stress(&self, table: &mut Table) {
        let step = self.corpus.len() / self.round.agreement_events;
        for stress in Stress::ALL {
            let by_cel = stress == Stress::Regex;
            let count = if by_cel { 300 } else { 10_000 };
            let rules = stress.rules(&self.vocabulary, count, 5);
            let set = ours::rule_set(&rules);
            let cel = by_cel.then(|| Cel::compile(&rules));
            let mut scan = Scan::new(&set);
            let (mut matches, mut events) = (0, 0_usize);
            for bytes in self.corpus.iter().step_by(step) {
                let event: serde_json::Value = serde_json::from_slice(bytes).expect("JSON");
                let expected: Vec<usize> = match &cel {
                    Some(cel) => cel.matches(&event).collect(),
                    None => (0..rules.len())
                        .filter(|rule| linear::matches(&rules[*rule], &event))
                        .collect(),
                };
                assert_eq!(
                    scan.matches(bytes).0,
                    expected,
                    "{} on {event}",
                    stress.as_str()
                );
                matches += expected.len();
                events += 1;
            }
            let (same, unasked) = (|| "same".to_owned(), || "–".to_owned());
            let against = if by_cel {
                [unasked(), same()]
            } else {
                [same(), unasked()]
            };
            let name = format!("{} ({})", stress.as_str(), count_text(count));
            let counted = [name, count_text(events), count_text(matches), same()];
            table.row([counted.to_vec(), against.to_vec(), vec![unasked()]].concat());
        }
    }
}
