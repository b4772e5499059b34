//! Kinds of columns.

/// What a column holds, as `reads` and `writes` in `plugin.toml` name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// `true` or `false`.
    Bool = 1,
    /// Whole numbers.
    Int = 2,
    /// Numbers.
    Float = 3,
    /// Text.
    Text = 4,
    /// Text that repeats.
    Symbol = 5,
    /// Any value, as JSON text.
    Json = 6,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Bool,
        Self::Int,
        Self::Float,
        Self::Text,
        Self::Symbol,
        Self::Json,
    ];

    /// As manifests write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float",
            Self::Text => "text",
            Self::Symbol => "symbol",
            Self::Json => "json",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    pub(crate) fn of_number(number: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as usize == number)
    }

    /// Bytes of data per row.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::Symbol => 4,
            Self::Int | Self::Float | Self::Text | Self::Json => 8,
        }
    }
}
