//! Unlock keys at rest: with a passphrase that systemd asks for, and with a TPM 2.0 in software (swtpm).

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use faros_model::{api::ServiceState, plan::Service};

use crate::world::{Guarded, Outcome, PATIENCE, SITE, World, refusal, run, state_of};

const QUESTIONS: &str = "/run/systemd/ask-password";
const REPLY: &str = "/usr/lib/systemd/systemd-reply-password";
const ADVERTISEMENT: &str = "curl -sf -m 5 http://192.168.8.1:8082/adv";

/// The site, with keys sealed like this.
fn sealed_with(how: &str) -> String {
    SITE.replacen(
        "  nodes:",
        &format!("  unlock: {{policy: anyone, sealKeysWith: {how}}}\n  nodes:"),
        1,
    )
}

/// The question that this world's daemon has someone ask, and where its answer goes: systemd's "Password Agents".
fn question(world: &World) -> anyhow::Result<Option<(PathBuf, BTreeMap<String, String>)>> {
    let pid = world.pid()?;
    for entry in fs::read_dir(QUESTIONS).into_iter().flatten().flatten() {
        let path = entry.path();
        // It may be gone by now.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let fields = text.lines().filter_map(|line| line.split_once('='));
        let fields: BTreeMap<String, String> = fields.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let asks = fields.get("PID").cloned().unwrap_or_default();
        let parent = fs::read_to_string(format!("/proc/{asks}/status")).unwrap_or_default();
        let is_ours = parent
            .lines()
            .any(|line| line.strip_prefix("PPid:").map(str::trim) == Some(&pid.to_string()));
        if is_ours && fields.get("Id").map(String::as_str) == Some("faros-unlock") {
            return Ok(Some((path, fields)));
        }
    }
    Ok(None)
}

/// Answers what is asked, and returns the question's text.
async fn answer(world: &World, answer: &str) -> anyhow::Result<String> {
    let deadline = Instant::now() + PATIENCE;
    let (path, fields) = loop {
        if let Some(found) = question(world)? {
            break found;
        }
        ensure!(Instant::now() < deadline, "nothing is asked:\n{}", world.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let socket = fields.get("Socket").context("no socket")?;
    let mut reply = Command::new(REPLY)
        .args(["1", socket])
        .stdin(Stdio::piped())
        .spawn()?;
    let mut to = reply.stdin.take().context("no stdin")?;
    writeln!(to, "{answer}")?;
    drop(to);
    ensure!(reply.wait()?.success(), "the answer was not taken");
    while path.exists() {
        ensure!(Instant::now() < deadline, "the question stays");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(fields.get("Message").cloned().unwrap_or_default())
}

async fn is_taken_back(world: &World) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    while question(world)?.is_some() {
        ensure!(Instant::now() < deadline, "the question stays");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Waits until the keys are sealed like this.
async fn is_sealed_with(world: &World, how: &str) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = world.client().unlock().await;
        if status.as_ref().is_ok_and(|status| status.sealed_with == how) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{status:?}\n{}", world.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What is in the file of the keys, as text as far as it is.
fn at_rest(world: &World) -> anyhow::Result<String> {
    let bytes = fs::read(world.state_dir().join("unlock-keys.sealed"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn key(world: &World) -> anyhow::Result<String> {
    let status = world.client().unlock().await?;
    Ok(status.keys.first().context("no key")?.key.clone())
}

fn unlock_waits(status: &faros_model::api::Status) -> bool {
    status.services.iter().all(|own| match own.service {
        Service::Unlock | Service::Registry => {
            own.state == ServiceState::Waiting && own.reason.contains("passphrase")
        }
        _ => own.state == ServiceState::Ready,
    })
}

#[tokio::test]
async fn keys_are_sealed_with_a_passphrase_while_they_serve_and_opened_with_it() -> Outcome {
    let mut world = World::new()?;
    world.start().await?;
    world.apply(&sealed_with("nothing")).await?;
    world.all_are(ServiceState::Ready).await?;
    let own = key(&world).await?;
    assert!(at_rest(&world)?.contains("\"d\""));

    // Nobody has to be there for an apply, and until someone is, all goes on.
    world.apply(&sealed_with("passphrase")).await?;
    let says = |status: &faros_model::api::Status| {
        let (state, why) = state_of(status, Service::Unlock);
        state == ServiceState::Ready && why.contains("being sealed with passphrase")
    };
    world.until(says).await?;
    world.net.output(ADVERTISEMENT)?;
    assert_eq!(
        refusal(world.client().rotate_unlock_keys("tester").await)?,
        "busy",
        "an order does not wait for a person"
    );
    // Taken back, and asked for again.
    world.apply(&sealed_with("nothing")).await?;
    is_taken_back(&world).await?;
    world.apply(&sealed_with("passphrase")).await?;
    assert!(answer(&world, "open sesame").await?.starts_with("New passphrase"));
    answer(&world, "open sesame").await?;
    is_sealed_with(&world, "passphrase").await?;
    assert!(!at_rest(&world)?.contains("\"d\""));
    world
        .until(|status| state_of(status, Service::Unlock) == (ServiceState::Ready, ""))
        .await?;
    // A rotation does not ask again.
    world.client().rotate_unlock_keys("tester").await?;
    assert!(question(&world)?.is_none());
    let newer = key(&world).await?;
    assert_ne!(newer, own);

    world.kill().await?;
    world.start().await?;
    world.until(unlock_waits).await?;
    assert!(world.net.output(ADVERTISEMENT).is_err());
    assert_eq!(refusal(world.client().unlock().await)?, "conflict");
    // What needs no keys can be applied meanwhile.
    world
        .apply(&sealed_with("passphrase").replace("name: quay", "name: quay\n  labels: {region: north}"))
        .await?;
    world.client().lock_down("tester", "while the keys wait").await?;
    world.client().lift_lockdown("tester").await?;
    assert!(answer(&world, "open barley").await?.starts_with("Passphrase"));
    assert!(answer(&world, "open sesame").await?.starts_with("That was wrong"));
    world.all_are(ServiceState::Ready).await?;
    assert_eq!(key(&world).await?, newer);
    world.net.output(ADVERTISEMENT)?;

    // A daemon that ends takes its question along.
    world.stop().await?;
    world.start().await?;
    world.until(unlock_waits).await?;
    let deadline = Instant::now() + PATIENCE;
    let asked = loop {
        if let Some((path, _)) = question(&world)? {
            break path;
        }
        ensure!(Instant::now() < deadline, "nothing is asked");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(world.stop().await?.success());
    assert!(!asked.exists());
    Ok(())
}

#[tokio::test]
async fn a_site_whose_first_keys_wait_for_a_passphrase_is_accepted() -> Outcome {
    let mut world = World::new()?;
    world.start().await?;
    world.apply(&sealed_with("passphrase")).await?;
    world.until(unlock_waits).await?;
    assert!(!world.state_dir().join("unlock-keys.sealed").exists());
    for _ in 0..2 {
        assert!(answer(&world, "xyzzy").await?.starts_with("New passphrase"));
    }
    world.all_are(ServiceState::Ready).await?;
    is_sealed_with(&world, "passphrase").await?;

    // The credential of the unit answers when nobody is there.
    world.stop().await?;
    let credentials = world.dir.path().join("credentials");
    fs::create_dir(&credentials)?;
    fs::write(credentials.join("faros-passphrase"), "xyzzy\n")?;
    let mut command = world.farosd();
    command.env("CREDENTIALS_DIRECTORY", &credentials);
    world.start_as(command).await?;
    world.all_are(ServiceState::Ready).await?;
    assert!(question(&world)?.is_none());
    Ok(())
}

/// A TPM, plugged into nothing.
fn soft_tpm(folder: &Path) -> anyhow::Result<Guarded> {
    fs::create_dir(folder)?;
    let state = folder.display();
    run(Command::new("swtpm_setup")
        .args(["--tpm2", "--overwrite", "--pcr-banks", "sha256", "--tpmstate"])
        .arg(folder))?;
    let swtpm = Command::new("swtpm")
        .args(["socket", "--tpm2", "--flags", "startup-clear"])
        .args(["--tpmstate", &format!("dir={state}")])
        .args(["--server", &format!("type=unixio,path={state}/socket")])
        .args(["--ctrl", &format!("type=unixio,path={state}/socket.ctrl")])
        .stderr(Stdio::null())
        .spawn()?;
    let own = Guarded(swtpm);
    let deadline = Instant::now() + PATIENCE;
    while !folder.join("socket").exists() || !folder.join("socket.ctrl").exists() {
        ensure!(Instant::now() < deadline, "swtpm does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(own)
}

fn with_tpm(world: &World, folder: &Path) -> Command {
    let mut command = world.farosd();
    command.arg("--tpm2-device");
    command.arg(format!("swtpm:path={}", folder.join("socket").display()));
    command
}

#[tokio::test]
async fn keys_are_sealed_with_the_tpm_and_no_other_one_opens_them() -> Outcome {
    let mut world = World::new()?;
    let (mine, other) = (world.dir.path().join("tpm"), world.dir.path().join("tpm-2"));
    let (_mine, _other) = (soft_tpm(&mine)?, soft_tpm(&other)?);
    world.start_as(with_tpm(&world, &mine)).await?;
    world.apply(&sealed_with("tpm2")).await?;
    world.all_are(ServiceState::Ready).await?;
    is_sealed_with(&world, "tpm2").await?;
    assert!(!at_rest(&world)?.contains("\"d\""));
    let own = key(&world).await?;

    // What the kernel does behind `/dev/tpmrm0`.
    let free = |folder: &Path| -> Outcome {
        for what in ["--transient-object", "--loaded-session"] {
            let tcti = format!("swtpm:path={}", folder.join("socket").display());
            run(Command::new("tpm2_flushcontext")
                .arg(what)
                .env("TPM2TOOLS_TCTI", tcti))?;
        }
        Ok(())
    };
    free(&mine)?;
    world.kill().await?;
    world.start_as(with_tpm(&world, &mine)).await?;
    world.all_are(ServiceState::Ready).await?;
    assert_eq!(key(&world).await?, own);
    free(&mine)?;

    // The bastion's disk in another machine.
    world.stop().await?;
    world.start_as(with_tpm(&world, &other)).await?;
    let status = world
        .until(|status| state_of(status, Service::Unlock).0 == ServiceState::Failed)
        .await?;
    let (_, why) = state_of(&status, Service::Unlock);
    assert!(why.contains("this TPM did not seal it"), "{why}");
    assert_eq!(state_of(&status, Service::Dns).0, ServiceState::Ready);
    Ok(())
}

#[tokio::test]
async fn keys_that_the_site_wants_sealed_by_a_tpm_that_is_not_there_serve_and_say_so() -> Outcome {
    let mut world = World::new()?;
    world.start_as(with_tpm(&world, Path::new("/nowhere"))).await?;
    world.apply(&sealed_with("nothing")).await?;
    world.all_are(ServiceState::Ready).await?;
    let own = key(&world).await?;
    world.apply(&sealed_with("tpm2")).await?;
    world
        .until(|status| {
            let (state, why) = state_of(status, Service::Unlock);
            state == ServiceState::Ready && why.contains("no TPM 2.0")
        })
        .await?;
    assert_eq!(key(&world).await?, own);
    Ok(())
}
