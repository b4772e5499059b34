//! What a component imports and exports, for people.

use anyhow::Result;
use std::fmt::Write;
use wasmparser::{ComponentExternalKind, Encoding, Parser, Payload};

/// One line each for size, imports, exports and custom sections of the outermost component.
pub fn show(component: &[u8]) -> Result<String> {
    let mut depth = 0;
    let (mut imports, mut exports, mut sections) = (Vec::new(), Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    let export = export?;
                    if export.kind == ComponentExternalKind::Instance {
                        exports.push(export.name.name.to_owned());
                    }
                }
            }
            Payload::CustomSection(section) if depth == 1 => {
                sections.push(format!("{} ({})", section.name(), section.data().len()));
            }
            _ => {}
        }
    }
    let _ = Encoding::Component;
    // It has types only, and so needs nobody's grant.
    imports.retain(|name| name != "tripline:plugin/types@1.0.0");
    let mut text = String::new();
    let list = |names: &[String]| match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    writeln!(text, "size: {} bytes", component.len())?;
    writeln!(text, "imports: {}", list(&imports))?;
    writeln!(text, "exports: {}", list(&exports))?;
    writeln!(text, "sections: {}", list(&sections))?;
    Ok(text)
}
