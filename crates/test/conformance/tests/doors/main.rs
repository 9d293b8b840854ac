//! The programs as people and scripts use them: what they say, how they end, and what is left after them.

mod demo;
mod farosctl;
mod lab;
mod machine;
