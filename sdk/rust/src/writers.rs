//! Columns that know their kind while compiling; [`writes!`](crate::writes) makes them.

use crate::{Column, Kind};

macro_rules! writer {
    ($name:ident $kind:ident $value:ty, $set:ident) => {
        #[doc = concat!("A column of `", stringify!($kind), "`, being written.")]
        #[derive(Clone, Debug)]
        pub struct $name(Column);

        impl $name {
            /// So many rows, none of them with a value.
            pub fn new(rows: usize) -> Self {
                Self(Column::new(Kind::$kind, rows))
            }

            /// Sets a row.
            ///
            /// # Panics
            ///
            /// When there is no such row.
            pub fn set(&mut self, row: usize, value: $value) {
                self.0.$set(row, value);
            }

            /// Sets a row, or leaves it without a value.
            ///
            /// # Panics
            ///
            /// When there is no such row.
            pub fn set_some(&mut self, row: usize, value: Option<$value>) {
                if let Some(value) = value {
                    self.0.$set(row, value);
                }
            }
        }

        impl From<$name> for Column {
            fn from(writer: $name) -> Self {
                writer.0
            }
        }
    };
}

writer!(BoolWriter Bool bool, set_bool);
writer!(IntWriter Int i64, set_int);
writer!(FloatWriter Float f64, set_float);
writer!(TextWriter Text &str, set_text);
writer!(SymbolWriter Symbol &str, set_text);
writer!(JsonWriter Json &str, set_text);
