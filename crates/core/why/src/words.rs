//! Times, sizes and events in the words of somebody who watches.

use faros_model::event::{Event, EventKind};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    facts::Facts as _,
    moment::{Moment, Told},
};

/// How long something took: `0.4 s`, `1 m 05 s`, `2 h 10 m`.
pub fn took(time: SignedDuration) -> String {
    let seconds = time.as_secs().max(0);
    match seconds {
        0..60 => format!("{:.1} s", time.as_secs_f64().max(0.0)),
        60..3_600 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} m", seconds / 3_600, seconds / 60 % 60),
    }
}

/// How long ago something was, in short: `12 s ago`, `5 m ago`, `3 h ago`, `2 d ago`.
pub fn ago(now: Timestamp, at: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs();
    match seconds {
        ..0 => format!("in {} s", -seconds),
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} m ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// A size: `512 B`, `73 KiB`, `37.2 MiB`, `1.4 GiB`.
pub fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let of = |unit: u64| bytes as f64 / unit as f64;
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", of(1 << 20)),
        _ => format!("{:.1} GiB", of(1 << 30)),
    }
}

/// Bytes in a second, if the time can be measured.
pub(crate) fn rate(bytes: u64, time: SignedDuration) -> Option<u64> {
    let milliseconds = u64::try_from(time.as_millis()).ok().filter(|ms| *ms > 0)?;
    Some(bytes.saturating_mul(1_000) / milliseconds)
}

/// An event in the words of somebody who watches its machine.
pub fn told(event: &Event) -> String {
    match Moment::of(event) {
        Moment::FirmwareAsks => return "its firmware asks for an address".to_owned(),
        Moment::LoaderAsks => return "its boot loader asks for an address".to_owned(),
        Moment::SystemAsks => return "its system asks for an address".to_owned(),
        Moment::Script(Told::Install) => return "is told to install itself".to_owned(),
        Moment::Script(Told::LocalDisk) => {
            return with("is told to boot its own disk", event.word("reason"));
        }
        Moment::Script(Told::Nothing) => return with("is told to boot nothing", event.word("reason")),
        Moment::StageStarted(stage) => return format!("begins the stage `{stage}`"),
        Moment::StageDone(stage) => return format!("has done the stage `{stage}`"),
        Moment::Booted => return "reports that its system is up".to_owned(),
        Moment::IgnitionFetched => return "reports that it has its Ignition config".to_owned(),
        Moment::Installed => return "reports that it is installed".to_owned(),
        Moment::Started => return "reports that it started from its disk".to_owned(),
        Moment::Failed => return with("reports a failure", &failure(event)),
        _ => (),
    }
    match event.kind {
        EventKind::DhcpOffer => match event.word("bootFile") {
            "" => format!("is offered {}, and no boot file", event.word("address")),
            file => format!("is offered {} and {file}", event.word("address")),
        },
        EventKind::DhcpRequest => format!("asks for {}", event.word("address")),
        EventKind::DhcpAck => format!("has {}", event.word("address")),
        EventKind::DhcpNak => with(
            &format!("is refused {}", event.word("address")),
            event.word("reason"),
        ),
        EventKind::DhcpDecline => format!("finds {} in use by somebody else", event.word("address")),
        EventKind::DhcpRelease => format!("gives {} back", event.word("address")),
        EventKind::DhcpInform => "asks for DHCP options".to_owned(),
        EventKind::RogueDhcpServer => {
            format!("another DHCP server is on the LAN: {}", event.word("server"))
        }
        EventKind::AddressConflict => match event.word("mac") {
            "" => format!("{} is in use by somebody else", event.word("address")),
            mac => format!("{} is in use by {mac}", event.word("address")),
        },
        EventKind::LoaderFetched
        | EventKind::KernelFetched
        | EventKind::InitramfsFetched
        | EventKind::ContentFetched => {
            let bytes = event.number("bytes").unwrap_or(0);
            format!(
                "has {}, {} in {}",
                event.word("name"),
                size(bytes),
                took(event.transfer_time())
            )
        }
        EventKind::TransferFailed => with(
            &format!(
                "has {} of {} of {}, and no more",
                size(event.number("bytes").unwrap_or(0)),
                size(event.number("of").unwrap_or(0)),
                event.word("name")
            ),
            event.word("reason"),
        ),
        EventKind::IgnitionServed => "is given its Ignition config".to_owned(),
        EventKind::NodeReady => "is ready, Kubernetes says".to_owned(),
        EventKind::NodeNotReady => with("is not ready, Kubernetes says", message(event)),
        EventKind::NodePressure => match event.word("of") {
            "" => "has enough of everything again, Kubernetes says".to_owned(),
            what => with(&format!("is short of {what}, Kubernetes says"), message(event)),
        },
        EventKind::CertificateApproved => format!("has a certificate by {}", event.word("signer")),
        EventKind::CertificateDenied => with(
            &format!("is denied a certificate by {}", event.word("signer")),
            message(event),
        ),
        EventKind::ClusterState => format!("the cluster is {} now", event.word("to")),
        EventKind::CredentialsIssued => format!(
            "{} gets the role {} in the cluster",
            event.word("user"),
            event.word("role")
        ),
        EventKind::JoinWaiting => with("waits to join the cluster", message(event)),
        EventKind::JoinHanded => format!("is handed what joins it to the cluster: {}", event.word("action")),
        EventKind::JoinRefused => with("is refused what joins it to the cluster", message(event)),
        EventKind::TendRefused => with("is not believed to be of the cluster", message(event)),
        EventKind::IgnitionRefused => with("is refused an Ignition config", message(event)),
        EventKind::NodeReport => {
            let said = [event.word("said"), event.word("kubelet")];
            let said = said.into_iter().find(|said| !said.is_empty()).unwrap_or_default();
            with(&format!("reports `{}`", event.word("report")), said)
        }
        EventKind::UnlockAdvertised => "asks for the unlock keys".to_owned(),
        EventKind::UnlockRecovered => "is helped to unlock its disk".to_owned(),
        EventKind::UnlockRefused => with("is refused help to unlock", message(event)),
        EventKind::UnlockLockdown => with("all unlocking is stopped", event.word("reason")),
        EventKind::UnlockLockdownLifted => "unlocking is allowed again".to_owned(),
        EventKind::IdentityConflict => format!(
            "is not who it was: its {} is {} and not {}",
            event.word("what"),
            event.word("found"),
            event.word("expected")
        ),
        EventKind::PhaseOverdue => format!(
            "is overdue in phase {}: {} s of {} s",
            event.word("phase"),
            fact(event, "seconds"),
            fact(event, "limit")
        ),
        EventKind::PhaseChanged => format!("is {} now", event.word("to")),
        EventKind::NodeArmed => format!("is armed by {}", event.word("by")),
        EventKind::NodeDisarmed => with("is disarmed", event.word("reason")),
        EventKind::ServiceReady => format!("the service {} is ready", event.word("service")),
        EventKind::ServiceFailed => with(
            &format!("the service {} is not ready", event.word("service")),
            event.word("reason"),
        ),
        EventKind::InterfaceLost => format!("the interface {} went away", event.word("interface")),
        EventKind::InterfaceBack => format!("the interface {} came back", event.word("interface")),
        EventKind::RouterRepaired => format!("someone changed the router's {}", event.word("what")),
        EventKind::ContentDamaged => format!("{} in the content store is damaged", event.word("name")),
        EventKind::DaemonStarted => "farosd started".to_owned(),
        EventKind::DaemonStopping => with("farosd stops", event.word("reason")),
        kind => kind.to_string(),
    }
}

/// An event as evidence: its number, how long ago it was, and what it says.
pub(crate) fn cite(now: Timestamp, event: &Event) -> String {
    format!("event {}, {}: {}", event.seq, ago(now, event.at), told(event))
}

/// What a report of a failure says: the code, the stage, the message, as far as they are there.
pub(crate) fn failure(event: &Event) -> String {
    let stage = match event.word("stage") {
        "" => String::new(),
        stage => format!(" in stage `{stage}`"),
    };
    let code = match event.word("code") {
        "" => "failed",
        code => code,
    };
    with(&format!("{code}{stage}"), message(event))
}

/// The message of an event; its reason, if it has none.
pub(crate) fn message(event: &Event) -> &str {
    match event.word("message") {
        "" => event.word("reason"),
        message => message,
    }
}

/// What, and why if somebody says why.
pub fn with(what: &str, why: &str) -> String {
    if why.is_empty() {
        what.to_owned()
    } else {
        format!("{what}: {why}")
    }
}

/// `3 times`, `once`.
pub(crate) fn times(n: usize) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

/// The text of a fact, whatever its type.
pub(crate) fn fact(event: &Event, key: &str) -> String {
    match event.detail.get(key) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_short_and_right_at_their_edges() {
        let seconds = SignedDuration::from_millis;
        let took = [0, 59_949, 60_000, 3_599_999, 3_600_000, -5].map(|ms| took(seconds(ms)));
        assert_eq!(
            took,
            ["0.0 s", "59.9 s", "1 m 00 s", "59 m 59 s", "1 h 00 m", "0.0 s"]
        );
        let sizes = [0, 1_023, 1_024, 1_048_576, 1_610_612_736].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1 KiB", "1.0 MiB", "1.5 GiB"]);
        let now = Timestamp::UNIX_EPOCH;
        let ago =
            [0, 119, 120, 7_199, 7_200, 172_800, -3].map(|s| ago(now, now - SignedDuration::from_secs(s)));
        assert_eq!(
            ago,
            [
                "0 s ago",
                "119 s ago",
                "2 m ago",
                "119 m ago",
                "2 h ago",
                "2 d ago",
                "in 3 s"
            ]
        );
    }
}
