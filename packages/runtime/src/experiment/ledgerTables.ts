// The ledger's tables, as migrations: entry n takes `user_version` from n to n + 1. Never edit one that was released.
// Times are milliseconds since 1970; digests are sha256 in hex.

export const migrations: ReadonlyArray<string> = [
  `
  -- What lies in store/, and the stamp (size, times, inode) under which its content was last checked.
  CREATE TABLE blob (sha256 TEXT PRIMARY KEY, bytes INTEGER NOT NULL, stamp TEXT NOT NULL) WITHOUT ROWID;

  CREATE TABLE artifact (
    digest TEXT PRIMARY KEY, kind TEXT NOT NULL, manifest TEXT NOT NULL, bytes INTEGER NOT NULL, made INTEGER NOT NULL
  ) WITHOUT ROWID;

  -- One success. ownKey is the key without the inputs; parts says, component by component, what the keys stand for.
  CREATE TABLE action (
    actionKey TEXT PRIMARY KEY, planKey TEXT NOT NULL, ownKey TEXT NOT NULL, kind TEXT NOT NULL, parts TEXT NOT NULL,
    output TEXT NOT NULL, seconds REAL NOT NULL, environment TEXT NOT NULL, finished INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX actionPlan ON action (planKey);
  CREATE INDEX actionOwn ON action (ownKey, finished);
  CREATE INDEX actionOutput ON action (output);

  -- What people call a result. spare: another name by which explain may find it, not shown in lists.
  CREATE TABLE label (
    label TEXT PRIMARY KEY, actionKey TEXT NOT NULL, at INTEGER NOT NULL, spare INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX labelAction ON label (actionKey);

  -- Attempts; one without an end is a lease. place: machine, boot and pid namespace, within which pid and begun are exact.
  CREATE TABLE attempt (
    id INTEGER PRIMARY KEY, actionKey TEXT NOT NULL, label TEXT NOT NULL, place TEXT NOT NULL, pid INTEGER NOT NULL,
    begun TEXT NOT NULL, started INTEGER NOT NULL, heartbeat INTEGER NOT NULL, ended INTEGER, outcome TEXT
  );
  CREATE UNIQUE INDEX attemptOpen ON attempt (actionKey) WHERE ended IS NULL;

  CREATE TABLE run (
    id INTEGER PRIMARY KEY, started INTEGER NOT NULL, pid INTEGER NOT NULL, arguments TEXT NOT NULL, code TEXT NOT NULL,
    environment TEXT NOT NULL
  );
  CREATE TABLE run_node (
    run INTEGER NOT NULL, label TEXT NOT NULL, kind TEXT NOT NULL, planKey TEXT NOT NULL, actionKey TEXT, status TEXT NOT NULL,
    why TEXT NOT NULL, seconds REAL NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (run, label)
  ) WITHOUT ROWID;

  CREATE TABLE metric (
    actionKey TEXT NOT NULL, name TEXT NOT NULL, step INTEGER NOT NULL, value REAL NOT NULL, PRIMARY KEY (actionKey, name, step)
  ) WITHOUT ROWID;

  -- Roots that gc must keep.
  CREATE TABLE pin (digest TEXT PRIMARY KEY, reason TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;

  CREATE TABLE event (
    id INTEGER PRIMARY KEY, run INTEGER, at INTEGER NOT NULL, tag TEXT NOT NULL, label TEXT NOT NULL, message TEXT NOT NULL
  );

  -- The files that a code digest stands for: JSON { name: sha256 }.
  CREATE TABLE code (digest TEXT PRIMARY KEY, files TEXT NOT NULL) WITHOUT ROWID;

  -- Caches: content of files outside the store, and pipeline files that passed the type checker.
  CREATE TABLE sourceFile (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, sha256 TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE typecheck (key TEXT PRIMARY KEY, file TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
  `,
  `
  -- Two pipelines may call different steps alike: a reason compares with the same pipeline's last success.
  ALTER TABLE label RENAME TO formerLabel;
  DROP INDEX labelAction;
  CREATE TABLE label (
    pipeline TEXT NOT NULL, label TEXT NOT NULL, actionKey TEXT NOT NULL, at INTEGER NOT NULL, spare INTEGER NOT NULL,
    PRIMARY KEY (pipeline, label)
  ) WITHOUT ROWID;
  CREATE INDEX labelAction ON label (actionKey);
  CREATE INDEX labelName ON label (label, at);
  INSERT INTO label SELECT '', label, actionKey, at, spare FROM formerLabel;
  DROP TABLE formerLabel;
  `
]
