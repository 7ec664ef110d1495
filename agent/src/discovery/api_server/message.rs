//! What the watches and the contact tell the source.

use weft_model::workload::Named;

use super::{
    catalog::{Id, Resource},
    failure::Failure,
};
use crate::discovery::parse::ParsedFile;

/// Messages that may wait for the source; whoever has more waits, too.
pub const MAX_WAITING: usize = 256;

/// From one of the tasks that talk to the API server.
#[derive(Debug)]
pub enum Message {
    /// The server answered, with the mesh kinds it serves when they are not as before; or did not.
    Contact(Result<Option<Vec<Resource>>, Failure>),
    /// About one resource.
    Watch(Id, Event),
}

/// What happened to a resource.
#[derive(Debug)]
pub enum Event {
    /// The server answered, and nothing has changed.
    Alive,
    /// Everything that is there comes now.
    Began,
    /// An object is there, as read.
    Applied(Named, Box<ParsedFile>),
    /// An object is gone.
    Deleted(Named),
    /// Everything that was there has come.
    Whole,
    /// The watch broke; it is tried again.
    Failed(Failure),
}
