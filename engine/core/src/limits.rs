//! Every bound of the core, in one place, each with its reason.
//!
//! A bound that is reached is reported with its name and its number, never silently applied. Each has
//! a test that reaches it.

/// Longest event that is parsed. CloudTrail caps one record at 256 KiB and EventBridge at 1 MiB; 16 MiB
/// leaves room for other sources and still bounds what one line can cost.
pub const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Deepest nesting of an event. Real records reach 11; the walk keeps one small frame per level.
pub const EVENT_DEPTH_MAX: usize = 128;

/// Longest selector text. The longest public CloudTrail rule is under 8 KiB.
pub const SELECTOR_BYTES_MAX: usize = 64 * 1024;

/// Deepest nesting of a selector after `&&` and `||` chains are flattened. Parser, checker, compiler and
/// evaluator recurse, so this bounds their stack: the worst frame measured is below 1 KiB.
pub const SELECTOR_DEPTH_MAX: usize = 200;

/// Most nodes of one selector, so that hostile rule text cannot make checking or compiling expensive.
pub const SELECTOR_NODES_MAX: usize = 20_000;

/// Highest cost of evaluating one selector on one event, in cost units (about one comparison or 10 bytes
/// of text touched each). Estimated when the rule is checked, and enforced while it runs.
pub const SELECTOR_COST_MAX: u64 = 1_000_000;

/// Compiled size of one regular expression. The regex crate is linear in text times this.
pub const REGEX_BYTES_MAX: usize = 1024 * 1024;
