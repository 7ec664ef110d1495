//! What it was measured on.

use std::fs;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::macros::format_description;

/// Everything that a reader needs to place the figures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// When, in UTC.
    pub date: String,
    /// Commit of weft.
    pub commit: String,
    /// Model name of the CPU.
    pub cpu: String,
    /// CPUs online.
    pub cpus: usize,
    /// Release of the kernel.
    pub kernel: String,
    /// Size of the memory in bytes.
    pub memory: u64,
}

impl Machine {
    /// This machine, now.
    pub fn describe(commit: &str) -> Result<Self> {
        let read = |path: &str| fs::read_to_string(path).with_context(|| format!("reading {path}"));
        let cpuinfo = read("/proc/cpuinfo")?;
        let value = |line: &str| line.split_once(':').map(|(_, value)| value.trim().to_owned());
        let cpu = cpuinfo.lines().find(|line| line.starts_with("model name")).and_then(value);
        let meminfo = read("/proc/meminfo")?;
        let kilobytes = meminfo.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
        let minute = format_description!("[year]-[month]-[day] [hour]:[minute]");
        Ok(Self {
            date: OffsetDateTime::now_utc().format(&minute)? + " UTC",
            commit: commit.to_owned(),
            // Not every architecture names its model there.
            cpu: cpu.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cpus: std::thread::available_parallelism()?.get(),
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            memory: kilobytes.context("/proc/meminfo does not begin with MemTotal")? * 1024,
        })
    }
}
