//! What the bastion runs and keeps: time, virtual machines, secrets, the hub, switches of services.

use faros_model::{site, wire::v1alpha1 as wire};

use super::{Check, text};
use crate::{codes::Code, place::join, show::show};

impl Check<'_> {
    pub(super) fn time(&mut self, time: Option<&wire::Time>) -> site::Time {
        let time = time.cloned().unwrap_or_default();
        let mut sources: Vec<String> = Vec::new();
        for (idx, source) in time.sources.iter().flatten().enumerate() {
            let Some(server) = &source.server else { continue };
            let path = join(&self.places.item("spec.time.sources", idx), "server");
            if !text::is_host(server) {
                let what = format!("{} is neither a name nor an IPv4 address", show(server));
                self.error(Code::InvalidDomain, &path, what, "such as time.example.com");
            } else if sources.contains(server) {
                let what = format!("{} is here twice", show(server));
                self.error(Code::DuplicateValue, &path, what, "keep one of them");
            } else {
                sources.push(server.clone());
            }
        }
        site::Time {
            sources,
            orphan_stratum: time.orphan_stratum.unwrap_or(10),
        }
    }

    /// Virtual machines; their names are checked with those of everyone.
    pub(super) fn machines(&mut self, machines: Option<&[wire::Machine]>) {
        for (idx, machine) in machines.into_iter().flatten().enumerate() {
            let path = self.places.item("spec.machines", idx);
            if let Some(memory) = &machine.memory {
                text::size(self, &join(&path, "memory"), memory);
            }
            for (idx, disk) in machine.disks.iter().flatten().enumerate() {
                let path = self.places.item(&join(&path, "disks"), idx);
                self.disk_path(&path, disk);
            }
            for (idx, device) in machine.pci_devices.iter().flatten().enumerate() {
                let path = self.places.item(&join(&path, "pciDevices"), idx);
                if !is_pci_address(device) {
                    let what = format!("{} is no PCI address", show(device));
                    self.error(
                        Code::InvalidPciAddress,
                        &path,
                        what,
                        "as `lspci -D` shows it, such as \"0000:3b:00.0\"",
                    );
                }
            }
        }
    }

    /// Where secrets are kept, and the hub.
    pub(super) fn keeping(&mut self, spec: &wire::Spec) {
        let vault = spec.secrets.as_ref().and_then(|secrets| match &secrets.backend {
            Some(wire::SecretsBackend::Vault(vault)) => vault.vault.as_ref()?.address.as_deref(),
            Some(wire::SecretsBackend::Word(_)) | None => None,
        });
        if let Some(url) = vault {
            let path = "spec.secrets.backend.vault.address";
            self.url(path, url, &["https", "http"], "https://vault.example.com:8200");
        }
        if let Some(url) = spec.hub.as_ref().and_then(|hub| hub.url.as_deref()) {
            self.url("spec.hub.url", url, &["https"], "https://hub.example.com");
        }
    }
}

impl Check<'_> {
    /// Whom the bastion helps to unlock, and what seals its keys.
    pub(super) fn unlock(&mut self, unlock: Option<&wire::Unlock>) -> site::Unlock {
        let policy = match unlock.and_then(|unlock| unlock.policy) {
            Some(wire::UnlockPolicy::Anyone) => {
                let what = "whoever is on the LAN can have a stolen disk unlocked";
                self.warn(Code::OpenUnlock, "spec.unlock.policy", what, "");
                site::UnlockPolicy::Anyone
            }
            Some(wire::UnlockPolicy::KnownNodes) => site::UnlockPolicy::KnownNodes,
            Some(wire::UnlockPolicy::BootSession) | None => site::UnlockPolicy::BootSession,
        };
        let seal_keys_with = match unlock.and_then(|unlock| unlock.seal_keys_with) {
            Some(wire::SealKeysWith::Tpm2) => site::SealKeysWith::Tpm2,
            Some(wire::SealKeysWith::Passphrase) => site::SealKeysWith::Passphrase,
            Some(wire::SealKeysWith::Share) => {
                let what = "no remote share seals keys in this version: they are not sealed";
                let path = "spec.unlock.sealKeysWith";
                self.warn(Code::NotActedOnYet, path, what, "`tpm2` and `passphrase` do");
                site::SealKeysWith::Nothing
            }
            Some(wire::SealKeysWith::Nothing) | None => site::SealKeysWith::Nothing,
        };
        site::Unlock {
            policy,
            seal_keys_with,
        }
    }
}

impl Check<'_> {
    /// How the virtual IPs are served.
    pub(super) fn balancer(&mut self, spec: &wire::Spec) -> site::Balancer {
        let balancer = spec.balancer.clone().unwrap_or_default();
        if let Some(text) = &balancer.api_ca
            && !is_certificates(text)
        {
            let hint = "paste the file as it is, below `apiCa: |`, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----";
            let what = "this is no certificate in PEM";
            self.error(Code::InvalidCertificate, "spec.balancer.apiCa", what, hint);
        }
        let is = |switch: Option<&wire::ServiceSwitch>, wanted| {
            switch.and_then(|switch| switch.enabled) == Some(wanted)
        };
        if let Some(services) = &spec.services
            && is(services.router.as_ref(), false)
            && is(services.balancer.as_ref(), true)
        {
            let what = "the balancer leads connections by the router's rules, which are switched off";
            let hint = "switch both on, or both off";
            self.error(Code::BalancerWithoutRouter, "spec.services.balancer", what, hint);
        }
        site::Balancer {
            ingress_affinity: match balancer.ingress_affinity {
                Some(wire::IngressAffinity::Source) => site::IngressAffinity::Source,
                Some(wire::IngressAffinity::None) | None => site::IngressAffinity::None,
            },
            api_ca: balancer.api_ca,
        }
    }
}

/// Whether this is one certificate in PEM (RFC 7468) or several, and nothing else. Whether they are good, only
/// who uses them can say.
fn is_certificates(text: &str) -> bool {
    let mut inside = None;
    let mut found = 0;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        inside = match (inside, line) {
            (None, "-----BEGIN CERTIFICATE-----") => Some(0),
            (Some(1..), "-----END CERTIFICATE-----") => {
                found += 1;
                None
            }
            (Some(n), line)
                if line
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')) =>
            {
                Some(n + line.len())
            }
            _ => return false,
        };
    }
    found > 0 && inside.is_none()
}

fn is_pci_address(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '.']).collect();
    let hex = |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_hexdigit());
    matches!(parts.as_slice(), [domain, bus, device, function]
        if hex(domain, 4) && hex(bus, 2) && hex(device, 2) && hex(function, 1))
        && text.matches(':').count() == 2
}

pub(super) fn services(switches: Option<&wire::Services>) -> site::Services {
    let runs = |switch: fn(&wire::Services) -> Option<&wire::ServiceSwitch>| {
        let switch = switches.and_then(switch);
        switch.and_then(|switch| switch.enabled).unwrap_or(true)
    };
    site::Services {
        dhcp: runs(|s| s.dhcp.as_ref()),
        dns: runs(|s| s.dns.as_ref()),
        netboot: runs(|s| s.netboot.as_ref()),
        ignition: runs(|s| s.ignition.as_ref()),
        unlock: runs(|s| s.unlock.as_ref()),
        ntp: runs(|s| s.ntp.as_ref()),
        router: runs(|s| s.router.as_ref()),
        balancer: runs(|s| s.router.as_ref()) && runs(|s| s.balancer.as_ref()),
    }
}
