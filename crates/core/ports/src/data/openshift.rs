//! OpenShift on machines of one's own.

use faros_model::ports::{KUBERNETES_API, MACHINE_CONFIG, PortRange};

use crate::{
    Distribution, Feature, Is,
    Need::{Forbidden, Must},
    Party::{self, Bastion, ControlPlane, Frontend, Outside},
    Protocol, Row, Source,
    row::one,
};

const OCP: Is = Is::Distribution(&[Distribution::Openshift]);
const CP: &[Party] = &[ControlPlane];
const ALL: &[Party] = Party::KUBELETS;

pub(super) const ROWS: &[Row] = &[
    Row::new("openshift-api", "Kubernetes API")
        .tcp(&[one(KUBERNETES_API)])
        .on(CP, Party::CLIENTS)
        .when(&[OCP])
        .need(Must, Source::OpenshiftMachines),
    Row::new("openshift-etcd", "etcd, clients and peers")
        .tcp(&[PortRange(2379, 2380)])
        .on(CP, CP)
        .when(&[OCP])
        .need(Must, Source::OpenshiftMachines),
    Row::new("openshift-machine-config", "machine config server")
        .tcp(&[one(MACHINE_CONFIG)])
        .on(
            CP,
            &[Bastion, ControlPlane, Party::Worker, Party::MetaWorker, Frontend],
        )
        .when(&[OCP])
        .need(Must, Source::OpenshiftBalancer),
    Row::new("openshift-machine-config-outside", "machine config from outside")
        .tcp(&[one(MACHINE_CONFIG), one(22624)])
        .on(Party::NODES, &[Outside])
        .need(Forbidden, Source::OpenshiftBalancer)
        .note("it has secrets of the cluster, without a password"),
    Row::new("openshift-metrics", "metrics of the router")
        .tcp(&[one(1936)])
        .on(ALL, ALL)
        .when(&[OCP])
        .need(Must, Source::OpenshiftMachines),
    Row::new("openshift-host-services", "services of the hosts, of TCP")
        .tcp(&[PortRange(9000, 9999)])
        .on(ALL, ALL)
        .when(&[OCP])
        .need(Must, Source::OpenshiftMachines)
        .note("node exporter 9100-9101, cluster version operator 9099"),
    Row::new("openshift-host-services-udp", "services of the hosts, of UDP")
        .udp(&[PortRange(9000, 9999)])
        .on(ALL, ALL)
        .when(&[OCP])
        .need(Must, Source::OpenshiftMachines),
    Row::new("openshift-kubernetes", "Kubernetes' own")
        .tcp(&[PortRange(10250, 10254), PortRange(10256, 10259)])
        .on(ALL, ALL)
        .when(&[OCP])
        .need(Must, Source::OpenshiftMachines)
        .note("the document has 10250-10259; 10255, the kubelet's port without a password, is left out"),
    Row::new("openshift-vxlan", "VXLAN")
        .udp(&[one(4789)])
        .on(ALL, ALL)
        .when(&[OCP])
        .need(Must, Source::OpenshiftMachines),
    Row::new("openshift-geneve", "Geneve of OVN-Kubernetes")
        .udp(&[one(6081)])
        .on(ALL, ALL)
        .when(&[OCP])
        .need(Must, Source::OpenshiftMachines),
    Row::new("openshift-ipsec", "IPsec, keys")
        .udp(&[one(500), one(4500)])
        .on(ALL, ALL)
        .when(&[OCP, Is::With(Feature::OvnIpsec)])
        .need(Must, Source::OpenshiftMachines),
    Row::new("openshift-esp", "IPsec, payload")
        .over(Protocol::Esp)
        .on(ALL, ALL)
        .when(&[OCP, Is::With(Feature::OvnIpsec)])
        .need(Must, Source::OpenshiftMachines),
    Row::new("openshift-node-ports", "node ports of services, of TCP")
        .tcp(&[PortRange(30000, 32767)])
        .on(ALL, ALL)
        .when(&[OCP])
        .need(Must, Source::OpenshiftMachines),
    Row::new("openshift-node-ports-udp", "node ports of services, of UDP")
        .udp(&[PortRange(30000, 32767)])
        .on(ALL, ALL)
        .when(&[OCP])
        .need(Must, Source::OpenshiftMachines),
    Row::new(
        "openshift-control-plane-services",
        "services of the control plane",
    )
    .tcp(&[one(2381), one(6080), one(6443), one(8798), one(17697), one(22624)])
    .on(CP, ALL)
    .when(&[OCP])
    .need(Must, Source::OpenshiftMatrix)
    .note("those of the generated matrix that the document's ranges do not have"),
    Row::new("openshift-worker-services", "machine config daemon")
        .tcp(&[one(8798)])
        .on(&[Party::Worker, Party::MetaWorker, Frontend], ALL)
        .when(&[OCP])
        .need(Must, Source::OpenshiftMatrix),
];
