//! `get`: ask one URL once or in a loop and tell what came back.
//!
//! The demo's stand-in for the exercises' curl loops. Bodies go to stdout, one line each; the tally at the end goes to
//! stderr. The exit code is 0 only when every request got an answer, whatever its status.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::signal::unix::{SignalKind, signal};

use crate::client::{Client, ClientError, Connection, Reply, Target};
use crate::log;

/// How much of a body tells answers apart in the tally, in characters.
const TALLY_CHARACTERS: usize = 100;

/// Options of the get loop.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Send this header; can be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// How many requests to send, one after the other; 0 = until interrupted.
    #[arg(short = 'n', long, default_value_t = 1)]
    count: u64,
    /// Pause between two requests, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    interval: u64,
    /// Keep the connection for the next request instead of opening a new one for each.
    #[arg(long)]
    keep_alive: bool,
    /// Give up on a request after this many seconds.
    #[arg(long, value_name = "S", default_value = "10", value_parser = parse_seconds)]
    timeout: Duration,
    /// Trust the CA certificates in this PEM file [default: those of the system].
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// What to ask, http or https.
    url: String,
}

/// Runs the loop and prints the tally.
///
/// # Errors
/// A URL that cannot be asked, or a closed stdout.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let target = Target::parse(&args.url)?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot install the SIGINT handler")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot install the SIGTERM handler")?;
    let mut tally = Tally::default();
    let outcome = tokio::select! {
        outcome = ask_all(&args, &target, &mut tally) => outcome,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    log::line(tally.report());
    outcome.context("cannot print an answer")?;
    Ok(if tally.failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn ask_all(args: &Args, target: &Target, tally: &mut Tally) -> io::Result<()> {
    let client = Client::new(args.cacert.clone());
    let mut headers = HeaderMap::new();
    for (name, value) in &args.headers {
        headers.append(name, value.clone());
    }
    let mut kept = None;
    let mut sent = 0;
    loop {
        let asked = ask(&client, target, &headers, &mut kept, args.keep_alive);
        let line = match tokio::time::timeout(args.timeout, asked).await {
            Ok(Ok(reply)) => tally.answered(&reply),
            Ok(Err(error)) => tally.failed(&error.to_string()),
            Err(_) => {
                kept = None;
                tally.failed(&format!("no answer within {:?}", args.timeout))
            }
        };
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{line}")?;
        stdout.flush()?;
        drop(stdout);
        sent += 1;
        if sent == args.count {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(args.interval)).await;
    }
}

/// Sends one request, on the kept connection if there is one that still works.
async fn ask(
    client: &Client,
    target: &Target,
    headers: &HeaderMap,
    kept: &mut Option<Connection>,
    keep_alive: bool,
) -> Result<Reply, ClientError> {
    if !keep_alive {
        return client.get_once(target, headers).await;
    }
    let reusable = match kept.take() {
        Some(mut connection) => connection.is_usable().await.then_some(connection),
        None => None,
    };
    let mut connection = match reusable {
        Some(connection) => connection,
        None => client.connect(target).await?,
    };
    let reply = connection.get(target, headers).await?;
    *kept = Some(connection);
    Ok(reply)
}

/// How often each answer came.
#[derive(Debug, Default)]
struct Tally {
    answers: BTreeMap<String, u64>,
    failures: u64,
}

impl Tally {
    /// Counts an answer and returns the line to print.
    fn answered(&mut self, reply: &Reply) -> String {
        let body = String::from_utf8_lossy(&reply.body);
        let body = body.trim_end_matches(['\r', '\n']);
        let mut key = format!("{} ", reply.status.as_u16());
        key.extend(body.chars().take(TALLY_CHARACTERS).map(|c| if c.is_control() { ' ' } else { c }));
        *self.answers.entry(key).or_default() += 1;
        body.to_owned()
    }

    /// Counts a request without an answer and returns the line to print.
    fn failed(&mut self, error: &str) -> String {
        self.failures += 1;
        let line = format!("error: {error}");
        *self.answers.entry(line.clone()).or_default() += 1;
        line
    }

    /// The most frequent first, each with its share.
    fn report(&self) -> String {
        let total: u64 = self.answers.values().sum();
        let mut answers: Vec<_> = self.answers.iter().collect();
        answers.sort_by(|a, b| b.1.cmp(a.1));
        let mut text = format!("{total} requests, {} without an answer", self.failures);
        for (answer, count) in answers {
            let share = *count as f64 * 100.0 / total as f64;
            text.push_str(&format!("\n{count:>8} {share:>5.1}%  {}", answer.trim_end()));
        }
        text
    }
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a header is written 'name: value'")?;
    let name = name.trim().parse().map_err(|_| format!("{:?} is not a header name", name.trim()))?;
    let value = value.trim().parse().map_err(|_| format!("{:?} is not a header value", value.trim()))?;
    Ok((name, value))
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
