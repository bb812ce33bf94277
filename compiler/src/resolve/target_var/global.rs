//! `@var("name@file", "module")`: variables outside of functions.
//!
//! In: a name, perhaps a file and a module. Out: the variable as an expression.
//! Debuginfo knows them all; BTF has types of those only that each processor
//! has its own of, and symbol tables the places of all.

use super::debug::per_cpu;
use super::walk::{At, Value};
use super::{long, Found, KernelTarget};
use crate::diag::{Diagnostic, Span};
use crate::resolve::target_api::{Access, PlaceContext};
use crate::syntax::ast::TargetVar;
use crate::target::btf::{kind, Btf};
use crate::target::ctype::TypeRef;
use crate::types::hir::{Expr, ExprKind, Space, SymbolRef};
use std::sync::Arc;

impl KernelTarget {
    pub(super) fn global(
        &self,
        context: PlaceContext,
        var: &TargetVar,
        name: &str,
        module: Option<&str>,
        operands: &[Expr],
        access: Access,
    ) -> Result<Expr, Diagnostic> {
        let found = context.at.and_then(|p| self.found(p));
        let lazily = match found.as_deref() {
            Some(Found::Function { symbol, module, returns, .. }) => {
                self.debug_of_symbol(symbol, module.as_deref(), *returns)
            }
            _ => None,
        };
        let at = match found.as_deref() {
            Some(Found::Debug(p)) => Some(p),
            _ => lazily.as_deref(),
        };
        let mut own = None;
        if let Some(value) = self.debug_global(at, &mut own, name, module, var.span) {
            return self.finish(value?, var, operands, access);
        }
        if let Some((btf, ty)) = self.btf_global(name, module) {
            let value = self.per_cpu_value(&btf, ty, name, module, var.span);
            return self.finish(value, var, operands, access);
        }
        let home = at.and_then(|p| p.module.as_deref());
        Err(self.unknown_global(name, module.or(home)))
    }

    /// Type of a variable that each processor has, as BTF has it.
    fn btf_global(&self, name: &str, module: Option<&str>) -> Option<(Arc<Btf>, TypeRef)> {
        let btf = match module.filter(|m| *m != "kernel" && *m != "vmlinux") {
            None => self.kernel.btf().ok()?,
            Some(m) => self.module_btf(m)?,
        };
        let id = *btf.find_all(name, kind::VAR).first()?;
        let ty = TypeRef(btf.raw(id).ok()??.word.into());
        Some((btf, ty))
    }

    fn per_cpu_value<'b>(
        &self,
        btf: &'b Btf,
        ty: TypeRef,
        name: &str,
        module: Option<&str>,
        span: Span,
    ) -> Value<'b> {
        let module = module.filter(|m| *m != "kernel" && *m != "vmlinux");
        let symbol = SymbolRef {
            symbol: name.to_owned(),
            module: module.map(crate::target::debugfiles::module_name),
            offset: 0,
            data: true,
        };
        let base = Box::new(per_cpu(long(ExprKind::Address(symbol), span)));
        Value { src: btf, at: At::Memory { base, offset: 0 }, ty, space: Space::Kernel, span }
    }

    /// `@var("name@file")`: where variables live is in debuginfo only.
    fn unknown_global(&self, name: &str, module: Option<&str>) -> Diagnostic {
        let of = module.map_or(String::new(), |m| format!(" of '{m}'"));
        let known = module.filter(|m| *m != "kernel");
        if self.debuginfo(known).is_some() {
            let text = format!("unable to find global '{name}'{of} in its debuginfo");
            return self.error("unknown-variable", text).token("operator '@var'");
        }
        self.needs_debuginfo(format!(
            "unable to find global '{name}'{of}: BTF describes only those that each processor has"
        ))
        .token("operator '@var'")
    }
}
