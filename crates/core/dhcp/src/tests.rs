//! The server against scripts of messages, and messages as bytes.

mod addresses;
mod answers;
mod messages;
mod options;
mod rfc2131;
mod script;
