//! The bastion's own services: the numbers are those that farosd binds.

use faros_model::{
    ports::{
        CONSOLE, DHCP_CLIENT, DHCP_SERVER, DNS, INGRESS_HTTP, INGRESS_HTTPS, KUBERNETES_API, MACHINE_CONFIG,
        NETBOOT_HTTP, NTP, REGISTRY, SSH, TFTP, UNLOCK,
    },
    site::LanService,
};

use crate::{
    Distribution, Feature, Is,
    Need::{Forbidden, May, Must, Should},
    Party::{
        self, Arbiter, Bastion, Bmc, ControlPlane, Frontend, Host, MetaWorker, Outside, Unknown, Worker,
    },
    Protocol, Row, Source,
    row::one,
};

const ON: &[Party] = &[Bastion];
const BOOT_NODES: &[Party] = Party::NODES;
const STRANGERS: &[Party] = &[Host, Unknown];
const OUTSIDE: &[Party] = &[Outside];
const NODES_AND_BMCS: &[Party] = &[ControlPlane, Worker, MetaWorker, Frontend, Arbiter, Bmc];

pub(super) const ROWS: &[Row] = &[
    Row::new("bastion-dhcp", "DHCP server")
        .udp(&[one(DHCP_SERVER)])
        .on(ON, Party::LAN)
        .when(&[Is::With(Feature::Dhcp)])
        .need(Must, Source::Dhcp)
        .service(LanService::Dhcp),
    Row::new("bastion-dhcp-others", "what other DHCP servers offer")
        .udp(&[one(DHCP_CLIENT)])
        .on(ON, Party::LAN)
        .when(&[Is::With(Feature::Dhcp)])
        .need(Should, Source::Faros)
        .note("so that a second server is noticed"),
    Row::new("bastion-dns", "DNS server")
        .udp(&[one(DNS)])
        .on(ON, Party::LAN)
        .when(&[Is::With(Feature::Dns)])
        .need(Must, Source::Faros)
        .service(LanService::Dns),
    Row::new("bastion-dns-tcp", "DNS server, long answers")
        .tcp(&[one(DNS)])
        .on(ON, Party::LAN)
        .when(&[Is::With(Feature::Dns)])
        .need(Must, Source::Faros)
        .service(LanService::Dns),
    Row::new("bastion-ntp", "time server")
        .udp(&[one(NTP)])
        .on(ON, Party::LAN)
        .when(&[Is::With(Feature::Ntp)])
        .need(Must, Source::Faros)
        .service(LanService::Ntp),
    Row::new("bastion-tftp", "boot loaders by TFTP")
        .udp(&[one(TFTP)])
        .on(ON, BOOT_NODES)
        .when(&[Is::With(Feature::Netboot)])
        .need(Must, Source::Faros)
        .service(LanService::Netboot),
    Row::new("bastion-netboot", "boot scripts, kernels, images, reports")
        .tcp(&[one(NETBOOT_HTTP)])
        .on(ON, BOOT_NODES)
        .when(&[Is::With(Feature::Netboot)])
        .need(Must, Source::Faros)
        .service(LanService::Netboot),
    Row::new("bastion-ignition", "Ignition configs, and reports")
        .tcp(&[one(NETBOOT_HTTP)])
        .on(ON, BOOT_NODES)
        .when(&[Is::With(Feature::Ignition)])
        .need(Must, Source::Faros)
        .service(LanService::Ignition),
    Row::new("bastion-unlock", "unlocking of disks")
        .tcp(&[one(UNLOCK)])
        .on(ON, BOOT_NODES)
        .when(&[Is::With(Feature::Unlock)])
        .need(Must, Source::Faros)
        .service(LanService::Unlock),
    Row::new(
        "bastion-tftp-others",
        "boot loaders for machines to be adopted, and for controllers",
    )
    .udp(&[one(TFTP)])
    .on(ON, &[Bmc, Host, Unknown])
    .when(&[Is::With(Feature::Netboot)])
    .need(May, Source::Faros)
    .service(LanService::Netboot)
    .note("the service itself records and refuses who is no node"),
    Row::new("bastion-netboot-others", "the same by HTTP")
        .tcp(&[one(NETBOOT_HTTP)])
        .on(ON, &[Bmc, Host, Unknown])
        .when(&[Is::With(Feature::Netboot)])
        .need(May, Source::Faros)
        .service(LanService::Netboot),
    Row::new("bastion-ignition-others", "asking for an Ignition config in vain")
        .tcp(&[one(NETBOOT_HTTP)])
        .on(ON, STRANGERS)
        .when(&[Is::With(Feature::Ignition)])
        .need(May, Source::Faros)
        .service(LanService::Ignition)
        .note("the service itself records and refuses who is no node"),
    Row::new("bastion-unlock-others", "asking to be unlocked in vain")
        .tcp(&[one(UNLOCK)])
        .on(ON, STRANGERS)
        .when(&[Is::With(Feature::Unlock)])
        .need(May, Source::Faros)
        .service(LanService::Unlock)
        .note("the service itself records and refuses who is no node"),
    Row::new("bastion-ssh", "SSH")
        .tcp(&[one(SSH)])
        .on(ON, &[Host, Unknown, Outside])
        .need(May, Source::Faros)
        .service(LanService::Ssh)
        .note("from outside if it is published"),
    Row::new("bastion-console", "web console")
        .tcp(&[one(CONSOLE)])
        .on(ON, &[Host, Unknown, Outside])
        .need(May, Source::Faros)
        .service(LanService::Console)
        .note("from outside if it is published"),
    Row::new(
        "bastion-registry",
        "container images, and what nodes join the cluster with",
    )
    .tcp(&[one(REGISTRY)])
    .on(ON, BOOT_NODES)
    .when(&[Is::Distribution(&[Distribution::Kubeadm])])
    .need(Must, Source::Faros)
    .service(LanService::Registry)
    .note("the registry gives images to the nodes of the site, and to whom `lan.firewall` opens it"),
    Row::new("vip-api", "Kubernetes API on its virtual IP")
        .tcp(&[one(KUBERNETES_API)])
        .on(ON, Party::NODES)
        .vip()
        .when(&[Is::Distribution(CLUSTER)])
        .need(Must, Source::OpenshiftBalancer)
        .service(LanService::Api),
    Row::new("vip-api-clients", "the same for other clients")
        .tcp(&[one(KUBERNETES_API)])
        .on(ON, &[Host, Unknown, Outside])
        .vip()
        .need(May, Source::OpenshiftBalancer)
        .service(LanService::Api)
        .note("from outside if it is published"),
    Row::new("vip-api-alone", "the same where no cluster is installed by Faros")
        .tcp(&[one(KUBERNETES_API)])
        .on(ON, Party::NODES)
        .vip()
        .when(&[Is::Distribution(&[Distribution::None])])
        .need(May, Source::Faros)
        .service(LanService::Api),
    Row::new("vip-ingress", "ingress on its virtual IP")
        .tcp(&[one(INGRESS_HTTP), one(INGRESS_HTTPS)])
        .on(ON, Party::CLIENTS)
        .vip()
        .need(May, Source::OpenshiftBalancer)
        .service(LanService::Ingress)
        .note("from outside if it is published"),
    Row::new("vip-published", "ports of the operator's own, of TCP")
        .published(Protocol::Tcp)
        .on(ON, Party::CLIENTS)
        .vip()
        .need(May, Source::Faros),
    Row::new("vip-published-udp", "ports of the operator's own, of UDP")
        .published(Protocol::Udp)
        .on(ON, Party::CLIENTS)
        .vip()
        .need(May, Source::Faros),
    Row::new(
        "vip-machine-config",
        "OpenShift's machine config on the API's virtual IP",
    )
    .tcp(&[one(MACHINE_CONFIG)])
    .on(ON, Party::NODES)
    .vip()
    .when(&[Is::Distribution(&[Distribution::Openshift])])
    .need(Must, Source::OpenshiftBalancer),
    Row::new("bastion-machine-config-outside", "machine config from outside")
        .tcp(&[one(MACHINE_CONFIG)])
        .on(ON, OUTSIDE)
        .need(Forbidden, Source::OpenshiftBalancer)
        .note("it has secrets of the cluster, without a password"),
    Row::new(
        "bastion-lan-services-outside",
        "services of the LAN from outside, of TCP",
    )
    .tcp(&[one(DNS), one(REGISTRY), one(NETBOOT_HTTP), one(UNLOCK)])
    .on(ON, OUTSIDE)
    .need(Forbidden, Source::Faros),
    Row::new(
        "bastion-lan-services-outside-udp",
        "services of the LAN from outside, of UDP",
    )
    .udp(&[one(DNS), one(DHCP_SERVER), one(TFTP), one(NTP)])
    .on(ON, OUTSIDE)
    .need(Forbidden, Source::Faros)
    .note("open resolvers and time servers amplify attacks"),
    Row::new("bastion-uplink-dhcp", "the uplink's own address")
        .udp(&[one(DHCP_CLIENT)])
        .on(ON, OUTSIDE)
        .need(May, Source::Dhcp)
        .note("answers of the uplink's DHCP server, from port 67"),
    Row::new("bastion-ping", "echo")
        .over(Protocol::Icmp)
        .on(ON, Party::ANYONE)
        .need(Should, Source::Icmp),
    // ---- what the bastion asks
    Row::new("bastion-asks-dns", "resolvers")
        .udp(&[one(DNS)])
        .from(ON, OUTSIDE)
        .when(&[Is::With(Feature::Dns)])
        .need(Must, Source::Faros),
    Row::new("bastion-asks-dns-tcp", "resolvers, long answers")
        .tcp(&[one(DNS)])
        .from(ON, OUTSIDE)
        .when(&[Is::With(Feature::Dns)])
        .need(Must, Source::Faros),
    Row::new("bastion-asks-ntp", "sources of time")
        .udp(&[one(NTP)])
        .from(ON, OUTSIDE)
        .when(&[Is::With(Feature::Ntp)])
        .need(Should, Source::Faros)
        .note("without them it is an orphan"),
    Row::new("bastion-asks-dhcp", "the uplink's own address")
        .udp(&[one(DHCP_SERVER)])
        .from(ON, OUTSIDE)
        .when(&[Is::With(Feature::UplinkDhcp)])
        .need(Must, Source::Dhcp),
    Row::new("bastion-asks-packages", "packages and images")
        .tcp(&[one(INGRESS_HTTP), one(INGRESS_HTTPS)])
        .from(ON, OUTSIDE)
        .need(Should, Source::Faros),
    Row::new("bastion-asks-bmc", "Redfish")
        .tcp(&[one(INGRESS_HTTPS)])
        .from(ON, &[Bmc])
        .when(&[Is::With(Feature::Bmcs)])
        .need(Must, Source::Iana),
    Row::new("bastion-asks-ipmi", "IPMI")
        .udp(&[one(623)])
        .from(ON, &[Bmc])
        .when(&[Is::With(Feature::Bmcs)])
        .need(Must, Source::Iana),
    Row::new("bmc-redfish", "Redfish")
        .tcp(&[one(INGRESS_HTTPS)])
        .on(&[Bmc], ON)
        .when(&[Is::With(Feature::Bmcs)])
        .need(Must, Source::Iana),
    Row::new("bmc-ipmi", "IPMI")
        .udp(&[one(623)])
        .on(&[Bmc], ON)
        .when(&[Is::With(Feature::Bmcs)])
        .need(Must, Source::Iana),
    Row::new("bmc-way-out", "controllers to the outside world")
        .from(&[Bmc], OUTSIDE)
        .need(Forbidden, Source::Faros),
    Row::new("bastion-asks-ssh", "nodes by SSH")
        .tcp(&[one(SSH)])
        .from(ON, NODES_AND_BMCS)
        .need(May, Source::Faros),
];

const CLUSTER: &[Distribution] = &[Distribution::Kubeadm, Distribution::K3s, Distribution::Openshift];
