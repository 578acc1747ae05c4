//! Files as the Hub keeps its data sets.

/// A file of the Hub's kind: `{column: {bytes, path}, label}` for each image.
pub fn parquet(column: &str, images: &[Vec<u8>], labels: &[i64]) -> Vec<u8> {
    use parquet::data_type::{ByteArrayType, Int64Type};
    use parquet::file::writer::SerializedFileWriter;
    let schema = format!(
        "message schema {{ optional group {column} {{ optional binary bytes; optional binary path (UTF8); }} optional int64 label; }}"
    );
    let schema = parquet::schema::parser::parse_message_type(&schema).expect("a schema");
    let mut bytes = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut bytes, schema.into(), Default::default()).expect("a writer");
    let mut group = writer.next_row_group().expect("a group");
    let images: Vec<parquet::data_type::ByteArray> =
        images.iter().map(|i| i.clone().into()).collect();
    let n = images.len();
    let mut next = group.next_column().expect("a column").expect("the bytes");
    next.typed::<ByteArrayType>()
        .write_batch(&images, Some(&vec![2; n]), None)
        .expect("bytes");
    next.close().expect("a column");
    // No path.
    let mut next = group.next_column().expect("a column").expect("the path");
    next.typed::<ByteArrayType>()
        .write_batch(&[], Some(&vec![1; n]), None)
        .expect("paths");
    next.close().expect("a column");
    let mut next = group.next_column().expect("a column").expect("the label");
    next.typed::<Int64Type>()
        .write_batch(labels, Some(&vec![1; n]), None)
        .expect("labels");
    next.close().expect("a column");
    group.close().expect("a group");
    writer.close().expect("a file");
    bytes
}
