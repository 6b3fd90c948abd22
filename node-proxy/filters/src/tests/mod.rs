//! The request path against scripted upstreams and applications in memory: no socket, no privilege, and a clock that the
//! tests move.

mod inbound;
mod outbound;
mod pieces;
mod tries;
mod world;
