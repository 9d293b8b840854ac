//! Why nothing is given, in the words of the specification (section "Error Codes").

use serde_json::json;

/// The codes of the specification that a registry which only gives may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// No such layer in this repository.
    BlobUnknown,
    /// What is given is not what the digest says.
    DigestInvalid,
    /// No such tag or manifest in this repository, or none that the client can read.
    ManifestUnknown,
    /// It is no name of an image.
    NameInvalid,
    /// No such repository.
    NameUnknown,
    /// Not for this client.
    Denied,
    /// Not done here.
    Unsupported,
    /// Not now. Of the older specification; of this one, no code says so.
    Unavailable,
    /// Something failed here. Of the older specification as well.
    Unknown,
}

impl Code {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The status of the answer.
    pub const fn status(self) -> u16 {
        match self {
            Self::DigestInvalid | Self::NameInvalid => 400,
            Self::Denied => 403,
            Self::BlobUnknown | Self::ManifestUnknown | Self::NameUnknown => 404,
            Self::Unsupported => 405,
            Self::Unknown => 500,
            Self::Unavailable => 503,
        }
    }
}

/// An answer that gives nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why, for the client.
    pub code: Code,
    /// Why, for a person.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message }
    }

    /// The body of the answer.
    pub fn json(&self) -> String {
        json!({ "errors": [{ "code": self.code.as_str(), "message": self.message }] }).to_string()
    }
}
