//! Questions and what is answered, at the demo's site.

mod sizes;

use std::{fmt::Write as _, net::Ipv4Addr};

use expect_test::{Expect, expect};
use faros_model::ids::Generation;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::message::{HEADER, number, skip_name};

pub(crate) fn zones() -> Zones {
    let text = include_str!("../../../../examples/everything.yaml");
    Zones::compile(&faros_site::load(text).unwrap().site, Generation(7))
}

fn name(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes
}

fn ask(text: &str, kind: u16, edns: Option<u16>) -> Vec<u8> {
    let mut bytes = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
    bytes.extend(name(text));
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    if let Some(size) = edns {
        bytes.extend([0, 0, 41]);
        bytes.extend(size.to_be_bytes());
        bytes.extend([0; 6]);
    }
    bytes
}

const KINDS: &[(&str, u16)] = &[
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("PTR", 12),
    ("TXT", 16),
    ("AAAA", 28),
    ("AXFR", 252),
    ("ANY", 255),
];

fn read_name(bytes: &[u8], mut at: usize) -> String {
    let mut out = String::new();
    loop {
        match bytes[at] {
            0 => return out,
            length if length >= 0xc0 => at = usize::from(number(bytes, at).unwrap() & 0x3fff),
            length => {
                let end = at + 1 + usize::from(length);
                out.push_str(std::str::from_utf8(&bytes[at + 1..end]).unwrap());
                out.push('.');
                at = end;
            }
        }
    }
}

/// Shows an answer as `dig` would, in short.
fn show(bytes: &[u8]) -> String {
    let rcodes = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
    let mut out = rcodes[usize::from(bytes[3] & 0x0f)].to_owned();
    for (bit, word) in [(0x04, " aa"), (0x02, " tc"), (0x01, " rd")] {
        if bytes[2] & bit != 0 {
            out.push_str(word);
        }
    }
    if number(bytes, 4) == Some(0) {
        return out;
    }
    let mut at = skip_name(bytes, HEADER).unwrap().1 + 4;
    for (section, count) in [("", 6), ("authority ", 8), ("additional ", 10)] {
        for _ in 0..number(bytes, count).unwrap() {
            let owner = read_name(bytes, at);
            at = skip_name(bytes, at).unwrap().1;
            let kind = number(bytes, at).unwrap();
            let length = usize::from(number(bytes, at + 8).unwrap());
            let data = at + 10;
            let word = KINDS
                .iter()
                .find(|(_, own)| *own == kind)
                .map_or("OPT", |(word, _)| word);
            let value = match kind {
                1 => {
                    Ipv4Addr::new(bytes[data], bytes[data + 1], bytes[data + 2], bytes[data + 3]).to_string()
                }
                2 | 5 | 6 | 12 => read_name(bytes, data),
                16 => format!(
                    "{:?}",
                    std::str::from_utf8(&bytes[data + 1..data + length]).unwrap()
                ),
                _ => String::new(),
            };
            write!(out, "\n    {section}{owner} {word} {value}").unwrap();
            at = data + length;
        }
    }
    out.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[expect(clippy::needless_pass_by_value, reason = "expect! makes values")]
fn check(questions: &str, expected: Expect) {
    let zones = zones();
    let mut out = String::new();
    for line in questions.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (text, word) = line.split_once(' ').unwrap();
        let (word, edns) = word
            .split_once(' ')
            .map_or((word, None), |(word, size)| (word, size.parse().ok()));
        let kind = KINDS.iter().find(|(own, _)| *own == word).unwrap().1;
        let mut answer = Vec::new();
        let outcome = zones.answer(
            Ipv4Addr::new(192, 168, 8, 11),
            Transport::Udp,
            &ask(text, kind, edns),
            &mut answer,
        );
        let shown = match outcome {
            Outcome::Answered(_) => show(&answer),
            Outcome::Forward(_) => "forward".to_owned(),
            Outcome::Silent(why) => why.label().to_owned(),
        };
        writeln!(out, "{line}\n  {shown}").unwrap();
    }
    expected.assert_eq(&out);
}

#[test]
fn own_names_are_answered_with_authority() {
    check(
        "bastion.harbour-7.edge.example.com A
         API.Harbour-7.EDGE.example.com A
         api-int.harbour-7.edge.example.com A
         node-1.harbour-7.edge.example.com A
         node-1-mgmt.harbour-7.edge.example.com A
         printer.harbour-7.edge.example.com A
         registry.harbour-7.edge.example.com A
         registry.harbour-7.edge.example.com CNAME
         about.harbour-7.edge.example.com TXT
         harbour-7.edge.example.com SOA
         harbour-7.edge.example.com NS
         node-1.harbour-7.edge.example.com ANY",
        expect![[r#"
            bastion.harbour-7.edge.example.com A
              NOERROR aa rd
                bastion.harbour-7.edge.example.com. A 192.168.8.1
            API.Harbour-7.EDGE.example.com A
              NOERROR aa rd
                API.Harbour-7.EDGE.example.com. A 192.168.8.2
            api-int.harbour-7.edge.example.com A
              NOERROR aa rd
                api-int.harbour-7.edge.example.com. A 192.168.8.2
            node-1.harbour-7.edge.example.com A
              NOERROR aa rd
                node-1.harbour-7.edge.example.com. A 192.168.8.11
            node-1-mgmt.harbour-7.edge.example.com A
              NOERROR aa rd
                node-1-mgmt.harbour-7.edge.example.com. A 192.168.8.91
            printer.harbour-7.edge.example.com A
              NOERROR aa rd
                printer.harbour-7.edge.example.com. A 192.168.8.60
            registry.harbour-7.edge.example.com A
              NOERROR aa rd
                registry.harbour-7.edge.example.com. CNAME bastion.harbour-7.edge.example.com.
                bastion.harbour-7.edge.example.com. A 192.168.8.1
            registry.harbour-7.edge.example.com CNAME
              NOERROR aa rd
                registry.harbour-7.edge.example.com. CNAME bastion.harbour-7.edge.example.com.
            about.harbour-7.edge.example.com TXT
              NOERROR aa rd
                about.harbour-7.edge.example.com. TXT "the harbour office"
            harbour-7.edge.example.com SOA
              NOERROR aa rd
                harbour-7.edge.example.com. SOA bastion.harbour-7.edge.example.com.
            harbour-7.edge.example.com NS
              NOERROR aa rd
                harbour-7.edge.example.com. NS bastion.harbour-7.edge.example.com.
            node-1.harbour-7.edge.example.com ANY
              NOERROR aa rd
                node-1.harbour-7.edge.example.com. A 192.168.8.11
        "#]],
    );
}

#[test]
fn what_is_not_there_is_said_rightly() {
    check(
        "nobody.harbour-7.edge.example.com A
         node-1.harbour-7.edge.example.com AAAA
         apps.harbour-7.edge.example.com A
         console.apps.harbour-7.edge.example.com A
         a.b.apps.harbour-7.edge.example.com A
         console.apps.harbour-7.edge.example.com AAAA
         below.node-1.harbour-7.edge.example.com A",
        expect![[r"
            nobody.harbour-7.edge.example.com A
              NXDOMAIN aa rd
                authority harbour-7.edge.example.com. SOA bastion.harbour-7.edge.example.com.
            node-1.harbour-7.edge.example.com AAAA
              NOERROR aa rd
                authority harbour-7.edge.example.com. SOA bastion.harbour-7.edge.example.com.
            apps.harbour-7.edge.example.com A
              NOERROR aa rd
                authority harbour-7.edge.example.com. SOA bastion.harbour-7.edge.example.com.
            console.apps.harbour-7.edge.example.com A
              NOERROR aa rd
                console.apps.harbour-7.edge.example.com. A 192.168.8.3
            a.b.apps.harbour-7.edge.example.com A
              NOERROR aa rd
                a.b.apps.harbour-7.edge.example.com. A 192.168.8.3
            console.apps.harbour-7.edge.example.com AAAA
              NOERROR aa rd
                authority harbour-7.edge.example.com. SOA bastion.harbour-7.edge.example.com.
            below.node-1.harbour-7.edge.example.com A
              NXDOMAIN aa rd
                authority harbour-7.edge.example.com. SOA bastion.harbour-7.edge.example.com.
        "]],
    );
}

#[test]
fn addresses_have_names() {
    check(
        "1.8.168.192.in-addr.arpa PTR
         2.8.168.192.in-addr.arpa PTR
         11.8.168.192.in-addr.arpa PTR
         200.8.168.192.in-addr.arpa PTR
         1.9.168.192.in-addr.arpa PTR",
        expect![[r"
            1.8.168.192.in-addr.arpa PTR
              NOERROR aa rd
                1.8.168.192.in-addr.arpa. PTR bastion.harbour-7.edge.example.com.
            2.8.168.192.in-addr.arpa PTR
              NOERROR aa rd
                2.8.168.192.in-addr.arpa. PTR api.harbour-7.edge.example.com.
                2.8.168.192.in-addr.arpa. PTR api-int.harbour-7.edge.example.com.
            11.8.168.192.in-addr.arpa PTR
              NOERROR aa rd
                11.8.168.192.in-addr.arpa. PTR node-1.harbour-7.edge.example.com.
            200.8.168.192.in-addr.arpa PTR
              NXDOMAIN aa rd
                authority 8.168.192.in-addr.arpa. SOA bastion.harbour-7.edge.example.com.
            1.9.168.192.in-addr.arpa PTR
              NXDOMAIN rd
        "]],
    );
}

#[test]
fn the_rest_of_the_world_is_forwarded_and_zones_are_not_handed_out() {
    check(
        "example.net A
         edge.example.com A
         xharbour-7.edge.example.com A
         printer.local A
         harbour-7.edge.example.com AXFR
         node-1.harbour-7.edge.example.com A 4096",
        expect![[r"
            example.net A
              forward
            edge.example.com A
              forward
            xharbour-7.edge.example.com A
              forward
            printer.local A
              NXDOMAIN rd
            harbour-7.edge.example.com AXFR
              REFUSED rd
            node-1.harbour-7.edge.example.com A 4096
              NOERROR aa rd
                node-1.harbour-7.edge.example.com. A 192.168.8.11
                additional  OPT
        "]],
    );
}

#[test]
fn outsiders_answers_and_scraps_are_met_with_silence() {
    let zones = zones();
    let mut out = Vec::new();
    let mut answer = |from, bytes: &[u8]| zones.answer(from, Transport::Udp, bytes, &mut out);
    let query = ask("bastion.harbour-7.edge.example.com", 1, None);
    let lan = Ipv4Addr::new(192, 168, 8, 11);
    assert_eq!(
        answer(Ipv4Addr::new(203, 0, 113, 9), &query),
        Outcome::Silent(Silent::Outsider)
    );
    let mut response = query.clone();
    response[2] |= 0x80;
    assert_eq!(answer(lan, &response), Outcome::Silent(Silent::NoQuery));
    assert_eq!(answer(lan, &query[..11]), Outcome::Silent(Silent::NoQuery));
    assert_eq!(answer(lan, &query[..20]), Outcome::Answered(Rcode::FormErr));
    let mut update = query.clone();
    update[2] = 0x28;
    assert_eq!(answer(lan, &update), Outcome::Answered(Rcode::NotImp));
    let mut chaos = query;
    *chaos.last_mut().unwrap() = 3;
    assert_eq!(answer(lan, &chaos), Outcome::Answered(Rcode::Refused));
}

#[test]
fn a_wide_subnet_has_a_reverse_zone_for_each_octet() {
    let text = include_str!("../../../../examples/smallest.yaml").replace(
        "interfaces: [enp2s0]",
        "interfaces: [enp2s0]\n    subnet: 192.168.16.0/22",
    );
    let zones = Zones::compile(&faros_site::load(&text).unwrap().site, Generation(1));
    let mut out = Vec::new();
    let lan = Ipv4Addr::new(192, 168, 16, 11);
    for (name, rcode) in [("1.16", Rcode::NoError), ("1.19", Rcode::NxDomain)] {
        let query = ask(&format!("{name}.168.192.in-addr.arpa"), 12, None);
        assert_eq!(
            zones.answer(lan, Transport::Udp, &query, &mut out),
            Outcome::Answered(rcode)
        );
        assert_ne!(out[2] & 0x04, 0, "with authority");
    }
}

#[test]
fn the_cache_counts_down_and_helps_when_nobody_answers() {
    let question = Question {
        name: name("example.net"),
        kind: 1,
        class: 1,
        dnssec: Dnssec::default(),
    };
    let mut answer = ask("example.net", 1, None);
    answer[2] |= 0x80;
    answer[7] = 1;
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 100, 0, 4, 198, 51, 100, 7]);
    let mut cache = Cache::default();
    let start = Timestamp::UNIX_EPOCH;
    cache.put(start, question.clone(), &answer);
    let ttl = |seconds| match cache.get(start + SignedDuration::from_secs(seconds), &question) {
        Some(Cached::Fresh(bytes)) => format!("fresh {}", bytes[bytes.len() - 7]),
        Some(Cached::Stale(bytes)) => format!("stale {}", bytes[bytes.len() - 7]),
        None => "gone".to_owned(),
    };
    assert_eq!(
        [ttl(0), ttl(40), ttl(100), ttl(90_000)],
        ["fresh 100", "fresh 60", "stale 30", "gone"]
    );
    let failed = [&answer[..3], &[0x82], &answer[4..]].concat();
    let mut cache = Cache::default();
    cache.put(start, question, &failed);
    assert!(cache.is_empty());
}

#[test]
fn who_wants_signatures_is_not_given_an_answer_without() {
    let plain = ask("example.net", 1, Some(1232));
    let mut signed = plain.clone();
    let flags = signed.len() - 4;
    signed[flags] |= 0x80;
    let mut unchecked = plain.clone();
    unchecked[3] |= 0x10;
    let questions = [&plain, &signed, &unchecked].map(|bytes| message::query(bytes).unwrap().question);
    let mut answer = ask("example.net", 1, None);
    answer[2] |= 0x80;
    answer[7] = 1;
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 100, 0, 4, 198, 51, 100, 7]);
    let mut cache = Cache::default();
    cache.put(Timestamp::UNIX_EPOCH, questions[0].clone(), &answer);
    let found = questions.map(|own| cache.get(Timestamp::UNIX_EPOCH, &own).is_some());
    assert_eq!(found, [true, false, false]);
}

#[test]
fn only_the_answer_to_the_question_is_taken() {
    let query = ask("Example.net", 1, None);
    let mut answer = query.clone();
    answer[2] |= 0x80;
    assert!(upstream_answers(&query, 0xabcd, &answer));
    assert!(!upstream_answers(&query, 0xabce, &answer));
    assert!(!upstream_answers(&query, 0xabcd, &query));
    answer[13] = b'e';
    assert!(
        !upstream_answers(&query, 0xabcd, &answer),
        "the letter case is part of the question"
    );
}

proptest! {
    #[test]
    fn no_query_confuses_the_server(bytes in proptest::collection::vec(any::<u8>(), 0..120), flags in any::<bool>()) {
        let zones = zones();
        fuzz::query(&zones, &bytes);
        let mut whole = ask("node-1.harbour-7.edge.example.com", 1, flags.then_some(4096));
        whole.extend(&bytes);
        whole[11] = u8::try_from(bytes.len() % 5).unwrap();
        fuzz::query(&zones, &whole);
    }

    #[test]
    fn no_answer_confuses_the_cache(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        fuzz::upstream(&bytes);
        let mut whole = ask("example.net", 1, None);
        whole[2] |= 0x80;
        whole[7] = 2;
        whole.extend(&bytes);
        fuzz::upstream(&whole);
    }
}
