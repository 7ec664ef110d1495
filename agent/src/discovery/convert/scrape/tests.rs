use super::*;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn application(pairs: &[(&str, &str)]) -> Option<(u16, String, bool)> {
    let all = map(pairs);
    Written::of(Some(&all)).application().map(|one| (one.port, one.path.to_owned(), one.merge))
}

#[test]
fn the_application_is_where_its_annotations_say() {
    let page = |port, path: &str, merge| Some((port, path.to_owned(), merge));
    assert_eq!(application(&[]), None);
    assert_eq!(application(&[(PORT, "8000")]), None, "nobody said that Prometheus should look");
    assert_eq!(application(&[(SCRAPE, "false"), (PORT, "8000")]), None);
    assert_eq!(application(&[(SCRAPE, "true")]), page(80, "/metrics", true));
    assert_eq!(application(&[(SCRAPE, "true"), (PORT, "8000"), (PATH, "/m")]), page(8000, "/m", true));
    assert_eq!(application(&[(SCRAPE, "true"), (PORT, "many"), (PATH, "")]), page(80, "/metrics", true));
    assert_eq!(application(&[(SCRAPE, "true"), (MERGE, "false")]), page(80, "/metrics", false));
    assert_eq!(Written::of(None).application(), None);
}

#[test]
fn rewritten_annotations_say_it_elsewhere() {
    let rewritten = [(SCRAPE, "true"), (PORT, PAGE_PORT), (PATH, PAGE_PATH)];
    assert_eq!(application(&rewritten), None, "the agent would ask itself");
    let with = |more: &[(&'static str, &'static str)]| application(&[&rewritten[..], more].concat());
    let [scrape, port, path] = ORIGINALS;
    assert_eq!(with(&[(scrape, "true")]), Some((80, "/metrics".to_owned(), true)));
    assert_eq!(with(&[(scrape, "true"), (port, "8000"), (path, "/m")]), Some((8000, "/m".to_owned(), true)));
    assert_eq!(with(&[(port, "8000")]), None, "Prometheus did not look at it before, either");
}

#[test]
fn every_spelling_of_prometheus_is_the_same_to_us() {
    let all = map(&[("prometheus.io.scrape", "true"), ("prometheus_io/port", "8000"), ("prometheus.io/paths", "/x")]);
    let written = Written::of(Some(&all));
    assert_eq!((written.scrape, written.port, written.path), (Some("true"), Some("8000"), None));
    let found: Vec<&str> = spellings(Some(&all)).collect();
    assert_eq!(found, ["prometheus.io.scrape", "prometheus_io/port"]);
    let both = map(&[("prometheus.io.port", "1"), (PORT, "2")]);
    assert_eq!(Written::of(Some(&both)).port, Some("2"), "the standard one wins");
}

#[test]
fn the_page_is_where_the_model_says() {
    assert_eq!(PAGE_PORT, weft_model::workload::POD_STATS_PORT.to_string());
}
