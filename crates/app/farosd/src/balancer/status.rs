//! How balancing is, for whoever asks: from the core, the table's counters, and the kernel's connections.

use std::{collections::BTreeMap, net::SocketAddrV4};

use faros_balancer::{Affinity, BackendView, SLOTS, ServiceView};
use faros_firewall::{Direction, FAMILY, Listing, TABLE, counter_of};
use faros_kernel::{conntrack, nft};
use faros_model::{
    api::{BackendChange, BackendStatus, BalancedService, BalancerStatus},
    plan::Service,
    site::Transport,
};

use crate::daemon::{Shared, lock};

/// Connections by protocol, port that was asked for, and server.
type Connections = BTreeMap<(Transport, u16, SocketAddrV4), u64>;

/// How balancing is; `None` if it is off.
pub(crate) async fn status(shared: &Shared) -> anyhow::Result<Option<BalancerStatus>> {
    let intent = shared.served.borrow().get(&Service::Balancer).cloned();
    let Some(intent) = intent.filter(|own| own.site.runs(Service::Balancer)) else {
        return Ok(None);
    };
    let text = nft::list(FAMILY, TABLE).await?;
    let listing = text.as_deref().map(Listing::parse).unwrap_or_default();
    let connections = tokio::task::spawn_blocking(connections).await??;
    let balancing = &shared.balancing;
    let core = lock(&balancing.core);
    let services = core.view(balancing.now());
    let services = services.iter().map(|view| service(view, &listing, &connections));
    let own = intent.site.lan.addresses;
    Ok(Some(BalancerStatus {
        addresses: lock(&balancing.vips).view([own.api, own.ingress], own.bastion),
        api_certificates: match super::api_authority(shared, &intent.site) {
            Some(_) => "ca",
            None => "any",
        }
        .to_owned(),
        services: services.collect(),
    }))
}

fn connections() -> std::io::Result<Connections> {
    let mut counted = Connections::new();
    for own in conntrack::connections()?
        .into_iter()
        .filter(|own| own.is_established)
    {
        *counted
            .entry((own.transport, own.asked.port(), own.server))
            .or_default() += 1;
    }
    Ok(counted)
}

fn service(view: &ServiceView<'_>, listing: &Listing, connections: &Connections) -> BalancedService {
    let service = view.service;
    let backend = |own: &BackendView<'_>| {
        let bytes = |way| {
            let counter = counter_of(way, service.transport, own.address);
            listing.counted().get(&counter).map_or(0, |(_, bytes)| *bytes)
        };
        let key = (service.transport, service.port, own.address);
        let change = |change: &faros_balancer::Change| BackendChange {
            at: change.at,
            state: change.to.as_str().to_owned(),
            reason: change.why.clone(),
        };
        BackendStatus {
            name: own.name.to_owned(),
            address: own.address,
            state: own.state.as_str().to_owned(),
            drained: own.is_drained,
            since: own.since,
            reason: own.why.to_owned(),
            share: u8::try_from((own.slots * 100 + usize::from(SLOTS) / 2) / usize::from(SLOTS))
                .unwrap_or(100),
            connections: connections.get(&key).copied().unwrap_or_default(),
            bytes_in: bytes(Direction::There),
            bytes_out: bytes(Direction::Back),
            history: own.history.iter().map(change).collect(),
        }
    };
    BalancedService {
        name: service.name.clone(),
        address: service.vip,
        protocol: service.transport,
        port: service.port,
        affinity: match service.affinity {
            Affinity::None => "random",
            Affinity::Source => "source",
        }
        .to_owned(),
        check: service.check.words(),
        served: view.is_served(),
        backends: view.backends.iter().map(backend).collect(),
    }
}
