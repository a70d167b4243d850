use crate::formats::packed::PackingFault;
use serde::Serialize;
use std::fmt;

/// What a file is in which no snapshot of etcd could be looked at: often a sound backup, to be read by something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Foreign {
    /// A database of SQLite, where k3s keeps its state unless it is told to use etcd.
    Sqlite,
    /// Packed with `compress` of Unix.
    Compress,
    /// An archive of files.
    Tar,
    /// Packed with xz.
    Xz,
    /// Packed with bzip2.
    Bzip2,
    /// Encrypted with OpenPGP (`gpg`).
    OpenPgp,
    /// Encrypted with `age`.
    Age,
    /// Encrypted with `openssl enc`.
    OpenSsl,
    /// Packed with Zstandard, with a window above [`crate::limits::PACKED_WINDOW_BYTES`].
    WideWindow,
    /// Packed with Zstandard and a dictionary.
    WithDictionary,
    /// A zip archive in a way that this reader does not know.
    OtherZip,
    /// An encrypted zip archive.
    EncryptedZip,
    /// An archive of several files that could be the backup.
    SeveralFiles,
    /// Packed, and inside packed again.
    PackedTwice,
    /// Packed, and longer than any snapshot that is looked at.
    TooLarge,
}

/// Where an archive of `tar` says what it is: <https://www.gnu.org/software/tar/manual/html_node/Standard.html>
const TAR_MARK: usize = 257;

impl Foreign {
    /// How much of a file is looked at.
    pub(super) const BEGINNING: usize = 512;

    /// What a file is that begins so; `None` when nothing is known that does.
    ///
    /// The marks: <https://www.sqlite.org/fileformat.html>, <https://tukaani.org/xz/xz-file-format.txt>,
    /// <https://www.rfc-editor.org/rfc/rfc9580#section-4.2> (packets of OpenPGP),
    /// <https://github.com/C2SP/C2SP/blob/main/age.md>, <https://docs.openssl.org/master/man1/openssl-enc/>.
    pub(super) fn of(first: &[u8]) -> Option<Self> {
        let begins = |mark: &[u8]| first.starts_with(mark);
        let tar = first.get(TAR_MARK..).is_some_and(|rest| rest.starts_with(b"ustar"));
        Some(match first {
            _ if begins(b"SQLite format 3\0") => Self::Sqlite,
            [0x1F, 0x9D, ..] => Self::Compress,
            _ if tar => Self::Tar,
            _ if begins(b"\xFD7zXZ\0") => Self::Xz,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..] => Self::Bzip2,
            _ if begins(b"-----BEGIN PGP MESSAGE") => Self::OpenPgp,
            // A session key for a public key (version 3), or for a password (version 4).
            [0x84, _, 3, ..] | [0x85, _, _, 3, ..] | [0x8C, _, 4, ..] => Self::OpenPgp,
            _ if begins(b"age-encryption.org/v1") || begins(b"-----BEGIN AGE ENCRYPTED FILE") => {
                Self::Age
            }
            _ if begins(b"Salted__") => Self::OpenSsl,
            _ => return None,
        })
    }

    /// What a packing is that this reader cannot take off; `None` for one that is damaged.
    pub(super) fn of_packing(fault: PackingFault) -> Option<Self> {
        Some(match fault {
            PackingFault::Window { .. } => Self::WideWindow,
            PackingFault::Dictionary => Self::WithDictionary,
            PackingFault::Method { .. } => Self::OtherZip,
            PackingFault::Encrypted => Self::EncryptedZip,
            PackingFault::SeveralBackups => Self::SeveralFiles,
            PackingFault::Again { .. } => Self::PackedTwice,
            PackingFault::TooLarge { .. } => Self::TooLarge,
            PackingFault::Truncated
            | PackingFault::Malformed
            | PackingFault::Checksum
            | PackingFault::Length
            | PackingFault::TrailingBytes
            | PackingFault::Idle { .. }
            | PackingFault::NoBackup => return None,
        })
    }

    /// Whether it is a packing that this reader knows, and could not take off.
    pub fn is_packing(self) -> bool {
        matches!(
            self,
            Self::WideWindow
                | Self::WithDictionary
                | Self::OtherZip
                | Self::EncryptedZip
                | Self::SeveralFiles
                | Self::PackedTwice
                | Self::TooLarge
        )
    }

    /// What it is, and that nothing was looked at.
    pub fn what(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "this is a database of SQLite, and no snapshot of etcd; nothing in it was checked"
            }
            Self::Compress => "this is packed with compress (.Z); nothing inside was checked",
            Self::Tar => "this is an archive of tar; nothing inside was checked",
            Self::Xz => "this is packed with xz; nothing inside was checked",
            Self::Bzip2 => "this is packed with bzip2; nothing inside was checked",
            Self::OpenPgp => "this is encrypted with OpenPGP; nothing inside was checked",
            Self::Age => "this is encrypted with age; nothing inside was checked",
            Self::OpenSsl => "this is encrypted with openssl enc; nothing inside was checked",
            Self::WideWindow => {
                "this is packed with zstd and a window of more than 32 MiB, which takes too much memory; nothing inside was checked"
            }
            Self::WithDictionary => {
                "this is packed with zstd and a dictionary that is not in it; nothing inside was checked"
            }
            Self::OtherZip => {
                "this is a zip archive of a kind that this program does not unpack; nothing inside was checked"
            }
            Self::EncryptedZip => "this is an encrypted zip archive; nothing inside was checked",
            Self::SeveralFiles => {
                "this is an archive of several files that could be the snapshot; nothing inside was checked"
            }
            Self::PackedTwice => "this is packed twice; nothing inside was checked",
            Self::TooLarge => {
                "this holds more than 32 GiB, which this program does not unpack; nothing inside was checked"
            }
        }
    }

    /// What a person does with it.
    pub fn help(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "k3s keeps its state in SQLite unless it was started with --cluster-init or an external etcd: check it with \
                 `sqlite3 FILE 'pragma integrity_check'`, and restore it as state.db with the server token"
            }
            Self::Compress => "unpack it with gzip -d or uncompress, and verify what is inside",
            Self::Tar => "unpack it with tar -xf, and verify the snapshot that is inside",
            Self::Xz => "unpack it with xz -d, and verify what is inside",
            Self::Bzip2 => "unpack it with bzip2 -d, and verify what is inside",
            Self::OpenPgp => {
                "decrypt it with gpg -d, with the key that the recovery kit must hold, and verify what is inside"
            }
            Self::Age => {
                "decrypt it with age -d, with the identity that the recovery kit must hold, and verify what is inside"
            }
            Self::OpenSsl => {
                "decrypt it with openssl enc -d, with the password that the recovery kit must hold, and verify what is inside"
            }
            Self::WideWindow => {
                "unpack it with zstd -d --long=31 FILE, and verify what is inside; pack the next ones without --ultra and --long"
            }
            Self::WithDictionary => {
                "unpack it with zstd -d -D DICTIONARY FILE, with the dictionary that the recovery kit must hold, and verify what is inside"
            }
            Self::OtherZip => "unpack it with unzip or 7z x, and verify what is inside",
            Self::EncryptedZip => {
                "unpack it with unzip or 7z x, with the password that the recovery kit must hold, and verify what is inside"
            }
            Self::SeveralFiles => "unpack it with unzip, and verify each of the files",
            Self::PackedTwice => "unpack it once, and verify what is inside",
            Self::TooLarge => {
                "look what it is: etcd warns of databases beyond 8 GiB, so that this is hardly a snapshot"
            }
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what(), self.help())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Vec<u8> {
        let mut bytes = vec![0; 1024];
        bytes[..8].copy_from_slice(b"etcd.db\0");
        bytes[TAR_MARK..TAR_MARK + 6].copy_from_slice(b"ustar\0");
        bytes
    }

    #[test]
    fn regression_a_packing_that_this_reader_cannot_take_off_is_no_damage() {
        const MIB: u64 = 1 << 20;
        let packing = crate::formats::packed::Packing::Gzip;
        for (fault, word) in [
            (PackingFault::Window { bytes: 256 * MIB, most: 32 * MIB }, "zstd -d --long=31 FILE"),
            (PackingFault::Dictionary, "zstd -d -D"),
            (PackingFault::Method { number: 14 }, "unzip or 7z x"),
            (PackingFault::Encrypted, "password"),
            (PackingFault::SeveralBackups, "each of the files"),
            (PackingFault::Again { packing }, "unpack it once"),
            (PackingFault::TooLarge { most: 7 }, "look what it is"),
        ] {
            let foreign = Foreign::of_packing(fault).unwrap();
            assert!(foreign.is_packing() && !fault.is_damage(), "{fault:?}");
            assert!(foreign.what().ends_with("nothing inside was checked"), "{fault:?}");
            assert!(foreign.help().contains(word), "{fault:?}");
        }
        for fault in [
            PackingFault::Truncated,
            PackingFault::Malformed,
            PackingFault::Checksum,
            PackingFault::Length,
            PackingFault::TrailingBytes,
            PackingFault::Idle { most: 7 },
            PackingFault::NoBackup,
        ] {
            assert!(Foreign::of_packing(fault).is_none() && fault.is_damage(), "{fault:?}");
        }
        let said = (crate::limits::PACKED_WINDOW_BYTES, crate::limits::ETCD_BYTES);
        assert_eq!(said, (32 * MIB, 32 << 30), "as the words say");
    }

    #[test]
    fn backups_of_other_kinds_are_called_what_they_are() {
        for (first, expected) in [
            (&b"SQLite format 3\0\x10\0"[..], Foreign::Sqlite),
            (b"\x1f\x9d\x90", Foreign::Compress),
            (&archive(), Foreign::Tar),
            (b"\xfd7zXZ\0\0\x04", Foreign::Xz),
            (b"BZh91AY&SY", Foreign::Bzip2),
            (b"-----BEGIN PGP MESSAGE-----\n", Foreign::OpenPgp),
            (b"\x85\x01\x0c\x03", Foreign::OpenPgp),
            (b"\x84\x5e\x03\x12", Foreign::OpenPgp),
            (b"\x8c\x0d\x04\x09", Foreign::OpenPgp),
            (b"age-encryption.org/v1\n", Foreign::Age),
            (b"Salted__12345678", Foreign::OpenSsl),
        ] {
            assert_eq!(Foreign::of(first), Some(expected));
            assert!(expected.what().contains("checked") && !expected.help().is_empty());
            assert!(!expected.is_packing());
        }
        for other in [&b""[..], b"x", b"\xed\xda\x0c\xed", b"BZh9", &[0; 512]] {
            assert_eq!(Foreign::of(other), None, "{other:?}");
        }
    }
}
