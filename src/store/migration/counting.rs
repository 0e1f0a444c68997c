//! Triggers that keep `batch_counts`: for each change of a batch that counts, a row that takes it from the kind that it was
//! and one that adds it to the kind that it is.
//!
//! Rows are only added, so no writer waits for another here and none can be caught in a ring of locks. A batch that is
//! deleted, or swept away, counts nowhere.

/// For SQLite.
pub(super) const SQLITE: &[&str] = &[
    "CREATE TRIGGER batches_counted AFTER INSERT ON batches WHEN NOT NEW.deleted BEGIN
        INSERT INTO batch_counts (owner, state, failing, change)
            VALUES (CASE WHEN NEW.private THEN NEW.owner END, NEW.state, NEW.failed > 0, 1);
    END",
    "CREATE TRIGGER batches_recounted AFTER UPDATE ON batches
        WHEN OLD.state <> NEW.state OR (OLD.failed > 0) <> (NEW.failed > 0) OR OLD.deleted <> NEW.deleted
            OR OLD.private <> NEW.private OR OLD.owner <> NEW.owner BEGIN
        INSERT INTO batch_counts (owner, state, failing, change)
            SELECT CASE WHEN OLD.private THEN OLD.owner END, OLD.state, OLD.failed > 0, -1 WHERE NOT OLD.deleted;
        INSERT INTO batch_counts (owner, state, failing, change)
            SELECT CASE WHEN NEW.private THEN NEW.owner END, NEW.state, NEW.failed > 0, 1 WHERE NOT NEW.deleted;
    END",
    "CREATE TRIGGER batches_uncounted AFTER DELETE ON batches WHEN NOT OLD.deleted BEGIN
        INSERT INTO batch_counts (owner, state, failing, change)
            VALUES (CASE WHEN OLD.private THEN OLD.owner END, OLD.state, OLD.failed > 0, -1);
    END",
];

/// For Postgres.
pub(super) const POSTGRES: &[&str] = &[
    "CREATE FUNCTION count_batch() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN
        IF TG_OP <> 'INSERT' THEN
            INSERT INTO batch_counts (owner, state, failing, change)
                SELECT CASE WHEN OLD.private THEN OLD.owner END, OLD.state, OLD.failed > 0, -1
                WHERE NOT OLD.deleted;
        END IF;
        IF TG_OP <> 'DELETE' THEN
            INSERT INTO batch_counts (owner, state, failing, change)
                SELECT CASE WHEN NEW.private THEN NEW.owner END, NEW.state, NEW.failed > 0, 1
                WHERE NOT NEW.deleted;
        END IF;
        RETURN NULL;
    END $body$",
    "CREATE TRIGGER batches_counted AFTER INSERT OR DELETE ON batches FOR EACH ROW EXECUTE FUNCTION count_batch()",
    "CREATE TRIGGER batches_recounted AFTER UPDATE ON batches FOR EACH ROW
        WHEN (OLD.state <> NEW.state OR (OLD.failed > 0) <> (NEW.failed > 0) OR OLD.deleted <> NEW.deleted
            OR OLD.private <> NEW.private OR OLD.owner <> NEW.owner)
        EXECUTE FUNCTION count_batch()",
];
