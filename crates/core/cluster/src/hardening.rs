//! What of the CIS Kubernetes Benchmark a cluster holds, by what, and the reason where it does not.
//!
//! A row that is held by a setting of ours names it as it stands in the rendered configuration, and a test looks for
//! it there, so the page cannot say what the nodes are not told.

use std::fmt::Write as _;

/// Cipher suites with forward secrecy and authenticated encryption, by Go's names. TLS 1.3 chooses for itself.
pub(crate) const CIPHERS: [&str; 6] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];

/// One check of the benchmark.
#[derive(Debug)]
pub struct Check {
    /// Its section in the benchmark's numbering.
    pub section: &'static str,
    /// What it asks for.
    pub what: &'static str,
    /// Whether and how it is held.
    pub held: Held,
}

/// Whether and how a check is held.
#[derive(Debug)]
pub enum Held {
    /// By these words in the configuration that Faros renders.
    Rendered(&'static [&'static str]),
    /// By what kubeadm does without being told.
    Kubeadm,
    /// By something else, as told.
    Otherwise(&'static str),
    /// It is not held, for this reason.
    Not(&'static str),
}

use Held::{Kubeadm, Not, Otherwise, Rendered};

const fn check(section: &'static str, what: &'static str, held: Held) -> Check {
    Check { section, what, held }
}

/// All checks, in the benchmark's order.
pub const CHECKS: &[Check] = &[
    check(
        "1.1",
        "files of the control plane belong to root, and nobody else may write them",
        Kubeadm,
    ),
    check(
        "1.1.12",
        "the folder of etcd's data belongs to the user `etcd`",
        Not("etcd runs as root in a static pod, as kubeadm has it; the folder has mode 0700"),
    ),
    check(
        "1.1.20",
        "certificates have mode 0600",
        Not("certificates are public and have mode 0644; keys have 0600"),
    ),
    check(
        "1.2.1",
        "who has no name may do nothing",
        Rendered(&["\"path\": \"/readyz\"", "authentication-config"]),
    ),
    check("1.2.2", "no file with tokens", Kubeadm),
    check(
        "1.2.3",
        "external addresses of services are denied (`DenyServiceExternalIPs`)",
        Not(
            "operators of a site without a cloud give services addresses so; who may create services is told by RBAC",
        ),
    ),
    check("1.2.4", "the API server shows a certificate to kubelets", Kubeadm),
    check(
        "1.2.5",
        "the API server checks the kubelets' certificates",
        Rendered(&["kubelet-certificate-authority"]),
    ),
    check(
        "1.2.6",
        "not everything is allowed; `Node` and `RBAC` decide",
        Kubeadm,
    ),
    check(
        "1.2.9",
        "events are rate limited (`EventRateLimit`)",
        Not("in alpha since 2017; the kubelets are limited (`eventRecordQPS`), and a site has few nodes"),
    ),
    check(
        "1.2.11",
        "images are always pulled (`AlwaysPullImages`)",
        Not(
            "a site runs on when the bastion is down, so a node starts what it has; all images come from the bastion, by digest",
        ),
    ),
    check(
        "1.2.12",
        "service accounts are checked (`ServiceAccount`)",
        Kubeadm,
    ),
    check(
        "1.2.14",
        "a kubelet changes its own node only (`NodeRestriction`)",
        Kubeadm,
    ),
    check(
        "1.2.15",
        "profiling is off",
        Rendered(&["\"name\": \"profiling\",\n        \"value\": \"false\""]),
    ),
    check(
        "1.2.16",
        "requests are audited",
        Rendered(&["audit-log-path", "audit-policy-file"]),
    ),
    check(
        "1.2.17",
        "audit logs are kept 30 days, 10 files of 100 MB",
        Rendered(&["audit-log-maxage", "audit-log-maxbackup", "audit-log-maxsize"]),
    ),
    check("1.2.20", "requests end after 60 s", Kubeadm),
    check(
        "1.2.21",
        "tokens of service accounts that are gone are refused",
        Kubeadm,
    ),
    check("1.2.22", "service accounts have keys of their own", Kubeadm),
    check(
        "1.2.23",
        "etcd is reached over TLS with a certificate, and so is the API",
        Kubeadm,
    ),
    check(
        "1.2.27",
        "Secrets are encrypted at rest",
        Rendered(&["encryption-provider-config", "\"secretbox\""]),
    ),
    check(
        "1.2.29",
        "strong ciphers only",
        Rendered(&["tls-cipher-suites", "VersionTLS12"]),
    ),
    check(
        "1.2.30",
        "tokens of service accounts are not extended",
        Rendered(&["service-account-extend-token-expiration"]),
    ),
    check(
        "1.3.1",
        "pods that ended are cleaned up",
        Rendered(&["terminated-pod-gc-threshold"]),
    ),
    check("1.3.3", "each controller has an account of its own", Kubeadm),
    check(
        "1.3.6",
        "kubelets renew their serving certificates",
        Rendered(&["\"serverTLSBootstrap\": true"]),
    ),
    check(
        "1.3.7",
        "controller manager and scheduler listen on the loopback alone",
        Kubeadm,
    ),
    check(
        "2.1",
        "etcd wants a certificate of clients and peers, and shows one",
        Kubeadm,
    ),
    check(
        "2.7",
        "etcd has an authority of its own",
        Otherwise("the bastion makes one for each site, beside that of Kubernetes"),
    ),
    check(
        "3.1.1",
        "users have no certificates, for those cannot be taken back",
        Not("there is no other login at a site without an uplink"),
    ),
    check(
        "3.2.1",
        "there is an audit policy",
        Rendered(&["\"kind\": \"Policy\""]),
    ),
    check(
        "3.2.2",
        "it covers Secrets, tokens and rights",
        Rendered(&["tokenreviews", "rbac.authorization.k8s.io"]),
    ),
    check("4.1", "the kubelet's files belong to root", Kubeadm),
    check(
        "4.2.1",
        "the kubelet refuses who has no name",
        Rendered(&["\"anonymous\": {\n      \"enabled\": false"]),
    ),
    check(
        "4.2.2",
        "the kubelet asks the API server who may do what",
        Rendered(&["\"mode\": \"Webhook\""]),
    ),
    check(
        "4.2.3",
        "the kubelet knows the cluster's authority",
        Rendered(&["clientCAFile"]),
    ),
    check(
        "4.2.4",
        "the kubelet's read-only port is closed",
        Rendered(&["\"readOnlyPort\": 0"]),
    ),
    check(
        "4.2.5",
        "streams that idle are closed",
        Rendered(&["streamingConnectionIdleTimeout"]),
    ),
    check(
        "4.2.6",
        "the kernel's defaults are protected",
        Rendered(&["\"protectKernelDefaults\": true", "vm.overcommit_memory = 1"]),
    ),
    check("4.2.7", "the kubelet keeps its chains of iptables", Kubeadm),
    check(
        "4.2.8",
        "the kubelet's name is not overridden",
        Not(
            "it is set to the node's name in the site file, which is the host's name too; so a host name that DHCP brings cannot move a node",
        ),
    ),
    check(
        "4.2.9",
        "events are recorded at a rate that suits",
        Rendered(&["\"eventRecordQPS\": 5"]),
    ),
    check(
        "4.2.11",
        "kubelets renew their certificates",
        Rendered(&["\"rotateCertificates\": true"]),
    ),
    check(
        "4.2.13",
        "strong ciphers only, of the kubelet",
        Rendered(&["\"tlsCipherSuites\"", "\"tlsMinVersion\""]),
    ),
    check(
        "4.2.14",
        "a pod has a limit of processes",
        Rendered(&["\"podPidsLimit\": 4096"]),
    ),
    check(
        "4.2.15",
        "seccomp is on for all pods",
        Rendered(&["\"seccompDefault\": true"]),
    ),
    check(
        "4.3.1",
        "kube-proxy's metrics are on the loopback alone",
        Rendered(&["\"metricsBindAddress\": \"127.0.0.1:10249\""]),
    ),
    check(
        "5.1.1",
        "`cluster-admin` is used only where it must",
        Otherwise(
            "the bastion signs itself a certificate of that group for a day at a time; nobody else has one but root on a control-plane node",
        ),
    ),
    check(
        "5.2",
        "pods have no rights that they do not need",
        Not(
            "what a site runs is not known beforehand; label a namespace `pod-security.kubernetes.io/enforce: restricted`",
        ),
    ),
    check(
        "5.3.1",
        "the network plug-in knows network policies",
        Not("the plain bridge does not; take `networkPlugin: cilium` where namespaces must be kept apart"),
    ),
];

/// The page of the documentation.
pub fn page() -> String {
    let mut out = "# Hardening of the cluster\n\n\
         <!-- Made from the types by `cargo run -p xtask -- schema`; do not edit. -->\n\n\
         What of the [CIS Kubernetes Benchmark](https://www.cisecurity.org/benchmark/kubernetes) a cluster that Faros \
         installs holds, by what, and the reason where it does not. A setting that is named here stands in the \
         configuration that a node gets: a test looks for it.\n\n\
         | section | what | held |\n| --- | --- | --- |\n"
        .to_owned();
    for Check { section, what, held } in CHECKS {
        let held = match held {
            Rendered(words) => format!("yes: {}", setting(words)),
            Kubeadm => "yes: kubeadm's own default".to_owned(),
            Otherwise(how) => format!("yes: {how}"),
            Not(why) => format!("**no**: {why}"),
        };
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "| {section} | {what} | {held} |");
    }
    out
}

/// Words of a configuration, on one line.
fn setting(words: &[&str]) -> String {
    let one = |word: &&str| {
        let word: Vec<&str> = word.split_whitespace().collect();
        format!("`{}`", word.join(" ").replace('"', ""))
    };
    words.iter().map(one).collect::<Vec<_>>().join(", ")
}
