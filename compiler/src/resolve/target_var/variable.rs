//! What `$name`, `@cast` and `@var` stand for at a place.
//!
//! In: the variable as written and the place of the probe. Out: an expression.
//! Parameters of functions come from BTF and the calling convention, those of
//! tracepoints and system calls from their argument lists. What BTF does not
//! know (locals, statements) comes from debuginfo; without that the error says
//! what there is, and which package has the rest.

use super::debug::DebugPlace;
use super::params::{self, Location};
use super::walk::{type_trouble, At, Value, STACK_POINTER};
use super::{long, pretty, Found, KernelTarget};
use crate::diag::{Diagnostic, Span};
use crate::resolve::target_api::{Access, ListedVariable, PlaceContext, TargetPlace};
use crate::syntax::ast::{self, PathStep, TargetBase, TargetVar};
use crate::target::btf::Btf;
use crate::target::ctype::{self, CType, Param, Scalar, Signature, TypeRef, TypeSource};
use crate::target::dwarf::scope::VariableKind;
use crate::target::syscalls::{ArgKind, Syscall};
use crate::target::tracepoints;
use crate::types::hir::{Expr, ExprKind, Space, Ty};
use stp_vm::isa::Helper;

impl KernelTarget {
    pub(super) fn make_variable(
        &self,
        context: PlaceContext,
        var: &TargetVar,
        operands: &[Expr],
        access: Access,
    ) -> Result<Expr, Diagnostic> {
        if let TargetBase::Auto(value) = &var.base {
            return Err(self.untyped(value, var));
        }
        if matches!(access, Access::Write(_)) && !context.guru {
            return Err(self
                .error("write-needs-guru", "write to target variable not permitted; need stap -g")
                .token(format!("identifier '{}'", base_name(var))));
        }
        if let (Access::Write(_), TargetBase::Name(name)) = (&access, &var.base) {
            let returns = context.at.is_some_and(|at| at.entry.is_some());
            if returns && name != "$return" && var.path.is_empty() {
                let text = format!("'{name}' was kept when the function was entered: setting it at the return changes nothing");
                return Err(self
                    .error("write-at-return", text)
                    .token(format!("identifier '{name}'"))
                    .help("set $return here, or the parameter in a probe at the function's entry"));
            }
        }
        match &var.base {
            TargetBase::Cast { ty, module, .. } => {
                let Some((value, indexes)) = operands.split_first() else {
                    return Err(self.error("target-index", "@cast has no value"));
                };
                self.cast(context, var, value, ty, module.as_deref(), indexes, access)
            }
            TargetBase::Var { name, module } => {
                self.global(context, var, name, module.as_deref(), operands, access)
            }
            TargetBase::Auto(value) => Err(self.untyped(value, var)),
            TargetBase::Name(name) => {
                let Some(place) = context.at else {
                    return Err(self
                        .error(
                            "no-context",
                            format!("unresolved target-symbol expression: nothing has a variable '{name}' here"),
                        )
                        .token(format!("identifier '{name}'"))
                        .help("begin, end, timer and their like stand at no code of the kernel; functions are given such variables as arguments"));
                };
                let Some(found) = self.found(place) else {
                    return Err(self.no_variables(place, name));
                };
                match &*found {
                    Found::Opaque => Err(self.no_variables(place, name)),
                    Found::Syscall { call, compat, returns } => {
                        self.of_syscall(place, *call, *compat, *returns, var, name, access)
                    }
                    Found::Debug(p) => self.of_debug(place, p, var, name, operands, access),
                    Found::Function { symbol, module, btf, returns } => {
                        // the kernel's own types are read faster than debuginfo, which knows more
                        if btf.is_some() {
                            match self.of_function(place, &found, var, name, operands, access.clone()) {
                                Err(d) if d.code == "needs-debuginfo" => {
                                    match self.debug_of_symbol(symbol, module.as_deref(), *returns) {
                                        Some(p) => self.of_debug(place, &p, var, name, operands, access),
                                        None => Err(d),
                                    }
                                }
                                done => done,
                            }
                        } else {
                            match self.debug_of_symbol(symbol, module.as_deref(), *returns) {
                                Some(p) => self.of_debug(place, &p, var, name, operands, access),
                                None => self.of_function(place, &found, var, name, operands, access),
                            }
                        }
                    }
                    Found::Tracepoint { .. } => self.of_function(place, &found, var, name, operands, access),
                }
            }
        }
    }

    /// `x->member` or `x[1]` of a value that is no pointer as far as is known.
    fn untyped(&self, value: &ast::Expr, var: &TargetVar) -> Diagnostic {
        // more often than a pointer, `x[1]` is an array that nobody declared
        let error = match (&value.kind, var.path.first()) {
            (ast::ExprKind::Name(name), Some(PathStep::Element(_))) => {
                let text = format!("unresolved arity-1 global array {name}, missing global declaration?");
                self.error("unknown-type", text).help("where it is an address, @cast says of what")
            }
            _ => self.error("unknown-type", "the type of what stands before '->' is not known: use @cast"),
        };
        error.at(value.span)
    }

    /// A name at a place that debuginfo describes.
    fn of_debug(
        &self,
        place: &TargetPlace,
        p: &DebugPlace,
        var: &TargetVar,
        name: &str,
        operands: &[Expr],
        access: Access,
    ) -> Result<Expr, Diagnostic> {
        let returned = || -> Result<Option<Value>, Diagnostic> {
            match p.scope.returns.0 {
                0 => Ok(None),
                _ if is_void(&p.types, p.scope.returns) => Ok(None),
                _ => self.return_value(&p.types, p.scope.returns, var.span).map(Some),
            }
        };
        if let Some(all) = name.strip_prefix("$$") {
            use VariableKind::{Local, Parameter};
            let mut named = match all {
                "parms" | "params" => self.debug_values(p, &[Parameter], var.span),
                "vars" if p.returns => self.debug_values(p, &[Parameter], var.span),
                "vars" => self.debug_values(p, &[Parameter, Local], var.span),
                "locals" if p.returns => Vec::new(),
                "locals" => self.debug_values(p, &[Local], var.span),
                "return" => Vec::new(),
                _ => return Err(self.no_variables(place, name)),
            };
            if p.returns && all == "return" {
                named.extend(returned()?.map(|v| ("return", Some(v))));
            }
            return Ok(pretty::list(&named, var.pretty, var.span));
        }
        let bare = name.trim_start_matches('$');
        let value = match bare {
            "return" if !p.returns => {
                return Err(self
                    .error("no-return-value", "$return exists only in return probes")
                    .token("identifier '$return'"));
            }
            "return" => match returned()? {
                Some(v) => v,
                None => {
                    return Err(self
                        .error("no-return-value", format!("function {} has no return value", p.name))
                        .token("identifier '$return'"));
                }
            },
            _ => self.debug_value(p, bare, var.span)?,
        };
        self.finish(value, var, operands, access)
    }

    fn no_variables(&self, place: &TargetPlace, name: &str) -> Diagnostic {
        self.error("no-target-variables", format!("'{name}': the probe {} has no target variables", place.pp))
            .token(format!("identifier '{name}'"))
    }

    fn of_function(
        &self,
        place: &TargetPlace,
        found: &Found,
        var: &TargetVar,
        name: &str,
        operands: &[Expr],
        access: Access,
    ) -> Result<Expr, Diagnostic> {
        let (btf, sigs, what) = match found {
            Found::Tracepoint { name, btf } => {
                let sig = tracepoints::arguments(btf, name).map_err(|e| type_trouble(e.into()))?;
                (btf, sig.into_iter().collect::<Vec<_>>(), format!("the tracepoint {name}"))
            }
            Found::Function { symbol, btf: Some(btf), .. } => {
                (btf, btf.functions(symbol).map_err(|e| type_trouble(e.into()))?, symbol.clone())
            }
            Found::Function { symbol, .. } => {
                return Err(self
                    .needs_debuginfo(format!(
                        "the parameters of {symbol} are not known: BTF does not describe it"
                    ))
                    .token(format!("identifier '{name}'")))
            }
            Found::Debug(_) | Found::Syscall { .. } | Found::Opaque => {
                return Err(self.no_variables(place, name))
            }
        };
        let returns = matches!(found, Found::Function { returns: true, .. });
        if let Some(all) = name.strip_prefix("$$") {
            match (found, all) {
                (Found::Tracepoint { name, .. }, "name") => return Ok(text_constant(name, var.span)),
                (Found::Tracepoint { name, .. }, "system") => {
                    return self.kernel.system_of_event(name).map(|s| text_constant(&s, var.span)).ok_or_else(|| {
                        self.error(
                            "no-trace-system",
                            format!("the system of the tracepoint {name} is not known"),
                        )
                        .token("identifier '$$system'")
                        .help("it stands in /sys/kernel/tracing/events of the running kernel, for who may read that")
                    })
                }
                _ => {}
            }
            let Some(sig) = sigs.first() else { return Err(self.no_variables(place, name)) };
            let params = match all {
                "parms" | "params" | "vars" => self.param_values(btf, sig, var.span)?,
                "locals" => Vec::new(),
                "return" => Vec::new(),
                _ => return Err(self.unknown(&what, name, &sigs, returns)),
            };
            let mut named: Vec<(&str, Option<Value>)> =
                params.into_iter().map(|(n, v)| (n, Some(v))).collect();
            if returns && all == "return" && !is_void(&**btf, sig.ret) {
                named.push(("return", Some(self.return_value(&**btf, sig.ret, var.span)?)));
            }
            return Ok(pretty::list(&named, var.pretty, var.span));
        }
        let bare = name.trim_start_matches('$');
        if bare == "return" {
            if !returns {
                return Err(self
                    .error("no-return-value", "$return exists only in return probes")
                    .token("identifier '$return'"));
            }
            let Some(sig) = sigs.first() else { return Err(self.no_variables(place, name)) };
            if is_void(&**btf, sig.ret) {
                return Err(self
                    .error("no-return-value", format!("function {what} has no return value"))
                    .token("identifier '$return'"));
            }
            let v = self.return_value(&**btf, sig.ret, var.span)?;
            return self.finish(v, var, operands, access);
        }
        let mut answer: Option<(Location, TypeRef)> = None;
        for sig in &sigs {
            let Some(n) = sig.params.iter().position(|p| p.name == bare) else { continue };
            let at = params::locate(&**btf, sig).map_err(type_trouble)?[n];
            let ty = sig.params[n].ty;
            match answer {
                Some((a, t)) if a != at || ctype::type_name(&**btf, t) != ctype::type_name(&**btf, ty) => {
                    return Err(self.needs_debuginfo(format!(
                        "there are several functions named {what}, and '{name}' is not the same in all"
                    )));
                }
                _ => answer = Some((at, ty)),
            }
        }
        let Some((at, ty)) = answer else {
            return Err(self.unknown(&what, name, &sigs, returns));
        };
        let v = self.at_location(btf, at, ty, var.span)?;
        self.finish(v, var, operands, access)
    }

    fn unknown(&self, what: &str, name: &str, sigs: &[Signature], returns: bool) -> Diagnostic {
        let mut known: Vec<String> = Vec::new();
        for p in sigs.iter().flat_map(|s| &s.params) {
            let shown = format!("${}", p.name);
            if !p.name.is_empty() && !known.contains(&shown) {
                known.push(shown);
            }
        }
        if returns {
            known.push("$return".into());
        }
        let known = if known.is_empty() {
            "it has none".into()
        } else {
            format!("alternatives: {}", known.join(" "))
        };
        self.needs_debuginfo(format!("unable to find parameter '{name}' of {what} ({known})"))
            .token(format!("identifier '{name}'"))
    }

    fn param_values<'b>(
        &self,
        btf: &'b Btf,
        sig: &Signature<'b>,
        span: Span,
    ) -> Result<Vec<(&'b str, Value<'b>)>, Diagnostic> {
        let places = params::locate(btf, sig).map_err(type_trouble)?;
        let mut out = Vec::new();
        for (Param { name, ty }, at) in sig.params.iter().zip(places) {
            if !name.is_empty() && at != Location::Vector {
                out.push((*name, self.at_location(btf, at, *ty, span)?));
            }
        }
        Ok(out)
    }

    /// The value of a parameter. Argument n of a tracepoint stands where that of a function does.
    fn at_location<'b>(
        &self,
        btf: &'b Btf,
        at: Location,
        ty: TypeRef,
        span: Span,
    ) -> Result<Value<'b>, Diagnostic> {
        let at = match at {
            Location::Registers { first, count: 1 } if !is_record(btf, ty) => {
                let (bits, signed) = register_bits(btf, ty);
                At::Value(long(ExprKind::ProbeArg { n: first, bits, signed }, span))
            }
            Location::Registers { first, count } => At::Words {
                words: (first..first + count)
                    .map(|n| Some(long(ExprKind::ProbeArg { n, bits: 64, signed: false }, span)))
                    .collect(),
                bit: 0,
            },
            Location::Stack { offset } => At::Memory {
                base: Box::new(long(ExprKind::Register { n: STACK_POINTER }, span)),
                offset: i64::try_from(offset).unwrap_or(i64::MAX),
            },
            Location::Vector => {
                return Err(self.error("no-value", "a floating-point parameter cannot be read"));
            }
        };
        Ok(Value { src: btf, at, ty, space: Space::Kernel, span })
    }

    fn return_value<'b>(
        &self,
        src: &'b dyn TypeSource,
        ty: TypeRef,
        span: Span,
    ) -> Result<Value<'b>, Diagnostic> {
        if is_record(src, ty) {
            let size = ctype::size_of(src, ty).map_err(type_trouble)?;
            if size > 8 {
                return Err(self.error(
                    "no-value",
                    format!(
                        "a returned '{}' of {size} bytes is not in one register",
                        ctype::type_name(src, ty)
                    ),
                ));
            }
            let word = long(ExprKind::ReturnValue { bits: 64, signed: false }, span);
            return Ok(Value {
                src,
                at: At::Words { words: vec![Some(word)], bit: 0 },
                ty,
                space: Space::Kernel,
                span,
            });
        }
        let (bits, signed) = register_bits(src, ty);
        let at = At::Value(long(ExprKind::ReturnValue { bits, signed }, span));
        Ok(Value { src, at, ty, space: Space::Kernel, span })
    }

    #[allow(clippy::too_many_arguments)]
    fn of_syscall(
        &self,
        place: &TargetPlace,
        call: Option<&'static Syscall>,
        compat: bool,
        returns: bool,
        var: &TargetVar,
        name: &str,
        access: Access,
    ) -> Result<Expr, Diagnostic> {
        let bare = name.trim_start_matches('$');
        if let Access::Write(value) = access {
            if returns {
                let message = "arguments of system calls are written at the call, not at its return";
                return Err(self.error("write-at-return", message));
            }
            if !var.path.is_empty() {
                return Err(
                    self.error("write-register", "arguments of system calls are numbers here; use @cast")
                );
            }
            let named = call.and_then(|c| c.args.iter().position(|a| a.name == bare));
            let numbered = bare.strip_prefix("arg").and_then(|n| n.parse::<usize>().ok()?.checked_sub(1));
            if let Some(register) = named.or(numbered).and_then(|n| syscall_registers(compat).get(n).copied())
            {
                let args = vec![long(ExprKind::Number(register.into()), var.span), *value];
                return Ok(long(ExprKind::Helper { helper: Helper::SetRegister, args }, var.span));
            }
            if name.starts_with("$$") {
                return Err(self
                    .error("write-register", format!("'{name}' is made of arguments and can only be read")));
            }
        } else if !matches!(access, Access::Read) {
            return Err(self.error("write-register", "arguments of system calls have no address"));
        }
        let kind = if name == "$$parms" || name == "$$vars" {
            let args = call.map_or(&[][..], |c| &c.args);
            let values: Vec<(&str, Expr)> = args
                .iter()
                .enumerate()
                .map(|(n, a)| (a.name, syscall_arg(n, a.kind, compat, var.span)))
                .collect();
            return Ok(pretty::numbers(&values, var.span));
        } else if bare == "return" && returns {
            ExprKind::ReturnValue { bits: if compat { 32 } else { 64 }, signed: true }
        } else if let Some(n) = call.and_then(|c| c.args.iter().position(|a| a.name == bare)) {
            let arg_kind = call.map_or(ArgKind::Ulong, |c| c.args[n].kind);
            syscall_arg(n, arg_kind, compat, var.span).kind
        } else if let Some(n) =
            bare.strip_prefix("arg").and_then(|n| n.parse::<u8>().ok()).filter(|n| (1..=6).contains(n))
        {
            ExprKind::ProbeArg { n: n - 1, bits: if compat { 32 } else { 64 }, signed: false }
        } else {
            let known = call.map_or(String::new(), |c| {
                c.args.iter().map(|a| format!(" ${}", a.name)).collect::<String>()
            });
            return Err(self
                .error(
                    "unknown-parameter",
                    format!("unable to find '{name}' of {} (alternatives:{known} $arg1 … $arg6)", place.name),
                )
                .token(format!("identifier '{name}'")));
        };
        let value = long(kind, var.span);
        if let Some(PathStep::Field(field)) = var.path.first() {
            return Err(self
                .error(
                    "not-a-struct",
                    format!(
                        "invalid access '->{}': arguments of system calls are numbers here; use @cast",
                        field.name
                    ),
                )
                .at(field.span));
        }
        if !var.path.is_empty() {
            return Err(self.error("not-an-array", "arguments of system calls are numbers here; use @cast"));
        }
        Ok(value)
    }

    pub(super) fn finish(
        &self,
        here: Value,
        var: &TargetVar,
        indexes: &[Expr],
        access: Access,
    ) -> Result<Expr, Diagnostic> {
        let here = here.follow(&var.path, indexes)?;
        match access {
            Access::AddressOf => here.address(),
            Access::TypeOf { address: true } => Ok(text_constant(&format!("{}*", here.name()), var.span)),
            Access::TypeOf { address: false } => Ok(text_constant(&here.name_of_pointer()?, var.span)),
            Access::Write(value) => here.write(*value),
            Access::Read if var.pretty > 0 => pretty::one(&here, var.pretty),
            Access::Read => here.read(),
        }
    }

    pub(super) fn list_variables(&self, at: &TargetPlace) -> Vec<ListedVariable> {
        let Some(found) = self.found(at) else { return Vec::new() };
        let typed = |btf: &Btf, sig: &Signature| -> Vec<ListedVariable> {
            sig.params
                .iter()
                .filter(|p| !p.name.is_empty())
                .map(|p| ListedVariable { name: format!("${}", p.name), ty: ctype::type_name(btf, p.ty) })
                .collect()
        };
        match &*found {
            Found::Tracepoint { name, btf } => {
                tracepoints::arguments(btf, name).ok().flatten().map_or(Vec::new(), |s| typed(btf, &s))
            }
            Found::Debug(p) => self.debug_variables(p),
            Found::Function { symbol, btf: Some(btf), returns, .. } => {
                let sigs = btf.functions(symbol).unwrap_or_default();
                let Some(sig) = sigs.first() else { return Vec::new() };
                let mut out = Vec::new();
                if *returns && !is_void(&**btf, sig.ret) {
                    out.push(ListedVariable {
                        name: "$return".into(),
                        ty: ctype::type_name(&**btf, sig.ret),
                    });
                }
                out.extend(typed(btf, sig));
                out
            }
            Found::Syscall { call: Some(call), returns, .. } => {
                let ret = returns.then(|| ListedVariable { name: "$return".into(), ty: "long int".into() });
                let args = call
                    .args
                    .iter()
                    .map(|a| ListedVariable { name: format!("${}", a.name), ty: a.kind.c_type().into() });
                ret.into_iter().chain(args).collect()
            }
            Found::Function { .. } | Found::Syscall { .. } | Found::Opaque => Vec::new(),
        }
    }
}

/// The answer to [`Access::TypeOf`], and other text that is known now.
pub(super) fn text_constant(name: &str, span: Span) -> Expr {
    Expr { kind: ExprKind::String(name.into()), ty: Ty::Str, span }
}

fn base_name(var: &TargetVar) -> &str {
    match &var.base {
        TargetBase::Name(n) => n,
        TargetBase::Var { name, .. } => name,
        TargetBase::Cast { ty, .. } => ty,
        TargetBase::Auto(_) => "",
    }
}

fn syscall_arg(n: usize, kind: ArgKind, compat: bool, span: Span) -> Expr {
    let (bits, signed) = kind.bits(compat);
    long(ExprKind::ProbeArg { n: n as u8, bits, signed }, span)
}

/// The registers of a call's arguments, by their DWARF numbers (syscall(2)).
fn syscall_registers(compat: bool) -> [u8; 6] {
    match compat {
        false => [5, 4, 1, 10, 8, 9],
        true => [3, 2, 1, 4, 5, 6],
    }
}

/// How much of a register holds a value of the type.
fn register_bits(src: &dyn TypeSource, ty: TypeRef) -> (u8, bool) {
    match ctype::scalar(src, ty) {
        Ok(Some(Scalar::Int { size, signed })) => (size.saturating_mul(8), signed),
        _ => (64, false),
    }
}

fn is_record(src: &dyn TypeSource, ty: TypeRef) -> bool {
    matches!(ctype::strip(src, ty), Ok((_, CType::Record { .. })))
}

fn is_void(src: &dyn TypeSource, ty: TypeRef) -> bool {
    matches!(ctype::strip(src, ty), Ok((_, CType::Void)))
}
