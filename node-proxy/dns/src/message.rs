//! Putting DNS messages together.

use std::net::IpAddr;

use hickory_proto::{
    ProtoError,
    op::{Edns, Message, MessageType, OpCode, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, PTR, SOA, SRV, TXT},
    },
};

use crate::Zone;

/// Seconds an answer may be kept: CoreDNS's default for Kubernetes.
const TTL: u32 = 5;
/// What we say we take by UDP (RFC 9715 recommends at most 1,400).
const OUR_PAYLOAD: u16 = 1232;

/// An empty answer to a query: same id, question and EDNS presence.
pub(crate) fn response_to(query: &Message) -> Message {
    let mut response = Message::response(query.metadata.id, query.metadata.op_code);
    response.metadata.message_type = MessageType::Response;
    response.metadata.authoritative = true;
    response.metadata.recursion_desired = query.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.add_queries(query.queries.iter().cloned());
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(OUR_PAYLOAD);
        response.set_edns(edns);
    }
    response
}

/// An answer that is only a code.
pub(crate) fn error(query: &Message, code: ResponseCode) -> Message {
    let mut response = response_to(query);
    response.metadata.authoritative = false;
    response.metadata.response_code = code;
    response
}

/// An answer to bytes that are no DNS message, if at least their id can be read.
pub(crate) fn format_error(bytes: &[u8]) -> Option<Message> {
    let id = u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]);
    let is_query = bytes.get(2)? & 0x80 == 0;
    is_query.then(|| Message::error_msg(id, OpCode::Query, ResponseCode::FormErr))
}

/// No such name, or no such type at that name: with the zone's SOA, so that the answer can be kept (RFC 2308).
pub(crate) fn negative(query: &Message, zone: &Zone, code: ResponseCode) -> Message {
    let mut response = response_to(query);
    response.metadata.response_code = code;
    if let Ok(soa) = soa(zone) {
        response.add_authority(soa);
    }
    response
}

fn soa(zone: &Zone) -> Result<Record, ProtoError> {
    let apex = Name::from_ascii(format!("{}.", zone.as_str()))?;
    let server = Name::from_ascii(format!("ns.dns.{}.", zone.as_str()))?;
    let mail = Name::from_ascii(format!("hostmaster.{}.", zone.as_str()))?;
    let data = SOA::new(server, mail, 1, 7200, 1800, 86_400, TTL);
    Ok(Record::from_rdata(apex, TTL, RData::SOA(data)))
}

/// Address records of the asked family; none: the name exists without such an address.
pub(crate) fn address_records(name: &Name, kind: RecordType, addresses: &[IpAddr]) -> Vec<Record> {
    addresses
        .iter()
        .filter_map(|address| match (address, kind) {
            (IpAddr::V4(v4), RecordType::A | RecordType::ANY) => Some(RData::A(A(*v4))),
            (IpAddr::V6(v6), RecordType::AAAA | RecordType::ANY) => Some(RData::AAAA(AAAA(*v6))),
            _ => None,
        })
        .map(|data| Record::from_rdata(name.clone(), TTL, data))
        .collect()
}

pub(crate) fn cname_record(name: &Name, target: &str) -> Result<Record, ProtoError> {
    let target = Name::from_ascii(format!("{target}."))?;
    Ok(Record::from_rdata(
        name.clone(),
        TTL,
        RData::CNAME(CNAME(target)),
    ))
}

pub(crate) fn srv_record(name: &Name, target: &str, port: u16) -> Result<Record, ProtoError> {
    let target = Name::from_ascii(format!("{target}."))?;
    // Priority and weight as CoreDNS gives them: equal among all.
    Ok(Record::from_rdata(
        name.clone(),
        TTL,
        RData::SRV(SRV::new(0, 100, port, target)),
    ))
}

pub(crate) fn ptr_record(name: &Name, target: &str) -> Result<Record, ProtoError> {
    let target = Name::from_ascii(format!("{target}."))?;
    Ok(Record::from_rdata(
        name.clone(),
        TTL,
        RData::PTR(PTR(target)),
    ))
}

pub(crate) fn txt_record(name: &Name, text: &str) -> Record {
    let data = TXT::new(vec![text.to_owned()]);
    Record::from_rdata(name.clone(), TTL, RData::TXT(data))
}

/// Encodes for UDP: what does not fit is cut to an empty answer with the TC bit, and the client comes again by TCP
/// (RFC 1035 section 4.2.1, RFC 6891 section 6.2.5).
pub(crate) fn encode_for_udp(query: &Message, response: &Message) -> Result<Vec<u8>, ProtoError> {
    let limit = query
        .edns
        .as_ref()
        .map_or(512, |edns| usize::from(edns.max_payload().max(512)));
    let bytes = response.to_vec()?;
    if bytes.len() <= limit {
        return Ok(bytes);
    }
    let mut cut = response.clone();
    cut.answers.clear();
    cut.authorities.clear();
    cut.additionals.clear();
    cut.metadata.truncation = true;
    cut.to_vec()
}
