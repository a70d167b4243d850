use super::read::read_limited;
use super::{Contents, Event, ReadError, Record, read_bytes};
use crate::ids::Digest;
use chrono::{DateTime, Utc};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// Where lines go. Returning `Ok` promises that they survive a crash, as far as the sink can promise it.
pub trait Sink: Send {
    /// Appends bytes and makes them durable.
    ///
    /// # Errors
    /// When they may not be durable.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// Memory only: for simulation and tests.
impl Sink for Vec<u8> {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// A file that is locked while it is open; the lock ends with the process.
struct LockedFile(File);

impl Sink for LockedFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)?;
        // The length grows with every append, and `fdatasync` writes it; only time stamps are left out.
        self.0.sync_data()
    }
}

/// The writer of a journal: numbers, chains and syncs.
pub struct Journal {
    sink: Box<dyn Sink>,
    next: u64,
    head: Digest,
    staged: Vec<u8>,
    broken: bool,
}

impl Journal {
    /// A new journal in a sink of the caller's.
    pub fn new(sink: impl Sink + 'static) -> Self {
        let (head, staged) = (Digest::ZERO, Vec::new());
        Self { sink: Box::new(sink), next: 0, head, staged, broken: false }
    }

    /// A new journal file, locked. The folder's entry is synced, too.
    ///
    /// # Errors
    /// When the file exists, cannot be made or cannot be locked.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        lock(&file)?;
        file.sync_all()?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(Self::new(LockedFile(file)))
    }

    /// Opens a journal file to go on with it: locks it, reads and verifies it, and cuts off a torn last line.
    ///
    /// # Errors
    /// When it cannot be read, another process holds it, or it does not verify.
    pub fn reopen(path: &Path) -> Result<(Self, Contents), ReadError> {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        lock(&file)?;
        let bytes = read_limited(&file)?;
        let contents = read_bytes(&bytes)?;
        let good = bytes.len() as u64 - contents.torn_bytes;
        file.set_len(good)?;
        file.seek(SeekFrom::End(0))?;
        file.sync_all()?;
        Ok((Self::after(LockedFile(file), &contents), contents))
    }

    /// Goes on after what was read, in a sink that ends there.
    pub fn after(sink: impl Sink + 'static, contents: &Contents) -> Self {
        let next = contents.records.len() as u64;
        Self { next, head: contents.head, ..Self::new(sink) }
    }

    /// Takes an event into the next batch and gives its record. It is not on disk before [`Journal::commit`].
    ///
    /// # Errors
    /// When the event cannot be written as JSON.
    pub fn stage(
        &mut self,
        at: DateTime<Utc>,
        elapsed: Duration,
        event: Event,
    ) -> io::Result<Record> {
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let record = Record { seq: self.next, at, elapsed_ms, prev: self.head, event };
        let covered = covered_by_digest(&record)?;
        self.head = Digest::of(&covered);
        self.staged.extend_from_slice(&covered);
        self.staged.extend_from_slice(format!(",\"digest\":\"{}\"}}\n", self.head).as_bytes());
        self.next += 1;
        Ok(record)
    }

    /// Makes everything staged durable: one write, one sync.
    ///
    /// # Errors
    /// When it may not be durable. Nothing may be done after that, and nothing more is written.
    pub fn commit(&mut self) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("the journal could not be written before"));
        }
        if self.staged.is_empty() {
            return Ok(());
        }
        let written = self.sink.append(&self.staged);
        self.broken = written.is_err();
        self.staged.clear();
        written
    }

    /// Digest of the last line.
    pub fn head(&self) -> Digest {
        self.head
    }
}

/// The part of a record's line that its digest covers: up to the digest itself, so that it can be checked with sed and
/// sha256sum.
fn covered_by_digest(record: &Record) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)?;
    line.pop();
    Ok(line)
}

/// The digest that stands at the end of a record's line. All zeroes for one that cannot be written.
pub fn digest_of(record: &Record) -> Digest {
    covered_by_digest(record).map_or(Digest::ZERO, |covered| Digest::of(&covered))
}

/// The lock of a journal, held without writing to it: nobody can go on with the run meanwhile.
#[derive(Debug)]
pub struct Hold(#[expect(dead_code, reason = "the lock ends with the file")] File);

impl Hold {
    /// Takes the lock. `None` when a process is working on the run.
    ///
    /// # Errors
    /// When the file cannot be opened or locked.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        match lock(&file) {
            Ok(()) => Ok(Some(Self(file))),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn lock(file: &File) -> io::Result<()> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => {
            io::Error::new(io::ErrorKind::ResourceBusy, "another process is working on this run")
        }
        TryLockError::Error(error) => error,
    })
}
