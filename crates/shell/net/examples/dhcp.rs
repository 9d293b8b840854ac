//! The DHCP service alone on one interface, for real clients in a network namespace.
//!
//! `dhcp INTERFACE STATE-DIR [SITE-FILE]` serves until its standard input ends. What it saw goes to standard
//! output as it happens, its counters and leases at the end. Leases are kept by the real store.
#![expect(clippy::print_stdout, reason = "a program to be looked at")]

use std::{path::Path, sync::Arc, time::Duration};

use faros_dhcp::Tables;
use faros_model::{ids::MacAddr, lease::Lease, plan::Service};
use faros_net::{
    dhcp::{Dhcp, LeaseLog},
    link::LanLink,
    service::{Health, Sightings},
};
use faros_store::Store;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const SITE: &str = "
apiVersion: faros.dev/v1alpha1
kind: Site
metadata: {name: kiosk}
spec:
  domain: edge.example.com
  sshAuthorizedKeys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample]
  uplink: {interface: up0}
  lan:
    interfaces: [lan0]
    subnet: 10.77.0.0/16
    mtu: 1400
    dynamicRange: 10.77.128.0-10.77.255.250
    ignoredMacs: ['02:00:00:00:00:ee']
  cluster: {distribution: none}
  nodes:
    - {name: node-1, bootMac: '02:00:00:00:00:01', installDisk: /dev/disk/by-id/x}
";

type Failure = Box<dyn std::error::Error>;

struct Log(Store);

impl LeaseLog for Log {
    fn append(&self, leases: Vec<Lease>, done: Box<dyn FnOnce(bool) + Send>) {
        self.0.append_leases(leases, done);
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let interface = args.next().ok_or("which interface?")?;
    let folder = args.next().ok_or("which state folder?")?;
    let text = args.next().map_or(Ok(SITE.to_owned()), std::fs::read_to_string)?;
    let loaded = faros_site::load(&text).map_err(|problems| format!("{problems:?}"))?;
    let store = Store::open(Path::new(&folder))?;
    let leases = store.leases()?;
    println!("{} leases on disk", leases.len());

    let (tell_link, link) = watch::channel(find(&interface));
    let (_keep, tables) = watch::channel(Arc::new(Tables::compile(&loaded.site)));
    let (sightings, mut seen) = Sightings::channel(65_536);
    let health = Health::new(Service::Dhcp);
    let (dhcp, rows) = Dhcp::bind(
        link,
        tables,
        leases,
        Arc::new(Log(store)),
        sightings,
        health.clone(),
    )?;
    let stop = CancellationToken::new();
    let service = tokio::spawn(dhcp.run(stop.clone()));
    let look = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = find(&interface);
            tell_link.send_if_modified(|link| std::mem::replace(link, now.clone()) != now);
        }
    });
    let quiet = std::env::var_os("QUIET").is_some();
    let tell = tokio::spawn(async move {
        while let Some(sighting) = seen.recv().await {
            if !quiet {
                println!("{} {}", sighting.kind, serde_json::Value::from(sighting.detail));
            }
        }
    });
    tokio::task::spawn_blocking(|| std::io::read_to_string(std::io::stdin())).await??;

    println!("{:#?}", health.status());
    let rows = rows.all().await;
    println!("{} leases", rows.len());
    for row in rows.iter().take(20) {
        println!(
            "{} {} {:?} reserved={} {}",
            row.address, row.mac, row.name, row.reserved, row.state
        );
    }
    stop.cancel();
    service.await?;
    look.abort();
    tell.abort();
    Ok(())
}

/// The interface as it is now.
fn find(name: &str) -> Option<LanLink> {
    let read = |file: &str| std::fs::read_to_string(format!("/sys/class/net/{name}/{file}")).ok();
    let mac: MacAddr = read("address")?.trim().parse().ok()?;
    Some(LanLink {
        name: name.to_owned(),
        index: read("ifindex")?.trim().parse().ok()?,
        mac,
    })
}
