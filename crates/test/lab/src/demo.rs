//! The demo: from one site file to machines that have booted from it, seen by the bastion alone.

/// How the demo runs.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Leave everything up, and say how to look around.
    #[arg(long)]
    pub keep: bool,
    /// One line for each thing that happens, no bars.
    #[arg(long)]
    pub plain: bool,
    /// The site file.
    #[arg(long, default_value = "examples/demo.yaml")]
    pub site: std::path::PathBuf,
}

/// Runs the demo.
pub fn run(_options: Options) -> anyhow::Result<std::process::ExitCode> {
    anyhow::bail!("the demo is not part of this build")
}
