//! Stores: what came of the records, kept in memory or on disk.
