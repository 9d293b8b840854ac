//! Kubernetes as kubeadm and k3s install it.

use faros_model::ports::{INGRESS_HTTP, INGRESS_HTTPS, KUBERNETES_API, PortRange};

use crate::{
    Distribution::{self, Kubeadm},
    Feature, Is,
    Need::{Forbidden, May, Must, Should},
    Party::{self, Arbiter, Bastion, ControlPlane, Frontend, MetaWorker, Worker},
    Row, Source,
    row::one,
};

const API: &[PortRange] = &[one(KUBERNETES_API)];
const ETCD: &[PortRange] = &[PortRange(2379, 2380)];
const INGRESS: &[PortRange] = &[one(INGRESS_HTTP), one(INGRESS_HTTPS)];
const NODE_PORTS: &[PortRange] = &[PortRange(30000, 32767)];

const CP: &[Party] = &[ControlPlane];
const ETCD_MEMBERS: &[Party] = &[ControlPlane, Arbiter];
const KUBELETS: &[Party] = Party::KUBELETS;
const WORKERS: &[Party] = &[Worker];

const KUBEADM: Is = Is::Distribution(&[Kubeadm]);
const UPSTREAM: Is = Is::Distribution(&[Kubeadm, Distribution::K3s]);
const CLUSTER: Is = Is::Distribution(&[Kubeadm, Distribution::K3s, Distribution::Openshift]);
const K3S_ONLY: Is = Is::Distribution(&[Distribution::K3s]);

pub(super) const ROWS: &[Row] = &[
    Row::new("kubernetes-api", "Kubernetes API")
        .tcp(API)
        .on(CP, Party::CLIENTS)
        .when(&[KUBEADM])
        .need(Must, Source::Kubernetes),
    Row::new("etcd", "etcd, clients and peers")
        .tcp(ETCD)
        .on(ETCD_MEMBERS, ETCD_MEMBERS)
        .when(&[KUBEADM])
        .need(Must, Source::Kubernetes)
        .note("etcd beside the API servers; they are its only clients"),
    Row::new("etcd-keeper", "etcd, for the bastion")
        .tcp(&[one(2379)])
        .on(CP, &[Bastion])
        .when(&[KUBEADM])
        .need(Must, Source::Faros)
        .note("farosd takes its snapshots, and its dead members away"),
    Row::new("etcd-metrics", "etcd metrics")
        .tcp(&[one(2381)])
        .local(ETCD_MEMBERS)
        .when(&[UPSTREAM])
        .need(May, Source::K3s),
    Row::new("kubelet", "kubelet API")
        .tcp(&[one(10250)])
        .on(KUBELETS, CP)
        .when(&[KUBEADM])
        .need(Must, Source::Kubernetes)
        .note("logs, exec, port-forward"),
    Row::new("kubelet-metrics", "kubelet API, for metrics")
        .tcp(&[one(10250)])
        .on(KUBELETS, &[Worker, MetaWorker])
        .when(&[KUBEADM, Is::With(Feature::Monitoring)])
        .need(Should, Source::Kubernetes)
        .note("where metrics-server and Prometheus run"),
    Row::new("kubelet-health", "kubelet health")
        .tcp(&[one(10248)])
        .local(KUBELETS)
        .when(&[UPSTREAM])
        .need(May, Source::K3s),
    Row::new("kubelet-read-only", "kubelet read-only port")
        .tcp(&[one(10255)])
        .on(KUBELETS, Party::ANYONE)
        .need(Forbidden, Source::Kubelet)
        .note("no password; off by default since Kubernetes 1.11"),
    Row::new("cadvisor", "cAdvisor's own port")
        .tcp(&[one(4194)])
        .on(KUBELETS, Party::ANYONE)
        .need(Forbidden, Source::Cadvisor)
        .note("gone since Kubernetes 1.12; metrics are the kubelet's"),
    Row::new("scheduler", "kube-scheduler")
        .tcp(&[one(10259)])
        .local(CP)
        .when(&[UPSTREAM])
        .need(May, Source::Kubernetes),
    Row::new("controller-manager", "kube-controller-manager")
        .tcp(&[one(10257)])
        .local(CP)
        .when(&[UPSTREAM])
        .need(May, Source::Kubernetes),
    Row::new("cloud-controller-manager", "cloud-controller-manager")
        .tcp(&[one(10258)])
        .local(CP)
        .when(&[UPSTREAM])
        .need(May, Source::K3s),
    Row::new("kube-proxy-health", "kube-proxy health")
        .tcp(&[one(10256)])
        .on(KUBELETS, &[Bastion, Frontend])
        .when(&[KUBEADM, Is::With(Feature::KubeProxy)])
        .need(Should, Source::Kubernetes)
        .note("for load balancers"),
    Row::new("kube-proxy-metrics", "kube-proxy metrics")
        .tcp(&[one(10249)])
        .local(KUBELETS)
        .when(&[UPSTREAM, Is::With(Feature::KubeProxy)])
        .need(May, Source::K3s),
    Row::new("node-ports", "node ports of services, of TCP")
        .tcp(NODE_PORTS)
        .on(WORKERS, Party::CLIENTS)
        .when(&[UPSTREAM])
        .need(Should, Source::Kubernetes),
    Row::new("node-ports-udp", "node ports of services, of UDP")
        .udp(NODE_PORTS)
        .on(WORKERS, Party::CLIENTS)
        .when(&[UPSTREAM])
        .need(Should, Source::Kubernetes),
    Row::new("node-ports-control-plane", "node ports, of TCP")
        .tcp(NODE_PORTS)
        .on(CP, Party::CLIENTS)
        .when(&[UPSTREAM, Is::With(Feature::NoWorkers)])
        .need(Should, Source::Kubernetes),
    Row::new("node-ports-control-plane-udp", "node ports, of UDP")
        .udp(NODE_PORTS)
        .on(CP, Party::CLIENTS)
        .when(&[UPSTREAM, Is::With(Feature::NoWorkers)])
        .need(Should, Source::Kubernetes),
    Row::new("ingress", "ingress")
        .tcp(INGRESS)
        .on(WORKERS, Party::CLIENTS)
        .when(&[CLUSTER])
        .need(Should, Source::OpenshiftBalancer)
        .note("behind the balancer"),
    Row::new("ingress-control-plane", "ingress where no node is a worker")
        .tcp(INGRESS)
        .on(CP, Party::CLIENTS)
        .when(&[CLUSTER, Is::With(Feature::NoWorkers)])
        .need(Should, Source::OpenshiftBalancer),
    Row::new("frontend-api", "Kubernetes API on frontends")
        .tcp(API)
        .on(&[Frontend], Party::CLIENTS)
        .when(&[CLUSTER, Is::With(Feature::Frontends)])
        .need(Must, Source::OpenshiftBalancer),
    Row::new("frontend-ingress", "ingress on frontends")
        .tcp(INGRESS)
        .on(&[Frontend], Party::CLIENTS)
        .when(&[CLUSTER, Is::With(Feature::Frontends)])
        .need(Must, Source::OpenshiftBalancer),
    Row::new("konnectivity", "konnectivity agents")
        .tcp(&[one(8132)])
        .on(CP, &[Worker, MetaWorker])
        .when(&[UPSTREAM, Is::With(Feature::Konnectivity)])
        .need(Must, Source::Konnectivity),
    Row::new("konnectivity-local", "konnectivity, administration and health")
        .tcp(&[PortRange(8133, 8134)])
        .local(CP)
        .when(&[UPSTREAM, Is::With(Feature::Konnectivity)])
        .need(May, Source::Konnectivity),
];

pub(super) const K3S: &[Row] = &[
    Row::new("k3s-api", "k3s API and supervisor")
        .tcp(API)
        .on(CP, Party::CLIENTS)
        .when(&[K3S_ONLY])
        .need(Must, Source::K3s),
    Row::new("k3s-etcd", "embedded etcd")
        .tcp(ETCD)
        .on(ETCD_MEMBERS, ETCD_MEMBERS)
        .when(&[K3S_ONLY, Is::With(Feature::SeveralControlPlanes)])
        .need(Must, Source::K3s),
    Row::new("k3s-kubelet", "kubelet API")
        .tcp(&[one(10250)])
        .on(KUBELETS, KUBELETS)
        .when(&[K3S_ONLY])
        .need(Should, Source::K3s)
        .note("for metrics; logs and exec go by k3s' own tunnel"),
    Row::new("k3s-registry-mirror", "embedded registry mirror")
        .tcp(&[one(5001)])
        .on(KUBELETS, KUBELETS)
        .when(&[K3S_ONLY, Is::With(Feature::K3sRegistryMirror)])
        .need(Must, Source::K3s),
    Row::new("k3s-local", "k3s' own")
        .tcp(&[one(2382), one(6444), one(10010), one(10256)])
        .local(KUBELETS)
        .when(&[K3S_ONLY])
        .need(May, Source::K3s),
];
