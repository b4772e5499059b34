//! The tree of a selector, with the place of every part.
//!
//! Relies on nothing. Macros stay what the author wrote (`exists` is a `Comprehension`, not a fold), because
//! checker, index and explanation all need to know what was meant; cel-go expands them while parsing and then
//! has to guess it back. `&&` and `||` are flat lists, so a thousand alternatives are one level deep.

use crate::diagnostic::Span;

/// Number of a node, unique within one parsed selector; checker results are kept per number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExprId(pub u32);

/// One node of a selector.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// Number of the node.
    pub id: ExprId,
    /// The text it was read from.
    pub span: Span,
    /// What it is.
    pub kind: ExprKind,
}

impl Expr {
    /// Calls `visit` on every direct part, in the order of the text.
    pub fn for_each_child<'e>(&'e self, visit: &mut dyn FnMut(&'e Expr)) {
        match &self.kind {
            ExprKind::Literal(_) | ExprKind::Ident(_) => {}
            ExprKind::Select { operand, .. }
            | ExprKind::Has { operand, .. }
            | ExprKind::Unary(_, operand) => visit(operand),
            ExprKind::Index {
                operand: left,
                index: right,
                ..
            }
            | ExprKind::Binary(_, left, right)
            | ExprKind::Bind {
                value: left,
                body: right,
                ..
            }
            | ExprKind::OptMap {
                target: left,
                body: right,
                ..
            } => {
                visit(left);
                visit(right);
            }
            ExprKind::Call { args, .. } | ExprKind::And(args) | ExprKind::Or(args) => {
                args.iter().for_each(visit);
            }
            ExprKind::MemberCall { target, args, .. } => {
                visit(target);
                args.iter().for_each(visit);
            }
            ExprKind::Conditional {
                condition,
                then,
                otherwise,
            } => {
                visit(condition);
                visit(then);
                visit(otherwise);
            }
            ExprKind::List(items) => items.iter().for_each(|item| visit(&item.value)),
            ExprKind::Map(entries) => {
                for entry in entries {
                    visit(&entry.key);
                    visit(&entry.value);
                }
            }
            ExprKind::Struct { fields, .. } => {
                fields.iter().for_each(|field| visit(&field.value));
            }
            ExprKind::Comprehension(comprehension) => {
                let Comprehension {
                    range,
                    condition,
                    transform,
                    ..
                } = &**comprehension;
                visit(range);
                condition.iter().for_each(&mut *visit);
                transform.iter().for_each(visit);
            }
            ExprKind::Block { slots, body } => {
                slots.iter().for_each(&mut *visit);
                visit(body);
            }
        }
    }

    /// Calls `visit` on every direct part in which `name` means what it means here: not on those where a variable of
    /// this name hides it.
    pub fn for_each_child_seeing<'e>(&'e self, name: &str, visit: &mut dyn FnMut(&'e Expr)) {
        match &self.kind {
            ExprKind::Bind {
                name: hiding,
                value: outside,
                ..
            }
            | ExprKind::OptMap {
                name: hiding,
                target: outside,
                ..
            } if hiding == name => visit(outside),
            ExprKind::Comprehension(comprehension)
                if comprehension.names().any(|one| one == name) =>
            {
                visit(&comprehension.range);
            }
            _ => self.for_each_child(visit),
        }
    }

    /// Whether it mentions a variable: one that a macro makes of the same name is another.
    pub fn mentions(&self, name: &str) -> bool {
        if let ExprKind::Ident(ident) = &self.kind {
            return ident == name;
        }
        let mut found = false;
        self.for_each_child_seeing(name, &mut |child| found = found || child.mentions(name));
        found
    }

    /// Whether the expression itself makes a variable of this name for some of its parts.
    pub fn binds(&self, name: &str) -> bool {
        match &self.kind {
            ExprKind::Bind { name: own, .. } | ExprKind::OptMap { name: own, .. } => own == name,
            ExprKind::Comprehension(comprehension) => comprehension.names().any(|one| one == name),
            _ => false,
        }
    }

    /// Calls `visit` on every direct part, to change it.
    pub fn for_each_child_mut(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        match &mut self.kind {
            ExprKind::Literal(_) | ExprKind::Ident(_) => {}
            ExprKind::Select { operand, .. }
            | ExprKind::Has { operand, .. }
            | ExprKind::Unary(_, operand) => visit(operand),
            ExprKind::Index {
                operand: left,
                index: right,
                ..
            }
            | ExprKind::Binary(_, left, right)
            | ExprKind::Bind {
                value: left,
                body: right,
                ..
            }
            | ExprKind::OptMap {
                target: left,
                body: right,
                ..
            } => {
                visit(left);
                visit(right);
            }
            ExprKind::Call { args, .. } | ExprKind::And(args) | ExprKind::Or(args) => {
                args.iter_mut().for_each(visit);
            }
            ExprKind::MemberCall { target, args, .. } => {
                visit(target);
                args.iter_mut().for_each(visit);
            }
            ExprKind::Conditional {
                condition,
                then,
                otherwise,
            } => {
                visit(condition);
                visit(then);
                visit(otherwise);
            }
            ExprKind::List(items) => items.iter_mut().for_each(|item| visit(&mut item.value)),
            ExprKind::Map(entries) => {
                for entry in entries {
                    visit(&mut entry.key);
                    visit(&mut entry.value);
                }
            }
            ExprKind::Struct { fields, .. } => {
                fields.iter_mut().for_each(|field| visit(&mut field.value));
            }
            ExprKind::Comprehension(comprehension) => {
                let Comprehension {
                    range,
                    condition,
                    transform,
                    ..
                } = &mut **comprehension;
                visit(range);
                condition.iter_mut().for_each(&mut *visit);
                transform.iter_mut().for_each(visit);
            }
            ExprKind::Block { slots, body } => {
                slots.iter_mut().for_each(&mut *visit);
                visit(body);
            }
        }
    }

    /// The dotted name this node spells (`a`, `.a`, `google.protobuf.Timestamp`), when it is nothing but names.
    pub fn qualified_name(&self) -> Option<String> {
        let mut fields = Vec::new();
        let mut expr = self;
        loop {
            match &expr.kind {
                ExprKind::Ident(name) if !name.starts_with('@') => {
                    fields.push(name.as_str());
                    fields.reverse();
                    return Some(fields.join("."));
                }
                ExprKind::Select {
                    operand,
                    field,
                    optional: false,
                    ..
                } => {
                    fields.push(field);
                    expr = operand;
                }
                _ => return None,
            }
        }
    }
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A constant.
    Literal(Literal),
    /// A variable, an enum constant or the first part of a qualified name; a leading dot is kept.
    /// `cel.iterVar(n, m)` is `@it:n:m`, `cel.accuVar(n, m)` is `@ac:n:m`.
    Ident(String),
    /// `operand.field`, `operand.?field`.
    Select {
        /// What is selected from.
        operand: Box<Expr>,
        /// The name, without back-quotes.
        field: String,
        /// Where the name stands.
        field_span: Span,
        /// Written `.?`.
        optional: bool,
    },
    /// `has(operand.field)`.
    Has {
        /// What is selected from.
        operand: Box<Expr>,
        /// The name, without back-quotes.
        field: String,
        /// Where the name stands.
        field_span: Span,
    },
    /// `operand[index]`, `operand[?index]`.
    Index {
        /// What is indexed.
        operand: Box<Expr>,
        /// The key or position.
        index: Box<Expr>,
        /// Written `[?`.
        optional: bool,
    },
    /// `function(args)`; dotted for the functions that `declare::is_namespaced` lists (`math.greatest`,
    /// `optional.of`), which are always this and never a `MemberCall` on a variable.
    Call {
        /// The name, with its namespace.
        function: String,
        /// Where the name stands.
        function_span: Span,
        /// The arguments.
        args: Vec<Expr>,
    },
    /// `target.function(args)`.
    MemberCall {
        /// What it is called on.
        target: Box<Expr>,
        /// The name.
        function: String,
        /// Where the name stands.
        function_span: Span,
        /// The arguments.
        args: Vec<Expr>,
    },
    /// `!a` or `-a`.
    Unary(UnaryOp, Box<Expr>),
    /// `a + b`, `a == b`, `a in b` and so on, but not `&&` and `||`.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `a && b && …`, at least two.
    And(Vec<Expr>),
    /// `a || b || …`, at least two.
    Or(Vec<Expr>),
    /// `condition ? then : otherwise`.
    Conditional {
        /// The condition.
        condition: Box<Expr>,
        /// Taken when it is true.
        then: Box<Expr>,
        /// Taken when it is false.
        otherwise: Box<Expr>,
    },
    /// `[a, ?b]`.
    List(Vec<ListItem>),
    /// `{k: v, ?k: v}`.
    Map(Vec<MapEntry>),
    /// `Message{field: value}`: read so that it can be refused by name; only well-known protobuf
    /// wrapper, time and struct types have a meaning.
    Struct {
        /// The message type.
        name: String,
        /// Where the name stands.
        name_span: Span,
        /// The fields.
        fields: Vec<StructField>,
    },
    /// `all`, `exists`, `exists_one`, `map`, `filter` and the two-variable forms.
    Comprehension(Box<Comprehension>),
    /// `cel.bind(name, value, body)`.
    Bind {
        /// The new variable.
        name: String,
        /// Its value.
        value: Box<Expr>,
        /// Where it may be used.
        body: Box<Expr>,
    },
    /// `target.optMap(name, body)` and `target.optFlatMap(name, body)`.
    OptMap {
        /// The optional.
        target: Box<Expr>,
        /// The new variable.
        name: String,
        /// What to do with its value.
        body: Box<Expr>,
        /// Written `optFlatMap`: the body gives an optional itself.
        flat: bool,
    },
    /// `cel.block([slots], body)`; the slots are read as `cel.index(n)`, which is a `Call`.
    Block {
        /// The shared values.
        slots: Vec<Expr>,
        /// Where they may be used.
        body: Box<Expr>,
    },
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// `1`, `-1`, `0x1f`
    Int(i64),
    /// `1u`
    Uint(u64),
    /// `1.0`
    Double(f64),
    /// `"text"`, `'text'`, `r"raw"`, `"""long"""`
    String(String),
    /// `b"bytes"`
    Bytes(Vec<u8>),
}

/// An operator on one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `!`
    Not,
    /// `-`
    Negate,
}

/// An operator on two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `in`
    In,
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Remainder,
}

/// One element of a list literal.
#[derive(Clone, Debug, PartialEq)]
pub struct ListItem {
    /// The element.
    pub value: Expr,
    /// Written `?`: left out when it is `optional.none()`.
    pub optional: bool,
}

/// One entry of a map literal.
#[derive(Clone, Debug, PartialEq)]
pub struct MapEntry {
    /// The key.
    pub key: Expr,
    /// The value.
    pub value: Expr,
    /// Written `?`: left out when the value is `optional.none()`.
    pub optional: bool,
}

/// One field of a message literal.
#[derive(Clone, Debug, PartialEq)]
pub struct StructField {
    /// The name.
    pub name: String,
    /// Where the name stands.
    pub name_span: Span,
    /// The value.
    pub value: Expr,
    /// Written `?`.
    pub optional: bool,
}

/// What a comprehension macro does with each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComprehensionKind {
    /// `all`
    All,
    /// `exists`
    Exists,
    /// `exists_one`, `existsOne`
    ExistsOne,
    /// `map(x, transform)` and `map(x, filter, transform)`
    Map,
    /// `filter(x, filter)`
    Filter,
    /// `transformList(i, v, [filter,] transform)`
    TransformList,
    /// `transformMap(k, v, [filter,] transform)`
    TransformMap,
    /// `transformMapEntry(k, v, [filter,] map)`: each result is a map whose entries are added; a key twice is an
    /// error.
    TransformMapEntry,
}

/// A macro that runs over a list or a map.
#[derive(Clone, Debug, PartialEq)]
pub struct Comprehension {
    /// Which macro.
    pub kind: ComprehensionKind,
    /// What it runs over.
    pub range: Expr,
    /// The element of a list or the key of a map; in the two-variable form the position or key.
    pub variable: String,
    /// The value, in the two-variable form.
    pub variable_second: Option<String>,
    /// The condition: always there for `all`, `exists`, `exists_one`, `filter`.
    pub condition: Option<Expr>,
    /// The result per element, for the kinds that make a list or map.
    pub transform: Option<Expr>,
}

impl Comprehension {
    /// Its variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let second = self.variable_second.as_deref();
        std::iter::once(self.variable.as_str()).chain(second)
    }
}
