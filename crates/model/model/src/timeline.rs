//! The story of one boot session, and why a node stands where it stands: shapes of the local API.
//!
//! What they are made of, and how, is the affair of `faros-why`. Words are only ever added.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    event::{EventKind, Phase},
    ids::{HostName, SessionId},
};

/// One boot session of one node, from its first packet to the last thing known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// Which node.
    pub node: HostName,
    /// Which boot session.
    pub session: SessionId,
    /// When it began.
    pub began: Timestamp,
    /// When it ended; of one that goes on, the time for which this is true.
    pub ended: Timestamp,
    /// Whether it goes on.
    pub open: bool,
    /// How far it came.
    pub reached: HowFar,
    /// What the node said about its failure, if it failed.
    pub reason: String,
    /// What took time, in the order in which it began.
    pub spans: Vec<Span>,
    /// What happened in an instant, in its order.
    pub marks: Vec<Mark>,
}

impl Timeline {
    /// From its begin to its end.
    pub fn took(&self) -> SignedDuration {
        self.ended.duration_since(self.began)
    }
}

/// Something that took time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// What kind of thing.
    pub kind: SpanKind,
    /// Which one of its kind: a stage, a file; empty if there is but one.
    pub name: String,
    /// When it began, or from when on it is known of.
    pub began: Timestamp,
    /// When it ended, or until when it is known of.
    pub ended: Timestamp,
    /// Whether its begin was seen.
    pub begin_seen: bool,
    /// Whether its end was seen; a span that goes on has none yet.
    pub end_seen: bool,
    /// Whether it lies within another span of the same timeline; those that do not never overlap.
    pub inside: bool,
    /// Bytes that were sent, of a transfer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Bytes in a second, of a transfer that took measurable time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// Of a silence or an unfinished span, what was waited for; of a hole, why nothing is known.
    pub note: String,
    /// Numbers of the events that bound it; the same twice if one event told of it all.
    pub events: [u64; 2],
}

impl Span {
    /// From its begin to its end.
    pub fn took(&self) -> SignedDuration {
        self.ended.duration_since(self.began)
    }
}

/// Something that happened in an instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// Number of the event.
    pub seq: u64,
    /// Kind of the event.
    pub kind: EventKind,
    /// What happened, for people.
    pub text: String,
    /// Whether it should not have happened.
    pub alarm: bool,
}

macro_rules! words {
    ($(#[doc = $about:literal])* $name:ident { $($(#[doc = $doc:literal])* $variant:ident => $word:literal,)* }) => {
        $(#[doc = $about])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
        )]
        pub enum $name {
            $($(#[doc = $doc])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// All of them, in their order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// What it means, for the documentation.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*),)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words! {
    /// What kind of thing took time in a boot.
    SpanKind {
        /// The firmware asks for an address and a loader.
        Firmware => "firmware",
        /// The boot loader is sent.
        LoaderTransfer => "loader-transfer",
        /// The boot loader runs: it asks for an address and its script.
        Loader => "loader",
        /// The boot loader does what its script says.
        Script => "script",
        /// The kernel is sent.
        Kernel => "kernel",
        /// The initramfs is sent.
        Initramfs => "initramfs",
        /// The kernel starts, until the first report.
        SystemStart => "system-start",
        /// The system is up and fetches its Ignition config.
        Ignition => "ignition",
        /// A stage of the install.
        Stage => "stage",
        /// The root image or other content is sent.
        Content => "content",
        /// Between two stages of the install.
        Between => "between",
        /// Installed, and not back yet.
        Reboot => "reboot",
        /// Told to boot its own disk, and not heard of yet.
        DiskBoot => "disk-boot",
        /// The installed system is in its initramfs, until its disk is unlocked.
        Unlock => "unlock",
        /// The disk is open, and the system starts, until it reports.
        Start => "start",
        /// Nothing was heard of the machine.
        Silence => "silence",
        /// Nothing is known: the bastion was not there to see, or its record has a hole.
        Down => "down",
        /// What the machine did here was not seen.
        Unknown => "unknown",
    }
}

words! {
    /// How far a boot session came; later is further, and a failure is last.
    HowFar {
        /// A packet of it was seen.
        Seen => "seen",
        /// It has a boot loader.
        Loader => "loader",
        /// It has a boot script.
        Script => "script",
        /// It was told to boot its own disk.
        LocalBoot => "local-boot",
        /// It has a kernel and an initramfs.
        Kernel => "kernel",
        /// Its system is up.
        Booted => "booted",
        /// It has its Ignition config.
        Ignition => "ignition",
        /// It is installing.
        Installing => "installing",
        /// Its disk holds the operating system.
        Installed => "installed",
        /// Its disk was unlocked.
        Unlocked => "unlocked",
        /// It booted from its disk and said so.
        Started => "started",
        /// It said that something failed.
        Failed => "failed",
    }
}

/// One row of `GET /v1/nodes/{name}/sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionInfo {
    /// Which boot session.
    pub session: SessionId,
    /// When it began.
    pub began: Timestamp,
    /// When the last was heard of it.
    pub ended: Timestamp,
    /// Whether it is the node's present one.
    pub latest: bool,
    /// How far it came.
    pub reached: HowFar,
    /// What the node said about its failure, if it failed.
    pub reason: String,
    /// How many events there are of it.
    pub events: usize,
}

/// `GET /v1/nodes/{name}/why`: why a node stands where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// Which node.
    pub node: HostName,
    /// For when this is true.
    pub at: Timestamp,
    /// Where it is in its life.
    pub phase: Phase,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Whether its next network boot installs it.
    pub armed: bool,
    /// Its boot session, if it was seen.
    pub session: Option<SessionId>,
    /// The causes, most likely first; never empty.
    pub causes: Vec<Cause>,
}

/// One cause of a stall, or the word that there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// A stable word, such as `second-dhcp-server`; the documentation lists them all.
    pub code: String,
    /// How sure it is.
    pub confidence: Confidence,
    /// What is wrong, in one sentence.
    pub summary: String,
    /// What it is told by: facts with their age, and the numbers of events.
    pub evidence: Vec<String>,
    /// What to do about it; a command, where there is one.
    pub next: String,
}

words! {
    /// How sure a cause is; the surest is first.
    Confidence {
        /// Someone who must know said so: the node itself, or a service of the bastion.
        Certain => "certain",
        /// It explains all that was seen, and little else does.
        Likely => "likely",
        /// It explains what was seen, and so may something else.
        Possible => "possible",
        /// It is so, and probably does not matter.
        Aside => "aside",
    }
}
