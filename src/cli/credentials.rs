//! The file of tokens that `login` writes: one per server, for this user alone.
//!
//! `$XDG_CONFIG_HOME/milepost/credentials.toml`, by default below `~/.config`; the file has mode 600 and its folder 700. A
//! file that others may read is refused. It is replaced as a whole, so that a full disk leaves the old one.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::PathBuf;

use super::CliError;

/// What others may do with a file: nothing.
const OTHERS: u32 = 0o077;

/// Tokens by address of the server.
type Tokens = BTreeMap<String, String>;

/// Where the tokens of this user are.
pub(in crate::cli) struct CredentialsFile {
    path: PathBuf,
}

impl CredentialsFile {
    /// That of the user who runs this.
    ///
    /// # Errors
    /// Where the environment names no home.
    pub(in crate::cli) fn of_user() -> Result<Self, CliError> {
        let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let config = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
        let config = config.ok_or_else(|| {
            CliError::Credentials(
                "neither MILEPOST_TOKEN, nor XDG_CONFIG_HOME or HOME is set: there is no place to look for a token"
                    .to_owned(),
            )
        })?;
        Ok(Self { path: config.join("milepost").join("credentials.toml") })
    }

    /// Where it is.
    pub(in crate::cli) fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// The token for a server, if there is one.
    ///
    /// # Errors
    /// Where the file is not for this user alone, or cannot be read.
    pub(in crate::cli) fn token(&self, server: &str) -> Result<Option<String>, CliError> {
        Ok(self.read()?.remove(server))
    }

    /// Notes the token for a server.
    ///
    /// # Errors
    /// As [`CredentialsFile::token`], and where it cannot be written: nothing has changed then.
    pub(in crate::cli) fn insert(&self, server: &str, token: &str) -> Result<(), CliError> {
        let mut tokens = self.read()?;
        tokens.insert(server.to_owned(), token.to_owned());
        self.write(&tokens)
    }

    /// Takes the token for a server away; false if there was none.
    ///
    /// # Errors
    /// As [`CredentialsFile::insert`].
    pub(in crate::cli) fn remove(&self, server: &str) -> Result<bool, CliError> {
        let mut tokens = self.read()?;
        let removed = tokens.remove(server).is_some();
        if removed {
            self.write(&tokens)?;
        }
        Ok(removed)
    }

    fn read(&self) -> Result<Tokens, CliError> {
        let mode = match fs::metadata(&self.path) {
            Ok(facts) => facts.permissions().mode(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Tokens::new()),
            Err(error) => return Err(self.unusable(&error.to_string())),
        };
        if mode & OTHERS != 0 {
            let path = self.path();
            return Err(self.unusable(&format!("others may read it; `chmod 600 {path}` ends that")));
        }
        let text = fs::read_to_string(&self.path).map_err(|error| self.unusable(&error.to_string()))?;
        // The parser's own words would show the line, which may hold a token.
        toml::from_str(&text).map_err(|_fault| self.unusable("it is not lines of \"server\" = \"token\""))
    }

    fn write(&self, tokens: &Tokens) -> Result<(), CliError> {
        let unwritten = |error: std::io::Error| self.unusable(&error.to_string());
        let folder = self.path.parent().expect("the path was joined of three");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unwritten)?;
        let text = toml::to_string(tokens).map_err(|fault| self.unusable(&fault.to_string()))?;
        // Made with mode 600 by the library.
        let mut draft = tempfile::NamedTempFile::new_in(folder).map_err(unwritten)?;
        draft.write_all(text.as_bytes()).map_err(unwritten)?;
        draft.as_file().sync_all().map_err(unwritten)?;
        draft.persist(&self.path).map_err(|error| unwritten(error.error))?;
        Ok(())
    }

    fn unusable(&self, why: &str) -> CliError {
        CliError::Credentials(format!("{} cannot be used: {why}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_kept_for_the_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = CredentialsFile { path: folder.path().join("a/milepost/credentials.toml") };
        assert_eq!(file.token("http://m").unwrap(), None);
        file.insert("http://m", "mp_one").unwrap();
        file.insert("http://n:8080", "mp_two").unwrap();
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file.path), mode(file.path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(file.token("http://m").unwrap().as_deref(), Some("mp_one"));
        assert!(file.remove("http://m").unwrap());
        assert!(!file.remove("http://m").unwrap());
        assert_eq!(file.token("http://n:8080").unwrap().as_deref(), Some("mp_two"));
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let file = CredentialsFile { path: folder.path().join("credentials.toml") };
        fs::write(&file.path, "\"http://m\" = \"mp_secret\"").unwrap();
        fs::set_permissions(&file.path, fs::Permissions::from_mode(0o640)).unwrap();
        let words = file.token("http://m").unwrap_err().to_string();
        assert!(words.contains("chmod 600") && !words.contains("mp_secret"), "{words}");
        fs::set_permissions(&file.path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&file.path, "mp_secret = = x").unwrap();
        let words = file.token("http://m").unwrap_err().to_string();
        assert!(!words.contains("mp_secret"), "{words}");
    }
}
