//! What only control-plane nodes are given when they join: the authorities, and what the API server reads.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::file::File;

/// Where the API server's own files stand.
pub(crate) const FOLDER: &str = "/etc/kubernetes/faros";
pub(crate) const AUDIT_POLICY: &str = "/etc/kubernetes/faros/audit-policy.yaml";
pub(crate) const AUTHENTICATION: &str = "/etc/kubernetes/faros/authentication.yaml";
pub(crate) const ENCRYPTION: &str = "/etc/kubernetes/faros/encryption.yaml";
pub(crate) const LOG_FOLDER: &str = "/var/log/kubernetes/audit";
pub(crate) const AUDIT_LOG: &str = "/var/log/kubernetes/audit/audit.log";

const PKI: &str = "/etc/kubernetes/pki";

/// A certificate and its key, in PEM.
#[derive(Clone, Copy)]
pub struct Pair<'a> {
    /// The certificate, or the public key.
    pub public: &'a str,
    /// The private key.
    pub private: &'a str,
}

/// What a cluster's certificates and tokens stand on.
#[derive(Debug, Clone, Copy)]
pub struct Authorities<'a> {
    /// Signs for the API server, kubelets and users.
    pub kubernetes: Pair<'a>,
    /// Signs for etcd.
    pub etcd: Pair<'a>,
    /// Signs for the API server where it speaks for users to API servers of others.
    pub front_proxy: Pair<'a>,
    /// Signs the tokens of service accounts.
    pub service_accounts: Pair<'a>,
}

impl fmt::Debug for Pair<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// A key that encrypts Secrets in etcd.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptionKey {
    /// Its name, which stands beside everything that it encrypted.
    pub name: String,
    /// The key.
    pub bytes: [u8; 32],
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionKey")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The files of a control-plane node. The first of the keys encrypts, all of them decrypt.
pub fn control_plane_files(authorities: &Authorities<'_>, keys: &[EncryptionKey]) -> Vec<File> {
    let Authorities {
        kubernetes,
        etcd,
        front_proxy,
        service_accounts,
    } = authorities;
    let mut files = vec![
        File::open(AUDIT_POLICY, audit_policy()),
        File::open(AUTHENTICATION, authentication()),
        File::secret(ENCRYPTION, encryption(keys)),
    ];
    for (name, public, pair) in [
        ("ca", "crt", kubernetes),
        ("etcd/ca", "crt", etcd),
        ("front-proxy-ca", "crt", front_proxy),
        ("sa", "pub", service_accounts),
    ] {
        files.push(File::open(&format!("{PKI}/{name}.{public}"), pair.public));
        files.push(File::secret(format!("{PKI}/{name}.key"), pair.private));
    }
    files
}

/// `secretbox` (`XSalsa20` and `Poly1305`): its nonces are long enough to be drawn at random for ever, where `aesgcm`
/// wants a new key after 200,000 writes. Nothing is read that is not encrypted.
fn encryption(keys: &[EncryptionKey]) -> String {
    let keys: Vec<_> = keys
        .iter()
        .map(|key| json!({ "name": key.name, "secret": STANDARD.encode(key.bytes) }))
        .collect();
    let config = json!({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration",
        "resources": [{ "resources": ["secrets"], "providers": [{ "secretbox": { "keys": keys } }] }],
    });
    format!("{config:#}\n")
}

/// Who has no name learns whether the API server is well, for the balancer and its own probes, and nothing else.
fn authentication() -> String {
    let config = json!({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
        "anonymous": {
            "enabled": true,
            "conditions": [{ "path": "/livez" }, { "path": "/readyz" }, { "path": "/healthz" }],
        },
    });
    format!("{config:#}\n")
}

/// Who did what, without what was in it; more of it where rights are given. The chatter of the cluster's own parts
/// is left out, which is most of it.
fn audit_policy() -> String {
    let reads = ["get", "list", "watch"];
    let rules = json!([
        { "level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/version", "/openapi/*"] },
        { "level": "None", "users": ["system:kube-proxy"], "verbs": reads },
        { "level": "None", "userGroups": ["system:nodes"], "verbs": reads,
          "resources": [{ "group": "", "resources": ["nodes", "nodes/status", "pods", "configmaps", "services"] }] },
        { "level": "None", "resources": [{ "group": "coordination.k8s.io", "resources": ["leases"] }] },
        { "level": "None", "resources": [
            { "group": "", "resources": ["events"] }, { "group": "events.k8s.io", "resources": ["events"] },
        ] },
        { "level": "None", "users": ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler"],
          "verbs": reads },
        { "level": "Metadata", "resources": [
            { "group": "", "resources": ["secrets", "configmaps", "serviceaccounts/token"] },
            { "group": "authentication.k8s.io", "resources": ["tokenreviews"] },
        ] },
        { "level": "Request", "verbs": ["create", "update", "patch", "delete", "deletecollection"], "resources": [
            { "group": "rbac.authorization.k8s.io" }, { "group": "certificates.k8s.io" },
            { "group": "admissionregistration.k8s.io" },
        ] },
        { "level": "Metadata" },
    ]);
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": rules,
    });
    format!("{policy:#}\n")
}
