//! The demo's page on a loopback port.

use super::Stage;
use crate::daemon::page::{self, Story};
use crate::error::{Failure, Problem};
use crate::report::live::Millis;
use anyhow::Context;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a page that is open gets to fetch the end.
const LAST_READ: Duration = Duration::from_secs(3);

/// The server's runtime; it stops when this is dropped.
pub(super) struct Server {
    port: u16,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    /// The port it listens on.
    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl Story for Stage {
    fn answer(&self, since: Millis) -> serde_json::Value {
        self.with_live(|live| {
            if live.is_done() {
                self.end_was_read.store(true, Ordering::Relaxed);
            } else {
                self.was_read.store(true, Ordering::Relaxed);
            }
            live.answer(since)
        })
    }
}

/// Listens, and makes Ctrl-C end the run with its table.
pub(super) fn serve(port: u16, stage: Arc<Stage>) -> Result<Server, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("the page's threads cannot be started")?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))).map_err(|e| {
        Problem::new("--port", format!("a free port on 127.0.0.1, not {port}"), e.to_string())
            .help("choose another port, or 0 for any")
    })?;
    let port = listener.local_addr().context("the page's port is unknown")?.port();
    let router = page::router(stage.clone());
    runtime.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            eprintln!("the live page ended: {error}");
        }
    });
    runtime.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stage.stop.store(true, Ordering::Relaxed);
        }
    });
    Ok(Server { port, _runtime: runtime })
}

/// Waits until an open page has fetched the end; not at all if no page was ever open.
pub(super) fn let_the_end_be_read(stage: &Stage) {
    const LOOK: Duration = Duration::from_millis(50);
    let mut waited = Duration::ZERO;
    while stage.was_read.load(Ordering::Relaxed) && !stage.end_was_read.load(Ordering::Relaxed) && waited < LAST_READ {
        std::thread::sleep(LOOK);
        waited += LOOK;
    }
    // the answer that holds the end is still being sent
    std::thread::sleep(LOOK);
}
