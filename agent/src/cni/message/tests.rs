use std::io::ErrorKind;

use super::{Answer, LINE_BYTES_MAX, Request, Sandbox, read, write};

fn sandbox() -> Sandbox {
    Sandbox {
        namespace: "default".into(),
        name: "a".into(),
        uid: "u1".into(),
        container: "c1".into(),
        netns: "/var/run/netns/cni-1".into(),
        addresses: vec!["10.1.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
    }
}

#[test]
fn what_one_side_writes_the_other_reads() {
    for request in [Request::Add(sandbox()), Request::Check(sandbox()), Request::Delete(sandbox())] {
        let mut wire = Vec::new();
        write(&mut wire, &request).unwrap();
        assert_eq!(read::<Request>(&wire[..]).unwrap(), request);
    }
    let mut wire = Vec::new();
    write(&mut wire, &Answer::Refuse { reason: "two\nlines".into() }).unwrap();
    assert_eq!(wire.iter().filter(|byte| **byte == b'\n').count(), 1);
    assert_eq!(read::<Answer>(&wire[..]).unwrap(), Answer::Refuse { reason: "two\nlines".into() });
}

#[test]
fn a_runtime_that_names_no_uid_is_understood() {
    let line = br#"{"command":"delete","namespace":"default","name":"a","container":"c1"}
"#;
    let Request::Delete(sandbox) = read(&line[..]).unwrap() else { panic!("a delete") };
    assert_eq!((sandbox.uid.as_str(), sandbox.netns.as_os_str().len()), ("", 0));
}

#[test]
fn what_is_no_message_is_an_error_not_a_wait() {
    for (line, kind) in [
        (&b""[..], ErrorKind::UnexpectedEof),
        (b"{\"answer\":\"pass\"", ErrorKind::UnexpectedEof),
        (b"{\"answer\":\"maybe\",\"reason\":\"x\"}\n", ErrorKind::InvalidData),
        (b"\xff\n", ErrorKind::InvalidData),
        (&vec![b' '; LINE_BYTES_MAX + 10][..], ErrorKind::UnexpectedEof),
    ] {
        assert_eq!(read::<Answer>(line).unwrap_err().kind(), kind);
    }
}
