//! Names of the contract's interfaces, as components write them.

/// An interface of the contract, in a version that this host speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interface<'n> {
    /// Without package and version.
    pub(crate) name: &'n str,
}

impl<'n> Interface<'n> {
    /// Reads a name such as `tripline:plugin/log@1.0.0`. Later minor versions are let through: if they use something
    /// new, linking names it.
    pub(crate) fn read(name: &'n str) -> Option<Self> {
        let (name, version) = name.strip_prefix("tripline:plugin/")?.split_once('@')?;
        let major = version.split('.').next()?;
        (major == "1").then_some(Self { name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_contract_are_read() {
        let check = |name: &str, expected: Option<&str>| {
            let read = Interface::read(name).map(|interface| interface.name);
            assert_eq!(read, expected, "{name}");
        };
        check("tripline:plugin/log@1.0.0", Some("log"));
        check("tripline:plugin/log@1.7.3", Some("log"));
        check("tripline:plugin/log@2.0.0", None);
        check("tripline:plugin/log@10.0.0", None);
        check("tripline:plugin/log", None);
        check("wasi:io/poll@0.2.0", None);
        check("evil:plugin/log@1.0.0", None);
    }
}
