use super::output::Output;
use super::run::operator;
use super::runs::Store;
use crate::cli::AnswerArgs;
use crate::error::{Error, ExitCode, Result};
use crate::ids::StepId;
use crate::outside::real::{GivenAnswer, answer_approval};

/// `redrill approve`, `redrill reject`
pub(super) fn answer(
    args: &AnswerArgs,
    approved: bool,
    store: &Store,
    output: &Output,
) -> Result<ExitCode> {
    let folder = store.find(&args.run)?;
    let step = StepId::new(&args.step);
    let by = operator();
    let (comment, key) = (args.comment.clone(), args.sign_with.as_deref());
    let given = GivenAnswer { approved, comment, by: &by, key };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Error::broken(format!("no runtime: {e}")))?;
    runtime.block_on(answer_approval(&folder.path, &step, given))?;
    let word = if approved { "approved" } else { "rejected" };
    output.print(&format!("{word}: step {step} of {}", folder.name()))?;
    Ok(ExitCode::Passed)
}
