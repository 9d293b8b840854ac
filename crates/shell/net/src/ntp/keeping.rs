//! Measures the sources, judges the clock by them, and has it put right where farosd keeps it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use faros_model::api::{TimeSource, TimeState, TimeStatus};
use faros_ntp::{
    Clock, Correction, Discipline, Keeper, Source, Standing, State, Status, Tables, Unfit, Verdict, choose,
    stand,
};
use jiff::{SignedDuration, Timestamp};
use tokio::{
    net::{UdpSocket, lookup_host},
    sync::{Notify, watch},
    task::JoinSet,
    time::timeout,
};

use super::{HostClock, received};
use crate::stamp::Stamped;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How long after a name could not be resolved it is tried again.
const RESOLVE_AGAIN: Duration = Duration::from_secs(15);
/// How often the clock is judged though nothing was measured.
const LOOK: Duration = Duration::from_secs(10);
/// A clock that goes by this much in no time was set; steering is slower by far.
const JUMP: SignedDuration = SignedDuration::from_millis(128);

pub(super) struct Keeping {
    pub(super) host: Arc<dyn HostClock>,
    pub(super) clock: watch::Sender<Clock>,
    pub(super) told: watch::Sender<Option<TimeStatus>>,
    pub(super) source_port: u16,
}

/// What is known of all sources.
struct Board {
    tables: Arc<Tables>,
    entries: Vec<Entry>,
    discipline: Discipline,
    steps: u64,
    /// When the clock was last looked at, by a clock that nobody can set, and what it showed.
    looked: Option<(Instant, Timestamp)>,
    /// What the kernel said when it refused to have its clock put right.
    refused: Option<String>,
}

struct Entry {
    source: Option<Source>,
    /// A name that has no address.
    unknown: bool,
}

impl Board {
    /// By how much the clock was set since it was last looked at, if it was.
    fn jumped(&mut self, now: Timestamp) -> Option<SignedDuration> {
        let (since, showed) = self.looked.replace((Instant::now(), now))?;
        let passed = SignedDuration::try_from(since.elapsed()).ok()?;
        let by = now.duration_since(showed) - passed;
        (by.abs() > JUMP).then_some(by)
    }

    /// Has all sources measured anew, by a clock that was set.
    fn forget(&mut self, again: &Notify) {
        for source in self.entries.iter_mut().filter_map(|entry| entry.source.as_mut()) {
            source.clock_was_set();
        }
        again.notify_waiters();
    }
}

impl Keeping {
    pub(super) async fn run(self, mut tables: watch::Receiver<Arc<Tables>>) {
        let keeping = Arc::new(self);
        loop {
            let own = Arc::clone(&tables.borrow_and_update());
            let entries = own.sources.iter().map(|_| Entry {
                source: None,
                unknown: false,
            });
            let board = Arc::new(Mutex::new(Board {
                entries: entries.collect(),
                discipline: Discipline::default(),
                steps: 0,
                looked: None,
                refused: None,
                tables: Arc::clone(&own),
            }));
            let again = Arc::new(Notify::new());
            // Dropped with this round, and with it whoever asks.
            let mut asking = JoinSet::new();
            for (idx, server) in own.sources.iter().cloned().enumerate() {
                let (keeping, board, again) = (Arc::clone(&keeping), Arc::clone(&board), Arc::clone(&again));
                asking.spawn(async move { keeping.measure(idx, &server, &board, &again).await });
            }
            let watch = async {
                loop {
                    keeping.judge(&board, &again);
                    tokio::time::sleep(LOOK).await;
                }
            };
            tokio::select! {
                changed = tables.changed() => if changed.is_err() { return },
                () = watch => (),
            }
        }
    }

    /// Asks one source for as long as it is in the site file.
    async fn measure(&self, idx: usize, server: &str, board: &Mutex<Board>, again: &Notify) {
        let with = |change: &mut dyn FnMut(&mut Entry)| {
            let mut board = lock(board);
            if let Some(entry) = board.entries.get_mut(idx) {
                change(entry);
            }
        };
        loop {
            let Some(peer) = resolve(server, self.source_port).await else {
                with(&mut |entry| {
                    entry.unknown = true;
                    entry.source = None;
                });
                self.judge(board, again);
                tokio::time::sleep(RESOLVE_AGAIN).await;
                continue;
            };
            with(&mut |entry| {
                entry.unknown = false;
                // What was learned of an address stays while its name has it.
                if entry.source.as_ref().is_none_or(|source| source.peer() != peer) {
                    entry.source = Some(Source::new(peer));
                }
            });
            loop {
                // Where the network cannot be reached, the question is lost like any other.
                if let Err(error) = self.exchange(idx, peer, board).await {
                    tracing::debug!(server, %error, "not asked for the time");
                }
                self.judge(board, again);
                let (mut rest, mut lost) = (PATIENCE, false);
                with(&mut |entry| {
                    if let Some(source) = &entry.source {
                        rest = source.rest();
                        lost = source.estimate() == Err(Verdict::Unreachable);
                    }
                });
                tokio::select! {
                    () = tokio::time::sleep(rest) => (),
                    () = again.notified() => (),
                }
                if lost {
                    break;
                }
            }
        }
    }

    /// One question and its answer, from a port of its own.
    async fn exchange(&self, idx: usize, peer: Ipv4Addr, board: &Mutex<Board>) -> io::Result<()> {
        let nonce = getrandom::u64().map_err(io::Error::other)?;
        let ask = || {
            let mut board = lock(board);
            let source = board.entries.get_mut(idx)?.source.as_mut()?;
            Some(source.ask(nonce, self.host.now()))
        };
        let opened = async {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
            socket.connect(SocketAddrV4::new(peer, self.source_port)).await?;
            Stamped::new(socket)
        };
        let opened = opened.await;
        // A question that could not be sent counts as lost.
        let Some(question) = ask() else { return Ok(()) };
        let mut socket = opened?;
        socket.socket().send(&question).await?;
        let answer = async {
            let mut buffer = [0; 512];
            loop {
                let (length, _, stamp) = socket.recv(&mut buffer).await?;
                let came = received(&*self.host, stamp);
                let mut board = lock(board);
                let source = board.entries.get_mut(idx).and_then(|entry| entry.source.as_mut());
                let Some(source) = source else { return Ok(()) };
                if source.answered(&buffer[..length], came) != Err(Unfit::Bogus) {
                    return Ok(());
                }
            }
        };
        timeout(PATIENCE, answer).await.unwrap_or(Ok(()))
    }

    /// Judges the clock, has it put right if that is for us to do, and tells how it stands.
    fn judge(&self, board: &Mutex<Board>, again: &Notify) {
        let mut board = lock(board);
        let now = self.host.now();
        if let Some(by) = board.jumped(now) {
            tracing::warn!(
                seconds = by.as_secs_f64(),
                "someone set the clock; it is measured anew"
            );
            board.forget(again);
        }
        let estimates: Vec<_> = board
            .entries
            .iter()
            .map(|entry| match &entry.source {
                Some(source) => source.estimate(),
                None if entry.unknown => Err(Verdict::Unreachable),
                None => Err(Verdict::Asking),
            })
            .collect();
        let (verdicts, status) = choose(&estimates, &[board.tables.bastion], now);
        let keeper = match (&board.refused, self.host.keeper()) {
            (Some(why), Keeper::Farosd) => Keeper::Nobody(why.clone()),
            (_, keeper) => keeper,
        };
        if let (Keeper::Farosd, Status::Chosen(chosen)) = (&keeper, &status)
            && let Some(correction) = board.discipline.decide(chosen, now)
        {
            match self.host.correct(correction) {
                Ok(()) => {
                    if let Correction::Step(by) = correction {
                        tracing::warn!(seconds = by.as_secs_f64(), "the clock was set");
                        board.steps += 1;
                        board.looked = None;
                        board.forget(again);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the clock cannot be put right");
                    board.refused = Some(format!("the kernel refuses it to farosd: {error}"));
                }
            }
        }
        let standing = stand(
            self.host.kernel(),
            &status,
            &keeper,
            board.tables.orphan_stratum,
            self.host.now(),
        );
        self.clock.send_if_modified(|own| {
            let changed = *own != standing.clock;
            *own = standing.clock;
            changed
        });
        let told = self.tell(&board, &standing, &status, &keeper, &verdicts);
        self.told.send_replace(Some(told));
    }

    fn tell(
        &self,
        board: &Board,
        standing: &Standing,
        status: &Status,
        keeper: &Keeper,
        verdicts: &[Verdict],
    ) -> TimeStatus {
        let sources = board.tables.sources.iter().zip(&board.entries).zip(verdicts);
        let sources = sources.map(|((server, entry), verdict)| {
            let estimate = entry.source.as_ref().and_then(|source| source.estimate().ok());
            let seconds = |of: fn(&faros_ntp::Estimate) -> SignedDuration| {
                estimate.as_ref().map(|estimate| of(estimate).as_secs_f64())
            };
            TimeSource {
                server: server.clone(),
                address: entry.source.as_ref().map(Source::peer),
                state: if entry.unknown {
                    "unknown-name".to_owned()
                } else {
                    verdict.as_str().to_owned()
                },
                stratum: entry.source.as_ref().and_then(Source::stratum),
                offset: seconds(|estimate| estimate.offset),
                delay: seconds(|estimate| estimate.delay),
                jitter: seconds(|estimate| estimate.jitter),
                reach: entry.source.as_ref().map_or(0, Source::reach),
                measured_at: estimate.map(|estimate| estimate.at),
            }
        });
        let (kept_by, keeper) = match keeper {
            Keeper::Farosd => ("farosd", String::new()),
            Keeper::Host(daemon) => ("host", daemon.clone()),
            Keeper::Nobody(why) => ("nobody", why.clone()),
        };
        let clock = standing.clock;
        let known = standing.state != State::Unsynchronized;
        TimeStatus {
            state: match standing.state {
                State::Synchronized => TimeState::Synchronized,
                State::Orphan => TimeState::Orphan,
                State::Unsynchronized => TimeState::Unsynchronized,
            },
            why: standing.why.clone(),
            stratum: known.then_some(clock.stratum),
            reference: known.then(|| clock.reference.into()),
            offset: match status {
                Status::Chosen(chosen) => Some(chosen.offset.as_secs_f64()),
                Status::Disagree | Status::Asking | Status::None => None,
            },
            root_delay: clock.root_delay.as_secs_f64(),
            root_dispersion: clock.dispersion(self.host.now()).as_secs_f64(),
            compared_at: clock.compared,
            kept_by: kept_by.to_owned(),
            keeper,
            kernel_synchronized: self.host.kernel().synchronized,
            steps: board.steps,
            sources: sources.collect(),
        }
    }
}

fn lock(board: &Mutex<Board>) -> std::sync::MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first IPv4 address of a server, by the host's own resolver.
async fn resolve(server: &str, port: u16) -> Option<Ipv4Addr> {
    if let Ok(address) = server.parse() {
        return Some(address);
    }
    let mut found = timeout(Duration::from_secs(10), lookup_host((server, port)))
        .await
        .ok()?
        .ok()?;
    found.find_map(|address| match address {
        SocketAddr::V4(address) => Some(*address.ip()),
        SocketAddr::V6(_) => None,
    })
}
