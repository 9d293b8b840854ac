//! The interfaces, as far as they can stand in rules.

use faros_model::ids::MacAddr;

/// The bastion's interfaces, as they are called now. Invariant: names that nftables can quote, and that match
/// one interface each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interfaces {
    pub(crate) lan: String,
    pub(crate) uplink: String,
    /// Where the LAN's is a bridge, the MACs that frames for the bastion itself have: its own, and those of its parts.
    pub(crate) bridge: Vec<MacAddr>,
}

/// Interfaces that rules cannot be about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadInterface {
    /// A name that cannot stand in a rule.
    #[error("the interface name `{0}` cannot stand in a firewall rule")]
    Name(String),
    /// What comes from the world would come from the LAN.
    #[error("the LAN's and the uplink's interface is `{0}`: each needs one of its own")]
    Both(String),
}

impl Interfaces {
    /// Takes the names of the LAN's interface and the uplink's.
    ///
    /// # Errors
    /// If one cannot be quoted, or would match others as well, or both are the same.
    pub fn new(lan: &str, uplink: &str) -> Result<Self, BadInterface> {
        let bad = |c: char| c == '"' || c == '*' || c == '\\' || c.is_whitespace() || c.is_control();
        for name in [lan, uplink] {
            if name.is_empty() || name.len() > 15 || name.contains(bad) {
                return Err(BadInterface::Name(name.to_owned()));
            }
        }
        if lan == uplink {
            return Err(BadInterface::Both(lan.to_owned()));
        }
        Ok(Self {
            lan: lan.to_owned(),
            uplink: uplink.to_owned(),
            bridge: vec![],
        })
    }

    /// The same with a bridge on the LAN, for whose machine itself frames with these MACs are.
    #[must_use]
    pub fn with_bridge(self, macs: impl IntoIterator<Item = MacAddr>) -> Self {
        let mut bridge: Vec<MacAddr> = macs.into_iter().collect();
        bridge.sort_unstable();
        bridge.dedup();
        Self { bridge, ..self }
    }
}
