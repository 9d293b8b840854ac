//! The documents that rows come from.

use serde::Serialize;

macro_rules! sources {
    ($($(#[doc = $doc:literal])* $variant:ident = $word:literal, $title:literal, $url:literal, $version:literal;)*) => {
        /// A document.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Source {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Source {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// Its title.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),* }
            }

            /// Where it stands.
            pub const fn url(self) -> &'static str {
                match self { $(Self::$variant => $url),* }
            }

            /// Which version was read.
            pub const fn version(self) -> &'static str {
                match self { $(Self::$variant => $version),* }
            }
        }
    };
}

sources! {
    /// This project.
    Faros = "faros", "Faros: what the bastion serves, and what its nodes need of it",
        "https://faros.dev", "this release";
    /// Tectonic.
    Tectonic = "tectonic", "Tectonic: generic platform",
        "https://github.com/coreos/tectonic-docs/blob/14a36d87084c098268c36b3687c783b58149b3b0/Documentation/generic-platform.md",
        "coreos/tectonic-docs 14a36d8, 2018-07-17";
    /// Kubernetes.
    Kubernetes = "kubernetes", "Kubernetes: ports and protocols",
        "https://kubernetes.io/docs/reference/networking/ports-and-protocols/", "kubernetes/website 31a8f95, 0ad55a1";
    /// The kubelet's configuration.
    Kubelet = "kubelet", "Kubernetes: kubelet configuration v1beta1",
        "https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/", "readOnlyPort is 0 by default";
    /// The end of cAdvisor's own port.
    Cadvisor = "cadvisor", "Kubernetes: removal of the kubelet's --cadvisor-port",
        "https://github.com/kubernetes/kubernetes/pull/65707", "Kubernetes 1.12";
    /// Konnectivity.
    Konnectivity = "konnectivity", "Kubernetes: set up konnectivity",
        "https://kubernetes.io/docs/tasks/extend-kubernetes/setup-konnectivity/", "kubernetes/website 4d9111a";
    /// k3s.
    K3s = "k3s", "k3s: requirements, networking",
        "https://docs.k3s.io/installation/requirements#networking", "k3s-io/docs 005d295";
    /// OpenShift on machines of one's own.
    OpenshiftMachines = "openshift-machines", "OpenShift: network requirements of user-provisioned infrastructure",
        "https://docs.redhat.com/en/documentation/openshift_container_platform/",
        "openshift/openshift-docs 001ad1f, installation-network-user-infra";
    /// OpenShift's load balancers.
    OpenshiftBalancer = "openshift-balancer", "OpenShift: load balancing requirements of user-provisioned infrastructure",
        "https://docs.redhat.com/en/documentation/openshift_container_platform/",
        "openshift/openshift-docs 082db4c, installation-load-balancing-user-infra";
    /// OpenShift's generated matrix.
    OpenshiftMatrix = "openshift-matrix", "OpenShift: network flow matrix of bare metal",
        "https://github.com/openshift-kni/commatrix/tree/main/docs/stable", "openshift-kni/commatrix d057bb8, 2026-05-13";
    /// Cilium.
    Cilium = "cilium", "Cilium: system requirements, firewall rules",
        "https://docs.cilium.io/en/stable/operations/system_requirements/#firewall-rules", "cilium/cilium 00c8811";
    /// Calico.
    Calico = "calico", "Calico: system requirements",
        "https://docs.tigera.io/calico/latest/getting-started/kubernetes/requirements", "tigera/docs f2a2762, 2026-08-21";
    /// Calico as RKE2 lists it.
    Rke2 = "rke2", "RKE2: requirements, networking",
        "https://docs.rke2.io/install/requirements#networking", "rancher/rke2-docs 9477b7b, 2026-08-20";
    /// Flannel.
    Flannel = "flannel", "Flannel: backends",
        "https://github.com/flannel-io/flannel/blob/master/Documentation/backends.md", "cdf7605, 2026-08-14";
    /// MetalLB.
    Metallb = "metallb", "MetalLB: Helm chart",
        "https://github.com/metallb/metallb/tree/main/charts/metallb", "7938d3f, 2026-07-19";
    /// kube-vip.
    KubeVip = "kube-vip", "kube-vip", "https://github.com/kube-vip/kube-vip", "bee5cfe, 2026-08-21";
    /// Ceph.
    Ceph = "ceph", "Red Hat Ceph Storage 6: firewall ports",
        "https://docs.redhat.com/en/documentation/red_hat_ceph_storage/6/html/configuration_guide/config-ceph-firewall-ports_conf",
        "6";
    /// VRRP.
    Vrrp = "rfc9568", "RFC 9568: Virtual Router Redundancy Protocol version 3",
        "https://www.rfc-editor.org/rfc/rfc9568", "section 5.1";
    /// DHCP.
    Dhcp = "rfc2131", "RFC 2131: Dynamic Host Configuration Protocol",
        "https://www.rfc-editor.org/rfc/rfc2131", "section 4.1";
    /// ICMP in firewalls.
    Icmp = "rfc1122", "RFC 1122: requirements for Internet hosts",
        "https://www.rfc-editor.org/rfc/rfc1122", "section 3.2.2.6";
    /// Ports that are assigned.
    Iana = "iana", "IANA: service names and port numbers",
        "https://www.iana.org/assignments/service-names-port-numbers/", "2026";
    /// Vault.
    Vault = "vault", "yaook/k8s: Vault as the backend of secrets",
        "https://gitlab.com/yaook/k8s", "mirror alasca-association/tarook 018412d, 8.1.4";
}
