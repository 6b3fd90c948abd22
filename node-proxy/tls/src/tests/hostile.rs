//! Peers that mean harm, or are broken.

use rustls::{AlertDescription, ContentType, Error, InvalidMessage, PeerMisbehaved};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::{World, fault};
use crate::{TlsStream, messages::OWN_KEY_UPDATE};

type Ends = (TlsStream<DuplexStream>, TlsStream<DuplexStream>);

/// A good peer, and one that may do harm.
async fn ends() -> Ends {
    World::new().pair(1 << 20).await
}

/// What the good peer says of it, after it has heard `before`, and what it tells the other one.
async fn outcome((mut good, mut bad): Ends, before: &[u8]) -> (Error, Option<AlertDescription>) {
    bad.flush().await.expect("sent");
    let mut heard = vec![0; before.len()];
    good.read_exact(&mut heard).await.expect("heard before");
    assert_eq!(heard, before);
    let error = good.read_u8().await.expect_err("harm");
    let again = good.read_u8().await.expect_err("still");
    assert_eq!(fault(&error), fault(&again), "an error stays");
    drop(good.write(b"nothing more").await);
    let error = fault(&error).clone();
    drop(good);
    let told = bad.read_u8().await.expect_err("no data");
    let told = told.get_ref().and_then(|inside| inside.downcast_ref());
    let told = match told {
        Some(Error::AlertReceived(alert)) => Some(*alert),
        _ => None,
    };
    (error, told)
}

async fn forged(records: &[(ContentType, &[u8])]) -> (Error, Option<AlertDescription>) {
    let (good, mut bad) = ends().await;
    bad.write_all(b"before").await.expect("said");
    for (kind, payload) in records {
        bad.parts().3.forge(*kind, payload);
    }
    outcome((good, bad), b"before").await
}

async fn raw(bytes: &[u8]) -> (Error, Option<AlertDescription>) {
    let (good, mut bad) = ends().await;
    bad.write_all(b"before").await.expect("said");
    bad.flush().await.expect("sent");
    bad.parts().0.write_all(bytes).await.expect("sent");
    outcome((good, bad), b"before").await
}

#[tokio::test]
async fn a_damaged_record_ends_the_connection_and_the_peer_is_told() {
    let (error, told) = raw(b"\x17\x03\x03\x00\x20 thirty-two bytes that are noise ").await;
    assert_eq!(error, Error::DecryptError);
    assert_eq!(told, Some(AlertDescription::BadRecordMac));
}

#[tokio::test]
async fn a_record_shorter_than_its_tag_is_damaged() {
    let (error, told) = raw(b"\x17\x03\x03\x00\x03abc").await;
    assert_eq!(error, Error::DecryptError);
    assert_eq!(told, Some(AlertDescription::BadRecordMac));
}

#[tokio::test]
async fn a_record_that_is_too_long_is_not_waited_for() {
    let (error, told) = raw(b"\x17\x03\x03\x41\x01").await;
    assert_eq!(error, Error::PeerSentOversizedRecord);
    assert_eq!(told, Some(AlertDescription::RecordOverflow));
}

#[tokio::test]
async fn a_record_in_plain_text_is_refused() {
    for kind in [20, 21, 22, 24, 0, 255] {
        let (error, told) = raw(&[kind, 3, 3, 0, 2, 1, 0]).await;
        assert!(matches!(error, Error::InappropriateMessage { .. }));
        assert_eq!(told, Some(AlertDescription::UnexpectedMessage));
    }
}

#[tokio::test]
async fn a_change_of_cipher_under_encryption_is_refused() {
    let (error, told) = forged(&[(ContentType::ChangeCipherSpec, b"\x01")]).await;
    assert!(matches!(error, Error::InappropriateMessage { .. }));
    assert_eq!(told, Some(AlertDescription::UnexpectedMessage));
}

#[tokio::test]
async fn a_message_that_belongs_into_the_handshake_is_refused_after_it() {
    // client_hello, server_hello, certificate_request, finished
    for kind in [1, 2, 13, 20] {
        let (error, told) = forged(&[(ContentType::Handshake, &[kind, 0, 0, 1, 0])]).await;
        assert!(matches!(error, Error::InvalidMessage(_)), "{error}");
        assert_eq!(told, Some(AlertDescription::DecodeError));
    }
}

#[tokio::test]
async fn data_between_the_pieces_of_a_message_is_refused() {
    let (error, told) = forged(&[
        (ContentType::Handshake, &OWN_KEY_UPDATE[..3]),
        (ContentType::ApplicationData, b"x"),
    ])
    .await;
    let expected = PeerMisbehaved::MessageInterleavedWithHandshakeMessage;
    assert_eq!(error, expected.into());
    assert_eq!(told, Some(AlertDescription::UnexpectedMessage));
}

#[tokio::test]
async fn a_key_update_that_does_not_end_its_record_is_refused() {
    let mut two = OWN_KEY_UPDATE.to_vec();
    two.push(24);
    let (error, _) = forged(&[(ContentType::Handshake, &two)]).await;
    assert_eq!(error, PeerMisbehaved::KeyEpochWithPendingFragment.into());
}

#[tokio::test]
async fn old_keys_are_worth_nothing_after_an_update() {
    // The forger tells of a new key and goes on with the old one.
    let (error, told) = forged(&[
        (ContentType::Handshake, &OWN_KEY_UPDATE),
        (ContentType::ApplicationData, b"x"),
    ])
    .await;
    assert_eq!(error, Error::DecryptError);
    assert_eq!(told, Some(AlertDescription::BadRecordMac));
}

#[tokio::test]
async fn key_updates_without_end_are_refused() {
    let (good, mut bad) = ends().await;
    for _ in 0..33 {
        let (_, keys, _, writer) = bad.parts();
        writer.forge_update(keys);
    }
    let (error, told) = outcome((good, bad), b"").await;
    assert_eq!(error, PeerMisbehaved::TooManyKeyUpdateRequests.into());
    assert_eq!(told, Some(AlertDescription::UnexpectedMessage));
}

#[tokio::test]
async fn key_updates_with_data_between_them_are_followed_for_ever() {
    let (mut good, mut bad) = ends().await;
    for _ in 0..100 {
        let (_, keys, _, writer) = bad.parts();
        writer.forge_update(keys);
        bad.write_all(b"x").await.expect("said");
        bad.flush().await.expect("sent");
        assert_eq!(good.read_u8().await.expect("heard"), b'x');
    }
}

#[tokio::test]
async fn an_alert_is_an_error_and_is_not_answered() {
    // access_denied; its level says "warning", which means nothing in TLS 1.3 (section 6).
    let (error, told) = forged(&[(ContentType::Alert, &[1, 49])]).await;
    assert_eq!(error, Error::AlertReceived(AlertDescription::AccessDenied));
    assert_eq!(told, None);
}

#[tokio::test]
async fn half_an_alert_is_refused() {
    let (error, _) = forged(&[(ContentType::Alert, &[1])]).await;
    assert!(matches!(error, Error::InvalidMessage(_)));
}

#[tokio::test]
async fn what_means_nothing_is_passed_over() {
    let (mut good, mut bad) = ends().await;
    let ticket = [&[4, 0, 0, 3][..], b"any"].concat();
    let (_, _, _, writer) = bad.parts();
    writer.forge(ContentType::Handshake, &ticket[..5]);
    writer.forge(ContentType::Handshake, &ticket[5..]);
    writer.forge(ContentType::ApplicationData, b"");
    writer.forge(ContentType::Alert, &[1, 90]); // user_canceled
    bad.write_all(b"x").await.expect("said");
    bad.flush().await.expect("sent");
    assert_eq!(good.read_u8().await.expect("heard"), b'x');
}

#[tokio::test]
async fn padding_is_taken_off() {
    let (mut good, mut bad) = ends().await;
    // The record's own kind is the last of the padding: 0.
    let padded = b"x\x17\0\0\0\0";
    bad.parts().3.forge(ContentType::from(0), padded);
    bad.write_all(b"y").await.expect("said");
    bad.flush().await.expect("sent");
    let mut heard = [0; 2];
    good.read_exact(&mut heard).await.expect("heard");
    assert_eq!(&heard, b"xy");
}

/// With room for more than a record, into which a large one is opened at once.
async fn heard(good: &mut TlsStream<DuplexStream>, size: usize) -> Vec<u8> {
    let mut heard = Vec::with_capacity(1 << 16);
    while heard.len() < size {
        good.read_buf(&mut heard).await.expect("heard");
    }
    heard
}

#[tokio::test]
async fn large_records_with_a_message_or_with_padding_are_no_data() {
    let (mut good, mut bad) = ends().await;
    let ticket = [&[4, 0, 0x10, 0][..], &[9; 0x1000]].concat();
    let padded = [&b"x\x17"[..], &[0; 2000]].concat();
    let (_, _, _, writer) = bad.parts();
    writer.forge(ContentType::Handshake, &ticket);
    writer.forge(ContentType::from(0), &padded);
    writer.forge(ContentType::Handshake, &ticket);
    bad.write_all(&[b'y'; 2000]).await.expect("said");
    bad.flush().await.expect("sent");
    let heard = heard(&mut good, 2001).await;
    assert!(heard == [&b"x"[..], &[b'y'; 2000]].concat());
}

#[tokio::test]
async fn nothing_of_a_large_record_that_is_damaged_is_handed_on() {
    let (mut good, mut bad) = ends().await;
    bad.write_all(&[b'y'; 2000]).await.expect("said");
    let noise = [&b"\x17\x03\x03\x08\x00"[..], &[7; 2048]].concat();
    bad.parts().0.write_all(&noise).await.expect("sent");
    assert!(heard(&mut good, 2000).await == [b'y'; 2000]);
    let mut more = Vec::with_capacity(1 << 16);
    let error = good.read_buf(&mut more).await.expect_err("damaged");
    assert_eq!((fault(&error), more.len()), (&Error::DecryptError, 0));
}

#[tokio::test]
async fn a_record_of_padding_alone_is_refused() {
    let (error, told) = forged(&[(ContentType::from(0), b"\0\0")]).await;
    assert_eq!(error, PeerMisbehaved::IllegalTlsInnerPlaintext.into());
    assert_eq!(told, Some(AlertDescription::UnexpectedMessage));
}

#[tokio::test]
async fn a_record_that_holds_too_much_is_refused() {
    let too_much = vec![b'x'; (1 << 14) + 1];
    let (error, told) = forged(&[(ContentType::ApplicationData, &too_much)]).await;
    assert_eq!(error, Error::PeerSentOversizedRecord);
    assert_eq!(told, Some(AlertDescription::RecordOverflow));
}

#[tokio::test]
async fn an_empty_message_is_refused() {
    let (error, _) = forged(&[(ContentType::Handshake, b"")]).await;
    assert_eq!(error, InvalidMessage::InvalidEmptyPayload.into());
}
