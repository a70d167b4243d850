use super::output::Output;
use super::run::operator;
use super::runs::{RunFolder, Store};
use super::world;
use crate::cli::AnswerArgs;
use crate::error::{Error, ExitCode, Result};
use crate::ids::StepId;
use crate::journal::{self, Event};
use crate::outside::real::{GivenAnswer, ShownBy, answer_approval};

/// `redrill approve`, `redrill reject`
pub(super) fn answer(
    args: &AnswerArgs,
    approved: bool,
    store: &Store,
    output: &Output,
) -> Result<ExitCode> {
    let folder = store.find(&args.run)?;
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

/// Where nothing is asked any more, it does not matter who may answer. A journal that cannot be read does not keep anybody from
/// answering: the question is a file of its own.
fn still_asks(folder: &RunFolder, step: &StepId) -> Result<()> {
    let Ok(contents) = journal::read(&folder.journal()) else { return Ok(()) };
    let show = format!("redrill show {} tells how it was answered", folder.name());
    for record in contents.records.iter().rev() {
        match &record.event {
            Event::RunFinished { .. } => {
                let what = format!("{} is over: it asks nothing any more", folder.name());
                return Err(Error::bad_input(what).help(show));
            }
            Event::ApprovalGiven { step: of, approval } if of == step => {
                let answer = if approval.approved { "approved" } else { "rejected" };
                let what =
                    format!("the step {step} was answered already: {answer} by {}", approval.by);
                return Err(Error::bad_input(what).help(show));
            }
            Event::ApprovalRequested { step: of, .. } if of == step => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}
