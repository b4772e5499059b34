//! Fields, indexes and the values that a field can have.

use super::Checker;
use crate::diagnostic::{Code, Diagnostic, Span, did_you_mean};
use crate::selector::ast::{BinaryOp, Expr, ExprKind, Literal};
use crate::selector::literal::quoted;
use crate::selector::print;
use crate::selector::schema::{Field, FieldKind};
use crate::selector::types::{RecordId, Type};
use std::sync::Arc;

/// The text of a string constant.
pub(in crate::selector) fn constant_text(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Literal(Literal::String(text)) => Some(text),
        _ => None,
    }
}

/// Whether a text is the constant, or in a list of constants that null is not in.
fn is_among(text: &str, constants: &Expr) -> bool {
    match &constants.kind {
        ExprKind::List(items) => {
            let is_null = |expr: &Expr| matches!(expr.kind, ExprKind::Literal(Literal::Null));
            items
                .iter()
                .any(|item| constant_text(&item.value) == Some(text))
                && !items.iter().any(|item| is_null(&item.value))
        }
        _ => constant_text(constants) == Some(text),
    }
}

impl Checker<'_> {
    pub(super) fn select(
        &mut self,
        expr: &Expr,
        operand: &Expr,
        field: (&str, Span),
        optional: bool,
    ) -> Type {
        if let Some(found) = self.qualified(expr) {
            return found;
        }
        let operand_type = self.visit(operand);
        let found = self.field_type(operand, &operand_type, field);
        let already = matches!(self.decided.shallow(&found), Type::Optional(_));
        let chained = matches!(self.decided.shallow(&operand_type), Type::Optional(_));
        if optional && !(already && chained) {
            Type::optional(found)
        } else {
            found
        }
    }

    /// The type of a field of a value of type `operand_type`.
    pub(super) fn field_type(
        &mut self,
        operand: &Expr,
        operand_type: &Type,
        (field, field_span): (&str, Span),
    ) -> Type {
        match self.decided.shallow(operand_type) {
            Type::Dyn | Type::Error | Type::Var(_) => Type::Dyn,
            Type::Nullable(inner) => self.field_type(operand, &inner, (field, field_span)),
            Type::Optional(inner) => {
                Type::optional(self.field_type(operand, &inner, (field, field_span)))
            }
            Type::Map(key, value) => {
                if !self.decided.assign(&key, &Type::String) {
                    let message = format!(
                        "the keys of this map are of type {}, not text",
                        self.show(&key)
                    );
                    return self.report(Diagnostic::new(Code::TypeMismatch, field_span, message));
                }
                (*value).clone()
            }
            Type::Record(record) => self.record_field(operand, record, field, field_span),
            Type::Fixed(fields) => self.fixed_field(operand, &fields, field, field_span),
            other => self.no_fields(operand, &other, field, field_span),
        }
    }

    fn record_field(&mut self, operand: &Expr, record: RecordId, name: &str, span: Span) -> Type {
        let Some(schema) = self.env.schema else {
            return Type::Dyn;
        };
        if let Some(child) = schema.child(record, name) {
            return schema.type_of(child);
        }
        let field = schema.record(record);
        if field.open {
            return Type::Dyn;
        }
        let place = if field.path.is_empty() {
            "event".to_owned()
        } else {
            format!("event.{}", field.path)
        };
        let mut diagnostic = Diagnostic::new(
            Code::UnknownField,
            span,
            format!("`{place}` has no field `{name}` in {}", schema.id()),
        );
        if let Some(near) = did_you_mean(name, schema.child_names(record)) {
            diagnostic = diagnostic
                .with_help(format!("did you mean `{near}`?"))
                .with_suggestion(span, near);
        } else if let Some(path) = schema
            .paths_ending_in(name)
            .find(|path| !path.contains("[]"))
        {
            let path = format!("event.{path}");
            let whole = Span {
                start: operand.span.start,
                end: span.end,
            };
            diagnostic = diagnostic
                .with_help(format!("did you mean `{path}`?"))
                .with_suggestion(whole, path);
        } else {
            let names: Vec<&str> = schema.child_names(record).take(12).collect();
            if !names.is_empty() {
                diagnostic = diagnostic.with_help(format!("its fields are {}", names.join(", ")));
            }
        }
        self.report(diagnostic)
    }

    fn fixed_field(
        &mut self,
        operand: &Expr,
        fields: &[(Arc<str>, Type)],
        name: &str,
        span: Span,
    ) -> Type {
        if let Some((_, of)) = fields.iter().find(|(field, _)| **field == *name) {
            return of.clone();
        }
        let names = fields.iter().map(|(field, _)| &**field);
        let message = format!("`{}` has no field `{name}`", print(operand));
        let diagnostic = Diagnostic::new(Code::UnknownField, span, message);
        let diagnostic = match did_you_mean(name, names.clone()) {
            Some(near) => diagnostic
                .with_help(format!("did you mean `{near}`?"))
                .with_suggestion(span, near),
            // A variable whose fields are plugins, and no plugin is asked that way.
            None if fields.is_empty() => {
                let help = format!(
                    "no plugin that is called `{name}` answers as `{}`",
                    print(operand)
                );
                diagnostic.with_help(help)
            }
            None => {
                let names: Vec<&str> = names.collect();
                diagnostic.with_help(format!("its fields are {}", names.join(", ")))
            }
        };
        self.report(diagnostic)
    }

    fn no_fields(&mut self, operand: &Expr, of: &Type, field: &str, span: Span) -> Type {
        let message = format!("{} has no fields", self.describe(of));
        let mut diagnostic = Diagnostic::new(Code::TypeMismatch, span, message);
        let text = print(operand);
        match of {
            Type::List(_) => {
                diagnostic = diagnostic.with_help(format!(
                    "ask its elements: `{text}.exists(item, item.{field} == …)`"
                ));
            }
            Type::String => {
                diagnostic = diagnostic.with_help(format!(
                    "if the text is JSON, read it first: `json.parse({text}).{field}`"
                ));
            }
            _ => {}
        }
        self.report(diagnostic)
    }

    pub(super) fn index(
        &mut self,
        span: Span,
        operand: &Expr,
        index: &Expr,
        optional: bool,
    ) -> Type {
        let operand_type = self.visit(operand);
        let index_type = self.visit(index);
        let (container, chained) = match self.decided.shallow(&operand_type) {
            Type::Optional(inner) => ((*inner).clone(), true),
            other => (other, false),
        };
        let container = self.decided.bare(&container);
        let before = self.diagnostics.len();
        let found = match (&container, constant_text(index)) {
            (Type::Record(record), Some(name)) => {
                self.record_field(operand, *record, name, index.span)
            }
            (Type::Fixed(fields), Some(name)) => {
                self.fixed_field(operand, fields, name, index.span)
            }
            (Type::Record(_) | Type::Fixed(_), None)
                if self.decided.assign(&Type::String, &index_type) =>
            {
                Type::Dyn
            }
            _ => {
                let types = [container.clone(), index_type];
                self.resolve(
                    "_[_]",
                    span,
                    &[operand, index],
                    &types,
                    super::calls::Form::Index,
                )
            }
        };
        // What is put in the place of a text has to be one.
        for one in self.diagnostics.iter_mut().skip(before) {
            if let Some(mend) = one
                .suggestion
                .as_mut()
                .filter(|mend| mend.span == index.span)
            {
                mend.replacement = quoted(&mend.replacement);
            }
        }
        if optional || chained {
            Type::optional(found)
        } else {
            found
        }
    }

    /// The schema's field that a chain of selects names, with the event at its root.
    pub(super) fn schema_field(&self, expr: &Expr) -> Option<&Field> {
        let schema = self.env.schema?;
        let (operand, name) = match &expr.kind {
            ExprKind::Select { operand, field, .. } => (operand, field.as_str()),
            ExprKind::Index { operand, index, .. } => (operand, constant_text(index)?),
            ExprKind::MemberCall {
                target, function, ..
            } if function == "orValue" => {
                return self.schema_field(target);
            }
            ExprKind::MemberCall { .. } | ExprKind::Ident(_) => return None,
            _ => return None,
        };
        let of = self.types.get(operand.id.0 as usize)?;
        let of = match self.decided.shallow(of) {
            Type::Optional(inner) => (*inner).clone(),
            other => other,
        };
        match self.decided.bare(&of) {
            Type::Record(record) => schema.child(record, name).map(|child| schema.record(child)),
            _ => None,
        }
    }

    /// Warns when a constant is compared with a field that never has it.
    pub(super) fn check_values(&mut self, operator: BinaryOp, left: &Expr, right: &Expr) {
        let pairs: Vec<(&Expr, &Expr)> = match operator {
            BinaryOp::Equal | BinaryOp::NotEqual if constant_text(left).is_some() => {
                vec![(right, left)]
            }
            BinaryOp::Equal | BinaryOp::NotEqual => vec![(left, right)],
            BinaryOp::In => match &right.kind {
                ExprKind::List(items) => items.iter().map(|item| (left, &item.value)).collect(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        for (field, constant) in pairs {
            if let Some(diagnostic) = self.unlikely_value(field, constant) {
                self.report(diagnostic);
            }
        }
    }

    /// Warns when a field that may be null is compared with the default that it has when it is absent: null is
    /// neither.
    pub(super) fn check_null(&mut self, operator: BinaryOp, left: &Expr, right: &Expr, span: Span) {
        let sides = match operator {
            BinaryOp::Equal | BinaryOp::NotEqual => vec![(left, right), (right, left)],
            BinaryOp::In => vec![(left, right)],
            _ => return,
        };
        for (side, constants) in sides {
            if let Some((default, path)) = self.null_default(side)
                && is_among(default, constants)
            {
                let (text, default) = (print(side), quoted(default));
                let mend = match (operator, &constants.kind) {
                    (BinaryOp::In, ExprKind::List(items)) => {
                        let items: Vec<String> =
                            items.iter().map(|item| print(&item.value)).collect();
                        format!("{text} in [{}, null]", items.join(", "))
                    }
                    (BinaryOp::NotEqual, _) => format!("!({text} in [{default}, null])"),
                    _ => format!("{text} in [{default}, null]"),
                };
                let message = format!("`{path}` may be null, and null is not {default}");
                self.report(
                    Diagnostic::new(Code::NullDefault, span, message)
                        .with_caret("the default only stands for an absent field")
                        .with_help(format!("to take null for it too: `{mend}`"))
                        .with_suggestion(span, mend),
                );
            }
        }
    }

    /// The default of `field.orValue("text")` and the field's path, when the field is a text that may be null.
    fn null_default<'e>(&self, expr: &'e Expr) -> Option<(&'e str, String)> {
        let ExprKind::MemberCall { function, args, .. } = &expr.kind else {
            return None;
        };
        let default = args.first().filter(|_| function == "orValue")?;
        let field = self.schema_field(expr)?;
        let may_be_null = field.nullable && field.kind == FieldKind::String;
        Some((
            constant_text(default).filter(|_| may_be_null)?,
            field.path.clone(),
        ))
    }

    fn unlikely_value(&self, expr: &Expr, constant: &Expr) -> Option<Diagnostic> {
        let text = constant_text(constant)?;
        let field = self.schema_field(expr)?;
        let listed = field.values.is_empty() || field.values.iter().any(|value| value == text);
        if listed || text.is_empty() || field.kind != FieldKind::String {
            return None;
        }
        let message = format!("`{}` is never {} as far as known", field.path, quoted(text));
        let diagnostic = Diagnostic::new(Code::UnlikelyValue, constant.span, message);
        let near = did_you_mean(text, field.values.iter().map(String::as_str));
        Some(match near {
            Some(near) => diagnostic
                .with_help(format!("did you mean {}?", quoted(near)))
                .with_suggestion(constant.span, quoted(near)),
            None => diagnostic.with_help(format!("its values are {}", field.values.join(", "))),
        })
    }
}
