//! BTF: what is read, and what a damaged file gets.

use super::build::Builder;
use super::{kind, Btf, BtfError};
use crate::target::ctype::{self, CType, Scalar, TypeError, TypeRef, TypeSource};
use std::sync::Arc;

fn btf(b: &Builder) -> Btf {
    Btf::from_bytes(b.bytes(), None).expect("well-formed blob")
}

/// struct inner { int a; union { long b; char c[4]; }; unsigned f:3, g:5; struct inner *next; }
fn sample() -> Builder {
    let mut b = Builder::new();
    let int = b.int("int", 4, 1);
    let ulong = b.int("long unsigned int", 8, 0);
    let ch = b.int("char", 1, 1);
    let arr = b.array(ch, 4);
    let un = b.union("", 8, &[("b", ulong, 0, 0), ("c", arr, 0, 0)]);
    let uint = b.int("unsigned int", 4, 0);
    let me = b.type_count() + 1;
    let p = b.ptr(me);
    b.structure(
        "inner",
        32,
        &[("a", int, 0, 0), ("", un, 64, 0), ("f", uint, 128, 3), ("g", uint, 131, 5), ("next", p, 192, 0)],
    );
    let size_t = b.typedef("size_t", ulong);
    let c = b.link(kind::CONST, "", ch);
    let cp = b.ptr(c);
    b.func("do_thing", int, &[("in", p), ("text", cp), ("count", size_t)]);
    b
}

#[test]
fn a_function_has_its_parameters_and_its_result() {
    let b = btf(&sample());
    let sigs = b.functions("do_thing").expect("sound");
    let [sig] = sigs.as_slice() else { panic!("one prototype, not {sigs:?}") };
    let shown: Vec<String> =
        sig.params.iter().map(|p| format!("{}:{}", p.name, ctype::type_name(&b, p.ty))).collect();
    assert_eq!(shown, ["in:struct inner*", "text:char const*", "count:size_t"]);
    assert_eq!(ctype::type_name(&b, sig.ret), "int");
    assert!(b.functions("do_thin").expect("sound").is_empty());
    assert!(b.functions("").expect("sound").is_empty());
}

#[test]
fn members_are_found_through_anonymous_ones() {
    let b = btf(&sample());
    let inner = b.record(ctype::RecordKind::Struct, "inner").expect("struct");
    let field = |n: &str| ctype::find_field(&b, inner, n).expect("sound");
    assert_eq!(field("a").map(|f| f.offset()), Some(0));
    assert_eq!(field("b").map(|f| f.offset()), Some(8));
    assert_eq!(field("c").map(|f| ctype::type_name(&b, f.ty)), Some("char[]".into()));
    assert_eq!(field("g").map(|f| (f.bit_offset, f.bit_size)), Some((131, 5)));
    assert_eq!(field("next").map(|f| f.offset()), Some(24));
    assert_eq!(field("nope"), None);
    assert_eq!(field(""), None);
    assert_eq!(ctype::field_names(&b, inner).expect("sound"), ["a", "b", "c", "f", "g", "next"]);
}

#[test]
fn sizes_and_scalars_look_through_typedefs() {
    let b = btf(&sample());
    let size_t = b.typedef("size_t").expect("typedef");
    assert_eq!(ctype::size_of(&b, size_t), Ok(8));
    assert_eq!(ctype::scalar(&b, size_t), Ok(Some(Scalar::Int { size: 8, signed: false })));
    let inner = b.record(ctype::RecordKind::Struct, "inner").expect("struct");
    assert_eq!(ctype::size_of(&b, inner), Ok(32));
    assert_eq!(ctype::scalar(&b, inner), Ok(None));
    let c = ctype::find_field(&b, inner, "c").expect("sound").expect("field");
    assert_eq!(ctype::size_of(&b, c.ty), Ok(4));
}

#[test]
fn types_are_found_as_a_cast_writes_them() {
    let b = btf(&sample());
    let name = |t: &str| ctype::parse_type_name(&b, t).map(|(ty, n)| (ctype::type_name(&b, ty), n));
    assert_eq!(name("struct inner"), Some(("struct inner".into(), 0)));
    assert_eq!(name("struct inner *"), Some(("struct inner".into(), 1)));
    assert_eq!(name("inner"), Some(("struct inner".into(), 0)));
    assert_eq!(name("size_t"), Some(("size_t".into(), 0)));
    assert_eq!(name("unsigned long"), Some(("long unsigned int".into(), 0)));
    assert_eq!(name("unsigned int*"), Some(("unsigned int".into(), 1)));
    assert_eq!(name("struct nothing"), None);
    assert_eq!(name(""), None);
}

#[test]
fn enumerations_give_their_names() {
    let mut b = Builder::new();
    let e = b.enumeration("mood", &[("GOOD", 1), ("BAD", -1)]);
    let b = btf(&b);
    assert_eq!(b.enumerators(TypeRef(e.into())).expect("sound"), [("GOOD", 1), ("BAD", -1)]);
    assert!(matches!(b.get(TypeRef(e.into())), Ok(CType::Enum { signed: true, size: 4, .. })));
}

#[test]
fn module_btf_goes_on_where_the_kernels_ends() {
    let base = sample();
    let inner = 8; // number of `struct inner` in the sample
    let mut split = Builder::split(base.type_count(), base.string_bytes());
    let p = split.ptr(inner);
    split.func("mod_init", 1, &[("x", p)]);
    let base = Arc::new(btf(&base));
    let m = Btf::from_bytes(split.bytes(), Some(base)).expect("split");
    let sigs = m.functions("mod_init").expect("sound");
    assert_eq!(ctype::type_name(&m, sigs[0].params[0].ty), "struct inner*");
    assert_eq!(m.functions("do_thing").expect("sound").len(), 1, "of the base");
    assert_eq!(m.function_names().collect::<Vec<_>>(), ["mod_init"]);
    assert!(Btf::from_bytes(split.bytes(), None).is_err(), "useless without its base");
}

#[test]
fn many_searches_find_what_few_find() {
    let kernel = sample();
    let base = Arc::new(btf(&kernel));
    let mut split = Builder::split(kernel.type_count(), kernel.string_bytes());
    split.func("mod_init", 1, &[]);
    let m = Btf::from_bytes(split.bytes(), Some(base)).expect("split");
    let look = |name: &str| (m.find_all(name, kind::FUNC), m.find_all(name, kind::INT));
    let names = ["do_thing", "mod_init", "int", "do_thin", "o_thing", "", "inner"];
    let few: Vec<_> = names.iter().map(|n| look(n)).collect();
    for _ in 0..100 {
        assert_eq!(names.iter().map(|n| look(n)).collect::<Vec<_>>(), few);
    }
    assert!(!few[0].0.is_empty() && !few[1].0.is_empty() && !few[2].1.is_empty());
    assert!(few[3].0.is_empty() && few[4].0.is_empty());
}

#[test]
fn functions_of_one_name_with_different_prototypes_are_told_apart() {
    let mut b = Builder::new();
    let int = b.int("int", 4, 1);
    b.func("f", int, &[("a", int)]);
    b.func("f", int, &[("a", int)]);
    b.func("f", 0, &[("b", int)]);
    assert_eq!(btf(&b).functions("f").expect("sound").len(), 2);
}

#[test]
fn typedefs_in_a_circle_are_an_error() {
    let mut b = Builder::new();
    b.typedef("a", 2);
    b.typedef("b", 1);
    let st = b.structure("s", 4, &[("", 3, 0, 0)]);
    let b = btf(&b);
    assert!(matches!(ctype::size_of(&b, TypeRef(1)), Err(TypeError::Damaged(_))));
    let found = ctype::find_field(&b, TypeRef(st.into()), "x");
    assert!(matches!(found, Err(TypeError::Damaged(_))), "a struct inside itself: {found:?}");
}

#[test]
fn damaged_headers_are_refused() {
    let good = sample().bytes();
    assert!(matches!(Btf::from_bytes(vec![], None), Err(BtfError::Damaged(_))));
    assert!(matches!(Btf::from_bytes(b"\x7fELF".to_vec(), None), Err(BtfError::Damaged(_))));
    let mut b = good.clone();
    b.swap(0, 1);
    assert!(matches!(Btf::from_bytes(b, None), Err(BtfError::ByteOrder)));
    let mut b = good.clone();
    b[2] = 9;
    assert!(matches!(Btf::from_bytes(b, None), Err(BtfError::Version(9))));
    for cut in 0..good.len() {
        assert!(Btf::from_bytes(good[..cut].to_vec(), None).is_err(), "cut at {cut}");
    }
}

/// Whatever bit is wrong: an answer or an error, no panic and no endless walk.
#[test]
fn any_flipped_bit_gives_an_answer_or_an_error() {
    let good = sample().bytes();
    for at in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        let Ok(b) = Btf::from_bytes(bytes, None) else { continue };
        for id in 0..b.count() + 1 {
            let ty = TypeRef(id.into());
            let _ = (ctype::type_name(&b, ty), ctype::size_of(&b, ty), ctype::scalar(&b, ty));
            let _ = (ctype::find_field(&b, ty, "next"), ctype::field_names(&b, ty), b.enumerators(ty));
            let _ = b.signature(id);
        }
        let _ = b.functions("do_thing");
    }
}

/// Against a real kernel's BTF where there is one; the sample above is the floor.
#[test]
fn the_running_kernel_describes_vfs_read() {
    let path = std::env::var_os("STPVM_BTF").unwrap_or("/sys/kernel/btf/vmlinux".into());
    let Ok(b) = Btf::open(path.as_ref(), None) else { return };
    let sigs = b.functions("vfs_read").expect("sound");
    let shown: Vec<String> =
        sigs[0].params.iter().map(|p| format!("{}:{}", p.name, ctype::type_name(&b, p.ty))).collect();
    assert_eq!(shown, ["file:struct file*", "buf:char*", "count:size_t", "pos:loff_t*"]);
    let task = b.record(ctype::RecordKind::Struct, "task_struct").expect("task_struct");
    let comm = ctype::find_field(&b, task, "comm").expect("sound").expect("comm");
    assert_eq!(ctype::size_of(&b, comm.ty), Ok(16));
}
