//! Folders of the server whose files may be items.
//!
//! Which there are is the operator's to say; of what is beyond them nothing is told.

use crate::formats::file_sources::folder::{FolderFiles, ServerFolder, folder_page};
use crate::protocol::{ApiError, FolderList, FolderName, FolderPage, InputKind};
use crate::service::{Action, Caller, Service, Target, may};

impl Service {
    /// Folders that there are.
    ///
    /// # Errors
    /// `not_allowed`.
    pub fn folders(&self, caller: &Caller) -> Result<FolderList, ApiError> {
        may(caller, Action::Submit, Target::Installation)?;
        let name = |folder: &ServerFolder| FolderName { name: folder.name.clone() };
        Ok(FolderList { folders: self.parts().folders.iter().map(name).collect() })
    }

    /// Files of a folder after the name `after`, at most `limit`.
    ///
    /// # Errors
    /// `not_allowed`, `not_found`; `invalid` for the pattern; `busy` where the folder cannot be read.
    pub async fn folder_files(
        &self,
        caller: &Caller,
        files: FolderFiles,
        after: String,
        limit: u32,
    ) -> Result<FolderPage, ApiError> {
        may(caller, Action::Submit, Target::Installation)?;
        let folder = self.folder(&files.folder).ok_or_else(|| ApiError::not_found("folder"))?;
        folder_page(folder, files, after, limit).await
    }

    fn folder(&self, name: &str) -> Option<ServerFolder> {
        self.parts().folders.iter().find(|folder| folder.name == name).cloned()
    }

    /// The folder of `files`, for a batch of a task that takes `input`.
    pub(super) fn item_folder(
        &self,
        files: &FolderFiles,
        input: InputKind,
    ) -> Result<ServerFolder, ApiError> {
        if input != InputKind::File {
            return Err(ApiError::invalid(
                "This task takes no files: those of a folder are none of its items.",
            ));
        }
        self.folder(&files.folder).ok_or_else(|| {
            let known: Vec<&str> = self.parts().folders.iter().map(|folder| folder.name.as_str()).collect();
            let known = if known.is_empty() { "none is allowed here".to_owned() } else { known.join(", ") };
            ApiError::invalid(format!("folder: there is none named {:?} ({known}).", files.folder))
        })
    }
}
