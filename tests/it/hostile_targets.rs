//! What hostile bytes are thrown at: each function takes any bytes, and must come back, in short time and with little
//! memory, without a panic. `hostile_inputs.rs` calls them with seeds and changed seeds in every test run; `fuzz/` gives them
//! to a fuzzer. So nothing in here may need anything but redrill, serde_json, tokio and chrono.

use redrill::action::Registry;
use redrill::expectation::{Expectation, ValueKind};
use redrill::formats::etcd_snapshot;
use redrill::formats::etcd_snapshot::kubernetes::at_rest::{self, EncryptionConfiguration};
use redrill::formats::packed::{Packing, packing_of, unpack};
use redrill::ids::{Digest, StepId};
use redrill::journal::{Journal, Record, RunState, Sink, read_bytes};
use redrill::outside::{Secret, Secrets};
use redrill::plan::{self, Options, Plan, RunMode};
use redrill::render;
use redrill::report::{self, EarlierRun};
use redrill::sandbox::{Estate, World, serve_connection};
use redrill::scenario::expression::{Names, Template, resolve, resolve_known};
use redrill::scenario::{self, Source};
use redrill::time::{Clock, HumanDuration};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// A target.
pub(crate) type Target = fn(&[u8]);

/// All of them, with the names of their folders of seeds.
pub(crate) const TARGETS: [(&str, Target); 10] = [
    ("scenario", scenario),
    ("journal", journal),
    ("expression", expression),
    ("etcd_snapshot", snapshot),
    ("etcd_records", records),
    ("etcd_packed", packed),
    ("etcd_secret", secret),
    ("estate", estate),
    ("sandbox_http", sandbox_http),
    ("words", words),
];

const ORDERS: &str = include_str!("../../scenarios/orders-db.yaml");

/// Something of each service that answers, and little of it: a world of it is set up for every request.
const SMALL_ESTATE: &str = "
estate: 1
now: 2026-11-20T02:00:00Z
seed: 1
accounts: { '111111111111': { roles: [redrill-drill] } }
places:
  - account: '111111111111'
    region: ap-northeast-1
    kms_keys: [{ id: alias/orders }]
    alarms: [{ name: a }, { name: b, since: 3660d, turns: [{ after: 3660d, to: alarm }] }]
    secrets: [{ name: a, value: { username: reader, password: r } }]
    security_groups: [{ id: sg-drill, vpc: vpc-drill }]
    subnet_groups: [{ name: isolated, vpc: vpc-drill, subnets: [{ id: subnet-a, zone: ap-northeast-1a }] }]
    parameter_groups: [{ name: orders, family: postgres16, parameters: { log_min_duration_statement: '500' } }]
    databases: [{ id: orders-db, kms_key: alias/orders, backup_retention: 7, snapshots: [{ id: y, age: 1h }] }]
    clusters: [{ id: payments, instances: [{ id: payments-1 }], snapshots: [{ id: z, age: 1h }] }]
    volumes: [{ id: vol-1, size: 1, zone: ap-northeast-1a, snapshots: [{ id: snap-1, age: 1h }] }]
    buckets: [{ name: uploads, versioning: enabled, objects: [{ key: a, text: hello, at: 1h }] }]
";

static REGISTRY: LazyLock<Registry> = LazyLock::new(redrill::providers::registry);
/// Read once: how an estate is read is what another target is for.
static SMALL: LazyLock<Estate> = LazyLock::new(|| {
    Estate::read("/nonexistent/estate.yaml", SMALL_ESTATE)
        .unwrap_or_else(|e| unreachable!("the small estate is sound: {e}"))
});
static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    plan_of(ORDERS, RunMode::Drill).unwrap_or_else(|| unreachable!("the shipped scenario is sound"))
});

fn plan_of(text: &str, mode: RunMode) -> Option<Plan> {
    let loaded = scenario::load_text(Source::new("hostile.yaml", text), &REGISTRY);
    assert!(loaded.scenario.is_some() || loaded.has_errors(), "neither a scenario nor an error");
    // What is shown of an error must be able to be shown, too.
    let _shown = loaded.render(true);
    let options = Options { mode, ..Options::default() };
    plan::compile(loaded.scenario.as_ref()?, loaded.source.digest(), &REGISTRY, options).ok()
}

/// A scenario, as text: read, checked, compiled in both modes, written as a runbook.
pub(crate) fn scenario(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for mode in [RunMode::Drill, RunMode::Recovery] {
        let Some(plan) = plan_of(text, mode) else { continue };
        let _outline = plan::outline(&plan, &REGISTRY);
        let _runbook = render::runbook(&plan, &BTreeMap::new(), &REGISTRY);
        let json = serde_json::to_vec(&plan).unwrap_or_default();
        let again: Plan = serde_json::from_slice(&json).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(again.digest(), plan.digest(), "a plan that is not read as it was written");
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Sink for Shared {
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(())
    }
}

/// A journal: once as it is, and once with its lines taken as records that are numbered and chained again, so that what lies
/// behind the digests is reached.
pub(crate) fn journal(bytes: &[u8]) {
    if let Ok(contents) = read_bytes(bytes) {
        let _folded = RunState::of(&contents.records);
    }
    let shared = Shared::default();
    let mut journal = Journal::new(shared.clone());
    for line in bytes.split(|byte| *byte == b'\n').take(200) {
        if let Ok(Record { at, elapsed_ms, event, .. }) = serde_json::from_slice(line) {
            // A record that is too long is refused, and the others go on.
            let _too_long = journal.stage(at, Duration::from_millis(elapsed_ms), event);
        }
    }
    if journal.commit().is_err() {
        return;
    }
    let written = shared.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Ok(contents) = read_bytes(&written) else { return };
    let Ok(_state) = RunState::of(&contents.records) else { return };
    let earlier = vec![EarlierRun::of(&PLAN, &contents.records)];
    let Ok(report) = report::report(&PLAN, &contents.records, &earlier, &REGISTRY) else { return };
    let _written = (render::html(&report), render::markdown(&report), render::junit(&report));
    let _written =
        (render::json(&report), render::terminal(&report, true, Some(Path::new("r.html"))));
    let _code = report.exit_code();
}

/// A text with expressions: read, resolved at once and in two steps, which must agree.
pub(crate) fn expression(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(template) = Template::parse(text) {
        let _parts = (template.references().len(), template.whole_call(), template.is_whole());
    }
    let early =
        Names::default().with("vars", json!({ "name": "a{{b}}\"\\", "n": 1, "o": [null, {}] }));
    let mut late = early.clone().with("inputs", json!({ "x": "{{vars.name}}" }));
    late.add_step(&StepId::new("s"), json!({ "out": "x\ny", "list": [1, 2.5, "z"] }));
    let value = json!({ "text": text, "list": [text] });
    let at_once = resolve(&value, &late);
    if let Ok(known) = resolve_known(&value, &early) {
        assert_eq!(resolve(&known, &late).ok(), at_once.ok(), "{text:?}");
    }
}

/// A snapshot of etcd: as it is, and with checksums that fit what they cover, so that what lies behind them is reached.
pub(crate) fn snapshot(bytes: &[u8]) {
    examine(bytes);
    examine(&with_fitting_checksums(bytes));
}

/// Bytes of the header of a page, before the body of a meta page.
const PAGE_HEADER: usize = 16;

/// Both meta pages get the checksum of what they say, and the database its trailer: the SHA-256 that `etcdctl snapshot save`
/// appends. The layout is that of <https://github.com/etcd-io/bbolt/blob/main/internal/common/meta.go>: the size of a page is
/// the third number of four bytes; FNV-1a of the first 56 bytes follows them.
pub(crate) fn with_fitting_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut database = bytes[..bytes.len() - bytes.len() % 512].to_vec();
    let said = database.get(PAGE_HEADER + 8..PAGE_HEADER + 12);
    let said = said.and_then(|size| size.try_into().ok()).map_or(0, u32::from_le_bytes);
    let page = if said.is_power_of_two() { said as usize } else { 4096 };
    for start in [PAGE_HEADER, page.saturating_add(PAGE_HEADER)] {
        let Some(meta) = database.get_mut(start..).and_then(|rest| rest.get_mut(..64)) else {
            continue;
        };
        let (covered, sum) = meta.split_at_mut(56);
        sum.copy_from_slice(&fnv1a(covered).to_le_bytes());
    }
    let digest = Digest::of(&database);
    database.extend_from_slice(digest.as_bytes());
    database
}

/// The 64 bits of FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>).
fn fnv1a(bytes: &[u8]) -> u64 {
    let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, add)
}

fn examine(bytes: &[u8]) {
    // More than is there, too: a file may be shorter than what was said of it.
    for length in [bytes.len() as u64, bytes.len() as u64 + 4096] {
        if let Ok(inspection) = etcd_snapshot::inspect(bytes, length) {
            let _judged = (inspection.soundness(), inspection.database_bytes());
            let json = serde_json::to_vec(&inspection).unwrap_or_default();
            assert!(!json.is_empty(), "an inspection that cannot be written");
        }
        for (at, compacted) in [(None, None), (Some(7), Some(3))] {
            let _hash = etcd_snapshot::hash_kv(bytes, length, at, compacted);
        }
        if let Ok(Ok(found)) = etcd_snapshot::kubernetes::take_inventory(bytes, length, &[]) {
            let same = etcd_snapshot::kubernetes::compare(&found, &found, &Default::default());
            assert!(same.changes.is_empty(), "an inventory that differs from itself");
        }
    }
}

/// Most bytes that are unpacked: more than any window that a packing asks for in small files, and soon written.
const UNPACKED_BYTES: u64 = 16 << 20;

/// A backup that may be packed: unpacked, and what comes out examined when it is small.
pub(crate) fn packed(bytes: &[u8]) {
    let mut unpacked = Vec::new();
    let done = unpack(bytes, &mut unpacked, UNPACKED_BYTES);
    let done = done.unwrap_or_else(|e| unreachable!("memory can be read and written: {e}"));
    assert_eq!(done.bytes, unpacked.len() as u64);
    assert!(done.bytes <= UNPACKED_BYTES, "more than was allowed");
    assert!(done.packed_bytes <= bytes.len() as u64, "more was read than is there");
    assert_eq!(done.packing, Packing::of(bytes));
    assert_eq!(packing_of(bytes, bytes.len() as u64).ok(), Some(done.packing));
    let _shown = done.fault.map(|fault| fault.to_string());
    if done.fault.is_none() && unpacked.len() > 1 {
        let less = unpack(bytes, std::io::sink(), done.bytes - 1);
        assert!(less.is_ok_and(|less| less.fault.is_some()), "a limit that does not hold");
    }
    if unpacked.len() <= 64 << 10 {
        examine(&unpacked);
    }
}

/// The buckets of a snapshot whose records have a reader of their own.
const BUCKETS: [&str; 9] =
    ["key", "alarm", "auth", "authRoles", "authUsers", "cluster", "lease", "members", "meta"];

/// What stands in the pages of a snapshot of etcd, in pages that are sound. The first byte says what the rest is: 0, objects of
/// Kubernetes, each with its key; anything else, records of one of the buckets. Each record has a byte with the length of
/// its key, two with that of its value, its key, and its value.
pub(crate) fn records(bytes: &[u8]) {
    if let Some(snapshot) = snapshot_of_records(bytes) {
        examine(&snapshot);
    }
}

/// The snapshot in which these records stand.
pub(crate) fn snapshot_of_records(bytes: &[u8]) -> Option<Vec<u8>> {
    let (kind, mut rest) = bytes.split_first()?;
    let mut records = BTreeMap::new();
    while let Some((key, value)) = next_record(&mut rest) {
        let number = records.len() as u64 + 1;
        if *kind == 0 {
            let revision = [&number.to_be_bytes()[..], b"_", &[0; 8]].concat();
            records.insert(revision, first_change(number, key, value));
        } else {
            records.insert(key.to_vec(), value.to_vec());
        }
    }
    let bucket = BUCKETS[usize::from(kind.saturating_sub(1)) % BUCKETS.len()];
    Some(with_fitting_checksums(&sound_pages(bucket, &records)))
}

/// Takes the key and the value of the first record.
fn next_record<'bytes>(bytes: &mut &'bytes [u8]) -> Option<(&'bytes [u8], &'bytes [u8])> {
    let (lengths, rest) = bytes.split_at_checked(3)?;
    let value = usize::from(u16::from_le_bytes([lengths[1], lengths[2]]));
    let (key, rest) = rest.split_at(usize::from(lengths[0]).min(rest.len()));
    let (value, rest) = rest.split_at(value.min(rest.len()));
    *bytes = rest;
    Some((key, value))
}

/// The record of a key's first change, as etcd writes it
/// (<https://github.com/etcd-io/etcd/blob/main/api/mvccpb/kv.proto>).
fn first_change(revision: u64, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut record = Vec::new();
    for (tag, number) in [(0x10, revision), (0x18, revision), (0x20, 1)] {
        record.push(tag);
        push_varint(&mut record, number);
    }
    for (tag, bytes) in [(0x0A, key), (0x2A, value)] {
        record.push(tag);
        push_varint(&mut record, bytes.len() as u64);
        record.extend(bytes);
    }
    record
}

fn push_varint(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// Two meta pages, a page with the list of buckets, and one with the records of the only bucket
/// (<https://github.com/etcd-io/bbolt/blob/main/internal/common/page.go>). What the meta pages lack are checksums.
fn sound_pages(bucket: &str, records: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<u8> {
    const PAGE: usize = 1024;
    let add = |pages: &mut Vec<u8>, kind: u16, count: usize, body: &[u8]| {
        let spanned = (PAGE_HEADER + body.len()).div_ceil(PAGE);
        let number = pages.len() / PAGE;
        pages.extend((number as u64).to_le_bytes());
        pages.extend([kind, count as u16].map(u16::to_le_bytes).concat());
        pages.extend((spanned as u32 - 1).to_le_bytes());
        pages.extend(body);
        pages.resize((number + spanned) * PAGE, 0);
    };
    let records = records.iter().take(usize::from(u16::MAX) - 1);
    let body = leaf(0, records.clone().map(|(key, value)| (&key[..], &value[..])));
    let high_water_mark = 3 + (PAGE_HEADER + body.len()).div_ceil(PAGE) as u64;
    let mut pages = Vec::new();
    // A copy that etcd writes has the newer one first.
    for transaction in [9, 8_u64] {
        let mut meta = [0xED0C_DAED_u32, 2, PAGE as u32, 0].map(u32::to_le_bytes).concat();
        meta.extend([2, 0, u64::MAX, high_water_mark, transaction].map(u64::to_le_bytes).concat());
        add(&mut pages, 4, 0, &meta);
    }
    let list = [(bucket.as_bytes(), [3_u64.to_le_bytes(), [0; 8]].concat())];
    add(&mut pages, 2, 1, &leaf(1, list.iter().map(|(name, root)| (*name, &root[..]))));
    add(&mut pages, 2, records.count(), &body);
    pages
}

/// The body of a leaf: 16 bytes for each element (1: a bucket), then keys and values.
fn leaf<'a>(flags: u32, elements: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Vec<u8> {
    let (mut table, mut data) = (Vec::new(), Vec::new());
    let count = elements.clone().count();
    for (index, (key, value)) in elements.enumerate() {
        let position = (count - index) * 16 + data.len();
        let fields = [flags, position as u32, key.len() as u32, value.len() as u32];
        table.extend(fields.map(u32::to_le_bytes).concat());
        data.extend([key, value].concat());
    }
    [table, data].concat()
}

/// The recovery kit of the snapshot of encrypted secrets.
const KIT: &str = include_str!("../../scenarios/estates/files/encryption-config.yaml");

static KIT_KEYS: LazyLock<EncryptionConfiguration> = LazyLock::new(|| {
    EncryptionConfiguration::read(KIT).unwrap_or_else(|e| unreachable!("the kit is sound: {e}"))
});

/// The encryption configuration of an API server, and after a byte 0 what etcd stores as a secret: decrypted with that file and
/// with a good one, and read as if it had been decrypted.
pub(crate) fn secret(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (file, stored) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let read = std::str::from_utf8(file).ok().map(EncryptionConfiguration::read);
    if let Some(Err(fault)) = &read {
        let _shown = fault.to_string();
    }
    let own = read.and_then(Result::ok);
    for keys in own.as_ref().into_iter().chain([&*KIT_KEYS]) {
        let place = b"/registry/secrets/payments/aescbc";
        let proof = at_rest::prove_value(stored, place, "payments", "aescbc", keys);
        let _judged = (proof.is_readable(), proof.to_string(), format!("{keys:?}"));
    }
    let _same = at_rest::is_secret(stored, "payments", "aescbc");
}

/// An estate: read, opened, listed.
pub(crate) fn estate(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // A folder that does not exist: no file of this machine may be read.
    let Ok(estate) = Estate::read("/nonexistent/estate.yaml", text) else { return };
    paused(async {
        let clock = Clock::simulated(estate.now);
        let world = World::open(estate, clock.clone(), Vec::new());
        let _first = world.inventory();
        clock.sleep(Duration::from_secs(3600)).await;
        let _later = world.inventory();
    });
}

/// Longer than the server waits for a head, a body and everything that it does (of a time that costs nothing).
const PATIENCE: Duration = Duration::from_secs(3600);

/// What somebody sends to the port of the sandbox.
pub(crate) fn sandbox_http(bytes: &[u8]) {
    let _answers = sandbox_answers(bytes);
    if let Some(signed) = with_fitting_signature(bytes) {
        let _answers = sandbox_answers(&signed);
    }
}

/// A request to S3 with the signature that it should have, since S3 checks it before anything else. `None` for what is no
/// request to S3. <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>
pub(crate) fn with_fitting_signature(bytes: &[u8]) -> Option<Vec<u8>> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = (std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end..]);
    let (request, headers) = head.split_once("\r\n")?;
    let value = |wanted: &str| {
        let mut headers = headers.split("\r\n").filter_map(|line| line.split_once(':'));
        headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    let authorization = value("authorization")?;
    let scope = authorization.split_once("Credential=")?.1.split(',').next()?;
    let (_, scope) = scope.split_once('/')?;
    let (date, rest) = scope.split_once('/')?;
    let region = rest.strip_suffix("/s3/aws4_request")?;
    let mut request = request.split(' ');
    let (method, target) = (request.next()?, request.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut query: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") })
        .collect();
    query.sort();
    let (host, time) = (value("host")?, value("x-amz-date")?);
    let payload = value("x-amz-content-sha256")?;
    let canonical = format!(
        "{method}\n{path}\n{}\nhost:{host}\nx-amz-content-sha256:{payload}\nx-amz-date:{time}\n\n{SIGNED}\n{payload}",
        query.join("&")
    );
    let canonical = hex(Digest::of(canonical.as_bytes()).as_bytes());
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{canonical}");
    let parts = [date, region, "s3", "aws4_request", &to_sign];
    let signed =
        parts.iter().fold(b"AWS4sandbox".to_vec(), |key, part| hmac(&key, part.as_bytes()));
    let credential = authorization.split_once("Credential=")?.1.split(',').next()?;
    let written = format!(
        "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={SIGNED}, Signature={}",
        hex(&signed)
    );
    Some([head.replacen(authorization, &written, 1).as_bytes(), body].concat())
}

/// The headers that [`with_fitting_signature`] signs.
const SIGNED: &str = "host;x-amz-content-sha256;x-amz-date";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// HMAC with SHA-256, for keys of up to a block (<https://www.rfc-editor.org/rfc/rfc2104>).
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let pad = |with: u8| (0..64).map(|n| key.get(n).unwrap_or(&0) ^ with).collect::<Vec<u8>>();
    let inner = Digest::of(&[&pad(0x36), text].concat());
    Digest::of(&[&pad(0x5c), &inner.as_bytes()[..]].concat()).as_bytes().to_vec()
}

/// The answers to what is sent over one connection to a new world.
pub(crate) fn sandbox_answers(bytes: &[u8]) -> Vec<u8> {
    let mut answers = Vec::new();
    paused(async {
        let world = World::open(SMALL.clone(), Clock::simulated(SMALL.now), Vec::new());
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let bytes = bytes.to_vec();
        let talking = async move {
            // The server may have closed the connection before it has heard everything.
            let _closed = client.write_all(&bytes).await;
            // It drops what is under way when its client says that there is no more: it is the one to end.
            let mut answers = Vec::new();
            let _closed = timeout(PATIENCE, client.read_to_end(&mut answers)).await;
            answers
        };
        ((), answers) = tokio::join!(serve_connection(world, server), talking);
    });
    answers
}

/// Small texts that people write, and what is searched for secrets.
pub(crate) fn words(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (first, rest) = text.split_once('\n').unwrap_or((text, text));
    if let Ok(duration) = first.parse::<HumanDuration>() {
        let shown = duration.to_string();
        assert_eq!(shown.parse::<HumanDuration>(), Ok(duration), "{shown}");
    }
    for kind in [ValueKind::Duration, ValueKind::Size, ValueKind::Any] {
        if let Ok(expectation) = Expectation::parse(&Value::from(first), kind) {
            let number = rest.parse::<f64>().map_or(Value::Null, Value::from);
            for observed in [Value::from(rest), number, json!([rest]), json!(i64::MIN)] {
                let _check = expectation.judge("name", &observed, rest);
            }
        }
    }
    let secrets = Secrets::default();
    secrets.learn(&Secret::new(first));
    let concealed = secrets.conceal(rest);
    assert!(
        first.chars().count() < 4
            || "<secret>".contains(first)
            || !concealed.contains(first)
            || may_meet(first)
    );
    let _cut = secrets.conceal_beginning(rest);
    let _digest = Digest::of(bytes).short(12);
}

/// A secret that ends and begins like what stands in its place, such as `>a<`, can come together again around it.
fn may_meet(secret: &str) -> bool {
    secret.contains(['<', '>'])
        || "<secret>".split("").any(|part| !part.is_empty() && secret.contains(part))
}

/// Runs where time does not pass while anything is done, and jumps when nothing is.
fn paused(work: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    if let Ok(runtime) = runtime.enable_time().start_paused(true).build() {
        runtime.block_on(work);
    }
}
