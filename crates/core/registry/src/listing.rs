//! Lists of repositories and tags, a page at a time (section "Content Discovery").

use std::collections::BTreeSet;

use faros_model::ids::ContentName;
use serde_json::json;

use crate::{
    Code, Refusal, Repository,
    route::{decoded, parameter},
};

/// Most names on a page.
const MAX_PAGE: usize = 1000;

/// Which part of a list is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// At most so many names.
    pub n: Option<usize>,
    /// Those after this one.
    pub last: Option<String>,
    /// The registry that a mirror is told it stands for, as it was sent.
    pub(crate) ns: Option<String>,
}

impl Page {
    /// What a query says.
    pub(crate) fn of_query(query: Option<&str>) -> Result<Self, Refusal> {
        let bad = |what: &str| Refusal::new(Code::Unsupported, format!("`{what}` makes no sense here"));
        let n = match parameter(query, "n") {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| bad("n"))?),
        };
        let last = match parameter(query, "last") {
            None => None,
            Some(text) => Some(decoded(text).ok_or_else(|| bad("last"))?),
        };
        let ns = parameter(query, "ns").map(str::to_owned);
        Ok(Self { n, last, ns })
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The names on it, in order.
    pub names: Vec<String>,
    /// Whether there are more after it.
    pub more: bool,
}

/// The page of `all` that is asked for.
pub fn list(all: &BTreeSet<String>, page: &Page) -> Listed {
    let after = |name: &&String| page.last.as_ref().is_none_or(|last| *name > last);
    let n = page.n.unwrap_or(MAX_PAGE).min(MAX_PAGE);
    let mut rest = all.iter().filter(after).cloned();
    let names: Vec<String> = rest.by_ref().take(n).collect();
    Listed {
        more: n > 0 && rest.next().is_some(),
        names,
    }
}

/// The header `Link` that leads to the page after this one (RFC 8288); `None` if there is none.
pub fn next_link(path: &str, page: &Page, listed: &Listed) -> Option<String> {
    let last = listed.names.last().filter(|_| listed.more)?;
    let n = page.n.unwrap_or(MAX_PAGE).min(MAX_PAGE);
    let last: String = last
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    let ns = page.ns.as_ref().map(|ns| format!("&ns={ns}")).unwrap_or_default();
    Some(format!("<{path}?n={n}&last={last}{ns}>; rel=\"next\""))
}

/// The tags of a repository, by the names of the store; `None` if it has none, and so is none.
pub fn tags<'a>(
    repository: &Repository,
    names: impl IntoIterator<Item = &'a ContentName>,
) -> Option<BTreeSet<String>> {
    let own = names.into_iter().filter_map(Repository::of_tag_entry);
    let tags: BTreeSet<String> = own
        .filter(|(of, _)| of == repository)
        .map(|(_, tag)| tag.to_owned())
        .collect();
    (!tags.is_empty()).then_some(tags)
}

/// All repositories, by the names of the store.
pub fn catalog<'a>(names: impl IntoIterator<Item = &'a ContentName>) -> BTreeSet<String> {
    let own = names.into_iter().filter_map(Repository::of_tag_entry);
    own.map(|(repository, _)| repository.to_string()).collect()
}

impl Listed {
    /// The body of the answer with a repository's tags. It is called what the client called it.
    pub fn tags_json(&self, name: &str) -> String {
        json!({ "name": name, "tags": self.names }).to_string()
    }

    /// The body of the answer with repositories.
    pub fn catalog_json(&self) -> String {
        json!({ "repositories": self.names }).to_string()
    }
}
