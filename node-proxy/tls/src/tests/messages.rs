//! Messages out of records.

use rustls::{Error, InvalidMessage};

use crate::messages::{Message, Messages, OWN_KEY_UPDATE, fuzz};

fn read(records: &[&[u8]]) -> Result<Vec<Message>, Error> {
    let mut messages = Messages::default();
    let mut found = Vec::new();
    for record in records {
        messages.add(record)?;
        while let Some(message) = messages.next()? {
            found.push(message);
        }
    }
    Ok(found)
}

#[test]
fn a_key_update_says_whether_one_is_wanted() {
    let told = Message::KeyUpdate { requested: false };
    assert_eq!(read(&[&OWN_KEY_UPDATE]), Ok(vec![told]));
    let wanted = Message::KeyUpdate { requested: true };
    assert_eq!(read(&[&[24, 0, 0, 1, 1]]), Ok(vec![wanted]));
    for wrong in [&[24, 0, 0, 1, 2][..], &[24, 0, 0, 0], &[24, 0, 0, 2, 0, 0]] {
        assert_eq!(read(&[wrong]), Err(InvalidMessage::InvalidKeyUpdate.into()));
    }
}

#[test]
fn messages_may_share_a_record_and_be_cut_by_records() {
    let record = [4, 0, 0, 2, 7, 7, 4, 0, 0, 0, 24, 0, 0, 1, 0];
    let told = Message::KeyUpdate { requested: false };
    let all = Ok(vec![Message::Ticket, Message::Ticket, told]);
    assert_eq!(read(&[&record]), all);
    for cut in 1..record.len() {
        assert_eq!(read(&[&record[..cut], &record[cut..]]), all, "at {cut}");
        fuzz(&record[..cut]);
    }
}

#[test]
fn a_message_that_is_too_long_is_not_waited_for() {
    let too_long = Err(InvalidMessage::HandshakePayloadTooLarge.into());
    assert_eq!(read(&[&[4, 1, 4, 1]]), too_long);
    assert_eq!(
        read(&[&[4, 1, 0, 0]]),
        Ok(Vec::new()),
        "64 kB are waited for"
    );
}
