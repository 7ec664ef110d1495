//! What is taken from a file that others replace.

use std::{fs, time::Instant};

use super::*;
use crate::identity::testing::Mesh;

fn pem(mesh: &Mesh) -> String {
    mesh.ca.roots().to_pem()
}

#[tokio::test]
async fn a_change_is_taken_and_a_broken_file_is_not() {
    let (old, new) = (Mesh::new(), Mesh::new());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root-cert.pem");
    let (mut published, _watch) = RootFile::watch(path.clone());
    let Published::Nothing(why) = published.borrow_and_update().clone() else { panic!("there is no file yet") };
    assert!(why.contains("root-cert.pem") && why.contains("istio-ca-root-cert"), "{why}");

    let next = async |published: &mut watch::Receiver<Published>, text: String| {
        fs::write(folder.path().join("draft"), text).unwrap();
        fs::rename(folder.path().join("draft"), &path).unwrap();
        tokio::time::timeout(Duration::from_secs(10), published.changed()).await.expect("taken").unwrap();
        published.borrow_and_update().clone()
    };
    assert_eq!(next(&mut published, pem(&old)).await, Published::Roots(old.ca.roots().clone()));
    fs::write(&path, "nonsense").unwrap();
    let begin = Instant::now();
    assert!(tokio::time::timeout(LOOK * 2, published.changed()).await.is_err(), "{:?}", begin.elapsed());
    let both = next(&mut published, pem(&old) + &pem(&new)).await;
    let Published::Roots(both) = both else { panic!("{both:?}") };
    assert_eq!(both.roots().len(), 2);
    assert_eq!(both.to_pem(), pem(&old) + &pem(&new));
}
