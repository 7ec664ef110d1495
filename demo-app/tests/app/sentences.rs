//! The sentences application as processes on loopback: who calls whom, what is counted, what a failure looks like.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::{Server, demo_app, exchange, get, get_with};

/// Starts name, age and a sentence role on top of them.
fn application(variables: &[(&str, &str)]) -> (Server, Server, Server) {
    let name = Server::role("name", variables);
    let age = Server::role("age", variables);
    let (name_url, age_url) = (name.url(""), age.url(""));
    let urls = [("SENTENCE_NAME_SVC_URL", name_url.as_str()), ("SENTENCE_AGE_SVC_URL", age_url.as_str())];
    let sentence = Server::role("sentence", &[variables, &urls].concat());
    (name, age, sentence)
}

#[test]
fn a_sentence_is_made_of_a_name_and_an_age_and_all_three_are_counted() {
    let (name, age, sentence) = application(&[("SENTENCE_AGE_MIN", "42"), ("SENTENCE_AGE_MAX", "43")]);
    for _ in 0..5 {
        let answer = get(sentence.address(), "/");
        assert_eq!(answer.status(), 200);
        assert!(answer.head.contains("content-type: text/html; charset=utf-8"), "{}", answer.head);
        let (who, years) = answer.body.split_once(" is ").unwrap();
        assert!(["Peter", "Ray", "Egon"].contains(&who), "{who}");
        assert!(["42 years", "43 years"].contains(&years), "{years}");
    }
    assert_eq!(get(name.address(), "/choices").body, "['Peter', 'Ray', 'Egon']");
    assert_eq!((sentence.counted("sentence"), name.counted("name"), age.counted("age")), (5.0, 5.0, 5.0));
    assert_eq!(name.counted("sentence"), 0.0);
    sentence.wait_for_log(|line| line.starts_with("Operation 'sentence' took ") && line.ends_with("ms"));
    name.wait_for_log(|line| line.starts_with("Using name '"));
    name.wait_for_log(|line| line.starts_with("127.0.0.1 - - [") && line.ends_with("] \"GET / HTTP/1.1\" 200 -"));
}

#[test]
fn other_paths_and_methods_are_refused() {
    let age = Server::role("age", &[]);
    assert_eq!(get(age.address(), "/choices").status(), 404);
    let post = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab";
    assert_eq!(exchange(age.address(), post).status(), 405);
    assert_eq!(age.counted("age"), 0.0);
}

#[test]
fn http10_answers_end_with_the_connection_and_make_sentences_too() {
    let (name, _age, sentence) = application(&[("SENTENCE_HTTP10", "true"), ("SENTENCE_NAMES", "Peter")]);
    let answer = exchange(sentence.address(), b"GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
    assert!(answer.head.starts_with("HTTP/1.0 200 OK\r\n"), "{}", answer.head);
    let head = answer.head.to_ascii_lowercase();
    assert!(head.contains("\r\nconnection: close") && !head.contains("content-length"), "{head}");
    assert!(answer.body.starts_with("Peter is ") && answer.body.ends_with(" years"), "{}", answer.body);
    assert_eq!(name.counted("name"), 1.0);
}

#[test]
fn headers_travel_and_the_users_credentials_do_not() {
    let echo = Server::helper(&["echo"]);
    let age = Server::role("age", &[("SENTENCE_AGE_MAX", "0")]);
    let (echo_url, age_url) = (echo.url("/n"), age.url(""));
    let urls = [("SENTENCE_NAME_SVC_URL", echo_url.as_str()), ("SENTENCE_AGE_SVC_URL", age_url.as_str())];
    let sentence = Server::role("sentence", &urls);
    let lines = "X-Test: use-v2\r\nX-B3-TraceId: 7\r\nTraceparent: 00-1-2-01\r\nAuthorization: Bearer t\r\n";
    let body = get_with(sentence.address(), "/", lines).body;
    for sent in [r#"["x-test","use-v2"]"#, r#"["x-b3-traceid","7"]"#, r#"["authorization","something-valid"]"#] {
        assert!(body.contains(sent), "{body}");
    }
    assert!(!body.contains("traceparent") && !body.contains("Bearer"), "{body}");
    assert!(body.contains(r#""path":"/n""#) && body.ends_with(" is 0 years"), "{body}");
}

#[test]
fn statuses_of_sub_calls_are_ignored_but_silence_and_refusal_are_errors() {
    let httpbin = Server::helper(&["httpbin-lite"]);
    let age = Server::role("age", &[("SENTENCE_AGE_MAX", "0")]);
    let age_url = age.url("");
    let sentence_with_name_at =
        |url: &str| Server::role("sentence", &[("SENTENCE_NAME_SVC_URL", url), ("SENTENCE_AGE_SVC_URL", &age_url)]);

    let answer = get(sentence_with_name_at(&httpbin.url("/status/404")).address(), "/");
    assert_eq!((answer.status(), answer.body.as_str()), (200, " is 0 years"));

    // The kernel completes handshakes for a socket nobody accepts on: connected, and then silence.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let sentence = sentence_with_name_at(&format!("http://{}", silent.local_addr().unwrap()));
    let started = Instant::now();
    assert_eq!(get(sentence.address(), "/").status(), 500);
    assert!((Duration::from_secs(1)..Duration::from_secs(3)).contains(&started.elapsed()), "{:?}", started.elapsed());
    assert_eq!(sentence.counted("sentence"), 0.0);

    let refusing = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sentence = sentence_with_name_at(&format!("http://{refusing}"));
    assert_eq!(get(sentence.address(), "/").status(), 500);
    sentence.wait_for_log(|line| line.contains(&format!("cannot connect to {refusing}")));
}

#[test]
fn random_numbers_come_from_the_url_and_bad_credentials_are_slow() {
    let random = Server::role("random", &[]);
    let url = random.url("");
    let age =
        Server::role("age", &[("SENTENCE_RANDOM_SVC_URL", &url), ("SENTENCE_AGE_MIN", "7"), ("SENTENCE_AGE_MAX", "7")]);
    let timed = |lines: &str| {
        let started = Instant::now();
        assert_eq!(get_with(age.address(), "/", lines).body, "7");
        started.elapsed()
    };
    assert!(timed("Authorization: something-valid\r\n") < Duration::from_millis(600));
    assert!(timed("Authorization: 12345\r\n") >= Duration::from_millis(700));
    assert!(timed("") >= Duration::from_millis(700));
    assert_eq!(random.counted("random"), 3.0);

    let httpbin = Server::helper(&["httpbin-lite"]);
    let status = |path: &str| {
        let name = Server::role("name", &[("SENTENCE_RANDOM_SVC_URL", &httpbin.url(path))]);
        let answer = get(name.address(), "/");
        assert_eq!(name.counted("name"), 1.0);
        answer.status()
    };
    assert_eq!(status("/status/404"), 404);
    assert_eq!(status("/bytes/0"), 500);
    assert_eq!(status("/get"), 500);
    assert_eq!(status("/bytes/1"), 200);
}

#[test]
fn api_gives_the_text_of_httpbin_and_its_failure_fails_the_sentence() {
    let httpbin = Server::helper(&["httpbin-lite"]);
    let api = Server::role("api", &[("SENTENCE_HTTPBIN_URL", &httpbin.url("/headers"))]);
    let answer = get_with(api.address(), "/", "X-Test: 1\r\nX-Version: v2\r\n");
    assert!(answer.body.contains("\"X-Test\": \"1\"") && !answer.body.contains("X-Version"), "{}", answer.body);
    api.wait_for_log(|line| line == "Response was: 200");
    assert_eq!(api.counted("api"), 1.0);

    let api_url = api.url("");
    let switched = [("API_SWITCH", "true"), ("SENTENCE_API_SVC_URL", api_url.as_str()), ("SENTENCE_FULL_STOP", "true")];
    let (_name, _age, sentence) = application(&switched);
    assert!(get(sentence.address(), "/").body.ends_with(" years."));
    assert_eq!(api.counted("api"), 2.0);
    drop(api);
    assert_eq!(get(sentence.address(), "/").status(), 500);
    assert_eq!(sentence.counted("sentence"), 2.0);
}

#[test]
fn sigterm_ends_a_busy_role_at_once_and_well() {
    let mut age = Server::role("age", &[("SENTENCE_SVC_DELAY_MIN", "30"), ("SENTENCE_SVC_DELAY_MAX", "30")]);
    let mut stream = std::net::TcpStream::connect(age.address()).unwrap();
    std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    age.wait_for_log(|line| line == "Delay 30s");
    let started = Instant::now();
    assert_eq!(age.terminate().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn an_unknown_mode_ends_well_and_a_bad_variable_does_not() {
    let unknown = demo_app().arg("sentences").env("SENTENCE_MODE", "sentences").output().unwrap();
    assert_eq!(unknown.status.code(), Some(0));
    let bad = demo_app().arg("sentences").env("SENTENCE_AGE_MIN", "ten").output().unwrap();
    assert_eq!(bad.status.code(), Some(2));
    let text = String::from_utf8_lossy(&bad.stderr);
    assert!(text.contains("SENTENCE_AGE_MIN=\"ten\" is not a whole number"), "{text}");
}
