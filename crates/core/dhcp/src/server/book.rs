//! Who holds which address.
//!
//! Leases are what is on disk; offers are promises of a minute that are not. A dynamic address goes back to
//! the client that had it, else to whoever asks for it by name, else the one unused for longest is taken.

use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
};

use faros_model::lease::{Lease, LeaseState};
use jiff::Timestamp;

use crate::{
    message::{Message, Opt},
    tables::Tables,
};

/// Most offers held; a flood of made-up clients must not become a flood of memory.
const MAX_OFFERS: usize = 65_536;

/// Who a client is: its identifier, or what it would be by convention, type and hardware address
/// (RFC 2132 section 9.14).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key(Box<[u8]>);

impl Key {
    pub(super) fn of(message: &Message) -> Self {
        Self::from(
            message.options.get(&Opt::CLIENT_ID).map(Vec::as_slice),
            message.mac,
        )
    }

    fn of_lease(lease: &Lease) -> Self {
        Self::from(lease.client_id.as_deref(), lease.mac)
    }

    fn from(client_id: Option<&[u8]>, mac: faros_model::ids::MacAddr) -> Self {
        match client_id.filter(|id| !id.is_empty()) {
            Some(id) => Self(id.into()),
            None => Self([1].into_iter().chain(mac.0).collect()),
        }
    }
}

/// The address to offer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pick {
    /// The client has it, or had it last, or is being offered it.
    Known(Ipv4Addr),
    /// It is new to the client, and must be probed.
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
    /// Addresses with a lease by its end, so that the one unused for longest is first.
    by_end: BTreeSet<(Timestamp, Ipv4Addr)>,
    /// Where the search for a never-used address goes on.
    cursor: u32,
}

impl Book {
    pub(super) fn new(leases: Vec<Lease>) -> Self {
        let mut book = Self {
            leases: HashMap::new(),
            by_client: HashMap::new(),
            offers: HashMap::new(),
            offered: HashMap::new(),
            by_end: BTreeSet::new(),
            cursor: 0,
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
        self.forget_offer(address);
        self.put(lease);
        self.by_client.insert(key.clone(), address);
    }

    pub(super) fn decline(&mut self, lease: Lease) {
        self.by_client.retain(|_, address| *address != lease.address);
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
            self.by_end.remove(&(old.until, address));
            // Who had it before must not think that it still has.
            let former = Key::of_lease(&old);
            if former != owner && self.by_client.get(&former) == Some(&address) {
                self.by_client.remove(&former);
            }
        }
        self.by_end.insert((until, address));
    }

    pub(super) fn hold(&mut self, until: Timestamp, address: Ipv4Addr, key: &Key) {
        if self.offers.len() < MAX_OFFERS || self.offers.contains_key(&address) {
            self.offered.insert(key.clone(), address);
            if let Some((_, former)) = self.offers.insert(address, (until, key.clone()))
                && former != *key
            {
                self.offered.remove(&former);
            }
        }
    }

    pub(super) fn forget_offer(&mut self, address: Ipv4Addr) {
        if let Some((_, key)) = self.offers.remove(&address)
            && self.offered.get(&key) == Some(&address)
        {
            self.offered.remove(&key);
        }
    }

    pub(super) fn forget_offer_to(&mut self, key: &Key) {
        if let Some(address) = self.offered.remove(key) {
            self.offers.remove(&address);
        }
    }

    fn forget_old_offers(&mut self, now: Timestamp) {
        self.offers.retain(|_, (until, _)| *until > now);
        let offers = &self.offers;
        self.offered
            .retain(|key, address| offers.get(address).is_some_and(|(_, own)| own == key));
    }

    /// Whether the client may have this dynamic address; says why not.
    pub(super) fn may_have(
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
        let promised = self.offers.get(&address).is_some_and(|(_, own)| own == key);
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
        if let Some(own) = self.by_client.get(key).copied().filter(|own| usable(self, *own)) {
            return Pick::Known(own);
        }
        let offered = self
            .offers
            .iter()
            .find(|(_, (_, own))| own == key)
            .map(|(address, _)| *address);
        if let Some(own) = offered.filter(|own| usable(self, *own)) {
            return Pick::Known(own);
        }
        if let Some(wanted) = wanted.filter(|wanted| usable(self, *wanted)) {
            return Pick::Fresh(wanted);
        }
        if self.offers.len() >= MAX_OFFERS {
            self.forget_old_offers(now);
        }
        // First what nobody ever had, so that whoever comes back finds its old address free.
        let size = u32::try_from(tables.pool.len()).unwrap_or(u32::MAX);
        for step in 0..size {
            let nth = (self.cursor + step) % size;
            let address = Ipv4Addr::from_bits(tables.pool.first().to_bits() + nth);
            if !self.leases.contains_key(&address) && usable(self, address) {
                self.cursor = nth + 1;
                return Pick::Fresh(address);
            }
            // A pool of millions is searched in pieces: what is used stands together at its beginning.
            if step > 70_000 {
                break;
            }
        }
        let oldest = self
            .by_end
            .iter()
            .map(|(_, address)| *address)
            .find(|address| usable(self, *address));
        oldest.map_or(Pick::None, Pick::Fresh)
    }
}
