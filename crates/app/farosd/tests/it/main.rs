//! The real `farosd`, each time in a network and with a state folder of its own.

mod apply;
mod files;
mod join;
mod kill;
mod log;
mod names;
mod netboot;
mod router;
mod seal;
mod sockets;
mod start;
mod steps;
mod story;
mod strangers;
mod telling;
mod window;
mod world;
