//! `farosctl`: the operator's hand. Flags and exit codes; each group of commands has a module.

mod adopt;
mod apply;
mod args;
mod balancer;
mod cluster;
mod content;
mod image;
mod node;
mod outcome;
mod ports;
mod progress;
mod screens;
mod site;
mod story;
mod time;
mod unlock;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use faros_client::Client;

use crate::{
    args::{Args, Command, ContentCommand, ImageCommand, Output, PortsCommand},
    outcome::{Done, Error},
};

fn main() -> ExitCode {
    let args = Args::parse();
    if args.output.is_of_ports() && !matches!(args.command, Command::Ports { .. }) {
        let message = "only `farosctl ports` can print so; `--output` is text or json here\n";
        let error = Args::command().error(clap::error::ErrorKind::InvalidValue, message);
        // It is about to end, and there is no one else to tell.
        drop(error.print());
        return ExitCode::from(2);
    }
    let json = args.output == Output::Json;
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return outcome::report(&Error::Failed(error.into()), json),
    };
    let result = runtime.block_on(async {
        tokio::select! {
            result = run(args) => result,
            _ = tokio::signal::ctrl_c() => Err(Error::Interrupted),
        }
    });
    match result {
        Ok(done) => ExitCode::from(done.code()),
        Err(error) => outcome::report(&error, json),
    }
}

async fn run(args: Args) -> Result<Done, Error> {
    let client = Client::new(&args.socket);
    let json = args.output == Output::Json;
    match args.command {
        Command::Check { file } => site::check(&file, json),
        Command::Plan {
            file,
            exit_code,
            without_content,
        } => site::plan(&client, &file, exit_code, without_content, json).await,
        Command::Apply { file, how } => apply::apply(&client, &file, how, json).await,
        Command::Confirm { generation, revert } => apply::confirm(&client, generation, !revert, json).await,
        Command::History => site::history(&client, json).await,
        Command::Show { generation, file } => site::show(&client, generation, file, json).await,
        Command::Rollback { generation, how } => apply::rollback(&client, generation, how, json).await,
        Command::Status => screens::show(json, &client.status().await?, screens::status),
        Command::Nodes => screens::show(json, &client.nodes().await?, |nodes| screens::nodes(nodes)),
        Command::Leases => screens::show(json, &client.leases().await?, |rows| screens::leases(rows)),
        Command::Discovered => screens::show(json, &client.discovered().await?, |rows| {
            screens::discovered(rows)
        }),
        Command::Watch { node, after } => watch::watch(&client, node, after, json).await,
        Command::Events { node, after, limit } => watch::events(&client, node, after, limit, json).await,
        Command::Timeline {
            node,
            session,
            sessions,
            last,
            svg,
            follow,
        } => match (node, sessions, follow) {
            (Some(node), true, _) => story::sessions(&client, &node, json).await,
            (node, _, true) => story::follow(&client, node.as_ref(), json).await,
            (node, ..) => {
                let wanted = story::Wanted { node, session, last };
                story::timeline(&client, &wanted, svg.as_deref(), json).await
            }
        },
        Command::Why { node } => story::why(&client, &node, json).await,
        Command::Content { command } => match command {
            ContentCommand::Add {
                path,
                name,
                oci: true,
                platform,
            } => content::archive::add(&client, &path, name.as_deref(), platform, json).await,
            ContentCommand::Add { path, name, .. } => {
                content::add(&client, &path, name.as_deref(), json).await
            }
            ContentCommand::Build { what } => content::release::build(&client, what, json).await,
            ContentCommand::List => {
                screens::show(json, &client.contents().await?, |rows| screens::contents(rows))
            }
            ContentCommand::Verify => content::verify(&client, json).await,
        },
        Command::Image {
            command: ImageCommand::Build { kernel, out, mirror },
        } => image::build(&client, kernel, out, mirror, json).await,
        Command::Install { node, yes } => site::install(&client, &node, yes).await,
        Command::Disarm { node } => site::disarm(&client, &node).await,
        Command::Time => screens::show(json, &client.time().await?, time::screen),
        Command::Balancer { history, command } => balancer::balancer(&client, history, command, json).await,
        Command::Node { command } => node::node(&client, command, json).await,
        Command::Cluster { command } => cluster::cluster(&client, command, json).await,
        Command::Kubectl(wanted) => cluster::kubectl(&client, wanted).await,
        Command::Unlock { command } => unlock::unlock(&client, command, json).await,
        Command::Lockdown { lift, reason } => unlock::lockdown(&client, lift, &reason, json).await,
        Command::Adopt {
            mac,
            name,
            roles,
            install_disk,
            file,
        } => adopt::adopt(&client, mac, &name, &roles, install_disk.as_deref(), file).await,
        Command::Ports {
            command: Some(PortsCommand::Verify { file }),
            ..
        } => ports::verify(&client, file.as_deref(), args.output).await,
        Command::Ports {
            command: None,
            wanted,
        } => ports::show(&client, &wanted, args.output).await,
        Command::Render { program, file } => balancer::render(&client, file.as_deref(), program).await,
        Command::Schema => outcome::print(faros_site::SCHEMA),
        Command::Openapi => outcome::print(&pretty(&client.openapi().await?)?),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "farosctl", &mut script);
            outcome::print(&String::from_utf8_lossy(&script))
        }
    }
}

fn pretty(value: &serde_json::Value) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?;
    Ok(text + "\n")
}
