//! Every bound of loading and running plugins, with its reason.
//!
//! What a manifest may ask for is in `manifest`, what capabilities cost in `grant::limits`.

use std::time::Duration;

/// Longest component. Python's is 18.5 MB, the longest that any toolchain was seen to make.
pub const COMPONENT_BYTES_MAX: usize = 48 * 1024 * 1024;

/// Longest body of one function. The longest real one, of Python, is 427 KB; compiling is worse than linear in it.
pub const BODY_BYTES_MAX: u64 = 1024 * 1024;

/// Most locals of one function. Real ones have at most 464; the compiler's memory grows with locals times blocks, and
/// 20,000 of them made it ask for 26 GB.
pub const BODY_LOCALS_MAX: u32 = 2_000;

/// Most functions of a component. Python has about 20,000.
pub const FUNCTIONS_MAX: usize = 30_000;

/// Most core modules of a component. Python needs 38.
pub const CORE_MODULES_MAX: usize = 64;

/// Most imports and exports of a component that are looked at: the contract has 8 and 3, WASI about 40.
pub const NAMES_MAX: usize = 256;

/// Address space of the compiling child. SpiderMonkey and Python stay below 1.5 GiB with two threads.
pub const COMPILE_ADDRESS_SPACE_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// Processor time of the compiling child: Go's 4.5 MB take 6 s.
pub const COMPILE_CPU_SECONDS: u64 = 20;

/// Processor time for components above [`COMPILE_LARGE_BYTES`]: Python takes up to 32 s.
pub const COMPILE_CPU_SECONDS_LARGE: u64 = 60;

/// From here on a component is large.
pub const COMPILE_LARGE_BYTES: usize = 8 * 1024 * 1024;

/// How much longer than its processor time a child may take by the clock: a machine under load runs it seldom.
pub const COMPILE_WALL_FACTOR: u32 = 4;

/// Longest artefact of a compilation. Python's is 35 MB.
pub const ARTEFACT_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Most bytes of compiled plugins that are kept; the oldest go first.
pub const CACHE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// How often the clock of deadlines ticks.
pub const TICK: Duration = Duration::from_millis(1);

/// Ticks that are made up for at once when the ticking thread was not run: more would let a machine that slept
/// kill what had no chance to run.
pub const TICKS_MADE_UP_MAX: u64 = 20;

/// Stack of a plugin. Wasmtime's own default, which every toolchain is happy with.
pub const STACK_BYTES: usize = 512 * 1024;

/// Most memory of an instance, whatever was granted: the slots of the pool are that large.
pub const MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Memory of an instance that the pool keeps resident, since most calls touch less than this.
pub const MEMORY_RESIDENT_BYTES: usize = 2 * 1024 * 1024;

/// The same for its tables: one that fits a page is written over, which is cheaper than giving the page back and faulting it in
/// again. Tables of Rust and C fit.
pub const TABLE_RESIDENT_BYTES: usize = 4096;

/// Most memories of an instance. Components of several languages have one each, and adapters one more.
pub const MEMORIES_MAX: usize = 16;

/// Most tables of an instance.
pub const TABLES_MAX: usize = 64;

/// Most elements of a table. SpiderMonkey's has about 15,000.
pub const TABLE_ELEMENTS_MAX: usize = 100_000;

/// Most resource handles of an instance: the contract has none.
pub const HANDLES_MAX: usize = 1_000;

/// Bytes that a plugin may hand over at once beside its output: the longest fault, a line of a log, heads of lists.
pub const HANDED_OVER_BYTES: usize = 64 * 1024;

/// The same for plugins that were granted memory, tables or requests, whose arguments are longer.
pub const HANDED_OVER_BYTES_GRANTED: usize = 4 * 1024 * 1024;

/// Longest title, reason, summary and message, as the contract says.
pub const LINE_BYTES_MAX: usize = 512;

/// Most entries of the evidence of a finding, as the contract says.
pub const EVIDENCE_MAX: usize = 64;

/// Most obligations of a decision and arguments of a step.
pub const ATTRIBUTES_MAX: usize = 64;

/// Most steps of a plan: a person has to read them.
pub const STEPS_MAX: usize = 64;

/// Longest subject of a plan, as the contract says; an event of CloudTrail is at most 256 KiB.
pub const SUBJECT_BYTES_MAX: usize = 1024 * 1024;

/// Most steps of what a planner proposes, as the contract says.
pub const DRAFT_STEPS_MAX: usize = 100;

/// Most steps that take one step back.
pub const INVERSE_STEPS_MAX: usize = 16;

/// Most preconditions, and most checks that verify.
pub const CHECKS_MAX: usize = 32;

/// Most expectations of one check: one or two for each step.
pub const EXPECT_MAX: usize = 128;

/// Most changes that are told.
pub const CHANGES_MAX: usize = 200;

/// Most codes of errors in one list.
pub const CODES_MAX: usize = 16;

/// Longest code of an error.
pub const CODE_BYTES_MAX: usize = 128;

/// Longest name of a step.
pub const STEP_ID_BYTES_MAX: usize = 40;

/// Longest JSON of a planner: parameters of a request, a value of an answer or of a change.
pub const PROPOSED_JSON_BYTES_MAX: usize = 256 * 1024;

/// Longest chunk that a decoder is given.
pub const CHUNK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Longest state between chunks, as the contract says.
pub const DECODER_STATE_BYTES_MAX: usize = 64 * 1024;

/// Parts of a chunk that a decoder may pass over and name.
pub const BAD_MAX: usize = 10_000;

/// Longest `retry-after` that is honoured.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Extra calls by which the rows that make a plugin trap are looked for in one batch: enough to find each of 256 rows of
/// which every second one does. A trap and its new instance take some 50 us.
pub const BISECT_CALLS_MAX: u32 = 512;

/// What a call that ran into its deadline counts among the extra calls, since it costs that much more.
pub const BISECT_DEADLINE_CALLS: u32 = 32;

/// The part of the pool, as one in so many, that idle instances of all plugins may hold: the others are for calls, so
/// that plugins which are seldom asked cannot keep busy ones from running.
pub const IDLE_INSTANCES_SHARE: usize = 2;

/// Calls after which a reused instance is replaced, so that what leaks is given back.
pub const REUSED_CALLS_MAX: u64 = 10_000;

/// Traps within [`BREAKER_WINDOW`] that switch a plugin off.
pub const BREAKER_TRAPS: u32 = 5;

/// The time in which traps are counted together.
pub const BREAKER_WINDOW: Duration = Duration::from_secs(60);

/// How long a plugin is switched off at first; it doubles each time, until it behaves for a whole window.
pub const BREAKER_BACKOFF_MIN: Duration = Duration::from_secs(10);

/// How long it is switched off at most.
pub const BREAKER_BACKOFF_MAX: Duration = Duration::from_secs(3600);

/// Most instances that the pool has room for: below that, its reservation fits 42 bits of address space.
pub const INSTANCES_MAX: u32 = 400;

/// Instances that the pool has room for when nobody says.
pub const INSTANCES_DEFAULT: u32 = 64;

/// Longest note that a component carries about itself, such as its authors; longer names of tools are passed over too.
pub const NOTE_BYTES_MAX: usize = 4 * 1024;

/// Most notes of a component and its parts: seven kinds, for the component and some of its modules.
pub const NOTES_MAX: usize = 64;

/// Most languages and tools that are told: a component of Python has about ten.
pub const PRODUCERS_MAX: usize = 64;

/// Longest lists of packages and licenses together, unpacked: cargo-auditable's own readers take as much.
pub const PACKAGE_LIST_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Most packages that are told: Servo has about 900.
pub const PACKAGES_MAX: usize = 10_000;

/// Most plugins whose versions are remembered: sixteen installations as large as they may be.
pub const VERSIONS_MAX: usize = 4096;

/// Longest manifest of an artifact: registries take 4 MiB; ours have one layer and a signature, some 2 KiB.
pub const OCI_MANIFEST_BYTES_MAX: usize = 1024 * 1024;

/// Longest other answer of a registry: tokens of some are 10 KiB.
pub const OCI_ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Most places that a question to a registry is sent on to, with one more for a login: usually one, where blobs lie.
pub const OCI_REDIRECTS_MAX: usize = 5;

/// Longest request to a registry: the longest component at 2 Mbit/s.
pub const OCI_TIMEOUT: Duration = Duration::from_secs(200);

/// How long a registry may take until it begins to answer, which is long before it has sent everything: whoever waits for plugins waits
/// for one that says nothing too.
pub const OCI_ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Most bytes of what was pulled that are kept; the oldest go first.
pub const OCI_KEPT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// How deep a JSON value that a plugin gives may nest: it stands within what the event parser reads, and must not make that
/// refuse the answers of other plugins.
pub const JSON_DEPTH_MAX: usize = 32;

/// Most text of what a plugin says of one event, names included. The answers of all plugins about an event are read together, within
/// what an event may have: as JSON each is at most six times as long.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
