//! The command line of `ports`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use faros_ports::{Distribution, Feature, Plugin};

/// Which rows of the matrix.
#[derive(Debug, clap::Args)]
pub(crate) struct PortsWanted {
    /// A site file, or `-` for standard input; without it, the site that runs here.
    pub(crate) file: Option<PathBuf>,
    /// Only what is on machines that are this; may be given several times.
    #[arg(long = "role", value_enum)]
    pub(crate) roles: Vec<PortsRole>,
    /// Which matrix.
    #[arg(long, value_enum, default_value_t = PortsMatrix::Today)]
    pub(crate) matrix: PortsMatrix,
    /// Also rows whose conditions are not so here.
    #[arg(long)]
    pub(crate) all: bool,
    /// Take this for the distribution, whatever the site file says.
    #[arg(long, value_parser = distribution)]
    pub(crate) distribution: Option<Distribution>,
    /// Take this for the network plug-in.
    #[arg(long, value_parser = plugin)]
    pub(crate) network_plugin: Option<Plugin>,
    /// Take it that the site has this; may be given several times.
    #[arg(long, value_name = "FEATURE", value_parser = feature)]
    pub(crate) with: Vec<Feature>,
    /// Take it that the site does not have this.
    #[arg(long, value_name = "FEATURE", value_parser = feature)]
    pub(crate) without: Vec<Feature>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PortsCommand {
    /// Hold the bastion's rules, the nodes' filters and who listens against the matrix; exit with 3 if they differ.
    #[command(after_help = "Examples:
  farosctl ports verify site.yaml       the rules that the file leads to; needs no daemon
  farosctl ports verify                 those of the site that runs here, and who listens on bastion and nodes
  farosctl ports verify --output json | jq '.findings[]'

It ends with what it looked at and what it could not see.")]
    Verify {
        /// A site file, or `-` for standard input; without it, the site that runs here.
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PortsRole {
    Bastion,
    ControlPlane,
    Worker,
    MetaWorker,
    Frontend,
    Arbiter,
    Bmc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PortsMatrix {
    /// What holds today.
    Today,
    /// Tectonic's generic platform of 2018.
    Tectonic,
}

/// One of a list, by its word.
fn word<T: Copy>(text: &str, all: &[T], as_str: fn(T) -> &'static str) -> Result<T, String> {
    let found = all.iter().copied().find(|own| as_str(*own) == text);
    found.ok_or_else(|| {
        let all: Vec<&str> = all.iter().copied().map(as_str).collect();
        format!("it is one of {}", all.join(", "))
    })
}

fn distribution(text: &str) -> Result<Distribution, String> {
    word(text, Distribution::ALL, Distribution::as_str)
}

fn plugin(text: &str) -> Result<Plugin, String> {
    word(text, Plugin::ALL, Plugin::as_str)
}

fn feature(text: &str) -> Result<Feature, String> {
    word(text, Feature::ALL, Feature::as_str)
}
