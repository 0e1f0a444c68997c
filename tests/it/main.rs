//! What a program sees from outside: the real executable, over the wire, on a real database file.
//!
//! Run by `cargo test`. Tests know SURFACE.md, not the code, but for the live client, which they share with the
//! pages.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod acts;
mod api_bodies;
mod api_forms;
mod api_http;
mod api_once;
mod api_parameters;
mod api_parents;
mod api_read;
mod api_ranges;
mod api_refuse;
mod api_results;
mod api_tables;
mod api_round_trips;
mod behind_proxies;
#[path = "../cluster/mod.rs"]
mod cluster;
mod bulk_acts;
mod chart;
mod clock;
mod commands;
mod counts;
mod crash;
mod csv_rows;
mod damaged;
mod default_names;
mod declared;
mod disk_full;
mod documented;
mod documented_api;
mod documented_tasks;
mod downloads;
#[cfg(feature = "failpoints")]
mod faults;
mod files_s3;
mod files_shared;
mod folders;
mod form_bounds;
mod fuzz;
mod golden;
mod item_files;
mod keep_alive;
mod live;
mod live_access;
mod live_cuts;
mod live_hostile;
mod live_limits;
mod live_slow;
mod live_storm;
mod live_unread;
mod live_vanished;
#[cfg(feature = "failpoints")]
mod loops;
mod names;
mod nodes;
mod open_idle;
mod openid;
mod outage;
mod outside_header;
mod pages;
mod pictures;
mod quotas;
mod retries;
mod revocation;
mod run_command;
#[path = "../s3/mod.rs"]
mod s3;
mod schedule_command;
mod schedules;
mod secrets;
mod schedules_due;
mod shares;
mod stopping;
mod submit_cuts;
mod submit_owed;
mod support;
mod tidy;
mod task_permissions;
mod typed_again;
mod unpack;
mod upload_stops;
mod upload_turns;
mod uploads;
mod values;
mod watch;
mod webhooks;
