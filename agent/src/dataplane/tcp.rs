//! Opaque bytes: relayed both ways, reported as one connection, ended when policy no longer allows it.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use weft_model::outcome::ResponseFlag;

use super::{
    Shared,
    event::{ConnectionInfo, TcpClosed, TcpOpened, TcpProgress},
};
use crate::net::{
    relay::{End, Relay},
    socket::reset_on_close,
};

/// How often a living connection's bytes are reported (Istio: `tcpReportingDuration`, 15 s; shorter
/// here, so that a graph shows long streams soon).
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// One TCP connection from accept to report.
pub struct TcpRecord {
    connection: Arc<ConnectionInfo>,
    started: SystemTime,
    clock: Instant,
    reported: (u64, u64),
}

/// What ended a connection, beside its own ends.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// Flags.
    pub flags: Vec<ResponseFlag>,
    /// Envoy's details.
    pub details: String,
    /// Why the upstream connection could not be made.
    pub upstream_failure: String,
}

impl TcpRecord {
    /// Reports that a connection was opened.
    pub fn open(shared: &Shared, connection: ConnectionInfo) -> Self {
        shared.observe.tcp_opened(&TcpOpened { connection: connection.clone() });
        let connection = Arc::new(connection);
        Self { connection, started: SystemTime::now(), clock: Instant::now(), reported: (0, 0) }
    }

    /// Reports its end.
    pub fn close(self, shared: &Shared, moved: (u64, u64), ending: Ending) {
        shared.observe.tcp_closed(&TcpClosed {
            connection: (*self.connection).clone(),
            started: self.started,
            received: moved.0 - self.reported.0,
            sent: moved.1 - self.reported.1,
            total: moved,
            duration: self.clock.elapsed(),
            flags: ending.flags,
            details: ending.details,
            upstream_failure: ending.upstream_failure,
        });
    }

    fn progress(&mut self, shared: &Shared, moved: (u64, u64)) {
        if moved != self.reported {
            shared.observe.tcp_progress(&TcpProgress {
                connection: self.connection.clone(),
                received: moved.0 - self.reported.0,
                sent: moved.1 - self.reported.1,
            });
            self.reported = moved;
        }
    }
}

/// Relays until both ends have ended, one fails, or `forbidden` resolves; then reports.
///
/// A failed end is passed on as what it was: a reset stays a reset.
pub async fn relay(shared: &Shared, mut relay: Relay, mut record: TcpRecord, forbidden: impl Future<Output = String>) {
    let mut forbidden = std::pin::pin!(forbidden);
    let mut progress = tokio::time::interval(PROGRESS_INTERVAL);
    progress.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    progress.reset();
    let mut ending = Ending::default();
    loop {
        tokio::select! {
            ended = relay.run() => {
                if let Err(broken) = ended {
                    reset_on_close(&relay.downstream);
                    reset_on_close(&relay.upstream);
                    ending.flags.push(match broken.end {
                        End::Downstream => ResponseFlag::DownstreamConnectionTermination,
                        End::Upstream => ResponseFlag::UpstreamConnectionTermination,
                    });
                }
                break;
            }
            details = &mut forbidden => {
                reset_on_close(&relay.downstream);
                reset_on_close(&relay.upstream);
                ending.details = details;
                break;
            }
            _ = progress.tick() => record.progress(shared, relay.moved()),
        }
    }
    record.close(shared, relay.moved(), ending);
}
