//! What a detector is told and what it says.
//!
//! Plain values that rely on nothing and do nothing. Averages are per minute and mean what CloudTrail's
//! Insights events mean by them: the baseline is that of seven whole days and the day so far, up to the start.

/// Whole minutes since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minute(pub u32);

/// The number of a series within a detector: dense, because it is an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(pub u32);

/// What one series counted in one minute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Count {
    /// Which.
    pub series: SeriesId,
    /// Calls, or the sum of a field: finite and not negative.
    pub calls: f64,
    /// Calls among them that failed.
    pub errors: f64,
}

/// Whether there are records of a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// What has no row counted nothing.
    Delivered,
    /// Nothing was delivered at all, and nothing is known.
    Missing,
}

/// In which direction something is unusual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Test {
    /// More calls.
    Up,
    /// Fewer calls.
    Down,
    /// More errors among the calls.
    Errors,
}

impl Test {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Up, Self::Down, Self::Errors];
}

/// What happened to an insight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// A series became unusual.
    Start,
    /// It is usual again.
    End,
    /// It stayed as it is for so long that this is the rule now.
    Absorbed,
}

/// An insight begins or ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Of which series.
    pub series: SeriesId,
    /// The last complete minute that was seen when it was decided.
    pub minute: Minute,
    /// Begins or ends.
    pub kind: ChangeKind,
    /// Calls or errors, more or fewer.
    pub test: Test,
    /// The window that decided, in minutes.
    pub window_minutes: u32,
    /// The first minute of the unusual activity.
    pub start: Minute,
    /// Minutes of it, so far.
    pub duration_minutes: u32,
    /// Per minute over all of it: calls, or errors.
    pub insight_average: f64,
    /// Per minute before it: calls, or errors.
    pub baseline_average: f64,
    /// Minutes that the baseline is taken over.
    pub baseline_duration_minutes: u32,
    /// What was counted in the window that decided.
    pub observed: f64,
    /// What was expected of it.
    pub expected: f64,
    /// Probability of that, before calibration.
    pub probability: f64,
    /// S*: -log10 of the chance that this series shows so much on one day.
    pub score: f64,
    /// All windows that were unusual by themselves, as minutes and S*.
    pub windows: Vec<(u32, f32)>,
}

/// How a series stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesState {
    /// It is too young for anything to be said.
    Warming,
    /// Nothing is unusual.
    Quiet,
    /// An insight is open.
    Open,
}

/// What a rule may read of a series, as of the last minute that touched it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// How it stands.
    pub state: SeriesState,
    /// 1 - 10^-S*.
    pub score: f64,
    /// S* of the test that is most unusual.
    pub rarity: f64,
    /// That test.
    pub test: Test,
    /// Its window, in minutes.
    pub window_minutes: u32,
    /// What was counted in that window.
    pub observed: f64,
    /// What was expected of it.
    pub expected: f64,
    /// Calls per minute over the last seven days.
    pub baseline_average: f64,
}

/// What is expected of one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Band {
    /// The mean.
    pub expected: f64,
    /// Rarely less.
    pub low: f64,
    /// Rarely more.
    pub high: f64,
}
