//! Any text as a selector: reading, printing and checking never panic or run away, places lie in the text, what
//! is printed reads back as the same text, and the corrections offered can be read as well.
//!
//! The first byte chooses the source's schema, the rest is the selector.

use tripline_core::diagnostic::{Diagnostic, Palette, Source, render_text};
use tripline_core::selector::{CheckEnv, Schema, check, parse, print};

const SOURCES: [&str; 5] = [
    "aws.cloudtrail",
    "okta.system-log",
    "github.audit",
    "kubernetes.audit",
    "no.such.source",
];

fn inspect(diagnostics: &[Diagnostic], text: &str) {
    let source = Source {
        name: "<selector>".to_owned(),
        text: text.to_owned(),
    };
    for one in diagnostics {
        assert!(one.span.start <= one.span.end && one.span.end as usize <= text.len() + 1);
        render_text(one, &source, Palette::PLAIN);
        if let Some(suggestion) = &one.suggestion {
            let range = suggestion.span.start as usize..suggestion.span.end as usize;
            assert!(text.get(range).is_some(), "{one:?}");
        }
    }
}

/// Holds the input to the claims above.
pub(crate) fn run(input: &str) {
    let Some(first) = input.chars().next() else {
        return;
    };
    let text = &input[first.len_utf8()..];
    let schema = Schema::builtin(SOURCES[first as usize % SOURCES.len()]);
    let expr = match parse(text) {
        Ok(expr) => expr,
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty());
            return inspect(&diagnostics, text);
        }
    };
    let printed = print(&expr);
    // Canonical text may be a little longer than the limit of what is read.
    if printed.len() < text.len() + 1_000 {
        let again = parse(&printed).expect("canonical text is a selector");
        assert_eq!(print(&again), printed);
    }
    let lists = ["a".to_owned()];
    let checked = check(&expr, &CheckEnv::condition(text, schema).with_lists(&lists));
    inspect(&checked.diagnostics, text);
}
