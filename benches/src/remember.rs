//! Rules that remember, as people write them: selectors on sources and names of operations, groups by principal,
//! account or address. Thresholds count what is common; what is about one thing happening at all (first seen, absence,
//! the end of a sequence, suppressed matches) is written for operations from the rarer half, as people do who read
//! what they are told.
//!
//! | share | what |
//! |---|---|
//! | 40 % | threshold: so many of one operation, of errors, or of different operations, by principal or address |
//! | 20 % | first seen: a principal, with or without its region, that never used an operation; a region that an account never used |
//! | 12 % | sequence: one operation after another, a third of them with the same parameter |
//! | 6 % | temporal: two operations in any order |
//! | 6 % | absence: an operation that another one should follow |
//! | 8 % | rare: an operation seldom used |
//! | 3 % | risk: detections of a hundred rules by principal |
//! | 5 % | one operation, its findings suppressed for an hour |

use std::collections::BTreeMap;

use tripline_core::sample::Random;

use crate::vocabulary::{Vocabulary, text};

/// The text of `count` rule files, by id. They take detections of rules called `rule-…`.
#[must_use]
pub fn remembering(vocabulary: &Vocabulary, count: usize, seed: u64) -> Vec<(String, String)> {
    let mut draw = Draw {
        vocabulary,
        rarer: rarer_half(vocabulary),
        random: Random::new(seed),
    };
    (0..count)
        .map(|number| {
            let id = format!("remembers-{number}");
            let head = format!(
                "id = \"{id}\"\nname = \"Remembers {number}\"\ndescription = \"Drawn for a benchmark.\"\n\
                 severity = \"low\"\nstatus = \"experimental\"\nsource = \"aws.cloudtrail\"\n"
            );
            let body = draw.body(number);
            (id, head + &body)
        })
        .collect()
}

const PRINCIPAL: &str = "'event.?userIdentity.?arn.orValue(\"\")'";
const GROUPS: [&str; 4] = [
    PRINCIPAL,
    PRINCIPAL,
    "'event.?sourceIPAddress.orValue(\"\")'",
    "'event.?recipientAccountId.orValue(\"\")'",
];

/// The half of the operations that are seen least often.
fn rarer_half(vocabulary: &Vocabulary) -> Vec<(String, String)> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for event in &vocabulary.events {
        let pair = (text(event, &["eventSource"]), text(event, &["eventName"]));
        if let (Some(source), Some(name)) = pair {
            *counts.entry((source, name)).or_default() += 1;
        }
    }
    let mut all: Vec<(usize, (&str, &str))> = counts
        .into_iter()
        .map(|(pair, count)| (count, pair))
        .collect();
    all.sort_unstable();
    all.truncate(all.len().div_ceil(2));
    let owned = |(_, (source, name)): (usize, (&str, &str))| (source.to_owned(), name.to_owned());
    all.into_iter().map(owned).collect()
}

struct Draw<'v> {
    vocabulary: &'v Vocabulary,
    /// Operations that are seldom seen.
    rarer: Vec<(String, String)>,
    random: Random,
}

impl Draw<'_> {
    fn body(&mut self, number: usize) -> String {
        match number % 100 {
            0..40 => self.threshold(number),
            40..60 => self.first_seen(number),
            60..72 => self.sequence(number),
            72..78 => {
                let (one, two) = (self.operation(), self.rare_operation());
                format!(
                    "group_by = [{PRINCIPAL}]\n[temporal]\nwithin = \"1h\"\n\
                     [[temporal.step]]\nname = \"one\"\nwhen = '''{one}'''\n\
                     [[temporal.step]]\nname = \"two\"\nwhen = '''{two}'''\n"
                )
            }
            78..84 => {
                let (one, two) = (self.rare_operation(), self.operation());
                format!(
                    "when = '''{one}'''\ngroup_by = [{PRINCIPAL}]\n[absence]\nwithin = \"1h\"\nof = '''{two}'''\n\
                     [suppress]\nwindow = \"1d\"\n"
                )
            }
            84..92 => {
                let source = self.source();
                format!(
                    "when = '''{source}'''\n[rare]\nof = ['event.eventName']\nwindow = \"30d\"\n\
                     fewer_than = 3\nlearning = \"3d\"\n[suppress]\nwindow = \"1d\"\n"
                )
            }
            92..95 => format!(
                "rules = [\"rule-{}*\"]\ngroup_by = [{PRINCIPAL}]\n[risk]\nthreshold = 200\nhalf_life = \"12h\"\n\
                 rule_score_max = 60\n",
                number % 9 + 1
            ),
            _ => format!(
                "when = '''{}'''\n[suppress]\nwindow = \"1h\"\n",
                self.rare_operation()
            ),
        }
    }

    fn threshold(&mut self, number: usize) -> String {
        let group = *self.random.one_of(&GROUPS);
        match number % 4 {
            0 | 1 => {
                let when = self.operation();
                format!(
                    "when = '''{when}'''\ngroup_by = [{group}]\n[threshold]\nwindow = \"10m\"\nis = \">= 20\"\n"
                )
            }
            2 => {
                let source = self.source();
                format!(
                    "when = '''{source} && event.?errorCode.orValue(\"\") in [\"AccessDenied\", \
                     \"Client.UnauthorizedOperation\", \"AccessDeniedException\"]'''\ngroup_by = [{group}]\n[threshold]\n\
                     window = \"5m\"\nmeasure = \"distinct\"\nof = 'event.eventName'\nis = \">= 5\"\n"
                )
            }
            _ => {
                let when = self.operation();
                format!(
                    "when = '''{when}'''\ngroup_by = [{PRINCIPAL}]\n[threshold]\nwindow = \"1h\"\n\
                     measure = \"distinct\"\nof = 'event.?sourceIPAddress.orValue(\"\")'\nis = \">= 3\"\n"
                )
            }
        }
    }

    fn first_seen(&mut self, number: usize) -> String {
        let (when, group, of) = match number % 4 {
            0 | 1 => (self.rare_operation(), "", PRINCIPAL.to_owned()),
            2 => (
                self.rare_operation(),
                "",
                format!("{PRINCIPAL}, 'event.awsRegion'"),
            ),
            _ => (
                self.source(),
                "'event.?recipientAccountId.orValue(\"\")'",
                "'event.awsRegion'".to_owned(),
            ),
        };
        format!(
            "when = '''{when}'''\ngroup_by = [{group}]\n[first_seen]\nof = [{of}]\nhistory = \"30d\"\n\
             learning = \"3d\"\n[suppress]\nwindow = \"1d\"\n"
        )
    }

    fn sequence(&mut self, number: usize) -> String {
        let (one, two) = (self.operation(), self.rare_operation());
        let same = match number % 3 {
            0 => " && event.?userAgent.orValue(\"\") == step.one.?userAgent.orValue(\"\")",
            _ => "",
        };
        format!(
            "group_by = [{PRINCIPAL}]\n[sequence]\nwithin = \"30m\"\n\
             [[sequence.step]]\nname = \"one\"\nwhen = '''{one}'''\n\
             [[sequence.step]]\nname = \"two\"\nwhen = '''{two}{same}'''\n"
        )
    }

    /// One operation.
    fn operation(&mut self) -> String {
        let (source, name) = self.random.one_of(&self.vocabulary.pairs);
        format!("event.eventSource == \"{source}\" && event.eventName == \"{name}\"")
    }

    /// One operation that is seldom seen.
    fn rare_operation(&mut self) -> String {
        let (source, name) = self.random.one_of(&self.rarer);
        format!("event.eventSource == \"{source}\" && event.eventName == \"{name}\"")
    }

    /// What changes something in one service.
    fn source(&mut self) -> String {
        let (source, _) = self.random.one_of(&self.vocabulary.pairs);
        format!("event.eventSource == \"{source}\" && event.?readOnly.orValue(false) == false")
    }
}
