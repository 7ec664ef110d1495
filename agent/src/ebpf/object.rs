//! The embedded eBPF object.

use super::EbpfError;

/// `include_bytes!` with the alignment that ELF headers want.
#[repr(C, align(32))]
struct Aligned<T: ?Sized>(T);

static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/weft-ebpf.o")));

/// The object's bytes.
///
/// # Errors
/// [`EbpfError::NotEmbedded`] in a binary that was built without the object.
pub fn bytes() -> Result<&'static [u8], EbpfError> {
    if OBJECT.0.is_empty() { Err(EbpfError::NotEmbedded) } else { Ok(&OBJECT.0) }
}
