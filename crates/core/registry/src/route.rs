//! What can be asked for: a closed set of paths (section "Endpoints" of the specification).

use faros_model::ids::Digest;

use crate::{Code, Page, Refusal, Repository, Tag};

/// Longest path that is looked at. The longest name and a digest take half of it.
const MAX_PATH: usize = 512;

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `/v2/`: whether a registry is here.
    Base,
    /// `/v2/_catalog`: all repositories.
    Catalog(Page),
    /// `/v2/<name>/tags/list`: the tags of a repository.
    Tags(Repository, Page),
    /// `/v2/<name>/manifests/<reference>`: what an image is made of.
    Manifest(Repository, Reference),
    /// `/v2/<name>/blobs/<digest>`: a layer or a config.
    Blob(Repository, Digest),
    /// `/v2/<name>/referrers/<digest>`: what says something of a manifest.
    Referrers(Repository, Digest),
}

/// How a manifest is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// By a name that may come to mean another one.
    Tag(Tag),
    /// By what it is.
    Digest(Digest),
}

/// What a path and its query ask for, of a registry that calls itself `own` (names and addresses, with or without a
/// port). `reads` is whether the method is GET or HEAD, which is all there is here.
///
/// # Errors
/// If it asks for nothing that a registry has.
pub fn route(reads: bool, path: &str, query: Option<&str>, own: &[&str]) -> Result<Route, Refusal> {
    let unknown = || Refusal::new(Code::NameUnknown, "no such path");
    if path.len() > MAX_PATH {
        return Err(Refusal::new(Code::NameInvalid, "the path is too long"));
    }
    if !reads {
        return Err(Refusal::new(
            Code::Unsupported,
            "images are added on the bastion, by `farosctl content add`",
        ));
    }
    let rest = match path {
        "/v2" | "/v2/" => return Ok(Route::Base),
        _ => path.strip_prefix("/v2/").ok_or_else(unknown)?,
    };
    let page = || Page::of_query(query);
    if rest == "_catalog" {
        return Ok(Route::Catalog(page()?));
    }
    let named = |name: &str| repository(name, query, own);
    if let Some(name) = rest.strip_suffix("/tags/list") {
        return Ok(Route::Tags(named(name)?, page()?));
    }
    let (rest, last) = rest.rsplit_once('/').ok_or_else(unknown)?;
    let (name, kind) = rest.rsplit_once('/').ok_or_else(unknown)?;
    match kind {
        "manifests" => {
            let name = named(name)?;
            Ok(Route::Manifest(name, reference(last)?))
        }
        "blobs" => {
            let name = named(name)?;
            Ok(Route::Blob(name, digest(last)?))
        }
        "referrers" => {
            let name = named(name)?;
            Ok(Route::Referrers(name, digest(last)?))
        }
        _ => Err(unknown()),
    }
}

/// A mirror is told with `ns` which registry is meant; without it, or with our own name, the name begins with it.
fn repository(name: &str, query: Option<&str>, own: &[&str]) -> Result<Repository, Refusal> {
    let invalid = |what: String| Refusal::new(Code::NameInvalid, what);
    let host = match parameter(query, "ns") {
        None => None,
        Some(ns) => {
            let ns = decoded(ns).ok_or_else(|| invalid("`ns` names no registry".to_owned()))?;
            let bare = ns.split_once(':').map_or(ns.as_str(), |(host, _)| host);
            (!own.contains(&bare)).then_some(ns)
        }
    };
    match host {
        Some(host) => Repository::new(&host, name).ok_or_else(|| {
            invalid(format!(
                "`{}/{}` is no name of an image",
                shown(&host),
                shown(name)
            ))
        }),
        None => Repository::of_full_name(name).ok_or_else(|| {
            invalid(format!(
                "`{}` does not name a registry and an image in it, as `docker.io/library/nginx` does",
                shown(name)
            ))
        }),
    }
}

fn reference(text: &str) -> Result<Reference, Refusal> {
    // No tag has a colon.
    if text.contains(':') {
        return digest(text).map(Reference::Digest);
    }
    Tag::new(text).map(Reference::Tag).ok_or_else(|| {
        Refusal::new(
            Code::ManifestUnknown,
            format!("there is no tag `{}`", shown(text)),
        )
    })
}

fn digest(text: &str) -> Result<Digest, Refusal> {
    let lower = |hex: &&str| !hex.bytes().any(|b| b.is_ascii_uppercase());
    let hex = text.strip_prefix("sha256:").filter(lower);
    hex.and_then(|hex| hex.parse().ok()).ok_or_else(|| {
        Refusal::new(
            Code::DigestInvalid,
            format!("`{}` is no SHA-256 digest", shown(text)),
        )
    })
}

/// The first parameter of that name.
pub(crate) fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    let mut pairs = query?
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find_map(|(own, value)| (own == name).then_some(value))
}

/// A value without its percent-encoding; `None` if that is broken, or hides what is no text.
pub(crate) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A part of a request as a person may see it.
fn shown(text: &str) -> String {
    text.chars().take(200).filter(|c| !c.is_control()).collect()
}
