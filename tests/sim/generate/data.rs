//! What is asked of a restored database.

use super::super::model::{Design, Draft};
use super::databases::{Database, Way};
use super::{Workshop, output};

/// A comparison with the original, and what is wrong with the data that it finds.
pub(super) struct Rungs {
    /// Run after restoring.
    pub(super) damage: Option<&'static str>,
    /// What the server says when it inspects an index.
    pub(super) answer: Option<&'static str>,
    design: Design,
}

/// The items that differ between the estate's databases and what the steps ask for.
const VARY: &str =
    "multi_az, kms_key, subnet_group, security_groups, deletion_protection, backup_retention";

impl Workshop {
    pub(super) fn rungs(&mut self, way: Way) -> Rungs {
        let wrong = self.goes_wrong();
        let damaged = |sql| (Some(sql), None, Design::FallsShort);
        let said = |error, design| (None, Some(error), design);
        // A database that comes back beside itself has no backups of which only the contents are damaged.
        let kinds = if way == Way::Beside { 2 } else { 6 };
        let (damage, answer, design) = match (wrong, self.random.below(kinds)) {
            (false, _) => (None, None, Design::Passes),
            (true, 0) => said("SQLSTATE XX002: item order invariant violated", Design::FallsShort),
            (true, 1) => said("SQLSTATE 42883: function does not exist", Design::Unclear),
            (true, 2) => damaged("delete from books where id = 1"),
            (true, 3) => damaged("update books set name = 'other' where id = 1"),
            (true, 4) => damaged("drop index books_name"),
            (true, _) => damaged("update sqlite_sequence set seq = 1 where name = 'books'"),
        };
        Rungs { damage, answer, design }
    }

    /// Takes down what the original holds, while it is there.
    pub(super) fn reference(&mut self, db: &Database, config: &str) -> String {
        let with = format!(
            "{{ {}, rows: {{ tables: [books] }}, checksums: {{ tables: [books] }} }}",
            connection(config, db.home())
        );
        let id = format!("base{}", db.n);
        let mut draft = Draft::new(id, "sql.capture_reference", "prepare", with);
        draft.refers.insert(config.to_owned());
        self.add(draft)
    }

    pub(super) fn look_at(
        &mut self,
        db: &Database,
        m: u64,
        restore: &str,
        config: Option<&String>,
        reference: Option<&String>,
    ) {
        if self.random.chance(45) {
            self.data(db, m, restore);
        }
        let mut before = None;
        if let (0, Some(rungs), Some(config), Some(reference)) = (m, &db.rungs, config, reference) {
            before = Some(self.ladder(db, rungs, restore, config, reference));
        }
        if m == 0 && self.random.chance(20) {
            self.write(db, restore, before);
        }
        if let Some(config) = config.filter(|_| self.random.chance(40)) {
            self.compare(db, m, restore, config);
        }
        if let (0, Some(hydrates)) = (m, db.hydrates) {
            self.hydrate(db, restore, hydrates);
        }
    }

    fn data(&mut self, db: &Database, m: u64, restore: &str) {
        let wrong = self.goes_wrong();
        let expected = if wrong { db.rows + 1 } else { db.rows };
        let with = format!(
            "{{ {}, watermark: \"select max(at) from beat\", queries: [{{ name: rows, sql: \"select count(*) from \
             things\", expect: \"= {expected}\" }}] }}",
            connection(restore, db.target())
        );
        let id = format!("data{}-{m}", db.n);
        let mut draft = Draft::new(id, "sql.check", "verify", with);
        draft.refers.insert(restore.to_owned());
        draft.design = if wrong { Design::FallsShort } else { Design::Passes };
        self.add(draft);
    }

    /// Compares with what was taken down, or with the original where it is still there.
    fn ladder(
        &mut self,
        db: &Database,
        rungs: &Rungs,
        restore: &str,
        config: &str,
        reference: &str,
    ) -> String {
        let (against, refers) = match db.way == Way::Beside && self.random.chance(50) {
            true => {
                (format!("source: {{ at: dr, {} }}", connection(config, "dr")), config.to_owned())
            }
            false => {
                (format!("reference: {}", output(reference, "reference")), reference.to_owned())
            }
        };
        let with = format!(
            "{{ {}, {against}, schema: {{}}, rows: {{ tables: [books] }}, checksums: {{ tables: [books] }}, sequences: \
             true, inspect: {{}}, version: \"~ ^16\", point_in_time: {{ before: \"select count(*) from books\", after: \
             \"select count(*) from books where id > 1000\" }} }}",
            connection(restore, db.target())
        );
        let mut draft = Draft::new(format!("ladder{}", db.n), "sql.check", "verify", with);
        draft.refers.extend([restore.to_owned(), refers]);
        draft.design = rungs.design;
        self.add(draft)
    }

    /// Writes into it, after what compares its structure.
    fn write(&mut self, db: &Database, restore: &str, before: Option<String>) {
        let wrong = self.goes_wrong();
        let user = if wrong { ", user: nobody" } else { "" };
        let with = format!("{{ {}, effect: own{user} }}", connection(restore, db.target()));
        let mut draft = Draft::new(format!("write{}", db.n), "sql.try_write", "verify", with);
        draft.at = Some(db.target());
        draft.refers.insert(restore.to_owned());
        draft.needs.extend(before);
        draft.design = if wrong { Design::Breaks } else { Design::Passes };
        self.add(draft);
    }

    fn compare(&mut self, db: &Database, m: u64, restore: &str, config: &str) {
        let wrong = self.goes_wrong();
        let vary = if wrong { VARY.to_owned() } else { format!("class, {VARY}") };
        let with = format!(
            "{{ instance: {}, intended: {}, instead: {{ vpc: vpc-drill }}, vary: [{vary}], max_age: 15d }}",
            output(restore, "id"),
            output(config, "config")
        );
        let id = format!("fidelity{}-{m}", db.n);
        let mut draft = Draft::new(id, "rds.compare_config", "verify", with);
        draft.at = Some(db.target());
        draft.refers.extend([restore.to_owned(), config.to_owned()]);
        draft.design = if wrong { Design::FallsShort } else { Design::Passes };
        self.add(draft);
    }

    fn hydrate(&mut self, db: &Database, restore: &str, hydrates: bool) {
        let within = if hydrates { "2h" } else { "20m" };
        let with = format!(
            "{{ {}, samples: 20, pause: 5m, within: {within} }}",
            connection(restore, db.target())
        );
        let mut draft = Draft::new(format!("fast{}", db.n), "sql.hydrate", "verify", with);
        draft.refers.insert(restore.to_owned());
        draft.design = if hydrates { Design::Passes } else { Design::FallsShort };
        self.add(draft);
    }
}

/// How the database is reached of which a step gives endpoint and port.
pub(super) fn connection(step: &str, site: &str) -> String {
    format!(
        "endpoint: {}, port: {}, database: app, credentials: {{ secret: app/reader, at: {site} }}",
        output(step, "endpoint"),
        output(step, "port")
    )
}
