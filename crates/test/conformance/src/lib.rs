//! What the tests with real clients share: a lab that goes away with its test, and clients' words.

mod beside;
mod clients;
mod set_clock;
pub mod story;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Once,
};

use anyhow::ensure;
use faros_lab::{Lab, daemon};
use faros_model::event::Event;

pub use self::{
    beside::{Running, changed, eventually},
    set_clock::SetClock,
};

/// A lab that is taken down when the test ends, however it ends.
#[derive(Debug)]
pub struct Site {
    /// The lab.
    pub lab: Lab,
    stays: bool,
}

impl Drop for Site {
    fn drop(&mut self) {
        if !self.stays {
            // A test that failed has said why already.
            drop(Lab::down(self.lab.name()));
        }
    }
}

/// The root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(3)
        .unwrap_or_else(|| "/".as_ref())
        .to_owned()
}

/// Builds the programs under test: `cargo test` builds a package's own only.
pub fn build() {
    static BUILD: Once = Once::new();
    BUILD.call_once(|| {
        let words = [
            "build",
            "--quiet",
            "-p",
            "farosd",
            "-p",
            "farosctl",
            "-p",
            "faros-lab",
        ];
        let built = Command::new(env!("CARGO"))
            .args(words)
            .current_dir(root())
            .status();
        assert!(
            built.is_ok_and(|status| status.success()),
            "the programs under test do not build"
        );
    });
}

impl Site {
    /// Brings the demo's site up in a lab of this name.
    ///
    /// # Errors
    /// Without root, which namespaces need, or if the site does not come up.
    pub fn up(name: &str) -> anyhow::Result<Self> {
        Self::up_with(name, &root().join("examples/demo.yaml"))
    }

    /// Brings another site up.
    ///
    /// # Errors
    /// As [`Self::up`].
    pub fn up_with(name: &str, site_file: &Path) -> anyhow::Result<Self> {
        build();
        let lab = Lab::up(name, site_file)?;
        Ok(Self { lab, stays: false })
    }

    /// Another hand on a lab that somebody else takes down.
    pub fn of(lab: Lab) -> Self {
        Self { lab, stays: true }
    }

    /// Adds an image to the content, under the name that the demo's site has, that boots nothing.
    pub fn add_dummy_image(&self) -> anyhow::Result<()> {
        let folder = self.lab.folder().path().join("dummy-image");
        faros_lab::image::write_dummy(&folder, "debian-13-cloud")?;
        let (said, code) = self.farosctl(&["content", "add", &folder.display().to_string()])?;
        ensure!(code == 0, "{said}");
        Ok(())
    }

    /// The path of a node's Ignition config, from its boot script.
    pub fn ignition_path(&mut self, host: &str, mac: &str) -> anyhow::Result<String> {
        let url = format!("http://192.168.8.1:8080/boot/{mac}.ipxe");
        let script = self.run(host, &["curl", "-sf", &url])?;
        let path = script.split_whitespace().find_map(|word| {
            let url = word.strip_prefix("ignition.config.url=")?;
            url.strip_prefix("http://192.168.8.1:8080")
        });
        path.map(str::to_owned)
            .ok_or_else(|| anyhow::anyhow!("the script installs nothing: {script}"))
    }

    /// What a command on a host printed; fails if the command does.
    pub fn run(&mut self, host: &str, words: &[&str]) -> anyhow::Result<String> {
        let output = self.lab.command(host, words)?.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{words:?} on {host}: {} {}",
            output.status,
            said.trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What a command printed on both of its outputs, however it ended.
    pub fn said(&mut self, host: &str, words: &[&str]) -> anyhow::Result<String> {
        let output = self.lab.command(host, words)?.output()?;
        Ok([output.stdout, output.stderr]
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat())
    }

    /// What farosctl printed, and its exit code.
    pub fn farosctl(&self, args: &[&str]) -> anyhow::Result<(String, i32)> {
        let output = self.lab.farosctl(args)?;
        let text = [output.stdout, output.stderr]
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat();
        Ok((text, output.status.code().unwrap_or(-1)))
    }

    /// All events so far.
    pub fn events(&self) -> anyhow::Result<Vec<Event>> {
        self.events_after(0)
    }

    /// The events after this number.
    pub fn events_after(&self, after: u64) -> anyhow::Result<Vec<Event>> {
        let after = after.to_string();
        let words = [
            "events", "--after", &after, "--limit", "10000", "--output", "json",
        ];
        let output = self.lab.farosctl(&words)?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// Whether an event of this kind was recorded.
    pub fn saw(&self, kind: &str) -> anyhow::Result<bool> {
        Ok(self.events()?.iter().any(|event| event.kind.as_str() == kind))
    }

    /// Kills farosd without a word, and starts it again.
    pub fn kill_and_start(&self) -> anyhow::Result<()> {
        daemon::stop(self.lab.folder(), true)?;
        daemon::start(self.lab.name(), self.lab.folder())?;
        self.lab.wait_until_ready()
    }
}
