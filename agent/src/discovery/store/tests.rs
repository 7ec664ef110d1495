use super::*;
use crate::discovery::parse::{Settings, parse};

fn namespace(name: &str, label: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels: {{ v: {label} }}\n")
}

fn put(store: &mut Store, file: &str, documents: &[String]) {
    store.put(&file.into(), parse(file, &documents.join("---\n"), &Settings::default()));
}

/// Names in force, with the label that tells the version.
fn in_force(store: &Store) -> Vec<String> {
    let tell = |(key, object): (&&Key, &InForce<'_>)| match &object.parsed.content {
        crate::discovery::objects::Content::Namespace(labels) => format!("{}={}", key.name, labels["v"]),
        other => panic!("{other:?}"),
    };
    store.view().objects.iter().map(tell).collect()
}

fn broken(name: &str) -> String {
    namespace(name, "[1]")
}

#[test]
fn the_last_good_version_stays_while_its_document_is_broken() {
    let mut store = Store::default();
    put(&mut store, "a.yaml", &[namespace("x", "one"), namespace("y", "one")]);
    put(&mut store, "a.yaml", &[broken("x"), namespace("y", "two")]);
    assert_eq!(in_force(&store), ["x=one", "y=two"], "the other document acts");
    let error = store.errors().next().unwrap().to_string();
    let said = "a.yaml:5: Namespace x: metadata.labels.v: invalid type: sequence, expected a string; put the value in \
                quotes; the version read before stays in force";
    assert_eq!(error, said);
    put(&mut store, "a.yaml", &[broken("x"), namespace("y", "three")]);
    assert_eq!(in_force(&store), ["x=one", "y=three"], "still");
    put(&mut store, "a.yaml", &[namespace("x", "two"), namespace("y", "three")]);
    assert_eq!(in_force(&store), ["x=two", "y=three"]);
    assert_eq!(store.errors().count(), 0);
}

#[test]
fn a_broken_object_without_an_earlier_version_does_not_act() {
    let mut store = Store::default();
    put(&mut store, "a.yaml", &[broken("x")]);
    assert_eq!(in_force(&store), [] as [&str; 0]);
    let error = store.errors().next().unwrap().to_string();
    assert!(error.ends_with("; it does not act until then"), "{error}");
}

#[test]
fn text_that_is_no_yaml_keeps_what_it_may_have_held() {
    let mut store = Store::default();
    put(&mut store, "a.yaml", &[namespace("x", "one"), namespace("y", "one"), namespace("z", "one")]);
    put(&mut store, "a.yaml", &["a: b: c\n".into(), namespace("y", "two")]);
    assert_eq!(in_force(&store), ["x=one", "y=two", "z=one"]);
}

#[test]
fn removed_documents_and_files_take_their_objects_along() {
    let mut store = Store::default();
    put(&mut store, "a.yaml", &[namespace("x", "one"), namespace("y", "one")]);
    put(&mut store, "b.yaml", &[namespace("z", "one")]);
    put(&mut store, "a.yaml", &[namespace("y", "one")]);
    assert_eq!(in_force(&store), ["y=one", "z=one"]);
    store.remove("b.yaml");
    assert_eq!(in_force(&store), ["y=one"]);
    put(&mut store, "a.yaml", &[]);
    assert_eq!(in_force(&store), [] as [&str; 0]);
}

#[test]
fn a_name_in_two_files_is_taken_from_the_later_one_and_both_are_named() {
    let mut store = Store::default();
    put(&mut store, "b.yaml", &[namespace("x", "b")]);
    put(&mut store, "a.yaml", &[namespace("y", "a"), namespace("x", "a")]);
    assert_eq!(in_force(&store), ["x=b", "y=a"]);
    let warnings: Vec<_> = store.view().warnings.iter().map(ToString::to_string).collect();
    let said = "b.yaml:1: Namespace x: is defined here and in a.yaml:7; the one here is used; remove one of them";
    assert_eq!(warnings, [said]);
    put(&mut store, "b.yaml", &[broken("x")]);
    assert_eq!(in_force(&store), ["x=a", "y=a"], "a good version is better than one kept for want of it");
}

#[test]
fn a_name_twice_in_one_file_is_taken_from_the_later_document() {
    let mut store = Store::default();
    put(&mut store, "a.yaml", &[namespace("x", "one"), namespace("x", "two")]);
    assert_eq!(in_force(&store), ["x=two"]);
    assert_eq!(store.file_warnings().count(), 1);
}
