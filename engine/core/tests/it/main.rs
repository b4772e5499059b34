//! The one integration-test binary of core.

mod shipped_rules;
