//! What runs in a container: image names become programs of this machine, as there are no images here.
//!
//! Used by `kubelet` when a pod starts and by `cluster` to refuse unknown images at once. A container's own `command` always wins
//! and is looked up on this machine. [`Program`] is the short form for tests.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::manifest::{list, text};

/// What a workload built by hand runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// `demo-app echo`, which answers with what it received.
    Echo {
        /// Where it listens.
        port: u16,
    },
    /// `demo-app echo --tcp`, which sends back the very bytes.
    TcpEcho {
        /// Where it listens.
        port: u16,
        /// Whether it greets before the client speaks (`220 <hostname> ready`).
        server_first: bool,
    },
    /// `demo-app sentences` on 5000 (API) and 8000 (metrics).
    Sentences {
        /// `SENTENCE_MODE`: sentence, name, age, random or api.
        mode: String,
    },
    /// `demo-app httpbin-lite`.
    Httpbin {
        /// Where it listens.
        port: u16,
    },
    /// Debian's nginx on port 80 with its welcome page.
    Nginx,
    /// Nothing that listens: a place to send requests from.
    Sleep,
    /// Any command of this machine; `port` says when it is ready.
    Command {
        /// Program and arguments.
        line: Vec<String>,
        /// The port it listens on, if it does.
        port: Option<u16>,
    },
}

impl Program {
    /// The container of a pod that runs this program.
    pub(crate) fn container(&self) -> Value {
        match self {
            Self::Echo { port } => container("echo", Some(*port), &[("PORT", port.to_string())]),
            Self::TcpEcho { port, server_first } => {
                let mut container = container("echo", Some(*port), &[("PORT", port.to_string())]);
                container["args"] = if *server_first { json!(["--tcp", "--server-first"]) } else { json!(["--tcp"]) };
                container
            }
            Self::Httpbin { port } => container("httpbin", Some(*port), &[("PORT", port.to_string())]),
            Self::Sentences { mode } => {
                let mut container = container("sentences", Some(5000), &[("SENTENCE_MODE", mode.clone())]);
                container["ports"] = json!([{"containerPort": 5000}, {"containerPort": 8000}]);
                container
            }
            Self::Nginx => container("nginx", Some(80), &[]),
            Self::Sleep => container("sleep", None, &[]),
            Self::Command { line, port } => {
                let mut container = container("command", *port, &[]);
                container["command"] = json!(line);
                container
            }
        }
    }
}

fn container(image: &str, port: Option<u16>, env: &[(&str, String)]) -> Value {
    let env: Vec<Value> = env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let ports: Vec<Value> = port.iter().map(|port| json!({"containerPort": port})).collect();
    json!({"name": image, "image": image, "env": env, "ports": ports})
}

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
}

/// Where images that stand for the same program are recognised, first match wins: the most particular names come first.
const IMAGES: [(&str, Stand); 17] = [
    ("weft", Stand::Mesh),
    ("multitool", Stand::Hostname),
    ("netshoot", Stand::Sleep),
    ("istio-katas", Stand::Demo("sentences")),
    ("sentences", Stand::Demo("sentences")),
    ("httpbin", Stand::Demo("httpbin-lite")),
    ("echo", Stand::Demo("echo")),
    ("nginx", Stand::Welcome),
    ("sleep", Stand::Sleep),
    ("curl", Stand::Sleep),
    ("debian", Stand::Sleep),
    ("ubuntu", Stand::Sleep),
    ("alpine", Stand::Sleep),
    ("busybox", Stand::Sleep),
    ("tcpdump", Stand::Sleep),
    ("pause", Stand::Sleep),
    ("shell", Stand::Sleep),
];

#[derive(Clone, Copy)]
enum Stand {
    /// `weft` itself, with the container's arguments: a gateway, for instance.
    Mesh,
    Demo(&'static str),
    Welcome,
    Hostname,
    Sleep,
}

/// The program of `container`; `private` is a folder of the pod's own for generated configuration.
pub(crate) fn line(container: &Value, private: &Path) -> Result<Line> {
    let words = |pointer| list(container, pointer).iter().map(word).collect::<Vec<String>>();
    let (mut command, args) = (words("/command"), words("/args"));
    if !command.is_empty() {
        command.extend(args);
        return Ok(split(command));
    }
    let image = text(container, "/image");
    match stand(image)? {
        Stand::Demo(subcommand) => {
            let mut all = vec![subcommand.to_owned()];
            all.extend(listen_port(container, subcommand));
            all.extend(args);
            Ok(Line { program: demo_app()?, args: all })
        }
        Stand::Mesh => Ok(Line { program: weft()?, args }),
        Stand::Welcome => nginx(private, "root /usr/share/nginx/html; index index.html;"),
        Stand::Hostname => nginx(private, "default_type text/plain; return 200 \"$hostname\\n\";"),
        Stand::Sleep if args.is_empty() => Ok(split(vec!["sleep".into(), "infinity".into()])),
        Stand::Sleep => Ok(split(args)),
    }
}

/// Images listen where their manifest says; the demo application's one-port servers have to be told.
fn listen_port(container: &Value, subcommand: &str) -> Option<String> {
    let told = list(container, "/env").iter().any(|entry| text(entry, "/name") == "PORT");
    if told || subcommand == "sentences" {
        return None;
    }
    let port = container.pointer("/ports/0/containerPort").and_then(Value::as_u64)?;
    Some(format!("--port={port}"))
}

/// Fails for an image that no program stands for.
pub(crate) fn check(container: &Value) -> Result<()> {
    if list(container, "/command").is_empty() { stand(text(container, "/image")).map(drop) } else { Ok(()) }
}

fn stand(image: &str) -> Result<Stand> {
    if let Some((_, stand)) = IMAGES.iter().find(|(part, _)| image.contains(part)) {
        return Ok(*stand);
    }
    let known: Vec<&str> = IMAGES.iter().map(|(part, _)| *part).collect();
    bail!(
        "no program of this machine stands for image {image:?}: known are names containing {}; give the container a `command`, \
         or add a line to the table in tests/src/program.rs",
        known.join(", ")
    )
}

/// Unquoted numbers and booleans in `args` are as good as quoted ones.
fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn split(mut words: Vec<String>) -> Line {
    let program = words.remove(0).into();
    Line { program, args: words }
}

/// One nginx process in the foreground that writes only into `private`.
fn nginx(private: &Path, location: &str) -> Result<Line> {
    let dir = private.join("nginx");
    fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};", dir.display()))
        .join(" ");
    let config = dir.join("nginx.conf");
    let text = format!(
        "user root; daemon off; master_process off; error_log stderr; pid {}/pid;\nevents {{ worker_connections 512; }}\n\
         http {{ access_log /dev/stdout; {temp} server_tokens off;\n\
         server {{ listen 80; listen [::]:80; location / {{ {location} }} }} }}\n",
        dir.display()
    );
    fs::write(&config, text).with_context(|| format!("writing {}", config.display()))?;
    let args = ["-e", "stderr", "-c"].map(str::to_owned).into_iter().chain([config.display().to_string()]).collect();
    Ok(Line { program: "nginx".into(), args })
}

/// The demo application: `WEFT_DEMO_APP`, or what was built next to this program.
pub(crate) fn demo_app() -> Result<PathBuf> {
    built("WEFT_DEMO_APP", "demo-app", "cargo build -p demo-app")
}

/// The mesh: `WEFT_BIN`, or what was built next to this program.
pub(crate) fn weft() -> Result<PathBuf> {
    built("WEFT_BIN", "weft", "cargo build -p weft")
}

fn built(variable: &str, name: &str, remedy: &str) -> Result<PathBuf> {
    if let Some(path) = env::var_os(variable) {
        let path = PathBuf::from(path);
        if !path.is_file() {
            bail!("{variable} names {}, which is no file", path.display());
        }
        return Ok(path);
    }
    let own = env::current_exe().context("asking for the path of this program")?;
    let dir = own.parent().context("this program has no folder")?;
    let dir = if dir.ends_with("deps") || dir.ends_with("examples") { dir.parent().unwrap_or(dir) } else { dir };
    let path = dir.join(name);
    if !path.is_file() {
        bail!("{} does not exist: run `{remedy}` first, or set {variable}", path.display());
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_wins_over_the_image_and_takes_the_args() {
        let container = json!({"image": "nginx", "command": ["sh", "-c"], "args": ["exit 3", 7]});
        let line = line(&container, Path::new("/nonexistent")).unwrap();
        assert_eq!(line, Line { program: "sh".into(), args: vec!["-c".into(), "exit 3".into(), "7".into()] });
    }

    #[test]
    fn an_unknown_image_is_refused_with_the_known_ones() {
        let error = check(&json!({"image": "mysql:9"})).unwrap_err().to_string();
        assert!(error.contains("mysql:9") && error.contains("sentences"), "{error}");
        check(&json!({"image": "ghcr.io/michaelvl/istio-katas:latest"})).unwrap();
    }
}
