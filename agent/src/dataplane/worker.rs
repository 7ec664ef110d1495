//! Worker threads: each accepts where connections arrive and keeps them to their end.
//!
//! One single-threaded runtime for each CPU: socket lookup hands a connection to the listener of the
//! CPU its SYN arrived on, and everything of it happens in that thread. The threads are not pinned:
//! on a busy node a pinned one waited seconds for its CPU while another was free, and waking a thread
//! near its waker is what the scheduler does anyway.

use std::{cell::RefCell, collections::HashMap, io, net::SocketAddr, rc::Rc, sync::Arc, thread, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::{JoinHandle, LocalSet},
};
use weft_ebpf_common::Direction;
use weft_model::workload::Named;

use super::{
    Exempt, Shared, http2, inbound,
    outbound::{self, is_connection_error},
    pod::{PodContext, WorkerContext},
    pool::Pool,
    shared_connections::SharedConnections,
};
use crate::{
    lifecycle::Busy,
    net::{Netns, socket::reset_on_close},
};

/// Pause after the process ran out of descriptors or memory while accepting.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often idle upstream connections are looked through.
const POOL_SWEEP: Duration = Duration::from_secs(10);

/// How long listeners that the kernel no longer steers to are accepted from: what has arrived at them, or is in the
/// middle of its handshake, must not be reset.
pub const FAREWELL: Duration = Duration::from_secs(1);

/// A captured pod's share for one worker.
pub struct Assignment {
    /// The pod.
    pub pod: Named,
    /// Its namespace.
    pub netns: Arc<Netns>,
    /// Accepts connections that the pod makes.
    pub outbound: std::net::TcpListener,
    /// Accepts connections that reach the pod.
    pub inbound: std::net::TcpListener,
}

/// A listener of an earlier agent, in which connections may be waiting.
pub struct Inheritance {
    /// The pod.
    pub pod: Named,
    /// Its namespace.
    pub netns: Arc<Netns>,
    /// Which way its connections go.
    pub direction: Direction,
    /// The listener.
    pub listener: std::net::TcpListener,
}

enum Command {
    Serve(Assignment),
    Inherit(Inheritance),
    Leave(Named),
    Retire,
    Close(oneshot::Sender<()>),
}

/// All workers of an agent.
pub struct Workers {
    commands: Vec<mpsc::UnboundedSender<Command>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Workers {
    /// Starts a worker for each handle in `exempters`.
    ///
    /// # Errors
    /// When a thread or its runtime cannot be made.
    pub fn spawn(shared: &Arc<Shared>, exempters: Vec<Box<dyn Exempt>>) -> io::Result<Self> {
        let mut workers = Self { commands: Vec::new(), threads: Vec::new() };
        for (index, exempt) in exempters.into_iter().enumerate() {
            let (sender, receiver) = mpsc::unbounded_channel();
            let shared = shared.clone();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let thread = thread::Builder::new().name(format!("weft-worker-{index}")).spawn(move || {
                let context = Rc::new(WorkerContext {
                    shared,
                    exempt: RefCell::new(exempt),
                    pool: Pool::default(),
                    shared_connections: SharedConnections::default(),
                    calls: http2::Connections::default(),
                });
                LocalSet::new().block_on(&runtime, run(context, receiver));
            })?;
            workers.commands.push(sender);
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.commands.len()
    }

    /// Hands worker `index` its share of a pod.
    pub fn serve(&self, index: usize, assignment: Assignment) {
        if let Some(commands) = self.commands.get(index) {
            // A worker ends only with the agent.
            let _ = commands.send(Command::Serve(assignment));
        }
    }

    /// Has worker `index`, counted round, serve what waits in an earlier agent's listener.
    pub fn inherit(&self, index: usize, inheritance: Inheritance) {
        if let Some(commands) = self.commands.get(index % self.count().max(1)) {
            let _ = commands.send(Command::Inherit(inheritance));
        }
    }

    /// Stops accepting, [`FAREWELL`] later, for all pods: the kernel steers to another agent's listeners.
    pub fn retire(&self) {
        for commands in &self.commands {
            let _ = commands.send(Command::Retire);
        }
    }

    /// Stops accepting at once, for all pods, and returns when nothing more is accepted. What waits in the listeners
    /// is lost unless somebody else holds them, too.
    pub async fn close(&self) {
        let tell = |commands: &mpsc::UnboundedSender<Command>| {
            let (done, told) = oneshot::channel();
            let _ = commands.send(Command::Close(done));
            told
        };
        for told in self.commands.iter().map(tell).collect::<Vec<_>>() {
            let _ = told.await;
        }
    }

    /// Stops accepting for a pod; its open connections go on.
    pub fn leave(&self, pod: &Named) {
        for commands in &self.commands {
            let _ = commands.send(Command::Leave(pod.clone()));
        }
    }

    /// Ends all workers, whatever they are doing, and waits for them.
    pub fn stop(self) {
        drop(self.commands);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
    }
}

async fn run(context: Rc<WorkerContext>, mut commands: mpsc::UnboundedReceiver<Command>) {
    let mut pods: HashMap<Named, ServedPod> = HashMap::new();
    let mut sweep = tokio::time::interval(POOL_SWEEP);
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Serve(assignment)) => {
                    let name = assignment.pod.clone();
                    match ServedPod::start(assignment, &context) {
                        Ok(served) => {
                            // Replacing one ends its accepting, not its connections.
                            if let Some(before) = pods.insert(name, served) {
                                before.retire(&context);
                            }
                        }
                        Err(error) => tracing::error!(pod = %name, %error, "cannot accept connections of a pod"),
                    }
                }
                Some(Command::Inherit(inheritance)) => {
                    let name = inheritance.pod.clone();
                    match ServedPod::inherit(inheritance, &context) {
                        Ok(served) => served.retire(&context),
                        Err(error) => tracing::error!(pod = %name, %error, "cannot accept waiting connections"),
                    }
                }
                Some(Command::Retire) => pods.drain().for_each(|(_, served)| served.retire(&context)),
                Some(Command::Close(done)) => {
                    pods.clear();
                    let _ = done.send(());
                }
                Some(Command::Leave(name)) => {
                    if let Some(served) = pods.remove(&name) {
                        context.pool.forget(served.cookie);
                        context.shared_connections.forget(served.cookie);
                        context.calls.forget(served.cookie);
                        served.retire(&context);
                    }
                }
                None => return,
            },
            _ = sweep.tick() => {
                context.pool.expire(context.shared.limits.pool_idle_timeout);
                context.shared_connections.expire();
                context.calls.expire(context.shared.limits.pool_idle_timeout);
            }
        }
    }
}

/// A pod whose connections are accepted; dropping it stops that.
struct ServedPod {
    cookie: u64,
    accepting: Vec<JoinHandle<()>>,
}

impl ServedPod {
    fn start(assignment: Assignment, context: &Rc<WorkerContext>) -> io::Result<Self> {
        let cookie = assignment.netns.cookie();
        let pod = Rc::new(PodContext::new(assignment.pod, assignment.netns, context.clone()));
        let outbound = TcpListener::from_std(assignment.outbound)?;
        let inbound = TcpListener::from_std(assignment.inbound)?;
        let accepting = vec![
            tokio::task::spawn_local(accept(outbound, pod.clone(), outbound::serve)),
            tokio::task::spawn_local(accept(inbound, pod, inbound::serve)),
        ];
        Ok(Self { cookie, accepting })
    }

    fn inherit(inheritance: Inheritance, context: &Rc<WorkerContext>) -> io::Result<Self> {
        let cookie = inheritance.netns.cookie();
        let pod = Rc::new(PodContext::new(inheritance.pod, inheritance.netns, context.clone()));
        let listener = TcpListener::from_std(inheritance.listener)?;
        let accepting = match inheritance.direction {
            Direction::Outbound => tokio::task::spawn_local(accept(listener, pod, outbound::serve)),
            Direction::Inbound => tokio::task::spawn_local(accept(listener, pod, inbound::serve)),
        };
        Ok(Self { cookie, accepting: vec![accepting] })
    }

    /// Accepts what has arrived, and no more comes: the kernel has been told before. Draining waits for that.
    fn retire(self, context: &WorkerContext) {
        let busy = context.shared.drain.hold();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(FAREWELL).await;
            drop((self, busy));
        });
    }
}

impl Drop for ServedPod {
    fn drop(&mut self) {
        for task in &self.accepting {
            task.abort();
        }
    }
}

async fn accept<F, S>(listener: TcpListener, pod: Rc<PodContext>, serve: F)
where
    F: Fn(Rc<PodContext>, TcpStream, SocketAddr) -> S,
    S: Future<Output = ()> + 'static,
{
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                let Some(open) = Open::admit(&pod) else {
                    reset_on_close(&socket);
                    continue;
                };
                let serving = serve(pod.clone(), socket, peer);
                tokio::task::spawn_local(async move {
                    serving.await;
                    drop(open);
                });
            }
            Err(error) if is_connection_error(&error) => {}
            Err(error) => {
                tracing::warn!(pod = %pod.name, %error, "cannot accept; pausing");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Counts an open connection of a pod, or a stream of a shared one, while it lives.
pub struct Open {
    pod: Rc<PodContext>,
    _busy: Busy,
}

impl Open {
    /// One more; `None` beyond the pod's own bound, since its neighbours must not pay for its connections.
    pub fn admit(pod: &Rc<PodContext>) -> Option<Self> {
        let open = pod.connections.get();
        (open < pod.worker.shared.limits.connections_per_pod_max).then(|| {
            pod.connections.set(open + 1);
            Self { pod: pod.clone(), _busy: pod.worker.shared.drain.hold() }
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.pod.connections.set(self.pod.connections.get() - 1);
    }
}
