//! A table as the text of one `nft` transaction.

use std::fmt::{self, Write as _};

use std::{collections::BTreeMap, net::SocketAddrV4};

use faros_balancer::{Affinity, SLOTS, Slots};
use faros_model::site::Transport;

use crate::rules::{
    Addresses, Balanced, Chain, Direction, Hook, Match, PortRange, Rule, Ruleset, Side, Verdict,
};

/// The family of the table: IPv4 and IPv6 in one.
pub const FAMILY: &str = "inet";

/// The name of the table.
pub const TABLE: &str = "faros";

/// The transaction that removes the table, whether it is there or not.
pub fn delete() -> String {
    format!("table {FAMILY} {TABLE}\ndelete table {FAMILY} {TABLE}\n")
}

/// What makes `jhash` give the same for the same address, whenever the table is loaded.
const SEED: u32 = 0x0fa2_05b1;

/// What of a table changes while its rules stay: it goes over from one load of the table to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Live {
    /// Which backend each slot belongs to, by service.
    pub slots: BTreeMap<String, Slots>,
    /// Packets and bytes, by the counter's name.
    pub counted: BTreeMap<String, (u64, u64)>,
}

/// The name of a service's map of slots.
pub fn slots_of(service: &str) -> String {
    format!("{SLOTS_OF}{service}")
}

/// What a map of slots is called before the service's name.
pub(crate) const SLOTS_OF: &str = "to_";

/// The name of a backend's counter.
pub fn counter_of(way: Direction, transport: Transport, backend: SocketAddrV4) -> String {
    let way = match way {
        Direction::There => "there",
        Direction::Back => "back",
    };
    let (ip, port) = (backend.ip(), backend.port());
    format!("{way}_{}_{ip}_{port}", transport.as_str())
}

/// The transaction that makes maps that hold `before` hold `after`, and touches no other element. Empty if there
/// is nothing to do.
pub fn update(before: &BTreeMap<String, Slots>, after: &BTreeMap<String, Slots>) -> String {
    let mut out = String::new();
    for (service, wanted) in after {
        let none = Slots::new();
        let held = before.get(service).unwrap_or(&none);
        let map = slots_of(service);
        let stale: Vec<String> = held
            .iter()
            .filter(|(slot, own)| wanted.get(slot) != Some(own))
            .map(|(slot, _)| slot.to_string())
            .collect();
        let new = wanted.iter().filter(|(slot, own)| held.get(slot) != Some(own));
        let new: Vec<String> = new.map(element).collect();
        // Writing to a `String` cannot fail.
        if !stale.is_empty() {
            let _ = writeln!(
                out,
                "delete element {FAMILY} {TABLE} {map} {{ {} }}",
                stale.join(", ")
            );
        }
        if !new.is_empty() {
            let _ = writeln!(out, "add element {FAMILY} {TABLE} {map} {{ {} }}", new.join(", "));
        }
    }
    out
}

fn element((slot, own): (&u16, &SocketAddrV4)) -> String {
    format!("{slot} : {} . {}", own.ip(), own.port())
}

impl Ruleset {
    /// One transaction that puts this in the place of whatever the table was, with `live` as it was. `mark` is
    /// kept as the table's comment, so that a table in the kernel says which text it came from.
    pub fn text(&self, mark: &str, live: &Live) -> String {
        let mut out = delete();
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "table {FAMILY} {TABLE} {{\n\tcomment \"{mark}\"");
        self.counters(&mut out, live);
        for own in &self.balanced {
            let slots = live.slots.get(&own.service);
            let elements: Vec<String> = slots.into_iter().flatten().map(element).collect();
            let kind = format!("typeof numgen random mod {SLOTS} : ip daddr . tcp dport");
            map(&mut out, &slots_of(&own.service), &kind, &elements);
        }
        for chain in &self.chains {
            let _ = write!(out, "{chain}");
        }
        out.push_str("}\n");
        out
    }

    /// A counter for each way to and from each backend, and the maps that find it: one look, however many there are.
    fn counters(&self, out: &mut String, live: &Live) {
        for way in [Direction::There, Direction::Back] {
            let mut elements = BTreeMap::new();
            for Balanced {
                transport, backends, ..
            } in &self.balanced
            {
                for own in backends {
                    let name = counter_of(way, *transport, *own);
                    let key = format!("{} . {} . {}", own.ip(), transport.as_str(), own.port());
                    elements.insert(key, name);
                }
            }
            for name in elements.values() {
                let (packets, bytes) = live.counted.get(name).copied().unwrap_or_default();
                let _ = writeln!(
                    out,
                    "\tcounter {name} {{\n\t\tpackets {packets} bytes {bytes}\n\t}}"
                );
            }
            if !elements.is_empty() {
                let elements = elements.iter().map(|(key, name)| format!("{key} : \"{name}\""));
                let elements: Vec<String> = elements.collect();
                let kind = "type ipv4_addr . inet_proto . inet_service : counter";
                map(out, counted(way), kind, &elements);
            }
        }
    }

    /// What tells this from other rulesets: FNV-1a over its rules. Nothing trusts it.
    pub fn mark(&self) -> String {
        let hash = self
            .text("", &Live::default())
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        format!("faros {hash:016x}")
    }
}

/// The map that finds a backend's counter.
const fn counted(way: Direction) -> &'static str {
    match way {
        Direction::There => "counted_there",
        Direction::Back => "counted_back",
    }
}

fn map(out: &mut String, name: &str, kind: &str, elements: &[String]) {
    let _ = writeln!(out, "\tmap {name} {{\n\t\t{kind}");
    if !elements.is_empty() {
        let _ = writeln!(out, "\t\telements = {{ {} }}", elements.join(",\n\t\t\t     "));
    }
    out.push_str("\t}\n");
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
            Self::Asking => ("nat", "output", "-100"),
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
            Self::CarriedPast(macs) => {
                let macs: Vec<String> = macs.iter().map(ToString::to_string).collect();
                let (group, none) = ("01:00:00:00:00:00", "00:00:00:00:00:00");
                write!(
                    f,
                    "ether daddr & {group} == {none} ether daddr != {{ {} }}",
                    macs.join(", ")
                )
            }
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
            Self::Redirect => write!(f, "icmp type redirect"),
            Self::Way(Direction::There) => write!(f, "ct direction original"),
            Self::Way(Direction::Back) => write!(f, "ct direction reply"),
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
            Self::Spread(service, by) => {
                let slot = match by {
                    Affinity::None => format!("numgen random mod {SLOTS}"),
                    Affinity::Source => format!("jhash ip saddr mod {SLOTS} seed {SEED:#x}"),
                };
                write!(f, "dnat ip to {slot} map @{}", slots_of(service))
            }
            Self::LeaveAs(address) => write!(f, "snat ip to {address} fully-random"),
            Self::Reset => write!(f, "counter reject with tcp reset"),
            Self::Refuse => write!(f, "counter reject"),
            Self::CountFor(way) => {
                let (address, port) = match way {
                    Direction::There => ("daddr", "dport"),
                    Direction::Back => ("saddr", "sport"),
                };
                let map = counted(*way);
                write!(
                    f,
                    "counter name ip {address} . meta l4proto . th {port} map @{map}"
                )
            }
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
