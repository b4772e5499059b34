//! The one integration-test binary of core.

mod cel_front;
mod floors;
mod index_agrees;
mod shipped_rules;
