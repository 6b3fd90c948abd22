//! A response as a gRPC message: a prefix, what is the stream's own, and its resources.
//!
//! Sources: gRPC over HTTP/2 (`PROTOCOL-HTTP2.md`, "Length-Prefixed-Message"); protobuf.dev, "Encoding" (a field that is a message is its length and
//! its bytes, and fields may stand in any order).

use std::sync::Arc;

use bytes::{BufMut, Bytes};
use heddle_snapshot::Resource;
use tonic::Status;

use crate::{
    blocks::{self, Blocks},
    session::Variant,
};

/// A flag that says "not compressed", and the length.
const PREFIX: usize = 5;

/// From here on resources are not copied for each stream: a frame of HTTP/2 is no larger, and below there is one write less.
const WORTH_SHARING: usize = 16 << 10;

/// A message on its way, in one piece or in two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// In a buffer of exactly its size.
    pub(super) begin: Bytes,
    /// What others may be sent as well.
    pub(super) rest: Option<Bytes>,
}

impl Message {
    /// Of what is the stream's own in a response, and of its resources.
    pub(super) fn new(
        own: &impl prost::Message,
        (variant, resources): (Variant, &[Arc<Resource>]),
        blocks: &Blocks,
    ) -> Result<Self, Status> {
        let (of_own, of_resources) = (own.encoded_len(), blocks::length(variant, resources));
        let length = u32::try_from(of_own + of_resources).map_err(|_| {
            Status::resource_exhausted("a message of more than 4 GiB cannot be sent")
        })?;
        let share = of_resources >= WORTH_SHARING;
        let copied = if share { 0 } else { of_resources };
        let mut begin = Vec::with_capacity(PREFIX + of_own + copied);
        begin.put_u8(0);
        begin.put_u32(length);
        own.encode(&mut begin)
            .map_err(|error| Status::internal(error.to_string()))?;
        if !share {
            blocks::put(variant, resources, &mut begin);
        }
        Ok(Self {
            begin: begin.into(),
            rest: share.then(|| blocks.share(variant, resources)),
        })
    }
}

#[cfg(test)]
mod tests {
    use heddle_proto::{
        Message as _,
        envoy::service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse},
        type_url,
    };

    use super::*;
    use crate::{blocks::tests::resources, wire};

    /// Without its prefix, which has to be right.
    fn bytes(message: &Message) -> Vec<u8> {
        let mut all = message.begin.to_vec();
        all.extend(message.rest.iter().flatten());
        let (prefix, message) = all.split_at(PREFIX);
        assert_eq!(prefix[0], 0);
        assert_eq!(
            prefix[1..],
            u32::try_from(message.len()).unwrap().to_be_bytes()
        );
        message.to_vec()
    }

    #[test]
    fn clients_read_what_was_said_whether_it_is_shared_or_not() {
        for count in [0, 1, 1000] {
            let all = resources(count);
            let own = wire::Delta {
                type_url: type_url::LISTENER.to_owned(),
                nonce: "7".to_owned(),
                removed_resources: vec!["gone".to_owned()],
            };
            let delta = Message::new(&own, (Variant::Delta, &all), &Blocks::default()).unwrap();
            assert_eq!(delta.rest.is_some(), count == 1000);
            let read = DeltaDiscoveryResponse::decode(&bytes(&delta)[..]).unwrap();
            assert_eq!((&*read.nonce, &*read.type_url), ("7", type_url::LISTENER));
            assert_eq!(read.removed_resources, ["gone"]);
            let names = read.resources.iter().map(|resource| &*resource.name);
            assert!(names.eq(all.iter().map(|resource| &*resource.name)));

            let own = wire::StateOfTheWorld {
                version_info: "v".to_owned(),
                type_url: type_url::LISTENER.to_owned(),
                nonce: "8".to_owned(),
            };
            let of = (Variant::StateOfTheWorld, &all[..]);
            let world = Message::new(&own, of, &Blocks::default()).unwrap();
            let read = DiscoveryResponse::decode(&bytes(&world)[..]).unwrap();
            assert_eq!((&*read.nonce, &*read.version_info), ("8", "v"));
            let values = read.resources.iter().map(|any| &any.value[..]);
            assert!(values.eq(all.iter().map(|resource| &resource.body[..])));
        }
    }

    #[test]
    fn a_buffer_is_as_large_as_its_message() {
        let own = wire::Delta::default();
        let all = resources(50);
        let message = Message::new(&own, (Variant::Delta, &all), &Blocks::default()).unwrap();
        let buffer = message.begin.try_into_mut().unwrap();
        assert_eq!(buffer.capacity(), buffer.len());
    }
}
