//! `curl`, `openssl`, Python and `nft` around a real farosd: who answers behind the virtual IPs, and what becomes of
//! connections when servers, farosd or the rules go away.

mod address;
mod connections;
mod leading;
mod rendered;
mod world;
