//! Every bound of the stores, in one place, each with its reason.

/// Longest finding as JSON. A finding with the most facts and cited events that core allows stays below a few hundred
/// KiB; findings with their events' fields in them do not reach 4 MiB.
pub const FINDING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Longest id of a finding or event, and longest name of a sink: keys are kept in memory more often than values.
pub const KEY_BYTES_MAX: usize = 4096;

/// What is kept of the payload of a dead letter, and of its attributes: enough for people to see what it was. The most
/// dead letters with the longest payloads are 100 GB; ordinary ones of 1.5 KB are 150 MB.
pub const DEAD_PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// Most dead letters, unless told otherwise: more than anybody looks at one by one. The oldest give way, counted.
pub const DEAD_LETTERS_MAX: usize = 100_000;

/// Most findings or dead letters that one call returns: a page of a list, a batch of a sink.
pub const PAGE_MAX: usize = 1000;

/// After so many bytes of findings or dead letters a call returns no further ones.
pub const PAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most findings that one call looks at for a filter: about 50 ms of parsing. The caller goes on from where it stopped.
pub const FINDINGS_LOOKED_AT_MAX: usize = 10_000;

/// Most things that retention forgets in one batch: commits wait no longer than that for their turn.
pub const FORGET_BATCH_MAX: usize = 1000;

/// What stays free on the disk unless told otherwise. The database needs room to write its tables anew, so a commit is
/// refused before the last of it is taken; forgetting may use it.
pub const FREE_BYTES_MIN: u64 = 256 * 1024 * 1024;

/// Memory for blocks of tables that were read.
pub const CACHE_BYTES: u64 = 8 * 1024 * 1024;

/// What one part of the database keeps in memory before it is written as a table: of findings, events, and dead letters.
pub const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;

/// The same of places and counts. Each commit adds a version of them, so they would fill the other measure too, after hours.
pub const SMALL_MEMTABLE_BYTES: u64 = 1024 * 1024;

/// Size of the journal that makes the database write out what keeps it so long: also what is read when it is opened.
pub const JOURNAL_BYTES: u64 = 128 * 1024 * 1024;

/// Longest snapshot that is read back: far more than rules may remember, less than what a damaged length could ask for.
pub const SNAPSHOT_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;

/// After so many bytes a part of an image is full, before it is packed: what is in memory at a time, here and in the client
/// of the servers.
pub const IMAGE_PART_BYTES: usize = 4 * 1024 * 1024;

/// Longest part of an image once it is unpacked: a full one, and then the longest event that there is.
pub const IMAGE_PART_UNPACKED_MAX: usize = 32 * 1024 * 1024;

/// Most parts of an image: 256 GiB before they are packed. A damaged number must not ask for more.
pub const IMAGE_PARTS_MAX: u64 = 65_536;

/// Images that stay: the ledger reaches back to the older one, so that one which is damaged costs nobody anything.
pub const IMAGES_KEPT: usize = 2;

/// Longest version of the rules, packed: tens of thousands of rules with their lists. Every process reads it into memory.
pub const RULES_BYTES_MAX: usize = 64 * 1024 * 1024;
