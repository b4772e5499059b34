//! The stable codes of diagnostics. One variant, one page under `pages/`.
//!
//! Codes are published (`check --format json`, editors, CI filters): a code is never reused or renumbered.
//! `E0…` rule file, `E1…` selector text, `E2…` selector meaning, `E3…` tests, `E4…` overrides, exceptions and
//! lists, `E5…` Sigma; `W…` the same areas, as warnings.

use super::Level;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $level:ident;)+) => {
        /// The kind of a mistake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $name,)+ }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Code] = &[$(Code::$name,)+];

            /// The published text, such as `E0201`.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)+ }
            }

            /// The level that diagnostics of this code have.
            pub fn level(self) -> Level {
                match self { $(Code::$name => Level::$level,)+ }
            }

            /// The page that explains the code: what it means, an example, the mend.
            pub fn page(self) -> &'static str {
                match self { $(Code::$name => include_str!(concat!("pages/", $text, ".md")),)+ }
            }
        }
    };
}

codes! {
    /// The file is not TOML.
    TomlSyntax = "E0001", Error;
    /// The table has no such key.
    UnknownKey = "E0002", Error;
    /// The table lacks a key.
    MissingKey = "E0003", Error;
    /// The value has another type than the key wants.
    WrongType = "E0004", Error;
    /// The value says nothing.
    EmptyValue = "E0005", Error;
    /// The value is none of the words that the key knows.
    UnknownWord = "E0006", Error;
    /// The id of the rule is not well formed.
    RuleId = "E0007", Error;
    /// The id of the rule is not the name of its folder.
    RuleFolder = "E0008", Error;
    /// Two rules have the same id.
    DuplicateId = "E0009", Error;
    /// The ATT&CK tag is not well formed.
    AttackTag = "E0010", Error;
    /// The template of a title is not well formed.
    TemplateSyntax = "E0011", Error;
    /// A bound of files, rules or their parts is exceeded.
    Bound = "E0012", Error;
    /// The file is neither a rule nor anything else that belongs among rules.
    UnknownFile = "E0013", Error;
    /// The keys of a rule do not make one kind of rule.
    RuleKind = "E0014", Error;
    /// A length of time cannot be read.
    PeriodSyntax = "E0015", Error;
    /// A comparison cannot be read.
    ComparisonSyntax = "E0016", Error;
    /// The name of a step is not well formed, or is taken.
    StepName = "E0017", Error;
    /// A rule takes detections of a rule that is not there.
    RuleUnknown = "E0018", Error;
    /// Rules take each other's detections in a circle.
    RuleCycle = "E0019", Error;
    /// A condition asks about a step that has not happened yet, or does not exist.
    StepUnknown = "E0020", Error;
    /// A rule asks a plugin that is not there, or that does another job.
    PluginUnknown = "E0021", Error;
    /// A rule asks a plugin where its answer cannot be.
    PluginMisplaced = "E0022", Error;
    /// The selector text is not CEL.
    SelectorSyntax = "E1001", Error;
    /// The selector is longer, deeper or has more parts than is allowed.
    SelectorTooLarge = "E1002", Error;
    /// A number, string or bytes literal is not well formed.
    SelectorLiteral = "E1003", Error;
    /// A macro such as `has` or `exists` is called with the wrong arguments.
    MacroMisuse = "E1004", Error;
    /// A name that is no variable, no type and no function argument.
    UndeclaredName = "E2001", Error;
    /// A function that does not exist.
    UnknownFunction = "E2002", Error;
    /// Operands or arguments of types that the operator or function does not take.
    TypeMismatch = "E2003", Error;
    /// A field that the source's events do not have.
    UnknownField = "E2004", Error;
    /// The selector does not give true or false.
    WrongResultType = "E2005", Error;
    /// A regular expression that cannot be compiled.
    BadPattern = "E2006", Error;
    /// A constant that its function can never accept.
    BadConstant = "E2007", Error;
    /// A list that is not there.
    UnknownList = "E2008", Error;
    /// The selector could cost more than is allowed.
    TooExpensive = "E2009", Error;
    /// A part of CEL that is not supported.
    Unsupported = "E2010", Error;
    /// A field schema that cannot be used.
    SchemaInvalid = "E2011", Error;
    /// An absent field makes the rule silently not fire.
    AbsentField = "W2001", Warning;
    /// A condition that can never hold.
    NeverMatches = "W2002", Warning;
    /// A condition that always holds.
    AlwaysMatches = "W2003", Warning;
    /// A value that the field never has.
    UnlikelyValue = "W2004", Warning;
    /// A part that is an error whatever the event holds.
    AlwaysErrs = "W2005", Warning;
    /// A default is compared with, and null keeps it away.
    NullDefault = "W2006", Warning;
    /// A source that looks like a slip of a known one.
    SourceUnknown = "W0004", Warning;
    /// Tests that belong to no rule.
    TestsWithoutRule = "E3001", Error;
    /// An event of tests that is not there.
    EventUnknown = "E3002", Error;
    /// An event of tests that extends itself.
    EventCycle = "E3003", Error;
    /// A file of an event that is not there.
    EventFile = "E3004", Error;
    /// An event of tests that is not JSON, or cannot become JSON.
    EventJson = "E3005", Error;
    /// An event of tests that is based on several things.
    EventBase = "E3006", Error;
    /// A test is neither about one event nor about a timeline.
    TestShape = "E3007", Error;
    /// A test says of plugins what they never say.
    TestFacts = "E3008", Error;
    /// A rule that is more than experimental lacks a test.
    TestsTooFew = "W3001", Warning;
    /// An event that no test uses.
    EventUnused = "W3002", Warning;
    /// An expectation that is never compared.
    TestPointless = "W3003", Warning;
    /// A path that leads to nothing in the event.
    EventPath = "W3004", Warning;
    /// An override of a rule that is not there.
    OverrideUnknownRule = "E4001", Error;
    /// An exception does not say, or says twice, when it holds.
    ExceptionCondition = "E4002", Error;
    /// An exception by a list that is not there.
    ListUnknown = "E4003", Error;
    /// A list that cannot be read.
    ListSyntax = "E4004", Error;
    /// Two lists of one name in one folder.
    DuplicateList = "E4005", Error;
    /// A value of a list that is no text.
    ListValue = "E4006", Error;
    /// The file is not YAML.
    YamlSyntax = "E5001", Error;
    /// A Sigma document lacks something, or something in it has the wrong form.
    SigmaShape = "E5002", Error;
    /// A Sigma condition that cannot be read.
    SigmaCondition = "E5003", Error;
    /// A modifier that does not exist or does not fit.
    SigmaModifier = "E5004", Error;
    /// A value that its modifier cannot take.
    SigmaValue = "E5005", Error;
    /// A selection, a rule or a list that is not there.
    SigmaReference = "E5006", Error;
    /// A part of Sigma that cannot be mapped.
    SigmaUnsupported = "E5007", Error;
    /// A pipeline that cannot be used.
    SigmaPipeline = "E5008", Error;
    /// A policy, an exemption or a part of one that cannot be used.
    PolicyMistake = "E6001", Error;
    /// A YAML document that is no Sigma rule.
    SigmaForeign = "W5001", Warning;
    /// A part of a Sigma file or a pipeline that has no effect here.
    SigmaIgnored = "W5002", Warning;
    /// A filter of a rule that is not there.
    SigmaFilterIdle = "W5003", Warning;
    /// A sample of a Sigma rule of which no test is made.
    SigmaSample = "W5004", Warning;
    /// A part of a policy that never has an effect: a rule that is not there, an exemption that is over, a cap that is never reached.
    PolicyIdle = "W6001", Warning;
    /// An override that changes nothing.
    OverrideIdle = "W4001", Warning;
    /// ATT&CK has no such tactic or technique, or not in this combination.
    AttackUnknown = "W0001", Warning;
    /// The same thing is written twice.
    Repeated = "W0002", Warning;
    /// A reference is no web address.
    Reference = "W0003", Warning;
    /// The rules that a rule takes detections of are all off.
    RuleSilent = "W0005", Warning;
    /// A rule says what becomes of it without an answer, and asks for none.
    OnErrorIdle = "W0006", Warning;
    /// An exception has expired.
    ExceptionExpired = "W4002", Warning;
    /// An exception has no owner or no reason.
    ExceptionUnowned = "W4003", Warning;
    /// A list without values.
    ListEmpty = "W4004", Warning;
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn every_code_has_a_page_that_names_it() {
        for code in Code::ALL {
            let page = code.page();
            assert!(
                page.starts_with(&format!("# {}", code.as_str())),
                "{}: {page}",
                code.as_str()
            );
            assert!(
                page.lines().count() >= 5,
                "{} says too little",
                code.as_str()
            );
        }
    }
}
