//! The ways in, one's own account, and what admins see of people.

mod account;
mod audit;
mod first;
mod login;
mod password;
mod people;

pub use account::AccountPage;
pub use audit::AuditLogPage;
pub use first::FirstPage;
pub use login::LoginPage;
pub use password::PasswordPage;
pub use people::PeoplePage;
