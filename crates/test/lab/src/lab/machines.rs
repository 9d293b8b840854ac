//! The lab's machines: powered on with their image in the content store, and waited for.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use faros_model::{
    api::NodeStatus,
    content::ContentEntry,
    event::{Event, EventKind, Phase},
};

use super::Lab;
use crate::{
    image::{self, Kernel},
    machine::{Hardware, Machine},
    network,
};

/// The phases of an installation, and those of a start from the disk, each in their order.
const WAYS: [&[Phase]; 2] = [
    &[Phase::Netbooting, Phase::Provisioning, Phase::Installed],
    &[Phase::LocalBoot, Phase::Unlocked, Phase::Joined, Phase::Ready],
];

/// More events than a lab has.
const ALL: &str = "10000";

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
        self.machine(node).must_be_off()?;
        let row = self.node(node)?;
        self.provide_image(node, tell)?;
        let more = (1..=hardware.more_nics.len()).map(|idx| format!("{node}:{idx}"));
        let ports = std::iter::once(node.to_owned()).chain(more);
        let taps = ports
            .map(|port| self.tap(&port))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let switch = network::namespace(&self.record.name, "lan");
        self.note_power_on(node)?;
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
        let nodes = self.farosctl_text(&["nodes", "--output", "json"])?;
        serde_json::from_str(&nodes).context("farosctl nodes is not understood")
    }

    /// The events after number `seen`, of all nodes.
    pub fn events(&self, seen: u64) -> anyhow::Result<Vec<Event>> {
        self.events_by(&["--after", &seen.to_string(), "--limit", ALL])
    }

    fn events_by(&self, words: &[&str]) -> anyhow::Result<Vec<Event>> {
        let words = [&["events", "--output", "json"], words].concat();
        self.farosctl_text(&words)?
            .lines()
            .map(|line| serde_json::from_str(line).context("an event is not understood"))
            .collect()
    }

    /// What a node does from now on, it does since it was powered on.
    pub(crate) fn note_power_on(&mut self, node: &str) -> anyhow::Result<()> {
        let last = self.events_by(&["--limit", "1"])?;
        let last = last.first().map_or(0, |event| event.seq);
        self.record.powered_on.insert(node.to_owned(), last);
        self.folder.save(&self.record)
    }

    /// Waits until the bastion has seen a node in a phase, or in a later one, since it was powered on.
    pub fn wait_for_phase(&self, node: &str, phase: Phase, patience: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        let mut seen = self.record.powered_on.get(node).copied().unwrap_or(0);
        loop {
            let row = self.node(node)?;
            if phase == Phase::Expected {
                return Ok(());
            }
            let mut last = None;
            for event in self.events_by(&["--node", node, "--after", &seen.to_string(), "--limit", ALL])? {
                seen = event.seq;
                last = entered(&event).or(last);
                if last.is_some_and(|last| reaches(last, phase)) {
                    return Ok(());
                }
            }
            ensure!(last != Some(Phase::Failed), "{node} failed: {}", row.reason);
            let told = row.last_event.map(|event| event.kind.to_string());
            ensure!(
                Instant::now() < deadline,
                "{node} was not seen {phase} since it was powered on, within {} s: it is {}, and the last thing \
                 seen of it is {}",
                patience.as_secs(),
                row.phase,
                told.as_deref().unwrap_or("nothing")
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Has the image that a node boots in the content store: from the cache, or built.
    pub fn provide_image(&self, node: &str, tell: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        let site = faros_site::load(&self.farosctl_text(&["show", "--file"])?);
        let site = site
            .ok()
            .context("the site file that runs is not understood")?
            .site;
        let own = site.nodes.values().find(|own| own.name.as_str() == node);
        let own = own.with_context(|| format!("the site has no node {node}"))?;
        let wanted = own.image.as_str();
        let listed = self.farosctl_text(&["content", "list", "--output", "json"])?;
        let listed: Vec<ContentEntry> =
            serde_json::from_str(&listed).context("the content is not understood")?;
        let manifest = format!("{wanted}/image.json");
        if listed.iter().any(|entry| entry.name.as_str() == manifest) {
            return Ok(());
        }
        let mut kernels = [Kernel::Cloud, Kernel::Generic].into_iter();
        let Some(kernel) = kernels.find(|kernel| kernel.image_name() == wanted) else {
            bail!("the lab builds no image {wanted}; add it: `faros-lab farosctl content add FOLDER`");
        };
        let folder = image::provide(kernel, tell)?;
        let folder = folder.to_str().context("the cache's path is no text")?;
        self.farosctl_text(&["content", "add", folder]).map(drop)
    }

    /// What `farosctl` prints; fails with what it says if it does.
    fn farosctl_text(&self, words: &[&str]) -> anyhow::Result<String> {
        let output = self.farosctl(words)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}", said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The phase that a node entered.
fn entered(event: &Event) -> Option<Phase> {
    let to = event.detail.get("to")?.as_str()?;
    let mut all = Phase::ALL
        .into_iter()
        .filter(|_| event.kind == EventKind::PhaseChanged);
    all.find(|phase| phase.as_str() == to)
}

/// Whether who is seen in the phase `seen` has been in the phase `wanted`. Who starts from its disk may have been
/// installed long ago.
fn reaches(seen: Phase, wanted: Phase) -> bool {
    seen == wanted
        || WAYS.iter().any(|way| {
            let place = |phase| way.iter().position(|own| *own == phase);
            matches!((place(seen), place(wanted)), (Some(seen), Some(wanted)) if seen > wanted)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_phase_of_the_same_way_counts() {
        for (seen, wanted, is_so) in [
            (Phase::Provisioning, Phase::Provisioning, true),
            (Phase::Installed, Phase::Netbooting, true),
            (Phase::Netbooting, Phase::Installed, false),
            (Phase::Ready, Phase::Unlocked, true),
            (Phase::Ready, Phase::Installed, false),
            (Phase::LocalBoot, Phase::Provisioning, false),
            (Phase::Failed, Phase::Netbooting, false),
        ] {
            assert_eq!(reaches(seen, wanted), is_so, "{seen} for {wanted}");
        }
    }
}
