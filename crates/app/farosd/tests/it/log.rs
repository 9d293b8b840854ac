//! The log as other programs read it.

use serde_json::Value;

use crate::world::{Outcome, SITE, World};

#[tokio::test]
async fn each_line_of_the_log_is_an_object_if_it_is_to_be() -> Outcome {
    let mut world = World::new()?;
    let mut command = world.farosd();
    command.args(["--log-format", "json"]);
    world.start_as(command).await?;
    world.apply(SITE).await?;
    world.stop().await?;
    let log = world.log();
    let lines: Vec<Value> = log.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    for line in &lines {
        let has = |key: &str| line[key].is_string();
        anyhow::ensure!(
            has("timestamp") && has("level") && has("target") && line["fields"]["message"].is_string(),
            "{line}"
        );
    }
    let says = |message: &str, key: &str, value: Value| {
        let mut own = lines.iter().map(|line| &line["fields"]);
        own.any(|fields| fields["message"] == message && fields[key] == value)
    };
    anyhow::ensure!(says("accepted", "generation", 1.into()), "{log}");
    anyhow::ensure!(says("stopping", "signal", "SIGTERM".into()), "{log}");
    Ok(())
}
