//! The command line of `cluster` and `kubectl`.

use std::{ffi::OsString, path::PathBuf};

use clap::Subcommand;
use faros_model::{api::ClusterRole, kubernetes::KubeVersion};

use super::{SnapshotCommand, UpgradeCommand, UpgradeWork};

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Show how the cluster is, and by which evidence.
    #[command(after_help = "Examples:
  farosctl cluster status
  farosctl cluster status --follow                       one line for each change
  farosctl cluster status --output json | jq -r .state   none, waiting, installing, ready or degraded")]
    Status {
        /// Go on, and tell each change.
        #[arg(long, short)]
        follow: bool,
    },
    /// Show how each node stands to the cluster.
    #[command(after_help = "Example:
  farosctl cluster nodes --output json | jq -r '.[] | select(.state != \"ready\") | .name'")]
    Nodes,
    /// Say what an install would do and what it lacks, arm the nodes that are not installed, and follow the progress.
    #[command(after_help = "Examples:
  farosctl cluster install
  farosctl cluster install --yes --timeout 1h    without asking, and no longer than that
  farosctl cluster install --no-wait

The first control-plane node that asks begins the cluster, the others join it one after another, then the workers. Nodes
that are armed have to be started once, from their network. What was begun goes on in farosd if this is interrupted.")]
    Install {
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
        /// Do not follow the progress.
        #[arg(long, conflicts_with = "timeout")]
        no_wait: bool,
        /// Give up waiting after this time, such as 45m.
        #[arg(long, value_name = "TIME", value_parser = time, default_value = "1h")]
        timeout: u32,
    },
    /// Wait until the cluster is ready: all nodes of the site, and all parts.
    #[command(after_help = "Examples:
  farosctl cluster wait --timeout 30m && farosctl kubectl -- get nodes
  farosctl cluster wait --output json    each state in a line, until it is `ready`

Exit code 0 when it is ready, 1 if it is not in time.")]
    Wait {
        /// Give up after this time, such as 90s, 30m or 2h.
        #[arg(long, value_name = "TIME", value_parser = time, default_value = "30m")]
        timeout: u32,
    },
    /// Get a certificate for the cluster, with a role and an end, and put it into a kubeconfig.
    #[command(after_help = "Examples:
  farosctl cluster credentials                           the role view, for 8 hours, into ~/.kube/config
  farosctl cluster credentials --role edit --for 2d
  farosctl cluster credentials --role cluster-admin --for 1h --user ada --out ada.kubeconfig

The key is made here and never leaves this machine but in the file. Kubernetes cannot take a certificate back, so it ends
by itself: after 7 days at the latest, as cluster-admin after 24 hours. Who got which until when is in
`farosctl events`.")]
    Credentials {
        #[command(flatten)]
        whose: Whose,
        /// For how long, such as 30m, 8h or 2d.
        #[arg(long = "for", value_name = "TIME", value_parser = time, default_value = "8h")]
        time: u32,
        /// Write a kubeconfig of its own to this file, which must not exist.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Put it into this kubeconfig; by default the first of `$KUBECONFIG`, else ~/.kube/config.
        #[arg(long, value_name = "FILE", conflicts_with = "out")]
        merge: Option<PathBuf>,
    },
    /// Have the cluster begin anew from a snapshot, when etcd has lost its majority for good.
    #[command(after_help = "Example:
  farosctl cluster snapshot list
  farosctl cluster restore 20261121T173000Z-r4711
  farosctl watch                       the control plane joins once more, one node after the other

What was written after the snapshot is lost. Workers and their pods go on meanwhile.")]
    Restore {
        /// The snapshot, as `farosctl cluster snapshot list` shows it.
        snapshot: String,
        /// Even if etcd has its majority.
        #[arg(long)]
        force: bool,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// Bring the cluster to the next minor version, or a newer patch, one node after the other.
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:
  farosctl content build kubernetes --version v1.36.3
  farosctl cluster upgrade                           says what it will do, asks, and follows it
  farosctl cluster upgrade --to v1.36.3 --yes
  farosctl cluster upgrade pause
  farosctl cluster upgrade resume                    after something failed and was mended, too

Without --to it goes to the version of the site file; if that names none, to the newest one that is in the content store
and in reach. The control plane goes first. What is not well holds it up, what fails stops it with the reason. It goes on
in farosd if this is interrupted; the same command follows it again."
    )]
    Upgrade {
        /// The version to go to, such as v1.36.3.
        #[arg(long, value_name = "VERSION", value_parser = version)]
        to: Option<KubeVersion>,
        #[command(flatten)]
        work: UpgradeWork,
        #[command(subcommand)]
        command: Option<UpgradeCommand>,
    },
    /// Show when the cluster's certificates end. Nodes renew theirs by themselves, 90 days before.
    Certificates,
    /// Snapshots of etcd, with all that the cluster knows.
    Snapshot {
        #[command(subcommand)]
        command: SnapshotCommand,
    },
    /// Get a certificate for the cluster, and print a kubeconfig with it.
    #[command(after_help = "Example:
  farosctl cluster kubeconfig --role edit --for 1h > site.kubeconfig")]
    Kubeconfig {
        #[command(flatten)]
        whose: Whose,
        /// For how long, such as 30m, 8h or 2d.
        #[arg(long = "for", value_name = "TIME", value_parser = time, default_value = "8h")]
        time: u32,
    },
}

/// Whose certificate, for what.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Whose {
    /// What it lets its owner do: view, edit, admin or cluster-admin.
    #[arg(long, value_parser = role, default_value = "view")]
    pub(crate) role: ClusterRole,
    /// Whose it is; by default, whoever is at the keyboard.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
}

/// `kubectl`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Kubectl {
    #[command(flatten)]
    pub(crate) whose: Whose,
    /// For how long its certificate is good.
    #[arg(long = "for", value_name = "TIME", value_parser = time, default_value = "1h")]
    pub(crate) time: u32,
    /// Which kubectl; by default that of the PATH, else that of the release in the content store.
    #[arg(long = "kubectl", value_name = "PATH", env = "FAROS_KUBECTL")]
    pub(crate) program: Option<PathBuf>,
    /// What kubectl is told.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGS",
        required = true
    )]
    pub(crate) args: Vec<OsString>,
}

fn version(text: &str) -> Result<KubeVersion, String> {
    text.parse().map_err(|why| format!("`{text}` {why}"))
}

fn role(text: &str) -> Result<ClusterRole, String> {
    text.parse().map_err(|why| format!("`{text}` {why}"))
}

/// A time in seconds, from text such as `90s`, `30m`, `8h` and `2d`.
fn time(text: &str) -> Result<u32, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[number.len()..] {
        "s" | "" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => 0,
    };
    let seconds = number.parse::<u32>().ok().and_then(|n| n.checked_mul(unit));
    seconds
        .filter(|seconds| *seconds > 0)
        .ok_or_else(|| format!("`{text}` is no time, such as 90s, 30m, 8h or 2d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_tell_them() {
        for (text, expected) in [
            ("90", Ok(90)),
            ("90s", Ok(90)),
            ("30m", Ok(1800)),
            ("8h", Ok(28_800)),
            ("2d", Ok(172_800)),
        ] {
            assert_eq!(time(text), expected, "{text}");
        }
        for text in ["", "0h", "h", "8 h", "-1h", "1w", "1h30m", "99999999d", "ää"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
