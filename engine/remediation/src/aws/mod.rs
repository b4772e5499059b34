//! The API of AWS: operations as data, requests, signatures, answers.
