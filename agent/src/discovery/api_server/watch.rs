//! One resource at the API server: what is there, then what changes, for as long as anybody listens.
//!
//! Written on `kube`'s client rather than on its `watcher`, which keeps the server's bookmarks to itself: in a quiet
//! cluster these are the only sign that a watch is alive and not merely open.

use std::{pin::pin, sync::Arc, time::Duration};

use futures::{AsyncBufReadExt, StreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::core::WatchEvent;
use serde_yaml_ng::Value;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use weft_model::workload::Named;

use super::{
    PLACE,
    catalog::Resource,
    clients::Clients,
    failure::Failure,
    message::{Event, Message},
    retry::Retry,
};
use crate::discovery::parse::{self, Settings};

/// Servers end watches after this time, spread so that not all come back at once (kube refuses 295 s and more).
const WATCH_SECONDS: std::ops::RangeInclusive<u32> = 200..=290;

/// A server that sends bookmarks sends one each minute: a watch that is silent for longer is dead, whatever its
/// connection says.
pub const MAX_SILENCE: Duration = Duration::from_secs(150);

/// How long the server may take to begin its answer, to go on with a list, or to send a page of one.
const ANSWER: Duration = Duration::from_secs(30);

/// A watch that ends sooner has not gone well, even if nobody said so.
const TOO_SHORT: Duration = Duration::from_secs(1);

/// How long a kind that is only warned about is left alone when the server refuses it: the right to read it is not
/// needed.
const RELUCTANCE: Duration = Duration::from_secs(300);

/// Set on the bookmark behind the last object that was there when a watch began.
const LIST_END: &str = "k8s.io/initial-events-end";

/// One watch.
pub struct Watch {
    /// Of what.
    pub resource: Resource,
    /// By whom.
    pub clients: Arc<Clients>,
    /// How to read objects.
    pub settings: Settings,
    /// For whom.
    pub out: mpsc::Sender<Message>,
}

/// Nobody listens any more.
struct Unheard;

/// Why a round ended.
enum End {
    /// The server ended it, as it does from time to time.
    Regular,
    Failed(Failure),
    Unheard,
}

impl From<Unheard> for End {
    fn from(_: Unheard) -> Self {
        Self::Unheard
    }
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<kube::Error> for End {
    fn from(error: kube::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Where a watch stands.
struct State {
    /// The server's number of the last change that was seen; `None`: list anew.
    position: Option<String>,
    /// Lists come as the beginning of a watch, as servers since 1.32 have it, not page by page.
    streams_lists: bool,
    retry: Retry,
}

impl Watch {
    /// Watches until nobody listens.
    pub async fn run(self) {
        let mut state = State { position: None, streams_lists: true, retry: Retry::default() };
        let mut returns = self.clients.returns();
        loop {
            let began = Instant::now();
            returns.mark_unchanged();
            let end = match (&state.position, state.streams_lists) {
                (None, false) => self.list(&mut state).await,
                _ => self.follow(&mut state).await,
            };
            let failure = match end {
                Ok(()) => continue,
                Err(End::Unheard) => return,
                Err(End::Regular) if began.elapsed() > TOO_SHORT => continue,
                Err(End::Regular) => Failure::Unreachable("the server ended the watch at once".to_owned()),
                Err(End::Failed(failure)) => failure,
            };
            if failure.asks_for_a_list() && state.position.take().is_some() {
                // The server is well: it has only forgotten what we missed, as after an outage.
                state.retry.reset();
            }
            if failure.is_unauthorized() {
                self.clients.renew().await;
            }
            tracing::debug!(kind = %self.resource.id(), %failure, "watch failed");
            if self.say(Event::Failed(failure.clone())).await.is_err() {
                return;
            }
            let pause = state.retry.next(fastrand::f64());
            // Nobody misses what is only warned about.
            let is_left_alone = failure.is_refused() && !self.resource.is_needed();
            tokio::select! {
                () = tokio::time::sleep(if is_left_alone { RELUCTANCE } else { pause }) => {}
                // It fails only when nobody is left who could tell.
                Ok(()) = returns.changed(), if !is_left_alone => {}
            }
        }
    }

    /// Reads everything that is there, page by page, and notes where it stands.
    async fn list(&self, state: &mut State) -> Result<(), End> {
        self.say(Event::Began).await?;
        let mut page = None;
        loop {
            let request = self.resource.list(page)?;
            let list: List = timeout(ANSWER, self.clients.get().request(request))
                .await
                .map_err(|_elapsed| Failure::Silent(ANSWER))??;
            for object in list.items {
                self.apply(object).await?;
            }
            page = list.metadata.continue_.filter(|token| !token.is_empty());
            if page.is_none() {
                state.position = list.metadata.resource_version.filter(|version| !version.is_empty());
                return Ok(self.say(Event::Whole).await?);
            }
        }
    }

    /// Follows the changes; without a position, everything that is there comes first.
    async fn follow(&self, state: &mut State) -> Result<(), End> {
        let request = self.resource.watch(state.position.as_deref(), fastrand::u32(WATCH_SECONDS))?;
        let client = self.clients.get();
        let opened = timeout(ANSWER, client.request_stream(request)).await;
        let opened = opened.map_err(|_elapsed| Failure::Silent(ANSWER))?.map_err(Failure::from);
        let opened = opened.inspect_err(|failure| {
            // A server that cannot begin a watch with a list says so, and is asked for pages.
            state.streams_lists &= !(state.position.is_none() && failure.is_misunderstood());
        })?;
        let mut lines = pin!(opened.lines());
        let mut is_listing = state.position.is_none();
        self.say(if is_listing { Event::Began } else { Event::Alive }).await?;
        loop {
            let patience = if is_listing { ANSWER } else { MAX_SILENCE };
            let line = match timeout(patience, lines.next()).await {
                Ok(Some(Ok(line))) => line,
                Ok(Some(Err(error))) => return Err(Failure::Unreachable(error.to_string()).into()),
                Ok(None) => return Err(End::Regular),
                Err(_elapsed) => {
                    // A server that does not know of such lists never says that one has ended.
                    state.streams_lists &= !is_listing;
                    return Err(Failure::Silent(patience).into());
                }
            };
            let event = serde_json::from_str(&line).map_err(kube::Error::SerdeError)?;
            if !matches!(event, WatchEvent::Error(_)) {
                state.retry.reset();
            }
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    let position = version(&object);
                    self.apply(object).await?;
                    // Objects of a list come in no order: only its end is a position.
                    state.position = if is_listing { None } else { position };
                }
                WatchEvent::Deleted(object) => {
                    if let Some(name) = name(&object) {
                        self.say(Event::Deleted(name)).await?;
                    }
                    state.position = version(&object);
                }
                WatchEvent::Bookmark(mark) => {
                    let is_end = mark.metadata.annotations.contains_key(LIST_END);
                    if !is_listing || is_end {
                        state.position = Some(mark.metadata.resource_version);
                    }
                    self.say(if is_listing && is_end { Event::Whole } else { Event::Alive }).await?;
                    is_listing &= !is_end;
                }
                WatchEvent::Error(status) => return Err(Failure::from(&*status).into()),
            }
        }
    }

    async fn apply(&self, mut object: Value) -> Result<(), Unheard> {
        let Some(name) = name(&object) else { return Ok(()) };
        if let Value::Mapping(map) = &mut object {
            // Items of a list do not say what they are, and metadata alone says that it is metadata.
            map.insert("kind".into(), (&*self.resource.kind).into());
            map.insert("apiVersion".into(), self.resource.api_version().into());
        }
        let read = parse::object(&PLACE.into(), object, &self.settings);
        self.say(Event::Applied(name, Box::new(read))).await
    }

    async fn say(&self, event: Event) -> Result<(), Unheard> {
        self.out.send(Message::Watch(self.resource.id(), event)).await.map_err(|_closed| Unheard)
    }
}

/// A page of a list of objects.
#[derive(serde::Deserialize)]
struct List {
    metadata: ListMeta,
    items: Vec<Value>,
}

fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get("metadata")?.get(field)?.as_str().filter(|text| !text.is_empty())
}

fn version(object: &Value) -> Option<String> {
    text(object, "resourceVersion").map(str::to_owned)
}

/// Name and namespace of an object.
pub(super) fn name(object: &Value) -> Option<Named> {
    Some(Named::new(text(object, "namespace").unwrap_or_default(), text(object, "name")?))
}
