//! From the site to what is balanced: addresses, ports, backends, and how each backend is asked whether it is well.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddrV4},
};

use faros_model::{
    ports::{
        CONSOLE, DHCP_SERVER, DNS, INGRESS_HTTP, INGRESS_HTTPS, KUBERNETES_API, MACHINE_CONFIG, NETBOOT_HTTP,
        NTP, REGISTRY, SSH, TFTP, UNLOCK,
    },
    site::{Distribution, IngressAffinity, PublishedTarget, Role, Site, Transport},
};

/// Ports on which the bastion itself answers.
const BASTION: &[u16] = &[
    SSH,
    DNS,
    DHCP_SERVER,
    TFTP,
    NTP,
    NETBOOT_HTTP,
    UNLOCK,
    CONSOLE,
    REGISTRY,
];

/// A port on a virtual IP, and who is behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name: `api`, `machine-config`, `ingress-http`, `ingress-https`, or that of a published port.
    pub name: String,
    /// Its protocol.
    pub transport: Transport,
    /// Its port, on the LAN as on the uplink.
    pub port: u16,
    /// Its virtual IP on the LAN; `None` if it is there for the uplink alone, because the port is taken.
    pub vip: Option<Ipv4Addr>,
    /// What decides which backend a client gets.
    pub affinity: Affinity,
    /// How backends are asked whether they are well.
    pub check: Check,
    /// Who answers.
    pub backends: Vec<Backend>,
}

/// What decides which backend a new connection gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affinity {
    /// Chance.
    None,
    /// The client's address: it stays with its backend as long as that is in.
    Source,
}

/// What is asked for over HTTPS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpsPath {
    /// The path.
    pub path: &'static str,
    /// Whether a server is well that forbids strangers the path (403). Where the site's own configuration lets them
    /// ask, an API server says so only while it cannot read its roles: it begins, or its etcd has no majority.
    pub may_be_forbidden: bool,
}

/// How a backend is asked whether it is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// By HTTPS: the path answers 200.
    Https(HttpsPath),
    /// It takes TCP connections.
    Tcp,
    /// It is not asked: the protocol has no question that every server answers.
    None,
}

/// A server behind a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// The node's name, `bootstrap`, or the address of who is neither.
    pub name: String,
    /// Where it answers.
    pub address: SocketAddrV4,
    /// Whether it is the bootstrap machine, which goes when the control plane is there.
    pub is_bootstrap: bool,
}

impl Check {
    /// In words.
    pub fn words(self) -> String {
        match self {
            Self::Https(own) => format!("https {}", own.path),
            Self::Tcp => "tcp connect".to_owned(),
            Self::None => "not checked".to_owned(),
        }
    }
}

/// The addresses that the bastion holds on the LAN beside its own.
pub fn virtual_addresses(site: &Site) -> BTreeSet<Ipv4Addr> {
    let own = site.lan.addresses;
    [own.api, own.ingress]
        .into_iter()
        .filter(|vip| *vip != own.bastion)
        .collect()
}

/// What is balanced at a site, in the order in which it is told.
pub fn services(site: &Site) -> Vec<Service> {
    let own = site.lan.addresses;
    let of_role = |role: Role, port: u16| -> Vec<Backend> {
        let nodes = site.nodes.values().filter(|node| node.roles.contains(&role));
        let backend = |node: &faros_model::site::Node| Backend {
            name: node.name.to_string(),
            address: SocketAddrV4::new(node.address, port),
            is_bootstrap: false,
        };
        nodes.map(backend).collect()
    };
    let control_plane = |port: u16| {
        let mut backends = of_role(Role::ControlPlane, port);
        backends.extend(site.bootstrap().map(|address| Backend {
            name: "bootstrap".to_owned(),
            address: SocketAddrV4::new(address, port),
            is_bootstrap: true,
        }));
        backends
    };
    let ingress = |port: u16| {
        let workers = of_role(Role::Worker, port);
        if workers.is_empty() {
            of_role(Role::ControlPlane, port)
        } else {
            workers
        }
    };
    let affinity = match site.balancer.ingress_affinity {
        IngressAffinity::None => Affinity::None,
        IngressAffinity::Source => Affinity::Source,
    };
    let service = |name: &str, vip, port, check, affinity, backends| Service {
        name: name.to_owned(),
        transport: Transport::Tcp,
        port,
        vip: Some(vip),
        affinity,
        check,
        backends,
    };
    let mut services = vec![
        service(
            "api",
            own.api,
            KUBERNETES_API,
            Check::Https(HttpsPath {
                path: "/readyz",
                may_be_forbidden: site.cluster.distribution != Distribution::Kubeadm,
            }),
            Affinity::None,
            control_plane(KUBERNETES_API),
        ),
        service(
            "ingress-http",
            own.ingress,
            INGRESS_HTTP,
            Check::Tcp,
            affinity,
            ingress(INGRESS_HTTP),
        ),
        service(
            "ingress-https",
            own.ingress,
            INGRESS_HTTPS,
            Check::Tcp,
            affinity,
            ingress(INGRESS_HTTPS),
        ),
    ];
    if site.cluster.distribution.has_machine_config() {
        let machine_config = service(
            "machine-config",
            own.api,
            MACHINE_CONFIG,
            Check::Https(HttpsPath {
                path: "/healthz",
                may_be_forbidden: true,
            }),
            Affinity::None,
            control_plane(MACHINE_CONFIG),
        );
        services.insert(1, machine_config);
    }
    for published in &site.uplink.publish {
        let PublishedTarget::Port {
            name,
            protocol,
            port,
            to,
        } = &published.what
        else {
            continue;
        };
        let taken = services
            .iter()
            .any(|other| (other.vip, other.transport, other.port) == (Some(own.ingress), *protocol, *port));
        let bastions = own.ingress == own.bastion && BASTION.contains(port);
        // A port may be called as one of ours is.
        let is_ours = services.iter().any(|other| other.name == name.as_str());
        let backend = |address: &SocketAddrV4| Backend {
            name: named(site, *address.ip()),
            address: *address,
            is_bootstrap: false,
        };
        services.push(Service {
            name: if is_ours {
                format!("port-{name}")
            } else {
                name.to_string()
            },
            transport: *protocol,
            port: *port,
            vip: (!taken && !bastions).then_some(own.ingress),
            affinity: Affinity::None,
            check: match protocol {
                Transport::Tcp => Check::Tcp,
                Transport::Udp => Check::None,
            },
            backends: to.iter().map(backend).collect(),
        });
    }
    services
}

/// The node's name, else the address.
fn named(site: &Site, address: Ipv4Addr) -> String {
    let node = site.nodes.values().find(|node| node.address == address);
    node.map_or_else(|| address.to_string(), |node| node.name.to_string())
}

/// What is balanced, in words: what a plan shows and compares.
pub fn facts(site: &Site) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let vips: Vec<String> = virtual_addresses(site).iter().map(ToString::to_string).collect();
    facts.insert(
        "holds".to_owned(),
        if vips.is_empty() {
            "no address but the bastion's own".to_owned()
        } else {
            vips.join(", ")
        },
    );
    let authority = match site.cluster.distribution {
        _ if site.balancer.api_ca.is_some() => "the site file's",
        Distribution::Kubeadm => "the cluster's own",
        Distribution::Openshift | Distribution::None => "none: any certificate will do",
    };
    facts.insert("authority of the API".to_owned(), authority.to_owned());
    let mut servers: BTreeMap<String, String> = BTreeMap::new();
    for service in services(site) {
        let at = service
            .vip
            .map_or_else(|| "the uplink alone".to_owned(), |vip| vip.to_string());
        let by = match service.affinity {
            Affinity::None => "",
            Affinity::Source => ", by the client's address",
        };
        let nobody = if service.backends.is_empty() {
            ", by nobody"
        } else {
            ""
        };
        let text = format!(
            "{}/{} on {at}{by}{nobody}; {}",
            service.port,
            service.transport.as_str(),
            service.check.words(),
        );
        facts.insert(format!("service {}", service.name), text);
        for own in &service.backends {
            let known = servers
                .entry(format!("server {}", own.name))
                .and_modify(|known| known.push_str(", "))
                .or_insert_with(|| format!("{} for ", own.address.ip()));
            *known += &service.name;
            if own.address.port() != service.port {
                *known += " (";
                *known += &own.address.port().to_string();
                *known += ")";
            }
        }
    }
    facts.append(&mut servers);
    facts
}
