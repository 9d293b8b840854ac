//! firewalld, by its D-Bus API: has it hold our zones and policies, and takes them away again.
//!
//! firewalld has two configurations. What is *permanent* is read at its start and at each reload; what is *runtime* is
//! in the kernel. A zone or policy comes and goes, and a target changes, by a reload alone, during which firewalld lets
//! no new connection pass for some tenths of a second; so there is one only if it must be. All else is set in both.
//!
//! A call goes to the process that owns firewalld's name, and so never starts it.

mod bus;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use faros_firewall::{Firewalld, PREFIX, Settings};

pub use bus::Bus;
use bus::{CONFIG, MAIN, Peer};

/// firewalld's name on the bus.
const NAME: &str = "org.fedoraproject.FirewallD1";

/// Why firewalld does not hold what it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no bus, or it is gone.
    #[error("cannot speak with the system bus")]
    Bus(#[source] Box<zbus::Error>),
    /// firewalld did not do what it was asked.
    #[error("firewalld refuses {what}")]
    Refused {
        /// What it was asked.
        what: String,
        /// What it said.
        source: Box<zbus::Error>,
    },
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    /// firewalld's version.
    pub version: String,
    /// How its zones and policies were not as they should be, in words. They are now.
    pub found: Vec<String>,
}

/// Of the two kinds of things that firewalld has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Zone,
    Policy,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Zone => "zone",
            Self::Policy => "policy",
        }
    }
}

/// Has firewalld hold this, permanently and now; `None` if it does not run.
///
/// # Errors
/// If the bus is gone, or firewalld refuses.
pub async fn hold(bus: &Bus, wanted: &Firewalld) -> Result<Option<Held>, Error> {
    let Some(peer) = bus.peer(NAME).await? else {
        return Ok(None);
    };
    match hold_by(&peer, wanted).await {
        // What goes while it is spoken to has not refused anything.
        Err(_) if bus.peer(NAME).await?.is_none() => Ok(None),
        held => held.map(Some),
    }
}

async fn hold_by(peer: &Peer<'_>, wanted: &Firewalld) -> Result<Held, Error> {
    let version = peer.version().await?;
    let (mut found, mut reload) = (Vec::new(), false);
    // Zones come before the policies that name them, and go after.
    let (zones, policies) = (permanent_zones(peer, wanted).await?, &wanted.policies);
    reload |= drop_others(peer, Kind::Policy, policies).await?;
    for (kind, all) in [(Kind::Zone, &zones), (Kind::Policy, policies)] {
        reload |= hold_permanently(peer, kind, all, &mut found).await?;
    }
    reload |= drop_others(peer, Kind::Zone, &zones).await?;
    reload |= !holds_now(peer, wanted).await?;
    if reload {
        peer.reload().await?;
    }
    for (name, settings) in &wanted.zones {
        for interface in settings.items("interfaces") {
            let zone = peer.zone_now(interface).await?;
            if zone != *name {
                let zone = if zone.is_empty() { "no zone" } else { &zone };
                found.push(format!("{interface} was in {zone} and not in {name}"));
                peer.change_zone(interface, name).await?;
            }
        }
    }
    for (kind, all) in [(Kind::Zone, &wanted.zones), (Kind::Policy, policies)] {
        for (name, settings) in all {
            let differences = settings.differences(&peer.settings_now(kind, name).await?);
            if !differences.is_empty() {
                found.extend(of(kind, name, differences));
                peer.set_now(kind, name, settings).await?;
            }
        }
    }
    Ok(Held { version, found })
}

/// Takes all of ours away; how much there was, or `None` if firewalld does not run.
///
/// # Errors
/// As [`hold`].
pub async fn remove(bus: &Bus) -> Result<Option<bool>, Error> {
    let Some(peer) = bus.peer(NAME).await? else {
        return Ok(None);
    };
    let nothing = BTreeMap::new();
    let mut any = false;
    for kind in [Kind::Policy, Kind::Zone] {
        any |= drop_others(&peer, kind, &nothing).await?;
    }
    if any {
        peer.reload().await?;
    }
    Ok(Some(any))
}

/// The zones without the interfaces that somebody has put into a zone of theirs, permanently: that is theirs to
/// change, and an interface can be in one zone only. Now it is in ours all the same.
async fn permanent_zones(peer: &Peer<'_>, wanted: &Firewalld) -> Result<BTreeMap<String, Settings>, Error> {
    let mut zones = wanted.zones.clone();
    for (name, settings) in &wanted.zones {
        for interface in settings.items("interfaces") {
            let zone = peer.zone_permanently(interface).await?;
            let theirs = !zone.is_empty() && !zone.starts_with(PREFIX);
            if let (true, Some(own)) = (theirs, zones.get_mut(name)) {
                own.leave_out("interfaces", interface);
            }
        }
    }
    Ok(zones)
}

/// Whether anything has to be read again.
async fn hold_permanently(
    peer: &Peer<'_>,
    kind: Kind,
    wanted: &BTreeMap<String, Settings>,
    found: &mut Vec<String>,
) -> Result<bool, Error> {
    let there = peer.names(CONFIG, kind).await?;
    let mut reload = false;
    for (name, settings) in wanted {
        if !there.contains(name) {
            peer.add(kind, name, settings).await?;
            reload = true;
            continue;
        }
        let path = peer.path_of(kind, name).await?;
        let theirs = peer.settings_permanently(kind, name, &path).await?;
        let differences = settings.differences(&theirs);
        if !differences.is_empty() {
            found.extend(of(kind, name, differences));
            peer.update(kind, name, &path, settings).await?;
            reload |= settings.target() != theirs.target();
        }
    }
    Ok(reload)
}

/// Takes away those of ours that are not wanted; whether there were any.
async fn drop_others(
    peer: &Peer<'_>,
    kind: Kind,
    wanted: &BTreeMap<String, Settings>,
) -> Result<bool, Error> {
    let mut any = false;
    for name in peer.names(CONFIG, kind).await? {
        if name.starts_with(PREFIX) && !wanted.contains_key(&name) {
            let path = peer.path_of(kind, &name).await?;
            peer.remove(kind, &name, &path).await?;
            any = true;
        }
    }
    Ok(any)
}

/// Whether the kernel has all zones and policies, and those with their targets.
async fn holds_now(peer: &Peer<'_>, wanted: &Firewalld) -> Result<bool, Error> {
    for (kind, all) in [(Kind::Zone, &wanted.zones), (Kind::Policy, &wanted.policies)] {
        let there: BTreeSet<String> = peer.names(MAIN, kind).await?;
        for (name, settings) in all {
            if !there.contains(name) || peer.settings_now(kind, name).await?.target() != settings.target() {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn of(kind: Kind, name: &str, differences: Vec<String>) -> impl Iterator<Item = String> {
    let whose = format!("{} {name}", kind.as_str());
    differences
        .into_iter()
        .map(move |difference| format!("{whose}: {difference}"))
}
