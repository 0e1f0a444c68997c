//! The schema, one file per step, in order.
//!
//! A step that was released never changes; a change is a new step.

use sea_orm_migration::prelude::*;

use crate::fault::Point;

mod column_words;
mod counting;
mod counting_by_task;
mod m0001_tape;
mod m0002_people;
mod m0003_idempotency;
mod m0004_many;
mod m0005_steady;
mod m0006_bounds;
mod m0007_webhooks;
mod m0008_schedules;
mod m0009_idle;
mod m0010_contents;
mod m0011_parents;
mod m0012_access;
mod m0013_uploads;
mod m0014_share_links;
mod m0015_quotas;
mod m0016_outside;
mod m0017_left_bytes;
mod m0018_pulse;
mod m0019_retries;
mod m0020_item_orders;
mod m0021_bulk_acts;

/// Executes the statements of a step, one after the other.
async fn execute_all(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    for text in statements {
        manager.get_connection().execute_unprepared(text).await?;
        Point::MigrationBetween.visit();
    }
    Ok(())
}

/// All steps, oldest first.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_tape::Migration),
            Box::new(m0002_people::Migration),
            Box::new(m0003_idempotency::Migration),
            Box::new(m0004_many::Migration),
            Box::new(m0005_steady::Migration),
            Box::new(m0006_bounds::Migration),
            Box::new(m0007_webhooks::Migration),
            Box::new(m0008_schedules::Migration),
            Box::new(m0009_idle::Migration),
            Box::new(m0010_contents::Migration),
            Box::new(m0011_parents::Migration),
            Box::new(m0012_access::Migration),
            Box::new(m0013_uploads::Migration),
            Box::new(m0014_share_links::Migration),
            Box::new(m0015_quotas::Migration),
            Box::new(m0016_outside::Migration),
            Box::new(m0017_left_bytes::Migration),
            Box::new(m0018_pulse::Migration),
            Box::new(m0019_retries::Migration),
            Box::new(m0020_item_orders::Migration),
            Box::new(m0021_bulk_acts::Migration),
        ]
    }
}
