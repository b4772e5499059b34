//! The types of values, as the checker knows them.
//!
//! Relies on nothing. Beyond the types of the language there are `Record` (an object whose fields a schema lists;
//! everywhere else it is a map from text), `Fixed` (the same without a schema), `Nullable` (the wrapper types of the spec; any field that may be JSON
//! null) and `Var`, a type not yet decided, which [`Substitution`] fills in while checking. `Dyn` agrees with
//! everything; `Error` does as well and stands for a part that was already reported.

use std::fmt;
use std::sync::Arc;

/// An object in a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub u32);

/// A type that is not decided yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeVar(pub u32);

/// What is known of a value before any event is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Known only when the event is there.
    Dyn,
    /// Part of something already reported.
    Error,
    /// `null`
    Null,
    /// `true`, `false`
    Bool,
    /// 64-bit integers.
    Int,
    /// Unsigned 64-bit integers.
    Uint,
    /// 64-bit floating point.
    Double,
    /// Text.
    String,
    /// Bytes.
    Bytes,
    /// A moment.
    Timestamp,
    /// A length of time.
    Duration,
    /// An IP address.
    Ip,
    /// A range of IP addresses.
    Cidr,
    /// A list.
    List(Arc<Type>),
    /// A map.
    Map(Arc<Type>, Arc<Type>),
    /// An object with the fields of a schema.
    Record(RecordId),
    /// An object that always has these fields and no others.
    Fixed(Arc<[(Arc<str>, Type)]>),
    /// A value or nothing.
    Optional(Arc<Type>),
    /// The type or null.
    Nullable(Arc<Type>),
    /// A type as a value.
    Type(Arc<Type>),
    /// A type the language does not know, by name; only test environments declare any.
    Named(Arc<str>, Vec<Type>),
    /// To be decided.
    Var(TypeVar),
}

impl Type {
    /// A list of `element`.
    pub fn list(element: Type) -> Type {
        Type::List(Arc::new(element))
    }

    /// A map from `key` to `value`.
    pub fn map(key: Type, value: Type) -> Type {
        Type::Map(Arc::new(key), Arc::new(value))
    }

    /// An object that always has these fields and no others.
    pub fn fixed<N: AsRef<str>>(fields: impl IntoIterator<Item = (N, Type)>) -> Type {
        let fields = fields.into_iter();
        Type::Fixed(
            fields
                .map(|(name, of)| (name.as_ref().into(), of))
                .collect(),
        )
    }

    /// An optional `inner`.
    pub fn optional(inner: Type) -> Type {
        Type::Optional(Arc::new(inner))
    }

    /// `inner` or null; things that hold null already stay what they are.
    pub fn nullable(inner: Type) -> Type {
        match inner {
            Type::Dyn | Type::Null | Type::Nullable(_) | Type::Error => inner,
            _ => Type::Nullable(Arc::new(inner)),
        }
    }

    /// The type of the type `inner` as a value.
    pub fn type_of(inner: Type) -> Type {
        Type::Type(Arc::new(inner))
    }

    /// The type without `Nullable`.
    pub fn non_null(&self) -> &Type {
        match self {
            Type::Nullable(inner) => inner,
            other => other,
        }
    }

    /// Whether nothing is known.
    pub fn is_dyn(&self) -> bool {
        matches!(self, Type::Dyn | Type::Error)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Dyn => "dyn",
            Self::Error => "!error!",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::Ip => "ip",
            Self::Cidr => "cidr",
            Self::Record(_) | Self::Fixed(_) => "object",
            Self::List(element) => return write!(f, "list({element})"),
            Self::Map(key, value) => return write!(f, "map({key}, {value})"),
            Self::Optional(inner) => return write!(f, "optional_type({inner})"),
            Self::Nullable(inner) => return write!(f, "{inner} or null"),
            Self::Type(inner) => return write!(f, "type({inner})"),
            Self::Named(name, parameters) if parameters.is_empty() => return f.write_str(name),
            Self::Named(name, parameters) => {
                let parameters: Vec<String> = parameters.iter().map(Type::to_string).collect();
                return write!(f, "{name}({})", parameters.join(", "));
            }
            Self::Var(TypeVar(number)) => return write!(f, "_var{number}"),
        };
        f.write_str(name)
    }
}

/// What has been decided about the variables; a trial can be undone.
#[derive(Clone, Debug, Default)]
pub(super) struct Substitution {
    bindings: Vec<Option<Type>>,
    /// Decisions since the start with what was known before, so that a failed trial can be taken back.
    trail: Vec<(TypeVar, Option<Type>)>,
}

/// Deepest type that unification follows; hostile text cannot nest types deeper than its own tree.
const TYPE_DEPTH_MAX: usize = 256;

impl Substitution {
    /// A variable nobody has used.
    pub(super) fn fresh(&mut self) -> Type {
        self.bindings.push(None);
        Type::Var(TypeVar(self.bindings.len() as u32 - 1))
    }

    /// The type with the outermost variable replaced.
    pub(super) fn shallow(&self, of: &Type) -> Type {
        let mut at = of;
        while let Type::Var(TypeVar(number)) = at {
            match self.bindings.get(*number as usize).and_then(Option::as_ref) {
                Some(bound) => at = bound,
                None => break,
            }
        }
        at.clone()
    }

    /// The outermost type without `Nullable`.
    pub(super) fn bare(&self, of: &Type) -> Type {
        self.shallow(self.shallow(of).non_null())
    }

    /// The type with all variables replaced; undecided ones become dyn.
    pub(super) fn resolve(&self, of: &Type) -> Type {
        self.resolve_at(of, 0)
    }

    fn resolve_at(&self, of: &Type, depth: usize) -> Type {
        if depth > TYPE_DEPTH_MAX {
            return Type::Dyn;
        }
        let inner = |one: &Type| self.resolve_at(one, depth + 1);
        match self.shallow(of) {
            Type::Var(_) => Type::Dyn,
            Type::List(element) => Type::list(inner(&element)),
            Type::Map(key, value) => Type::map(inner(&key), inner(&value)),
            Type::Optional(value) => Type::optional(inner(&value)),
            Type::Nullable(value) => Type::nullable(inner(&value)),
            Type::Type(value) => Type::type_of(inner(&value)),
            Type::Named(name, parameters) => {
                Type::Named(name, parameters.iter().map(inner).collect())
            }
            other => other,
        }
    }

    /// Whether the type has more than `parts` nodes; looks at no more than that.
    pub(super) fn weighs_more(&self, of: &Type, parts: usize) -> bool {
        let mut left = parts;
        self.weigh(of, &mut left);
        left == 0
    }

    fn weigh(&self, of: &Type, left: &mut usize) {
        if *left == 0 {
            return;
        }
        *left -= 1;
        match self.shallow(of) {
            Type::List(inner)
            | Type::Optional(inner)
            | Type::Nullable(inner)
            | Type::Type(inner) => {
                self.weigh(&inner, left);
            }
            Type::Map(key, value) => {
                self.weigh(&key, left);
                self.weigh(&value, left);
            }
            Type::Named(_, parameters) => {
                for parameter in &parameters {
                    self.weigh(parameter, left);
                }
            }
            _ => {}
        }
    }

    /// Where to return to with [`Self::undo`].
    pub(super) fn mark(&self) -> usize {
        self.trail.len()
    }

    /// Takes back every decision since `mark`.
    pub(super) fn undo(&mut self, mark: usize) {
        for (TypeVar(number), before) in self.trail.drain(mark..).rev() {
            self.bindings[number as usize] = before;
        }
    }

    /// Whether a value of type `given` may stand where `wanted` is asked; decides variables on the way.
    pub(super) fn assign(&mut self, wanted: &Type, given: &Type) -> bool {
        let mark = self.mark();
        let fits = self.unify(wanted, given, 0);
        if !fits {
            self.undo(mark);
        }
        fits
    }

    fn unify(&mut self, wanted: &Type, given: &Type, depth: usize) -> bool {
        if depth > TYPE_DEPTH_MAX {
            return true;
        }
        self.widen(wanted, given);
        let (wanted, given) = (self.shallow(wanted), self.shallow(given));
        let next = depth + 1;
        match (&wanted, &given) {
            (Type::Var(left), Type::Var(right)) if left == right => true,
            (Type::Var(variable), other) | (other, Type::Var(variable)) => {
                self.bind(*variable, other, depth)
            }
            (Type::Dyn | Type::Error, _) | (_, Type::Dyn | Type::Error) => true,
            (Type::Nullable(left), Type::Nullable(right)) => self.unify(left, right, next),
            (Type::Nullable(_) | Type::Optional(_), Type::Null)
            | (Type::Null, Type::Nullable(_) | Type::Optional(_)) => true,
            (Type::Timestamp | Type::Duration, Type::Null)
            | (Type::Null, Type::Timestamp | Type::Duration) => true,
            (Type::Nullable(inner), other) | (other, Type::Nullable(inner)) => {
                self.unify(inner, other, next)
            }
            (Type::List(left), Type::List(right))
            | (Type::Optional(left), Type::Optional(right)) => self.unify(left, right, next),
            (Type::Map(left_key, left), Type::Map(right_key, right)) => {
                self.unify(left_key, right_key, next) && self.unify(left, right, next)
            }
            (Type::Record(_), Type::Record(_)) | (Type::Type(_), Type::Type(_)) => true,
            (Type::Record(_) | Type::Fixed(_), Type::Map(key, _))
            | (Type::Map(key, _), Type::Record(_) | Type::Fixed(_)) => {
                self.unify(key, &Type::String, next)
            }
            (Type::Named(left, left_parameters), Type::Named(right, right_parameters)) => {
                left == right
                    && left_parameters.len() == right_parameters.len()
                    && left_parameters
                        .iter()
                        .zip(right_parameters)
                        .all(|(a, b)| self.unify(a, b, next))
            }
            _ => wanted == given,
        }
    }

    fn decide(&mut self, variable: TypeVar, to: Type) {
        let before = self.bindings[variable.0 as usize].replace(to);
        self.trail.push((variable, before));
    }

    /// A variable that was decided and now meets dyn becomes dyn: the list of `[1] + [dyn("a")]`.
    fn widen(&mut self, wanted: &Type, given: &Type) {
        let Type::Var(mut variable) = *wanted else {
            return;
        };
        if self.shallow(given) != Type::Dyn {
            return;
        }
        while let Some(Some(Type::Var(next))) = self.bindings.get(variable.0 as usize) {
            variable = *next;
        }
        let decided = self.bindings[variable.0 as usize].as_ref();
        if decided.is_some_and(|decided| *decided != Type::Dyn) {
            self.decide(variable, Type::Dyn);
        }
    }

    fn bind(&mut self, variable: TypeVar, to: &Type, depth: usize) -> bool {
        if self.occurs(variable, to, depth) {
            return false;
        }
        self.decide(variable, to.clone());
        true
    }

    fn occurs(&self, variable: TypeVar, inside: &Type, depth: usize) -> bool {
        if depth > TYPE_DEPTH_MAX {
            return true;
        }
        let next = depth + 1;
        match self.shallow(inside) {
            Type::Var(other) => other == variable,
            Type::List(inner)
            | Type::Optional(inner)
            | Type::Nullable(inner)
            | Type::Type(inner) => self.occurs(variable, &inner, next),
            Type::Map(key, value) => {
                self.occurs(variable, &key, next) || self.occurs(variable, &value, next)
            }
            Type::Named(_, parameters) => parameters
                .iter()
                .any(|one| self.occurs(variable, one, next)),
            _ => false,
        }
    }
}
