"""The torch modules of architectures.py: published architectures built small from their configurations, and nets for
gradients per sample.

Weights are random and in evaluation mode nothing is drawn. Each model gives three numbers for one input.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

OUTPUTS = 3


@dataclass(frozen=True)
class Model:
    """`make()` gives a module of one input and that input; seeded by whoever calls."""

    name: str
    make: Callable[[], tuple[nn.Module, torch.Tensor]]


class Outputs(nn.Module):
    """Three numbers of a model's named output: its mean over all but the last axis, or over the pixels, taken to three
    by a linear map where they are more."""

    def __init__(self, model: nn.Module, field: str, width: int = OUTPUTS, images: bool = False, **options: Any):
        super().__init__()
        self.model, self.field, self.images, self.options = model, field, images, options
        self.head = nn.Identity() if width == OUTPUTS else nn.Linear(width, OUTPUTS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = getattr(self.model(x, **self.options), self.field)
        return self.head(y.mean((0, 2, 3)) if self.images else y.reshape(-1, y.shape[-1]).mean(0))


def words(vocabulary: int, length: int = 16) -> torch.Tensor:
    return torch.randint(3, vocabulary, (1, length))


def image(side: int = 64) -> torch.Tensor:
    return torch.randn(1, 3, side, side)


def varied(module: nn.Module) -> nn.Module:
    """In evaluation mode, with scales, offsets and running statistics that are not the identity's."""
    with torch.no_grad():
        for x in [*module.parameters(), *module.buffers()]:
            if x.is_floating_point() and x.ndim <= 1:
                x.add_(0.1 * torch.rand_like(x))
    return module.eval()


# ----- language -------------------------------------------------------------------------------------------------------


def bert() -> tuple[nn.Module, torch.Tensor]:
    from transformers import BertConfig, BertModel

    config = BertConfig(vocab_size=200, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
                        intermediate_size=128, max_position_embeddings=32)
    return Outputs(BertModel(config), "pooler_output", 64), words(200)


def gpt2() -> tuple[nn.Module, torch.Tensor]:
    from transformers import GPT2Config, GPT2Model

    config = GPT2Config(vocab_size=200, n_embd=64, n_layer=2, n_head=4, n_positions=32)
    return Outputs(GPT2Model(config), "last_hidden_state", 64, use_cache=False), words(200)


def llama() -> tuple[nn.Module, torch.Tensor]:
    from transformers import LlamaConfig, LlamaModel

    config = LlamaConfig(vocab_size=200, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, intermediate_size=128, max_position_embeddings=32)
    return Outputs(LlamaModel(config), "last_hidden_state", 64, use_cache=False), words(200)


def t5() -> tuple[nn.Module, torch.Tensor]:
    from transformers import T5Config, T5Model

    config = T5Config(vocab_size=200, d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4)
    module = Outputs(T5Model(config), "last_hidden_state", 64, use_cache=False, decoder_input_ids=words(200, 8))
    return module, words(200)


# ----- images and sound -----------------------------------------------------------------------------------------------


def vit() -> tuple[nn.Module, torch.Tensor]:
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
                       image_size=32, patch_size=8)
    return Outputs(ViTModel(config), "pooler_output", 64), image(32)


def convnext() -> tuple[nn.Module, torch.Tensor]:
    from transformers import ConvNextConfig, ConvNextModel

    config = ConvNextConfig(hidden_sizes=[16, 32, 64, 128], depths=[1, 1, 2, 1])
    return Outputs(ConvNextModel(config), "pooler_output", 128), image()


def swin() -> tuple[nn.Module, torch.Tensor]:
    from transformers import SwinConfig, SwinModel

    config = SwinConfig(image_size=32, patch_size=2, embed_dim=32, depths=[2, 2], num_heads=[2, 4], window_size=4)
    return Outputs(SwinModel(config), "pooler_output", 64), image(32)


def mobilenet_v2() -> tuple[nn.Module, torch.Tensor]:
    from transformers import MobileNetV2Config, MobileNetV2Model

    config = MobileNetV2Config(depth_multiplier=0.35, image_size=64)
    return Outputs(MobileNetV2Model(config), "pooler_output", 1280), image()


def resnet18() -> tuple[nn.Module, torch.Tensor]:
    from transformers import ResNetConfig, ResNetModel

    config = ResNetConfig(embedding_size=16, hidden_sizes=[16, 32, 64, 128], depths=[2, 2, 2, 2], layer_type="basic")
    return Outputs(ResNetModel(config), "pooler_output", 128, images=True), image()


def efficientnet() -> tuple[nn.Module, torch.Tensor]:
    from transformers import EfficientNetConfig, EfficientNetModel

    config = EfficientNetConfig(image_size=64, width_coefficient=0.25, depth_coefficient=0.5, hidden_dim=320)
    return Outputs(EfficientNetModel(config), "pooler_output", 320), image()


def segformer() -> tuple[nn.Module, torch.Tensor]:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    config = SegformerConfig(hidden_sizes=[16, 32, 40, 64], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 2, 4],
                             decoder_hidden_size=32, num_labels=OUTPUTS)
    return Outputs(SegformerForSemanticSegmentation(config), "logits", images=True), image()


def wavlm() -> tuple[nn.Module, torch.Tensor]:
    from transformers import WavLMConfig, WavLMModel

    config = WavLMConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
                         conv_dim=[32] * 4, conv_kernel=[10, 3, 3, 2], conv_stride=[5, 2, 2, 2],
                         num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4)
    return Outputs(WavLMModel(config), "last_hidden_state", 64), torch.randn(1, 1600)


def twice(a: int, b: int) -> nn.Sequential:
    """Two convolutions, each normalized and rectified."""
    return nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(inplace=True),
                         nn.Conv2d(b, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(inplace=True))


class UNet(nn.Module):
    """Down by max pooling, up by transposed convolution and by bilinear upsampling, joined at each level (Ronneberger
    2015)."""

    def __init__(self, width: int = 8):
        super().__init__()
        self.down = nn.ModuleList([twice(3, width), twice(width, 2 * width)])
        self.bottom = twice(2 * width, 4 * width)
        self.grow = nn.ModuleList([nn.ConvTranspose2d(4 * width, 2 * width, 2, stride=2),
                                   nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"),
                                                 nn.Conv2d(2 * width, width, 1))])
        self.up = nn.ModuleList([twice(4 * width, 2 * width), twice(2 * width, width)])
        self.head = nn.Conv2d(width, OUTPUTS, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        levels = []
        for level in self.down:
            x = level(x)
            levels.append(x)
            x = F.max_pool2d(x, 2)
        x = self.bottom(x)
        for grow, up, level in zip(self.grow, self.up, reversed(levels), strict=True):
            x = up(torch.cat([level, grow(x)], 1))
        return self.head(x).mean((0, 2, 3))


ARCHITECTURES = [
    Model("BERT", bert), Model("GPT-2", gpt2), Model("Llama", llama), Model("T5", t5), Model("ViT", vit),
    Model("ConvNeXt", convnext), Model("Swin", swin), Model("MobileNetV2", mobilenet_v2), Model("ResNet-18", resnet18),
    Model("EfficientNet", efficientnet), Model("SegFormer", segformer), Model("WavLM", wavlm),
    Model("U-Net", lambda: (UNet(), image(32))),
]

# ----- nets whose gradients are taken sample by sample ----------------------------------------------------------------

SAMPLES, CLASSES = 64, 10


class Losses(nn.Module):
    """The loss of each sample."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(self.net(x), labels, reduction="none")


def pooled_convolutions() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(32 * 8 * 8, CLASSES))


class Residual(nn.Module):
    """Two convolutions with group normalisation, beside a shortcut."""

    def __init__(self, a: int, b: int, stride: int):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.GroupNorm(4, b), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(b, b, 3, 1, 1, bias=False), nn.GroupNorm(4, b))
        self.shortcut = nn.Identity() if a == b and stride == 1 else nn.Conv2d(a, b, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.second(self.first(x)) + self.shortcut(x))


def group_resnet() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.GroupNorm(4, 16), nn.ReLU(),
                         Residual(16, 16, 1), Residual(16, 32, 2), Residual(32, 64, 2),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES))


class Block(nn.Module):
    """One pre-norm transformer block and a linear head on the mean of its positions."""

    def __init__(self, width: int = 64, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.triple, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, length, width = x.shape
        triple = self.triple(self.before(x)).chunk(3, -1)
        q, k, v = (a.reshape(n, length, self.heads, -1).transpose(1, 2) for a in triple)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, length, width)
        x = x + self.out(y)
        return self.head((x + self.narrow(F.gelu(self.wide(self.after(x))))).mean(1))


SAMPLED = [
    Model("conv-relu-maxpool", lambda: (Losses(pooled_convolutions()), torch.randn(SAMPLES, 3, 32, 32))),
    Model("ResNet, group normalisation", lambda: (Losses(group_resnet()), torch.randn(SAMPLES, 3, 32, 32))),
    Model("transformer block", lambda: (Losses(Block()), torch.randn(SAMPLES, 16, 64))),
]
