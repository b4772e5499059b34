//! What is asked, and what is answered: names and numbers that rules and people see.

/// What to remember, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntitySettings {
    /// What was not seen for so many days before the latest sight is as if it had never been; at least one.
    pub history_days: u16,
    /// Of an entity that was first seen less long ago it is not said that something is new.
    pub learning_days: u16,
    /// Values of entities that are remembered at most; of groups and of all a quarter of that each.
    pub keys_max: u64,
    /// Memory taken at most, to within a segment (some 100 KiB). Below a few hundred KiB it is what the empty tables take.
    pub bytes_max: u64,
}

impl Default for EntitySettings {
    fn default() -> Self {
        Self {
            history_days: 28,
            learning_days: 7,
            keys_max: 1_000_000,
            bytes_max: 128 << 20,
        }
    }
}

/// An entity does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Hash of who.
    pub entity: u64,
    /// Hash of what.
    pub value: u64,
    /// Hash of the group it is compared with.
    pub peers: u64,
    /// When, in seconds after 1970.
    pub time_seconds: i64,
}

/// Whether a value is new to its entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// That is not known: the entity is still learned, or something of it was given up for lack of room, or the sight
    /// is older than what is remembered.
    Unknown,
    /// Not seen within the history.
    New,
    /// Seen before.
    Known {
        /// First sight, in seconds after 1970.
        first_seen: i64,
        /// Last sight.
        last_seen: i64,
        /// How often.
        count: u32,
        /// On how many days.
        days: u32,
    },
}

/// How usual a value is, in GuardDuty's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Not known; GuardDuty has no word for this.
    Unknown,
    /// Never, as far as is remembered.
    Unseen,
    /// On less than a tenth of the days.
    Rare,
    /// On less than a third.
    Infrequent,
    /// On a third or more, and at least three.
    Frequent,
}

impl Habit {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Unseen => "UNSEEN",
            Self::Rare => "RARE",
            Self::Infrequent => "INFREQUENT",
            Self::Frequent => "FREQUENT",
        }
    }
}

/// How usual a value is for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// For the entity.
    pub own: Habit,
    /// For the others of its group.
    pub peers: Habit,
    /// For everybody, the entity too.
    pub all: Habit,
}

/// What held before a sight was counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Whether the value is new to the entity.
    pub first: First,
    /// -log10 of the chance that a day of the entity has the value.
    pub own: f64,
    /// -log10 of the chance that a day of one of its peers has it.
    pub peer: f64,
    /// -log10 of the chance that a day of anybody has it.
    pub all: f64,
    /// -log10 of the chance that the entity shows as much on a day, judged by its own days: comparable between entities.
    pub surprise: f64,
    /// The share of days on which no entity of all shows as much: above 0.99 is one day in a hundred, with ten entities
    /// as with a million.
    pub score: f64,
    /// In words.
    pub habits: Habits,
}

/// What is remembered, and what is not any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntityCounters {
    /// Values of entities.
    pub keys: u64,
    /// Entities.
    pub entities: u64,
    /// Values of groups.
    pub group_keys: u64,
    /// Groups.
    pub groups: u64,
    /// Values of everybody.
    pub all_keys: u64,
    /// Values of entities given up for lack of room.
    pub evicted: u64,
    /// Values of groups, and of everybody, given up for lack of room.
    pub evicted_above: u64,
    /// Values of entities forgotten in time.
    pub expired: u64,
    /// Sights older than what is remembered, which were not counted.
    pub late: u64,
}
