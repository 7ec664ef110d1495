//! CPU and memory, as `/proc` tells them.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// What `/proc` counts in: `USER_HZ`, 100 on every architecture that Linux has today (`include/asm-generic/param.h`).
const TICKS_PER_SECOND: f64 = 100.0;
/// How often memory is looked at under load.
const MEMORY_TICK: Duration = Duration::from_millis(100);

/// User and system time of a process and its threads, in seconds (`proc_pid_stat(5)`, fields 14 and 15).
pub fn process_cpu(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("reading {path}: has the proxy ended?"))?;
    process_ticks(&stat).map(|ticks| ticks / TICKS_PER_SECOND).with_context(|| format!("{path} is not as expected"))
}

/// The same of several processes together.
pub fn cpu_of(pids: &[u32]) -> Result<f64> {
    pids.iter().map(|pid| process_cpu(*pid)).sum()
}

/// Counted from behind the name, which may hold blanks and brackets.
fn process_ticks(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?)
}

/// Resident memory of a process, in bytes (`VmRSS`).
pub fn resident(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("reading {path}: has the proxy ended?"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kilobytes.with_context(|| format!("{path} has no VmRSS"))? * 1024)
}

/// The same of several processes together.
pub fn resident_of(pids: &[u32]) -> Result<u64> {
    pids.iter().map(|pid| resident(*pid)).sum()
}

/// The most that these processes have resident at once while `work` is done, and what came of it.
pub fn most_resident<T>(pids: &[u32], work: impl FnOnce() -> T) -> Result<(u64, T)> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                most = resident_of(pids)?.max(most);
                std::thread::sleep(MEMORY_TICK);
            }
            anyhow::Ok(most)
        });
        let done = work();
        over.store(true, Ordering::Relaxed);
        let most = watch.join().map_err(|_| anyhow::anyhow!("the watch over memory panicked"))?;
        Ok((most?, done))
    })
}

/// Time that all CPUs were busy, in seconds: the kernel's work for a proxy counts wherever it happens.
pub fn machine_cpu() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
    busy_ticks(&stat).map(|ticks| ticks / TICKS_PER_SECOND).context("/proc/stat is not as expected")
}

/// `user nice system idle iowait irq softirq steal ...`: what is idle, waiting or another machine's does not count.
fn busy_ticks(stat: &str) -> Option<f64> {
    let fields: Vec<f64> =
        stat.lines().next()?.split_whitespace().skip(1).map_while(|field| field.parse().ok()).collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, ..] = fields[..] else { return None };
    Some(user + nice + system + irq + softirq)
}

/// Time that the machine's host took away, in seconds of a CPU; none where it does not tell.
pub fn stolen() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
    Ok(stolen_ticks(&stat).unwrap_or_default() / TICKS_PER_SECOND)
}

fn stolen_ticks(stat: &str) -> Option<f64> {
    stat.lines().next()?.split_whitespace().nth(8)?.parse().ok()
}

/// The share of the machine that others use: busy CPUs while nothing of ours is going on.
pub fn others(cpus: usize) -> Result<f64> {
    const LOOK: Duration = Duration::from_millis(700);
    let before = machine_cpu()?;
    std::thread::sleep(LOOK);
    Ok((machine_cpu()? - before) / LOOK.as_secs_f64() / cpus as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 3 0 9 1 1";
        assert_eq!(process_ticks(stat), Some(175.0));
        assert_eq!(process_ticks("7 (a) S 1"), None);
    }

    #[test]
    fn waiting_and_stolen_time_is_not_busy() {
        let stat = "cpu  10 20 30 4000 500 6 7 80 9 1\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(busy_ticks(stat), Some(73.0));
        assert_eq!(stolen_ticks(stat), Some(80.0));
    }
}
