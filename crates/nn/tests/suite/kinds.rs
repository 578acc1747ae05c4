//! A small network of every kind, and inputs for it.

use candle_core::{Device, Result, Tensor};
use pfgmpp_nn::{
    DecoderType, DownBlockType, EncoderType, MlpConfig, Network, NetworkConfig, NoiseEmbedding,
    Parameters, ResampleType, Signature, SongUNetConfig, TimeEmbeddingType, TimeScaleShift,
    UNet2DConfig, UNetConfig, UpBlockType,
};

pub const SIGNATURE: Signature = Signature {
    resolution: [8, 8],
    in_channels: 3,
    out_channels: 3,
    label_dim: 4,
    augment_dim: 0,
};

pub fn sizes(dropout: f64) -> UNetConfig {
    UNetConfig {
        model_channels: 20,
        channel_mult: vec![1, 2],
        channel_mult_emb: 3,
        num_blocks: 1,
        attn_resolutions: vec![4],
        dropout,
        label_dropout: dropout,
    }
}

pub fn config(dropout: f64) -> NetworkConfig {
    NetworkConfig::Ddpmpp(sizes(dropout))
}

/// A network of every kind.
pub fn kinds(dropout: f64) -> Vec<NetworkConfig> {
    let sizes = sizes(dropout);
    vec![
        config(dropout),
        NetworkConfig::Ncsnpp(sizes.clone()),
        NetworkConfig::SongUnet(SongUNetConfig {
            encoder_type: EncoderType::Skip,
            decoder_type: DecoderType::Skip,
            ..SongUNetConfig::ncsnpp(sizes.clone())
        }),
        NetworkConfig::Adm(UNetConfig {
            model_channels: 64,
            channel_mult: vec![1, 2],
            ..sizes
        }),
        NetworkConfig::UNet2D(UNet2DConfig {
            block_out_channels: vec![8, 12],
            layers_per_block: 1,
            down_block_types: vec![DownBlockType::DownBlock2D, DownBlockType::AttnDownBlock2D],
            up_block_types: vec![UpBlockType::AttnUpBlock2D, UpBlockType::UpBlock2D],
            attention_head_dim: Some(4),
            add_attention: true,
            norm_num_groups: 4,
            norm_eps: 1e-6,
            freq_shift: 1,
            flip_sin_to_cos: false,
            downsample_padding: 1,
            dropout,
            label_dropout: dropout,
            resnet_time_scale_shift: TimeScaleShift::ScaleShift,
            downsample_type: ResampleType::Resnet,
            upsample_type: ResampleType::Conv,
            mid_block_scale_factor: 1.5,
            attn_norm_num_groups: Some(2),
            center_input_sample: true,
            class_embed_type: None,
            time_embedding_type: TimeEmbeddingType::Positional,
        }),
        NetworkConfig::Mlp(MlpConfig {
            hidden_dim: 32,
            num_layers: 2,
            embedding_type: NoiseEmbedding::Positional,
            label_dropout: dropout,
        }),
    ]
}

pub fn build(config: &NetworkConfig, seed: u64) -> Result<(Parameters, Box<dyn Network>)> {
    let parameters = Parameters::new(seed, &Device::Cpu);
    let network = config.build(SIGNATURE, &parameters.builder())?;
    lively(&parameters)?;
    Ok((parameters, network))
}

/// Parameters of a network that is not almost zero anywhere.
pub fn lively(parameters: &Parameters) -> Result<()> {
    for (i, (_, var)) in parameters.vars().iter().enumerate() {
        let bump: Vec<f32> = (0..var.elem_count())
            .map(|j| 0.05 * ((i + 3 * j) as f32).sin())
            .collect();
        var.set(&(var.as_tensor().detach() + Tensor::from_vec(bump, var.shape(), &Device::Cpu)?)?)?;
    }
    Ok(())
}

pub fn image(b: usize) -> Result<Tensor> {
    let values: Vec<f32> = (0..b * 192).map(|i| (0.7 * i as f32).sin()).collect();
    Tensor::from_vec(values, (b, 3, 8, 8), &Device::Cpu)
}

pub fn noise(b: usize) -> Result<Tensor> {
    Tensor::from_vec(
        (0..b).map(|i| i as f32 * 0.1 - 0.5).collect::<Vec<_>>(),
        b,
        &Device::Cpu,
    )
}

pub fn bits(t: &Tensor) -> Result<Vec<u32>> {
    Ok(t.flatten_all()?
        .to_vec1::<f32>()?
        .into_iter()
        .map(f32::to_bits)
        .collect())
}
