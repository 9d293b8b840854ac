//! Load for the services of a bastion, from inside of a namespace, and what came of it.

pub mod load;
