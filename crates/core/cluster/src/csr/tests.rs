//! One good request of each kind, and everything that can be wrong with it.

use faros_model::site::Site;
use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::tests::{BRANCH_OFFICE, node, site};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

struct World {
    site: Site,
    grants: Vec<Grant>,
    live: BTreeMap<HostName, SessionId>,
    closed: BTreeSet<HostName>,
}

fn world() -> World {
    let first: HostName = "node-1".parse().unwrap();
    World {
        site: site(BRANCH_OFFICE),
        grants: vec![Grant::new("abcdef".into(), first.clone(), SessionId(7), NOW)],
        live: BTreeMap::from([(first, SessionId(7)), ("node-2".parse().unwrap(), SessionId(8))]),
        closed: BTreeSet::new(),
    }
}

impl World {
    fn decide(&self, csr: &Csr) -> Decision {
        self.at(csr, NOW)
    }

    fn at(&self, csr: &Csr, now: Timestamp) -> Decision {
        let Self {
            site,
            grants,
            live,
            closed,
        } = self;
        let known = Known {
            site,
            grants,
            live,
            closed,
            now,
        };
        decide(csr, &known)
    }
}

fn strings(all: &[&str]) -> Vec<String> {
    all.iter().map(|&own| own.to_owned()).collect()
}

fn client() -> Csr {
    Csr {
        name: "node-csr-1".into(),
        signer: KUBELET_CLIENT.into(),
        username: "system:bootstrap:abcdef".into(),
        groups: strings(&["system:bootstrappers", BOOTSTRAPPERS, "system:authenticated"]),
        usages: strings(&["digital signature", "client auth"]),
        request: Some(Request {
            is_signed: true,
            common_names: strings(&["system:node:node-1"]),
            organizations: strings(&["system:nodes"]),
            ..Request::default()
        }),
    }
}

fn serving() -> Csr {
    let site = site(BRANCH_OFFICE);
    let mut csr = client();
    csr.signer = KUBELET_SERVING.into();
    csr.username = "system:node:node-1".into();
    csr.groups = strings(&["system:nodes", "system:authenticated"]);
    csr.usages = strings(&["server auth", "digital signature", "key encipherment"]);
    let request = csr.request.as_mut().unwrap();
    request.dns_names = strings(&["node-1"]);
    request.addresses = vec![IpAddr::V4(node(&site, "node-1").address)];
    csr
}

fn changed(mut csr: Csr, change: impl FnOnce(&mut Csr, &mut Request)) -> Csr {
    let mut request = csr.request.take().unwrap();
    change(&mut csr, &mut request);
    csr.request = Some(request);
    csr
}

fn approved(token: Option<&str>) -> Decision {
    Decision::Approve {
        node: "node-1".parse().unwrap(),
        token_id: token.map(str::to_owned),
    }
}

#[test]
fn what_names_one_node_in_everything_is_approved() {
    let world = world();
    assert_eq!(world.decide(&client()), approved(Some("abcdef")));
    assert_eq!(world.decide(&serving()), approved(None));
    let renewal = changed(client(), |csr, _| {
        csr.username = "system:node:node-1".into();
        csr.groups = strings(&["system:nodes"]);
    });
    // A node that runs has its certificate, whether or not its boot was long ago.
    let later = NOW + SignedDuration::from_hours(24 * 200);
    assert_eq!(world.at(&renewal, later), approved(None));
    assert_eq!(world.at(&serving(), later), approved(None));
}

#[test]
fn everything_that_can_be_wrong_is_denied_with_its_own_reason() {
    let world = world();
    let strangers: IpAddr = "192.0.2.1".parse().unwrap();
    let rows = [
        (
            changed(client(), |_, own| own.is_signed = false),
            Denied::Unreadable,
        ),
        (
            Csr {
                request: None,
                ..client()
            },
            Denied::Unreadable,
        ),
        (
            changed(client(), |_, own| own.common_names.clear()),
            Denied::NoName,
        ),
        (
            changed(client(), |_, own| {
                own.common_names.push("system:node:node-2".into());
            }),
            Denied::NoName,
        ),
        (
            changed(client(), |_, own| {
                own.common_names = strings(&["kubernetes-admin"]);
            }),
            Denied::NoName,
        ),
        (
            changed(client(), |_, own| {
                own.common_names = strings(&["system:node:ghost"]);
            }),
            Denied::UnknownNode,
        ),
        (
            changed(client(), |_, own| {
                own.organizations = strings(&["system:masters"]);
            }),
            Denied::WrongOrganization,
        ),
        (
            changed(client(), |_, own| own.organizations.push("system:masters".into())),
            Denied::WrongOrganization,
        ),
        (
            changed(client(), |_, own| own.dns_names = strings(&["node-1"])),
            Denied::Extra,
        ),
        (
            changed(client(), |_, own| own.addresses = vec![strangers]),
            Denied::Extra,
        ),
        (changed(client(), |_, own| own.has_other = true), Denied::Extra),
        (
            changed(client(), |_, own| own.has_other_subject = true),
            Denied::Extra,
        ),
        (
            changed(client(), |csr, _| csr.usages.push("cert sign".into())),
            Denied::WrongUsages,
        ),
        (
            changed(client(), |csr, _| csr.usages = strings(&["client auth"])),
            Denied::WrongUsages,
        ),
        (
            changed(client(), |csr, _| csr.usages.push("server auth".into())),
            Denied::WrongUsages,
        ),
        (
            changed(client(), |csr, _| csr.username = "eve".into()),
            Denied::WrongRequester,
        ),
        (
            changed(client(), |csr, _| csr.username = "system:node:node-2".into()),
            Denied::WrongRequester,
        ),
        (
            changed(client(), |csr, _| csr.groups.clear()),
            Denied::WrongRequester,
        ),
        (
            changed(client(), |_, own| {
                own.common_names = strings(&["system:node:node-2"]);
            }),
            Denied::TokenOfAnother,
        ),
        (
            changed(client(), |csr, _| csr.username = "system:bootstrap:zzzzzz".into()),
            Denied::UnknownToken,
        ),
        (
            changed(serving(), |csr, _| {
                csr.username = "system:bootstrap:abcdef".into();
            }),
            Denied::WrongRequester,
        ),
        (
            changed(serving(), |csr, _| csr.username = "system:node:node-2".into()),
            Denied::WrongRequester,
        ),
        (
            changed(serving(), |csr, _| csr.usages.push("client auth".into())),
            Denied::WrongUsages,
        ),
        (
            changed(serving(), |_, own| own.dns_names.push("api".into())),
            Denied::WrongDnsName,
        ),
        (
            changed(serving(), |_, own| own.dns_names.push("node-2".into())),
            Denied::WrongDnsName,
        ),
        (
            changed(serving(), |_, own| own.addresses.push(strangers)),
            Denied::WrongAddress,
        ),
        (
            changed(serving(), |_, own| {
                own.addresses.clear();
                own.dns_names.clear();
            }),
            Denied::NoAddress,
        ),
    ];
    for (csr, why) in rows {
        assert_eq!(world.decide(&csr), Decision::Deny(why), "{csr:#?}");
    }
    let words: BTreeSet<_> = Denied::ALL.iter().map(|why| why.label()).collect();
    assert_eq!(words.len(), Denied::ALL.len());
}

#[test]
fn a_token_is_good_once_for_minutes_and_in_its_boot() {
    let mut world = world();
    let late = NOW + crate::join::TOKEN_LIFE + SignedDuration::from_secs(1);
    assert_eq!(world.at(&client(), late), Decision::Deny(Denied::TokenExpired));

    world.grants[0].used_for = Some("node-csr-1".into());
    assert_eq!(
        world.decide(&client()),
        approved(Some("abcdef")),
        "the same question again"
    );
    world.grants[0].used_for = Some("node-csr-2".into());
    assert_eq!(world.decide(&client()), Decision::Deny(Denied::TokenUsed));

    world.grants[0].used_for = None;
    world.live.insert("node-1".parse().unwrap(), SessionId(9));
    assert_eq!(world.decide(&client()), Decision::Deny(Denied::OtherSession));
    world.live.clear();
    assert_eq!(world.decide(&client()), Decision::Deny(Denied::OtherSession));
}

#[test]
fn a_node_that_two_machines_claim_to_be_gets_no_certificate() {
    let mut world = world();
    world.closed.insert("node-1".parse().unwrap());
    for csr in [client(), serving()] {
        assert_eq!(world.decide(&csr), Decision::Deny(Denied::IdentityConflict));
    }
}

#[test]
fn what_is_not_for_kubelets_is_left_to_people() {
    let world = world();
    for signer in ["kubernetes.io/kube-apiserver-client", "example.com/own", ""] {
        let csr = Csr {
            signer: signer.into(),
            ..client()
        };
        assert_eq!(world.decide(&csr), Decision::Leave);
    }
}

fn some(all: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(proptest::sample::select(all).prop_map(str::to_owned), 0..4)
}

proptest! {
    /// Whatever is asked, what is approved is a certificate of one node that is who asks, and of nobody else.
    #[test]
    fn nobody_gets_the_name_of_another(
        signer in proptest::sample::select(&[KUBELET_CLIENT, KUBELET_SERVING][..]),
        username in proptest::sample::select(&["system:node:node-1", "system:node:node-2", "system:bootstrap:abcdef", "system:admin"][..]),
        groups in some(&["system:nodes", BOOTSTRAPPERS, "system:masters"]),
        usages in some(&["digital signature", "client auth", "server auth", "key encipherment", "cert sign"]),
        common_names in some(&["system:node:node-1", "system:node:node-2", "admin"]),
        organizations in some(&["system:nodes", "system:masters"]),
        dns_names in some(&["node-1", "node-2", "api"]),
        flags in any::<[bool; 3]>(),
    ) {
        let [is_signed, has_other_subject, has_other] = flags;
        let request = Request { is_signed, common_names, organizations, has_other_subject, dns_names, addresses: vec![], has_other };
        let csr = Csr { name: "x".into(), signer: signer.into(), username: username.into(), groups, usages, request: Some(request.clone()) };
        if let Decision::Approve { node, token_id } = world().decide(&csr) {
            prop_assert!(is_signed && !has_other && !has_other_subject);
            prop_assert_eq!(&request.common_names, &vec![format!("system:node:{node}")]);
            prop_assert_eq!(&request.organizations, &strings(&["system:nodes"]));
            prop_assert!(!csr.usages.contains(&"cert sign".to_owned()));
            match token_id {
                Some(_) => prop_assert_eq!(node.as_str(), "node-1"),
                None => prop_assert_eq!(username, format!("system:node:{node}")),
            }
            prop_assert!(request.dns_names.iter().all(|name| *name == node.as_str()));
        }
    }
}
