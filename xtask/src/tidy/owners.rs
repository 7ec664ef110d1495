//! Some libraries belong to one part of the agent, so that replacing one of them changes one folder.

use super::lexer::paths;
use super::tree::{Source, Tree};
use super::{Finding, Severity};

/// A crate, the modules of the agent that alone name it, and what the others do instead.
struct Owned {
    library: &'static str,
    modules: &'static [&'static str],
    advice: &'static str,
}

/// The modules that speak to an API server or of its objects.
const KUBERNETES_MODULES: &[&str] = &["kubernetes", "discovery", "control", "install", "cli"];

const KUBERNETES: &str = "let discovery turn the Kubernetes object into a model value, and take that";

const OWNED: [Owned; 4] = [
    Owned { library: "aya", modules: &["ebpf"], advice: "ask the typed wrappers of `ebpf` for the map or program" },
    Owned { library: "prometheus", modules: &["telemetry"], advice: "emit an event; telemetry turns it into a metric" },
    Owned { library: "k8s_openapi", modules: KUBERNETES_MODULES, advice: KUBERNETES },
    Owned { library: "kube", modules: KUBERNETES_MODULES, advice: KUBERNETES },
];

/// Checks every file of the agent.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.below("agent/src/").flat_map(foreign_names).collect()
}

fn foreign_names(file: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in paths(&file.lex().code) {
        let owned = OWNED.iter().find(|owned| path.parts.len() > 1 && path.parts[0] == owned.library);
        let Some(owned) = owned.filter(|owned| !owned.modules.iter().any(|module| is_in(&file.path, module))) else {
            continue;
        };
        let problem = format!("`{}` is named outside `agent/src/{}`", owned.library, owned.modules.join("`, `"));
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
