//! A bastion with all that a cluster is made from, and a machine that asks as its node does.

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use faros_model::{
    api::ServiceState,
    event::{Event, EventKind},
};
use serde_json::Value;

use crate::world::{Machine, NODE_MAC, Outcome, REPORT, World, site_of_two};

/// A bastion with all that a cluster is made from, and a machine that has the node's MAC and address.
pub(super) struct Site {
    pub(super) world: World,
    pub(super) machine: Machine,
    pub(super) address: String,
}

impl Site {
    pub(super) async fn new() -> anyhow::Result<Self> {
        let mut world = World::without_interface()?;
        let machine = Machine::plug(&world, NODE_MAC)?;
        world.start().await?;
        world.apply(&site_of_two()).await?;
        world.all_are(ServiceState::Ready).await?;
        world.add_image("debian-13").await?;
        world.add_release("v1.36.3").await?;
        let address = world.client().nodes().await?[0].address.to_string();
        machine.0.ip(&format!("address add {address}/24 dev eth0"))?;
        Ok(Self {
            world,
            machine,
            address,
        })
    }

    /// Installs the node; its Ignition config, which has the secret and the site's root.
    pub(super) fn install(&self) -> anyhow::Result<Value> {
        let (status, config) = self.machine.http(&self.machine.ignition_url()?)?;
        ensure!(status == 200, "{status}: {config}");
        self.report("installed")?;
        let config = serde_json::from_str(&config)?;
        for (name, path) in [
            ("secret", "/etc/faros/join.secret"),
            ("ca", "/etc/faros/site-ca.crt"),
        ] {
            std::fs::write(self.world.dir.path().join(name), file_of(&config, path)?)?;
        }
        Ok(config)
    }

    pub(super) fn report(&self, report: &str) -> Outcome {
        let (status, said) = self
            .machine
            .http(&format!("-d {{\"report\":\"{report}\"}} {REPORT}"))?;
        ensure!(status < 300, "{report}: {status} {said}");
        Ok(())
    }

    /// Asks as a node, from whichever machine, with whichever secret and whatever else curl is told.
    pub(super) fn asks(
        &self,
        machine: &Machine,
        node: &str,
        secret: &str,
        more: &str,
    ) -> anyhow::Result<(u16, Value)> {
        self.posts(machine, &format!("join/{node}"), secret, more)
    }

    pub(super) fn posts(
        &self,
        machine: &Machine,
        page: &str,
        data: &str,
        more: &str,
    ) -> anyhow::Result<(u16, Value)> {
        let dir = self.world.dir.path().display();
        let (status, text) = machine.http(&format!(
            "{more} --cacert {dir}/ca --resolve bastion.quay.edge.example.com:5000:192.168.8.1 \
             --data-binary {data} https://bastion.quay.edge.example.com:5000/{page}"
        ))?;
        Ok((status, serde_json::from_str(&text).unwrap_or_default()))
    }

    pub(super) fn secret(&self) -> String {
        format!("@{}/secret", self.world.dir.path().display())
    }

    /// What is recorded of one kind.
    pub(super) async fn events(&self, kind: EventKind) -> anyhow::Result<Vec<Event>> {
        let mut all = self.world.events().await?;
        all.retain(|event| event.kind == kind);
        Ok(all)
    }

    /// Why the latest was refused what joins it to the cluster.
    pub(super) async fn refused(&self) -> anyhow::Result<String> {
        self.last_reason(EventKind::JoinRefused).await
    }

    pub(super) async fn last_reason(&self, kind: EventKind) -> anyhow::Result<String> {
        let last = self.events(kind).await?.pop();
        let last = last.context("nobody was refused")?;
        Ok(last.detail["reason"].as_str().unwrap_or_default().to_owned())
    }
}

fn file_of(config: &Value, path: &str) -> anyhow::Result<Vec<u8>> {
    let files = config["storage"]["files"].as_array().context("no files")?;
    let file = files.iter().find(|file| file["path"] == path);
    let source = file.with_context(|| format!("no {path}"))?["contents"]["source"].as_str();
    let source = source.context("no source")?;
    if let Some(text) = source.strip_prefix("data:;base64,") {
        return Ok(STANDARD.decode(text)?);
    }
    let mut bytes = vec![];
    let mut rest = source.strip_prefix("data:,").context("another source")?.bytes();
    while let Some(byte) = rest.next() {
        let hex = (byte == b'%').then(|| rest.by_ref().take(2).map(char::from).collect::<String>());
        bytes.push(hex.map_or(Ok(byte), |hex| u8::from_str_radix(&hex, 16))?);
    }
    Ok(bytes)
}
