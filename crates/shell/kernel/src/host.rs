//! What else on this machine has a hand in its network: network managers, and other people's packet filters.

use std::{fs, path::Path};

use crate::{lan, nft};

/// A program that gives interfaces their addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// NetworkManager.
    NetworkManager,
    /// systemd-networkd.
    Networkd,
    /// Debian's ifupdown.
    Ifupdown,
}

impl Manager {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NetworkManager => "NetworkManager",
            Self::Networkd => "systemd-networkd",
            Self::Ifupdown => "ifupdown",
        }
    }
}

/// Who manages an interface, as far as can be told from what the managers leave in `/run` and `/etc`.
pub fn manager_of(interface: &str) -> Option<Manager> {
    let index = lan::look(interface)?.index;
    manager_below(Path::new("/"), interface, index)
}

fn manager_below(root: &Path, interface: &str, index: u32) -> Option<Manager> {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    if read(&format!("run/NetworkManager/devices/{index}"))
        .lines()
        .any(|line| line.trim() == "managed=true")
    {
        return Some(Manager::NetworkManager);
    }
    let link = read(&format!("run/systemd/netif/links/{index}"));
    let state = link.lines().find_map(|line| line.strip_prefix("ADMIN_STATE="));
    if state.is_some_and(|state| !matches!(state, "unmanaged" | "initialized" | "pending")) {
        return Some(Manager::Networkd);
    }
    let is_up = read("run/network/ifstate")
        .lines()
        .any(|line| line.split('=').next() == Some(interface));
    let extra = fs::read_dir(root.join("etc/network/interfaces.d"));
    let extra = extra.into_iter().flatten().flatten();
    let files = extra.map(|file| fs::read_to_string(file.path()).unwrap_or_default());
    let is_told = files.chain([read("etc/network/interfaces")]).any(|text| {
        text.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some("iface") && words.next() == Some(interface) && words.next() == Some("inet")
        })
    });
    (is_up || is_told).then_some(Manager::Ifupdown)
}

/// Chains of other tables that drop what they have no rule for, where packets are forwarded, such as
/// `ip filter FORWARD`, which Docker makes so. What one table drops, no other can let pass.
///
/// # Errors
/// If nft cannot be run.
pub async fn forward_droppers(own: &str) -> Result<Vec<String>, nft::Nft> {
    Ok(droppers(&nft::chains().await?, own))
}

/// `nft list chains`: tables with their chains, and of base chains a line with hook and policy.
fn droppers(listed: &str, own: &str) -> Vec<String> {
    let (mut table, mut chain) = (String::new(), String::new());
    let mut found = Vec::new();
    for line in listed.lines().map(str::trim) {
        if let Some(name) = line
            .strip_prefix("table ")
            .and_then(|rest| rest.strip_suffix(" {"))
        {
            name.clone_into(&mut table);
        } else if let Some(name) = line
            .strip_prefix("chain ")
            .and_then(|rest| rest.strip_suffix(" {"))
        {
            name.clone_into(&mut chain);
        } else if line.contains("hook forward") && line.contains("policy drop") && table != own {
            found.push(format!("{table} {chain}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_manages_an_interface_is_told_by_what_it_leaves() -> std::io::Result<()> {
        for (file, text, manager) in [
            ("run/other", "", None),
            (
                "run/NetworkManager/devices/7",
                "[device]\nmanaged=true\nconnection-uuid=1\n",
                Some(Manager::NetworkManager),
            ),
            ("run/NetworkManager/devices/7", "[device]\nmanaged=false\n", None),
            (
                "run/systemd/netif/links/7",
                "ADMIN_STATE=configured\nOPER_STATE=routable\n",
                Some(Manager::Networkd),
            ),
            ("run/systemd/netif/links/7", "ADMIN_STATE=unmanaged\n", None),
            (
                "run/network/ifstate",
                "lo=lo\nuplink0=uplink0\n",
                Some(Manager::Ifupdown),
            ),
            ("run/network/ifstate", "lo=lo\n", None),
            (
                "etc/network/interfaces",
                "auto uplink0\niface uplink0 inet dhcp\n",
                Some(Manager::Ifupdown),
            ),
            (
                "etc/network/interfaces.d/uplink",
                "iface uplink0 inet dhcp\n",
                Some(Manager::Ifupdown),
            ),
            ("etc/network/interfaces", "iface uplink01 inet dhcp\n", None),
        ] {
            let root = tempfile::tempdir()?;
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap_or(root.path()))?;
            fs::write(&path, text)?;
            assert_eq!(
                manager_below(root.path(), "uplink0", 7),
                manager,
                "{file}: {text}"
            );
        }
        Ok(())
    }

    #[test]
    fn a_chain_that_drops_what_is_forwarded_is_found_and_ours_is_not() {
        let listed = "table inet faros {\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n\
                      table ip filter {\n\tchain INPUT {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n\
                      \tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n\tchain DOCKER {\n\t}\n}\n\
                      table ip6 filter {\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy accept;\n\t}\n}\n";
        assert_eq!(droppers(listed, "inet faros"), ["ip filter FORWARD"]);
        assert_eq!(droppers("", "inet faros"), Vec::<String>::new());
    }
}
