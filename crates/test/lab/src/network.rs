//! The cables and the switch: namespaces, a bridge, and a veth pair for each host.
//!
//! Every interface is made inside a namespace of the lab, so the machine's own network never sees one. The
//! switch is a bridge in a namespace of its own: what a host does to its interface, the switch survives.

use anyhow::Context as _;
use faros_model::ids::MacAddr;

use crate::{
    folder::HostRecord,
    run::{ip, run},
};

/// Name of the bridge in the switch's namespace.
pub const BRIDGE: &str = "br0";

/// Name of the bridge that stands for the uplink, in the switch's namespace too, so that its cable can be a bad one.
pub const UPLINK_BRIDGE: &str = "br1";

/// The ports of that bridge: to the host beyond the uplink, and to the bastion.
pub const UPLINK_PORTS: (&str, &str) = ("wan0", "wan1");

/// The bastion's interface on the LAN.
pub const BASTION_LAN: &str = "lan0";

/// The bastion's interface on the uplink.
pub const BASTION_UPLINK: &str = "uplink0";

/// Address of the host at the other end of the uplink: gateway and resolver (RFC 5737 documentation block).
pub const UPLINK_HOST: &str = "203.0.113.1";

/// Address of the bastion on the uplink.
pub const UPLINK_BASTION: &str = "203.0.113.2";

/// The namespace of one part of a lab.
pub fn namespace(lab: &str, part: &str) -> String {
    format!("faros-{lab}-{part}")
}

/// All namespaces of a lab that exist.
pub fn namespaces(lab: &str) -> anyhow::Result<Vec<String>> {
    let prefix = namespace(lab, "");
    let listed = ip("netns list")?;
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    // A lab called `a` must not take those of a lab called `a-b` for its own.
    let part_of_ours = |name: &&str| {
        name.strip_prefix(&prefix).is_some_and(|part| {
            matches!(part, "lan" | "uplink" | "bastion") || part.starts_with("c.") || part.starts_with("n.")
        })
    };
    Ok(names.filter(part_of_ours).map(str::to_owned).collect())
}

/// The namespace of a client.
pub fn client_namespace(lab: &str, client: &str) -> String {
    namespace(lab, &format!("c.{client}"))
}

/// The namespace of a native node.
pub fn node_namespace(lab: &str, node: &str) -> String {
    namespace(lab, &format!("n.{node}"))
}

/// Makes the switch, the uplink and the bastion, and the cable between these two.
pub fn make(lab: &str) -> anyhow::Result<()> {
    let (switch, uplink, bastion) = (
        namespace(lab, "lan"),
        namespace(lab, "uplink"),
        namespace(lab, "bastion"),
    );
    for name in [&switch, &uplink, &bastion] {
        make_namespace(name)?;
    }
    for bridge in [BRIDGE, UPLINK_BRIDGE] {
        ip(&format!(
            "-n {switch} link add {bridge} type bridge forward_delay 0 mcast_snooping 0"
        ))?;
        ip(&format!("-n {switch} link set {bridge} up"))?;
    }
    let (to_uplink, to_bastion) = UPLINK_PORTS;
    for (port, interface, inside) in [
        (to_uplink, "eth0", &uplink),
        (to_bastion, BASTION_UPLINK, &bastion),
    ] {
        ip(&format!(
            "-n {switch} link add {port} type veth peer name {interface} netns {inside}"
        ))?;
        ip(&format!("-n {switch} link set {port} master {UPLINK_BRIDGE} up"))?;
    }
    ip(&format!("-n {uplink} address add {UPLINK_HOST}/24 dev eth0"))?;
    ip(&format!("-n {uplink} link set eth0 up"))?;
    ip(&format!(
        "-n {bastion} address add {UPLINK_BASTION}/24 dev {BASTION_UPLINK}"
    ))?;
    ip(&format!("-n {bastion} link set {BASTION_UPLINK} up"))?;
    ip(&format!("-n {bastion} route add default via {UPLINK_HOST}"))?;
    whole_checksums(&uplink, "eth0")?;
    whole_checksums(&bastion, BASTION_UPLINK)
}

/// Makes a namespace with a loopback interface that works, and without IPv6 chatter.
pub fn make_namespace(name: &str) -> anyhow::Result<()> {
    ip(&format!("netns add {name}"))?;
    ip(&format!("-n {name} link set lo up"))?;
    run(
        "ip",
        &[
            "netns",
            "exec",
            name,
            "sysctl",
            "-q",
            "-w",
            "net.ipv6.conf.default.disable_ipv6=1",
        ],
    )?;
    Ok(())
}

/// Plugs a namespace into the switch: a cable from `host.interface` to `host.port`.
pub fn plug(lab: &str, host: &HostRecord) -> anyhow::Result<()> {
    let HostRecord {
        namespace: inside,
        interface,
        port,
        mac,
    } = host;
    let switch = namespace(lab, "lan");
    let address = mac.map(|mac| format!("address {mac}")).unwrap_or_default();
    ip(&format!(
        "-n {switch} link add {port} type veth peer name {interface} {address} netns {inside}"
    ))?;
    ip(&format!("-n {switch} link set {port} master {BRIDGE} up"))?;
    ip(&format!("-n {inside} link set {interface} up"))?;
    whole_checksums(inside, interface)
}

/// Makes a tap in the switch's namespace, for a machine to open.
pub fn make_tap(lab: &str, port: &str) -> anyhow::Result<()> {
    let switch = namespace(lab, "lan");
    if ip(&format!("-n {switch} link show dev {port}")).is_err() {
        ip(&format!("-n {switch} tuntap add dev {port} mode tap"))?;
        ip(&format!("-n {switch} link set {port} master {BRIDGE} up"))?;
    }
    Ok(())
}

/// Has the interface send whole checksums. A veth leaves them to hardware that it has not got; clients
/// that read raw frames, as DHCP clients do, would see them wrong.
fn whole_checksums(namespace: &str, interface: &str) -> anyhow::Result<()> {
    run(
        "ip",
        &[
            "netns", "exec", namespace, "ethtool", "-K", interface, "tx", "off",
        ],
    )
    .context("cannot switch checksum offload off")?;
    Ok(())
}

/// Ends every process in the lab's namespaces and removes them.
pub fn remove(lab: &str) -> anyhow::Result<()> {
    let names = namespaces(lab)?;
    for signal in ["-TERM", "-KILL"] {
        let mut any = false;
        for name in &names {
            let pids = ip(&format!("netns pids {name}")).unwrap_or_default();
            let pids: Vec<&str> = pids.split_whitespace().collect();
            if !pids.is_empty() {
                any = true;
                // One that ended by itself in between makes `kill` fail; the rest were told all the same.
                drop(run("kill", &[&[signal], &pids[..]].concat()));
            }
        }
        if !any {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    for name in &names {
        ip(&format!("netns delete {name}"))?;
    }
    Ok(())
}

/// A locally administered address that follows from the names, so that a client keeps its own.
pub fn mac_of(lab: &str, client: &str) -> MacAddr {
    // FNV-1a: stable across versions of the standard library, as `DefaultHasher` need not be.
    let hash = format!("{lab}/{client}")
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let [a, b, c, d, ..] = hash.to_be_bytes();
    MacAddr([0x02, 0xfa, a, b, c, d])
}
