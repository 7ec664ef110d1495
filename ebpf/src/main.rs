//! The kernel side of weft: one file per hook, all maps in `maps.rs`, verdicts in `weft-ebpf-common`.
#![no_std]
#![no_main]

mod connect;
mod lookup;
mod maps;
mod probe;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// The verifier grants some helpers only to programs under a GPL-compatible licence.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
