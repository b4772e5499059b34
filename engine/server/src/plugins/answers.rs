//! The answers of plugins about the records of a batch.

use serde_json::{Map, Value};

use tripline_core::event::{Event, Facts, Parser, PluginFailure};
use tripline_core::limits::EVENT_BYTES_MAX;

/// What a plugin says of one record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RowAnswer {
    /// Facts, under `enrich`.
    Facts(Map<String, Value>),
    /// A hit, under `detect`.
    Hit(Map<String, Value>),
    /// A decision, under `policy`.
    Decision(Map<String, Value>),
    /// A detector that found nothing, or a policy without an opinion.
    Nothing,
    /// No answer, and why.
    Failed(String),
}

/// What all plugins say of one record.
#[derive(Default)]
struct Said {
    enrich: Map<String, Value>,
    detect: Map<String, Value>,
    policy: Map<String, Value>,
    failed: Vec<PluginFailure>,
}

/// The answers about the records of one batch.
#[derive(Default)]
pub(crate) struct Answers {
    said: Vec<Said>,
    /// Where each of those records begins in the buffer of the batch, in order; its answers as JSON, and failures.
    by_start: Vec<(usize, String, Vec<PluginFailure>)>,
}

impl Answers {
    /// Adds what a plugin says of a record.
    pub(super) fn add(&mut self, record: u32, plugin: &str, answer: RowAnswer) {
        let at = record as usize;
        if self.said.len() <= at {
            self.said.resize_with(at + 1, Said::default);
        }
        let said = &mut self.said[at];
        match answer {
            RowAnswer::Facts(facts) => {
                said.enrich.insert(plugin.to_owned(), Value::Object(facts));
            }
            RowAnswer::Hit(hit) => {
                said.detect.insert(plugin.to_owned(), Value::Object(hit));
            }
            RowAnswer::Decision(decision) => {
                said.policy
                    .insert(plugin.to_owned(), Value::Object(decision));
            }
            RowAnswer::Nothing => {}
            RowAnswer::Failed(reason) => said.failed.push(PluginFailure {
                plugin: plugin.to_owned(),
                reason,
            }),
        }
    }

    /// Says where the records begin, by their numbers. Records come in the order of the buffer.
    pub(super) fn finish(&mut self, places: &[(usize, usize)]) {
        let said = std::mem::take(&mut self.said).into_iter();
        let rendered = said.zip(places).map(|(said, (start, _))| {
            let Said {
                enrich,
                detect,
                policy,
                mut failed,
            } = said;
            let parts = [("enrich", enrich), ("detect", detect), ("policy", policy)];
            let plugins = parts.iter().flat_map(|(_, part)| part.keys().cloned());
            let plugins: Vec<String> = plugins.collect();
            let parts = parts.map(|(name, part)| (name.to_owned(), Value::Object(part)));
            let json = Value::Object(parts.into_iter().collect()).to_string();
            if json.len() <= EVENT_BYTES_MAX {
                return (*start, json, failed);
            }
            // Each is bounded, so these are very many; none is left out unsaid.
            failed.extend(plugins.into_iter().map(|plugin| PluginFailure {
                plugin,
                reason:
                    "the answers of all plugins about the event are too long together".to_owned(),
            }));
            (*start, "{}".to_owned(), failed)
        });
        self.by_start = rendered.collect();
    }

    /// The event of the record that begins there, with the answers about it beside it.
    pub(crate) fn beside<'e>(
        &'e self,
        event: Event<'e>,
        start: usize,
        parser: &'e mut Parser,
    ) -> Event<'e> {
        let Some((json, failed)) = self.of(start) else {
            return event;
        };
        match parser.parse(json.as_bytes()) {
            Ok(answers) => event.with_facts(Facts::new(answers.root(), failed)),
            Err(_) => event,
        }
    }

    /// The answers about the record that begins there.
    pub(crate) fn of(&self, start: usize) -> Option<(&str, &[PluginFailure])> {
        let at = self
            .by_start
            .binary_search_by_key(&start, |one| one.0)
            .ok()?;
        let (_, json, failed) = &self.by_start[at];
        Some((json, failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody is left out unsaid, however much all of them say.
    #[test]
    fn answers_that_do_not_fit_together_are_failures_of_all() {
        let mut answers = Answers::default();
        let long = Value::String("x".repeat(EVENT_BYTES_MAX / 2));
        for plugin in ["a", "b"] {
            let said = Map::from_iter([("text".to_owned(), long.clone())]);
            answers.add(0, plugin, RowAnswer::Facts(said));
        }
        answers.add(1, "a", RowAnswer::Facts(Map::new()));
        answers.finish(&[(0, 10), (10, 20)]);
        let (json, failed) = answers.of(0).expect("the first");
        let names: Vec<&str> = failed.iter().map(|one| one.plugin.as_str()).collect();
        assert_eq!((json, names), ("{}", vec!["a", "b"]));
        let (json, failed) = answers.of(10).expect("the second");
        assert!(json.contains("\"a\"") && failed.is_empty(), "{json}");
    }
}
