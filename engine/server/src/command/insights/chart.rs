//! Charts of insights: a series with what is usual of it, as text and as SVG.
//!
//! Drawn from the record alone, so that it can be done wherever a record comes to. Text is columns of eighths of a character; a
//! column stands for as many points as it takes to fit, and shows the highest of them, because peaks are what is looked for.
//! Must never trust a number of a record with a size.

use serde_json::Value;
use std::fmt::Write as _;
use tripline_core::diagnostic::Palette;

/// Rows of a chart in text.
const ROWS: usize = 8;

/// Eighths of a character, from below.
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Most points that are read of a record: no record of ours has more.
const POINTS_MAX: usize = 1000;

/// A series over time.
pub(crate) struct Chart {
    from: jiff::Timestamp,
    minutes_a_point: i64,
    points: Vec<Point>,
}

#[derive(Clone, Copy)]
struct Point {
    value: f64,
    expected: f64,
    high: f64,
}

impl Chart {
    /// The chart of a record; nothing when it has none that can be drawn.
    pub(crate) fn of(record: &Value) -> Option<Self> {
        let chart = &record["insight"]["chart"];
        let numbers = |name: &str| -> Option<Vec<f64>> {
            let all = chart[name].as_array()?.iter().take(POINTS_MAX);
            Some(
                all.map(|one| one.as_f64().unwrap_or(0.0).max(0.0))
                    .collect(),
            )
        };
        let values = numbers("values")?;
        let (expected, high) = (numbers("expected")?, numbers("high")?);
        let points: Vec<Point> = values
            .iter()
            .zip(expected.iter().zip(&high))
            .map(|(value, (expected, high))| Point {
                value: *value,
                expected: *expected,
                high: high.max(*expected),
            })
            .collect();
        (!points.is_empty()).then_some(Self {
            from: chart["from"].as_str()?.parse().ok()?,
            minutes_a_point: chart["minutesAPoint"].as_i64()?.clamp(1, 100_000),
            points,
        })
    }

    /// So many points as fit, each the highest of those that it stands for.
    fn columns(&self, width: usize) -> (Vec<Point>, usize) {
        let each = self.points.len().div_ceil(width.max(1));
        let columns = self.points.chunks(each).map(|chunk| {
            let highest = |get: fn(&Point) -> f64| chunk.iter().map(get).fold(0.0, f64::max);
            Point {
                value: highest(|point| point.value),
                expected: highest(|point| point.expected),
                high: highest(|point| point.high),
            }
        });
        (columns.collect(), each)
    }

    fn top(&self) -> f64 {
        let all = self
            .points
            .iter()
            .flat_map(|point| [point.value, point.high]);
        all.fold(0.0, f64::max).max(f64::MIN_POSITIVE)
    }

    /// As text, at most so wide. What is above the usual is in the colour of warnings.
    pub(crate) fn text(&self, width: usize, palette: &Palette) -> String {
        let (columns, each) = self.columns(width.saturating_sub(LABELS).max(10));
        let top = self.top();
        let mut out = String::new();
        for row in (0..ROWS).rev() {
            let label = match row {
                row if row == ROWS - 1 => short(top),
                row if row == ROWS / 2 - 1 => short(top / 2.0),
                0 => "0".to_owned(),
                _ => String::new(),
            };
            let _ = write!(out, "{label:>8} │");
            let mut is_marked = false;
            for point in &columns {
                let (character, marks) = cell(point, row, top);
                if marks != is_marked {
                    let code = if marks {
                        palette.warning
                    } else {
                        palette.reset
                    };
                    out.push_str(code);
                    is_marked = marks;
                }
                out.push(character);
            }
            if is_marked {
                out.push_str(palette.reset);
            }
            out.truncate(out.trim_end().len());
            out.push('\n');
        }
        let _ = writeln!(out, "{:>8} └{}", "", "─".repeat(columns.len()));
        out.push_str(&self.times(columns.len(), each));
        let _ = writeln!(
            out,
            "{:>10}{}a minute; ┄ is the highest that is usual{}",
            "", palette.quiet, palette.reset
        );
        out
    }

    /// The line of times below a chart: one every twenty columns or so.
    fn times(&self, columns: usize, each: usize) -> String {
        let mut line = " ".repeat(LABELS);
        let mut at = 0;
        while at + 5 <= columns {
            let minutes = (at * each) as i64 * self.minutes_a_point;
            let time = self
                .from
                .checked_add(jiff::SignedDuration::from_mins(minutes));
            let text = time.map_or(String::new(), |time| time.strftime("%H:%M").to_string());
            while line.chars().count() < LABELS + at {
                line.push(' ');
            }
            line.push_str(&text);
            at += TIME_EVERY;
        }
        line.push('\n');
        line
    }

    /// As SVG, for reports and tickets.
    pub(crate) fn svg(&self, title: &str) -> String {
        let (width, height, left, top_at) = (760.0, 220.0, 60.0, 34.0);
        let (inner_width, inner_height) = (width - left - 16.0, height - top_at - 34.0);
        let top = self.top() * 1.05;
        let step = inner_width / self.points.len() as f64;
        let x = |at: usize| left + step * at as f64;
        let y = |value: f64| top_at + inner_height * (1.0 - value / top);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" \
             fill=\"white\"/>\n<text x=\"{left}\" y=\"18\" font-size=\"13\">{}</text>\n",
            escaped(title)
        );
        for (at, point) in self.points.iter().enumerate() {
            let colour = if point.value > point.high {
                "#c0392b"
            } else {
                "#7f8c9b"
            };
            let (from, to) = (y(point.value), y(0.0));
            if point.value > 0.0 {
                let _ = writeln!(
                    out,
                    "<rect x=\"{:.1}\" y=\"{from:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
                    x(at),
                    (step * 0.9).max(0.5),
                    to - from
                );
            }
        }
        for (get, colour, dash) in [
            (
                (|point: &Point| point.expected) as fn(&Point) -> f64,
                "#2e6da4",
                "none",
            ),
            (|point: &Point| point.high, "#2e6da4", "4 3"),
        ] {
            let line = self.points.iter().enumerate();
            let line = line.map(|(at, point)| format!("{:.1},{:.1}", x(at), y(get(point))));
            let _ = writeln!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-dasharray=\"{dash}\"/>",
                line.collect::<Vec<_>>().join(" ")
            );
        }
        for value in [0.0, top / 2.1, top / 1.05] {
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 6.0,
                y(value) + 4.0,
                short(value)
            );
        }
        let marks = 6;
        for mark in 0..marks {
            let at = self.points.len() * mark / marks;
            let minutes = at as i64 * self.minutes_a_point;
            let time = self
                .from
                .checked_add(jiff::SignedDuration::from_mins(minutes));
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                x(at),
                height - 14.0,
                time.map_or(String::new(), |time| time.strftime("%H:%M").to_string())
            );
        }
        out.push_str("</svg>\n");
        out
    }
}

/// Columns for labels, before the first point.
const LABELS: usize = 10;

/// Columns from one time to the next.
const TIME_EVERY: usize = 20;

/// The character of a column in a row, and whether it is more than usual.
fn cell(point: &Point, row: usize, top: f64) -> (char, bool) {
    let of_row = |value: f64| (value / top * ROWS as f64 - row as f64).clamp(0.0, 1.0);
    let filled = (of_row(point.value) * 8.0).round() as usize;
    // Something is not nothing.
    let filled = if row == 0 && point.value > 0.0 {
        filled.max(1)
    } else {
        filled
    };
    if filled > 0 {
        return (EIGHTHS[filled.min(8)], point.value > point.high);
    }
    let high_row = ((point.high / top * ROWS as f64) as usize).min(ROWS - 1);
    let character = if high_row == row && point.high > 0.0 {
        '┄'
    } else {
        ' '
    };
    (character, false)
}

fn short(value: f64) -> String {
    match value {
        value if value >= 1e9 => format!("{:.1}G", value / 1e9),
        value if value >= 1e6 => format!("{:.1}M", value / 1e6),
        value if value >= 1e4 => format!("{:.0}k", value / 1e3),
        value if value >= 10.0 || value == 0.0 => format!("{value:.0}"),
        value if value >= 0.1 => format!("{value:.1}"),
        value => format!("{value:.3}"),
    }
}

fn escaped(text: &str) -> String {
    // What controls terminals and printers has no place in XML.
    text.replace(char::is_control, "\u{fffd}")
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::Chart;
    use serde_json::json;
    use tripline_core::diagnostic::Palette;

    fn chart(values: &[f64]) -> Chart {
        let of = |value: f64| vec![value; values.len()];
        let record = json!({ "insight": { "chart": {
            "from": "2026-01-13T02:00:00Z",
            "minutesAPoint": 1,
            "values": values,
            "expected": of(0.5),
            "high": of(2.0),
        } } });
        Chart::of(&record).expect("a chart")
    }

    #[test]
    fn peaks_are_seen_however_narrow_the_terminal() {
        let mut values = vec![0.0; 200];
        values[150] = 16.0;
        for width in [1, 20, 80, 400] {
            let text = chart(&values).text(width, &Palette::PLAIN);
            let rows: Vec<&str> = text.lines().collect();
            assert_eq!(rows.len(), 11, "{text}");
            assert_eq!(rows[0].matches('█').count(), 1, "{text}");
            assert!(rows[0].trim_start().starts_with("16 │"), "{text}");
        }
    }

    #[test]
    fn a_chart_in_text() {
        let values: Vec<f64> = [0.0, 1.0, 0.0, 2.0, 8.0, 16.0, 1.0, 0.0].to_vec();
        let text = chart(&values).text(60, &Palette::PLAIN);
        let expected = "      16 │     █
         │     █
         │     █
         │     █
     8.0 │    ██
         │    ██
         │┄┄┄┄██┄┄
       0 │ ▄ ███▄
";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("02:00"), "{text}");
    }

    #[test]
    fn records_without_sense_have_no_chart() {
        for record in [
            json!({}),
            json!({ "insight": { "chart": { "values": [1] } } }),
            json!(7),
        ] {
            assert!(Chart::of(&record).is_none(), "{record}");
        }
    }

    #[test]
    fn names_do_not_get_out_of_the_picture() {
        let svg = chart(&[0.0, 3.0]).svg("<script>&");
        assert!(
            svg.contains("&lt;script&gt;&amp;") && !svg.contains("<script>"),
            "{svg}"
        );
    }
}
