//! Network plug-ins, and what else runs in a cluster: storage, announcers of services.

use faros_model::ports::PortRange;

use crate::{
    Distribution, Feature, Is,
    Need::{May, Must, Should},
    Party, Plugin, Protocol, Row, Source,
    row::one,
};

const NODES: &[Party] = Party::KUBELETS;
const CP: &[Party] = &[Party::ControlPlane];
const IS_CILIUM: Is = Is::Plugin(Plugin::Cilium);
const IS_CALICO: Is = Is::Plugin(Plugin::Calico);
const IS_FLANNEL: Is = Is::Plugin(Plugin::Flannel);
const CLUSTER: Is = Is::Distribution(&[Distribution::Kubeadm, Distribution::K3s, Distribution::Openshift]);

pub(super) const CILIUM: &[Row] = &[
    Row::new("cilium-vxlan", "Cilium VXLAN")
        .udp(&[one(8472)])
        .on(NODES, NODES)
        .when(&[IS_CILIUM, Is::With(Feature::CiliumVxlan)])
        .need(Must, Source::Cilium),
    Row::new("cilium-geneve", "Cilium Geneve")
        .udp(&[one(6081)])
        .on(NODES, NODES)
        .when(&[IS_CILIUM, Is::With(Feature::CiliumGeneve)])
        .need(Must, Source::Cilium),
    Row::new("cilium-wireguard", "Cilium WireGuard")
        .udp(&[one(51871)])
        .on(NODES, NODES)
        .when(&[IS_CILIUM, Is::With(Feature::CiliumWireguard)])
        .need(Must, Source::Cilium),
    Row::new("cilium-ipsec", "Cilium IPsec")
        .over(Protocol::Esp)
        .on(NODES, NODES)
        .when(&[IS_CILIUM, Is::With(Feature::CiliumIpsec)])
        .need(Must, Source::Cilium),
    Row::new("cilium-health", "Cilium health between nodes")
        .tcp(&[one(4240)])
        .on(NODES, NODES)
        .when(&[IS_CILIUM])
        .need(Should, Source::Cilium),
    Row::new("cilium-hubble", "Hubble server")
        .tcp(&[one(4244)])
        .on(NODES, NODES)
        .when(&[IS_CILIUM, Is::With(Feature::CiliumHubble)])
        .need(Should, Source::Cilium),
    Row::new("cilium-hubble-relay", "Hubble relay")
        .tcp(&[one(4245)])
        .on(NODES, NODES)
        .when(&[IS_CILIUM, Is::With(Feature::CiliumHubbleRelay)])
        .need(Should, Source::Cilium),
    Row::new("cilium-mutual-auth", "mutual authentication")
        .tcp(&[one(4250)])
        .on(NODES, NODES)
        .when(&[IS_CILIUM, Is::With(Feature::CiliumMutualAuth)])
        .need(Must, Source::Cilium),
    Row::new("cilium-metrics", "Cilium metrics")
        .tcp(&[PortRange(9962, 9964)])
        .on(NODES, NODES)
        .when(&[IS_CILIUM, Is::With(Feature::Monitoring)])
        .need(Should, Source::Cilium)
        .note("agent, operator, Envoy"),
    Row::new("cilium-kvstore", "etcd, for Cilium's agents")
        .tcp(&[PortRange(2379, 2380)])
        .on(CP, NODES)
        .when(&[IS_CILIUM, Is::With(Feature::CiliumKvstore)])
        .need(Must, Source::Cilium),
    Row::new("cilium-local", "Cilium's own")
        .tcp(&[
            one(4251),
            PortRange(6060, 6062),
            PortRange(9878, 9879),
            PortRange(9890, 9891),
            one(9893),
            one(9901),
        ])
        .local(NODES)
        .when(&[IS_CILIUM])
        .need(May, Source::Cilium),
];

pub(super) const CALICO: &[Row] = &[
    Row::new("calico-bgp", "Calico BGP")
        .tcp(&[one(179)])
        .on(NODES, NODES)
        .when(&[IS_CALICO, Is::With(Feature::CalicoBgp)])
        .need(Must, Source::Calico),
    Row::new("calico-ipip", "Calico IP in IP")
        .over(Protocol::Ipip)
        .on(NODES, NODES)
        .when(&[IS_CALICO, Is::With(Feature::CalicoIpip)])
        .need(Must, Source::Calico),
    Row::new("calico-vxlan", "Calico VXLAN")
        .udp(&[one(4789)])
        .on(NODES, NODES)
        .when(&[IS_CALICO, Is::With(Feature::CalicoVxlan)])
        .need(Must, Source::Calico),
    Row::new("calico-typha", "Calico Typha")
        .tcp(&[one(5473)])
        .on(NODES, NODES)
        .when(&[IS_CALICO, Is::With(Feature::CalicoTypha)])
        .need(Must, Source::Calico),
    Row::new("calico-wireguard", "Calico WireGuard")
        .udp(&[one(51820)])
        .on(NODES, NODES)
        .when(&[IS_CALICO, Is::With(Feature::CalicoWireguard)])
        .need(Must, Source::Calico)
        .note("51821 over IPv6, which nodes do not have"),
    Row::new("calico-health", "Calico health")
        .tcp(&[PortRange(9098, 9099)])
        .on(NODES, NODES)
        .when(&[IS_CALICO])
        .need(May, Source::Rke2)
        .note("Typha and Felix"),
];

pub(super) const FLANNEL: &[Row] = &[
    Row::new("flannel-vxlan", "Flannel VXLAN")
        .udp(&[one(8472)])
        .on(NODES, NODES)
        .when(&[IS_FLANNEL, Is::With(Feature::FlannelVxlan)])
        .need(Must, Source::Flannel)
        .note("the kernel's default, which can be changed; some documents say 4789"),
    Row::new("flannel-wireguard", "Flannel WireGuard")
        .udp(&[one(51820)])
        .on(NODES, NODES)
        .when(&[IS_FLANNEL, Is::With(Feature::FlannelWireguard)])
        .need(Must, Source::Flannel)
        .note("51821 over IPv6, which nodes do not have"),
    Row::new("flannel-udp", "Flannel UDP")
        .udp(&[one(8285)])
        .on(NODES, NODES)
        .when(&[IS_FLANNEL, Is::With(Feature::FlannelUdp)])
        .need(Must, Source::Flannel),
    Row::new("flannel-ipsec", "Flannel IPsec, keys")
        .udp(&[one(500), one(4500)])
        .on(NODES, NODES)
        .when(&[IS_FLANNEL, Is::With(Feature::FlannelIpsec)])
        .need(Must, Source::Flannel),
    Row::new("flannel-esp", "Flannel IPsec, payload")
        .over(Protocol::Esp)
        .on(NODES, NODES)
        .when(&[IS_FLANNEL, Is::With(Feature::FlannelIpsec)])
        .need(Must, Source::Flannel),
];

pub(super) const OTHERS: &[Row] = &[
    Row::new("ceph-monitors", "Ceph monitors")
        .tcp(&[one(3300), one(6789)])
        .on(NODES, NODES)
        .when(&[
            CLUSTER,
            Is::With(Feature::RookCeph),
            Is::With(Feature::CephHostNetwork),
        ])
        .need(Must, Source::Ceph),
    Row::new("ceph-daemons", "Ceph OSDs, managers and metadata servers")
        .tcp(&[PortRange(6800, 7300)])
        .on(NODES, NODES)
        .when(&[
            CLUSTER,
            Is::With(Feature::RookCeph),
            Is::With(Feature::CephHostNetwork),
        ])
        .need(Must, Source::Ceph),
    Row::new("metallb-members", "MetalLB members, of TCP")
        .tcp(&[one(7946)])
        .on(NODES, NODES)
        .when(&[CLUSTER, Is::With(Feature::Metallb)])
        .need(Must, Source::Metallb),
    Row::new("metallb-members-udp", "MetalLB members, of UDP")
        .udp(&[one(7946)])
        .on(NODES, NODES)
        .when(&[CLUSTER, Is::With(Feature::Metallb)])
        .need(Must, Source::Metallb),
    Row::new("metallb-metrics", "MetalLB metrics")
        .tcp(&[PortRange(9120, 9121)])
        .on(NODES, NODES)
        .when(&[CLUSTER, Is::With(Feature::Metallb), Is::With(Feature::Monitoring)])
        .need(Should, Source::Metallb),
    Row::new("kube-vip-metrics", "kube-vip metrics")
        .tcp(&[one(2112)])
        .on(CP, NODES)
        .when(&[CLUSTER, Is::With(Feature::KubeVip), Is::With(Feature::Monitoring)])
        .need(Should, Source::KubeVip),
];
