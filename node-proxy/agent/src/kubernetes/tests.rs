use super::is_being_deleted;

#[test]
fn a_daemonset_with_a_deletion_timestamp_is_being_deleted() {
    let deleted = br#"{"metadata": {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"}}"#;
    assert!(is_being_deleted(deleted));
}

#[test]
fn anything_else_is_not() {
    let others: [&[u8]; 4] = [
        b"",
        b"nonsense",
        br#"{"metadata": {"name": "a"}}"#,
        br#"{"metadata": {"deletionTimestamp": null}}"#,
    ];
    assert!(others.iter().all(|object| !is_being_deleted(object)));
}
