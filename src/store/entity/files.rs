//! Tables `files`, the files that came in or were left by items, and `uploads`, those that come in pieces until a batch has taken
//! them.
//!
//! Read and written by the store only, by the statements of its acts. Holds no logic: what a value means is said
//! where records are made of rows.

use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "files")]
pub struct Model {
    /// Which row.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Of which batch.
    pub batch: i64,
    /// Of which item.
    pub seq: i64,
    /// `input` or `output`.
    pub side: String,
    /// Key in the file store.
    pub key: String,
    /// Name as given.
    pub name: String,
    /// Size.
    pub bytes: i64,
    /// Media type by content.
    pub media_type: String,
    /// Hash of the content.
    pub blake3: String,
}

/// None: rows are joined by hand where they are.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Table `uploads`.
pub mod uploads {
    use sea_orm::entity::prelude::*;

    /// One row.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "uploads")]
    pub struct Model {
        /// Which upload.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        /// Who sends it; empty once it is being removed.
        pub owner: String,
        /// Name of the file.
        pub name: String,
        /// Size that was announced.
        pub bytes: i64,
        /// Bytes that came so far, and survive.
        pub received: i64,
        /// Key in the file store.
        pub key: String,
        /// What the file store is to be told of the pieces so far.
        pub parts: Option<String>,
        /// Who may add to it: whoever has written this last.
        pub writer: String,
        /// Hash of the content, once it is whole.
        pub blake3: Option<String>,
        /// Media type by content, once it is whole.
        pub media_type: Option<String>,
        /// Which request is making a batch of it, if one is.
        pub claim: Option<String>,
        /// When a byte came last, by the steady clock.
        pub touched: i64,
    }

    /// None: rows are joined by hand where they are.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
