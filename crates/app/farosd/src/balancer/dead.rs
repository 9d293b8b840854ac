//! An end to connections with a machine that cannot end them itself.

use std::net::SocketAddrV4;

use faros_kernel::conntrack;
use faros_model::{event::EventKind, site::Transport};
use serde_json::json;

use crate::daemon::Shared;

/// Ends connections with a server whose machine is dead.
pub(super) fn end_connections(shared: &Shared, transport: Transport, server: SocketAddrV4) {
    let ended = conntrack::connections().and_then(|mut all| {
        all.retain(|own| (own.transport, own.server) == (transport, server));
        let known = conntrack::forget(&all)?;
        conntrack::prod(&all)?;
        Ok(known)
    });
    match ended {
        Ok(0) => (),
        Ok(n) => {
            tracing::warn!(%server, connections = n, "connections with a dead server are ended");
            let detail = json!({ "address": server, "connections": n });
            shared.tell(EventKind::ConnectionsEnded, detail);
        }
        Err(error) => tracing::error!(%server, %error, "cannot end connections with a dead server"),
    }
}
