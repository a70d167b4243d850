use super::*;
use crate::journal::Outcome;
use crate::providers::backups::Seen;
use std::time::Duration;

#[derive(Clone, Debug, Default)]
struct Tape {
    id: &'static str,
    key: Option<&'static str>,
    made: i64,
    of: Option<&'static str>,
    seen: Seen,
}

impl Backup for Tape {
    fn id(&self) -> &str {
        self.id
    }

    fn key(&self) -> Option<&str> {
        self.key
    }

    fn made(&self) -> Option<DateTime<Utc>> {
        Some(at(self.made))
    }

    fn encrypted(&self) -> Option<bool> {
        Some(self.key.is_some())
    }

    fn taken_of(&self) -> Option<&str> {
        self.of
    }
}

fn at(hours: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
}

fn hours(hours: u64) -> Option<HumanDuration> {
    Some(HumanDuration(Duration::from_secs(hours * 3600)))
}

/// With data of that hour, made in the same hour.
fn tape(id: &'static str, hour: i64) -> Tape {
    let time = Some((at(hour), "the label".to_owned()));
    Tape { id, made: hour, seen: Seen { time, ..Seen::default() }, ..Tape::default() }
}

fn undated(id: &'static str, made: i64) -> Tape {
    Tape { seen: Seen::default(), ..tape(id, made) }
}

fn hindered(id: &'static str, obstacle: Obstacle) -> Tape {
    let mut tape = tape(id, 90);
    tape.seen.obstacle = Some(obstacle);
    tape
}

fn in_state(id: &'static str, state: &str, passing: bool) -> Tape {
    hindered(id, Obstacle::NotReady { state: state.to_owned(), passing })
}

fn words() -> Words {
    Words {
        code: "tape",
        service: "The archive",
        thing: "tape of orders".to_owned(),
        things: "tapes of orders".to_owned(),
        ready: "available",
        failed: "look at the drive",
        none_here: "tapes stay in their house",
        version_gone: "keep an old drive",
        no_time: "there is no label",
        tell_time: "write labels",
        sources: Some(("drives", "serial number")),
    }
}

/// What comes of these backups at hour 100, where the key `gone` cannot be used and nobody knows of the key `dark`.
fn with<T>(tapes: &[Tape], then: impl FnOnce(&Candidates<'_, Tape>) -> T) -> T {
    let keys = BTreeMap::from([
        ("gone".to_owned(), KeyCondition::Unusable("is off".into())),
        ("dark".to_owned(), KeyCondition::Unknown("denied".into())),
    ]);
    let until = Until { wanted: at(100), counted: at(100) };
    then(&Candidates::judge(tapes, &keys, until, |tape| tape.seen.clone()))
}

fn chosen(tapes: &[Tape]) -> Option<&'static str> {
    with(tapes, |candidates| candidates.choose().map(|chosen| chosen.backup.id))
}

#[test]
fn the_newest_data_wins_however_late_another_was_copied() {
    let copy = Tape { made: 95, ..tape("copy", 10) };
    assert_eq!(chosen(&[tape("old", 9), tape("new", 50), copy]), Some("new"));
    assert_eq!(chosen(&[tape("old", 9), tape("after the end", 101)]), Some("old"));
}

#[test]
fn a_dated_backup_is_preferred_and_an_undated_one_is_better_than_none() {
    let two = [undated("undated", 90), undated("latest undated", 91)];
    assert_eq!(chosen(&two), Some("latest undated"));
    assert_eq!(chosen(&[&two[..], &[tape("dated", 1)]].concat()), Some("dated"));
}

#[test]
fn what_is_hindered_or_locked_is_never_chosen() {
    let all = [
        Tape { key: Some("gone"), ..tape("locked", 99) },
        hindered("archived", Obstacle::Archived),
        hindered("other", Obstacle::NotWanted),
        in_state("on its way", "copying", true),
    ];
    assert_eq!(chosen(&all), None);
}

#[test]
fn a_key_that_nobody_knows_makes_a_backup_neither_unusable_nor_its_key_usable() {
    let dark = [Tape { key: Some("dark"), ..tape("dark", 1) }];
    with(&dark, |candidates| {
        let chosen = candidates.choose().unwrap();
        assert!(chosen.is_usable());
        assert_eq!(chosen.key.and_then(KeyCondition::usable), None);
    });
}

#[test]
fn each_reason_for_having_nothing_has_its_own_words_and_fix() {
    let reason = |tapes: &[Tape]| {
        with(tapes, |candidates| {
            assert!(candidates.choose().is_none());
            let finding = candidates.nothing_usable(&words());
            assert_eq!(finding.code, "tape.no_usable_recovery_point");
            (finding.what, finding.action)
        })
    };
    let locked = [Tape { key: Some("gone"), ..tape("locked", 1) }];
    assert_eq!(reason(&locked).0, "1 tapes of orders cannot be decrypted: key gone is off");
    let gone = reason(&[hindered("old", Obstacle::VersionGone("reel 1.0".into()))]);
    assert!(gone.0.contains("reel 1.0 is not offered here"), "{}", gone.0);
    assert_eq!(gone.1, "keep an old drive");
    let archived = reason(&[hindered("archived", Obstacle::Archived)]);
    assert!(archived.0.contains("are in the archive"), "{}", archived.0);
    let shared = reason(&[hindered("shared", Obstacle::OnlyToBeCopied)]);
    assert!(shared.0.ends_with("shared by another account and encrypted"), "{}", shared.0);
    assert!(shared.1.contains("to_copy: true"), "{}", shared.1);
    assert!(reason(&[tape("late", 101)]).0.contains("newer than"));
    let failed = reason(&[in_state("failed", "failed", false)]);
    assert_eq!(failed.0, "none of 1 tapes of orders is available: failed");
    assert!(failed.1.ends_with("look at the drive"), "{}", failed.1);
    assert!(reason(&[hindered("other", Obstacle::NotWanted)]).1.contains("types:"));
    let nothing = ("there is no tape of orders in this region", "tapes stay in their house");
    assert_eq!(reason(&[]), (nothing.0.to_owned(), nothing.1.to_owned()));
}

#[test]
fn what_is_wrong_beside_the_recovery_point_is_pointed_out() {
    let all = [
        Tape { key: Some("gone"), ..tape("locked", 99) },
        hindered("archived", Obstacle::Archived),
        hindered("shared", Obstacle::OnlyToBeCopied),
        hindered("old", Obstacle::VersionGone("reel 1.0".into())),
        Tape { seen: Seen { wrong_tag: Some("late".into()), ..Seen::default() }, ..tape("mad", 1) },
        in_state("failed", "failed", false),
        in_state("on its way", "copying", true),
        Tape { of: Some("drive-1"), ..tape("first", 2) },
        Tape { of: Some("drive-2"), ..tape("second", 3) },
    ];
    let found = with(&all, |candidates| candidates.blemishes(&words(), TimeDelta::hours(24)));
    let codes: Vec<_> = found.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(
        codes,
        [
            "tape.snapshot_without_key",
            "tape.snapshot_version_gone",
            "tape.snapshot_archived",
            "tape.snapshot_only_to_be_copied",
            "tape.snapshot_not_available",
            "tape.time_tag_wrong",
            "tape.time_of_data_unknown",
            "tape.schedule_missed",
            "tape.several_drives",
        ]
    );
    assert!(found[4].what.ends_with(": failed"), "{}", found[4].what);
    assert!(found[5].what.ends_with("mad (late)"), "{}", found[5].what);
    let fine = [tape("first", 70), tape("second", 99)];
    let found = with(&fine, |candidates| candidates.blemishes(&words(), TimeDelta::hours(24)));
    assert_eq!(found, []);
}

fn outcomes(tapes: &[Tape], limit: Option<HumanDuration>) -> (Summary, BTreeMap<String, Outcome>) {
    with(tapes, |candidates| {
        let chosen = candidates.choose().unwrap();
        let summary = candidates.summary(chosen, at(100), TimeDelta::hours(24));
        let encrypted = chosen.backup.encrypted();
        let checks = summary.checks(&words(), encrypted, chosen.key, limit);
        (summary, checks.into_iter().map(|check| (check.name, check.outcome)).collect())
    })
}

fn complete_copy(mut copy: Tape) -> Tape {
    copy.seen.copy_complete = true;
    copy
}

#[test]
fn regression_gap_lag_and_worst_case_are_those_of_the_copies_here() {
    let copy = |id, hour| {
        let mut copy = tape(id, hour);
        copy.seen.copy_lag = Some(TimeDelta::hours(2));
        copy
    };
    let copies = [copy("a", 10), copy("b", 34), copy("c", 80)];
    let (summary, checks) = outcomes(&copies, hours(24));
    assert_eq!((summary.at, summary.age), (Some(at(80)), hours(20)));
    assert_eq!((summary.worst_gap, summary.copy_lag), (hours(46), hours(2)));
    assert_eq!((summary.worst_case, summary.retention), (hours(48), hours(90)));
    assert_eq!((summary.considered, summary.usable), (3, 3));
    assert!(checks.values().all(|outcome| *outcome == Outcome::Passed), "{checks:?}");
    let point = summary.recovery_point("c").unwrap();
    assert_eq!((point.at, point.worst_case), (at(80), hours(48)));
    let note = |summary: &Summary| {
        let checks = summary.checks(&words(), None, None, None);
        checks.into_iter().find(|check| check.name == "usable recovery point").unwrap().note
    };
    // When a copy was complete nobody says: that is told, or added.
    assert!(note(&summary).unwrap().contains("longer by the time that a copy takes"));
    let complete = summary.clone().with_copying(hours(3));
    assert_eq!((complete.worst_case, complete.copy_lag), (hours(51), hours(2)));
    assert_eq!(note(&complete), None);
    let (first_hand, _) = outcomes(&[tape("a", 10), tape("b", 34)], None);
    assert_eq!(note(&first_hand), None);
    assert_eq!(first_hand.clone().with_copying(hours(3)), first_hand);
    let (told, _) = outcomes(&copies.clone().map(complete_copy), None);
    assert_eq!((note(&told), told.worst_case), (None, hours(48)), "the service tells when it was");
    assert_eq!(told.clone().with_copying(hours(3)), told, "it is counted already");
    let (alone, _) = outcomes(&copies[..1], None);
    assert_eq!((alone.worst_gap, alone.worst_case), (None, None), "one says nothing of a schedule");
}

#[test]
fn what_is_not_known_is_inconclusive_and_gives_no_recovery_point() {
    let dark = Tape { key: Some("dark"), ..undated("undated", 10) };
    let (summary, checks) = outcomes(&[dark], hours(24));
    assert_eq!(checks.len(), 4);
    assert!(checks.values().all(|o| *o == Outcome::Inconclusive), "{checks:?}");
    assert_eq!((summary.usable, summary.recovery_point("undated")), (0, None));
}

#[test]
fn regression_one_old_backup_that_somebody_took_makes_no_gap_in_a_schedule() {
    let by_hand = |id, hour| {
        let mut tape = tape(id, hour);
        tape.seen.by_hand = true;
        tape
    };
    let daily = [by_hand("kept", -1000), tape("a", 30), tape("b", 54), tape("c", 78)];
    let (summary, _) = outcomes(&daily, None);
    assert_eq!((summary.worst_gap, summary.retention), (hours(24), hours(70)));
    assert_eq!(summary.usable, 4, "it can be restored all the same");
    let alone = [by_hand("kept", 10), by_hand("younger", 80)];
    let (summary, _) = outcomes(&alone, None);
    assert_eq!((summary.worst_gap, summary.retention), (hours(70), hours(90)));
}

#[test]
fn regression_a_version_that_is_gone_leaves_nothing_usable_and_fails_the_check_of_it() {
    let old = [hindered("old", Obstacle::VersionGone("reel 1.0".into()))];
    assert_eq!(chosen(&old), None);
    let check = with(&old, |found| found.version_gone()).unwrap();
    assert_eq!((check.name.as_str(), check.outcome), (OFFERED, Outcome::Failed));
    assert!(with(&[tape("fine", 1)], |found| found.version_gone()).is_none());
}

#[test]
fn data_older_than_allowed_fails() {
    assert_eq!(outcomes(&[tape("old", 10)], hours(24)).1["age"], Outcome::Failed);
}

#[test]
fn regression_what_people_take_their_time_for_is_no_gap_of_the_backups() {
    let tapes = [tape("a", 10), tape("b", 34), tape("c", 58)];
    // Lost at hour 60, and looked at at hour 100.
    let until = Until { wanted: at(100), counted: at(60) };
    let keys = BTreeMap::new();
    let candidates = Candidates::judge(&tapes, &keys, until, |tape| tape.seen.clone());
    let day = TimeDelta::hours(24);
    let summary = candidates.summary(candidates.choose().unwrap(), at(60), day);
    assert_eq!(
        (summary.age, summary.worst_gap, summary.worst_case),
        (hours(2), hours(24), hours(24))
    );
    assert_eq!(candidates.spacing().missed(day, "x"), None);
}

#[test]
fn regression_what_a_drill_made_is_no_recovery_point_unless_it_is_named() {
    let drills = |id, hour, obstacle| {
        let mut copy = tape(id, hour);
        copy.seen.of_a_drill = true;
        copy.seen.obstacle = obstacle;
        copy.seen.copy_lag = Some(TimeDelta::hours(9));
        copy
    };
    let here = [tape("a", 10), tape("b", 34), tape("c", 58)];
    let left_out = [&here[..], &[drills("copy", 99, Some(Obstacle::OfADrill))]].concat();
    assert_eq!(chosen(&left_out), Some("c"));
    let codes = with(&left_out, |all| all.blemishes(&words(), TimeDelta::hours(24)));
    assert_eq!(codes[0].code, "tape.made_by_a_drill");
    let named = [&here[..], &[drills("copy", 99, None)]].concat();
    assert_eq!(chosen(&named), Some("copy"));
    for tapes in [left_out, named] {
        let (summary, _) = outcomes(&tapes, None);
        let found = (summary.worst_gap, summary.copy_lag, summary.worst_case);
        assert_eq!(found, (hours(42), None, hours(42)), "the schedule alone");
    }
    let alone = [drills("copy", 99, Some(Obstacle::OfADrill))];
    assert_eq!(chosen(&alone), None);
    let why = with(&alone, |all| all.nothing_usable(&words()).what);
    assert!(why.contains("were made by drills"), "{why}");
}

#[test]
fn regression_only_the_time_of_the_database_says_for_certain_how_new_the_data_can_be() {
    let (summary, _) = outcomes(&[tape("a", 10)], None);
    let newest = summary.recovery_point("a").unwrap().not_newer_than.unwrap();
    assert_eq!((newest.at, newest.certain), (at(11), false));
    let exact = Summary { source: Some(DATABASE_TIME.to_owned()), ..summary };
    assert_eq!(exact.recovery_point("a").unwrap().not_newer_than, None);
}
