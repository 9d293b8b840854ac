//! What each phase of a boot waits for, how long that usually takes, and when it is too long.
//!
//! The times are those of plain servers on a gigabit switch. A phase that is late by them is not failed: it is
//! worth a look, and the causes say how sure they are.

use faros_model::timeline::SpanKind;
use jiff::SignedDuration;

/// What a phase waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    /// What should come next.
    pub(crate) awaited: &'static str,
    /// So many seconds it usually takes.
    pub(crate) usual: u32,
    /// After so many seconds of silence it is stalled.
    pub(crate) patience: u32,
}

impl Wait {
    pub(crate) fn patience(self) -> SignedDuration {
        SignedDuration::from_secs(i64::from(self.patience))
    }
}

/// By stage of the install: the word in its reports, and how long it usually takes and may take.
const STAGES: &[(&str, u32, u32)] = &[
    ("disk", 5, 60),
    ("disks", 30, 300),
    ("mount", 5, 60),
    ("root", 60, 300),
    ("files", 20, 180),
    ("loader", 20, 180),
    ("finish", 10, 120),
];

/// What a phase waits for.
pub(crate) fn wait(kind: SpanKind, name: &str) -> Wait {
    let (awaited, usual, patience) = match kind {
        SpanKind::Firmware => ("the fetch of its boot loader", 10, 60),
        SpanKind::LoaderTransfer => ("the end of the boot loader", 5, 60),
        SpanKind::Loader => ("the request for its boot script", 15, 60),
        SpanKind::Script => ("the fetch of its kernel and initramfs", 5, 60),
        SpanKind::Kernel => ("the end of the kernel", 5, 120),
        SpanKind::Initramfs => ("the end of the initramfs", 10, 120),
        SpanKind::SystemStart => ("its first report", 40, 180),
        SpanKind::Ignition => ("its word that it has its Ignition config", 10, 90),
        SpanKind::Stage => {
            let own = STAGES.iter().find(|(stage, ..)| *stage == name);
            let (usual, patience) = own.map_or((30, 180), |(_, usual, patience)| (*usual, *patience));
            ("the end of the stage", usual, patience)
        }
        SpanKind::Content => ("the end of the transfer", 60, 300),
        SpanKind::Between => ("the next stage of the install", 5, 60),
        SpanKind::Reboot => ("its return from the reboot", 90, 600),
        SpanKind::DiskBoot => ("a word from the system on its disk", 60, 300),
        SpanKind::Unlock => ("the request to unlock its disk", 15, 90),
        SpanKind::Start => ("its report that it started", 45, 300),
        SpanKind::Silence | SpanKind::Down | SpanKind::Unknown => ("a word of it", 60, 300),
    };
    Wait {
        awaited,
        usual,
        patience,
    }
}

/// What a phase waits for, for people.
pub(crate) fn awaited(kind: SpanKind, name: &str) -> String {
    match kind {
        SpanKind::Stage => format!("the end of the stage `{name}`"),
        _ => wait(kind, name).awaited.to_owned(),
    }
}

/// A phase as one does it: `its firmware asks for an address`.
pub(crate) fn doing(kind: SpanKind, name: &str) -> String {
    let what = match kind {
        SpanKind::Firmware => "its firmware asks for an address and a boot loader",
        SpanKind::LoaderTransfer => "its boot loader is sent",
        SpanKind::Loader => "its boot loader runs",
        SpanKind::Script => "its boot loader follows its script",
        SpanKind::Kernel => "its kernel is sent",
        SpanKind::Initramfs => "its initramfs is sent",
        SpanKind::SystemStart => "its kernel starts",
        SpanKind::Ignition => "its system is up and gets its Ignition config",
        SpanKind::Stage => return format!("it is in the stage `{name}` of its install"),
        SpanKind::Content => "content is sent to it",
        SpanKind::Between => "it goes on with its install",
        SpanKind::Reboot => "it is installed and reboots",
        SpanKind::DiskBoot => "it boots its own disk",
        SpanKind::Unlock => "the system on its disk wants its disk unlocked",
        SpanKind::Start => "its disk is unlocked and its system starts",
        SpanKind::Silence | SpanKind::Down | SpanKind::Unknown => "what it does was not seen",
    };
    what.to_owned()
}
