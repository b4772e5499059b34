//! Columns by name.

/// A struct of the columns that `reads` in `plugin.toml` names, in the same order: `NAME: KIND`, with the kinds of the
/// manifest.
///
/// ```
/// use tripline_plugin::{Batch, Columns, fields};
///
/// fields! {
///     /// What is read of an event.
///     pub struct Reads {
///         event_name: symbol,
///         read_only: bool,
///     }
/// }
///
/// let bytes = Columns::new(1)
///     .with_symbol([Some("GetObject")])
///     .with_bool([Some(true)])
///     .pack();
/// let batch = Batch::read(&bytes)?;
/// let reads = Reads::of(&batch)?;
/// assert_eq!(reads.event_name.get(0), Some("GetObject"));
/// assert_eq!(reads.read_only.get(0), Some(true));
/// # Ok::<(), tripline_plugin::Fault>(())
/// ```
#[macro_export]
macro_rules! fields {
    ($(#[$attribute:meta])* $visible:vis struct $name:ident {
        $($(#[$field_attribute:meta])* $field:ident : $kind:ident),+ $(,)?
    }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug)]
        $visible struct $name<'b> {
            $($(#[$field_attribute])* #[allow(missing_docs)] $visible $field: $crate::__read!($kind 'b)),+
        }

        impl<'b> $name<'b> {
            /// The columns of a batch; a fault when they are of other kinds.
            $visible fn of(
                batch: &$crate::Batch<'b>,
            ) -> ::core::result::Result<Self, $crate::Fault> {
                let mut columns = 0..;
                $(let $field = batch.$kind(columns.next().unwrap_or_default())?;)+
                ::core::result::Result::Ok(Self { $($field),+ })
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __read {
    (bool $life:lifetime) => { $crate::BoolColumn<$life> };
    (int $life:lifetime) => { $crate::IntColumn<$life> };
    (float $life:lifetime) => { $crate::FloatColumn<$life> };
    (text $life:lifetime) => { $crate::TextColumn<$life> };
    (symbol $life:lifetime) => { $crate::SymbolColumn<$life> };
    (json $life:lifetime) => { $crate::TextColumn<$life> };
}

/// A struct of the columns that `writes` in `plugin.toml` names, in the same order: `NAME: KIND`, with the kinds of the
/// manifest. Rows that are not set have no value.
///
/// ```
/// use tripline_plugin::{Batch, Columns, writes};
///
/// writes! {
///     /// What is said of an event.
///     pub struct Writes {
///         country: symbol,
///         number: int,
///     }
/// }
///
/// let mut writes = Writes::with_rows(2);
/// writes.country.set(1, "DE");
/// writes.number.set(1, 64500);
/// let columns: Columns = writes.into();
/// let bytes = columns.pack();
/// assert_eq!(Batch::read(&bytes)?.symbol(0)?.get(1), Some("DE"));
/// # Ok::<(), tripline_plugin::Fault>(())
/// ```
#[macro_export]
macro_rules! writes {
    ($(#[$attribute:meta])* $visible:vis struct $name:ident {
        $($(#[$field_attribute:meta])* $field:ident : $kind:ident),+ $(,)?
    }) => {
        $(#[$attribute])*
        #[derive(Clone, Debug)]
        $visible struct $name {
            rows: usize,
            $($(#[$field_attribute])* #[allow(missing_docs)] $visible $field: $crate::__write!($kind)),+
        }

        impl $name {
            /// As many rows as a batch has, none of them with a value.
            #[allow(dead_code)]
            $visible fn of(batch: &$crate::Batch<'_>) -> Self {
                Self::with_rows(batch.len())
            }

            /// So many rows, none of them with a value.
            #[allow(dead_code)]
            $visible fn with_rows(rows: usize) -> Self {
                Self { rows, $($field: <$crate::__write!($kind)>::new(rows)),+ }
            }
        }

        impl ::core::convert::From<$name> for $crate::Columns {
            fn from(writes: $name) -> Self {
                let mut columns = $crate::Columns::new(writes.rows);
                $(columns.push(writes.$field.into());)+
                columns
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __write {
    (bool) => {
        $crate::writers::BoolWriter
    };
    (int) => {
        $crate::writers::IntWriter
    };
    (float) => {
        $crate::writers::FloatWriter
    };
    (text) => {
        $crate::writers::TextWriter
    };
    (symbol) => {
        $crate::writers::SymbolWriter
    };
    (json) => {
        $crate::writers::JsonWriter
    };
}
