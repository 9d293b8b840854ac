//! Backends in a world whose time is a number, and the slots that lead to them.

mod balancer;
mod health;
mod services;
mod slots;
mod world;
