//! Container images: one layer of files each, in a folder of the OCI image layout 1.1.
//!
//! Layers are compressed with Zstandard, by its own program: of a `kube-apiserver` a quarter is left, and taking it
//! apart costs a node less than fetching and hashing four times the bytes.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use faros_model::{
    ids::Digest,
    image_name::ImageName,
    kubernetes::Image,
    oci::{self, Descriptor, Index, Manifest, Platform},
};
use serde::Serialize;
use serde_json::json;

use crate::{
    error::{BuildError, at},
    files::Files,
    keep::{Hashing, digest, digest_of},
    run::last_words,
};

/// What an image is made of.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) name: ImageName,
    pub(crate) files: Files,
    pub(crate) entrypoint: Vec<String>,
    /// Who runs it, if not root.
    pub(crate) user: Option<String>,
    /// What it is a build of.
    pub(crate) version: String,
}

/// A folder in the OCI image layout, being written.
#[derive(Debug)]
pub(crate) struct Layout {
    folder: PathBuf,
    date: jiff::Timestamp,
    manifests: Vec<Descriptor>,
}

impl Layout {
    /// Begins a layout in `folder`, which is not there yet.
    pub(crate) fn new(folder: &Path, date: jiff::Timestamp) -> Result<Self, BuildError> {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(at("make", &blobs))?;
        Ok(Self {
            folder: folder.to_owned(),
            date,
            manifests: Vec::new(),
        })
    }

    /// Adds an image.
    pub(crate) fn add(&mut self, recipe: &Recipe) -> Result<Image, BuildError> {
        let (layer, diff_id) = self.layer(&recipe.files)?;
        let date = self.date.to_string();
        let mut config = json!({
            "created": date,
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Entrypoint": recipe.entrypoint,
                "WorkingDir": "/",
                "Labels": { "org.opencontainers.image.version": recipe.version },
            },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{diff_id}")] },
            "history": [{ "created": date, "created_by": "farosctl content build kubernetes" }],
        });
        if let Some(user) = &recipe.user {
            config["config"]["User"] = json!(user);
        }
        let config = self.document(oci::CONFIG, &config)?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: oci::MANIFEST.to_owned(),
            config,
            layers: vec![layer],
            annotations: BTreeMap::new(),
        };
        let mut manifest = self.document(oci::MANIFEST, &manifest)?;
        let image = Image {
            name: recipe.name.clone(),
            digest: manifest.digest,
        };
        manifest.platform = Some(Platform {
            architecture: "amd64".to_owned(),
            os: "linux".to_owned(),
            variant: None,
        });
        // skopeo finds an image by the one, containerd by the other.
        manifest.annotations = BTreeMap::from([
            ("io.containerd.image.name".to_owned(), recipe.name.to_string()),
            (
                "org.opencontainers.image.ref.name".to_owned(),
                recipe.name.to_string(),
            ),
        ]);
        self.manifests.push(manifest);
        Ok(image)
    }

    /// Writes what makes it a layout.
    pub(crate) fn finish(self) -> Result<(), BuildError> {
        let index = Index {
            schema_version: 2,
            media_type: oci::INDEX.to_owned(),
            manifests: self.manifests,
        };
        for (name, text) in [
            ("index.json", bytes(&index)),
            ("oci-layout", bytes(&json!({ "imageLayoutVersion": "1.0.0" }))),
        ] {
            let path = self.folder.join(name);
            fs::write(&path, text).map_err(at("write", &path))?;
        }
        Ok(())
    }

    fn blob(&self, digest: Digest) -> PathBuf {
        self.folder.join("blobs/sha256").join(digest.to_string())
    }

    fn document(&self, media_type: &str, value: &impl Serialize) -> Result<Descriptor, BuildError> {
        let bytes = bytes(value);
        let digest = digest(&bytes);
        let path = self.blob(digest);
        fs::write(&path, &bytes).map_err(at("write", &path))?;
        Ok(Descriptor::new(media_type, digest, bytes.len() as u64))
    }

    /// Packs and compresses files; what they are, and their digest before compression.
    fn layer(&self, files: &Files) -> Result<(Descriptor, Digest), BuildError> {
        let made = self.folder.join("layer");
        let out = File::create(&made).map_err(at("write", &made))?;
        let mut zstd = Command::new("zstd")
            // One thread: with more, the outcome would depend on the program's version still more than it does.
            .args(["--quiet", "-9", "--single-thread", "--stdout"])
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(at("run", Path::new("zstd")))?;
        let pipe = zstd.stdin.take().ok_or(std::io::ErrorKind::BrokenPipe.into());
        let mut tar = Hashing::new(pipe.map_err(at("run", Path::new("zstd")))?);
        let packed = files.tar(self.date, &mut tar);
        // The pipe is closed by this, which ends the program.
        let diff_id = tar.digest();
        let ended = zstd.wait_with_output().map_err(at("run", Path::new("zstd")))?;
        if !ended.status.success() {
            return Err(BuildError::Failed {
                program: "zstd".to_owned(),
                status: ended.status,
                said: last_words(&ended.stderr),
            });
        }
        packed.map_err(at("pack", &made))?;
        let (digest, size) = digest_of(&made)?;
        let path = self.blob(digest);
        fs::rename(&made, &path).map_err(at("finish", &path))?;
        Ok((Descriptor::new(oci::LAYER_ZSTD, digest, size), diff_id))
    }
}

/// Documents of this crate, which are text and numbers, have a form in JSON.
fn bytes(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
