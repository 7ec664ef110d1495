//! Writing to standard output, and durations as people read them.

use std::{
    io::{self, Write},
    time::Duration,
};

use clap::ValueEnum;
use serde::Serialize;

/// Writes a report. A closed pipe is an error that `main` takes for the end.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// As people read it: the largest unit that fits, and the next one for short counts (`3s`, `4m10s`, `2h5m`, `3d`).
pub(super) fn duration(seconds: f64) -> String {
    let seconds = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX).as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600, seconds / 60);
    match () {
        () if days >= 2 => format!("{days}d"),
        () if hours >= 10 => format!("{hours}h"),
        () if hours >= 1 => format!("{hours}h{}m", minutes % 60),
        () if minutes >= 10 => format!("{minutes}m"),
        () if minutes >= 1 => format!("{minutes}m{}s", seconds % 60),
        () => format!("{seconds}s"),
    }
}

/// Form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TextForm {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For both.
    Yaml,
}

/// Form of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListForm {
    /// For people, on a terminal of 100 columns.
    Table,
    /// With more columns.
    Wide,
    /// For programs.
    Json,
    /// For both.
    Yaml,
}

/// Form of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum YamlOrJson {
    /// For people, and `kubectl apply -f -`.
    Yaml,
    /// For programs.
    Json,
}

impl TextForm {
    /// The data in this form; `None`: people want text.
    ///
    /// # Errors
    /// When it cannot be written so, which no data of ours is.
    pub(super) fn data(self, data: &impl Serialize) -> anyhow::Result<Option<String>> {
        match self {
            Self::Text => Ok(None),
            Self::Json => YamlOrJson::Json.data(data).map(Some),
            Self::Yaml => YamlOrJson::Yaml.data(data).map(Some),
        }
    }
}

impl ListForm {
    /// As above.
    ///
    /// # Errors
    /// As above.
    pub(super) fn data(self, data: &impl Serialize) -> anyhow::Result<Option<String>> {
        match self {
            Self::Table | Self::Wide => Ok(None),
            Self::Json => TextForm::Json.data(data),
            Self::Yaml => TextForm::Yaml.data(data),
        }
    }
}

impl YamlOrJson {
    /// The data in this form.
    ///
    /// # Errors
    /// As above.
    pub(super) fn data(self, data: &impl Serialize) -> anyhow::Result<String> {
        Ok(match self {
            Self::Json => serde_json::to_string_pretty(data)? + "\n",
            Self::Yaml => serde_yaml_ng::to_string(data)?,
        })
    }
}
