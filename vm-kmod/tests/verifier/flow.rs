//! Rules about what is set on every path, jumps, loops and calls.

use super::*;

#[test]
fn assign_on_every_path() {
    let (ldi, jump) = (i(Op::Ldi, 0, 0, 0, 0), ibc(Op::Jeqi, 1, 1, 0));
    let one = i(Op::Ldi, 1, 0, 0, 0);
    pair(&[ldi, i(Op::Mov, 1, 0, 0, 0), RET], &[i(Op::Mov, 1, 0, 0, 0), RET], Rule::Assign);
    // on one branch only
    pair(
        &[one, ldi, jump, ldi, i(Op::Mov, 2, 0, 0, 0), RET],
        &[one, jump, ldi, i(Op::Mov, 2, 0, 0, 0), RET],
        Rule::Assign,
    );
    // on both branches
    accepted(&handler(&[
        one,
        ibc(Op::Jeqi, 1, 2, 0),
        ldi,
        i(Op::Jmp, 0, 0, 0, 1),
        ldi,
        i(Op::Mov, 2, 0, 0, 0),
        RET,
    ]));
    refused(&handler(&[i(Op::Smov, 1, 0, 0, 0), RET]), Rule::Assign);
    refused(&handler(&[i(Op::Agget, 0, 0, 0, 0), RET]), Rule::Assign);
    refused(&handler(&[i(Op::Err, 0, 0, 0, 0)]), Rule::Assign);
}

#[test]
fn assign_ends_at_the_window_of_a_call() {
    let program = |after: Insn| {
        let mut im = Image::new();
        im.callee(0, 0, 1, &[i(Op::Ldi, 0, 0, 0, 0), RET]);
        let ldi = |r| i(Op::Ldi, r, 0, 0, 0);
        im.probe(&[ldi(1), ldi(2), ldi(3), i(Op::Call, 0, 2, 0, 0), after, RET], &[]);
        im
    };
    accepted(&program(i(Op::Mov, 0, 1, 0, 0))); // below the window
    accepted(&program(i(Op::Mov, 0, 2, 0, 0))); // the result
    refused(&program(i(Op::Mov, 0, 3, 0, 0)), Rule::Assign);
}

#[test]
fn assign_the_result_of_a_function() {
    let program = |code: &[Insn], ret| {
        let mut im = handler(&[RET]);
        im.callee(0, 0, ret, code);
        im
    };
    accepted(&program(&[i(Op::Ldi, 0, 0, 0, 0), RET], 1));
    refused(&program(&[RET], 1), Rule::Assign);
    accepted(&program(&[i(Op::Sldk, 0, 0, 0, 0), RET], 2));
    refused(&program(&[i(Op::Ldi, 0, 0, 0, 0), RET], 2), Rule::Assign);
}

#[test]
fn assign_before_a_catch_block_reads() {
    // the block may be entered from before the assignment
    let program = |early: bool| {
        let mut im = Image::new();
        let ldi = i(Op::Ldi, 1, 0, 0, 0);
        let div = i(Op::Div, 2, 0, 0, 0);
        let zero = i(Op::Ldi, 0, 0, 0, 0);
        let body = if early { [ldi, div] } else { [div, ldi] };
        im.probe(&[zero, body[0], body[1], RET, i(Op::Mov, 3, 1, 0, 0), RET], &[]);
        im.try_block(1, 3, 4);
        im
    };
    accepted(&program(true));
    refused(&program(false), Rule::Assign);
}

#[test]
fn jump_stays_in_the_function_and_goes_its_way() {
    pair(&[i(Op::Jmp, 0, 0, 0, 0), RET], &[i(Op::Jmp, 0, 0, 0, 1), RET], Rule::Jump);
    refused(&handler(&[i(Op::Jmp, 0, 0, 0, -1), RET]), Rule::Jump);
    refused(&handler(&[i(Op::Jmp, 0, 0, 0, i32::MAX), RET]), Rule::Jump);
    refused(&handler(&[i(Op::Jmp, 0, 0, 0, i32::MIN), RET]), Rule::Jump);
    pair(&[i(Op::Loop, 1, 0, 0, -1)], &[i(Op::Loop, 1, 0, 0, -2)], Rule::Jump);
    refused(&handler(&[i(Op::Loop, 1, 0, 0, 0), RET]), Rule::Jump);
    let ldi = i(Op::Ldi, 0, 0, 0, 0);
    pair(&[ldi, ibc(Op::Looplti, 0, 1, 9), RET], &[ldi, ibc(Op::Looplti, 0, 3, 9), RET], Rule::Jump);
    refused(&handler(&[ldi, ibc(Op::Looplti, 0, 0, 9), RET]), Rule::Jump);
}

#[test]
fn loop_charges() {
    let ldi = i(Op::Ldi, 0, 0, 0, 0);
    pair(&[i(Op::Loop, 1, 0, 0, -1)], &[i(Op::Loop, 0, 0, 0, -1)], Rule::Loop);
    pair(&[ldi, i(Op::Looplt, 0, 0, 1, -1), RET], &[ldi, i(Op::Looplt, 0, 0, 0, -1), RET], Rule::Loop);
    pair(&[ldi, i(Op::Inclt, 0, 0, 1, -1), RET], &[ldi, i(Op::Inclt, 0, 0, 0, -1), RET], Rule::Loop);
}

#[test]
fn loop_keeps_what_its_head_relies_on() {
    // a jump from before the assignment into the middle of the loop: its end
    // may come to the head without it
    let program = |first: u32| {
        let mut code = vec![
            i(Op::Ldi, 0, 0, 0, 0),
            ibc(Op::Jeqi, 0, 2, 7),
            i(Op::Ldi, 1, 0, 0, 0),
            i(Op::Mov, 2, 1, 0, 0), // head
            i(Op::Addi, 0, 0, 0, 1),
            ibc(Op::Looplti, 0, 3, 9),
            RET,
        ];
        if first == 1 {
            code.insert(1, i(Op::Ldi, 1, 0, 0, 0));
        }
        handler(&code)
    };
    accepted(&program(1));
    refused(&program(0), Rule::Assign);
    // the loop takes its lock: on the second turn the head cannot know
    let turn = |lock: Insn, head: i32| handler(&[LOCK, lock, i(Op::Loop, 1, 0, 0, head)]);
    accepted(&turn(LOCK, -2));
    refused(&turn(i(Op::Unlock, 0, 0, 0, 0), -2), Rule::Loop);
    // a head that nothing but the loop reaches
    refused(&handler(&[i(Op::Jmp, 0, 0, 0, 1), RET, i(Op::Loop, 1, 0, 0, -2)]), Rule::Loop);
}

#[test]
fn loop_may_lose_what_its_head_does_not_read() {
    // r1 is written before the loop; the window of the call inside lies over it
    let program = |head: Insn| {
        let mut im = Image::new();
        let f = im.callee(0, 0, 0, &[RET]);
        let code = [
            i(Op::Ldi, 0, 0, 0, 0),
            i(Op::Ldi, 1, 0, 0, 0),
            head,
            i(Op::Call, 0, 1, 0, f),
            i(Op::Addi, 0, 0, 0, 1),
            ibc(Op::Looplti, 0, 4, 9),
            RET,
        ];
        im.probe(&code, &[]);
        im
    };
    accepted(&program(i(Op::Mov, 0, 0, 0, 0)));
    refused(&program(i(Op::Mov, 0, 1, 0, 0)), Rule::Assign);
}

#[test]
fn end_is_a_return() {
    pair(&[i(Op::Ldi, 0, 0, 0, 0), RET], &[i(Op::Ldi, 0, 0, 0, 0)], Rule::End);
    refused(&handler(&[RET, i(Op::Ldi, 0, 0, 0, 0)]), Rule::End);
}

#[test]
fn call_enters_functions_with_a_window_in_the_frame() {
    let program = |callee: i32, window: u8| {
        let mut im = Image::new();
        im.callee(0, 0, 1, &[i(Op::Ldi, 0, 0, 0, 0), RET]);
        im.probe(&[i(Op::Call, 0, window, 0, callee), RET], &[]);
        im
    };
    accepted(&program(0, 15));
    refused(&program(0, 16), Rule::Call); // no room for the result
    refused(&program(0, 17), Rule::Call);
    refused(&program(1, 0), Rule::Call); // the handler itself
}
