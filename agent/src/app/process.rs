//! What the process asks of the machine for itself.

use std::{path::Path, time::Duration};

/// How often memory that nobody uses goes back to the machine.
const TRIM_INTERVAL: Duration = Duration::from_secs(10);

/// Bytes from which a buffer is mapped by itself, and of free memory at a heap's end from which it goes back (mallopt(3);
/// what glibc begins with).
#[cfg(target_env = "gnu")]
const LARGE_BYTES: libc::c_int = 128 * 1024;

/// Has large buffers go back to the machine when they are freed. Otherwise glibc learns from each one, as the kernel's type
/// information that is read at the start, to keep as much for the next.
pub(super) fn keep_heaps_small() {
    // SAFETY: numbers that mallopt(3) takes; nothing else allocates differently by them.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE_BYTES);
    }
}

/// Gives memory back that nobody uses. Loading programs and bursts of connections leave each thread's heap with tens of
/// MiB of holes, which glibc keeps otherwise; and most of the program's code is needed once, at the start, or never.
pub(super) async fn trim_memory() {
    let mut interval = tokio::time::interval(TRIM_INTERVAL);
    // The first tick is at once: the start is over with the second.
    interval.tick().await;
    interval.tick().await;
    page_out_program();
    loop {
        // SAFETY: the call has no preconditions and may run beside any allocation.
        #[cfg(target_env = "gnu")]
        unsafe {
            libc::malloc_trim(0);
        }
        interval.tick().await;
    }
}

/// Takes the program's code and constants out of memory; what is needed comes back at once, by page faults that find it in
/// the file's cache or on disk. Measured without pods: 19 MiB resident after the start, 11 MiB ten seconds after this.
fn page_out_program() {
    let Ok(program) = std::fs::read_link("/proc/self/exe") else { return };
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    for (start, length) in maps.lines().filter_map(|line| mapping_of(line, &program)) {
        // SAFETY: advice by which no content is lost (madvise(2)), on what is mapped for as long as the process lives.
        unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_PAGEOUT) };
    }
}

/// Address and length of a mapping of `program` (proc_pid_maps(5)).
fn mapping_of(line: &str, program: &Path) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let is_program = Path::new(fields.nth(4)?) == program;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    is_program.then_some((start, end.checked_sub(start)?))
}

/// How many descriptors this process may have.
pub(super) fn descriptors() -> u64 {
    use nix::sys::resource::{Resource, getrlimit};
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
}

/// Each captured pod and each connection needs descriptors: the soft limit goes up to the hard one.
pub(super) fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, soft, "cannot raise the limit of open files");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_of_the_program_are_told_from_others() {
        let program = Path::new("/usr/bin/weft");
        let line = "55d0c6a00000-55d0c6a02000 r-xp 00001000 fe:00 1234                     /usr/bin/weft";
        assert_eq!(mapping_of(line, program), Some((0x55d0_c6a0_0000, 0x2000)));
        assert_eq!(mapping_of(&line.replace("weft", "other"), program), None);
        assert_eq!(mapping_of("7ffd0a000000-7ffd0a021000 rw-p 00000000 00:00 0", program), None);
    }
}
