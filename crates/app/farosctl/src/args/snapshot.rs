//! `farosctl cluster snapshot …`.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// List those that the bastion has; it takes one every hour.
    List,
    /// Take one now.
    Take,
    /// Write a copy, encrypted for the holders of age keys.
    #[command(after_help = "Example:
  farosctl cluster snapshot export 20261121T173000Z-r4711 --recipient age1… --out etcd.age
  age --decrypt --identity backup.key etcd.age > etcd.db
  etcdutl snapshot status etcd.db")]
    Export {
        /// Its name, as `list` shows it.
        snapshot: String,
        /// Public key of age; may be given several times.
        #[arg(long = "recipient", value_name = "AGE1…", required = true)]
        recipients: Vec<String>,
        /// Where to.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}
