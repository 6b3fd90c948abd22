use netlink_packet_core::{DoneMessage, ErrorMessage};
use netlink_packet_route::rule::{RuleAttribute, RuleMessage};

use super::*;

fn rule(priority: u32) -> RouteNetlinkMessage {
    let mut rule = RuleMessage::default();
    rule.attributes.push(RuleAttribute::Priority(priority));
    RouteNetlinkMessage::NewRule(rule)
}

fn bytes(payload: NetlinkPayload<RouteNetlinkMessage>) -> Vec<u8> {
    let mut message = NetlinkMessage::new(NetlinkHeader::default(), payload);
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn done(code: i32) -> Vec<u8> {
    let mut done = DoneMessage::default();
    done.code = code;
    bytes(NetlinkPayload::Done(done))
}

fn read(datagram: &[u8]) -> io::Result<(bool, Vec<RouteNetlinkMessage>)> {
    let mut answers = Vec::new();
    let more = read_datagram(datagram, &mut answers)?;
    Ok((more, answers))
}

#[test]
fn a_list_goes_on_until_the_kernel_says_that_it_is_done() {
    let first = [encode(rule(1), 0), encode(rule(2), 0)].concat();
    assert_eq!(read(&first).unwrap(), (true, vec![rule(1), rule(2)]));
    let last = [encode(rule(3), 0), done(0)].concat();
    assert_eq!(read(&last).unwrap(), (false, vec![rule(3)]));
}

#[test]
fn a_list_that_was_broken_off_is_an_error() {
    let error = read(&done(-(Errno::EINTR as i32))).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::EINTR as i32));
}

#[test]
fn an_acknowledgement_ends_the_answer_and_a_refusal_is_an_error() {
    let ack = bytes(NetlinkPayload::Error(ErrorMessage::default()));
    assert_eq!(read(&ack).unwrap(), (false, vec![]));
    let mut refusal = ErrorMessage::default();
    refusal.code = std::num::NonZeroI32::new(-(Errno::EEXIST as i32));
    let error = read(&bytes(NetlinkPayload::Error(refusal))).unwrap_err();
    assert!(NetlinkError::from(error).is(Errno::EEXIST));
}

#[test]
fn what_cannot_be_read_is_left_out_and_the_rest_is_read() {
    let mut strange = encode(rule(1), 0);
    // A type that nobody has heard of.
    strange[4..6].copy_from_slice(&999u16.to_ne_bytes());
    let datagram = [strange, encode(rule(2), 0)].concat();
    assert_eq!(read(&datagram).unwrap(), (true, vec![rule(2)]));
}

#[test]
fn a_message_that_is_cut_off_is_an_error() {
    let whole = encode(rule(1), 0);
    assert!(read(&whole[..whole.len() - 1]).is_err());
    assert!(read(&whole[..3]).is_err());
    let mut endless = whole;
    endless[..4].copy_from_slice(&0u32.to_ne_bytes());
    assert!(read(&endless).is_err());
}
