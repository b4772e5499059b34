//! {{description}}
//!
//! Names that programs make up are more random than those that people choose.

use tripline_plugin::{Batch, Fault, Scorer, export_scorer, fields};

fields! {
    /// `reads` in plugin.toml, in the same order.
    struct Reads {
        session_name: text,
    }
}

#[derive(Default)]
struct Plugin {
    length_min: u64,
}

impl Scorer for Plugin {
    fn configure(&mut self, config: &str) -> Result<(), Fault> {
        let config: serde_json::Value = serde_json::from_str(config)
            .map_err(|error| Fault::invalid_config(error.to_string()))?;
        let length_min = config["length_min"].as_u64();
        self.length_min = length_min
            .ok_or_else(|| Fault::invalid_config("`length_min` is no number from 0 on"))?;
        Ok(())
    }

    /// One number a row, in the order of the rows. Without an opinion it is NaN.
    fn score(&mut self, batch: &Batch<'_>) -> Result<Vec<f64>, Fault> {
        let reads = Reads::of(batch)?;
        let score = |row| match reads.session_name.get(row) {
            Some(name) if name.len() as u64 >= self.length_min => entropy(name),
            _ => f64::NAN,
        };
        Ok(batch.rows().map(score).collect())
    }
}

export_scorer!(Plugin);

/// Bits a byte: 0 where all are the same, at most 8.
fn entropy(text: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in text.bytes() {
        counts[usize::from(byte)] += 1;
    }
    let length = text.len() as f64;
    let bits = counts.iter().filter(|count| **count > 0).map(|count| {
        let share = f64::from(*count) / length;
        -share * share.log2()
    });
    // A sum of nothing is -0.
    bits.sum::<f64>().max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tripline_plugin::Columns;

    #[test]
    fn what_is_more_random_has_a_higher_score() {
        let mut plugin = Plugin::default();
        plugin
            .configure(r#"{"length_min": 4}"#)
            .expect("it is a number");
        let bytes = Columns::new(4)
            .with_text([Some("aaaa"), Some("abcdefgh"), Some("abc"), None])
            .pack();
        let batch = Batch::read(&bytes).expect("the batch is sound");
        let scores = plugin.score(&batch).expect("nothing fails");
        assert_eq!(scores[..2], [0.0, 3.0]);
        assert!(scores[2..].iter().all(|score| score.is_nan()), "{scores:?}");
    }
}
