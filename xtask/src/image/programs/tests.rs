//! Reading what ldd(1) says.

use super::*;

#[test]
fn libraries_and_the_linker_are_files() {
    let said = "\tlinux-vdso.so.1 (0x00007fd8a97b7000)\n\
        \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007fd8a721e000)\n\
        \t/lib64/ld-linux-x86-64.so.2 (0x00007fd8a97b9000)\n";
    let expected = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
    assert_eq!(parse(said).unwrap(), expected);
    assert!(parse("\tstatically linked\n").unwrap().is_empty());
}

#[test]
fn a_missing_library_is_an_error() {
    let error = parse("\tlibelf.so.1 => not found\n").unwrap_err().to_string();
    assert!(error.contains("libelf.so.1"), "{error}");
}
