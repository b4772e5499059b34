//! Comments and long texts, line by line.

/// The lines of what stands before a key or a table: comments without their indentation, and single blank
/// lines between and after them.
pub(super) fn comments(prefix: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut texts: Vec<&str> = prefix.split('\n').collect();
    // What follows the last line break is the indentation of the key.
    if texts.last().is_some_and(|last| last.trim().is_empty()) {
        texts.pop();
    }
    for text in texts.into_iter().map(str::trim) {
        let blank_again = text.is_empty() && lines.last().is_none_or(|last| last.is_empty());
        if !blank_again {
            lines.push(text.to_owned());
        }
    }
    lines
}

/// Splits what stands before the first key of a file at its last blank line: what is before is about the whole
/// file, what follows is about the key.
pub(super) fn split_head(prefix: &str) -> (Vec<String>, Vec<String>) {
    split_lines(&comments(prefix))
}

/// As `split_head`, for lines.
pub(super) fn split_lines(lines: &[String]) -> (Vec<String>, Vec<String>) {
    match lines.iter().rposition(|line| line.is_empty()) {
        Some(blank) => (lines[..blank].to_vec(), lines[blank + 1..].to_vec()),
        None => (Vec::new(), lines.to_vec()),
    }
}

/// A text without blanks at its ends and at the ends of its lines.
pub(super) fn trimmed(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// A selector without blanks at the ends of its lines and without the indentation that all its lines have.
/// Text of several lines inside CEL is left alone: its blanks mean something.
pub(super) fn selector(text: &str) -> String {
    if text.contains("\"\"\"") || text.contains("'''") {
        return text.to_owned();
    }
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let first = lines.iter().position(|line| !line.is_empty()).unwrap_or(0);
    let last = lines
        .iter()
        .rposition(|line| !line.is_empty())
        .map_or(0, |last| last + 1);
    let lines = &lines[first.min(last)..last];
    let indents = lines
        .iter()
        .filter(|line| !line.is_empty())
        .map(|line| indent(line));
    let shared = indents.min().unwrap_or(0);
    let shifted: Vec<&str> = lines
        .iter()
        .map(|line| line.get(shared..).unwrap_or(""))
        .collect();
    let formatted = shifted.join("\n");
    if same_tree(text, &formatted) {
        formatted
    } else {
        text.to_owned()
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '\t']).len()
}

fn same_tree(before: &str, after: &str) -> bool {
    let print = |text: &str| {
        crate::selector::parse(text)
            .ok()
            .map(|expr| crate::selector::print(&expr))
    };
    match (print(before), print(after)) {
        (Some(before), Some(after)) => before == after,
        _ => false,
    }
}
