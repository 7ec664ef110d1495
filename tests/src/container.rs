//! One container of a pod: its program kept running, its environment, what says that it serves. Owned by `kubelet`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::manifest::{list, text};
use crate::process::{Process, Spec};

/// How long an ended program waits for its restart.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// A container as its manifest describes it, and its process.
#[derive(Debug)]
pub(crate) struct Container {
    value: Value,
    process: Option<Process>,
    start_at: Instant,
    trouble: Option<String>,
}

impl Container {
    pub(crate) fn new(value: &Value) -> Self {
        Self { value: value.clone(), process: None, start_at: Instant::now(), trouble: None }
    }

    /// Starts the program when it is due; after it has ended that is a second later.
    pub(crate) fn keep_running(&mut self, spec: impl FnOnce(&Value) -> Result<Spec>, log: &Path) {
        if let Some(status) = self.process.as_ref().and_then(Process::exit_status) {
            self.process = None;
            self.fail(format!("its program ended ({status})"));
        }
        if self.process.is_some() || Instant::now() < self.start_at {
            return;
        }
        match spec(&self.value).and_then(|spec| Process::spawn(&spec, log)) {
            Ok(process) => self.process = Some(process),
            Err(error) => self.fail(format!("{error:#}")),
        }
    }

    fn fail(&mut self, trouble: String) {
        self.trouble = Some(trouble);
        self.start_at = Instant::now() + RESTART_DELAY;
    }

    pub(crate) fn runs(&self) -> bool {
        self.pid().is_some()
    }

    /// The program's pid, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        let process = self.process.as_ref()?;
        process.exit_status().is_none().then(|| process.pid())
    }

    /// Why it ended or did not start, the last time it did.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    pub(crate) fn terminate(&self) {
        if let Some(process) = &self.process {
            // One that has just ended needs no signal.
            let _ = process.signal(Signal::SIGTERM);
        }
    }

    pub(crate) fn first_port(&self) -> Option<u16> {
        u16::try_from(self.value.pointer("/ports/0/containerPort")?.as_u64()?).ok()
    }

    /// The command of its exec readiness probe.
    pub(crate) fn probe(&self) -> Option<Vec<String>> {
        let words = list(&self.value, "/readinessProbe/exec/command");
        (!words.is_empty()).then(|| words.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }
}

/// The container's `env`, values taken from fields of `pod` (the object with its status) included.
pub(crate) fn environment(container: &Value, pod: &Value) -> Result<Vec<(String, String)>> {
    let entries = list(container, "/env").iter();
    entries
        .map(|entry| {
            let name = text(entry, "/name");
            let value = env_value(entry, pod).with_context(|| format!("environment variable {name}"))?;
            Ok((name.to_owned(), value))
        })
        .collect()
}

fn env_value(entry: &Value, pod: &Value) -> Result<String> {
    let source = &entry["valueFrom"];
    let value = match (source, text(source, "/fieldRef/fieldPath")) {
        (Value::Null, _) => &entry["value"],
        (_, "") => bail!("`valueFrom` is supported with fieldRef only, this is {source}"),
        (_, "status.podIPs") => {
            let addresses = list(pod, "/status/podIPs").iter();
            return Ok(addresses.map(|entry| text(entry, "/ip")).collect::<Vec<_>>().join(","));
        }
        // metadata.labels['app.kubernetes.io/name']
        (_, path) => match path.trim_end_matches("']").split_once("['") {
            Some((map, key)) => &pod.pointer(&pointer(map)).unwrap_or(&Value::Null)[key],
            None => pod.pointer(&pointer(path)).unwrap_or(&Value::Null),
        },
    };
    Ok(match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

fn pointer(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}

/// Replaces `$(NAME)` by the variable's value, as a kubelet does in commands and arguments.
pub(crate) fn expand(word: &str, env: &[(String, String)]) -> String {
    env.iter().fold(word.to_owned(), |word, (name, value)| word.replace(&format!("$({name})"), value))
}

/// Whether somebody listens on `port` in the network namespace of `pid`. Read from /proc: a connection would show up in captures.
pub(crate) fn listens(pid: u32, port: u16) -> bool {
    ["tcp", "tcp6"].iter().any(|table| {
        let table = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        table.lines().skip(1).any(|line| is_listener(line, port))
    })
}

/// Whether a line of `/proc/net/tcp` is a listening socket (state 0A) on `port`.
fn is_listener(line: &str, port: u16) -> bool {
    let mut fields = line.split_whitespace().skip(1);
    let local = fields.next().unwrap_or_default();
    local.ends_with(&format!(":{port:04X}")) && fields.nth(1) == Some("0A")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn variables_come_from_values_and_from_fields_of_the_pod() {
        let pod = json!({"metadata": {"name": "p", "labels": {"app.kubernetes.io/name": "x"}},
            "status": {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}});
        let field = |path: &str| json!({"name": "V", "valueFrom": {"fieldRef": {"fieldPath": path}}});
        let entries = json!({"env": [{"name": "V", "value": 5}, field("metadata.name"), field("status.podIPs"),
            field("metadata.labels['app.kubernetes.io/name']")]});
        let values: Vec<String> = environment(&entries, &pod).unwrap().into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, ["5", "p", "10.0.0.1,fd00::1", "x"]);
        let secret = json!({"env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s"}}}]});
        assert!(format!("{:#}", environment(&secret, &pod).unwrap_err()).contains("KEY"));
        assert_eq!(expand("--ip=$(IP):$(NO)", &[("IP".into(), "::1".into())]), "--ip=::1:$(NO)");
    }

    #[test]
    fn only_listening_sockets_on_the_port_count() {
        let line =
            |port: &str, state: &str| format!("   0: 00000000:{port} 00000000:0000 {state} 00000000:00000000 00:0 0");
        assert!(is_listener(&line("1388", "0A"), 5000));
        assert!(!is_listener(&line("1388", "01"), 5000) && !is_listener(&line("1389", "0A"), 5000));
    }
}
