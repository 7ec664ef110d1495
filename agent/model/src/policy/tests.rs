//! Path normalization and templates.

use proptest::prelude::*;

use super::{PathPattern, normalize_path};

#[test]
fn paths_are_compared_in_one_form() {
    for (sent, want) in [
        ("/", "/"),
        ("", ""),
        ("*", "*"),
        ("/a/b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/./b", "/a/b"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/..", "/"),
        ("/../../b", "/b"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/%61dmin", "/admin"),
        ("/a%7Eb%2db%5F", "/a~b-b_"),
        ("/a%2fb", "/a%2fb"),
        ("/a%5cb", "/a%5cb"),
        ("/a%252e%252e/b", "/a%252e%252e/b"),
        ("/a\\..\\b", "/b"),
        ("\\admin", "/admin"),
        ("/a//b", "/a//b"),
        ("/a//../b", "/a/b"),
        ("/...", "/..."),
        ("/.hidden", "/.hidden"),
        ("/100%", "/100%"),
        ("/%2", "/%2"),
        ("/%zz/%é", "/%zz/%é"),
        ("/a%00b", "/a%00b"),
    ] {
        assert_eq!(normalize_path(sent), want, "{sent:?}");
    }
}

#[test]
fn templates_match_segments() {
    for (template, path, want) in [
        ("/foo/{*}", "/foo/bar", true),
        ("/foo/{*}", "/foo/", false),
        ("/foo/{*}", "/foo/bar/baz", false),
        ("/foo/{**}", "/foo/bar/baz", true),
        ("/foo/{**}", "/foo/", true),
        ("/foo/{**}", "/foo", false),
        ("/{*}/bar/{**}", "/foo/bar/a/b", true),
        ("/{*}/bar/{**}", "/a/foo/bar/b", false),
        ("/foo/{**}/", "/foo/a/b/", true),
        ("/foo/{**}/", "/foo/a/b", false),
        ("/a/{*}.txt", "/a/b.txt", true),
        ("/a/{*}.txt", "/a/b/c.txt", false),
        ("/plain", "/plain", true),
        ("/plain", "/plain/", false),
    ] {
        assert_eq!(PathPattern::Template(template.to_owned()).matches(path), want, "{template} {path}");
    }
}

proptest! {
    #[test]
    fn a_normalised_path_has_no_dot_segments_and_stays_as_it_is(path in "/[a-b./%\\\\2eE5fF]{0,24}") {
        let once = normalize_path(&path).into_owned();
        prop_assert!(once.starts_with('/'));
        prop_assert!(once.split('/').all(|segment| segment != "." && segment != ".."), "{}", once);
        prop_assert!(!once.contains('\\'));
    }

    #[test]
    fn plain_paths_are_untouched(path in "(/[a-z0-9_~-]{1,5}){1,5}/?") {
        prop_assert_eq!(normalize_path(&path), path.as_str());
    }

    #[test]
    fn a_segment_inserted_and_left_again_changes_nothing(
        path in "(/[a-z]{1,5}){1,4}", extra in "[a-z]{1,5}", up in "(\\.|%2e|%2E){2}", at in 0usize..4,
    ) {
        let mut segments: Vec<&str> = path.split('/').skip(1).collect();
        let at = at.min(segments.len() - 1);
        segments.splice(at..at, [extra.as_str(), up.as_str()]);
        let detour = segments.iter().fold(String::new(), |out, segment| out + "/" + segment);
        prop_assert_eq!(normalize_path(&detour), path.as_str());
    }
}
