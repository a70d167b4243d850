//! The open question, and what makes an answer to it count.

use super::signature::{self, Unverified};
use super::sts::{self, SignedRequest, Sts};
use crate::ids::{Digest, RunId, StepId};
use crate::journal::{Approval, ApprovalProof, ApproverIdentity};
use crate::outside::{AllowedPrincipals, RunBy, is_same_person, why_the_same_person};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The open question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) run: RunId,
    pub(super) plan: Digest,
    pub(super) step: StepId,
    pub(super) text: String,
    /// Until when it can be answered (UTC).
    pub(super) deadline: DateTime<Utc>,
    /// The file of allowed signers, absolute, when the answer must be signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signed_by: Option<String>,
    /// Those who may show by their AWS credentials who they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) identified_by: Option<AllowedPrincipals>,
    /// Who may not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) not: Vec<String>,
    /// The same, as AWS knows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) run_by: Option<RunBy>,
    /// Those of the processes that have asked this before, or that the sites have seen, who may not answer either.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) run_by_before: Vec<RunBy>,
}

/// How the one who types at the terminal of the run is known.
pub(super) const AT_THE_TERMINAL: &str = "terminal user";
/// How the one who answers by `redrill approve` is known, when nothing else shows it.
pub(super) const AT_THE_COMMAND_LINE: &str = "user of the command line";

/// An answer, and what STS tells by who gave it.
pub(super) struct Answered {
    pub(super) approval: Approval,
    pub(super) signed: Option<SignedRequest>,
}

impl Request {
    /// Binds an answer to this question, so that an old answer cannot count for a new one.
    pub(super) fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// The same question, perhaps with another deadline, or of a run that somebody else has gone on with since.
    pub(super) fn asks_the_same(&self, other: &Self) -> bool {
        let Self { deadline, not, run_by, run_by_before, .. } = self.clone();
        *self == Self { deadline, not, run_by, run_by_before, ..other.clone() }
    }

    /// The same question, which also knows in whose name an earlier one was asked.
    pub(super) fn after(mut self, standing: &Self) -> Self {
        // Without anybody to be told apart from, whoever asks is not known.
        if self.run_by.is_some() {
            for before in standing.run_by_before.iter().chain(&standing.run_by) {
                if !self.is_run_by(before) {
                    self.run_by_before.push(before.clone());
                }
            }
        }
        self
    }

    /// The same question, whose answer is not that of whom the sites have seen either, by these ARNs.
    pub(super) fn not_of(mut self, ran_as: &[String]) -> Self {
        if self.run_by.is_some() {
            let known = |arn: &str| self.all_who_ran_it().any(|run| run.operator.arn == arn);
            let seen = ran_as.iter().filter(|arn| !known(arn.as_str()));
            let seen: Vec<RunBy> = seen.filter_map(|arn| RunBy::seen_as(arn)).collect();
            self.run_by_before.extend(seen);
        }
        self
    }

    fn is_run_by(&self, one: &RunBy) -> bool {
        self.all_who_ran_it().any(|known| known == one)
    }

    fn all_who_ran_it(&self) -> impl Iterator<Item = &RunBy> {
        self.run_by.iter().chain(&self.run_by_before)
    }

    /// Whether a name alone is not enough.
    pub(super) fn wants_proof(&self) -> bool {
        self.signed_by.is_some() || self.identified_by.is_some()
    }

    pub(super) fn statement_of(&self, approval: &Approval) -> String {
        signature::statement(self, approval.approved, approval.comment.as_deref())
    }

    /// What a request to STS is bound to: everything that the decision is about.
    pub(super) fn bound_to(&self, approval: &Approval) -> Digest {
        Digest::of(self.statement_of(approval).as_bytes())
    }

    /// Where STS is asked who answered.
    pub(super) fn sts(&self, endpoint: Option<&str>) -> Result<Sts, String> {
        let allowed = self.identified_by.as_ref().ok_or("the step does not ask for them")?;
        Sts::at(&allowed.region, endpoint)
    }

    /// What was signed, which must be this very answer to this very question.
    pub(super) fn proof_of<'a>(&self, approval: &'a Approval) -> Result<&'a ApprovalProof, String> {
        let proof = approval.proof.as_ref().ok_or("it is not signed")?;
        if proof.statement == self.statement_of(approval) {
            Ok(proof)
        } else {
            Err("something else was signed".to_owned())
        }
    }

    /// An answer as it counts: who it is from, verified where the question asks for it.
    pub(super) async fn verified(
        &self,
        answered: &Answered,
        endpoint: Option<&str>,
    ) -> Result<Approval, Unverified> {
        // Only what is verified here counts for verified.
        let approval = Approval { identity: None, ..answered.approval.clone() };
        if let Some(signed) = &answered.signed {
            return self.identified(approval, signed, endpoint).await;
        }
        if !self.wants_proof() {
            self.is_by_another(&approval, &approval.by)?;
            let identified_by = if approval.identified_by == AT_THE_TERMINAL {
                AT_THE_TERMINAL
            } else {
                AT_THE_COMMAND_LINE
            };
            return Ok(Approval {
                identified_by: identified_by.to_owned(),
                proof: None,
                ..approval
            });
        }
        let proof = self.proof_of(&approval).map_err(Unverified::Invalid)?;
        let Some(allowed) = &self.signed_by else {
            let text = "it is signed by an SSH key, and must be by AWS credentials".to_owned();
            return Err(Unverified::Invalid(text));
        };
        let signer = signature::verify(self, allowed, proof).await?;
        let why_not = signer.why_not(&self.not, allowed).filter(|_| approval.approved);
        if let Some(why) = why_not {
            return Err(Unverified::Invalid(why));
        }
        let identified_by = format!("SSH key {} of the allowed signers in {allowed}", signer.key);
        Ok(Approval { by: signer.by(), identified_by, ..approval })
    }

    /// An answer of somebody whom STS knows, who is allowed to give it.
    async fn identified(
        &self,
        approval: Approval,
        signed: &SignedRequest,
        endpoint: Option<&str>,
    ) -> Result<Approval, Unverified> {
        let sts = self.sts(endpoint).map_err(Unverified::Invalid)?;
        let verified = sts::who_signed(&sts, &self.step, &self.bound_to(&approval), signed).await?;
        let principal = verified.principal;
        if !self.identified_by.as_ref().is_some_and(|allowed| allowed.admit(&principal.arn)) {
            let text = format!("{} is none of the principals who may answer", principal.arn);
            return Err(Unverified::Invalid(text));
        }
        self.is_by_another(&approval, &principal.arn)?;
        let same = self.all_who_ran_it().find_map(|run| why_the_same_person(run, &principal));
        if let Some(why) = same.filter(|_| approval.approved) {
            return Err(Unverified::Invalid(format!("{why}, who may not answer")));
        }
        let signed_at = signed.signed_at().unwrap_or_default();
        let identity = ApproverIdentity {
            statement: self.statement_of(&approval),
            arn: principal.arn.clone(),
            account: principal.account,
            user_id: principal.user_id,
            access_key_id: signed.access_key_id.clone(),
            signed_at,
            region: sts.region().to_owned(),
            request_id: verified.request_id,
        };
        let identified_by = format!("AWS STS in {}", sts.region());
        Ok(Approval {
            by: principal.arn,
            identified_by,
            identity: Some(identity),
            proof: None,
            ..approval
        })
    }

    /// Only a yes must be somebody else's: anybody may stop a drill, its operator too.
    fn is_by_another(&self, approval: &Approval, principal: &str) -> Result<(), Unverified> {
        if approval.approved && self.not.iter().any(|not| is_same_person(not, principal)) {
            let text = format!("{principal} is an operator of the run, who may not answer");
            return Err(Unverified::Invalid(text));
        }
        Ok(())
    }
}
