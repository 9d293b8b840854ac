//! The roots as text, for the sealed file and for backups.

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use faros_pki::{Authority, Key};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Roots;

const FORMAT: &str = "faros-authority";
const VERSION: u32 = 1;

/// The form on disk; keys in PEM, as PKCS#8.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stored {
    format: String,
    version: u32,
    site: Pair,
    kubernetes: Pair,
    etcd: Pair,
    front_proxy: Pair,
    service_accounts: Zeroizing<String>,
    /// Base64.
    secrets_key: Zeroizing<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    certificate: String,
    key: Zeroizing<String>,
}

impl Pair {
    fn of(root: &Authority) -> Self {
        Self {
            certificate: root.certificate_pem().to_owned(),
            key: root.key().secret_pem(),
        }
    }

    fn load(&self, name: &str) -> anyhow::Result<Authority> {
        Authority::load(&self.certificate, &self.key).with_context(|| format!("the root {name}"))
    }
}

pub(super) fn write(roots: &Roots) -> Zeroizing<String> {
    let stored = Stored {
        format: FORMAT.to_owned(),
        version: VERSION,
        site: Pair::of(&roots.site),
        kubernetes: Pair::of(&roots.kubernetes),
        etcd: Pair::of(&roots.etcd),
        front_proxy: Pair::of(&roots.front_proxy),
        service_accounts: roots.service_accounts.secret_pem(),
        secrets_key: Zeroizing::new(STANDARD.encode(*roots.secrets_key)),
    };
    // Large enough that it is never moved, which would leave a copy behind.
    let mut text = Zeroizing::new(Vec::with_capacity(16 * 1024));
    serde_json::to_writer(&mut *text, &stored).expect("text is written to memory");
    let text = String::from_utf8(std::mem::take(&mut *text)).expect("JSON is text");
    Zeroizing::new(text)
}

pub(super) fn read(text: &str) -> anyhow::Result<Roots> {
    let stored: Stored = serde_json::from_str(text).context("they are not in the form of this version")?;
    is_readable((&stored.format, stored.version), (FORMAT, VERSION))?;
    let mut secrets_key = Zeroizing::new([0; 32]);
    let length = STANDARD
        .decode_slice(stored.secrets_key.as_bytes(), &mut *secrets_key)
        .context("the key of Secrets")?;
    ensure!(length == 32, "the key of Secrets has {length} bytes");
    Ok(Roots {
        site: stored.site.load("of the site")?,
        kubernetes: stored.kubernetes.load("of Kubernetes")?,
        etcd: stored.etcd.load("of etcd")?,
        front_proxy: stored.front_proxy.load("of the front proxy")?,
        service_accounts: Key::from_pem(&stored.service_accounts).context("the key of service accounts")?,
        secrets_key,
    })
}

/// Whether this version reads what is in that form and version.
pub(super) fn is_readable(found: (&str, u32), ours: (&str, u32)) -> anyhow::Result<()> {
    ensure!(
        found == ours,
        "the form is {} {}, and this version reads {} {}",
        found.0,
        found.1,
        ours.0,
        ours.1
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn roots_come_back_as_they_were() {
        let roots = Roots::make("harbour-7.edge.example.com", Timestamp::UNIX_EPOCH).unwrap();
        let text = write(&roots);
        let again = read(&text).unwrap();
        assert_eq!(*write(&again), *text);
        assert_eq!(again.kubernetes.fingerprint(), roots.kubernetes.fingerprint());
        assert!(!format!("{roots:?}").contains("PRIVATE"));
    }

    #[test]
    fn what_is_no_authority_is_refused_with_the_reason() {
        let roots = Roots::make("a.example.com", Timestamp::UNIX_EPOCH).unwrap();
        let text = write(&roots);
        let refused = |text: &str| format!("{:#}", read(text).unwrap_err());
        assert!(refused("{}").contains("form of this version"));
        assert!(refused(&text.replace("\"version\":1", "\"version\":2")).contains("faros-authority 2"));
        assert!(refused(&text.replace("\"secretsKey\":\"", "\"secretsKey\":\"!")).contains("key of Secrets"));
        let mut stored: serde_json::Value = serde_json::from_str(&text).unwrap();
        stored["etcd"]["key"] = stored["kubernetes"]["key"].clone();
        assert!(refused(&stored.to_string()).contains("the root of etcd"));
    }
}
