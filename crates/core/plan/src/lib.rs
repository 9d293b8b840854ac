//! From the running site and the wanted one to a [`Plan`]: what an apply does, to whom, in which order.
//!
//! The same value is shown before, carried out by the executor, and kept in the history. Two equal sites
//! make an empty plan, so applying a file twice does nothing the second time.
#![warn(missing_docs)]

mod diff;
mod names;
mod text;

use faros_model::{
    ids::{Generation, HostName},
    plan::{Action, Change, Plan, Service, Step},
    site::Site,
};

pub use names::names;
pub use text::{summary, text, title};

/// What it takes to get from the running generation to `wanted`.
pub fn plan(running: Option<(Generation, &Site)>, wanted: &Site) -> Plan {
    let base = running.map(|(generation, _)| generation);
    let next = base.map_or(Generation(1), Generation::next);
    let before = running.map(|(_, site)| site);
    if before == Some(wanted) {
        return Plan {
            base,
            next,
            steps: vec![],
        };
    }
    let mut steps = Vec::new();
    let gone: Vec<HostName> = replaced(before, wanted);
    if !gone.is_empty() {
        let changes = gone.iter().map(diff::forgotten).collect();
        steps.push(Step {
            action: Action::Forget { nodes: gone.clone() },
            changes,
        });
    }
    let new =
        |name: &&HostName| before.is_none_or(|site| !site.nodes.contains_key(*name)) || gone.contains(name);
    let new: Vec<HostName> = wanted.nodes.keys().filter(new).cloned().collect();
    if !new.is_empty() {
        let changes = new
            .iter()
            .filter_map(|name| wanted.nodes.get(name))
            .map(diff::armed)
            .collect();
        steps.push(Step {
            action: Action::Arm { nodes: new },
            changes,
        });
    }
    for service in Service::ALL {
        let (ran, runs) = (
            before.is_some_and(|site| site.runs(service)),
            wanted.runs(service),
        );
        let changes = diff::service(service, before.filter(|_| ran), wanted);
        let action = match (ran, runs) {
            (false, false) => continue,
            (false, true) => Action::Start { service },
            (true, true) if changes.is_empty() => continue,
            (true, true) => Action::Swap { service },
            (true, false) => {
                steps.push(Step {
                    action: Action::Stop { service },
                    changes: vec![diff::stopped(service)],
                });
                continue;
            }
        };
        steps.push(Step { action, changes });
    }
    let kept: Vec<Change> = before
        .map(|before| diff::kept(before, wanted))
        .unwrap_or_default();
    steps.push(Step {
        action: Action::Accept,
        changes: kept,
    });
    Plan { base, next, steps }
}

/// Nodes that are in the site no longer, or are another machine by the same name.
fn replaced(before: Option<&Site>, wanted: &Site) -> Vec<HostName> {
    let nodes = before.into_iter().flat_map(|site| site.nodes.values());
    let gone = nodes.filter(|node| {
        wanted
            .nodes
            .get(&node.name)
            .is_none_or(|now| now.macs().all(|mac| node.macs().all(|own| own != mac)))
    });
    gone.map(|node| node.name.clone()).collect()
}

#[cfg(test)]
mod tests;
