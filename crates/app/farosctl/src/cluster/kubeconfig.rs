//! What kubectl reads: made from credentials, and merged with what is there.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use faros_model::api::Credentials;
use faros_pki::Key;
use serde_json::{Map, Value, json};

use super::yaml;

/// No kubeconfig that people have is longer.
const MAX: u64 = 4 << 20;

/// One cluster, one user, one context.
pub(super) struct Kubeconfig(Value);

impl Kubeconfig {
    /// The API goes by its name. Where this machine does not know the name, it goes by the address, and its
    /// certificate is held against the name all the same.
    pub(super) async fn new(own: &Credentials, key: &Key) -> Self {
        let is_known = tokio::net::lookup_host((own.server.as_str(), own.port))
            .await
            .is_ok_and(|mut found| found.any(|at| at.ip() == own.address));
        let mut cluster = json!({ "certificate-authority-data": STANDARD.encode(&own.authority) });
        if is_known {
            cluster["server"] = format!("https://{}:{}", own.server, own.port).into();
        } else {
            cluster["server"] = format!("https://{}:{}", own.address, own.port).into();
            cluster["tls-server-name"] = own.server.clone().into();
        }
        let user = format!("{}@{}", own.user, own.cluster);
        let context = format!("{}@{}", own.role, own.cluster);
        Self(json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": own.cluster, "cluster": cluster }],
            "users": [{ "name": user, "user": {
                "client-certificate-data": STANDARD.encode(&own.certificate),
                "client-key-data": STANDARD.encode(key.secret_pem().as_bytes()),
            } }],
            "contexts": [{ "name": context, "context": { "cluster": own.cluster, "user": user } }],
            "current-context": context,
        }))
    }

    /// The name of its context.
    pub(super) fn context(&self) -> &str {
        self.0["current-context"].as_str().unwrap_or_default()
    }

    pub(super) fn text(&self) -> String {
        yaml::write(&self.0)
    }

    /// The same, together with what there is already. What has the same name is replaced, all else stays.
    pub(super) fn merged(&self, base: Option<Value>) -> anyhow::Result<String> {
        let Some(mut base) = base else {
            return Ok(self.text());
        };
        let Some(whole) = base.as_object_mut() else {
            bail!("it is no kubeconfig");
        };
        for list in ["clusters", "users", "contexts"] {
            merge(whole, list, &self.0[list]).with_context(|| format!("`{list}`"))?;
        }
        for key in ["apiVersion", "kind", "current-context"] {
            whole.insert(key.to_owned(), self.0[key].clone());
        }
        Ok(yaml::write(&base))
    }
}

fn merge(whole: &mut Map<String, Value>, list: &str, own: &Value) -> anyhow::Result<()> {
    let entry = whole.entry(list).or_insert(Value::Null);
    if entry.is_null() {
        *entry = json!([]);
    }
    let entries = entry.as_array_mut().context("it is no list")?;
    for new in own.as_array().into_iter().flatten() {
        entries.retain(|old| old["name"] != new["name"]);
        entries.push(new.clone());
    }
    Ok(())
}

/// Where kubectl looks.
pub(super) fn default_path() -> Option<PathBuf> {
    let named = std::env::var_os("KUBECONFIG");
    let named = named
        .iter()
        .flat_map(std::env::split_paths)
        .find(|path| !path.as_os_str().is_empty());
    named.or_else(|| Some(std::env::home_dir()?.join(".kube/config")))
}

/// What is in a kubeconfig; `None` if there is none.
pub(super) fn read(path: &Path) -> anyhow::Result<Option<Value>> {
    let cannot = || format!("cannot read {}", path.display());
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(cannot),
        Ok(found) if found.len() > MAX => bail!("{} is too large for a kubeconfig", path.display()),
        Ok(_) => {}
    }
    let text = fs::read_to_string(path).with_context(cannot)?;
    let value = yaml::read(&text).with_context(|| format!("{} is not understood", path.display()))?;
    Ok(Some(value).filter(|value| !value.is_null()))
}

/// Writes it, for its owner alone: beside it and renamed, so that a crash leaves one of the two.
pub(super) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    // A link stays one.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).with_context(cannot)?;
    }
    let mut beside = path.clone().into_os_string();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .with_context(cannot)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let renamed = written.and_then(|()| fs::rename(&beside, &path));
    if renamed.is_err() {
        drop(fs::remove_file(&beside));
    }
    renamed.with_context(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Kubeconfig {
        Kubeconfig(json!({
            "apiVersion": "v1", "kind": "Config",
            "clusters": [{ "name": "quay", "cluster": { "server": "https://new:6443" } }],
            "users": [{ "name": "faros:ada@quay", "user": {} }],
            "contexts": [{ "name": "view@quay", "context": { "cluster": "quay", "user": "faros:ada@quay" } }],
            "current-context": "view@quay",
        }))
    }

    #[test]
    fn what_other_people_put_there_stays() -> anyhow::Result<()> {
        let base = yaml::read(
            "# mine\napiVersion: v1\nkind: Config\npreferences: {}\nclusters:\n- cluster: {server: \"https://old:6443\"}\n  name: quay\n\
             - cluster:\n    insecure-skip-tls-verify: true\n    server: https://other:6443\n  name: other\n\
             users: null\ncontexts: []\ncurrent-context: other\n",
        )?;
        let merged = yaml::read(&own().merged(Some(base))?)?;
        assert_eq!(merged["clusters"][0]["name"], "other");
        assert_eq!(merged["clusters"][0]["cluster"]["insecure-skip-tls-verify"], true);
        assert_eq!(merged["clusters"][1]["cluster"]["server"], "https://new:6443");
        assert_eq!(merged["clusters"].as_array().map(Vec::len), Some(2));
        assert_eq!(merged["users"][0]["name"], "faros:ada@quay");
        assert_eq!(merged["current-context"], "view@quay");
        assert_eq!(merged["preferences"], json!({}));
        Ok(())
    }

    #[test]
    fn what_is_no_kubeconfig_is_left_alone() {
        for base in [json!([]), json!("text"), json!({ "clusters": {} })] {
            assert!(own().merged(Some(base.clone())).is_err(), "{base}");
        }
    }

    #[test]
    fn only_its_owner_can_read_it() -> anyhow::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir()?;
        let path = folder.path().join("new/config");
        assert!(read(&path)?.is_none());
        write(&path, "a: b\n")?;
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path)?, Some(json!({ "a": "b" })));
        assert_eq!(fs::read_dir(folder.path().join("new"))?.count(), 1);
        Ok(())
    }
}
