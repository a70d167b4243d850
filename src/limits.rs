//! Every limit on size, count and depth of what comes from outside: files of people, answers of servers, output of programs,
//! journals. What is above a limit is refused with an error that names it, or cut where that changes no verdict and is said.
//!
//! Times are not in here: limits of time belong to steps and waits. Neither are numbers that a protocol fixes (a page of
//! S3 has 1000 keys).

use regex::{Regex, RegexBuilder};
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// One limit, for the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The name of the constant.
    pub name: &'static str,
    /// How many.
    pub most: u64,
    /// Of what.
    pub of: &'static str,
    /// What happens above it.
    pub above: &'static str,
}

/// Makes a constant of each, and the list of all.
macro_rules! limits {
    ($($name:ident: $kind:ty = $most:expr, $of:literal, $above:literal;)*) => {
        $(
            #[doc = concat!("The most ", $of, ". Above: ", $above, ".")]
            pub const $name: $kind = $most;
        )*
        /// All limits, in the order of the data.
        pub const ALL: &[Limit] = &[
            $(Limit { name: stringify!($name), most: $name as u64, of: $of, above: $above },)*
        ];
    };
}

limits! {
    SCENARIO_BYTES: usize = 1 << 20, "bytes of a scenario file", "refused, RD002";
    SCENARIO_NODES: usize = 50_000, "values (scalars, lists, mappings) of a scenario", "refused, RD002";
    SCENARIO_DEPTH: usize = 40, "lists and mappings inside of each other, in a scenario", "refused, RD002";
    SCENARIO_STEPS: usize = 2_000, "steps of a scenario", "refused, RD002";
    SCENARIO_ERRORS: usize = 200, "errors that are shown of a scenario", "the first ones are shown, and how many there are more";
    DIAGNOSTIC_BYTES: usize = 2 << 10, "bytes of the message, of what is expected or of the help of an error of a scenario, which quote what is written", "cut, and the cut is said";
    EXPRESSION_BYTES: usize = 64 << 10, "bytes of a text with expressions", "refused, RD101 with its place; RD117 where what is put in makes it longer";
    EXPRESSIONS: usize = 200, "expressions in one text (reading takes time in the square of it)", "refused, RD101 with its place";
    EXPRESSION_DEPTH: usize = 16, "brackets inside of each other, in an expression", "refused, RD101 with its place";
    INPUT_BYTES: usize = 1 << 20, "bytes of JSON of a step's input, expressions replaced; the same of a variable", "refused, RD002, where it is known before the run; else the step is not run";
    PLAN_VALUES_BYTES: usize = 8 << 20, "bytes of JSON of a plan's variables and of what expressions put into its steps, together", "refused, RD002";
    PATTERN_BYTES: usize = 1 << 20, "bytes that a compiled pattern (`~ …`) takes", "refused as not a pattern";
    FILE_BYTES: u64 = 16 << 20, "bytes of another file that people write: an estate, `--inputs`", "refused";
    ESTATE_NODES: usize = 200_000, "values of an estate", "refused with its place";
    ESTATE_DEPTH: usize = 64, "lists and mappings inside of each other, in an estate", "refused with its place";
    ESTATE_SNAPSHOTS: u64 = 5_000, "snapshots that a schedule of an estate keeps", "refused with its place";
    ESTATE_OBJECT_BYTES: u64 = 256 << 20, "bytes of a file that an estate puts into a bucket", "refused with its place";
    DURATION_DAYS: u64 = 3_660, "days of a duration (ten years)", "refused with its place";
    PLAN_BYTES: u64 = 64 << 20, "bytes of the plan beside a journal", "refused";
    JOURNAL_BYTES: u64 = 256 << 20, "bytes of a journal", "refused when it is read; when it is written, the run stops and can be reaped";
    STORE_OBJECT_BYTES: usize = 64 << 20, "bytes of an object of a run's store", "the run cannot be fetched";
    STORE_PAGES: usize = 1_000, "pages of a list in a store of journals, of runs or of a run's objects (1000 names each)", "the run cannot be fetched, the runs cannot be looked at";
    RECORD_BYTES: usize = 16 << 20, "bytes of a record of a journal", "refused when it is read; when it is written, the run stops";
    TEXT_BYTES: usize = 16 << 10, "bytes of a message, an observation or a note that is written down", "cut, and the cut is said";
    OUTPUT_BYTES: usize = 1 << 20, "bytes of JSON of a step's output", "the step is inconclusive";
    APPROVAL_BYTES: u64 = 64 << 10, "bytes of a question or an answer of an approval", "a longer answer is refused when it is given; a longer question is not asked: inconclusive";
    ALLOWED_SIGNERS: usize = 1_000, "lines of a file of allowed signers (`signed_by`)", "no answer can be verified: inconclusive";
    EFFECT_NAME_BYTES: usize = 4096, "bytes of `undo`, `find` and `env` of a program together", "refused before anything is run";
    PROGRAM_OUTPUT_BYTES: usize = 64 << 10, "bytes kept of each output stream of a program", "cut; a pattern that is not in the rest is inconclusive";
    HTTP_BODY_BYTES: usize = 1 << 20, "bytes kept of an HTTP body", "not read further; a pattern that is not in the rest is inconclusive";
    HTTP_REDIRECTS: usize = 5, "redirects that are followed", "inconclusive";
    SQL_ROWS: usize = 1_000, "rows of a query's answer", "the check is inconclusive";
    SQL_ROW_BYTES: usize = 1 << 20, "bytes of the values of a row", "the check is inconclusive";
    SQL_OBJECTS: usize = 200_000, "columns, keys or other objects of one kind that a database tells of itself", "the check is inconclusive";
    SQL_REFERENCE_BYTES: u64 = 16 << 20, "bytes of a reference file for a database", "refused";
    CREDENTIAL_BYTES: u64 = 64 << 10, "bytes of a file with a password", "refused";
    CERTIFICATE_BYTES: u64 = 4 << 20, "bytes of a file with certificate authorities", "refused";
    AWS_ANSWER_BYTES: usize = 64 << 20, "bytes of an answer of AWS, the content of objects apart", "the call has failed; it is tried again, then the step is inconclusive";
    LIST_PAGES: usize = 100, "pages of a list of snapshots or parameters (100 to 1000 items each)", "the step is inconclusive";
    OBJECT_PAGES: usize = 1_000_000, "pages of a bucket's listing (1000 versions each)", "the step is inconclusive";
    KEY_VERSIONS: usize = 200_000, "versions and delete markers of one key in a bucket", "the step is inconclusive";
    ETCD_BYTES: u64 = 32 << 30, "bytes of an etcd snapshot (etcd warns beyond 8 GiB)", "refused: it is no snapshot";
    ETCD_INVENTORY_BYTES: u64 = 64 << 20, "bytes of an inventory of an etcd snapshot that was kept (ten thousand namespaces take some megabytes)", "refused";
    ENCRYPTION_CONFIG_BYTES: u64 = 1 << 20, "bytes of the encryption configuration of an API server", "refused";
    SERVER_TOKEN_BYTES: u64 = 4 << 10, "bytes of the server token of k3s or RKE2 (some hundred)", "refused";
    ETCD_SPAN_BYTES: u64 = 32 << 20, "bytes of a page of an etcd snapshot with its overflow pages (some requests; etcd warns beyond 10 MiB for one)", "the page is not checked: the snapshot is not proven to be sound";
    ETCD_BRANCH_BYTES: u64 = 64 << 10, "bytes of a page of an etcd snapshot that lists other pages, with its overflow pages (one page, usually)", "the page is not checked: the snapshot is not proven to be sound";
    ETCD_BUCKETS: usize = 256, "buckets of an etcd snapshot (etcd 3.5 has ten)", "the snapshot is damaged";
    ETCD_BUCKET_NAME_BYTES: usize = 255, "bytes of a bucket's name in an etcd snapshot (the longest of etcd's own has 15)", "the snapshot is damaged";
    ETCD_INLINE_BYTES: usize = 64 << 10, "bytes of a bucket in an etcd snapshot that lies in the list of buckets (bbolt: a quarter of a page)", "the snapshot is damaged";
    ETCD_MEMBER_BYTES: usize = 64 << 10, "bytes of what an etcd snapshot says of a member (some hundred)", "the snapshot is damaged";
    PACKED_IDLE_BYTES: u64 = 1 << 20, "bytes of a packed backup in a row in which nothing is packed, beside the window of Zstandard", "the packing is damaged";
    PACKED_WINDOW_BYTES: u64 = 32 << 20, "bytes of the window of a backup packed with Zstandard, which are kept in memory (`zstd` asks for 8 MiB at most, unless it is told --ultra or --long)", "not unpacked: nothing in it is checked";
    ETCD_DEPTH: u8 = 24, "levels of a tree in an etcd snapshot", "the snapshot is damaged";
    ETCD_MESSAGE_BYTES: usize = 4 << 20, "bytes of one message of a running etcd (a piece of a snapshot has 32 KiB)", "the call has failed: the step is inconclusive";
    SERVER_BODY_BYTES: usize = 64 << 20, "bytes of a request's body that `sandbox serve` takes", "answered with 413";
    SERVER_HEAD_BYTES: usize = 64 << 10, "bytes of a request's line and headers that `sandbox serve` takes", "answered with 431, connection closed";
    SERVER_HEADERS: usize = 128, "headers of a request that `sandbox serve` takes", "answered with 431, connection closed";
    SERVER_CONNECTIONS: usize = 256, "connections to `sandbox serve` at a time", "further ones wait";
}

/// Reads a file of which nobody knows what it is: never more than `most` bytes, whatever its length is said to be.
///
/// # Errors
/// When it cannot be read; of the kind [`io::ErrorKind::FileTooLarge`] when it is larger.
pub fn read_file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_at_most(File::open(path)?, most)
}

/// As [`read_file`], of something that is open.
///
/// # Errors
/// As [`read_file`].
pub fn read_at_most(file: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let text = format!("it is larger than {}", in_units(most));
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

/// A text with at most so many bytes, and a word about what is missing.
pub fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = text.floor_char_boundary(most);
        let missing = text.len() - end;
        text.truncate(end);
        text.push_str(&format!("… ({missing} bytes more)"));
    }
    text
}

/// How many bytes a value has as JSON, which is not written for it.
pub fn json_bytes(value: &Value) -> usize {
    let mut counted = Counted(0);
    // Nothing that is counted fails, and a value is always JSON.
    let _ = serde_json::to_writer(&mut counted, value);
    counted.0
}

/// Counts what is written, and forgets it.
struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A pattern that people wrote, compiled within [`PATTERN_BYTES`]. Matching takes time in proportion to the text.
///
/// # Errors
/// What is wrong with it.
pub fn pattern(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES).build()
}

/// Bytes as people say them: `1 MiB`.
pub fn in_units(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole =
        units.iter().find(|(shift, _)| bytes >= 1 << shift && bytes.is_multiple_of(1 << shift));
    whole.map_or_else(
        || format!("{bytes} bytes"),
        |(shift, unit)| format!("{} {unit}", bytes >> shift),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_never_ends_is_refused_and_not_read() {
        let error = read_file(Path::new("/dev/zero"), FILE_BYTES).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "it is larger than 16 MiB");
        assert_eq!(read_at_most(&b"12345"[..], 5).unwrap(), b"12345");
        assert!(read_at_most(&b"123456"[..], 5).is_err());
    }

    #[test]
    fn a_text_that_is_cut_says_so_and_stays_text() {
        assert_eq!(cut("ééé".to_owned(), 6), "ééé");
        assert_eq!(cut("ééé".to_owned(), 5), "éé… (2 bytes more)");
    }

    #[test]
    fn a_value_is_as_large_as_it_is_written() {
        let value = serde_json::json!({ "a": ["é\n", 1.5, null, true], "b": {} });
        assert_eq!(json_bytes(&value), value.to_string().len());
    }

    #[test]
    fn a_pattern_that_would_grow_is_refused() {
        assert!(pattern("^v[0-9]+$").is_ok());
        let error = pattern("((a{100}){100}){100}").unwrap_err().to_string();
        assert!(error.contains("size limit"), "{error}");
    }

    #[test]
    fn no_limit_is_missing_in_the_list_or_stands_twice() {
        let mut names: Vec<_> = ALL.iter().map(|limit| limit.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        assert!(ALL.iter().all(|limit| limit.most > 0));
    }
}
