//! Gauge: what is unusual in a series of measurements.
//!
//! ```text
//!            ┌ reference ─ where values lie ──▶ height, depth, roughness ┐
//!  (t, v) ─▶ ├ forecast ── level, mistakes ───▶ jump                     ├─▶ tail, one each ─▶ rarest ─▶ quiet ─▶ score
//!            ├ season ──── shape of the day ──▶ off the day              │   (how rare a reading is)
//!            └ shapes ──── stretches seen ────▶ new shape                ┘
//! ```
//!
//! What for: sums, averages and measurements (bytes, latency, spend), one number at a time, each judged by the past alone. Six
//! simple readings look at different things; none of them knows how large it may be. What makes them comparable, with each other
//! and between series, is `tail`: how rare such a reading is in this series. The rarest decides. So one threshold fits
//! all series, in whatever unit: scores are the same for `a * v + b`. What is unusual is told at its start, once: after it scores are
//! halved for a while (`quiet`), for the next reading would tell the same again.
//!
//! Relies on rows in the order they were measured; repeated and backward stamps only blur the shape of the day. The cadence
//! is not told but counted in rows, apart from the day, which stamps tell. Must never read a clock, look ahead,
//! grow with the series, or fall over a value: what is not a number is passed over.
//!
//! Rejected: one forecaster and a test of its mistakes (nothing forecasts spikes, steps and days alike); adding up readings
//! (they agree on what is plain and differ on what is not, so the sum finds the plain twice); learning thresholds from labels.

mod forecast;
mod recent;
mod reference;
mod season;
mod settings;
mod shapes;
mod snapshot;
mod tail;
#[cfg(test)]
mod tests;

pub use settings::GaugeSettings;
pub use snapshot::GaugeFault;

use forecast::Forecast;
use recent::Recent;
use reference::Reference;
use season::Season;
use serde::{Deserialize, Serialize};
use shapes::Shapes;
use tail::{Rarity, Tail};

/// Rows of a mean that is judged by its height.
const HEIGHT_ROWS: usize = 4;
/// Steps of which the roughness is judged, and what is added before its logarithm is taken.
const ROUGH_STEPS: usize = 36;
const ROUGH_FLOOR: f64 = 0.02;
/// Points of a shape, and rows from one shape that may be kept to the next.
const SHAPE_POINTS: usize = 12;
const SHAPE_EVERY: u32 = 6;
/// Places kept: as many as the longest of the readings needs.
const PLACES: usize = ROUGH_STEPS + 1;
/// Blocks before a reading has a say.
const BLOCKS_MIN: f64 = 2.0;
/// Values beyond are taken for this one, so that differences and sums stay finite.
const VALUE_MAX: f64 = 1e300;
/// Kinds of reading.
const KINDS: usize = 6;
const HEIGHT: usize = 0;
const ROUGH: usize = 1;
const JUMP: usize = 2;
const OFF_THE_DAY: usize = 3;
const NEW_SHAPE: usize = 4;
const DEPTH: usize = 5;
/// Steps of time of which the middle one is taken for the cadence.
const STEPS: usize = 9;
const DAY_SECONDS: f64 = 86_400.0;
/// How fast it is found out whether the level or the day says more about the next value.
const BETTER_RATE: f64 = 0.01;

/// What one row looked like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observed {
    /// 0 to 1, a half and more: the start of something unusual. One threshold fits all series.
    pub score: f64,
    /// `-log10` of the chance that a day of this series shows this, whether or not it was told before; 0 where unknown.
    pub surprise: f64,
    /// What was expected.
    pub expected: f64,
    /// Below this value the row would have been unusual for its size alone; minus infinity while learning.
    pub low: f64,
    /// Above this value the row would have been unusual for its size alone; infinity while learning.
    pub high: f64,
    /// Too little was seen to say anything.
    pub warming: bool,
}

/// The memory of one series.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Gauge {
    settings: GaugeSettings,
    reference: Reference,
    values: Recent,
    places: Recent,
    forecast: Forecast,
    season: Season,
    shapes: Shapes,
    tails: [Tail; KINDS],
    quiet: Quiet,
    last: Option<i64>,
    steps: Recent,
    /// How wrong the level and the shape of the day were of late.
    wrong: (f64, f64),
}

/// When something was last told.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Quiet {
    told: Option<i64>,
    rows: u32,
}

impl Gauge {
    /// A gauge that has seen nothing.
    pub fn new(settings: &GaugeSettings) -> Self {
        Self {
            settings: settings.bounded(),
            reference: Reference::new(),
            values: Recent::new(),
            places: Recent::new(),
            forecast: Forecast::default(),
            season: Season::new(),
            shapes: Shapes::new(),
            tails: [Tail::new(); KINDS],
            quiet: Quiet::default(),
            last: None,
            steps: Recent::new(),
            wrong: (0.0, 0.0),
        }
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        // What the parts hold beside their own size, which is within ours.
        let rings = self.values.bytes() + self.places.bytes() + self.steps.bytes();
        let parts = self.reference.bytes() + self.season.bytes() + self.shapes.bytes();
        let own = 3 * size_of::<Recent>() + size_of::<Reference>();
        let own = own + size_of::<Season>() + size_of::<Shapes>();
        size_of::<Self>() + rings + parts - own
    }

    /// Judges a row by what came before, then takes it in.
    pub fn push(&mut self, time_seconds: i64, value: f64) -> Observed {
        let expected = self.expected(time_seconds);
        if !value.is_finite() {
            return self.nothing(expected);
        }
        let value = value.clamp(-VALUE_MAX, VALUE_MAX);
        self.follow(time_seconds);
        self.weigh(time_seconds, value);
        let reach = self.reach();
        let readings = self.readings(time_seconds, value);
        let day_rows = self.day_rows();
        let mut rarest: Option<Rarity> = None;
        for (kind, reading) in readings.into_iter().enumerate() {
            let Some(reading) = reading.filter(|reading| reading.is_finite()) else {
                continue;
            };
            let least = if kind == OFF_THE_DAY {
                self.settings.season_blocks_min
            } else {
                BLOCKS_MIN
            };
            let tail = &mut self.tails[kind];
            if let Some(rarity) = tail.rarity(reading, least, day_rows, &self.settings) {
                let before = rarest.unwrap_or(rarity);
                rarest = Some(Rarity {
                    strangeness: before.strangeness.max(rarity.strangeness),
                    day: before.day.max(rarity.day),
                });
            }
            tail.learn(reading, &self.settings);
        }
        let Some(rarest) = rarest else {
            self.quiet.rows = self.quiet.rows.saturating_add(1);
            return self.nothing(expected);
        };
        let expected = if expected.is_finite() {
            expected
        } else {
            value
        };
        Observed {
            score: self.told(time_seconds, rarest.strangeness),
            // Six readings are six chances.
            surprise: (rarest.day - (KINDS as f64).log10()).max(0.0),
            expected,
            low: expected - reach,
            high: expected + reach,
            warming: false,
        }
    }

    fn nothing(&self, expected: f64) -> Observed {
        Observed {
            score: 0.0,
            surprise: 0.0,
            expected,
            low: f64::NEG_INFINITY,
            high: f64::INFINITY,
            warming: true,
        }
    }

    /// The six readings of a row.
    fn readings(&mut self, time: i64, value: f64) -> [Option<f64>; KINDS] {
        let mut readings = [None; KINDS];
        self.reference.learn(value, &self.settings);
        let spread = self.reference.spread();
        self.values.push(value, HEIGHT_ROWS);
        self.places.push(self.reference.place(value), PLACES);
        let height = self.values.mean(HEIGHT_ROWS);
        readings[HEIGHT] = height.map(|mean| self.reference.place(mean));
        readings[DEPTH] = Some(-self.reference.place(value));
        let rough = self.places.roughness(ROUGH_STEPS);
        readings[ROUGH] = rough.map(|rough| (rough + ROUGH_FLOOR).ln());
        readings[JUMP] = self.forecast.reading(value, spread);
        readings[OFF_THE_DAY] = self.season.reading(time, value, spread, &self.settings);
        let mut stretch = [0.0; SHAPE_POINTS];
        if let Some(places) = self.places.last(SHAPE_POINTS) {
            for (point, place) in stretch.iter_mut().zip(places) {
                *point = place;
            }
            readings[NEW_SHAPE] = self.shapes.reading(&stretch, SHAPE_EVERY, &self.settings);
        }
        readings
    }

    /// The score of a row, and whether others are to be quiet for a while.
    fn told(&mut self, time: i64, strangeness: f64) -> f64 {
        let settings = &self.settings;
        self.quiet.rows = self.quiet.rows.saturating_add(1);
        let score = score_of(strangeness - settings.alarm);
        if let Some(told) = self.quiet.told {
            let rows = self.quiet.rows;
            let early = time.saturating_sub(told) < settings.quiet_seconds;
            if rows <= settings.quiet_rows && (rows < settings.quiet_rows_least || early) {
                return score / 2.0;
            }
        } else {
            // Of a past this short, everything is the greatest: the end of learning counts as something told.
            self.quiet = Quiet {
                told: Some(time),
                rows: 0,
            };
            return score / 2.0;
        }
        if strangeness >= settings.alarm {
            self.quiet = Quiet {
                told: Some(time),
                rows: 0,
            };
        }
        score
    }

    /// Learns the cadence.
    fn follow(&mut self, time: i64) {
        if let Some(last) = self.last {
            let step = time.saturating_sub(last);
            if step > 0 {
                self.steps.push(step as f64, STEPS);
            }
        }
        self.last = Some(time);
    }

    /// Rows of a day.
    fn day_rows(&self) -> f64 {
        let Some(steps) = self.steps.last(STEPS) else {
            return f64::from(self.settings.block_rows * self.settings.long_blocks);
        };
        let mut ranked = [0.0; STEPS];
        for (place, step) in ranked.iter_mut().zip(steps) {
            *place = step;
        }
        ranked.sort_unstable_by(f64::total_cmp);
        (DAY_SECONDS / ranked[STEPS / 2].max(1.0)).max(1.0)
    }

    /// What the next value should be: what is usual at this time of day where that was the better guess of late.
    fn expected(&self, time: i64) -> f64 {
        let day = self
            .season
            .usual(time)
            .filter(|_| self.wrong.1 < self.wrong.0);
        day.unwrap_or(self.forecast.level())
    }

    fn weigh(&mut self, time: i64, value: f64) {
        let Some(usual) = self.season.usual(time) else {
            return;
        };
        let level = (value - self.forecast.level()).abs();
        self.wrong.0 += BETTER_RATE * (level - self.wrong.0);
        self.wrong.1 += BETTER_RATE * ((value - usual).abs() - self.wrong.1);
    }

    /// How far a value may be from what was expected before it is unusual for that alone.
    fn reach(&self) -> f64 {
        let reading = self.tails[JUMP].reading_at(self.settings.alarm, &self.settings);
        self.forecast.usual(self.reference.spread()) * reading.clamp(0.0, 60.0).sinh()
    }
}

/// A half at the alarm, nearer to one by a factor of ten for each unit above.
fn score_of(above: f64) -> f64 {
    (1.0 - 0.5 * 10.0_f64.powf(-above)).clamp(0.0, 1.0)
}
