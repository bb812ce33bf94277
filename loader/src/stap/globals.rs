//! Global variables that `staprun FILE NAME=VALUE` sets. In: a compiled script.
//! Out: the same with other initial values. Knows nothing of source text.

use stp_compiler::bytecode::{Class, Image};

/// Obeys one `NAME=VALUE`; the text of the error is for people.
pub fn set(image: &mut Image, setting: &str) -> Result<(), String> {
    let Some((name, value)) = setting.split_once('=') else {
        return Err(format!("'{setting}' is no setting of a global variable: NAME=VALUE is wanted"));
    };
    let longest = usize::try_from(image.limits.maxstringlen).unwrap_or(0).saturating_sub(1);
    let Some(global) = image.globals.iter_mut().find(|g| g.name == name) else {
        let names: Vec<&str> = image.globals.iter().map(|g| g.name.as_str()).collect();
        let known = if names.is_empty() { "none".into() } else { names.join(", ") };
        return Err(format!("{setting}: the script uses no global variable '{name}' (there are: {known})"));
    };
    match &mut global.class {
        Class::Int { init } | Class::PerCpu { init } => {
            *init = number(value).ok_or_else(|| format!("{setting}: the variable takes a number"))?;
            Ok(())
        }
        Class::Str { init } => {
            // as the script itself would
            *init = value.as_bytes()[..value.len().min(longest)].to_vec().into();
            Ok(())
        }
        _ => Err(format!("{setting}: only numbers and strings can be set, no arrays and statistics")),
    }
}

/// Decimal, octal or hexadecimal, as in a script; with a sign.
fn number(text: &str) -> Option<i64> {
    let (minus, digits) = text.strip_prefix('-').map_or((false, text), |d| (true, d));
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let magnitude = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16),
        None if digits.len() > 1 && digits.starts_with('0') => u64::from_str_radix(digits, 8),
        None => digits.parse(),
    }
    .ok()? as i64;
    Some(if minus { magnitude.wrapping_neg() } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_read_as_in_a_script() {
        assert_eq!(number("7"), Some(7));
        assert_eq!(number("-0x10"), Some(-16));
        assert_eq!(number("010"), Some(8));
        assert_eq!(number("0xffffffffffffffff"), Some(-1));
        for bad in ["", "-", "x", "1x", "09", "0x", "+1"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }
}
