"""etcd's own program for restores, taught two options that it does not know: --bump-revision and --mark-compacted.

    python3 etcdutl_with_bump_revision.py PROGRAM ARGUMENTS...

Of `snapshot restore` it does what these options do since etcd 3.5.10: the real program restores, and then the database of the member gets
an entry without name and value behind the last one, so many revisions later, and a scheduled compaction up to that
(https://github.com/etcd-io/etcd/pull/16165). The database is written anew for that, each bucket as one leaf. Everything else is
left to the program.
"""

import subprocess
import sys

PAGE = 4096
NO_FREE_LIST = 2**64 - 1
HELP = """      --bump-revision uint   How much to increase the latest revision after restore
      --mark-compacted       Mark the latest revision after restore as the point of scheduled compaction"""


def number(content, at, width=8):
    return int.from_bytes(content[at : at + width], "little")


def elements(content, at, page):
    """Key, value and flags of the entries below a page, or below what lies there in the page of the list of buckets."""
    count, kind = number(content, at + 10, 2), number(content, at + 8, 2)
    for index in range(count):
        element = at + 16 + 16 * index
        if kind & 1:
            child = number(content, element + 8)
            yield from elements(content, child * PAGE, child)
            continue
        flags, position, key, value = (number(content, element + 4 * n, 4) for n in range(4))
        start = element + position
        yield content[start : start + key], content[start + key : start + key + value], flags


def buckets(content):
    newest = max(0, 1, key=lambda page: number(content, page * PAGE + 16 + 48))
    root = number(content, newest * PAGE + 16 + 16)
    for name, value, flags in elements(content, root * PAGE, root):
        assert flags & 1, "only buckets are in the list of buckets"
        page = number(value, 0)
        inner = elements(content, page * PAGE, page) if page else elements(value, 16, 0)
        yield name, [(key, value) for key, value, _ in inner]


def leaf(page, entries, flags):
    """A leaf with these entries, and with as many further pages as it needs."""
    head, tail = b"", b""
    table = 16 * len(entries)
    for index, (key, value) in enumerate(entries):
        position = table - 16 * index + len(tail)
        head += b"".join(part.to_bytes(4, "little") for part in (flags, position, len(key), len(value)))
        tail += key + value
    pages = -(-(16 + len(head) + len(tail)) // PAGE)
    start = page.to_bytes(8, "little") + (2).to_bytes(2, "little") + len(entries).to_bytes(2, "little")
    return (start + (pages - 1).to_bytes(4, "little") + head + tail).ljust(pages * PAGE, b"\0")


def meta(page, root, pages, transaction):
    body = b"".join(part.to_bytes(4, "little") for part in (0xED0CDAED, 2, PAGE, 0))
    body += b"".join(part.to_bytes(8, "little") for part in (root, 0, NO_FREE_LIST, pages, transaction))
    checksum = 0xCBF29CE484222325
    for byte in body:
        checksum = (checksum ^ byte) * 0x100000001B3 % 2**64
    start = page.to_bytes(8, "little") + (4).to_bytes(2, "little") + bytes(6)
    return (start + body + checksum.to_bytes(8, "little")).ljust(PAGE, b"\0")


def moved_forward(content, by):
    tables = dict(buckets(content))
    last = max((int.from_bytes(key[:8], "big") for key, _ in tables[b"key"]), default=0)
    mark = (last + by).to_bytes(8, "big") + b"_" + bytes(8)
    tables[b"key"].append((mark, b""))
    tables[b"meta"] = sorted({**dict(tables[b"meta"]), b"scheduledCompactRev": mark}.items())
    written, roots, page = b"", [], 2
    for name, entries in sorted(tables.items()):
        roots.append((name, page.to_bytes(8, "little") + bytes(8)))
        written += leaf(page, entries, 0)
        page = 2 + len(written) // PAGE
    root = page
    written += leaf(root, roots, 1)
    pages = 2 + len(written) // PAGE
    return meta(0, root, pages, 1) + meta(1, root, pages, 0) + written


def main(program, arguments):
    if "--help" in arguments:
        said = subprocess.run([program, *arguments], check=True, capture_output=True, text=True)
        print(said.stdout, said.stderr, HELP, sep="\n")
        return 0
    by = 0
    if "--bump-revision" in arguments:
        at = arguments.index("--bump-revision")
        by = int(arguments[at + 1])
        del arguments[at : at + 2]
        arguments.remove("--mark-compacted")
    ended = subprocess.run([program, *arguments], check=False).returncode
    if ended or not by:
        return ended
    database = arguments[arguments.index("--data-dir") + 1] + "/member/snap/db"
    with open(database, "r+b") as file:
        forward = moved_forward(file.read(), by)
        file.seek(0)
        file.truncate()
        file.write(forward)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
