//! Clusters and nodes never share a name or an address, and links' names fit the kernel.

use std::collections::HashSet;

use super::*;

/// The kernel's limit of an interface name, without its final zero.
const LINK_NAME_MAX: usize = 15;

fn cluster(index: u8) -> Layout {
    Layout { name: format!("c{index}"), index, nodes: NODES_MAX, dual_stack: true, folder: PathBuf::from("/somewhere") }
}

#[test]
fn nothing_is_shared_between_clusters_and_nodes() {
    let mut seen = HashSet::new();
    for index in 0..CLUSTERS_MAX {
        let layout = cluster(index);
        let own = [layout.bridge(), layout.network(), layout.etcd(), layout.registry()];
        let nodes = layout.all_nodes().flat_map(|node| [node.netns(), node.cable()]);
        let addresses = Family::of(&layout).iter().flat_map(|family| {
            let of_node = layout.all_nodes().flat_map(|node| [family.node(node).to_string(), family.pods_of(node)]);
            let of_cluster = [family.gateway(&layout).to_string(), family.pods(&layout)];
            of_node.chain(of_cluster).collect::<Vec<_>>()
        });
        for name in own.into_iter().chain(nodes).chain(addresses) {
            assert!(seen.insert(name.clone()), "{name} is given twice");
        }
    }
}

#[test]
fn link_names_fit() {
    let layout = cluster(CLUSTERS_MAX - 1);
    assert!(layout.bridge().len() <= LINK_NAME_MAX);
    assert!(layout.node(NODES_MAX).cable().len() <= LINK_NAME_MAX);
}

#[test]
fn names_are_labels() {
    assert!(is_name("weft") && is_name("a") && is_name("ab-2"));
    for bad in ["", "-a", "a-", "A", "a/b", "a.b", "..", "aaaaaaaaaaaaaaaaaaaaa"] {
        assert!(!is_name(bad), "{bad:?}");
    }
}
