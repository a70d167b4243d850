//! Restores of the latest data there is.

use super::resource::{ResourceKind, own};
use super::{StepContext, StepError};
use crate::journal::{NewestPossible, RecoveryPoint, ResourceKey};
use chrono::{DateTime, TimeDelta, Utc};
use std::future::Future;
use std::sync::{Mutex, PoisonError};

/// What a restore takes that asks for the latest data there is. The service says what that is only when it makes the resource:
/// until then it moves on.
#[derive(Clone, Debug)]
pub struct Latest {
    /// The latest when it was looked up. `None` where nobody knows.
    pub point: Option<RecoveryPoint>,
    /// How far the latest may move on after the answer of the call.
    pub moves: TimeDelta,
}

impl Latest {
    /// What was restored, told between which times its data ends: not before what was the latest when the resource was asked
    /// for, and not after it was known to be there. `earlier` is what an earlier attempt has told; a resource that this attempt
    /// has asked for without being answered may be that one's, and then nobody knows better than the older of the two.
    fn restored(
        &self,
        earlier: Option<RecoveryPoint>,
        asking: Asking,
        now: DateTime<Utc>,
    ) -> Option<RecoveryPoint> {
        let ends = NewestPossible { at: now + self.moves, certain: true };
        let (point, known) = match asking {
            Asking::NotNeeded => {
                let known = earlier.as_ref().and_then(|point| point.not_newer_than);
                (earlier?, known)
            }
            Asking::Answered => (self.point.clone()?, None),
            Asking::Unanswered => {
                let latest = self.point.clone()?;
                (earlier.filter(|earlier| earlier.at < latest.at).unwrap_or(latest), None)
            }
        };
        Some(RecoveryPoint { not_newer_than: Some(known.unwrap_or(ends)), ..point })
    }
}

/// How an attempt came to its resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    /// An earlier one had made it.
    NotNeeded,
    /// It asked, and there was no answer, or another one than that it was made.
    Unanswered,
    /// It asked, and was answered.
    Answered,
}

/// As [`own`], for a restore that takes the latest data there is: its recovery point is written down before the call, for
/// whoever has to go on after a crash, and again with its upper bound once the resource is there. That an earlier attempt has
/// intended it says nothing: what it has told holds only when it has made it.
///
/// # Errors
/// Those of [`own`].
pub async fn own_latest<F>(
    context: &StepContext,
    kind: &dyn ResourceKind,
    name: String,
    latest: &Latest,
    create: impl FnOnce() -> F,
) -> Result<(ResourceKey, String), StepError>
where
    F: Future<Output = Result<String, StepError>>,
{
    let earlier = context.recorder.told_point(&context.step);
    let asking = Mutex::new(Asking::NotNeeded);
    let note = |now| *asking.lock().unwrap_or_else(PoisonError::into_inner) = now;
    let asked = || async {
        if let Some(point) = &latest.point {
            context.recovery_point(point.clone()).await?;
        }
        note(Asking::Unanswered);
        let made = create().await?;
        note(Asking::Answered);
        Ok(made)
    };
    let owned = own(context, kind, name, asked).await?;
    let asking = *asking.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(point) = latest.restored(earlier, asking, context.clock.now()) {
        context.recovery_point(point).await?;
    }
    Ok(owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Measure;

    fn hour(hour: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hour)
    }

    fn of_hour(at: i64) -> RecoveryPoint {
        RecoveryPoint {
            at: hour(at),
            source: "LatestRestorableTime".to_owned(),
            measure: Measure::Backup,
            identity: "backup".to_owned(),
            worst_case: None,
            not_newer_than: None,
            kept_at: None,
            goes_on: false,
        }
    }

    #[test]
    fn regression_the_latest_is_that_of_the_attempt_that_made_the_resource_and_has_an_end() {
        let latest = Latest { point: Some(of_hour(9)), moves: TimeDelta::minutes(5) };
        let told = |earlier: Option<i64>, asking| {
            let point = latest.restored(earlier.map(of_hour), asking, hour(10));
            point.map(|point| (point.at, point.not_newer_than.unwrap().at))
        };
        let now = hour(10) + TimeDelta::minutes(5);
        assert_eq!(told(Some(2), Asking::Answered), Some((hour(9), now)), "it was made now");
        assert_eq!(told(Some(2), Asking::Unanswered), Some((hour(2), now)), "now, or before");
        assert_eq!(told(None, Asking::Unanswered), Some((hour(9), now)));
        assert_eq!(told(Some(2), Asking::NotNeeded), Some((hour(2), now)), "it was there");
        assert_eq!(told(None, Asking::NotNeeded), None, "nobody knows");
        let ends = NewestPossible { at: hour(3), certain: true };
        let earlier = RecoveryPoint { not_newer_than: Some(ends), ..of_hour(2) };
        let again = latest.restored(Some(earlier.clone()), Asking::NotNeeded, hour(10));
        assert_eq!(again, Some(earlier), "what is known is not made wider");
    }
}
