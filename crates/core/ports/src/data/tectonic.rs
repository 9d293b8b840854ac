//! Tectonic's generic platform, row by row, with what became of each. Its masters are the control plane, its infra
//! nodes the frontends. Nothing is opened by these rows.

use faros_model::ports::PortRange;

use crate::{
    Matrix,
    Need::{May, Must, Should},
    Party::{self, ControlPlane, Frontend, Outside, Worker},
    Protocol, Row, Source,
    row::one,
};

const MASTER: &[Party] = &[ControlPlane];
const INFRA: &[Party] = &[Frontend];
const WORKER: &[Party] = &[Worker];
const BOTH: &[Party] = &[ControlPlane, Worker];
const ANYONE: &[Party] = Party::ANYONE;

const fn row(id: &'static str, what: &'static str) -> Row {
    Row::new(id, what).of(Matrix::Tectonic)
}

pub(super) const ROWS: &[Row] = &[
    row("M-I-1", "SSH")
        .tcp(&[one(22)])
        .on(MASTER, &[Outside])
        .need(Must, Source::Tectonic)
        .note("from the users' network; today optional, for administrators"),
    row("M-I-2", "flannel VXLAN")
        .udp(&[one(4789)])
        .on(MASTER, BOTH)
        .need(Must, Source::Tectonic)
        .note("today the network plug-in decides"),
    row("M-I-3", "Tectonic's ingress")
        .tcp(&[PortRange(32000, 32002)])
        .on(MASTER, ANYONE)
        .need(Must, Source::Tectonic)
        .note("where ingress uses node ports; protocol not stated; today 80 and 443 behind a balancer"),
    row("M-I-4", "Prometheus node exporter")
        .tcp(&[one(9100)])
        .on(MASTER, BOTH)
        .need(Should, Source::Tectonic)
        .note("protocol not stated; today the same where there is monitoring"),
    row("M-I-5", "node ports, of TCP")
        .tcp(&[PortRange(30000, 32767)])
        .on(MASTER, ANYONE)
        .need(May, Source::Tectonic)
        .note("peer not stated; today on workers alone, unless the control plane is one"),
    row("M-I-5-udp", "node ports, of UDP")
        .udp(&[PortRange(30000, 32767)])
        .on(MASTER, ANYONE)
        .need(May, Source::Tectonic)
        .note("as M-I-5"),
    row("M-I-6", "etcd, clients")
        .tcp(&[one(2379)])
        .on(MASTER, ANYONE)
        .need(May, Source::Tectonic)
        .note("where etcd is not elsewhere; peer not stated; today 2379-2380 within the control plane alone"),
    row("M-I-7", "kubelet read-only port")
        .tcp(&[one(10255)])
        .on(MASTER, ANYONE)
        .need(May, Source::Tectonic)
        .note("for health checks; protocol not stated; today forbidden: checks ask /readyz of the API"),
    row("M-E-1", "image pulls")
        .tcp(&[one(443)])
        .from(MASTER, &[Outside])
        .need(Must, Source::Tectonic)
        .note("protocol not stated; today the same, or a mirror"),
    row("M-E-2", "etcd elsewhere")
        .tcp(&[one(2379)])
        .from(MASTER, &[Outside])
        .need(May, Source::Tectonic)
        .note("protocol not stated; today the same, where there is one"),
    row("M-E-3", "etcd in pods")
        .tcp(&[PortRange(2379, 2380)])
        .from(MASTER, BOTH)
        .need(May, Source::Tectonic)
        .note("an experiment; peer and protocol not stated; today gone"),
    row("M-E-4", "etcd for the first start")
        .tcp(&[PortRange(12379, 12380)])
        .from(MASTER, BOTH)
        .need(May, Source::Tectonic)
        .note("an experiment; peer and protocol not stated; today gone"),
    row("I-I-1", "ingress of console and dex")
        .tcp(&[one(443)])
        .on(INFRA, ANYONE)
        .need(Must, Source::Tectonic)
        .note("peer not stated; today API, 80, 443 and VRRP"),
    row("I-E-1", "image pulls")
        .tcp(&[one(443)])
        .from(INFRA, &[Outside])
        .need(Must, Source::Tectonic)
        .note("protocol not stated; today the same, or a mirror"),
    row("W-I-1", "all ports")
        .over(Protocol::Any)
        .on(WORKER, MASTER)
        .need(Must, Source::Tectonic)
        .note("its text is not clear; today an explicit list: kubelet, network plug-in"),
    row("W-I-2", "node ports, of TCP")
        .tcp(&[PortRange(30000, 32767)])
        .on(WORKER, ANYONE)
        .need(Must, Source::Tectonic)
        .note("peer and protocol not stated; today the same from chosen sources"),
    row("W-I-2-udp", "node ports, of UDP")
        .udp(&[PortRange(30000, 32767)])
        .on(WORKER, ANYONE)
        .need(Must, Source::Tectonic)
        .note("as W-I-2"),
    row("W-I-3", "flannel VXLAN")
        .udp(&[one(4789)])
        .on(WORKER, BOTH)
        .need(Must, Source::Tectonic)
        .note("today the network plug-in decides"),
    row("W-I-4", "kubelet API")
        .tcp(&[one(10250)])
        .on(WORKER, MASTER)
        .need(Should, Source::Tectonic)
        .note("protocol not stated; today a MUST"),
    row("W-I-5", "Prometheus node exporter")
        .tcp(&[one(9100)])
        .on(WORKER, BOTH)
        .need(Should, Source::Tectonic)
        .note("protocol not stated; today the same where there is monitoring"),
    row("W-I-6", "cAdvisor")
        .tcp(&[one(4194)])
        .on(WORKER, MASTER)
        .need(Should, Source::Tectonic)
        .note("protocol not stated; today forbidden: the port is gone"),
    row("W-I-7", "etcd in pods")
        .tcp(&[PortRange(2379, 2380)])
        .on(WORKER, ANYONE)
        .need(May, Source::Tectonic)
        .note("an experiment; peer and protocol not stated; today gone"),
    row("W-E-1", "image pulls")
        .tcp(&[one(443)])
        .from(WORKER, &[Outside])
        .need(Must, Source::Tectonic)
        .note("protocol not stated; today the same, or a mirror"),
];
