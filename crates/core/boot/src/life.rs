//! One node's life as far as its packets and reports tell it: a state that owns its data, and one step.

use faros_model::{event::Phase, ids::SessionId};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::evidence::{Evidence, Script, Speaker};

/// Firmware and loaders repeat themselves for up to a minute or so; what comes within this time of the last
/// packet, and takes no step back, is the same boot.
const YOUNG: SignedDuration = SignedDuration::from_mins(3);

/// What an operating system says within this time of the end of a boot still belongs to that boot.
const TAIL: SignedDuration = SignedDuration::from_mins(15);

/// Where a node is in its life.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "kebab-case")]
pub enum Life {
    /// In the site file, and never seen to boot.
    #[default]
    Expected,
    /// Firmware or loader spoke.
    Netbooting(Boot),
    /// It got its Ignition config.
    Provisioning(Boot),
    /// It reported that its disk holds the operating system.
    Installed(Boot),
    /// It was told to boot its own disk.
    LocalBoot(Boot),
    /// It reported a failure.
    Failed {
        /// The boot in which it failed.
        boot: Boot,
        /// What it said about it.
        why: String,
    },
}

/// One boot of one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Boot {
    /// Its session.
    pub session: SessionId,
    /// When the present phase began.
    pub since: Timestamp,
    /// When the machine was last heard of in this session.
    pub heard: Timestamp,
    /// How far it came before it got its Ignition config.
    pub reached: Reached,
}

/// How far a network boot came; later is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reached {
    /// The firmware speaks.
    Firmware,
    /// A loader was sent, or speaks.
    Loader,
    /// A boot script was sent.
    Script,
    /// A kernel or an initramfs was sent.
    Kernel,
}

impl Life {
    /// The phase, as everyone else names it.
    pub const fn phase(&self) -> Phase {
        match self {
            Self::Expected => Phase::Expected,
            Self::Netbooting(_) => Phase::Netbooting,
            Self::Provisioning(_) => Phase::Provisioning,
            Self::Installed(_) => Phase::Installed,
            Self::LocalBoot(_) => Phase::LocalBoot,
            Self::Failed { .. } => Phase::Failed,
        }
    }

    /// The latest boot.
    pub const fn boot(&self) -> Option<&Boot> {
        match self {
            Self::Expected => None,
            Self::Netbooting(boot)
            | Self::Provisioning(boot)
            | Self::Installed(boot)
            | Self::LocalBoot(boot)
            | Self::Failed { boot, .. } => Some(boot),
        }
    }

    /// Why it failed; empty if it did not.
    pub fn why(&self) -> &str {
        match self {
            Self::Failed { why, .. } => why,
            Self::Expected
            | Self::Netbooting(_)
            | Self::Provisioning(_)
            | Self::Installed(_)
            | Self::LocalBoot(_) => "",
        }
    }

    /// The session to which something seen `at` belongs.
    pub fn session_at(&self, at: Timestamp) -> Option<SessionId> {
        match self {
            Self::Expected => None,
            Self::Netbooting(boot) | Self::Provisioning(boot) => Some(boot.session),
            Self::Installed(boot) | Self::LocalBoot(boot) | Self::Failed { boot, .. } => {
                (at.duration_since(boot.since) < TAIL).then_some(boot.session)
            }
        }
    }

    /// What becomes of this life when `evidence` is seen. `fresh` is the id of the session that is opened, if one is.
    pub(crate) fn step(self, at: Timestamp, evidence: &Evidence, fresh: SessionId) -> Self {
        let life = if self.opens(at, evidence) {
            Self::Netbooting(Boot {
                session: fresh,
                since: at,
                heard: at,
                reached: Reached::Firmware,
            })
        } else {
            self
        };
        let life = life.heard(at, evidence.reached());
        match evidence {
            Evidence::Speaks(_)
            | Evidence::Sent(_)
            | Evidence::Script(Script::Install | Script::Nothing)
            | Evidence::Other => life,
            Evidence::Script(Script::LocalDisk) => life.enter(Phase::LocalBoot, at, Self::LocalBoot),
            Evidence::Ignition => life.enter(Phase::Provisioning, at, Self::Provisioning),
            Evidence::Installed => life.enter(Phase::Installed, at, Self::Installed),
            Evidence::Failed(why) => life.enter(Phase::Failed, at, |boot| Self::Failed {
                boot,
                why: why.clone(),
            }),
        }
    }

    /// Whether `evidence` is the first of a new boot.
    fn opens(&self, at: Timestamp, evidence: &Evidence) -> bool {
        let silent_for = |boot: &Boot| at.duration_since(boot.heard);
        match self {
            Self::Expected => *evidence != Evidence::Other,
            Self::Netbooting(boot) => match evidence {
                // A step back: the machine has started over, unless firmware or loader only repeats itself.
                Evidence::Speaks(Speaker::Firmware) => {
                    boot.reached > Reached::Loader || silent_for(boot) > YOUNG
                }
                Evidence::Speaks(Speaker::Loader) => {
                    boot.reached > Reached::Script || silent_for(boot) > YOUNG
                }
                _ => false,
            },
            // The installer does not network-boot, so whoever does has started over.
            Self::Provisioning(_) => matches!(
                evidence,
                Evidence::Speaks(_) | Evidence::Sent(Reached::Loader) | Evidence::Script(_)
            ),
            // A loader may fetch its script twice before it obeys.
            Self::LocalBoot(boot) if *evidence == Evidence::Script(Script::LocalDisk) => {
                silent_for(boot) > YOUNG
            }
            Self::Installed(_) | Self::LocalBoot(_) | Self::Failed { .. } => matches!(
                evidence,
                Evidence::Speaks(_) | Evidence::Sent(_) | Evidence::Script(_) | Evidence::Ignition
            ),
        }
    }

    fn heard(mut self, at: Timestamp, reached: Option<Reached>) -> Self {
        if let Self::Netbooting(boot)
        | Self::Provisioning(boot)
        | Self::Installed(boot)
        | Self::LocalBoot(boot)
        | Self::Failed { boot, .. } = &mut self
        {
            boot.heard = at;
            boot.reached = boot.reached.max(reached.unwrap_or(boot.reached));
        }
        self
    }

    /// Into a phase; a node that is in it already stays in it since when it was.
    fn enter(self, phase: Phase, at: Timestamp, make: impl FnOnce(Boot) -> Self) -> Self {
        let stays = self.phase() == phase;
        match self {
            Self::Expected => Self::Expected,
            Self::Netbooting(boot)
            | Self::Provisioning(boot)
            | Self::Installed(boot)
            | Self::LocalBoot(boot)
            | Self::Failed { boot, .. } => make(Boot {
                since: if stays { boot.since } else { at },
                ..boot
            }),
        }
    }
}
