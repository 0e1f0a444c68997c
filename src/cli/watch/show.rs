//! Shows how a batch goes: a line that is redrawn, calm lines for a log, or rows for a program.
//!
//! Standard output is written here alone while a batch is followed. A terminal is left with the cursor at the start of an
//! empty line.

use std::io::{self, IsTerminal as _, Write as _};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::bar::Ink;
use super::follow::WatchEvent;
use super::line::{self, Contact};
use super::sentences;
use crate::cli::columns::escaped_json;
use crate::client::words::per_mille;
use crate::protocol::{Batch, Row};

/// Width where the terminal does not say its own, in columns.
const WIDTH_DEFAULT: usize = 80;
/// A calm line is written each time so much more has ended, in tenths of a percent.
const STEP_PER_MILLE: u64 = 50;

/// A way to show it.
pub(in crate::cli) enum Show {
    /// One line of a terminal, redrawn in place.
    Drawn(Box<Drawn>),
    /// A line each time that matters.
    Calm(Calm),
    /// Each row as JSON.
    Rows,
}

impl Show {
    /// The way that fits standard output.
    pub(in crate::cli) fn fit(server: &str) -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        if !io::stdout().is_terminal() || variable("TERM").is_none_or(|term| term == "dumb") {
            return Self::Calm(Calm::default());
        }
        let ink = if variable("NO_COLOR").is_some() { Ink::Plain } else { Ink::Colours };
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
        bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is valid"));
        let (server, contact) = (server.to_owned(), Contact::Tries);
        Self::Drawn(Box::new(Drawn { server, batch: None, contact, ink, bar }))
    }

    /// Shows what has happened.
    ///
    /// # Errors
    /// If standard output or standard error takes nothing.
    pub(in crate::cli) fn receive(&mut self, event: WatchEvent<'_>) -> io::Result<()> {
        match self {
            Self::Drawn(drawn) => {
                drawn.receive(event);
                Ok(())
            }
            Self::Calm(calm) => {
                report(event)?;
                match event {
                    WatchEvent::Row(batch) if calm.is_due(batch) => {
                        writeln!(io::stdout(), "{}", sentences::calm(batch))
                    }
                    _ => Ok(()),
                }
            }
            Self::Rows => {
                report(event)?;
                match event {
                    WatchEvent::Row(batch) => {
                        writeln!(
                            io::stdout(),
                            "{}",
                            escaped_json(&Row::Batch(Box::new(batch.clone())).to_json())
                        )
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// Sums up a batch that has finished.
    ///
    /// # Errors
    /// As [`Show::receive`].
    pub(in crate::cli) fn end(self, batch: &Batch) -> io::Result<()> {
        match self {
            Self::Drawn(drawn) => {
                drawn.bar.finish_and_clear();
                writeln!(io::stdout(), "{}", sentences::summary(batch))
            }
            Self::Calm(_) => writeln!(io::stdout(), "{}", sentences::summary(batch)),
            Self::Rows => Ok(()),
        }
    }

    /// Leaves the terminal as it was.
    pub(in crate::cli) fn leave(self) {
        if let Self::Drawn(drawn) = self {
            drawn.bar.finish_and_clear();
        }
    }
}

/// Reports on standard error how the connection stands, where standard output is not for people's eyes alone.
fn report(event: WatchEvent<'_>) -> io::Result<()> {
    match event {
        WatchEvent::Lost { reason, wait } => writeln!(io::stderr(), "{}", sentences::lost(reason, wait)),
        WatchEvent::Back => writeln!(io::stderr(), "connected again"),
        WatchEvent::Row(_) | WatchEvent::Waits(_) | WatchEvent::Tries => Ok(()),
    }
}

/// One line of a terminal.
pub(in crate::cli) struct Drawn {
    server: String,
    batch: Option<Batch>,
    contact: Contact,
    ink: Ink,
    bar: ProgressBar,
}

impl Drawn {
    fn receive(&mut self, event: WatchEvent<'_>) {
        match event {
            WatchEvent::Row(batch) => {
                self.batch = Some(batch.clone());
                self.contact = Contact::Held;
            }
            WatchEvent::Lost { reason, wait } => {
                self.contact = Contact::Waits { wait, reason: reason.to_owned() }
            }
            WatchEvent::Waits(left) => {
                if let Contact::Waits { wait, .. } = &mut self.contact {
                    *wait = left;
                }
            }
            WatchEvent::Tries => self.contact = Contact::Tries,
            WatchEvent::Back => self.contact = Contact::Held,
        }
        let line = match &self.batch {
            Some(batch) => line::drawn(batch, &self.contact, width(), self.ink),
            None => line::connecting(&self.server, &self.contact, width()),
        };
        self.bar.set_message(line);
    }
}

/// Columns of the terminal, now: it may have been resized.
fn width() -> usize {
    Term::stdout().size_checked().map_or(WIDTH_DEFAULT, |(_rows, columns)| columns.into())
}

/// Which rows are worth a line in a log.
#[derive(Debug, Default)]
pub(in crate::cli) struct Calm {
    /// Most steps that were written, and how the batch stood last.
    written: Option<(u64, Gait)>,
}

/// How a batch stands, as far as a log should say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gait {
    /// Items are handed out.
    Goes,
    /// It waits for its start, is paused or is being cancelled.
    Stands,
}

impl Calm {
    /// True at the start, every 5 % and where a batch stops or goes on; the end is summed up elsewhere.
    fn is_due(&mut self, batch: &Batch) -> bool {
        if batch.state.is_finished() {
            return false;
        }
        let step = per_mille(batch.ended(), batch.total).unwrap_or(0) / STEP_PER_MILLE;
        let gait = if batch.state.hands_out() { Gait::Goes } else { Gait::Stands };
        let due = self.written.is_none_or(|(most, last)| step > most || gait != last);
        if due {
            let most = self.written.map_or(step, |(most, _)| most.max(step));
            self.written = Some((most, gait));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::watch::line::tests::batch;
    use crate::protocol::BatchState;

    #[test]
    fn a_log_has_one_line_per_five_percent() {
        let mut calm = Calm::default();
        let mut due = |succeeded: u64| calm.is_due(&batch(1_000, succeeded, 0));
        assert!(due(0), "the start");
        assert!(!due(1));
        assert!(!due(49));
        assert!(due(50));
        assert!(!due(51));
        assert!(due(399), "one line for many steps");
        assert!(!due(60), "a retry goes back, the log does not");
        assert!(!due(399));
        assert!(due(400));
        let lines = (401..1_000).filter(|succeeded| due(*succeeded)).count();
        assert_eq!(lines, 11);
    }

    #[test]
    fn a_log_says_a_pause_once() {
        let mut calm = Calm::default();
        let mut row = batch(1_000, 10, 0);
        assert!(calm.is_due(&row));
        row.state = BatchState::Paused;
        assert!(calm.is_due(&row));
        assert!(!calm.is_due(&row));
        row.state = BatchState::Running;
        assert!(calm.is_due(&row));
        row.state = BatchState::Succeeded;
        assert!(!calm.is_due(&row), "summed up elsewhere");
    }
}
