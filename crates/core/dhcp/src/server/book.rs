//! Who holds which address.
//!
//! Leases are what is on disk; offers are promises of a minute that are not. A dynamic address goes back to
//! the client that had it, else to whoever asks for it by name, else the one unused for longest is taken.

use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
};

use faros_model::{
    ids::MacAddr,
    lease::{Lease, LeaseState},
    net::Range,
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    message::{Message, opt},
    tables::Tables,
};

/// A client that comes back within this time after its lease ended finds its address unchanged; later, someone
/// may have taken it by hand, so it is probed again.
const TRUSTED: SignedDuration = SignedDuration::from_hours(1);

/// Who a client is: its identifier, or what it would be by convention, type and hardware address
/// (RFC 2132 section 9.14).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// By hardware address: what it would be by convention as well.
    Mac(MacAddr),
    /// By any other identifier.
    Other(Box<[u8]>),
}

impl Key {
    pub(super) fn of(message: &Message) -> Self {
        Self::from(message.options.get(opt::CLIENT_ID), message.mac)
    }

    fn of_lease(lease: &Lease) -> Self {
        Self::from(lease.client_id.as_deref(), lease.mac)
    }

    fn from(client_id: Option<&[u8]>, mac: MacAddr) -> Self {
        match client_id {
            None | Some([]) => Self::Mac(mac),
            Some(id) => {
                let own = id.strip_prefix(&[1]).and_then(|mac| mac.try_into().ok());
                own.map_or_else(|| Self::Other(id.into()), |mac| Self::Mac(MacAddr(mac)))
            }
        }
    }
}

/// The address to offer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pick {
    /// The client has it, or had it until a moment ago, or is being offered it.
    Known(Ipv4Addr),
    /// It is new to the client, or was left alone for long, and must be probed.
    Fresh(Ipv4Addr),
    /// There is none.
    None,
}

#[derive(Debug)]
pub(super) struct Book {
    leases: HashMap<Ipv4Addr, Lease>,
    by_client: HashMap<Key, Ipv4Addr>,
    offers: HashMap<Ipv4Addr, (Timestamp, Key)>,
    /// The address last offered to a client.
    offered: HashMap<Key, Ipv4Addr>,
    /// When each address that was ever leased or offered is free again.
    free_at: HashMap<Ipv4Addr, Timestamp>,
    /// The same by time, so that the one unused for longest is first.
    by_end: BTreeSet<(Timestamp, Ipv4Addr)>,
    /// The range of the tables, and the first of its addresses that may never have been used.
    unused: (Option<Range>, u64),
}

impl Book {
    pub(super) fn new(mut leases: Vec<Lease>) -> Self {
        // The latest counts, if a client has several.
        leases.sort_by_key(|lease| lease.since);
        let mut book = Self {
            leases: HashMap::new(),
            by_client: HashMap::new(),
            offers: HashMap::new(),
            offered: HashMap::new(),
            free_at: HashMap::new(),
            by_end: BTreeSet::new(),
            unused: (None, 0),
        };
        for lease in leases {
            let key = Key::of_lease(&lease);
            match lease.state {
                LeaseState::Active | LeaseState::Released => book.lease(lease, &key),
                LeaseState::Declined => book.decline(lease),
            }
        }
        book
    }

    pub(super) fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.leases.values()
    }

    pub(super) fn knows(&self, key: &Key) -> bool {
        self.by_client.contains_key(key)
    }

    /// Records a lease; the client's former address, if it was another, is no longer remembered as its.
    pub(super) fn lease(&mut self, lease: Lease, key: &Key) {
        let address = lease.address;
        self.unpromise(address);
        self.put(lease);
        self.by_client.insert(key.clone(), address);
    }

    pub(super) fn decline(&mut self, lease: Lease) {
        self.unpromise(lease.address);
        let former = self.leases.get(&lease.address).map(Key::of_lease);
        if let Some(former) = former.filter(|former| self.by_client.get(former) == Some(&lease.address)) {
            self.by_client.remove(&former);
        }
        self.put(lease);
    }

    /// Marks a lease as given back, if it is the client's.
    pub(super) fn release(&mut self, now: Timestamp, key: &Key, address: Ipv4Addr) -> Option<Lease> {
        if self.by_client.get(key) != Some(&address) {
            return None;
        }
        let mut lease = self
            .leases
            .get(&address)
            .filter(|lease| lease.state == LeaseState::Active)?
            .clone();
        lease.state = LeaseState::Released;
        lease.until = now;
        self.put(lease.clone());
        Some(lease)
    }

    fn put(&mut self, lease: Lease) {
        let (until, address, owner) = (lease.until, lease.address, Key::of_lease(&lease));
        if let Some(old) = self.leases.insert(address, lease) {
            // Who had it before must not think that it still has.
            let former = Key::of_lease(&old);
            if former != owner && self.by_client.get(&former) == Some(&address) {
                self.by_client.remove(&former);
            }
        }
        self.free_at(address, until);
    }

    fn free_at(&mut self, address: Ipv4Addr, at: Timestamp) {
        if let Some(before) = self.free_at.insert(address, at) {
            self.by_end.remove(&(before, address));
        }
        self.by_end.insert((at, address));
    }

    /// Promises an address to a client. Bounded by the number of addresses.
    pub(super) fn hold(&mut self, until: Timestamp, address: Ipv4Addr, key: &Key) {
        self.unpromise(address);
        if let Some(other) = self.offered.insert(key.clone(), address) {
            self.offers.remove(&other);
        }
        self.offers.insert(address, (until, key.clone()));
        let leased = self.leases.get(&address).map(|lease| lease.until);
        self.free_at(address, leased.map_or(until, |leased| leased.max(until)));
    }

    /// Takes the promise of an address back: it is free as soon as its lease allows.
    pub(super) fn forget_offer(&mut self, now: Timestamp, address: Ipv4Addr) {
        if self.unpromise(address) {
            let leased = self.leases.get(&address).map(|lease| lease.until);
            self.free_at(address, leased.unwrap_or(now));
        }
    }

    pub(super) fn forget_offer_to(&mut self, now: Timestamp, key: &Key) {
        if let Some(address) = self.offered.get(key).copied() {
            self.forget_offer(now, address);
        }
    }

    fn unpromise(&mut self, address: Ipv4Addr) -> bool {
        let Some((_, key)) = self.offers.remove(&address) else {
            return false;
        };
        if self.offered.get(&key) == Some(&address) {
            self.offered.remove(&key);
        }
        true
    }

    fn is_promised(&self, now: Timestamp, key: &Key, address: Ipv4Addr) -> bool {
        self.offers
            .get(&address)
            .is_some_and(|(until, own)| *until > now && own == key)
    }

    /// Whether the client has the address, or is being offered it.
    pub(super) fn holds(&self, now: Timestamp, key: &Key, address: Ipv4Addr) -> bool {
        self.by_client.get(key) == Some(&address) || self.is_promised(now, key, address)
    }

    /// Who else has an address that the site file gives to the client, if it was not offered to it since: a
    /// stranger of former days, when the address was in the dynamic range.
    pub(super) fn squatter(
        &self,
        now: Timestamp,
        tables: &Tables,
        key: &Key,
        address: Ipv4Addr,
    ) -> Option<MacAddr> {
        let lease = self.leases.get(&address)?;
        let stands = lease.state == LeaseState::Active && lease.until > now;
        let own = || {
            tables
                .reservation(lease.mac)
                .is_some_and(|own| own.address == address)
        };
        (stands && !own() && !self.holds(now, key, address)).then_some(lease.mac)
    }

    /// Whether the client may have this dynamic address; says why not.
    pub(super) fn may_be(
        &self,
        now: Timestamp,
        tables: &Tables,
        key: &Key,
        address: Ipv4Addr,
    ) -> Result<(), String> {
        if !tables.subnet.contains(address) {
            return Err(format!("it is not of the network {}", tables.subnet));
        }
        if !tables.pool.contains(address) || tables.kept.contains(&address) {
            return Err("it is kept for another machine".to_owned());
        }
        if self.is_taken(now, key, address) {
            return Err("another machine has it".to_owned());
        }
        // A client that was offered or leased something else holds on to the past.
        let promised = self.is_promised(now, key, address);
        match self.by_client.get(key) {
            Some(own) if *own != address && !promised => Err(format!("it has {own}")),
            _ => Ok(()),
        }
    }

    /// Whether someone else than `key` holds `address`.
    fn is_taken(&self, now: Timestamp, key: &Key, address: Ipv4Addr) -> bool {
        let offered = self
            .offers
            .get(&address)
            .is_some_and(|(until, own)| *until > now && own != key);
        let leased = self.leases.get(&address).is_some_and(|lease| match lease.state {
            LeaseState::Active => lease.until > now && Key::of_lease(lease) != *key,
            LeaseState::Declined => lease.until > now,
            LeaseState::Released => false,
        });
        offered || leased
    }

    /// The address to offer a client.
    pub(super) fn pick(
        &mut self,
        now: Timestamp,
        tables: &Tables,
        key: &Key,
        wanted: Option<Ipv4Addr>,
    ) -> Pick {
        let usable = |book: &Self, address: Ipv4Addr| {
            tables.pool.contains(address)
                && !tables.kept.contains(&address)
                && !book.is_taken(now, key, address)
        };
        let offered = self.offered.get(key).copied();
        if let Some(own) = offered.filter(|own| self.is_promised(now, key, *own) && usable(self, *own)) {
            return Pick::Known(own);
        }
        if let Some(own) = self.by_client.get(key).copied().filter(|own| usable(self, *own)) {
            let fresh = self
                .leases
                .get(&own)
                .is_none_or(|lease| now.duration_since(lease.until) > TRUSTED);
            return if fresh { Pick::Fresh(own) } else { Pick::Known(own) };
        }
        if let Some(wanted) = wanted.filter(|wanted| usable(self, *wanted)) {
            return Pick::Fresh(wanted);
        }
        // First what nobody ever had, so that whoever comes back finds its old address free.
        if self.unused.0 != Some(tables.pool) {
            self.unused = (Some(tables.pool), 0);
        }
        while self.unused.1 < tables.pool.len() {
            let nth = u32::try_from(self.unused.1).unwrap_or(u32::MAX);
            let address = Ipv4Addr::from_bits(tables.pool.first().to_bits().saturating_add(nth));
            self.unused.1 += 1;
            if !self.free_at.contains_key(&address) && usable(self, address) {
                return Pick::Fresh(address);
            }
        }
        let oldest = self
            .by_end
            .iter()
            .take_while(|(at, _)| *at <= now)
            .map(|(_, address)| *address)
            .find(|address| usable(self, *address));
        oldest.map_or(Pick::None, Pick::Fresh)
    }
}
