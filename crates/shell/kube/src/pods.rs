//! Pods of a node, to be moved elsewhere; and the node itself, closed to new ones or taken away.

use faros_cluster::drain::Pod;
use hyper::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    Kube, KubeError,
    objects::{JSON, MERGE, STRATEGIC, items, text},
};

/// What became of a pod that was asked to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Eviction {
    /// It goes, or is gone.
    Goes,
    /// Not now: so many of its kind have to stay. What the API says.
    Held(String),
}

impl Kube {
    /// The pods of a node.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn pods_of(&self, node: &str) -> Result<Vec<Pod>, KubeError> {
        let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}");
        let list = self.ask(Method::GET, &path, None).await?;
        Ok(items(&list).map(pod).collect())
    }

    /// Closes a node to new pods, or opens it again.
    ///
    /// # Errors
    /// The API does not answer, or refuses, or knows no such node.
    pub async fn cordon(&self, node: &str, is_closed: bool) -> Result<(), KubeError> {
        let change = json!({ "spec": { "unschedulable": is_closed } });
        let path = format!("/api/v1/nodes/{node}");
        self.ask(Method::PATCH, &path, Some((MERGE, &change))).await?;
        Ok(())
    }

    /// Asks a pod to go, as far as budgets of disruption allow it.
    ///
    /// # Errors
    /// The API does not answer, or refuses for another reason.
    pub async fn evict(&self, pod: &Pod) -> Result<Eviction, KubeError> {
        let Pod { namespace, name, .. } = pod;
        let eviction = json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": { "name": name, "namespace": namespace },
            "deleteOptions": { "preconditions": { "uid": pod.uid } },
        });
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction");
        match self.ask(Method::POST, &path, Some((JSON, &eviction))).await {
            // With 409, another pod has its name by now.
            Ok(_)
            | Err(KubeError::Refused {
                status: 404 | 409, ..
            }) => Ok(Eviction::Goes),
            Err(KubeError::Refused {
                status: 429, message, ..
            }) => Ok(Eviction::Held(message)),
            Err(error) => Err(error),
        }
    }

    /// Has Kubernetes take a node for one that is silent, as it does by itself after 40 seconds. If its kubelet runs all the
    /// same, it takes that back.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn miss_node(&self, node: &str, now: Timestamp) -> Result<(), KubeError> {
        let change = json!({ "status": { "conditions": [{
            "type": "Ready", "status": "Unknown", "reason": "NodeJoinsAnew",
            "message": "The machine runs no kubelet, and joins anew.",
            "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }] } });
        let path = format!("/api/v1/nodes/{node}/status");
        self.ask(Method::PATCH, &path, Some((STRATEGIC, &change))).await?;
        Ok(())
    }

    /// Takes a node away; one that is not there is away.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn forget_node(&self, node: &str) -> Result<(), KubeError> {
        let path = format!("/api/v1/nodes/{node}");
        match self.ask(Method::DELETE, &path, None).await {
            Ok(_) | Err(KubeError::Refused { status: 404, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn pod(object: &Value) -> Pod {
    let owners = object
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array);
    let mut owners = owners.into_iter().flatten();
    let controller = owners.find(|own| own["controller"] == true);
    let annotations = object.pointer("/metadata/annotations");
    Pod {
        namespace: text(object, "/metadata/namespace"),
        name: text(object, "/metadata/name"),
        uid: text(object, "/metadata/uid"),
        controller: controller.map(|own| text(own, "/kind")),
        is_static: annotations.is_some_and(|own| own.get("kubernetes.io/config.mirror").is_some()),
        is_over: matches!(text(object, "/status/phase").as_str(), "Succeeded" | "Failed"),
        is_going: object.pointer("/metadata/deletionTimestamp").is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_read_with_who_made_it() {
        let object = json!({
            "metadata": { "name": "web-1", "namespace": "shop", "uid": "u",
                "deletionTimestamp": "2026-01-01T00:00:00Z",
                "ownerReferences": [{ "kind": "Other" }, { "kind": "ReplicaSet", "controller": true }] },
            "status": { "phase": "Running" },
        });
        let own = pod(&object);
        assert_eq!(own.controller.as_deref(), Some("ReplicaSet"));
        assert_eq!((own.is_static, own.is_over, own.is_going), (false, false, true));
        let object = json!({ "metadata": { "annotations": { "kubernetes.io/config.mirror": "x" } },
            "status": { "phase": "Failed" } });
        assert_eq!((pod(&object).is_static, pod(&object).is_over), (true, true));
    }
}
