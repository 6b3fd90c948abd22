mod balance;
mod bytes;
mod form;
mod requests;
mod servers;
mod tunnels;
mod world;
