//! `[risk]`: many small things about one entity, none of which is worth a finding by itself.
//!
//! ```toml
//! rules = ["aws-*"]
//! group_by = ['event.?userIdentity.?arn.orValue("")']
//!
//! [risk]
//! threshold = 100
//! half_life = "12h"
//! rule_score_max = 60       # most that one rule may contribute at a time
//! ```
//!
//! Every detection of the rules adds the `risk_score` of its rule, or what its severity stands for. The sum halves
//! within each half-life. The rule fires when the sum reaches the threshold, and again after it fell below.

use super::input::Input;
use super::moves::{CITED_MAX, EventKey, Firing, Observed};
use super::period::{EventTime, Period};
use super::{Kind, integer, window};
use crate::diagnostic::{Code, Diagnostic};
use crate::limits::{RISK_RULES_MAX, RISK_SCORE_MAX};
use crate::rule::model::{Selector, Severity};
use crate::rule::read::{Fields, Reader};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What `[risk]` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Risk {
    /// The sum at which the rule fires.
    pub threshold: f64,
    /// The time in which a score halves.
    pub half_life: Period,
    /// Most that one rule may have contributed at a time.
    pub rule_score_max: f64,
    /// The score of a detection, instead of its rule's.
    pub score: Option<Selector>,
}

/// What detections of a severity add when their rule says no score.
pub fn default_score(severity: Severity) -> f64 {
    match severity {
        Severity::Informational => 5.0,
        Severity::Low => 10.0,
        Severity::Medium => 25.0,
        Severity::High => 50.0,
        Severity::Critical => 100.0,
    }
}

/// Reads `[risk]`.
pub(super) fn read(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    own: Input,
) -> Option<(Kind, Vec<Input>)> {
    let before = reader.errors();
    let threshold = integer(reader, fields, "threshold", 1, RISK_SCORE_MAX);
    let half_life = window(reader, fields, "half_life");
    let most = integer(reader, fields, "rule_score_max", 1, RISK_SCORE_MAX);
    let score = fields.selector(reader, "score");
    if own.rules.is_empty() && reader.errors() == before {
        reader.report(
            Diagnostic::new(
                Code::RuleKind,
                own.place.span,
                "`risk` adds up detections, so it needs `rules`",
            )
            .with_help("Such as `rules = [\"aws-*\"]`; `when` may narrow them down."),
        );
    }
    if reader.errors() > before {
        return None;
    }
    let risk = Risk {
        threshold: threshold?? as f64,
        half_life: half_life?,
        rule_score_max: most?.map_or(f64::INFINITY, |most| most as f64),
        score,
    };
    Some((Kind::Risk(risk), vec![own]))
}

/// The memory of one entity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RiskGroup {
    /// What each rule has contributed, as of `last`.
    scores: Vec<(u64, f64)>,
    last: EventTime,
    latched: bool,
    cited: VecDeque<(EventTime, EventKey)>,
}

impl Risk {
    /// After so many half-lives without a detection an entity begins anew.
    const HALF_LIVES: i64 = 12;

    /// How far back in event time scores matter.
    pub fn reach(&self) -> Period {
        let seconds = self.half_life.micros() / 1_000_000;
        Period::from_seconds(
            seconds
                .saturating_mul(Self::HALF_LIVES)
                .min(i64::MAX / 8_000_000),
        )
    }

    /// A detection is added.
    pub fn observe(&self, group: &mut RiskGroup, observed: &Observed<'_>) -> Option<Firing> {
        let (time, event) = (observed.time(), observed.event);
        if self.forgotten_after(group) <= time {
            *group = RiskGroup::default();
        }
        let halves = time.since(group.last).seconds() / self.half_life.seconds();
        let left = 0.5f64.powf(halves);
        group
            .scores
            .iter_mut()
            .for_each(|(_, score)| *score *= left);
        group.scores.retain(|(_, score)| *score >= 0.01);
        group.last = time;
        let before: f64 = group.scores.iter().map(|(_, score)| score).sum();
        group.latched &= before >= self.threshold;
        let from = time.minus(self.reach());
        while group.cited.front().is_some_and(|(at, _)| *at <= from) {
            group.cited.pop_front();
        }
        let rule = observed.detected_by;
        let score = observed.captured.number();
        match group.scores.iter().position(|(known, _)| *known == rule) {
            Some(at) => {
                let known = &mut group.scores[at].1;
                *known = (*known + score).min(self.rule_score_max);
            }
            None if group.scores.len() < RISK_RULES_MAX => {
                group.scores.push((rule, score.min(self.rule_score_max)));
            }
            None => {}
        }
        if group.cited.back().is_none_or(|(_, key)| *key != event.key) {
            group.cited.push_back((time, event.key.clone()));
        }
        if group.cited.len() > CITED_MAX {
            group.cited.pop_front();
        }
        let sum: f64 = group.scores.iter().map(|(_, score)| score).sum();
        let fires = sum >= self.threshold && !group.latched;
        group.latched |= fires;
        fires.then(|| Firing {
            start: group.cited.front().map_or(time, |(first, _)| *first),
            count: group.cited.len() as u64,
            value: (sum.clamp(-1e300, 1e300) * 100.0).round() / 100.0,
            cited: group.cited.iter().map(|(_, key)| key.clone()).collect(),
            ..Firing::of_event(event)
        })
    }

    /// When the entity can be forgotten.
    pub fn forgotten_after(&self, group: &RiskGroup) -> EventTime {
        group.last.plus(self.reach())
    }
}

impl RiskGroup {
    /// About how much memory it takes beside itself.
    pub fn heap_bytes(&self) -> usize {
        self.scores.capacity() * 16 + self.cited.capacity() * size_of::<(EventTime, EventKey)>()
    }
}
