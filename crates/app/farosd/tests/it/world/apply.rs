//! Site files that are applied, and what the daemon says of it.

use anyhow::{Context as _, bail};
use faros_client::Lines;
use faros_model::{
    api::{ApplyProgress, ApplyRequest, ConfirmRequest, Window},
    ids::Generation,
};

use super::World;

impl World {
    /// Applies a site file on top of what runs; all that the daemon says of it.
    pub(crate) async fn progress(&self, site_file: &str) -> anyhow::Result<Vec<ApplyProgress>> {
        let base = self.generation().await?;
        let mut lines = self.client().apply(&request(site_file, base)).await?;
        let mut said = vec![];
        while let Some(line) = lines.next().await? {
            said.push(line);
        }
        Ok(said)
    }

    /// Applies a site file, which must be accepted.
    pub(crate) async fn apply(&self, site_file: &str) -> anyhow::Result<Generation> {
        match self.progress(site_file).await?.pop() {
            Some(ApplyProgress::Accepted { generation } | ApplyProgress::Nothing { generation }) => {
                Ok(generation)
            }
            other => bail!("not accepted: {other:?}\n{}", self.log()),
        }
    }

    /// Applies a site file, which must fail; the message.
    pub(crate) async fn apply_fails(&self, site_file: &str) -> anyhow::Result<String> {
        match self.progress(site_file).await?.pop() {
            Some(ApplyProgress::Failed { failure }) => Ok(failure.message),
            other => bail!("it did not fail: {other:?}"),
        }
    }

    /// Applies a site file on trial; the rest of what the daemon says of it.
    pub(crate) async fn on_trial(
        &self,
        site_file: &str,
        window: Window,
    ) -> anyhow::Result<Lines<ApplyProgress>> {
        let wanted = ApplyRequest {
            window,
            ..request(site_file, self.generation().await?)
        };
        let mut lines = self.client().apply(&wanted).await?;
        loop {
            match lines.next().await?.context("it ended")? {
                ApplyProgress::Provisional { .. } => return Ok(lines),
                ApplyProgress::Started { .. } | ApplyProgress::Step { .. } => (),
                other => bail!("not on trial: {other:?}\n{}", self.log()),
            }
        }
    }
}

pub(crate) fn request(site_file: &str, base: Option<Generation>) -> ApplyRequest {
    ApplyRequest {
        site_file: site_file.to_owned(),
        base,
        by: "tester".to_owned(),
        rollback_of: None,
        window: Window::None,
        without_content: true,
    }
}

/// Whether what is on trial is kept.
pub(crate) fn keep(keep: bool) -> ConfirmRequest {
    ConfirmRequest {
        by: "tester".to_owned(),
        keep,
        generation: None,
    }
}
