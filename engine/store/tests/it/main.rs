//! Tests of the stores through their trait.

mod conformance;
mod damage;
mod killed;
mod shared;
mod together;
