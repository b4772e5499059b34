//! The invented organisation: its accounts, and the names of everything in them.
//!
//! Nothing is stored but the accounts: the name of the 17th bucket of an account follows from the seed, so
//! that the same things come back in event after event, as in real logs, at no cost. Addresses are from the
//! blocks kept for documentation, benchmarks and private networks, so that no event blames a real host.

use super::random::{Random, spread};

/// Regions in use, the home region of most accounts first.
pub(super) const REGIONS: [&str; 7] = [
    "us-east-1",
    "eu-west-1",
    "us-west-2",
    "eu-central-1",
    "ap-southeast-2",
    "us-east-2",
    "ap-northeast-1",
];
/// Regions that nobody uses: what happens there was planted.
pub(super) const UNUSED_REGIONS: [&str; 3] = ["ap-east-1", "me-south-1", "af-south-1"];

pub(super) const TEAMS: [&str; 16] = [
    "payments", "orders", "search", "platform", "identity", "billing", "catalog", "shipping",
    "insights", "mobile", "partner", "pricing", "support", "ledger", "media", "fraud",
];
pub(super) const ENVS: [&str; 4] = ["prod", "staging", "dev", "test"];
pub(super) const WORDS: [&str; 20] = [
    "export", "worker", "api", "sync", "ingest", "report", "cleanup", "notify", "resize", "audit",
    "backup", "import", "router", "loader", "gateway", "index", "events", "archive", "session",
    "cache",
];
const PEOPLE: [&str; 32] = [
    "alice", "bruno", "chen", "dana", "elif", "farid", "greta", "hiro", "ines", "jonas", "kavya",
    "leon", "mira", "nils", "olga", "pablo", "quinn", "rosa", "sven", "tara", "umar", "vera",
    "wanda", "xavier", "yara", "zeno", "anika", "boris", "clara", "diego", "emil", "fatou",
];
const ROLE_KINDS: [&str; 12] = [
    "service",
    "deploy",
    "readonly",
    "lambda",
    "ecs-task",
    "eks-node",
    "ci-runner",
    "backup",
    "scanner",
    "batch",
    "data",
    "ops",
];

/// One account.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) id: String,
    pub(super) mark: u64,
    pub(super) home: usize,
}

/// Everything that stays the same through a sample.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) accounts: Vec<Account>,
}

impl World {
    pub(super) fn new(seed: u64, accounts: u32) -> Self {
        let mut random = Random::new(spread(seed ^ 0x00ac_c0de));
        let accounts = (0..accounts).map(|_| Account::new(&mut random)).collect();
        Self { accounts }
    }
}

impl Account {
    fn new(random: &mut Random) -> Self {
        let id = format!("{:012}", random.between(100_000_000_000, 999_999_999_999));
        Self {
            id,
            mark: random.next(),
            home: random.favoured(REGIONS.len()),
        }
    }

    /// The region of an event: mostly home, else one of two neighbours.
    pub(super) fn region(&self, random: &mut Random) -> &'static str {
        let step = match random.below(100) {
            0..75 => 0,
            75..93 => 1,
            _ => 3,
        };
        REGIONS[(self.home + step) % REGIONS.len()]
    }

    /// A number that always belongs to the `index`-th thing of a kind in this account.
    pub(super) fn number_of(&self, kind: u64, index: usize) -> u64 {
        spread(self.mark ^ spread(kind << 32 | index as u64))
    }

    /// One of the things of a kind: a few are used all the time.
    pub(super) fn thing(&self, kind: u64, count: usize, random: &mut Random) -> u64 {
        self.number_of(kind, random.favoured(count))
    }

    /// The name of one of the account's people.
    pub(super) fn person(&self, random: &mut Random) -> &'static str {
        pick(&PEOPLE, self.thing(1, 6, random))
    }

    /// One of the account's people who is somebody else.
    pub(super) fn person_other_than(&self, person: &str) -> &'static str {
        let people = (0..6).map(|index| pick(&PEOPLE, self.number_of(1, index)));
        people
            .into_iter()
            .find(|other| *other != person)
            .unwrap_or("automation")
    }

    /// The name of one of the account's roles.
    pub(super) fn role(&self, random: &mut Random) -> String {
        let number = self.thing(2, 8, random);
        format!(
            "{}-{}",
            pick(&TEAMS, number),
            pick(&ROLE_KINDS, number >> 16)
        )
    }
}

/// One of them, by a number.
pub(super) fn pick<'a>(items: &[&'a str], number: u64) -> &'a str {
    let count = items.len() as u64;
    items[usize::try_from((number & 0xffff_ffff) % count).unwrap_or(0)]
}

/// Lower-case hexadecimal digits of a stream that starts with `number`.
pub(super) fn push_hex(number: u64, digits: usize, out: &mut String) {
    push_digits(number, digits, b"0123456789abcdef", out);
}

/// Upper-case letters and digits, as in key and role ids.
pub(super) fn push_upper(number: u64, digits: usize, out: &mut String) {
    push_digits(number, digits, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", out);
}

/// Letters, digits, `+` and `/`.
pub(super) fn push_base64(number: u64, digits: usize, out: &mut String) {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    push_digits(number, digits, alphabet, out);
}

fn push_digits(number: u64, digits: usize, alphabet: &[u8], out: &mut String) {
    let mut word = spread(number);
    for place in 0..digits {
        if place % 10 == 0 {
            word = spread(word ^ place as u64);
        }
        let digit = usize::try_from(word % alphabet.len() as u64).unwrap_or(0);
        out.push(char::from(alphabet[digit]));
        word >>= 6;
    }
}

/// A lower-case UUID (version 4 in form).
pub(super) fn push_uuid(random: &mut Random, out: &mut String) {
    let (high, low) = (random.next(), random.next());
    let digits = format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    );
    out.push_str(&digits);
}
