use std::{net::SocketAddrV4, time::Duration};

use tokio::net::TcpListener;

use super::*;

const NAME: &str = "api.harbour-7.edge.example.com";

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

#[tokio::test]
async fn nobody_and_somebody_are_told_apart() -> anyhow::Result<()> {
    let prober = Prober::new(NAME, None)?;
    let (listener, address) = listener().await?;
    let good = prober.ask(&probe(address, Check::Tcp)).await;
    assert!(matches!(good, Evidence::Good(_)), "{good:?}");
    drop(listener);
    let bad = prober.ask(&probe(address, Check::Tcp)).await;
    assert_eq!(bad, Evidence::Bad(Fault::Refused));
    Ok(())
}

#[tokio::test]
async fn who_does_not_speak_tls_is_told_so() -> anyhow::Result<()> {
    let prober = Prober::new(NAME, None)?;
    let (listener, address) = listener().await?;
    let serve = tokio::spawn(async move {
        let (mut peer, _) = listener.accept().await?;
        peer.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await
    });
    let bad = prober.ask(&probe(address, Check::Https("/readyz"))).await;
    assert!(matches!(&bad, Evidence::Bad(Fault::Wrong(_))), "{bad:?}");
    serve.await??;
    Ok(())
}

#[test]
fn first_lines_are_judged() {
    for (line, good) in [
        ("HTTP/1.1 200 OK", true),
        ("HTTP/1.0 200", true),
        ("HTTP/1.1 403 Forbidden", true),
        ("HTTP/1.1 500 Internal Server Error", false),
        ("HTTP/2 200", false),
        ("SSH-2.0-OpenSSH", false),
        ("", false),
    ] {
        let evidence = judge(line, "/readyz");
        assert_eq!(
            matches!(evidence, Evidence::Good(_)),
            good,
            "{line}: {evidence:?}"
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
