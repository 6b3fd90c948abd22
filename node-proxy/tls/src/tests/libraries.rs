//! What one library seals, the other opens.

use std::io::IoSlice;

use rustls::{ContentType, Error};

use super::{SUITES, World, pattern};
use crate::{
    aead::Library,
    keys::{HEADER, Opener, Sealer},
    payload::Payload,
    records::Records,
};

const LIBRARIES: [Library; 2] = [Library::AwsLc, Library::Ring];

/// A key of each library for the two ends of one direction.
async fn keys(world: &World, seals: Library, opens: Library) -> (Sealer, Opener) {
    let (mut client, mut server) = world.pair(1 << 16).await;
    let (_, keys, _, _) = client.parts();
    keys.choose(seals);
    let sealer = keys.next_sealer().expect("a key");
    let (_, keys, _, _) = server.parts();
    keys.choose(opens);
    (sealer, keys.next_opener().expect("a key"))
}

/// A record with what lies in `parts`.
fn sealed(sealer: &mut Sealer, parts: &[&[u8]]) -> Vec<u8> {
    let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut out = Records::default();
    sealer
        .seal(
            ContentType::ApplicationData,
            &Payload::new(&slices),
            &mut out,
        )
        .expect("sealed");
    out.as_slice().to_vec()
}

#[tokio::test]
async fn each_library_opens_what_the_other_sealed() {
    for suite in SUITES {
        let world = World::with(suite);
        for (seals, opens) in LIBRARIES
            .map(|one| LIBRARIES.map(|two| (one, two)))
            .concat()
        {
            let (mut sealer, mut opener) = keys(&world, seals, opens).await;
            for size in [0, 1, 15, 16, 17, 255, 1023, 1024, 1025, 4096, 16_384] {
                let (kind, data) = (ContentType::ApplicationData, pattern(size));
                let (front, back) = data.split_at(size.min(9));
                for parts in [&[&data[..]][..], &[front, back]] {
                    let mut out = sealed(&mut sealer, parts);
                    let record = &mut out[HEADER..];
                    let opened = opener.open(record).expect("opened");
                    assert_eq!(opened, (kind, size), "{suite:?}: {seals:?}, {opens:?}");
                    assert!(record[..size] == data);
                }
            }
        }
    }
}

#[tokio::test]
async fn neither_library_opens_what_was_changed() {
    for suite in SUITES {
        let world = World::with(suite);
        for library in LIBRARIES {
            for (size, place) in [
                (60, 0),
                (60, 20),
                (60, 70),
                (2000, 20),
                (2000, 2000),
                (2000, 2016),
            ] {
                let (mut sealer, mut opener) = keys(&world, library, library).await;
                let mut out = sealed(&mut sealer, &[&pattern(size)]);
                out[HEADER + place] ^= 1;
                let opened = opener.open(&mut out[HEADER..]);
                assert_eq!(opened, Err(Error::DecryptError), "{suite:?}: {library:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_first_record_is_not_the_second() {
    let world = World::new();
    for library in LIBRARIES {
        let (mut sealer, mut opener) = keys(&world, library, library).await;
        sealed(&mut sealer, &[b"x"]);
        let mut second = sealed(&mut sealer, &[b"x"]);
        let opened = opener.open(&mut second[HEADER..]);
        assert_eq!(opened, Err(Error::DecryptError), "{library:?}");
    }
}
