//! Sees to it that what is sealed is opened, for the services that need it.

use std::{collections::BTreeMap, sync::Arc};

use faros_model::{api::ServiceState, plan::Service, site::SealKeysWith};
use tokio::task::JoinHandle;

use super::parts::Part;
use crate::{
    daemon::{Intent, Shared},
    keeper::Keeping,
};

/// What is to be open, and how it is to be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    seal_with: SealKeysWith,
    unlock_keys: bool,
    roots: bool,
}

/// Who opens and seals, one secret after the other, so that a passphrase given for the first does for all.
#[derive(Default)]
pub(super) struct Tending(Option<(Wanted, JoinHandle<()>)>);

impl Tending {
    /// Has what is needed opened, and sealed as the site file has it now; the keyholes tell how that goes. A question
    /// for a passphrase that is no longer wanted is taken back.
    pub(super) fn settle(&mut self, shared: &Arc<Shared>, parts: &BTreeMap<Part, Arc<Intent>>) {
        let (unlock, registry) = (parts.get(&Part::Unlock), parts.get(&Part::Registry));
        let wanted = unlock.or(registry).map(|intent| Wanted {
            seal_with: intent.site.unlock.seal_keys_with,
            unlock_keys: unlock.is_some(),
            roots: registry.is_some(),
        });
        if let Some((being, task)) = &self.0 {
            if wanted == Some(*being) && !task.is_finished() {
                return;
            }
            task.abort();
        }
        self.0 = None;
        let Some(wanted) = wanted else { return };
        let seal_with = wanted.seal_with;
        let keys_are_left = wanted.unlock_keys && !shared.unlock.keeper().is_settled(seal_with);
        let roots_are_left = wanted.roots && !shared.authority.is_settled(seal_with);
        if !keys_are_left && !roots_are_left {
            return;
        }
        let own = Arc::clone(shared);
        let task = tokio::spawn(async move {
            if keys_are_left {
                own.unlock.tend(seal_with).await;
            }
            if roots_are_left {
                own.tend_authority(seal_with).await;
            }
        });
        self.0 = Some((wanted, task));
    }

    /// Whether something that is wanted cannot be had, so that it has to be tried again.
    pub(super) fn fails(&self, shared: &Shared) -> bool {
        let fails = |keeper: &dyn Keeping| {
            let failed = keeper
                .closed()
                .is_some_and(|(state, _)| state == ServiceState::Failed);
            failed || keeper.unsealed().is_some()
        };
        self.0.as_ref().is_some_and(|(wanted, _)| {
            wanted.unlock_keys && fails(shared.unlock.keeper()) || wanted.roots && fails(&shared.authority)
        })
    }
}

/// Who keeps what a service cannot do without.
pub(super) fn keeper_of(shared: &Shared, service: Service) -> Option<&dyn Keeping> {
    match service {
        Service::Unlock => Some(shared.unlock.keeper()),
        Service::Registry => Some(&shared.authority),
        _ => None,
    }
}
