//! What verifying a stored snapshot of etcd costs, beside what hashes the same file and what etcd's own program does with it, all in
//! turns in one run: `redrill etcd verify`, `sha256sum`, `openssl dgst -sha256`, `etcdctl snapshot status`; a truncated copy;
//! counting the objects in it; and the memory that a snapshot of five times as many keys takes.
//!
//! `cargo bench --bench etcd`, or `cargo bench --bench etcd -- BYTES KEYS` for another file than one of 1 GiB with a million keys. It is
//! written by the benchmark itself, into the folder for temporary files, and is in the page cache when it is read. Programs that are not
//! there are left out, and that is said; etcdctl is looked for in `REDRILL_TEST_ETCD_BIN_35` and the `PATH`. Nothing in here
//! asserts a time.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up ends")]
#![expect(clippy::print_stdout, reason = "the figures are the result")]
#![expect(clippy::panic, reason = "a benchmark whose subject is wrong ends")]
#![expect(clippy::disallowed_methods, reason = "measures real time, and finds the programs")]

use redrill::formats::etcd_snapshot::kubernetes::take_inventory;
use redrill::formats::etcd_snapshot::{Completeness, Soundness, inspect};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const BYTES: u64 = 1 << 30;
const KEYS: u64 = 1_000_000;
/// Small ones, in a snapshot of their own.
const MANY_KEYS: u64 = 5_000_000;
const ROUNDS: u32 = 5;

const PAGE: usize = 4096;
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const META: u16 = 4;
/// The bytes of a page that hold elements and what they point to.
const ROOM: usize = PAGE - 16;

/// Writes the pages of a database one after the other.
struct Pages {
    file: BufWriter<File>,
    next: u64,
}

impl Pages {
    fn new(file: File) -> Self {
        let mut file = BufWriter::with_capacity(1 << 20, file);
        // The meta pages are written last.
        file.write_all(&[0; 2 * PAGE]).unwrap();
        Self { file, next: 2 }
    }

    /// Writes a page with these elements, each a record of its table without its position, a key and a value. Gives its number.
    fn write(&mut self, flags: u16, elements: &[Element]) -> u64 {
        let (number, count) = (self.next, u16::try_from(elements.len()).unwrap());
        let mut page = Vec::with_capacity(PAGE);
        page.extend(number.to_le_bytes());
        page.extend(flags.to_le_bytes());
        page.extend(count.to_le_bytes());
        page.extend([0; 4]);
        let mut data: Vec<u8> = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            let position = u32::try_from((elements.len() - index) * 16 + data.len()).unwrap();
            let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
            match element.child {
                Some(child) => {
                    page.extend(position.to_le_bytes());
                    page.extend(length(&element.key));
                    page.extend(child.to_le_bytes());
                }
                None => {
                    page.extend(u32::from(element.is_bucket).to_le_bytes());
                    page.extend(position.to_le_bytes());
                    page.extend(length(&element.key));
                    page.extend(length(&element.value));
                }
            }
            data.extend(&element.key);
            data.extend(&element.value);
        }
        page.extend(data);
        let overflow = page.len().div_ceil(PAGE) - 1;
        page[12..16].copy_from_slice(&u32::try_from(overflow).unwrap().to_le_bytes());
        page.resize((overflow + 1) * PAGE, 0);
        self.file.write_all(&page).unwrap();
        self.next += overflow as u64 + 1;
        number
    }

    /// Writes branch pages above these pages until one is left. Gives its number.
    fn branches(&mut self, mut level: Vec<(Vec<u8>, u64)>) -> u64 {
        while level.len() > 1 {
            let above = level.chunks(ROOM / (16 + 17)).map(|children| {
                let elements: Vec<Element> =
                    children.iter().map(|(key, page)| Element::child(key, *page)).collect();
                (children[0].0.clone(), self.write(BRANCH, &elements))
            });
            level = above.collect();
        }
        level[0].1
    }

    /// Writes the meta pages, and the SHA-256 behind everything.
    fn seal(self, root: u64) -> File {
        let high_water_mark = self.next;
        let mut file = self.file.into_inner().unwrap();
        for number in 0..2_u64 {
            let mut page = [&number.to_le_bytes()[..], &META.to_le_bytes(), &[0; 6]].concat();
            let mut body = [0xED0C_DAED_u32, 2, 4096, 0].map(u32::to_le_bytes).concat();
            for field in [root, 0, u64::MAX, high_water_mark, 9 - number] {
                body.extend(field.to_le_bytes());
            }
            let checksum = body.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
            });
            body.extend(checksum.to_le_bytes());
            page.extend(body);
            file.seek(SeekFrom::Start(number * PAGE as u64)).unwrap();
            file.write_all(&page).unwrap();
        }
        file.seek(SeekFrom::Start(0)).unwrap();
        let (mut hasher, mut block) = (Sha256::new(), vec![0; 1 << 20]);
        loop {
            match file.read(&mut block).unwrap() {
                0 => break,
                count => hasher.update(&block[..count]),
            }
        }
        file.write_all(&hasher.finalize()).unwrap();
        file.sync_all().unwrap();
        file
    }
}

#[derive(Default)]
struct Element {
    key: Vec<u8>,
    value: Vec<u8>,
    child: Option<u64>,
    is_bucket: bool,
}

impl Element {
    fn child(key: &[u8], page: u64) -> Self {
        Self { key: key.to_vec(), child: Some(page), ..Self::default() }
    }

    fn entry(key: &[u8], value: Vec<u8>) -> Self {
        Self { key: key.to_vec(), value, ..Self::default() }
    }

    fn bucket(name: &str, page: u64) -> Self {
        let value = [page.to_le_bytes(), [0; 8]].concat();
        Self { key: name.as_bytes().to_vec(), value, is_bucket: true, ..Self::default() }
    }

    fn bytes(&self) -> usize {
        16 + self.key.len() + self.value.len()
    }
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 128 {
        bytes.push((number % 128) as u8 | 128);
        number /= 128;
    }
    bytes.push(number as u8);
    bytes
}

fn field(number: u64, content: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

/// A pod as an API server stores it, padded with bytes that do not repeat.
fn pod(number: u64, padding: usize) -> (Vec<u8>, Vec<u8>) {
    let (namespace, name) = (format!("ns-{:03}", number % 500), format!("pod-{number:07}"));
    let key = format!("/registry/pods/{namespace}/{name}").into_bytes();
    let time = [vec![8], varint(1_760_000_000 + number)].concat();
    let metadata =
        [field(1, name.as_bytes()), field(3, namespace.as_bytes()), field(8, &time)].concat();
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed >> 32) as u8
    });
    let spec: Vec<u8> = noise.take(padding).collect();
    let object = [field(1, &metadata), field(2, &spec)].concat();
    let kind = [field(1, b"v1"), field(2, b"Pod")].concat();
    (key, [&b"k8s\0"[..], &field(1, &kind), &field(2, &object)].concat())
}

/// A snapshot of about so many bytes with so many keys, as `etcdctl snapshot save` writes it.
fn write_snapshot(path: &Path, bytes: u64, keys: u64) {
    let file = File::options().read(true).write(true).create_new(true).open(path).unwrap();
    let mut pages = Pages::new(file);
    let padding = usize::try_from(bytes / keys).unwrap().saturating_sub(220);
    let (mut leaves, mut elements, mut taken) = (Vec::new(), Vec::<Element>::new(), 0);
    for number in 0..keys {
        let revision = number + 2;
        let (key, value) = pod(number, padding);
        let stored = [
            field(1, &key),
            [vec![0x10], varint(revision), vec![0x18], varint(revision), vec![0x20, 1]].concat(),
            field(5, &value),
        ];
        let revision = [&revision.to_be_bytes()[..], b"_", &[0; 8]].concat();
        let element = Element::entry(&revision, stored.concat());
        if taken + element.bytes() > ROOM && !elements.is_empty() {
            leaves.push((elements[0].key.clone(), pages.write(LEAF, &elements)));
            elements.clear();
            taken = 0;
        }
        taken += element.bytes();
        elements.push(element);
    }
    leaves.push((elements[0].key.clone(), pages.write(LEAF, &elements)));
    let key = pages.branches(leaves);
    let index = Element::entry(b"consistent_index", (keys + 9).to_be_bytes().to_vec());
    let meta = pages.write(LEAF, &[index]);
    let mut table = |name: &'static str| match name {
        "key" => Element::bucket(name, key),
        "meta" => Element::bucket(name, meta),
        _ => Element::bucket(name, pages.write(LEAF, &[])),
    };
    let tables = [
        "alarm",
        "auth",
        "authRoles",
        "authUsers",
        "cluster",
        "key",
        "lease",
        "members",
        "members_removed",
        "meta",
    ]
    .map(&mut table);
    let root = pages.write(LEAF, &tables);
    pages.seal(root);
}

/// Something that is measured: a name, and how it is done once.
struct Subject<'a> {
    name: String,
    once: Box<dyn Fn() + 'a>,
}

fn program<'a>(name: &str, mut command: impl FnMut() -> Command + 'a) -> Option<Subject<'a>> {
    let tried = command().stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        println!("{name}: not measured, it is not there or does not end well");
        return None;
    }
    let command = std::cell::RefCell::new(command);
    let once = move || {
        let mut command = (command.borrow_mut())();
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(status.success(), "{command:?}");
    };
    Some(Subject { name: name.to_owned(), once: Box::new(once) })
}

/// All of them in turns; the shortest round of each.
fn in_turns(subjects: &[Subject<'_>]) -> Vec<Duration> {
    let mut shortest = vec![Duration::MAX; subjects.len()];
    for _ in 0..ROUNDS {
        for (subject, shortest) in subjects.iter().zip(&mut shortest) {
            let began = Instant::now();
            (subject.once)();
            *shortest = (*shortest).min(began.elapsed());
        }
    }
    shortest
}

/// The largest resident size that a program reaches, in MiB, looked at while it runs.
fn peak_memory(mut command: Command) -> u64 {
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
        let line = status.unwrap_or_default();
        let line = line.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
        most = most.max(line.trim().trim_end_matches(" kB").parse().unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    }
    most / 1024
}

fn ours(words: &[&str], path: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redrill"));
    command.args(words).arg(path);
    command
}

fn verifying(path: &Path, bytes: u64) {
    let read = || File::open(path).unwrap();
    let reader = Subject {
        name: "the reader alone".to_owned(),
        once: Box::new(|| {
            let found = inspect(&read(), bytes).unwrap();
            assert!(found.soundness() == Soundness::Sound, "{:?}", found.damage);
        }),
    };
    let etcdctl = match std::env::var("REDRILL_TEST_ETCD_BIN_35") {
        Ok(folder) => Path::new(&folder).join("etcdctl"),
        Err(_) => "etcdctl".into(),
    };
    let with = |name: &str, words: &[&str]| {
        let mut command = Command::new(name);
        command.args(words).arg(path);
        command
    };
    let others = [
        program("redrill etcd verify", || ours(&["etcd", "verify"], path)),
        program("sha256sum", || with("sha256sum", &[])),
        program("openssl dgst -sha256", || with("openssl", &["dgst", "-sha256"])),
        program("etcdctl snapshot status", || {
            with(&etcdctl.to_string_lossy(), &["snapshot", "status"])
        }),
    ];
    let subjects: Vec<Subject<'_>> = others.into_iter().flatten().chain([reader]).collect();
    let took = in_turns(&subjects);
    let hashing = |subject: &Subject<'_>| subject.name.contains("sha256");
    let fastest = subjects.iter().zip(&took).filter(|(subject, _)| hashing(subject));
    let fastest = fastest.map(|(_, took)| *took).min();
    for (Subject { name, .. }, took) in subjects.iter().zip(&took) {
        let rate = bytes as f64 / took.as_secs_f64() / 1e9;
        let ratio = fastest.map_or_else(String::new, |fastest| {
            format!("; {:.2} of hashing", took.as_secs_f64() / fastest.as_secs_f64())
        });
        println!("{name}: {took:.2?} ({rate:.2} GB/s{ratio})");
    }
    println!("redrill etcd verify: at most {} MiB", peak_memory(ours(&["etcd", "verify"], path)));
}

fn truncated(path: &Path, bytes: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let cut = bytes - 32 - 512 * 7;
    // What is left ends as if there were a SHA-256.
    assert_eq!(cut % 512, 0);
    let length = cut + 32;
    let began = Instant::now();
    let found = inspect(&file, length).unwrap();
    let took = began.elapsed();
    assert!(matches!(found.complete, Completeness::Truncated(_)), "{:?}", found.complete);
    println!("a truncated copy refused: {took:.2?}");
}

fn inventory(path: &Path, bytes: u64, keys: u64) {
    let file = File::open(path).unwrap();
    let counting = Subject {
        name: format!("{keys} keys counted by the reader"),
        once: Box::new(|| {
            let taken = take_inventory(&file, bytes, &[]).unwrap();
            assert!(taken.is_ok_and(|inventory| inventory.objects == keys));
        }),
    };
    let whole =
        program("redrill etcd inventory, verified first", || ours(&["etcd", "inventory"], path));
    let subjects: Vec<Subject<'_>> = [counting].into_iter().chain(whole).collect();
    for (Subject { name, .. }, took) in subjects.iter().zip(in_turns(&subjects)) {
        println!("{name}: {took:.2?}");
    }
    let memory = peak_memory(ours(&["etcd", "inventory"], path));
    println!("redrill etcd inventory: at most {memory} MiB");
}

fn many_keys(path: &Path) {
    write_snapshot(path, 0, MANY_KEYS);
    let memory = peak_memory(ours(&["etcd", "verify"], path));
    println!("redrill etcd verify of {MANY_KEYS} keys: at most {memory} MiB");
}

fn main() -> io::Result<()> {
    // cargo adds an argument of its own.
    let numbers: Vec<u64> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let (bytes, keys) = match numbers[..] {
        [bytes, keys] if keys > 0 => (bytes, keys),
        [] => (BYTES, KEYS),
        _ => panic!("give both BYTES and KEYS, or neither"),
    };
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("snapshot.db");
    write_snapshot(&path, bytes, keys);
    let bytes = path.metadata()?.len();
    println!("a snapshot of {bytes} bytes with {keys} keys");
    verifying(&path, bytes);
    truncated(&path, bytes);
    inventory(&path, bytes, keys);
    if numbers.is_empty() {
        many_keys(&folder.path().join("many.db"));
    }
    Ok(())
}
