//! The neutral form of a rule.

/// An AND of conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// All must hold.
    pub conditions: Vec<Condition>,
}

/// A test of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Keys from the event's root.
    pub path: &'static [&'static str],
    /// What is asked of the value. An absent or null field passes no test.
    pub test: Test,
    /// Whether the test must pass or fail.
    pub expect: Expect,
    /// How the CEL text deals with an absent field.
    pub guard: Guard,
}

/// Whether a test must pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// It must pass.
    Pass,
    /// It must fail; it fails on an absent field.
    Fail,
}

/// The two ways authors write a condition on a field that may be absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The field is always there.
    None,
    /// `has(event.a.b) && …`
    Has,
    /// `event.a.?b.orValue("")…`
    Optional,
}

/// What is asked of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// Equal to one of these.
    OneOf(Vec<String>),
    /// Starts with it.
    Prefix(String),
    /// Contains it (`*text*`).
    Contains(String),
    /// `start*end`.
    Ends(String, String),
    /// `*first*second*`.
    Parts(String, String),
    /// A boolean.
    Is(bool),
    /// A number between these two, both included.
    Between(i64, i64),
    /// There is a value.
    Exists,
    /// An element of the array passes the test at the inner path.
    Any(&'static [&'static str], Box<Test>),
    /// A regular expression matches somewhere.
    Regex(String),
    /// `size(text) * factor % modulo == remainder`: nothing an index could use.
    SizeModulo {
        /// Factor of the size.
        factor: i64,
        /// Divisor.
        modulo: i64,
        /// What is left.
        remainder: i64,
    },
}

impl Condition {
    /// A condition on a field that is always there.
    #[must_use]
    pub fn always(path: &'static [&'static str], test: Test) -> Self {
        Self {
            path,
            test,
            expect: Expect::Pass,
            guard: Guard::None,
        }
    }

    /// A condition on a field that may be absent.
    #[must_use]
    pub fn guarded(path: &'static [&'static str], test: Test, guard: Guard) -> Self {
        Self {
            path,
            test,
            expect: Expect::Pass,
            guard,
        }
    }

    /// The same condition, which must fail.
    #[must_use]
    pub fn negated(self) -> Self {
        Self {
            expect: Expect::Fail,
            ..self
        }
    }
}
