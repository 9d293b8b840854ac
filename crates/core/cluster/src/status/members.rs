//! How each node stands to its cluster.

use faros_model::{
    api::{ClusterNode, MemberState, NodeStatus},
    event::Phase,
    ids::HostName,
    site::Node,
};
use jiff::Timestamp;

use super::{Evidence, START, Server, parts};
use crate::install::{Api, Attempt, Progress, Verdict, Wait, Work, verdicts};

/// What there is to say of a node.
struct Standing {
    state: MemberState,
    since: Option<Timestamp>,
    waits_for: Option<String>,
    said: String,
}

impl Standing {
    fn new(state: MemberState, said: impl Into<String>) -> Self {
        Self {
            state,
            since: None,
            waits_for: None,
            said: said.into(),
        }
    }

    fn since(self, since: Option<Timestamp>) -> Self {
        Self { since, ..self }
    }

    fn waits_for(self, what: impl Into<String>) -> Self {
        Self {
            waits_for: Some(what.into()),
            ..self
        }
    }
}

pub(super) fn members(evidence: &Evidence<'_>) -> Vec<ClusterNode> {
    let verdicts = verdicts(evidence.site, evidence.observed);
    let member = |node: &Node| {
        let life = evidence.lives.iter().find(|life| life.name == node.name);
        let attempt = evidence.record.attempts.get(&node.name);
        let said = match attempt {
            Some(attempt) if attempt.progress == Progress::Joined => joined(evidence, node, attempt),
            _ => coming(evidence, node, life, attempt, verdicts.get(&node.name)),
        };
        let before = evidence.before.and_then(|before| {
            let is_it = |own: &&ClusterNode| own.name == node.name;
            before.nodes.iter().find(is_it)
        });
        let same = before.filter(|own| own.state == said.state && own.waits_for == said.waits_for);
        let since = said.since.or_else(|| same.and_then(|own| own.since));
        let kubelet = evidence.kubelets.get(&node.name);
        ClusterNode {
            name: node.name.clone(),
            roles: node.roles.clone(),
            address: node.address,
            state: said.state,
            since: since.or(Some(evidence.observed.now)),
            waits_for: said.waits_for,
            said: said.said,
            version: kubelet
                .map(|own| own.version.clone())
                .filter(|own| !own.is_empty()),
            armed: life.is_some_and(|life| life.armed),
        }
    };
    evidence.site.nodes.values().map(member).collect()
}

/// A node that has joined, by what Kubernetes says of it.
fn joined(evidence: &Evidence<'_>, node: &Node, attempt: &Attempt) -> Standing {
    let starts = evidence.observed.now.duration_since(attempt.at) < START;
    let state = |late| if starts { MemberState::Starting } else { late };
    if let Api::NotReady(why) = &evidence.observed.api {
        return Standing::new(state(MemberState::Unknown), why).waits_for("kube-apiserver");
    }
    match evidence.kubelets.get(&node.name) {
        None => {
            Standing::new(state(MemberState::Unknown), "Kubernetes does not know it").waits_for("kubelet")
        }
        Some(own) if own.is_ready => Standing::new(MemberState::Ready, &own.says).since(own.since),
        Some(own) => {
            let part = if own.says.contains("cni") || own.says.contains("NetworkPluginNotReady") {
                "its network plug-in"
            } else {
                "its kubelet"
            };
            Standing::new(state(MemberState::NotReady), &own.says)
                .since(own.since)
                .waits_for(part)
        }
    }
}

/// A node that has not joined yet.
fn coming(
    evidence: &Evidence<'_>,
    node: &Node,
    life: Option<&NodeStatus>,
    attempt: Option<&Attempt>,
    verdict: Option<&Verdict>,
) -> Standing {
    // It says so itself, and asks again when that is over.
    if let Some(said) = evidence.record.complaints.get(&node.name)
        && let Some(Verdict::Do(_) | Verdict::Wait(_)) = verdict
        && verdict != Some(&Verdict::Wait(Wait::NotBooted))
    {
        return Standing::new(MemberState::Waiting, said).waits_for("what keeps it from asking");
    }
    let wait = match verdict {
        None => return Standing::new(MemberState::Unknown, "there is no such node"),
        Some(Verdict::Failed(why)) => {
            return Standing::new(MemberState::Failed, why).since(attempt.map(|attempt| attempt.at));
        }
        Some(Verdict::Do(work)) => return held_up(evidence).unwrap_or_else(|| next(*work)),
        Some(Verdict::Done) => return Standing::new(MemberState::Starting, "it is a member"),
        Some(Verdict::Wait(wait)) => wait,
    };
    let waiting = |what: String, said: String| Standing::new(MemberState::Waiting, said).waits_for(what);
    match wait {
        Wait::NotBooted => not_booted(life),
        Wait::NotAsking => waiting("its service `faros-join`".to_owned(), wait.to_string())
            .since(life.and_then(|life| life.since)),
        Wait::AtWork(work) => at_work(evidence, node, *work).since(attempt.map(|attempt| attempt.at)),
        Wait::Pause(_) => Standing::new(MemberState::Waiting, failure(attempt, wait)),
        Wait::First(other) | Wait::Turn(other) => {
            held_up(evidence).unwrap_or_else(|| waiting(other.to_string(), doing(evidence, other)))
        }
        Wait::NoControlPlane => {
            held_up(evidence).unwrap_or_else(|| waiting("a control-plane node".to_owned(), wait.to_string()))
        }
        Wait::Api(said) => waiting(
            "kube-apiserver".to_owned(),
            servers(evidence).unwrap_or_else(|| said.clone()),
        ),
        Wait::Etcd(other) => waiting(format!("etcd on {other}"), etcd(evidence, other)),
        Wait::StillReady => waiting("kube-controller-manager".to_owned(), wait.to_string()),
        Wait::OldMember => waiting("etcd".to_owned(), wait.to_string()),
        Wait::Leaving(other) => waiting(other.to_string(), wait.to_string()),
        Wait::Upgrade => waiting("the upgrade".to_owned(), wait.to_string()),
    }
}

/// What holds up all that ask: content, or keys.
fn held_up(evidence: &Evidence<'_>) -> Option<Standing> {
    let said = |what: &str, said: String| Standing::new(MemberState::Waiting, said).waits_for(what);
    if evidence.missing.iter().any(|own| own.blocks) {
        return Some(said("content", parts::missing(evidence)));
    }
    evidence.keys_closed.map(|why| said("root-keys", why.to_owned()))
}

fn next(work: Work) -> Standing {
    Standing::new(
        MemberState::Waiting,
        format!("it is handed this when it asks next: {}", work.as_str()),
    )
}

fn not_booted(life: Option<&NodeStatus>) -> Standing {
    let Some(life) = life else {
        return Standing::new(MemberState::Expected, "it was never seen");
    };
    let last = life.last_event.as_ref();
    let last = last.map_or_else(String::new, |event| format!(", last seen: {}", event.kind));
    match life.phase {
        Phase::Expected if life.armed => {
            Standing::new(MemberState::Expected, "it is armed, and was never seen")
                .waits_for("its network boot")
        }
        Phase::Expected => Standing::new(
            MemberState::Expected,
            format!("it is not armed: `farosctl install {}`", life.name),
        ),
        Phase::Failed => Standing::new(MemberState::Failed, &life.reason).since(life.since),
        phase => {
            let armed = if life.armed { "armed" } else { "not armed" };
            Standing::new(MemberState::Booting, format!("{phase}, {armed}{last}")).since(life.since)
        }
    }
}

fn at_work(evidence: &Evidence<'_>, node: &Node, work: Work) -> Standing {
    let said = Standing::new(MemberState::Joining, work.as_str());
    if work == Work::JoinWorker {
        return said.waits_for("its kubelet");
    }
    match evidence.servers.get(&node.name) {
        Some(Server::Failing(checks)) => Standing::new(
            MemberState::Joining,
            format!("{}; not ready: {}", work.as_str(), checks.join(", ")),
        )
        .waits_for(waited_for(checks)),
        Some(Server::Silent(why)) => Standing::new(MemberState::Joining, format!("{}; {why}", work.as_str()))
            .waits_for("its kube-apiserver"),
        Some(Server::Ready) => said.waits_for("kubeadm"),
        None => said.waits_for("its images and kube-apiserver"),
    }
}

/// Of which part the checks are that fail.
fn waited_for(checks: &[String]) -> &'static str {
    if checks.iter().any(|check| check.contains("etcd")) {
        "its etcd"
    } else {
        "its kube-apiserver"
    }
}

fn failure(attempt: Option<&Attempt>, wait: &Wait) -> String {
    match attempt.map(|attempt| &attempt.progress) {
        Some(Progress::Failed { phase, said }) => format!("{wait}; at {phase} it said: {said}"),
        _ => wait.to_string(),
    }
}

/// What another node is at.
fn doing(evidence: &Evidence<'_>, other: &HostName) -> String {
    match evidence.record.attempts.get(other) {
        None => format!("{other} has not begun"),
        Some(Attempt {
            progress: Progress::Failed { phase, said },
            ..
        }) => {
            format!("{other} failed at {phase}: {said}")
        }
        Some(attempt) => format!("{other} is at work: {}", attempt.work.as_str()),
    }
}

/// What the API servers say that are not ready.
fn servers(evidence: &Evidence<'_>) -> Option<String> {
    let said = |(name, server): (&HostName, &Server)| match server {
        Server::Ready => None,
        Server::Failing(checks) => Some(format!("{name}: not ready: {}", checks.join(", "))),
        Server::Silent(why) => Some(format!("{name}: {why}")),
    };
    let all: Vec<String> = evidence.servers.iter().filter_map(said).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

fn etcd(evidence: &Evidence<'_>, node: &HostName) -> String {
    let is_it = |pod: &&super::Pod| pod.component == "etcd" && pod.node.as_ref() == Some(node);
    let pod = evidence.pods.iter().find(is_it);
    pod.map_or_else(|| "it is not well".to_owned(), |pod| pod.says.clone())
}
