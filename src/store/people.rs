//! People, logins and tokens: rows only, hashes only.
//!
//! Stub.
