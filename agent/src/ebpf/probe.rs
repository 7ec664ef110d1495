//! Proof of capture: a connection made inside the pod like any of its own has to come out at the
//! agent's listener. What a pod's status says is seen, not assumed.

use std::{
    io::{self, Read},
    net::{SocketAddr, TcpStream},
    time::{Duration, SystemTime},
};

use weft_model::workload::Capture;

use super::manager::CaptureState;
use crate::{
    dataplane::probe::{ANSWER, PROBE_ADDRESS},
    net::Netns,
};

/// How long the probe may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Can capture be proven? Not where the probe's port is excluded.
pub fn can_prove(capture: &Capture) -> bool {
    !capture.exclude_outbound_ports.contains(&PROBE_ADDRESS.port())
}

/// Probes a pod.
pub fn prove(netns: &Netns, capture: &Capture) -> CaptureState {
    if !can_prove(capture) {
        let port = PROBE_ADDRESS.port();
        return CaptureState::Unproven {
            reason: format!(
                "port {port}, to which the probe connects, is excluded (excludeOutboundPorts): leave it out"
            ),
        };
    }
    match netns.enter(|| ask(PROBE_ADDRESS)) {
        Ok(Ok(())) => CaptureState::Proven { at: SystemTime::now(), netns: netns.cookie() },
        Ok(Err(error)) | Err(error) => CaptureState::Unproven { reason: format!("the probe failed: {error}") },
    }
}

fn ask(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if answer == ANSWER { Ok(()) } else { Err(io::Error::other("somebody else answered at the probe's address")) }
}
