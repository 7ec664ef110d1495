//! How far an installation is: one line per part, redrawn in place on a terminal, written when it changes elsewhere.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// Width of lines where the terminal does not say.
const WIDTH: usize = 100;

/// Where lines are only added, a part that still waits is written after this time, and not more often.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reasons below a part why it waits, and the lines that one may take.
const REASONS_MAX: usize = 5;
const REASON_LINES_MAX: usize = 3;

/// Columns before a part's text.
const INDENT: usize = 24;

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Under way.
    Waiting,
    /// Done.
    Done,
    /// Not to be done.
    Failed,
}

/// One part's line.
#[derive(Debug)]
struct Line {
    part: &'static str,
    state: State,
    text: String,
    reasons: Vec<String>,
    /// When it was written last, or first heard of.
    since: Instant,
    is_written: bool,
}

/// The lines, and where they go.
pub struct Progress {
    out: Box<dyn Write>,
    /// Columns of the terminal; `None` where lines are only added.
    columns: Option<usize>,
    lines: Vec<Line>,
    /// Lines on the terminal that the next drawing replaces.
    drawn: usize,
}

impl Progress {
    /// On standard output.
    pub fn stdout() -> Self {
        let out = io::stdout();
        let columns = out.is_terminal().then(columns);
        Self::new(Box::new(out), columns)
    }

    /// Anywhere.
    pub fn new(out: Box<dyn Write>, columns: Option<usize>) -> Self {
        Self { out, columns, lines: Vec::new(), drawn: 0 }
    }

    /// A line of its own, above the parts.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        self.wipe()?;
        writeln!(self.out, "{text}")?;
        self.draw()
    }

    /// How a part is now, and why it waits.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set(
        &mut self,
        part: &'static str,
        state: State,
        text: impl Into<String>,
        reasons: &[String],
    ) -> io::Result<()> {
        let (text, mut shown) = (text.into(), reasons.to_vec());
        if reasons.len() > REASONS_MAX {
            shown.truncate(REASONS_MAX - 1);
            shown.push(format!("and {} more", reasons.len() - shown.len()));
        }
        let position = match self.lines.iter().position(|line| line.part == part) {
            Some(position) => position,
            None => {
                let since = Instant::now();
                self.lines.push(Line {
                    part,
                    state,
                    text: String::new(),
                    reasons: Vec::new(),
                    since,
                    is_written: false,
                });
                self.lines.len() - 1
            }
        };
        let line = &mut self.lines[position];
        if (line.state, &line.text, &line.reasons) != (state, &text, &shown) {
            (line.state, line.text, line.reasons) = (state, text, shown);
            line.is_written = false;
        }
        if line.is_written {
            return Ok(());
        }
        if self.columns.is_some() {
            line.is_written = true;
            self.wipe()?;
            return self.draw();
        }
        if state != State::Waiting || line.since.elapsed() >= PATIENCE {
            (line.is_written, line.since) = (true, Instant::now());
            let text = self.lines[position].render(WIDTH).join("\n");
            writeln!(self.out, "{text}")?;
        }
        self.out.flush()
    }

    fn wipe(&mut self) -> io::Result<()> {
        if self.drawn > 0 {
            // Up to the first line of the parts, and clear from there to the end of the screen.
            write!(self.out, "\x1b[{}A\x1b[J", self.drawn)?;
            self.drawn = 0;
        }
        Ok(())
    }

    fn draw(&mut self) -> io::Result<()> {
        if let Some(columns) = self.columns {
            // A line that wraps would count for two when it is wiped.
            let columns = columns.saturating_sub(1);
            for line in self.lines.iter().flat_map(|line| line.render(columns)) {
                let line: String = line.chars().take(columns).collect();
                writeln!(self.out, "{line}")?;
                self.drawn += 1;
            }
        }
        self.out.flush()
    }
}

impl Line {
    fn render(&self, columns: usize) -> Vec<String> {
        let state = match self.state {
            State::Waiting => "...",
            State::Done => "ok",
            State::Failed => "FAILED",
        };
        let head = format!("  {state:<6}  {:<12}  {}", self.part, self.text).trim_end().to_owned();
        let reasons = self.reasons.iter().flat_map(|reason| wrap(reason, columns.saturating_sub(INDENT).max(1)));
        std::iter::once(head).chain(reasons.map(|line| format!("{:INDENT$}{line}", ""))).collect()
    }
}

/// The text in lines of that width. What is too long loses its middle: who says it stands at the beginning, and what
/// it comes down to at the end.
fn wrap(text: &str, width: usize) -> Vec<String> {
    const CUT: &str = " ... ";
    let mut letters: Vec<char> = text.chars().collect();
    let room = width * REASON_LINES_MAX;
    if letters.len() > room {
        let kept = room.saturating_sub(CUT.len());
        let tail = letters.split_off(letters.len() - kept / 2);
        letters.truncate(kept - kept / 2);
        letters.extend(CUT.chars().chain(tail));
    }
    letters.chunks(width).map(|line| line.iter().collect::<String>()).collect()
}

/// Columns of the terminal that standard output is.
fn columns() -> usize {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the call writes a `winsize`, which outlives it.
    let result = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    if result == 0 && size.ws_col > 0 { usize::from(size.ws_col) } else { WIDTH }
}

#[cfg(test)]
mod tests;
