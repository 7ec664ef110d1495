//! Does this agent own the node? Who owned it before, and who wants it now.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::handover::{
    Desk, Ownership, Predecessor, Successor,
    ownership::{Request, Word},
};

/// How long a predecessor is kept waiting for pods that this agent cannot serve as it could.
const TAKEOVER_PATIENCE: Duration = Duration::from_secs(30);

/// What this agent is to the node, for those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits for the agent that has the node.
    Waiting,
    /// It has the node, and does not serve all pods yet that another agent still serves.
    TakingOver,
    /// It has the node.
    Owner,
    /// Another agent has taken it over: this one serves the connections that it has.
    Superseded,
}

impl Standing {
    /// May this agent change what the node has once only?
    pub fn is_owner(self) -> bool {
        matches!(self, Self::TakingOver | Self::Owner)
    }
}

/// This agent's share in the node.
pub struct Tenure {
    lock: PathBuf,
    desk_path: PathBuf,
    role: Role,
}

enum Role {
    Owner(Owner),
    Superseded(Successor),
    /// The successor has died: the node is free, or another agent's.
    Bereft,
}

struct Owner {
    ownership: Ownership,
    /// Absent when it could not be opened: then nobody takes over while this agent lives.
    desk: Option<Desk>,
    predecessor: Option<Predecessor>,
    since: Instant,
    announced: bool,
}

/// Something that changes the tenure.
pub enum Event {
    /// Another agent wants the node.
    Asked(Request),
    /// The successor said something.
    Successor(Word),
}

impl Tenure {
    /// Of an agent that has just become the owner. To be made inside the runtime that waits for [`Self::next`].
    pub fn begin(lock: PathBuf, desk_path: PathBuf, ownership: Ownership, predecessor: Option<Predecessor>) -> Self {
        let role = Role::Owner(Owner::begin(&desk_path, ownership, predecessor));
        Self { lock, desk_path, role }
    }

    /// What this agent is now.
    pub fn standing(&self) -> Standing {
        match &self.role {
            Role::Owner(Owner { predecessor: Some(_), announced: false, .. }) => Standing::TakingOver,
            Role::Owner(_) => Standing::Owner,
            Role::Superseded(_) | Role::Bereft => Standing::Superseded,
        }
    }

    /// May this agent change what the node has once only?
    pub fn is_owner(&self) -> bool {
        matches!(self.role, Role::Owner(_))
    }

    /// Does another agent, which had the node before, still serve connections?
    pub fn has_predecessor(&self) -> bool {
        matches!(&self.role, Role::Owner(Owner { predecessor: Some(_), .. }))
    }

    /// The next event; pending when none can come. Can be dropped and called again.
    pub async fn next(&mut self) -> Event {
        match &mut self.role {
            Role::Owner(Owner { desk: Some(desk), .. }) => loop {
                match desk.asked().await {
                    Ok(request) => return Event::Asked(request),
                    Err(error) => {
                        tracing::warn!(%error, "cannot hear other agents of this node; trying again");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            },
            Role::Superseded(successor) => Event::Successor(successor.word().await),
            Role::Owner(_) | Role::Bereft => std::future::pending().await,
        }
    }

    /// Passes the node on. False: this agent still has it.
    pub fn grant(&mut self, request: Request) -> bool {
        let Role::Owner(owner) = std::mem::replace(&mut self.role, Role::Bereft) else { return false };
        match request.grant(owner.ownership) {
            Ok(successor) => {
                self.role = Role::Superseded(successor);
                true
            }
            Err((ownership, error)) => {
                tracing::warn!(%error, "another agent asked for the node and did not take it");
                self.role = Role::Owner(Owner { ownership, ..owner });
                false
            }
        }
    }

    /// Does not pass the node on any more: who asks is told at once that nobody is there.
    pub fn close_desk(&mut self) {
        if let Role::Owner(owner) = &mut self.role {
            owner.desk = None;
        }
    }

    /// The successor has ended.
    pub fn lose_successor(&mut self) {
        if !self.is_owner() {
            self.role = Role::Bereft;
        }
    }

    /// Takes the node back from a successor that has died. False: it is not free, or was never given away.
    pub fn resume(&mut self) -> bool {
        if !matches!(self.role, Role::Bereft) {
            return false;
        }
        match Ownership::claim(&self.lock) {
            Ok(Some(ownership)) => {
                self.role = Role::Owner(Owner::begin(&self.desk_path, ownership, None));
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::error!(%error, lock = %self.lock.display(), "cannot take the node back");
                false
            }
        }
    }

    /// Has the predecessor ended since this was last asked?
    pub fn lost_predecessor(&mut self) -> bool {
        let Role::Owner(owner) = &mut self.role else { return false };
        let is_lost = owner.predecessor.as_ref().is_some_and(|predecessor| !predecessor.lives());
        if is_lost {
            owner.predecessor = None;
        }
        is_lost
    }

    /// Tells the predecessor to accept no more, once: when `serves_all`, or it has waited for long.
    pub fn announce(&mut self, serves_all: bool) {
        let Role::Owner(owner) = &mut self.role else { return };
        let Some(predecessor) = owner.predecessor.as_ref().filter(|_| !owner.announced) else { return };
        if !serves_all && owner.since.elapsed() < TAKEOVER_PATIENCE {
            return;
        }
        if !serves_all {
            tracing::error!("taking over although not all pods are served as the running agent serves them");
        }
        predecessor.announce_serving();
        owner.announced = true;
    }

    /// Gives the node up, for good when `is_final`: then nothing of it is left.
    pub fn end(self, is_final: bool) {
        let Role::Owner(Owner { ownership, .. }) = self.role else { return };
        if is_final && let Err(error) = ownership.end() {
            tracing::warn!(%error, "cannot remove the lock of this node");
        }
    }
}

impl Owner {
    fn begin(desk_path: &std::path::Path, ownership: Ownership, predecessor: Option<Predecessor>) -> Self {
        let desk = Desk::open(desk_path);
        if let Err(error) = &desk {
            tracing::error!(%error, path = %desk_path.display(), "no other agent can take this node over");
        }
        Self { ownership, desk: desk.ok(), predecessor, since: Instant::now(), announced: false }
    }
}
