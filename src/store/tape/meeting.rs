//! Queries for rows of disjoint ranges, such as outcomes and blocks, by the items that they hold.

use sea_orm::ConnectionTrait;

use crate::store::backend::found_for_each;

/// A condition on rows of disjoint ranges: those that meet `$2..=$3`. Of those that begin before it only the last can.
pub fn meets(table: &str) -> String {
    format!(
        "batch = $1 AND first <= $3 AND last >= $2 AND first >= COALESCE((SELECT MAX(first) FROM {table} \
         WHERE batch = $1 AND first <= $2), 0)"
    )
}

/// A query for `columns` of rows `found`, of disjoint ranges, that meet some range `asked` of the list `$2`, in order of
/// `first`. `ends` is what else holds of the two. A row that meets several comes as often, together.
pub fn meeting_any<C: ConnectionTrait>(connection: &C, columns: &str, table: &str, ends: &str) -> String {
    let meets = format!(
        "found.batch = $1 AND found.first <= asked.last{ends} AND found.first >= COALESCE((SELECT MAX(before.first) \
         FROM {table} AS before WHERE before.batch = $1 AND before.first <= asked.first), 0)"
    );
    format!("SELECT {columns} {} ORDER BY found.first", found_for_each(connection, table, &meets))
}

/// For [`meeting_any`], of rows that say where they end.
pub const ENDS_WITHIN: &str = " AND found.last >= asked.first";
