//! The one integration-test binary of core.

mod cel_front;
mod shipped_rules;
