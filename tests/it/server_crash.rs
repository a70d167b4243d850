//! The program is killed (SIGKILL) at twenty moments of a drill against moto with PostgreSQL behind it, and resumed: every
//! drill ends with the verdict of the one that was left alone, has asked for each resource once, and leaves moto's account
//! as it was.

use crate::server_support::{Aws, Drill, Drills, Started, end, poll, succeed, variable};
use crate::wire::{Hold, Wire};
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The account and the region of `orders-crashed.yaml`.
const ACCOUNT: &str = "210987654329";
const REGION: &str = "eu-west-3";
const PASSWORD: &str = "swordfish-4";
const LIMIT: Duration = Duration::from_secs(120);
/// The moments are drawn from it. Another number is another twenty moments.
const SEED: u64 = 20_261_122;
const RUN: &str = "orders-crashed-0001";

/// So many records has a drill that is left alone, at least. The moments lie within them.
const RECORDS: usize = 48;
/// Moments that are counted in records; the others are calls.
const COUNTED: usize = 14;

/// What makes something: of each, one may succeed in a drill and all its resumptions.
const CREATING: [&str; 2] = ["RestoreDBInstanceFromDBSnapshot", "CreateVolume"];

const TABLES: &str = "create table heartbeat (committed_at timestamp(0) not null); \
     create table orders (id int primary key); insert into orders values (1), (2), (3); \
     insert into heartbeat values (now() at time zone 'utc')";

/// When a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// As soon as the journal has so many records.
    Record(usize),
    /// So many milliseconds after it had so many.
    Later(usize, u64),
    /// As soon as a process that resumes has written so many records, and so many milliseconds on top.
    Again(usize, u64),
    /// A request is on its way, and has not arrived.
    Asked(&'static str),
    /// A request has had its effect, and its answer has not arrived.
    Answered(&'static str),
}

/// What a seed gives (SplitMix64).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Twenty moments, spread over a drill: by records, every second one with milliseconds on top, and the calls that change
/// something.
fn moments(seed: u64) -> Vec<Vec<Moment>> {
    let mut seeded = Seeded(seed);
    let mut all = Vec::new();
    for number in 0..COUNTED {
        // From each stretch of the drill one record.
        let mut within =
            |length: usize| usize::try_from(seeded.below(u64::try_from(length).unwrap())).unwrap();
        let record = 1 + number * RECORDS / COUNTED + within(RECORDS / COUNTED);
        let first = match number % 2 {
            0 => Moment::Record(record),
            _ => Moment::Later(record, seeded.below(900)),
        };
        let mut kills = vec![first];
        // Some are killed again while they are resumed.
        if number % 3 == 0 {
            let more = 1 + usize::try_from(seeded.below(4)).unwrap();
            kills.push(Moment::Again(more, seeded.below(300)));
        }
        all.push(kills);
    }
    for call in ["RestoreDBInstanceFromDBSnapshot", "CreateVolume", "DeleteDBInstance"] {
        all.push(vec![Moment::Asked(call)]);
        all.push(vec![Moment::Answered(call)]);
    }
    all
}

/// What all drills restore from, made once.
struct Source {
    aws: Aws,
    instance: String,
    volume: String,
}

impl Source {
    fn create() -> Self {
        let aws = Aws::assume(ACCOUNT, REGION);
        let instance = format!("orders-crashed-{}", std::process::id());
        aws.json(&format!(
            "rds create-db-instance --db-instance-identifier {instance} --engine postgres --db-instance-class db.t3.micro \
             --allocated-storage 20 --db-name orders --master-username keeper --master-user-password {PASSWORD}"
        ));
        let made =
            aws.json("ec2 create-volume --size 1 --volume-type gp3 --availability-zone eu-west-3a");
        let volume = made["VolumeId"].as_str().unwrap().to_owned();
        aws.json(&format!("ec2 create-snapshot --volume-id {volume}"));
        let source = Self { aws, instance, volume };
        source.fill();
        source
    }

    fn fill(&self) {
        let name = &self.instance;
        let port = poll("the source is available", LIMIT, || {
            let words = format!("rds describe-db-instances --db-instance-identifier {name}");
            let instance = &self.aws.json(&words)["DBInstances"][0];
            let available = instance["DBInstanceStatus"] == "available";
            available.then(|| instance["Endpoint"]["Port"].as_u64().unwrap())
        });
        let mut psql = Command::new(format!("{}/psql", variable("REDRILL_TEST_POSTGRES_BIN")));
        psql.env("PGPASSWORD", PASSWORD).args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]);
        psql.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "keeper", "-d", "orders"]);
        succeed(psql.args(["-c", TABLES]));
        self.aws.json(&format!(
            "rds create-db-snapshot --db-instance-identifier {name} --db-snapshot-identifier {name}-before"
        ));
        poll("the snapshot is available", LIMIT, || {
            let words = format!("rds describe-db-snapshots --db-snapshot-identifier {name}-before");
            (self.aws.json(&words)["DBSnapshots"][0]["Status"] == "available").then_some(())
        });
    }

    /// All that the account has in the region.
    fn inventory(&self) -> Vec<Value> {
        let listings = [
            "rds describe-db-instances",
            "rds describe-db-snapshots",
            "ec2 describe-volumes",
            "ec2 describe-snapshots --owner-ids self",
        ];
        let all = listings.map(|words| self.aws.json(words));
        all.map(|mut listing| {
            // The one thing that goes on by itself.
            for instance in listing["DBInstances"].as_array_mut().into_iter().flatten() {
                instance["LatestRestorableTime"].take();
            }
            listing
        })
        .to_vec()
    }
}

/// One drill, with the way to moto on which its calls are seen.
struct Crashing<'s> {
    source: &'s Source,
    drills: Drills,
    wire: Wire,
}

impl<'s> Crashing<'s> {
    fn new(source: &'s Source) -> Self {
        Self { source, drills: Drills::new(), wire: Wire::to(&variable("REDRILL_TEST_MOTO")) }
    }

    fn run(&self) -> Command {
        let Source { instance, volume, .. } = self.source;
        let inputs = [("instance", &**instance), ("volume", &**volume)];
        let mut command = self.drills.run_at("orders-crashed", &inputs, &self.wire.url());
        command.env("ORDERS_PASSWORD", PASSWORD);
        command
    }

    fn resume(&self) -> Command {
        let mut command = self.drills.program();
        command.args(["resume", RUN, "--format", "json"]).env("ORDERS_PASSWORD", PASSWORD);
        command
    }

    fn records(&self) -> usize {
        let path = self.drills.path("runs").join(RUN).join("journal.jsonl");
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.iter().filter(|byte| **byte == b'\n').count()
    }

    /// Starts a process and kills it at the moment. False when it had ended before.
    fn kill_at(&self, moment: Moment, command: &mut Command) -> bool {
        match moment {
            Moment::Asked(call) => self.wire.hold(Hold::Request(call)),
            Moment::Answered(call) => self.wire.hold(Hold::Answer(call)),
            Moment::Record(_) | Moment::Later(..) | Moment::Again(..) => {}
        }
        let moment = match moment {
            Moment::Again(more, milliseconds) => Moment::Later(self.records() + more, milliseconds),
            other => other,
        };
        let mut program = Started::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        let killed = self.wait_for(moment, &mut program);
        if killed {
            program.kill();
        }
        self.wire.release();
        killed
    }

    #[expect(clippy::disallowed_methods, reason = "the moment of a kill is one of real time")]
    fn wait_for(&self, moment: Moment, program: &mut Started) -> bool {
        let began = Instant::now();
        let mut reached = None;
        while program.is_running() {
            assert!(began.elapsed() < LIMIT, "{moment:?} did not come");
            let (is_there, later) = match moment {
                Moment::Record(count) => (self.records() >= count, 0),
                Moment::Later(count, milliseconds) | Moment::Again(count, milliseconds) => {
                    (self.records() >= count, milliseconds)
                }
                Moment::Asked(_) | Moment::Answered(_) => (self.wire.holds(), 0),
            };
            if is_there || reached.is_some() {
                let since = *reached.get_or_insert_with(Instant::now);
                if since.elapsed() >= Duration::from_millis(later) {
                    return true;
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }

    /// What must hold of a drill when it is over. Gives what must be the same in all drills.
    fn assert_over(&self, drill: &Drill) -> Vec<String> {
        drill.expect(0, "passed");
        drill.nothing_is_left(2);
        for call in CREATING {
            let made = self.wire.succeeded(call);
            assert_eq!(made, 1, "{call} succeeded {made} times: {:#?}", self.wire.calls());
        }
        let steps = drill.at("/timeline/steps").as_array().unwrap();
        let steps = steps.iter().map(|step| format!("{} {}", step["id"], step["outcome"]));
        let checks = drill.at("/checks").as_array().unwrap();
        let mut checks: Vec<String> = checks
            .iter()
            .map(|one| {
                format!("{} {} {}", one["step"], one["check"]["name"], one["check"]["outcome"])
            })
            .collect();
        checks.sort();
        checks.dedup();
        steps.chain(checks).collect()
    }
}

/// How a crashed drill went on.
struct Survived {
    kills: usize,
    said: Vec<String>,
}

fn survive(source: &Source, moments: &[Moment]) -> Survived {
    let crashing = Crashing::new(source);
    let mut kills = 0;
    for moment in moments {
        let mut command = if kills == 0 { crashing.run() } else { crashing.resume() };
        if !crashing.kill_at(*moment, &mut command) {
            break;
        }
        kills += 1;
    }
    let drill = Drill::of(&end(&mut crashing.resume()));
    assert_eq!(drill.at("/run/resumed"), kills, "{moments:?}");
    Survived { kills, said: crashing.assert_over(&drill) }
}

#[test]
fn server_a_drill_that_is_killed_at_twenty_moments_always_ends_as_the_one_that_was_not() {
    let source = Source::create();
    let before = source.inventory();
    let moments = moments(SEED);
    assert_eq!(moments.len(), 20);
    let (alone, survived) = std::thread::scope(|scope| {
        let alone = scope.spawn(|| {
            let crashing = Crashing::new(&source);
            let drill = Drill::of(&end(&mut crashing.run()));
            (crashing.assert_over(&drill), crashing.records())
        });
        let threads: Vec<_> =
            moments.iter().map(|one| (one, scope.spawn(|| survive(&source, one)))).collect();
        let survived: Vec<_> = threads
            .into_iter()
            .map(|(one, thread)| {
                (one, thread.join().unwrap_or_else(|_| panic!("killed at {one:?}")))
            })
            .collect();
        (alone.join().unwrap(), survived)
    });
    let (said, records) = alone;
    assert!(records >= RECORDS, "a drill has {records} records: the moments lie too late");
    for (moment, one) in &survived {
        assert_eq!(one.said, said, "killed at {moment:?}, of {records} records");
    }
    let kills: Vec<usize> = survived.iter().map(|(_, one)| one.kills).collect();
    // The last record may be written faster than one can look.
    assert!(
        kills.iter().filter(|count| **count > 0).count() >= 19,
        "{kills:?} of {records} records"
    );
    assert_eq!(source.inventory(), before);
}
