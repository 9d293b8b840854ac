//! What can be asked for: a closed set of paths.

use faros_model::ids::{ContentName, Digest, HostName, MacAddr, Nonce};

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `/boot/<mac with hyphens>.ipxe`: a machine's boot script.
    BootScript(MacAddr),
    /// `/loader/<file>`: a boot loader, the content entry of that name.
    Loader(ContentName),
    /// `/content/sha256/<digest>/<file>`: content by its digest; the file name is for people.
    Content(Digest),
    /// `/ignition/<node>/<nonce>`: a node's Ignition config, for the boot that was given the nonce.
    Ignition(HostName, Nonce),
    /// `/report/<node>`: what a node tells of itself (POST).
    Report(HostName),
    /// Anything else.
    Unknown,
}

/// What a path asks for. Percent-encoding is not decoded: no path of ours needs it, and what needs it is
/// not ours.
pub fn route(path: &str) -> Route {
    let segments: Vec<&str> = path.strip_prefix('/').unwrap_or_default().split('/').collect();
    let found = match segments.as_slice() {
        ["boot", file] => file
            .strip_suffix(".ipxe")
            .and_then(|mac| mac.parse().ok())
            .map(Route::BootScript),
        ["loader", file] => format!("loader/{file}").parse().ok().map(Route::Loader),
        ["content", "sha256", digest] => digest.parse().ok().map(Route::Content),
        ["content", "sha256", digest, file] if is_file_name(file) => digest.parse().ok().map(Route::Content),
        ["ignition", node, nonce] => node
            .parse()
            .ok()
            .zip(nonce.parse().ok())
            .map(|(node, nonce)| Route::Ignition(node, nonce)),
        ["report", node] => node.parse().ok().map(Route::Report),
        _ => None,
    };
    found.unwrap_or(Route::Unknown)
}

fn is_file_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+');
    !text.is_empty() && !text.starts_with('.') && text.bytes().all(plain)
}
