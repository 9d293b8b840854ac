//! What goes wrong around a bastion: other people's rules, floods, paths that are narrower or not the way back.

use anyhow::ensure;

use faros_conformance::eventually;

use crate::world::{BASTION_OUTSIDE, NODE, Router, STRANGER, UPLINK};

#[test]
fn a_chain_of_somebody_else_that_drops_what_is_forwarded_is_told() -> anyhow::Result<()> {
    let mut lab = Router::up("t-docker")?;
    lab.serve("uplink", 8000)?;
    // As Docker leaves it, by iptables-nft.
    lab.nft(&["add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }"])?;
    assert_eq!(
        lab.seen_as(NODE, UPLINK, 8000)?,
        None,
        "no other table can let it pass"
    );
    let theirs = lab.nft(&["list", "table", "ip", "filter"])?;
    // It is found when farosd starts, or within a minute.
    lab.site.kill_and_start()?;
    eventually("it is told", || {
        let told = lab.site.farosctl(&["status"])?.0.contains("ip filter FORWARD");
        Ok(told && lab.site.saw("router-trouble")?)
    })?;
    assert_eq!(lab.nft(&["list", "table", "ip", "filter"])?, theirs);
    lab.nft(&["add", "rule", "ip", "filter", "FORWARD", "accept"])?;
    assert_eq!(lab.seen_as(NODE, UPLINK, 8000)?.as_deref(), Some(BASTION_OUTSIDE));
    Ok(())
}

#[test]
fn rules_of_docker_and_of_libvirt_leave_the_bastion_its_work_once_docker_lets_it() -> anyhow::Result<()> {
    // What dockerd does by iptables-nft when it starts; what libvirt does with nftables for its network `default`.
    const DOCKER: &str = "
iptables -N DOCKER && iptables -N DOCKER-USER && iptables -N DOCKER-FORWARD
iptables -P FORWARD DROP
iptables -A FORWARD -j DOCKER-USER && iptables -A FORWARD -j DOCKER-FORWARD
iptables -A DOCKER-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -A DOCKER-FORWARD -o docker0 -j DOCKER && iptables -A DOCKER-FORWARD -i docker0 -j ACCEPT
iptables -A DOCKER ! -i docker0 -o docker0 -j DROP
iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE";
    const LIBVIRT: &str = "table ip libvirt_network {
  chain forward { type filter hook forward priority filter; policy accept; jump guest_cross; jump guest_input; jump guest_output; }
  chain guest_output { ip saddr 192.168.122.0/24 iif \"virbr0\" counter accept; iif \"virbr0\" counter reject; }
  chain guest_input { oif \"virbr0\" ip daddr 192.168.122.0/24 ct state established,related counter accept; oif \"virbr0\" counter reject; }
  chain guest_cross { iif \"virbr0\" oif \"virbr0\" counter accept; }
  chain guest_nat { type nat hook postrouting priority srcnat; policy accept; ip saddr 192.168.122.0/24 ip daddr != 192.168.122.0/24 counter masquerade; }
}";
    let mut lab = Router::up("t-libvirt")?;
    lab.apply("    trustedNetworks: [203.0.113.0/24]\n    publish: [{name: mqtt, port: 8883/tcp, to: [\"node-1:8000\"]}]\n")?;
    lab.serve("uplink", 8000)?;
    lab.serve(NODE, 80)?;
    lab.serve(NODE, 8000)?;
    let works = |lab: &mut Router| -> anyhow::Result<[bool; 3]> {
        let out = lab.seen_as(NODE, UPLINK, 8000)?;
        let published = lab.seen_as("uplink", BASTION_OUTSIDE, 8883)?;
        let balanced = lab.seen_as(NODE, "192.168.8.2", 80)?;
        Ok([
            out.as_deref() == Some(BASTION_OUTSIDE),
            published.as_deref() == Some(UPLINK),
            balanced.as_deref() == Some("192.168.8.1"),
        ])
    };
    eventually("the way out, the way in, and the balancer", || {
        Ok(works(&mut lab)? == [true; 3])
    })?;
    lab.site
        .run("bastion", &["ip", "link", "add", "virbr0", "type", "bridge"])?;
    lab.nft(&[LIBVIRT])?;
    assert_eq!(works(&mut lab)?, [true; 3], "libvirt's are no trouble");
    lab.site.run("bastion", &["sh", "-ec", DOCKER])?;
    assert_eq!(works(&mut lab)?, [false; 3], "no other table can let it pass");
    let ours = ["-s", "list", "table", "inet", "faros"];
    let before = lab.nft(&ours)?;
    lab.site.kill_and_start()?;
    eventually("the way out of it is told", || {
        let said = lab.site.farosctl(&["status"])?.0;
        Ok(said.contains("ip filter FORWARD") && said.contains("iptables -I DOCKER-USER -j ACCEPT"))
    })?;
    lab.site
        .run("bastion", &["iptables", "-I", "DOCKER-USER", "-j", "ACCEPT"])?;
    eventually("what was told helps", || Ok(works(&mut lab)? == [true; 3]))?;
    assert_eq!(lab.nft(&ours)?, before);
    Ok(())
}

#[test]
fn a_flood_of_openings_from_the_lan_leaves_the_bastion_and_the_way_out_to_others() -> anyhow::Result<()> {
    const FLOOD: &str = "
import random, socket, struct
def checksum(data):
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
to = socket.inet_aton('192.168.8.1')
while True:
    source = socket.inet_aton('192.168.8.%d' % random.randint(130, 250))
    tcp = struct.pack('!HHLLBBHHH', random.randint(1024, 65535), 8080, random.getrandbits(32), 0, 0x50, 2, 1024, 0, 0)
    tcp = tcp[:16] + struct.pack('!H', checksum(source + to + struct.pack('!BBH', 0, 6, 20) + tcp)) + tcp[18:]
    ip = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 40, 0, 0, 64, 6, 0, source, to)
    raw.sendto(ip + tcp, ('192.168.8.1', 0))";
    let mut lab = Router::up("t-flood")?;
    lab.serve("uplink", 8000)?;
    let thief = "client:flood";
    lab.site
        .run(thief, &["ip", "address", "add", "192.168.8.60/24", "dev", "eth0"])?;
    lab.python(thief, FLOOD)?;
    let tracked = |lab: &mut Router| -> anyhow::Result<u64> {
        let count = lab
            .site
            .run("bastion", &["sysctl", "-n", "net.netfilter.nf_conntrack_count"])?;
        Ok(count.trim().parse()?)
    };
    eventually("the flood has come", || Ok(tracked(&mut lab)? > 2000))?;
    for _ in 0..20 {
        let path = "http://192.168.8.1:8080/boot/52-54-00-08-00-01.ipxe";
        lab.site
            .run(NODE, &["curl", "-sf", "--retry", "3", "-m", "10", path])?;
        let name = lab.site.run(
            NODE,
            &[
                "dig",
                "+short",
                "+time=5",
                "@192.168.8.1",
                "api.harbour-7.edge.example.com",
            ],
        )?;
        assert_eq!(name.trim(), "192.168.8.2");
        eventually("the way out is open", || {
            Ok(lab.seen_as(NODE, UPLINK, 8000)?.as_deref() == Some(BASTION_OUTSIDE))
        })?;
    }
    let most = lab
        .site
        .run("bastion", &["sysctl", "-n", "net.netfilter.nf_conntrack_max"])?;
    let (now, most) = (tracked(&mut lab)?, most.trim().parse::<u64>()?);
    ensure!(now < most, "{now} of {most}");
    Ok(())
}

#[test]
fn a_path_that_is_narrower_than_the_lan_and_says_nothing_of_it_carries_whole_answers() -> anyhow::Result<()> {
    let mut lab = Router::up("t-narrow")?;
    lab.serve("uplink", 8000)?;
    // The uplink's own MTU is smaller, as with PPPoE; and nobody hears that a packet was too large.
    lab.site
        .run("bastion", &["ip", "link", "set", "uplink0", "mtu", "1400"])?;
    lab.site
        .run("uplink", &["ip", "link", "set", "eth0", "mtu", "1400"])?;
    for host in [NODE, "uplink"] {
        let deaf = "add table ip deaf; add chain ip deaf in { type filter hook input priority 0; }; \
                    add rule ip deaf in icmp type destination-unreachable drop";
        lab.site.run(host, &["nft", deaf])?;
    }
    // More than a window of whole segments, both ways.
    let send = "
import socket
own = socket.create_server(('0.0.0.0', 7001))
while True:
    peer, _ = own.accept()
    got = 0
    while got < 300000: got += len(peer.recv(65536))
    peer.sendall(b'x' * 300000); peer.close()";
    lab.python("uplink", send)?;
    let ask = "
import socket
own = socket.create_connection(('203.0.113.1', 7001), timeout=20)
own.sendall(b'y' * 300000)
got = 0
while True:
    more = own.recv(65536)
    if not more: break
    got += len(more)
print(got)";
    eventually("300 kB go both ways", || {
        Ok(lab.site.said(NODE, &["python3", "-c", ask])?.trim() == "300000")
    })
}

#[test]
fn an_answer_that_comes_by_another_address_of_the_uplink_is_heard() -> anyhow::Result<()> {
    let mut lab = Router::up("t-asymmetric")?;
    lab.apply("    trustedNetworks: [203.0.113.0/24, 198.51.100.0/24]\n    publish: [ssh]\n")?;
    // A second way to the outside, by which nothing is sent: the way back is another than the way in.
    lab.site.run(
        "bastion",
        &["ip", "address", "add", "198.51.100.2/24", "dev", "uplink0"],
    )?;
    lab.site.run(
        "bastion",
        &["ip", "route", "replace", "198.51.100.0/24", "via", UPLINK],
    )?;
    lab.serve("bastion", 22)?;
    let via = ["ip", "route", "add", "198.51.100.2/32", "via", BASTION_OUTSIDE];
    lab.site.run("uplink", &via)?;
    for to in [BASTION_OUTSIDE, "198.51.100.2"] {
        let seen = lab.seen_from("uplink", Some(STRANGER), to, 22)?;
        assert_eq!(seen.as_deref(), Some(STRANGER), "by {to}");
    }
    Ok(())
}
