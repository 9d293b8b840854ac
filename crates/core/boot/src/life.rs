//! One node's life as far as its packets and reports tell it: a state that owns its data, and one step.

use faros_model::{event::Phase, ids::SessionId};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use faros_unlock::Booting;

use crate::evidence::{Evidence, Script, Speaker};

/// Firmware and loaders repeat themselves for up to a minute or so; what comes within this time of the last
/// packet, and takes no step back, is the same boot.
const YOUNG: SignedDuration = SignedDuration::from_mins(3);

/// A node that has installed itself starts again at once; its firmware's self-test may take this long. What it
/// does until then belongs to the boot that installed it.
const RESTART: SignedDuration = SignedDuration::from_mins(30);

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
    /// It boots from its own disk.
    LocalBoot(Boot),
    /// Its disk was unlocked, or it has no lock and runs.
    Unlocked(Boot),
    /// It is a member of its cluster.
    Joined(Boot),
    /// Kubernetes says that it is ready.
    Ready(Boot),
    /// It reported a failure, or is not who it says it is.
    Failed {
        /// The boot in which it failed.
        boot: Boot,
        /// What it said about it.
        why: String,
        /// Whether nothing more is given to it in this boot.
        #[serde(default)]
        is_closed: bool,
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
    /// How far it came.
    pub reached: Reached,
}

/// How far a boot came; later is greater.
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
    /// The system on the disk runs.
    System,
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
            Self::Unlocked(_) => Phase::Unlocked,
            Self::Joined(_) => Phase::Joined,
            Self::Ready(_) => Phase::Ready,
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
            | Self::Unlocked(boot)
            | Self::Joined(boot)
            | Self::Ready(boot)
            | Self::Failed { boot, .. } => Some(boot),
        }
    }

    /// Where the node is in its boot, as far as unlocking its disks is concerned.
    pub const fn booting(&self) -> Booting {
        match self {
            // Its disks are open, and long so.
            Self::Expected | Self::Joined(_) | Self::Ready(_) => Booting::Never,
            Self::Failed { is_closed: true, .. } => Booting::Closed,
            Self::Unlocked(boot) => Booting::Unlocked(boot.since),
            Self::Netbooting(boot)
            | Self::Provisioning(boot)
            | Self::Installed(boot)
            | Self::LocalBoot(boot)
            | Self::Failed { boot, .. } => Booting::Since(boot.heard),
        }
    }

    /// The session of a node that runs the system on its disk, as far as is known; `None` while it boots, or is closed.
    pub const fn running(&self) -> Option<SessionId> {
        match self {
            Self::Unlocked(boot) | Self::Joined(boot) | Self::Ready(boot) => Some(boot.session),
            Self::Expected
            | Self::Netbooting(_)
            | Self::Provisioning(_)
            | Self::Installed(_)
            | Self::LocalBoot(_)
            | Self::Failed { .. } => None,
        }
    }

    /// The same life, in which something is given to the machine again.
    pub(crate) fn reopened(self) -> Self {
        match self {
            Self::Failed { boot, why, .. } => Self::Failed {
                boot,
                why,
                is_closed: false,
            },
            life => life,
        }
    }

    /// Whether nothing more is given to this machine, because it may not be the one it says it is. That ends when
    /// the machine that is known boots, or when the operator says that the next one that boots is the node.
    pub const fn is_closed(&self) -> bool {
        matches!(self, Self::Failed { is_closed: true, .. })
    }

    /// How long the node may be in this phase; `None` if as long as it likes.
    pub const fn limit(&self) -> Option<SignedDuration> {
        match self {
            Self::Expected | Self::Unlocked(_) | Self::Joined(_) | Self::Ready(_) | Self::Failed { .. } => {
                None
            }
            Self::Netbooting(_) => Some(SignedDuration::from_mins(10)),
            Self::Provisioning(_) => Some(SignedDuration::from_mins(30)),
            Self::Installed(_) | Self::LocalBoot(_) => Some(SignedDuration::from_mins(15)),
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
            | Self::LocalBoot(_)
            | Self::Unlocked(_)
            | Self::Joined(_)
            | Self::Ready(_) => "",
        }
    }

    /// The session to which something seen `at` belongs.
    pub fn session_at(&self, at: Timestamp) -> Option<SessionId> {
        match self {
            Self::Expected => None,
            Self::Netbooting(boot)
            | Self::Provisioning(boot)
            | Self::Installed(boot)
            | Self::LocalBoot(boot) => Some(boot.session),
            Self::Unlocked(boot) | Self::Joined(boot) | Self::Ready(boot) | Self::Failed { boot, .. } => {
                (at.duration_since(boot.since) < TAIL).then_some(boot.session)
            }
        }
    }

    /// What becomes of this life when `evidence` is seen. `fresh` is the id of the session that is opened, if one is;
    /// `is_proven` says that the machine showed with it that it is the one that is known.
    pub(crate) fn step(self, at: Timestamp, evidence: &Evidence, fresh: SessionId, is_proven: bool) -> Self {
        // What Kubernetes says of a node is no sign of life of the machine: it need not have changed since it was cut off.
        let is_told = matches!(evidence, Evidence::Ready | Evidence::NotReady);
        if is_told && !matches!(self, Self::Unlocked(_) | Self::Joined(_) | Self::Ready(_)) {
            return self;
        }
        if *evidence == Evidence::Hearsay || self.is_closed() && !is_proven {
            return self;
        }
        let opens = self.opens(at, evidence);
        let life = if opens {
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
        if life.is_closed() {
            return life;
        }
        match evidence {
            Evidence::Speaks(_)
            | Evidence::Sent(_)
            | Evidence::Script(Script::Install | Script::Nothing)
            | Evidence::Other
            | Evidence::Hearsay => life,
            Evidence::Script(Script::LocalDisk) | Evidence::DiskBoot | Evidence::SystemAsks => match life {
                // Already on its way to its disk; an installer asks for an address too.
                Self::Installed(_)
                | Self::Unlocked(_)
                | Self::Joined(_)
                | Self::Ready(_)
                | Self::Failed { .. } => life,
                Self::Netbooting(_) | Self::Provisioning(_)
                    if *evidence == Evidence::SystemAsks && !opens =>
                {
                    life
                }
                _ => life.enter(Phase::LocalBoot, at, Self::LocalBoot),
            },
            Evidence::Ignition => life.enter(Phase::Provisioning, at, Self::Provisioning),
            Evidence::Installed => life.enter(Phase::Installed, at, Self::Installed),
            // What is unlocked during an install is not the node's own system.
            Evidence::Unlocked if matches!(life, Self::Provisioning(_)) => life,
            // A member of a cluster runs, and says so every few minutes.
            Evidence::Unlocked | Evidence::Runs if matches!(life, Self::Joined(_) | Self::Ready(_)) => life,
            Evidence::Joined if matches!(life, Self::Ready(_)) => life,
            Evidence::Joined | Evidence::NotReady => life.enter(Phase::Joined, at, Self::Joined),
            Evidence::Ready => life.enter(Phase::Ready, at, Self::Ready),
            Evidence::Unlocked | Evidence::Runs => life.enter(Phase::Unlocked, at, Self::Unlocked),
            Evidence::Failed(why) => life.enter(Phase::Failed, at, |boot| Self::Failed {
                boot,
                why: why.clone(),
                is_closed: false,
            }),
            Evidence::Impostor(why) => life.enter(Phase::Failed, at, |boot| Self::Failed {
                boot,
                why: why.clone(),
                is_closed: true,
            }),
        }
    }

    /// Whether `evidence` is the first of a new boot.
    fn opens(&self, at: Timestamp, evidence: &Evidence) -> bool {
        let silent_for = |boot: &Boot| at.duration_since(boot.heard);
        match self {
            Self::Expected => !matches!(evidence, Evidence::Other | Evidence::Hearsay),
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
            // The restart after an install belongs to it.
            Self::Installed(boot) => match evidence {
                Evidence::Speaks(_) | Evidence::Sent(_) | Evidence::DiskBoot | Evidence::SystemAsks => {
                    at.duration_since(boot.since) > RESTART && silent_for(boot) > YOUNG
                }
                Evidence::Script(script) => *script == Script::Install,
                Evidence::Ignition => true,
                _ => false,
            },
            // The system that was unlocked asks for its address again, on a slow disk much later.
            Self::Unlocked(boot) | Self::Joined(boot) | Self::Ready(boot) => match evidence {
                Evidence::Speaks(_) | Evidence::Sent(_) | Evidence::Script(_) | Evidence::Ignition => true,
                Evidence::DiskBoot => at.duration_since(boot.since) > YOUNG,
                Evidence::SystemAsks => {
                    let late = if boot.reached == Reached::System {
                        YOUNG
                    } else {
                        TAIL
                    };
                    silent_for(boot) > YOUNG && at.duration_since(boot.since) > late
                }
                _ => false,
            },
            // Its last word before was another machine's.
            Self::Failed { is_closed: true, .. } => {
                matches!(evidence, Evidence::Speaks(_) | Evidence::DiskBoot)
            }
            Self::LocalBoot(_) | Self::Failed { .. } => match evidence {
                Evidence::Speaks(_) | Evidence::Sent(_) | Evidence::Script(_) | Evidence::Ignition => true,
                Evidence::DiskBoot | Evidence::SystemAsks => {
                    self.boot().is_some_and(|boot| silent_for(boot) > RESTART)
                }
                _ => false,
            },
        }
    }

    fn heard(mut self, at: Timestamp, reached: Option<Reached>) -> Self {
        if let Self::Netbooting(boot)
        | Self::Provisioning(boot)
        | Self::Installed(boot)
        | Self::LocalBoot(boot)
        | Self::Unlocked(boot)
        | Self::Joined(boot)
        | Self::Ready(boot)
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
            | Self::Unlocked(boot)
            | Self::Joined(boot)
            | Self::Ready(boot)
            | Self::Failed { boot, .. } => make(Boot {
                since: if stays { boot.since } else { at },
                ..boot
            }),
        }
    }
}
