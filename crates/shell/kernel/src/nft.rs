//! The kernel's packet filter, by the program `nft`: one transaction in, one table out.
//!
//! The text goes to `nft -f -`, which hands it to the kernel as one transaction; what was decided about that is
//! in `docs/decisions/0008-nft-text.md`. Whether anyone changed any table since is asked of the kernel itself
//! ([`generation`]), which costs some microseconds; it also tells of changes ([`crate::changes`]).

use std::{
    io,
    os::fd::AsRawFd as _,
    process::{Output, Stdio},
};

use nix::sys::{
    socket::{MsgFlags, recv},
    time::{TimeVal, TimeValLike as _},
};
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::{changes, netfilter};

/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN`.
const GET_GENERATION: u16 = (10 << 8) | 16;

/// Why the packet filter could not be set or read.
#[derive(Debug, thiserror::Error)]
pub enum Nft {
    /// The program cannot be run.
    #[error("cannot run nft; Debian has it in the package nftables")]
    Run(#[source] io::Error),
    /// It refused.
    #[error("nft refuses{}: {said}", line.as_ref().map(|line| format!(" `{line}`")).unwrap_or_default())]
    Refused {
        /// The line of the text that it refused, where it told.
        line: Option<String>,
        /// Its first line.
        said: String,
    },
}

/// Hands a text to the kernel as one transaction: all of it, or nothing. The number of the process that did it, by which
/// the kernel tells of it ([`changes::Author`]).
///
/// # Errors
/// What nft or the kernel refused, with the line.
pub async fn apply(text: &str) -> Result<u32, Nft> {
    let (output, pid) = run(&["-f", "-"], text).await?;
    if output.status.success() {
        return Ok(pid);
    }
    Err(refused(&String::from_utf8_lossy(&output.stderr), text))
}

/// A table as nft prints it; `None` if there is none.
///
/// # Errors
/// If nft cannot be run or the table cannot be read.
pub async fn list(family: &str, table: &str) -> Result<Option<String>, Nft> {
    let (output, _) = run(&["list", "table", family, table], "").await?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
    } else if said.contains("No such file or directory") {
        Ok(None)
    } else {
        Err(refused(&said, ""))
    }
}

/// The chains of all tables as nft prints them, without their rules.
///
/// # Errors
/// If nft cannot be run.
pub async fn chains() -> Result<String, Nft> {
    let (output, _) = run(&["list", "chains"], "").await?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(refused(&String::from_utf8_lossy(&output.stderr), ""))
    }
}

async fn run(args: &[&str], input: &str) -> Result<(Output, u32), Nft> {
    let mut command = Command::new("nft");
    command.args(args).kill_on_drop(true);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(Nft::Run)?;
    // Nobody has waited for it yet, so it has a number.
    let pid = child.id().unwrap_or_default();
    if let Some(mut stdin) = child.stdin.take() {
        // If nft does not read to the end, it says why.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    Ok((child.wait_with_output().await.map_err(Nft::Run)?, pid))
}

/// nft says `/dev/stdin:12:3-9: Error: what is wrong`.
fn refused(said: &str, text: &str) -> Nft {
    let first = said.lines().next().unwrap_or_default();
    let place = first.split_once(": Error: ");
    let number = place.and_then(|(place, _)| place.split(':').nth(1)?.parse::<usize>().ok());
    let line = number.and_then(|number| text.lines().nth(number.checked_sub(1)?));
    Nft::Refused {
        line: line.map(|line| line.trim().to_owned()),
        said: place.map_or(first, |(_, what)| what).to_owned(),
    }
}

/// The number of the last transaction on any table: another one than before means that someone changed
/// something.
///
/// # Errors
/// If the kernel cannot be asked.
pub fn generation() -> io::Result<u32> {
    let ask = netfilter::open(TimeVal::milliseconds(500))?;
    // `NLM_F_REQUEST`
    netfilter::send(&ask, GET_GENERATION, 1, 0, &[])?;
    let mut answer = [0; 512];
    let length = recv(ask.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    let answer = answer.get(..length).unwrap_or_default();
    generation_in(answer).ok_or_else(|| io::Error::other("the kernel does not say its ruleset's generation"))
}

/// The attribute `NFTA_GEN_ID` of an `NFT_MSG_NEWGEN`.
fn generation_in(answer: &[u8]) -> Option<u32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    if kind != changes::NEW_GENERATION {
        return None;
    }
    let id = changes::attribute(answer, 1)?;
    Some(u32::from_be_bytes(id.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_line() {
        let said = "/dev/stdin:2:8-11: Error: syntax error, unexpected dnat\n chain dnat { }\n       ^^^^\n";
        let error = refused(said, "table inet faros {\n chain dnat { }\n}");
        assert_eq!(
            error.to_string(),
            "nft refuses `chain dnat { }`: syntax error, unexpected dnat"
        );
        assert_eq!(
            refused("netlink: Error: cache", "").to_string(),
            "nft refuses: cache"
        );
        assert_eq!(refused("", "").to_string(), "nft refuses: ");
    }

    #[test]
    fn what_is_no_answer_has_no_generation() {
        assert_eq!(generation_in(&[]), None);
        assert_eq!(generation_in(&[0; 64]), None);
    }
}
