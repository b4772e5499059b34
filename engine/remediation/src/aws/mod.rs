//! The API of AWS: operations as data, requests, signatures, answers.
//!
//! Values in, values out: nothing here opens a socket, reads a file or looks at a clock, so the whole wire is tested
//! without a network. [`operation`](operation()) finds what is known of an operation, [`encode`](encode()) writes a request
//! down, [`endpoint`](endpoint()) says where it goes, [`sign`](sign()) signs it, and [`decode`](decode()) reads the answer.
//! What an operation takes and answers stands in `tables/`, which a program makes from the API's own models: 150
//! kilobytes of text instead of sixteen generated crates.

mod credentials;
mod decode;
mod encode;
mod endpoint;
mod escape;
mod operation;
mod page;
mod session;
mod sign;
mod table;
mod xml;

pub use credentials::{
    Assumed, CredentialsFault, Fetched, Provider, from_assumed_role, from_metadata, from_profile,
    providers,
};
pub use decode::{BODY_BYTES_MAX, DecodeFault, Decoded, Retry, decode};
pub use encode::{EncodeFault, Request, encode};
pub use endpoint::{Endpoint, EndpointFault, Partition, endpoint};
pub use operation::{Operation, Protocol, Service, operation, operations};
pub use page::{join_page, next_page};
pub use session::{PolicyFault, acted_on, session_name, session_policy};
pub use sign::{Credentials, sign};
