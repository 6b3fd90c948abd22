//! The rules of the protocol, one sentence each. No sockets and no clock: time is what the test says.

mod blame;
mod delta;
mod order;
mod property;
mod refusals;
mod standing;
mod support;
mod world;
