use crate::ids::StepId;
use crate::visible::visible;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::mpsc;

/// The person at the terminal, if there is one. One thread reads all lines for the life of the process: a read from a
/// terminal cannot be taken back, so a reader per question would swallow the answer to the next one. Each line goes to one
/// question at most.
pub(super) struct Terminal {
    is_read: OnceLock<bool>,
    questions: Arc<Mutex<Questions>>,
}

/// What somebody has typed to a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Typed {
    pub(super) approved: bool,
    pub(super) comment: Option<String>,
}

/// A question that can be answered at the terminal until this is dropped.
pub(super) struct Prompt {
    step: StepId,
    questions: Arc<Mutex<Questions>>,
    answers: mpsc::Receiver<Typed>,
}

#[derive(Default)]
struct Questions {
    /// Those that can be answered here now.
    open: BTreeMap<StepId, mpsc::Sender<Typed>>,
    /// The steps of all that were shown: what is typed for one of them is no comment for another one.
    shown: BTreeSet<StepId>,
}

impl Terminal {
    /// Standard input, when it is a terminal. Nothing is read before the first question.
    pub(super) fn standard_input() -> Self {
        Self { is_read: OnceLock::new(), questions: Arc::default() }
    }

    /// Shows a question. `None` when it cannot be answered here: there is nobody, or typing is not enough.
    pub(super) fn ask(&self, step: &StepId, question: &str, typing_counts: bool) -> Option<Prompt> {
        if !*self.is_read.get_or_init(|| start_reading(&self.questions)) {
            return None;
        }
        let (sender, answers) = mpsc::channel(16);
        let hint = {
            let mut questions = locked(&self.questions);
            questions.shown.insert(step.clone());
            if typing_counts {
                questions.open.insert(step.clone(), sender);
            }
            (typing_counts && questions.open.len() > 1).then(|| questions.please())
        };
        Self::show(question);
        if let Some(hint) = hint {
            Self::show(&hint);
        }
        let questions = Arc::clone(&self.questions);
        typing_counts.then(|| Prompt { step: step.clone(), questions, answers })
    }

    /// Shows a line. Standard error, so that standard output stays readable by programs.
    pub(super) fn show(text: &str) {
        let _closed = writeln!(std::io::stderr(), "{}", shown(text));
    }
}

impl Prompt {
    /// The next answer that is typed.
    pub(super) async fn typed(&mut self) -> Typed {
        match self.answers.recv().await {
            Some(typed) => typed,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Prompt {
    fn drop(&mut self) {
        locked(&self.questions).open.remove(&self.step);
    }
}

impl Questions {
    /// Gives a line to the question that it answers; else what to say to the person. Whole words only, and the step's name
    /// where there is more than one question: nothing is approved by accident.
    fn take(&self, line: &str) -> Option<String> {
        let (word, rest) = first_word(line);
        if word.is_empty() || self.open.is_empty() {
            return None;
        }
        let approved = match word {
            "approve" => true,
            "reject" => false,
            _ => return Some(self.please()),
        };
        let (name, after) = first_word(rest);
        let named = StepId::new(name);
        let the_only_one = self.open.len() == 1 && !self.shown.contains(&named);
        let (question, comment) = match self.open.get(&named) {
            Some(question) => (Some(question), after),
            None => (self.open.values().next().filter(|_| the_only_one), rest),
        };
        let Some(question) = question else { return Some(self.please()) };
        let comment = Some(comment.to_owned()).filter(|comment| !comment.is_empty());
        let _has_enough = question.try_send(Typed { approved, comment });
        None
    }

    fn please(&self) -> String {
        let steps: Vec<&str> = self.open.keys().map(StepId::as_str).collect();
        match &*steps {
            [step] => format!("Please type \"approve\" or \"reject\", for the step {step}."),
            steps => format!(
                "More than one question is open. Please type \"approve STEP\" or \"reject STEP\", where STEP is {}.",
                steps.join(" or ")
            ),
        }
    }
}

/// A question may hold what a step has read: it must not write over what it asks.
fn shown(text: &str) -> String {
    visible(text, &['\n', '\t'])
}

fn first_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim())
}

fn locked(questions: &Mutex<Questions>) -> MutexGuard<'_, Questions> {
    questions.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take(questions: &Mutex<Questions>, line: &str) {
    let said = locked(questions).take(line);
    if let Some(said) = said {
        Terminal::show(&said);
    }
}

fn start_reading(questions: &Arc<Mutex<Questions>>) -> bool {
    if !std::io::stdin().is_terminal() {
        return false;
    }
    let questions = Arc::clone(questions);
    let reader = std::thread::Builder::new().name("terminal".to_owned()).spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            take(&questions, &line);
        }
    });
    reader.is_ok()
}

#[cfg(test)]
impl Terminal {
    /// A terminal with or without a person.
    pub(super) fn scripted(is_there: bool) -> Self {
        Self { is_read: OnceLock::from(is_there), questions: Arc::default() }
    }

    /// The person types a line.
    pub(super) fn types(&self, line: &str) {
        take(&self.questions, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(prompt: &mut Prompt) -> Option<(bool, Option<String>)> {
        prompt.answers.try_recv().ok().map(|typed| (typed.approved, typed.comment))
    }

    fn said(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn regression_a_line_answers_one_question_and_names_it_where_there_are_two() {
        let terminal = Terminal::scripted(true);
        let step = StepId::new;
        let mut page = terminal.ask(&step("page"), "Tell the customers?", true).unwrap();
        terminal.types("approve  yes, tell them ");
        assert_eq!(answer(&mut page), Some((true, said("yes, tell them"))), "it is the only one");
        let mut switch = terminal.ask(&step("switch"), "Switch the traffic?", true).unwrap();
        assert!(terminal.ask(&step("signed"), "And the keys?", false).is_none());
        for line in
            ["approve", "approve yes, that is fine", "reject", "approve signed", "approve pages"]
        {
            terminal.types(line);
            assert_eq!((answer(&mut page), answer(&mut switch)), (None, None), "{line}");
        }
        terminal.types("reject switch not yet");
        assert_eq!(
            (answer(&mut page), answer(&mut switch)),
            (None, Some((false, said("not yet"))))
        );
        terminal.types("approve page");
        assert_eq!((answer(&mut page), answer(&mut switch)), (Some((true, None)), None));
    }

    #[test]
    fn regression_what_is_typed_for_a_question_that_is_over_is_no_comment_for_another_one() {
        let terminal = Terminal::scripted(true);
        let step = StepId::new;
        let page = terminal.ask(&step("page"), "Tell the customers?", true).unwrap();
        let mut switch = terminal.ask(&step("switch"), "Switch the traffic?", true).unwrap();
        drop(page);
        terminal.types("approve page");
        assert_eq!(answer(&mut switch), None);
        terminal.types("approve");
        assert_eq!(answer(&mut switch), Some((true, None)));
    }

    #[test]
    fn regression_a_question_cannot_write_to_the_terminal() {
        let asked = "\ndecide: Go on with \u{1b}[2K\rPASSED\u{202e}?\nType \"approve\".";
        let seen = "\ndecide: Go on with \\u{1b}[2K\\u{d}PASSED\\u{202e}?\nType \"approve\".";
        assert_eq!(shown(asked), seen);
    }

    #[test]
    fn where_nobody_sits_nothing_can_be_typed() {
        assert!(Terminal::scripted(false).ask(&StepId::new("page"), "Go on?", true).is_none());
    }
}
