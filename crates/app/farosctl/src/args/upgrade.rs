//! `farosctl cluster upgrade …`.

use clap::Subcommand;

use super::seconds;

#[derive(Debug, Subcommand)]
pub(crate) enum UpgradeCommand {
    /// Show how it stands, or what it would do.
    Status,
    /// Let no further node have its turn. The one that is at it comes to its end.
    Pause,
    /// Have it go on after it was paused, or stopped by something that failed.
    Resume {
        #[command(flatten)]
        work: UpgradeWork,
    },
}

#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct UpgradeWork {
    /// Do not ask.
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Do not follow the progress.
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Let go of pods that nothing starts again.
    #[arg(long)]
    pub(crate) force: bool,
    /// How long a node may take to become empty, such as 90s or 10m. Budgets of disruption are kept in any case.
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "10m")]
    pub(crate) timeout: u32,
}
