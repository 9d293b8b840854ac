//! The demo that does not come to its end: nothing of it is left, unless it is to be kept.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    mem::ManuallyDrop,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use faros_conformance::{Site, build, root};
use faros_lab::{Lab, daemon, image, run::run};

/// How long anything may take; the machine may be busy.
const PATIENCE: Duration = Duration::from_mins(3);

/// A demo under way, in a lab and with a cache of its own.
struct Demo {
    name: &'static str,
    child: Child,
    /// What it says; nobody listens any more if there is none.
    lines: Option<BufReader<ChildStderr>>,
    said: String,
    folder: tempfile::TempDir,
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Of one that did as it should, nothing is there.
        drop(self.child.kill());
        drop(self.child.wait());
        for pid in self.processes() {
            drop(run("kill", &["-KILL", &pid]));
        }
        drop(Lab::down(self.name));
    }
}

impl Demo {
    /// Starts it, with an image in its cache that boots nothing.
    fn start(name: &'static str, words: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        image::write_dummy_to(&folder.path().join("cache"), image::Kernel::Cloud)?;
        Self::start_in(folder, name, words)
    }

    fn start_in(folder: tempfile::TempDir, name: &'static str, words: &[&str]) -> anyhow::Result<Self> {
        build();
        let path = std::env::var("PATH")?;
        let mut child = Command::new("env")
            // Whatever started this test may have them ignored.
            .args(["--default-signal=INT", "--default-signal=TERM", "--default-signal=HUP"])
            // Who reads what it says would wait for one that hangs. It hands signals on.
            .args(["timeout", "--foreground", "--kill-after=30", "600"])
            .arg(daemon::program("faros-lab")?)
            .args(["--name", name, "demo", "--quick", "--plain", "--out"])
            .arg(folder.path().join("out"))
            .args(words)
            .current_dir(root())
            .env("XDG_CACHE_HOME", folder.path().join("cache"))
            .env("PATH", format!("{}:{path}", folder.path().join("bin").display()))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let lines = child.stderr.take().map(BufReader::new);
        Ok(Self {
            name,
            child,
            lines,
            said: String::new(),
            folder,
        })
    }

    /// Reads what it says until it says this.
    fn until(&mut self, says: &str) -> anyhow::Result<()> {
        loop {
            let from = self.said.len();
            let lines = self.lines.as_mut().context("nobody listens")?;
            let n_bytes = lines.read_line(&mut self.said)?;
            ensure!(n_bytes > 0, "it ended before it said `{says}`:\n{}", self.said);
            if self.said[from..].contains(says) {
                return Ok(());
            }
        }
    }

    /// Sends it a signal, and it alone.
    fn signal(&self, signal: &str) -> anyhow::Result<()> {
        run("kill", &[signal, &self.child.id().to_string()]).map(drop)
    }

    /// Its exit code.
    fn ended(&mut self) -> anyhow::Result<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return status.code().context("it was killed");
            }
            ensure!(Instant::now() < deadline, "it does not end:\n{}", self.said);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The same, with all that it says until then.
    fn ends(&mut self) -> anyhow::Result<i32> {
        if let Some(mut lines) = self.lines.take() {
            lines.read_to_string(&mut self.said)?;
        }
        self.ended()
    }

    /// The processes that it started and that are still there: all of them know the folder of this test.
    fn processes(&self) -> Vec<String> {
        let own = self.folder.path().display().to_string();
        let knows = |pid: &PathBuf| {
            let read = |file| fs::read(pid.join(file)).unwrap_or_default();
            String::from_utf8_lossy(&read("environ")).contains(&own)
        };
        let pids = entries("/proc").into_iter().filter(knows);
        pids.filter_map(|pid| Some(pid.file_name()?.to_str()?.to_owned()))
            .collect()
    }

    /// What is left of it on this machine, once it had a moment to go.
    fn left(&self) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let left = self.left_now();
            if left.is_empty() || Instant::now() > deadline {
                return left;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn left_now(&self) -> Vec<String> {
        let Self { name, folder, .. } = self;
        let namespaces = entries("/run/netns");
        let namespaces = namespaces
            .into_iter()
            .filter(|path| path.to_string_lossy().contains(&format!("faros-{name}-")));
        let folders = ["/run/faros-lab", "/var/tmp/faros-lab"].map(|path| Path::new(path).join(name));
        let parts = entries(folder.path().join("cache/faros/images"));
        let parts = parts
            .into_iter()
            .filter(|path| path.to_string_lossy().contains(".building-"));
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mounts = mounts.lines().filter(|line| {
            [
                &format!("faros-lab/{name}/"),
                &format!("faros-{name}-"),
                &*folder.path().to_string_lossy(),
            ]
            .iter()
            .any(|own| line.contains(*own))
        });
        let files = namespaces
            .chain(folders.into_iter().filter(|path| path.exists()))
            .chain(parts)
            .map(|path| path.display().to_string());
        let processes = self.processes().into_iter().map(|pid| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            format!("process {pid}: {}", line.replace('\0', " "))
        });
        let mounts = mounts.map(|mount| format!("mount {mount}"));
        files.chain(processes).chain(mounts).collect()
    }
}

/// Puts a program into a demo's folder that it runs instead of the machine's own.
fn stand_in(folder: &tempfile::TempDir, name: &str, script: &str) -> anyhow::Result<()> {
    let bin = folder.path().join("bin");
    fs::create_dir(&bin)?;
    fs::write(bin.join(name), script)?;
    fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn entries(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing_behind() -> anyhow::Result<()> {
    let mut demo = Demo::start("t-demo-int", &[])?;
    demo.until("powering on node-2")?;
    ensure!(!demo.left_now().is_empty(), "there is something to leave");
    demo.signal("-INT")?;
    assert_eq!(demo.ends()?, 130, "{}", demo.said);
    assert_eq!(demo.left(), [""; 0], "{}", demo.said);
    assert!(
        demo.said.contains("interrupted; nothing is left behind"),
        "{}",
        demo.said
    );
    Ok(())
}

#[test]
fn a_demo_that_is_told_to_stop_does_not_wait_for_the_image_that_it_builds() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let begun = folder.path().join("begun");
    // Packages come for ever.
    let script = format!("#!/bin/sh\nsleep infinity &\ntouch {}\nwait\n", begun.display());
    stand_in(&folder, "mmdebstrap", &script)?;
    let mut demo = Demo::start_in(folder, "t-demo-term", &[])?;
    demo.until("installer: fetching")?;
    let deadline = Instant::now() + PATIENCE;
    while !begun.exists() {
        ensure!(Instant::now() < deadline, "no image is built");
        thread::sleep(Duration::from_millis(10));
    }
    demo.signal("-TERM")?;
    // Who builds for ever holds standard error too.
    assert_eq!(demo.ended()?, 130);
    assert_eq!(demo.left(), [""; 0]);
    Ok(())
}

#[test]
fn a_demo_whose_terminal_is_closed_leaves_nothing_behind() -> anyhow::Result<()> {
    let mut demo = Demo::start("t-demo-hup", &[])?;
    demo.until("the bastion was ready")?;
    // What it says from here on, nobody hears.
    demo.lines = None;
    demo.signal("-HUP")?;
    assert_eq!(demo.ended()?, 130);
    assert_eq!(demo.left(), [""; 0]);
    Ok(())
}

#[test]
fn a_demo_that_is_to_be_kept_stays_up_when_it_is_interrupted() -> anyhow::Result<()> {
    let mut demo = Demo::start("t-demo-keep", &["--keep"])?;
    demo.until("powering on node-1")?;
    demo.signal("-INT")?;
    assert_eq!(demo.ends()?, 130, "{}", demo.said);
    assert!(demo.said.contains("The lab is still up"), "{}", demo.said);
    assert!(!demo.said.contains("nothing is left"), "{}", demo.said);
    assert_eq!(Lab::open("t-demo-keep")?.nodes()?.len(), 3, "it answers");
    Lab::down("t-demo-keep")?;
    assert_eq!(demo.left(), [""; 0]);
    Ok(())
}

#[test]
fn a_demo_that_fails_leaves_nothing_behind() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    image::write_dummy_to(&folder.path().join("cache"), image::Kernel::Cloud)?;
    // The second machine gets no disk.
    let script = "#!/bin/sh\ncase \"$*\" in *node-2*) echo no disk >&2; exit 1;; esac\nexec /usr/bin/qemu-img \"$@\"\n";
    stand_in(&folder, "qemu-img", script)?;
    let mut demo = Demo::start_in(folder, "t-demo-fail", &[])?;
    assert_eq!(demo.ends()?, 1, "{}", demo.said);
    assert!(demo.said.contains("no disk"), "{}", demo.said);
    assert_eq!(demo.left(), [""; 0], "{}", demo.said);
    Ok(())
}

#[test]
fn a_demo_takes_no_lab_down_that_was_there_before() -> anyhow::Result<()> {
    let site = Site::up("t-demo-two")?;
    for why in ["is up already", "does not run"] {
        // Dropping it takes the lab down.
        let mut demo = ManuallyDrop::new(Demo::start("t-demo-two", &[])?);
        assert_eq!(demo.ends()?, 1, "{}", demo.said);
        assert!(demo.said.contains(why), "{}", demo.said);
        daemon::stop(site.lab.folder(), false)?;
    }
    daemon::start(site.lab.name(), site.lab.folder())?;
    assert_eq!(site.lab.nodes()?.len(), 3, "it answers");
    Ok(())
}

#[test]
fn a_name_that_is_a_path_leads_nowhere() -> anyhow::Result<()> {
    build();
    let folder = tempfile::tempdir()?;
    let theirs = folder.path().join("theirs");
    fs::write(&theirs, "")?;
    let path = folder.path().to_str().context("the path is no text")?;
    for (name, command) in [
        (path, "demo"),
        (path, "down"),
        ("", "down"),
        ("..", "demo"),
        ("../run", "status"),
    ] {
        let output = Command::new(daemon::program("faros-lab")?)
            .args(["--name", name, command])
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name} {command}: {said}");
        assert!(said.contains("is no name for a lab"), "{said}");
    }
    assert!(theirs.exists());
    Ok(())
}
