//! How long an answer may be, what comes where it would be longer, and EDNS, by which a client says what it takes.

use super::*;
use crate::{Rcode, fitted, for_client, knows};

const ZONE: &str = "harbour-7.edge.example.com";

/// The demo's site, with names of as many addresses as they say.
fn crowded() -> Zones {
    let mut records = String::from("    records:\n");
    for (name, count) in [("n20", 20), ("n40", 40), ("n100", 100)] {
        for n in 1..=count {
            writeln!(records, "      - {{name: {name}, a: 198.51.100.{n}}}").unwrap();
        }
    }
    let text = include_str!("../../../../../examples/everything.yaml").replace("    records:\n", &records);
    Zones::compile(&faros_site::load(&text).unwrap().site, Generation(1))
}

#[test]
fn an_answer_that_does_not_fit_says_so_and_is_whole_over_tcp() {
    let zones = crowded();
    let mut out = String::new();
    for (transport, edns) in [
        (Transport::Udp, None),
        (Transport::Udp, Some(100)),
        (Transport::Udp, Some(700)),
        (Transport::Udp, Some(4096)),
        (Transport::Tcp, None),
        (Transport::Tcp, Some(512)),
    ] {
        writeln!(out, "{transport:?} EDNS {edns:?}").unwrap();
        for label in ["n20", "n40", "n100"] {
            let query = ask(&format!("{label}.{ZONE}"), 1, edns);
            let mut answer = Vec::new();
            zones.answer(Ipv4Addr::LOCALHOST, transport, &query, &mut answer);
            let records = number(&answer, 6).unwrap();
            let cut = if answer[2] & 0x02 == 0 { "whole" } else { "cut off" };
            let opt = if answer[11] == 1 { ", OPT" } else { "" };
            writeln!(out, "  {label} {cut}: {records} in {}{opt}", answer.len()).unwrap();
        }
    }
    expect![[r"
        Udp EDNS None
          n20 whole: 20 in 368
          n40 cut off: 0 in 48
          n100 cut off: 0 in 49
        Udp EDNS Some(100)
          n20 whole: 20 in 379, OPT
          n40 cut off: 0 in 59, OPT
          n100 cut off: 0 in 60, OPT
        Udp EDNS Some(700)
          n20 whole: 20 in 379, OPT
          n40 whole: 40 in 699, OPT
          n100 cut off: 0 in 60, OPT
        Udp EDNS Some(4096)
          n20 whole: 20 in 379, OPT
          n40 whole: 40 in 699, OPT
          n100 cut off: 0 in 60, OPT
        Tcp EDNS None
          n20 whole: 20 in 368
          n40 whole: 40 in 688
          n100 whole: 100 in 1649
        Tcp EDNS Some(512)
          n20 whole: 20 in 379, OPT
          n40 whole: 40 in 699, OPT
          n100 whole: 100 in 1660, OPT
    "]]
    .assert_eq(&out);
}

#[test]
fn a_forwarder_s_answer_is_cut_to_what_the_client_takes() {
    let long = |length| {
        let mut answer = ask("example.net", 16, None);
        answer[2] |= 0x80;
        answer.resize(length, 7);
        answer
    };
    for (edns, room) in [
        (None, 512),
        (Some(100), 512),
        (Some(700), 700),
        (Some(4096), 1232),
    ] {
        let query = ask("example.net", 16, edns);
        assert_eq!(fitted(&query, long(room)), long(room), "EDNS {edns:?}");
        let short = fitted(&query, long(room + 1));
        let opt = if edns.is_some() {
            "\n    additional  OPT"
        } else {
            ""
        };
        assert_eq!(show(&short), format!("NOERROR tc rd{opt}"), "EDNS {edns:?}");
    }
}

#[test]
fn who_speaks_edns_is_answered_in_it_whatever_the_answer() {
    check(
        &format!(
            "nobody.{ZONE} A 1232
             {ZONE} AXFR 1232
             printer.local A 1232"
        ),
        expect![[r"
            nobody.harbour-7.edge.example.com A 1232
              NXDOMAIN aa rd
                authority harbour-7.edge.example.com. SOA bastion.harbour-7.edge.example.com.
                additional  OPT
            harbour-7.edge.example.com AXFR 1232
              REFUSED rd
                additional  OPT
            printer.local A 1232
              NXDOMAIN rd
                additional  OPT
        "]],
    );
}

/// RFC 6891 section 6.1.3: BADVERS is 16, of which the header has room for the lower four bits.
#[test]
fn a_version_of_edns_that_is_not_spoken_is_refused_in_the_one_that_is() {
    let zones = zones();
    let mut query = ask(&format!("bastion.{ZONE}"), 1, Some(1232));
    let version = query.len() - 5;
    query[version] = 1;
    let mut answer = Vec::new();
    let outcome = zones.answer(Ipv4Addr::LOCALHOST, Transport::Udp, &query, &mut answer);
    assert_eq!(outcome, Outcome::Answered(Rcode::BadVers));
    assert_eq!(show(&answer), "NOERROR rd\n    additional  OPT");
    let [upper, version, ..] = answer[answer.len() - 6..] else {
        panic!("{answer:?}")
    };
    assert_eq!((upper, version), (1, 0));
}

#[test]
fn two_opt_records_are_a_broken_query() {
    let mut query = ask(&format!("bastion.{ZONE}"), 1, Some(1232));
    query.extend_from_within(query.len() - 11..);
    query[11] = 2;
    let mut answer = Vec::new();
    let outcome = zones().answer(Ipv4Addr::LOCALHOST, Transport::Udp, &query, &mut answer);
    assert_eq!(outcome, Outcome::Answered(Rcode::FormErr));
}

#[test]
fn only_who_says_that_there_is_a_name_or_none_knows() {
    let known = (0..16).filter(|rcode| knows(&[0, 0, 0x81, 0x80 | rcode]));
    assert_eq!(known.collect::<Vec<_>>(), [0, 3]);
    assert!(!knows(&[]));
}

#[test]
fn an_answer_of_somebody_else_s_becomes_the_client_s_own() {
    let mut kept = ask("example.net", 1, None);
    kept[2] |= 0x80;
    kept.extend([7; 16]);
    let mut query = ask("eXample.NET", 1, Some(1232));
    query[..2].copy_from_slice(&[0x12, 0x34]);
    let given = for_client(&query, kept.clone());
    assert_eq!(given[..2], [0x12, 0x34]);
    assert_eq!(read_name(&given, HEADER), "eXample.NET.");
    assert_eq!(given[2..12], kept[2..12]);
    assert!(given.ends_with(&[7; 16]));
}

/// Who does not speak it may not know what an OPT record is.
#[test]
fn edns_is_for_those_who_speak_it() {
    let mut kept = ask("example.net", 1, None);
    kept[2] |= 0x80;
    kept[7] = 1;
    kept.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 100, 0, 4, 198, 51, 100, 7]);
    let without = kept.clone();
    kept[11] = 1;
    kept.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    // What was kept for somebody who does not is given to somebody who does, who would take it for a server without.
    for had in [&kept, &without] {
        for (edns, given) in [(None, &without), (Some(1232), &kept)] {
            let query = ask("example.net", 1, edns);
            assert_eq!(&for_client(&query, had.clone()), given, "EDNS {edns:?}");
        }
    }
    // By FORMERR without an OPT record a server says that it does not speak EDNS.
    let mut refusal = ask("example.net", 1, None);
    refusal[2] |= 0x80;
    refusal[3] |= 1;
    assert_eq!(
        for_client(&ask("example.net", 1, Some(1232)), refusal.clone()),
        refusal
    );
    // A record after it stays where others may point to.
    kept[11] = 2;
    kept.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 100, 0, 4, 198, 51, 100, 8]);
    for edns in [None, Some(1232)] {
        let query = ask("example.net", 1, edns);
        assert_eq!(for_client(&query, kept.clone()), kept, "EDNS {edns:?}");
    }
}
