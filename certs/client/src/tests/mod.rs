mod authority;
mod grpc;
mod handshake;
mod renewal;
mod schedule;
