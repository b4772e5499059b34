//! Every bound of the embedded log, in one place, each with its reason.

/// How long a segment grows unless told otherwise. Whole segments are deleted, so this is also how finely room is made;
/// opening looks through one of them, which takes some tens of milliseconds.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// Shortest segment: below, files and their directory entries would cost more than what they hold.
pub const SEGMENT_BYTES_MIN: u64 = 4 * 1024;

/// Longest segment: frames state their offset in 32 bits, and opening looks through one.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Longest record unless told otherwise, attributes included: four times the longest event that is parsed.
pub const RECORD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Longest frame, so the most that one append holds: the longest record and a little. A frame is held in memory whole
/// when it is written and when it is read, and a damaged length must not ask for more than this.
pub const FRAME_BYTES_MAX: usize = RECORD_BYTES_MAX + 1024 * 1024;

/// Most records of one append.
pub const APPEND_RECORDS_MAX: usize = 1024 * 1024;

/// After so many bytes no further append joins those that are written together. A disk writes this in about the time of
/// a flush, so more would make everybody wait longer and win nothing.
pub const GROUP_BYTES: usize = 8 * 1024 * 1024;

/// How much is written as zeroes ahead of the end, so that the flushes of the next appends change no metadata: with
/// 1.5 KB records that is one append in 170 which pays for the others.
pub const ZEROES_AHEAD_BYTES: u64 = 256 * 1024;

/// Appends longer than this get no zeroes ahead: they would double what is written, and change metadata each time.
pub const ZEROES_FOR_BYTES_MAX: usize = 64 * 1024;

/// A place of the sparse index for every so many bytes of a segment: finding a record then reads at most this much in
/// vain, and the index of a segment of 64 MiB takes 16 KiB.
pub const INDEX_EVERY_BYTES: u64 = 64 * 1024;

/// How much is read from a file at a time.
pub const READ_BYTES: usize = 256 * 1024;

/// Most buffer that a place where reading ended keeps; after a longer frame it is given back.
pub const READ_KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most places remembered where reading ended: one for the pipeline, the others for people who look at the log.
pub const CURSORS_MAX: usize = 8;
