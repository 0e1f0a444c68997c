//! The database and the file store, as the configuration names them.

use std::path::PathBuf;

use super::start_error::StartError;
use crate::config::{AddressStyle, Config, FilesUrl, QuotaConfig, QuotasConfig};
use crate::store::{Addressing, BucketOptions, PersonQuota, Quotas, Store, StoreError, StoreOptions};

/// Opens the store that the configuration names, for a process that runs the tape.
pub(super) async fn open_store(config: &Config) -> Result<Store, StartError> {
    let (url, options) = store_options(config)?;
    Store::open(options).await.map_err(|source| not_opened(url, source))
}

/// A URL without its password, for people.
#[must_use]
pub fn shown_url(url: &str) -> String {
    let parts = url.split_once("://").and_then(|(scheme, rest)| {
        let (who, place) = rest.rsplit_once('@')?;
        Some(format!("{scheme}://{}@{place}", who.split(':').next().unwrap_or_default()))
    });
    parts.unwrap_or_else(|| url.to_owned())
}

/// True where other processes may work on the database that the configuration names.
pub(super) fn is_shared(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// Opens the store that the configuration names, for a command that runs before or beside the process.
///
/// # Errors
/// If the database is of a kind that is not supported, or cannot be opened.
pub async fn open_store_parallel(config: &Config) -> Result<Store, StartError> {
    let (url, options) = store_options(config)?;
    Store::open_parallel(options).await.map_err(|source| not_opened(url, source))
}

fn not_opened(url: String, source: StoreError) -> StartError {
    if matches!(source, StoreError::FilesAway(_)) {
        return StartError::Files(source);
    }
    StartError::Database { url, source }
}

pub(super) fn store_options(config: &Config) -> Result<(String, StoreOptions), StartError> {
    let url = config.database_url();
    if !is_shared(&url) && !url.starts_with("sqlite://") {
        let url = shown_url(&url);
        return Err(StartError::Refused(format!(
            "database.url: expected sqlite://PATH or postgres://USER@HOST/DATABASE, not {url}"
        )));
    }
    let (files, bucket) = files_place(config);
    let (readers, writers) = (config.database.readers, config.database.writers);
    let quotas = quotas(&config.quotas);
    Ok((shown_url(&url), StoreOptions { url, readers, writers, files, bucket, quotas }))
}

/// How much one person may have.
fn quotas(config: &QuotasConfig) -> Quotas {
    let quota = |config: &QuotaConfig| PersonQuota {
        stored_bytes_max: config.stored_bytes_max,
        items_max: config.items_max,
        batches_max: config.batches_max,
        batches_per_minute_max: config.batches_per_minute_max,
    };
    let people = config.people.iter().map(|(name, own)| (name.clone(), quota(own)));
    Quotas { everyone: quota(&config.everyone), people: people.collect() }
}

/// The folder of file contents, and the bucket where they are in one.
fn files_place(config: &Config) -> (PathBuf, Option<BucketOptions>) {
    let files = &config.files;
    let folder = config.server.data.join("files");
    match &files.url {
        None => (folder, None),
        Some(FilesUrl::Folder(path)) => (path.clone(), None),
        Some(FilesUrl::Bucket { name, prefix }) => {
            let addressing = files.addressing.map(|style| match style {
                AddressStyle::Path => Addressing::Path,
                AddressStyle::Host => Addressing::Host,
            });
            let options = BucketOptions {
                bucket: name.clone(),
                prefix: prefix.clone(),
                endpoint: files.endpoint.clone(),
                region: files.region.clone(),
                addressing,
                copies_bytes_max: files.copies_bytes_max,
            };
            (folder, Some(options))
        }
    }
}
