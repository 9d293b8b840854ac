use std::{net::SocketAddrV4, time::Duration};

use anyhow::Context as _;
use tokio::{io::AsyncWriteExt as _, net::TcpListener};

use super::*;

const NAME: &str = "api.harbour-7.edge.example.com";

/// What strangers may be forbidden to ask.
const READYZ: HttpsPath = HttpsPath {
    path: "/readyz",
    may_be_forbidden: true,
};

fn probe(address: SocketAddrV4, check: Check) -> Probe {
    Probe {
        service: "api".to_owned(),
        address,
        check,
        to_connect: Duration::from_secs(5),
        to_answer: Duration::from_secs(5),
    }
}

async fn listener() -> io::Result<(TcpListener, SocketAddrV4)> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
    match listener.local_addr()? {
        std::net::SocketAddr::V4(own) => Ok((listener, own)),
        std::net::SocketAddr::V6(own) => Err(io::Error::other(own.to_string())),
    }
}

/// Asks as the balancer does; `ask` gives a probe, and what is heard comes from `heard`.
struct Asking {
    ask: mpsc::Sender<Probe>,
    heard: mpsc::UnboundedReceiver<Heard>,
}

impl Asking {
    fn new() -> anyhow::Result<Self> {
        let prober = Prober::new(NAME, None)?;
        let (ask, questions) = mpsc::channel(1);
        let (tell, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move { prober.keep_asking(questions, |own| drop(tell.send(own))).await });
        Ok(Self { ask, heard })
    }

    async fn ask(&mut self, probe: &Probe) -> anyhow::Result<Heard> {
        self.ask.send(probe.clone()).await?;
        self.hear().await
    }

    async fn hear(&mut self) -> anyhow::Result<Heard> {
        self.heard.recv().await.context("nobody asks any more")
    }
}

#[tokio::test]
async fn the_end_of_a_server_is_told_when_it_ends_and_not_when_it_is_asked() -> anyhow::Result<()> {
    let (listener, address) = listener().await?;
    let (mut asking, tcp) = (Asking::new()?, probe(address, Check::Tcp));
    let good = asking.ask(&tcp).await?;
    assert!(
        matches!(good, Heard::Answer(_, Evidence::Good(_), true)),
        "{good:?}"
    );
    let (mut first, _) = listener.accept().await?;
    // It may say what it wants.
    first.write_all(b"220 harbour-7\r\n").await?;
    let good = asking.ask(&tcp).await?;
    assert!(
        matches!(good, Heard::Answer(_, Evidence::Good(_), true)),
        "{good:?}"
    );
    // The connection before is let go, and is not told of.
    let (second, _) = listener.accept().await?;
    drop((first, listener, second));
    let lost = asking.hear().await?;
    assert!(
        matches!(&lost, Heard::Lost(own, Lost::Ended) if *own == tcp),
        "{lost:?}"
    );
    let bad = asking.ask(&tcp).await?;
    assert!(
        matches!(&bad, Heard::Answer(_, Evidence::Bad(Fault::Refused), false)),
        "{bad:?}"
    );
    Ok(())
}

#[tokio::test]
async fn who_floods_whoever_only_looks_is_let_go() -> anyhow::Result<()> {
    let (listener, address) = listener().await?;
    let mut asking = Asking::new()?;
    asking.ask(&probe(address, Check::Tcp)).await?;
    let (mut peer, _) = listener.accept().await?;
    tokio::spawn(async move { while peer.write_all(&[b'x'; 4096]).await.is_ok() {} });
    let lost = asking.hear().await?;
    assert!(matches!(&lost, Heard::Lost(_, Lost::Ended)), "{lost:?}");
    Ok(())
}

#[tokio::test]
async fn who_does_not_speak_tls_is_told_so() -> anyhow::Result<()> {
    let (listener, address) = listener().await?;
    let serve = tokio::spawn(async move {
        let (mut peer, _) = listener.accept().await?;
        peer.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await
    });
    let bad = Asking::new()?.ask(&probe(address, Check::Https(READYZ))).await?;
    assert!(
        matches!(&bad, Heard::Answer(_, Evidence::Bad(Fault::Wrong(_)), false)),
        "{bad:?}"
    );
    serve.await??;
    Ok(())
}

#[test]
fn statuses_are_judged() {
    let open = HttpsPath {
        may_be_forbidden: false,
        ..READYZ
    };
    for (asked, status, good) in [
        (READYZ, 200, true),
        (READYZ, 403, true),
        (READYZ, 401, true),
        (READYZ, 500, false),
        (READYZ, 302, false),
        (open, 200, true),
        (open, 401, true),
        (open, 403, false),
    ] {
        let evidence = StatusCode::from_u16(status).map(|status| judge(status, asked));
        assert_eq!(
            matches!(evidence, Ok(Evidence::Good(_))),
            good,
            "{status}: {evidence:?}"
        );
    }
}

#[test]
fn certificates_that_are_none_are_refused() {
    assert!(
        Prober::new(
            NAME,
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        )
        .is_err()
    );
}
