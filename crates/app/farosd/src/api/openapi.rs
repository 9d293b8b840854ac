//! The OpenAPI 3.1 document.
//!
//! It is checked in as text, and served so. The tests make it anew, and see that the text says the same: what makes
//! schemas of types is code that the daemon then does not have in its memory.

use schemars::JsonSchema;

/// The document.
pub(crate) const DOCUMENT: &str = include_str!("../../../../../docs/openapi.json");

/// The type of a body.
pub(crate) struct Shape {
    #[cfg(test)]
    schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
}

impl Shape {
    #[cfg_attr(
        not(test),
        expect(
            clippy::extra_unused_type_parameters,
            reason = "the type matters where the document is made"
        )
    )]
    pub(crate) const fn of<T: JsonSchema>() -> Self {
        Self {
            #[cfg(test)]
            schema: schemars::SchemaGenerator::subschema_for::<T>,
        }
    }
}

#[cfg(test)]
mod tests;
