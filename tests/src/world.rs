//! The world outside a cluster: a client on the nodes' network, and servers with names of their own.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::place::Place;
use crate::process::{CLUSTER_MARK, Process, Spec};
use crate::program::{self, Line, Program};
use crate::{container, link};
use weft_scenario::try_eventually;

impl Cluster {
    /// A client outside the cluster, on the nodes' network: it uses node ports and load balancers.
    pub fn outside(&self) -> Place {
        let netns = self.inner.lock().fabric.outside.clone();
        Place::new(&self.inner, "outside", "default", &netns, None)
    }

    /// Gives a name of the world outside (`httpbin.org`) these addresses, for all pods.
    pub fn outside_name(&self, name: &str, addresses: &[IpAddr]) -> Result<()> {
        let mut state = self.inner.lock();
        state.external.insert(name.to_owned(), addresses.to_vec());
        state.publish()
    }

    /// Runs `program` outside the cluster under an address of its own, known to all pods as `name`: what stands for a server of
    /// the world, such as `httpbin.org`. Programs on the same port get in each other's way.
    pub fn outside_program(&self, name: &str, program: &Program) -> Result<IpAddr> {
        let address =
            self.start_outside(name, program).with_context(|| format!("running {name} outside the cluster"))?;
        self.outside_name(name, &[address])?;
        Ok(address)
    }

    fn start_outside(&self, name: &str, program: &Program) -> Result<IpAddr> {
        let dir = self.inner.site.dir.join("pods").join(format!("outside.{name}"));
        std::fs::create_dir_all(&dir)?;
        let container = program.container();
        let Line { program, args } = program::line(&container, &dir)?;
        let mut env = container::environment(&container, &Value::Null)?;
        env.push((CLUSTER_MARK.to_owned(), self.inner.site.id.to_string()));
        let port =
            container.pointer("/ports/0/containerPort").and_then(Value::as_u64).map(u16::try_from).transpose()?;
        let mut state = self.inner.lock();
        let address = IpAddr::from([203, 0, 113, u8::try_from(state.outside.len() + 1)?]);
        let netns = state.fabric.outside.clone();
        link::batch(&netns, &format!("addr add {address}/32 dev lo\n"))?;
        let spec = Spec { program, args, env, keep_env: false, netns, files: None };
        let process = Process::spawn(&spec, &self.inner.site.dir.join("logs").join(format!("outside.{name}.log")))?;
        let pid = process.pid();
        state.outside.push(process);
        drop(state);
        try_eventually(Duration::from_secs(5), || {
            ensure!(
                port.is_none_or(|port| container::listens(pid, port)),
                "it does not listen\n{}",
                self.snapshot_of_logs()
            );
            Ok(())
        })?;
        Ok(address)
    }
}
