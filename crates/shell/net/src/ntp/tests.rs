//! The driver on loopback sockets, with a clock of its own: this machine's is never touched.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use faros_model::{api::TimeState, net::Subnet, plan::Service};
use faros_ntp::{LENGTH, Leap, Mode, NtpTime, Packet, Short};
use jiff::SignedDuration;
use tokio::{net::UdpSocket, time::timeout};

use super::*;

/// A clock that is ahead of this machine's by so many nanoseconds.
#[derive(Default)]
struct FakeClock {
    ahead: AtomicI64,
    corrections: Mutex<Vec<Correction>>,
}

impl HostClock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_nanos(self.ahead.load(Ordering::SeqCst))
    }

    fn kernel(&self) -> KernelClock {
        KernelClock::default()
    }

    fn keeper(&self) -> Keeper {
        Keeper::Farosd
    }

    fn correct(&self, correction: Correction) -> std::io::Result<()> {
        if let Correction::Step(by) = correction {
            let nanos = i64::try_from(by.as_nanos()).unwrap_or_default();
            self.ahead.fetch_add(nanos, Ordering::SeqCst);
        }
        let mut all = self.corrections.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(correction);
        Ok(())
    }
}

/// A source that has this machine's time.
async fn upstream() -> anyhow_like::Result<u16> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let port = socket.local_addr()?.port();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let Ok(question) = Packet::decode(&buffer[..length]) else {
                continue;
            };
            let now = NtpTime::of(Timestamp::now());
            let answer = Packet {
                mode: Mode::Server,
                leap: Leap::None,
                stratum: 1,
                precision: -20,
                root_delay: Short(0),
                root_dispersion: Short(66),
                reference: *b"GPS\0",
                reference_time: now,
                origin: question.transmit,
                receive: now,
                transmit: now,
                ..question
            };
            let _ = socket.send_to(&answer.encode(), from).await;
        }
    });
    Ok(port)
}

/// What the tests here end with.
mod anyhow_like {
    pub(super) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
}

#[tokio::test]
async fn a_clock_that_is_an_hour_off_is_set_and_served_until_someone_sets_it_wrong() -> anyhow_like::Result<()>
{
    let host = Arc::new(FakeClock::default());
    host.ahead.store(3_600_000_000_000, Ordering::SeqCst);
    let port = upstream().await?;
    let tables = Tables {
        lan: Subnet::of(Ipv4Addr::new(127, 0, 0, 0), 8),
        bastion: Ipv4Addr::new(127, 0, 0, 9),
        sources: vec!["127.0.0.1".to_owned()],
        orphan_stratum: 10,
    };
    let tables = watch::Sender::new(Arc::new(tables));
    let told = watch::Sender::new(None);
    let mut status = told.subscribe();
    let mut later = told.subscribe();
    let health = Health::new(Service::Ntp);
    // A port that was free a moment ago.
    let own = std::net::UdpSocket::bind("127.0.0.9:0")?.local_addr()?.port();
    let address = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 9), own);
    let ntp = Ntp::bind_at(
        address,
        port,
        tables.subscribe(),
        host.clone(),
        told,
        health.clone(),
    )?;
    let stop = CancellationToken::new();
    let running = tokio::spawn(ntp.run(stop.clone()));

    let client = UdpSocket::bind("127.0.0.1:0").await?;
    client.connect(address).await?;
    let ask = async || -> anyhow_like::Result<Packet> {
        let mut question = [0; LENGTH];
        question[0] = 0x23;
        question[40..].copy_from_slice(&NtpTime::of(Timestamp::now()).0.to_be_bytes());
        client.send(&question).await?;
        let mut answer = [0; 128];
        let length = timeout(Duration::from_secs(2), client.recv(&mut answer)).await??;
        assert_eq!(length, LENGTH);
        Packet::decode(&answer).map_err(|_| "too short".into())
    };
    let early = ask().await?;
    assert_eq!(
        (early.leap, early.stratum),
        (Leap::Unknown, 0),
        "nothing is known yet"
    );
    client.send(&[0x16, 2, 0, 1, 0, 0, 0, 0]).await?;
    client.send(b"hello").await?;

    let synchronized = status.wait_for(|status| {
        let status = status.as_ref();
        status.is_some_and(|status| status.state == TimeState::Synchronized)
    });
    let status = timeout(Duration::from_secs(20), synchronized).await??.clone();
    let status = status.ok_or("a status")?;
    assert_eq!(
        (status.stratum, status.steps, status.kept_by.as_str()),
        (Some(2), 1, "farosd")
    );
    assert_eq!(status.sources[0].state, "best");
    assert!(
        host.ahead.load(Ordering::SeqCst).abs() < 50_000_000,
        "the clock is right"
    );

    let asked = NtpTime::of(Timestamp::now());
    let answer = ask().await?;
    let answered = NtpTime::of(Timestamp::now());
    assert_eq!(
        (answer.leap, answer.stratum, answer.reference),
        (Leap::None, 2, [127, 0, 0, 1])
    );
    // However long the answer was on its way.
    let (early, late) = (asked.since(answer.receive), answer.receive.since(answered));
    assert!(
        early.max(late) < SignedDuration::from_millis(50),
        "{early:?} {late:?}"
    );
    let counters = health.status().counters;
    assert_eq!(counters.get("ntp_answered"), Some(&2));
    for label in ["ntp_control", "ntp_malformed"] {
        assert_eq!(counters.get(label), Some(&1), "{label}");
    }

    // Someone sets it by hand: nobody is told that it is right, from the next look on.
    host.ahead.fetch_add(-7_200_000_000_000, Ordering::SeqCst);
    let wrong = later.wait_for(|status| {
        let status = status.as_ref();
        status.is_some_and(|status| status.offset.is_some_and(|offset| offset > 7_000.0))
    });
    let wrong = timeout(Duration::from_secs(20), wrong).await??.clone();
    let wrong = wrong.ok_or("a status")?;
    assert_eq!((wrong.state, wrong.stratum), (TimeState::Unsynchronized, None));
    assert!(
        wrong.why.contains("7200.0") || wrong.why.contains("7199.9"),
        "{}",
        wrong.why
    );
    let answer = ask().await?;
    assert_eq!((answer.leap, answer.stratum), (Leap::Unknown, 0));
    stop.cancel();
    running.await?;
    Ok(())
}
