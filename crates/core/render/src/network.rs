//! A node's network, in the words of each system that has to set it up.

use std::net::Ipv4Addr;

use faros_cluster::PodBlocks;
use faros_model::{
    ids::MacAddr,
    net::Subnet,
    site::{Bond, Distribution, Node, NodeAddressing, Site},
};

/// Units of systemd-networkd, by file name.
pub(crate) fn networkd(site: &Site, node: &Node) -> Vec<(String, String)> {
    let mtu = if site.lan.mtu == 1500 {
        String::new()
    } else {
        format!("\n[Link]\nMTUBytes={}\n", site.lan.mtu)
    };
    let routes =
        pod_routes(site, node).map(|(to, by)| format!("\n[Route]\nDestination={to}\nGateway={by}\n"));
    let routes = routes.collect::<Vec<_>>().concat();
    match &node.network.bond {
        None => {
            let match_mac = format!("[Match]\nMACAddress={}\nType=ether\n", node.boot_mac);
            vec![(
                "10-lan.network".to_owned(),
                format!("{match_mac}\n{}{routes}{mtu}", addressing(site, node)),
            )]
        }
        Some(bond) => {
            let member = |mac: &MacAddr| {
                format!("[Match]\nMACAddress={mac}\nType=ether\n\n[Network]\nBond=bond0\n{mtu}")
            };
            let mut units = vec![
                ("10-bond0.netdev".to_owned(), bond_device(node, bond)),
                (
                    "20-bond0.network".to_owned(),
                    format!("[Match]\nName=bond0\n\n{}{routes}{mtu}", addressing(site, node)),
                ),
            ];
            units.extend(
                bond.macs
                    .iter()
                    .enumerate()
                    .map(|(idx, mac)| (format!("15-bond0-{idx}.network"), member(mac))),
            );
            units
        }
    }
}

/// The ways to the pods of the other nodes, where the cluster has no plug-in that knows them by itself.
fn pod_routes<'a>(site: &'a Site, node: &'a Node) -> impl Iterator<Item = (Subnet, Ipv4Addr)> + 'a {
    let cluster = &site.cluster;
    let is_ours = cluster.distribution == Distribution::Kubeadm && cluster.network_plugin == "bridge";
    let blocks = PodBlocks::of_site(site).ok().filter(|_| is_ours);
    blocks.into_iter().flat_map(|blocks| blocks.routes(site, node))
}

/// The bond speaks with the MAC of the boot interface, so that DHCP knows it.
fn bond_device(node: &Node, bond: &Bond) -> String {
    format!(
        "[NetDev]\nName=bond0\nKind=bond\nMACAddress={}\n\n[Bond]\nMode={}\nMIIMonitorSec=100ms\n",
        node.boot_mac,
        bond.mode.as_str()
    )
}

fn addressing(site: &Site, node: &Node) -> String {
    let bastion = site.lan.addresses.bastion;
    match node.network.addressing {
        // The client identifier is the MAC, as the boot ROM's: the node keeps the lease it booted with.
        NodeAddressing::Dhcp => {
            "[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n\n[DHCPv4]\nClientIdentifier=mac\nUseDomains=yes\nUseNTP=yes\n".to_owned()
        }
        NodeAddressing::Static => format!(
            "[Network]\nAddress={}/{}\nGateway={bastion}\nDNS={bastion}\nNTP={bastion}\nDomains={}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n",
            node.address,
            site.lan.subnet.prefix(),
            site.zone()
        ),
    }
}

/// Connections of NetworkManager in its keyfile format, by file name.
pub(crate) fn network_manager(site: &Site, node: &Node) -> Vec<(String, String)> {
    let mtu = match site.lan.mtu {
        1500 => String::new(),
        mtu => format!("\n[ethernet]\nmtu={mtu}\n"),
    };
    let bastion = site.lan.addresses.bastion;
    let routes = pod_routes(site, node).enumerate();
    let routes = routes.map(|(idx, (to, by))| format!("route{}={to},{by}\n", idx + 1));
    let routes = routes.collect::<Vec<_>>().concat();
    let ipv4 = match node.network.addressing {
        NodeAddressing::Dhcp => {
            format!("[ipv4]\nmethod=auto\ndhcp-client-id=mac\n{routes}\n[ipv6]\nmethod=disabled\n")
        }
        NodeAddressing::Static => format!(
            "[ipv4]\nmethod=manual\naddress1={}/{},{bastion}\ndns={bastion};\ndns-search={};\n{routes}\n[ipv6]\nmethod=disabled\n",
            node.address,
            site.lan.subnet.prefix(),
            site.zone()
        ),
    };
    match &node.network.bond {
        None => vec![(
            "lan.nmconnection".to_owned(),
            format!(
                "[connection]\nid=lan\ntype=ethernet\n\n[ethernet]\nmac-address={}\n\n{ipv4}",
                node.boot_mac
            ) + &mtu,
        )],
        Some(bond) => {
            let device = format!(
                "[connection]\nid=bond0\ntype=bond\ninterface-name=bond0\n\n[bond]\nmode={}\nmiimon=100\n\n\
                 [ethernet]\ncloned-mac-address={}\n\n{ipv4}{mtu}",
                bond.mode.as_str(),
                node.boot_mac
            );
            let member = |(idx, mac): (usize, &MacAddr)| {
                (
                    format!("bond0-{idx}.nmconnection"),
                    format!(
                        "[connection]\nid=bond0-{idx}\ntype=ethernet\nmaster=bond0\nslave-type=bond\n\n\
                         [ethernet]\nmac-address={mac}\n"
                    ),
                )
            };
            let members = bond.macs.iter().enumerate().map(member);
            std::iter::once(("bond0.nmconnection".to_owned(), device))
                .chain(members)
                .collect()
        }
    }
}

/// The same for an initramfs that is told on the kernel's command line (`dracut.cmdline(7)`).
pub(crate) fn kernel_arguments(site: &Site, node: &Node) -> Vec<String> {
    let mut arguments = vec!["rd.neednet=1".to_owned()];
    let device = match &node.network.bond {
        None => {
            arguments.push(format!("ifname=lan0:{}", node.boot_mac));
            "lan0"
        }
        Some(bond) => {
            let names: Vec<String> = (0..bond.macs.len()).map(|idx| format!("lan{idx}")).collect();
            arguments.extend(
                names
                    .iter()
                    .zip(&bond.macs)
                    .map(|(name, mac)| format!("ifname={name}:{mac}")),
            );
            let mode = bond.mode.as_str();
            arguments.push(format!("bond=bond0:{}:mode={mode},miimon=100", names.join(",")));
            "bond0"
        }
    };
    let bastion = site.lan.addresses.bastion;
    match node.network.addressing {
        NodeAddressing::Dhcp => arguments.push(format!("ip={device}:dhcp")),
        NodeAddressing::Static => {
            let mask = site.lan.subnet.netmask();
            let name = &node.name;
            arguments.push(format!(
                "ip={}::{bastion}:{mask}:{name}:{device}:none",
                node.address
            ));
            arguments.push(format!("nameserver={bastion}"));
        }
    }
    arguments
}
