//! A table as the text of one `nft` transaction.

use std::fmt::{self, Write as _};

use crate::rules::{Addresses, Chain, Hook, Match, PortRange, Rule, Ruleset, Side, Verdict};

/// The family of the table: IPv4 and IPv6 in one.
pub const FAMILY: &str = "inet";

/// The name of the table.
pub const TABLE: &str = "faros";

/// The transaction that removes the table, whether it is there or not.
pub fn delete() -> String {
    format!("table {FAMILY} {TABLE}\ndelete table {FAMILY} {TABLE}\n")
}

impl Ruleset {
    /// One transaction that puts this in the place of whatever the table was. `mark` is kept as the table's
    /// comment, so that a table in the kernel says which text it came from.
    pub fn text(&self, mark: &str) -> String {
        let mut out = delete();
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "table {FAMILY} {TABLE} {{\n\tcomment \"{mark}\"");
        for chain in &self.chains {
            let _ = write!(out, "{chain}");
        }
        out.push_str("}\n");
        out
    }

    /// What tells this from other rulesets: FNV-1a over its rules. Nothing trusts it.
    pub fn mark(&self) -> String {
        let hash = self
            .text("")
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        format!("faros {hash:016x}")
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\tchain {} {{", self.name)?;
        if let Some(hook) = self.hook {
            writeln!(f, "\t\t{hook}")?;
        }
        for rule in &self.rules {
            writeln!(f, "\t\t{rule}")?;
        }
        writeln!(f, "\t}}")
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, hook, priority) = match self {
            Self::Arriving => ("filter", "prerouting", "raw"),
            Self::Answering => ("filter", "output", "raw"),
            Self::Input => ("filter", "input", "filter"),
            Self::Forward => ("filter", "forward", "filter"),
            Self::Published => ("nat", "prerouting", "dstnat"),
            Self::Leaving => ("nat", "postrouting", "srcnat"),
        };
        write!(f, "type {kind} hook {hook} priority {priority}; policy accept;")
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for one in &self.when {
            write!(f, "{one} ")?;
        }
        write!(f, "{}", self.then)?;
        if self.why.is_empty() {
            return Ok(());
        }
        write!(f, " comment \"{}\"", self.why)
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InBy(name) => write!(f, "iifname \"{name}\""),
            Self::OutBy(name) => write!(f, "oifname \"{name}\""),
            Self::Source(is, who) => write!(f, "ip saddr {}{}", not(*is), braced(who)),
            Self::Destination(is, who) => write!(f, "ip daddr {}{}", not(*is), braced(who)),
            Self::ToBastion => write!(f, "fib daddr type local"),
            Self::Ports(transport, side, ports) => {
                let side = match side {
                    Side::Source => "sport",
                    Side::Destination => "dport",
                };
                write!(f, "{} {side} {}", transport.as_str(), listed(ports))
            }
            Self::AnyIcmp => write!(f, "meta l4proto {{ icmp, ipv6-icmp }}"),
            Self::ModestPing => write!(
                f,
                "icmp type echo-request limit rate 100/second burst 200 packets"
            ),
            Self::NeededIcmp => write!(
                f,
                "icmp type {{ destination-unreachable, time-exceeded, parameter-problem }}"
            ),
            Self::NeededIcmp6 => write!(
                f,
                "icmpv6 type {{ destination-unreachable, packet-too-big, time-exceeded, parameter-problem, \
                 nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert }}"
            ),
            Self::WasPublished => write!(f, "ct status dnat"),
            Self::Opening => write!(f, "tcp flags syn"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => write!(f, "accept"),
            Self::Drop => write!(f, "counter drop"),
            Self::ByConnection => write!(
                f,
                "ct state vmap {{ invalid : drop, established : accept, related : accept }}"
            ),
            Self::Goto(chain) => write!(f, "goto {chain}"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Return => write!(f, "return"),
            Self::NotTracked => write!(f, "notrack"),
            Self::Masquerade => write!(f, "masquerade fully-random"),
            Self::ClampSegments => write!(f, "tcp option maxseg size set rt mtu"),
            Self::LeadTo(to) => match to.as_slice() {
                [] => write!(f, "counter drop"),
                [only] => write!(f, "dnat ip to {only}"),
                all => {
                    write!(f, "dnat ip to numgen inc mod {} map {{ ", all.len())?;
                    for (idx, to) in all.iter().enumerate() {
                        let comma = if idx > 0 { ", " } else { "" };
                        write!(f, "{comma}{idx} : {} . {}", to.ip(), to.port())?;
                    }
                    write!(f, " }}")
                }
            },
        }
    }
}

const fn not(is: bool) -> &'static str {
    if is { "" } else { "!= " }
}

fn braced(who: &Addresses) -> String {
    let text = who.to_string();
    if text.contains(", ") {
        format!("{{ {text} }}")
    } else {
        text
    }
}

fn listed(ports: &[PortRange]) -> String {
    match ports {
        [only] => only.to_string(),
        all => {
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            format!("{{ {} }}", all.join(", "))
        }
    }
}
