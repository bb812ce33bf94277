//! Target variables as expressions, over a kernel made of a hand-built BTF.

use super::params::{locate, Location};
use super::{long, pretty, walk, KernelTarget};
use crate::diag::{Diagnostic, FileId, Span};
use crate::resolve::target_api::{
    Access, Callees, PlaceContext, Query, Spec, TargetPlace, TargetVars, Variant,
};
use crate::syntax::ast::{self, Ident, PathStep, TargetBase, TargetVar};
use crate::target::btf::build::Builder;
use crate::target::btf::Btf;
use crate::target::ctype::{self, RecordKind, TypeSource};
use crate::target::kernel::Kernel;
use crate::types::hir::{Expr, ExprKind, Piece, Place, Space, Ty};

const SPAN: Span = Span { file: FileId(0), lo: 0, hi: 1 };

/// struct dentry { int flags; char name[8]; unsigned mode:3, type:5; };
/// struct file { long pos; struct dentry *dentry; struct dentry inner; int nums[4]; };
/// struct two { void *p; char is_kernel; }; struct big { long a[4]; };
/// long vfs_read(struct file *file, char *buf, size_t count, int *pos);
/// void many(int a, int b, int c, int d, int e, int f, int g, struct big h, int i);
/// int setopt(struct two opt, unsigned char level);
pub(super) fn kernel() -> KernelTarget {
    let mut b = Builder::new();
    let int = b.int("int", 4, 1);
    let uint = b.int("unsigned int", 4, 0);
    let long = b.int("long int", 8, 1);
    let ulong = b.int("long unsigned int", 8, 0);
    let ch = b.int("char", 1, 1);
    let uch = b.int("unsigned char", 1, 0);
    let name = b.array(ch, 8);
    let dentry = b.structure(
        "dentry",
        16,
        &[("flags", int, 0, 0), ("name", name, 32, 0), ("mode", uint, 96, 3), ("type", uint, 99, 5)],
    );
    let dentry_p = b.ptr(dentry);
    let nums = b.array(int, 4);
    let file = b.structure(
        "file",
        48,
        &[
            ("pos", long, 0, 0),
            ("dentry", dentry_p, 64, 0),
            ("inner", dentry, 128, 0),
            ("nums", nums, 256, 0),
        ],
    );
    let file_p = b.ptr(file);
    b.ptr(file_p);
    let char_p = b.ptr(ch);
    let int_p = b.ptr(int);
    let void_p = b.ptr(0);
    let size_t = b.typedef("size_t", ulong);
    let two = b.structure("two", 16, &[("p", void_p, 0, 0), ("is_kernel", ch, 64, 0)]);
    let longs = b.array(long, 4);
    let big = b.structure("big", 32, &[("a", longs, 0, 0)]);
    b.func("vfs_read", long, &[("file", file_p), ("buf", char_p), ("count", size_t), ("pos", int_p)]);
    let ints = ["a", "b", "c", "d", "e", "f", "g"].map(|n| (n, int));
    let mut many = ints.to_vec();
    many.extend([("h", big), ("i", int)]);
    b.func("many", 0, &many);
    b.func("setopt", int, &[("opt", two), ("level", uch)]);
    b.func("__traceiter_sched_tick", int, &[("__data", void_p), ("cpu", int), ("file", file_p)]);
    b.enumeration("colours", &[("RED", 3), ("BLUE", 5)]);
    let btf = Btf::from_bytes(b.bytes(), None).expect("blob");
    KernelTarget::of(Kernel::of_types(btf), &Default::default(), &Default::default())
}

fn function(k: &KernelTarget, name: &str, variant: Variant) -> TargetPlace {
    let q = Query::Function { module: None, spec: Spec::Pattern(name.into()), variant };
    let mut found = k.places(&q).expect("place");
    assert_eq!(found.len(), 1, "{name}");
    found.remove(0)
}

/// `$file->dentry->flags`, `$file->nums[2]`, `$$parms`, `$file$`
fn parse(text: &str) -> (TargetVar, Vec<Expr>) {
    let body = text.trim_end_matches('$');
    let pretty = (text.len() - body.len()) as u8;
    let mut parts = body.split("->");
    let first = parts.next().expect("base");
    let (mut path, mut operands) = (Vec::new(), Vec::new());
    let mut indexes = |s: &str, path: &mut Vec<PathStep>| {
        for i in s.split('[').skip(1) {
            let text = i.trim_end_matches(']');
            let (kind, ast_kind) = match text.parse() {
                Ok(n) => (ExprKind::Number(n), ast::ExprKind::Number(n)),
                Err(_) => (ExprKind::Local(crate::types::hir::LocalId(0)), ast::ExprKind::Name(text.into())),
            };
            operands.push(Expr { kind, ty: Ty::Long, span: SPAN });
            path.push(PathStep::Element(ast::Expr { kind: ast_kind, span: SPAN }));
        }
    };
    let base = first.split('[').next().expect("name").to_owned();
    indexes(first, &mut path);
    for p in parts {
        let name = p.split('[').next().expect("name").to_owned();
        path.push(PathStep::Field(Ident { name, span: SPAN }));
        indexes(p, &mut path);
    }
    (TargetVar { base: TargetBase::Name(base), path, pretty, span: SPAN }, operands)
}

fn get(k: &KernelTarget, at: &TargetPlace, text: &str, access: Access) -> Result<Expr, Diagnostic> {
    let (var, operands) = parse(text);
    k.variable(PlaceContext { at: Some(at), guru: false }, &var, &operands, access)
}

/// The expression in a short notation.
fn show(e: &Expr) -> String {
    match &e.kind {
        ExprKind::Number(n) => n.to_string(),
        ExprKind::Local(_) => "i".into(),
        ExprKind::String(s) => format!("{:?}", s.to_string_lossy()),
        ExprKind::ProbeArg { n, bits, signed } => format!("arg{n}:{}{bits}", if *signed { "s" } else { "u" }),
        ExprKind::ReturnValue { bits, signed } => format!("ret:{}{bits}", if *signed { "s" } else { "u" }),
        ExprKind::Register { n } => format!("reg{n}"),
        ExprKind::EntryRegister { n } => format!("entry-reg{n}"),
        ExprKind::Load { addr, offset, size, signed, space } => {
            assert_eq!(*space, Space::Kernel);
            format!("{}{}[{}+{offset}]", if *signed { "s" } else { "u" }, size * 8, show(addr))
        }
        ExprKind::BitField { value, shift, bits, signed } => {
            format!("{}bits({},{shift},{bits})", if *signed { "s" } else { "u" }, show(value))
        }
        ExprKind::Binary { op, lhs, rhs } => format!("({} {op:?} {})", show(lhs), show(rhs)),
        ExprKind::Helper { helper, args } => {
            format!("{helper:?}({})", args.iter().map(show).collect::<Vec<_>>().join(","))
        }
        ExprKind::Store { addr, offset, size, value, .. } => {
            format!("[{}+{offset}]{} = {}", show(addr), size * 8, show(value))
        }
        ExprKind::Rescue { text, instead } => format!("{} or {instead}", show(text)),
        ExprKind::Ternary { cond, then, els } => {
            format!("{} ? {} : {}", show(cond), show(then), show(els))
        }
        ExprKind::Print(p) => {
            assert!(p.to_string);
            let mut args = p.args.iter();
            p.pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(t) => t.to_string_lossy(),
                    Piece::Conv { letter, .. } => {
                        format!("%{letter}<{}>", show(args.next().expect("argument")))
                    }
                })
                .collect()
        }
        other => panic!("unexpected {other:?}"),
    }
}

fn read(k: &KernelTarget, at: &TargetPlace, text: &str) -> String {
    show(&get(k, at, text, Access::Read).unwrap_or_else(|d| panic!("{text}: {}", d.message)))
}

fn refused(k: &KernelTarget, at: &TargetPlace, text: &str) -> Diagnostic {
    get(k, at, text, Access::Read).err().unwrap_or_else(|| panic!("{text} should be refused"))
}

#[test]
fn parameters_are_argument_registers_of_the_width_of_their_type() {
    let k = kernel();
    let at = function(&k, "vfs_read", Variant::Call);
    assert_eq!(at.pp, "kernel.function(\"vfs_read\").call");
    assert_eq!(read(&k, &at, "$file"), "arg0:u64");
    assert_eq!(read(&k, &at, "$count"), "arg2:u64");
    let at = function(&k, "many", Variant::Plain);
    assert_eq!(read(&k, &at, "$f"), "arg5:s32");
}

#[test]
fn parameters_past_the_registers_are_on_the_stack() {
    let k = kernel();
    let at = function(&k, "many", Variant::Call);
    assert_eq!(read(&k, &at, "$g"), "s32[reg7+8]");
    assert_eq!(read(&k, &at, "$h->a[1]"), "s64[reg7+24]");
    assert_eq!(read(&k, &at, "$i"), "s32[reg7+48]");
}

#[test]
fn small_structures_are_in_registers() {
    let k = kernel();
    let at = function(&k, "setopt", Variant::Call);
    assert_eq!(read(&k, &at, "$opt->p"), "arg0:u64");
    assert_eq!(read(&k, &at, "$opt->is_kernel"), "sbits(arg1:u64,0,8)");
    assert_eq!(read(&k, &at, "$level"), "arg2:u8");
}

#[test]
fn members_add_offsets_and_pointers_load() {
    let k = kernel();
    let at = function(&k, "vfs_read", Variant::Call);
    assert_eq!(read(&k, &at, "$file->pos"), "s64[arg0:u64+0]");
    assert_eq!(read(&k, &at, "$file->dentry->flags"), "s32[u64[arg0:u64+8]+0]");
    assert_eq!(read(&k, &at, "$file->inner->flags"), "s32[arg0:u64+16]");
    assert_eq!(read(&k, &at, "$file->nums[2]"), "s32[arg0:u64+40]");
    assert_eq!(read(&k, &at, "$file->nums[x]"), "s32[(arg0:u64 Add (i Mul 4))+32]");
    assert_eq!(read(&k, &at, "$pos[0]"), "s32[arg3:u64+0]");
    assert_eq!(read(&k, &at, "$file->dentry->type"), "ubits(u8[u64[arg0:u64+8]+12],3,5)");
}

#[test]
fn bit_fields_and_registers_are_written_with_the_rest_as_it_was() {
    let k = kernel();
    let write = |at: &TargetPlace, text: &str| {
        let (var, operands) = parse(text);
        let value = Box::new(Expr { kind: ExprKind::Number(6), ty: Ty::Long, span: SPAN });
        let context = PlaceContext { at: Some(at), guru: true };
        k.variable(context, &var, &operands, Access::Write(value))
    };
    let at = function(&k, "vfs_read", Variant::Call);
    // bits 3 to 7 of the byte: 0xf8
    assert_eq!(
        show(&write(&at, "$file->inner->type").expect("a bit field")),
        "[arg0:u64+28]8 = ((u8[arg0:u64+28] BitAnd -249) BitOr ((6 Shl 3) BitAnd 248))"
    );
    // rsi
    assert_eq!(show(&write(&at, "$buf").expect("a register")), "SetRegister(4,6)");
    let at = function(&k, "setopt", Variant::Call);
    assert_eq!(show(&write(&at, "$level").expect("a register")), "SetRegister(1,ubits(6,0,8))");
    assert_eq!(
        show(&write(&at, "$opt->is_kernel").expect("a part of a register")),
        "SetRegister(4,((arg1:u64 BitAnd -256) BitOr ((6 Shl 0) BitAnd 255)))"
    );
    let at = function(&k, "vfs_read", Variant::Return { maxactive: None });
    assert_eq!(show(&write(&at, "$return").expect("the result")), "SetRegister(0,6)");
    assert_eq!(write(&at, "$count").expect_err("too late").code, "write-at-return");
}

#[test]
fn an_array_is_its_address() {
    let k = kernel();
    let at = function(&k, "vfs_read", Variant::Call);
    assert_eq!(read(&k, &at, "$file->inner->name"), "(arg0:u64 Add 20)");
}

#[test]
fn the_address_of_a_member_is_not_loaded() {
    let k = kernel();
    let at = function(&k, "vfs_read", Variant::Call);
    let addr = |t: &str| get(&k, &at, t, Access::AddressOf).map(|e| show(&e));
    assert_eq!(addr("$file->inner->flags").expect("address"), "(arg0:u64 Add 16)");
    assert_eq!(addr("$file->pos").expect("address"), "arg0:u64");
    assert!(addr("$file").is_err());
    assert!(addr("$file->dentry->mode").is_err(), "a bit field has none");
}

#[test]
fn return_probes_have_the_result_and_the_arguments_of_the_entry() {
    let k = kernel();
    let at = function(&k, "vfs_read", Variant::Return { maxactive: None });
    assert!(matches!(&at.place, Place::Return { symbol, .. } if symbol == "vfs_read"));
    assert_eq!(read(&k, &at, "$return"), "ret:s64");
    assert_eq!(read(&k, &at, "$count"), "arg2:u64");
    assert_eq!(read(&k, &at, "$$return"), "return=%x<ret:s64>");
    let entry = at.entry.as_ref().expect("entry");
    assert_eq!(read(&k, entry, "$count"), "arg2:u64");
    assert!(refused(&k, entry, "$return").message.contains("return probes"));
    let void = function(&k, "many", Variant::Return { maxactive: None });
    assert!(refused(&k, &void, "$return").message.contains("no return value"));
}

#[test]
fn what_is_not_there_is_answered_with_what_is() {
    let k = kernel();
    let at = function(&k, "vfs_read", Variant::Call);
    let d = refused(&k, &at, "$fil");
    assert!(d.message.contains("$file $buf $count $pos"), "{}", d.message);
    assert!(d.help.expect("remedy").contains("-dbg"));
    let d = refused(&k, &at, "$file->dentri");
    assert!(d.message.contains("'dentri' for struct file (alternatives: dentry)"), "{}", d.message);
    let d = refused(&k, &at, "$file->zzzzz");
    assert!(d.message.contains("pos dentry inner nums"), "{}", d.message);
    assert!(refused(&k, &at, "$count->x").message.contains("size_t"));
    assert!(refused(&k, &at, "$count[1]").message.contains("size_t"));
    assert!(refused(&k, &at, "$file->inner").message.contains("struct dentry"));
    let none =
        Query::Function { module: None, spec: Spec::Pattern("vfs_reed".into()), variant: Variant::Call };
    assert!(k.places(&none).expect("no error").is_empty());
    assert_eq!(k.similar(&none), ["vfs_read"]);
}

#[test]
fn tracepoints_have_typed_arguments() {
    let k = kernel();
    let q = Query::Tracepoint { pattern: "sched_*".into() };
    let found = k.places(&q).expect("places");
    assert_eq!(found[0].place, Place::Tracepoint { name: "sched_tick".into(), args: 2 });
    assert_eq!(read(&k, &found[0], "$cpu"), "arg0:s32");
    assert_eq!(read(&k, &found[0], "$file->dentry"), "u64[arg1:u64+8]");
    assert_eq!(read(&k, &found[0], "$$name"), "\"sched_tick\"");
    let trouble = refused(&k, &found[0], "$$system");
    assert!(
        trouble.message.contains("the system of the tracepoint sched_tick is not known"),
        "{}",
        trouble.message
    );
    let listed: Vec<_> = k.variables(&found[0]).into_iter().map(|v| format!("{}:{}", v.name, v.ty)).collect();
    assert_eq!(listed, ["$cpu:int", "$file:struct file*"]);
    let with_system = Query::Tracepoint { pattern: "sched:sched_tick".into() };
    let found = k.places(&with_system).expect("places");
    assert_eq!(
        found.iter().map(|t| t.pp.as_str()).collect::<Vec<_>>(),
        ["kernel.trace(\"sched:sched_tick\")"]
    );
}

#[test]
fn system_calls_have_the_arguments_of_the_table() {
    let k = kernel();
    let q = Query::Syscall { name: "read".into(), compat: false, ret: false };
    let found = k.places(&q).expect("places");
    assert_eq!(found[0].place, Place::SyscallEnter { nr: Some(0), compat: false });
    assert_eq!(read(&k, &found[0], "$fd"), "arg0:u32");
    assert_eq!(read(&k, &found[0], "$arg3"), "arg2:u64");
    assert!(refused(&k, &found[0], "$nope").message.contains("$fd $buf $count"));
    let q = Query::Syscall { name: "read".into(), compat: true, ret: true };
    let found = k.places(&q).expect("places");
    assert_eq!(found[0].place, Place::SyscallExit { nr: Some(3), compat: true });
    assert_eq!(read(&k, &found[0], "$return"), "ret:s32");
    assert_eq!(read(&k, &found[0], "$buf"), "arg1:u32");
    let entry = found[0].entry.as_ref().expect("a return has its entry");
    assert_eq!(entry.place, Place::SyscallEnter { nr: Some(3), compat: true });
    let all = Query::Syscall { name: "*".into(), compat: false, ret: false };
    assert_eq!(k.places(&all).expect("places")[0].place, Place::SyscallEnter { nr: None, compat: false });
    let none = Query::Syscall { name: "raed".into(), compat: false, ret: false };
    assert!(k.places(&none).expect("no error").is_empty());
    assert!(k.similar(&none).contains(&"read".to_owned()));
}

#[test]
fn arguments_of_system_calls_are_written_at_the_call_only() {
    let k = kernel();
    let write = |compat: bool, ret: bool, text: &str| {
        let found = k.places(&Query::Syscall { name: "pread64".into(), compat, ret }).expect("places");
        let (var, operands) = parse(text);
        let seven = Expr { kind: ExprKind::Number(7), ty: Ty::Long, span: SPAN };
        let context = PlaceContext { at: Some(&found[0]), guru: true };
        let written = k.variable(context, &var, &operands, Access::Write(Box::new(seven)));
        written.map(|e| show(&e)).map_err(|d| d.code)
    };
    // rdi and r10; ebx and esi of 32-bit tasks
    assert_eq!(write(false, false, "$fd"), Ok("SetRegister(5,7)".into()));
    assert_eq!(write(false, false, "$pos"), Ok("SetRegister(10,7)".into()));
    assert_eq!(write(true, false, "$fd"), Ok("SetRegister(3,7)".into()));
    assert_eq!(write(true, false, "$arg4"), Ok("SetRegister(4,7)".into()));
    assert_eq!(write(false, false, "$nope"), Err("unknown-parameter"));
    assert_eq!(write(false, false, "$fd->x"), Err("write-register"));
    assert_eq!(write(false, true, "$fd"), Err("write-at-return"));
}

#[test]
fn casts_read_what_a_number_points_to() {
    let k = kernel();
    let value = Expr { kind: ExprKind::Local(crate::types::hir::LocalId(0)), ty: Ty::Long, span: SPAN };
    let cast = |ty: &str, path: &str| {
        let (v, idx) = parse(&format!("$x{path}"));
        let script = ast::Expr { kind: ast::ExprKind::Number(0), span: SPAN };
        let base = TargetBase::Cast { value: Box::new(script), ty: ty.into(), module: Some("kernel".into()) };
        let mut operands = vec![value.clone()];
        operands.extend(idx);
        let var = TargetVar { base, ..v };
        k.variable(PlaceContext { at: None, guru: false }, &var, &operands, Access::Read)
            .map(|e| show(&e))
            .map_err(|d| d.message)
    };
    assert_eq!(cast("struct file", "->pos").expect("read"), "s64[i+0]");
    assert_eq!(cast("struct file *", "->dentry->flags").expect("read"), "s32[u64[i+8]+0]");
    assert_eq!(cast("struct file", "").expect("read"), "i");
    assert_eq!(cast("unsigned char", "").expect("read"), "ubits(i,0,8)");
    assert_eq!(cast("int *", "[3]").expect("read"), "s32[i+12]");
    assert!(cast("struct file **", "[0]->pos").is_ok(), "a pointer to a pointer is one more load");
    assert!(cast("struct nothing", "->x").expect_err("unknown").contains("struct nothing"));
}

#[test]
fn writes_need_guru_mode() {
    let k = kernel();
    let at = function(&k, "vfs_read", Variant::Call);
    let write = |text: &str, guru: bool| {
        let (var, operands) = parse(text);
        let seven = Expr { kind: ExprKind::Number(7), ty: Ty::Long, span: SPAN };
        k.variable(PlaceContext { at: Some(&at), guru }, &var, &operands, Access::Write(Box::new(seven)))
            .map(|e| show(&e))
            .map_err(|d| d.code)
    };
    assert_eq!(write("$file->dentry->flags", true), Ok("[u64[arg0:u64+8]+0]32 = 7".into()));
    assert_eq!(write("$file->dentry->flags", false), Err("write-needs-guru"));
    assert_eq!(write("$count", true), Ok("SetRegister(1,7)".into()));
    assert_eq!(write("$count", false), Err("write-needs-guru"));
}

#[test]
fn all_parameters_as_text() {
    let k = kernel();
    let at = function(&k, "vfs_read", Variant::Call);
    assert_eq!(
        read(&k, &at, "$$parms"),
        "file=%x<arg0:u64> buf=%x<arg1:u64> count=%x<arg2:u64> pos=%x<arg3:u64>"
    );
    assert_eq!(read(&k, &at, "$$vars"), read(&k, &at, "$$parms"));
}

#[test]
fn structures_as_text_one_level_or_two() {
    let k = kernel();
    let at = function(&k, "vfs_read", Variant::Call);
    assert_eq!(
        read(&k, &at, "$file$"),
        "{.pos=%d<s64[arg0:u64+0]>, .dentry=%p<u64[arg0:u64+8]>, .inner={...}, .nums=[...]} or ERROR"
    );
    let nums = "[%d<s32[arg0:u64+32]>, ...]";
    assert_eq!(read(&k, &at, "$file->nums$"), format!("{nums} or ERROR"));
    let inner = "{.flags=%d<s32[arg0:u64+16]>, .name=%s<KstrQuoted((arg0:u64 Add 20),8,8)>, \
                 .mode=%u<ubits(u8[arg0:u64+28],0,3)>, .type=%u<ubits(u8[arg0:u64+28],3,5)>}";
    assert_eq!(
        read(&k, &at, "$file$$"),
        format!("{{.pos=%d<s64[arg0:u64+0]>, .dentry=%p<u64[arg0:u64+8]>, .inner={inner}, .nums={nums}}} or ERROR")
    );
    let either = "(arg1:u64 Lt 0) ? KstrQuoted(arg1:u64,64,64) : UstrQuoted(arg1:u64,64,64)";
    assert_eq!(read(&k, &at, "$buf$"), format!("%s<{either}>"));
    // what is in a register only can always be had
    assert_eq!(read(&k, &at, "$count$"), "%u<arg2:u64>");
    assert_eq!(
        read(&k, &at, "$$parms$"),
        format!(
            "file=%s<{} or ERROR> buf=%s<{either}> count=%u<arg2:u64> pos=%p<arg3:u64>",
            read(&k, &at, "$file$").trim_end_matches(" or ERROR")
        )
    );
}

#[test]
fn of_a_structure_in_parts_those_with_a_value_are_read() {
    let k = kernel();
    let btf = k.btf().expect("types");
    let ty = btf.record(RecordKind::Struct, "file").expect("known");
    let word = |n| Some(long(ExprKind::Number(n), SPAN));
    let words = vec![word(7), None, word(8), word(9), word(10), word(11)];
    let at = walk::At::Words { words, bit: 0 };
    let value = walk::Value { src: &*btf, at, ty, space: Space::Kernel, span: SPAN };
    let member = |name: &str| {
        let path = [PathStep::Field(Ident { name: name.into(), span: SPAN })];
        value.clone().follow(&path, &[]).and_then(|v| v.read())
    };
    assert_eq!(show(&member("pos").expect("kept")), "7");
    assert_eq!(member("dentry").expect_err("gone").code, "optimised-out");
    let text = pretty::one(&value, 1).expect("text");
    assert_eq!(show(&text), "{.pos=%d<7>, .dentry=?, .inner={...}, .nums=[...]}");
}

#[test]
fn what_btf_cannot_tell_names_the_package_that_can() {
    let k = kernel();
    for (variant, pattern) in [
        (Variant::Inline, "vfs_read"),
        (Variant::Label("out".into()), "vfs_read"),
        (Variant::Callee { pattern: "*".into(), depth: None, which: Callees::All }, "vfs_read"),
        (Variant::Call, "vfs_read@fs/read_write.c:450"),
        (Variant::Call, "*@fs/read_write.c"),
    ] {
        let q = Query::Function { module: None, spec: Spec::Pattern(pattern.into()), variant };
        let d = k.places(&q).expect_err(pattern);
        assert!(d.help.expect("remedy").contains("linux-image-0.0-test-dbg"));
    }
    let q = Query::Function {
        module: None,
        spec: Spec::Pattern("vfs_read@fs/read_write.c".into()),
        variant: Variant::Call,
    };
    assert_eq!(k.places(&q).expect("one function needs no file").len(), 1);
}

#[test]
fn a_file_that_btf_cannot_check_is_told_with_the_package_that_can() {
    let k = kernel();
    let unchecked = |pattern: &str| {
        let spec = Spec::Pattern(pattern.into());
        k.unchecked(&Query::Function { module: None, spec, variant: Variant::Call })
    };
    let told = unchecked("vfs_read@nosuch.c").expect("told");
    assert!(told.contains("vfs_read@nosuch.c") && told.contains("linux-image-0.0-test-dbg"), "{told}");
    assert!(unchecked("vfs_read@fs/read_*.c").is_some());
    assert_eq!(unchecked("vfs_read@*"), None);
    assert_eq!(unchecked("vfs_read"), None);
}

#[test]
fn constants_are_enumerators() {
    let k = kernel();
    assert_eq!(k.constant("BLUE"), Some(5));
    assert_eq!(k.constant("GREEN"), None);
}

#[test]
fn a_hidden_first_argument_takes_a_register() {
    let mut b = Builder::new();
    let long = b.int("long int", 8, 1);
    let big = b.structure("big", 24, &[("a", long, 0, 0)]);
    b.func("f", big, &[("x", long)]);
    let btf = Btf::from_bytes(b.bytes(), None).expect("blob");
    let sigs = btf.functions("f").expect("sound");
    assert_eq!(locate(&btf, &sigs[0]), Ok(vec![Location::Registers { first: 1, count: 1 }]));
    assert_eq!(ctype::type_name(&btf, sigs[0].ret), "struct big");
}
