//! What a sighting proves about a node's boot.
//!
//! A machine asks DHCP three times in one boot: firmware, then loader, then the operating system. Only the
//! options tell them apart (RFC 4578 section 2, RFC 3004), so they are read here and nowhere else.

use faros_model::{event::EventKind, sighting::Sighting};
use serde_json::{Map, Value};

use crate::life::Reached;

/// What a sighting proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// Someone who is about to network-boot asked for an address.
    Speaks(Speaker),
    /// Something was sent in full, and the boot has come this far.
    Sent(Reached),
    /// A boot script was sent.
    Script(Script),
    /// The Ignition config was sent.
    Ignition,
    /// The node says that it is installed.
    Installed,
    /// The node says that it starts from its disk.
    DiskBoot,
    /// An operating system asked for an address: the installer, or the one on the disk.
    SystemAsks,
    /// The bastion helped to unlock a disk of the node.
    Unlocked,
    /// The node says that the system on its disk runs.
    Runs,
    /// The machine is not the one it was, and how that shows.
    Impostor(String),
    /// The node is a member of its cluster.
    Joined,
    /// Kubernetes says that the node is ready.
    Ready,
    /// Kubernetes says that the node is not ready.
    NotReady,
    /// The node says that something failed, and what.
    Failed(String),
    /// It belongs to the boot, and proves nothing more.
    Other,
    /// Someone at the node's address was turned away; it need not be the node.
    Hearsay,
}

/// Who asks for an address before there is an operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    /// The PXE or HTTP boot client of the firmware.
    Firmware,
    /// iPXE, which may also be what the network card has for firmware.
    Loader,
}

/// What a boot script told a node to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    /// To install itself.
    Install,
    /// To boot its own disk.
    LocalDisk,
    /// Neither.
    Nothing,
}

impl Evidence {
    pub(crate) fn of(sighting: &Sighting) -> Self {
        let word = |key: &str| {
            sighting
                .detail
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        match sighting.kind {
            EventKind::DhcpDiscover => match speaker(&sighting.detail) {
                Some(speaker) => Self::Speaks(speaker),
                None => Self::SystemAsks,
            },
            EventKind::LoaderFetched => Self::Sent(Reached::Loader),
            EventKind::KernelFetched | EventKind::InitramfsFetched => Self::Sent(Reached::Kernel),
            EventKind::BootScriptServed => Self::Script(match word("action") {
                "install" => Script::Install,
                "local-disk" => Script::LocalDisk,
                _ => Script::Nothing,
            }),
            EventKind::IgnitionServed => Self::Ignition,
            EventKind::UnlockRecovered => Self::Unlocked,
            EventKind::NodeReport => match word("report") {
                "installed" => Self::Installed,
                "booting" => Self::DiskBoot,
                "started" | "alive" => Self::Runs,
                "joined" => Self::Joined,
                "failed" => Self::Failed(match (word("stage"), word("message")) {
                    ("", "") => "the node reported a failure".to_owned(),
                    ("", message) => message.to_owned(),
                    (stage, message) => format!("{stage}: {message}"),
                }),
                _ => Self::Other,
            },
            EventKind::NodeReady => Self::Ready,
            EventKind::NodeNotReady => Self::NotReady,
            EventKind::IgnitionRefused | EventKind::JoinRefused | EventKind::TendRefused => Self::Hearsay,
            // Else the first refusal would make live the very boot that is not.
            EventKind::UnlockRefused
                if matches!(
                    word("reason"),
                    "unknown-machine" | "wrong-mac" | "identity-conflict" | "not-booting"
                ) =>
            {
                Self::Hearsay
            }
            _ => Self::Other,
        }
    }

    /// How far a boot has come that shows this.
    pub(crate) const fn reached(&self) -> Option<Reached> {
        match self {
            Self::Speaks(Speaker::Firmware) => Some(Reached::Firmware),
            Self::Speaks(Speaker::Loader) => Some(Reached::Loader),
            Self::Sent(reached) => Some(*reached),
            Self::Script(_) => Some(Reached::Script),
            Self::Ignition => Some(Reached::Kernel),
            Self::Runs | Self::Joined => Some(Reached::System),
            Self::Installed
            | Self::DiskBoot
            | Self::SystemAsks
            | Self::Unlocked
            | Self::Ready
            | Self::NotReady
            | Self::Impostor(_)
            | Self::Failed(_)
            | Self::Other
            | Self::Hearsay => None,
        }
    }
}

fn speaker(detail: &Map<String, Value>) -> Option<Speaker> {
    let word = |key: &str| detail.get(key).and_then(Value::as_str).unwrap_or_default();
    let vendor = word("vendorClass");
    if word("userClass") == "iPXE" {
        Some(Speaker::Loader)
    } else if vendor.starts_with("PXEClient") || vendor.starts_with("HTTPClient") {
        Some(Speaker::Firmware)
    } else {
        None
    }
}

/// The stable word for a firmware, by the client architecture it announces (DHCP option 93, RFC 4578 section
/// 2.1 and the IANA registry of processor architecture types).
pub fn firmware_word(architecture: u16) -> String {
    let word = match architecture {
        0 => "bios",
        6 => "uefi-ia32",
        7 | 9 => "uefi-x86_64",
        10 => "uefi-arm",
        11 => "uefi-aarch64",
        15 => "uefi-http-ia32",
        16 => "uefi-http-x86_64",
        18 => "uefi-http-arm",
        19 => "uefi-http-aarch64",
        other => return format!("architecture-{other}"),
    };
    word.to_owned()
}

/// The firmware that a DHCPDISCOVER announces: `architecture` is option 93's number, or its word already.
pub(crate) fn firmware(detail: &Map<String, Value>) -> Option<String> {
    match detail.get("architecture")? {
        Value::Number(number) => Some(firmware_word(u16::try_from(number.as_u64()?).ok()?)),
        Value::String(text) => Some(text.parse().map_or_else(|_| text.clone(), firmware_word)),
        _ => None,
    }
}

/// Whether a machine of which this is seen wants something of the bastion.
pub(crate) const fn is_a_wish(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::DhcpDiscover
            | EventKind::DhcpRequest
            | EventKind::DhcpAck
            | EventKind::DhcpInform
            | EventKind::LoaderFetched
            | EventKind::BootScriptServed
            | EventKind::IgnitionRefused
    )
}

/// Whether this must be known even in the middle of a flood.
pub(crate) const fn is_an_alarm(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::RogueDhcpServer | EventKind::AddressConflict | EventKind::IdentityConflict
    )
}

pub(crate) const fn ends_transfer(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::LoaderFetched
            | EventKind::KernelFetched
            | EventKind::InitramfsFetched
            | EventKind::ContentFetched
            | EventKind::TransferFailed
    )
}
