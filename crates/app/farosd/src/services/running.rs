//! How a part comes to run and how it ends: bound, started, stopped when it is no longer wanted where it is, and
//! noticed when it ends by itself.
//!
//! All that are wanted are bound before any runs, so that a port that is taken is known before anyone is served.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddrV4},
    sync::Arc,
};

use faros_model::{
    plan::Service,
    ports::{NETBOOT_HTTP, REGISTRY, UNLOCK},
};
use faros_net::{dhcp::Dhcp, dns::Dns, http::Http, ntp::Ntp, service::Health, tftp::Tftp};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    Services,
    parts::{Part, Start, StoredLeases, listens_on, taken},
};
use crate::{
    authority::OwnCertificate,
    daemon::{Intent, lock},
    pages::Bastion,
    secure::SecurePages,
    time::Clock,
    unlock::TangPages,
};

/// A part that runs.
pub(super) struct Running {
    address: Ipv4Addr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Has it stop, and waits until it has.
    pub(super) async fn end(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

impl Services {
    pub(super) async fn stop_unwanted(&mut self, wanted: &BTreeMap<Part, Arc<Intent>>) {
        for part in Part::ALL {
            let address = wanted.get(&part).map(|intent| intent.site.lan.addresses.bastion);
            let stale = |running: &Running| address != Some(running.address);
            if self.running.get(&part).is_some_and(stale)
                && let Some(running) = self.running.remove(&part)
            {
                running.end().await;
            }
        }
    }

    /// Binds all parts that are wanted and do not run, and only then runs them.
    pub(super) fn start(&mut self, wanted: &BTreeMap<Part, Arc<Intent>>) -> Result<(), (Part, String)> {
        if let Some((part, how)) = self.ended.first_key_value() {
            return Err((*part, format!("{how}; it starts again by itself")));
        }
        let pages = Arc::new(Bastion(Arc::clone(&self.shared)));
        let mut bound = Vec::new();
        for (part, intent) in wanted.iter().filter(|(part, _)| !self.running.contains_key(part)) {
            let address = intent.site.lan.addresses.bastion;
            let ready = self.bind(*part, address, &pages).map_err(|why| (*part, why))?;
            bound.push((*part, address, ready));
        }
        for (part, address, run) in bound {
            let stop = CancellationToken::new();
            let task = tokio::spawn(run(stop.clone()));
            self.running.insert(part, Running { address, stop, task });
        }
        for service in Service::ALL {
            let listens = self
                .running
                .iter()
                .filter(|(part, _)| part.services().contains(&service));
            let listens = listens.map(|(part, running)| listens_on(*part, running.address));
            if let Some(health) = self.shared.health.get(&service) {
                health.listens(listens.flatten().collect());
            }
        }
        Ok(())
    }

    fn bind(&self, part: Part, address: Ipv4Addr, pages: &Arc<Bastion>) -> Result<Start, String> {
        let shared = &self.shared;
        let health = |service: Service| {
            let own = shared.counted.get(&service).cloned();
            own.unwrap_or_else(|| Health::new(service))
        };
        let pages = Arc::clone(pages);
        match part {
            Part::Http => {
                let at = SocketAddrV4::new(address, NETBOOT_HTTP);
                let http = Http::bind(at, pages, health(Service::Netboot)).map_err(|error| taken(&error))?;
                Ok(Box::new(|stop| Box::pin(http.run(stop))))
            }
            Part::Unlock => {
                let at = SocketAddrV4::new(address, UNLOCK);
                let pages = Arc::new(TangPages(Arc::clone(shared)));
                let tang = Http::bind(at, pages, health(Service::Unlock)).map_err(|error| taken(&error))?;
                Ok(Box::new(|stop| Box::pin(tang.run(stop))))
            }
            Part::Registry => {
                let at = SocketAddrV4::new(address, REGISTRY);
                let pages = Arc::new(SecurePages::new(Arc::clone(shared)));
                let tls = OwnCertificate::config(shared).map_err(|error| format!("{error:#}"))?;
                let https = Http::bind_tls(at, tls, pages, health(Service::Registry));
                let https = https.map_err(|error| taken(&error))?;
                Ok(Box::new(|stop| Box::pin(https.run(stop))))
            }
            Part::Ntp => {
                let tables = self.ntp_tables.as_ref().ok_or("there are no tables")?.subscribe();
                let host = Arc::new(Clock::new(shared.options.clock));
                let (told, health) = (shared.time.clone(), health(Service::Ntp));
                let ntp = Ntp::bind(address, tables, host, told, health).map_err(|error| taken(&error))?;
                Ok(Box::new(|stop| Box::pin(ntp.run(stop))))
            }
            Part::Tftp => {
                let tftp =
                    Tftp::bind(address, pages, health(Service::Netboot)).map_err(|error| taken(&error))?;
                Ok(Box::new(|stop| Box::pin(tftp.run(stop))))
            }
            Part::Dhcp => {
                let tables = self.dhcp_tables.as_ref().ok_or("there are no tables")?;
                let leases = shared.store.leases().map_err(|error| error.to_string())?;
                let log = Arc::new(StoredLeases(shared.store.clone()));
                let (link, sightings) = (self.link.subscribe(), shared.sightings.clone());
                let health = health(Service::Dhcp);
                // What the part before it said, without a LAN, is not this one's.
                self.has_said_nothing(Service::Dhcp);
                let bound = Dhcp::bind(link, tables.subscribe(), leases, log, sightings, health);
                let (dhcp, leases) = bound.map_err(|error| taken(&error))?;
                *lock(&shared.leases) = Some(leases);
                Ok(Box::new(|stop| Box::pin(dhcp.run(stop))))
            }
            Part::Dns => {
                let zones = self.dns_zones.as_ref().ok_or("there are no zones")?.subscribe();
                let dns = Dns::bind(address, zones, health(Service::Dns)).map_err(|error| taken(&error))?;
                Ok(Box::new(|stop| Box::pin(dns.run(stop))))
            }
        }
    }
}

/// Ends when one of the parts ends by itself; which, and how. It must not be asked of that part again.
pub(super) async fn ended(running: &mut BTreeMap<Part, Running>) -> (Part, String) {
    if running.is_empty() {
        std::future::pending::<()>().await;
    }
    let parts: Vec<Part> = running.keys().copied().collect();
    let tasks = running.values_mut().map(|running| &mut running.task);
    let (result, idx, _) = futures_util::future::select_all(tasks).await;
    (parts[idx], how_it_ended(result))
}

fn how_it_ended(result: Result<(), JoinError>) -> String {
    match result {
        Ok(()) => "it ended by itself".to_owned(),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => {
                let said = panic.downcast_ref::<&str>().map(|said| (*said).to_owned());
                let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
                format!("it panicked: {}", said.unwrap_or_default())
            }
            Err(_) => "it was cut off".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(task: JoinHandle<()>) -> Running {
        Running {
            address: Ipv4Addr::LOCALHOST,
            stop: CancellationToken::new(),
            task,
        }
    }

    #[tokio::test]
    async fn a_part_that_panics_is_named_with_its_last_words_and_the_others_are_waited_for() {
        let mut parts = BTreeMap::from([
            (Part::Dns, running(tokio::spawn(std::future::pending()))),
            (
                Part::Tftp,
                running(tokio::spawn(async { panic!("out of blocks") })),
            ),
            (Part::Dhcp, running(tokio::spawn(async {}))),
        ]);
        let mut seen = BTreeMap::new();
        while parts.len() > 1 {
            let (part, how) = ended(&mut parts).await;
            parts.remove(&part);
            seen.insert(part, how);
        }
        assert_eq!(seen[&Part::Tftp], "it panicked: out of blocks");
        assert_eq!(seen[&Part::Dhcp], "it ended by itself");
        assert!(parts.contains_key(&Part::Dns));
    }
}
