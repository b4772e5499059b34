//! The one integration-test binary of core.
