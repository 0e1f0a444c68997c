//! Files that come in pieces: who may go on with one, what a batch takes, and when one goes.

use super::*;
use crate::store::uploads::UPLOAD_IDLE_MS;

on_both!(
    the_last_to_take_an_upload_goes_on_with_it,
    a_claim_takes_all_or_none,
    uploads_go_a_day_after_their_last_byte,
);

async fn announced(bench: &Bench, bytes: u64) -> UploadRecord {
    let file = AnnouncedFile { owner: "ada".to_owned(), name: "a.bin".to_owned(), bytes };
    bench.store.announce_upload(file, 1 << 30).await.unwrap()
}

/// Writes `content` as the piece of `writer`, and notes it.
async fn add(bench: &Bench, upload: &UploadRecord, writer: &str, content: &[u8]) -> bool {
    let mut piece =
        bench.store.file_store().begin_piece(upload.pieces()).await.unwrap().expect("nobody else");
    piece.write(content).await.unwrap();
    let progress = piece.end().await.unwrap();
    bench.store.note_progress(upload, writer, &progress).await.unwrap()
}

async fn whole(bench: &Bench, content: &[u8]) -> UploadRecord {
    let upload = announced(bench, content.len() as u64).await;
    let taken = bench.store.take_upload(&upload.id, "w").await.unwrap();
    assert!(add(bench, &taken, "w", content).await);
    let come = bench.store.upload(&upload.id).await.unwrap();
    let stored = bench.store.file_store().finish_pieces(come.pieces(), "a.bin").await.unwrap();
    assert_eq!(stored.blake3, blake3::hash(content).to_hex().to_string());
    bench.store.note_whole(&come, &stored).await.unwrap();
    bench.store.upload(&upload.id).await.unwrap()
}

fn growing(bench: &Bench) -> usize {
    std::fs::read_dir(bench.folder.path().join("files/uploads")).map_or(0, Iterator::count)
}

fn is_there(bench: &Bench, upload: &UploadRecord) -> bool {
    bench.store.file_store().local_path(upload.pieces().key).unwrap().exists()
}

async fn the_last_to_take_an_upload_goes_on_with_it(bench: Bench) {
    let upload = announced(&bench, 8).await;
    let first = bench.store.take_upload(&upload.id, "first").await.unwrap();
    let held = bench.store.file_store().begin_piece(first.pieces()).await.unwrap().expect("nobody else");
    let refused = bench.store.file_store().begin_piece(first.pieces()).await.unwrap();
    assert!(refused.is_none(), "one at a time writes the file");
    drop(held);
    let second = bench.store.take_upload(&upload.id, "second").await.unwrap();
    assert!(!add(&bench, &first, "first", b"xxxx").await, "overtaken");
    assert_eq!(bench.store.upload(&upload.id).await.unwrap().progress.received, 0);
    assert!(add(&bench, &second, "second", b"abcd").await);
    let third = bench.store.take_upload(&upload.id, "third").await.unwrap();
    assert!(add(&bench, &third, "third", b"efgh").await);
    let come = bench.store.upload(&upload.id).await.unwrap();
    let stored = bench.store.file_store().finish_pieces(come.pieces(), "a.bin").await.unwrap();
    assert_eq!(stored.blake3, blake3::hash(b"abcdefgh").to_hex().to_string());
    // Stopped before it was noted, it is done once more.
    assert_eq!(bench.store.file_store().finish_pieces(come.pieces(), "a.bin").await.unwrap(), stored);
}

async fn a_claim_takes_all_or_none(bench: Bench) {
    let (one, two, half) =
        (whole(&bench, b"one").await, whole(&bench, b"two").await, announced(&bench, 5).await);
    let ids = |uploads: &[&UploadRecord]| uploads.iter().map(|upload| upload.id.clone()).collect::<Vec<_>>();
    let claim = async |owner: &str, uploads: &[&UploadRecord], claim: &str| {
        bench.store.claim_uploads(owner, &ids(uploads), claim).await.unwrap().len()
    };
    assert_eq!(claim("ada", &[&one, &half], "a").await, 1);
    assert_eq!(claim("bob", &[&one], "b").await, 0);
    assert!(!bench.store.upload(&one.id).await.unwrap().claimed, "none was taken");
    assert_eq!(claim("ada", &[&one, &two], "c").await, 2);
    assert_eq!(claim("ada", &[&two], "d").await, 0);
    assert!(!bench.store.remove_upload(&one).await.unwrap());
    assert!(matches!(bench.store.take_upload(&one.id, "w").await, Err(StoreError::NotFound(_))));
    // One became an item, the other did not.
    let batch = bench.store.create(new_batch()).await.unwrap();
    let stored = one.stored.clone().unwrap();
    let row = crate::protocol::FileRow { name: "a.bin".to_owned(), bytes: 3, media_type: stored.media_type };
    let file = FileRecord { key: stored.key, seq: 1, side: FileSide::Input, row, blake3: stored.blake3 };
    bench.store.append_sharing(batch.key, 1, &[lines(1, 1)], &[file], &[]).await.unwrap();
    bench.store.settle_uploads(std::slice::from_ref(&one), std::slice::from_ref(&two)).await.unwrap();
    assert!(matches!(bench.store.upload(&one.id).await, Err(StoreError::NotFound(_))));
    assert!(is_there(&bench, &one), "the item names it");
    assert_eq!(claim("ada", &[&two], "e").await, 1, "it can be used again");
    bench.store.settle_uploads(std::slice::from_ref(&two), &[]).await.unwrap();
    assert!(!is_there(&bench, &two), "no item names it");
}

async fn uploads_go_a_day_after_their_last_byte(bench: Bench) {
    let (done, half) = (whole(&bench, b"done").await, announced(&bench, 8).await);
    bench.pass(UPLOAD_IDLE_MS);
    assert!(!bench.store.sweep_uploads().await.unwrap());
    assert!(is_there(&bench, &done), "not before");
    bench.store.remove_unnamed(&[done.pieces().key.to_owned()]).await.unwrap();
    assert!(is_there(&bench, &done), "the upload names it");
    let taken = bench.store.take_upload(&half.id, "w").await.unwrap();
    assert!(add(&bench, &taken, "w", b"half").await);
    bench.pass(1);
    assert!(!bench.store.sweep_uploads().await.unwrap());
    assert!(!is_there(&bench, &done) && bench.store.upload(&done.id).await.is_err());
    assert_eq!((growing(&bench), bench.store.upload(&half.id).await.unwrap().progress.received), (1, 4));
    bench.pass(UPLOAD_IDLE_MS);
    assert!(!bench.store.sweep_uploads().await.unwrap());
    assert_eq!(growing(&bench), 0);
    assert!(bench.store.upload(&half.id).await.is_err());
}
