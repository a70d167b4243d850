//! Damage on the way, and of pages and trees.

use super::*;

pub(super) fn on_the_way() -> Vec<Exhibit> {
    let flip = |bytes: &mut Vec<u8>| {
        let value = bytes.windows(4).position(|window| window == b"vvvv").unwrap();
        bytes[value] ^= 1;
    };
    vec![
        changed("one bit of a value", flip, is!(Damage::TrailerDiffers { .. })),
        changed(
            "one bit of the SHA-256 only",
            |bytes| *bytes.last_mut().unwrap() ^= 1,
            is!(Damage::TrailerDiffers { .. }),
        ),
        changed(
            "cut in half",
            |bytes| bytes.truncate(bytes.len() / 2),
            is!(Damage::Truncated { .. }),
        ),
        changed(
            "the last page and the SHA-256 cut off",
            |bytes| bytes.truncate(bytes.len() - 32 - PAGE),
            is!(Damage::Truncated { .. }),
        ),
        changed(
            "cut so that the rest looks like a SHA-256",
            |bytes| bytes.truncate(5 * PAGE + 32),
            is!(Damage::Truncated { need_bytes: _, have_bytes: 5120 }),
        ),
        changed("nothing arrived", Vec::clear, is!(Damage::Empty)),
        changed(
            "a message instead of a snapshot",
            |bytes| *bytes = b"Error: context deadline exceeded\n".to_vec(),
            is!(Damage::NoUsableMeta),
        ),
        changed(
            "an archive instead of a snapshot",
            |bytes| *bytes = [&[0x1F, 0x8B, 8, 0][..], &[0; 400]].concat(),
            is!(Damage::Packed(Packing::Gzip)),
        ),
        changed(
            "an incremental snapshot instead of a full one",
            |bytes| *bytes = br#"[{"etcdEvent":{"Kv":{}},"time":"2026-01-01T00:00:00Z"}]"#.to_vec(),
            is!(Damage::Incremental),
        ),
        changed(
            "the first block lost",
            |bytes| bytes[..2 * PAGE].fill(0),
            is!(Damage::NoUsableMeta),
        ),
    ]
}

pub(super) fn pages() -> Vec<Exhibit> {
    vec![
        sealed(
            "the first meta page ruined",
            |snapshot| snapshot.page(0).fill(0xAA),
            is!(Damage::Meta { index: 0, fault: MetaFault::Magic { found: 0xAAAA_AAAA } }),
        ),
        sealed(
            "a byte of the second meta page changed",
            |snapshot| snapshot.page(1)[16 + 40] ^= 1,
            is!(Damage::Meta { index: 1, fault: MetaFault::Checksum }),
        ),
        sealed(
            "a leaf zeroed",
            |snapshot| snapshot.page(FIRST_LEAF).fill(0),
            is!(Damage::Page { page: 2, fault: PageFault::Number { found: 0 } }),
        ),
        sealed(
            "a page written to the place of another",
            |snapshot| {
                let other = snapshot.page(FIRST_LEAF + 1).to_vec();
                snapshot.page(FIRST_LEAF).copy_from_slice(&other);
            },
            is!(Damage::Page { page: 2, fault: PageFault::Number { found: 3 } }),
        ),
        sealed(
            "a leaf with the content of another",
            |snapshot| {
                let other = snapshot.page(FIRST_LEAF + 1).to_vec();
                snapshot.page(FIRST_LEAF)[8..].copy_from_slice(&other[8..]);
            },
            is!(Damage::Page { page: 2, fault: PageFault::Range { index: 0 } }),
        ),
        sealed(
            "the revision in a key changed",
            |snapshot| {
                let key = tiny::revision(4, false);
                let place = snapshot.pages.windows(17).position(|w| w == key).unwrap();
                snapshot.pages[place + 7] = 2;
            },
            is!(Damage::Page { page: 2, fault: PageFault::Order { index: 3 } }),
        ),
        sealed(
            "a leaf that says it is free space",
            |snapshot| snapshot.page(FIRST_LEAF)[8] = 0x10,
            is!(Damage::Page { page: 2, fault: PageFault::Kind { flags: 0x10 } }),
        ),
    ]
}

pub(super) fn elements() -> Vec<Exhibit> {
    vec![
        sealed(
            "more elements than fit",
            |snapshot| snapshot.page(FIRST_LEAF)[10..12].fill(0xFF),
            is!(Damage::Page { page: 2, fault: PageFault::ElementTable { count: u16::MAX } }),
        ),
        sealed(
            "an element outside of its page",
            |snapshot| snapshot.page(FIRST_LEAF)[16 + 14] = 0xFF,
            is!(Damage::Page { page: 2, fault: PageFault::Extent { index: 0 } }),
        ),
        sealed(
            "an element of a kind that does not exist",
            |snapshot| snapshot.page(FIRST_LEAF)[16] = 8,
            is!(Damage::Page { page: 2, fault: PageFault::Flags { index: 0 } }),
        ),
        sealed(
            "a page that claims pages past the end",
            |snapshot| snapshot.page(FIRST_LEAF)[12] = 200,
            is!(Damage::Page { page: 2, fault: PageFault::Overflow { pages: 200 } }),
        ),
        sealed(
            "a page that claims the next one",
            |snapshot| snapshot.page(FIRST_LEAF)[12] = 1,
            is!(Damage::Page { page: 3, fault: PageFault::ReachedTwice }),
        ),
    ]
}

/// The page of the branch above the leaves in [`Snapshot::typical`]: the last one before the list of buckets.
fn branch_of(snapshot: &Snapshot) -> usize {
    usize::try_from(snapshot.root()).unwrap() - 1
}

/// Lets the second child of the branch be another page.
fn redirect(snapshot: &mut Snapshot, to: u64) {
    let branch = branch_of(snapshot);
    snapshot.page(branch)[16 + 16 + 8..][..8].copy_from_slice(&to.to_le_bytes());
}

pub(super) fn trees() -> Vec<Exhibit> {
    vec![
        sealed(
            "a branch that leads back to itself",
            |snapshot| redirect(snapshot, branch_of(snapshot) as u64),
            is!(Damage::Page { fault: PageFault::ReachedTwice, .. }),
        ),
        sealed(
            "a leaf with two parents",
            |snapshot| redirect(snapshot, FIRST_LEAF as u64),
            is!(Damage::Page { page: 2, fault: PageFault::ReachedTwice }),
        ),
        sealed(
            "a branch that leads out of the file",
            |snapshot| redirect(snapshot, 1 << 40),
            is!(Damage::Page { page: 0x100_0000_0000, fault: PageFault::OutOfRange { .. } }),
        ),
        sealed(
            "a branch without children",
            |snapshot| {
                let branch = branch_of(snapshot);
                snapshot.page(branch)[10] = 0;
            },
            is!(Damage::Page { fault: PageFault::NoChildren, .. }),
        ),
        sealed(
            "a leaf cut out of its branch",
            |snapshot| {
                // The children behind the second one move up by one place; their keys stay where they are.
                let branch = branch_of(snapshot);
                let page = snapshot.page(branch);
                page[10] -= 1;
                let count = usize::from(page[10]);
                for child in 1..count {
                    let from = 16 + 16 * (child + 1);
                    let mut element = page[from..from + 16].to_vec();
                    // Positions are counted from the element.
                    element[0] += 16;
                    page[from - 16..from].copy_from_slice(&element);
                }
            },
            is!(Damage::Revision {
                revision: Some(RevisionNumber { main: 21, sub: 0 }),
                fault: RevisionFault::Gap { expected: RevisionNumber { main: 11, sub: 0 } },
                ..
            }),
        ),
        sealed(
            "a page that is free and in use",
            |snapshot| {
                let root = snapshot.root();
                let list = snapshot.add_page(0x10, &root.to_le_bytes(), 1);
                snapshot.write_metas(root, list);
            },
            is!(Damage::FreePageInUse { .. }),
        ),
        sealed(
            "a list of free pages longer than its page",
            |snapshot| {
                let root = snapshot.root();
                let list = snapshot.add_page(0x10, &[], 500);
                snapshot.write_metas(root, list);
            },
            is!(Damage::Page { fault: PageFault::FreeList, .. }),
        ),
    ]
}
