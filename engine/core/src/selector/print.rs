//! A tree as canonical text: one blank around operators, double quotes, parentheses only where needed.
//!
//! `parse(print(tree))` gives the same tree but for ids and spans. Relies on the tree being no deeper than
//! the parser allows, as it recurses. Comments are not part of the tree and so are not printed.

use super::ast::{
    BinaryOp, Comprehension, ComprehensionKind, Expr, ExprKind, Literal, StructField, UnaryOp,
};
use super::{lex, literal};

/// How tightly a piece of text holds together; a looser piece in a tighter place gets parentheses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Conditional,
    Or,
    And,
    Relation,
    Sum,
    Product,
    Unary,
    Member,
}

/// The canonical text of `expr`.
pub fn print(expr: &Expr) -> String {
    let mut printer = Printer { out: String::new() };
    printer.expr(expr, Binding::Conditional);
    printer.out
}

/// How `field` is written after a dot, or nothing when it must be an index.
pub(crate) fn field_text(field: &str) -> Option<String> {
    let keyword = matches!(field, "true" | "false" | "null" | "in");
    if !field.is_empty() && lex::identifier_length(field) == field.len() && !keyword {
        return Some(field.to_owned());
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-/ ".contains(c);
    (!field.is_empty() && field.chars().all(allowed)).then(|| format!("`{field}`"))
}

impl BinaryOp {
    /// The operator as text.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::In => "in",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }

    fn binding(self) -> Binding {
        match self {
            Self::Add | Self::Subtract => Binding::Sum,
            Self::Multiply | Self::Divide | Self::Remainder => Binding::Product,
            _ => Binding::Relation,
        }
    }

    fn tighter(self) -> Binding {
        match self.binding() {
            Binding::Relation => Binding::Sum,
            Binding::Sum => Binding::Product,
            _ => Binding::Unary,
        }
    }
}

impl ComprehensionKind {
    /// The macro's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Exists => "exists",
            Self::ExistsOne => "existsOne",
            Self::Map => "map",
            Self::Filter => "filter",
            Self::TransformList => "transformList",
            Self::TransformMap => "transformMap",
            Self::TransformMapEntry => "transformMapEntry",
        }
    }
}

struct Printer {
    out: String,
}

impl Printer {
    fn expr(&mut self, expr: &Expr, wanted: Binding) {
        let parentheses = binding(expr) < wanted;
        if parentheses {
            self.out.push('(');
        }
        self.bare(expr);
        if parentheses {
            self.out.push(')');
        }
    }

    fn bare(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Literal(literal) => self.literal(literal),
            ExprKind::Ident(name) => self.variable(name),
            ExprKind::Select {
                operand,
                field,
                optional,
                ..
            } => {
                self.expr(operand, Binding::Member);
                self.field(field, if *optional { ".?" } else { "." });
            }
            ExprKind::Has { operand, field, .. } => {
                self.out.push_str("has(");
                self.expr(operand, Binding::Member);
                self.field(field, ".");
                self.out.push(')');
            }
            ExprKind::Index {
                operand,
                index,
                optional,
            } => {
                self.expr(operand, Binding::Member);
                self.out.push_str(if *optional { "[?" } else { "[" });
                self.expr(index, Binding::Conditional);
                self.out.push(']');
            }
            ExprKind::Call { function, args, .. } => {
                self.out.push_str(function);
                self.arguments(args.iter());
            }
            ExprKind::MemberCall {
                target,
                function,
                args,
                ..
            } => {
                self.expr(target, Binding::Member);
                self.out.push('.');
                self.out.push_str(function);
                self.arguments(args.iter());
            }
            ExprKind::Unary(operator, operand) => self.unary(*operator, operand),
            ExprKind::Binary(operator, left, right) => {
                self.expr(left, operator.binding());
                self.out.push(' ');
                self.out.push_str(operator.symbol());
                self.out.push(' ');
                self.expr(right, operator.tighter());
            }
            ExprKind::And(operands) => self.joined(operands, " && ", Binding::Relation),
            ExprKind::Or(operands) => self.joined(operands, " || ", Binding::And),
            ExprKind::Conditional {
                condition,
                then,
                otherwise,
            } => {
                self.expr(condition, Binding::Or);
                self.out.push_str(" ? ");
                self.expr(then, Binding::Or);
                self.out.push_str(" : ");
                self.expr(otherwise, Binding::Conditional);
            }
            other => self.composed(other),
        }
    }

    /// Literals with parts, and macros.
    fn composed(&mut self, kind: &ExprKind) {
        match kind {
            ExprKind::List(items) => {
                let items = items
                    .iter()
                    .map(|item| (optional_mark(item.optional), None, &item.value));
                self.items("[", items, "]");
            }
            ExprKind::Map(entries) => {
                let entries = entries.iter().map(|entry| {
                    (
                        optional_mark(entry.optional),
                        Some(&entry.key),
                        &entry.value,
                    )
                });
                self.items("{", entries, "}");
            }
            ExprKind::Struct { name, fields, .. } => self.message(name, fields),
            ExprKind::Comprehension(comprehension) => self.comprehension(comprehension),
            ExprKind::Bind { name, value, body } => {
                self.out.push_str("cel.bind(");
                self.variable(name);
                self.out.push_str(", ");
                self.expr(value, Binding::Conditional);
                self.out.push_str(", ");
                self.expr(body, Binding::Conditional);
                self.out.push(')');
            }
            ExprKind::OptMap {
                target,
                name,
                body,
                flat,
            } => {
                self.expr(target, Binding::Member);
                self.out
                    .push_str(if *flat { ".optFlatMap(" } else { ".optMap(" });
                self.variable(name);
                self.out.push_str(", ");
                self.expr(body, Binding::Conditional);
                self.out.push(')');
            }
            ExprKind::Block { slots, body } => {
                self.out.push_str("cel.block(");
                self.items("[", slots.iter().map(|slot| ("", None, slot)), "], ");
                self.expr(body, Binding::Conditional);
                self.out.push(')');
            }
            _ => {}
        }
    }

    fn literal(&mut self, literal: &Literal) {
        let text = match literal {
            Literal::Null => "null".to_owned(),
            Literal::Bool(value) => value.to_string(),
            Literal::Int(value) => value.to_string(),
            Literal::Uint(value) => format!("{value}u"),
            Literal::Double(value) => format!("{value:?}"),
            Literal::String(text) => literal::quoted(text),
            Literal::Bytes(bytes) => literal::quoted_bytes(bytes),
        };
        self.out.push_str(&text);
    }

    fn variable(&mut self, name: &str) {
        let mut parts = name.split(':');
        let macro_name = match parts.next() {
            Some("@it") => "cel.iterVar",
            Some("@ac") => "cel.accuVar",
            _ => {
                self.out.push_str(name);
                return;
            }
        };
        let numbers: Vec<&str> = parts.collect();
        self.out
            .push_str(&format!("{macro_name}({})", numbers.join(", ")));
    }

    fn field(&mut self, field: &str, dot: &str) {
        self.out.push_str(dot);
        let text = field_text(field).unwrap_or_else(|| format!("`{field}`"));
        self.out.push_str(&text);
    }

    fn unary(&mut self, operator: UnaryOp, operand: &Expr) {
        self.out.push_str(match operator {
            UnaryOp::Not => "!",
            UnaryOp::Negate => "-",
        });
        // `-1` is a literal, so a negated number keeps its parentheses.
        if operator == UnaryOp::Negate && starts_with_number(operand) {
            self.out.push('(');
            self.bare(operand);
            self.out.push(')');
        } else {
            self.expr(operand, Binding::Unary);
        }
    }

    fn joined(&mut self, operands: &[Expr], operator: &str, wanted: Binding) {
        for (index, operand) in operands.iter().enumerate() {
            if index > 0 {
                self.out.push_str(operator);
            }
            self.expr(operand, wanted);
        }
    }

    fn arguments<'e>(&mut self, args: impl Iterator<Item = &'e Expr>) {
        self.items("(", args.map(|arg| ("", None, arg)), ")");
    }

    fn items<'e>(
        &mut self,
        open: &str,
        items: impl Iterator<Item = (&'static str, Option<&'e Expr>, &'e Expr)>,
        close: &str,
    ) {
        self.out.push_str(open);
        for (index, (mark, key, value)) in items.enumerate() {
            if index > 0 {
                self.out.push_str(", ");
            }
            self.out.push_str(mark);
            if let Some(key) = key {
                self.expr(key, Binding::Conditional);
                self.out.push_str(": ");
            }
            self.expr(value, Binding::Conditional);
        }
        self.out.push_str(close);
    }

    fn message(&mut self, name: &str, fields: &[StructField]) {
        self.out.push_str(name);
        self.out.push('{');
        for (index, field) in fields.iter().enumerate() {
            if index > 0 {
                self.out.push_str(", ");
            }
            self.field(&field.name, optional_mark(field.optional));
            self.out.push_str(": ");
            self.expr(&field.value, Binding::Conditional);
        }
        self.out.push('}');
    }

    fn comprehension(&mut self, comprehension: &Comprehension) {
        let Comprehension {
            kind,
            range,
            variable,
            variable_second,
            condition,
            transform,
        } = comprehension;
        self.expr(range, Binding::Member);
        self.out.push('.');
        self.out.push_str(kind.name());
        self.out.push('(');
        self.variable(variable);
        if let Some(second) = variable_second {
            self.out.push_str(", ");
            self.variable(second);
        }
        for part in [condition, transform].into_iter().flatten() {
            self.out.push_str(", ");
            self.expr(part, Binding::Conditional);
        }
        self.out.push(')');
    }
}

fn optional_mark(optional: bool) -> &'static str {
    if optional { "?" } else { "" }
}

fn binding(expr: &Expr) -> Binding {
    match &expr.kind {
        ExprKind::Conditional { .. } => Binding::Conditional,
        ExprKind::Or(_) => Binding::Or,
        ExprKind::And(_) => Binding::And,
        ExprKind::Binary(operator, ..) => operator.binding(),
        ExprKind::Unary(..) => Binding::Unary,
        _ => Binding::Member,
    }
}

/// Whether the text of `expr` begins with a digit or a sign and a digit.
fn starts_with_number(expr: &Expr) -> bool {
    let mut expr = expr;
    loop {
        expr = match &expr.kind {
            ExprKind::Literal(literal) => {
                return matches!(
                    literal,
                    Literal::Int(_) | Literal::Uint(_) | Literal::Double(_)
                );
            }
            ExprKind::Select { operand, .. } | ExprKind::Index { operand, .. } => operand,
            ExprKind::MemberCall { target, .. } | ExprKind::OptMap { target, .. } => target,
            ExprKind::Comprehension(comprehension) => &comprehension.range,
            _ => return false,
        };
    }
}
