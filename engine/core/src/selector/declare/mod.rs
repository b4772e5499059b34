//! Every function of the language, in one table that checker, evaluator and documentation share.
//!
//! A line of the table is a signature as people read it, with what a call costs and what it does. Lower-case
//! words are types, capitals stand for any type, `...` repeats the last parameter. `receiver.name(…)` is called on
//! a value; a name with a namespace (`math.abs`) is one name. Operators are listed under the names that cel-go
//! gives them (`_+_`, `_[_]`), which no text can call.
//!
//! The evaluator implements these names and no others; a test of each side walks this table.

use super::types::{Type, TypeVar};
use std::collections::BTreeMap;
use std::sync::OnceLock;

mod table;

use table::TABLE;

/// What a call costs beyond one unit; sizes are those of its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// The same for all arguments.
    Constant,
    /// In proportion to the text or bytes of all arguments together.
    Text,
    /// In proportion to the text times the length of the pattern.
    Pattern,
    /// In proportion to the number of elements of all arguments together.
    Elements,
    /// In proportion to the square of the number of elements.
    ElementsSquared,
}

/// One way to call a function.
#[derive(Clone, Debug)]
pub struct Overload {
    /// The name, with its namespace.
    pub name: &'static str,
    /// Called on its first parameter.
    pub member: bool,
    /// The parameters, the receiver first.
    pub params: Vec<Type>,
    /// The last parameter may come any number of times, at least once.
    pub variadic: bool,
    /// What it gives.
    pub result: Type,
    /// The signature as written in the table.
    pub signature: &'static str,
    /// What a call costs.
    pub cost: Cost,
    /// What it does; one sentence.
    pub doc: &'static str,
}

/// Whether `name` is a function that is written with its namespace.
pub fn is_namespaced(name: &str) -> bool {
    name.contains('.') && !overloads(name, false).is_empty()
}

/// Every overload of every function, in the table's order.
pub fn all() -> &'static [Overload] {
    static ALL: OnceLock<Vec<Overload>> = OnceLock::new();
    ALL.get_or_init(|| {
        TABLE
            .iter()
            .filter_map(|(signature, cost, doc)| Overload::parse(signature, *cost, doc))
            .collect()
    })
}

/// The overloads of one function, called on a value or not.
pub fn overloads(name: &str, member: bool) -> &'static [&'static Overload] {
    #[derive(Default)]
    struct Forms {
        plain: Vec<&'static Overload>,
        member: Vec<&'static Overload>,
    }
    static INDEX: OnceLock<BTreeMap<&'static str, Forms>> = OnceLock::new();
    let index = INDEX.get_or_init(|| {
        let mut index = BTreeMap::<&'static str, Forms>::new();
        for overload in all() {
            let forms = index.entry(overload.name).or_default();
            let list = if overload.member {
                &mut forms.member
            } else {
                &mut forms.plain
            };
            list.push(overload);
        }
        index
    });
    let forms = index.get(name);
    forms.map_or(&[], |forms| {
        if member {
            forms.member.as_slice()
        } else {
            forms.plain.as_slice()
        }
    })
}

/// Names that can be called, each once: not the operators.
pub fn names() -> impl Iterator<Item = (&'static str, bool)> {
    let mut last = None;
    all()
        .iter()
        .filter(|overload| !overload.name.contains('_') || overload.name == "exists_one")
        .map(|overload| (overload.name, overload.member))
        .filter(move |entry| last.replace(*entry) != Some(*entry))
}

impl Overload {
    /// Reads a signature of the table's form.
    pub fn parse(signature: &'static str, cost: Cost, doc: &'static str) -> Option<Overload> {
        let (call, result) = signature.split_once(" -> ")?;
        let open = call_parenthesis(call)?;
        let (head, params_text) = (&call[..open], call[open + 1..].strip_suffix(')')?);
        let dot = head
            .rfind('.')
            .filter(|dot| receiver_type(&head[..*dot], &head[dot + 1..]).is_some());
        let (name, receiver) = match dot {
            Some(dot) => (
                &head[dot + 1..],
                receiver_type(&head[..dot], &head[dot + 1..]),
            ),
            None => (head, None),
        };
        let variadic = params_text.ends_with("...");
        let member = receiver.is_some();
        let mut params: Vec<Type> = receiver.into_iter().collect();
        for param in split_commas(params_text.trim_end_matches("...")) {
            params.push(parse_type(param)?);
        }
        let result = parse_type(result)?;
        Some(Overload {
            name,
            member,
            params,
            variadic,
            result,
            signature,
            cost,
            doc,
        })
    }
}

/// The parenthesis that opens the parameters: the last one on the outermost level.
fn call_parenthesis(call: &str) -> Option<usize> {
    let mut depth = 0;
    let mut found = None;
    for (at, c) in call.char_indices() {
        match c {
            '(' => {
                if depth == 0 {
                    found = Some(at);
                }
                depth += 1;
            }
            ')' => depth -= 1,
            _ => {}
        }
    }
    found
}

/// The receiver's type, unless the words before the dot are a namespace.
fn receiver_type(text: &str, name: &str) -> Option<Type> {
    // `ip.isCanonical` alone uses the name of a type as its namespace.
    let namespace = matches!(
        text,
        "math" | "strings" | "lists" | "base64" | "json" | "optional" | "cel"
    );
    if namespace || name == "isCanonical" {
        None
    } else {
        parse_type(text)
    }
}

fn split_commas(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if !text[start..].trim().is_empty() {
        parts.push(text[start..].trim());
    }
    parts
}

/// Reads a type of a signature. `number` is any type here; the checker looks closer.
fn parse_type(text: &str) -> Option<Type> {
    let simple = match text {
        "dyn" => Type::Dyn,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "timestamp" => Type::Timestamp,
        "duration" => Type::Duration,
        "ip" => Type::Ip,
        "cidr" => Type::Cidr,
        "number" => Type::Named("number".into(), Vec::new()),
        letter if letter.len() == 1 && letter.as_bytes()[0].is_ascii_uppercase() => {
            Type::Var(TypeVar(u32::from(letter.as_bytes()[0] - b'A')))
        }
        _ => {
            let (name, inner) = text.strip_suffix(')')?.split_once('(')?;
            let inner: Vec<Type> = split_commas(inner)
                .into_iter()
                .map(parse_type)
                .collect::<Option<_>>()?;
            return match (name, inner.as_slice()) {
                ("list", [element]) => Some(Type::list(element.clone())),
                ("map", [key, value]) => Some(Type::map(key.clone(), value.clone())),
                ("optional_type", [inner]) => Some(Type::optional(inner.clone())),
                ("type", [inner]) => Some(Type::type_of(inner.clone())),
                ("list" | "map" | "optional_type" | "type", _) => None,
                _ => Some(Type::Named(name.into(), inner)),
            };
        }
    };
    Some(simple)
}

#[cfg(test)]
mod tests {
    use super::{TABLE, all, is_namespaced, names, overloads};

    #[test]
    fn every_signature_is_read_and_written_the_same() {
        assert_eq!(all().len(), TABLE.len());
        for overload in all() {
            let params: Vec<String> = overload.params.iter().map(|one| one.to_string()).collect();
            let (receiver, rest) = match overload.member {
                true => (format!("{}.", params[0]), &params[1..]),
                false => (String::new(), &params[..]),
            };
            let dots = if overload.variadic { "..." } else { "" };
            let text = format!(
                "{receiver}{}({}{dots}) -> {}",
                overload.name,
                rest.join(", "),
                overload.result
            );
            let text = text.replace("_var0", "A").replace("_var1", "B");
            assert_eq!(text, overload.signature);
            assert!(overload.doc.ends_with('.'), "{}", overload.signature);
        }
    }

    #[test]
    fn functions_are_found_by_name_and_form() {
        assert_eq!(overloads("size", false).len(), 4);
        assert_eq!(overloads("contains", true).len(), 2);
        assert!(overloads("contains", false).is_empty());
        assert!(is_namespaced("math.greatest") && is_namespaced("ip.isCanonical"));
        assert!(!is_namespaced("ip.family") && !is_namespaced("size"));
        assert!(names().any(|entry| entry == ("startsWith", true)));
        assert!(names().all(|(name, _)| !name.starts_with('_')));
    }
}
