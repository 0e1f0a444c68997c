//! Tables of who may come in, and of what they did.

/// Table `logins`: signed-in cookies, by the hash of their id.
pub mod logins {
    use sea_orm::entity::prelude::*;

    /// One row.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "logins")]
    pub struct Model {
        /// SHA-256 of the id, hexadecimal.
        #[sea_orm(primary_key, auto_increment = false)]
        pub hash: String,
        /// Who.
        pub person: String,
        /// The role, where the person is nobody in `people`.
        pub role: Option<String>,
        /// When they signed in, in ms.
        pub created_at: i64,
        /// When it was last used, in ms, to about a minute.
        pub seen_at: i64,
        /// When it ends, whatever happens, in ms.
        pub expires_at: i64,
        /// What the browser says it is.
        pub device: String,
        /// Where it was made from.
        pub address: String,
    }

    /// None: rows are joined by hand where they are.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Table `people`: who may sign in.
pub mod people {
    use sea_orm::entity::prelude::*;

    /// One row.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "people")]
    pub struct Model {
        /// Name to sign in with.
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        /// `viewer`, `operator`, `admin`.
        pub role: String,
        /// Slow hash, as a PHC string.
        pub password_hash: String,
        /// May not come in.
        pub disabled: bool,
        /// When they were added, in ms.
        pub created_at: i64,
        /// How they come in: `password`, `header`, `openid`.
        pub sign_in: String,
        /// When they last came in from outside, in ms by the steady clock, to about a minute; 0 = never.
        pub seen_at: i64,
        /// From where.
        pub seen_from: String,
    }

    /// None: rows are joined by hand where they are.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Table `audit_log`: who did what to what, from where.
pub mod audit_log {
    use sea_orm::entity::prelude::*;

    /// One row.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_log")]
    pub struct Model {
        /// Counts up.
        #[sea_orm(primary_key)]
        pub id: i64,
        /// When, in ms.
        pub at: i64,
        /// Name of the caller; of a refused sign-in the name that was given.
        pub who: String,
        /// By what they came in.
        pub via: String,
        /// From where.
        pub address: String,
        /// What they did: a stable word.
        pub act: String,
        /// To what.
        pub object: String,
        /// What else there is to say.
        pub detail: String,
    }

    /// None: rows are joined by hand where they are.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
