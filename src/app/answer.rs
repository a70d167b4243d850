use super::output::Output;
use super::run::operator;
use super::runs::Store;
use crate::cli::AnswerArgs;
use crate::error::{Error, ExitCode, Result};
use crate::ids::StepId;
use crate::outside::real::answer_approval;

/// `redrill approve`, `redrill reject`
pub(super) fn answer(
    args: &AnswerArgs,
    approved: bool,
    store: &Store,
    output: &Output,
) -> Result<ExitCode> {
    let folder = store.find(&args.run)?;
    let step = StepId::new(&args.step);
    answer_approval(&folder.path, &step, approved, args.comment.clone(), &operator())
        .map_err(|e| Error::bad_input(e.to_string()))?;
    let word = if approved { "approved" } else { "rejected" };
    output.print(&format!("{word}: step {step} of {}", folder.name()))?;
    Ok(ExitCode::Passed)
}
