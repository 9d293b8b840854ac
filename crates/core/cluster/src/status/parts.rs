//! How the parts of the cluster are: what it is made from, its API servers, and what runs in `kube-system`.

use faros_model::{
    api::{ComponentState, ComponentStatus},
    ids::HostName,
};
use jiff::Timestamp;

use super::{Evidence, Pod, Server};
use crate::install::{Progress, Work};

pub(super) fn parts(evidence: &Evidence<'_>) -> Vec<ComponentStatus> {
    let mut all = vec![content(evidence), root_keys(evidence)];
    all.extend(
        evidence
            .servers
            .iter()
            .map(|(node, server)| api_server(evidence, node, server)),
    );
    // A control-plane node that joined and was not asked: nobody says.
    let unasked = evidence.record.attempts.iter().filter(|(name, attempt)| {
        attempt.progress == Progress::Joined
            && attempt.work != Work::JoinWorker
            && !evidence.servers.contains_key(*name)
            && evidence.site.nodes.contains_key(*name)
    });
    all.extend(unasked.map(|(name, _)| part("kube-apiserver", Some(name), ComponentState::Unknown)));
    let is_told = |component: &str, node: &HostName| {
        let is_it = |pod: &Pod| pod.component == component && pod.node.as_ref() == Some(node);
        evidence.pods.iter().any(is_it)
    };
    for (name, seen) in &evidence.observed.nodes {
        if let Some(is_well) = seen.etcd.filter(|_| !is_told("etcd", name)) {
            let state = if is_well {
                ComponentState::Ready
            } else {
                ComponentState::NotReady
            };
            all.push(part("etcd", Some(name), state));
        }
    }
    let pods = evidence
        .pods
        .iter()
        .filter(|pod| pod.component != "kube-apiserver");
    all.extend(pods.map(pod));
    for own in &mut all {
        let before = evidence.before.and_then(|before| {
            let is_same = |old: &&ComponentStatus| {
                (&old.component, &old.node, old.state) == (&own.component, &own.node, own.state)
            };
            before.components.iter().find(is_same)
        });
        let known = own.since.or_else(|| before.and_then(|old| old.since));
        own.since = known.or(Some(evidence.observed.now));
    }
    all.sort_by(|a, b| {
        (rank(&a.component), &a.component, &a.node).cmp(&(rank(&b.component), &b.component, &b.node))
    });
    all
}

/// In the order in which a cluster comes to be.
fn rank(component: &str) -> usize {
    const ORDER: [&str; 8] = [
        "content",
        "root-keys",
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kube-proxy",
        "coredns",
    ];
    ORDER
        .iter()
        .position(|own| *own == component)
        .unwrap_or(ORDER.len())
}

fn part(component: &str, node: Option<&HostName>, state: ComponentState) -> ComponentStatus {
    ComponentStatus {
        component: component.to_owned(),
        node: node.cloned(),
        state,
        since: None,
        waits_for: None,
        said: String::new(),
    }
}

/// What is missing, in a line.
pub(super) fn missing(evidence: &Evidence<'_>) -> String {
    let own = evidence.missing.iter().filter(|own| own.blocks);
    own.map(|own| {
        format!(
            "{} is not in the content store; `{}` brings it",
            own.what, own.command
        )
    })
    .collect::<Vec<_>>()
    .join("; ")
}

fn content(evidence: &Evidence<'_>) -> ComponentStatus {
    let said = missing(evidence);
    match (evidence.version, said.is_empty()) {
        (Some(version), true) => ComponentStatus {
            said: format!("Kubernetes {version}"),
            ..part("content", None, ComponentState::Ready)
        },
        _ => ComponentStatus {
            said,
            ..part("content", None, ComponentState::Waiting)
        },
    }
}

fn root_keys(evidence: &Evidence<'_>) -> ComponentStatus {
    match evidence.keys_closed {
        None => part("root-keys", None, ComponentState::Ready),
        Some(why) => ComponentStatus {
            said: why.to_owned(),
            ..part("root-keys", None, ComponentState::Waiting)
        },
    }
}

fn api_server(evidence: &Evidence<'_>, node: &HostName, server: &Server) -> ComponentStatus {
    let is_it = |pod: &&Pod| pod.component == "kube-apiserver" && pod.node.as_ref() == Some(node);
    let of_pod = evidence.pods.iter().find(is_it);
    let (state, waits_for, said) = match server {
        Server::Ready => (ComponentState::Ready, None, "ok".to_owned()),
        Server::Failing(checks) => {
            let waits_for = checks
                .iter()
                .any(|check| check.contains("etcd"))
                .then(|| "etcd".to_owned());
            (
                ComponentState::NotReady,
                waits_for,
                format!("not ready: {}", checks.join(", ")),
            )
        }
        Server::Silent(why) => {
            let says = of_pod.map(|pod| pod.says.as_str()).unwrap_or_default();
            let more = if says.is_empty() {
                String::new()
            } else {
                format!("; {says}")
            };
            (ComponentState::NotReady, None, format!("{why}{more}"))
        }
    };
    ComponentStatus {
        waits_for,
        said,
        ..part("kube-apiserver", Some(node), state)
    }
}

fn pod(pod: &Pod) -> ComponentStatus {
    let state = match (pod.is_ready, &pod.node) {
        (true, _) => ComponentState::Ready,
        (false, Some(_)) => ComponentState::NotReady,
        (false, None) => ComponentState::Waiting,
    };
    let waits_for = pod
        .says
        .contains("nodes are available")
        .then(|| "a node that takes it".to_owned());
    let since: Option<Timestamp> = pod.since;
    ComponentStatus {
        since,
        waits_for,
        said: pod.says.clone(),
        ..part(&pod.component, pod.node.as_ref(), state)
    }
}
