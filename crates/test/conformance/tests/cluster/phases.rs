//! `kubeadm` is killed in each of its phases, and its node loses its power right after: each begins anew, and what comes
//! out is one cluster.

use std::fs;

use faros_conformance::{root, story::reports};

use crate::world::{
    KUBEADM_DIES, WORKER, are_well, etcd_members, eventually, has_died, is_ready, start, tell, with_bastion,
};

/// As `kubeadm init` calls them. `[bootstrap-token]` is not run: the bastion makes its own.
const INIT: &[&str] = &[
    "[preflight]",
    "[certs]",
    "[kubeconfig]",
    "[etcd]",
    "[control-plane]",
    "[kubelet-start]",
    "[wait-control-plane]",
    "[upload-config]",
    "[upload-certs]",
    "[mark-control-plane]",
    "[kubelet-finalize]",
    "[addons]",
];

/// As `kubeadm join` calls those of a node of the control plane.
const JOIN_CONTROL_PLANE: &[&str] = &[
    "[preflight]",
    "[certs]",
    "[kubeconfig]",
    "[control-plane]",
    "[check-etcd]",
    "[kubelet-start]",
    "[etcd]",
    "[mark-control-plane]",
];

/// And those of a worker.
const JOIN_WORKER: &[&str] = &["[preflight]", "[kubelet-start]"];

#[test]
#[ignore = "takes some minutes: make cluster"]
fn kubeadm_may_be_killed_in_each_of_its_phases() -> anyhow::Result<()> {
    with_bastion(
        "t-cluster-phases",
        &root().join("examples/cluster.yaml"),
        |site| {
            for (node, phases) in [
                ("node-1", INIT),
                ("node-2", JOIN_CONTROL_PLANE),
                (WORKER, JOIN_WORKER),
            ] {
                start(site, node)?;
                let mut after = 0;
                for phase in phases {
                    site.lab.native(node).cut()?;
                    fs::write(site.lab.native(node).path(KUBEADM_DIES), phase)?;
                    start(site, node)?;
                    eventually(&format!("kubeadm dies at {phase}"), || has_died(site, node))?;
                    after = site.wait_for(
                        after,
                        &format!("{node} tells that it failed at {phase}"),
                        |event| reports(event, node, "join-failed"),
                    )?;
                    tell(&format!("{node}: kubeadm died, and power went, at {phase}"));
                }
                site.lab.native(node).cut()?;
                start(site, node)?;
                eventually(&format!("{node} is ready"), || is_ready(site, node))?;
            }
            are_well(site, 3)?;
            let members = etcd_members(site)?;
            assert!(
                members.len() == 2 && members.iter().all(|own| own.ends_with("started, voter")),
                "{members:?}"
            );
            Ok(())
        },
    )
}
