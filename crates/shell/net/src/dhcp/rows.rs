//! Leases as the API tells them.

use faros_dhcp::Server;
use faros_model::{api::LeaseInfo, lease::LeaseState};
use jiff::Timestamp;

pub(super) fn all(server: &Server, now: Timestamp) -> Vec<LeaseInfo> {
    let mut rows: Vec<LeaseInfo> = server
        .leases()
        .map(|lease| {
            let own = server
                .tables()
                .reservation(lease.mac)
                .filter(|own| own.address == lease.address);
            let state = match lease.state {
                LeaseState::Active if lease.until <= now => "expired",
                LeaseState::Active => "active",
                LeaseState::Released => "released",
                LeaseState::Declined => "declined",
            };
            LeaseInfo {
                address: lease.address,
                mac: lease.mac,
                name: own
                    .map(|own| own.name.to_string())
                    .or_else(|| lease.hostname.clone()),
                reserved: own.is_some(),
                state: state.to_owned(),
                since: Some(lease.since),
                until: Some(lease.until),
            }
        })
        .collect();
    rows.sort_by_key(|row| row.address);
    rows
}
