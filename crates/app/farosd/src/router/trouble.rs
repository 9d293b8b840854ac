//! What keeps the router from its work and is not its own to change: told, and left alone.

use faros_kernel::{
    host::{self, Manager},
    lan::Interface,
};
use faros_model::{
    net::Subnet,
    site::{Site, UplinkAddressing},
};

/// Who gives the uplink its address, for the plan.
pub(super) fn note(site: &Site, name: &str, manager: Option<Manager>) -> Option<String> {
    let by = manager.map(Manager::as_str);
    match (&site.uplink.addressing, by) {
        (UplinkAddressing::Static { .. }, None) => None,
        (UplinkAddressing::Static { .. }, Some(by)) => Some(format!(
            "{name}: the site file gives it an address, and {by} has it too; have {by} leave it alone"
        )),
        (UplinkAddressing::Dhcp | UplinkAddressing::Host, Some(by)) => Some(format!(
            "{name}: its address is left to {by}, which has it on this host"
        )),
        (UplinkAddressing::Dhcp | UplinkAddressing::Host, None) => Some(format!(
            "{name}: none of NetworkManager, systemd-networkd and ifupdown has it on this host; farosd asks nobody for an \
             address by DHCP, so that it has what it was given by hand"
        )),
    }
}

/// What is wrong, in words; nothing, if all is well.
pub(super) fn troubles(site: &Site, uplink: Option<&Interface>, droppers: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(uplink) = uplink {
        let own = uplink.addresses.iter().zip(&uplink.networks);
        for (address, network) in own {
            for (inside, name) in faros_firewall::inside(site) {
                if network.overlaps(inside) {
                    found.push(overlap(&uplink.name, *address, *network, inside, name));
                }
            }
        }
        if uplink.addresses.is_empty() {
            found.push(format!(
                "the uplink {} has no address, so that nobody has a way out",
                uplink.name
            ));
        }
    }
    for chain in droppers {
        found.push(format!(
            "the chain {chain} of somebody else drops what it does not know, and with it what nodes send out and what is \
             published; Docker's lets it pass by `iptables -I DOCKER-USER -j ACCEPT`"
        ));
    }
    found
}

/// Something that others change again as soon as it is right, and who, where that is known.
pub(super) fn fight(what: &str, who: &[&str]) -> String {
    let by = if who.is_empty() {
        "somebody".to_owned()
    } else {
        format!("the program {}", who.join(", "))
    };
    format!(
        "{by} keeps changing {what} again as soon as it is right: it is put right ever more seldom, up to a minute apart; \
         have it leave that alone"
    )
}

fn overlap(name: &str, address: std::net::Ipv4Addr, network: Subnet, inside: Subnet, whose: &str) -> String {
    format!(
        "the uplink {name} has {address} in {network}, which overlaps {inside} of {whose}: hosts there cannot be told from \
         those inside, and are not heard; give one of them another network"
    )
}

/// Other people's chains that drop what is forwarded. What cannot be asked is no trouble of its own.
pub(super) async fn droppers() -> Vec<String> {
    let own = format!("{} {}", faros_firewall::FAMILY, faros_firewall::TABLE);
    host::forward_droppers(&own).await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use faros_model::ids::MacAddr;

    use super::*;

    fn site() -> Option<Site> {
        let text = include_str!("../../../../../examples/three-nodes.yaml");
        faros_site::load(text).ok().map(|loaded| loaded.site)
    }

    fn uplink(own: &[(&str, u8)]) -> Interface {
        let addresses: Vec<std::net::Ipv4Addr> = own.iter().filter_map(|(own, _)| own.parse().ok()).collect();
        let networks = addresses
            .iter()
            .zip(own)
            .map(|(address, (_, prefix))| Subnet::of(*address, *prefix));
        Interface {
            name: "uplink0".to_owned(),
            index: 2,
            mac: MacAddr([2; 6]),
            networks: networks.collect(),
            addresses,
            is_up: true,
        }
    }

    #[test]
    fn what_the_uplink_was_given_is_held_against_the_inside() {
        let Some(site) = site() else {
            panic!("the demo's site is refused")
        };
        for (own, count, words) in [
            (&[("203.0.113.2", 24)][..], 0, ""),
            (&[("203.0.113.2", 24), ("198.51.100.2", 24)], 0, ""),
            (&[], 1, "has no address"),
            (&[("192.168.8.77", 24)], 1, "overlaps 192.168.8.0/24 of the LAN"),
            (&[("192.168.1.5", 16)], 1, "overlaps 192.168.8.0/24 of the LAN"),
            (&[("10.128.3.4", 24)], 1, "overlaps 10.128.0.0/14 of pods"),
        ] {
            let found = troubles(&site, Some(&uplink(own)), &[]);
            assert_eq!(found.len(), count, "{found:?}");
            assert!(found.iter().all(|one| one.contains(words)), "{found:?}");
        }
        let found = troubles(&site, None, &["ip filter FORWARD".to_owned()]);
        assert!(found[0].contains("ip filter FORWARD"), "{found:?}");
    }

    #[test]
    fn the_plan_says_who_gives_the_uplink_its_address() {
        let Some(site) = site() else {
            panic!("the demo's site is refused")
        };
        let by = note(&site, "uplink0", Some(Manager::Networkd)).unwrap_or_default();
        assert!(by.contains("left to systemd-networkd"), "{by}");
        let by_none = note(&site, "uplink0", None).unwrap_or_default();
        assert!(by_none.contains("none of NetworkManager"), "{by_none}");
    }
}
