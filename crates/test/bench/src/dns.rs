//! Names: the site's own with one question in twenty for a name that there is not, over UDP and TCP, and names of
//! others that are in the cache; against BIND, Knot, NSD, dnsmasq, and an echo of the question.

pub(crate) mod config;

use std::{cell::RefCell, net::SocketAddrV4, path::PathBuf};

use anyhow::{Context as _, ensure};
use faros_model::ports::DNS;

use self::config::Names;
use crate::{
    figures::{Figure, OURS, Target},
    place::{inside, said},
    work::{Bench, Contender, Work},
};

const CPU: Figure = Figure::less("CPU of an own name, UDP", "us");
const RATE: Figure = Figure::more("own names, UDP", "1/s");
const TCP_CPU: Figure = Figure::less("CPU of an own name, TCP", "us");
const TCP_RATE: Figure = Figure::more("own names, TCP", "1/s");
const CACHED_CPU: Figure = Figure::less("CPU of a cached name, UDP", "us");
const CACHED_RATE: Figure = Figure::more("cached names, UDP", "1/s");

const BIND: &str = "bind";
const ECHO: &str = "udp echo";

/// The files with the questions: own names, and others'.
#[derive(Default)]
pub(crate) struct Dns(RefCell<Option<(PathBuf, PathBuf)>>);

impl Work for Dns {
    fn name(&self) -> &'static str {
        "dns"
    }

    fn contenders(&self, bench: &Bench) -> anyhow::Result<Vec<Contender>> {
        let names = Names::of(&bench.site);
        let ours = bench.ours()?;
        let own = ours.place.write("own.txt", &names.questions())?;
        let others = (0..200).fold(String::new(), |text, n| text + &format!("www{n}.example.net A\n"));
        let others = ours.place.write("others.txt", &others)?;
        self.0.replace(Some((own, others)));
        let mut all = vec![
            ours,
            config::bind(bench, &names)?,
            config::knot(bench, &names)?,
            config::nsd(bench, &names)?,
            config::dnsmasq(bench, &names)?,
        ];
        let mut echo = bench.peer(ECHO)?;
        let to = SocketAddrV4::new(echo.place.address, DNS).to_string();
        echo.programs
            .push(echo.place.start_control(&["udp-echo", &to, "--dns"])?);
        all.push(echo);
        for contender in &mut all {
            let (client, to) = (contender.place.client()?, contender.place.address);
            for program in &mut contender.programs {
                program.wait_for(&client, move || config::answers(to))?;
            }
        }
        Ok(all)
    }

    fn run(&self, bench: &Bench, contender: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>> {
        let questions = self.0.borrow();
        let (own, others) = questions.as_ref().context("no questions")?;
        let mut figures = Vec::new();
        let mut ask = |file: &PathBuf, mode, rate: Figure, cpu: Figure, no_such: Option<f64>| {
            let seconds = if bench.quick { "1" } else { "2" };
            let (server, file) = (contender.place.address.to_string(), file.to_string_lossy());
            let words = [
                "dnsperf", "-s", &server, "-d", &file, "-m", mode, "-c", "8", "-T", "1", "-q", "100", "-l",
                seconds, "-t", "2",
            ];
            let once = || {
                let before = bench.server_cpu(contender);
                let text = said(inside(&contender.place.client()?, &words).output())?;
                anyhow::Ok((text, bench.server_cpu(contender).since(&before)))
            };
            // On a busy machine it may lose a connection, and ends when it reads from it.
            let (text, spent) = once().or_else(|_| once())?;
            let came = parse(&text).with_context(|| format!("dnsperf said: {text}"))?;
            ensure!(came.answered > 0.0, "nothing was answered: {text}");
            ensure!(came.lost <= came.answered / 20.0, "too much was lost: {text}");
            if let Some(share) = no_such {
                let is = came.no_such / came.answered;
                ensure!(
                    (is - share).abs() < 0.01,
                    "{is} of the names are not there: {text}"
                );
            }
            figures.push((cpu, spent.as_secs_f64() * 1e6 / came.answered));
            figures.push((rate, came.rate));
            anyhow::Ok(())
        };
        let is_echo = contender.name == ECHO;
        let share = (!is_echo).then_some(config::NO_SUCH);
        ask(own, "udp", RATE, CPU, share)?;
        if !is_echo {
            ask(own, "tcp", TCP_RATE, TCP_CPU, share)?;
        }
        if matches!(contender.name, OURS | BIND | config::DNSMASQ) {
            ask(others, "udp", CACHED_RATE, CACHED_CPU, Some(0.0))?;
        }
        Ok(figures)
    }

    fn targets(&self) -> &'static [Target] {
        const {
            &[
                Target::ratio(CPU.name, ECHO, 1.1),
                Target::ratio(CPU.name, BIND, 0.6),
                Target::ratio(CPU.name, "knot", 1.0),
            ]
        }
    }
}

/// What `dnsperf` tells.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Came {
    answered: f64,
    lost: f64,
    rate: f64,
    no_such: f64,
}

fn parse(text: &str) -> Option<Came> {
    let after = |key: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    let codes = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Response codes:"))?;
    let no_such = codes
        .split(',')
        .find_map(|code| code.trim().strip_prefix("NXDOMAIN ")?.split_whitespace().next());
    Some(Came {
        answered: after("Queries completed:")?,
        lost: after("Queries lost:")?,
        rate: after("Queries per second:")?,
        no_such: no_such.map_or(Some(0.0), |count| count.parse().ok())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dnsperf_says_is_understood() {
        let text = "Statistics:

  Queries sent:         175000
  Queries completed:    174998 (100.00%)
  Queries lost:         2 (0.00%)

  Response codes:       NOERROR 166249 (95.00%), NXDOMAIN 8749 (5.00%)
  Average packet size:  request 50, response 80
  Run time (s):         1.000572
  Queries per second:   174897.950

  Average Latency (s):  0.000512 (min 0.000035, max 0.003105)
";
        let came = Came {
            answered: 174_998.0,
            lost: 2.0,
            rate: 174_897.95,
            no_such: 8749.0,
        };
        assert_eq!(parse(text), Some(came));
        assert_eq!(parse("[Timeout] Query timed out: msg id 0"), None);
    }
}
