//! curl in a container, once or many times: exit code, status, body and time of each request.
//!
//! curl is the exercises' client, and its exit codes are how they name failures: 56 is a reset, 7 a refusal, 28 a timeout.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weft_scenario::{Answers, Failure, FailureKind, Response, Step};

use crate::container::Container;

/// How curl's report of one request begins; bodies come before it.
pub(crate) const MARK: &str = "@@weft-curl@@";
/// What curl reports after a body.
pub(crate) const REPORT: &str = "\\n@@weft-curl@@ %{exitcode} %{http_code} %{time_total} %{errormsg}\\n";
/// How long one request may take, in seconds, unless the arguments say otherwise.
const REQUEST: &str = "10";
/// What starting curl may cost on a busy machine, per request and worker.
const START: Duration = Duration::from_millis(500);

/// Requests $1 in all, $2 at a time; everything else is curl's. Each worker writes to a file of its own.
const MANY: &str = r#"
count=$1 parallel=$2; shift 2
folder=$(mktemp -d) || exit 99
worker=0
while [ "$worker" -lt "$parallel" ]; do
  (
    i=$worker
    while [ "$i" -lt "$count" ]; do curl "$@"; i=$((i + parallel)); done
  ) >"$folder/$worker" 2>/dev/null &
  worker=$((worker + 1))
done
wait
cat "$folder"/*
rm -r "$folder"
"#;

/// What came of one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Curl {
    /// curl's exit code: 0 when there was a response, whatever its status.
    pub exit: i32,
    /// The response's status, 0 without one.
    pub status: u16,
    /// Its body.
    pub body: String,
    /// From the beginning to the last byte.
    pub elapsed: Duration,
    /// What curl said about a failure.
    pub error: String,
}

impl Container {
    /// One request; the arguments are curl's: a URL and what else there is to say. `-m 10` unless they say otherwise.
    pub fn curl(&self, args: &[&str]) -> Result<Curl> {
        let mut all = self.curls(args, 1, 1)?;
        all.pop().with_context(|| format!("curl in {} reported nothing", self.pod()))
    }

    /// The status of GET, or curl's exit code as an error.
    pub fn status(&self, url: &str) -> Result<u16> {
        let answer = self.curl(&[url])?;
        ensure!(answer.exit == 0, "curl {url} in {}: ({}) {}", self.pod(), answer.exit, answer.error);
        Ok(answer.status)
    }

    /// GET `count` times over as many connections, `parallel` at a time.
    pub fn get_many(&self, url: &str, headers: &[&str], count: usize, parallel: usize) -> Result<Answers> {
        let mut args = Vec::new();
        headers.iter().for_each(|header| args.extend(["-H", header]));
        args.push(url);
        Ok(answers(self.curls(&args, count, parallel)?))
    }

    /// Like [`Container::get_many`] with curl's own arguments.
    pub fn curls(&self, args: &[&str], count: usize, parallel: usize) -> Result<Vec<Curl>> {
        let (n, p) = (count.to_string(), parallel.to_string());
        let args = [&[&*n, &*p, "-s", "-m", REQUEST, "-w", REPORT], args].concat();
        // Also when each of them waits to its end.
        let rounds = u32::try_from(count.div_ceil(parallel.max(1))).unwrap_or(u32::MAX);
        let deadline = Duration::from_secs(60) + START.saturating_mul(rounds);
        let found = parse(&self.shell_within(MANY, &args, deadline)?)?;
        ensure!(found.len() == count, "{} reports of {count} requests in {}", found.len(), self.pod());
        Ok(found)
    }
}

/// Reads what curls wrote one after the other.
pub(crate) fn parse(text: &str) -> Result<Vec<Curl>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((body, after)) = rest.split_once(&format!("\n{MARK} ")) {
        let (report, after) = after.split_once('\n').with_context(|| format!("half a report of curl: {after:?}"))?;
        found.push(one(body, report).with_context(|| format!("curl's report {report:?}"))?);
        rest = after;
    }
    Ok(found)
}

fn one(body: &str, report: &str) -> Result<Curl> {
    let mut words = report.splitn(4, ' ');
    let mut word = || words.next().context("too short");
    Ok(Curl {
        exit: word()?.parse()?,
        status: word()?.parse()?,
        elapsed: Duration::try_from_secs_f64(word()?.parse()?)?,
        error: word()?.to_owned(),
        body: body.to_owned(),
    })
}

/// In the terms that all tiers share.
pub(crate) fn answers(curls: Vec<Curl>) -> Answers {
    let elapsed = curls.iter().map(|curl| curl.elapsed).sum();
    Answers { results: curls.into_iter().map(result).collect(), elapsed }
}

fn result(curl: Curl) -> Result<Response, Failure> {
    if curl.exit == 0 {
        let (status, body, elapsed) = (curl.status, curl.body.into_bytes(), curl.elapsed);
        return Ok(Response { status, version: 1, headers: Vec::new(), body, elapsed });
    }
    let (kind, step) = match curl.exit {
        6 => (FailureKind::NotFound, Step::Resolve),
        7 => (FailureKind::Refused, Step::Connect),
        28 => (FailureKind::Timeout, Step::Receive),
        52 => (FailureKind::Closed, Step::Receive),
        55 => (FailureKind::Reset, Step::Send),
        56 => (FailureKind::Reset, Step::Receive),
        _ => (FailureKind::Other, Step::Receive),
    };
    let source = io::Error::other(format!("curl: ({}) {}", curl.exit, curl.error));
    Err(Failure { kind, step, source, elapsed: curl.elapsed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_told_from_bodies() {
        let text = "Ray is 3 years\n@@weft-curl@@ 0 200 0.012 \n\n@@weft-curl@@ 56 000 0.5 Recv failure: Connection reset by peer\n\
                    two\nlines\n\n@@weft-curl@@ 0 403 1 \n";
        let found = parse(text).unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!((found[0].status, &*found[0].body), (200, "Ray is 3 years"));
        assert_eq!((found[1].exit, &*found[1].body), (56, ""));
        assert_eq!((found[2].status, &*found[2].body), (403, "two\nlines\n"));
        let answers = answers(found);
        assert_eq!(answers.summary().keys().collect::<Vec<_>>(), ["200", "403", "Reset at Receive"]);
    }

    #[test]
    fn half_a_report_is_an_error() {
        assert!(parse("x\n@@weft-curl@@ 0 200").is_err() && parse("x\n@@weft-curl@@ 0 200\n").is_err());
    }
}
