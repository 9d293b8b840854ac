//! The server against scripts of messages, and messages as bytes.

mod addresses;
mod answers;
mod messages;
mod rfc2131;
mod script;
