//! The names of weights.

/// The name that a weight has in its authors' files, from that or from the name that it has in the Hub's transformers.
///
/// Attention's query, key and value, which are three weights there and one here, stay apart under `attn.query` and so on.
pub(super) fn published(name: &str) -> String {
    let table = [
        (
            "embeddings.patch_embeddings.projection.",
            "patch_embed.proj.",
        ),
        ("embeddings.position_embeddings", "pos_embed"),
        ("embeddings.", ""),
        ("layernorm.", "norm."),
    ];
    if let Some(block) = name.strip_prefix("encoder.layer.") {
        return format!("blocks.{}", within_block(block));
    }
    let renamed = table.iter().find_map(|(hub, own)| {
        let rest = name.strip_prefix(hub)?;
        Some(format!("{own}{rest}"))
    });
    renamed.unwrap_or_else(|| name.to_string())
}

/// `3.attention.output.dense.bias` -> `3.attn.proj.bias`
fn within_block(name: &str) -> String {
    [
        ("attention.attention.", "attn."),
        ("attention.output.dense.", "attn.proj."),
        ("layer_scale1.lambda1", "ls1.gamma"),
        ("layer_scale2.lambda1", "ls2.gamma"),
        ("mlp.weights_in.", "mlp.w12."),
        ("mlp.weights_out.", "mlp.w3."),
    ]
    .into_iter()
    .find(|(hub, _)| name.contains(hub))
    .map_or_else(|| name.to_string(), |(hub, own)| name.replace(hub, own))
}
