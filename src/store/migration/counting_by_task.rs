//! Triggers of step 15: those of `batch_counts` with the task, and those that keep `stored_bytes`.
//!
//! As [`super::counting`], whose triggers they take the place of.

/// For SQLite.
pub(super) const SQLITE: &[&str] = &[
    "DROP TRIGGER batches_counted",
    "DROP TRIGGER batches_recounted",
    "DROP TRIGGER batches_uncounted",
    "CREATE TRIGGER batches_counted AFTER INSERT ON batches WHEN NOT NEW.deleted BEGIN
        INSERT INTO batch_counts (owner, task, state, failing, change)
            VALUES (CASE WHEN NEW.private THEN NEW.owner END, NEW.task, NEW.state, NEW.failed > 0, 1);
    END",
    "CREATE TRIGGER batches_recounted AFTER UPDATE ON batches
        WHEN OLD.state <> NEW.state OR (OLD.failed > 0) <> (NEW.failed > 0) OR OLD.deleted <> NEW.deleted
            OR OLD.private <> NEW.private OR OLD.owner <> NEW.owner BEGIN
        INSERT INTO batch_counts (owner, task, state, failing, change)
            SELECT CASE WHEN OLD.private THEN OLD.owner END, OLD.task, OLD.state, OLD.failed > 0, -1
            WHERE NOT OLD.deleted;
        INSERT INTO batch_counts (owner, task, state, failing, change)
            SELECT CASE WHEN NEW.private THEN NEW.owner END, NEW.task, NEW.state, NEW.failed > 0, 1
            WHERE NOT NEW.deleted;
    END",
    "CREATE TRIGGER batches_uncounted AFTER DELETE ON batches WHEN NOT OLD.deleted BEGIN
        INSERT INTO batch_counts (owner, task, state, failing, change)
            VALUES (CASE WHEN OLD.private THEN OLD.owner END, OLD.task, OLD.state, OLD.failed > 0, -1);
    END",
    "CREATE TRIGGER files_measured AFTER INSERT ON files BEGIN
        INSERT INTO stored_bytes (owner, change) SELECT owner, NEW.bytes FROM batches WHERE id = NEW.batch;
    END",
    "CREATE TRIGGER files_unmeasured AFTER DELETE ON files BEGIN
        INSERT INTO stored_bytes (owner, change) SELECT owner, -OLD.bytes FROM batches WHERE id = OLD.batch;
    END",
];

/// For Postgres.
pub(super) const POSTGRES: &[&str] = &[
    "CREATE OR REPLACE FUNCTION count_batch() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN
        IF TG_OP <> 'INSERT' THEN
            INSERT INTO batch_counts (owner, task, state, failing, change)
                SELECT CASE WHEN OLD.private THEN OLD.owner END, OLD.task, OLD.state, OLD.failed > 0, -1
                WHERE NOT OLD.deleted;
        END IF;
        IF TG_OP <> 'DELETE' THEN
            INSERT INTO batch_counts (owner, task, state, failing, change)
                SELECT CASE WHEN NEW.private THEN NEW.owner END, NEW.task, NEW.state, NEW.failed > 0, 1
                WHERE NOT NEW.deleted;
        END IF;
        RETURN NULL;
    END $body$",
    "CREATE FUNCTION measure_files() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO stored_bytes (owner, change) SELECT b.owner, CAST(SUM(f.bytes) AS BIGINT)
                FROM changed f JOIN batches b ON b.id = f.batch GROUP BY b.owner;
        ELSE
            INSERT INTO stored_bytes (owner, change) SELECT b.owner, CAST(-SUM(f.bytes) AS BIGINT)
                FROM changed f JOIN batches b ON b.id = f.batch GROUP BY b.owner;
        END IF;
        RETURN NULL;
    END $body$",
    "CREATE TRIGGER files_measured AFTER INSERT ON files REFERENCING NEW TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION measure_files()",
    "CREATE TRIGGER files_unmeasured AFTER DELETE ON files REFERENCING OLD TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION measure_files()",
];
