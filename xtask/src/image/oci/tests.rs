//! An image's documents point to each other by their true digests and lengths.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;

fn read(file: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

#[test]
fn every_blob_is_what_its_descriptor_says() {
    let scratch = std::env::temp_dir().join(format!("weft-oci-{}", std::process::id()));
    let fill = |root: &Path| Ok(fs::write(root.join("hello"), "world")?);
    let layer = Layer::pack(&scratch.join("layer"), fill).unwrap();
    let again = Layer::pack(&scratch.join("again"), fill).unwrap();
    assert_eq!(layer.digest, again.digest, "equal folders give equal layers");

    let image = scratch.join("image");
    write(&image, &[&layer], &Config { entrypoint: vec!["/hello"], ..Config::default() }).unwrap();
    let blob = |descriptor: &Value| {
        let file = image.join("blobs/sha256").join(hex(descriptor["digest"].as_str().unwrap()));
        assert_eq!(sha256(&file).unwrap(), descriptor["digest"]);
        assert_eq!(fs::metadata(&file).unwrap().len(), descriptor["size"]);
        file
    };
    let manifest = read(blob(&read(image.join("index.json"))["manifests"][0]));
    let config = read(blob(&manifest["config"]));
    blob(&manifest["layers"][0]);
    assert_eq!(config["rootfs"]["diff_ids"][0], layer.diff_id);
    assert_eq!(config["config"]["Entrypoint"][0], "/hello");
    let names: BTreeSet<_> = fs::read_dir(&image).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["blobs", "index.json", "oci-layout"].map(Into::into).into());
    fs::remove_dir_all(scratch).unwrap();
}
