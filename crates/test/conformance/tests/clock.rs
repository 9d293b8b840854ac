//! The bastion's clock is set while machines boot: by an hour ahead, and by two hours back.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use faros_conformance::{SetClock, Site, changed};
use jiff::Timestamp;

const NODE: &str = "client:node-1=52:54:00:08:00:01";
const MAC: &str = "52-54-00-08-00-01";

/// A site, its clock, and a node's disk.
struct World {
    site: Site,
    clock: SetClock,
    /// The key of the node's disk, as clevis has it there. Hosts of the lab share no folder below `/run`.
    sealed: tempfile::NamedTempFile,
}

impl World {
    fn up() -> anyhow::Result<Self> {
        let site = Site::up("t-clock")?;
        let clock = SetClock::under(&site)?;
        let sealed = tempfile::NamedTempFile::new()?;
        Ok(Self { site, clock, sealed })
    }

    /// How far what farosd told last is off the machine's clock, in whole hours.
    fn told(&self) -> anyhow::Result<i64> {
        let last = self.site.events()?.pop().context("nothing was told")?;
        let off = last.at.duration_since(Timestamp::now()).as_secs_f64() / 3600.0;
        #[expect(clippy::cast_possible_truncation, reason = "a few hours")]
        Ok(off.round() as i64)
    }

    fn address(&mut self, host: &str) -> anyhow::Result<String> {
        let said = self
            .site
            .run(host, &["ip", "-4", "-br", "address", "show", "eth0"])?;
        Ok(said.split_whitespace().nth(2).context("no address")?.to_owned())
    }

    /// Has the node's disk, a file in this test, opened as its initramfs does.
    fn unlocks(&mut self) -> anyhow::Result<()> {
        let decrypt = format!("clevis decrypt < {}", self.sealed.path().display());
        let said = self.site.run(NODE, &["sh", "-c", &decrypt])?;
        ensure!(said.trim() == "the key of the disk", "{said}");
        Ok(())
    }
}

#[test]
fn a_clock_that_is_set_disturbs_neither_boots_nor_leases_nor_trials() -> anyhow::Result<()> {
    let mut world = World::up()?;
    world.site.add_dummy_image()?;

    // A machine has an address, and a node is in the middle of its boot, with a key that opens its disk.
    world
        .site
        .run("client:one", &["dhclient", "-4", "-1", "-v", "eth0"])?;
    let address = world.address("client:one")?;
    world.site.firmware(NODE, "0007", 4, &[])?;
    world.site.run(NODE, &["dhclient", "-4", "-1", "eth0"])?;
    let config = world.site.ignition_path(NODE, MAC)?;
    let encrypt = format!(
        "printf 'the key of the disk' | clevis encrypt tang '{{\"url\":\"http://192.168.8.1:8082\"}}' -y > {}",
        world.sealed.path().display()
    );
    world.site.run(NODE, &["sh", "-c", &encrypt])?;
    world.unlocks()?;
    assert_eq!(world.told()?, 0);

    for (hours, newcomer) in [(1, "client:two"), (-1, "client:three")] {
        world.clock.set(hours)?;
        // The boot goes on.
        world.unlocks()?;
        assert_eq!(world.told()?, hours, "what people see is what the clock shows");
        if hours == 1 {
            let url = format!("http://192.168.8.1:8080{config}");
            world.site.run(NODE, &["curl", "-sf", "-o", "/dev/null", &url])?;
        }
        // The lease goes on: nobody else gets the address, and its holder keeps it.
        world
            .site
            .run(newcomer, &["dhclient", "-4", "-1", "-v", "eth0"])?;
        ensure!(world.address(newcomer)? != address, "two machines have {address}");
        world
            .site
            .run("client:one", &["dhclient", "-4", "-1", "-v", "eth0"])?;
        assert_eq!(world.address("client:one")?, address);
    }

    // A trial ends in its time, though the clock goes back in the middle of it.
    let uplink = "  uplink:\n    trustedNetworks: [203.0.113.0/24]\n    publish: [ssh]\n";
    let moved = changed("demo", &[("  uplink:\n", uplink)])?;
    let file = world.site.file(&moved)?.display().to_string();
    let (said, code) = world
        .site
        .farosctl(&["apply", "--yes", "--confirm-within", "5s", &file])?;
    ensure!(code == 0 && said.contains("runs on trial"), "{code}: {said}");
    world.clock.set(-3)?;
    let begun = std::time::Instant::now();
    while !world.site.saw("apply-reverted")? {
        ensure!(
            begun.elapsed() < Duration::from_mins(10),
            "it is on trial for ever"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
