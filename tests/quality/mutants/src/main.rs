//! All mutants of a file at once.
//!
//! ```text
//!   if a.ret < b.call && open {       becomes
//!   if (on(8) || (lt(7, &(a.ret), &(b.call)))) && (on(9) || (open)) {        7 turns < to <=, 8 and 9 drop a clause
//! ```
//! The program is built once and run once for each mutant: `QUORATE_MUTANT` is the number of the one that is on. What is turned: `<` and `<=`, `>` and
//! `>=`, `==` and `!=`; min and max; `!`; the condition of an `if` that has none of these; and each clause of `&&` and `||` is dropped. Nothing in
//! macros, constants and tests is. Lines stay where they are.
//!
//! `mutants FIRST FILE` rewrites the file in place, numbers from FIRST, and prints a line for each: number, line, column, what is turned.
use proc_macro2::{LineColumn, Span};
use std::ops::Range;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Expr, UnOp};

#[derive(Default)]
struct Finder {
    next: u32,
    /// Replace these bytes by this text. Suffixes come before prefixes of the same place, inner ones first.
    edits: Vec<(Range<usize>, u8, i32, String)>,
    depth: i32,
    listed: Vec<(u32, LineColumn, String)>,
}

impl Finder {
    fn new_mutant(&mut self, span: Span, what: &str) -> u32 {
        self.next += 1;
        self.listed.push((self.next - 1, span.start(), what.into()));
        self.next - 1
    }

    fn wrap(&mut self, inner: Range<usize>, before: &str, after: &str) {
        self.edits.push((inner.start..inner.start, 1, self.depth, before.into()));
        self.edits.push((inner.end..inner.end, 0, -self.depth, after.into()));
    }

    fn replace(&mut self, bytes: Range<usize>, text: &str) {
        self.edits.push((bytes, 2, 0, text.into()));
    }

    fn compare(&mut self, binary: &syn::ExprBinary, name: &str, what: &str) {
        let id = self.new_mutant(binary.op.span(), what);
        let (left, right) = (binary.left.span().byte_range(), binary.right.span().byte_range());
        self.wrap(left.start..right.end, &format!("crate::mutant::{name}({id}, &("), "))");
        self.replace(left.end..right.start, "), &(");
    }

    /// A clause of `&&` is dropped by making it true, one of `||` by making it false.
    fn clauses(&mut self, binary: &syn::ExprBinary, what: &str) {
        for (side, name) in [(&binary.left, "left"), (&binary.right, "right")] {
            let id = self.new_mutant(binary.op.span(), &format!("{name} of {what} dropped"));
            let before = match what {
                "&&" => format!("(crate::mutant::on({id}) || ("),
                _ => format!("(!crate::mutant::on({id}) && ("),
            };
            self.wrap(side.span().byte_range(), &before, "))");
        }
    }
}

fn tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg") || attribute.path().is_ident("test"))
}

/// A mask such as `1 << n`: the type of its number comes from the place of the `!`.
fn shifted(expr: &Expr) -> bool {
    match expr {
        Expr::Paren(paren) => shifted(&paren.expr),
        Expr::Binary(binary) => matches!(binary.op, BinOp::Shl(_)),
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !tests(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}

    fn visit_type(&mut self, _: &'ast syn::Type) {}

    fn visit_expr(&mut self, expr: &'ast Expr) {
        self.depth += 1;
        visit::visit_expr(self, expr);
        self.depth -= 1;
    }

    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        match binary.op {
            BinOp::Lt(_) => self.compare(binary, "lt", "< to <="),
            BinOp::Le(_) => self.compare(binary, "le", "<= to <"),
            BinOp::Gt(_) => self.compare(binary, "gt", "> to >="),
            BinOp::Ge(_) => self.compare(binary, "ge", ">= to >"),
            BinOp::Eq(_) => self.compare(binary, "eq", "== to !="),
            BinOp::Ne(_) => self.compare(binary, "ne", "!= to =="),
            BinOp::And(_) => self.clauses(binary, "&&"),
            BinOp::Or(_) => self.clauses(binary, "||"),
            _ => {}
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        if matches!(unary.op, UnOp::Not(_)) && !shifted(&unary.expr) {
            let id = self.new_mutant(unary.op.span(), "! dropped");
            let (all, inner) = (unary.span().byte_range(), unary.expr.span().byte_range());
            self.wrap(all.clone(), &format!("crate::mutant::not({id}, "), ")");
            self.replace(all.start..inner.start, "");
        }
        visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let name = call.method.to_string();
        if matches!(name.as_str(), "min" | "max") && call.args.len() == 1 {
            let turned = if name == "min" { "min to max" } else { "max to min" };
            let id = self.new_mutant(call.method.span(), turned);
            let (all, receiver) = (call.span().byte_range(), call.receiver.span().byte_range());
            self.wrap(all, &format!("crate::mutant::{name}({id}, "), "");
            let open = call.paren_token.span.open().byte_range().end;
            self.replace(receiver.end..open, ", ");
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_if(&mut self, item: &'ast syn::ExprIf) {
        if !matches!(*item.cond, Expr::Binary(_) | Expr::Unary(_) | Expr::Let(_) | Expr::Macro(_)) {
            let id = self.new_mutant(item.cond.span(), "if turned");
            self.depth += 1;
            self.wrap(item.cond.span().byte_range(), &format!("crate::mutant::turn({id}, "), ")");
            self.depth -= 1;
        }
        visit::visit_expr_if(self, item);
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next().and_then(|text| text.parse().ok()).expect("the first number");
    let name = arguments.next().expect("a file");
    let text = std::fs::read_to_string(&name).expect("a readable file");
    let file = syn::parse_file(&text).expect("Rust");
    let mut finder = Finder { next: first, ..Finder::default() };
    finder.visit_file(&file);
    finder.edits.sort_by_key(|(bytes, kind, depth, _)| (bytes.start, *kind, *depth));
    let (mut out, mut at) = (String::new(), 0);
    for (bytes, _, _, new) in &finder.edits {
        out.push_str(&text[at..bytes.start.max(at)]);
        out.push_str(new);
        let lines = text[bytes.clone()].matches('\n').count();
        out.push_str(&"\n".repeat(lines));
        at = bytes.end.max(at);
    }
    out.push_str(&text[at..]);
    std::fs::write(&name, out).expect("a writable file");
    for (id, place, what) in finder.listed {
        println!("{id}\t{}\t{}\t{what}", place.line, place.column);
    }
}
