//! The rows.

mod bastion;
mod kubernetes;
mod nodes;
mod openshift;
mod plugins;
mod tectonic;

use faros_model::{
    ports::PortRange,
    site::{LanService, Transport},
};

use crate::{Direction, Matrix, Need, Party, Ports, Row};

/// All rows of all matrices.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    [
        bastion::ROWS,
        nodes::ROWS,
        kubernetes::ROWS,
        kubernetes::K3S,
        openshift::ROWS,
        plugins::CILIUM,
        plugins::CALICO,
        plugins::FLANNEL,
        plugins::OTHERS,
        tectonic::ROWS,
    ]
    .into_iter()
    .flatten()
}

/// The ports of a service of the bastion on the LAN.
pub fn bastion_ports(service: LanService) -> Vec<(Transport, PortRange)> {
    let mut found = Vec::new();
    for row in rows() {
        let is_it = row.service == Some(service)
            && row.matrix == Matrix::Today
            && row.direction == Direction::In
            && row.on == [Party::Bastion]
            && row.need != Need::Forbidden;
        if let (true, Some(transport), Ports::These(ports)) = (is_it, row.protocol.transport(), row.ports) {
            found.extend(ports.iter().map(|range| (transport, *range)));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}
