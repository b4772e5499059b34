//! Every function of the language, in one table that checker, evaluator and documentation share.

/// Functions that are written with a namespace. The parser reads `namespace.name(args)` as one call when it
/// is listed here.
const NAMESPACED: &[&str] = &[
    "base64.decode",
    "base64.encode",
    "cel.index",
    "ip.isCanonical",
    "json.parse",
    "lists.range",
    "math.abs",
    "math.bitAnd",
    "math.bitNot",
    "math.bitOr",
    "math.bitShiftLeft",
    "math.bitShiftRight",
    "math.bitXor",
    "math.ceil",
    "math.floor",
    "math.greatest",
    "math.isFinite",
    "math.isInf",
    "math.isNaN",
    "math.least",
    "math.round",
    "math.sign",
    "math.sqrt",
    "math.trunc",
    "optional.none",
    "optional.of",
    "optional.ofNonZeroValue",
    "optional.unwrap",
    "strings.quote",
];

/// Whether `name` is a function that is written with its namespace.
pub fn is_namespaced(name: &str) -> bool {
    NAMESPACED.binary_search(&name).is_ok()
}
