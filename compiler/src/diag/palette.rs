//! Colours of messages. In: the text of SYSTEMTAP_COLORS. Out: SGR parameters
//! by kind (stap(1), `--color`).

/// SGR parameters for each kind of text; empty: not coloured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Palette {
    pub error: String,
    pub warning: String,
    pub source: String,
    pub caret: String,
    pub token: String,
}

impl Default for Palette {
    /// SystemTap's colours.
    fn default() -> Self {
        let s = str::to_string;
        Self { error: s("01;31"), warning: s("00;33"), source: s("00;34"), caret: s("01"), token: s("01") }
    }
}

impl Palette {
    /// No colour at all.
    pub fn plain() -> Self {
        let none = String::new;
        Self { error: none(), warning: none(), source: none(), caret: none(), token: none() }
    }

    /// `error=01;31:caret=01`: what is not named keeps its default. `None` where the text is
    /// empty or not of that form; colours are off then.
    pub fn parse(text: &str) -> Option<Self> {
        let mut p = Self::default();
        for pair in text.split(':') {
            let (key, value) = pair.split_once('=')?;
            if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit() || b == b';') {
                return None;
            }
            let field = match key {
                "error" => &mut p.error,
                "warning" => &mut p.warning,
                "source" => &mut p.source,
                "caret" => &mut p.caret,
                "token" => &mut p.token,
                _ => return None,
            };
            *field = value.to_string();
        }
        Some(p)
    }

    /// A text in one of the colours.
    pub fn paint(code: &str, text: &str) -> String {
        if code.is_empty() {
            text.to_string()
        } else {
            format!("\x1b[{code}m\x1b[K{text}\x1b[m\x1b[K")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_colours_replace_the_defaults() {
        let p = Palette::parse("error=01;32:token=04").expect("well formed");
        assert_eq!((p.error.as_str(), p.token.as_str(), p.warning.as_str()), ("01;32", "04", "00;33"));
        assert_eq!(Palette::paint(&p.token, "x"), "\x1b[04m\x1b[Kx\x1b[m\x1b[K");
    }

    #[test]
    fn an_empty_or_odd_text_switches_colours_off() {
        for bad in ["", "error", "error=", "error=red", "blue=01", "error=01:", "error=01\x1b[0m"] {
            assert_eq!(Palette::parse(bad), None, "{bad:?}");
        }
        assert_eq!(Palette::paint(&Palette::plain().error, "x"), "x");
    }
}
