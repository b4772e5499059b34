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

/// Longest rule, tests or overrides file. The longest public rule files are below 64 KiB.
pub const RULE_FILE_BYTES_MAX: usize = 1024 * 1024;

/// Most diagnostics kept for one file: more are counted, not shown. A person mends far fewer at a time, and a
/// file of nothing but mistakes must not cost more memory than itself.
pub const FILE_DIAGNOSTICS_MAX: usize = 200;

/// Most rules of one catalog: twice the 100,000 of the largest set that is measured.
pub const RULES_MAX: usize = 200_000;

/// Longest rule id: it is a folder name.
pub const RULE_ID_BYTES_MAX: usize = 120;

/// Most exceptions of one rule, overrides included: each is evaluated after a match. Longer lists of
/// excused things belong into a site list.
pub const RULE_EXCEPTIONS_MAX: usize = 256;

/// Deepest nesting of a Sigma file. Public rules reach 5.
pub const SIGMA_DEPTH_MAX: usize = 32;

/// Most documents in one Sigma file: collections hold some hundred rules.
pub const SIGMA_DOCUMENTS_MAX: usize = 1000;

/// What a Sigma file may stand for once its aliases are followed, in bytes: sixteen times the longest file.
pub const SIGMA_WEIGHT_MAX: usize = 16 * 1024 * 1024;

/// Most values that one line of a Sigma rule may stand for, once placeholders are filled and encodings varied. More
/// would not fit a selector; longer lists belong into a rule of one's own that asks `inList`.
pub const SIGMA_VALUES_MAX: usize = 10_000;

/// What the condition of one Sigma rule may stand for while it is made, in bytes, where what comes several times (`1 of
/// x*` twice, a placeholder in a long value) is counted as often: four times the longest selector that it can become.
pub const SIGMA_LOWERED_BYTES_MAX: usize = 4 * SELECTOR_BYTES_MAX;

/// Most placeholders in one value of a Sigma rule; public rules have one.
pub const SIGMA_PLACEHOLDERS_MAX: usize = 8;

/// Most tags, references or the like of one Sigma rule; public rules have at most about 30.
pub const SIGMA_META_LIST_MAX: usize = 1000;

/// Most transformations of one Sigma pipeline; the longest public ones have some hundred.
pub const SIGMA_TRANSFORMATIONS_MAX: usize = 1000;

/// Most facts in the context of a rule's findings; public rules show at most about 20.
pub const RULE_CONTEXT_MAX: usize = 64;

/// Most parts of a de-duplication key.
pub const RULE_DEDUP_KEY_MAX: usize = 16;

/// Most texts and placeholders of one title.
pub const TEMPLATE_PARTS_MAX: usize = 64;

/// Longest file of a site list. A million addresses are about 16 MiB.
pub const LIST_FILE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Most values of one site list.
pub const LIST_VALUES_MAX: usize = 1_000_000;

/// Longest value of a site list: the longest ARN is 2,048 bytes.
pub const LIST_VALUE_BYTES_MAX: usize = 4096;

/// Most overrides in one file: one for each rule of a large set.
pub const OVERRIDES_MAX: usize = 20_000;

/// Most tests in one file; the largest public suite of one rule has below 100.
pub const SUITE_TESTS_MAX: usize = 1000;

/// Most events of tests that extend one another in a row.
pub const SUITE_EVENT_CHAIN_MAX: usize = 32;

/// Most bytes of events that the tests of one file may add up to, so that many tests on one large event
/// cannot multiply a short file into gigabytes.
pub const SUITE_EVENTS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Text that costs one unit: what a comparison of two short fields takes, measured in bytes touched.
pub const COST_BYTES_PER_UNIT: u64 = 10;

/// Length that the estimate assumes for a text of an event. Of the texts in public CloudTrail logs 99 in 100 are
/// shorter; longer ones are charged when they come.
pub const COST_TEXT_BYTES: u64 = 512;

/// Elements that the estimate assumes in a list of an event, those of lists inside it included. In public
/// CloudTrail logs 99 lists in 100 have at most 10; security groups, the longest that rules look through, have at
/// most 60 rules by default.
pub const COST_LIST_ELEMENTS: u64 = 100;

/// Most parts of the key by which a rule groups events.
pub const RULE_GROUP_PARTS_MAX: usize = 16;

/// Most groups that one event may belong to, when a part of the key is a list: resources of one request are few.
pub const GROUPS_PER_EVENT_MAX: usize = 64;

/// Longest text of one part of a key that is shown; all of it is hashed.
pub const GROUP_TEXT_CHARS_MAX: usize = 256;

/// How late an event may come when the rule does not say. CloudTrail delivers within about 15 minutes, most
/// within 5.
pub const LATENESS_SECONDS_DEFAULT: i64 = 600;

/// Longest lateness: events are held so long.
pub const LATENESS_SECONDS_MAX: i64 = 7 * 86_400;

/// Longest window, history or learning period: Insights and public rules look back at most 90 days; a year is
/// enough for anything.
pub const WINDOW_SECONDS_MAX: i64 = 366 * 86_400;

/// Groups that a rule remembers when it does not say.
pub const RULE_GROUPS_DEFAULT: usize = 1_000_000;

/// Most groups that a rule may remember: first-seen keys take about 30 bytes each.
pub const RULE_GROUPS_MAX: usize = 50_000_000;

/// Most rules that one input may name.
pub const RULE_INPUT_RULES_MAX: usize = 1000;

/// Most steps of a sequence; public ones have at most 5.
pub const STEPS_MAX: usize = 16;

/// Most times that a step has to happen.
pub const STEP_REPEAT_MAX: u64 = 1000;

/// Most sequences under way, or events that wait for another one or for what must not come, in one group. The oldest
/// gives way.
pub const PARTIALS_MAX: usize = 64;

/// Most events that a threshold can ask for.
pub const THRESHOLD_EVENTS_MAX: u64 = 100_000;

/// Most events kept in a window whose comparison needs all of them (shares, sums, medians, percentiles). The oldest
/// give way, so that the window is shorter in a flood.
pub const WINDOW_ENTRIES_MAX: usize = 4096;

/// Most values that are new together: public rules use at most 3.
pub const FIRST_SEEN_PARTS_MAX: usize = 5;

/// Most sights after which a value can still be rare.
pub const RARE_SIGHTS_MAX: u64 = 1000;

/// Most parts of the key of an insight: CloudTrail's have four. Millions of series have room for as many.
pub const INSIGHT_KEY_PARTS_MAX: usize = 4;

/// Most attributions of an insight: CloudTrail has three. What is computed of each event for them is kept in its observation.
pub const INSIGHT_ATTRIBUTIONS_MAX: usize = 3;

/// Most false alarms a week that an insight may be allowed.
pub const INSIGHT_FALSE_ALARMS_MAX: u64 = 10_000;

/// Highest surprise that an insight may wait for: chances below 10^-12 say more of the model than of the world.
pub const INSIGHT_SURPRISE_MAX: f64 = 12.0;

/// Lowest surprise that an insight may wait for: one day in thirty shows it.
pub const INSIGHT_SURPRISE_MIN: f64 = 1.5;

/// How late an event may come to be counted in a series when the rule does not say: within it no insight is told, and most
/// sources deliver in much less.
pub const INSIGHT_LATENESS_SECONDS_DEFAULT: i64 = 180;

/// Series that an insight rule remembers when it does not say: with 256 MiB for a million of which most are quiet.
pub const INSIGHT_SERIES_DEFAULT: usize = 1_000_000;

/// Events of one moment of which it is kept what profiles knew before them; of more nothing is known. Few sources give as
/// many with one time, and ten megabytes are enough for it.
pub const SEEN_AT_ONCE_MAX: usize = 65_536;

/// Different combinations of attributions that are counted in one minute of one series; the others are counted together.
pub const INSIGHT_MINUTE_NAMES_MAX: usize = 32;

/// Names that are counted over time for each attribution of a series; CloudTrail tells five.
pub const INSIGHT_NAMES_MAX: usize = 8;

/// Different values counted in one minute of one series.
pub const INSIGHT_DISTINCT_MAX: usize = 4096;

/// Bytes for whose the activity of the last minutes was. With more, insights that begin slowly are told without the earlier part.
pub const INSIGHT_RECENT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Names that are known before it is looked for those that nobody needs any more.
pub const INSIGHT_TEXTS_MAX: usize = 20_000;

/// Longest text of a part of a key or of a name that is kept to be shown.
pub const INSIGHT_TEXT_BYTES_MAX: usize = 256;

/// Highest risk score and threshold.
pub const RISK_SCORE_MAX: u64 = 1_000_000;

/// Most different rules that contribute to the risk of one entity at a time.
pub const RISK_RULES_MAX: usize = 256;

/// Longest time, of events, for which the memory of a rule that is not in force is carried along: 90 days, as long as
/// CloudTrail keeps its own history.
pub const ABSENT_SECONDS_MAX: i64 = 90 * 86_400;

/// Parts that state is divided into by the hash of the group, so that several workers can share it.
pub const SHARDS: usize = 16;

/// About how many bytes state may take when nobody says.
pub const STATE_BYTES_DEFAULT: usize = 1024 * 1024 * 1024;

/// Observations that are seen before memory is looked at again: what they can make groups take is small beside the
/// least memory that is of use.
pub const LOOKED_EVERY: usize = 1024;

/// Findings of one rule that are open, so that later detections are counted on them. The oldest is ended.
pub const OPEN_FINDINGS_MAX: usize = 100_000;

/// Different events that must agree before event time is believed to have come so far.
pub const WATERMARK_WITNESSES: usize = 8;

/// Longest snapshot that is read.
pub const SNAPSHOT_BYTES_MAX: usize = 16 * 1024 * 1024 * 1024;

/// Most moments in the timeline of one test.
pub const TIMELINE_MOMENTS_MAX: usize = 1000;

/// Most events in the timeline of one test, repetitions counted.
pub const TIMELINE_EVENTS_MAX: usize = 100_000;

/// How far the time of an event may be ahead of the bus that took it, in seconds. More is a broken clock, not a late one.
pub const FUTURE_SECONDS_MAX: i64 = 86_400;

/// Bytes kept of a record that was set aside. CloudTrail caps a record at 256 KiB; of what is longer the beginning shows
/// what it is.
pub const DEAD_LETTER_BYTES_MAX: usize = 1024 * 1024;

/// Events kept on which one rule could not be decided, for each thread since the start: enough to see why, and a rule
/// that is never decided must not push everything else out of the dead letters.
pub const UNDECIDED_KEPT_MAX: u32 = 5;

/// Bytes found but not yet on their way to the store, more than which no further record is read.
pub const COMMIT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// First and longest wait before something that failed is tried again, in milliseconds; it doubles in between.
pub const RETRY_FIRST_MS: i64 = 50;
/// See [`RETRY_FIRST_MS`]. Long enough for a full disk not to fill the log with complaints, short enough not to be waited for.
pub const RETRY_LONGEST_MS: i64 = 5_000;

/// Starts without any commit after which a worker goes on one record at a time: nobody stops a service three times within
/// its first commit, but a record that kills it does.
pub const STARTS_BEFORE_CARE: u32 = 3;

/// Starts without any commit after which the first record is set aside. Nobody can tell a process that died of a record
/// from one that was killed; so many times in a row before its first commit, nearly nobody is.
pub const STARTS_BEFORE_SETTING_ASIDE: u32 = 12;

/// Records after the place of the deaths that are taken one at a time, each with a flush of its own: as many as are in
/// flight. If the one to blame comes later, the next deaths bring care to a later place.
pub const CAREFUL_RECORDS: u64 = 2_000;

/// Most findings sent to a sink at a time. What one request may carry is bounded by most receivers to a few megabytes.
pub const OUTBOX_FINDINGS_MAX: usize = 500;

/// Failures of a sink in a row after which it is only probed with one finding at a time until that one is taken.
pub const OUTBOX_FAILURES_BEFORE_PROBING: u32 = 5;

/// Longest wait between tries of a sink, in milliseconds.
pub const OUTBOX_RETRY_LONGEST_MS: i64 = 30_000;

/// Longest wait that a sink may ask for, in milliseconds: an hour. More would look like a sink that is gone.
pub const OUTBOX_RETRY_ASKED_LONGEST_MS: i64 = 3_600_000;

/// Longest id that an event may give itself; one with a longer id is known by the hash of its bytes, as one without.
/// Ids are UUIDs nearly everywhere, and the longest known are ARNs of below 300 bytes.
pub const EVENT_ID_BYTES_MAX: usize = 1024;

/// Longest text of a finding that a service stores, such as its title or a part of its key, in bytes. A title shows at most
/// 256 characters of each value; longer keys are made of what nobody takes for a name.
pub const FINDING_TEXT_BYTES_MAX: usize = 4096;

/// Most bytes of the context of a finding that a service stores: a policy document of 6 KiB fits ten times.
pub const FINDING_CONTEXT_BYTES_MAX: usize = 64 * 1024;

/// Most notes of a finding that a service stores.
pub const FINDING_NOTES_MAX: usize = 50;
