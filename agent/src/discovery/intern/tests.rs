use super::*;

#[test]
fn equal_strings_and_label_sets_are_one() {
    let interner = Interner::default();
    let other = interner.clone();
    assert!(Arc::ptr_eq(&interner.text("app"), &other.text("app")));
    let map: BTreeMap<String, String> = [("app".to_owned(), "web".to_owned())].into();
    let (one, two) = (interner.labels(Some(&map)), other.labels(Some(&map)));
    assert!(Arc::ptr_eq(&one, &two));
    let (key, value) = one.iter().next().unwrap();
    assert!(Arc::ptr_eq(key, &interner.text("app")) && Arc::ptr_eq(value, &interner.text("web")));
    assert!(interner.labels(None).is_empty());
}

#[test]
fn what_nobody_uses_is_forgotten() {
    let interner = Interner::default();
    let kept = interner.text("kept");
    for number in 0..10 * SWEEP_FROM {
        interner.text(&number.to_string());
    }
    let known = interner.pools.lock().unwrap().strings.known.len();
    assert!(known <= SWEEP_FROM, "{known}");
    assert!(Arc::ptr_eq(&kept, &interner.text("kept")));
}
