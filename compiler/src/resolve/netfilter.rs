//! `netfilter.hook("…").pf("…")`: names of the kernel's headers to numbers. In:
//! components of a point. Out: a place, or SystemTap's message.

use super::builtin::Comp;
use crate::syntax::ast::Literal;
use crate::types::hir::Place;

/// A protocol family.
struct Family {
    name: &'static str,
    number: u8,
    /// Their hooks, in the order of their numbers.
    hooks: &'static [&'static str],
    /// What the names of hooks and priorities begin with.
    prefixes: &'static [&'static str],
    priorities: &'static str,
}

const IP_HOOKS: [&str; 5] = ["PRE_ROUTING", "LOCAL_IN", "FORWARD", "LOCAL_OUT", "POST_ROUTING"];

const FAMILIES: [Family; 4] = [
    Family {
        name: "NFPROTO_IPV4",
        number: 2,
        hooks: &IP_HOOKS,
        prefixes: &["NF_INET_", "NF_IP_"],
        priorities: "NF_IP_PRI_",
    },
    Family {
        name: "NFPROTO_IPV6",
        number: 10,
        hooks: &IP_HOOKS,
        prefixes: &["NF_INET_", "NF_IP6_"],
        priorities: "NF_IP6_PRI_",
    },
    Family {
        name: "NFPROTO_ARP",
        number: 3,
        hooks: &["IN", "OUT", "FORWARD"],
        prefixes: &["NF_ARP_"],
        priorities: "",
    },
    Family {
        name: "NFPROTO_BRIDGE",
        number: 7,
        hooks: &["PRE_ROUTING", "LOCAL_IN", "FORWARD", "LOCAL_OUT", "POST_ROUTING", "BROUTING"],
        prefixes: &["NF_BR_"],
        priorities: "",
    },
];

/// `enum nf_ip_hook_priorities`, which IPv6 shares.
const PRIORITIES: [(&str, i32); 15] = [
    ("FIRST", i32::MIN),
    ("RAW_BEFORE_DEFRAG", -450),
    ("CONNTRACK_DEFRAG", -400),
    ("RAW", -300),
    ("SELINUX_FIRST", -225),
    ("CONNTRACK", -200),
    ("MANGLE", -150),
    ("NAT_DST", -100),
    ("FILTER", 0),
    ("SECURITY", 50),
    ("NAT_SRC", 100),
    ("SELINUX_LAST", 225),
    ("CONNTRACK_HELPER", 300),
    ("CONNTRACK_CONFIRM", i32::MAX),
    ("LAST", i32::MAX),
];

pub fn place(comps: &[Comp]) -> Result<Place, String> {
    let text = |name: &str| match comps.iter().find(|c| c.name == name)?.arg.as_ref()? {
        Literal::String(s) => Some(s.to_string_lossy()),
        Literal::Number(_) => None,
    };
    let (pf, hook) = (text("pf").unwrap_or_default(), text("hook").unwrap_or_default());
    let family = FAMILIES.iter().find(|f| f.name == pf || pf.parse() == Ok(f.number)).ok_or_else(|| {
        let known = FAMILIES.map(|f| f.name).join(", ");
        format!("unsupported netfilter protocol family \"{pf}\"; there are {known}")
    })?;
    let named =
        |(_, name): &(usize, &&str)| family.prefixes.iter().any(|p| hook.strip_prefix(p) == Some(**name));
    let hook = match (family.hooks.iter().enumerate().find(named), hook.parse::<usize>()) {
        (Some((n, _)), _) => n,
        (None, Ok(n)) if n < family.hooks.len() => n,
        _ => {
            let known: Vec<String> =
                family.hooks.iter().map(|h| format!("{}{h}", family.prefixes[0])).collect();
            return Err(format!(
                "unsupported netfilter hook \"{hook}\" for protocol family {}; there are {}",
                family.name,
                known.join(", ")
            ));
        }
    };
    let priority = match text("priority") {
        None => 0,
        Some(p) => p
            .parse()
            .ok()
            .or_else(|| {
                let name = p.strip_prefix(family.priorities).filter(|_| !family.priorities.is_empty())?;
                PRIORITIES.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
            })
            .ok_or_else(|| {
                let known: String = match family.priorities {
                    "" => "it is a number of 32 bits".into(),
                    prefix => {
                        let names = PRIORITIES.iter().map(|(n, _)| format!("{prefix}{n}, "));
                        format!("there are {}and numbers of 32 bits", names.collect::<String>())
                    }
                };
                format!("unsupported netfilter priority \"{p}\" for protocol family {}; {known}", family.name)
            })?,
    };
    Ok(Place::Netfilter { family: family.number, hook: hook as u8, priority })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(parts: &[(&str, &str)]) -> Result<(u8, u8, i32), String> {
        let comp = |(name, text): &(&str, &str)| Comp {
            name: (*name).into(),
            arg: Some(Literal::String((*text).into())),
        };
        match place(&parts.iter().map(comp).collect::<Vec<_>>())? {
            Place::Netfilter { family, hook, priority } => Ok((family, hook, priority)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_of_the_kernels_headers_and_numbers_are_known_in_both_orders() {
        let v4 = ("pf", "NFPROTO_IPV4");
        assert_eq!(point(&[("hook", "NF_INET_LOCAL_IN"), v4]), Ok((2, 1, 0)));
        assert_eq!(point(&[v4, ("hook", "NF_IP_POST_ROUTING"), ("priority", "-7")]), Ok((2, 4, -7)));
        assert_eq!(
            point(&[("pf", "10"), ("hook", "3"), ("priority", "NF_IP6_PRI_LAST")]),
            Ok((10, 3, i32::MAX))
        );
        assert_eq!(point(&[("pf", "NFPROTO_ARP"), ("hook", "NF_ARP_OUT")]), Ok((3, 1, 0)));
        assert_eq!(point(&[("pf", "NFPROTO_BRIDGE"), ("hook", "NF_BR_FORWARD")]), Ok((7, 2, 0)));
    }

    #[test]
    fn what_a_family_does_not_have_is_refused_with_what_it_has() {
        let wrong = |parts: &[(&str, &str)]| point(parts).unwrap_err();
        let v4 = ("pf", "NFPROTO_IPV4");
        assert!(wrong(&[("pf", "NFPROTO_INET"), ("hook", "0")]).ends_with(
            "\"NFPROTO_INET\"; there are NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_ARP, NFPROTO_BRIDGE"
        ));
        assert!(wrong(&[("pf", "NFPROTO_ARP"), ("hook", "NF_IP_LOCAL_IN")])
            .ends_with("there are NF_ARP_IN, NF_ARP_OUT, NF_ARP_FORWARD"));
        assert!(wrong(&[v4, ("hook", "5")]).contains("hook \"5\""));
        assert!(wrong(&[v4, ("hook", "1"), ("priority", "NF_IP6_PRI_LAST")])
            .ends_with("NF_IP_PRI_LAST, and numbers of 32 bits"));
        let arp = ("pf", "NFPROTO_ARP");
        assert!(wrong(&[arp, ("hook", "1"), ("priority", "x")]).ends_with("it is a number of 32 bits"));
    }
}
