//! What a backup of the bastion's keys holds, and how the roots in it come back into use.

use anyhow::Context as _;
use faros_cluster::Record;
use faros_model::{event::EventKind, ids::Digest, plan::Service};
use faros_tang::KeyRing;
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::Zeroizing;

use super::{Roots, stored};
use crate::{daemon::Shared, keeper::Kept as _, unlock::UnlockError};

const FORMAT: &str = "faros-backup";
const VERSION: u32 = 1;

/// The whole, as it is encrypted.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stored {
    format: String,
    version: u32,
    /// The unlock keys, as their own text.
    unlock: Zeroizing<String>,
    /// The cluster's roots, as their own text.
    authority: Option<Zeroizing<String>>,
    /// What is remembered of the cluster.
    cluster: Option<Record>,
}

/// A backup that was read.
pub(crate) struct Backup {
    pub(crate) unlock: KeyRing,
    pub(crate) roots: Option<Roots>,
    pub(crate) cluster: Option<Record>,
}

impl Backup {
    /// Reads the text of a backup; of an earlier version too, which had the unlock keys alone.
    pub(crate) fn read(text: &str) -> anyhow::Result<Self> {
        if !text.contains(FORMAT) {
            return Ok(Self {
                unlock: KeyRing::from_secret_json(text)?,
                roots: None,
                cluster: None,
            });
        }
        let stored: Stored = serde_json::from_str(text).context("it is not in the form of this version")?;
        stored::is_readable((&stored.format, stored.version), (FORMAT, VERSION))?;
        let roots = stored.authority.map(|text| stored::read(&text)).transpose();
        Ok(Self {
            unlock: KeyRing::from_secret_json(&stored.unlock)?,
            roots: roots.context("the cluster's root keys in it")?,
            cluster: stored.cluster,
        })
    }
}

impl Shared {
    /// The text of a backup, and whether the cluster's roots are in it.
    pub(crate) async fn backup(&self) -> Result<(Zeroizing<String>, bool), UnlockError> {
        let unlock = self.unlock.secret().ok_or(UnlockError::Sealed)?;
        let roots = self.authority.held();
        let has_cluster = self
            .intent()
            .is_some_and(|intent| intent.site.runs(Service::Registry));
        if has_cluster && roots.is_none() {
            return Err(UnlockError::RootsSealed);
        }
        let record = self.cluster.deciding.lock().await.clone();
        let stored = Stored {
            format: FORMAT.to_owned(),
            version: VERSION,
            unlock,
            authority: roots.as_ref().map(|roots| roots.to_secret()),
            cluster: roots.as_ref().map(|_| Record {
                // Tokens do not outlive the bastion that gave them.
                grants: Vec::new(),
                ..record
            }),
        };
        // Large enough that it is never moved, which would leave a copy behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(256 * 1024));
        serde_json::to_writer(&mut *bytes, &stored).context("the backup cannot be written")?;
        let text = String::from_utf8(std::mem::take(&mut *bytes)).context("the backup is no text")?;
        Ok((Zeroizing::new(text), roots.is_some()))
    }

    /// Whether the roots of a backup may take the place of what is here.
    ///
    /// # Errors
    /// Nodes have been given others.
    pub(crate) async fn may_take_roots(&self, roots: &Roots) -> Result<(), UnlockError> {
        let record = self.cluster.deciding.lock().await;
        let is_other = self.authority.held().is_some_and(|held| !is_same(&held, roots));
        if is_other && !record.attempts.is_empty() {
            return Err(UnlockError::OtherCluster);
        }
        Ok(())
    }

    /// Takes the roots of a backup into use, and what is remembered of their cluster; the fingerprint of the site's
    /// root, if they are others than before. May be cut off, and asked for again.
    pub(crate) async fn restore_roots(
        &self,
        roots: Roots,
        cluster: Option<Record>,
        by: &str,
    ) -> Result<Option<Digest>, UnlockError> {
        let intent = self.intent().ok_or(UnlockError::NoSite)?;
        self.may_take_roots(&roots).await?;
        let mut record = self.cluster.deciding.lock().await;
        let is_new = self.authority.held().is_none_or(|held| !is_same(&held, &roots));
        let (fingerprint, ends) = (roots.site.fingerprint(), roots.site.ends());
        if is_new {
            let _changing = self.authority.change().ok_or(UnlockError::Busy)?;
            self.authority
                .put(roots, intent.site.unlock.seal_keys_with)
                .await?;
        }
        if let Some(cluster) = cluster.filter(|_| record.attempts.is_empty()) {
            self.put_record(&mut record, cluster).await?;
        }
        if !is_new {
            return Ok(None);
        }
        let detail = json!({
            "cluster": intent.site.zone(), "fingerprint": fingerprint, "ends": ends, "by": by,
        });
        self.tell(EventKind::AuthorityMade, detail);
        Ok(Some(fingerprint))
    }
}

/// Of two sets of keys that open the same, the site's root is the same.
fn is_same(a: &Roots, b: &Roots) -> bool {
    a.site.fingerprint() == b.site.fingerprint() && a.kubernetes.fingerprint() == b.kubernetes.fingerprint()
}
