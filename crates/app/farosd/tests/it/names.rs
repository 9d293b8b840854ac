//! What `dig` gets where an answer is long, and where some of the forwarders do not know.

use std::fmt::Write as _;

use anyhow::ensure;
use faros_model::{api::ServiceState, plan::Service};

use crate::world::{Guarded, Outcome, SITE, World};

const FORWARDER: &str = "dnsmasq -k -C /dev/null --no-resolv --no-hosts --pid-file= --user=root --bind-interfaces --edns-packet-max=512";

/// As many records as no datagram has room for.
const MANY: usize = 100;

impl World {
    /// A bastion with these forwarders, and a name of many addresses.
    async fn with_forwarders(forwarders: &[&str]) -> anyhow::Result<Self> {
        let mut world = Self::new()?;
        world.start().await?;
        let mut dns = format!(
            "  dns:\n    forwarders: [{}]\n    records:\n",
            forwarders.join(", ")
        );
        for n in 1..=MANY {
            writeln!(dns, "      - {{name: many, a: 198.51.100.{n}}}")?;
        }
        world
            .apply(&SITE.replacen("  nodes:", &format!("{dns}  nodes:"), 1))
            .await?;
        world.all_are(ServiceState::Ready).await?;
        Ok(world)
    }

    /// A forwarder at this address of the bastion.
    async fn forwarder(&self, address: &str, words: &str) -> anyhow::Result<Guarded> {
        self.net.ip(&format!("address add {address}/32 dev lo"))?;
        let words = format!("{FORWARDER} --listen-address={address} {words}");
        self.other_program(&words, &format!("{address}:53")).await
    }

    fn dig(&self, words: &str) -> anyhow::Result<String> {
        self.net
            .output(&format!("dig +time=10 +tries=1 @192.168.8.1 {words}"))
    }

    /// What the name service counted.
    async fn counted(&self, label: &str) -> anyhow::Result<u64> {
        let status = self.status().await?;
        let dns = status.services.iter().find(|own| own.service == Service::Dns);
        Ok(dns.and_then(|own| own.counters.get(label).copied()).unwrap_or(0))
    }
}

#[tokio::test]
async fn dig_is_told_what_was_cut_off_and_gets_it_whole_over_tcp() -> Outcome {
    let world = World::with_forwarders(&["198.51.100.53"]).await?;
    let mut big = String::new();
    for n in 0..MANY {
        write!(big, " --txt-record=big.example.net,record-{n:04}")?;
    }
    let _forwarder = world.forwarder("198.51.100.53", &big).await?;
    for asked in ["many.quay.edge.example.com A", "big.example.net TXT"] {
        for takes in ["+noedns", "+bufsize=600", "+bufsize=4096"] {
            let said = world.dig(&format!("+ignore {takes} {asked}"))?;
            let flags = said.lines().find(|line| line.starts_with(";; flags:"));
            let flags = flags.and_then(|line| line.split(';').nth(2)).unwrap_or_default();
            ensure!(
                flags.contains(" tc") && said.contains("ANSWER: 0"),
                "{asked} {takes}: {said}"
            );
        }
        // Left alone, it asks again over TCP by itself.
        for over in ["+noedns", "+bufsize=4096", "+tcp"] {
            let records = world.dig(&format!("+short {over} {asked}"))?.lines().count();
            assert_eq!(records, MANY, "{asked} {over}");
        }
    }
    let said = world.dig("+edns=1 +noednsnegotiation bastion.quay.edge.example.com")?;
    ensure!(said.contains("status: BADVERS"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_forwarder_that_is_dead_or_does_not_know_is_passed_over() -> Outcome {
    let world = World::with_forwarders(&["198.51.100.54", "198.51.100.55", "198.51.100.53"]).await?;
    // The first one's packets go to nobody.
    world.net.ip("route add 198.51.100.54 dev uplink0")?;
    world
        .net
        .ip("neigh add 198.51.100.54 lladdr 02:00:00:00:00:54 dev uplink0")?;
    let _refuses = world.forwarder("198.51.100.55", "").await?;
    let _knows = world
        .forwarder("198.51.100.53", "--address=/example.net/198.51.100.7")
        .await?;

    let asked = async |name: &str| {
        let said = world.dig(&format!("{name}.example.net"))?;
        let counted = ["dns_forwarder_silent", "dns_forwarder_refused"];
        let counted = [world.counted(counted[0]).await?, world.counted(counted[1]).await?];
        anyhow::Ok((said.contains("198.51.100.7"), counted))
    };
    // On a busy machine any of them may be late, and be passed over for that: then it is asked once more.
    let mut n_asked = 0;
    let mut before = loop {
        let (knows, counted) = asked(&format!("www-{n_asked}")).await?;
        if knows && counted.iter().all(|count| *count > 0) {
            break counted;
        }
        n_asked += 1;
        ensure!(n_asked < 10, "{counted:?}");
    };
    // The one that knew is asked first from now on.
    loop {
        let (knows, counted) = asked(&format!("mail-{n_asked}")).await?;
        if knows && counted == before {
            break;
        }
        n_asked += 1;
        ensure!(n_asked < 20, "{counted:?} after {before:?}");
        before = counted;
    }

    // What none knows is answered as they answer it, not as if nobody had been there.
    let told = async || {
        let refused = world.counted("dns_forwarder_refused").await?;
        anyhow::Ok((refused, world.counted("dns_servfail").await?))
    };
    for n in 0.. {
        let (refused, servfail) = told().await?;
        let said = world.dig("www.example.org")?;
        if said.contains("status: REFUSED") && told().await? == (refused + 2, servfail) {
            break;
        }
        ensure!(n < 10, "{said}");
    }
    Ok(())
}
