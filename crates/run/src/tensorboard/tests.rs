//! Reads event files back, record by record, with a CRC of its own.

use std::path::Path;

use protobuf::Message;
use tensorboard_proto::event::{Event, SessionLog_SessionStatus};
use tensorboard_proto::summary::Summary_Value;

use super::EventWriter;

/// CRC-32C bit by bit (reflected polynomial 0x82F63B78), masked as the record format asks.
fn masked_crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Splits `count` bytes off the front of `bytes`.
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (head, tail) = bytes.split_at(count);
    *bytes = tail;
    head
}

fn events_in(path: &Path) -> Vec<Event> {
    let content = std::fs::read(path).expect("the event file is readable");
    let mut rest = content.as_slice();
    let mut events = Vec::new();
    while !rest.is_empty() {
        let length = take(&mut rest, 8);
        let length_crc = take(&mut rest, 4);
        assert_eq!(
            length_crc,
            masked_crc32c(length).to_le_bytes(),
            "checksum of a record's length"
        );
        let length = u64::from_le_bytes(length.try_into().expect("eight bytes"));
        let record = take(&mut rest, usize::try_from(length).expect("a small record"));
        let record_crc = take(&mut rest, 4);
        assert_eq!(
            record_crc,
            masked_crc32c(record).to_le_bytes(),
            "checksum of a record"
        );
        events.push(Event::parse_from_bytes(record).expect("a record is an event"));
    }
    events
}

/// The tagged values of a file with their steps, the file's first record checked.
fn values_in(path: &Path) -> Vec<(i64, Summary_Value)> {
    let events = events_in(path);
    assert_eq!(events[0].get_file_version(), "brain.Event:2");
    let values = events.iter().flat_map(|event| {
        let values = event.get_summary().get_value().iter().cloned();
        values.map(|value| (event.get_step(), value))
    });
    values.collect()
}

#[test]
fn crc_agrees_with_the_published_check_value() {
    // The CRC catalogue lists e3069283 for the digits 1 to 9; the mask is rotate right 15, add
    // a282ead8.
    let want = 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8);
    let got = masked_crc32c(b"123456789");
    assert_eq!(got, want, "got {got:08x}, want {want:08x}");
}

#[test]
fn scalars_come_back_with_tag_step_and_value() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(dir.path()).unwrap();
    writer.scalar("loss/train", 0.25, 64).unwrap();
    writer
        .scalar("loss/train", f64::NAN, 10_000_000_000)
        .unwrap();
    writer.flush().unwrap();
    let values = values_in(writer.path());
    assert_eq!(values.len(), 2);
    let (step, value) = &values[0];
    assert_eq!(
        (*step, value.get_tag(), value.get_simple_value()),
        (64, "loss/train", 0.25)
    );
    let (step, value) = &values[1];
    assert_eq!(*step, 10_000_000_000);
    assert!(
        value.get_simple_value().is_nan(),
        "got {}, want NaN",
        value.get_simple_value()
    );
}

#[test]
fn images_keep_their_bytes_width_and_height() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(dir.path()).unwrap();
    writer
        .image("samples", b"not looked into", 80, 40, 7)
        .unwrap();
    writer.flush().unwrap();
    let values = values_in(writer.path());
    let image = values[0].1.get_image();
    assert_eq!((image.get_width(), image.get_height()), (80, 40));
    assert_eq!(image.get_encoded_image_string(), b"not looked into");
}

#[test]
fn texts_belong_to_the_text_plugin() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(dir.path()).unwrap();
    writer.text("config", "# D = ∞", 0).unwrap();
    writer.flush().unwrap();
    let values = values_in(writer.path());
    let value = &values[0].1;
    assert_eq!(
        value.get_metadata().get_plugin_data().get_plugin_name(),
        "text"
    );
    assert_eq!(value.get_tensor().get_string_val(), ["# D = ∞".as_bytes()]);
}

#[test]
fn flush_reaches_the_file_while_the_writer_lives() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(dir.path()).unwrap();
    let mut last = 0;
    for step in 0..1000 {
        writer.scalar("loss", 1.0, step).unwrap();
        if step % 100 == 99 {
            writer.flush().unwrap();
            let length = std::fs::metadata(writer.path()).unwrap().len();
            assert!(
                length > last,
                "got {length} bytes at step {step}, want more than {last}"
            );
            last = length;
        }
    }
    assert_eq!(values_in(writer.path()).len(), 1000);
}

/// The step at which a file starts its session: its second record.
fn session_start(path: &Path) -> i64 {
    let events = events_in(path);
    assert_eq!(
        events[1].get_session_log().get_status(),
        SessionLog_SessionStatus::START
    );
    events[1].get_step()
}

#[test]
fn resuming_starts_a_session_in_a_file_that_sorts_last() {
    let dir = tempfile::tempdir().unwrap();
    let first = EventWriter::create(dir.path())
        .unwrap()
        .path()
        .to_path_buf();
    let before = std::fs::read(&first).unwrap();
    let second = EventWriter::resume(dir.path(), 300)
        .unwrap()
        .path()
        .to_path_buf();
    assert!(
        second > first,
        "got {}, want a name after {}",
        second.display(),
        first.display()
    );
    assert_eq!(
        std::fs::read(&first).unwrap(),
        before,
        "the first file has changed"
    );
    let got = (session_start(&first), session_start(&second));
    assert_eq!(
        got,
        (0, 300),
        "TensorBoard needs a start in both files to drop stale steps"
    );
}

#[test]
fn a_file_from_the_future_still_sorts_before_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let future = dir
        .path()
        .join("events.out.tfevents.9000000000.elsewhere.1");
    std::fs::write(&future, b"").unwrap();
    let writer = EventWriter::create(dir.path()).unwrap();
    assert!(
        writer.path() > future.as_path(),
        "got {}, want a name after {}",
        writer.path().display(),
        future.display()
    );
}

#[test]
fn writers_made_in_one_second_do_not_collide() {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<_> = std::thread::scope(|scope| {
        let write = |id: u64| {
            let mut writer = EventWriter::create(dir.path()).unwrap();
            writer.scalar("id", 0.0, id).unwrap();
            writer.flush().unwrap();
            (id, writer.path().to_path_buf())
        };
        let threads: Vec<_> = (0..8).map(|id| scope.spawn(move || write(id))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 8);
    for (id, path) in paths {
        let values = values_in(&path);
        let steps: Vec<_> = values.iter().map(|(step, _)| *step).collect();
        assert_eq!(steps, [i64::try_from(id).unwrap()], "in {}", path.display());
    }
}

#[test]
fn an_unusable_folder_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("taken");
    std::fs::write(&file, b"").unwrap();
    let Err(error) = EventWriter::create(&file) else {
        panic!("got a writer, want an error")
    };
    let message = error.to_string();
    assert!(
        message.contains("taken"),
        "got {message:?}, want the path in it"
    );
}
