//! What agent and keeper say to each other. The keeper as a process is tested in the node tier.

use super::*;

#[test]
fn what_is_said_is_understood() {
    let held = Held { namespace: u64::MAX - 1, generation: 1 << 40, direction: 1, worker: 255 };
    let asked = [
        Ask::Hello { patience: Duration::from_millis(30_001) },
        Ask::Hold(held),
        Ask::Settle { namespace: 7, generation: 8 },
        Ask::Forget { namespace: 9 },
        Ask::List,
        Ask::Stop,
    ];
    for ask in asked {
        assert_eq!(Ask::decode(&ask.encode()), Some(ask));
        assert_eq!(Answer::decode(&ask.encode()), None, "{ask:?} is no answer");
    }
    for answer in [Answer::Held(held), Answer::End(Binary::own().unwrap())] {
        assert_eq!(Answer::decode(&answer.encode()), Some(answer));
        assert_eq!(Ask::decode(&answer.encode()), None, "{answer:?} asks nothing");
    }
    assert_eq!(Ask::decode(&[0; message::BYTES]), None);
}

#[test]
fn nobody_keeps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.keeper");
    assert!(Keeper::find(&path, PATIENCE).unwrap().is_none());
    // Of one that was killed the name stays.
    drop(passing::listen(&path, Type::SEQPACKET).unwrap());
    assert!(path.exists());
    assert!(Keeper::find(&path, PATIENCE).unwrap().is_none());
}
