//! By which words of a node's programs the reason is known why it does not join.
//!
//! They are not an interface, so each row has a whole line as Kubernetes 1.36, etcd 3.7, runc and curl print it, and a
//! test holds against a real shell that the node's scripts bring that line here from where it is printed.

use faros_model::event::Event;

use crate::facts::Facts as _;

/// Who prints a line on the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Printer {
    /// kubeadm, when it ends without success.
    Kubeadm,
    /// The kubelet, while kubeadm waits for it.
    Kubelet,
    /// etcd, while kubeadm waits for the API server.
    Etcd,
    /// The API server, while kubeadm waits for it.
    Api,
    /// curl, when the node asks the bastion what to do.
    Curl,
    /// systemd or containerd, when containerd is started.
    Containerd,
}

/// One row: who says what, and what it means.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// The cause.
    pub code: &'static str,
    /// Who says it.
    pub by: Printer,
    /// The words that tell it.
    pub words: &'static str,
    /// A line that has them.
    pub line: &'static str,
}

/// The facts of a report that have what was said.
const KEYS: [&str; 4] = ["said", "kubelet", "etcd", "api"];

impl Printer {
    /// What it said, in a report.
    fn said(self, report: &Event) -> &str {
        let key = match (self, report.word("phase")) {
            (Self::Kubelet, _) => "kubelet",
            (Self::Etcd, _) => "etcd",
            (Self::Api, _) => "api",
            (Self::Curl, "ask") | (Self::Containerd, "containerd") => "said",
            (Self::Curl | Self::Containerd, _) | (Self::Kubeadm, "ask" | "containerd") => return "",
            (Self::Kubeadm, _) => "said",
        };
        report.word(key)
    }
}

/// The first row whose words the report has from whom they are.
pub(super) fn row(report: &Event) -> Option<&'static Words> {
    WORDS.iter().find(|row| row.by.said(report).contains(row.words))
}

/// All that was said.
pub(super) fn all(report: &Event) -> String {
    let said = KEYS.map(|key| match (key, report.word(key)) {
        (_, "") => String::new(),
        ("said", said) => format!("it said: {said}"),
        ("api", said) => format!("its kube-apiserver: {said}"),
        (key, said) => format!("its {key}: {said}"),
    });
    let said: Vec<String> = said.into_iter().filter(|own| !own.is_empty()).collect();
    said.join("; ")
}

macro_rules! words {
    ($($code:literal, $by:ident, $words:literal, $line:literal;)*) => {
        /// All rows. The first that fits counts: what ends a program comes before who waited for it in vain.
        pub const WORDS: &[Words] = &[$(Words { code: $code, by: Printer::$by, words: $words, line: $line },)*];
    };
}

words! {
    "join-disk-full", Kubeadm, "no space left on device", "\t[ERROR ImagePull]: failed to pull image faros.dev/kubernetes/etcd:3.7.3: write /var/lib/containerd/io.containerd.content.v1.content/ingest/4f/data: no space left on device";
    "join-disk-full", Kubelet, "no space left on device", "E1121 18:00:00.000000    4711 run.go:72] \"command failed\" err=\"failed to run Kubelet: failed to create kubelet: mkdir /var/lib/kubelet/pods: no space left on device\"";
    "join-disk-full", Etcd, "no space left on device", "{\"level\":\"fatal\",\"caller\":\"etcdserver/storage.go:99\",\"msg\":\"failed to create WAL\",\"error\":\"write /var/lib/etcd/member/wal/0.tmp: no space left on device\"}";
    "join-disk-full", Containerd, "no space left on device", "time=\"2026-11-21T18:00:00.000000000Z\" level=fatal msg=\"containerd: failed to create temporary file: open /var/lib/containerd/tmp/x: no space left on device\"";
    "join-disk-full", Kubeadm, "No space left on device", "the files of the bastion's answer cannot be written: /etc/faros/common: 53: cannot create /etc/kubernetes/pki/ca.crt.new: No space left on device";
    "join-swap", Kubelet, "running with swap on is not supported", "E1121 18:00:00.000000    4711 run.go:72] \"command failed\" err=\"failed to run Kubelet: running with swap on is not supported, please disable swap or set --fail-swap-on flag to false\"";
    "join-certificate-time", Curl, "is not yet valid", "curl: (60) SSL certificate problem: certificate is not yet valid";
    "join-certificate-time", Curl, "certificate has expired", "curl: (60) SSL certificate problem: certificate has expired";
    "join-certificate-time", Kubeadm, "is not yet valid", "error: error execution phase preflight: couldn't validate the identity of the API Server: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2016-01-01T00:00:00Z is before 2026-11-20T00:00:00Z";
    "join-duplicate-name", Kubeadm, "already exists in the cluster", "error: error execution phase kubelet-start: a Node with name \"node-1\" and status \"Ready\" already exists in the cluster. You must delete the existing Node or change the name of this new joining Node";
    "join-image-damaged", Kubeadm, "is damaged: what is there has digest", "error: unknown: faros.dev/kubernetes/etcd@sha256:238f8351: the content with digest 238f8351 is damaged: what is there has digest 1068eba2";
    "join-image-missing", Kubeadm, "[ERROR ImagePull]", "\t[ERROR ImagePull]: failed to pull image faros.dev/kubernetes/etcd:3.7.3: failed to pull and unpack image: not found";
    "join-token-refused", Kubeadm, "Unauthorized", "error: error execution phase preflight: unable to fetch the kubeadm-config ConfigMap: failed to get config map: Unauthorized";
    "join-certificate-refused", Kubelet, "certificate signing request is denied", "E1121 18:00:00.000000    4711 run.go:72] \"command failed\" err=\"failed to run Kubelet: certificate signing request is denied, reason: Faros, message: the token was used already\"";
    "join-certificate-refused", Kubeadm, "waiting for TLS bootstrap", "error: error execution phase kubelet-wait-bootstrap: failed while waiting for TLS bootstrap: context deadline exceeded";
    "join-cgroups", Kubelet, "on a host using cgroup v1", "E1121 18:00:00.000000    4711 run.go:72] \"command failed\" err=\"failed to validate kubelet configuration, error: kubelet is configured to not run on a host using cgroup v1. cgroup v1 support is unsupported and will be removed in a future release\"";
    "join-cgroups", Kubelet, "slice:prefix:name", "E1121 18:00:00.000000    4711 pod_workers.go:1324] \"Error syncing pod, skipping\" err=\"runc create failed: expected cgroupsPath to be of format \\\"slice:prefix:name\\\" for systemd cgroups, got \\\"/kubepods/burstable/pod1\\\" instead\"";
    "join-cgroups", Kubeadm, "[ERROR SystemVerification]: missing required cgroups", "\t[ERROR SystemVerification]: missing required cgroups: memory";
    "join-no-programs", Containerd, "Unit containerd.service not found", "Failed to start containerd.service: Unit containerd.service not found.";
    "join-no-programs", Kubeadm, "kubeadm: not found", "/etc/faros/join: 150: kubeadm: not found";
    "join-no-programs", Kubeadm, "[ERROR FileExisting", "\t[ERROR FileExisting-mount]: mount not found in system path";
    "join-no-runtime", Containerd, "containerd.service", "Job for containerd.service failed because the control process exited with error code.";
    "join-no-runtime", Kubeadm, "[ERROR CRI]", "\t[ERROR CRI]: could not connect to the container runtime: failed to create new CRI runtime service: validate service connection";
    "join-port-in-use", Kubeadm, "[ERROR Port-", "\t[ERROR Port-10250]: Port 10250 is in use";
    "join-too-small", Kubeadm, "[ERROR Mem]", "\t[ERROR Mem]: the system RAM (981 MB) is less than the minimum 1700 MB";
    "join-too-small", Kubeadm, "[ERROR NumCPU]", "\t[ERROR NumCPU]: the number of available CPUs 1 is less than the required 2";
    "join-etcd-slow", Kubeadm, "etcdserver: request timed out", "error: error execution phase etcd-join: error creating local etcd static pod manifest file: etcdserver: request timed out";
    "join-etcd-slow", Kubeadm, "etcd cluster is not healthy", "error: error execution phase check-etcd: etcd cluster is not healthy: failed to dial endpoint https://192.168.8.11:2379";
    "join-etcd-slow", Etcd, "slow fdatasync", "{\"level\":\"warn\",\"caller\":\"wal/wal.go:886\",\"msg\":\"slow fdatasync\",\"took\":\"4.1s\",\"expected-duration\":\"1s\"}";
    "join-kubelet-ill", Kubeadm, "10248/healthz", "error: error execution phase kubelet-start: failed while waiting for the kubelet to start: The HTTP call equal to 'curl -sSL http://127.0.0.1:10248/healthz' returned error: connection refused";
    "join-api-never-ready", Kubeadm, "phase wait-control-plane", "error: error execution phase wait-control-plane: failed while waiting for the control plane to start: kube-apiserver check failed at https://192.168.8.11:6443/livez: connection refused";
    "join-api-never-ready", Api, "\"command failed\"", "E1121 18:00:00.000000       1 run.go:72] \"command failed\" err=\"context deadline exceeded\"";
    "join-cannot-ask", Curl, "curl: ", "curl: (7) Failed to connect to registry.quay.edge.example.com port 5000: Connection refused";
    "join-cannot-ask", Curl, "the bastion answers", "the bastion answers 503: the bastion cannot answer now";
}
