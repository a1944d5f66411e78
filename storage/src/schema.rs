//! The tables and how an older file becomes a current one.
//!
//! Names are interned (`names`), so rows hold small numbers. `log` and `outbox` are ordinary rowid tables whose rowid
//! is (owner, position): rows of about a kilobyte pack three to a page there, where WITHOUT ROWID would spill each to
//! an overflow page of its own.

use rusqlite::{Connection, OptionalExtension};

/// In the header of every file of ours ("BUS1").
pub(crate) const APPLICATION: i32 = 0x4255_5331;

/// Bits of a rowid that hold the position; the owner's number is above. 2^40 messages a stream are 3 years at
/// 10 000 a second, and 2^23 names are left.
pub(crate) const POSITION_BITS: u32 = 40;

/// Each brings the file from version `index` to `index + 1`, in one transaction. Never edit one that was released.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE names (
        id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (kind, name)
    );
    CREATE TABLE feeds (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, cursor TEXT, sealed BLOB);
    CREATE TABLE published (
        stream INTEGER NOT NULL, key TEXT NOT NULL, generation INTEGER NOT NULL, hash BLOB NOT NULL,
        deleted INTEGER NOT NULL, PRIMARY KEY (stream, key)
    ) WITHOUT ROWID;

    CREATE TABLE settled (
        route INTEGER NOT NULL, key TEXT NOT NULL, epoch INTEGER NOT NULL, number INTEGER NOT NULL,
        id BLOB, present INTEGER NOT NULL, receiver_id TEXT, PRIMARY KEY (route, key)
    ) WITHOUT ROWID;
    CREATE TABLE waiting (
        place INTEGER PRIMARY KEY AUTOINCREMENT, route INTEGER NOT NULL, key TEXT NOT NULL, epoch INTEGER NOT NULL,
        number INTEGER NOT NULL, id BLOB NOT NULL, not_before INTEGER NOT NULL, attempts INTEGER NOT NULL,
        reason TEXT NOT NULL, replayed INTEGER NOT NULL, time INTEGER NOT NULL, frame BLOB NOT NULL
    );
    CREATE UNIQUE INDEX waiting_key ON waiting (route, key, epoch, number);
    CREATE INDEX waiting_id ON waiting (route, id);
    CREATE INDEX waiting_line ON waiting (route, place, not_before);
    CREATE INDEX waiting_due ON waiting (route, not_before, time);
    CREATE TABLE marks (route INTEGER NOT NULL, id BLOB NOT NULL, PRIMARY KEY (route, id)) WITHOUT ROWID;
    CREATE TABLE reached (route INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, number INTEGER NOT NULL);

    CREATE TABLE dead (
        id INTEGER PRIMARY KEY AUTOINCREMENT, route INTEGER, stream INTEGER, key TEXT, label TEXT, message BLOB,
        at INTEGER NOT NULL, fault TEXT NOT NULL, words TEXT NOT NULL, attempts INTEGER NOT NULL, request TEXT,
        answer TEXT, frame BLOB, raw BLOB, transformed BLOB
    );
    CREATE INDEX dead_message ON dead (route, message);
    CREATE INDEX dead_key ON dead (route, key);
    CREATE UNIQUE INDEX dead_unreadable ON dead (stream, message) WHERE route IS NULL;

    CREATE TABLE gates (system INTEGER PRIMARY KEY, horizon INTEGER NOT NULL);
    CREATE TABLE outboxes (
        id INTEGER PRIMARY KEY, last INTEGER NOT NULL, floor INTEGER NOT NULL, taken INTEGER NOT NULL,
        total INTEGER NOT NULL
    );
    CREATE TABLE outbox (at INTEGER PRIMARY KEY, time INTEGER NOT NULL, total INTEGER NOT NULL, frame BLOB NOT NULL);

    CREATE TABLE queues (
        id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, floor INTEGER NOT NULL, keep_age INTEGER, keep_bytes INTEGER
    );
    CREATE TABLE log (at INTEGER PRIMARY KEY, time INTEGER NOT NULL, total INTEGER NOT NULL, frame BLOB NOT NULL);
",
    "
    CREATE TABLE pauses (
        kind TEXT NOT NULL, name TEXT NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL, since INTEGER NOT NULL,
        PRIMARY KEY (kind, name)
    ) WITHOUT ROWID;
",
    "
    CREATE TABLE letters (
        route INTEGER NOT NULL, message BLOB NOT NULL, replays INTEGER NOT NULL, edits INTEGER NOT NULL, editor TEXT,
        body BLOB, original_frame BLOB, original_body BLOB, PRIMARY KEY (route, message)
    );
",
    "
    ALTER TABLE published ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE published ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE tasks (
        id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, feed TEXT NOT NULL, stream TEXT NOT NULL,
        route TEXT NOT NULL, only_these TEXT NOT NULL, share INTEGER NOT NULL, who TEXT NOT NULL, at INTEGER NOT NULL,
        stage TEXT NOT NULL, ended INTEGER, read INTEGER NOT NULL, kept INTEGER NOT NULL, sent INTEGER NOT NULL,
        error TEXT
    );
    CREATE TABLE task_rows (place INTEGER PRIMARY KEY AUTOINCREMENT, task INTEGER NOT NULL, frame BLOB NOT NULL);
    CREATE INDEX task_rows_of ON task_rows (task, place);
",
    "
    CREATE TABLE incidents (
        kind TEXT NOT NULL, subject TEXT NOT NULL, message TEXT NOT NULL, remedy TEXT NOT NULL, since INTEGER NOT NULL,
        last INTEGER NOT NULL, count INTEGER NOT NULL, closed INTEGER, PRIMARY KEY (kind, subject, since)
    );
    CREATE INDEX incidents_closed ON incidents (closed);
    CREATE TABLE told (
        channel TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (channel, kind, subject)
    ) WITHOUT ROWID;
    CREATE TABLE maintenance (
        id INTEGER PRIMARY KEY AUTOINCREMENT, system TEXT, begins INTEGER NOT NULL, ends INTEGER NOT NULL,
        who TEXT NOT NULL, why TEXT NOT NULL
    );
    CREATE TABLE bases (feed INTEGER PRIMARY KEY, base TEXT NOT NULL, timeline INTEGER NOT NULL, position INTEGER);
",
    "
    ALTER TABLE waiting ADD COLUMN held_since INTEGER;
    ALTER TABLE waiting ADD COLUMN held_for TEXT;
    CREATE INDEX settled_receiver ON settled (route, receiver_id) WHERE receiver_id IS NOT NULL;
    CREATE TABLE map_entries (
        map INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (map, key)
    ) WITHOUT ROWID;
",
    "
    CREATE TABLE writes (
        route INTEGER NOT NULL, key TEXT NOT NULL, began INTEGER NOT NULL, print BLOB NOT NULL,
        PRIMARY KEY (route, key, began)
    ) WITHOUT ROWID;
",
    "
    CREATE TABLE journal (
        id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, epoch INTEGER NOT NULL, first INTEGER NOT NULL,
        last INTEGER NOT NULL, feed INTEGER NOT NULL, run INTEGER NOT NULL, read_at INTEGER NOT NULL,
        published_at INTEGER, bytes INTEGER NOT NULL, entries BLOB NOT NULL
    );
    CREATE UNIQUE INDEX journal_place ON journal (stream, epoch, first);
    CREATE INDEX journal_time ON journal (read_at);
    CREATE TABLE journal_keys (key TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (key, at)) WITHOUT ROWID;
    CREATE TABLE journal_labels (label TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (label, at)) WITHOUT ROWID;
    CREATE TABLE journal_steps (
        stream INTEGER NOT NULL, epoch INTEGER NOT NULL, number INTEGER NOT NULL, route INTEGER NOT NULL,
        step INTEGER NOT NULL, kind INTEGER NOT NULL, word TEXT NOT NULL, since INTEGER NOT NULL, at INTEGER NOT NULL,
        times INTEGER NOT NULL, took INTEGER, status INTEGER, until INTEGER, message TEXT, answer TEXT,
        PRIMARY KEY (stream, epoch, number, route, step)
    ) WITHOUT ROWID;
    CREATE TABLE journal_size (
        one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL, lost INTEGER NOT NULL, lost_from INTEGER,
        lost_to INTEGER
    );
    INSERT INTO journal_size (one, bytes, lost) VALUES (1, 0, 0);
    CREATE TABLE archive (block INTEGER PRIMARY KEY, until INTEGER NOT NULL, bodies BLOB NOT NULL);
    CREATE INDEX archive_until ON archive (until);
    CREATE INDEX dead_word ON dead (key);
    CREATE INDEX dead_label ON dead (label) WHERE label IS NOT NULL;
",
    "
    CREATE TABLE places (route INTEGER PRIMARY KEY, stream INTEGER NOT NULL, queue TEXT);
    CREATE TABLE given_up_queues (queue TEXT PRIMARY KEY) WITHOUT ROWID;
",
    "
    CREATE TABLE join_parts (
        joined INTEGER NOT NULL, part INTEGER NOT NULL, member TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (joined, part, member)
    );
    CREATE INDEX join_parts_key ON join_parts (joined, part, key, member);
    CREATE TABLE join_changes (
        place INTEGER PRIMARY KEY AUTOINCREMENT, joined INTEGER NOT NULL, key TEXT NOT NULL, UNIQUE (joined, key)
    );
    CREATE INDEX join_changes_of ON join_changes (joined, place);
",
    "
    CREATE INDEX waiting_held ON waiting (route) WHERE reason IN ('map', 'requires');
",
    "
    CREATE TABLE runs (route INTEGER PRIMARY KEY, since INTEGER NOT NULL, over INTEGER NOT NULL);
",
    "
    ALTER TABLE tasks ADD COLUMN part_from TEXT;
    ALTER TABLE tasks ADD COLUMN part_to TEXT;
    ALTER TABLE tasks ADD COLUMN backfill INTEGER;
    CREATE TABLE backfills (
        id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, feed TEXT NOT NULL, stream TEXT NOT NULL,
        routes TEXT NOT NULL, first TEXT NOT NULL, last TEXT NOT NULL, step INTEGER NOT NULL, priority INTEGER NOT NULL,
        share INTEGER NOT NULL, who TEXT NOT NULL, at INTEGER NOT NULL, state TEXT NOT NULL, ended INTEGER,
        reached TEXT NOT NULL, read INTEGER NOT NULL, sent INTEGER NOT NULL, error TEXT
    );
",
    "
    ALTER TABLE tasks ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE tasks ADD COLUMN slice_from INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE tasks ADD COLUMN slice_to INTEGER NOT NULL DEFAULT 4294967296;
    ALTER TABLE task_rows ADD COLUMN slot INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE standing (feed INTEGER PRIMARY KEY, cursor TEXT NOT NULL, since INTEGER NOT NULL);
",
    // Gates of reads were kept as those of systems of that name. Copied: there may be a system of that name.
    "
    INSERT INTO names (kind, name) SELECT 21, substr(name, 1, length(name) - 6) FROM names
        WHERE kind = 4 AND name GLOB '?*.reads' AND id IN (SELECT system FROM gates);
    INSERT INTO gates (system, horizon) SELECT r.id, g.horizon FROM names r
        JOIN names s ON s.kind = 4 AND s.name = r.name || '.reads' JOIN gates g ON g.system = s.id WHERE r.kind = 21;
",
    "
    CREATE TABLE rechecks (feed INTEGER PRIMARY KEY, began INTEGER NOT NULL);
",
    // In microseconds. What an older program has reserved says nothing of it.
    "
    ALTER TABLE gates ADD COLUMN deadline INTEGER NOT NULL DEFAULT 0;
",
    "
    CREATE TABLE outbox_runs (
        outbox INTEGER NOT NULL, place INTEGER NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (outbox, place)
    ) WITHOUT ROWID;
",
    // Which of the writes from before are in doubt nobody knows: what crosses one of them is sent on, rather than skipped.
    "
    ALTER TABLE writes ADD COLUMN in_doubt INTEGER NOT NULL DEFAULT 1;
",
];

/// The version this program writes.
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "a handful of migrations")]
pub(crate) const CURRENT: i32 = MIGRATIONS.len() as i32;

/// What a file is, before anything is changed in it.
pub(crate) enum Kind {
    /// Nothing in it yet.
    Fresh,
    /// Ours, of this version.
    Ours(i32),
    /// Somebody else's.
    Foreign,
}

/// Reads application id, version and whether there are tables.
pub(crate) fn inspect(connection: &Connection) -> rusqlite::Result<Kind> {
    let application: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let version: i32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let table: Option<i64> =
        connection.query_row("SELECT 1 FROM sqlite_schema LIMIT 1", [], |row| row.get(0)).optional()?;
    Ok(match (application, version, table) {
        (APPLICATION, version, _) => Kind::Ours(version),
        (0, 0, None) => Kind::Fresh,
        _ => Kind::Foreign,
    })
}

/// Applies the migrations after `version`, each in its own transaction: a crash in between goes on from there.
pub(crate) fn migrate(connection: &mut Connection, version: i32) -> rusqlite::Result<()> {
    for (step, sql) in (1..).zip(MIGRATIONS.iter().copied()).skip_while(|(step, _)| *step <= version) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", step)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A file as the program before the migration with these words left it, and its version.
    fn before(words: &str) -> (Connection, i32) {
        let connection = Connection::open_in_memory().unwrap();
        let version = MIGRATIONS.iter().position(|sql| sql.contains(words)).unwrap();
        for sql in &MIGRATIONS[..version] {
            connection.execute_batch(sql).unwrap();
        }
        (connection, i32::try_from(version).unwrap())
    }

    #[test]
    fn gates_of_reads_keep_their_horizon_beside_systems_of_any_name() {
        let (mut connection, version) = before("INSERT INTO names (kind, name) SELECT 21");
        // Three systems, of which one is read and one has the name that the gate of its reads had.
        let gates =
            [(1, "склад", 10), (2, "склад.reads", 20), (3, "магазин", 30), (4, ".reads", 40), (5, "erp.reads", 50)];
        for (id, name, horizon) in gates {
            connection.execute("INSERT INTO names (id, kind, name) VALUES (?1, 4, ?2)", (id, name)).unwrap();
            connection.execute("INSERT INTO gates VALUES (?1, ?2)", (id, horizon)).unwrap();
        }
        connection
            .execute("INSERT INTO names (id, kind, name) VALUES (6, 3, 'x.reads'), (7, 4, 'y.reads')", ())
            .unwrap();
        migrate(&mut connection, version).unwrap();
        let mut select = connection
            .prepare("SELECT kind, name, horizon FROM gates JOIN names ON id = system ORDER BY horizon, kind")
            .unwrap();
        let rows = select.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        let rows: Vec<(i64, String, i64)> = rows.map(Result::unwrap).collect();
        let expected = [
            (4, "склад", 10),
            (4, "склад.reads", 20),
            (21, "склад", 20),
            (4, "магазин", 30),
            (4, ".reads", 40),
            (4, "erp.reads", 50),
            (21, "erp", 50),
        ];
        assert_eq!(rows, expected.map(|(kind, name, horizon)| (kind, name.to_owned(), horizon)));
    }

    #[test]
    fn writes_from_before_they_could_be_in_doubt_count_as_such() {
        let (mut connection, version) = before("ADD COLUMN in_doubt");
        connection.execute("INSERT INTO writes (route, key, began, print) VALUES (1, 'a', 5, x'00')", ()).unwrap();
        migrate(&mut connection, version).unwrap();
        let in_doubt = connection.query_row("SELECT in_doubt FROM writes", (), |row| row.get(0));
        assert_eq!(in_doubt, Ok(true));
    }
}
