//! What is read from real debuginfo: a small C file, compiled here by gcc in
//! each form that debuginfo comes in. Line numbers are found in the source's text.

use super::code::Instance;
use super::lines::Lines;
use super::location::{Formula, Location};
use super::scope::VariableKind;
use super::statements::Statement;
use super::types::Types;
use super::{Debuginfo, Die};
use crate::cache::Cache;
use crate::target::ctype::{self, CType, Field, RecordKind, TypeSource};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

const SOURCE: &str = include_str!("../../../tests/dwarf/sample.c");

/// The line (from 1) that holds the text.
fn line(text: &str) -> u64 {
    SOURCE.lines().position(|l| l.contains(text)).expect("in the source") as u64 + 1
}

/// A directory that goes with the test.
pub(crate) struct Dir(pub PathBuf);

impl Dir {
    pub fn new() -> Dir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("stpvm-dwarf-test-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("directory");
        Dir(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn compile(flags: &[&str]) -> (Dir, PathBuf) {
    compile_as("-c", flags)
}

fn compile_as(kind: &str, flags: &[&str]) -> (Dir, PathBuf) {
    let dir = Dir::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dwarf/sample.c");
    let out = Command::new("cc")
        .current_dir(&dir.0)
        .args([kind, "-o", "sample.o"])
        .args(flags)
        .arg(&source)
        .output()
        .expect("cc");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let object = dir.0.join("sample.o");
    (dir, object)
}

fn open(flags: &[&str]) -> (Dir, Rc<Debuginfo>) {
    let (dir, object) = compile(flags);
    let info = Debuginfo::open(&object, &Cache::default()).expect("debuginfo");
    (dir, Rc::new(info))
}

/// Every form that the sections come in.
const FORMS: [&[&str]; 9] = [
    &["-O2", "-gdwarf-4"],
    &["-O2", "-gdwarf-5"],
    &["-O2", "-gdwarf-5", "-gz"],
    &["-O2", "-gdwarf-5", "-gsplit-dwarf"],
    &["-O2", "-gdwarf-4", "-gsplit-dwarf"],
    &["-O2", "-gdwarf-5", "-gdwarf64"],
    &["-O2", "-gdwarf-4", "-fdebug-types-section"],
    &["-O2", "-gdwarf-4", "-fdebug-types-section", "-gz"],
    &["-O2", "-gdwarf-5", "-fdebug-types-section"],
];

fn one(info: &Debuginfo, name: &str) -> Instance {
    let found = info.instances(name).expect("sound");
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found[0].clone()
}

/// The statements of one function's lines.
fn statements(info: &Debuginfo, function: &Instance, lines: &Lines) -> Vec<Statement> {
    let found = info.statements(std::slice::from_ref(function), lines).expect("sound");
    found.into_iter().map(|(_, s)| s).collect()
}

fn types(info: &Rc<Debuginfo>, home: Die) -> Types {
    Types { info: info.clone(), home: Some(home), kernel: None }
}

#[test]
fn functions_are_found_by_name_pattern_and_address_in_every_form() {
    for flags in FORMS {
        let (_dir, info) = open(flags);
        let compute = one(&info, "compute");
        assert!(!compute.inlined && compute.file.ends_with("/sample.c"), "{flags:?}: {compute:?}");
        assert_eq!(compute.line, line("int compute("), "{flags:?}");
        let at = info.function_at(compute.pc + 1).expect("sound").expect("a function");
        assert_eq!(at.die, compute.die);
        let symbol = info.symbols().iter().find(|s| s.name == "compute").expect("symbol");
        assert_eq!(symbol.address, compute.pc, "{flags:?}");
        assert_eq!(info.anchor(compute.pc + 4), Some(("compute", 4)));
        let names: Vec<String> = info.instances("*").expect("sound").into_iter().map(|i| i.name).collect();
        for name in ["compute", "leaf", "twice"] {
            assert!(names.iter().any(|n| n == name), "{flags:?}: {names:?}");
        }
        assert!(info.instances("nothing").expect("sound").is_empty());
        let known = info.function_names();
        assert!(["compute", "leaf", "twice"].iter().all(|n| known.contains(n)), "{known:?}");
    }
}

#[test]
fn inlined_instances_have_a_place_in_their_caller_and_their_own_parameters() {
    for flags in FORMS {
        let (_dir, info) = open(flags);
        let twice = one(&info, "twice");
        assert!(twice.inlined, "{flags:?}");
        assert_eq!(twice.line, line("static inline int twice"));
        let compute = one(&info, "compute");
        assert_eq!(info.function_at(twice.pc).expect("sound").map(|f| f.die), Some(compute.die));
        let scope = info.scope(twice.die, twice.pc, false).expect("scope");
        let names: Vec<&str> = scope.variables.iter().map(|v| v.name.as_str()).collect();
        assert_eq!(names, ["n"], "{flags:?}");
        assert_eq!(scope.at.function, compute.die);
    }
}

#[test]
fn variables_of_a_function_are_its_parameters_and_the_blocks_around_the_address() {
    for flags in FORMS {
        let (_dir, info) = open(flags);
        let compute = one(&info, "compute");
        let scope = info.scope(compute.die, compute.pc, false).expect("scope");
        let shown: Vec<(&str, VariableKind)> =
            scope.variables.iter().map(|v| (v.name.as_str(), v.kind)).collect();
        use VariableKind::{Local, Parameter};
        let want =
            [("s", Parameter), ("big", Parameter), ("small", Parameter), ("total", Local), ("kept", Local)];
        assert_eq!(shown, want, "{flags:?}");
        let src = types(&info, compute.die);
        let names: Vec<String> = scope.variables.iter().map(|v| ctype::type_name(&src, v.ty)).collect();
        assert_eq!(names, ["struct sample*", "long int", "unsigned char", "int", "int volatile"]);
        assert_eq!(ctype::type_name(&src, scope.returns), "int");
        // the arguments are where the calling convention has them: rdi, rsi, rdx
        for (v, register) in scope.variables.iter().zip([5, 4, 1]) {
            let at = info.location(v.die, scope.at).expect("location");
            assert_eq!(at, Location::Value(Formula::Register(register)), "{flags:?} {}", v.name);
        }
        // a variable in memory is found from the stack pointer, whatever has been pushed
        let n = line("if (source())");
        let pc = statements(&info, &compute, &Lines::Absolute(vec![(n, n)]))[0].pc;
        let kept = &scope.variables[4];
        let scope = info.scope(compute.die, pc, false).expect("scope");
        match info.location(kept.die, scope.at).expect("location") {
            Location::Memory(f) => assert!(format!("{f:?}").contains("Register(7)"), "{f:?}"),
            other => panic!("{flags:?}: kept is at {other:?}"),
        }
    }
}

#[test]
fn inner_blocks_have_variables_only_where_they_are() {
    let (_dir, info) = open(&["-O0", "-gdwarf-5"]);
    let compute = one(&info, "compute");
    let at = |text: &str| {
        let n = line(text);
        statements(&info, &compute, &Lines::Absolute(vec![(n, n)]))[0].pc
    };
    let names = |pc: u64| -> Vec<String> {
        let scope = info.scope(compute.die, pc, true).expect("scope");
        scope.variables.into_iter().map(|v| v.name).collect()
    };
    assert!(names(at("total += within * 2")).contains(&"within".to_string()));
    assert!(!names(at("total += twice(small)")).contains(&"within".to_string()));
    // without optimisation the parameters are in memory behind the prologue only
    let body = info.body_pc(&compute).expect("lines");
    assert!(body > compute.pc);
    let (_dir, info) = open(&["-O2", "-gdwarf-5"]);
    let compute = one(&info, "compute");
    assert_eq!(info.body_pc(&compute).expect("lines"), compute.pc);
}

#[test]
fn a_line_of_inlined_code_is_one_of_all_functions_that_hold_it() {
    for flags in FORMS {
        let (_dir, info) = open(flags);
        let both = [one(&info, "compute"), one(&info, "twice")];
        let (compute, twice) = (&both[0], &both[1]);
        let inner = line("return n * 2 + source()");
        let asked = Lines::Absolute(vec![(inner, inner)]);
        let found = info.statements(&both, &asked).expect("sound");
        let pc = found[0].1.pc;
        let statement = || Statement { pc, line: inner };
        assert_eq!(found, [(0, statement()), (1, statement())], "{flags:?}");
        assert_eq!(info.line_of(pc).expect("sound").map(|l| l.1), Some(inner), "{flags:?}");
        // each of them by itself has the line as well
        assert_eq!(statements(&info, compute, &asked), [statement()], "{flags:?}");
        assert_eq!(statements(&info, twice, &asked), [statement()], "{flags:?}");
        // all lines of the outer one begin with its own; together with the inner one's, those are of both
        let own = statements(&info, compute, &Lines::All);
        assert!(own.iter().all(|s| s.line > compute.line), "{flags:?}: {own:?}");
        let all = info.statements(&both, &Lines::All).expect("sound");
        for (n, s) in &all {
            assert!(*n == 0 || all.contains(&(0, s.clone())), "{flags:?}: {s:?}");
        }
        // an address counts for one line
        let lines: std::collections::BTreeMap<u64, u64> = all.iter().map(|(_, s)| (s.pc, s.line)).collect();
        assert!(all.iter().all(|(_, s)| lines[&s.pc] == s.line), "{flags:?}: {all:?}");
    }
}

#[test]
fn lines_have_statements_and_lines_without_code_have_neighbours() {
    for flags in FORMS {
        let (_dir, info) = open(flags);
        let compute = one(&info, "compute");
        let n = line("sink(&total)");
        let exact = statements(&info, &compute, &Lines::Absolute(vec![(n, n)]));
        assert_eq!(exact.len(), 1);
        assert_eq!(exact[0].line, n);
        assert_eq!(info.line_of(exact[0].pc).expect("sound").map(|l| l.1), Some(n), "{flags:?}");
        let relative = Lines::Relative(n - compute.line);
        assert_eq!(statements(&info, &compute, &relative), exact);
        // the empty line before it has no code
        let empty = Lines::Absolute(vec![(n - 2, n - 2)]);
        assert_eq!(statements(&info, &compute, &empty), [], "{flags:?}");
        let (below, above) = info.neighbours(&compute, &empty).expect("sound");
        assert!(below < Some(n - 2) && above > Some(n - 2), "{flags:?}: {below:?} {above:?}");
        let near = info.nearest_statements(&compute, &empty).expect("sound");
        let of_near = [below, above].into_iter().flatten();
        let known: Vec<u64> =
            of_near.map(|l| statements(&info, &compute, &Lines::Absolute(vec![(l, l)]))[0].pc).collect();
        assert!(near[0].line == n - 2 && known.contains(&near[0].pc), "{flags:?}: {near:?}");
        let all = statements(&info, &compute, &Lines::All);
        assert!(
            all.len() > 5 && all.iter().all(|s| (compute.line..=line("return total") + 1).contains(&s.line))
        );
    }
}

#[test]
fn labels_and_callees_are_found_in_their_function() {
    for flags in FORMS {
        let (_dir, info) = open(flags);
        let compute = one(&info, "compute");
        let labels = info.labels(std::slice::from_ref(&compute), "ag*").expect("labels");
        assert_eq!(
            labels.iter().map(|l| l.label.as_deref()).collect::<Vec<_>>(),
            [Some("again")],
            "{flags:?}"
        );
        assert_eq!(labels[0].line, line("again:"));
        let names = |pattern: &str, depth| -> Vec<String> {
            let found = info.callees(std::slice::from_ref(&compute), pattern, depth).expect("callees").found;
            let mut names: Vec<String> = found.into_iter().map(|c| c.callee.name).collect();
            names.sort();
            names
        };
        assert_eq!(names("*", 1), ["leaf", "twice"], "{flags:?}: what other files have is not here");
        assert_eq!(names("tw*", 2), ["twice"]);
        assert_eq!(names("le*", 1), ["leaf"]);
        let leaf = info.callees(std::slice::from_ref(&compute), "leaf", 1).expect("callees").found.remove(0);
        assert_eq!((leaf.callee.inlined, leaf.caller.name.as_str()), (false, "compute"));
        // from an address that the caller holds, which is at the top of the stack
        let [way] = &leaf.ways[..] else { panic!("{flags:?}: {leaf:?}") };
        let [(0, returns)] = &way[..] else { panic!("{flags:?}: {way:?}") };
        for pc in returns {
            let around = info.function_at(*pc).expect("sound").map(|f| f.die);
            assert_eq!(around, Some(compute.die), "{flags:?}");
        }
    }
}

#[test]
fn types_in_units_of_their_own_are_found_by_their_signature() {
    // linked: in an object file each is a section that other files may have as well
    let flags = ["-fPIC", "-nostdlib", "-O2", "-gdwarf-5", "-fdebug-types-section"];
    let (_dir, object) = compile_as("-shared", &flags);
    let info = Rc::new(Debuginfo::open(&object, &Cache::default()).expect("debuginfo"));
    let compute = one(&info, "compute");
    let scope = info.scope(compute.die, compute.pc, false).expect("scope");
    let src = types(&info, compute.die);
    assert_eq!(ctype::type_name(&src, scope.variables[0].ty), "struct sample*");
    let Ok(CType::Pointer(to)) = ctype::strip(&src, scope.variables[0].ty).map(|t| t.1) else {
        panic!("s is no pointer");
    };
    let grid = ctype::find_field(&src, to, "grid").expect("sound").expect("member");
    assert_eq!((grid.offset(), ctype::size_of(&src, grid.ty)), (40, Ok(24)));
    let record = src.record(RecordKind::Struct, "sample").expect("by its name");
    assert_eq!(ctype::size_of(&src, record), Ok(72));
}

#[test]
fn types_have_members_offsets_bit_fields_and_names() {
    for flags in FORMS {
        let (_dir, info) = open(flags);
        let compute = one(&info, "compute");
        let src = types(&info, compute.die);
        let record = src.record(RecordKind::Struct, "sample").expect("struct sample");
        assert_eq!(ctype::size_of(&src, record), Ok(72), "{flags:?}");
        let field = |name: &str| ctype::find_field(&src, record, name).expect("sound").expect("member");
        assert_eq!((field("number").offset(), field("name").offset(), field("text").offset()), (0, 8, 24));
        assert_eq!((field("as_int").offset(), field("bytes").offset()), (16, 16), "{flags:?}");
        assert_eq!((field("grid").offset(), field("colour").offset(), field("flag").offset()), (40, 64, 68));
        assert_eq!(ctype::size_of(&src, field("grid").ty), Ok(24));
        assert_eq!(ctype::type_name(&src, field("text").ty), "char const*");
        let inner = ctype::strip(&src, field("nested").ty).expect("sound").0;
        let bits = |name: &str| ctype::find_field(&src, inner, name).expect("sound").expect("member");
        let at = |f: Field| (f.bit_offset, f.bit_size);
        assert_eq!(
            (at(bits("a")), at(bits("low")), at(bits("mid"))),
            ((0, 0), (16, 3), (19, 9)),
            "{flags:?}"
        );
        let names = ctype::field_names(&src, record).expect("sound");
        let want = ["number", "name", "as_int", "bytes", "nested", "text", "next", "grid", "colour", "flag"];
        assert_eq!(names, want);
        let colour = src.enumeration("colour").expect("enum");
        assert_eq!(src.enumerators(colour).expect("sound"), [("RED", 0), ("GREEN", 7), ("BLUE", -1)]);
        assert!(matches!(src.get(colour), Ok(CType::Enum { signed: true, size: 4, .. })), "{flags:?}");
        assert!(src.record(RecordKind::Struct, "absent").is_none());
        assert!(ctype::parse_type_name(&src, "unsigned char").is_some());
    }
}

#[test]
fn variables_of_a_file_are_found_by_name_and_file() {
    for flags in FORMS {
        let (_dir, info) = open(flags);
        let compute = one(&info, "compute");
        let hidden = info.global("hidden", None, Some(compute.die)).expect("sound").expect("there");
        let scope = info.scope(compute.die, compute.pc, false).expect("scope");
        let counter = info.global("counter", Some("sample.c"), None).expect("sound").expect("there");
        let Ok(Location::Memory(Formula::Address(at))) = info.location(counter.die, scope.at) else {
            panic!("{flags:?}: counter has no address");
        };
        let symbol = info.symbols().iter().find(|s| s.name == "counter").expect("symbol");
        assert_eq!(symbol.address, at, "{flags:?}");
        assert_eq!(ctype::type_name(&types(&info, compute.die), hidden.ty), "int");
        assert!(info.global("counter", Some("other.c"), None).expect("sound").is_none());
        assert!(info.global("nothing", None, None).expect("sound").is_none());
    }
}

#[test]
fn damaged_files_are_errors_and_never_a_crash() {
    let (dir, object) = compile(&["-O2", "-gdwarf-5"]);
    let good = std::fs::read(&object).expect("object");
    let bad = dir.0.join("bad.o");
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for round in 0..150 {
        let mut bytes = good.clone();
        for _ in 0..1 + round % 20 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (state >> 20) as usize % bytes.len();
            bytes[at] ^= (state >> 8) as u8 | 1;
        }
        if round % 10 == 0 {
            bytes.truncate(good.len() * (round + 1) / 160);
        }
        std::fs::write(&bad, &bytes).expect("write");
        let Ok(info) = Debuginfo::open(&bad, &Cache::default()) else { continue };
        let info = Rc::new(info);
        let _ = info.line_of(info.loaded().first().map_or(0, |l| l.address));
        for i in info.instances("*").unwrap_or_default() {
            let src = types(&info, i.die);
            let _ = info.body_pc(&i);
            let _ = info.statements(std::slice::from_ref(&i), &Lines::All);
            let Ok(scope) = info.scope(i.die, i.pc, true) else { continue };
            for v in &scope.variables {
                let _ = info.location(v.die, scope.at);
                let _ = ctype::type_name(&src, v.ty);
                let _ = ctype::size_of(&src, v.ty);
                if let Ok((record, CType::Record { .. })) = ctype::strip(&src, v.ty) {
                    let _ = ctype::field_names(&src, record);
                }
            }
        }
    }
}
