//! Which fields a selector reads, and which of them may be absent or null.
//!
//! A path is text such as `event.userIdentity.arn`; elements of a list are `event.resources[]`. Paths go through
//! variables of macros: the element of `event.resources` is `event.resources[]`, whatever it is called.

use super::{Assumption, How};
use crate::selector::ast::{ComprehensionKind, Expr, ExprId, ExprKind};
use crate::selector::check::{Checked, constant_text};
use crate::selector::schema::{Presence, Schema};
use crate::selector::types::{RecordId, Type};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of one read of a field.
#[derive(Clone, Debug, Default)]
pub(super) struct Site {
    pub(super) path: String,
    pub(super) absent: bool,
    pub(super) null: bool,
}

/// Every read of a field of the event, by node.
pub(super) struct Sites<'a> {
    schema: &'a Schema,
    checked: &'a Checked,
    sites: BTreeMap<ExprId, Site>,
    assumptions: BTreeSet<Assumption>,
    /// Paths of variables in scope while collecting.
    scopes: Vec<(String, Option<String>)>,
}

/// Longest path followed; longer ones are hostile.
const PATH_BYTES_MAX: usize = 512;

impl<'a> Sites<'a> {
    pub(super) fn collect(expr: &Expr, schema: &'a Schema, checked: &'a Checked) -> Self {
        let mut sites = Self {
            schema,
            checked,
            sites: BTreeMap::new(),
            assumptions: BTreeSet::new(),
            scopes: Vec::new(),
        };
        sites.visit(expr);
        sites
    }

    /// The fields that may be absent or null, parents first.
    pub(super) fn assumptions(&self) -> impl Iterator<Item = &Assumption> {
        self.assumptions.iter()
    }

    /// What is known of a node, when it reads a field of the event.
    pub(super) fn site(&self, expr: &Expr) -> Option<&Site> {
        self.sites.get(&expr.id)
    }

    /// The longest chains in `expr` that read one of `paths` or go through it.
    pub(super) fn chains_in<'e>(&self, expr: &'e Expr, paths: &BTreeSet<&str>) -> Vec<&'e Expr> {
        let mut found = Vec::new();
        self.gather_chains(expr, paths, &mut found);
        found
    }

    fn gather_chains<'e>(&self, expr: &'e Expr, paths: &BTreeSet<&str>, found: &mut Vec<&'e Expr>) {
        if let Some(site) = self.site(expr) {
            let through = |path: &&str| {
                site.path
                    .strip_prefix(*path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            if paths.iter().any(through) && !matches!(expr.kind, ExprKind::Ident(_)) {
                found.push(expr);
                return;
            }
        }
        expr.for_each_child(&mut |child| self.gather_chains(child, paths, found));
    }

    fn visit(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Ident(name) => {
                if let Some(path) = self.variable(name) {
                    self.sites.insert(
                        expr.id,
                        Site {
                            path,
                            ..Site::default()
                        },
                    );
                }
            }
            ExprKind::Select { operand, field, .. } | ExprKind::Has { operand, field, .. } => {
                self.visit(operand);
                self.add(expr, operand, field);
            }
            ExprKind::Index { operand, index, .. } => {
                self.visit(operand);
                self.visit(index);
                if let Some(field) = constant_text(index) {
                    self.add(expr, operand, field);
                }
            }
            ExprKind::Comprehension(comprehension) => {
                self.visit(&comprehension.range);
                let element = self.element(&comprehension.range);
                let before = self.scopes.len();
                match &comprehension.variable_second {
                    Some(second) => {
                        self.scopes.push((comprehension.variable.clone(), None));
                        self.scopes.push((second.clone(), element));
                    }
                    None => self.scopes.push((comprehension.variable.clone(), element)),
                }
                for part in [&comprehension.condition, &comprehension.transform]
                    .into_iter()
                    .flatten()
                {
                    self.visit(part);
                }
                self.scopes.truncate(before);
            }
            ExprKind::Bind { name, value, body }
            | ExprKind::OptMap {
                target: value,
                name,
                body,
                ..
            } => {
                self.visit(value);
                let path = self.sites.get(&value.id).map(|site| site.path.clone());
                self.scopes.push((name.clone(), path));
                self.visit(body);
                self.scopes.pop();
            }
            _ => expr.for_each_child(&mut |child| self.visit(child)),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        match self.scopes.iter().rev().find(|(scoped, _)| scoped == name) {
            Some((_, path)) => path.clone(),
            None => (name.trim_start_matches('.') == "event").then(|| "event".to_owned()),
        }
    }

    /// The path of the elements of a list of the event.
    fn element(&self, range: &Expr) -> Option<String> {
        let site = self.sites.get(&range.id).or_else(|| match &range.kind {
            // `event.?resources.orValue([])` runs over the same elements.
            ExprKind::MemberCall {
                target, function, ..
            } if function == "orValue" => self.sites.get(&target.id),
            ExprKind::Comprehension(inner) if inner.kind == ComprehensionKind::Filter => {
                self.sites.get(&inner.range.id)
            }
            _ => None,
        })?;
        let of = match self.checked.type_of(range.id).non_null() {
            Type::Optional(inner) => inner.non_null(),
            other => other,
        };
        matches!(of, Type::List(_) | Type::Dyn).then(|| format!("{}[]", site.path))
    }

    fn add(&mut self, expr: &Expr, operand: &Expr, field: &str) {
        let Some(parent) = self.sites.get(&operand.id) else {
            return;
        };
        let path = format!("{}.{field}", parent.path);
        if path.len() > PATH_BYTES_MAX {
            return;
        }
        let of = match self.checked.type_of(operand.id).non_null() {
            Type::Optional(inner) => inner.non_null(),
            other => other,
        };
        let (absent, null) = match of {
            Type::Record(record) => self.field(*record, field),
            Type::Map(..) | Type::Dyn => (true, false),
            _ => (false, false),
        };
        for (may, how) in [(absent, How::Absent), (null, How::Null)] {
            if may && self.assumptions.len() < super::ASSUMPTIONS_MAX {
                self.assumptions.insert(Assumption {
                    path: path.clone(),
                    how,
                });
            }
        }
        self.sites.insert(expr.id, Site { path, absent, null });
    }

    /// Whether a field may be absent, and whether it may be null.
    fn field(&self, record: RecordId, name: &str) -> (bool, bool) {
        match self.schema.child(record, name) {
            Some(child) => {
                let field = self.schema.record(child);
                (field.presence == Presence::Sometimes, field.nullable)
            }
            None => (true, false),
        }
    }
}
