//! Tables, as Markdown.

use std::fmt::Write as _;

/// One table.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, head: &[&str]) -> Self {
        let head = head.iter().map(|text| (*text).to_owned()).collect();
        Self {
            title: title.into(),
            head,
            rows: Vec::new(),
        }
    }

    /// Adds a row, and shows it at once to whoever waits.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        eprintln!("{}: {}", self.title, cells.join(" | "));
        self.rows.push(cells);
    }

    pub(crate) fn to_markdown(&self) -> String {
        let mut text = format!("\n### {}\n\n| {} |\n|", self.title, self.head.join(" | "));
        for _ in &self.head {
            text.push_str("---|");
        }
        text.push('\n');
        for row in &self.rows {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        text
    }
}

/// A count, thousands separated.
pub(crate) fn count(value: usize) -> String {
    if value < 100 {
        value.to_string()
    } else {
        number(value as f64)
    }
}

/// Three significant digits, thousands separated.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    if value < 10.0 {
        return format!("{value:.2}");
    }
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Events per second, rounded to three digits.
pub(crate) fn per_second(nanoseconds: f64) -> String {
    let rate = 1e9 / nanoseconds;
    let unit = 10f64.powf((rate.log10().floor() - 2.0).max(0.0));
    number((rate / unit).round() * unit)
}
