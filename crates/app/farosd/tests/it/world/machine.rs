//! A machine on the bastion's LAN, which asks as a node does.

use anyhow::Context as _;

use super::{Namespace, World};

/// The MAC of the node of [`SITE`](super::SITE).
pub(crate) const NODE_MAC: &str = "52:54:00:08:00:01";

/// Where that asks for its boot script.
pub(crate) const BOOT: &str = "http://192.168.8.1:8080/boot/52-54-00-08-00-01.ipxe";

/// Where it reports.
pub(crate) const REPORT: &str = "http://192.168.8.1:8080/report/node-1";

/// A machine on the bastion's LAN.
pub(crate) struct Machine(pub(crate) Namespace);

impl Machine {
    pub(crate) fn plug(world: &World, mac: &str) -> anyhow::Result<Self> {
        Self::plug_into(world, "lan0", mac)
    }

    /// At the other end of a cable that makes this interface of the bastion.
    pub(crate) fn plug_into(world: &World, interface: &str, mac: &str) -> anyhow::Result<Self> {
        let own = Namespace::new()?;
        world.net.ip(&format!(
            "link add {interface} type veth peer name eth0 address {mac} netns {}",
            own.0
        ))?;
        world.net.ip(&format!("link set {interface} up"))?;
        own.ip("link set eth0 up")?;
        // A veth leaves checksums to hardware it has not got; DHCP clients read raw frames.
        own.output("ethtool -K eth0 tx off")?;
        world.net.output(&format!("ethtool -K {interface} tx off"))?;
        Ok(Self(own))
    }

    /// What udhcpc says when it asks for an address, so many times at the most.
    pub(crate) fn udhcpc(&self, tries: u8) -> anyhow::Result<String> {
        let words = format!("-i eth0 -n -q -f -s /bin/true -T 2 -t {tries}");
        let said = self.0.command("udhcpc").args(words.split(' ')).output()?;
        Ok(String::from_utf8_lossy(&said.stderr).into_owned())
    }

    /// The status of an HTTP answer, and its text.
    pub(crate) fn http(&self, words: &str) -> anyhow::Result<(u16, String)> {
        let said = self
            .0
            .output(&format!("curl -s -m 10 -w %{{http_code}} {words}"))?;
        let (text, status) = said.split_at(said.len() - 3);
        Ok((status.parse()?, text.to_owned()))
    }

    /// Where the node's boot script says that its Ignition config is.
    pub(crate) fn ignition_url(&self) -> anyhow::Result<String> {
        let (_, script) = self.http(BOOT)?;
        let url = script
            .split_whitespace()
            .find_map(|word| word.strip_prefix("ignition.config.url="));
        Ok(url
            .with_context(|| format!("the script installs nothing: {script}"))?
            .to_owned())
    }
}
