//! Configuration of kubeadm, `kubeadm.k8s.io/v1beta4`, and of what it hands on to kubelet and kube-proxy.
//!
//! JSON documents in a YAML stream: kubeadm reads it as YAML, and no value can be taken for what it is not.
//! The kubelet's and kube-proxy's configuration stand with that of the first node; the others get them from the
//! cluster.

use faros_model::{
    kubernetes::{IMAGE_REPOSITORY, KubeVersion, Release},
    site::{Node, Role, Site, UplinkAddressing},
};
use serde_json::{Value, json};

use crate::{
    control_plane::{AUDIT_LOG, AUDIT_POLICY, AUTHENTICATION, ENCRYPTION, FOLDER, LOG_FOLDER},
    hardening::CIPHERS,
    names::{API_PORT, Names},
    pods::PodBlocks,
};

const SOCKET: &str = "unix:///run/containerd/containerd.sock";
const KUBEADM: &str = "kubeadm.k8s.io/v1beta4";

/// What of a release stands in configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// The version of Kubernetes, such as `v1.36.3`.
    pub kubernetes: String,
    /// What all names of the release's own images begin with, such as `faros.dev/kubernetes`.
    pub repository: String,
    /// The tag of etcd's image.
    pub etcd: String,
    /// The tag of `CoreDNS`'s image.
    pub dns: String,
    /// The whole name of the pause image.
    pub pause: String,
}

impl Images {
    /// Those of a release.
    ///
    /// # Errors
    /// The image that it has not.
    pub fn of(release: &Release) -> Result<Self, NoImage> {
        let image = |component| release.image(component).ok_or(NoImage(component));
        Ok(Self {
            kubernetes: release.version.to_string(),
            repository: IMAGE_REPOSITORY.to_owned(),
            etcd: image("etcd")?.name.tag().to_owned(),
            dns: image("coredns")?.name.tag().to_owned(),
            pause: image("pause")?.name.to_string(),
        })
    }
}

/// A release lacks an image without which no cluster runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the release has no image of {0}")]
pub struct NoImage(pub &'static str);

/// What `kubeadm init` is told on the first control-plane node.
///
/// It makes no token, and no rule that approves certificates: farosd makes each token for one node, and approves.
pub fn init_config(site: &Site, node: &Node, images: &Images) -> String {
    let init = json!({
        "apiVersion": KUBEADM, "kind": "InitConfiguration",
        "localAPIEndpoint": { "advertiseAddress": node.address, "bindPort": API_PORT },
        "nodeRegistration": registration(node),
        "skipPhases": ["bootstrap-token", "show-join-command"],
        "timeouts": timeouts(),
    });
    documents(&[init, cluster(site, images), kubelet(site), kube_proxy(site)])
}

/// What `kubeadm join` is told on the others. `discovery` is where the node has the kubeconfig with the cluster's
/// authority and its token.
pub fn join_config(node: &Node, discovery: &str, token: &str) -> String {
    let mut join = json!({
        "apiVersion": KUBEADM, "kind": "JoinConfiguration",
        "discovery": { "file": { "kubeConfigPath": discovery }, "tlsBootstrapToken": token },
        "nodeRegistration": registration(node),
        "timeouts": timeouts(),
    });
    if is_control_plane(node) {
        join["controlPlane"] = json!({
            "localAPIEndpoint": { "advertiseAddress": node.address, "bindPort": API_PORT },
        });
    }
    documents(&[join])
}

/// What `kubeadm upgrade` is told. farosd has looked whether all is well; a job that runs a pod somewhere to find that
/// out would find the node closed, or nobody with room. Rules that approve certificates are not made here either. `CoreDNS`
/// is left out: kubeadm has a list of its versions, and refuses one that is newer; the bastion gives it its image.
pub fn upgrade_config(images: &Images) -> String {
    let ignored = ["CreateJob", "CoreDNSMigration", "CoreDNSUnsupportedPlugins"];
    documents(&[json!({
        "apiVersion": KUBEADM, "kind": "UpgradeConfiguration",
        "apply": {
            "kubernetesVersion": images.kubernetes,
            "ignorePreflightErrors": ignored,
            "imagePullSerial": true,
            "skipPhases": ["bootstrap-token", "addon/coredns"],
        },
        "node": {
            "ignorePreflightErrors": ignored,
            "imagePullSerial": true,
            "skipPhases": ["addon/coredns"],
        },
        "timeouts": timeouts(),
    })])
}

pub(crate) fn is_control_plane(node: &Node) -> bool {
    node.roles.contains(&Role::ControlPlane)
}

/// Labels and other taints of the node stand in `/etc/default/kubelet`.
fn registration(node: &Node) -> Value {
    let keeps_workload_away = is_control_plane(node) && !node.roles.contains(&Role::Worker);
    let taints = if keeps_workload_away {
        json!([{ "key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule" }])
    } else {
        json!([])
    };
    json!({
        "name": node.name,
        "criSocket": SOCKET,
        "imagePullPolicy": "IfNotPresent",
        "imagePullSerial": true,
        "taints": taints,
    })
}

/// A small machine that unpacks its images on a slow disk needs longer than kubeadm's usual 4 minutes.
fn timeouts() -> Value {
    json!({
        "controlPlaneComponentHealthCheck": "10m0s",
        "kubeletHealthCheck": "5m0s",
        "kubernetesAPICall": "2m0s",
        "etcdAPICall": "5m0s",
        "tlsBootstrap": "10m0s",
        "discovery": "5m0s",
    })
}

fn cluster(site: &Site, images: &Images) -> Value {
    let names = Names::of(site);
    let mut alternatives = vec![names.api_internal.clone(), site.lan.addresses.api.to_string()];
    if let UplinkAddressing::Static { address, .. } = site.uplink.addressing {
        alternatives.push(address.to_string());
    }
    let dns = json!({ "imageTag": images.dns });
    let etcd = json!({ "local": {
        "dataDir": "/var/lib/etcd",
        "imageTag": images.etcd,
        "extraArgs": arguments(&[
            // An edge's disk may take its time over a sync: no new leader for that. Failing over takes 2 s.
            ("heartbeat-interval", "200"),
            ("election-timeout", "2000"),
            ("quota-backend-bytes", "4294967296"),
            ("cipher-suites", &CIPHERS.join(",")),
        ]),
    } });
    json!({
        "apiVersion": KUBEADM, "kind": "ClusterConfiguration",
        "clusterName": site.name,
        "kubernetesVersion": images.kubernetes,
        "controlPlaneEndpoint": names.endpoint(),
        "imageRepository": images.repository,
        "encryptionAlgorithm": "ECDSA-P256",
        "certificatesDir": "/etc/kubernetes/pki",
        "networking": {
            "dnsDomain": "cluster.local",
            "podSubnet": site.cluster.pod_network,
            "serviceSubnet": site.cluster.service_network,
        },
        "dns": dns,
        "etcd": etcd,
        "apiServer": api_server(&alternatives),
        "controllerManager": { "extraArgs": controller_manager(images) },
        "scheduler": { "extraArgs": arguments(&[
            ("profiling", "false"),
            ("tls-cipher-suites", &CIPHERS.join(",")),
            ("tls-min-version", "VersionTLS12"),
        ]) },
    })
}

/// The last minor version of which kubeadm mounts a folder of `/usr`, for plugins that nobody has.
const LAST_WITH_FLEX: u16 = 35;

fn controller_manager(images: &Images) -> Value {
    let ciphers = CIPHERS.join(",");
    let mut own = vec![
        // Blocks of pod addresses follow from the site file.
        ("allocate-node-cidrs", "false"),
        // farosd approves certificates, and nobody else.
        ("controllers", "*,bootstrapsigner,tokencleaner,-csrapproving"),
        ("profiling", "false"),
        ("terminated-pod-gc-threshold", "500"),
        ("tls-cipher-suites", &ciphers),
        ("tls-min-version", "VersionTLS12"),
    ];
    // It would be made where nothing can be: the system's programs are read-only.
    let version = images.kubernetes.parse::<KubeVersion>();
    if version.is_ok_and(|version| version.minor <= LAST_WITH_FLEX) {
        own.push(("flex-volume-plugin-dir", "/var/lib/kubelet/volume-plugins"));
    }
    arguments(&own)
}

fn api_server(alternatives: &[String]) -> Value {
    let mounted = |name: &str, path: &str, is_read_only: bool| {
        json!({
            "name": name, "hostPath": path, "mountPath": path,
            "readOnly": is_read_only, "pathType": "DirectoryOrCreate",
        })
    };
    json!({
        "certSANs": alternatives,
        "extraArgs": arguments(&[
            ("audit-policy-file", AUDIT_POLICY),
            ("audit-log-path", AUDIT_LOG),
            ("audit-log-maxage", "30"),
            ("audit-log-maxbackup", "10"),
            ("audit-log-maxsize", "100"),
            ("authentication-config", AUTHENTICATION),
            ("encryption-provider-config", ENCRYPTION),
            ("encryption-provider-config-automatic-reload", "true"),
            ("kubelet-certificate-authority", "/etc/kubernetes/pki/ca.crt"),
            ("profiling", "false"),
            ("service-account-extend-token-expiration", "false"),
            ("tls-cipher-suites", &CIPHERS.join(",")),
            ("tls-min-version", "VersionTLS12"),
        ]),
        "extraVolumes": [mounted("faros", FOLDER, true), mounted("audit", LOG_FOLDER, false)],
    })
}

fn kubelet(site: &Site) -> Value {
    let max_pods = PodBlocks::of_site(site).map_or(110, PodBlocks::max_pods);
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": "/etc/kubernetes/pki/ca.crt" },
        },
        "authorization": { "mode": "Webhook" },
        "cgroupDriver": "systemd",
        "clusterDNS": [Names::of(site).dns],
        "clusterDomain": "cluster.local",
        "containerLogMaxFiles": 3,
        "containerLogMaxSize": "10Mi",
        "eventRecordQPS": 5,
        "failSwapOn": true,
        "maxPods": max_pods,
        "podPidsLimit": 4096,
        "protectKernelDefaults": true,
        "readOnlyPort": 0,
        "resolvConf": "/run/systemd/resolve/resolv.conf",
        "rotateCertificates": true,
        "seccompDefault": true,
        "serverTLSBootstrap": true,
        "shutdownGracePeriod": "30s",
        "shutdownGracePeriodCriticalPods": "10s",
        "streamingConnectionIdleTimeout": "30m0s",
        "systemReserved": { "cpu": "100m", "memory": "256Mi" },
        "tlsCipherSuites": CIPHERS,
        "tlsMinVersion": "VersionTLS12",
    })
}

fn kube_proxy(site: &Site) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": site.cluster.pod_network.to_string(),
        "metricsBindAddress": "127.0.0.1:10249",
    })
}

/// Arguments of a component, as v1beta4 lists them.
fn arguments(pairs: &[(&str, &str)]) -> Value {
    pairs
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect()
}

fn documents(all: &[Value]) -> String {
    let texts: Vec<String> = all.iter().map(|own| format!("---\n{own:#}\n")).collect();
    texts.concat()
}
