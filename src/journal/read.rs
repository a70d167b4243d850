use super::{Event, FORMAT, Record};
use crate::ids::Digest;
use crate::limits;
use serde::de::IgnoredAny;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A journal that was read and verified.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    /// The records, in order.
    pub records: Vec<Record>,
    /// Digest of the last line, all zeroes for an empty journal.
    pub head: Digest,
    /// Bytes of a torn last line, which are not part of the records.
    pub torn_bytes: u64,
}

/// Why a journal is refused.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("the journal cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Who goes on with a run writes.
    #[error("the journal cannot be written: {0}")]
    Unwritable(io::Error),
    /// It is larger than any journal that this program writes.
    #[error("the journal is larger than 256 MiB: no run of this program writes so much")]
    TooLarge,
    /// A line is not a record.
    #[error("record {seq} of the journal cannot be understood: {why}")]
    NotARecord {
        /// Which record.
        seq: u64,
        /// Why.
        why: String,
    },
    /// A line was changed, or one is missing.
    #[error("record {seq} of the journal does not verify: {why}")]
    Broken {
        /// Which record.
        seq: u64,
        /// Why.
        why: &'static str,
    },
    /// It was written by another version.
    #[error("the journal has format {found}; this program reads format {FORMAT}")]
    OtherFormat {
        /// The format it has.
        found: u32,
    },
    /// There is nothing in it.
    #[error("the journal is empty: the run ended before it began, and has done nothing")]
    Empty,
}

/// Reads and verifies a journal file: every digest, the chain and the numbers.
///
/// # Errors
/// When it cannot be read or does not verify; the error names the record.
pub fn read(path: &Path) -> Result<Contents, ReadError> {
    read_bytes(&whole_file(File::open(path)?)?)
}

/// All of a journal file that is open.
pub(super) fn whole_file(file: impl Read) -> Result<Vec<u8>, ReadError> {
    limits::read_at_most(file, limits::JOURNAL_BYTES).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => ReadError::TooLarge,
        _ => ReadError::Io(error),
    })
}

/// As [`read`], from memory.
///
/// # Errors
/// When it does not verify; the error names the record.
pub fn read_bytes(bytes: &[u8]) -> Result<Contents, ReadError> {
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    let mut contents = Contents {
        records: Vec::new(),
        head: Digest::ZERO,
        torn_bytes: (bytes.len() - whole) as u64,
    };
    for line in bytes[..whole].split_inclusive(|b| *b == b'\n') {
        let seq = contents.records.len() as u64;
        if line.len() > limits::RECORD_BYTES {
            return Err(ReadError::Broken { seq, why: "it is longer than 16 MiB" });
        }
        let (record, digest) = verify_line(&line[..line.len() - 1], seq, contents.head)
            .map_err(|error| naming_the_writer(error, contents.records.first()))?;
        if let Event::RunStarted { format, .. } = record.event
            && format != FORMAT
        {
            return Err(ReadError::OtherFormat { found: format });
        }
        contents.records.push(record);
        contents.head = digest;
    }
    if goes_on_behind_a_record(&bytes[whole..]) {
        let seq = contents.records.len() as u64;
        let why = "the line feed behind it is not there, and something else is: it was changed";
        return Err(ReadError::Broken { seq, why });
    }
    if contents.records.is_empty() {
        return Err(ReadError::Empty);
    }
    Ok(contents)
}

/// True when a last line without line feed begins with a whole object and goes on behind it: a write that was cut off leaves none,
/// since the line feed comes next.
fn goes_on_behind_a_record(line: &[u8]) -> bool {
    let mut values = serde_json::Deserializer::from_slice(line).into_iter::<IgnoredAny>();
    line.first() == Some(&b'{')
        && matches!(values.next(), Some(Ok(_)))
        && values.byte_offset() < line.len()
}

/// What cannot be understood may be of a later version: says which one wrote it.
fn naming_the_writer(error: ReadError, first: Option<&Record>) -> ReadError {
    match (error, first.map(|record| &record.event)) {
        (ReadError::NotARecord { seq, why }, Some(Event::RunStarted { tool, .. })) => {
            let version = env!("CARGO_PKG_VERSION");
            let why = format!("{why}; {tool} began the run, and this is redrill {version}");
            ReadError::NotARecord { seq, why }
        }
        (error, _) => error,
    }
}

const DIGEST_FIELD: &[u8] = b",\"digest\":\"";
/// `sha256:` and 64 digits.
const DIGEST_LENGTH: usize = 71;

fn verify_line(line: &[u8], seq: u64, prev: Digest) -> Result<(Record, Digest), ReadError> {
    let broken = |why| ReadError::Broken { seq, why };
    let tail = DIGEST_FIELD.len() + DIGEST_LENGTH + 2;
    let body_end = line.len().checked_sub(tail).ok_or(broken("it has no digest"))?;
    let (body, rest) = line.split_at(body_end);
    let stated = rest.strip_prefix(DIGEST_FIELD).and_then(|rest| rest.strip_suffix(b"\"}"));
    let stated = stated
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse::<Digest>().ok())
        .ok_or(broken("it has no digest"))?;
    if Digest::of(body) != stated {
        return Err(broken("its content does not fit its digest: it was changed"));
    }
    let record: Record = serde_json::from_slice(line).map_err(|error| match format_of(line) {
        Some(found) if found != FORMAT => ReadError::OtherFormat { found },
        _ => ReadError::NotARecord { seq, why: error.to_string() },
    })?;
    if record.prev != prev || record.seq != seq {
        return Err(broken("it does not follow the record before: one is missing or was changed"));
    }
    Ok((record, stated))
}

/// The format that a line states, also where the rest of it is none of ours: only the first line of a journal does.
fn format_of(line: &[u8]) -> Option<u32> {
    let line: serde_json::Value = serde_json::from_slice(line).ok()?;
    u32::try_from(line.get("event")?.get("format")?.as_u64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Journal, Sink};
    use proptest::prelude::*;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Sink for Shared {
        fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
            Sink::append(&mut *self.0.lock().unwrap(), bytes)
        }
    }

    fn journal_of_five() -> Vec<u8> {
        let bytes = Shared::default();
        let mut journal = Journal::new(bytes.clone());
        let at = "2026-11-22T00:00:00Z".parse().unwrap();
        for n in 0..5 {
            let event = Event::CancelRequested { by: format!("test {n}"), incident: false };
            journal.stage(at, Duration::from_millis(n), event).unwrap();
            journal.commit().unwrap();
        }
        let bytes = bytes.0.lock().unwrap();
        bytes.clone()
    }

    #[test]
    fn a_journal_reads_back_and_its_head_is_the_last_digest() {
        let bytes = journal_of_five();
        let contents = read_bytes(&bytes).unwrap();
        assert_eq!(contents.records.len(), 5);
        let last = std::str::from_utf8(&bytes).unwrap().lines().last().unwrap();
        assert!(last.ends_with(&format!("\"digest\":\"{}\"}}", contents.head)));
    }

    #[test]
    fn a_torn_last_line_is_dropped_and_counted_wherever_it_is_cut() {
        let bytes = journal_of_five();
        let whole = bytes[..bytes.len() - 1].iter().rposition(|b| *b == b'\n').unwrap() + 1;
        for end in whole..bytes.len() {
            let contents = read_bytes(&bytes[..end]).unwrap();
            assert_eq!(contents.records.len(), 4);
            assert_eq!(contents.torn_bytes, (end - whole) as u64);
        }
    }

    /// A run that had ended had not any more, and the next resume wrote another end.
    #[test]
    fn regression_a_last_line_feed_that_was_changed_is_no_torn_line() {
        let bytes = journal_of_five();
        let second = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for (whole, last) in [(&bytes[..], 4), (&bytes[..second], 0)] {
            for byte in (0..=u8::MAX).filter(|byte| *byte != b'\n') {
                let changed = [&whole[..whole.len() - 1], &[byte]].concat();
                let error = read_bytes(&changed).unwrap_err();
                let is_named = matches!(error, ReadError::Broken { seq, .. } if seq == last);
                assert!(is_named, "byte {byte}: {error}");
            }
        }
        // Whoever would go on with it is refused by the same reader, and changes nothing.
        let file = tempfile::NamedTempFile::new().unwrap();
        let changed = [&bytes[..bytes.len() - 1], b" "].concat();
        std::fs::write(file.path(), &changed).unwrap();
        let error = Journal::reopen(file.path()).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("record 4"), "{error}");
        assert_eq!(std::fs::read(file.path()).unwrap(), changed);
    }

    #[test]
    fn every_beginning_of_a_journal_is_read_up_to_its_last_whole_line() {
        let bytes = journal_of_five();
        for end in 0..=bytes.len() {
            let ends = bytes[..end].iter().filter(|byte| **byte == b'\n').count();
            match read_bytes(&bytes[..end]) {
                Ok(contents) => assert_eq!(contents.records.len(), ends, "{end}"),
                Err(error) => assert!(ends == 0 && matches!(error, ReadError::Empty), "{error}"),
            }
        }
    }

    #[test]
    fn regression_another_format_is_named_also_when_its_first_record_reads_differently() {
        let body = "{\"seq\":0,\"event\":{\"type\":\"run_begun\",\"format\":2}";
        let line = format!("{body},\"digest\":\"{}\"}}\n", Digest::of(body.as_bytes()));
        let error = read_bytes(line.as_bytes()).unwrap_err();
        assert!(matches!(error, ReadError::OtherFormat { found: 2 }), "{error}");
    }

    #[test]
    fn a_missing_line_is_named() {
        let text = String::from_utf8(journal_of_five()).unwrap();
        let without: String = text
            .split_inclusive('\n')
            .enumerate()
            .filter(|(n, _)| *n != 2)
            .map(|(_, l)| l)
            .collect();
        let error = read_bytes(without.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("record 2") && error.contains("missing"), "{error}");
    }

    #[test]
    fn regression_a_digest_in_upper_case_is_a_changed_journal() {
        let bytes = journal_of_five();
        let digit =
            (0..bytes.len() - 3).rev().find(|place| bytes[*place].is_ascii_lowercase()).unwrap();
        for place in digit.saturating_sub(60)..=digit {
            let mut changed = bytes.clone();
            changed[place] = changed[place].to_ascii_uppercase();
            assert!(changed == bytes || read_bytes(&changed).is_err(), "byte {place}");
        }
    }

    proptest! {
        #[test]
        fn a_changed_byte_is_refused_wherever_it_is(place in 0usize..10_000, change in 1u8..=255) {
            let mut bytes = journal_of_five();
            let place = place % bytes.len();
            bytes[place] ^= change;
            prop_assert!(read_bytes(&bytes).is_err());
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            let _ = read_bytes(&bytes);
        }
    }
}
