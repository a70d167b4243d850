//! Random valid scenarios from the real actions, each with the estate that it needs.
//!
//! Main function: [`generate`]. Every step is made together with the part of the estate that decides how it ends, so that
//! the reference model knows it without running anything. The texts go through the same reading, checking and compiling
//! as those that people write.

use super::model::{Design, Draft};
use super::random::Random;
use super::subject::Subject;
use redrill::action::Registry;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// A scenario and its estate under construction.
struct Workshop {
    random: Random,
    drafts: Vec<Draft>,
    primary: Places,
    dr: Places,
    commands: String,
    http: String,
    approvals: String,
    /// How many steps may still be made to fall short.
    bad: u64,
    /// One of them already stops the others.
    stopped: bool,
}

/// The parts of a place, as items of YAML lists.
#[derive(Default)]
struct Places {
    databases: String,
    volumes: String,
    buckets: String,
}

/// The scenario and the estate of a seed.
pub(crate) fn texts(seed: u64) -> (String, String, Vec<Draft>) {
    let mut random = Random::new(seed, "scenario");
    let bad = *random.pick(&[0, 0, 0, 1, 1, 2]);
    let mut shop = Workshop {
        random,
        drafts: Vec::new(),
        primary: Places::default(),
        dr: Places::default(),
        commands: String::new(),
        http: String::new(),
        approvals: String::new(),
        bad,
        stopped: false,
    };
    shop.fill();
    shop.finish();
    (shop.scenario(), shop.estate(), shop.drafts)
}

/// The subject of a seed.
///
/// # Errors
/// When the checker refuses it: then the generator, or the checker, is wrong.
pub(crate) fn generate(seed: u64, registry: &Registry) -> Result<Subject, String> {
    let (scenario, estate, drafts) = texts(seed);
    let estate_file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/estates/generated.yaml");
    let name = format!("generated {seed}");
    let subject = Subject::read(&name, &scenario, (estate_file, &estate), registry);
    let subject = subject.map_err(|why| format!("{why}\n{scenario}\n{estate}"))?;
    Ok(Subject { drafts: Some(drafts), ..subject })
}

impl Workshop {
    fn fill(&mut self) {
        // Few databases: they take long, and each look at them is a call.
        let databases = *self.random.pick(&[0, 1, 1, 1, 1, 2]);
        let volumes = *self.random.pick(&[1, 1, 2, 2, 3]);
        for n in 0..databases {
            self.database(n);
        }
        for n in 0..volumes {
            self.volume(n);
        }
        if self.random.chance(30) {
            self.bucket();
        }
        if self.random.chance(8) {
            self.cluster();
        }
        for n in 0..self.random.between(0, 2) {
            self.approval(n);
        }
        for n in 0..self.random.between(1, 2) {
            self.http(n);
        }
    }

    /// Adds a step, which may need others by chance.
    fn add(&mut self, mut draft: Draft) -> String {
        if self.random.chance(20) {
            let others = self.up_to(draft.phase);
            if !others.is_empty() {
                draft.needs.insert(self.random.pick(&others).clone());
            }
        }
        draft.attempts = self.random.chance(20).then(|| self.random.between(2, 5));
        draft.goes_on = self.random.chance(15);
        draft.required = !self.random.chance(8);
        if draft.design != Design::Passes {
            draft.goes_on = self.stopped || self.random.chance(60);
            self.stopped |= !draft.goes_on;
            draft.required = !self.random.chance(15);
        }
        let id = draft.id.clone();
        self.drafts.push(draft);
        id
    }

    /// The steps that a step of this phase may need.
    fn up_to(&self, phase: &str) -> Vec<String> {
        let rank = |phase: &str| ["prepare", "recover", "verify"].iter().position(|p| *p == phase);
        let fits = |other: &&Draft| rank(other.phase) <= rank(phase);
        self.drafts.iter().filter(fits).map(|other| other.id.clone()).collect()
    }

    /// True for one of the steps that end badly.
    fn goes_wrong(&mut self) -> bool {
        let wrong = self.bad > 0 && self.random.chance(15);
        self.bad -= u64::from(wrong);
        wrong
    }

    fn database(&mut self, n: u64) {
        let random = &mut self.random;
        let (multi_az, encrypted) = (random.chance(50), random.chance(60));
        let (takes, lag) = (random.between(1, 4), random.between(5, 90));
        let at = random.between(0, 22);
        let skipped = if random.chance(20) { "skipped: [3]" } else { "skipped: []" };
        let key =
            |alias: &str| if encrypted { format!("kms_key: {alias}, ") } else { String::new() };
        let (own, copy) = (key("alias/own"), key("alias/dr"));
        let rows = random.between(1, 9);
        let values: Vec<String> = (1..=rows).map(|n| format!("({n})")).collect();
        let _ = writeln!(
            self.primary.databases,
            "      - {{ id: db{n}, multi_az: {multi_az}, {own}database: app, users: {{ postgres: m, reader: r }}, \
             restore_takes: {takes}m, backup_retention: 7, deletion_protection: {protected}, schedule: {{ every: 24h, \
             at: {at}h, keep: 7d, takes: 9m, {skipped}, copies: {{ account: \"222222222222\", region: ap-northeast-3, \
             {copy}lag: {lag}m }} }}, data: {{ sql: [\"create table things (id integer)\", \"insert into things values \
             {values}\"], heartbeat: {{ table: beat, column: at, every: 1m }} }} }}",
            protected = random.chance(50),
            values = values.join(", "),
        );
        let capture = self.random.chance(60).then(|| self.capture(n, multi_az));
        let point = self.db_point(n, encrypted);
        let restores = 1 + u64::from(self.random.chance(15));
        for m in 0..restores {
            let restore = self.db_restore(n, m, &point, capture.as_ref());
            if self.random.chance(45) {
                self.data(n, m, &restore, rows);
            }
        }
    }

    fn capture(&mut self, n: u64, multi_az: bool) -> String {
        let mut draft = Draft::new(
            format!("config{n}"),
            "rds.capture_config",
            "prepare",
            format!("{{ instance: db{n} }}"),
        );
        draft.at = Some("primary");
        let wrong = self.goes_wrong();
        if wrong && self.random.chance(40) {
            draft.with = "{ instance: nobody }".to_owned();
            draft.design = Design::Fails;
        } else {
            draft.expect.push(("multi_az", (multi_az != wrong).to_string()));
            draft.design = if wrong { Design::FallsShort } else { Design::Passes };
        }
        self.add(draft)
    }

    fn db_point(&mut self, n: u64, encrypted: bool) -> String {
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
            if encrypted && self.random.chance(60) {
                draft.expect.push(("key_usable", "true".to_owned()));
            }
            draft.design = if wrong { Design::FallsShort } else { Design::Passes };
        }
        self.add(draft)
    }

    fn db_restore(&mut self, n: u64, m: u64, point: &str, capture: Option<&String>) -> String {
        let random = &mut self.random;
        let (multi_az, protected) = (random.chance(40), random.chance(40));
        let with = format!(
            "{{ snapshot: \"{{{{steps.{point}.arn}}}}\", class: db.r6g.large, subnet_group: isolated, security_groups: \
             [sg-drill], multi_az: {multi_az}, deletion_protection: {protected} }}"
        );
        let mut draft =
            Draft::new(format!("restore{n}-{m}"), "rds.restore_snapshot", "recover", with);
        draft.at = Some("dr");
        draft.refers.insert(point.to_owned());
        if let Some(capture) = capture.filter(|_| random.chance(30)) {
            draft.needs.insert(capture.clone());
        }
        let wrong = self.goes_wrong();
        if wrong && self.random.chance(30) {
            draft.with = format!(
                "{{ snapshot: no-such-snapshot, class: db.r6g.large, subnet_group: isolated, security_groups: \
                 [sg-drill], multi_az: {multi_az} }}"
            );
            draft.needs.insert(point.to_owned());
            draft.refers.clear();
            draft.design = Design::Fails;
        } else {
            draft.expect.push(("multi_az", (multi_az != wrong).to_string()));
            draft.design = if wrong { Design::FallsShort } else { Design::Passes };
        }
        self.add(draft)
    }

    fn data(&mut self, n: u64, m: u64, restore: &str, rows: u64) -> String {
        let wrong = self.goes_wrong();
        let expected = if wrong { rows + 1 } else { rows };
        let with = format!(
            "{{ endpoint: \"{{{{steps.{restore}.endpoint}}}}\", port: \"{{{{steps.{restore}.port}}}}\", database: app, \
             credentials: {{ secret: app/reader, at: dr }}, watermark: \"select max(at) from beat\", queries: [{{ name: \
             rows, sql: \"select count(*) from things\", expect: \"= {expected}\" }}] }}"
        );
        let mut draft = Draft::new(format!("data{n}-{m}"), "sql.check", "verify", with);
        draft.refers.insert(restore.to_owned());
        draft.design = if wrong { Design::FallsShort } else { Design::Passes };
        self.add(draft)
    }

    fn volume(&mut self, n: u64) {
        let (size, encrypted) = (self.random.between(1, 200), self.random.chance(50));
        let key = if encrypted { "kms_key: alias/dr, " } else { "" };
        let mut snapshots = String::new();
        for (place, age) in [1, 7, 13, 19].into_iter().enumerate() {
            let _ = write!(
                snapshots,
                "{{ id: snap-{n}{place}, age: {age}h, tags: {{ app: v{n}, data-time: \"{time}\" }} }}, ",
                time = [
                    "2026-11-20T00:00:00Z",
                    "2026-11-19T18:00:00Z",
                    "2026-11-19T12:00:00Z",
                    "2026-11-19T06:00:00Z"
                ][place],
            );
        }
        let _ = writeln!(
            self.dr.volumes,
            "      - {{ id: vol-{n}, size: {size}, {key}zone: ap-northeast-3a, snapshots: [{snapshots}] }}"
        );
        let point = self.volume_point(n);
        let restores = 1 + u64::from(self.random.chance(25));
        for m in 0..restores {
            let volume = self.volume_restore(n, m, &point, encrypted);
            if self.random.chance(60) {
                self.fsck(n, m, &volume);
            }
        }
    }

    fn volume_point(&mut self, n: u64) -> String {
        let with =
            |app: &str| format!("{{ tags: {{ app: {app} }}, time_tag: data-time, schedule: 6h }}");
        let mut draft = Draft::new(
            format!("vpoint{n}"),
            "ebs.find_snapshot",
            "recover",
            with(&format!("v{n}")),
        );
        draft.at = Some("dr");
        let wrong = self.goes_wrong();
        if wrong && self.random.chance(40) {
            draft.with = with("nothing");
            draft.design = Design::Fails;
        } else {
            let age = if wrong { "<= 90m" } else { "<= 40h" };
            draft.expect.push(("age", age.to_owned()));
            draft.design = if wrong { Design::FallsShort } else { Design::Passes };
        }
        self.add(draft)
    }

    fn volume_restore(&mut self, n: u64, m: u64, point: &str, encrypted: bool) -> String {
        let encrypt = encrypted || self.random.chance(30);
        let with = format!(
            "{{ snapshot: \"{{{{steps.{point}.id}}}}\", availability_zone: ap-northeast-3a, volume_type: gp3, encrypted: \
             {encrypt} }}"
        );
        let mut draft = Draft::new(format!("volume{n}-{m}"), "ebs.restore_volume", "recover", with);
        draft.at = Some("dr");
        draft.refers.insert(point.to_owned());
        if self.goes_wrong() {
            draft.expect.push(("volume_type", "\"= io2\"".to_owned()));
            draft.design = Design::FallsShort;
        } else {
            draft.expect.push(("encrypted", encrypt.to_string()));
        }
        self.add(draft)
    }

    fn fsck(&mut self, n: u64, m: u64, volume: &str) -> String {
        let id = format!("fsck{n}-{m}");
        let wrong = self.goes_wrong();
        let (status, takes) = (u64::from(wrong), self.random.between(1, 9));
        if wrong && self.random.chance(40) {
            // The estate has no answer.
        } else {
            let _ = writeln!(
                self.commands,
                "    {id}: {{ status: {status}, stdout: \"clean\", takes: {takes}m }}"
            );
        }
        let answered = self.commands.contains(&format!("    {id}:"));
        let with = format!("{{ argv: [fsck, \"{{{{steps.{volume}.id}}}}\"], effect: none }}");
        let mut draft = Draft::new(id, "exec.run", "verify", with);
        draft.refers.insert(volume.to_owned());
        draft.design = match (wrong, answered) {
            (false, _) => Design::Passes,
            (true, true) => Design::FallsShort,
            (true, false) => Design::Unanswered,
        };
        self.add(draft)
    }

    fn bucket(&mut self) {
        let lag = self.random.between(1, 5);
        let count = self.random.between(1, 6);
        let wrong = self.goes_wrong();
        let stalled = if wrong { ", stalled: true" } else { "" };
        let _ = writeln!(
            self.primary.buckets,
            "      - {{ name: files, versioning: enabled, replication: [{{ to: {{ bucket: files-dr, account: \
             \"222222222222\", region: ap-northeast-3 }}, lag: {lag}m, delete_markers: true{stalled} }}], objects: [{{ \
             key: \"a/{{n}}.txt\", size: 2KiB, count: {count}, every: 2h, at: 3h }}] }}"
        );
        let _ = writeln!(
            self.dr.buckets,
            "      - {{ name: files-dr, versioning: enabled, readers: [\"111111111111\"] }}"
        );
        let both = "source: files, replica: files-dr, replica_at: dr";
        let mut canary = Draft::new(
            "canary".to_owned(),
            "s3.replicate_canary",
            "prepare",
            format!("{{ {both}, within: 25m }}"),
        );
        canary.at = Some("primary");
        canary.design = if wrong { Design::Fails } else { Design::Passes };
        let mut replicas = Draft::new(
            "replicas".to_owned(),
            "s3.check_replication",
            "prepare",
            format!("{{ {both}, grace: 15m }}"),
        );
        replicas.at = Some("primary");
        if wrong {
            replicas.expect.push(("missing", "\"= 0\"".to_owned()));
            replicas.design = Design::FallsShort;
        }
        self.add(canary);
        if self.random.chance(60) {
            self.add(replicas);
        }
    }

    fn cluster(&mut self) {
        let _ = writeln!(
            self.dr.buckets,
            "      - {{ name: etcd, versioning: enabled, objects: [{{ key: latest.db, file: \
             files/cluster-state.snapshot.db, at: 1h, metadata: {{ snapshot-time: \"2026-11-20T00:55:00Z\" }} }}] }}"
        );
        let wrong = self.goes_wrong();
        let mut draft = Draft::new(
            "etcd".to_owned(),
            "etcd.verify_snapshot",
            "recover",
            "{ object: { bucket: etcd, key: latest.db } }".to_owned(),
        );
        draft.at = Some("dr");
        let keys = if wrong { "\">= 1000000\"" } else { "\">= 20\"" };
        draft.expect.push(("live_keys", keys.to_owned()));
        draft.design = if wrong { Design::FallsShort } else { Design::Passes };
        self.add(draft);
    }

    fn approval(&mut self, n: u64) {
        let id = format!("ask{n}");
        let wrong = self.goes_wrong();
        let (approved, after) = (!wrong, self.random.between(1, 25));
        let _ = writeln!(self.approvals, "    {id}: {{ approved: {approved}, after: {after}m }}");
        let with = "{ ask: May the drill go on?, within: 2h }".to_owned();
        let mut draft = Draft::new(id, "control.approve", "recover", with);
        draft.design = if wrong { Design::Fails } else { Design::Passes };
        let others = self.up_to("recover");
        draft.needs.insert(self.random.pick(&others).clone());
        self.add(draft);
    }

    fn http(&mut self, n: u64) {
        let id = format!("page{n}");
        let wrong = self.goes_wrong();
        let status = if wrong { 503 } else { 200 };
        let _ = writeln!(self.http, "    {id}: {{ status: {status}, body: ok, takes: 80ms }}");
        let with = "{ url: \"https://app.example.com/healthz\", within: 5m }".to_owned();
        let mut draft = Draft::new(id, "http.check", "verify", with);
        let others = self.up_to("verify");
        for _ in 0..self.random.between(1, 3) {
            draft.needs.insert(self.random.pick(&others).clone());
        }
        draft.design = if wrong { Design::FallsShort } else { Design::Passes };
        self.add(draft);
    }

    /// Things that concern the whole: gates, conditions.
    fn finish(&mut self) {
        if self.bad > 0 && self.random.chance(30) {
            let plain = |d: &&mut Draft| d.design == Design::Passes && d.phase == "verify";
            if let Some(draft) = self.drafts.iter_mut().find(plain) {
                draft.design = Design::LeftOut;
            }
        }
        let gate =
            |d: &&mut Draft| d.phase == "verify" && d.required && d.design != Design::LeftOut;
        if let Some(draft) = self.drafts.iter_mut().rev().find(gate) {
            draft.gate = true;
        }
        if let Some(place) = self.drafts.iter().position(|draft| draft.gate) {
            self.let_it_wait(place);
        }
    }

    /// The gate proves the recovery: it waits for all of it. What comes later and does not follow from it is optional.
    fn let_it_wait(&mut self, gate: usize) {
        let id = self.drafts[gate].id.clone();
        let recovers = |d: &Draft| d.required && d.phase == "recover";
        let earlier = self.drafts[..gate].iter().filter(|d| recovers(d));
        let earlier: Vec<String> = earlier.map(|d| d.id.clone()).collect();
        self.drafts[gate].needs.extend(earlier);
        let mut after = BTreeSet::from([id]);
        for draft in &mut self.drafts[gate + 1..] {
            if draft.waits_for().any(|need| after.contains(need)) {
                after.insert(draft.id.clone());
            } else if recovers(draft) {
                draft.required = false;
            }
        }
    }

    fn scenario(&self) -> String {
        let mut text = String::from(
            "redrill: 1\nname: generated\ntitle: A generated scenario\nowner: simulation\n\
             disaster: { kind: region_loss, lost: [primary] }\n\
             sites:\n  primary: { account: \"111111111111\", region: ap-northeast-1, role: redrill-drill }\n  \
             dr: { account: \"222222222222\", region: ap-northeast-3, role: redrill-drill }\n\
             guard: { write: [primary, dr], canaries: [files/redrill-canary/, files-dr/redrill-canary/], \
             max_duration: 20d, ttl: 21d, max_resources: 30 }\n",
        );
        let mut objectives = String::new();
        // What runs before the disaster proves nothing that was recovered.
        let counts = |d: &&Draft| d.required && d.phase != "prepare";
        if let Some(gate) = self.drafts.iter().find(|d| d.gate).map(|d| &d.id) {
            let _ = writeln!(objectives, "  rlo: {{ target: it works, proven_by: [{gate}] }}");
            objectives.push_str("  rto: { target: 20d, from: declared }\n");
        }
        if self.drafts.iter().filter(counts).any(|d| d.uses.ends_with("find_snapshot")) {
            objectives.push_str("  rpo: { target: 20d, measure: backup }\n");
        }
        if !objectives.is_empty() {
            let _ = write!(text, "objectives:\n{objectives}");
        }
        text.push_str("steps:\n");
        for draft in &self.drafts {
            write_step(&mut text, draft);
        }
        text
    }

    fn estate(&self) -> String {
        let list = |name: &str, items: &str| match items {
            "" => String::new(),
            items => format!("    {name}:\n{items}"),
        };
        let answers = |name: &str, items: &str| match items {
            "" => String::new(),
            items => format!("  {name}:\n{items}"),
        };
        format!(
            "estate: 1\ntitle: generated\nnow: 2026-11-20T02:00:00Z\nseed: 1\naccounts:\n  \
             \"111111111111\": {{ roles: [redrill-drill] }}\n  \"222222222222\": {{ roles: [redrill-drill] }}\nplaces:\n  \
             - account: \"111111111111\"\n    region: ap-northeast-1\n    kms_keys: [{{ id: alias/own }}]\n{}{}  \
             - account: \"222222222222\"\n    region: ap-northeast-3\n    kms_keys: [{{ id: alias/dr }}]\n    \
             secrets: [{{ name: app/reader, value: {{ username: reader, password: r }} }}]\n    \
             security_groups: [{{ id: sg-drill, vpc: vpc-drill }}]\n    subnet_groups: [{{ name: isolated, vpc: \
             vpc-drill, subnets: [{{ id: subnet-a, zone: ap-northeast-3a }}, {{ id: subnet-b, zone: ap-northeast-3b \
             }}] }}]\n{}{}{}answers: \n  environment: {{}}\n{}{}{}",
            list("databases", &self.primary.databases),
            list("buckets", &self.primary.buckets),
            list("databases", &self.dr.databases),
            list("volumes", &self.dr.volumes),
            list("buckets", &self.dr.buckets),
            answers("commands", &self.commands),
            answers("http", &self.http),
            answers("approvals", &self.approvals),
        )
    }
}

fn write_step(text: &mut String, draft: &Draft) {
    let _ = write!(text, "  - {{ id: {}, uses: {}, phase: {}", draft.id, draft.uses, draft.phase);
    if let Some(at) = draft.at {
        let _ = write!(text, ", at: {at}");
    }
    let _ = write!(text, ", with: {}", draft.with);
    let needs: Vec<&str> = draft.needs.iter().map(String::as_str).collect();
    let _ = write!(text, ", needs: [{}]", needs.join(", "));
    if !draft.expect.is_empty() {
        let quoted = |(name, value): &(&str, String)| match value.starts_with('<') {
            true => format!("{name}: \"{value}\""),
            false => format!("{name}: {value}"),
        };
        let expect: Vec<String> = draft.expect.iter().map(quoted).collect();
        let _ = write!(text, ", expect: {{ {} }}", expect.join(", "));
    }
    if !draft.required {
        text.push_str(", required: false");
    }
    if draft.goes_on {
        text.push_str(", on_failure: continue");
    }
    if draft.gate {
        text.push_str(", gate: acceptance");
    }
    if draft.design == Design::LeftOut {
        text.push_str(", when: false");
    }
    if let Some(attempts) = draft.attempts {
        let _ = write!(text, ", retry: {{ attempts: {attempts} }}");
    }
    text.push_str(" }\n");
}
