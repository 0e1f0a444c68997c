//! Items in: from a request to committed blocks.
//!
//! A batch is checked and created (`create`); its items (`upload`) are gathered into blocks (`block_buffer`) and
//! committed (`block_writer`). `settlement` and `settler` finish what a cut request or an absent database left open.

mod block_buffer;
mod block_writer;
mod file_contents;
mod create;
mod settlement;
mod settler;
mod turn;
mod upload;

pub use self::create::IntakeStage;
pub use self::settlement::{ClaimedKey, Empty};
pub use self::settler::Settler;
pub use self::upload::Intake;
