//! Every bound of what plugins are granted, in one place, each with its reason.

/// Longest line of a log, message and fields together, after escaping: the contract says so.
pub const LOG_LINE_BYTES_MAX: usize = 1024;
/// Log of one call: sixteen full lines; the contract says so.
pub const LOG_CALL_BYTES_MAX: usize = 16 * 1024;
/// What a line costs beside its text, so that empty lines are not free.
pub const LOG_LINE_COST: usize = 32;

/// Most bytes of chance in one call: the contract says so.
pub const RANDOM_BYTES_MAX: u32 = 4096;

/// Longest key: the contract says so.
pub const KV_KEY_BYTES_MAX: usize = 256;
/// Longest value: the contract says so.
pub const KV_VALUE_BYTES_MAX: usize = 64 * 1024;
/// Most keys of one call: the contract says so.
pub const KV_KEYS_MAX: usize = 1024;
/// Most that one answer of `get` may hold; a batch of small facts is far below.
pub const KV_ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What an entry costs beside its key and value: the map and the order of expiry keep about as much.
pub const KV_ENTRY_COST: usize = 96;
/// Most that a quota can grant; more belongs into a database.
pub const KV_BYTES_MAX: u64 = 1 << 30;
/// Longest lifetime that can be granted: a year is enough for anything.
pub const KV_TTL_MS_MAX: u64 = 366 * 86_400_000;

/// Most tables of one plugin.
pub const LOOKUP_TABLES_MAX: usize = 32;
/// Most keys of one `find`: the contract says so.
pub const LOOKUP_KEYS_MAX: usize = 4096;
/// Longest key that is looked up; longer ones are unknown without looking.
pub const LOOKUP_KEY_BYTES_MAX: usize = 4096;
/// Longest answer of `find`.
pub const LOOKUP_ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest file of a table. A million rows of an address and three facts are about 64 MiB; GeoLite2-City is about 60.
pub const LOOKUP_FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Most rows of a table in text form.
pub const LOOKUP_ROWS_MAX: usize = 4_000_000;
/// Most columns of a table, the key's included: one less fits a batch.
pub const LOOKUP_COLUMNS_MAX: usize = crate::batch::COLUMNS_MAX;
/// Longest cell of a table.
pub const LOOKUP_CELL_BYTES_MAX: usize = 64 * 1024;

/// Most counters of one plugin: each is a series in somebody's database.
pub const METRICS_MAX: usize = 64;

/// Longest path of `events.get`.
pub const EVENT_PATH_BYTES_MAX: usize = 256;

/// Most entries of `http`, asked for or granted.
pub const HTTP_RULES_MAX: usize = 32;
/// Most paths of one entry.
pub const HTTP_PATHS_MAX: usize = 64;
/// Most secrets of one entry.
pub const HTTP_SECRETS_MAX: usize = 16;
/// Longest address of a request; servers refuse longer ones.
pub const HTTP_URL_BYTES_MAX: usize = 8 * 1024;
/// Most headers of a request or an answer.
pub const HTTP_HEADERS_MAX: usize = 64;
/// Headers of a request or an answer, together; servers refuse more.
pub const HTTP_HEADER_BYTES_MAX: usize = 32 * 1024;
/// Longest body of a request.
pub const HTTP_REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Longest body of an answer: it has to fit the plugin's memory.
pub const HTTP_RESPONSE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest time of a request with everything, in milliseconds.
pub const HTTP_TIMEOUT_MS_MAX: u64 = 30_000;
/// Time of a request when the plugin does not say, in milliseconds.
pub const HTTP_TIMEOUT_MS_DEFAULT: u64 = 5_000;
/// Longest chain of redirects; browsers follow 20, services need 1 or 2.
pub const HTTP_REDIRECTS_MAX: usize = 5;
/// Most addresses of one name that are looked at.
pub const HTTP_ADDRESSES_MAX: usize = 16;
/// Requests a minute when the operator does not say; a minute's worth may come at once.
pub const HTTP_REQUESTS_PER_MINUTE_DEFAULT: u64 = 600;
/// Most requests a minute that can be granted: a thousand a second.
pub const HTTP_REQUESTS_PER_MINUTE_MAX: u64 = 60_000;
/// Longest secret: what fits a header.
pub const HTTP_SECRET_BYTES_MAX: usize = 8 * 1024;
/// Shortest secret: shorter ones stand in answers by chance, so that keeping them out would spoil answers.
pub const HTTP_SECRET_BYTES_MIN: usize = 8;
/// Most name look-ups under way in one process, since the system's cannot be given up.
pub const HTTP_LOOKUPS_MAX: usize = 64;

/// Most operations that a planner may ask services with: an action of the host needs at most ten.
pub const READS_OPERATIONS_MAX: usize = 64;
/// Most questions of one plan: one for each thing that a plan may be about.
pub const READS_PER_CALL_MAX: usize = 100;
/// Longest parameters of a request: the contract says so.
pub const READ_PARAMETERS_BYTES_MAX: usize = 256 * 1024;
/// Longest answer of a service: the contract says so.
pub const READ_ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Longest message of a fault: the contract says so.
pub const FAULT_MESSAGE_BYTES_MAX: usize = 1024;
