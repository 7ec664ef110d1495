//! A container of a pod: where commands run with `kubectl exec`.

use std::time::Duration;

use anyhow::Result;

use crate::command::Output;
use crate::kubectl::output;

/// How long a command may take unless it says otherwise.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running container.
#[derive(Clone, Debug)]
pub struct Container {
    namespace: String,
    pod: String,
    name: Option<String>,
}

impl Container {
    pub(crate) fn new(namespace: &str, pod: &str, name: Option<&str>) -> Self {
        Self { namespace: namespace.to_owned(), pod: pod.to_owned(), name: name.map(str::to_owned) }
    }

    /// The Kubernetes namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name of its pod.
    pub fn pod(&self) -> &str {
        &self.pod
    }

    /// `kubectl exec`: runs a command here to its end.
    pub fn exec(&self, command: &[&str]) -> Result<Output> {
        self.exec_within(command, DEADLINE)
    }

    /// `kubectl exec -- sh -c`, with arguments `$1`, `$2` and so on; anything but success is an error.
    pub fn shell(&self, script: &str, args: &[&str]) -> Result<String> {
        self.shell_within(script, args, DEADLINE)
    }

    pub(crate) fn shell_within(&self, script: &str, args: &[&str], deadline: Duration) -> Result<String> {
        let command = [&["sh", "-c", script, "sh"], args].concat();
        self.exec_within(&command, deadline)?.success(&format!("a script in {}/{}", self.namespace, self.pod))
    }

    fn exec_within(&self, command: &[&str], deadline: Duration) -> Result<Output> {
        let mut args = vec!["--namespace", &self.namespace, "exec", &self.pod];
        if let Some(name) = &self.name {
            args.extend(["--container", name]);
        }
        args.push("--");
        args.extend(command);
        output(&args, "", deadline)
    }
}
