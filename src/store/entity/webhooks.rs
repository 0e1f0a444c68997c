//! Tables of messages about the ends of batches.

/// Table `deliveries`: one message each.
pub mod deliveries {
    use sea_orm::entity::prelude::*;

    /// One row.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "deliveries")]
    pub struct Model {
        /// Counts up.
        #[sea_orm(primary_key)]
        pub id: i64,
        /// Public id: batch and finish.
        pub message: String,
        /// Public id of the batch, which may be gone.
        pub batch: String,
        /// Who the batch belongs to.
        pub owner: String,
        /// Where it goes.
        pub url: String,
        /// What is sent.
        pub payload: String,
        /// `waiting`, `delivered`, `failed`.
        pub state: String,
        /// Times it was sent.
        pub attempts: i64,
        /// Of these, since it was last asked for.
        pub tries: i64,
        /// When it is to be sent next, in ms of the steady clock; none where it is not.
        pub due: Option<i64>,
        /// Somebody sends it; until `due` nobody else does.
        pub claimed: bool,
        /// When the batch ended, in ms.
        pub created_at: i64,
        /// When it was delivered or given up, in ms.
        pub ended_at: Option<i64>,
        /// Status of the last answer.
        pub status: Option<i64>,
        /// Why the last attempt failed.
        pub error: Option<String>,
    }

    /// None: rows are joined by hand where they are.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Table `delivery_attempts`: one try each.
pub mod delivery_attempts {
    use sea_orm::entity::prelude::*;

    /// One row.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "delivery_attempts")]
    pub struct Model {
        /// Of which delivery.
        #[sea_orm(primary_key, auto_increment = false)]
        pub delivery: i64,
        /// Counts from 1.
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i64,
        /// When it began, in ms.
        pub started_at: i64,
        /// How long it took.
        pub ms: i64,
        /// Status of the answer.
        pub status: Option<i64>,
        /// Why it failed.
        pub error: Option<String>,
        /// Beginning of the answer.
        pub answer: Option<String>,
    }

    /// None: rows are joined by hand where they are.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Table `webhook_secrets`: what the messages of each person are signed with.
pub mod webhook_secrets {
    use sea_orm::entity::prelude::*;

    /// One row.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "webhook_secrets")]
    pub struct Model {
        /// Whose.
        #[sea_orm(primary_key, auto_increment = false)]
        pub owner: String,
        /// `whsec_…`
        pub secret: String,
        /// The one before.
        pub previous: Option<String>,
        /// Until when messages are signed with that one too, in ms of the steady clock.
        pub previous_until: Option<i64>,
    }

    /// None: rows are joined by hand where they are.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
