//! From the site to its rules: who may talk to whom.
//!
//! There are four zones. The *uplink* may do what is published, and in gateway mode `nat` what trusted networks
//! need of nodes. The *LAN* is not trusted as a whole: each group of machines may use what its role needs. The
//! *BMCs* are a part of the LAN and have no business in the outside world. The *cluster* is the addresses of
//! pods and services, which are never on a wire of the bastion.

mod arriving;
mod balanced;
mod forward;
mod groups;
mod input;
mod interfaces;

use faros_model::{
    net::Subnet,
    plan::Service,
    ports::{DHCP_SERVER, DNS, NTP},
    site::{Site, Transport},
};

pub use self::{
    arriving::inside,
    groups::{group_name, lan_services},
    interfaces::{BadInterface, Interfaces},
};
use self::{
    arriving::{arriving_lan, arriving_uplink},
    balanced::{
        asking, balanced, counted, hairpin, in_their_name, lan_doors, leading, not_led, to_virtual_addresses,
        uplink_doors,
    },
    forward::{forward_from_lan, forward_to_lan, leaving, published},
    groups::Groups,
    input::{input_lan, input_uplink},
};
pub(crate) use self::{
    forward::leads_to,
    groups::{groups, open_ports},
};
use crate::rules::{Addresses, Chain, Hook, Match, PortRange, Rule, Ruleset, Side, Verdict};

impl Ruleset {
    /// The rules of a site on these interfaces.
    pub fn compile(site: &Site, interfaces: &Interfaces) -> Self {
        let groups = Groups::of(site);
        let lan = || Match::InBy(interfaces.lan.clone());
        let uplink = || Match::InBy(interfaces.uplink.clone());
        let to_lan = || Match::OutBy(interfaces.lan.clone());
        let to_uplink = || Match::OutBy(interfaces.uplink.clone());
        let go = |when, chain| Rule::new(vec![when], Verdict::Goto(chain), "");
        let chain = |name, hook, rules| Chain { name, hook, rules };
        let drop_rest = |why: &str| Rule::new(vec![], Verdict::Drop, why);
        let is_balanced = site.runs(Service::Balancer);
        let mut chains = vec![
            chain(
                "arriving",
                Some(Hook::Arriving),
                vec![go(lan(), "arriving_lan"), go(uplink(), "arriving_uplink")],
            ),
            chain("arriving_lan", None, arriving_lan(site, &interfaces.bridge)),
            chain("arriving_uplink", None, arriving_uplink(site)),
            chain(
                "answering",
                Some(Hook::Answering),
                [
                    vec![Rule::new(
                        vec![to_lan(), short_questions(&[DNS, DHCP_SERVER, NTP], Side::Source)],
                        Verdict::NotTracked,
                        "answers to short questions",
                    )],
                    in_their_name(site, &to_lan(), &to_uplink()),
                    vec![Rule::new(
                        vec![
                            to_uplink(),
                            Match::Destination(true, Addresses::of(cluster(site))),
                        ],
                        Verdict::Refuse,
                        "to pods or services, which are not out there",
                    )],
                ]
                .concat(),
            ),
            chain(
                "input",
                Some(Hook::Input),
                vec![go(lan(), "input_lan"), go(uplink(), "input_uplink")],
            ),
            chain("input_lan", None, input_lan(site, &groups)),
            chain("input_uplink", None, input_uplink(site)),
            chain(
                "pings",
                None,
                vec![
                    Rule::new(vec![Match::NeededIcmp], Verdict::Accept, ""),
                    Rule::new(vec![Match::NeededIcmp6], Verdict::Accept, ""),
                    Rule::new(vec![Match::ModestPing], Verdict::Accept, ""),
                    drop_rest("ICMP that nobody needs"),
                ],
            ),
            chain(
                "forward",
                Some(Hook::Forward),
                [
                    is_balanced
                        .then(|| Rule::new(vec![Match::WasPublished], Verdict::Jump("counted"), ""))
                        .into_iter()
                        .collect(),
                    vec![
                        // Most packets go to the LAN: what comes in, and what is balanced within it.
                        go(to_lan(), "forward_to_lan"),
                        Rule::new(
                            vec![uplink(), to_uplink()],
                            Verdict::Drop,
                            "the outside is not routed to the outside",
                        ),
                        Rule::new(
                            vec![to_uplink(), Match::Opening],
                            Verdict::ClampSegments,
                            "segments that fit the uplink",
                        ),
                        go(lan(), "forward_from_lan"),
                    ],
                ]
                .concat(),
            ),
            chain(
                "forward_to_lan",
                None,
                forward_to_lan(site, &groups, &lan(), &uplink()),
            ),
            chain("forward_from_lan", None, forward_from_lan(&groups, &to_uplink())),
            chain(
                "leaving",
                Some(Hook::Leaving),
                hairpin(site, &to_lan())
                    .into_iter()
                    .chain([leaving(site, to_uplink())])
                    .collect(),
            ),
        ];
        if is_balanced {
            chains.push(chain("counted", None, counted()));
            let to_vips =
                to_virtual_addresses(site).map(|to| Rule::new(vec![lan(), to], Verdict::Goto("led"), ""));
            let doors = leading(&uplink(), &uplink_doors(site));
            let published = to_vips.into_iter().chain(doors).collect();
            chains.push(chain("published", Some(Hook::Published), published));
            chains.push(chain("not_led", None, not_led(&lan_doors(site, &groups))));
            chains.push(chain("led", None, leading(&lan(), &lan_doors(site, &groups))));
            chains.push(chain("asking", Some(Hook::Asking), asking(site)));
        } else {
            chains.push(chain(
                "published",
                Some(Hook::Published),
                published(site, &uplink()),
            ));
        }
        Self {
            balanced: balanced(site),
            chains,
        }
    }
}

fn ports(transport: Transport, ports: &[u16]) -> Match {
    let mut ports: Vec<PortRange> = ports.iter().copied().map(PortRange::from).collect();
    ports.sort_unstable();
    Match::Ports(transport, Side::Destination, ports)
}

/// Questions of one packet, which need no entry in the table of connections: a flood of them cannot fill it.
fn short_questions(ports: &[u16], side: Side) -> Match {
    Match::Ports(
        Transport::Udp,
        side,
        ports.iter().copied().map(PortRange::from).collect(),
    )
}

/// Addresses that are never on a wire of the bastion.
fn cluster(site: &Site) -> [Subnet; 2] {
    [site.cluster.pod_network, site.cluster.service_network]
}
