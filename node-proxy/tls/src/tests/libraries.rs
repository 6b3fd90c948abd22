//! What one library seals, the other opens.

use rustls::{ContentType, Error};

use super::{SUITES, World, pattern};
use crate::{
    aead::Library,
    keys::{HEADER, Opener, Sealer},
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

#[tokio::test]
async fn each_library_opens_what_the_other_sealed() {
    for suite in SUITES {
        let world = World::with(suite);
        for (seals, opens) in LIBRARIES
            .map(|one| LIBRARIES.map(|two| (one, two)))
            .concat()
        {
            let (mut sealer, mut opener) = keys(&world, seals, opens).await;
            for size in [0, 1, 15, 16, 17, 255, 4096, 16_384] {
                let (kind, data) = (ContentType::ApplicationData, pattern(size));
                let mut out = Vec::new();
                let sealed = sealer.seal(kind, &data[..].into(), &mut out);
                sealed.expect("sealed");
                let record = &mut out[HEADER..];
                let opened = opener.open(record).expect("opened");
                assert_eq!(opened, (kind, size), "{suite:?}: {seals:?}, {opens:?}");
                assert!(record[..size] == data);
            }
        }
    }
}

#[tokio::test]
async fn neither_library_opens_what_was_changed() {
    for suite in SUITES {
        let world = World::with(suite);
        for library in LIBRARIES {
            for place in [0, 20, 70] {
                let (mut sealer, mut opener) = keys(&world, library, library).await;
                let (kind, data) = (ContentType::ApplicationData, pattern(60));
                let mut out = Vec::new();
                let sealed = sealer.seal(kind, &data[..].into(), &mut out);
                sealed.expect("sealed");
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
        let mut out = Vec::new();
        for _ in 0..2 {
            let data = (&b"x"[..]).into();
            let sealed = sealer.seal(ContentType::ApplicationData, &data, &mut out);
            sealed.expect("sealed");
        }
        let second = out.len() / 2;
        let opened = opener.open(&mut out[second + HEADER..]);
        assert_eq!(opened, Err(Error::DecryptError), "{library:?}");
    }
}
