//! `->` and `[]` behind what scripts keep of pointers: types reach the use through locals,
//! globals, arrays, calls and results, also when the use comes first.

use super::tests::kernel;
use crate::diag::render;
use crate::driver::{Compilation, Input, Options};
use crate::types::hir::{Expr, ExprKind};
use crate::types::walk;

/// Offset and size of each load in the handlers and functions, in the order of the text.
fn loads(script: &str) -> Result<Vec<(i64, u8)>, String> {
    let mut c = Compilation::new(Options::default());
    c.target = kernel();
    let done = c.parse(&[Input { name: "t".into(), text: script.into() }]).and_then(|()| c.analyze());
    let said: String = c.diagnostics.list.iter().map(|d| render(&c.sources, d, false)).collect();
    let program = done.map_err(|_| said.clone()).and(c.program.ok_or(said))?;
    fn of(e: &Expr, out: &mut Vec<(u32, i64, u8)>) {
        if let ExprKind::Load { offset, size, .. } = &e.kind {
            out.push((e.span.lo, *offset, *size));
        }
        walk::parts(e, &mut |p| of(p, out));
    }
    let mut out = Vec::new();
    let bodies = program.probes.iter().map(|p| &p.body).chain(program.functions.iter().map(|f| &f.body));
    for body in bodies {
        walk::each_stmt(body, &mut |s| walk::stmt_parts(s, &mut |e| of(e, &mut out), &mut |_| {}));
    }
    out.sort_unstable();
    Ok(out.into_iter().map(|(_, o, s)| (o, s)).collect())
}

fn at_read(body: &str) -> Result<Vec<(i64, u8)>, String> {
    loads(&format!("probe kernel.function(\"vfs_read\") {{ {body} }}"))
}

#[test]
fn a_local_keeps_the_type_of_what_it_was_set_to() {
    assert_eq!(at_read("f = $file; println(f->pos)"), Ok(vec![(0, 8)]));
    assert_eq!(at_read("d = $file->dentry; println(d->flags)"), Ok(vec![(8, 8), (0, 4)]));
    assert_eq!(at_read("d = &$file->inner; println(d->flags)"), Ok(vec![(0, 4)]));
    assert_eq!(at_read("a = b = $file; println(a->dentry, b->pos)"), Ok(vec![(8, 8), (0, 8)]));
    assert_eq!(
        at_read("f = $file; println(f->dentry->flags, f->nums[1])"),
        Ok(vec![(0, 4), (8, 8), (36, 4)])
    );
    assert_eq!(at_read("println((f = $file)->pos)"), Ok(vec![(0, 8)]));
    assert_eq!(at_read("f = @cast($buf, \"file\"); println(f->pos)"), Ok(vec![(0, 8)]));
    assert_eq!(at_read("f = @cast($buf, \"struct file*\"); println(f->pos)"), Ok(vec![(0, 8)]));
}

#[test]
fn an_index_follows_a_pointer() {
    assert_eq!(at_read("p = $pos; println(p[3])"), Ok(vec![(12, 4)]));
    assert_eq!(at_read("n = $file->nums; println(n[2])"), Ok(vec![(8, 4)]));
    assert_eq!(at_read("n = &$file->nums[1]; println(n[0])"), Ok(vec![(0, 4)]));
}

#[test]
fn both_sides_of_a_choice_give_a_type() {
    assert_eq!(at_read("println(($count ? $file : 0)->pos)"), Ok(vec![(0, 8)]));
    assert_eq!(at_read("println(($count ? 0 : $file)->pos)"), Ok(vec![(0, 8)]));
}

#[test]
fn globals_arrays_and_loops_hand_types_on() {
    let probe = "probe kernel.function(\"vfs_read\") { g = $file; a[$file, 1] = $file->dentry }";
    for body in [
        "println(g->pos)",
        "println(a[g, 1]->flags)",
        "foreach ([k, n] in a) println(k->pos)",
        "foreach (v = [k, n] in a) println(v->flags)",
    ] {
        // also where the use stands before the assignment
        let used = if body.contains("->pos") { (0, 8) } else { (0, 4) };
        let end = format!("probe end {{ {body} }}");
        assert_eq!(loads(&format!("global g, a {end} {probe}")), Ok(vec![used, (8, 8)]), "{body}");
        assert_eq!(loads(&format!("global g, a {probe} {end}")), Ok(vec![(8, 8), used]), "{body}");
    }
}

#[test]
fn functions_take_and_give_types() {
    let script = "function dentry(f) { d = f->dentry; return d } function flags(d) { return d->flags }\n\
        probe kernel.function(\"vfs_read\") { println(flags(dentry($file)), dentry($file)->mode) }";
    assert_eq!(loads(script), Ok(vec![(8, 8), (0, 4), (12, 1)]));
}

#[test]
fn what_comes_back_to_an_entry_has_its_type() {
    let script = "probe kernel.function(\"vfs_read\").return { f = @entry($file); println(f->pos) }";
    assert_eq!(loads(script), Ok(vec![(0, 8)]));
}

#[test]
fn each_place_has_locals_of_its_own_types() {
    let script =
        "probe kernel.function(\"vfs_read\"), kernel.trace(\"sched_tick\") { p = $file; println(p->pos) }";
    assert_eq!(loads(script), Ok(vec![(0, 8), (0, 8)]));
}

#[test]
fn what_is_no_pointer_has_no_members() {
    for (body, why) in [
        ("c = $count; println(c->pos)", "is not known"),
        ("f = $file; println(f->nothing)", "unable to find member 'nothing' for struct file"),
        ("f = 5; println(f->pos)", "use @cast"),
        ("b = $buf; println(b->pos)", "invalid access '->pos' vs. 'char'"),
    ] {
        let said = at_read(body).expect_err(body);
        assert!(said.contains(why), "{body}: {said}");
    }
}
