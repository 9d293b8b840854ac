//! What probes and open connections tell of a backend.

use std::fmt;

/// What came of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// It answered as it should; anything worth telling about how.
    Good(String),
    /// It did not.
    Bad(Fault),
}

/// What became of a connection that was open since a good answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The server ended it.
    Ended,
    /// The machine does not answer for its end any more.
    Silent,
}

/// What is wrong with a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The machine says that nobody listens on the port.
    Refused,
    /// The machine says nothing at all, or nobody knows a way to it.
    Silent,
    /// It took the connection and did not answer in time.
    Slow,
    /// It answered with this HTTP status.
    Status(u16),
    /// It answered something else, or its certificate is not good, in words.
    Wrong(String),
}

impl Fault {
    /// A word for counters and programs.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Silent => "silent",
            Self::Slow => "slow",
            Self::Status(_) => "status",
            Self::Wrong(_) => "wrong",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => write!(f, "refuses connections"),
            Self::Silent => write!(f, "does not answer at all"),
            Self::Slow => write!(f, "takes connections and does not answer in time"),
            Self::Status(status) => write!(f, "answers {status}"),
            Self::Wrong(what) => write!(f, "{what}"),
        }
    }
}
