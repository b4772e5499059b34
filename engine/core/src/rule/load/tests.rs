use super::{File, Loading, Reader};
use crate::diagnostic::{Code, Source, Span};
use crate::limits::RULES_MAX;
use std::sync::Arc;

/// A catalog as large as allowed but for one: of the rules before only what the reader remembers of them.
#[test]
fn rules_are_bounded() {
    let source = Arc::new(Source {
        name: "before.toml".to_owned(),
        text: String::new(),
    });
    let place = Reader::new(source).place(Span::new(0, 0));
    let mut loading = Loading::default();
    let before = (1..RULES_MAX).map(|number| (format!("before-{number:06}"), place.clone()));
    loading.ids = before.collect();
    for id in ["last", "surplus"] {
        let text = format!(
            "id = \"{id}\"\nname = \"a\"\ndescription = \"a\"\nseverity = \"low\"\nstatus = \"test\"\nwhen = \"true\"\n"
        );
        loading.file(&File::found(format!("{id}/rule.toml"), text));
    }
    let ids: Vec<&str> = loading
        .catalog
        .rules
        .iter()
        .map(|rule| rule.id.as_str())
        .collect();
    assert_eq!(ids, ["last"]);
    let [report] = loading.catalog.reports.as_slice() else {
        panic!("one report: {:?}", loading.catalog.reports);
    };
    assert_eq!(report.diagnostic.code, Code::Bound);
    assert_eq!(report.source.name, "surplus/rule.toml");
    assert_eq!(report.diagnostic.message, "200001 rules are too many");
}
