//! `[files]`: where the contents of files are.

use std::path::PathBuf;

use url::Url;

/// `[files]`: where contents are. Keys of a bucket come from the environment alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesConfig {
    /// `s3://BUCKET` or `s3://BUCKET/PREFIX`, or `file:///PATH`. By default `files` in the data folder.
    pub url: Option<FilesUrl>,
    /// Address of the server of a bucket, `https://…` or `http://…`. By default `AWS_ENDPOINT_URL_S3` or
    /// `AWS_ENDPOINT_URL`, else Amazon's.
    pub endpoint: Option<String>,
    /// Region of a bucket. By default `AWS_REGION`, else `us-east-1`.
    pub region: Option<String>,
    /// Where the name of a bucket stands in an address: `path` or `host`. By default as the environment says, else `path`.
    pub addressing: Option<AddressStyle>,
    /// Bytes of copies on this machine at once, of contents of a bucket that items are working on, 1,048,576 to 2^53.
    /// 17,179,869,184 (16 GiB). Beyond it items wait for those before them; a larger file is copied alone.
    pub copies_bytes_max: u64,
}

impl Default for FilesConfig {
    fn default() -> Self {
        Self {
            url: None,
            endpoint: None,
            region: None,
            addressing: None,
            copies_bytes_max: 16 * 1024 * 1024 * 1024,
        }
    }
}

/// Where the name of a bucket stands in an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressStyle {
    /// `https://server/bucket/key`, which every server takes.
    Path,
    /// `https://bucket.server/key`
    Host,
}

/// Where contents are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilesUrl {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket, and what precedes every key, which may be empty.
    Bucket {
        /// Its name.
        name: String,
        /// Without slashes at its ends.
        prefix: String,
    },
}

impl FilesUrl {
    /// None where it is neither.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        match url.scheme() {
            "file" => url.to_file_path().ok().filter(|_| plain).map(Self::Folder),
            "s3" if plain && url.port().is_none() && url.password().is_none() => {
                let name = url.host_str()?.to_owned();
                Some(Self::Bucket { name, prefix: url.path().trim_matches('/').to_owned() })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let bucket = |name: &str, prefix: &str| {
            Some(FilesUrl::Bucket { name: name.to_owned(), prefix: prefix.to_owned() })
        };
        assert_eq!(FilesUrl::parse("s3://a.b-c"), bucket("a.b-c", ""));
        assert_eq!(FilesUrl::parse("s3://b/x/y/"), bucket("b", "x/y"));
        assert_eq!(FilesUrl::parse("file:///var/x%20y"), Some(FilesUrl::Folder("/var/x y".into())));
        for none in
            ["", "b", "s3://", "s3:///x", "gs://b", "file://host/x", "s3://k:s@b", "s3://b?x=1", "s3://b:9"]
        {
            assert_eq!(FilesUrl::parse(none), None, "{none}");
        }
    }
}
