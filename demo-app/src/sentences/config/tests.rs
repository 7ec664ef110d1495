use std::time::Duration;

use super::{Config, ConfigError, Form, Role};

fn config(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_lookup(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
}

#[test]
fn the_defaults_are_those_of_the_image() {
    let config = config(&[]).unwrap();
    assert_eq!(config.role, Some(Role::Age));
    assert_eq!((config.port, config.metrics_port, config.listen), (5000, 8000, None));
    assert_eq!(config.ages, 0..=100);
    assert_eq!(config.names, ["Peter", "Ray", "Egon"]);
    assert_eq!(config.delay_seconds, (0.0, 0.0));
    assert_eq!(config.call_timeout, Duration::from_secs(1));
    assert_eq!(config.form, Form::Http11);
    assert!(config.random.is_none() && config.api_url.is_none() && !config.full_stop);
}

#[test]
fn the_mode_names_the_role_exactly() {
    for (mode, role) in [("sentence", Some(Role::Sentence)), ("api", Some(Role::Api)), ("sentences", None)] {
        assert_eq!(config(&[("SENTENCE_MODE", mode)]).unwrap().role, role);
    }
}

#[test]
fn names_are_split_at_commas_only() {
    let names = config(&[("SENTENCE_NAMES", "Pappa Carlo (v3),d'Artagnan (v2)")]).unwrap().names;
    assert_eq!(names, ["Pappa Carlo (v3)", "d'Artagnan (v2)"]);
}

#[test]
fn the_alternative_needs_both_urls() {
    let url = ("SENTENCE_RANDOM_SVC_URL", "https://httpbin.org/bytes/1");
    let url2 = ("SENTENCE_RANDOM_SVC_URL2", "https://httpbin.org/status/404");
    let probability = ("SENTENCE_RANDOM_SVC2_PROBABILITY", "0.1");
    assert!(config(&[url2, probability]).unwrap().random.is_none());
    assert!(config(&[url, probability]).unwrap().random.unwrap().alternative.is_none());
    let (_, chance) = config(&[url, url2, probability]).unwrap().random.unwrap().alternative.unwrap();
    assert_eq!(chance, 0.1);
}

#[test]
fn only_the_literal_true_switches_the_api_call_on() {
    assert!(config(&[("API_SWITCH", "true")]).unwrap().api_url.is_some());
    assert!(config(&[("API_SWITCH", "True")]).unwrap().api_url.is_none());
}

#[test]
fn unusable_variables_are_named() {
    for (name, value) in [
        ("SENTENCE_AGE_MIN", "ten"),
        ("SENTENCE_AGE_MIN", "101"),
        ("SENTENCE_SVC_DELAY_MAX", "NaN"),
        ("SENTENCE_NAME_SVC_URL", "name:5000"),
        ("SENTENCE_HTTP10", "yes"),
        ("SVC_PORT", "70000"),
        ("SENTENCE_SVC_TIMEOUT", "1.5"),
        ("LISTEN", "localhost"),
    ] {
        let error = config(&[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}
