//! What every node has, whichever Kubernetes runs on it.

use faros_model::ports::{
    DHCP_CLIENT, DHCP_SERVER, DNS, INGRESS_HTTP, INGRESS_HTTPS, NETBOOT_HTTP, NTP, SSH, TFTP, UNLOCK,
};

use crate::{
    Feature, Is,
    Need::{May, Must, Should},
    Party::{self, Bastion, Frontend, Host, Outside, Unknown},
    Protocol, Row, Source,
    row::one,
};

const NODES: &[Party] = Party::NODES;
const BASTION: &[Party] = &[Bastion];

pub(super) const ROWS: &[Row] = &[
    Row::new("ssh", "SSH")
        .tcp(&[one(SSH)])
        .on(NODES, &[Bastion, Host, Unknown, Outside])
        .when(&[Is::With(Feature::Ssh)])
        .need(Should, Source::OpenshiftMatrix)
        .note("for people, and optional; nodes do not log in on each other"),
    Row::new("ping", "echo")
        .over(Protocol::Icmp)
        .on(NODES, Party::ANYONE)
        .need(Should, Source::OpenshiftMachines),
    Row::new("dhcp-client", "answers of DHCP")
        .udp(&[one(DHCP_CLIENT)])
        .on(NODES, BASTION)
        .need(Must, Source::Dhcp)
        .note("from port 67"),
    Row::new("node-exporter", "Prometheus node exporter")
        .tcp(&[one(9100)])
        .on(NODES, NODES)
        .when(&[Is::With(Feature::Monitoring)])
        .need(Should, Source::OpenshiftMatrix),
    Row::new("published", "ports of the operator's own, of TCP")
        .published(Protocol::Tcp)
        .on(NODES, &[Bastion, Outside])
        .need(Must, Source::Faros)
        .note("as the site file publishes them"),
    Row::new("published-udp", "ports of the operator's own, of UDP")
        .published(Protocol::Udp)
        .on(NODES, &[Bastion, Outside])
        .need(Must, Source::Faros)
        .note("as the site file publishes them"),
    Row::new("vrrp", "VRRP")
        .over(Protocol::Vrrp)
        .on(&[Frontend], &[Frontend])
        .when(&[Is::With(Feature::SeveralFrontends)])
        .need(Must, Source::Vrrp)
        .note("to 224.0.0.18, with a TTL of 255; it has no authentication"),
    // ---- what nodes ask
    Row::new("asks-dhcp", "an address")
        .udp(&[one(DHCP_SERVER)])
        .from(NODES, BASTION)
        .when(&[Is::With(Feature::Dhcp)])
        .need(Must, Source::Dhcp),
    Row::new("asks-dns", "names")
        .udp(&[one(DNS)])
        .from(NODES, BASTION)
        .when(&[Is::With(Feature::Dns)])
        .need(Must, Source::Faros),
    Row::new("asks-dns-tcp", "names, long answers")
        .tcp(&[one(DNS)])
        .from(NODES, BASTION)
        .when(&[Is::With(Feature::Dns)])
        .need(Must, Source::Faros),
    Row::new("asks-ntp", "the time")
        .udp(&[one(NTP)])
        .from(NODES, BASTION)
        .when(&[Is::With(Feature::Ntp)])
        .need(Must, Source::Faros),
    Row::new("asks-tftp", "boot loaders")
        .udp(&[one(TFTP)])
        .from(NODES, BASTION)
        .when(&[Is::With(Feature::Netboot)])
        .need(Must, Source::Faros),
    Row::new("asks-netboot", "boot scripts, images, configs; and reports")
        .tcp(&[one(NETBOOT_HTTP)])
        .from(NODES, BASTION)
        .when(&[Is::With(Feature::Netboot)])
        .need(Must, Source::Faros),
    Row::new("asks-unlock", "to be unlocked")
        .tcp(&[one(UNLOCK)])
        .from(NODES, BASTION)
        .when(&[Is::With(Feature::Unlock)])
        .need(Must, Source::Faros),
    Row::new("asks-images", "container images and packages")
        .tcp(&[one(INGRESS_HTTPS)])
        .from(NODES, &[Outside])
        .need(Must, Source::OpenshiftMachines)
        .note("directly, by a proxy, or from a mirror"),
    Row::new("asks-packages", "packages")
        .tcp(&[one(INGRESS_HTTP)])
        .from(NODES, &[Outside])
        .need(May, Source::Faros),
    Row::new("asks-vault", "secrets of a Vault")
        .tcp(&[one(8200)])
        .from(NODES, &[Outside])
        .when(&[Is::With(Feature::Vault)])
        .need(Must, Source::Vault),
];
