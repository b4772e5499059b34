//! Which document a name means: one of this id, else one of this `name`, else one of this title.
//!
//! Documents that were refused are known here too, so that nobody is told that a rule is not there when it only has a
//! mistake, and no other rule is offered in its place. A name that several documents have means none of them: guessing
//! would point a correlation at the wrong rule.

use super::draft::{Body, Draft, Meta, Refused};
use super::yaml::shorten;
use crate::diagnostic::{Code, Diagnostic, Span, did_you_mean};
use crate::rule::Place;
use std::collections::BTreeMap;

/// What a name means.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Meant {
    /// The draft at this position.
    Draft(usize),
    /// A document with a mistake, which is here.
    Refused(Place),
    /// Documents here and here, of which none is meant more than the other.
    Several(Place, Place),
    Nothing,
}

/// Everything that has a name.
pub(super) struct Names {
    /// By id, by `name`, by title.
    kinds: [BTreeMap<String, Vec<Owner>>; 3],
}

enum Owner {
    Draft(usize, Place),
    Refused(Place),
}

impl Owner {
    fn place(&self) -> Place {
        match self {
            Self::Draft(_, place) | Self::Refused(place) => place.clone(),
        }
    }
}

/// The names of a document, in the order in which they count.
fn names(meta: &Meta) -> [Option<String>; 3] {
    let id = meta.id.as_deref().map(str::to_lowercase);
    let title = Some(meta.title.clone()).filter(|title| !title.is_empty());
    [id, meta.name.clone(), title]
}

impl Names {
    pub(super) fn of(drafts: &[Draft], refused: &[Refused]) -> Self {
        let mut kinds: [BTreeMap<String, Vec<Owner>>; 3] = Default::default();
        let mut add = |meta: &Meta, owner: &dyn Fn() -> Owner| {
            for (kind, name) in kinds.iter_mut().zip(names(meta)) {
                if let Some(name) = name {
                    kind.entry(name).or_default().push(owner());
                }
            }
        };
        for (at, draft) in drafts.iter().enumerate() {
            if !matches!(draft.body, Body::Filter(_)) {
                add(&draft.meta, &|| Owner::Draft(at, draft.place()));
            }
        }
        for one in refused {
            add(&one.meta, &|| Owner::Refused(one.place.clone()));
        }
        Self { kinds }
    }

    pub(super) fn meant(&self, name: &str) -> Meant {
        match self.owners(name) {
            [] => Meant::Nothing,
            [Owner::Draft(at, _)] => Meant::Draft(*at),
            [Owner::Refused(place)] => Meant::Refused(place.clone()),
            [first, second, ..] => Meant::Several(first.place(), second.place()),
        }
    }

    /// The drafts of a name, for those who may mean several.
    pub(super) fn drafts(&self, name: &str) -> impl Iterator<Item = usize> {
        self.owners(name).iter().filter_map(|owner| match owner {
            Owner::Draft(at, _) => Some(*at),
            Owner::Refused(_) => None,
        })
    }

    fn owners(&self, name: &str) -> &[Owner] {
        let lower = name.to_lowercase();
        let keys = [lower.as_str(), name, name];
        let mut found = self.kinds.iter().zip(keys);
        let found = found.find_map(|(kind, key)| kind.get(key));
        found.map_or(&[], Vec::as_slice)
    }

    /// What is wrong with a name that means no draft.
    pub(super) fn mistake(&self, code: Code, name: &str, span: Span) -> Diagnostic {
        let shown = shorten(name);
        match self.meant(name) {
            Meant::Refused(place) => refused(code, &shown, span, &place),
            Meant::Several(first, second) => {
                let message = format!("several rules are called `{shown}`");
                let help = format!("They are at {first} and {second}: name one by its `id`.");
                Diagnostic::new(code, span, message).with_help(help)
            }
            Meant::Draft(_) | Meant::Nothing => {
                let diagnostic = Diagnostic::new(code, span, format!("there is no rule `{shown}`"));
                match did_you_mean(name, self.usable()) {
                    Some(near) => diagnostic.with_help(format!("Did you mean `{near}`?")),
                    None => diagnostic,
                }
            }
        }
    }

    /// The names that mean one draft.
    fn usable(&self) -> impl Iterator<Item = &str> {
        let all = self.kinds.iter().flatten();
        all.filter(|(_, owners)| matches!(owners[..], [Owner::Draft(..)]))
            .map(|(name, _)| name.as_str())
    }
}

/// That a rule is there, but not in use.
pub(super) fn refused(code: Code, name: &str, span: Span, place: &Place) -> Diagnostic {
    let message = format!("the rule `{name}` was refused");
    Diagnostic::new(code, span, message).with_help(format!("It is at {place}."))
}
