//! Three real members of etcd, with certificates as kubeadm makes them: what the bastion asks of them.

use std::{
    fs,
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddrV4},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use faros_cluster::etcd::{Member, has_majority, may_go};
use faros_kube::Etcd;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// A member that runs until it is let go.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn openssl(folder: &Path, words: &str) -> io::Result<()> {
    let made = Command::new("openssl")
        .args(words.split_whitespace())
        .current_dir(folder)
        .output()?;
    if made.status.success() {
        return Ok(());
    }
    io::stderr().write_all(&made.stderr)?;
    Err(io::Error::other(format!("openssl {words}")))
}

/// An authority, and one certificate for server and client both.
fn certificates(folder: &Path) -> io::Result<()> {
    const NEW: &str = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    openssl(
        folder,
        &format!("{NEW} -keyout ca.key -out ca.crt -subj /CN=etcd-ca"),
    )?;
    openssl(
        folder,
        &format!(
            "{NEW} -CA ca.crt -CAkey ca.key -keyout own.key -out own.crt -subj /CN=own -addext basicConstraints=CA:FALSE \
             -addext subjectAltName=IP:127.0.0.1 -addext extendedKeyUsage=serverAuth,clientAuth"
        ),
    )
}

/// Ports that nobody has just now.
fn ports(n_ports: usize) -> io::Result<Vec<u16>> {
    let free = (0..n_ports).map(|_| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let free = free.collect::<io::Result<Vec<_>>>()?;
    free.iter().map(|own| Ok(own.local_addr()?.port())).collect()
}

fn member(folder: &Path, name: &str, ports: (u16, u16), cluster: &str) -> io::Result<Running> {
    let (client, peer) = ports;
    let words = format!(
        "--name {name} --data-dir {name} --listen-client-urls https://127.0.0.1:{client} --advertise-client-urls \
         https://127.0.0.1:{client} --listen-peer-urls http://127.0.0.1:{peer} --initial-advertise-peer-urls \
         http://127.0.0.1:{peer} --initial-cluster {cluster} --client-cert-auth --trusted-ca-file ca.crt --cert-file \
         own.crt --key-file own.key"
    );
    let log = fs::File::create(folder.join(format!("{name}.log")))?;
    let child = Command::new("etcd")
        .args(words.split_whitespace())
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    Ok(Running(child))
}

fn client(folder: &Path, port: u16) -> Fallible<Etcd> {
    let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let certificate = |file: &str| CertificateDer::from_pem_file(folder.join(file));
    let key = PrivateKeyDer::from_pem_file(folder.join("own.key"))?;
    Ok(Etcd::new(
        at,
        certificate("ca.crt")?,
        certificate("own.crt")?,
        key,
    )?)
}

/// All members as `asked` lists them, and how each says it is.
async fn members(asked: &Etcd, all: &[Etcd]) -> Fallible<Vec<Member>> {
    let mut members = Vec::new();
    for listed in asked.members().await? {
        let mut ill = Some("it does not answer".to_owned());
        for own in all {
            if own.status().await.is_ok_and(|own| own.id == listed.id) {
                ill = own.health().await.err().map(|error| error.to_string());
            }
        }
        let answers = ill.is_none();
        members.push(Member { listed, ill, answers });
    }
    Ok(members)
}

async fn until<T, F: Future<Output = Fallible<Option<T>>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> Fallible<T> {
    for _ in 0..300 {
        if let Ok(Some(found)) = look().await {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Err(format!("{what} did not come to be").into())
}

#[tokio::test]
async fn a_dead_member_is_seen_and_taken_away_and_a_snapshot_is_whole() -> Fallible<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    certificates(folder)?;
    let free = ports(6)?;
    let names = ["a", "b", "c"];
    let pairs: Vec<(u16, u16)> = free.chunks(2).map(|own| (own[0], own[1])).collect();
    let cluster: Vec<String> = names
        .iter()
        .zip(&pairs)
        .map(|(name, (_, peer))| format!("{name}=http://127.0.0.1:{peer}"))
        .collect();
    let cluster = cluster.join(",");
    let mut running = Vec::new();
    for (name, ports) in names.iter().zip(&pairs) {
        running.push(member(folder, name, *ports, &cluster)?);
    }
    let clients = pairs
        .iter()
        .map(|(port, _)| client(folder, *port))
        .collect::<Fallible<Vec<_>>>()?;
    let [first, ..] = clients.as_slice() else {
        return Err("three members".into());
    };

    let all = until("a cluster of three", || async {
        let all = members(first, &clients).await?;
        Ok(Some(all).filter(|all| all.len() == 3 && all.iter().all(Member::is_well)))
    })
    .await?;
    assert!(first.status().await?.leader.is_some());

    let mut snapshot = first.snapshot().await?;
    let mut whole = Vec::new();
    while let Some(piece) = snapshot.piece().await? {
        whole.extend(piece);
    }
    let (data, hash) = whole.split_at(whole.len() - 32);
    assert_eq!(data.len() % 512, 0);
    assert_eq!(Sha256::digest(data).as_slice(), hash);

    let dead = running.pop().ok_or("a member")?;
    drop(dead);
    let after = until("a member that is dead", || async {
        let all = members(first, &clients).await?;
        Ok(Some(all).filter(|all| all.iter().filter(|own| own.is_well()).count() == 2))
    })
    .await?;
    assert!(has_majority(&after));
    for own in &after {
        // Only the dead one may go: two of the three have to stay.
        assert_eq!(may_go(&after, own.listed.id).is_ok(), !own.is_well(), "{own:?}");
    }
    let dead = after.iter().find(|own| !own.is_well()).ok_or("the dead one")?;
    assert_eq!(dead.listed.name, "c");
    first.remove(dead.listed.id).await?;
    assert_eq!(first.members().await?.len(), 2);
    first.remove(dead.listed.id).await?;

    // Without a majority, it still tells who belongs to it, and that it is not well.
    running.pop();
    let alone = until("a member alone", || async {
        let all = members(first, &clients).await?;
        Ok(Some(all).filter(|all| !all.is_empty() && !has_majority(all)))
    })
    .await?;
    assert_eq!(alone.len(), all.len() - 1);
    assert!(may_go(&alone, alone[0].listed.id).is_err());
    Ok(())
}
