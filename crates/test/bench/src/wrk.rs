//! Requests over HTTP by `wrk`.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, ensure};

use crate::place::{inside, said};

/// What `wrk` is to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wrk<'a> {
    pub(crate) connections: usize,
    pub(crate) seconds: u32,
    /// Further headers.
    pub(crate) headers: &'a [&'a str],
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Came {
    /// Requests per second.
    pub(crate) rate: f64,
    /// How many in all.
    pub(crate) requests: f64,
    /// Time of an answer, by percentile.
    pub(crate) took: BTreeMap<u8, Duration>,
    pub(crate) failed: u64,
}

impl Came {
    pub(crate) fn microseconds(&self, percentile: u8) -> anyhow::Result<f64> {
        let took = self.took.get(&percentile);
        Ok(took.context("wrk does not tell the percentile")?.as_secs_f64() * 1e6)
    }
}

impl Wrk<'_> {
    /// Puts the load on; one answer in a thousand may fail.
    pub(crate) fn run(self, namespace: &str, url: &str) -> anyhow::Result<Came> {
        let (connections, seconds) = (format!("-c{}", self.connections), format!("-d{}s", self.seconds));
        let mut words = vec!["wrk", "-t1", &connections, &seconds, "--latency"];
        for header in self.headers {
            words.extend(["-H", header]);
        }
        words.push(url);
        let text = said(inside(namespace, &words).output())?;
        let came = parse(&text).with_context(|| format!("wrk said: {text}"))?;
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let failed = came.failed as f64;
        ensure!(
            came.requests > 0.0 && failed <= came.requests / 1000.0,
            "too much failed: {text}"
        );
        Ok(came)
    }
}

fn parse(text: &str) -> Option<Came> {
    let lines = || text.lines().map(str::trim);
    let requests = lines().find_map(|line| line.split_once(" requests in ")?.0.parse().ok())?;
    let rate = lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok())?;
    let took = lines().filter_map(|line| {
        let (percentile, took) = line.split_once('%')?;
        Some((percentile.parse().ok()?, duration(took.trim())?))
    });
    let errors = lines().filter_map(|line| {
        line.strip_prefix("Socket errors:")
            .or_else(|| line.strip_prefix("Non-2xx or 3xx responses:"))
    });
    let numbers = errors.flat_map(|line| line.split(|c: char| !c.is_ascii_digit()));
    Some(Came {
        rate,
        requests,
        took: took.collect(),
        failed: numbers.filter_map(|number| number.parse::<u64>().ok()).sum(),
    })
}

/// `wrk` tells times as `17.00us`, `1.20ms` or `2.01s`.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 2s test @ http://203.0.113.2/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   497.22us    1.03ms  21.77ms   97.57%
    Req/Sec    84.49k    14.92k  102.96k    60.00%
  Latency Distribution
     50%  341.00us
     75%  398.00us
     90%  573.00us
     99%    4.60ms
  168121 requests in 2.00s, 38.16MB read
  Socket errors: connect 1, read 20, write 0, timeout 3
Requests/sec:  83949.72
Transfer/sec:     19.05MB
";

    #[test]
    fn what_wrk_says_is_understood() -> anyhow::Result<()> {
        let came = parse(SAID).context("not understood")?;
        assert_eq!(
            (came.rate, came.requests, came.failed),
            (83_949.72, 168_121.0, 24)
        );
        assert_eq!(came.took.get(&50), Some(&Duration::from_micros(341)));
        assert_eq!(came.took.get(&99), Some(&Duration::from_micros(4600)));
        Ok(())
    }

    #[test]
    fn what_wrk_does_not_say_is_not_made_up() {
        assert_eq!(
            parse("unable to connect to 203.0.113.2:80 Connection refused"),
            None
        );
    }
}
