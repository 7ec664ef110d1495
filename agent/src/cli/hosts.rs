//! `weft hosts`: what cluster DNS would answer, as lines for /etc/hosts, where there is no cluster.

use std::{fmt::Write as _, path::PathBuf};

use weft_model::{
    service::{Resolution, Service},
    snapshot::Snapshot,
};

use super::{ask, output};
use crate::discovery;

/// Arguments of `weft hosts`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory of manifests
    #[arg(long, value_name = "DIR", env = "WEFT_MANIFESTS")]
    pub manifests: PathBuf,
    /// Namespace whose pods use short names
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let snapshot = ask::block_on(async {
        let (snapshot, _watch) = discovery::spawn(discovery::Config::new(&args.manifests, "-"));
        let now = snapshot.borrow().clone();
        Ok(now)
    })?;
    output::print(&lines(&snapshot, &args.namespace))
}

fn lines(snapshot: &Snapshot, namespace: &str) -> String {
    let mut text = String::new();
    for service in snapshot.services.values() {
        let addresses: Vec<_> = match service.resolution {
            Resolution::Headless => service.endpoints.iter().filter(|one| one.ready).map(|one| one.address).collect(),
            _ => service.vips.clone(),
        };
        for address in addresses {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{address}\t{}", names(service, namespace).join(" "));
        }
    }
    text
}

/// The names by which pods of `namespace` may call a Service, the shortest first.
fn names(service: &Service, namespace: &str) -> Vec<String> {
    let (name, own) = (&service.name.name, &service.name.namespace);
    let short = (**own == *namespace).then(|| name.to_string());
    let long = [format!("{name}.{own}"), format!("{name}.{own}.svc"), service.host.to_string()];
    short.into_iter().chain(long).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn services_have_addresses_and_names_without_anybody_giving_them() {
        let dir = tempfile::tempdir().unwrap();
        let service = |name: &str, more: &str| {
            format!(
                "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{{more}ports: [{{port: 80}}]}}\n"
            )
        };
        let text =
            [service("fixed", "clusterIP: 10.96.0.9, "), service("free", ""), service("none", "clusterIP: None, ")];
        fs::write(dir.path().join("services.yaml"), text.concat()).unwrap();
        let read = || {
            ask::block_on(async {
                let (snapshot, _watch) = discovery::spawn(discovery::Config::new(dir.path(), "-"));
                let now = snapshot.borrow().clone();
                Ok(now)
            })
            .unwrap()
        };
        let text = lines(&read(), "default");
        assert!(
            text.contains("10.96.0.9\tfixed fixed.default fixed.default.svc fixed.default.svc.cluster.local\n"),
            "{text}"
        );
        assert!(text.contains("\tfree free.default "), "{text}");
        assert!(!text.contains("none"), "headless, and nothing behind it: {text}");
        assert!(lines(&read(), "other").contains("\tfree.default "), "no short names elsewhere");
        assert_eq!(text, lines(&read(), "default"), "every agent gives the same addresses");
    }
}
