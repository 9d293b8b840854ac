//! Chores of the repository that are more than a line of shell: `cargo run -p xtask -- --help`.

mod fuzz;
mod layers;
mod schema;

use clap::{Parser, Subcommand};

/// Chores of the repository.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Check that no layer knows what it should not, and that the list of edges is up to date.
    Layers {
        /// Write the list of edges anew instead of comparing it.
        #[arg(long)]
        update: bool,
    },
    /// Write what `docs/` has of the types anew: JSON Schema, reference page, events, causes, ports.
    Schema {
        /// Compare instead of writing.
        #[arg(long)]
        check: bool,
    },
    /// Run every fuzz target; a crash fails, and leaves its input behind.
    Fuzz {
        /// Explore from a random start for so many seconds each; without it, the same short run each time.
        #[arg(long)]
        seconds: Option<u32>,
        /// Only targets whose name contains this.
        #[arg(default_value = "")]
        only: String,
    },
}

fn main() -> anyhow::Result<()> {
    match Args::parse().chore {
        Chore::Layers { update } => layers::run(update),
        Chore::Schema { check } => schema::run(check),
        Chore::Fuzz { seconds, only } => fuzz::run(seconds, &only),
    }
}
