//! Bytes of a text, as they come: of a file or of standard input.
//!
//! Read on a thread of its own, at most a few buffers ahead, so that a slow pipe keeps nobody from sending what has come.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use encoding_rs::Encoding;
use encoding_rs_io::DecodeReaderBytesBuilder;
use tokio::sync::mpsc;

use crate::cli::CliError;

/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;
/// Buffers read ahead; the thread waits beyond.
const AHEAD_MAX: usize = 4;

/// A text that is being read.
pub(super) struct InputText {
    name: String,
    buffers: mpsc::Receiver<io::Result<Vec<u8>>>,
}

/// An encoding by its name, as browsers know them.
///
/// # Errors
/// What was expected.
pub(super) fn encoding(name: &str) -> Result<&'static Encoding, String> {
    Encoding::for_label(name.as_bytes())
        .ok_or_else(|| "expected the name of an encoding, like utf-8, utf-16le or windows-1252".to_owned())
}

impl InputText {
    /// Opens `path`, where `-` is standard input, and begins to read. A byte order mark decides how it is encoded, then
    /// `encoding`; without either it is UTF-8, and passed on as it is.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(super) fn open(path: &Path, encoding: Option<&'static Encoding>) -> Result<Self, CliError> {
        let name = path.display().to_string();
        let reader: Box<dyn Read + Send> = if path.as_os_str() == "-" {
            Box::new(io::stdin())
        } else {
            if path.is_dir() {
                return Err(unreadable(&name, &io::Error::from(io::ErrorKind::IsADirectory)));
            }
            Box::new(File::open(path).map_err(|error| unreadable(&name, &error))?)
        };
        let (sender, buffers) = mpsc::channel(AHEAD_MAX);
        // Ends with its receiver, or with the process: standard input cannot be told to stop.
        std::thread::spawn(move || read(reader, encoding, &sender));
        Ok(Self { name, buffers })
    }

    /// The next bytes, UTF-8 if the text is what it claims to be; none at the end. Cancel-safe.
    ///
    /// # Errors
    /// Where it cannot be read on.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, CliError> {
        self.buffers.recv().await.transpose().map_err(|error| unreadable(&self.name, &error))
    }
}

fn read(
    reader: Box<dyn Read + Send>,
    encoding: Option<&'static Encoding>,
    sender: &mpsc::Sender<io::Result<Vec<u8>>>,
) {
    let mut reader = DecodeReaderBytesBuilder::new()
        .encoding(encoding)
        .bom_sniffing(true)
        .strip_bom(true)
        .utf8_passthru(true)
        .build(reader);
    loop {
        let mut buffer = vec![0; READ_BYTES];
        let read = match reader.read(&mut buffer) {
            Ok(0) => return,
            Ok(bytes) => {
                buffer.truncate(bytes);
                Ok(buffer)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let ends = read.is_err();
        if sender.blocking_send(read).is_err() || ends {
            return;
        }
    }
}

fn unreadable(name: &str, error: &io::Error) -> CliError {
    CliError::Argument(format!("{name} cannot be read: {error}"))
}
