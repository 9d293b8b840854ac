//! `farosctl unlock …`.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum UnlockCommand {
    /// Show how unlocking stands.
    Status,
    /// Show the keys, and which node's disks depend on which.
    Ledger,
    /// Make new keys. The old ones still unlock; nodes move to the new ones by themselves.
    #[command(after_help = "Example:
  farosctl unlock rotate
  farosctl unlock ledger          until no node depends on the old key
  farosctl unlock retire KEY")]
    Rotate,
    /// Destroy a rotated key, on which no node may depend any more.
    Retire {
        /// Its thumbprint, as the ledger shows it; it may begin with `-`.
        #[arg(allow_hyphen_values = true)]
        key: String,
        /// Even if nodes depend on it: their disks can never be opened again.
        #[arg(long)]
        force: bool,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// Write a copy of the keys, encrypted for the holders of age keys.
    #[command(after_help = "Example:
  farosctl unlock backup --recipient age1… --out unlock-keys.age")]
    Backup {
        /// Public key of age; may be given several times.
        #[arg(long = "recipient", value_name = "AGE1…", required = true)]
        recipients: Vec<String>,
        /// Where to; standard output if it is not given.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Take the keys of a backup back into use: disks that depend on them open again, and move to the key in use.
    #[command(after_help = "Example:
  farosctl unlock restore unlock-keys.age --identity unlock-backup.key")]
    Restore {
        /// The backup.
        backup: PathBuf,
        /// What opens it: the file that `age-keygen` wrote.
        #[arg(long, value_name = "FILE")]
        identity: PathBuf,
    },
}
