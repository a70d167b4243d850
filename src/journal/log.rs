use super::mode::{PRIVATE, share_as_its_folder};
use super::read::whole_file;
use super::{Contents, Event, ReadError, Record, read_bytes};
use crate::ids::Digest;
use crate::limits;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
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

/// Where lines go besides the sink, so that another machine can go on.
pub trait SegmentStore: Send {
    /// Keeps the lines of one write, of which the first has this number. `Ok` promises that they are durable and that nobody
    /// else has written a line of that number.
    fn put<'a>(&'a mut self, first: u64, lines: &'a [u8]) -> BoxFuture<'a, io::Result<()>>;
}

/// Memory only: for simulation and tests.
impl Sink for Vec<u8> {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// A file that is locked while it is open; the lock ends with the process.
struct LockedFile {
    file: File,
    /// Behind the place where the next bytes go lies a torn last line.
    is_torn: bool,
}

impl Sink for LockedFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_torn {
            // Not before: the record that says how many bytes were torn is among these. And not by writing over them: a power cut
            // could leave a whole line that is a mixture of both.
            let end = self.file.stream_position()?;
            self.file.set_len(end)?;
            self.file.sync_all()?;
            self.is_torn = false;
        }
        self.file.write_all(bytes)?;
        // The length changes with every append, and `fdatasync` writes it; only time stamps are left out.
        self.file.sync_data()
    }
}

/// The field with the digest, the end of the object and of the line.
const LINE_END_BYTES: usize = 84;

/// The writer of a journal: numbers, chains and syncs.
pub struct Journal {
    sink: Box<dyn Sink>,
    store: Option<Box<dyn SegmentStore>>,
    next: u64,
    /// Number of the first staged record.
    first_staged: u64,
    /// Bytes of all records, on disk and staged.
    length: u64,
    head: Digest,
    staged: Vec<u8>,
    broken: bool,
}

impl Journal {
    /// A new journal in a sink of the caller's.
    pub fn new(sink: impl Sink + 'static) -> Self {
        let (head, staged) = (Digest::ZERO, Vec::new());
        let (sink, store) = (Box::new(sink), None);
        Self { sink, store, next: 0, first_staged: 0, length: 0, head, staged, broken: false }
    }

    /// A new journal file, locked: as [`Hold::create`].
    ///
    /// # Errors
    /// When the file exists, cannot be made or cannot be locked.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Hold::create(path)?.begin())
    }

    /// Opens a journal file to go on with it: locks it, reads and verifies it. A torn last line stays until the first commit takes
    /// its place: a process that goes no further has changed nothing.
    ///
    /// # Errors
    /// When it cannot be read, another process holds it, or it does not verify.
    pub fn reopen(path: &Path) -> Result<(Self, Contents), ReadError> {
        Hold::take(path)?.ok_or_else(held_by_another)?.reopen()
    }

    fn of_file(mut file: File) -> Result<(Self, Contents), ReadError> {
        let bytes = whole_file(&mut file)?;
        let contents = read_bytes(&bytes)?;
        let good = bytes.len() as u64 - contents.torn_bytes;
        file.seek(SeekFrom::Start(good))?;
        let file = LockedFile { file, is_torn: contents.torn_bytes > 0 };
        let journal = Self { length: good, ..Self::after(file, &contents) };
        Ok((journal, contents))
    }

    /// Goes on after what was read, in a sink that ends there.
    pub fn after(sink: impl Sink + 'static, contents: &Contents) -> Self {
        let next = contents.records.len() as u64;
        Self { next, first_staged: next, head: contents.head, ..Self::new(sink) }
    }

    /// From now on everything goes to the store, too, before a commit succeeds. The store must hold what was written until
    /// now.
    #[must_use]
    pub fn with_store(self, store: impl SegmentStore + 'static) -> Self {
        Self { store: Some(Box::new(store)), ..self }
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
        self.check_limits(covered.len())?;
        self.head = Digest::of(&covered);
        self.staged.extend_from_slice(&covered);
        self.staged.extend_from_slice(format!(",\"digest\":\"{}\"}}\n", self.head).as_bytes());
        self.next += 1;
        Ok(record)
    }

    /// What is written must be read again: within the limits of the reader.
    fn check_limits(&mut self, covered: usize) -> io::Result<()> {
        let line = covered + LINE_END_BYTES;
        let length = self.length + line as u64;
        if line > limits::RECORD_BYTES || length > limits::JOURNAL_BYTES {
            let text = "a record is longer than 16 MiB, or all of them than 256 MiB";
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        self.length = length;
        Ok(())
    }

    /// Makes everything staged durable: one write, one sync, and one object where there is a store.
    ///
    /// # Errors
    /// When it may not be durable in both places. Nothing may be done after that, and nothing more is written.
    pub async fn commit_everywhere(&mut self) -> io::Result<()> {
        let Some(mut store) = self.store.take() else { return self.commit() };
        let (first, lines) = (self.first_staged, self.staged.clone());
        let mut written = self.commit();
        if written.is_ok() && !lines.is_empty() {
            written = store.put(first, &lines).await;
            self.broken |= written.is_err();
        }
        self.store = Some(store);
        written
    }

    /// Makes everything staged durable, for a journal without a store: one write, one sync.
    ///
    /// # Errors
    /// When it may not be durable. Nothing may be done after that, and nothing more is written.
    pub fn commit(&mut self) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("the journal could not be written before"));
        }
        if self.store.is_some() {
            self.broken = true;
            return Err(io::Error::other("a journal with a store is committed everywhere"));
        }
        if self.staged.is_empty() {
            return Ok(());
        }
        let written = self.sink.append(&self.staged);
        self.broken = written.is_err();
        self.staged.clear();
        self.first_staged = self.next;
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
pub struct Hold {
    /// The lock ends with it.
    file: File,
    /// Why it cannot be written to, if so.
    unwritable: Option<io::Error>,
}

impl Hold {
    /// A new journal file, locked. The folder's entry is synced, too. It is readable for its user only, and for the group of a
    /// folder that was set up for one ([`super::share_as_its_folder`]).
    ///
    /// # Errors
    /// When the file exists, cannot be made or cannot be locked.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).mode(PRIVATE).open(path)?;
        lock(&file)?;
        let folder = path.parent();
        if let Some(folder) = folder {
            share_as_its_folder(&file, folder)?;
        }
        file.sync_all()?;
        if let Some(folder) = folder {
            File::open(folder)?.sync_all()?;
        }
        Ok(Self { file, unwritable: None })
    }

    /// Begins a journal that was just made; the lock is held all the time.
    pub fn begin(self) -> Journal {
        Journal::new(LockedFile { file: self.file, is_torn: false })
    }

    /// The same lock once more, for what is to be done behind the last record: it ends with the last of them.
    ///
    /// # Errors
    /// When the system gives no more open files.
    pub fn share(&self) -> io::Result<Self> {
        let unwritable = self.unwritable.as_ref().map(|error| error.kind().into());
        Ok(Self { file: self.file.try_clone()?, unwritable })
    }

    /// True when a process holds the lock. Who only looks keeps nobody else from looking.
    ///
    /// # Errors
    /// When the file cannot be opened, or its lock not looked at.
    pub fn is_held(path: &Path) -> io::Result<bool> {
        match File::open(path)?.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Takes the lock. `None` when a process is working on the run.
    ///
    /// # Errors
    /// When the file cannot be opened or locked.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        // Over NFS an exclusive lock needs a file that is open for writing (flock(2)). Who may only read can still look.
        Self::opened(path, File::options().read(true).write(true).open(path))
    }

    fn opened(path: &Path, opened: io::Result<File>) -> io::Result<Option<Self>> {
        let takes_no_writes = |error: &io::Error| {
            matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            )
        };
        let (file, unwritable) = match opened {
            Err(error) if takes_no_writes(&error) => (File::open(path)?, Some(error)),
            opened => (opened?, None),
        };
        match lock(&file) {
            Ok(()) => Ok(Some(Self { file, unwritable })),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Goes on with the journal, as [`Journal::reopen`]; the lock is held all the time.
    ///
    /// # Errors
    /// When the journal cannot be read or written to, or does not verify.
    pub fn reopen(self) -> Result<(Journal, Contents), ReadError> {
        match self.unwritable {
            Some(error) => Err(ReadError::Unwritable(error)),
            None => Journal::of_file(self.file),
        }
    }
}

fn held_by_another() -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, "another process is working on this run")
}

fn lock(file: &File) -> io::Result<()> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => held_by_another(),
        TryLockError::Error(error) => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(bytes: usize) -> Event {
        Event::CancelRequested { by: "x".repeat(bytes), incident: false }
    }

    #[test]
    fn what_could_not_be_read_again_is_not_written() {
        let at = DateTime::UNIX_EPOCH;
        let mut journal = Journal::new(Vec::new());
        let error = journal.stage(at, Duration::ZERO, event(limits::RECORD_BYTES)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        // The number is free again: the next record follows without a gap.
        assert_eq!(journal.stage(at, Duration::ZERO, event(1)).unwrap().seq, 0);
        journal.length = limits::JOURNAL_BYTES - 100;
        assert!(journal.stage(at, Duration::ZERO, event(1)).is_err());
    }

    /// `redrill abort` waits for the lock, and then for nothing more: the reports must be written by then.
    #[test]
    fn regression_the_lock_can_be_held_beyond_the_last_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let hold = Hold::create(&path).unwrap();
        let shared = hold.share().unwrap();
        let mut journal = hold.begin();
        journal.stage(DateTime::UNIX_EPOCH, Duration::ZERO, event(1)).unwrap();
        journal.commit().unwrap();
        assert!(Hold::take(&path).unwrap().is_none(), "the journal is open");
        drop(journal);
        assert!(Hold::take(&path).unwrap().is_none(), "its lock is held");
        drop(shared);
        assert!(Hold::take(&path).unwrap().is_some());
    }

    /// Two that looked at the same time each said that the run was at work.
    #[test]
    fn regression_who_only_looks_at_the_lock_keeps_nobody_else_from_looking() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let looks = File::open(file.path()).unwrap();
        looks.try_lock_shared().unwrap();
        assert!(!Hold::is_held(file.path()).unwrap());
        drop(looks);
        let hold = Hold::take(file.path()).unwrap();
        assert!(hold.is_some() && Hold::is_held(file.path()).unwrap());
        drop(hold);
        assert!(!Hold::is_held(file.path()).unwrap());
        let gone = Hold::is_held(&file.path().with_extension("gone"));
        assert_eq!(gone.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    /// A file system that was mounted anew after errors: `reap` and `show` still look.
    #[test]
    fn regression_who_may_only_read_can_look_and_hears_that_it_cannot_be_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for kind in [io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::PermissionDenied] {
            let hold = Hold::opened(file.path(), Err(kind.into())).unwrap().unwrap();
            let refused = hold.reopen().map(|_| ()).unwrap_err();
            assert!(
                matches!(&refused, ReadError::Unwritable(why) if why.kind() == kind),
                "{refused}"
            );
            assert!(refused.to_string().contains("cannot be written"), "{refused}");
        }
        let sick = Hold::opened(file.path(), Err(io::ErrorKind::StaleNetworkFileHandle.into()));
        assert!(sick.is_err());
    }

    /// A resume that was refused had cut the torn line off, and the next one wrote that nothing was torn.
    #[test]
    fn regression_a_torn_line_stays_until_the_first_commit_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let append = |mut journal: Journal, bytes: usize| {
            journal.stage(DateTime::UNIX_EPOCH, Duration::ZERO, event(bytes)).unwrap();
            journal.commit().unwrap();
        };
        append(Journal::create(&path).unwrap(), 1);
        let whole = std::fs::read(&path).unwrap();
        // Longer, and shorter, than what takes its place.
        for (torn, next) in [(1000, 1), (20, 2)] {
            let mut bytes = std::fs::read(&path).unwrap();
            let good = bytes.len();
            bytes.resize(good + torn, b'x');
            std::fs::write(&path, &bytes).unwrap();
            for _ in 0..2 {
                let (refused, contents) = Journal::reopen(&path).unwrap();
                drop(refused);
                assert_eq!(contents.torn_bytes, torn as u64);
                assert_eq!(std::fs::read(&path).unwrap(), bytes);
            }
            append(Journal::reopen(&path).unwrap().0, next);
            let contents = crate::journal::read(&path).unwrap();
            assert_eq!((contents.torn_bytes, contents.records.len()), (0, next + 1));
        }
        assert!(std::fs::read(&path).unwrap().starts_with(&whole));
    }

    /// The exclusive lock of flock(2) over NFS fails for a file that is open for reading only.
    #[cfg(target_os = "linux")]
    #[test]
    fn regression_the_lock_is_taken_on_a_file_that_is_open_for_writing() {
        use std::os::fd::AsRawFd;
        let file = tempfile::NamedTempFile::new().unwrap();
        let hold = Hold::take(file.path()).unwrap().unwrap();
        let about = format!("/proc/self/fdinfo/{}", hold.file.as_raw_fd());
        let about = std::fs::read_to_string(about).unwrap();
        let flags = about.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
        let flags = u32::from_str_radix(flags.trim(), 8).unwrap();
        // O_RDWR of open(2).
        assert_eq!(flags & 3, 2, "{about}");
        assert!(Hold::take(file.path()).unwrap().is_none(), "it is held");
    }
}
