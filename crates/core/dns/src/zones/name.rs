//! Names as they are on the wire: a byte of length before each label, and a zero at the end.
//!
//! All are in lower case, so that they are compared as bytes.

use std::{collections::HashSet, iter, net::Ipv4Addr, sync::LazyLock};

/// A name as it is on the wire, in lower case.
pub(super) fn wire(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.') {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "labels of the site have at most 63 bytes"
        )]
        bytes.push(label.len() as u8);
        bytes.extend(label.bytes().map(|b| b.to_ascii_lowercase()));
    }
    bytes.push(0);
    bytes
}

pub(super) fn parent(name: &[u8]) -> Option<&[u8]> {
    match name {
        [] | [0, ..] => None,
        [length, rest @ ..] => rest.get(usize::from(*length)..),
    }
}

/// The name, and each that it is below.
fn with_ancestors(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    iter::successors(Some(name), |name| parent(name))
}

pub(super) fn is_below(name: &[u8], apex: &[u8]) -> bool {
    with_ancestors(name)
        .take_while(|own| own.len() >= apex.len())
        .any(|own| own == apex)
}

pub(super) fn reverse_name(address: Ipv4Addr) -> Vec<u8> {
    let [a, b, c, d] = address.octets();
    wire(&format!("{d}.{c}.{b}.{a}.in-addr.arpa"))
}

/// Zones that no forwarder is asked for (RFC 6303, RFC 6761, RFC 8375): they are of this network or of none.
static LOCAL: LazyLock<HashSet<Vec<u8>>> = LazyLock::new(|| {
    const NAMES: [&str; 12] = [
        "localhost",
        "local",
        "invalid",
        "test",
        "onion",
        "home.arpa",
        "internal",
        "10.in-addr.arpa",
        "168.192.in-addr.arpa",
        "254.169.in-addr.arpa",
        "127.in-addr.arpa",
        "0.in-addr.arpa",
    ];
    let private = (16..32).map(|octet| wire(&format!("{octet}.172.in-addr.arpa")));
    NAMES.into_iter().map(wire).chain(private).collect()
});

/// Whether a name is in a zone that no forwarder is asked for.
pub(super) fn is_local(name: &[u8]) -> bool {
    with_ancestors(name).any(|zone| LOCAL.contains(zone))
}
