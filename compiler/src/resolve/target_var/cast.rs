//! `@cast(value, "type", "module")`.
//!
//! In: a number, the text of a type, where to look for it. Out: the value with
//! that type, for `walk` to follow. The kernel's BTF is asked before debuginfo;
//! what a header declares (`kernel<linux/sched.h>`), the kernel's types have.

use super::variable::text_constant;
use super::walk::{type_trouble, At, Value};
use super::{Found, KernelTarget};
use crate::diag::Diagnostic;
use crate::resolve::target_api::{Access, PlaceContext};
use crate::syntax::ast::TargetVar;
use crate::target::btf::Btf;
use crate::target::ctype::{self, CType, Scalar, TypeRef, TypeSource};
use crate::target::dwarf::types::Types;
use crate::types::hir::{self, Expr, ExprKind, Space};
use std::rc::Rc;
use std::sync::Arc;

impl KernelTarget {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn cast(
        &self,
        context: PlaceContext,
        var: &TargetVar,
        value: &Expr,
        type_text: &str,
        module: Option<&str>,
        indexes: &[Expr],
        access: Access,
    ) -> Result<Expr, Diagnostic> {
        let types = self.types_for_cast(context, type_text, module)?;
        let src = &*types;
        let Some((base, stars)) = ctype::parse_type_name(src, type_text) else {
            let list = module.unwrap_or("kernel");
            let text = format!("type definition '{type_text}' not found in '{list}'");
            let error = self.error("unknown-type", text).token("operator '@cast'");
            // a module's types come and go with it
            let absent = list
                .split(':')
                .find(|m| *m != "kernel" && !m.contains(['<', '/', '.']) && self.module_btf(m).is_none());
            return Err(match absent {
                Some(m) => error.help(format!(
                    "types of the module '{m}' are known while it is loaded: `modprobe {m}` first"
                )),
                None => error,
            });
        };
        let mut ty = base;
        let mut left = stars;
        while left > 0 {
            match src.pointer_to(ty) {
                Some(p) => ty = p,
                // one star that no type of the kernel has: the number is the address of the base
                None if left == 1 => break,
                None => {
                    let text = format!("no pointer of the type '{type_text}' is known to the kernel");
                    return Err(self.error("unknown-type", text));
                }
            }
            left -= 1;
        }
        let (_, shape) = ctype::strip(src, ty).map_err(type_trouble)?;
        let at = match shape {
            CType::Pointer(_) => At::Value(value.clone()),
            CType::Int { .. } | CType::Enum { .. } if left == 0 => {
                At::Value(narrow(src, value.clone(), ty).map_err(type_trouble)?)
            }
            // the number is the address of a value of the type
            _ => At::Memory { base: Box::new(value.clone()), offset: 0 },
        };
        let here = Value { src, at, ty, space: Space::Kernel, span: var.span };
        if var.path.is_empty() && var.pretty == 0 && (stars > 0 || !matches!(here.at, At::Value(_))) {
            // nothing is asked of what it points to: the number itself
            return match access {
                Access::TypeOf { address: false } => Ok(text_constant(&here.name_of_pointer()?, var.span)),
                Access::Write(_) => Err(self.error("write-cast", "a cast value cannot be set")),
                _ => Ok(value.clone()),
            };
        }
        self.finish(here, var, indexes, access)
    }

    /// Types in which to look for the one that a cast names.
    fn types_for_cast(
        &self,
        context: PlaceContext,
        type_text: &str,
        module: Option<&str>,
    ) -> Result<Rc<dyn TypeSource>, Diagnostic> {
        let knows = |src: &dyn TypeSource| ctype::parse_type_name(src, type_text).is_some();
        let shared = |btf: Arc<Btf>| -> Rc<dyn TypeSource> { Rc::new(btf) };
        let Some(list) = module else {
            if let Some(found) = context.at.and_then(|p| self.found(p)) {
                match &*found {
                    Found::Function { btf: Some(b), .. } => return Ok(shared(b.clone())),
                    Found::Debug(p) if p.types.has_here(type_text) => return Ok(Rc::new(p.types.clone())),
                    Found::Debug(p) => {
                        // the kernel's own types before all names of the debuginfo
                        return match self.btf().ok().filter(|b| knows(&**b)) {
                            Some(b) => Ok(shared(b)),
                            None => Ok(Rc::new(p.types.clone())),
                        };
                    }
                    _ => {}
                }
            }
            return self.btf().map(shared);
        };
        // `a:b`: the first that knows the type
        let mut last = None;
        for m in list.split(':') {
            // what a header of the kernel declares, the kernel's types have
            let of_kernel = m == "kernel" || m.starts_with("kernel<") || m.starts_with('<');
            let of_file = m.contains('/') && !m.contains(".ko");
            if of_file && !of_kernel {
                return Err(self.error(
                    "unknown-module",
                    format!(
                        "types of the file '{m}' are not known here; kernel types and those of modules are"
                    ),
                ));
            }
            let name = (!of_kernel).then_some(m);
            let btf = match name {
                None => self.btf(),
                Some(m) => self.module_btf(m).map_or_else(|| self.btf(), Ok),
            };
            let failed = match btf {
                Ok(b) if knows(&*b) => return Ok(shared(b)),
                Ok(b) => Ok(shared(b)),
                Err(e) => Err(e),
            };
            if let Some(info) = self.debuginfo(name) {
                let types = Types { info, home: None, kernel: self.kernel.btf().ok() };
                if knows(&types) {
                    return Ok(Rc::new(types));
                }
            }
            last = Some(failed);
        }
        last.unwrap_or_else(|| self.btf().map(shared))
    }
}

/// The value as an integer type of fewer bits would hold it.
fn narrow(src: &dyn TypeSource, value: Expr, ty: TypeRef) -> Result<Expr, ctype::TypeError> {
    Ok(match ctype::scalar(src, ty)? {
        Some(Scalar::Int { size, signed }) if size < 8 => {
            let span = value.span;
            let kind = ExprKind::BitField { value: Box::new(value), shift: 0, bits: size * 8, signed };
            hir::Expr { kind, ty: hir::Ty::Long, span }
        }
        _ => value,
    })
}
