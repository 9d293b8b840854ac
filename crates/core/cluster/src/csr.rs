//! Which requests for certificates are approved.
//!
//! Kubernetes signs what is approved, and in a cluster of Faros nobody but the bastion approves. Two kinds of request
//! are ours, the kubelets': the client certificate by which a node is a node, and the certificate that it serves
//! with. Each is approved only if everything in it and about it names the same node of the site, and nothing else;
//! the rest is left to people, or denied with its reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

use faros_model::{
    ids::{HostName, SessionId},
    site::{Node, Site},
};
use jiff::Timestamp;

use crate::join::Grant;

/// Signs the certificates by which kubelets are nodes.
pub const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";

/// Signs the certificates that kubelets serve with.
pub const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";

/// The group of tokens as kubeadm makes them for nodes.
pub const BOOTSTRAPPERS: &str = "system:bootstrappers:kubeadm:default-node-token";

const NODES: &str = "system:nodes";
const NODE: &str = "system:node:";
const TOKEN: &str = "system:bootstrap:";

/// A request for a certificate: the object of Kubernetes, and what is in the request itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Csr {
    /// The object's name.
    pub name: String,
    /// Who is to sign.
    pub signer: String,
    /// Who made the object, by the API server.
    pub username: String,
    /// Their groups.
    pub groups: Vec<String>,
    /// What the certificate is to be good for.
    pub usages: Vec<String>,
    /// What it is to say; `None` if the request cannot be read.
    pub request: Option<Request>,
}

/// What a request (RFC 2986) is to be answered with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// Whether its signature is that of its own key.
    pub is_signed: bool,
    /// Common names of the subject.
    pub common_names: Vec<String>,
    /// Organizations of the subject.
    pub organizations: Vec<String>,
    /// Whether the subject has other parts.
    pub has_other_subject: bool,
    /// Alternative names: hosts.
    pub dns_names: Vec<String>,
    /// Alternative names: addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether it asks for anything else: other names, other extensions.
    pub has_other: bool,
}

/// What is known besides the request.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The site.
    pub site: &'a Site,
    /// Tokens that were given.
    pub grants: &'a [Grant],
    /// Boot sessions of the nodes that are live, and not closed.
    pub live: &'a BTreeMap<HostName, SessionId>,
    /// Nodes whose boot was closed, because another machine may be using their name.
    pub closed: &'a BTreeSet<HostName>,
    /// When.
    pub now: Timestamp,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is approved, for this node. The token that it was made with is used up with it.
    Approve {
        /// The node.
        node: HostName,
        /// The token, if it was made with one.
        token_id: Option<String>,
    },
    /// It is denied.
    Deny(Denied),
    /// It is none of ours: people decide.
    Leave,
}

macro_rules! denied {
    ($($(#[doc = $doc:literal])* $variant:ident => $label:literal, $message:literal;)*) => {
        /// Why a request is denied.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Denied {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Denied {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable word.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }

            /// What it means, as a sentence without its full stop.
            pub const fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)* }
            }
        }
    };
}

denied! {
    /// The request cannot be read, or is signed by another key.
    Unreadable => "unreadable", "the request is no PKCS #10 that is signed by its own key";
    /// It has no name, or several.
    NoName => "no-name", "the request does not ask for one common name that begins with `system:node:`";
    /// The node is not in the site file.
    UnknownNode => "unknown-node", "the site file has no such node";
    /// Another machine may be using its name.
    IdentityConflict => "identity-conflict", "two machines claim to be the node, or it is not the machine it was";
    /// The organization is not that of nodes alone.
    WrongOrganization => "wrong-organization", "the request asks for other organizations than `system:nodes`";
    /// It asks for more than a kubelet needs.
    Extra => "extra", "the request asks for names or extensions that a kubelet has no use for";
    /// Its usages are others than the signer's.
    WrongUsages => "wrong-usages", "the request asks for other usages than its kind of certificate has";
    /// It was made by somebody who may not ask for it.
    WrongRequester => "wrong-requester", "it was made neither by the node itself nor with a token that was given to it";
    /// The token was given to another node.
    TokenOfAnother => "token-of-another", "it was made with a token that was given to another node";
    /// The token is unknown here.
    UnknownToken => "unknown-token", "it was made with a token that the bastion did not give, or has withdrawn";
    /// The token is too old.
    TokenExpired => "token-expired", "it was made with a token that has expired";
    /// The token was used for another request.
    TokenUsed => "token-used", "it was made with a token that was used already";
    /// The node has booted since, or is in no boot.
    OtherSession => "other-session", "the token was given in a boot of the node that is over, or is closed";
    /// A name that is not the node's.
    WrongDnsName => "wrong-dns-name", "the request asks for a host name that is not the node's";
    /// An address that is not the node's.
    WrongAddress => "wrong-address", "the request asks for an address that is not the node's";
    /// A certificate to serve with names nobody.
    NoAddress => "no-address", "the request names neither the node's host name nor its address";
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

/// Decides on a request.
pub fn decide(csr: &Csr, known: &Known<'_>) -> Decision {
    let decided = match csr.signer.as_str() {
        KUBELET_CLIENT => client(csr, known),
        KUBELET_SERVING => serving(csr, known),
        _ => return Decision::Leave,
    };
    match decided {
        Ok((node, token_id)) => Decision::Approve { node, token_id },
        Err(why) => Decision::Deny(why),
    }
}

type Approved = (HostName, Option<String>);

fn client(csr: &Csr, known: &Known<'_>) -> Result<Approved, Denied> {
    let (node, request) = named(csr, known)?;
    if !request.dns_names.is_empty() || !request.addresses.is_empty() {
        return Err(Denied::Extra);
    }
    is_for(csr, "client auth")?;
    let name = node.name.clone();
    if is_by_node(csr, node) {
        return Ok((name, None));
    }
    let token = csr.username.strip_prefix(TOKEN).ok_or(Denied::WrongRequester)?;
    if !csr.groups.iter().any(|group| group == BOOTSTRAPPERS) {
        return Err(Denied::WrongRequester);
    }
    let grant = known.grants.iter().find(|grant| grant.token_id == token);
    let grant = grant.ok_or(Denied::UnknownToken)?;
    if grant.node != name {
        return Err(Denied::TokenOfAnother);
    }
    if grant.expires < known.now {
        return Err(Denied::TokenExpired);
    }
    // The kubelet asks again under the same name until it is answered.
    if grant.used_for.as_ref().is_some_and(|used| *used != csr.name) {
        return Err(Denied::TokenUsed);
    }
    if known.live.get(&name) != Some(&grant.session) {
        return Err(Denied::OtherSession);
    }
    Ok((name, Some(token.to_owned())))
}

fn serving(csr: &Csr, known: &Known<'_>) -> Result<Approved, Denied> {
    let (node, request) = named(csr, known)?;
    is_for(csr, "server auth")?;
    if !is_by_node(csr, node) {
        return Err(Denied::WrongRequester);
    }
    let whole = known.site.zone().child(&node.name);
    let is_its = |name: &String| *name == node.name.as_str() || *name == whole.as_str();
    if !request.dns_names.iter().all(is_its) {
        return Err(Denied::WrongDnsName);
    }
    if !request
        .addresses
        .iter()
        .all(|address| *address == IpAddr::V4(node.address))
    {
        return Err(Denied::WrongAddress);
    }
    if request.dns_names.is_empty() && request.addresses.is_empty() {
        return Err(Denied::NoAddress);
    }
    Ok((node.name.clone(), None))
}

/// The node that a request names, and that it names nothing that no kubelet's certificate has.
fn named<'a>(csr: &'a Csr, known: &Known<'a>) -> Result<(&'a Node, &'a Request), Denied> {
    let request = csr.request.as_ref().filter(|request| request.is_signed);
    let request = request.ok_or(Denied::Unreadable)?;
    let [name] = request.common_names.as_slice() else {
        return Err(Denied::NoName);
    };
    let name = name.strip_prefix(NODE).ok_or(Denied::NoName)?;
    let node = known.site.nodes.values().find(|node| node.name.as_str() == name);
    let node = node.ok_or(Denied::UnknownNode)?;
    if known.closed.contains(&node.name) {
        return Err(Denied::IdentityConflict);
    }
    if request.organizations != [NODES] {
        return Err(Denied::WrongOrganization);
    }
    if request.has_other_subject || request.has_other {
        return Err(Denied::Extra);
    }
    Ok((node, request))
}

/// A key of RSA enciphers too.
fn is_for(csr: &Csr, purpose: &str) -> Result<(), Denied> {
    let usages: BTreeSet<&str> = csr.usages.iter().map(String::as_str).collect();
    let needed = BTreeSet::from(["digital signature", purpose]);
    let may = BTreeSet::from(["digital signature", "key encipherment", purpose]);
    if usages.is_superset(&needed) && usages.is_subset(&may) {
        Ok(())
    } else {
        Err(Denied::WrongUsages)
    }
}

fn is_by_node(csr: &Csr, node: &Node) -> bool {
    csr.username.strip_prefix(NODE) == Some(node.name.as_str())
        && csr.groups.iter().any(|group| group == NODES)
}

#[cfg(test)]
mod tests;
