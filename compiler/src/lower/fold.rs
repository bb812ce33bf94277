//! Constant folding. In: an expression. Out: its value, where that is known
//! and evaluating it has no effect. Never folds what would raise an error.

use crate::bytes::Bytes;
use crate::types::hir::*;

/// Value of an integer expression that is constant.
pub fn constant(e: &Expr) -> Option<i64> {
    match &e.kind {
        ExprKind::Number(n) => Some(*n),
        ExprKind::Neg(x) => Some(constant(x)?.wrapping_neg()),
        ExprKind::Inv(x) => Some(!constant(x)?),
        ExprKind::Not(x) => Some(i64::from(constant(x)? == 0)),
        ExprKind::Binary { op, lhs, rhs } => match (text(lhs), text(rhs)) {
            (Some(a), Some(b)) => Some(i64::from(compare(*op, a.as_ref().cmp(b.as_ref()))?)),
            _ => binary(*op, constant(lhs)?, constant(rhs)?),
        },
        ExprKind::Ternary { cond, then, els } if e.ty == Ty::Long => {
            constant(if constant(cond)? != 0 { then } else { els })
        }
        _ => None,
    }
}

/// Value of a string expression that is constant.
pub fn text(e: &Expr) -> Option<Bytes> {
    match &e.kind {
        ExprKind::String(s) => Some(s.clone()),
        ExprKind::Binary { op: BinaryOp::Concat, lhs, rhs } => {
            let mut s = text(lhs)?;
            s.0.extend_from_slice(&text(rhs)?);
            Some(s)
        }
        _ => None,
    }
}

fn compare(op: BinaryOp, o: std::cmp::Ordering) -> Option<bool> {
    Some(match op {
        BinaryOp::Eq => o.is_eq(),
        BinaryOp::Ne => o.is_ne(),
        BinaryOp::Lt => o.is_lt(),
        BinaryOp::Le => o.is_le(),
        BinaryOp::Gt => o.is_gt(),
        BinaryOp::Ge => o.is_ge(),
        _ => return None,
    })
}

/// Value of an operation on integers; `None` where it would be an error.
pub fn binary(op: BinaryOp, a: i64, b: i64) -> Option<i64> {
    Some(match op {
        BinaryOp::Add => a.wrapping_add(b),
        BinaryOp::Sub => a.wrapping_sub(b),
        BinaryOp::Mul => a.wrapping_mul(b),
        BinaryOp::Div if b != 0 => a.wrapping_div(b),
        BinaryOp::Mod if b != 0 => a.wrapping_rem(b),
        BinaryOp::Div | BinaryOp::Mod | BinaryOp::Concat => return None,
        BinaryOp::Shl => a.wrapping_shl(b as u32),
        BinaryOp::Shr => a.wrapping_shr(b as u32),
        BinaryOp::ShrU => (a as u64).wrapping_shr(b as u32) as i64,
        BinaryOp::BitAnd => a & b,
        BinaryOp::BitOr => a | b,
        BinaryOp::BitXor => a ^ b,
        BinaryOp::And => i64::from(a != 0 && b != 0),
        BinaryOp::Or => i64::from(a != 0 || b != 0),
        op => i64::from(compare(op, a.cmp(&b))?),
    })
}

/// Does evaluating the expression do nothing but give its value?
pub fn is_pure(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Number(_)
        | ExprKind::String(_)
        | ExprKind::Local(_)
        | ExprKind::Global(_)
        | ExprKind::ProbeArg { .. }
        | ExprKind::ReturnValue { .. } => true,
        ExprKind::Neg(x) | ExprKind::Inv(x) | ExprKind::Not(x) => is_pure(x),
        ExprKind::Element { keys, .. } => keys.iter().all(is_pure),
        ExprKind::Binary { op: BinaryOp::Div | BinaryOp::Mod, .. } => false,
        ExprKind::Binary { lhs, rhs, .. } => is_pure(lhs) && is_pure(rhs),
        ExprKind::Helper { helper, args } => {
            helper.info().pure && !helper.info().may_fail && args.iter().all(is_pure)
        }
        _ => false,
    }
}

/// Does it assign the local?
pub fn assigns(e: &Expr, l: LocalId) -> bool {
    let mut yes = false;
    super::cost::each_subexpr(e, &mut |e| {
        if let ExprKind::Assign { target: LValue::Local(x), .. }
        | ExprKind::IncDec { target: LValue::Local(x), .. } = &e.kind
        {
            yes |= *x == l;
        }
    });
    yes
}

/// The local whose register the value of the expression stands in.
pub fn alias(e: &Expr) -> Option<LocalId> {
    match &e.kind {
        ExprKind::Local(l)
        | ExprKind::Assign { target: LValue::Local(l), .. }
        | ExprKind::IncDec { prefix: true, target: LValue::Local(l), .. } => Some(*l),
        // What was stored elsewhere is the value's own register.
        ExprKind::Assign { op: None, value, .. } => alias(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::binary;
    use crate::types::hir::BinaryOp::*;

    #[test]
    fn arithmetic_wraps_and_never_folds_an_error() {
        assert_eq!(binary(Add, i64::MAX, 1), Some(i64::MIN));
        assert_eq!(binary(Div, i64::MIN, -1), Some(i64::MIN));
        assert_eq!(binary(Mod, i64::MIN, -1), Some(0));
        assert_eq!(binary(Div, 1, 0), None);
        assert_eq!(binary(Shl, 1, 65), Some(2));
        assert_eq!(binary(ShrU, -1, 60), Some(15));
        assert_eq!(binary(And, 2, 4), Some(1));
    }
}
