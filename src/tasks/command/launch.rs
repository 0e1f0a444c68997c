//! How a task's processes are started: what they find in their environment, and what the system holds them to.
//!
//! Limits of the system have to be set by the process itself, before it becomes the program: where a task has some, this
//! executable is started with [`LIMITED`] as its first argument, sets them, and becomes the program.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access, access};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::left_behind::{Mark, Origin};
use super::output::{Mask, OutputLimits};
use super::{Declaration, Secret};

/// Variables that every process gets, where they are set.
pub(super) const ENVIRONMENT: [&str; 8] =
    ["PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "USER"];
/// First argument of this executable that is to set limits and become another program.
const LIMITED: &str = "exec-with-limits";
/// This executable, whatever became of its file.
const THIS_EXECUTABLE: &str = "/proc/self/exe";
/// Where programs are looked for without a `PATH`.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Exit code of one that could not become the program, as shells have it.
const NOT_STARTED: u8 = 127;

/// What the system holds the processes of a task to. Each is none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Bytes of address space of each process (`RLIMIT_AS`).
    pub memory_bytes_max: Option<u64>,
    /// Bytes of a file that is written (`RLIMIT_FSIZE`).
    pub file_bytes_max: Option<u64>,
    /// Processes and threads of the server's user, all told (`RLIMIT_NPROC`); root is not held to it.
    pub processes_max: Option<u64>,
}

impl ProcessLimits {
    fn by_resource(self) -> [(Resource, Option<u64>); 3] {
        [
            (Resource::As, self.memory_bytes_max),
            (Resource::Fsize, self.file_bytes_max),
            (Resource::Nproc, self.processes_max),
        ]
    }

    fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// How processes of a task are started.
pub(super) struct Launch {
    environment: BTreeMap<OsString, OsString>,
    limits: ProcessLimits,
    pub output: OutputLimits,
    pub mask: Arc<Mask>,
    origin: Arc<Origin>,
}

impl Launch {
    /// With the variables that are always handed on, and what `declaration` adds.
    pub fn new(declaration: &Declaration, origin: &Arc<Origin>) -> Self {
        let Declaration { env, secrets, process_limits, output_limits, .. } = declaration;
        let names = ENVIRONMENT.into_iter().chain(env.iter().map(String::as_str));
        let mut environment: BTreeMap<OsString, OsString> =
            names.filter_map(|name| Some((name.into(), std::env::var_os(name)?))).collect();
        environment.extend(secrets.iter().map(|(name, Secret(value))| (name.into(), value.into())));
        let mask = Arc::new(Mask::new(secrets.values().map(|Secret(value)| value.as_str())));
        let (limits, output) = (*process_limits, *output_limits);
        Self { environment, limits, output, mask, origin: Arc::clone(origin) }
    }

    /// A command that runs `argv`, and the mark that it carries.
    ///
    /// # Errors
    /// Where there is no such program.
    pub fn command(&self, argv: &[OsString]) -> io::Result<(std::process::Command, Mark)> {
        let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        // With its path known, and nothing to be done between the two, it is started without a copy of this process.
        let path = self.find(program)?;
        let mut command = if self.limits.is_none() {
            let mut command = std::process::Command::new(path);
            command.arg0(program);
            command
        } else {
            let mut command = std::process::Command::new(THIS_EXECUTABLE);
            command.arg(LIMITED);
            for (_resource, limit) in self.limits.by_resource() {
                command.arg(limit.map_or_else(|| "-".to_owned(), |limit| limit.to_string()));
            }
            command.arg(path).arg(program);
            command
        };
        let mark = self.origin.mark();
        let (name, value) = mark.variable();
        command.args(arguments).env_clear().envs(&self.environment).env(name, value).process_group(0);
        Ok((command, mark))
    }

    /// Of a task that declares nothing.
    #[cfg(test)]
    pub fn plain() -> Self {
        let (environment, mask) = (BTreeMap::new(), Arc::default());
        let mut launch = Self {
            environment,
            limits: ProcessLimits::default(),
            output: OutputLimits::default(),
            mask,
            origin: Arc::new(Origin::new(Path::new("/nowhere"))),
        };
        let usual = ENVIRONMENT.iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?)));
        launch.environment.extend(usual);
        launch
    }

    /// Where `program` is, as shells look for it.
    fn find(&self, program: &OsStr) -> io::Result<PathBuf> {
        if program.as_bytes().contains(&b'/') {
            return Ok(program.into());
        }
        let path = self.environment.get(OsStr::new("PATH")).map_or(OsStr::new(PATH), OsString::as_os_str);
        std::env::split_paths(path)
            .map(|folder| folder.join(program))
            .find(|path| access(path, Access::EXEC_OK).is_ok() && !path.is_dir())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Sets limits and becomes another program, where this executable was started for that: `exec-with-limits MEMORY FILE
/// PROCESSES PATH NAME ARGUMENT…`. Comes back with an exit code where it could not, and with none where nothing of the
/// kind was asked.
#[must_use]
pub fn become_limited() -> Option<u8> {
    let mut words = std::env::args_os().skip(1);
    if words.next()? != LIMITED {
        return None;
    }
    let mut limits = [None; 3];
    for limit in &mut limits {
        *limit = words.next().and_then(|word| word.to_str()?.parse().ok());
    }
    let [memory_bytes_max, file_bytes_max, processes_max] = limits;
    let limits = ProcessLimits { memory_bytes_max, file_bytes_max, processes_max };
    let path = words.next()?;
    let mut command = std::process::Command::new(Path::new(&path));
    command.arg0(words.next()?).args(words);
    for (resource, limit) in limits.by_resource() {
        let Some(limit) = limit else { continue };
        let wanted = Rlimit { current: Some(limit), maximum: Some(limit) };
        if let Err(fault) = setrlimit(resource, wanted) {
            eprintln!("the limit {resource:?} of {limit} cannot be set: {fault}");
            return Some(NOT_STARTED);
        }
    }
    let fault = command.exec();
    eprintln!("the program {} cannot be started: {fault}", path.display());
    Some(NOT_STARTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_shells_find_them() {
        let launch = Launch::plain();
        assert!(launch.find(OsStr::new("sh")).unwrap().is_absolute());
        assert_eq!(launch.find(OsStr::new("./x")).unwrap(), Path::new("./x"));
        assert_eq!(launch.find(OsStr::new("no-such-program")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
