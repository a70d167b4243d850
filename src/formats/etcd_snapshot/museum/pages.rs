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
            "two meta pages of one number, the first one of another time",
            |snapshot| {
                let root = snapshot.root();
                let old = snapshot.add_page(2, &tiny::leaf(&tiny::with_tables(Vec::new())), 9);
                snapshot.write_meta(0, old, u64::MAX, 9);
                snapshot.write_meta(1, root, u64::MAX, 9);
            },
            is!(Damage::MetasDiffer { field: MetaField::Transaction }),
        ),
        sealed(
            "a meta page that leads to the state before",
            |snapshot| {
                let old = snapshot.add_page(2, &tiny::leaf(&tiny::with_tables(Vec::new())), 9);
                snapshot.write_metas(snapshot.root(), u64::MAX);
                snapshot.write_meta(0, old, u64::MAX, 9);
            },
            is!(Damage::MetasDiffer { field: MetaField::Root }),
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
            "the last change of a leaf lost",
            |snapshot| snapshot.page(FIRST_LEAF)[10] -= 1,
            is!(Damage::Page { page: 2, fault: PageFault::Gap { index: 0 } }),
        ),
        sealed(
            "a value cut short",
            |snapshot| snapshot.cut_value(FIRST_LEAF, 3, 40),
            is!(Damage::Page { page: 2, fault: PageFault::Gap { index: 4 } }),
        ),
        sealed(
            "the last value of a leaf cut short",
            |snapshot| snapshot.cut_value(FIRST_LEAF, 9, 40),
            is!(Damage::Page { page: 2, fault: PageFault::Leftover }),
        ),
        sealed(
            "a leaf emptied by its count",
            |snapshot| snapshot.page(FIRST_LEAF)[10] = 0,
            is!(Damage::Page { page: 2, fault: PageFault::Leftover }),
        ),
        sealed(
            "a table stored in place emptied by its count",
            |snapshot| {
                // `cluster` holds one entry: its page begins behind the bucket's header.
                let name = snapshot.pages.windows(7).position(|w| w == b"cluster").unwrap();
                snapshot.pages[name + 7 + 16 + 10] = 0;
            },
            is!(Damage::Page { fault: PageFault::Leftover, .. }),
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

/// The key of the first element of a leaf of revisions.
fn first_key(snapshot: &mut Snapshot, leaf: usize) -> Vec<u8> {
    let page = snapshot.page(leaf);
    let start = 16 + usize::from(page[16 + 4]) + 256 * usize::from(page[16 + 5]);
    page[start..start + 17].to_vec()
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
                let branch = branch_of(snapshot);
                let children = [2, 7, 12].map(|page| (first_key(snapshot, page), page as u64));
                let body = tiny::branch(&children);
                snapshot.page(branch)[10] = 3;
                snapshot.page(branch)[16..].fill(0);
                snapshot.page(branch)[16..16 + body.len()].copy_from_slice(&body);
            },
            is!(Damage::Revision {
                revision: Some(RevisionNumber { main: 21, sub: 0 }),
                fault: RevisionFault::Gap { expected: RevisionNumber { main: 11, sub: 0 } },
                ..
            }),
        ),
        sealed(
            "the last child of a branch lost",
            |snapshot| {
                let branch = branch_of(snapshot);
                snapshot.page(branch)[10] -= 1;
            },
            is!(Damage::Page { fault: PageFault::Gap { index: 0 }, .. }),
        ),
    ]
}

pub(super) fn free_pages() -> Vec<Exhibit> {
    vec![
        sealed(
            "a page that is free twice",
            |snapshot| {
                let root = snapshot.root();
                let free = snapshot.add_page(2, &[], 0);
                let numbers = [free, free].map(u64::to_le_bytes).concat();
                let list = snapshot.add_page(0x10, &numbers, 2);
                snapshot.write_metas(root, list);
            },
            is!(Damage::Page { fault: PageFault::FreeTwice { .. }, .. }),
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
