//! Starting, and what keeps it from starting; ending.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::Command,
    time::{Duration, Instant},
};

use faros_client::Events;
use faros_model::{api::ServiceState, event::EventKind, ids::Generation};

use crate::world::{Outcome, SITE, World, run, site_with_printer};

#[tokio::test]
async fn a_bastion_serves_its_last_generation_after_a_restart_with_nobody_present() -> Outcome {
    let mut world = World::serving().await?;
    world.apply(&site_with_printer()).await?;
    assert!(world.stop().await?.success());
    world.start().await?;
    world.all_are(ServiceState::Ready).await?;
    assert_eq!(world.generation().await?, Some(Generation(2)));
    Ok(())
}

#[tokio::test]
async fn sigterm_ends_it_cleanly() -> Outcome {
    for signal in ["-TERM", "-INT"] {
        let mut world = World::serving().await?;
        world.signal(signal)?;
        assert!(world.ended().await?.success(), "{signal}");
        assert!(!world.socket().exists());
        let store = faros_store::Store::open(&world.state_dir())?;
        // What was under way may be told after it: the root keys are made in their own time.
        let told = store.events(&faros_store::EventQuery {
            kind: Some(EventKind::DaemonStopping),
            limit: 9,
            ..Default::default()
        })?;
        assert_eq!(told.len(), 1, "{signal}");
    }
    Ok(())
}

#[tokio::test]
async fn it_ends_though_someone_watches() -> Outcome {
    let mut world = World::serving().await?;
    let follow = Events {
        follow: true,
        ..Events::default()
    };
    let mut lines = world.client().events(&follow).await?;
    assert!(world.stop().await?.success());
    while let Ok(Some(_)) = lines.next().await {}
    Ok(())
}

#[tokio::test]
async fn sighup_is_told_and_changes_nothing() -> Outcome {
    let world = World::serving().await?;
    world.signal("-HUP")?;
    let deadline = Instant::now() + Duration::from_secs(5);
    while !world.log().contains("SIGHUP") && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(world.log().contains("SIGHUP"));
    world.all_are(ServiceState::Ready).await
}

#[tokio::test]
async fn a_second_daemon_on_the_same_state_is_refused_and_told_who_has_it() -> Outcome {
    let world = World::serving().await?;
    let second = world.farosd().output()?;
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains(&format!("process {}", world.pid()?)), "{said}");
    world.all_are(ServiceState::Ready).await
}

#[tokio::test]
async fn a_second_daemon_on_the_same_socket_is_refused() -> Outcome {
    let world = World::serving().await?;
    let mut second = world.net.command(env!("CARGO_BIN_EXE_farosd"));
    second.arg("--state-dir").arg(world.dir.path().join("other"));
    let second = second.arg("--socket").arg(world.socket()).output()?;
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("another farosd answers"), "{said}");
    world.status().await.map(drop)
}

#[tokio::test]
async fn a_state_folder_on_a_read_only_file_system_is_said_so() -> Outcome {
    let world = World::new()?;
    fs::create_dir(world.state_dir())?;
    let state = world.state_dir().display().to_string();
    // `ip netns exec` has mounts of its own, which go with it.
    let script = format!(
        "mount -t tmpfs -o ro tmpfs {state} && exec {} --state-dir {state} --socket {}",
        env!("CARGO_BIN_EXE_farosd"),
        world.socket().display()
    );
    let output = world.net.command("sh").args(["-c", &script]).output()?;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("read-write"), "{said}");
    assert!(said.contains(&state), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_full_disk_refuses_an_apply_and_mends_without_a_restart() -> Outcome {
    let mut world = World::new()?;
    fs::create_dir(world.state_dir())?;
    let state = world.state_dir().display().to_string();
    let script = format!(
        "mount -t tmpfs -o size=4m tmpfs {state} && exec {} --state-dir {state} --socket {} --loaders /nowhere",
        env!("CARGO_BIN_EXE_farosd"),
        world.socket().display()
    );
    let mut command = world.net.command("sh");
    command.args(["-c", &script]);
    world.start_as(command).await?;
    world.apply(SITE).await?;
    // What is made once has been made by then.
    world.all_are(ServiceState::Ready).await?;
    let inside = |script: &str| {
        let pid = world.pid()?.to_string();
        Command::new("nsenter")
            .args(["-t", &pid, "-m", "sh", "-c", script])
            .output()
            .map_err(anyhow::Error::from)
    };
    inside(&format!("cat /dev/zero > {state}/ballast"))?;
    let mut message = String::new();
    // Some pages of the log are there already, so a first small write may still find room.
    for n in 0..40 {
        let file = SITE.replace("name: quay", &format!("name: quay-{n}"));
        if let Ok(why) = world.apply_fails(&file).await {
            message = why;
            break;
        }
    }
    assert!(!message.is_empty(), "no apply failed");
    let before = world.generation().await?;
    world.all_are(ServiceState::Ready).await?;
    inside(&format!("rm {state}/ballast"))?;
    world.apply(&site_with_printer()).await?;
    assert!(world.generation().await? > before);
    Ok(())
}

#[tokio::test]
async fn nothing_it_makes_is_for_others_to_read() -> Outcome {
    let world = World::serving().await?;
    let mode = |path| fs::metadata(path).map(|meta| meta.permissions().mode() & 0o777);
    assert_eq!(mode(world.socket())?, 0o600);
    assert_eq!(mode(world.state_dir())?, 0o700);
    assert_eq!(mode(world.state_dir().join("faros.db"))?, 0o600);
    // Another user is turned away.
    let mut stranger = Command::new("setpriv");
    stranger.args(["--reuid=65534", "--clear-groups", "curl", "-s", "--unix-socket"]);
    let output = stranger
        .arg(world.socket())
        .arg("http://farosd/v1/status")
        .output()?;
    assert!(!output.status.success());
    Ok(())
}

#[tokio::test]
async fn someone_else_on_a_socket_that_was_opened_up_is_turned_away() -> Outcome {
    let world = World::serving().await?;
    for path in [world.dir.path().to_owned(), world.socket()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777))?;
    }
    let mut stranger = Command::new("setpriv");
    stranger.args([
        "--reuid=65534",
        "--clear-groups",
        "curl",
        "-s",
        "-m",
        "5",
        "--unix-socket",
    ]);
    let output = stranger
        .arg(world.socket())
        .arg("http://farosd/v1/status")
        .output()?;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert!(!output.status.success());
    world.status().await.map(drop)
}

#[test]
fn a_wrong_command_line_has_a_code_of_its_own() -> Outcome {
    let twice = ["--interface", "lan=eth0", "--interface", "uplink=eth0"];
    for words in [&["--interface", "wan=eth0"][..], &["--colour"], &twice] {
        let output = Command::new(env!("CARGO_BIN_EXE_farosd")).args(words).output()?;
        assert_eq!(output.status.code(), Some(2), "{words:?}");
    }
    let help = run(Command::new(env!("CARGO_BIN_EXE_farosd")).arg("--help"))?;
    assert!(String::from_utf8_lossy(&help.stdout).contains("Examples:"));
    run(Command::new(env!("CARGO_BIN_EXE_farosd")).arg("--version")).map(drop)
}

#[tokio::test]
async fn systemd_is_told_when_it_is_ready_and_when_it_stops() -> Outcome {
    let mut world = World::new()?;
    let path = world.dir.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path)?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut command = world.farosd();
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "1000000");
    world.start_as(command).await?;
    let mut said = String::new();
    let mut hear = |wanted: &str| -> Outcome {
        let mut buffer = [0; 512];
        while !said.contains(wanted) {
            let length = socket.recv(&mut buffer)?;
            said.push_str(&String::from_utf8_lossy(&buffer[..length]));
            said.push('\n');
        }
        Ok(())
    };
    hear("READY=1")?;
    hear("STATUS=")?;
    hear("WATCHDOG=1")?;
    world.stop().await?;
    hear("STOPPING=1")
}
