//! The cluster as people read it: pure functions from its status to text.

use std::fmt::Write as _;

use faros_model::api::{
    ClusterNode, ClusterState, ClusterStatus, ComponentState, ComponentStatus, MemberState, NodeStatus,
};
use jiff::{Timestamp, tz::TimeZone};

use super::is_control_plane;
use crate::{
    screens::{age, left, table},
    site,
};

/// What a kubelet says when all is well, which is worth no words.
const WELL: &str = "kubelet is posting ready status";

/// `cluster status`.
pub(super) fn status(status: &ClusterStatus) -> String {
    let mut out = String::new();
    let version = status
        .version
        .map_or_else(|| "no release yet".to_owned(), |own| format!("Kubernetes {own}"));
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "Cluster     {}, {version}", status.name);
    let _ = writeln!(
        out,
        "State       {}, for {}",
        loud(status.state),
        age(status.at, status.since)
    );
    let because = status.reasons.join("\n            ");
    if status.state == ClusterState::None {
        let _ = writeln!(out, "Because     {because}");
        return out;
    }
    let _ = writeln!(out, "API         {}, at {}", status.endpoint, status.address);
    if let Some(established) = status.established {
        let _ = writeln!(out, "Began       {} ago", age(status.at, established));
    }
    if !because.is_empty() {
        let _ = writeln!(out, "Because     {because}");
    }
    if let Some(own) = &status.upgrade {
        let why = if own.why.is_empty() {
            String::new()
        } else {
            format!(": {}", own.why)
        };
        let _ = writeln!(
            out,
            "Upgrade     {} -> {}, {}{why}",
            own.from,
            own.to,
            own.state.as_str()
        );
    }
    if !status.missing.is_empty() {
        let _ = write!(out, "\n{}\n", site::missing(&status.missing));
    }
    let _ = write!(out, "\n{}", components(&status.components, status.at));
    let _ = write!(out, "\n{}", nodes(&status.nodes, status.at));
    if !status.certificates.is_empty() {
        let row = |own: &faros_model::api::CertificateEnd| {
            let ends = own.ends.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M UTC");
            let node = own.node.as_ref().map_or("-", |node| node.as_str());
            vec![
                own.what.clone(),
                node.to_owned(),
                ends.to_string(),
                left(status.at, own.ends),
            ]
        };
        let rows: Vec<Vec<String>> = status.certificates.iter().map(row).collect();
        let head = ["CERTIFICATE OF", "NODE", "ENDS", "LEFT"];
        let _ = write!(out, "\n{}", table(&head, &rows));
    }
    out
}

fn loud(state: ClusterState) -> &'static str {
    match state {
        ClusterState::Degraded => "DEGRADED",
        state => state.as_str(),
    }
}

fn components(components: &[ComponentStatus], now: Timestamp) -> String {
    let row = |own: &ComponentStatus| {
        let state = match own.state {
            ComponentState::NotReady => "NOT READY",
            state => state.as_str(),
        };
        vec![
            own.component.clone(),
            own.node.as_ref().map_or("-", |node| node.as_str()).to_owned(),
            state.to_owned(),
            own.since.map(|since| age(now, since)).unwrap_or_default(),
            own.waits_for.clone().unwrap_or_default(),
            own.said.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = components.iter().map(row).collect();
    table(&["COMPONENT", "NODE", "STATE", "FOR", "WAITS FOR", "SAYS"], &rows)
}

/// `cluster nodes`.
pub(super) fn nodes(nodes: &[ClusterNode], now: Timestamp) -> String {
    if nodes.is_empty() {
        return "No nodes: the site has no cluster.\n".to_owned();
    }
    let row = |own: &ClusterNode| {
        let roles: Vec<_> = own.roles.iter().map(|role| role.as_str()).collect();
        let state = match own.state {
            MemberState::NotReady => "NOT READY",
            MemberState::Failed => "FAILED",
            state => state.as_str(),
        };
        vec![
            own.name.to_string(),
            state.to_owned(),
            own.since.map(|since| age(now, since)).unwrap_or_default(),
            roles.join(","),
            own.address.to_string(),
            own.version.clone().unwrap_or_else(|| "-".to_owned()),
            own.waits_for.clone().unwrap_or_default(),
            says(&own.said).to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = nodes.iter().map(row).collect();
    let head = [
        "NODE",
        "STATE",
        "FOR",
        "ROLES",
        "ADDRESS",
        "VERSION",
        "WAITS FOR",
        "SAYS",
    ];
    table(&head, &rows)
}

fn says(said: &str) -> &str {
    if said == WELL { "" } else { said }
}

/// What an install is about to do.
pub(super) fn intent(status: &ClusterStatus, to_arm: &[&NodeStatus]) -> String {
    let names = |wanted: &dyn Fn(&ClusterNode) -> bool| {
        let nodes = status.nodes.iter().filter(|node| wanted(node));
        nodes
            .map(|node| node.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut out = String::new();
    let version = status
        .version
        .map_or_else(String::new, |own| format!(" of Kubernetes {own}"));
    let _ = writeln!(
        out,
        "The cluster {}{version}, API at {} ({}):",
        status.name, status.endpoint, status.address
    );
    let control_plane = names(&is_control_plane);
    let how = if control_plane.contains(',') {
        "the first that asks begins it, the others join one after another"
    } else {
        "begins it"
    };
    let _ = writeln!(out, "  control plane  {control_plane}: {how}");
    let others = names(&|node| !is_control_plane(node));
    if !others.is_empty() {
        let _ = writeln!(out, "  others         {others}: join when the API is ready");
    }
    let here = names(&|node| {
        matches!(
            node.state,
            MemberState::Ready | MemberState::NotReady | MemberState::Starting | MemberState::Unknown
        )
    });
    if !here.is_empty() {
        let _ = writeln!(out, "  have joined    {here}");
    }
    if !to_arm.is_empty() {
        let names: Vec<&str> = to_arm.iter().map(|node| node.name.as_str()).collect();
        let _ = writeln!(
            out,
            "  to be armed    {}: their disks are wiped at their next network boot",
            names.join(", ")
        );
    }
    let armed = names(&|node| node.armed);
    if !armed.is_empty() {
        let _ = writeln!(
            out,
            "  armed          {armed}: have to be started from their network"
        );
    }
    out.truncate(out.trim_end().len());
    out
}

/// What is another than before, a line each.
pub(super) fn changes(last: Option<&ClusterStatus>, now: &ClusterStatus) -> Vec<String> {
    let clock = now
        .at
        .to_zoned(TimeZone::system())
        .strftime("%H:%M:%S")
        .to_string();
    let mut lines = Vec::new();
    if last.is_none_or(|last| last.state != now.state) {
        lines.push(format!("{clock}  cluster  {}", loud(now.state)));
    }
    for own in &now.components {
        let before = last.and_then(|last| {
            let is_it = |old: &&ComponentStatus| (&old.component, &old.node) == (&own.component, &own.node);
            last.components.iter().find(is_it)
        });
        let is_same = before.is_some_and(|old| (old.state, &old.said) == (own.state, &own.said));
        // At first, what is well is not worth a line.
        if is_same || (last.is_none() && own.state == ComponentState::Ready) {
            continue;
        }
        let name = match &own.node {
            Some(node) => format!("{node}: {}", own.component),
            None => own.component.clone(),
        };
        let waits = own.waits_for.as_deref();
        lines.push(line(&clock, &name, own.state.as_str(), waits, &own.said));
    }
    for own in &now.nodes {
        let before = last.and_then(|last| last.nodes.iter().find(|old| old.name == own.name));
        let told = |own: &ClusterNode| (own.state, own.waits_for.clone(), own.said.clone());
        if before.is_none_or(|old| told(old) != told(own)) {
            let (state, waits) = (own.state.as_str(), own.waits_for.as_deref());
            lines.push(line(&clock, own.name.as_str(), state, waits, says(&own.said)));
        }
    }
    lines
}

fn line(clock: &str, name: &str, state: &str, waits_for: Option<&str>, said: &str) -> String {
    let waits = waits_for.map_or_else(String::new, |what| format!(", waits for {what}"));
    let said = if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    };
    format!("{clock}  {name}  {state}{waits}{said}")
}

#[cfg(test)]
mod tests {
    use faros_model::api::CertificateEnd;

    use super::*;

    fn cluster() -> ClusterStatus {
        let now = Timestamp::UNIX_EPOCH;
        let node = ClusterNode {
            name: "node-1".parse().unwrap_or_else(|_| unreachable!()),
            roles: vec![faros_model::site::Role::ControlPlane],
            address: [192, 168, 8, 11].into(),
            state: MemberState::Joining,
            since: Some(now),
            waits_for: Some("its etcd".to_owned()),
            said: "init; not ready: etcd".to_owned(),
            version: None,
            armed: false,
        };
        ClusterStatus {
            at: now,
            state: ClusterState::Installing,
            since: now,
            reasons: vec!["node-1 is joining".to_owned()],
            name: "quay.edge.example.com".to_owned(),
            endpoint: "api.quay.edge.example.com:6443".to_owned(),
            address: [192, 168, 8, 2].into(),
            version: "v1.36.3".parse().ok(),
            established: None,
            missing: vec![],
            components: vec![],
            nodes: vec![node],
            certificates: vec![CertificateEnd {
                what: "etcd".to_owned(),
                node: None,
                ends: now + jiff::SignedDuration::from_hours(24 * 89),
            }],
            upgrade: None,
        }
    }

    #[test]
    fn a_status_says_what_is_waited_for() {
        let text = status(&cluster());
        for words in [
            "Kubernetes v1.36.3",
            "installing, for 0s",
            "node-1",
            "its etcd",
            "init; not ready: etcd",
            "UTC  89d\n",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn only_what_is_another_than_before_is_told() {
        let first = cluster();
        assert_eq!(changes(None, &first).len(), 2);
        assert!(changes(Some(&first), &first).is_empty());
        let mut next = first.clone();
        next.nodes[0].state = MemberState::Ready;
        next.nodes[0].waits_for = None;
        WELL.clone_into(&mut next.nodes[0].said);
        next.state = ClusterState::Ready;
        let lines = changes(Some(&first), &next);
        assert!(lines[0].ends_with("cluster  ready"), "{lines:?}");
        assert!(lines[1].ends_with("node-1  ready"), "{lines:?}");
    }
}
