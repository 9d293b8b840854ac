//! What an armed node is given: its boot script with a pass in it, and its Ignition config for that pass.

use std::net::Ipv4Addr;

use anyhow::Context as _;
use faros_boot::{Asks, NoPass, Pass, admit};
use faros_cluster::Bond;
use faros_model::{
    event::EventKind,
    ids::{HostName, Nonce},
    plan::Service,
    site::Node,
};
use faros_net::pages::Page;
use faros_render::{Install, Joining};
use serde_json::json;

use super::{Bastion, reading};
use crate::{cluster::release, daemon::Intent};

impl Bastion {
    /// The script that installs an armed node, with a pass for its config; or why there is none.
    pub(super) async fn install_script(
        &self,
        intent: &Intent,
        node: &Node,
        from: Ipv4Addr,
    ) -> Result<String, String> {
        let shared = &self.0;
        // Another machine may have the node's name in it, and it may be taken back.
        if let Some(why) = shared.unsettled() {
            return Err(why);
        }
        if from != node.address {
            return Err(format!("this machine has not the address of {}", node.name));
        }
        if let Some(why) = shared.why_closed(&node.name) {
            return Err(why);
        }
        let image = match shared.store.image(&node.image).await {
            Ok(Some(image)) => image,
            Ok(None) => return Err(format!("the image {} is not in the content store", node.image)),
            Err(error) => {
                let why = format!("the image {} cannot be used", node.image);
                tracing::error!(node = %node.name, "{:#}", anyhow::Error::new(error).context(why.clone()));
                return Err(why);
            }
        };
        faros_render::installable(&intent.site, node, &image)?;
        if shared.unlock.thumbprint().is_none() && node.encryption.threshold > 0 {
            return Err("the unlock keys of the bastion are not open yet".to_owned());
        }
        // A machine of a cluster is not installed without what makes it one.
        shared.ready_to_join(&intent.site, node).await?;
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(|error| format!("there is no randomness: {error}"))?;
        let nonce = Nonce::of(bits);
        let pass = Pass::issue(node.name.clone(), &nonce, self.0.sightings.now());
        // A pass that is just being used must not take the place of this one.
        let _one = shared.passing.lock().await;
        if let Err(error) = shared.store.put_pass(pass).await {
            tracing::error!(node = %node.name, "{:#}", anyhow::Error::new(error));
            return Err("the bastion cannot write to its disk".to_owned());
        }
        Ok(faros_render::install_script(&intent.site, node, &image, &nonce))
    }

    pub(super) async fn ignition(&self, from: Ipv4Addr, name: &HostName, nonce: &Nonce) -> Page {
        let Some(intent) = self.0.serves(Service::Ignition) else {
            return Page::Status(503);
        };
        // Ignition asks again.
        if self.0.unsettled().is_some() {
            return Page::Status(503);
        }
        let node = intent.site.nodes.get(name);
        let given = match node {
            None => Err(Refused::NoPass(NoPass::UnknownNode)),
            Some(node) => self.config(&intent, node, from, nonce).await,
        };
        match given {
            Ok(text) => {
                let detail = json!({ "node": name, "bytes": text.len() });
                self.0.saw(
                    from,
                    node.map(|node| node.boot_mac),
                    EventKind::IgnitionServed,
                    detail,
                );
                Page::Text {
                    content_type: "application/vnd.coreos.ignition+json",
                    text,
                }
            }
            Err(Refused::NoPass(why)) => {
                if why.is_alarming() {
                    tracing::warn!(node = %name, %from, "an Ignition config was refused: {}", why.message());
                }
                let detail = json!({ "node": name, "address": from, "reason": why.as_str(), "message": why.message() });
                // Whoever asks need not be the node: it is told of the node by name, and of the machine by address.
                self.0.saw(from, None, EventKind::IgnitionRefused, detail);
                // What is not for the client does not exist for it.
                Page::Status(404)
            }
            Err(Refused::Failed(error)) => {
                tracing::error!(node = %name, "{error:#}");
                Page::Status(503)
            }
        }
    }

    /// The config of a node, for the boot that has the nonce, once: it is marked as given before it is.
    async fn config(
        &self,
        intent: &Intent,
        node: &Node,
        from: Ipv4Addr,
        nonce: &Nonce,
    ) -> Result<String, Refused> {
        let shared = &self.0;
        // Two requests at once must not both find the pass unused.
        let _one = shared.passing.lock().await;
        let now = shared.sightings.now();
        let name = node.name.clone();
        let pass = reading(shared, move |store| store.pass(&name)).await?;
        let asks = Asks {
            caller: shared.caller(node, from),
            is_armed: shared.is_armed(&node.name),
            nonce,
            now,
        };
        let mut used = admit(&asks, pass).map_err(Refused::NoPass)?;
        let image = shared
            .store
            .image(&node.image)
            .await
            .map_err(anyhow::Error::new)?;
        let image = image.with_context(|| format!("the image {} is gone", node.image))?;
        let thumbprint = shared
            .unlock
            .thumbprint()
            .map(|thumbprint| thumbprint.to_string());
        let thumbprint = match &thumbprint {
            Some(thumbprint) => thumbprint.as_str(),
            None if node.encryption.threshold == 0 => "",
            None => return Err(anyhow::anyhow!("the unlock keys are not open").into()),
        };
        let ready = shared
            .ready_to_join(&intent.site, node)
            .await
            .map_err(|why| anyhow::anyhow!(why))?;
        let (secret, digest) = release::secret()?;
        used.join = ready.is_some().then_some(digest);
        shared.cluster_forgets(&node.name).await?;
        shared.store.put_pass(used).await.map_err(anyhow::Error::new)?;
        let joining = ready.as_ref().map(|ready| Joining {
            release: &ready.release,
            bond: Bond {
                site_ca: &ready.site_ca,
                secret: &secret,
            },
        });
        let install = Install {
            image: &image,
            thumbprint,
            joining,
        };
        Ok(faros_render::ignition(&intent.site, node, &install))
    }
}

/// Why a config was not given.
enum Refused {
    /// To this machine, now.
    NoPass(NoPass),
    /// To nobody: something is wrong here.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}
