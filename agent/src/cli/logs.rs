//! `weft logs`: a pod's access log.

use std::time::Duration;

use anyhow::Context;

use super::{
    ask,
    client::{self, Agent},
    mesh::Where,
    output,
    pod::Namespace,
};
use crate::admin::LogLines;

/// How often new lines are asked for; through an API server each question is a connection of its own.
const POLL: Duration = Duration::from_millis(250);
const POLL_CLUSTER: Duration = Duration::from_secs(1);

/// How often, and how far apart, a pod's agent is looked for again: it may just be replaced by the next one.
const ATTEMPTS_MAX: u32 = 10;
const PAUSE: Duration = Duration::from_secs(2);

/// Arguments of `weft logs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pod: name, pod/name or namespace/name
    pub pod: String,
    #[command(flatten)]
    namespace: Namespace,
    /// Go on with what comes
    #[arg(short, long)]
    pub follow: bool,
    #[command(flatten)]
    mesh: Where,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    ask::block_on(async {
        let mesh = args.mesh.find().await?;
        let pod = mesh.pod(&args.pod, args.namespace.namespace.as_deref())?;
        let (mut agent, first) = mesh.ask_pods_agent(&pod, &page(&pod, 0)).await?;
        let mut next = show(&first)?;
        if !args.follow {
            return Ok(());
        }
        let poll = if mesh.cluster.is_some() { POLL_CLUSTER } else { POLL };
        loop {
            tokio::time::sleep(poll).await;
            match more(&agent, &pod, next).await {
                Ok(shown) => next = shown,
                Err(error) if mesh.cluster.is_some() => (agent, next) = again(args, &pod, next, error).await?,
                Err(error) => return Err(error),
            }
        }
    })
}

/// Goes on with the agent that the pod's node has now, or ends with why there is none.
async fn again(args: &Args, pod: &str, after: u64, error: anyhow::Error) -> anyhow::Result<(Agent, u64)> {
    let mut error = error;
    for _ in 0..ATTEMPTS_MAX {
        tokio::time::sleep(PAUSE).await;
        let asking = async {
            let (agent, _) = args.mesh.find().await?.ask_pods_agent(pod, &page(pod, after)).await?;
            let next = more(&agent, pod, after).await?;
            anyhow::Ok((agent, next))
        };
        match asking.await {
            Ok(found) => return Ok(found),
            Err(again) => error = again,
        }
    }
    Err(error)
}

async fn more(agent: &Agent, pod: &str, after: u64) -> anyhow::Result<u64> {
    let answer = agent.get(&page(pod, after)).await?;
    anyhow::ensure!(answer.status.is_success(), "{}", answer.body.trim_end());
    let next = show(&answer.body)?;
    // A pod of the same name that came later counts from the beginning.
    if next < after { show(&agent.get(&page(pod, 0)).await?.body) } else { Ok(next) }
}

fn page(pod: &str, after: u64) -> String {
    client::page("/logs", [("pod", pod), ("after", &after.to_string())])
}

fn show(body: &str) -> anyhow::Result<u64> {
    let LogLines { lines, next } =
        serde_json::from_str(body).context("the agent's answer is no log: is it of another version?")?;
    if !lines.is_empty() {
        output::print(&(lines.join("\n") + "\n"))?;
    }
    Ok(next)
}
