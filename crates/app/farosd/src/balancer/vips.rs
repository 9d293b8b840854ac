//! Which virtual IPs the bastion holds, and who else uses one.
//!
//! An address is asked for before it is taken, and from time to time while it is held. If another machine uses it,
//! the bastion does not take it; if another machine begins to use one that the bastion has, the bastion keeps it
//! and says nothing on the LAN, as both would only take it from each other in turn. Both are told.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use faros_kernel::lan::Interface;
use faros_model::{
    api::{ServiceState, VirtualAddress},
    event::EventKind,
    ids::MacAddr,
};
use faros_net::link::LanLink;
use serde_json::json;

use crate::daemon::Shared;

/// How often it is asked who else uses an address that is held.
const SELDOM: Duration = Duration::from_secs(30);

/// How often it is asked whether an address is free that somebody else used.
const OFTEN: Duration = Duration::from_secs(5);

/// Addresses and how they stand.
#[derive(Debug, Default)]
pub(crate) struct Vips {
    all: BTreeMap<Ipv4Addr, Vip>,
    has_interface: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Vip {
    is_held: bool,
    /// Whether it was asked for, and nobody had it.
    is_free: bool,
    used_by: Option<MacAddr>,
    asking: Asking,
}

/// Whether it is being asked who else uses an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    /// From then on it is to be.
    At(Instant),
    /// It is.
    UnderWay,
}

/// What came of asking.
pub(super) struct Arp {
    pub(super) asked: BTreeSet<Ipv4Addr>,
    pub(super) found: Result<BTreeMap<Ipv4Addr, MacAddr>, String>,
}

/// What is to be done.
pub(super) struct Step {
    /// Addresses to take.
    pub(super) take: BTreeSet<Ipv4Addr>,
    /// Addresses to ask for.
    pub(super) ask: BTreeSet<Ipv4Addr>,
    /// Whether the interface has not what it should.
    pub(super) is_stale: bool,
    /// After how long to look again.
    pub(super) again: Duration,
}

pub(super) fn link(lan: &Interface) -> LanLink {
    LanLink {
        name: lan.name.clone(),
        index: lan.index,
        mac: lan.mac,
    }
}

impl Vips {
    pub(super) fn clear(&mut self) {
        self.all.clear();
    }

    /// Nothing can be held without an interface.
    pub(super) fn without_interface(&mut self, wanted: &BTreeSet<Ipv4Addr>) {
        self.has_interface = false;
        self.all = wanted.iter().map(|own| (*own, Vip::new())).collect();
    }

    /// What is to be done so that the interface has the wanted addresses.
    pub(super) fn step(&mut self, wanted: &BTreeSet<Ipv4Addr>, lan: &Interface) -> Step {
        self.has_interface = true;
        let gone = self.all.keys().any(|own| !wanted.contains(own));
        self.all.retain(|own, _| wanted.contains(own));
        let now = Instant::now();
        let first = wanted.iter().any(|own| !self.all.contains_key(own));
        let mut step = Step {
            take: BTreeSet::new(),
            ask: BTreeSet::new(),
            // At first there may be one of an earlier site.
            is_stale: gone || first || (wanted.is_empty() && self.all.is_empty()),
            again: SELDOM,
        };
        for address in wanted {
            let vip = self.all.entry(*address).or_insert_with(Vip::new);
            // It may have been held before farosd started, and somebody may have taken it away.
            vip.is_held = lan.addresses.contains(address);
            if !vip.is_held && vip.is_free {
                step.take.insert(*address);
            }
            match vip.asking {
                Asking::At(at) if at <= now => {
                    vip.asking = Asking::UnderWay;
                    step.ask.insert(*address);
                }
                Asking::At(at) => step.again = step.again.min(at - now),
                Asking::UnderWay => (),
            }
        }
        step.is_stale |= !step.take.is_empty();
        step
    }

    /// Takes note that addresses are held now.
    pub(super) fn took(&mut self, shared: &Shared, taken: &BTreeSet<Ipv4Addr>, lan: &Interface) {
        for address in taken {
            if let Some(vip) = self.all.get_mut(address) {
                vip.is_held = true;
                tracing::info!(%address, interface = lan.name, "the virtual IP is held");
                let detail = json!({ "address": address, "interface": lan.name });
                shared.tell(EventKind::VirtualAddressHeld, detail);
            }
        }
    }

    /// Takes what came of asking.
    pub(super) fn heard(&mut self, shared: &Shared, arp: Arp) {
        let found = arp.found.unwrap_or_else(|error| {
            tracing::debug!(error, "cannot ask who has the virtual IPs");
            BTreeMap::new()
        });
        for address in arp.asked {
            let Some(vip) = self.all.get_mut(&address) else {
                continue;
            };
            let by = found.get(&address).copied();
            vip.is_free = by.is_none();
            if by != vip.used_by {
                vip.used_by = by;
                match by {
                    Some(mac) => {
                        tracing::error!(%address, %mac, held = vip.is_held, "another machine uses the virtual IP");
                        let detail = json!({ "address": address, "mac": mac, "held": vip.is_held });
                        shared.tell(EventKind::VirtualAddressTaken, detail);
                    }
                    None => tracing::info!(%address, "nobody else uses the virtual IP any more"),
                }
            }
            let pause = if by.is_some() { OFTEN } else { SELDOM };
            vip.asking = Asking::At(Instant::now() + pause);
        }
    }

    /// How the service is, as far as its addresses go.
    pub(super) fn state(&self) -> (ServiceState, String) {
        for (address, vip) in &self.all {
            match vip.used_by {
                Some(mac) if vip.is_held => {
                    let why = format!(
                        "{address} is used by {mac} as well: give that machine another address, or switch the \
                         balancer off if nodes are to hold it"
                    );
                    return (ServiceState::Waiting, why);
                }
                Some(mac) => {
                    let why = format!(
                        "{address} is used by {mac}, and is taken when that lets go of it; if nodes are to hold \
                         it, switch the balancer off"
                    );
                    return (ServiceState::Waiting, why);
                }
                None if !vip.is_held => {
                    let why = format!("it is being asked whether anyone on the LAN uses {address}");
                    return (ServiceState::Waiting, why);
                }
                None => (),
            }
        }
        (ServiceState::Ready, String::new())
    }

    /// As the API tells it.
    pub(super) fn view(
        &self,
        own: impl IntoIterator<Item = Ipv4Addr>,
        bastion: Ipv4Addr,
    ) -> Vec<VirtualAddress> {
        let addresses: BTreeSet<Ipv4Addr> = own.into_iter().collect();
        let view = |address: Ipv4Addr| {
            let vip = self.all.get(&address);
            let state = match vip {
                _ if address == bastion => "own",
                Some(_) if !self.has_interface => "no-interface",
                Some(vip) if vip.is_held => "held",
                Some(vip) if vip.used_by.is_some() => "taken",
                Some(_) | None => "asking",
            };
            VirtualAddress {
                address,
                state: state.to_owned(),
                used_by: vip.and_then(|vip| vip.used_by),
            }
        };
        addresses.into_iter().map(view).collect()
    }
}

impl Vip {
    fn new() -> Self {
        Self {
            is_held: false,
            is_free: false,
            used_by: None,
            asking: Asking::At(Instant::now()),
        }
    }
}
