//! The lab's machines: powered on with their image in the content store, and waited for.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use faros_model::api::NodeStatus;

use super::Lab;
use crate::{
    machine::{Hardware, Machine},
    network,
};

impl Lab {
    /// The machine of a node.
    pub fn machine(&self, node: &str) -> Machine {
        Machine::at(self.folder.machine(node))
    }

    /// Powers the machine of a node on. The image that the node boots is built and added first, if it is not
    /// in the content store yet; `tell` hears of that.
    pub fn start_machine(
        &mut self,
        node: &str,
        hardware: &Hardware,
        tell: &mut dyn FnMut(&str),
    ) -> anyhow::Result<()> {
        let row = self.node(node)?;
        self.provide_image(tell)?;
        let more = (1..=hardware.more_nics.len()).map(|idx| format!("{node}:{idx}"));
        let ports = std::iter::once(node.to_owned()).chain(more);
        let taps = ports
            .map(|port| self.tap(&port))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let switch = network::namespace(&self.record.name, "lan");
        self.machine(node).start(hardware, row.boot_mac, &taps, &switch)
    }

    /// What the bastion knows of a node.
    pub fn node(&self, node: &str) -> anyhow::Result<NodeStatus> {
        let nodes = self.nodes()?;
        let row = nodes.into_iter().find(|row| row.name.as_str() == node);
        row.with_context(|| format!("the site has no node {node}"))
    }

    /// What the bastion knows of its nodes.
    pub fn nodes(&self) -> anyhow::Result<Vec<NodeStatus>> {
        let output = self.farosctl(&["nodes", "--output", "json"])?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        serde_json::from_slice(&output.stdout).context("farosctl nodes is not understood")
    }

    /// Waits until the bastion has seen a node in a phase, or in a later one of the same boot.
    pub fn wait_for_phase(&self, node: &str, phase: &str, patience: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let row = self.node(node)?;
            if row.phase.as_str() == phase {
                return Ok(());
            }
            let last = row
                .last_event
                .map(|event| event.kind.to_string())
                .unwrap_or_default();
            ensure!(row.phase.as_str() != "failed", "{node} failed: {}", row.reason);
            ensure!(
                Instant::now() < deadline,
                "{node} is {} after {} s, not {phase}; the last thing seen of it is {last}",
                row.phase,
                patience.as_secs()
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Has the default image in the content store: from the cache, or built.
    pub fn provide_image(&self, tell: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        let listed = self.farosctl(&["content", "list", "--output", "json"])?;
        if String::from_utf8_lossy(&listed.stdout).contains("\"debian-13-cloud/image.json\"") {
            return Ok(());
        }
        let folder = crate::image::provide(tell)?;
        let folder = folder.to_str().context("the cache's path is no text")?;
        let added = self.farosctl(&["content", "add", folder])?;
        ensure!(
            added.status.success(),
            "{}",
            String::from_utf8_lossy(&added.stderr).trim()
        );
        Ok(())
    }
}
