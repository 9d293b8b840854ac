//! The local API: HTTP and JSON over a unix socket that only root may use.
//!
//! One table ([`routes`]) drives both the router and the OpenAPI document, so neither has what the other
//! has not. The document is made where the tests run, and checked in.

mod balancer;
mod cluster;
mod events;
mod handlers;
mod keep;
mod openapi;
mod story;
mod unlock;
mod upgrade;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use axum::{Router, routing::MethodRouter};
use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream};

use crate::daemon::Shared;

/// One operation of the API.
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the document is made where the tests run")
)]
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) summary: &'static str,
    /// Schema of the request's body, if it has one.
    pub(crate) takes: Option<openapi::Shape>,
    /// Schema of the answer, and its media type.
    pub(crate) gives: openapi::Shape,
    pub(crate) media: &'static str,
    pub(crate) handler: MethodRouter<Arc<Shared>>,
}

/// All operations.
pub(crate) fn routes() -> Vec<Route> {
    handlers::routes()
}

/// Takes the socket. One that a dead daemon left behind is replaced.
pub(crate) fn listen(socket: &Path) -> anyhow::Result<UnixListener> {
    if let Some(folder) = socket.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    if socket.exists() {
        if std::os::unix::net::UnixStream::connect(socket).is_ok() {
            bail!(
                "another farosd answers on {}; stop it, or use --socket",
                socket.display()
            );
        }
        fs::remove_file(socket)
            .with_context(|| format!("cannot remove the old socket {}", socket.display()))?;
    }
    let listener =
        UnixListener::bind(socket).with_context(|| format!("cannot listen on {}", socket.display()))?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers until the daemon ends.
pub(crate) async fn serve(shared: Arc<Shared>, listener: UnixListener) {
    let router = routes().into_iter().fold(Router::new(), |router, route| {
        router.route(route.path, route.handler)
    });
    let router = router.fallback(handlers::nothing_here).with_state(shared);
    if let Err(error) = axum::serve(RootOnly(listener), router).await {
        tracing::error!(%error, "the API ended");
    }
}

/// A listener that hangs up on whoever is neither root nor the user of this process, should the socket's mode
/// ever be loosened.
struct RootOnly(UnixListener);

impl axum::serve::Listener for RootOnly {
    type Io = UnixStream;
    type Addr = ();

    async fn accept(&mut self) -> (UnixStream, ()) {
        loop {
            let accepted = match self.0.accept().await {
                Ok((stream, _)) => stream.peer_cred().map(|peer| (stream, peer.uid())),
                Err(error) => Err(error),
            };
            match accepted {
                Ok((stream, uid)) if uid == 0 || uid == geteuid().as_raw() => return (stream, ()),
                Ok((_, uid)) => tracing::warn!(uid, "a user who is not root is turned away from the API"),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection to the API");
                    // Too many open files, most likely, which passes.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<()> {
        Ok(())
    }
}
