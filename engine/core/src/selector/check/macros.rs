//! Types of macros: what their variables are and what they make.

use super::Checker;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::selector::ast::{Comprehension, ComprehensionKind, Expr};
use crate::selector::types::Type;

impl Checker<'_> {
    /// Visits `body` with more variables.
    pub(super) fn scoped(&mut self, variables: &[(&str, Type)], body: &Expr) -> Type {
        let before = self.scopes.len();
        for (name, of) in variables {
            self.scopes.push(((*name).to_owned(), of.clone()));
        }
        let found = self.visit(body);
        self.scopes.truncate(before);
        found
    }

    pub(super) fn comprehension(&mut self, comprehension: &Comprehension) -> Type {
        let Comprehension {
            kind,
            range,
            variable,
            variable_second,
            condition,
            transform,
        } = comprehension;
        let range_type = self.visit(range);
        let (key, value) = self.range_types(range, &range_type);
        let variables = match variable_second {
            Some(second) => vec![(variable.as_str(), key), (second.as_str(), value)],
            None if matches!(
                self.decided.bare(&range_type),
                Type::List(_) | Type::Dyn | Type::Error
            ) =>
            {
                vec![(variable.as_str(), value)]
            }
            None => vec![(variable.as_str(), key)],
        };
        if let Some(condition) = condition {
            let found = self.scoped(&variables, condition);
            if !self.decided.assign(&Type::Bool, &found) {
                let message = format!(
                    "the condition of `{}` is {}",
                    kind.name(),
                    self.describe(&found)
                );
                self.report(Diagnostic::new(Code::TypeMismatch, condition.span, message));
            }
        }
        let result = transform
            .as_ref()
            .map(|transform| self.scoped(&variables, transform));
        let key = variables[0].1.clone();
        match (kind, result) {
            (
                ComprehensionKind::All | ComprehensionKind::Exists | ComprehensionKind::ExistsOne,
                _,
            ) => Type::Bool,
            (ComprehensionKind::Filter, _) => Type::list(key),
            (ComprehensionKind::Map | ComprehensionKind::TransformList, Some(result)) => {
                Type::list(result)
            }
            (ComprehensionKind::TransformMap, Some(result)) => Type::map(key, result),
            (ComprehensionKind::TransformMapEntry, Some(entry)) => {
                self.entries(transform.as_ref(), entry)
            }
            _ => Type::Dyn,
        }
    }

    /// The map that `transformMapEntry` makes of maps of type `entry`.
    fn entries(&mut self, transform: Option<&Expr>, entry: Type) -> Type {
        let (key, value) = (self.decided.fresh(), self.decided.fresh());
        let map = Type::map(key, value);
        if self.decided.assign(&map, &entry) {
            return map;
        }
        let span = transform.map_or(Span::default(), |transform| transform.span);
        let message = format!(
            "the result of `transformMapEntry` is {}, not a map",
            self.describe(&entry)
        );
        self.report(
            Diagnostic::new(Code::TypeMismatch, span, message)
                .with_help("write a map of one entry: `{new_key: new_value}`"),
        )
    }

    /// The types of positions or keys, and of values, of what a macro runs over.
    fn range_types(&mut self, range: &Expr, of: &Type) -> (Type, Type) {
        match self.decided.bare(of) {
            Type::List(element) => (Type::Int, (*element).clone()),
            Type::Map(key, value) => ((*key).clone(), (*value).clone()),
            Type::Record(_) | Type::Fixed(_) => (Type::String, Type::Dyn),
            Type::Dyn | Type::Error | Type::Var(_) => (Type::Dyn, Type::Dyn),
            other => {
                let message = format!("{} cannot be gone through", self.describe(&other));
                let mut diagnostic = Diagnostic::new(Code::TypeMismatch, range.span, message)
                    .with_caret("a list or a map is needed");
                if other == Type::String {
                    diagnostic =
                        diagnostic.with_help("`split` makes a list of pieces: `text.split(\",\")`");
                }
                self.report(diagnostic);
                (Type::Error, Type::Error)
            }
        }
    }

    pub(super) fn optional_map(
        &mut self,
        target: &Expr,
        name: &str,
        body: &Expr,
        flat: bool,
    ) -> Type {
        let found = self.visit(target);
        let inner = self.decided.fresh();
        let macro_name = if flat { "optFlatMap" } else { "optMap" };
        if !self.decided.assign(&Type::optional(inner.clone()), &found) {
            let message = format!("`{macro_name}` is called on {}", self.describe(&found));
            self.report(
                Diagnostic::new(Code::TypeMismatch, target.span, message)
                    .with_help("it needs an optional, such as `event.?field`"),
            );
        }
        let inner = if found.is_dyn() { Type::Dyn } else { inner };
        let result = self.scoped(&[(name, inner)], body);
        if !flat {
            return Type::optional(result);
        }
        let inner = self.decided.fresh();
        if !self.decided.assign(&Type::optional(inner), &result) {
            let message = format!(
                "the body of `optFlatMap` is {}, not an optional",
                self.describe(&result)
            );
            return self.report(
                Diagnostic::new(Code::TypeMismatch, body.span, message)
                    .with_help("`optMap` takes a plain value"),
            );
        }
        result
    }

    pub(super) fn block(&mut self, slots: &[Expr], body: &Expr, _span: Span) -> Type {
        let before = self.slots.len();
        for slot in slots {
            let found = self.visit(slot);
            self.slots.push(found);
        }
        let result = self.visit(body);
        self.slots.truncate(before);
        result
    }
}
