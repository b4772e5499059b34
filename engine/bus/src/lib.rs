//! Buses: where records come from, in order, and stay until nobody needs them.
