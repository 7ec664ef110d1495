//! What many requests came to, and a load that goes on while a test does something else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::http::Response;
use crate::origin::Origin;
use crate::request::{Failure, Request};
use crate::sentences::is_sentence;

/// Threads of a [`Load`]: one slow response must not hold up the next request.
const LOAD_THREADS: u32 = 4;

/// How many answers a message shows, and how much of each.
const SHOWN: usize = 3;
const SHOWN_CHARACTERS: usize = 300;

/// What many requests came to.
#[derive(Debug)]
pub struct Answers {
    /// Each result, in order of completion.
    pub results: Vec<Result<Response, Failure>>,
    /// From the first request to the last response.
    pub elapsed: Duration,
}

impl Answers {
    /// The responses.
    pub fn responses(&self) -> impl Iterator<Item = &Response> {
        self.results.iter().filter_map(|result| result.as_ref().ok())
    }

    /// The failures.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.results.iter().filter_map(|result| result.as_ref().err())
    }

    /// How many responses satisfy `wanted`.
    pub fn count(&self, wanted: impl Fn(&Response) -> bool) -> usize {
        self.responses().filter(|response| wanted(response)).count()
    }

    /// The share, 0 to 1, of all requests whose response has `text` in its body.
    pub fn share_with(&self, text: &str) -> f64 {
        self.count(|response| response.text().contains(text)) as f64 / self.results.len().max(1) as f64
    }

    /// How often each status, or kind of failure, came up: for messages.
    pub fn summary(&self) -> BTreeMap<String, usize> {
        let mut summary = BTreeMap::new();
        for result in &self.results {
            let key = match result {
                Ok(response) => response.status.to_string(),
                Err(failure) => format!("{:?} at {:?}", failure.kind, failure.step),
            };
            *summary.entry(key).or_default() += 1;
        }
        summary
    }

    /// Panics unless every request was answered by a whole sentence.
    #[track_caller]
    pub fn assert_sentences(&self) {
        let whole = self.count(|response| response.status == 200 && is_sentence(&response.text()));
        let others = self.responses().map(Response::text).filter(|text| !is_sentence(text));
        let others: Vec<String> =
            others.take(SHOWN).map(|text| text.chars().take(SHOWN_CHARACTERS).collect()).collect();
        assert_eq!(whole, self.results.len(), "{:?}, and for instance {others:#?}", self.summary());
    }

    /// How often each body came up.
    pub fn bodies(&self) -> BTreeMap<String, usize> {
        let mut bodies = BTreeMap::new();
        self.responses().for_each(|response| *bodies.entry(response.text()).or_default() += 1);
        bodies
    }

    /// The response time that the fraction `q` (0 to 1) of responses does not exceed.
    pub fn quantile(&self, q: f64) -> Duration {
        let mut times: Vec<Duration> = self.responses().map(|response| response.elapsed).collect();
        times.sort();
        let index = (q * times.len().saturating_sub(1) as f64).round() as usize;
        times.get(index).copied().unwrap_or_default()
    }
}

/// Requests at a steady rate, each over a connection of its own, until [`Load::finish`].
#[derive(Debug)]
#[must_use = "a load that is dropped at once sends nothing"]
pub struct Load {
    threads: Vec<JoinHandle<Vec<Result<Response, Failure>>>>,
    ended: Arc<AtomicBool>,
    started: Instant,
}

impl Load {
    /// Sends GET from `origin`, `rate` times a second.
    pub fn start(origin: &Arc<dyn Origin>, url: &str, headers: &[(&str, &str)], rate: u32) -> Self {
        let started = Instant::now();
        let (ended, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let gap = Duration::from_secs(1) / rate.max(1);
        let headers: Vec<(String, String)> = headers.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let spawn = |_| {
            let (origin, url, headers) = (Arc::clone(origin), url.to_owned(), headers.clone());
            let (ended, next) = (Arc::clone(&ended), Arc::clone(&next));
            std::thread::spawn(move || {
                let begin = Request::new(&*origin, "GET", &url);
                let request = headers.iter().fold(begin, |request, (name, value)| request.header(name, value));
                let mut results = Vec::new();
                loop {
                    let due = started + gap * next.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    if ended.load(Ordering::SeqCst) {
                        return results;
                    }
                    results.push(request.send());
                }
            })
        };
        let threads = (0..LOAD_THREADS).map(spawn).collect();
        Self { threads, ended, started }
    }

    /// Ends the load and returns what came of it.
    pub fn finish(mut self) -> Answers {
        self.ended.store(true, Ordering::SeqCst);
        let results = self.threads.drain(..).flat_map(|thread| thread.join().unwrap_or_default()).collect();
        Answers { results, elapsed: self.started.elapsed() }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}
