//! File formats, one module for each version. Wire types are strings and options; the checked values they
//! become are in [`crate::site`].

pub mod v1alpha1;
