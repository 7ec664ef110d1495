//! Some libraries belong to one part of the agent, so that replacing one of them changes one folder.

use super::lexer::paths;
use super::tree::{Source, Tree};
use super::{Finding, Severity};

/// A crate, the module of the agent that alone names it, and what the others do instead.
struct Owned {
    library: &'static str,
    module: &'static str,
    advice: &'static str,
}

const KUBERNETES: &str = "let discovery turn the Kubernetes object into a model value, and take that";

const OWNED: [Owned; 4] = [
    Owned { library: "aya", module: "ebpf", advice: "ask the typed wrappers of `ebpf` for the map or program" },
    Owned { library: "prometheus", module: "telemetry", advice: "emit an event; telemetry turns it into a metric" },
    Owned { library: "k8s_openapi", module: "discovery", advice: KUBERNETES },
    Owned { library: "kube", module: "discovery", advice: KUBERNETES },
];

/// Checks every file of the agent.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.below("agent/src/").flat_map(foreign_names).collect()
}

fn foreign_names(file: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in paths(&file.lex().code) {
        let owned = OWNED.iter().find(|owned| path.parts.len() > 1 && path.parts[0] == owned.library);
        let Some(owned) = owned.filter(|owned| !is_in(&file.path, owned.module)) else { continue };
        let problem = format!("`{}` is named outside `agent/src/{}`", owned.library, owned.module);
        findings.push(Finding {
            path: file.path.clone(),
            line: path.line,
            severity: Severity::Failure,
            rule: "owner",
            problem,
            advice: owned.advice,
        });
    }
    findings
}

/// `agent/src/ebpf.rs` and everything in `agent/src/ebpf/`.
fn is_in(path: &str, module: &str) -> bool {
    let inside = path.strip_prefix("agent/src/").and_then(|inside| inside.strip_prefix(module));
    inside.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}
