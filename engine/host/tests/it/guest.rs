//! Guests: core modules as text, made into components of a world of the contract, loaded with what a test wants.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tripline_core::diagnostic::Source;
use tripline_host::batch::{BatchView, BatchWriter, Cell, ColumnKind, ColumnWriter};
use tripline_host::breaker::BreakerSettings;
use tripline_host::grant::{Means, Shared, SystemClock};
use tripline_host::jail::Jail;
use tripline_host::manifest::{Limits, Manifest};
use tripline_host::operator::Rights;
use tripline_host::{Batch, Compiler, Host, LoadError, Loading, Memory, Plugin, Settings};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Memory, an allocator that never frees, and a `configure` that agrees. Bytes from 0 to 1,023 are for answers.
pub(crate) const PRELUDE: &str = r#"
    (memory (export "memory") 2)
    (global $free (mut i32) (i32.const 65536))
    (func $take (param $align i32) (param $size i32) (result i32)
        (local $at i32) (local $missing i32)
        (local.set $at (i32.and
            (i32.add (global.get $free) (i32.sub (local.get $align) (i32.const 1)))
            (i32.sub (i32.const 0) (local.get $align))))
        (global.set $free (i32.add (local.get $at) (local.get $size)))
        (local.set $missing (i32.sub (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
        (if (i32.gt_s (local.get $missing) (i32.const 0))
            (then (if (i32.eq (i32.const -1)
                    (memory.grow (i32.shr_u (i32.add (local.get $missing) (i32.const 65535)) (i32.const 16))))
                (then unreachable))))
        (local.get $at))
"#;

/// The allocator under the name that the canonical ABI calls.
pub(crate) const REALLOC: &str = r#"
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (call $take (local.get 2) (local.get 3)))
"#;

/// `configure` that agrees. The byte at 512 is never anything but 0.
pub(crate) const CONFIGURE: &str = r#"
    (func (export "tripline:plugin/setup@1.0.0#configure") (param i32 i32) (result i32)
        (i32.const 512))
"#;

/// A module with the usual parts and these.
pub(crate) fn module(parts: &str) -> String {
    format!("(module {PRELUDE} {REALLOC} {CONFIGURE} {parts})")
}

/// An enricher that gives back the batch it was given.
pub(crate) fn echo() -> String {
    module(&enrich("(call $answer (local.get $at) (local.get $bytes))"))
}

/// An enricher with this body, which leaves the address of the answer.
pub(crate) fn enrich(body: &str) -> String {
    format!(
        r#"
        (func $answer (param $at i32) (param $bytes i32) (result i32)
            (i32.store8 (i32.const 0) (i32.const 0))
            (i32.store (i32.const 4) (local.get $at))
            (i32.store (i32.const 8) (local.get $bytes))
            (i32.const 0))
        (func (export "tripline:plugin/enrich@1.0.0#enrich")
            (param $at i32) (param $bytes i32) (result i32)
            (local $row i32) (local $rows i32) (local $data i32)
            {body})
        "#
    )
}

/// Runs `body` for each row, whose value it finds in `$data`; then answers with the batch itself.
pub(crate) fn each_row(body: &str) -> String {
    enrich(&format!(
        r#"
        (local.set $rows (i32.load offset=8 (local.get $at)))
        (local.set $data (i32.add (local.get $at) (i32.load offset=24 (local.get $at))))
        (block $done (loop $next
            (br_if $done (i32.ge_u (local.get $row) (local.get $rows)))
            {body}
            (local.set $data (i32.add (local.get $data) (i32.const 8)))
            (local.set $row (i32.add (local.get $row) (i32.const 1)))
            (br $next)))
        (call $answer (local.get $at) (local.get $bytes))
        "#
    ))
}

/// The component of a world of the contract.
pub(crate) fn component(world: &str, module: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    resolve.push_dir(folder).expect("the contract parses");
    component_of(&resolve, &format!("tripline:plugin/{world}"), module)
}

/// The component of a world.
pub(crate) fn component_of(resolve: &Resolve, world: &str, module: &str) -> Vec<u8> {
    let packages: Vec<_> = resolve.packages.iter().map(|(id, _)| id).collect();
    let world = resolve.select_world(&packages, Some(world));
    let world = world.expect("a world of the contract");
    let mut module = wat::parse_str(module).expect("the guest is WebAssembly text");
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8, false)
        .expect("metadata fits");
    let mut encoder = ComponentEncoder::default();
    let encoder = encoder.module(&module).expect("the guest fits its world");
    encoder.encode().expect("the guest is a component")
}

/// A sound component with a further one inside, which is instantiated with it.
pub(crate) fn with_inner(mut outer: Vec<u8>, inner: &str) -> Vec<u8> {
    let inner = wat::parse_str(inner).expect("the inner component is text");
    let mut depth = 0;
    let mut components = 0_u8;
    for payload in wasmparser::Parser::new(0).parse_all(&outer) {
        match payload.expect("the outer component is sound") {
            wasmparser::Payload::Version { .. } => depth += 1,
            wasmparser::Payload::End(_) => depth -= 1,
            wasmparser::Payload::ComponentSection { .. } if depth == 1 => components += 1,
            _ => {}
        }
    }
    let mut length = inner.len();
    outer.push(4);
    while length >= 0x80 {
        outer.push(length as u8 | 0x80);
        length >>= 7;
    }
    outer.push(length as u8);
    outer.extend(inner);
    // One instance, of that component, with nothing.
    outer.extend([5, 4, 1, 0, components, 0]);
    outer
}

/// A folder of a test, empty.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).expect("an old folder of a test");
    }
    folder
}

/// The compiling child.
pub(crate) fn jail() -> Jail {
    Jail {
        program: PathBuf::from(env!("CARGO_BIN_EXE_tripline-compile")),
        arguments: Vec::new(),
        environment: Vec::new(),
    }
}

/// A host that compiles in this process, where guests are known not to be bombs, and never switches plugins off.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::new(Compiler::InProcess);
    settings.memory = Memory::Pooled { instances: 16 };
    settings.breaker = BreakerSettings {
        traps: u32::MAX,
        ..BreakerSettings::default()
    };
    settings
}

/// One host for all tests that want nothing special.
pub(crate) fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| Host::open(settings()).expect("the host opens"))
}

/// The manifest of a plugin of this world with these further lines.
pub(crate) fn manifest(world: &str, more: &str) -> Manifest {
    manifest_with(world, more, "number:int")
}

/// The same with another column than that of whole numbers.
pub(crate) fn manifest_with(world: &str, more: &str, column: &str) -> Manifest {
    let reads = match world {
        "decoder" | "remediator" | "planner" => String::new(),
        _ => format!("[reads]\nfields = [\"{column}\"]\n"),
    };
    let writes = match world {
        "enricher" => format!("[writes]\ncolumns = [\"{column}\"]\n"),
        _ => String::new(),
    };
    let text = format!(
        "[plugin]\nname = \"test/guest\"\nversion = \"1.0.0\"\nworld = \"{world}\"\ncontract = \"1.0\"\n\
         description = \"a guest\"\nlicense = \"MIT\"\n{reads}{writes}{more}"
    );
    let name = "plugin.toml".to_owned();
    let source = Arc::new(Source { name, text });
    Manifest::read(&source).unwrap_or_else(|reports| panic!("{reports:#?}\n{}", source.text))
}

/// What was granted: these rights and nothing behind them.
pub(crate) fn shared(rights: Rights) -> Arc<Shared> {
    let means = Means {
        base: Path::new("/"),
        clock: Arc::new(SystemClock),
        kv: None,
        secret: &|_| None,
        requests_per_minute: 0,
    };
    Arc::new(Shared::open(rights, means).expect("nothing to open"))
}

/// Loads a component.
pub(crate) fn load_into(
    host: &Host,
    component: &[u8],
    manifest: Manifest,
    rights: Rights,
) -> Result<Plugin, LoadError> {
    let config = (!manifest.settings.is_empty()).then(|| "{}".to_owned());
    host.load(Loading {
        component,
        manifest,
        limits: Limits::MOST,
        shared: shared(rights),
        config,
        log: None,
    })
}

/// Loads a guest of this world with these further lines of its manifest and no rights.
pub(crate) fn load(world: &str, module: &str, more: &str) -> Result<Plugin, LoadError> {
    let component = component(world, module);
    load_into(host(), &component, manifest(world, more), Rights::default())
}

/// A batch of one column of whole numbers.
pub(crate) fn numbers(values: &[i64]) -> Vec<u8> {
    let mut column = ColumnWriter::new(ColumnKind::Int);
    values.iter().for_each(|value| column.push_int(*value));
    let columns = [column];
    BatchWriter::default()
        .pack(values.len(), columns.iter())
        .to_vec()
}

/// The batch as plugins are given it.
pub(crate) fn batch(bytes: &[u8], rows: usize) -> Batch<'_> {
    let events = None;
    Batch {
        bytes,
        rows,
        events,
        until: None,
    }
}

/// The one column of whole numbers of a batch.
pub(crate) fn column(view: &BatchView<'_>) -> Vec<Option<i64>> {
    let cell = |row| match view.columns()[0].cell(row).expect("a sound cell") {
        Some(Cell::Int(value)) => Some(value),
        None => None,
        other => panic!("{other:?}"),
    };
    (0..view.rows()).map(cell).collect()
}

/// Bytes at a place of the guest's memory.
pub(crate) fn data(at: u32, bytes: &[u8]) -> String {
    let bytes: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!("(data (i32.const {at}) \"{bytes}\")")
}

/// Words as memory holds them.
pub(crate) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The good result that is a list.
pub(crate) fn list(at: u32, length: u32) -> Vec<u8> {
    words(&[0, at, length])
}

/// `evaluate` that answers with these rows, severities and scores.
pub(crate) fn hits(hits: &[(u32, u8, f64)], title: &str) -> String {
    let mut bytes = Vec::new();
    for (row, severity, score) in hits {
        bytes.extend(row.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.push(*severity);
        bytes.extend([0; 7]);
        bytes.extend(score.to_le_bytes());
        bytes.extend(8192_u32.to_le_bytes());
        bytes.extend((title.len() as u32).to_le_bytes());
        bytes.extend([0; 32]);
    }
    format!(
        r#"{} {} {}
        (func (export "tripline:plugin/detect@1.0.0#evaluate") (param i32 i32) (result i32)
            (i32.const 1024))"#,
        data(1024, &list(1040, hits.len() as u32)),
        data(1040, &bytes),
        data(8192, title.as_bytes()),
    )
}

/// A scorer that always answers so.
pub(crate) fn scores(scores: &[f64]) -> String {
    let bytes: Vec<u8> = scores
        .iter()
        .flat_map(|score| score.to_le_bytes())
        .collect();
    module(&format!(
        r#"{} {}
        (func (export "tripline:plugin/score@1.0.0#score") (param i32 i32) (result i32)
            (i32.const 1024))"#,
        data(1024, &list(1040, scores.len() as u32)),
        data(1040, &bytes),
    ))
}
