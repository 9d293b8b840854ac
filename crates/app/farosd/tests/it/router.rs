//! The router's set-up on interfaces of the test's own, with hosts beyond them.

mod interfaces;
mod meddling;
mod trial;

use std::time::Duration;

use crate::world::{Namespace, Outcome, World};

/// A host at the other end of the cable of one of the bastion's interfaces.
fn host(world: &World, interface: &str, address: &str, via: Option<&str>) -> anyhow::Result<Namespace> {
    let host = Namespace::new()?;
    world
        .net
        .ip(&format!("link set {interface}-end netns {} name eth0", host.0))?;
    host.ip(&format!("address add {address}/24 dev eth0"))?;
    host.ip("link set eth0 up")?;
    if let Some(via) = via {
        host.ip(&format!("route add default via {via}"))?;
    }
    Ok(host)
}

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) -> Outcome {
    for _ in 0..3000 {
        if is_so() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("in vain: {what}")
}

fn pings(host: &Namespace, to: &str) -> bool {
    host.output(&format!("ping -n -c 1 -W 1 {to}")).is_ok()
}
