//! Fuzz target: manifests of a user, read, converted and built into a world beside an application that is in order.

use std::{io, net::IpAddr, sync::Arc};

use weft_model::snapshot::Snapshot;

use super::{
    netns_addresses::NetnsAddresses,
    parse::{ParsedFile, Settings, parse},
    store::Store,
    world::{Before, Inputs, Whereabouts, build},
};

thread_local! {
    /// An application that is in order.
    static APPLICATION: ParsedFile = parse("a.yaml", include_str!("tests/fixtures/base.yaml"), &Settings::default());
}

/// Has an address for every name.
struct Addresses;

impl NetnsAddresses for Addresses {
    fn addresses(&self, netns: &str) -> io::Result<Vec<IpAddr>> {
        let sum = netns.bytes().fold(0_u8, u8::wrapping_add);
        Ok(vec![IpAddr::from([10, 244, 0, sum])])
    }
}

/// A file of manifests.
pub fn manifests(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines = text.split('\n').count();
    let read = parse("fuzz.yaml", text, &Settings::default());
    let problems = read.errors.iter().map(|(_, problem)| problem);
    let of_objects = read.objects.iter().flat_map(|object| &object.warnings);
    for problem in problems.chain(&read.warnings).chain(&read.notes).chain(of_objects) {
        assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)), "no such line of {lines}: {problem}");
        assert!(!problem.message.is_empty());
    }
    let mut store = Store::default();
    store.put(&Arc::from("a.yaml"), APPLICATION.with(Clone::clone));
    store.put(&Arc::from("fuzz.yaml"), read);
    let view = store.view();
    let (domain, node) = (Arc::from("cluster.local"), Arc::from("node-1"));
    let whereabouts = Whereabouts::Files { node: &node, addresses: Some(&Addresses) };
    let built = build(&view, &Inputs { cluster_domain: &domain, whereabouts }, &mut Before::default());
    let snapshot = Snapshot::new(built.world);
    // The neighbours' objects are there whatever this file says.
    assert!(snapshot.services.len() >= 2, "another file's Services are lost");
}
