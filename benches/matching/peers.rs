//! The engines we are measured against, each used as its documentation shows, in its fastest form.

use std::sync::Arc;

use cel::common::traits::Indexer;
use cel::common::types::{self, CelBool, CelInt, CelString, Type};
use cel::common::value::{CowVal, Val};
use cel::{Context, Env, ExecutionError, Program, Value as CelValue};
use rsigma_eval::Engine;
use rsigma_eval::event::JsonEvent;
use serde_json::Value;
use tripline_benches::cel_text::{Dialect, cel_text};
use tripline_benches::rule::Rule;
use tripline_benches::sigma_text::sigma_text;

/// The `cel` crate, rule after rule.
pub(crate) struct Cel {
    env: Arc<Env>,
    programs: Vec<Program>,
}

impl Cel {
    pub(crate) fn compile(rules: &[Rule]) -> Self {
        let env = Arc::new(Env::stdlib());
        let compile = |rule: &Rule| {
            let text = cel_text(rule, Dialect::Standard);
            env.compile(&text)
                .unwrap_or_else(|error| panic!("cel refuses {text}: {error}"))
        };
        let programs = rules.iter().map(compile).collect();
        Self { env, programs }
    }

    /// Any expressions; nothing when one is refused.
    pub(crate) fn compile_texts(texts: &[String]) -> Option<Self> {
        let env = Arc::new(Env::stdlib());
        let programs: Result<Vec<Program>, _> =
            texts.iter().map(|text| env.compile(text)).collect();
        let programs = programs.ok()?;
        Some(Self { env, programs })
    }

    /// How many expressions are true or false of an event.
    pub(crate) fn decided(&self, event: &Value) -> usize {
        let mut context = Context::with_env(Arc::clone(&self.env));
        context.add_variable_as_val("event", Box::new(Lazy(event)));
        let decided =
            |program: &&Program| matches!(program.execute(&context), Ok(CelValue::Bool(_)));
        self.programs.iter().filter(decided).count()
    }

    /// How many rules match: the event is parsed, and read by the rules where it lies.
    pub(crate) fn count(&self, bytes: &[u8]) -> usize {
        let event: Value = serde_json::from_slice(bytes).expect("the corpus is JSON");
        self.matches(&event).count()
    }

    /// The numbers of the rules that match.
    pub(crate) fn matches<'a>(&'a self, event: &'a Value) -> impl Iterator<Item = usize> + 'a {
        let mut context = Context::with_env(Arc::clone(&self.env));
        context.add_variable_as_val("event", Box::new(Lazy(event)));
        let matches =
            move |program: &Program| matches!(program.execute(&context), Ok(CelValue::Bool(true)));
        self.programs
            .iter()
            .enumerate()
            .filter(move |(_, program)| matches(program))
            .map(|(number, _)| number)
    }
}

/// An object of the event that is looked into only where a rule looks.
#[derive(Debug, Clone, Copy)]
struct Lazy<'e>(&'e Value);

impl Val for Lazy<'_> {
    fn get_type(&self) -> &Type {
        &types::MAP_TYPE
    }

    fn cel_type() -> &'static Type {
        &types::MAP_TYPE
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }
}

impl<'e> Indexer for Lazy<'e> {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let name = key
            .downcast_ref::<CelString<'_>>()
            .map(CelString::inner)
            .unwrap_or_default();
        let found: Option<&'e Value> = self.0.get(name);
        match found {
            None => Err(ExecutionError::no_such_key(name)),
            Some(value) => Ok(CowVal::Owned(boxed(value))),
        }
    }

    fn steal<'w>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'w>, ExecutionError>
    where
        Self: 'w,
    {
        self.get(key).map(CowVal::into_owned)
    }
}

fn boxed<'v, 'e: 'v>(value: &'e Value) -> Box<dyn Val + 'v> {
    match value {
        Value::Object(_) => Box::new(Lazy(value)),
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::Number(number) if number.is_i64() => {
            Box::new(CelInt::from(number.as_i64().unwrap_or_default()))
        }
        // Lists and nulls are rare enough to be converted.
        other => {
            let converted: CelValue = cel::to_value(other).expect("JSON is a CEL value");
            converted.try_into().expect("a value")
        }
    }
}

/// rsigma-eval with Sigma rules of the same logic.
pub(crate) struct Sigma {
    engine: Engine,
}

impl Sigma {
    /// Rules as they stand in files.
    pub(crate) fn of_texts<'t>(texts: impl Iterator<Item = &'t str>) -> Self {
        let mut engine = Engine::new();
        for text in texts {
            let collection = rsigma_parser::parse_sigma_yaml(text)
                .unwrap_or_else(|error| panic!("rsigma refuses {text}: {error}"));
            let errors = engine.add_rules(&collection.rules);
            assert!(
                errors.is_empty(),
                "rsigma refuses {text}: {:?}",
                errors.first()
            );
        }
        Self { engine }
    }

    /// Nothing when Sigma cannot say one of the rules.
    pub(crate) fn compile(rules: &[Rule]) -> Option<Self> {
        let mut parsed = Vec::new();
        for (number, rule) in rules.iter().enumerate() {
            let text = sigma_text(rule, number)?;
            let collection = rsigma_parser::parse_sigma_yaml(&text)
                .unwrap_or_else(|error| panic!("rsigma refuses {text}: {error}"));
            parsed.extend(collection.rules);
        }
        assert_eq!(parsed.len(), rules.len(), "rsigma left rules out");
        let mut engine = Engine::new();
        let errors = engine.add_rules(&parsed);
        assert!(
            errors.is_empty(),
            "rsigma refuses rules: {:?}",
            errors.first()
        );
        Some(Self { engine })
    }

    /// How many rules match.
    pub(crate) fn count(&self, bytes: &[u8]) -> usize {
        let event: Value = serde_json::from_slice(bytes).expect("the corpus is JSON");
        self.engine.evaluate(&JsonEvent::borrow(&event)).len()
    }
}
