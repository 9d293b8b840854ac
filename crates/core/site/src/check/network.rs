//! How a node is on the LAN: bonds and board management controllers.

use faros_model::{ids::MacAddr, site, wire::v1alpha1 as wire};

use super::{Check, Wish};
use crate::{codes::Code, place::join, show::show};

/// A controller before it has an address.
pub(super) struct BmcDraft {
    pub(super) scheme: String,
    pub(super) address: Wish,
    pub(super) mac: Option<MacAddr>,
    pub(super) credentials_ref: Option<String>,
}

impl Check<'_> {
    /// The bond, and its members with their paths.
    pub(super) fn bond(
        &mut self,
        path: &str,
        bond: Option<&wire::Bond>,
        boot_mac: Option<MacAddr>,
    ) -> (Option<site::Bond>, Vec<(String, MacAddr)>) {
        let Some(bond) = bond else {
            return (None, Vec::new());
        };
        let list = join(path, "macs");
        let given = bond.macs.as_deref().unwrap_or_default();
        let mut macs: Vec<(String, MacAddr)> = Vec::new();
        let mut all_good = !self.is_told(&list);
        for (idx, text) in given.iter().enumerate() {
            let path = self.places.item(&list, idx);
            match self.mac(&path, text) {
                None => all_good = false,
                Some(mac) if macs.iter().any(|(_, other)| *other == mac) => {
                    let what = format!("{mac} is here twice");
                    self.error(
                        Code::DuplicateMac,
                        &path,
                        what,
                        "each member has a MAC of its own",
                    );
                    all_good = false;
                }
                Some(mac) => macs.push((path, mac)),
            }
        }
        if all_good && macs.len() < 2 {
            let what = "a bond joins at least two interfaces";
            self.error(
                Code::BondTooSmall,
                &list,
                what,
                "add the MAC of the second, or leave `bond` out",
            );
        } else if let Some(boot) =
            boot_mac.filter(|boot| all_good && !macs.iter().any(|(_, mac)| mac == boot))
        {
            let what = format!("the boot interface {boot} is no member of the bond");
            self.error(
                Code::BootMacNotInBond,
                &list,
                what,
                "the node network-boots over one of the bond's interfaces",
            );
        }
        let mode = bond.mode.map(|mode| match mode {
            wire::BondMode::BalanceRr => site::BondMode::BalanceRr,
            wire::BondMode::ActiveBackup => site::BondMode::ActiveBackup,
            wire::BondMode::BalanceXor => site::BondMode::BalanceXor,
            wire::BondMode::Broadcast => site::BondMode::Broadcast,
            wire::BondMode::Ieee8023ad => site::BondMode::Ieee8023ad,
        });
        let members = macs.iter().map(|(_, mac)| *mac).collect();
        (mode.map(|mode| site::Bond { mode, macs: members }), macs)
    }

    /// A controller; `defaults` names the credentials of those that do not say.
    pub(super) fn bmc(&mut self, path: &str, own: &wire::Bmc, defaults: Option<&str>) -> BmcDraft {
        let credentials_ref = match &own.credentials_ref {
            None => defaults.map(str::to_owned),
            own => self.secret_ref(&join(path, "credentialsRef"), own.as_ref()),
        };
        let mac = own
            .mac
            .as_deref()
            .and_then(|mac| self.mac(&join(path, "mac"), mac));
        let address_path = join(path, "address");
        let (scheme, address) = match own.address.as_deref() {
            None => ("redfish+https".to_owned(), self.wish(&address_path, None)),
            Some(url) => self.bmc_url(&address_path, url),
        };
        BmcDraft {
            scheme,
            address,
            mac,
            credentials_ref,
        }
    }

    fn bmc_url(&mut self, path: &str, url: &str) -> (String, Wish) {
        const HINT: &str = "write redfish+https://192.168.8.91, redfish+http://… or ipmi://…";
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        if !matches!(scheme, "redfish+https" | "redfish+http" | "ipmi") {
            let what = match scheme {
                "" => format!("{} does not say how to speak with the controller", show(url)),
                _ => format!("{} is no protocol of a board management controller", show(scheme)),
            };
            self.error(Code::InvalidUrl, path, what, HINT);
            return (String::new(), Wish::Unreadable);
        }
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, port) = authority.split_once(':').unwrap_or((authority, "1"));
        if !port.parse::<u16>().is_ok_and(|port| port > 0) {
            self.error(Code::InvalidUrl, path, format!("{} is no port", show(port)), HINT);
            return (String::new(), Wish::Unreadable);
        }
        (scheme.to_owned(), self.wish(path, Some(host)))
    }
}
