//! From the running site and the wanted one to a [`Plan`]: what an apply does, to whom, in which order.
//!
//! The same value is shown before, carried out by the executor, and kept in the history. Two equal sites
//! make an empty plan, so applying a file twice does nothing the second time.
#![warn(missing_docs)]

mod cutoff;
mod diff;
mod names;
mod text;

use faros_model::{
    ids::{Generation, HostName},
    plan::{Action, Plan, Service, Step},
    site::Site,
};

pub use cutoff::cuts_off;
pub use names::names;
pub use text::{summary, text, title};

/// Seconds in which a change that could cut the operator off is to be confirmed.
pub const WINDOW: u32 = 60;

/// What it takes to get from the running generation to `wanted`. A change that could cut the operator off waits for
/// a confirmation; the first generation does not, so that a bastion can be set up with nobody present.
pub fn plan(running: Option<(Generation, &Site)>, wanted: &Site) -> Plan {
    let is_risky = running.is_some_and(|(_, before)| !cuts_off(Some(before), wanted).is_empty());
    plan_within(running, wanted, is_risky.then_some(WINDOW))
}

/// The same, with so many seconds to wait for a confirmation, or with none.
pub fn plan_within(running: Option<(Generation, &Site)>, wanted: &Site, window: Option<u32>) -> Plan {
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
    let (nodes, services) = (nodes(before, wanted), services(before, wanted));
    let steps = match window {
        None => [nodes, services].concat(),
        // What cannot be taken back comes after the confirmation.
        Some(seconds) => {
            let confirm = Step {
                action: Action::Confirm { seconds },
                changes: cuts_off(before, wanted),
            };
            [services, vec![confirm], nodes].concat()
        }
    };
    let accept = Step {
        action: Action::Accept,
        changes: before
            .map(|before| diff::kept(before, wanted))
            .unwrap_or_default(),
    };
    Plan {
        base,
        next,
        steps: [steps, vec![accept]].concat(),
    }
}

fn nodes(before: Option<&Site>, wanted: &Site) -> Vec<Step> {
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
    steps
}

fn services(before: Option<&Site>, wanted: &Site) -> Vec<Step> {
    let mut steps = Vec::new();
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
    steps
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
