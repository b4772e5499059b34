//! The sets that the evaluation computes with: what a condition gives and was meant to give, what a value can be.

/// What a condition gives: true, false or an error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    True,
    False,
    Error,
}

const GIVEN: [Given; 3] = [Given::True, Given::False, Given::Error];

/// A set of (what is given, what was meant).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcomes(u8);

impl Outcomes {
    pub(super) const NONE: Outcomes = Outcomes(0);
    pub(super) const TRUE: Outcomes = Outcomes::one(Given::True, true);
    pub(super) const FALSE: Outcomes = Outcomes::one(Given::False, false);
    pub(super) const FREE: Outcomes = Outcomes(Self::TRUE.0 | Self::FALSE.0);

    pub(super) const fn one(given: Given, meant: bool) -> Outcomes {
        Outcomes(1 << (given as u8 * 2 + meant as u8))
    }

    pub(super) fn or(self, other: Outcomes) -> Outcomes {
        Outcomes(self.0 | other.0)
    }

    pub(super) fn members(self) -> impl Iterator<Item = (Given, bool)> {
        GIVEN
            .into_iter()
            .flat_map(|given| [(given, false), (given, true)])
            .filter(move |(given, meant)| self.0 & Outcomes::one(*given, *meant).0 != 0)
    }

    /// An error where a match was meant: the rule is silent.
    pub(super) fn misses(self) -> bool {
        self.0 & Outcomes::one(Given::Error, true).0 != 0
    }

    pub(super) fn fails(self) -> bool {
        self.members().any(|(given, _)| given == Given::Error)
    }

    /// As if every error had been what was meant.
    pub(super) fn mended(self) -> Outcomes {
        self.members().fold(Outcomes::NONE, |all, (given, meant)| {
            let given = match given {
                Given::Error if meant => Given::True,
                Given::Error => Given::False,
                other => other,
            };
            all.or(Outcomes::one(given, meant))
        })
    }

    pub(super) fn negated(self) -> Outcomes {
        self.members().fold(Outcomes::NONE, |all, (given, meant)| {
            let given = match given {
                Given::True => Given::False,
                Given::False => Given::True,
                Given::Error => Given::Error,
            };
            all.or(Outcomes::one(given, !meant))
        })
    }

    /// `&&` of independent conditions.
    pub(super) fn and(self, other: Outcomes) -> Outcomes {
        let mut all = Outcomes::NONE;
        for (left, left_meant) in self.members() {
            for (right, right_meant) in other.members() {
                let given = match (left, right) {
                    (Given::False, _) | (_, Given::False) => Given::False,
                    (Given::Error, _) | (_, Given::Error) => Given::Error,
                    _ => Given::True,
                };
                all = all.or(Outcomes::one(given, left_meant && right_meant));
            }
        }
        all
    }

    /// `||` of independent conditions.
    pub(super) fn either(self, other: Outcomes) -> Outcomes {
        self.negated().and(other.negated()).negated()
    }
}

/// A set of what a value can be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct States(u8);

impl States {
    pub(super) const NONE: States = States(0);
    /// An ordinary value.
    pub(super) const VALUE: States = States(1);
    /// Reading it is an error.
    pub(super) const ERROR: States = States(2);
    /// An optional without a value.
    pub(super) const EMPTY: States = States(4);
    /// JSON null.
    pub(super) const NULL: States = States(8);
    /// An error of a single element that takes the others with it.
    pub(super) const LOST: States = States(16);

    pub(super) fn or(self, other: States) -> States {
        States(self.0 | other.0)
    }

    pub(super) fn without(self, other: States) -> States {
        States(self.0 & !other.0)
    }

    /// Of these, the ways not to be a value: what a field of it is as well.
    pub(super) fn missing(self) -> States {
        States(self.0 & (Self::ERROR.0 | Self::EMPTY.0 | Self::LOST.0))
    }

    pub(super) fn has(self, other: States) -> bool {
        self.0 & other.0 != 0
    }
}

/// The state of something that needs all its parts.
pub(super) fn joined(parts: impl IntoIterator<Item = States>, null_is_fine: bool) -> States {
    let mut found = States::VALUE;
    for part in parts {
        found = found.or(States(part.0 & (States::ERROR.or(States::LOST)).0));
        if part.has(States::NULL) && !null_is_fine {
            found = found.or(States::ERROR);
        }
        // A part that is nothing but an error leaves no value.
        if !part.has(States::VALUE.or(States::EMPTY).or(States::NULL)) {
            found = States(found.0 & !States::VALUE.0);
        }
    }
    found
}

pub(super) fn chosen(condition: Outcomes, then: Outcomes, otherwise: Outcomes) -> Outcomes {
    condition
        .members()
        .fold(Outcomes::NONE, |all, (given, meant)| match given {
            Given::True => all.or(then),
            Given::False => all.or(otherwise),
            Given::Error => {
                let branch = if meant { then } else { otherwise };
                branch.members().fold(all, |all, (_, meant)| {
                    all.or(Outcomes::one(Given::Error, meant))
                })
            }
        })
}
