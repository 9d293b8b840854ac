//! What the kubelet is told about its node.

use faros_model::site::{Node, Role};

/// What the kubelet says of its node when it registers.
///
/// A kubelet may not give itself labels below `kubernetes.io` (the `NodeRestriction` admission plug-in), so roles stand below
/// `role.faros.dev`; the well-known role labels are given by whoever approves the node.
pub(crate) fn kubelet(node: &Node) -> String {
    let roles = node
        .roles
        .iter()
        .map(|role| format!("role.faros.dev/{}=true", role.as_str()));
    let labels: Vec<String> = roles
        .chain(node.labels.iter().map(|(key, value)| format!("{key}={value}")))
        .collect();
    let mut taints = node.taints.clone();
    // Management workload is kept apart from the rest: only what asks for it runs there.
    if node.roles.contains(&Role::MetaWorker) && !node.roles.contains(&Role::Worker) {
        taints.push("role.faros.dev/meta-worker=true:NoSchedule".to_owned());
    }
    let mut arguments = vec![
        format!("--hostname-override={}", node.name),
        format!("--node-ip={}", node.address),
    ];
    arguments.push(format!("--node-labels={}", labels.join(",")));
    if !taints.is_empty() {
        arguments.push(format!("--register-with-taints={}", taints.join(",")));
    }
    format!("KUBELET_EXTRA_ARGS={}\n", arguments.join(" "))
}
