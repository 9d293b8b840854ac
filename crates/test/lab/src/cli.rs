//! The command line of the lab.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use faros_lab::{
    Lab, daemon,
    folder::Folder,
    image::Kernel,
    lab::{Cable, lab_name},
    wire,
};

/// A whole Faros site on this machine: namespaces, farosd, and machines that network-boot.
///
/// Needs root. Everything it makes has the lab's name, and goes with `down`.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  faros-lab up examples/demo.yaml
  faros-lab exec client:one -- dhclient -d -1 eth0
  faros-lab machine node-1 start --firmware uefi
  faros-lab machine node-1 wait provisioning
  faros-lab farosctl nodes
  faros-lab link client:one --loss 10% --delay 50ms
  faros-lab link uplink --down
  faros-lab down"
)]
struct Args {
    /// Name of the lab; several live side by side. Without it, `lab`, and `demo` for the demo.
    #[arg(long, global = true, value_parser = lab_name)]
    name: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring a lab up: ready when this returns.
    Up {
        /// The site file.
        site: PathBuf,
    },
    /// Run a command on a host: bastion, uplink, client:NAME or client:NAME=MAC.
    Exec {
        /// The host; a client is made on first use, its `eth0` up and without an address.
        host: String,
        /// The command.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Machines that network-boot.
    Machine(machine::Args),
    /// Nodes without a machine: what an installed one runs, in namespaces, at full speed.
    Native {
        /// The node.
        node: String,
        #[command(subcommand)]
        action: NativeAction,
    },
    /// Change the cable of a host or a node; what is not said stays as it is.
    Link {
        /// The host, or the node. The uplink's is the cable between it and the bastion.
        host: String,
        /// Part of the frames to lose in each direction, such as `10%`.
        #[arg(long, value_parser = percent)]
        loss: Option<f64>,
        /// How much later each frame arrives, such as `50ms`.
        #[arg(long, value_parser = duration)]
        delay: Option<Duration>,
        /// Largest packet in bytes.
        #[arg(long)]
        mtu: Option<u16>,
        /// Pull the cable.
        #[arg(long, conflicts_with = "up")]
        down: bool,
        /// Plug the cable in again.
        #[arg(long)]
        up: bool,
    },
    /// What there is to know about the lab.
    Status {
        /// How it is printed.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Stop, kill or start the lab's farosd.
    Farosd {
        /// What to do with it.
        #[arg(value_enum)]
        action: FarosdAction,
    },
    /// Run farosctl against the lab.
    #[command(disable_help_flag = true)]
    Farosctl {
        /// Its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// End the lab and remove all it made.
    Down,
    /// List the labs of this machine.
    List,
    /// Carry frames between two interfaces (used by `link`).
    #[command(hide = true)]
    Wire {
        a: String,
        b: String,
        #[arg(long, default_value_t = 0.0)]
        loss: f64,
        #[arg(long, default_value_t = 0)]
        delay_us: u64,
    },
    /// Build the node image that machines boot, unless it is there, and print its folder.
    Image,
    /// The demo: machines network-boot from one site file, and you watch.
    Demo(faros_lab::demo::Options),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum NativeAction {
    /// Power it on: it network-boots, installs itself if it is armed, and starts from its disk.
    Start,
    /// Pull the plug.
    Cut,
    /// Run a command on it.
    Exec {
        /// The command.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Show what a unit said, or `console`.
    Log {
        /// The unit, such as `faros-join.service`.
        #[arg(default_value = "console")]
        unit: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FarosdAction {
    Stop,
    Kill,
    Start,
    Restart,
}

mod machine {
    use clap::builder::{PossibleValuesParser, TypedValueParser as _};
    use faros_lab::machine::{Boot, Disk, Firmware};
    use faros_model::{event::Phase, ids::MacAddr};

    #[expect(clippy::needless_pass_by_value, reason = "clap's own shape of it")]
    fn phase(word: String) -> Result<Phase, &'static str> {
        let phase = Phase::ALL.into_iter().find(|own| own.as_str() == word);
        phase.ok_or("no phase of a node")
    }

    /// A machine of the lab.
    #[derive(Debug, clap::Args)]
    pub(super) struct Args {
        /// The node whose machine it is.
        pub(super) node: String,
        #[command(subcommand)]
        pub(super) action: Action,
    }

    #[derive(Debug, clap::Subcommand)]
    pub(super) enum Action {
        /// Power it on.
        Start {
            #[command(flatten)]
            hardware: Hardware,
        },
        /// Press the power button, and pull the plug if that does not help.
        Stop,
        /// Pull the plug.
        Cut,
        /// Show what it said on its serial console.
        Log,
        /// Wait until the bastion has seen it in a phase since it was powered on, or in a later one.
        Wait {
            /// The phase.
            #[arg(value_parser = PossibleValuesParser::new(Phase::ALL.map(Phase::as_str)).try_map(phase))]
            phase: Phase,
            /// How long, in seconds.
            #[arg(long, default_value_t = 300)]
            timeout: u64,
        },
    }

    #[derive(Debug, Clone, clap::Args)]
    pub(super) struct Hardware {
        /// Its firmware.
        #[arg(long, value_enum, default_value_t = Firmware::Bios)]
        pub(super) firmware: Firmware,
        /// What its firmware tries first.
        #[arg(long, value_enum, default_value_t = Boot::NetworkFirst)]
        pub(super) boot: Boot,
        /// Model of its network interface, as QEMU names it.
        #[arg(long, default_value = "virtio-net")]
        pub(super) nic: String,
        /// Memory in MiB.
        #[arg(long, default_value_t = 1024)]
        pub(super) memory: u32,
        /// Size of its disk in GiB.
        #[arg(long, default_value_t = 8)]
        pub(super) disk: u32,
        /// A further network interface on the same switch; may be repeated.
        #[arg(long = "more-nic", value_name = "MAC")]
        pub(super) more_nics: Vec<MacAddr>,
        /// A further disk, with its size in GiB; may be repeated.
        #[arg(long = "more-disk", value_name = "SERIAL=GIB")]
        pub(super) more_disks: Vec<Disk>,
        /// With a TPM 2.0.
        #[arg(long)]
        pub(super) tpm: bool,
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse::<f64>();
    let percent = number.map_err(|_| format!("`{text}` is no percentage, such as 10%"))?;
    if (0.0..=100.0).contains(&percent) {
        Ok(percent / 100.0)
    } else {
        Err("use 0% to 100%".to_owned())
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("`{text}` is no duration, such as 50ms"))?;
    match &text[digits.len()..] {
        "us" => Ok(Duration::from_micros(number)),
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        _ => Err(format!("`{text}` has no unit: us, ms or s")),
    }
}

#[expect(clippy::print_stderr, reason = "the last words of a program")]
pub(crate) fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("faros-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
fn run(args: Args) -> anyhow::Result<ExitCode> {
    let default = match args.command {
        Command::Demo(_) => faros_lab::demo::LAB,
        _ => "lab",
    };
    let name = args.name.as_deref().unwrap_or(default);
    match args.command {
        Command::Up { site } => {
            let lab = Lab::up(name, &site)?;
            let status = lab.status();
            eprintln!(
                "The lab {name} is up: the bastion has {}, its state is in {}.",
                status.bastion_address,
                status.state_dir.display()
            );
        }
        Command::Exec { host, command } => {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            let status = Lab::open(name)?
                .command(&host, &words)?
                .status()
                .context("cannot run the command")?;
            return Ok(exit_code(status));
        }
        Command::Machine(args) => return run_machine(&mut Lab::open(name)?, args),
        Command::Native { node, action } => return run_native(&mut Lab::open(name)?, &node, action),
        Command::Link {
            host,
            loss,
            delay,
            mtu,
            down,
            up,
        } => {
            let up = if down { Some(false) } else { up.then_some(true) };
            Lab::open(name)?.link(&host, Cable { loss, delay, mtu, up })?;
        }
        Command::Status { output } => {
            let status = Lab::open(name)?.status();
            match output {
                Output::Json => println!("{}", serde_json::to_string_pretty(&status)?),
                Output::Text => {
                    let pid = status
                        .farosd_pid
                        .map_or_else(|| "does not run".to_owned(), |pid| format!("process {pid}"));
                    println!(
                        "Lab      {}\nSite     {}\nState    {}\nSocket   {}\nfarosd   {pid}",
                        status.name,
                        status.site_file.display(),
                        status.state_dir.display(),
                        status.socket.display()
                    );
                    for (host, record) in status.hosts {
                        println!("Host     {host} in {} ({})", record.namespace, record.interface);
                    }
                }
            }
        }
        Command::Farosd { action } => {
            let lab = Lab::open(name)?;
            match action {
                FarosdAction::Stop => daemon::stop(lab.folder(), false)?,
                FarosdAction::Kill => daemon::stop(lab.folder(), true)?,
                FarosdAction::Start => drop(daemon::start(name, lab.folder())?),
                FarosdAction::Restart => {
                    daemon::stop(lab.folder(), false)?;
                    daemon::start(name, lab.folder())?;
                }
            }
        }
        Command::Farosctl { args } => {
            let status = Lab::open(name)?
                .farosctl_command()?
                .args(args)
                .status()
                .context("cannot run farosctl")?;
            return Ok(exit_code(status));
        }
        Command::Down => Lab::down(name)?,
        Command::List => Folder::all().iter().for_each(|lab| println!("{lab}")),
        Command::Wire { a, b, loss, delay_us } => {
            wire::carry(
                &a,
                &b,
                wire::Quality {
                    loss,
                    delay: Duration::from_micros(delay_us),
                },
                7,
            )?;
        }
        Command::Image => {
            let folder = faros_lab::image::provide(Kernel::Cloud, &mut |step| eprintln!("{step}"))?;
            println!("{}", folder.display());
        }
        Command::Demo(options) => return faros_lab::demo::run(name, &options),
    }
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
fn run_machine(lab: &mut Lab, args: machine::Args) -> anyhow::Result<ExitCode> {
    let node = args.node.as_str();
    match args.action {
        machine::Action::Start { hardware } => {
            let hardware = faros_lab::machine::Hardware {
                firmware: hardware.firmware,
                boot: hardware.boot,
                nic: hardware.nic,
                memory_mib: hardware.memory,
                disk_gib: hardware.disk,
                more_nics: hardware.more_nics,
                more_disks: hardware.more_disks,
                tpm: hardware.tpm,
            };
            lab.start_machine(node, &hardware, &mut |text| eprintln!("{text}"))?;
        }
        machine::Action::Stop => lab.machine(node).stop()?,
        machine::Action::Cut => lab.machine(node).cut()?,
        machine::Action::Log => print!("{}", lab.machine(node).log()?),
        machine::Action::Wait { phase, timeout } => {
            lab.wait_for_phase(node, phase, Duration::from_secs(timeout))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
fn run_native(lab: &mut Lab, node: &str, action: NativeAction) -> anyhow::Result<ExitCode> {
    match action {
        NativeAction::Start => lab.start_native(node, &mut |text| eprintln!("{text}"))?,
        NativeAction::Cut => lab.native(node).cut()?,
        NativeAction::Exec { command } => {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            let status = lab.native(node).command(&words)?.status();
            return Ok(exit_code(status.context("cannot run the command")?));
        }
        NativeAction::Log { unit } => print!("{}", lab.native(node).log(&unit)),
    }
    Ok(ExitCode::SUCCESS)
}

/// The exit code of a command that was run for the caller; 128 and its number for a signal, as shells do.
fn exit_code(status: std::process::ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
