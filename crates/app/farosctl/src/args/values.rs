//! What stands on a command line for one value, and why it is none.

use faros_model::{
    ids::{Generation, HostName, MacAddr, SessionId},
    kubernetes::KubeVersion,
    oci::Platform,
};

pub(super) fn host(text: &str) -> Result<HostName, String> {
    text.parse().map_err(|why| format!("`{text}` {why}"))
}

pub(super) fn session(text: &str) -> Result<SessionId, String> {
    text.parse().map_err(|why| format!("`{text}` {why}"))
}

pub(super) fn mac(text: &str) -> Result<MacAddr, String> {
    text.parse().map_err(|why| format!("`{text}` {why}"))
}

pub(super) fn kube_version(text: &str) -> Result<KubeVersion, String> {
    text.parse().map_err(|why| format!("`{text}` {why}"))
}

pub(super) fn platform(text: &str) -> Result<Platform, String> {
    let mut words = text.split('/').map(str::to_owned);
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(os), Some(architecture), variant, None) if !os.is_empty() && !architecture.is_empty() => {
            Ok(Platform {
                architecture,
                os,
                variant,
            })
        }
        _ => Err(format!("`{text}` is not a platform, such as linux/amd64")),
    }
}

/// From 5 seconds, in which nobody can confirm, to a day, in which nobody waits.
pub(super) fn seconds(text: &str) -> Result<u32, String> {
    let (number, unit) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let seconds = number.parse::<u32>().ok().and_then(|n| n.checked_mul(unit));
    seconds
        .filter(|seconds| (5..=86_400).contains(seconds))
        .ok_or_else(|| format!("`{text}` is no time from 5s to 1440m"))
}

pub(super) fn generation(text: &str) -> Result<Generation, String> {
    text.parse()
        .map(Generation)
        .map_err(|_| format!("`{text}` is no number of a generation"))
}
