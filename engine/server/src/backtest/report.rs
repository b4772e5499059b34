//! The results of a backtest, put together once for all ways to write them.

use super::compare::Comparison;
use super::expect::Judged;
use super::histogram::Axis;
use super::keep::{Keeper, KeptFinding};
use super::labels::LabelReport;
use super::propose::Proposals;
use super::tally::Tally;
use crate::scan::accounting::Accounting;
use crate::scan::outlet::Side;
use crate::scan::statistics::RuleCounts;
use tripline_core::evaluate::RuleSet;

/// Everything there is to say.
pub(crate) struct Report<'r> {
    pub(crate) rules: &'r RuleSet,
    /// Files of the rules that have errors; what has one is off.
    pub(crate) broken: &'r [String],
    pub(crate) keeper: &'r Keeper,
    pub(crate) accounting: &'r Accounting,
    pub(crate) counts: &'r [RuleCounts],
    pub(crate) tallies: Vec<Tally>,
    pub(crate) axis: Option<Axis>,
    /// First and last second of findings.
    pub(crate) span: Option<(i64, i64)>,
    pub(crate) baseline: Option<Versions<'r>>,
    /// Nothing when nobody expects anything.
    pub(crate) expectations: Option<Vec<Judged>>,
    pub(crate) labels: Option<LabelReport>,
    pub(crate) proposals: Option<Proposals>,
    /// Keys that are shown of each rule.
    pub(crate) top: usize,
    /// Columns of a line.
    pub(crate) width: usize,
}

/// The other version of the rules, and what differs.
pub(crate) struct Versions<'r> {
    pub(crate) name: String,
    pub(crate) rules: &'r RuleSet,
    pub(crate) broken: &'r [String],
    pub(crate) comparison: Comparison,
    /// Rules in force in one version only.
    pub(crate) added: Vec<&'r str>,
    pub(crate) removed: Vec<&'r str>,
}

impl<'r> Report<'r> {
    /// Findings of a version.
    pub(crate) fn findings(&self, side: Side) -> &[KeptFinding] {
        self.keeper.findings(side)
    }

    /// The id of a rule.
    pub(crate) fn id(&self, rule: usize) -> &'r str {
        self.rules.rules()[rule].rule.id.as_str()
    }

    /// Rules that found something, most findings first.
    pub(crate) fn fired(&self) -> Vec<usize> {
        let mut rules: Vec<usize> = (0..self.tallies.len()).collect();
        rules.retain(|rule| self.tallies[*rule].findings > 0);
        rules.sort_by_key(|rule| (std::cmp::Reverse(self.tallies[*rule].findings), *rule));
        rules
    }

    /// Rules that found nothing; signals are not meant to.
    pub(crate) fn silent(&self) -> Vec<usize> {
        let silent = |rule: &usize| {
            self.tallies[*rule].findings == 0 && !self.rules.rules()[*rule].rule.signal
        };
        (0..self.tallies.len()).filter(silent).collect()
    }

    /// Rules that could not be decided on some event, most often first.
    pub(crate) fn undecided(&self) -> Vec<usize> {
        let mut rules: Vec<usize> = (0..self.counts.len()).collect();
        rules.retain(|rule| self.counts[*rule].indeterminate > 0);
        rules.sort_by_key(|rule| (std::cmp::Reverse(self.counts[*rule].indeterminate), *rule));
        rules
    }

    /// Whether what was expected came, and nothing that is labelled true is missing.
    pub(crate) fn is_met(&self) -> bool {
        let unmet = |judged: &Vec<Judged>| judged.iter().any(|one| one.failure.is_some());
        let expected = !self.expectations.as_ref().is_some_and(unmet);
        expected && !self.labels.as_ref().is_some_and(LabelReport::misses)
    }
}

impl<'r> Versions<'r> {
    /// Ids of rules that are in one set and not in the other.
    pub(crate) fn only_in(rules: &'r RuleSet, other: &RuleSet) -> Vec<&'r str> {
        let there: std::collections::BTreeSet<&str> = other
            .rules()
            .iter()
            .map(|one| one.rule.id.as_str())
            .collect();
        let ids = rules.rules().iter().map(|one| one.rule.id.as_str());
        ids.filter(|id| !there.contains(id)).collect()
    }
}
