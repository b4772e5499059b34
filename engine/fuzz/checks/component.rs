//! Any bytes as a component: scanning never panics and says nothing that is not so, and what passes is loaded and called
//! under its bounds, or refused.
//!
//! Compiling is done in this process, so that only small components get so far: the bombs that the child is for are
//! large, or are refused by the scan.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use tripline_core::diagnostic::Source;
use tripline_host::batch::{BatchWriter, ColumnKind, ColumnWriter};
use tripline_host::grant::{Means, Shared, SystemClock};
use tripline_host::manifest::{Limits, Manifest};
use tripline_host::operator::Rights;
use tripline_host::scan::scan;
use tripline_host::{Batch, Compiler, Host, Loading, Memory, Settings};

/// Longest component that is compiled.
const COMPILED_BYTES_MAX: usize = 32 * 1024;
/// Longest function that is compiled.
const COMPILED_BODY_BYTES_MAX: u64 = 4096;

const MANIFEST: &str = r#"
[plugin]
name = "fuzz/guest"
version = "1.0.0"
world = "enricher"
contract = "1.0"

[reads]
fields = ["number:int"]

[writes]
columns = ["number:int"]

[limits]
memory = "4MiB"
deadline = "10ms"
output = "64KiB"
"#;

/// Holds the input to the claims above.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(scanned) = scan(bytes) else {
        return;
    };
    assert!(scanned.body_bytes as usize <= bytes.len());
    if bytes.len() > COMPILED_BYTES_MAX || scanned.body_bytes > COMPILED_BODY_BYTES_MAX {
        return;
    }
    let name = "plugin.toml".to_owned();
    let text = MANIFEST.to_owned();
    let manifest = Manifest::read(&Arc::new(Source { name, text })).expect("the manifest is sound");
    let means = Means {
        base: Path::new("/"),
        clock: Arc::new(SystemClock),
        kv: None,
        secret: &|_| None,
        requests_per_minute: 0,
    };
    let shared = Shared::open(Rights::default(), means).expect("nothing to open");
    let loaded = host().load(Loading {
        component: bytes,
        manifest,
        limits: Limits::MOST,
        shared: Arc::new(shared),
        config: None,
        log: None,
    });
    if let Ok(plugin) = loaded {
        let mut column = ColumnWriter::new(ColumnKind::Int);
        [1, 2, 3]
            .into_iter()
            .for_each(|value| column.push_int(value));
        let mut writer = BatchWriter::default();
        let bytes = writer.pack(3, [column].iter());
        let events = None;
        // Whatever it answers, it is a value.
        let _ = plugin.enrich(&Batch {
            bytes,
            rows: 3,
            events,
            until: None,
        });
    }
}

fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| {
        let mut settings = Settings::new(Compiler::InProcess);
        settings.memory = Memory::OnDemand;
        Host::open(settings).expect("the host opens")
    })
}
