//! A person's certificate for the cluster: the key is made here, and farosd signs.

use std::path::PathBuf;

use anyhow::Context as _;
use faros_client::Client;
use faros_model::api::{ClusterRole, Credentials, CredentialsRequest};
use faros_pki::Key;
use serde_json::json;

use super::kubeconfig::{self, Kubeconfig};
use crate::{
    args::Whose,
    outcome::{Done, Error, print, say},
    screens::age,
    site::who,
};

/// Which certificate is wanted.
pub(super) struct Wanted {
    role: ClusterRole,
    user: String,
    seconds: u32,
}

impl Wanted {
    pub(super) fn of(whose: Whose, seconds: u32) -> Self {
        Self {
            role: whose.role,
            user: whose.user.unwrap_or_else(own_name),
            seconds,
        }
    }
}

/// Who is at the keyboard, as a name in a certificate.
fn own_name() -> String {
    let fits = |c: char| {
        if c.is_ascii_alphanumeric() || "._-@+".contains(c) {
            c
        } else {
            '-'
        }
    };
    who().chars().map(fits).collect()
}

/// Gets one.
pub(super) async fn get(client: &Client, wanted: Wanted) -> Result<(Credentials, Key), Error> {
    let key = Key::make().context("there is no key")?;
    let request = CredentialsRequest {
        by: who(),
        request: key
            .request_pem(&wanted.user)
            .context("there is no certificate request")?,
        user: wanted.user,
        role: wanted.role,
        seconds: wanted.seconds,
    };
    Ok((client.credentials(&request).await?, key))
}

/// `cluster kubeconfig`.
pub(super) async fn show(client: &Client, wanted: Wanted) -> Result<Done, Error> {
    let (own, key) = get(client, wanted).await?;
    print(&Kubeconfig::new(&own, &key).await.text())
}

/// `cluster credentials`.
pub(super) async fn write(
    client: &Client,
    wanted: Wanted,
    out: Option<PathBuf>,
    merge: Option<PathBuf>,
    as_json: bool,
) -> Result<Done, Error> {
    let into = match &out {
        Some(path) => {
            if path.exists() {
                let why = format!("{} exists; `--merge` puts it into that", path.display());
                return Err(Error::Refused(why));
            }
            path.clone()
        }
        None => match merge {
            Some(path) => path,
            None => kubeconfig::default_path().context("there is no home folder; name a file with --out")?,
        },
    };
    // What cannot be merged with is known before anybody gets a certificate.
    let base = kubeconfig::read(&into)?;
    let (own, key) = get(client, wanted).await?;
    let config = Kubeconfig::new(&own, &key).await;
    let text = config
        .merged(base)
        .with_context(|| format!("cannot merge into {}", into.display()))?;
    kubeconfig::write(&into, &text)?;
    if as_json {
        let said = json!({
            "user": own.user, "role": own.role, "ends": own.ends, "cluster": own.cluster,
            "kubeconfig": into, "context": config.context(),
        });
        return print(&(said.to_string() + "\n"));
    }
    say(&format!(
        "{} has the role {} in {}, and it ends {}.",
        own.user,
        own.role,
        own.cluster,
        age(jiff::Timestamp::now(), own.ends)
    ));
    let name = into.display();
    say(&match out {
        Some(_) => format!("It is in {name}: `kubectl --kubeconfig {name} get nodes`"),
        None => format!(
            "It is in {name}, and in use there as the context {}.",
            config.context()
        ),
    });
    Ok(Done::Ok)
}
