//! The node gets no address: it was never seen, is not answered, or does not take the answer.

use faros_model::{
    event::{Event, EventKind},
    plan::Service,
    timeline::{Confidence, SpanKind},
};
use jiff::SignedDuration;

use super::{cited, service_says};
use crate::{
    case::Case,
    catalogue::{Found, Rule},
    facts::Facts as _,
    moment::Moment,
    words,
};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        code: "dhcp-not-ready",
        confidence: Confidence::Certain,
        means: "the bastion's DHCP service does not answer, and the node needs an address next",
        told_by: "the state of the service",
        next: "`farosctl status` says why; another DHCP server on the bastion must be stopped",
        find: dhcp_not_ready,
    },
    Rule {
        code: "ignored-mac",
        confidence: Confidence::Certain,
        means: "the site file tells DHCP to ignore the node's MAC",
        told_by: "`lan.ignoredMacs` of the site file",
        next: "take {mac} out of `lan.ignoredMacs` and run `farosctl apply site.yaml`",
        find: ignored_mac,
    },
    Rule {
        code: "address-in-use",
        confidence: Confidence::Likely,
        means: "another machine uses the address that the site file gives to the node",
        told_by: "`address-conflict` or `dhcp-decline` of the node's address",
        next: "find the machine that has {address} (`ip neigh show {address}` on the bastion) and take the address from it, or give {node} another `address` in the site file",
        find: address_in_use,
    },
    Rule {
        code: "second-dhcp-server",
        confidence: Confidence::Likely,
        means: "another DHCP server is on the LAN, and machines may take its answers",
        told_by: "`rogue-dhcp-server`; surest if the node took its offer",
        next: "switch the other DHCP server off, or take it off this LAN; `farosctl events` shows its address",
        find: second_dhcp_server,
    },
    Rule {
        code: "dhcp-refused",
        confidence: Confidence::Likely,
        means: "the node keeps asking for an address that is not its own, and is refused",
        told_by: "`dhcp-nak`, at least twice with no `dhcp-ack` after",
        next: "power-cycle {node}, so that it forgets its old address; if it goes on, look for a second network or DHCP server that it was on",
        find: dhcp_refused,
    },
    Rule {
        code: "architecture-mismatch",
        confidence: Confidence::Likely,
        means: "the firmware is of another processor architecture than the site file says",
        told_by: "the client architecture in `dhcp-discover`",
        next: "set `architecture` of {node} in the site file to what it is, or use the right machine; then `farosctl apply site.yaml`",
        find: architecture_mismatch,
    },
    Rule {
        code: "no-loader-for-firmware",
        confidence: Confidence::Likely,
        means: "there is no boot loader for the kind of firmware that the node has",
        told_by: "`dhcp-offer` or `dhcp-ack` without a boot file to a network-booting firmware",
        next: "set the firmware of {node} to UEFI 64-bit or to legacy BIOS network boot; `farosctl content list` shows the loaders that there are",
        find: no_loader,
    },
    Rule {
        code: "offer-not-heard",
        confidence: Confidence::Likely,
        means: "the node asks, the bastion answers, and the node does not hear it",
        told_by: "`dhcp-discover` at least three times, each with its `dhcp-offer`, and no `dhcp-request`",
        next: "check what is between them: VLAN of the switch port, DHCP snooping, spanning tree (set the port to edge or portfast), cable; `tcpdump -ni LAN port 67` on the bastion",
        find: offer_not_heard,
    },
    Rule {
        code: "no-offer",
        confidence: Confidence::Likely,
        means: "the node asks for an address and is offered none",
        told_by: "`dhcp-discover` at least three times and no `dhcp-offer`",
        next: "`farosctl status --output json` counts what DHCP left unanswered and why",
        find: no_offer,
    },
];

/// Another DHCP server is told of once in a while, as long as it is there.
const ROGUE: SignedDuration = SignedDuration::from_hours(1);

/// Whether an address is what the node needs next.
fn needs_address(case: &Case<'_>) -> bool {
    !case.is_seen() || case.is_in(&[SpanKind::Firmware, SpanKind::Reboot, SpanKind::DiskBoot])
}

fn dhcp_not_ready(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let status = case.not_ready(Service::Dhcp).filter(|_| needs_address(case))?;
    let summary = "the bastion's DHCP service does not answer, so the node gets no address";
    Some(Found::new(summary, vec![service_says(status)]))
}

fn ignored_mac(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let ignored = &case.known.site.lan.ignored_macs;
    let mac = case.known.node.macs().find(|mac| ignored.contains(mac))?;
    let evidence = vec![format!("the accepted site file lists {mac} in `lan.ignoredMacs`")];
    Some(Found::new(
        format!("the site file tells DHCP to ignore {mac}, which is the node's"),
        evidence,
    ))
}

fn address_in_use(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let address = case.known.node.address.to_string();
    let is_it = |event: &&Event| {
        matches!(event.kind, EventKind::AddressConflict | EventKind::DhcpDecline)
            && event.word("address") == address
    };
    let events: Vec<&Event> = case.since_phase().filter(is_it).collect();
    let owner = events.iter().rev().find(|event| {
        event.kind == EventKind::AddressConflict
            && !case
                .known
                .node
                .macs()
                .any(|mac| mac.to_string() == event.word("mac"))
            && !event.word("mac").is_empty()
    });
    let summary = match owner {
        Some(event) => format!(
            "{address}, the node's address, is in use by {}",
            event.word("mac")
        ),
        None => format!("{address}, the node's address, is in use by another machine"),
    };
    (!events.is_empty()).then(|| Found::new(summary, cited(case, &events)))
}

fn second_dhcp_server(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let rogues: Vec<&Event> = case
        .within(ROGUE)
        .filter(|event| event.kind == EventKind::RogueDhcpServer)
        .collect();
    let last = rogues.last()?;
    let took = rogues.iter().rev().find(|event| {
        let own = case.known.node.macs();
        own.map(|mac| mac.to_string()).any(|mac| mac == event.word("mac"))
    });
    let took = took.filter(|event| event.seq >= case.phase.as_ref().map_or(0, |phase| phase.events[0]));
    let (summary, confidence) = match took {
        Some(event) => (
            format!(
                "the node took its address from another DHCP server, {}",
                event.word("server")
            ),
            Confidence::Certain,
        ),
        None => (
            format!(
                "another DHCP server, {}, answers on this LAN",
                last.word("server")
            ),
            if !case.is_seen() || unanswered(case).is_some() {
                Confidence::Likely
            } else if case.is_stalled() {
                Confidence::Possible
            } else {
                Confidence::Aside
            },
        ),
    };
    let mut evidence = cited(case, &rogues);
    evidence.extend(unanswered(case).iter().flat_map(|asked| cited(case, asked)));
    Some(Found::new(summary, evidence).at(confidence))
}

fn dhcp_refused(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let since = case.last(EventKind::DhcpAck).map_or(0, |ack| ack.seq);
    let naks: Vec<&Event> = case
        .recent_all(EventKind::DhcpNak)
        .into_iter()
        .filter(|nak| nak.seq > since)
        .collect();
    let last = naks.last().filter(|_| naks.len() >= 2)?;
    let summary = words::with(
        &format!("the node asks for {} and is refused", last.word("address")),
        last.word("reason"),
    );
    Some(Found::new(summary, cited(case, &naks)))
}

fn architecture_mismatch(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let firmware = case.known.status.firmware.as_deref()?;
    let is_arm = firmware.contains("aarch64") || firmware.contains("-arm");
    let is_x86 = firmware == "bios" || firmware.contains("x86_64") || firmware.contains("ia32");
    let wanted = case.known.node.architecture.as_str();
    let differs = match wanted {
        "x86_64" => is_arm,
        _ => is_x86,
    };
    let asked = case
        .own
        .iter()
        .rfind(|event| matches!(Moment::of(event), Moment::FirmwareAsks | Moment::LoaderAsks))?;
    differs.then(|| {
        Found::new(
            format!("the firmware is {firmware}, and the site file says {wanted}"),
            vec![case.cite(asked), format!("its firmware announced `{firmware}`")],
        )
    })
}

fn no_loader(case: &Case<'_>, _: &Rule) -> Option<Found> {
    if !case.is_in(&[SpanKind::Firmware]) {
        return None;
    }
    let answer = case
        .recent()
        .rfind(|event| matches!(event.kind, EventKind::DhcpOffer | EventKind::DhcpAck))?;
    let asked = case
        .recent()
        .rfind(|event| event.kind == EventKind::DhcpDiscover)?;
    let is_firmware = Moment::of(asked) == Moment::FirmwareAsks;
    (is_firmware && answer.word("bootFile").is_empty()).then(|| {
        let kind = case
            .known
            .status
            .firmware
            .as_deref()
            .unwrap_or("of an unknown kind");
        Found::new(
            format!("the node's firmware is {kind}, and there is no boot loader for it"),
            vec![case.cite(asked), case.cite(answer)],
        )
    })
}

/// What the node asked since it last took an answer, if that is a stall.
fn asked_in_vain<'a>(case: &Case<'a>) -> Option<(Vec<&'a Event>, Vec<&'a Event>)> {
    let taken = case
        .own
        .iter()
        .rfind(|event| matches!(event.kind, EventKind::DhcpRequest | EventKind::DhcpAck))
        .map_or(0, |event| event.seq);
    let since = |kind: EventKind| -> Vec<&'a Event> {
        let own = case.own.iter().copied();
        own.filter(|event| event.seq > taken && event.kind == kind)
            .collect()
    };
    let asked = since(EventKind::DhcpDiscover);
    (asked.len() >= 3).then(|| (asked, since(EventKind::DhcpOffer)))
}

/// The questions that were answered, and whose answers were not taken.
fn unanswered<'a>(case: &Case<'a>) -> Option<Vec<&'a Event>> {
    let (asked, offers) = asked_in_vain(case)?;
    (offers.len() >= 2).then_some(asked)
}

fn offer_not_heard(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let (asked, offers) = asked_in_vain(case)?;
    let last_offer = offers.last().filter(|_| offers.len() >= 2)?;
    let mut evidence = cited(case, &asked);
    evidence.push(case.cite(last_offer));
    evidence.push("it never asked for what it was offered".to_owned());
    let summary = format!(
        "the node asked {} and does not hear the bastion's offers",
        words::times(asked.len())
    );
    Some(Found::new(summary, evidence))
}

fn no_offer(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let (asked, offers) = asked_in_vain(case)?;
    offers.is_empty().then(|| {
        let summary = format!(
            "the node asked {} and was offered nothing",
            words::times(asked.len())
        );
        Found::new(summary, cited(case, &asked))
    })
}
