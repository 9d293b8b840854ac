//! The virtual IPs and who answers behind them, as people read it.

use std::{fmt::Write as _, path::Path};

use faros_client::Client;
use faros_model::{
    api::{BackendStatus, BalancedService, BalancerStatus, DrainRequest},
    site::Transport,
};
use jiff::Timestamp;

use crate::{
    args::{BalancerCommand, RenderFor},
    outcome::{Done, Error, print, say},
    ports::site_of,
    screens::{age, show, table},
    site::who,
};

/// `balancer`, and what is below it.
pub(crate) async fn balancer(
    client: &Client,
    history: bool,
    command: Option<BalancerCommand>,
    as_json: bool,
) -> Result<Done, Error> {
    let Some(BalancerCommand::Drain { backend, lift, force }) = command else {
        let now = Timestamp::now();
        return show(as_json, &client.balancer().await?, |status| {
            screen(status, history, now)
        });
    };
    let request = DrainRequest {
        backend: backend.clone(),
        drained: !lift,
        force,
        by: who(),
    };
    let changed = client.drain(&request).await?;
    say(&match (changed, lift) {
        (true, false) => format!(
            "{backend} gets no new connections; those that are there go on. `farosctl balancer drain {backend} \
             --lift` takes that back."
        ),
        (false, false) => format!("{backend} is drained already."),
        (true, true) => format!("{backend} gets new connections again, as soon as it is well."),
        (false, true) => format!("{backend} is not drained."),
    });
    Ok(Done::Ok)
}

/// `render`.
pub(crate) async fn render(client: &Client, file: Option<&Path>, program: RenderFor) -> Result<Done, Error> {
    let site = site_of(client, file).await?;
    print(&match program {
        RenderFor::Haproxy => faros_render::haproxy(&site),
        RenderFor::Keepalived => faros_render::keepalived(&site),
    })
}

fn screen(status: &BalancerStatus, history: bool, now: Timestamp) -> String {
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    for own in &status.addresses {
        let state = match (own.state.as_str(), own.used_by) {
            ("own", _) => "the bastion's own".to_owned(),
            ("held", None) => "held".to_owned(),
            ("held", Some(mac)) => format!("held, and ALSO USED BY {mac}"),
            ("taken", Some(mac)) => format!("NOT HELD: used by {mac}"),
            ("no-interface", _) => "NOT HELD: the LAN's interface is not there".to_owned(),
            _ => "not held yet: asking whether anyone uses it".to_owned(),
        };
        let _ = writeln!(out, "Virtual IP  {:<15}  {state}", own.address);
    }
    if status.api_certificates == "any" {
        out.push_str(
            "API         any certificate is taken, since the authority is not known or not open (see `balancer.apiCa`)\n",
        );
    }
    for service in &status.services {
        let _ = write!(out, "\n{}", heading(service));
        let rows: Vec<Vec<String>> = service.backends.iter().map(|own| row(own, now)).collect();
        let head = [
            "SERVER",
            "ADDRESS",
            "STATE",
            "SINCE",
            "SHARE",
            "CONNECTIONS",
            "IN",
            "OUT",
            "REASON",
        ];
        out.push_str(&table(&head, &rows));
        if history {
            for own in &service.backends {
                for change in &own.history {
                    let _ = writeln!(
                        out,
                        "  {}  {} {}: {}",
                        change.at, own.name, change.state, change.reason
                    );
                }
            }
        }
    }
    out
}

fn heading(service: &BalancedService) -> String {
    let at = service
        .address
        .map_or_else(|| "the uplink alone".to_owned(), |address| address.to_string());
    let protocol = match service.protocol {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    };
    let affinity = if service.affinity == "source" {
        ", by source"
    } else {
        ""
    };
    let served = if service.served {
        ""
    } else {
        "  NOT SERVED: clients are turned away"
    };
    format!(
        "{}: {}/{protocol} on {at}, {}{affinity}{served}\n",
        service.name, service.port, service.check
    )
}

fn row(own: &BackendStatus, now: Timestamp) -> Vec<String> {
    let state = match own.state.as_str() {
        state if own.drained => format!("{state}, drained"),
        "in" => "in".to_owned(),
        "out" => "OUT".to_owned(),
        state => state.to_owned(),
    };
    vec![
        own.name.clone(),
        own.address.to_string(),
        state,
        age(now, own.since),
        format!("{} %", own.share),
        own.connections.to_string(),
        bytes(own.bytes_in),
        bytes(own.bytes_out),
        own.reason.clone(),
    ]
}

/// A number of bytes, in the unit in which people say it.
fn bytes(n: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = (1..units.len())
        .take_while(|unit| n >> (10 * unit) > 0)
        .last()
        .unwrap_or(0);
    // One digit behind the point, by whole numbers.
    let tenths = (u128::from(n) * 10) >> (10 * unit);
    match unit {
        0 => format!("{n} B"),
        _ => format!("{}.{} {}", tenths / 10, tenths % 10, units[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_out_and_why_is_on_one_line() {
        let now = Timestamp::UNIX_EPOCH;
        let backend = BackendStatus {
            name: "node-1".to_owned(),
            address: "192.168.8.11:6443".parse().unwrap_or_else(|_| unreachable!()),
            state: "out".to_owned(),
            drained: false,
            since: now,
            reason: "refuses connections".to_owned(),
            share: 0,
            connections: 0,
            bytes_in: 1536,
            bytes_out: 12,
            history: vec![],
        };
        let status = BalancerStatus {
            addresses: vec![],
            api_certificates: "ca".to_owned(),
            services: vec![BalancedService {
                name: "api".to_owned(),
                address: Some([192, 168, 8, 2].into()),
                protocol: Transport::Tcp,
                port: 6443,
                affinity: "random".to_owned(),
                check: "https /readyz".to_owned(),
                served: false,
                backends: vec![backend],
            }],
        };
        let text = screen(&status, false, now);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1],
            "api: 6443/tcp on 192.168.8.2, https /readyz  NOT SERVED: clients are turned away"
        );
        for word in ["node-1", "OUT", "1.5 KiB", "12 B", "refuses connections"] {
            assert!(lines[3].contains(word), "{word}: {}", lines[3]);
        }
    }

    #[test]
    fn bytes_are_told_in_a_unit_that_fits() {
        for (n, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (5 << 30, "5.0 GiB"),
        ] {
            assert_eq!(bytes(n), text);
        }
    }
}
