//! Roles of nodes, and how many of them make a control plane.

use faros_model::{site, wire::v1alpha1 as wire};

use super::{Check, nodes::NodeDraft};
use crate::codes::Code;

const NODES: &str = "spec.nodes";

impl Check<'_> {
    /// The roles, sorted; `None` if something is wrong with them. Without any, those of a small site.
    pub(super) fn roles(&mut self, path: &str, roles: Option<&[wire::Role]>) -> Option<Vec<site::Role>> {
        if self.is_told(path) {
            return None;
        }
        let Some(roles) = roles else {
            return Some(vec![site::Role::ControlPlane, site::Role::Worker]);
        };
        if roles.is_empty() {
            self.error(
                Code::MissingValue,
                path,
                "a node must do something",
                "such as [control-plane, worker]",
            );
            return None;
        }
        let told = self.problems.len();
        let mut checked = Vec::new();
        for (idx, role) in roles.iter().enumerate() {
            let role = role_of(*role);
            if checked.contains(&role) {
                let path = self.places.item(path, idx);
                let what = format!("`{}` is here twice", role.as_str());
                self.error(Code::DuplicateValue, &path, what, "keep one of them");
            } else {
                checked.push(role);
            }
        }
        if checked.contains(&site::Role::Arbiter) && checked.len() > 1 {
            let what = "an arbiter is a member of etcd and nothing else";
            self.error(
                Code::RolesExcludeEachOther,
                path,
                what,
                "take the other roles away from it",
            );
        }
        checked.sort_unstable();
        Some(checked).filter(|_| self.problems.len() == told)
    }

    /// etcd needs an odd number of members: 1, 3 or 5, of which one may be an arbiter.
    pub(super) fn control_plane(&mut self, drafts: &[NodeDraft]) {
        let Some(all) = drafts
            .iter()
            .map(|draft| draft.roles.as_deref())
            .collect::<Option<Vec<_>>>()
        else {
            return;
        };
        if all.is_empty() || self.is_told(NODES) {
            return;
        }
        let with = |role| all.iter().filter(|roles| roles.contains(&role)).count();
        let (members, arbiters) = (with(site::Role::ControlPlane), with(site::Role::Arbiter));
        let (what, hint) = match (members, arbiters) {
            (1 | 3 | 5, 0) | (2 | 4, 1) => return,
            (0, _) => (
                "no node has the role control-plane".to_owned(),
                "give it to 1, 3 or 5 nodes",
            ),
            (2, 0) => (
                "2 nodes have the role control-plane; if one fails, the other has no majority".to_owned(),
                "make it 1 or 3, or give a third node the role arbiter",
            ),
            (_, 0) => (
                format!("{members} nodes have the role control-plane; a quorum needs 1, 3 or 5"),
                "make it 1, 3 or 5; a node without `roles` is control-plane and worker",
            ),
            _ => (
                format!("the roles control-plane ({members}) and arbiter ({arbiters}) make no quorum"),
                "one arbiter goes with 2 control-plane nodes",
            ),
        };
        self.error(Code::ControlPlaneCount, NODES, what, hint);
    }
}

fn role_of(role: wire::Role) -> site::Role {
    match role {
        wire::Role::ControlPlane => site::Role::ControlPlane,
        wire::Role::Worker => site::Role::Worker,
        wire::Role::MetaWorker => site::Role::MetaWorker,
        wire::Role::Frontend => site::Role::Frontend,
        wire::Role::Arbiter => site::Role::Arbiter,
    }
}
