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

use Cost::{Constant, Elements, ElementsSquared, Pattern, Text};

/// Signature, cost, meaning.
const TABLE: &[(&str, Cost, &str)] = &[
    // Operators.
    ("_+_(int, int) -> int", Constant, "Sum."),
    ("_+_(uint, uint) -> uint", Constant, "Sum."),
    ("_+_(double, double) -> double", Constant, "Sum."),
    ("_+_(string, string) -> string", Text, "Both texts, joined."),
    (
        "_+_(bytes, bytes) -> bytes",
        Text,
        "Both byte strings, joined.",
    ),
    (
        "_+_(list(A), list(A)) -> list(A)",
        Elements,
        "Both lists, joined.",
    ),
    (
        "_+_(timestamp, duration) -> timestamp",
        Constant,
        "A later moment.",
    ),
    (
        "_+_(duration, timestamp) -> timestamp",
        Constant,
        "A later moment.",
    ),
    ("_+_(duration, duration) -> duration", Constant, "Sum."),
    ("_-_(int, int) -> int", Constant, "Difference."),
    ("_-_(uint, uint) -> uint", Constant, "Difference."),
    ("_-_(double, double) -> double", Constant, "Difference."),
    (
        "_-_(timestamp, timestamp) -> duration",
        Constant,
        "Time between.",
    ),
    (
        "_-_(timestamp, duration) -> timestamp",
        Constant,
        "An earlier moment.",
    ),
    (
        "_-_(duration, duration) -> duration",
        Constant,
        "Difference.",
    ),
    ("_*_(int, int) -> int", Constant, "Product."),
    ("_*_(uint, uint) -> uint", Constant, "Product."),
    ("_*_(double, double) -> double", Constant, "Product."),
    (
        "_/_(int, int) -> int",
        Constant,
        "Quotient, rounded towards zero.",
    ),
    (
        "_/_(uint, uint) -> uint",
        Constant,
        "Quotient, rounded down.",
    ),
    ("_/_(double, double) -> double", Constant, "Quotient."),
    ("_%_(int, int) -> int", Constant, "Remainder."),
    ("_%_(uint, uint) -> uint", Constant, "Remainder."),
    ("-_(int) -> int", Constant, "Negated."),
    ("-_(double) -> double", Constant, "Negated."),
    ("!_(bool) -> bool", Constant, "Not."),
    ("_==_(A, A) -> bool", Text, "Equal."),
    ("_!=_(A, A) -> bool", Text, "Not equal."),
    ("_<_(bool, bool) -> bool", Constant, "Less."),
    ("_<_(int, int) -> bool", Constant, "Less."),
    ("_<_(int, uint) -> bool", Constant, "Less."),
    ("_<_(int, double) -> bool", Constant, "Less."),
    ("_<_(uint, int) -> bool", Constant, "Less."),
    ("_<_(uint, uint) -> bool", Constant, "Less."),
    ("_<_(uint, double) -> bool", Constant, "Less."),
    ("_<_(double, int) -> bool", Constant, "Less."),
    ("_<_(double, uint) -> bool", Constant, "Less."),
    ("_<_(double, double) -> bool", Constant, "Less."),
    (
        "_<_(string, string) -> bool",
        Text,
        "Before, by code point.",
    ),
    ("_<_(bytes, bytes) -> bool", Text, "Before, byte by byte."),
    ("_<_(timestamp, timestamp) -> bool", Constant, "Earlier."),
    ("_<_(duration, duration) -> bool", Constant, "Shorter."),
    (
        "_in_(A, list(A)) -> bool",
        Elements,
        "Whether the list has the value.",
    ),
    (
        "_in_(A, map(A, B)) -> bool",
        Constant,
        "Whether the map has the key.",
    ),
    (
        "_[_](list(A), int) -> A",
        Constant,
        "The element at a position, from 0.",
    ),
    ("_[_](map(A, B), A) -> B", Constant, "The value of a key."),
    // Sizes and conversions.
    ("size(string) -> int", Text, "Number of code points."),
    ("size(bytes) -> int", Constant, "Number of bytes."),
    ("size(list(A)) -> int", Constant, "Number of elements."),
    ("size(map(A, B)) -> int", Constant, "Number of entries."),
    ("string.size() -> int", Text, "Number of code points."),
    ("bytes.size() -> int", Constant, "Number of bytes."),
    ("list(A).size() -> int", Constant, "Number of elements."),
    ("map(A, B).size() -> int", Constant, "Number of entries."),
    ("bool(bool) -> bool", Constant, "The same."),
    (
        "bool(string) -> bool",
        Constant,
        "Reads `true`, `True`, `TRUE`, `t`, `1` and their opposites.",
    ),
    ("bytes(bytes) -> bytes", Constant, "The same."),
    ("bytes(string) -> bytes", Text, "The text as UTF-8."),
    ("double(double) -> double", Constant, "The same."),
    ("double(int) -> double", Constant, "The nearest double."),
    ("double(uint) -> double", Constant, "The nearest double."),
    ("double(string) -> double", Text, "Reads a number."),
    ("duration(duration) -> duration", Constant, "The same."),
    (
        "duration(string) -> duration",
        Text,
        "Reads a length of time such as `1h30m`.",
    ),
    ("dyn(A) -> dyn", Constant, "The same, its type not checked."),
    ("int(int) -> int", Constant, "The same."),
    ("int(uint) -> int", Constant, "The same number."),
    ("int(double) -> int", Constant, "Rounded towards zero."),
    ("int(string) -> int", Text, "Reads a number."),
    ("int(timestamp) -> int", Constant, "Seconds since 1970."),
    ("int(duration) -> int", Constant, "Nanoseconds."),
    ("string(string) -> string", Constant, "The same."),
    ("string(bool) -> string", Constant, "`true` or `false`."),
    ("string(int) -> string", Constant, "Decimal digits."),
    ("string(uint) -> string", Constant, "Decimal digits."),
    (
        "string(double) -> string",
        Constant,
        "The shortest text that reads as the same number.",
    ),
    ("string(bytes) -> string", Text, "Reads UTF-8."),
    (
        "string(timestamp) -> string",
        Constant,
        "RFC 3339 text in UTC.",
    ),
    (
        "string(duration) -> string",
        Constant,
        "Seconds, such as `5400s`.",
    ),
    ("string(ip) -> string", Constant, "The address as text."),
    ("string(cidr) -> string", Constant, "The network as text."),
    ("timestamp(timestamp) -> timestamp", Constant, "The same."),
    (
        "timestamp(string) -> timestamp",
        Text,
        "Reads RFC 3339 text.",
    ),
    (
        "timestamp(int) -> timestamp",
        Constant,
        "Seconds since 1970.",
    ),
    ("type(A) -> type(A)", Constant, "The type of a value."),
    ("uint(uint) -> uint", Constant, "The same."),
    (
        "uint(int) -> uint",
        Constant,
        "The same number, not negative.",
    ),
    ("uint(double) -> uint", Constant, "Rounded towards zero."),
    ("uint(string) -> uint", Text, "Reads a number."),
    // Text.
    (
        "string.contains(string) -> bool",
        Text,
        "Whether the text has the part.",
    ),
    (
        "string.endsWith(string) -> bool",
        Text,
        "Whether the text ends so.",
    ),
    (
        "string.startsWith(string) -> bool",
        Text,
        "Whether the text begins so.",
    ),
    (
        "string.matches(string) -> bool",
        Pattern,
        "Whether the regular expression matches anywhere in the text.",
    ),
    (
        "matches(string, string) -> bool",
        Pattern,
        "Whether the regular expression matches anywhere in the text.",
    ),
    (
        "string.charAt(int) -> string",
        Text,
        "The character at a position; empty at the end.",
    ),
    (
        "string.format(list(dyn)) -> string",
        Text,
        "Fills `%s`, `%d`, `%f`, `%e`, `%b`, `%x`, `%X` and `%o`.",
    ),
    (
        "string.indexOf(string) -> int",
        Text,
        "Where the part first begins, or -1.",
    ),
    (
        "string.indexOf(string, int) -> int",
        Text,
        "Where the part first begins from a position on, or -1.",
    ),
    (
        "string.lastIndexOf(string) -> int",
        Text,
        "Where the part last begins, or -1.",
    ),
    (
        "string.lastIndexOf(string, int) -> int",
        Text,
        "Where the part last begins up to a position, or -1.",
    ),
    ("list(string).join() -> string", Text, "All texts, joined."),
    (
        "list(string).join(string) -> string",
        Text,
        "All texts, joined with a separator.",
    ),
    (
        "string.lowerAscii() -> string",
        Text,
        "ASCII letters in lower case.",
    ),
    (
        "string.upperAscii() -> string",
        Text,
        "ASCII letters in upper case.",
    ),
    (
        "string.replace(string, string) -> string",
        Text,
        "Every part replaced.",
    ),
    (
        "string.replace(string, string, int) -> string",
        Text,
        "The first parts replaced, up to a number.",
    ),
    (
        "string.reverse() -> string",
        Text,
        "The characters in reverse order.",
    ),
    (
        "string.split(string) -> list(string)",
        Text,
        "The pieces between separators.",
    ),
    (
        "string.split(string, int) -> list(string)",
        Text,
        "At most so many pieces.",
    ),
    (
        "string.substring(int) -> string",
        Text,
        "From a position on.",
    ),
    (
        "string.substring(int, int) -> string",
        Text,
        "From a position up to another.",
    ),
    (
        "string.trim() -> string",
        Text,
        "Without blanks at both ends.",
    ),
    (
        "strings.quote(string) -> string",
        Text,
        "As a literal, with escapes.",
    ),
    (
        "glob(string, string) -> bool",
        Pattern,
        "Whether `*` (any text) and `?` (one character) of the pattern can be filled to give the whole text.",
    ),
    (
        "base64.encode(bytes) -> string",
        Text,
        "Base64 with padding.",
    ),
    (
        "base64.decode(string) -> bytes",
        Text,
        "Reads base64, padded or not.",
    ),
    ("json.parse(string) -> dyn", Text, "Reads JSON text."),
    // Moments and lengths of time.
    (
        "timestamp.getDate() -> int",
        Constant,
        "Day of the month, from 1.",
    ),
    (
        "timestamp.getDate(string) -> int",
        Constant,
        "Day of the month in a time zone, from 1.",
    ),
    (
        "timestamp.getDayOfMonth() -> int",
        Constant,
        "Day of the month, from 0.",
    ),
    (
        "timestamp.getDayOfMonth(string) -> int",
        Constant,
        "Day of the month in a time zone, from 0.",
    ),
    (
        "timestamp.getDayOfWeek() -> int",
        Constant,
        "Day of the week; Sunday is 0.",
    ),
    (
        "timestamp.getDayOfWeek(string) -> int",
        Constant,
        "Day of the week in a time zone; Sunday is 0.",
    ),
    (
        "timestamp.getDayOfYear() -> int",
        Constant,
        "Day of the year, from 0.",
    ),
    (
        "timestamp.getDayOfYear(string) -> int",
        Constant,
        "Day of the year in a time zone, from 0.",
    ),
    ("timestamp.getFullYear() -> int", Constant, "Year."),
    (
        "timestamp.getFullYear(string) -> int",
        Constant,
        "Year in a time zone.",
    ),
    ("timestamp.getHours() -> int", Constant, "Hour, 0 to 23."),
    (
        "timestamp.getHours(string) -> int",
        Constant,
        "Hour in a time zone, 0 to 23.",
    ),
    (
        "timestamp.getMilliseconds() -> int",
        Constant,
        "Milliseconds, 0 to 999.",
    ),
    (
        "timestamp.getMilliseconds(string) -> int",
        Constant,
        "Milliseconds, 0 to 999.",
    ),
    (
        "timestamp.getMinutes() -> int",
        Constant,
        "Minute, 0 to 59.",
    ),
    (
        "timestamp.getMinutes(string) -> int",
        Constant,
        "Minute in a time zone, 0 to 59.",
    ),
    ("timestamp.getMonth() -> int", Constant, "Month, from 0."),
    (
        "timestamp.getMonth(string) -> int",
        Constant,
        "Month in a time zone, from 0.",
    ),
    (
        "timestamp.getSeconds() -> int",
        Constant,
        "Second, 0 to 59.",
    ),
    (
        "timestamp.getSeconds(string) -> int",
        Constant,
        "Second in a time zone, 0 to 59.",
    ),
    ("duration.getHours() -> int", Constant, "Whole hours."),
    (
        "duration.getMilliseconds() -> int",
        Constant,
        "Milliseconds beyond whole seconds.",
    ),
    ("duration.getMinutes() -> int", Constant, "Whole minutes."),
    ("duration.getSeconds() -> int", Constant, "Whole seconds."),
    // Numbers.
    (
        "math.greatest(number...) -> number",
        Constant,
        "The largest of the numbers.",
    ),
    (
        "math.greatest(list(number)) -> number",
        Elements,
        "The largest number of the list.",
    ),
    (
        "math.least(number...) -> number",
        Constant,
        "The smallest of the numbers.",
    ),
    (
        "math.least(list(number)) -> number",
        Elements,
        "The smallest number of the list.",
    ),
    ("math.abs(int) -> int", Constant, "Without its sign."),
    ("math.abs(uint) -> uint", Constant, "The same."),
    ("math.abs(double) -> double", Constant, "Without its sign."),
    ("math.sign(int) -> int", Constant, "-1, 0 or 1."),
    ("math.sign(uint) -> uint", Constant, "0 or 1."),
    ("math.sign(double) -> double", Constant, "-1, 0 or 1."),
    ("math.ceil(double) -> double", Constant, "Rounded up."),
    ("math.floor(double) -> double", Constant, "Rounded down."),
    (
        "math.round(double) -> double",
        Constant,
        "Rounded, halves away from zero.",
    ),
    (
        "math.trunc(double) -> double",
        Constant,
        "Rounded towards zero.",
    ),
    ("math.sqrt(int) -> double", Constant, "Square root."),
    ("math.sqrt(uint) -> double", Constant, "Square root."),
    ("math.sqrt(double) -> double", Constant, "Square root."),
    ("math.isNaN(double) -> bool", Constant, "Not a number."),
    ("math.isInf(double) -> bool", Constant, "Infinite."),
    (
        "math.isFinite(double) -> bool",
        Constant,
        "A finite number.",
    ),
    ("math.bitAnd(int, int) -> int", Constant, "Bits of both."),
    ("math.bitAnd(uint, uint) -> uint", Constant, "Bits of both."),
    ("math.bitOr(int, int) -> int", Constant, "Bits of either."),
    (
        "math.bitOr(uint, uint) -> uint",
        Constant,
        "Bits of either.",
    ),
    (
        "math.bitXor(int, int) -> int",
        Constant,
        "Bits of one of them.",
    ),
    (
        "math.bitXor(uint, uint) -> uint",
        Constant,
        "Bits of one of them.",
    ),
    ("math.bitNot(int) -> int", Constant, "Every bit turned."),
    ("math.bitNot(uint) -> uint", Constant, "Every bit turned."),
    (
        "math.bitShiftLeft(int, int) -> int",
        Constant,
        "Bits moved up.",
    ),
    (
        "math.bitShiftLeft(uint, int) -> uint",
        Constant,
        "Bits moved up.",
    ),
    (
        "math.bitShiftRight(int, int) -> int",
        Constant,
        "Bits moved down.",
    ),
    (
        "math.bitShiftRight(uint, int) -> uint",
        Constant,
        "Bits moved down.",
    ),
    // Lists.
    (
        "list(A).slice(int, int) -> list(A)",
        Elements,
        "From a position up to another.",
    ),
    (
        "list(list(A)).flatten() -> list(A)",
        Elements,
        "The elements of the inner lists.",
    ),
    (
        "list(dyn).flatten() -> list(dyn)",
        Elements,
        "The elements of the inner lists.",
    ),
    (
        "list(dyn).flatten(int) -> list(dyn)",
        Elements,
        "The same, several levels deep.",
    ),
    (
        "list(A).sort() -> list(A)",
        ElementsSquared,
        "In ascending order.",
    ),
    (
        "list(A).distinct() -> list(A)",
        ElementsSquared,
        "Every value once.",
    ),
    (
        "list(A).reverse() -> list(A)",
        Elements,
        "In reverse order.",
    ),
    (
        "list(A).first() -> optional_type(A)",
        Constant,
        "The first element, if any.",
    ),
    (
        "list(A).last() -> optional_type(A)",
        Constant,
        "The last element, if any.",
    ),
    (
        "lists.range(int) -> list(int)",
        Elements,
        "The numbers from 0 up to another.",
    ),
    // Optionals.
    ("optional.none() -> optional_type(A)", Constant, "Nothing."),
    ("optional.of(A) -> optional_type(A)", Constant, "A value."),
    (
        "optional.ofNonZeroValue(A) -> optional_type(A)",
        Constant,
        "A value; nothing when it is empty, zero, false or null.",
    ),
    (
        "optional.unwrap(list(optional_type(A))) -> list(A)",
        Elements,
        "The values of the list, without the nothings.",
    ),
    (
        "list(optional_type(A)).unwrapOpt() -> list(A)",
        Elements,
        "The values of the list, without the nothings.",
    ),
    (
        "optional_type(A).hasValue() -> bool",
        Constant,
        "Whether there is a value.",
    ),
    (
        "optional_type(A).value() -> A",
        Constant,
        "The value; an error when there is none.",
    ),
    (
        "optional_type(A).or(optional_type(A)) -> optional_type(A)",
        Constant,
        "This one, or the other when this has no value.",
    ),
    (
        "optional_type(A).orValue(A) -> A",
        Constant,
        "The value, or a default when there is none.",
    ),
    // Addresses.
    ("ip(string) -> ip", Text, "Reads an IP address."),
    ("ip(ip) -> ip", Constant, "The same."),
    (
        "cidr(string) -> cidr",
        Text,
        "Reads a network such as `10.0.0.0/8`.",
    ),
    ("cidr(cidr) -> cidr", Constant, "The same."),
    (
        "isIP(dyn) -> bool",
        Text,
        "Whether the value is the text of an IP address.",
    ),
    (
        "isCIDR(dyn) -> bool",
        Text,
        "Whether the value is the text of a network.",
    ),
    (
        "ip.isCanonical(string) -> bool",
        Text,
        "Whether an address is written in its shortest form.",
    ),
    ("ip.family() -> int", Constant, "4 or 6."),
    ("ip.isUnspecified() -> bool", Constant, "`0.0.0.0` or `::`."),
    (
        "ip.isLoopback() -> bool",
        Constant,
        "`127.0.0.0/8` or `::1`.",
    ),
    (
        "ip.isGlobalUnicast() -> bool",
        Constant,
        "Not unspecified, loopback, multicast, link-local or broadcast.",
    ),
    (
        "ip.isLinkLocalMulticast() -> bool",
        Constant,
        "`224.0.0.0/24` or `ff02::/16`.",
    ),
    (
        "ip.isLinkLocalUnicast() -> bool",
        Constant,
        "`169.254.0.0/16` or `fe80::/10`.",
    ),
    (
        "cidr.contains(dyn) -> bool",
        Text,
        "Whether an address or network lies inside; false for anything else.",
    ),
    (
        "cidr.containsIP(dyn) -> bool",
        Text,
        "Whether an address lies inside; false for anything else.",
    ),
    (
        "cidr.containsCIDR(dyn) -> bool",
        Text,
        "Whether a network lies inside; false for anything else.",
    ),
    ("cidr.ip() -> ip", Constant, "The address as written."),
    (
        "cidr.masked() -> cidr",
        Constant,
        "The network with its host bits cleared.",
    ),
    (
        "cidr.prefixLength() -> int",
        Constant,
        "The number after the slash.",
    ),
    // Lists of the site.
    (
        "inList(string, dyn) -> bool",
        Text,
        "Whether a list of the site has the value.",
    ),
    // Shared values of `cel.block`.
    (
        "cel.index(int) -> dyn",
        Constant,
        "The value of that number.",
    ),
];

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
        "A" => Type::Var(TypeVar(0)),
        "B" => Type::Var(TypeVar(1)),
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
                _ => None,
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
