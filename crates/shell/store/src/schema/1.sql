-- Times are nanoseconds since 1970, MACs and digests are blobs, IPv4 addresses are integers.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
    address INTEGER PRIMARY KEY,
    mac BLOB NOT NULL,
    client_id BLOB,
    hostname TEXT,
    state TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT;

CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    node TEXT,
    session INTEGER,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_node ON events (node, seq) WHERE node IS NOT NULL;
CREATE INDEX events_by_session ON events (session, seq) WHERE session IS NOT NULL;

CREATE TABLE generations (
    generation INTEGER PRIMARY KEY,
    site_file TEXT NOT NULL,
    digest BLOB NOT NULL,
    accepted_by TEXT NOT NULL,
    accepted_at INTEGER NOT NULL,
    rollback_of INTEGER REFERENCES generations (generation),
    summary TEXT NOT NULL
) STRICT;

-- Every apply that was begun. At most one is open: it has no outcome.
CREATE TABLE applies (
    id INTEGER PRIMARY KEY,
    generation INTEGER NOT NULL,
    site_file TEXT NOT NULL,
    plan TEXT NOT NULL,
    begun_by TEXT NOT NULL,
    begun_at INTEGER NOT NULL,
    rollback_of INTEGER,
    summary TEXT NOT NULL,
    steps_done INTEGER NOT NULL DEFAULT 0,
    outcome TEXT,
    reason TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX one_open_apply ON applies (outcome IS NULL) WHERE outcome IS NULL;

-- Nodes that were armed once, which is remembered so that only the first apply of a node arms it by itself.
CREATE TABLE nodes (
    name TEXT PRIMARY KEY,
    boot_mac BLOB NOT NULL,
    first_generation INTEGER NOT NULL,
    armed INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    changed_by TEXT NOT NULL,
    installed_at INTEGER
) STRICT, WITHOUT ROWID;

-- Where each node is in its life, as the boot tracker keeps it (JSON).
CREATE TABLE lives (
    node TEXT PRIMARY KEY,
    session INTEGER,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE discovered (
    mac BLOB PRIMARY KEY,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    address INTEGER,
    said TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX discovered_by_age ON discovered (last_seen);

CREATE TABLE content (
    name TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    size INTEGER NOT NULL,
    added_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX content_by_digest ON content (digest);
