//! What can be wrong with an archive, and what to do about it.

use std::io;

use faros_model::ids::Digest;

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum BadArchive {
    /// It is compressed as a whole.
    #[error("it is compressed with {with}")]
    Compressed {
        /// The program that did.
        with: &'static str,
        /// The program that undoes it.
        undo: &'static str,
    },
    /// It is no tar archive.
    #[error("it is not a tar archive")]
    NotTar,
    /// It ends too early.
    #[error("it is cut off: {name} should have {size} bytes")]
    Truncated {
        /// Which entry.
        name: String,
        /// How many it should have.
        size: u64,
    },
    /// It has neither of the two files.
    #[error("it holds no images: there is neither `index.json` nor `manifest.json` in it")]
    NoImages,
    /// A document is not what it should be.
    #[error("{name} in it cannot be understood")]
    Document {
        /// Which entry.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A document is too large.
    #[error("{0} in it is too large")]
    TooLarge(String),
    /// Something that is named is not there.
    #[error("it is not whole: it names {0}, which is not in it")]
    Missing(String),
    /// Something has other bytes than it should.
    #[error("{name} in it is damaged: it has digest {found}")]
    Damaged {
        /// Which.
        name: String,
        /// What its bytes have.
        found: Digest,
    },
    /// It cannot be told which of several platforms is meant.
    #[error("{image} is there for several platforms: {platforms}")]
    Platforms {
        /// Which image.
        image: String,
        /// Those it is for.
        platforms: String,
    },
    /// It is not there for the platform.
    #[error("{image} is not there for {wanted}, but for {platforms}")]
    NotFor {
        /// Which image.
        image: String,
        /// What was asked for.
        wanted: String,
        /// Those it is for.
        platforms: String,
    },
    /// An image has no name.
    #[error("an image in it has no name")]
    NoName,
    /// The name is one that the store cannot hold.
    #[error("the image's name `{name}` {why}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        why: &'static str,
    },
    /// One name for several images.
    #[error("it holds {0} images, which cannot all have the one name")]
    OneName(usize),
    /// It cannot be read.
    #[error("cannot read it")]
    Read(#[source] io::Error),
}

impl BadArchive {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Compressed { undo, .. } => return Some(format!("unpack it first, with `{undo}`")),
            Self::NotTar | Self::NoImages => {
                "`docker save IMAGE > FILE` and `skopeo copy docker://IMAGE oci-archive:FILE:IMAGE` make one"
            }
            Self::Truncated { .. } | Self::Missing(_) | Self::Damaged { .. } => "fetch or make it again",
            Self::Platforms { .. } | Self::NotFor { .. } => "name one of them with --platform",
            Self::NoName | Self::Name { .. } => {
                "give it a name with --name, such as docker.io/library/nginx:1.27"
            }
            Self::OneName(_) => "leave --name out; they have names of their own",
            Self::Document { .. } | Self::TooLarge(_) | Self::Read(_) => return None,
        };
        Some(hint.to_owned())
    }
}
