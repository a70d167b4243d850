//! Databases, and the ways in which they come back.

use super::super::model::{Design, Draft};
use super::data::Rungs;
use super::{Workshop, output};
use std::fmt::Write as _;

/// How a database comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From a copy that its schedule has made in the other account and region.
    Copied,
    /// From a copy that the run makes there before the disaster.
    CopiedByTheRun,
    /// To a point in time, from backups replicated to the other region of its account.
    Replicated,
    /// To a point in time, beside itself: it is not where the disaster happens.
    Beside,
}

/// What is wrong with its backups.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Backups {
    Good,
    Missing,
    Old,
}

/// A database before it is written down.
pub(super) struct Database {
    pub(super) n: u64,
    pub(super) way: Way,
    pub(super) rows: u64,
    pub(super) rungs: Option<Rungs>,
    /// Reads of what is restored become fast (`true`) or stay slow; nobody asks where there is none.
    pub(super) hydrates: Option<bool>,
    multi_az: bool,
    encrypted: bool,
    /// How many minutes a restore takes.
    takes: u64,
    backups: Backups,
}

impl Database {
    /// The site where it is.
    pub(super) fn home(&self) -> &'static str {
        if self.way == Way::Beside { "dr" } else { "primary" }
    }

    /// The site where it comes back.
    pub(super) fn target(&self) -> &'static str {
        if self.way == Way::Replicated { "near" } else { "dr" }
    }

    fn key(&self, alias: &str) -> String {
        if self.encrypted { format!("kms_key: alias/{alias}, ") } else { String::new() }
    }

    /// What is wrong with the contents of its backups.
    fn damage(&self) -> String {
        let damage = self.rungs.as_ref().and_then(|rungs| rungs.damage);
        damage.map_or(String::new(), |sql| format!(", damage: [\"{sql}\"]"))
    }
}

impl Workshop {
    pub(super) fn database(&mut self, n: u64) {
        let db = self.imagine(n);
        self.near |= db.target() == "near";
        let backups = self.backups(&db);
        self.write_down(&db, &backups);
        let asked = db.rungs.is_some() || self.random.chance(60);
        let config = asked.then(|| self.capture(&db));
        let reference = match (&db.rungs, &config) {
            (Some(_), Some(config)) => Some(self.reference(&db, config)),
            _ => None,
        };
        let point = match db.way {
            Way::Copied => Some(self.db_point(&db)),
            Way::CopiedByTheRun => Some(self.db_copy(&db)),
            Way::Replicated => Some(self.db_backup(&db)),
            Way::Beside => None,
        };
        let restores = 1 + u64::from(self.random.chance(15));
        for m in 0..restores {
            let restore = self.db_restore(&db, m, point.as_ref(), config.as_ref());
            self.look_at(&db, m, &restore, config.as_ref(), reference.as_ref());
        }
    }

    fn imagine(&mut self, n: u64) -> Database {
        let ways = [Way::Copied, Way::CopiedByTheRun, Way::Replicated, Way::Beside];
        let way = ways[*self.random.pick(&[0, 0, 0, 0, 0, 1, 1, 2, 2, 3])];
        let wrong = matches!(way, Way::CopiedByTheRun | Way::Replicated) && self.goes_wrong();
        let backups = match (wrong, self.random.chance(50)) {
            (false, _) => Backups::Good,
            (true, missing) if missing || way == Way::CopiedByTheRun => Backups::Missing,
            (true, _) => Backups::Old,
        };
        let rungs = self.random.chance(30).then(|| self.rungs(way));
        let hydrates = self.random.chance(10).then(|| !self.goes_wrong());
        let random = &mut self.random;
        Database {
            n,
            way,
            rungs,
            hydrates,
            backups,
            rows: random.between(1, 9),
            multi_az: random.chance(50),
            encrypted: random.chance(60),
            takes: random.between(2, 5),
        }
    }

    /// The part of the estate that decides what there is to restore from.
    fn backups(&mut self, db: &Database) -> String {
        let (damage, n) = (db.damage(), db.n);
        let random = &mut self.random;
        match db.way {
            Way::Copied => {
                let (at, lag) = (random.between(0, 22), random.between(5, 90));
                let skipped = if random.chance(20) { "skipped: [3]" } else { "skipped: []" };
                let key = db.key("dr");
                format!(
                    "schedule: {{ every: 24h, at: {at}h, keep: 7d, takes: 9m, {skipped}, copies: {{ account: \
                     \"222222222222\", region: ap-northeast-3, {key}lag: {lag}m{damage} }} }}, "
                )
            }
            Way::CopiedByTheRun => {
                let shared = match db.backups {
                    Backups::Missing => "",
                    _ => ", shared_with: [\"222222222222\"]",
                };
                let (age, takes) = (random.between(2, 40), random.between(2, 50));
                format!(
                    "copy_takes: {takes}m, snapshots: [{{ id: hand-{n}, age: {age}h{shared}{damage} }}], "
                )
            }
            Way::Replicated => {
                let stalled = if db.backups == Backups::Old { ", stalled: 5d" } else { "" };
                let (lag, key) = (random.between(1, 9), db.key("near"));
                match db.backups {
                    Backups::Missing => String::new(),
                    _ => format!(
                        "replicated_backups: {{ region: ap-northeast-3, {key}lag: {lag}m, keep: 7d{stalled}{damage} }}, "
                    ),
                }
            }
            Way::Beside => String::new(),
        }
    }

    fn write_down(&mut self, db: &Database, backups: &str) {
        let Database { n, multi_az, takes, rows, .. } = db;
        let values: Vec<String> = (1..=*rows).map(|n| format!("({n})")).collect();
        let values = values.join(", ");
        let own = db.key(if db.home() == "dr" { "dr" } else { "own" });
        let protected = self.random.chance(50);
        let hydration = match db.hydrates {
            None => "",
            Some(true) => "hydration: { takes: 20m, cold: 40ms, warm_up: 3m }, ",
            // No gap without a process is long enough for it.
            Some(false) => "hydration: { takes: 60d, cold: 40ms, warm_up: 3m }, ",
        };
        let answer = db.rungs.as_ref().and_then(|rungs| rungs.answer);
        let answers = answer.map_or(String::new(), |error| {
            format!(
                ", answers: [{{ sql: \"select bt_index_check('public.books_pkey')\", error: \"{error}\" }}]"
            )
        });
        let place = if db.home() == "dr" { &mut self.dr } else { &mut self.primary };
        let _ = writeln!(
            place.databases,
            "      - {{ id: db{n}, multi_az: {multi_az}, {own}database: app, users: {{ postgres: m, reader: r }}, \
             restore_takes: {takes}m, backup_retention: 7, deletion_protection: {protected}, {backups}{hydration}data: {{ \
             sql: [\"create table things (id integer)\", \"insert into things values {values}\", \"create table books \
             (id integer primary key autoincrement, name text not null)\", \"create index books_name on books (name)\", \
             \"insert into books (name) values ('a'), ('b'), ('c')\"], heartbeat: {{ table: beat, column: at, every: 1m \
             }}{answers} }} }}",
        );
    }

    fn capture(&mut self, db: &Database) -> String {
        let n = db.n;
        let mut draft = Draft::new(
            format!("config{n}"),
            "rds.capture_config",
            "prepare",
            format!("{{ instance: db{n} }}"),
        );
        draft.at = Some(db.home());
        let wrong = self.goes_wrong();
        if wrong && self.random.chance(40) {
            draft.with = "{ instance: nobody }".to_owned();
            draft.design = Design::Fails;
        } else {
            draft.expect.push(("multi_az", (db.multi_az != wrong).to_string()));
            draft.design = if wrong { Design::FallsShort } else { Design::Passes };
        }
        self.add(draft)
    }

    fn db_point(&mut self, db: &Database) -> String {
        let n = db.n;
        let mut draft = Draft::new(
            format!("point{n}"),
            "rds.find_snapshot",
            "recover",
            format!("{{ of: db{n} }}"),
        );
        draft.at = Some("dr");
        let wrong = self.goes_wrong();
        if wrong && self.random.chance(40) {
            draft.with = "{ of: nobody }".to_owned();
            draft.design = Design::Fails;
        } else {
            let gap = if wrong { "<= 20h" } else { "<= 60h" };
            draft.expect.push(("worst_gap", gap.to_owned()));
            if db.encrypted && self.random.chance(60) {
                draft.expect.push(("key_usable", "true".to_owned()));
            }
            draft.design = if wrong { Design::FallsShort } else { Design::Passes };
        }
        self.add(draft)
    }

    /// A copy that the run makes of a snapshot that somebody has made by hand.
    fn db_copy(&mut self, db: &Database) -> String {
        let n = db.n;
        let with = format!("{{ of: db{n}, types: [manual] }}");
        let mut found = Draft::new(format!("hand{n}"), "rds.find_snapshot", "prepare", with);
        found.at = Some("primary");
        let found = self.add(found);
        let snapshot = output(&found, "arn");
        let key = db.key("dr");
        let with = format!("{{ snapshot: {snapshot}, {key}tags: {{ made-by: drill }} }}");
        let mut copy = Draft::new(format!("copy{n}"), "rds.copy_snapshot", "prepare", with);
        copy.at = Some("dr");
        copy.refers.insert(found);
        if db.backups == Backups::Missing {
            copy.design = Design::Fails;
        } else if self.goes_wrong() {
            copy.expect.push(("encrypted", (!db.encrypted).to_string()));
            copy.design = Design::FallsShort;
        }
        self.add(copy)
    }

    /// Automated backups that were replicated.
    fn db_backup(&mut self, db: &Database) -> String {
        let n = db.n;
        let with = format!("{{ of: db{n} }}");
        let mut draft =
            Draft::new(format!("backup{n}"), "rds.find_automated_backup", "recover", with);
        draft.at = Some("near");
        draft.expect.push(("age", "<= 3d".to_owned()));
        draft.expect.push(("version_offered", "true".to_owned()));
        draft.design = match db.backups {
            Backups::Good => Design::Passes,
            Backups::Old => Design::FallsShort,
            Backups::Missing => Design::Fails,
        };
        self.add(draft)
    }

    fn db_restore(
        &mut self,
        db: &Database,
        m: u64,
        point: Option<&String>,
        config: Option<&String>,
    ) -> String {
        let n = db.n;
        let from = match (db.way, point) {
            (Way::Replicated, Some(point)) => format!("backup: {}", output(point, "backup")),
            (_, Some(point)) => format!("snapshot: {}", output(point, "arn")),
            (_, None) => format!("instance: db{n}"),
        };
        let random = &mut self.random;
        let (multi_az, protected) = (random.chance(40), random.chance(40));
        let rest = format!(
            "class: db.r6g.large, subnet_group: isolated, security_groups: [sg-drill], multi_az: {multi_az}, \
             deletion_protection: {protected}"
        );
        let in_time = matches!(db.way, Way::Replicated | Way::Beside);
        let uses = if in_time { "rds.restore_point_in_time" } else { "rds.restore_snapshot" };
        let with = format!("{{ {from}, {rest} }}");
        let mut draft = Draft::new(format!("restore{n}-{m}"), uses, "recover", with);
        draft.at = Some(db.target());
        draft.refers.extend(point.cloned());
        if let Some(config) = config.filter(|_| random.chance(30)) {
            draft.needs.insert(config.clone());
        }
        let wrong = self.goes_wrong();
        match (wrong, self.random.below(3)) {
            (true, 0) => {
                draft.with = match in_time {
                    true => format!("{{ {from}, {rest}, to: 2026-01-01T00:00:00Z }}"),
                    false => format!("{{ snapshot: no-such-snapshot, {rest} }}"),
                };
                draft.needs.extend(std::mem::take(&mut draft.refers));
                draft.design = Design::Fails;
                if in_time {
                    draft.refers.extend(point.cloned());
                }
            }
            (true, 1) => {
                // It takes a little longer than it may; the objective would be met. Looks are frequent at the end.
                draft.with = format!("{{ {from}, {rest}, expected_duration: 10s }}");
                draft.too_short = Some(db.takes * 60 - 30);
                draft.design = Design::Fails;
            }
            _ => {
                draft.expect.push(("multi_az", (multi_az != wrong).to_string()));
                draft.design = if wrong { Design::FallsShort } else { Design::Passes };
            }
        }
        self.add(draft)
    }
}
