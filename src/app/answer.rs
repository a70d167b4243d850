use super::output::Output;
use super::run::operator;
use super::runs::{RunFolder, Store};
use super::world;
use crate::cli::AnswerArgs;
use crate::error::{Error, ExitCode, Result};
use crate::ids::StepId;
use crate::journal::{self, Event, Record};
use crate::limits;
use crate::outside::real::{GivenAnswer, ShownBy, answer_approval};

const NOTHING: &str = "it asks nothing any more";

/// `redrill approve`, `redrill reject`
pub(super) fn answer(
    args: &AnswerArgs,
    approved: bool,
    store: &Store,
    output: &Output,
) -> Result<ExitCode> {
    within_the_journal(args.comment.as_deref())?;
    let folder = store.find_itself(&args.run)?;
    let step = StepId::new(&args.step);
    still_asks(&folder, &step)?;
    let by = operator();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Error::broken(format!("no runtime: {e}")))?;
    let by = runtime.block_on(async {
        let shown_by = match &args.sign_with {
            Some(key) => ShownBy::Key(key),
            None if args.with_aws_identity => ShownBy::Aws {
                credentials: world::own_credentials(args.endpoint_url.clone()).await?,
                endpoint: args.endpoint_url.as_deref(),
            },
            None => ShownBy::Name,
        };
        let comment = args.comment.clone();
        let given = GivenAnswer { approved, comment, by: &by, shown_by };
        answer_approval(&folder.path, &step, given).await
    })?;
    let word = if approved { "approved" } else { "rejected" };
    output.print(&format!("{word}: step {step} of {}, by {by}", folder.name()))?;
    Ok(ExitCode::Passed)
}

/// Longer texts are cut when they are written down, and a signature would be over what nobody can read any more.
fn within_the_journal(comment: Option<&str>) -> Result<()> {
    let (bytes, most) = (comment.map_or(0, str::len), limits::TEXT_BYTES);
    if bytes <= most {
        return Ok(());
    }
    let text =
        format!("the comment has {bytes} bytes, and the most is {most}; nothing was answered");
    Err(Error::bad_input(text).help("say in it where the rest is"))
}

/// Where nothing is asked any more, it does not matter who may answer. A journal that cannot be read does not keep anybody from
/// answering: the question is a file of its own.
fn still_asks(folder: &RunFolder, step: &StepId) -> Result<()> {
    let Ok(contents) = journal::read(&folder.journal()) else { return Ok(()) };
    let Some(what) = why_over(&contents.records, step, &folder.name()) else { return Ok(()) };
    let show = format!("{} tells what became of it", folder.command("show"));
    Err(Error::bad_input(what).help(show))
}

/// Why the step of a run asks nothing any more; `None` while it may.
fn why_over(records: &[Record], step: &StepId, run: &str) -> Option<String> {
    let mut over = None;
    for record in records.iter().rev() {
        let what = match &record.event {
            Event::RunFinished { .. } => return Some(format!("{run} is over: {NOTHING}")),
            Event::ApprovalGiven { step: of, approval } if of == step => {
                let answer = if approval.approved { "approved" } else { "rejected" };
                let by = &approval.by;
                return Some(format!("the step {step} was answered already: {answer} by {by}"));
            }
            Event::ApprovalRequested { step: of, .. } if of == step => break,
            Event::ReleaseStarted => format!("{run} gives back what it made: {NOTHING}"),
            Event::CancelRequested { .. } => format!("{run} was ended early: {NOTHING}"),
            Event::StepFinished { step: of, .. } if of == step => {
                format!("the step {step} is over: {NOTHING}")
            }
            _ => continue,
        };
        over = Some(what);
    }
    over
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::runs::tests::started;
    use crate::ids::Digest;
    use crate::journal::{Approval, Journal, Outcome, StepResult, WorldKind};
    use std::time::Duration;

    fn ask() -> StepId {
        StepId::new("ask")
    }

    fn finished(step: &str) -> Event {
        let result = StepResult {
            outcome: Outcome::Inconclusive,
            output: serde_json::Value::Null,
            failure: None,
            calls: Vec::new(),
        };
        Event::StepFinished { step: StepId::new(step), result }
    }

    /// Why nothing is asked any more, after a question and what came then.
    fn after(events: Vec<Event>) -> String {
        let deadline = chrono::DateTime::UNIX_EPOCH;
        let text = "Go on?".to_owned();
        let asked = Event::ApprovalRequested { step: ask(), text, deadline, signed_by: None };
        let records = std::iter::once(asked).chain(events).zip(0..).map(|(event, seq)| Record {
            seq,
            at: deadline,
            elapsed_ms: 0,
            prev: Digest::ZERO,
            event,
        });
        let records: Vec<Record> = records.collect();
        why_over(&records, &ask(), "slow-0001").unwrap_or_default()
    }

    #[test]
    fn regression_the_command_that_shows_the_run_finds_its_folder() {
        let root = tempfile::tempdir().unwrap();
        let (_, folder) = started(&Store::new(root.path().to_owned()), WorldKind::Real);
        assert!(still_asks(&folder, &ask()).is_ok(), "it may still ask");
        let (mut journal, _) = Journal::reopen(&folder.journal()).unwrap();
        let finished = Event::RunFinished { outcome: Outcome::Passed };
        journal.stage(chrono::DateTime::UNIX_EPOCH, Duration::ZERO, finished).unwrap();
        journal.commit().unwrap();
        let over = still_asks(&folder, &ask()).unwrap_err();
        let show = format!("redrill show orders-db-0001 --runs-dir {}", root.path().display());
        assert!(over.help_text().unwrap().starts_with(&show), "{over:?}");
    }

    #[test]
    fn regression_nobody_is_told_to_have_approved_a_step_that_is_over() {
        assert_eq!(after(vec![]), "");
        assert_eq!(after(vec![finished("another")]), "");
        let over = "the step ask is over: it asks nothing any more";
        assert_eq!(after(vec![finished("ask")]), over);
        assert_eq!(after(vec![finished("ask"), Event::ReleaseStarted]), over);
        let cancelled = Event::CancelRequested { by: "root".to_owned(), incident: false };
        let early = "slow-0001 was ended early: it asks nothing any more";
        assert_eq!(after(vec![cancelled.clone()]), early);
        assert_eq!(after(vec![cancelled, finished("ask")]), early);
        let gives_back = "slow-0001 gives back what it made: it asks nothing any more";
        assert_eq!(after(vec![Event::ReleaseStarted]), gives_back);
    }

    #[test]
    fn regression_a_comment_is_as_long_as_the_journal_keeps_it_at_most() {
        assert!(within_the_journal(None).is_ok());
        assert!(within_the_journal(Some(&"x".repeat(limits::TEXT_BYTES))).is_ok());
        let long = "ä".repeat(limits::TEXT_BYTES / 2) + "x";
        let refused = within_the_journal(Some(&long)).unwrap_err();
        assert_eq!(refused.exit_code(), ExitCode::BadInput);
        assert!(refused.to_string().contains("has 16385 bytes, and the most is 16384"));
    }

    #[test]
    fn what_was_answered_is_told_with_the_answer() {
        let approval = Approval {
            approved: false,
            by: "anna".to_owned(),
            identified_by: "test".to_owned(),
            comment: None,
            proof: None,
            identity: None,
        };
        let given = Event::ApprovalGiven { step: ask(), approval };
        let expected = "the step ask was answered already: rejected by anna";
        assert_eq!(after(vec![given.clone()]), expected);
        assert_eq!(after(vec![given, finished("ask")]), expected);
    }
}
