-- Which node's disks depend on which unlock key.
CREATE TABLE bindings (
    node TEXT NOT NULL,
    key TEXT NOT NULL,
    since INTEGER NOT NULL,
    last INTEGER NOT NULL,
    seen TEXT NOT NULL,
    PRIMARY KEY (node, key)
) STRICT, WITHOUT ROWID;

-- What lets one boot of a node have its Ignition config, once.
CREATE TABLE passes (
    node TEXT PRIMARY KEY,
    pass TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Single values that outlive the daemon, as JSON.
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
