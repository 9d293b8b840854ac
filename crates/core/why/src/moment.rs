//! What an event says about how far a boot is.
//!
//! A machine asks DHCP three times in one boot: firmware, loader, operating system. Only its vendor and user
//! class tell them apart (RFC 4578 section 2, RFC 3004), as in `faros-boot`, which decides the phases by the
//! same signs.

use faros_model::event::{Event, EventKind};

use crate::facts::Facts as _;

/// What an event says about how far a boot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment<'a> {
    FirmwareAsks,
    LoaderAsks,
    SystemAsks,
    LoaderSent,
    Script(Told),
    KernelSent,
    InitramfsSent,
    ContentSent,
    Booted,
    IgnitionServed,
    IgnitionFetched,
    StageStarted(&'a str),
    StageDone(&'a str),
    Installed,
    Booting,
    Advertised,
    Unlocked,
    UnlockRefused,
    Started,
    Failed,
    /// It says nothing about that.
    Other,
}

/// What a boot script told a machine to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Install,
    LocalDisk,
    Nothing,
}

impl<'a> Moment<'a> {
    pub(crate) fn of(event: &'a Event) -> Self {
        match event.kind {
            EventKind::DhcpDiscover => {
                let vendor = event.word("vendorClass");
                if event.word("userClass") == "iPXE" {
                    Self::LoaderAsks
                } else if vendor.starts_with("PXEClient") || vendor.starts_with("HTTPClient") {
                    Self::FirmwareAsks
                } else {
                    Self::SystemAsks
                }
            }
            EventKind::LoaderFetched => Self::LoaderSent,
            EventKind::BootScriptServed => Self::Script(match event.word("action") {
                "install" => Told::Install,
                "local-disk" => Told::LocalDisk,
                _ => Told::Nothing,
            }),
            EventKind::KernelFetched => Self::KernelSent,
            EventKind::InitramfsFetched => Self::InitramfsSent,
            EventKind::ContentFetched => Self::ContentSent,
            EventKind::IgnitionServed => Self::IgnitionServed,
            EventKind::UnlockAdvertised => Self::Advertised,
            EventKind::UnlockRecovered => Self::Unlocked,
            EventKind::UnlockRefused => Self::UnlockRefused,
            EventKind::NodeReport => match event.word("report") {
                "booted" => Self::Booted,
                "ignition-fetched" => Self::IgnitionFetched,
                "stage" if event.word("state") == "done" => Self::StageDone(event.word("stage")),
                "stage" => Self::StageStarted(event.word("stage")),
                "installed" => Self::Installed,
                "booting" => Self::Booting,
                "started" => Self::Started,
                "failed" => Self::Failed,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

/// Whether the machine itself did it, and is alive.
pub(crate) const fn is_sign_of_life(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::DhcpDiscover
            | EventKind::DhcpRequest
            | EventKind::DhcpDecline
            | EventKind::DhcpRelease
            | EventKind::DhcpInform
            | EventKind::LoaderFetched
            | EventKind::BootScriptServed
            | EventKind::KernelFetched
            | EventKind::InitramfsFetched
            | EventKind::ContentFetched
            | EventKind::TransferFailed
            | EventKind::IgnitionServed
            | EventKind::IgnitionRefused
            | EventKind::JoinWaiting
            | EventKind::JoinHanded
            | EventKind::NodeReport
            | EventKind::UnlockAdvertised
            | EventKind::UnlockRecovered
            | EventKind::UnlockRefused
    )
}
