//! What the bastion's balancer does, as files for `HAProxy` and `keepalived`, for those who must keep them.
//!
//! Services, servers, checks and their rhythm are the same. What is not: connections pass through a process, end
//! when that does, and servers see the balancer's address.

use std::{collections::BTreeSet, fmt::Write as _};

use faros_balancer::{Affinity, Check, Service, services, virtual_addresses};
use faros_model::site::{Site, Transport};

/// Where `HAProxy` finds the certificates of `balancer.apiCa`.
pub const API_CA: &str = "/etc/haproxy/api-ca.crt";

/// A `haproxy.cfg` (`HAProxy` 2.4 or newer).
pub fn haproxy(site: &Site) -> String {
    let name = format!("api.{}", site.zone());
    let mut out = format!(
        "# haproxy.cfg of {}, made by `farosctl render haproxy`. Where keepalived moves the addresses, set
# net.ipv4.ip_nonlocal_bind=1, so that a standby can start without them.
global
    log stdout format short daemon

defaults
    mode tcp
    log global
    option tcplog
    option dontlognull
    option redispatch
    retries 3
    timeout connect 5s
    timeout client 10m
    timeout server 10m
    timeout check 2s
    default-server inter 1s fastinter 400ms downinter 3s rise 2 fall 3 slowstart 20s
",
        site.zone()
    );
    // Writing to a `String` cannot fail.
    let _ = match site.balancer.api_ca {
        Some(_) => writeln!(
            out,
            "\n# The certificates of `balancer.apiCa` belong into {API_CA}."
        ),
        None => writeln!(
            out,
            "\n# Without `balancer.apiCa` the certificates of the API's servers are not judged here."
        ),
    };
    for service in services(site) {
        let (Some(vip), Transport::Tcp) = (service.vip, service.transport) else {
            let _ = writeln!(
                out,
                "\n# {}: {}/{} is not for HAProxy to balance.",
                service.name,
                service.port,
                service.transport.as_str()
            );
            continue;
        };
        let Service { name: own, port, .. } = &service;
        let _ = writeln!(out, "\nfrontend {own}\n    bind {vip}:{port}");
        if own == "machine-config" {
            let nodes = site.nodes.values().map(|node| node.address);
            let nodes: BTreeSet<String> = nodes
                .chain(site.bootstrap())
                .map(|address| address.to_string())
                .collect();
            let nodes: Vec<String> = nodes.into_iter().collect();
            let _ = writeln!(
                out,
                "    # It has secrets of the cluster, without a password.\n    tcp-request connection reject \
                 unless {{ src {} }}",
                nodes.join(" ")
            );
        }
        let _ = writeln!(out, "    default_backend {own}\n\nbackend {own}");
        out.push_str(match service.affinity {
            Affinity::None => "    balance random\n",
            Affinity::Source => "    balance source\n    hash-type consistent\n",
        });
        let check = match service.check {
            Check::Https(asked) => {
                let path = asked.path;
                let well = if asked.may_be_forbidden {
                    "200|401|403"
                } else {
                    "200|401"
                };
                let _ = writeln!(
                    out,
                    "    option httpchk\n    http-check send meth GET uri {path} ver HTTP/1.1 hdr Host {name}\n    \
                     http-check expect rstatus ^({well})$"
                );
                let verify = match (&site.balancer.api_ca, own.as_str()) {
                    (Some(_), "api") => format!("required ca-file {API_CA} verifyhost {name}"),
                    _ => "none".to_owned(),
                };
                format!(" check check-ssl check-sni {name} verify {verify}")
            }
            Check::Tcp => " check".to_owned(),
            Check::None => String::new(),
        };
        for backend in &service.backends {
            let note = if backend.is_bootstrap {
                "    # Until the control plane is there; then take it out.\n"
            } else {
                ""
            };
            let _ = writeln!(
                out,
                "{note}    server {} {}{check}",
                backend.name, backend.address
            );
        }
    }
    out
}

/// A `keepalived.conf` (keepalived 2.2 or newer): the same on each machine that may hold the addresses.
pub fn keepalived(site: &Site) -> String {
    let zone = site.zone();
    let vips = virtual_addresses(site);
    let interface = match site.lan.interfaces.as_slice() {
        [only] => only.as_str(),
        _ => "faros-lan",
    };
    let mut out = format!(
        "# keepalived.conf of {zone}, made by `farosctl render keepalived`. The same on each machine; the one with the
# highest address wins where priorities are equal. Where multicast is lost, add unicast_src_ip and unicast_peer.
global_defs {{
    router_id {}
    enable_script_security
}}
",
        site.name
    );
    if vips.is_empty() {
        out.push_str("\n# Both virtual IPs are the bastion's own address: there is nothing to move.\n");
        return out;
    }
    let addresses: Vec<String> = vips
        .iter()
        .map(|vip| format!("        {vip}/{} dev {interface}\n", site.lan.subnet.prefix()))
        .collect();
    let _ = write!(
        out,
        "
# Whoever has no HAProxy holds nothing. What is behind that is its own business: a machine that gave the addresses
# away because servers are down would only cut off whoever is connected.
vrrp_track_process haproxy {{
    process haproxy
    delay 1
}}

vrrp_instance {} {{
    # Nobody is master by right, so that an address does not move back when a machine returns.
    state BACKUP
    nopreempt
    interface {interface}
    # From the zone's name: two sites on one switch must not have the same.
    virtual_router_id {}
    priority 100
    advert_int 1
    track_process {{
        haproxy
    }}
    virtual_ipaddress {{
{}    }}
}}
",
        site.name,
        virtual_router(zone.as_str()),
        addresses.concat()
    );
    out
}

/// A number from 1 to 255 for a name (FNV-1a, folded).
fn virtual_router(name: &str) -> u8 {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    u8::try_from(hash % 255).unwrap_or(0) + 1
}
