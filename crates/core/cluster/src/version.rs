//! Which versions of Kubernetes this version of Faros installs, and which go together.
//!
//! Sources: the version skew policy of Kubernetes; and what the configurations of this crate ask for, which is not in
//! older ones: `authentication-config` in `v1`, kube-proxy's nftables, `kubeadm.k8s.io/v1beta4`.

use std::ops::RangeInclusive;

use faros_model::kubernetes::KubeVersion;

/// Minor versions that are installed.
pub const SUPPORTED: RangeInclusive<u16> = 34..=36;

/// A kubelet may be so many minor versions older than the API server, and never newer.
const KUBELET_BEHIND: u16 = 3;

/// What a site file wants of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The newest there is.
    Newest,
    /// The newest of a minor version.
    Minor(u16),
    /// This one.
    Exactly(KubeVersion),
}

/// Why a version is not one that can be wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unwanted {
    /// It is malformed.
    #[error("is no version of Kubernetes")]
    Malformed,
    /// It is too old.
    #[error("is older than what this version of Faros installs, v1.{oldest}", oldest = SUPPORTED.start())]
    TooOld,
    /// It is not known yet.
    #[error("is newer than what this version of Faros installs, v1.{newest}", newest = SUPPORTED.end())]
    TooNew,
}

/// Reads `cluster.version` of a site file: `v1.36.3`, or `v1.36` for the newest of its line; `v` may be left out.
///
/// # Errors
/// Why it can be none that is installed.
pub fn wanted(version: Option<&str>) -> Result<Wanted, Unwanted> {
    let Some(text) = version else {
        return Ok(Wanted::Newest);
    };
    let minor_only = |text: &str| {
        let rest = text.strip_prefix('v').unwrap_or(text).strip_prefix("1.")?;
        // What follows is read as the version's own parser reads it.
        format!("v1.{rest}.0").parse::<KubeVersion>().ok()
    };
    let (wanted, minor) = if let Ok(version) = text.parse::<KubeVersion>() {
        (Wanted::Exactly(version), version.minor)
    } else {
        let KubeVersion { minor, .. } = minor_only(text).ok_or(Unwanted::Malformed)?;
        (Wanted::Minor(minor), minor)
    };
    if minor < *SUPPORTED.start() {
        Err(Unwanted::TooOld)
    } else if minor > *SUPPORTED.end() {
        Err(Unwanted::TooNew)
    } else {
        Ok(wanted)
    }
}

impl Wanted {
    /// The release to install, of those that are in the store; `None` if none fits.
    pub fn of(self, available: impl IntoIterator<Item = KubeVersion>) -> Option<KubeVersion> {
        let fits = |version: &KubeVersion| match self {
            Self::Newest => SUPPORTED.contains(&version.minor),
            Self::Minor(minor) => version.minor == minor,
            Self::Exactly(exactly) => *version == exactly,
        };
        available.into_iter().filter(fits).max()
    }

    /// Whether a cluster of a version may be asked to become this.
    ///
    /// # Errors
    /// Why it may not: it would go back, or leave a minor version out.
    pub fn follows(self, running: KubeVersion) -> Result<(), Skew> {
        let to = match self {
            Self::Newest => return Ok(()),
            Self::Minor(minor) if minor == running.minor => return Ok(()),
            Self::Minor(minor) => KubeVersion { minor, patch: 0 },
            Self::Exactly(version) => version,
        };
        upgrade(running, to)
    }
}

/// Why two versions do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Skew {
    /// A kubelet would be newer than the API server.
    #[error("a kubelet of {kubelet} cannot work with an API server of {api}: it must not be newer")]
    KubeletNewer {
        /// The kubelet's.
        kubelet: KubeVersion,
        /// The oldest API server's.
        api: KubeVersion,
    },
    /// A kubelet would be too old.
    #[error("a kubelet of {kubelet} is more than 3 minor versions older than an API server of {api}")]
    KubeletTooOld {
        /// The kubelet's.
        kubelet: KubeVersion,
        /// The newest API server's.
        api: KubeVersion,
    },
    /// An upgrade would leave a minor version out.
    #[error("from {from} to {to} is more than one minor version; go to v1.{next} first", next = from.minor + 1)]
    TooFar {
        /// What runs.
        from: KubeVersion,
        /// What is wanted.
        to: KubeVersion,
    },
    /// A version would go back.
    #[error("{to} is older than {from}, which runs: Kubernetes does not go back")]
    Backwards {
        /// What runs.
        from: KubeVersion,
        /// What is wanted.
        to: KubeVersion,
    },
}

/// Whether a kubelet may work with an API server.
///
/// # Errors
/// Why it may not. Patch versions do not matter.
pub fn kubelet_skew(kubelet: KubeVersion, api: KubeVersion) -> Result<(), Skew> {
    if kubelet.minor > api.minor {
        Err(Skew::KubeletNewer { kubelet, api })
    } else if api.minor - kubelet.minor > KUBELET_BEHIND {
        Err(Skew::KubeletTooOld { kubelet, api })
    } else {
        Ok(())
    }
}

/// Whether a cluster may go from one version to another; to the same is no upgrade, and fine.
///
/// # Errors
/// Why it may not.
pub fn upgrade(from: KubeVersion, to: KubeVersion) -> Result<(), Skew> {
    if to < from {
        Err(Skew::Backwards { from, to })
    } else if to.minor - from.minor > 1 {
        Err(Skew::TooFar { from, to })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> KubeVersion {
        text.parse().unwrap()
    }

    #[test]
    fn a_site_file_names_a_version_a_line_or_nothing() {
        let rows = [
            (None, Ok(Wanted::Newest)),
            (Some("v1.36.3"), Ok(Wanted::Exactly(version("v1.36.3")))),
            (Some("1.34.2"), Ok(Wanted::Exactly(version("v1.34.2")))),
            (Some("v1.35"), Ok(Wanted::Minor(35))),
            (Some("1.36"), Ok(Wanted::Minor(36))),
            (Some("1.33.9"), Err(Unwanted::TooOld)),
            (Some("v1.30"), Err(Unwanted::TooOld)),
            (Some("v1.37.0"), Err(Unwanted::TooNew)),
            (Some("4.20.1"), Err(Unwanted::Malformed)),
            (Some("v2.0.0"), Err(Unwanted::Malformed)),
            (Some("v1.36.x"), Err(Unwanted::Malformed)),
            (Some("v1.36."), Err(Unwanted::Malformed)),
            (Some("latest"), Err(Unwanted::Malformed)),
            (Some(""), Err(Unwanted::Malformed)),
        ];
        for (text, expected) in rows {
            assert_eq!(wanted(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_newest_release_that_fits_is_taken() {
        let store = ["v1.34.4", "v1.36.1", "v1.36.3", "v1.36.10", "v1.37.0"].map(version);
        let rows = [
            (Wanted::Newest, Some("v1.36.10")),
            (Wanted::Minor(34), Some("v1.34.4")),
            (Wanted::Minor(35), None),
            (Wanted::Exactly(version("v1.36.1")), Some("v1.36.1")),
            (Wanted::Exactly(version("v1.36.2")), None),
        ];
        for (wanted, expected) in rows {
            assert_eq!(wanted.of(store), expected.map(version), "{wanted:?}");
        }
    }

    #[test]
    fn versions_that_do_not_go_together_are_told_why() {
        let kubelet = |kubelet, api| kubelet_skew(version(kubelet), version(api));
        assert_eq!(kubelet("v1.33.9", "v1.36.0"), Ok(()));
        assert_eq!(
            kubelet("v1.32.9", "v1.36.0").unwrap_err().to_string(),
            "a kubelet of v1.32.9 is more than 3 minor versions older than an API server of v1.36.0"
        );
        assert_eq!(
            kubelet("v1.36.0", "v1.35.9").unwrap_err().to_string(),
            "a kubelet of v1.36.0 cannot work with an API server of v1.35.9: it must not be newer"
        );
        let upgrade = |from, to| upgrade(version(from), version(to));
        assert_eq!(upgrade("v1.35.4", "v1.36.0"), Ok(()));
        assert_eq!(
            upgrade("v1.34.4", "v1.36.0").unwrap_err().to_string(),
            "from v1.34.4 to v1.36.0 is more than one minor version; go to v1.35 first"
        );
        assert_eq!(
            upgrade("v1.36.3", "v1.36.1").unwrap_err().to_string(),
            "v1.36.1 is older than v1.36.3, which runs: Kubernetes does not go back"
        );
    }

    #[test]
    fn a_site_file_cannot_ask_a_cluster_to_go_back_or_to_leap() {
        let running = version("v1.35.4");
        let rows = [
            (Wanted::Newest, None),
            (Wanted::Minor(35), None),
            (Wanted::Minor(36), None),
            (Wanted::Exactly(version("v1.35.4")), None),
            (Wanted::Exactly(version("v1.36.3")), None),
            (Wanted::Minor(34), Some("v1.34.0 is older than v1.35.4")),
            (
                Wanted::Exactly(version("v1.35.3")),
                Some("v1.35.3 is older than v1.35.4"),
            ),
            (
                Wanted::Minor(37),
                Some("more than one minor version; go to v1.36 first"),
            ),
        ];
        for (wanted, why) in rows {
            let said = wanted.follows(running).map_err(|why| why.to_string());
            match why {
                None => assert_eq!(said, Ok(()), "{wanted:?}"),
                Some(why) => assert!(said.clone().is_err_and(|said| said.contains(why)), "{said:?}"),
            }
        }
    }

    proptest! {
        /// During an upgrade that may be, the old kubelets work with the new API servers.
        #[test]
        fn an_upgrade_never_breaks_the_kubelets(from in (30_u16..40, 0_u16..20), to in (30_u16..40, 0_u16..20)) {
            let [from, to] = [from, to].map(|(minor, patch)| KubeVersion { minor, patch });
            if upgrade(from, to).is_ok() {
                prop_assert!(to >= from);
                prop_assert!(kubelet_skew(from, to).is_ok());
            }
        }
    }
}
