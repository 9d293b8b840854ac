//! Asks for HTTP answers as many clients at once, each over a connection of its own as clevis does.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
    task::JoinSet,
    time::timeout,
};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// What waits at a time where work comes at a rate; a client that has none left gives up.
const MOST_UNDER_WAY: usize = 3000;

/// What to ask, how often, and as whom.
#[derive(Debug, Clone)]
pub struct Load {
    /// Who is asked.
    pub to: SocketAddrV4,
    /// The addresses that the clients have, in turn; whatever the kernel picks if there are none.
    pub from: Vec<Ipv4Addr>,
    /// The whole request.
    pub request: Vec<u8>,
    /// How many ask at a time.
    pub clients: usize,
    /// How many answers are asked for in all.
    pub requests: usize,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Came {
    /// From the first question to the last answer.
    pub elapsed: Duration,
    /// How long each answer took, from the connection on; in order.
    pub took: Vec<Duration>,
    /// How often each status was answered.
    pub statuses: BTreeMap<u16, usize>,
    /// What went wrong, and how often.
    pub failed: BTreeMap<String, usize>,
}

impl Came {
    /// Answers per second.
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    pub fn rate(&self) -> f64 {
        self.took.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// How long the answer took than which `hundredths` of them took no longer.
    pub fn percentile(&self, hundredths: usize) -> Duration {
        let rank = (self.took.len() * hundredths).div_ceil(100).max(1);
        self.took.get(rank - 1).copied().unwrap_or_default()
    }
}

/// A POST of JSON that ends its connection.
pub fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: tang\r\nContent-Type: application/jwk+json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A GET that ends its connection.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: tang\r\nConnection: close\r\n\r\n").into_bytes()
}

/// Puts the load on from inside of a namespace.
///
/// # Errors
/// If the namespace cannot be entered. What goes wrong with an answer is told in what came of it.
pub fn inside(namespace: &str, load: Load) -> anyhow::Result<Came> {
    enter(namespace, move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(runtime.block_on(put_on(load)))
    })
}

/// Works inside of a namespace, on a thread of its own.
///
/// # Errors
/// If the namespace cannot be entered, or the work fails.
pub fn enter<T: Send + 'static>(
    namespace: &str,
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let path = format!("/run/netns/{namespace}");
    let entered = File::open(&path).with_context(|| format!("cannot open {path}"))?;
    let moved = move || -> anyhow::Result<T> {
        // This thread alone moves.
        move_into_link_name_space(entered.as_fd(), Some(LinkNameSpaceType::Network))
            .with_context(|| format!("cannot enter {path}"))?;
        work()
    };
    let done = thread::spawn(moved).join();
    done.map_err(|_| anyhow::anyhow!("the load panicked"))?
}

/// Begins work at a rate from inside of a namespace, whether or not what was begun before is done; what came of it
/// before the time was over, and no more.
///
/// # Errors
/// If the namespace cannot be entered.
pub fn at_rate<F>(
    namespace: &str,
    rate: f64,
    lasts: Duration,
    one: impl Fn(usize) -> F + Send + 'static,
) -> anyhow::Result<Came>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    enter(namespace, move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(runtime.block_on(begin_at(rate, lasts, one)))
    })
}

async fn begin_at<F>(rate: f64, lasts: Duration, one: impl Fn(usize) -> F) -> Came
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let begun = Instant::now();
    let mut all = Came::default();
    let mut tally = |ended: anyhow::Result<Duration>| match ended {
        Ok(took) => all.took.push(took),
        Err(error) => *all.failed.entry(error.to_string()).or_default() += 1,
    };
    let mut under_way = JoinSet::new();
    let (mut n_begun, mut due) = (0_usize, 0.0);
    while begun.elapsed() < lasts {
        while due < begun.elapsed().as_secs_f64() {
            due += rate.recip();
            n_begun += 1;
            if under_way.len() < MOST_UNDER_WAY {
                let work = one(n_begun);
                under_way.spawn(async move {
                    let begun = Instant::now();
                    work.await.map(|()| begun.elapsed())
                });
            }
            // So that a rate that is far too high does not keep this from ever reading an answer.
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        while let Some(Ok(ended)) = under_way.try_join_next() {
            tally(ended);
        }
    }
    all.elapsed = begun.elapsed();
    all.took.sort();
    all
}

async fn put_on(load: Load) -> Came {
    let load = Arc::new(load);
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..load.clients {
        let (load, next) = (Arc::clone(&load), Arc::clone(&next));
        clients.spawn(async move {
            let mut came = Came::default();
            loop {
                let idx = next.fetch_add(1, Ordering::Relaxed);
                if idx >= load.requests {
                    return came;
                }
                let begun = Instant::now();
                let asked = timeout(PATIENCE, ask(&load, idx)).await;
                match asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                    Ok(status) => {
                        *came.statuses.entry(status).or_default() += 1;
                        came.took.push(begun.elapsed());
                    }
                    Err(error) => *came.failed.entry(error.to_string()).or_default() += 1,
                }
            }
        });
    }
    let mut all = Came::default();
    for came in clients.join_all().await {
        all.took.extend(came.took);
        for (status, n) in came.statuses {
            *all.statuses.entry(status).or_default() += n;
        }
        for (why, n) in came.failed {
            *all.failed.entry(why).or_default() += n;
        }
    }
    all.elapsed = begun.elapsed();
    all.took.sort();
    all
}

/// Whether an answer has come with all of its body.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    answer.len() >= end + 4 + length.unwrap_or(0_usize)
}

/// The status of one answer, which is read to its end.
async fn ask(load: &Load, idx: usize) -> io::Result<u16> {
    let socket = TcpSocket::new_v4()?;
    if !load.from.is_empty() {
        let from = load.from[idx % load.from.len()];
        socket.bind(SocketAddrV4::new(from, 0).into())?;
    }
    let mut stream = socket.connect(load.to.into()).await?;
    stream.set_nodelay(true)?;
    stream.write_all(&load.request).await?;
    let mut answer = Vec::with_capacity(1024);
    // Not until it ends: `tangd` keeps the connection whatever it is asked.
    while !is_whole(&answer) && stream.read_buf(&mut answer).await? > 0 {}
    let status = answer
        .get(9..12)
        .and_then(|digits| std::str::from_utf8(digits).ok());
    status
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "there is no answer"))
}
