//! What keys are like when nothing is unusual.
//!
//! A key has a class, a base rate, a season in a time zone, a wander, and jobs, sessions or deployments. Rates run from
//! 1e-4 to 60 a minute. The numbers are those of the shared sample, read off its series: hourly jobs of three minutes, office
//! hours with a tenth of the calls at night and at the weekend, days that differ by a sixth.

use super::random::Random;

/// Minutes of a day and of a week.
pub(super) const DAY: u32 = 1440;

/// What a key is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Less than one call in three hours.
    Rare,
    /// Nothing but sessions of a few minutes, at any time.
    Session,
    /// Some calls an hour.
    Low,
    /// Some calls a minute.
    Mid,
    /// Many calls a minute.
    High,
    /// Jobs by the clock over few calls.
    Cron,
    /// Bursts in working hours over few calls.
    Deploy,
    /// Growth.
    Trend,
    /// It did not exist before.
    Newborn,
}

impl Class {
    /// As it is written in the shared format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rare => "rare",
            Self::Session => "session",
            Self::Low => "low",
            Self::Mid => "mid",
            Self::High => "high",
            Self::Cron => "cron",
            Self::Deploy => "deploy",
            Self::Trend => "trend",
            Self::Newborn => "newborn",
        }
    }
}

/// How calls are spread over the day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Season {
    Flat,
    /// Working hours on working days.
    Office,
    /// A wave over the day, weaker at weekends.
    Sun,
    /// A few hours of the night, every day.
    Night,
}

/// All that makes the clean series of a key.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) class: Class,
    pub(super) rate: f64,
    pub(super) season: Season,
    /// Minutes that its local time is ahead.
    pub(super) zone: i32,
    /// Part of the peak that is left at night and at weekends.
    pub(super) floor: f64,
    pub(super) wander: f64,
    /// Hours in which the wander forgets.
    pub(super) memory: f64,
    /// Shape of the gamma distribution of each minute.
    pub(super) burstiness: f64,
    /// Growth a day.
    pub(super) growth: f64,
    /// Part of calls that fails.
    pub(super) errors: f64,
    /// Job: period, place in it, minutes, calls.
    pub(super) job: Option<(u32, u32, u32, f64)>,
    /// First minute.
    pub(super) born: u32,
}

const ZONES: [i32; 6] = [-480, -300, 0, 60, 330, 540];

impl Shape {
    pub(super) fn new(class: Class, born: u32, random: &mut Random) -> Self {
        let season = match class {
            Class::Session => Season::Flat,
            Class::Cron => Season::Flat,
            Class::Deploy => Season::Office,
            Class::Rare if random.chance(0.4) => Season::Flat,
            Class::Trend => Season::Sun,
            _ => [
                Season::Office,
                Season::Office,
                Season::Office,
                Season::Sun,
                Season::Sun,
                Season::Night,
                Season::Flat,
            ][random.whole(0, 7) as usize],
        };
        let rate = match class {
            Class::Rare => random.scale(1e-4, 6e-3),
            Class::Session => 0.0,
            Class::Low => random.scale(0.02, 0.2),
            Class::Mid => random.scale(0.4, 5.0),
            Class::High => random.scale(5.0, 40.0),
            Class::Cron => random.scale(0.01, 0.2),
            Class::Deploy => random.scale(0.03, 0.3),
            Class::Trend => random.scale(2.0, 10.0),
            Class::Newborn => random.scale(0.05, 3.0),
        };
        let period = [60, 60, 60, 360, 1440, 1440][random.whole(0, 6) as usize];
        let job = (period, random.whole(0, period), 3, random.scale(6.0, 15.0));
        let errors = match class {
            Class::Session | Class::Rare => {
                if random.chance(0.6) {
                    0.0
                } else {
                    random.scale(1e-3, 3e-2)
                }
            }
            _ => {
                if random.chance(0.25) {
                    1e-5
                } else {
                    random.scale(5e-4, 4e-2)
                }
            }
        };
        Self {
            class,
            rate,
            season,
            zone: ZONES[random.whole(0, 6) as usize],
            floor: random.scale(0.05, 0.15),
            wander: random.between(0.08, 0.25),
            memory: random.scale(3.0, 16.0),
            burstiness: random.scale(3.0, 30.0),
            growth: if class == Class::Trend {
                random.between(0.01, 0.025)
            } else {
                0.0
            },
            errors,
            job: (class == Class::Cron).then_some(job),
            born,
        }
    }

    /// The mean rate of a minute since the beginning, before wander. `holiday` is a local day that is like a Sunday.
    pub(super) fn mean(&self, minute: u32, holiday: u32) -> f64 {
        let local = minute as i32 + self.zone;
        let day = local.div_euclid(DAY as i32);
        let hour = f64::from(local.rem_euclid(DAY as i32)) / 60.0;
        let off = day.rem_euclid(7) >= 5 || day == holiday as i32;
        let wave =
            |middle: f64| 0.5 + 0.5 * f64::cos((hour - middle) / 24.0 * std::f64::consts::TAU);
        let step = |at: f64| 1.0 / (1.0 + f64::exp(-2.5 * (hour - at)));
        let shape = match self.season {
            Season::Flat => 1.0,
            Season::Office => {
                let working = (step(8.5) - step(17.5))
                    * (1.0 - 0.15 * f64::exp(-(hour - 12.5) * (hour - 12.5)));
                self.floor
                    + if off {
                        0.0
                    } else {
                        working * (1.0 - self.floor)
                    }
            }
            Season::Sun => (0.25 + 0.75 * wave(14.0)) * if off { 0.75 } else { 1.0 },
            Season::Night => {
                let from_two = (hour - 2.0).abs().min(24.0 - (hour - 2.0).abs());
                self.floor + (1.0 - self.floor) * f64::exp(-from_two * from_two / 2.5)
            }
        };
        self.rate * shape * f64::exp(self.growth * f64::from(minute) / f64::from(DAY))
    }

    /// Whether a minute is one at which this key is nearly silent otherwise.
    pub(super) fn is_off(&self, minute: u32, holiday: u32) -> bool {
        self.season != Season::Flat
            && self.rate > 0.0
            && self.mean(minute, holiday)
                < 0.25 * self.rate * f64::exp(self.growth * f64::from(minute) / f64::from(DAY))
    }

    /// Local time of day and whether it is a day off, to compare times.
    pub(super) fn place(&self, minute: u32, holiday: u32) -> (i32, bool) {
        let local = minute as i32 + self.zone;
        let day = local.div_euclid(DAY as i32);
        (
            local.rem_euclid(DAY as i32),
            day.rem_euclid(7) >= 5 || day == holiday as i32,
        )
    }
}
