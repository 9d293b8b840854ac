//! The objects of Kubernetes that the bastion reads and writes.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use faros_cluster::{
    credentials,
    csr::{BOOTSTRAPPERS, Csr},
    join::Token,
    status::Pod,
};
use faros_model::{api::ClusterRole, net::Subnet, site::Node};
use hyper::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{Kube, KubeError, request, wire::AGENT};

pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE: &str = "application/merge-patch+json";
/// Members of lists are known by their names.
pub(crate) const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// Server-side apply: what is there already is brought to what is wanted.
const APPLY: &str = "application/apply-patch+yaml";
const CSRS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// The role of ours that lets everyone who may look see the nodes.
const SEES_NODES: &str = "faros:nodes";

/// What the bastion reads of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// When it came to be.
    pub created: Timestamp,
    /// Whether it is ready.
    pub is_ready: bool,
    /// Since when.
    pub since: Option<Timestamp>,
    /// What its kubelet says of that.
    pub says: String,
    /// The version of its kubelet.
    pub version: String,
    /// Whether it is closed to new pods.
    pub is_closed: bool,
    /// Its block of pod addresses.
    pub pod_block: Option<String>,
    /// Its roles, as `kubectl get nodes` shows them.
    pub roles: Vec<String>,
    /// Whether its kubelet is heard of. Else what it is short of is what was known last.
    pub is_heard: bool,
    /// What it is short of (`disk`, `memory`, `pids`), and what its kubelet says of that.
    pub short_of: Option<(&'static str, String)>,
}

/// A request for a certificate that nobody has decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// What is asked for.
    pub csr: Csr,
    /// The whole object, to be given back with its approval.
    object: Value,
}

impl Kube {
    /// The nodes.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn nodes(&self) -> Result<Vec<NodeFacts>, KubeError> {
        let list = self.ask(Method::GET, "/api/v1/nodes", None).await?;
        Ok(items(&list).filter_map(node_facts).collect())
    }

    /// The version of the API server that answers.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn version(&self) -> Result<String, KubeError> {
        let said = self.ask(Method::GET, "/version", None).await?;
        Ok(text(&said, "/gitVersion"))
    }

    /// Gives the cluster's own DNS its image; one that is not there needs none.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn set_dns_image(&self, image: &str) -> Result<(), KubeError> {
        let containers = json!([{ "name": "coredns", "image": image }]);
        let change = json!({ "spec": { "template": { "spec": { "containers": containers } } } });
        let path = "/apis/apps/v1/namespaces/kube-system/deployments/coredns";
        match self.ask(Method::PATCH, path, Some((STRATEGIC, &change))).await {
            Ok(_) | Err(KubeError::Refused { status: 404, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Members of etcd by the nodes that they are on, and whether they are well: the static pods say so.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn etcd(&self) -> Result<Vec<(String, bool)>, KubeError> {
        let path = "/api/v1/namespaces/kube-system/pods?labelSelector=component%3Detcd";
        let list = self.ask(Method::GET, path, None).await?;
        let member = |pod| (text(pod, "/spec/nodeName"), is_ready(pod));
        Ok(items(&list).map(member).collect())
    }

    /// What runs in `kube-system`, by the parts of the cluster that it is.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn system_pods(&self) -> Result<Vec<Pod>, KubeError> {
        let path = "/api/v1/namespaces/kube-system/pods?resourceVersion=0";
        let list = self.ask(Method::GET, path, None).await?;
        Ok(items(&list).filter_map(system_pod).collect())
    }

    /// Makes a bootstrap token, good until `expires`.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn make_token(&self, token: &Token, node: &Node, expires: Timestamp) -> Result<(), KubeError> {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
            "metadata": { "name": format!("bootstrap-token-{}", token.id), "namespace": "kube-system" },
            "stringData": {
                "token-id": token.id,
                "token-secret": token.secret,
                "expiration": expires.round(jiff::Unit::Second).unwrap_or(expires).to_string(),
                "usage-bootstrap-authentication": "true",
                "auth-extra-groups": BOOTSTRAPPERS,
                "description": format!("farosd: {} joins", node.name),
            },
        });
        let path = "/api/v1/namespaces/kube-system/secrets";
        self.ask(Method::POST, path, Some((JSON, &secret))).await?;
        Ok(())
    }

    /// Withdraws a token; one that is not there is withdrawn.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn withdraw_token(&self, token_id: &str) -> Result<(), KubeError> {
        let path = format!("/api/v1/namespaces/kube-system/secrets/bootstrap-token-{token_id}");
        match self.ask(Method::DELETE, &path, None).await {
            Ok(_) | Err(KubeError::Refused { status: 404, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Lets whoever has a token look whether its node is there, and ask for its certificate; and the API server fetch
    /// what kubelets have, such as logs. It is what `kubeadm init` would have allowed when it made its own token, but
    /// for what it would have approved.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn allow_tokens(&self) -> Result<(), KubeError> {
        let binding = |name: &str, role: &str, kind: &str, whom: &str| {
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": { "name": name },
                "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": whom }],
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
            })
        };
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": { "name": "kubeadm:get-nodes" },
            "rules": [{ "apiGroups": [""], "resources": ["nodes"], "verbs": ["get"] }],
        });
        self.apply("clusterroles", &role).await?;
        for (name, role, kind, whom) in [
            ("kubeadm:get-nodes", "kubeadm:get-nodes", "Group", BOOTSTRAPPERS),
            (
                "kubeadm:kubelet-bootstrap",
                "system:node-bootstrapper",
                "Group",
                BOOTSTRAPPERS,
            ),
            (
                "kubeadm:apiserver-kubelet-client",
                "system:kubelet-api-admin",
                "User",
                "kube-apiserver-kubelet-client",
            ),
        ] {
            self.apply("clusterrolebindings", &binding(name, role, kind, whom))
                .await?;
        }
        Ok(())
    }

    /// Gives the groups of people's certificates their roles, all over the cluster. Kubernetes' own roles leave out
    /// what belongs to no namespace; whoever looks at the cluster sees its nodes.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn allow_people(&self) -> Result<(), KubeError> {
        for role in ClusterRole::ALL {
            let group = credentials::group(role);
            let binding = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": { "name": group },
                "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group }],
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role.as_str(),
                },
            });
            self.apply("clusterrolebindings", &binding).await?;
        }
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": { "name": SEES_NODES, "labels": {
                "rbac.authorization.k8s.io/aggregate-to-view": "true",
            } },
            "rules": [{ "apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"] }],
        });
        self.apply("clusterroles", &role).await
    }

    async fn apply(&self, kind: &str, object: &Value) -> Result<(), KubeError> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let path = format!("{RBAC}/{kind}/{name}?fieldManager={AGENT}&force=true");
        self.ask(Method::PATCH, &path, Some((APPLY, object))).await?;
        Ok(())
    }

    /// Requests for certificates that nobody has decided on.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn pending(&self) -> Result<Vec<Pending>, KubeError> {
        let list = self.ask(Method::GET, CSRS, None).await?;
        let open = items(&list).filter(|own| own.pointer("/status/conditions").is_none());
        Ok(open.map(pending).collect())
    }

    /// Approves a request, or denies it, and says why.
    ///
    /// # Errors
    /// The API does not answer, or refuses: somebody else may have decided.
    pub async fn decide(&self, pending: &Pending, approves: bool, why: &str) -> Result<(), KubeError> {
        let mut object = pending.object.clone();
        object["apiVersion"] = "certificates.k8s.io/v1".into();
        object["kind"] = "CertificateSigningRequest".into();
        object["status"]["conditions"] = json!([{
            "type": if approves { "Approved" } else { "Denied" },
            "status": "True", "reason": "Farosd", "message": why,
        }]);
        let path = format!("{CSRS}/{}/approval", pending.csr.name);
        self.ask(Method::PUT, &path, Some((JSON, &object))).await?;
        Ok(())
    }

    /// Gives a node its block of pod addresses and its roles.
    ///
    /// # Errors
    /// The API does not answer, or refuses: a block that a node has cannot be changed.
    pub async fn furnish(&self, node: &Node, block: Option<Subnet>) -> Result<(), KubeError> {
        let roles = node.roles.iter().map(|role| {
            let key = format!("node-role.kubernetes.io/{}", role.as_str());
            (key, Value::from(""))
        });
        let labels: serde_json::Map<String, Value> = roles.collect();
        let mut change = json!({ "metadata": { "labels": labels } });
        if let Some(block) = block {
            change["spec"] = json!({ "podCIDR": block, "podCIDRs": [block] });
        }
        let path = format!("/api/v1/nodes/{}", node.name);
        self.ask(Method::PATCH, &path, Some((MERGE, &change))).await?;
        Ok(())
    }
}

pub(crate) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.get("items").and_then(Value::as_array).into_iter().flatten()
}

pub(crate) fn text(object: &Value, pointer: &str) -> String {
    let text = object.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn texts(object: &Value, pointer: &str) -> Vec<String> {
    let all = object
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    all.filter_map(|own| own.as_str().map(str::to_owned)).collect()
}

fn condition<'a>(object: &'a Value, of: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().find(|own| own["type"] == of)
}

fn is_ready(object: &Value) -> bool {
    condition(object, "Ready").is_some_and(|own| own["status"] == "True")
}

fn short_of(object: &Value) -> Option<(&'static str, String)> {
    let all = [
        ("disk", "DiskPressure"),
        ("memory", "MemoryPressure"),
        ("pids", "PIDPressure"),
    ];
    all.into_iter().find_map(|(what, name)| {
        let own = condition(object, name).filter(|own| own["status"] == "True")?;
        Some((what, text(own, "/message")))
    })
}

fn node_facts(object: &Value) -> Option<NodeFacts> {
    let ready = condition(object, "Ready");
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let role = |key: &String| key.strip_prefix("node-role.kubernetes.io/").map(str::to_owned);
    Some(NodeFacts {
        name: text(object, "/metadata/name"),
        created: text(object, "/metadata/creationTimestamp").parse().ok()?,
        is_ready: is_ready(object),
        since: ready.and_then(|own| text(own, "/lastTransitionTime").parse().ok()),
        says: ready.map(|own| text(own, "/message")).unwrap_or_default(),
        version: text(object, "/status/nodeInfo/kubeletVersion"),
        is_closed: object.pointer("/spec/unschedulable") == Some(&Value::Bool(true)),
        pod_block: object
            .pointer("/spec/podCIDR")
            .and_then(Value::as_str)
            .map(str::to_owned),
        roles: labels
            .into_iter()
            .flat_map(|labels| labels.keys().filter_map(role))
            .collect(),
        is_heard: ready.is_some_and(|own| own["status"] != "Unknown"),
        short_of: short_of(object),
    })
}

/// A pod that has come to its end is no part of the cluster any more.
fn system_pod(object: &Value) -> Option<Pod> {
    if matches!(text(object, "/status/phase").as_str(), "Succeeded" | "Failed") {
        return None;
    }
    let label =
        |key: &str| Some(text(object, &format!("/metadata/labels/{key}"))).filter(|own| !own.is_empty());
    // CoreDNS goes by the name of what it came after.
    let component = match label("component").or_else(|| label("k8s-app")) {
        Some(own) if own == "kube-dns" => "coredns".to_owned(),
        Some(own) => own,
        None => text(object, "/metadata/name"),
    };
    let is_ready = is_ready(object);
    Some(Pod {
        component,
        node: text(object, "/spec/nodeName").parse().ok(),
        is_ready,
        since: condition(object, "Ready").and_then(|own| text(own, "/lastTransitionTime").parse().ok()),
        says: if is_ready { String::new() } else { unready(object) },
    })
}

/// Why a pod is not ready: what its containers wait for or ended with, else what its conditions say.
fn unready(object: &Value) -> String {
    let all = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let containers = all("/status/initContainerStatuses").chain(all("/status/containerStatuses"));
    let waits = |own: &Value| {
        let reason = text(own, "/state/waiting/reason");
        let message = text(own, "/state/waiting/message");
        let last = text(own, "/lastState/terminated/message");
        let words: Vec<String> = [reason, message, last]
            .into_iter()
            .filter(|own| !own.is_empty())
            .collect();
        (!words.is_empty()).then(|| words.join(": "))
    };
    let by_container = containers.filter(|own| own["ready"] != true).find_map(waits);
    let by_condition = || {
        all("/status/conditions")
            .filter(|own| own["status"] == "False")
            .map(|own| text(own, "/message"))
            .find(|own| !own.is_empty())
    };
    let said = by_container
        .or_else(by_condition)
        .unwrap_or_else(|| text(object, "/status/phase"));
    said.chars().take(300).collect()
}

fn pending(object: &Value) -> Pending {
    let pem = STANDARD.decode(text(object, "/spec/request")).unwrap_or_default();
    Pending {
        csr: Csr {
            name: text(object, "/metadata/name"),
            signer: text(object, "/spec/signerName"),
            username: text(object, "/spec/username"),
            groups: texts(object, "/spec/groups"),
            usages: texts(object, "/spec/usages"),
            request: request::parse(&pem),
        },
        object: object.clone(),
    }
}
