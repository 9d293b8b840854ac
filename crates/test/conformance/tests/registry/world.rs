//! A site with images in it, and clients that trust its root.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use faros_conformance::{Running, Site, root};
use serde_json::{Value, json};

pub(crate) const NODE: &str = "client:node=52:54:00:08:00:01";
pub(crate) const STRANGER: &str = "client:stranger";
pub(crate) const REGISTRY: &str = "registry.harbour-7.edge.example.com:5000";
pub(crate) const PAUSE: &str = "faros.dev/kubernetes/pause";
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A site with images in it, a node that trusts the site's root, and a stranger on the switch.
pub(crate) struct World {
    // Programs end before their lab is taken down.
    programs: Vec<Running>,
    pub(crate) site: Site,
    pub(crate) folder: tempfile::TempDir,
    /// Digests of the layers that were added, in order.
    pub(crate) layers: Vec<String>,
}

impl World {
    pub(crate) fn up(name: &str) -> anyhow::Result<Self> {
        let site = Site::up_with(name, &root().join("examples/three-nodes.yaml"))?;
        let mut world = Self {
            programs: vec![],
            site,
            folder: tempfile::tempdir()?,
            layers: vec![],
        };
        for host in [NODE, STRANGER] {
            world.site.run(host, &["dhclient", "-4", "-1", "eth0"])?;
        }
        // As it lies on the disk, sealed with nothing: one line, and JSON.
        let sealed = fs::read_to_string(world.site.lab.folder().state_dir().join("authority.sealed"))?;
        let (_, stored) = sealed.split_once('\n').context("no line")?;
        let stored: Value = serde_json::from_str(stored)?;
        let ca = stored["site"]["certificate"].as_str().context("no root")?;
        fs::write(world.path("ca.crt"), ca)?;
        Ok(world)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds an image of one layer of so many bytes, the same ones each time.
    pub(crate) fn add(&mut self, name: &str, n_bytes: usize) -> anyhow::Result<()> {
        let (_, tag) = name.rsplit_once(':').context("no tag")?;
        let folder = self.path(&format!("image-{}", self.layers.len()));
        let layer = self.layer(n_bytes)?;
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        let put = |bytes: &[u8]| -> anyhow::Result<Value> {
            let path = blobs.join("new");
            fs::write(&path, bytes)?;
            let said = Command::new("sha256sum").arg(&path).output()?.stdout;
            let hex = String::from_utf8(said)?
                .split_whitespace()
                .next()
                .context("no digest")?
                .to_owned();
            fs::rename(&path, blobs.join(&hex))?;
            Ok(json!({ "digest": format!("sha256:{hex}"), "size": bytes.len() }))
        };
        let typed = |mut own: Value, kind: &str| {
            own["mediaType"] = format!("application/vnd.oci.image.{kind}").into();
            own
        };
        let layer = typed(put(&layer)?, "layer.v1.tar");
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
        });
        let config = typed(put(config.to_string().as_bytes())?, "config.v1+json");
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config, "layers": [layer],
        });
        let mut entry = typed(put(manifest.to_string().as_bytes())?, "manifest.v1+json");
        entry["annotations"] = json!({
            "org.opencontainers.image.ref.name": tag, "io.containerd.image.name": name,
        });
        let index = json!({ "schemaVersion": 2, "manifests": [entry] });
        fs::write(folder.join("index.json"), index.to_string())?;
        fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let archive = self.path("image.tar");
        let ran = Command::new("tar")
            .args(["--create", "--file"])
            .arg(&archive)
            .arg("--directory")
            .arg(&folder)
            .arg(".")
            .status()?;
        ensure!(ran.success(), "tar does not work");
        let words = ["content", "add", "--oci", &archive.display().to_string()];
        let (said, code) = self.site.farosctl(&words)?;
        ensure!(code == 0, "{said}");
        let digest = layer["digest"].as_str().unwrap_or_default();
        self.layers.push(digest.trim_start_matches("sha256:").to_owned());
        Ok(())
    }

    /// A tar archive with one file.
    fn layer(&self, n_bytes: usize) -> anyhow::Result<Vec<u8>> {
        let folder = self.path("layer");
        fs::create_dir_all(&folder)?;
        let bytes: Vec<u8> = (0..=250).cycle().take(n_bytes).collect();
        fs::write(folder.join("data"), bytes)?;
        let made = Command::new("tar")
            .args([
                "--create",
                "--format=ustar",
                "--owner=0",
                "--group=0",
                "--mtime=@0",
            ])
            .arg("--directory")
            .arg(&folder)
            .arg("data")
            .output()?;
        ensure!(made.status.success(), "tar does not work");
        Ok(made.stdout)
    }

    /// What `curl` of a host got; `words` come first.
    pub(crate) fn curl(&mut self, host: &str, words: &[&str], path: &str) -> anyhow::Result<String> {
        let ca = self.path("ca.crt").display().to_string();
        let url = format!("https://{REGISTRY}{path}");
        let all = [
            &["curl", "-sS", "--max-time", "30", "--cacert", &ca],
            words,
            &[&url],
        ]
        .concat();
        self.site.said(host, &all)
    }

    /// Starts containerd on the node, and says how to reach it.
    pub(crate) fn containerd(&mut self) -> anyhow::Result<Vec<String>> {
        let folder = self.path("containerd");
        let hosts = folder.join("certs.d/_default");
        fs::create_dir_all(&hosts)?;
        let (at, ca) = (folder.display(), self.path("ca.crt"));
        let ca = ca.display();
        fs::write(
            hosts.join("hosts.toml"),
            format!(
                "server = \"https://{REGISTRY}\"\nca = \"{ca}\"\n\n[host.\"https://{REGISTRY}\"]\n  \
                 capabilities = [\"pull\", \"resolve\"]\n  ca = \"{ca}\"\n"
            ),
        )?;
        let config = folder.join("config.toml");
        fs::write(
            &config,
            format!(
                "version = 2\nroot = \"{at}/root\"\nstate = \"{at}/state\"\n\
                 disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = \"{at}/socket\"\n\
                 [ttrpc]\n  address = \"{at}/socket.ttrpc\"\n"
            ),
        )?;
        let mut command = self
            .site
            .lab
            .command(NODE, &["containerd", "--config", &config.display().to_string()])?;
        let log = fs::File::create(folder.join("log"))?;
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.programs.push(Running(command.spawn()?));
        let deadline = Instant::now() + PATIENCE;
        while !folder.join("socket").exists() {
            ensure!(Instant::now() < deadline, "{}", read(&folder.join("log")));
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(vec![
            "ctr".to_owned(),
            "--address".to_owned(),
            format!("{at}/socket"),
        ])
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
