//! {{description}}
//!
//! Finds calls of somebody from an address that this somebody did not call from before. The first address of each is taken
//! for granted.

use std::collections::{BTreeSet, VecDeque};
use tripline_plugin::{
    Batch, Detector, Fault, Hit, Severity, StatefulDetector, export_stateful_detector, fields,
};

fields! {
    /// `reads` in plugin.toml, in the same order.
    struct Reads {
        arn: symbol,
        source_address: text,
    }
}

/// How `save` begins: what older versions saved is known by it.
const FORM: &str = "1";

/// Who, and from where.
type Seen = (String, String);

/// Everything that is remembered has a bound: a plugin whose memory grows with the events comes to its limit one day.
#[derive(Default)]
struct Plugin {
    addresses_max: usize,
    seen: BTreeSet<Seen>,
    /// The same, the oldest first.
    order: VecDeque<Seen>,
}

impl Plugin {
    /// Whether somebody is known, and this is another address.
    fn is_new(&self, seen: &Seen) -> bool {
        let first = (seen.0.clone(), String::new());
        let is_known = self.seen.range(first..).next().is_some_and(|one| one.0 == seen.0);
        is_known && !self.seen.contains(seen)
    }

    fn remember(&mut self, seen: Seen) {
        if !self.seen.insert(seen.clone()) {
            return;
        }
        self.order.push_back(seen);
        while self.order.len() > self.addresses_max {
            if let Some(oldest) = self.order.pop_front() {
                self.seen.remove(&oldest);
            }
        }
    }
}

impl Detector for Plugin {
    fn configure(&mut self, config: &str) -> Result<(), Fault> {
        let config: serde_json::Value = serde_json::from_str(config)
            .map_err(|error| Fault::invalid_config(error.to_string()))?;
        let most = config["addresses_max"].as_u64();
        let most = most.filter(|most| (1..=100_000).contains(most));
        let most = most
            .ok_or_else(|| Fault::invalid_config("`addresses_max` is no number from 1 to 100,000"))?;
        self.addresses_max = most as usize;
        Ok(())
    }

    /// The rows come in the order of the stream. How they are cut into batches must make no difference.
    fn detect(&mut self, batch: &Batch<'_>) -> Result<Vec<Hit>, Fault> {
        let reads = Reads::of(batch)?;
        let mut hits = Vec::new();
        for row in batch.rows() {
            let (Some(arn), Some(address)) =
                (reads.arn.get(row), reads.source_address.get(row))
            else {
                continue;
            };
            let seen = (arn.to_owned(), address.to_owned());
            if self.is_new(&seen) {
                let title = format!("{arn} calls from {address} for the first time");
                let hit = Hit::new(row, Severity::Medium, title).dedup_key(format!("{arn} {address}"));
                hits.push(hit.evidence("address", address));
            }
            self.remember(seen);
        }
        Ok(hits)
    }
}

impl StatefulDetector for Plugin {
    fn save(&self) -> Result<Vec<u8>, Fault> {
        let saved = serde_json::to_vec(&(FORM, &self.order));
        saved.map_err(|error| Fault::internal(error.to_string()))
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), Fault> {
        let (form, order): (String, Vec<Seen>) = serde_json::from_slice(state)
            .map_err(|error| Fault::unsupported(error.to_string()))?;
        if form != FORM {
            return Err(Fault::unsupported(format!("the form `{form}` is not known")));
        }
        order.into_iter().for_each(|seen| self.remember(seen));
        Ok(())
    }
}

export_stateful_detector!(Plugin);

#[cfg(test)]
mod tests {
    use super::*;
    use tripline_plugin::Columns;

    fn started(addresses_max: u32) -> Plugin {
        let mut plugin = Plugin::default();
        plugin
            .configure(&format!("{{\"addresses_max\": {addresses_max}}}"))
            .expect("it is a number");
        plugin
    }

    /// The rows with a hit.
    fn found(plugin: &mut Plugin, calls: &[(&str, &str)]) -> Vec<u32> {
        let bytes = Columns::new(calls.len())
            .with_symbol(calls.iter().map(|(arn, _)| Some(*arn)))
            .with_text(calls.iter().map(|(_, address)| Some(*address)))
            .pack();
        let batch = Batch::read(&bytes).expect("the batch is sound");
        let hits = plugin.detect(&batch).expect("nothing fails");
        hits.iter().map(|hit| hit.row).collect()
    }

    #[test]
    fn another_address_is_found_once_also_after_a_restart() {
        let mut plugin = started(10);
        assert_eq!(found(&mut plugin, &[("alice", "a"), ("bob", "b"), ("alice", "b")]), [2]);
        let saved = plugin.save().expect("it is saved");
        let mut plugin = started(10);
        plugin.restore(&saved).expect("it is restored");
        assert_eq!(found(&mut plugin, &[("alice", "b"), ("bob", "a"), ("carol", "a")]), [1]);
        assert!(plugin.restore(b"something else").is_err());
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut plugin = started(2);
        found(&mut plugin, &[("alice", "a"), ("bob", "a"), ("carol", "a")]);
        assert_eq!(plugin.order.len(), 2);
        assert_eq!(found(&mut plugin, &[("alice", "b"), ("carol", "b")]), [1]);
    }
}
