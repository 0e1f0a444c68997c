//! What work is: the trait that a task implements, the registry, and the tasks that come with Milepost.
//!
//! ```text
//! task      one trait, typed parameters     registry  name → task, built once at start
//! context   what a running item may use     checksum, image, csv_check, demo   one file each
//! command   tasks that are the operator's own processes, as declared
//! ```
//!
//! A task sees neither the database nor a socket: an item comes in, a result goes out.

pub mod checksum;
pub mod command;
pub mod context;
pub mod csv_check;
pub mod demo;
pub mod image;
mod erased;
pub mod registry;
pub mod task;

pub use command::{Declaration, Invocation, Misdeclared, OutputLimits, ProcessLimits, Secret};
pub use context::{LogLevel, TaskContext, Witness, WorkCell};
pub use registry::{Redeclared, Registry};
pub use task::{Again, GuessedColumn, Item, ItemInput, Prepared, Task, TaskError};

/// The tasks that come with Milepost, in the order in which they are offered.
#[must_use]
pub fn built_in() -> Registry {
    Registry::default()
        .with(checksum::Checksum)
        .with(image::Image::default())
        .with(csv_check::CsvCheck)
        .with(demo::Demo)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Json;

    #[test]
    fn every_parameter_can_be_a_field_of_a_form() {
        let registry = built_in();
        for info in registry.infos() {
            let schema = info.params.to_value();
            assert_eq!(schema["additionalProperties"], false, "{}", info.name);
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                for word in ["title", "description"] {
                    assert!(field[word].is_string(), "{}.{name} has a {word}: {field}", info.name);
                }
                assert!(field["$ref"].is_null() && !field["type"].is_null(), "{}.{name}: {field}", info.name);
                assert!(!field["default"].is_null() || info.name == "image", "{}.{name}: {field}", info.name);
            }
            let (_params, ready) =
                registry.prepare(&info.name, &Json::default()).expect("listed").expect("ready");
            let is_idle = ["csv-check", "image"].contains(&info.name.as_str());
            assert_eq!(ready.idle().is_some(), is_idle, "{}", info.name);
        }
        assert_eq!(registry.infos().len(), 4);
    }
}
