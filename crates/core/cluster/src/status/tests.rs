//! A small cluster that comes to be and breaks.

mod coming_up;
mod ill;
mod world;
