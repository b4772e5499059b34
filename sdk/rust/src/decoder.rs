//! Turning what a source sends into events.

use crate::{Bad, Decoded, Fault};

/// Turns what a source sends into events.
///
/// ```
/// use tripline_plugin::{Decoded, Decoder, Fault, Lines, export_decoder};
///
/// /// `NAME=VALUE`, a line each.
/// #[derive(Default)]
/// struct Pairs;
///
/// impl Decoder for Pairs {
///     fn decode(&mut self, chunk: &[u8], state: &[u8], last: bool) -> Result<Decoded, Fault> {
///         let mut lines = Lines::new(chunk, last);
///         let mut decoded = Decoded::default();
///         for (offset, line) in lines.by_ref() {
///             let line = String::from_utf8_lossy(line);
///             match line.split_once('=') {
///                 Some((name, value)) => decoded.event(&format!("{{{name:?}:{value:?}}}")),
///                 None => decoded.bad(offset, "no `=`"),
///             }
///         }
///         decoded.consumed = lines.consumed();
///         Ok(decoded)
///     }
/// }
///
/// export_decoder!(Pairs);
///
/// let decoded = Pairs.decode(b"a=1\nb=2\nc", b"", false)?;
/// assert_eq!(decoded.events, b"{\"a\":\"1\"}\n{\"b\":\"2\"}\n");
/// assert_eq!(decoded.consumed, 8);
/// # Ok::<(), Fault>(())
/// ```
pub trait Decoder: Default + 'static {
    /// Takes the operator's settings as JSON, already checked against `[config]` of the manifest; not called without
    /// it.
    ///
    /// # Errors
    ///
    /// `invalid-config`: the plugin is not started.
    fn configure(&mut self, config: &str) -> Result<(), Fault> {
        let _ = config;
        Ok(())
    }

    /// Takes the next chunk of an input. `state` is what the call before gave back and empty at the start; `last` is
    /// true at the end. What is not consumed comes again, in front of the next chunk.
    ///
    /// # Errors
    ///
    /// The chunk is refused, or tried again, as the kind of the fault says.
    fn decode(&mut self, chunk: &[u8], state: &[u8], last: bool) -> Result<Decoded, Fault>;
}

#[allow(clippy::derivable_impls)] // The type is generated.
impl Default for Decoded {
    fn default() -> Self {
        Self {
            consumed: 0,
            events: Vec::new(),
            bad: Vec::new(),
            state: Vec::new(),
        }
    }
}

impl Decoded {
    /// One event more: a JSON object without a line break.
    pub fn event(&mut self, json: &str) {
        self.events.extend_from_slice(json.as_bytes());
        self.events.push(b'\n');
    }

    /// One part that is no event, with where it begins in the chunk.
    pub fn bad(&mut self, offset: usize, message: impl Into<String>) {
        self.bad.push(Bad {
            offset: offset as u64,
            message: message.into(),
        });
    }
}

/// The lines of a chunk that are whole, with where they begin; empty ones are passed over.
#[derive(Clone, Debug)]
pub struct Lines<'c> {
    chunk: &'c [u8],
    at: usize,
    last: bool,
}

impl<'c> Lines<'c> {
    /// The lines of a chunk; the `last` one of an input may end without a line break.
    pub fn new(chunk: &'c [u8], last: bool) -> Self {
        let at = 0;
        Self { chunk, at, last }
    }

    /// Up to where lines were given out.
    pub fn consumed(&self) -> u32 {
        self.at as u32
    }
}

impl<'c> Iterator for Lines<'c> {
    type Item = (usize, &'c [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let start = self.at;
            let rest = &self.chunk[start..];
            let (line, length) = match rest.iter().position(|byte| *byte == b'\n') {
                Some(end) => (&rest[..end], end + 1),
                None if self.last && !rest.is_empty() => (rest, rest.len()),
                None => return None,
            };
            self.at += length;
            let line = line.trim_ascii();
            if !line.is_empty() {
                return Some((start, line));
            }
        }
    }
}

/// Exports a [`Decoder`]; once in a plugin.
#[macro_export]
macro_rules! export_decoder {
    ($type:ty) => {
        $crate::__exported! { $type, Decoder {
            impl $crate::exported::Decode for Exported {
                fn decode(
                    chunk: $crate::exported::Vec<u8>,
                    state: $crate::exported::Vec<u8>,
                    last: bool,
                ) -> $crate::exported::Result<$crate::Decoded, $crate::Fault> {
                    PLUGIN.with_borrow_mut(|plugin| {
                        <$type as $crate::Decoder>::decode(plugin, &chunk, &state, last)
                    })
                }
            }
        } __export_export_decode_impl export_decode }
    };
}
