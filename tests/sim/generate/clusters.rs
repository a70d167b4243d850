//! A cluster of Aurora, and the two ways in which it comes back.

use super::super::model::{Design, Draft};
use super::data::connection;
use super::{Workshop, output};
use std::fmt::Write as _;

/// The items that differ between the estate's cluster and what the steps ask for, the VPC apart.
const VARY: &str = "multi_az, readers, classes, tiers, kms_key, subnet_group, security_groups, deletion_protection";

/// What is wrong with the copies of its snapshots.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Copies {
    Good,
    Missing,
    /// Nobody has written down of which time their data is.
    Untagged,
}

impl Workshop {
    pub(super) fn cluster(&mut self) {
        let beside = self.random.chance(40);
        let readers = *self.random.pick(&[0, 1, 1]);
        let rows = self.random.between(1, 9);
        let wrong = !beside && self.goes_wrong();
        let copies = match (wrong, self.random.chance(50)) {
            (false, _) => Copies::Good,
            (true, true) => Copies::Missing,
            (true, false) => Copies::Untagged,
        };
        let never_joins = self.goes_wrong();
        let encrypted = self.write_cluster(beside, rows, copies, never_joins);
        let config = (!beside && self.random.chance(60)).then(|| self.cluster_config());
        if !beside && self.random.chance(40) {
            self.copy_of_cluster(encrypted);
        }
        let restore = match beside {
            true => self.restore_cluster(None, readers, never_joins),
            false => {
                let point = self.cluster_point(copies);
                self.restore_cluster(Some(&point), readers, never_joins)
            }
        };
        if let Some(config) = &config {
            self.compare_cluster(&restore, config);
        }
        if self.random.chance(60) {
            self.cluster_data("endpoint", &restore, rows);
        }
        if readers > 0 && self.random.chance(40) {
            self.cluster_data("reader_endpoint", &restore, rows);
        }
    }

    /// True when the cluster is encrypted.
    fn write_cluster(
        &mut self,
        beside: bool,
        rows: u64,
        copies: Copies,
        never_joins: bool,
    ) -> bool {
        let random = &mut self.random;
        let encrypted = random.chance(60);
        let key = |alias: &str| match encrypted {
            true => format!("kms_key: alias/{alias}, "),
            false => String::new(),
        };
        let tag = if copies == Copies::Untagged { "" } else { ", time_tag: data-time" };
        let copied = match copies {
            Copies::Missing => String::new(),
            _ => format!(
                ", copies: {{ account: \"222222222222\", region: ap-northeast-3, {}lag: {}m{tag} }}",
                key("dr"),
                random.between(5, 90)
            ),
        };
        let schedule = match beside {
            true => String::new(),
            false => format!(
                "schedule: {{ every: 24h, at: {}h, keep: 7d, takes: 6m{copied} }}, ",
                random.between(0, 22)
            ),
        };
        // No gap without a process is long enough for it.
        let joins =
            if never_joins { "60d".to_owned() } else { format!("{}m", random.between(1, 9)) };
        let (takes, protected) = (random.between(1, 15), random.chance(50));
        let values: Vec<String> = (1..=rows).map(|n| format!("({n})")).collect();
        let own = key(if beside { "dr" } else { "own" });
        let place = if beside { &mut self.dr } else { &mut self.primary };
        let _ = writeln!(
            place.clusters,
            "      - {{ id: shop, {own}database: app, users: {{ postgres: m, reader: r }}, deletion_protection: \
             {protected}, instances: [{{ id: shop-1 }}, {{ id: shop-2 }}], restore_takes: {takes}m, instance_takes: \
             {joins}, {schedule}data: {{ sql: [\"create table things (id integer)\", \"insert into things values {}\"] \
             }} }}",
            values.join(", ")
        );
        encrypted
    }

    /// A copy in the other region of the same account of the newest snapshot that is there before the disaster; nothing is
    /// restored from it.
    fn copy_of_cluster(&mut self, encrypted: bool) {
        self.near = true;
        let with = "{ of: shop }".to_owned();
        let mut find = Draft::new("shop-here".to_owned(), "aurora.find_snapshot", "prepare", with);
        find.at = Some("primary");
        let found = self.add(find);
        let (snapshot, time) = (output(&found, "arn"), output(&found, "at"));
        let wrong = self.goes_wrong();
        let time = match wrong {
            true => String::new(),
            false => format!(", data_time: {time}, time_tag: data-time"),
        };
        let key = if encrypted { ", kms_key: alias/near" } else { "" };
        let with = format!("{{ snapshot: {snapshot}{key}{time} }}");
        let mut copy = Draft::new("shop-copy".to_owned(), "aurora.copy_snapshot", "prepare", with);
        copy.at = Some("near");
        copy.refers.insert(found);
        copy.design = if wrong { Design::Unclear } else { Design::Passes };
        self.add(copy);
    }

    fn cluster_config(&mut self) -> String {
        let with = "{ cluster: shop }".to_owned();
        let mut draft =
            Draft::new("shop-config".to_owned(), "aurora.capture_config", "prepare", with);
        draft.at = Some("primary");
        let wrong = self.goes_wrong();
        if wrong && self.random.chance(40) {
            draft.with = "{ cluster: nobody }".to_owned();
            draft.design = Design::Fails;
        } else {
            let readers = if wrong { 2 } else { 1 };
            draft.expect.push(("readers", format!("= {readers}")));
            draft.design = if wrong { Design::FallsShort } else { Design::Passes };
        }
        self.add(draft)
    }

    fn compare_cluster(&mut self, restore: &str, config: &str) {
        let wrong = self.goes_wrong();
        let vpc = if wrong { "vpc-prod" } else { "vpc-drill" };
        let with = format!(
            "{{ cluster: {}, intended: {}, source: {{ id: shop, at: primary }}, instead: {{ vpc: {vpc} }}, vary: [{VARY}], \
             max_age: 15d }}",
            output(restore, "id"),
            output(config, "config")
        );
        let mut draft =
            Draft::new("shop-fidelity".to_owned(), "aurora.compare_config", "verify", with);
        draft.at = Some("dr");
        draft.refers.extend([restore.to_owned(), config.to_owned()]);
        draft.design = if wrong { Design::FallsShort } else { Design::Passes };
        self.add(draft);
    }

    fn cluster_point(&mut self, copies: Copies) -> String {
        let with = "{ of: shop, time_tag: data-time }".to_owned();
        let mut draft =
            Draft::new("shop-point".to_owned(), "aurora.find_snapshot", "recover", with);
        draft.at = Some("dr");
        draft.design = match copies {
            Copies::Good => Design::Passes,
            Copies::Missing => Design::Fails,
            Copies::Untagged => Design::Unclear,
        };
        if copies == Copies::Good {
            let wrong = self.goes_wrong();
            let gap = if wrong { "<= 20h" } else { "<= 60h" };
            draft.expect.push(("worst_gap", gap.to_owned()));
            draft.design = if wrong { Design::FallsShort } else { Design::Passes };
        }
        self.add(draft)
    }

    fn restore_cluster(
        &mut self,
        point: Option<&String>,
        readers: u64,
        never_joins: bool,
    ) -> String {
        let class = "class: db.r6g.large";
        let members = match readers {
            0 => format!("writer: {{ {class}, tier: 0 }}"),
            _ => format!("writer: {{ {class}, tier: 0 }}, readers: [{{ {class}, tier: 1 }}]"),
        };
        let protected = self.random.chance(40);
        let rest = format!(
            "{members}, subnet_group: isolated, security_groups: [sg-drill], deletion_protection: {protected}, \
             joins_within: 40m"
        );
        let (uses, from) = match point {
            Some(point) => {
                ("aurora.restore_cluster", format!("snapshot: {}", output(point, "arn")))
            }
            None => {
                let kind =
                    if self.random.chance(40) { ", restore_type: copy-on-write" } else { "" };
                ("aurora.restore_cluster_point_in_time", format!("of: shop{kind}"))
            }
        };
        let with = format!("{{ {from}, {rest} }}");
        let mut draft = Draft::new("shop-restore".to_owned(), uses, "recover", with);
        draft.at = Some("dr");
        draft.refers.extend(point.cloned());
        let wrong = !never_joins && self.goes_wrong();
        if never_joins {
            draft.design = Design::Fails;
        } else if wrong && point.is_none() && self.random.chance(40) {
            draft.with = format!("{{ of: nobody, {rest} }}");
            draft.design = Design::Fails;
        } else {
            let members = 1 + readers + u64::from(wrong);
            draft.expect.push(("members", format!("= {members}")));
            draft.design = if wrong { Design::FallsShort } else { Design::Passes };
        }
        self.add(draft)
    }

    fn cluster_data(&mut self, endpoint: &str, restore: &str, rows: u64) {
        let wrong = self.goes_wrong();
        let expected = if wrong { rows + 1 } else { rows };
        let connection =
            connection(restore, "dr").replace(".endpoint}}", &format!(".{endpoint}}}}}"));
        let with = format!(
            "{{ {connection}, queries: [{{ name: rows, sql: \"select count(*) from things\", expect: \"= {expected}\" \
             }}] }}"
        );
        let id = format!("shop-data-{}", endpoint.len());
        let mut draft = Draft::new(id, "sql.check", "verify", with);
        draft.refers.insert(restore.to_owned());
        draft.design = if wrong { Design::FallsShort } else { Design::Passes };
        self.add(draft);
    }
}
