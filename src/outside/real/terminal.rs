use std::io::{BufRead, IsTerminal, Write};
use std::sync::OnceLock;
use tokio::sync::broadcast;

/// Lines from a person at the terminal, if there is one. One thread reads them all for the life of the process: a read
/// from a terminal cannot be taken back, so a reader per question would swallow the answer to the next one.
pub(super) struct Terminal {
    lines: OnceLock<Option<broadcast::Sender<String>>>,
}

impl Terminal {
    /// Standard input, when it is a terminal. Nothing is read before the first question.
    pub(super) fn standard_input() -> Self {
        Self { lines: OnceLock::new() }
    }

    /// Shows a question and returns the lines that are typed from now on. `None` when nobody can be asked here.
    pub(super) fn ask(&self, question: &str) -> Option<broadcast::Receiver<String>> {
        let lines = self.lines.get_or_init(start_reading).as_ref()?;
        let receiver = lines.subscribe();
        Self::show(question);
        Some(receiver)
    }

    /// Shows a line. Standard error, so that standard output stays readable by programs.
    pub(super) fn show(text: &str) {
        let _closed = writeln!(std::io::stderr(), "{text}");
    }
}

fn start_reading() -> Option<broadcast::Sender<String>> {
    if !std::io::stdin().is_terminal() {
        return None;
    }
    let (sender, _) = broadcast::channel(16);
    let typed = sender.clone();
    let reader = std::thread::Builder::new().name("terminal".to_owned()).spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            let _nobody_waits = typed.send(line);
        }
    });
    reader.is_ok().then_some(sender)
}

#[cfg(test)]
impl Terminal {
    /// A terminal without a person, or with one that types what is sent.
    pub(super) fn scripted(lines: Option<broadcast::Sender<String>>) -> Self {
        Self { lines: OnceLock::from(lines) }
    }
}
