use super::past::{Life, PastRun};
use crate::action::Expiry;
use chrono::{DateTime, Utc};

/// What becomes of something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is removed.
    Remove,
    /// It stays, and should; the text says why.
    Stay(String),
    /// It should go and cannot be told to be ours for certain: a person must look. The text says why.
    Unclear(String),
}

/// When a thing may be removed by anyone: as its tag says, unless the journal knows better. What `serves_a_check` and nothing else is
/// not what a recovery brings back.
pub fn expiry_of(
    serves_a_check: bool,
    tag: Option<Expiry>,
    past: Option<&PastRun>,
    kept_until: Option<DateTime<Utc>>,
) -> Expiry {
    if !serves_a_check && past.is_some_and(|past| past.recovery) {
        return Expiry::Never;
    }
    // Earlier versions wrote it on canaries, too.
    let tag = tag.filter(|tag| !serves_a_check || *tag != Expiry::Never);
    match (tag, kept_until) {
        (Some(Expiry::Never), _) => Expiry::Never,
        // Where the tag could not be moved when the thing was kept, the word of the operator counts.
        (Some(Expiry::At(tag)), Some(kept)) => Expiry::At(tag.max(kept)),
        (Some(Expiry::At(tag)), None) => Expiry::At(tag),
        (Some(Expiry::Unsaid) | None, Some(kept)) => Expiry::At(kept),
        (Some(Expiry::Unsaid) | None, None) => {
            past.map_or(Expiry::Unsaid, |past| Expiry::At(past.expires))
        }
    }
}

/// What becomes of a thing. Pure. `all`: also of what has not expired.
///
/// What a recovery has brought back is never removed, nor anything of a run that a process is working on, nor what a run
/// that can still be resumed has made before it expires.
pub fn decide(
    expires: Expiry,
    past: Option<&PastRun>,
    doubt: Option<&str>,
    all: bool,
    now: DateTime<Utc>,
) -> Decision {
    let stay = |why: &str| Decision::Stay(why.to_owned());
    if expires == Expiry::Never {
        return stay("a recovery brought it back: it is never removed");
    }
    let life = past.map(|past| past.life);
    if life == Some(Life::AtWork) {
        return stay("a process is working on its run");
    }
    if life == Some(Life::MayBeAtWork) {
        return stay("its store names a process that may be working on its run");
    }
    let expired = matches!(expires, Expiry::At(time) if time <= now);
    if let Some(past) = past.filter(|past| past.life == Life::Unfinished && !expired) {
        let run = &past.run;
        return Decision::Stay(format!(
            "its run can go on: redrill resume {run}; redrill abort {run} ends it and removes what it made"
        ));
    }
    match (expired || all, expires, doubt) {
        (true, _, Some(doubt)) => Decision::Unclear(doubt.to_owned()),
        (true, _, None) => Decision::Remove,
        (false, Expiry::Unsaid, _) => stay("it does not say when it expires"),
        (false, ..) => stay("not expired"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RunId;
    use chrono::TimeDelta;

    fn now() -> DateTime<Utc> {
        "2026-11-20T02:00:00Z".parse().unwrap()
    }

    fn past(life: Life, recovery: bool) -> PastRun {
        PastRun {
            run: RunId::new("orders-0001-aaaaaa"),
            scenario: "orders".into(),
            expires: now() - TimeDelta::hours(1),
            recovery,
            life,
            withholds_data: false,
            things: Vec::new(),
        }
    }

    fn at(hours: i64) -> Expiry {
        Expiry::At(now() + TimeDelta::hours(hours))
    }

    #[test]
    fn only_what_has_expired_is_removed_unless_everything_is_asked_for() {
        assert_eq!(decide(at(0), None, None, false, now()), Decision::Remove);
        assert_eq!(decide(at(1), None, None, false, now()), Decision::Stay("not expired".into()));
        assert_eq!(decide(at(1), None, None, true, now()), Decision::Remove);
        assert!(matches!(
            decide(Expiry::Unsaid, None, None, false, now()),
            Decision::Stay(why) if why.contains("does not say")
        ));
        assert_eq!(decide(Expiry::Unsaid, None, None, true, now()), Decision::Remove);
    }

    #[test]
    fn nothing_of_a_living_run_is_removed_whatever_is_asked_for() {
        for all in [false, true] {
            for hours in [-48, 48] {
                for life in [Life::AtWork, Life::MayBeAtWork] {
                    let alive = past(life, false);
                    let decision = decide(at(hours), Some(&alive), None, all, now());
                    assert!(matches!(decision, Decision::Stay(_)), "{decision:?}");
                }
            }
            let stopped = past(Life::Unfinished, false);
            let decision = decide(at(1), Some(&stopped), None, all, now());
            assert!(matches!(decision, Decision::Stay(why) if why.contains("redrill resume")));
            assert_eq!(decide(at(-1), Some(&stopped), None, all, now()), Decision::Remove);
        }
    }

    #[test]
    fn what_a_recovery_brought_back_is_never_removed() {
        let recovery = past(Life::Finished, true);
        let by_tag = expiry_of(false, Some(Expiry::Never), None, None);
        // An older version wrote an expiry on it: the journal knows better.
        let by_journal = expiry_of(false, Some(at(-48)), Some(&recovery), None);
        for expires in [by_tag, by_journal] {
            let decision = decide(expires, Some(&recovery), None, true, now());
            assert!(matches!(decision, Decision::Stay(why) if why.contains("recovery")));
        }
    }

    #[test]
    fn regression_what_served_a_check_of_a_recovery_expires() {
        let recovery = past(Life::Finished, true);
        let of = |tag, past, kept| expiry_of(true, tag, past, kept);
        assert_eq!(of(None, Some(&recovery), None), at(-1));
        assert_eq!(of(Some(at(-2)), Some(&recovery), None), at(-2));
        // As an earlier version has tagged it.
        let never = Some(Expiry::Never);
        assert_eq!(of(never, Some(&recovery), None), at(-1));
        assert_eq!(of(never, None, None), Expiry::Unsaid);
        let living = past(Life::AtWork, true);
        let decision = decide(of(never, Some(&living), None), Some(&living), None, true, now());
        assert!(matches!(decision, Decision::Stay(why) if why.contains("working")));
    }

    #[test]
    fn what_is_kept_does_not_expire_before_the_keeping_ends() {
        let finished = past(Life::Finished, false);
        let kept = now() + TimeDelta::hours(2);
        for serves_a_check in [false, true] {
            let of = |tag, past, kept| expiry_of(serves_a_check, tag, past, kept);
            assert_eq!(of(Some(at(-1)), Some(&finished), Some(kept)), at(2));
            assert_eq!(of(Some(at(3)), Some(&finished), Some(kept)), at(3));
            assert_eq!(of(None, Some(&finished), Some(kept)), at(2));
            assert_eq!(of(None, Some(&finished), None), at(-1));
            assert_eq!(of(Some(Expiry::Unsaid), None, None), Expiry::Unsaid);
        }
    }

    #[test]
    fn what_may_not_be_ours_is_for_a_person_to_look_at() {
        let doubt = Some("it has no tag redrill:name");
        assert!(matches!(decide(at(-1), None, doubt, false, now()), Decision::Unclear(_)));
        assert!(matches!(decide(at(1), None, doubt, false, now()), Decision::Stay(_)));
    }
}
