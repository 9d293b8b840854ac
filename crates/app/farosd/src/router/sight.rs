//! How the interfaces are that the router is concerned with.

use faros_kernel::{lan, router};
use faros_model::{ids::MacAddr, net::Subnet, site::UplinkAddressing};

use super::BRIDGE;

/// What is looked at whenever the kernel tells of a change.
pub(super) struct Watched {
    pub(super) uplink: String,
    pub(super) addressing: UplinkAddressing,
    pub(super) settings: Vec<router::Setting>,
    /// The parts of the bridge, where there is one.
    pub(super) parts: Vec<String>,
    /// How it was after the last look that put things right.
    pub(super) sight: Sight,
}

/// How interfaces are, as far as the router is concerned.
#[derive(PartialEq, Eq, Default)]
pub(super) struct Sight {
    /// The uplink, if it is there.
    pub(super) uplink: Option<Uplink>,
    pub(super) is_set: Vec<bool>,
    /// The MACs of the bridge and its parts that are there, and which parts it has.
    pub(super) parts: (Vec<MacAddr>, Option<Vec<String>>),
}

/// How the uplink is.
#[derive(PartialEq, Eq)]
pub(super) struct Uplink {
    pub(super) is_up: bool,
    /// Whether it has the address and the way out of the site file, if that gives any.
    pub(super) has_own: bool,
    pub(super) networks: Vec<Subnet>,
}

impl Watched {
    /// The MACs of the bridge and of its parts, where there is one.
    pub(super) fn bridge_macs(&self) -> Vec<MacAddr> {
        if self.parts.is_empty() {
            return vec![];
        }
        let names = self.parts.iter().map(String::as_str).chain([BRIDGE]);
        names.filter_map(lan::look).map(|own| own.mac).collect()
    }

    pub(super) fn look(&self) -> Sight {
        let uplink = lan::look(&self.uplink);
        let held = (!self.parts.is_empty()).then(|| router::members_of(BRIDGE));
        Sight {
            uplink: uplink.map(|own| Uplink {
                is_up: own.is_up,
                has_own: match self.addressing {
                    UplinkAddressing::Static {
                        address,
                        subnet,
                        gateway,
                    } => {
                        let has_route = |gateway| router::has_default_route(gateway, &own.name);
                        own.is_up && own.has(address, subnet) && gateway.is_none_or(has_route)
                    }
                    UplinkAddressing::Dhcp | UplinkAddressing::Host => true,
                },
                networks: own.networks,
            }),
            is_set: self.settings.iter().map(router::Setting::is_set).collect(),
            parts: (self.bridge_macs(), held.flatten()),
        }
    }
}
