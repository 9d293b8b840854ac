//! Files over HTTP, in the ways in which a client may want less than all of one.

use std::fs;

use anyhow::Context as _;
use faros_model::api::ServiceState;

use crate::world::{Machine, NODE_MAC, Outcome, SITE, World};

const FILE: &str = "/usr/lib/ipxe/undionly.kpxe";
const URL: &str = "http://192.168.8.1:8080/loader/undionly.kpxe";

/// A bastion and a machine on its LAN, and the file as it should be.
struct Fetch {
    world: World,
    machine: Machine,
    whole: Vec<u8>,
}

impl Fetch {
    async fn new() -> anyhow::Result<Self> {
        let mut world = World::without_interface()?;
        let machine = Machine::plug(&world, NODE_MAC)?;
        machine.0.ip("address add 192.168.8.200/24 dev eth0")?;
        world.start().await?;
        world.apply(SITE).await?;
        world.all_are(ServiceState::Ready).await?;
        let whole = fs::read(FILE)?;
        Ok(Self {
            world,
            machine,
            whole,
        })
    }

    /// What curl gets with these words: the status, the head in lower case, and the body.
    fn get(&self, words: &str) -> anyhow::Result<(u16, String, Vec<u8>)> {
        let path = self.world.dir.path().join("got");
        fs::write(&path, "")?;
        let words = format!("-D - -o {} {words} {URL}", path.display());
        let (status, head) = self.machine.http(&words)?;
        Ok((status, head.to_lowercase(), fs::read(&path)?))
    }
}

#[tokio::test]
async fn curl_gets_several_parts_of_a_file_at_once() -> Outcome {
    let fetch = Fetch::new().await?;
    let size = fetch.whole.len();
    let (status, head, body) = fetch.get("-r 0-9,100-119,-5")?;
    assert_eq!(status, 206, "{head}");
    let length = format!("content-length: {}\r", body.len());
    assert!(head.contains(&length), "{head}");
    let boundary = head
        .split_once("content-type: multipart/byteranges; boundary=")
        .and_then(|(_, rest)| rest.lines().next())
        .context("no boundary")?
        .trim();
    let mut rest = body.as_slice();
    for (first, last) in [(0, 9), (100, 119), (size - 5, size - 1)] {
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n");
        let (lead, after) = rest.split_at(end.context("no part")? + 4);
        let lead = String::from_utf8_lossy(lead).to_lowercase();
        assert!(lead.starts_with(&format!("\r\n--{boundary}\r\n")), "{lead}");
        let range = format!("content-range: bytes {first}-{last}/{size}\r");
        assert!(lead.contains(&range), "{lead}");
        let part = after.get(..last + 1 - first).context("it is cut off")?;
        assert!(part == &fetch.whole[first..=last], "{range}");
        rest = &after[part.len()..];
    }
    let last = String::from_utf8_lossy(rest).to_lowercase();
    assert_eq!(last, format!("\r\n--{boundary}--\r\n"));
    Ok(())
}

#[tokio::test]
async fn curl_is_sent_nothing_where_there_is_nothing_to_send() -> Outcome {
    let fetch = Fetch::new().await?;
    let size = fetch.whole.len();
    let (status, head, _) = fetch.get("-I")?;
    assert_eq!(status, 200);
    assert!(head.contains(&format!("content-length: {size}\r")), "{head}");
    let etag = head.lines().find_map(|line| line.strip_prefix("etag: "));
    let etag = etag.context("no ETag")?.trim();
    // By this word curl would take a body, if one came.
    let head_only = ["-s", "-X", "HEAD", "-H", "Connection: close"];
    let told = ["-o", "/dev/null", "-w", "%{http_code} %{size_download}", URL];
    let mut curl = fetch.machine.0.command("curl");
    let said = curl.args(head_only).args(told).output()?.stdout;
    assert_eq!(String::from_utf8_lossy(&said), "200 0");

    let (status, head, body) = fetch.get(&format!("-H If-None-Match:{etag}"))?;
    assert_eq!((status, body.len()), (304, 0), "{head}");
    let (status, _, body) = fetch.get("-H If-None-Match:\"another\"")?;
    assert_eq!(status, 200);
    assert!(body == fetch.whole, "it is not the file");

    let (status, head, body) = fetch.get(&format!("-r {size}-"))?;
    assert_eq!((status, body.len()), (416, 0), "{head}");
    let range = format!("content-range: bytes */{size}\r");
    assert!(head.contains(&range), "{head}");
    Ok(())
}
