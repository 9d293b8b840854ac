//! What can be asked for: the paths of Tang.

/// Media type of an advertisement.
pub const ADVERTISEMENT_TYPE: &str = "application/jose+json";
/// Media type of the answer to a recovery.
pub const RECOVERY_TYPE: &str = "application/jwk+json";

/// What a path asks for. With another method than the one named, it is answered with 405.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// `/adv` or `/adv/<thumbprint>`: the advertisement, signed by that key too (GET).
    Advertisement(Option<&'a str>),
    /// `/rec/<thumbprint>`: a recovery with that key (POST).
    Recovery(&'a str),
    /// Anything else (404).
    Unknown,
}

/// What a path asks for. As in `tangd`, slashes may be doubled, and the path without a name may end with some;
/// a URL in a client's configuration often does.
pub fn route(path: &str) -> Route<'_> {
    let Some(path) = path.strip_prefix('/') else {
        return Route::Unknown;
    };
    let path = path.trim_start_matches('/');
    let (verb, rest) = path.find('/').map_or((path, ""), |slash| path.split_at(slash));
    let name = rest.trim_start_matches('/');
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    match verb {
        "adv" if name.is_empty() => Route::Advertisement(None),
        "adv" if name.bytes().all(plain) => Route::Advertisement(Some(name)),
        "rec" if !name.is_empty() && name.bytes().all(plain) => Route::Recovery(name),
        _ => Route::Unknown,
    }
}
