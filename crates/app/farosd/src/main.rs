//! `farosd`: the bastion of a site in one process.
//!
//! The composition root: it reads flags, opens the state folder, and wires the decisions of the core crates
//! to the drivers of the shell. It takes hardly any decision itself.

mod api;
mod authority;
mod balancer;
mod cluster;
mod daemon;
mod executor;
mod firewalld;
mod keeper;
mod loaders;
mod notify;
mod pages;
mod recorder;
mod router;
mod secure;
mod services;
mod time;
mod unlock;

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use clap::{CommandFactory as _, Parser, ValueEnum, error::ErrorKind};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// The bastion of a site: DHCP, DNS, network boot and Ignition from one site file.
///
/// farosd starts from the last generation that was applied, with nobody present. Without one it waits for
/// `farosctl apply`.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  farosd                                     run with the state in /var/lib/faros
  farosd --interface lan=enp2s0              serve the LAN on enp2s0, whatever the site file says
  farosd --state-dir ./state --socket ./farosd.sock --log-format json"
)]
struct Args {
    /// Folder of everything that the bastion must remember.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/faros")]
    state_dir: PathBuf,
    /// Unix socket of the local API; only root may use it.
    #[arg(long, value_name = "PATH", default_value = "/run/faros/farosd.sock")]
    socket: PathBuf,
    /// Use another interface than the site file says: `lan=NAME` or `uplink=NAME`.
    #[arg(long, value_name = "ROLE=NAME", value_parser = interface)]
    interface: Vec<(Role, String)>,
    /// Folder with the boot loaders of Debian's package `ipxe`.
    #[arg(long, value_name = "DIR", default_value = "/usr/lib/ipxe")]
    loaders: PathBuf,
    /// TPM 2.0 that seals the unlock keys if the site file says so: a path, a driver such as `swtpm:path=SOCKET`, or
    /// `auto` for the machine's own.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    tpm2_device: String,
    /// Who keeps the host's clock: `auto` is farosd, unless a time daemon runs on the host.
    #[arg(long, value_enum, default_value_t = time::KeepClock::Auto)]
    clock: time::KeepClock,
    /// D-Bus address of the system bus, where firewalld is looked for.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "DBUS_SYSTEM_BUS_ADDRESS",
        default_value = "unix:path=/run/dbus/system_bus_socket"
    )]
    system_bus: String,
    /// How log lines look on standard error. The variable `FAROS_LOG` sets what is logged, such as `debug`.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Lan,
    Uplink,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Args {
    /// The interface that this has instead of the site file's; the last that was named.
    fn interface_of(&self, role: Role) -> Option<&str> {
        let mut named = self.interface.iter().rev();
        named.find(|(own, _)| *own == role).map(|(_, name)| name.as_str())
    }
}

fn interface(text: &str) -> Result<(Role, String), String> {
    match text.split_once('=') {
        Some(("lan", name)) if !name.is_empty() => Ok((Role::Lan, name.to_owned())),
        Some(("uplink", name)) if !name.is_empty() => Ok((Role::Uplink, name.to_owned())),
        _ => Err("write lan=NAME or uplink=NAME".to_owned()),
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let uplink = args.interface_of(Role::Uplink);
    if uplink.is_some() && uplink == args.interface_of(Role::Lan) {
        let why = "the LAN and the uplink need an interface each";
        Args::command().error(ErrorKind::ArgumentConflict, why).exit();
    }
    let wanted = std::env::var("FAROS_LOG").ok().and_then(|own| own.parse().ok());
    let filter: Targets = wanted.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let log = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(filter);
    match args.log_format {
        LogFormat::Text => registry.with(log.with_target(false)).init(),
        LogFormat::Json => registry.with(log.json()).init(),
    }
    // Nothing that is made here is for others to read, and no core file shows what is in memory.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "cannot switch core files off");
    }
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    // Two workers: the machine is small, and nothing here computes for long.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .thread_keep_alive(std::time::Duration::from_secs(5))
        .enable_all()
        .build()?;
    let options = daemon::Options {
        state_dir: args.state_dir.clone(),
        socket: args.socket.clone(),
        lan: args.interface_of(Role::Lan).map(str::to_owned),
        uplink: args.interface_of(Role::Uplink).map(str::to_owned),
        loaders: args.loaders.clone(),
        unseal_by: keeper::UnsealBy::new(
            faros_seal::Tpm::at(&args.tpm2_device),
            std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        ),
        clock: args.clock,
        system_bus: args.system_bus.clone(),
    };
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let told = stop.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "stopping"),
                    _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "stopping"),
                    // There is no file to read again: a site file comes by `farosctl apply`.
                    _ = hangup.recv() => {
                        tracing::info!(signal = "SIGHUP", "ignored");
                        continue;
                    }
                }
                told.cancel();
                return;
            }
        });
        daemon::Daemon::open(options)?.run(stop).await
    })
}
