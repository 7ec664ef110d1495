use super::*;

const MESH: &str = "# TYPE istio_requests_total counter\nistio_requests_total{reporter=\"source\"} 1\n";

fn added(app: &str) -> String {
    merge(MESH, app).strip_prefix(MESH).expect("the mesh's part stays as it is").to_owned()
}

#[test]
fn a_classic_page_is_appended_as_it_is() {
    let app = "# HELP a_total Counts a.\n# TYPE a_total counter\na_total{x=\"1, \\\"2\\\" }\",y=\"\",} 5.0 1700000000000\n\
               # a remark\nb 1e-3\nc{} NaN\nd{le=\"+Inf\"} +Inf\n";
    assert_eq!(added(app), app);
    assert_eq!(added("a 1\r\nb 2"), "a 1\nb 2\n");
}

#[test]
fn a_family_is_declared_once() {
    let app = "# HELP istio_requests_total Mine.\n# TYPE istio_requests_total gauge\nistio_requests_total 3\n\
               # TYPE a counter\na 1\n# TYPE a counter\na{b=\"c\"} 2\nlate 1\n# TYPE late gauge\n";
    assert_eq!(
        added(app),
        "# HELP istio_requests_total Mine.\nistio_requests_total 3\n# TYPE a counter\na 1\na{b=\"c\"} 2\nlate 1\n"
    );
}

#[test]
fn open_metrics_become_classic() {
    let app = "# TYPE a counter\n# UNIT a seconds\na_total{x=\"y # {\"} 1 1700000000.5 # {trace_id=\"7\"} 0.5\n\
               # TYPE b info\nb_info 1\n# TYPE c unknown\nc 2\n# EOF\n";
    assert_eq!(
        added(app),
        "# TYPE a_total counter\n# UNIT a seconds\na_total{x=\"y # {\"} 1\n# TYPE b gauge\nb_info 1\n# TYPE c untyped\nc 2\n"
    );
}

#[test]
fn what_does_not_parse_costs_itself_and_nothing_else() {
    let bad = [
        "<html>",
        "a",
        "a{",
        "a{b} 1",
        "a{b=\"c} 1",
        "a{b=c} 1",
        "1a 2",
        "a one",
        "a 1 2 3",
        "a{b=\"\0\"} 1",
        "a{b=\"c\"d=\"e\"} 1",
        "# a\0b",
        "# HELP a b\0c",
        "# TYPE a lottery",
        "# TYPE 7 counter",
        "a 1 # {x=\"y\"} 1",
    ];
    let page = format!("{}\ngood 1\n", bad.join("\n"));
    assert_eq!(
        added(&page),
        format!(
            "good 1\n# weft: {} lines of the application's metrics are not Prometheus text and were left out\n",
            bad.len()
        )
    );
}

proptest::proptest! {
    #[test]
    fn any_text_leaves_only_lines_that_parse(app in "(?s).{0,200}") {
        for line in added(&app).lines() {
            let parses = line.starts_with('#') || sample(line).is_some();
            proptest::prop_assert!(parses, "{line:?}");
        }
    }
}
