//! Plants unusual activity into the clean series of a key.
//!
//! A span is unusual when its sum lies outside all that the clean series shows in six weeks at comparable times: within an hour
//! and a half of the time of day on days of the same kind, or at any time for keys without a season. So every label can be found by somebody who
//! knows all of the clean series, and none is a matter of taste. Must keep labels of a key half a day apart. Multiples of the mean
//! would make labels of series that do as much every Tuesday.

use super::generate::{MINUTES, WARM, has_nights};
use super::random::Random;
use super::shape::{Class, DAY, Shape};
use super::{Kind, Label, Span};

/// Plants into one key.
pub(super) struct Planter<'a> {
    pub(super) shape: &'a Shape,
    pub(super) holiday: u32,
    pub(super) gaps: &'a [Span],
    pub(super) counts: Vec<(u32, u32)>,
    pub(super) random: Random,
}

/// Times that are compared lie so close in the day.
const COMPARED: i32 = 90;
/// Minutes after a label that still belong to it.
const GRACE: u32 = 60;
/// Labels of a key are so far apart.
const APART: u32 = 720;

/// Whether to sum calls or errors.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Calls,
    Errors,
}

impl Planter<'_> {
    /// Plants some labels, in order.
    pub(super) fn plant(&mut self, key: usize) -> Vec<Label> {
        let mut labels: Vec<Label> = Vec::new();
        let first = WARM.max(self.shape.born + 5 * DAY) + 120;
        let mut at = first + self.random.whole(0, 3 * DAY);
        while at + 600 < MINUTES {
            let kinds = self.kinds();
            let tries = 6;
            for _ in 0..tries {
                let kind = kinds[self.random.whole(0, kinds.len() as u32) as usize];
                let once =
                    kind == Kind::LevelShift && labels.iter().any(|label| label.kind == kind);
                let Some(label) = (if once { None } else { self.one(kind, at) }) else {
                    continue;
                };
                at = label.end.max(at);
                labels.push(Label { key, ..label });
                break;
            }
            at += APART + (-f64::ln(1.0 - self.random.unit()) * 5.0 * f64::from(DAY)) as u32;
        }
        labels
    }

    /// Kinds that a key of this class may have, as often as they are wanted.
    fn kinds(&self) -> Vec<Kind> {
        use Kind::{
            Burst, Drop, ErrorJump, LevelShift, MissingCron, NewError, Offhours, Slow, Spike,
        };
        let mut kinds = vec![Spike, Spike, Spike, Burst, Burst, Burst];
        match self.shape.class {
            Class::Rare | Class::Session => {
                kinds.extend([NewError, NewError, NewError]);
            }
            Class::Cron => kinds.extend([MissingCron; 4]),
            Class::Deploy => kinds.extend([Offhours, Offhours]),
            Class::Low => kinds.extend([Slow, Slow, Slow, ErrorJump, Offhours, Offhours]),
            Class::Mid | Class::High | Class::Trend | Class::Newborn => {
                kinds.extend([Slow, Slow, Slow, ErrorJump, ErrorJump, ErrorJump]);
                kinds.extend([Offhours, Offhours, Drop, Drop, LevelShift, LevelShift]);
            }
        }
        kinds
    }

    fn one(&mut self, kind: Kind, near: u32) -> Option<Label> {
        let start = near + self.random.whole(0, 600);
        match kind {
            Kind::Spike => {
                let length = self.random.whole(1, 6);
                self.more(kind, start, length)
            }
            Kind::Burst => {
                let length = self.random.whole(10, 61);
                self.more(kind, start, length)
            }
            Kind::Slow => {
                let length = self.random.whole(180, 481);
                self.more(kind, start, length)
            }
            Kind::Offhours => {
                if !has_nights(self.shape) && self.shape.class != Class::Deploy {
                    return None;
                }
                let length = self.random.whole(15, 75);
                let start = (start..start + DAY).step_by(10).find(|at| {
                    self.shape.is_off(*at, self.holiday)
                        && self.shape.is_off(at + length, self.holiday)
                })?;
                self.more(kind, start, length)
            }
            Kind::NewError => {
                let length = self.random.whole(5, 21);
                self.errors(kind, start, length)
            }
            Kind::ErrorJump => {
                let length = self.random.whole(55, 111);
                self.errors(kind, start, length)
            }
            Kind::Drop => self.fewer(start),
            Kind::MissingCron => self.missing(start),
            Kind::LevelShift => self.shift(start),
        }
    }

    /// The most or the least that spans of a length sum to at times that compare with `start`.
    fn bounds(&self, start: u32, length: u32, what: What) -> (i64, i64) {
        let season = !matches!(self.shape.class, Class::Session | Class::Cron | Class::Rare);
        let (time, off) = self.shape.place(start, self.holiday);
        let value = |minute: u32| {
            let (calls, errors) = self.counts[minute as usize];
            i64::from(if what == What::Calls { calls } else { errors })
        };
        let mut sum: i64 = (self.shape.born..self.shape.born + length).map(value).sum();
        let (mut most, mut least) = (0, i64::MAX);
        for at in self.shape.born..MINUTES - length {
            let (other_time, other_off) = self.shape.place(at, self.holiday);
            let apart = (other_time - time).abs();
            if !season || (other_off == off && apart.min(DAY as i32 - apart) <= COMPARED) {
                most = most.max(sum);
                least = least.min(sum);
            }
            sum += value(at + length) - value(at);
        }
        (most, least)
    }

    fn is_free(&self, start: u32, end: u32) -> bool {
        let clear = |(from, until): &Span| end + 20 < *from || start > *until + 60;
        start >= WARM && end + 20 < MINUTES && self.gaps.iter().all(clear)
    }

    /// What a sum has to be to be unusual by a factor; most factors are small.
    fn ratio(&mut self) -> f64 {
        1.25 * f64::exp(-0.55 * f64::ln(1.0 - self.random.unit())).min(3.4)
    }

    fn label(&self, kind: Kind, start: u32, length: u32, excess: i64, ratio: f64) -> Option<Label> {
        let end = start + length;
        Some(Label {
            key: 0,
            kind,
            start,
            end,
            grace_end: end + GRACE,
            excess,
            ratio,
        })
    }

    fn more(&mut self, kind: Kind, start: u32, length: u32) -> Option<Label> {
        if !self.is_free(start, start + length) {
            return None;
        }
        let (most, _) = self.bounds(start, length, What::Calls);
        let ratio = self.ratio();
        let limit = most as f64 + if most == 0 { 3.0 } else { 1.0 };
        let there: i64 = (start..start + length)
            .map(|at| i64::from(self.counts[at as usize].0))
            .sum();
        let excess = (ratio * limit).ceil() as i64 - there;
        if excess < 5 {
            return None;
        }
        for _ in 0..excess {
            let at = self.random.whole(start, start + length);
            self.counts[at as usize].0 += 1;
            let failed = self.random.chance(self.shape.errors);
            self.counts[at as usize].1 += u32::from(failed);
        }
        self.label(kind, start, length, excess, ratio)
    }

    fn errors(&mut self, kind: Kind, start: u32, length: u32) -> Option<Label> {
        if !self.is_free(start, start + length) {
            return None;
        }
        let (most, _) = self.bounds(start, length, What::Errors);
        let ratio = self.ratio();
        let limit = most as f64 + if most == 0 { 3.0 } else { 1.0 };
        let there: i64 = (start..start + length)
            .map(|at| i64::from(self.counts[at as usize].1))
            .sum();
        let mut excess = (ratio * limit).ceil() as i64 - there;
        let least = if kind == Kind::NewError { 5 } else { 4 };
        excess = excess.max(least);
        let calls: i64 = (start..start + length)
            .map(|at| i64::from(self.counts[at as usize].0))
            .sum();
        // Errors of a key that is busy are calls that would have succeeded.
        if kind == Kind::ErrorJump && excess > calls - there {
            return None;
        }
        let (mut left, mut tries) = (excess, 0);
        while left > 0 {
            tries += 1;
            let at = self.random.whole(start, start + length) as usize;
            let (calls, errors) = &mut self.counts[at];
            if kind == Kind::NewError {
                *calls += 1;
            } else if *errors >= *calls || tries > 200_000 {
                if tries > 200_000 {
                    return None;
                }
                continue;
            }
            *errors += 1;
            left -= 1;
        }
        self.label(kind, start, length, excess, ratio)
    }

    fn fewer(&mut self, start: u32) -> Option<Label> {
        let length = self.random.whole(40, 75);
        if !self.is_free(start, start + length) {
            return None;
        }
        let (_, least) = self.bounds(start, length, What::Calls);
        let there: i64 = (start..start + length)
            .map(|at| i64::from(self.counts[at as usize].0))
            .sum();
        if least < 20 || there < 40 {
            return None;
        }
        let kept = self.random.between(0.0, 0.2);
        let mut taken = 0;
        for at in start..start + length {
            let (calls, errors) = &mut self.counts[at as usize];
            let left = self.random.binomial(*calls, kept);
            taken += i64::from(*calls - left);
            (*calls, *errors) = (left, (*errors).min(left));
        }
        let ratio = (there - taken) as f64 / least as f64;
        if ratio > 0.8 {
            return None;
        }
        self.label(Kind::Drop, start, length, -taken, ratio)
    }

    fn missing(&mut self, near: u32) -> Option<Label> {
        let (period, place, length, _) = self.shape.job?;
        let start = (near / period + 1) * period + place;
        let span = 3 * period - 5;
        if !self.is_free(start, start + span) {
            return None;
        }
        let mut taken = 0;
        for at in
            (0..3).flat_map(|job| (0..length).map(move |minute| start + job * period + minute))
        {
            let (calls, errors) = &mut self.counts[at as usize];
            taken += i64::from(*calls);
            (*calls, *errors) = (0, 0);
        }
        self.label(Kind::MissingCron, start, span, -taken, 0.0)
    }

    fn shift(&mut self, start: u32) -> Option<Label> {
        let length = 360;
        if !self.is_free(start, start + length) {
            return None;
        }
        let factor = self.random.scale(2.5, 4.5);
        let (most, _) = self.bounds(start, length, What::Calls);
        let before: f64 = (start..start + length)
            .map(|at| self.shape.mean(at, self.holiday))
            .sum();
        if before * factor < 1.15 * most as f64 {
            return None;
        }
        for at in start..MINUTES {
            let (calls, errors) = &mut self.counts[at as usize];
            let more = self.random.poisson(f64::from(*calls) * (factor - 1.0));
            *calls += more;
            *errors += self.random.binomial(more, self.shape.errors);
        }
        let mut label = self.label(Kind::LevelShift, start, length, 0, factor)?;
        label.grace_end = MINUTES;
        Some(label)
    }

    /// Unusual activity before anything is scored, in a fifth of the keys: nobody learns from a clean past.
    pub(super) fn contaminate(&mut self) {
        if !self.random.chance(0.2) || self.shape.born > 0 {
            return;
        }
        for _ in 0..self.random.whole(1, 3) {
            let (start, length) = (self.random.whole(DAY, WARM - 600), self.random.whole(1, 60));
            let (most, _) = self.bounds(start, length, What::Calls);
            for _ in 0..most + 6 {
                let at = self.random.whole(start, start + length);
                self.counts[at as usize].0 += 1;
            }
        }
    }
}
