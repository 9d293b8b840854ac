//! What the network boot services ask of the daemon: what to give to whom, and where to tell of it.

use std::{fs::File, future::Future, net::Ipv4Addr, pin::Pin, sync::Arc, time::Duration};

use faros_http::Method;
use faros_model::ids::Digest;

/// A future in a box: the trait below stands behind a pointer.
pub type Soon<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A file that may be served, with bytes that are what its digest says.
#[derive(Debug, Clone)]
pub struct OpenFile {
    /// The file.
    pub file: Arc<File>,
    /// Its name, for people.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub digest: Digest,
}

/// A request over HTTP.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Who asks.
    pub from: Ipv4Addr,
    /// What it wants done.
    pub method: Method,
    /// What it asks for: the path, as it was sent.
    pub path: String,
    /// What follows the path after a `?`, as it was sent.
    pub query: Option<String>,
    /// What it says that it understands.
    pub accept: String,
    /// What it sent along, at most 64 KiB.
    pub body: Vec<u8>,
}

/// What an answer says of itself.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// Media type.
    pub content_type: String,
    /// Further header fields.
    pub fields: Vec<(&'static str, String)>,
}

/// The answer to a request.
#[derive(Debug)]
pub enum Page {
    /// A file, or the parts of it that are asked for.
    File(OpenFile),
    /// The same of a file of which more is known than its bytes.
    Described {
        /// The file.
        file: OpenFile,
        /// What it is.
        said: Said,
    },
    /// A text with a status of its own.
    Answer {
        /// Status.
        status: u16,
        /// What it is.
        said: Said,
        /// The text.
        text: String,
    },
    /// A text.
    Text {
        /// Media type.
        content_type: &'static str,
        /// The text.
        text: String,
    },
    /// Nothing but a status.
    Status(u16),
}

/// A transfer that ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Who asked.
    pub from: Ipv4Addr,
    /// What for.
    pub file: OpenFile,
    /// How many bytes were sent.
    pub bytes: u64,
    /// How many there were to send.
    pub of: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// `tftp`, `http` or `https`.
    pub protocol: &'static str,
    /// Why it ended before its end.
    pub failed: Option<String>,
}

/// What the daemon decides for a service over HTTP.
pub trait Pages: Send + Sync {
    /// Whether this client may be answered at all.
    fn serves(&self, from: Ipv4Addr) -> bool;
    /// Answers a request.
    fn page(&self, ask: Ask) -> Soon<'_, Page>;
    /// A transfer of a file goes on. Called at most twice a second for each.
    fn progress(&self, _from: Ipv4Addr, _name: &str, _bytes: u64, _of: u64) {}
    /// A transfer of a file ended.
    fn ended(&self, _ended: Ended) {}
}

/// What the daemon decides for TFTP besides.
pub trait Loaders: Pages {
    /// The largest packet of the LAN, in bytes.
    fn mtu(&self) -> u16;
    /// The file of that name; `None` if there is none for this client.
    fn loader(&self, from: Ipv4Addr, name: String) -> Soon<'_, Option<OpenFile>>;
}
